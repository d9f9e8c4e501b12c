//! BOLT 1: init, error, warning, ping, pong.
use super::{DecodeError, Features, Fields, ReadError, Reader, TlvRecord, Writer};
use crate::ids::ChannelId;

/// The first message of a connection (BOLT 1, type 16). `globalfeatures` is or-ed into `features` on arrival.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Init {
    /// What the sender can do and insists on (BOLT 9).
    pub features: Features,
    /// Chains the sender is interested in (TLV 1); none means any.
    pub networks: Vec<[u8; 32]>,
    /// Odd records that were not understood, kept as they came.
    pub unknown: Vec<TlvRecord>,
}

/// Something is wrong and the channel (or all, when the id is zero) is failed (BOLT 1, type 17).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ErrorMessage {
    /// The channel; all zero for every channel with the peer.
    pub channel_id: ChannelId,
    /// Text for people, at most 65,535 bytes.
    pub data: Vec<u8>,
}

/// Something is wrong, the channel goes on (BOLT 1, type 1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Warning {
    /// The channel; all zero for the connection.
    pub channel_id: ChannelId,
    /// Text for people, at most 65,535 bytes.
    pub data: Vec<u8>,
}

/// Asks for an answer of `num_pong_bytes`, unless that is 65,532 or more (BOLT 1, type 18).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ping {
    /// Length of the answer's padding.
    pub num_pong_bytes: u16,
    /// Length of this message's own padding; its content is not kept.
    pub byteslen: u16,
}

/// The answer to a ping (BOLT 1, type 19).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pong {
    /// Length of the padding; its content is not kept.
    pub byteslen: u16,
}

/// `networks` in `init`.
const NETWORKS: u64 = 1;

impl Init {
    /// The type number.
    pub const KIND: u16 = 16;

    pub(super) fn read(mut fields: Fields<'_>) -> Result<Self, DecodeError> {
        let global = Features::from_bytes(fields.read("globalfeatures", Reader::sized_u16)?);
        let features = Features::from_bytes(fields.read("features", Reader::sized_u16)?).union(&global);
        let mut extension = fields.extension(&[NETWORKS])?;
        let networks = extension.take(NETWORKS, chain_hashes)?.unwrap_or_default();
        Ok(Self { features, networks, unknown: extension.unknown() })
    }

    /// `globalfeatures` stays empty: all bits are in `features`, where every peer of today reads them. Features too
    /// long for a message lose their highest bits.
    pub(super) fn write(&self, w: &mut Writer) {
        w.u16(0);
        let bytes = self.features.as_bytes();
        let kept = usize::from(w.sized_room(bytes.len()));
        w.sized_u16(&bytes[bytes.len() - kept..]);
        let networks =
            (!self.networks.is_empty()).then(|| TlvRecord { kind: NETWORKS, value: self.networks.concat() });
        w.tlv_stream(networks.iter().chain(&self.unknown));
    }
}

/// As many chain hashes as there are bytes for.
fn chain_hashes(reader: &mut Reader<'_>) -> Result<Vec<[u8; 32]>, ReadError> {
    let mut hashes = Vec::new();
    while !reader.is_empty() {
        hashes.push(reader.array()?);
    }
    Ok(hashes)
}

impl ErrorMessage {
    /// The type number.
    pub const KIND: u16 = 17;

    pub(super) fn read(mut fields: Fields<'_>) -> Result<Self, DecodeError> {
        let channel_id = fields.channel_id()?;
        let data = fields.read("data", Reader::sized_u16)?.to_vec();
        fields.end()?;
        Ok(Self { channel_id, data })
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.bytes(&self.channel_id.0);
        w.sized_u16(&self.data);
    }
}

impl Warning {
    /// The type number.
    pub const KIND: u16 = 1;

    pub(super) fn read(mut fields: Fields<'_>) -> Result<Self, DecodeError> {
        let channel_id = fields.channel_id()?;
        let data = fields.read("data", Reader::sized_u16)?.to_vec();
        fields.end()?;
        Ok(Self { channel_id, data })
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.bytes(&self.channel_id.0);
        w.sized_u16(&self.data);
    }
}

impl Ping {
    /// The type number.
    pub const KIND: u16 = 18;

    /// The most padding that a ping has room for.
    pub const MAX_BYTESLEN: u16 = 65_529;

    pub(super) fn read(mut fields: Fields<'_>) -> Result<Self, DecodeError> {
        let num_pong_bytes = fields.read("num_pong_bytes", Reader::u16)?;
        let byteslen = padding(&mut fields)?;
        fields.end()?;
        Ok(Self { num_pong_bytes, byteslen })
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.u16(self.num_pong_bytes);
        w.zeros_u16(self.byteslen);
    }
}

impl Pong {
    /// The type number.
    pub const KIND: u16 = 19;

    /// The most padding that a pong has room for; a ping that asks for more gets no answer.
    pub const MAX_BYTESLEN: u16 = 65_531;

    pub(super) fn read(mut fields: Fields<'_>) -> Result<Self, DecodeError> {
        let byteslen = padding(&mut fields)?;
        fields.end()?;
        Ok(Self { byteslen })
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.zeros_u16(self.byteslen);
    }
}

/// The length of the `ignored` bytes, which must be there. It fits: a `u16` counted them.
fn padding(fields: &mut Fields<'_>) -> Result<u16, DecodeError> {
    fields.read("ignored", |reader| {
        let byteslen = reader.u16()?;
        reader.bytes(byteslen.into()).map(|_| byteslen)
    })
}
