//! BOLT 2, channel establishment v1: open_channel, accept_channel, funding_created, funding_signed, channel_ready.
use super::{DecodeError, Extension, Features, Fields, Reader, TlvRecord, Writer};
use crate::ids::{ChannelId, ShortChannelId};
use crate::units::{FeeratePerKw, Msat, Sat};
use bitcoin::hashes::Hash;
use bitcoin::{OutPoint, ScriptBuf, Txid};
use secp256k1::ecdsa::Signature;
use secp256k1::PublicKey;

/// The keys each side names when a channel is opened; the same six in `open_channel` and `accept_channel`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // the BOLT's own names
pub struct OpeningKeys {
    pub funding_pubkey: PublicKey,
    pub revocation_basepoint: PublicKey,
    pub payment_basepoint: PublicKey,
    pub delayed_payment_basepoint: PublicKey,
    pub htlc_basepoint: PublicKey,
    pub first_per_commitment_point: PublicKey,
}

/// Proposes a channel (type 32).
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // the BOLT's own names
pub struct OpenChannel {
    pub chain_hash: [u8; 32],
    pub temporary_channel_id: ChannelId,
    pub funding_satoshis: Sat,
    pub push_msat: Msat,
    pub dust_limit_satoshis: Sat,
    pub max_htlc_value_in_flight_msat: Msat,
    pub channel_reserve_satoshis: Sat,
    pub htlc_minimum_msat: Msat,
    pub feerate_per_kw: FeeratePerKw,
    pub to_self_delay: u16,
    pub max_accepted_htlcs: u16,
    pub keys: OpeningKeys,
    /// Bit 0 is `announce_channel`.
    pub channel_flags: u8,
    /// TLV 0; an empty script is a present but empty record.
    pub upfront_shutdown_script: Option<ScriptBuf>,
    /// TLV 1: the feature bits that name the channel type.
    pub channel_type: Option<Features>,
    /// Odd records that were not understood.
    pub unknown: Vec<TlvRecord>,
}

/// Agrees to a channel (type 33).
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // the BOLT's own names
pub struct AcceptChannel {
    pub temporary_channel_id: ChannelId,
    pub dust_limit_satoshis: Sat,
    pub max_htlc_value_in_flight_msat: Msat,
    pub channel_reserve_satoshis: Sat,
    pub htlc_minimum_msat: Msat,
    pub minimum_depth: u32,
    pub to_self_delay: u16,
    pub max_accepted_htlcs: u16,
    pub keys: OpeningKeys,
    pub upfront_shutdown_script: Option<ScriptBuf>,
    pub channel_type: Option<Features>,
    pub unknown: Vec<TlvRecord>,
}

/// Names the funding output and signs the acceptor's first commitment (type 34).
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // the BOLT's own names
pub struct FundingCreated {
    pub temporary_channel_id: ChannelId,
    pub funding_txid: Txid,
    pub funding_output_index: u16,
    pub signature: Signature,
}

/// Signs the opener's first commitment (type 35).
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // the BOLT's own names
pub struct FundingSigned {
    pub channel_id: ChannelId,
    pub signature: Signature,
}

/// The funding is deep enough for the sender (type 36).
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // the BOLT's own names
pub struct ChannelReady {
    pub channel_id: ChannelId,
    pub second_per_commitment_point: PublicKey,
    /// TLV 1: a name under which the sender also knows the channel.
    pub alias: Option<ShortChannelId>,
    pub unknown: Vec<TlvRecord>,
}

/// `upfront_shutdown_script` in `open_channel` and `accept_channel`.
const UPFRONT_SHUTDOWN_SCRIPT: u64 = 0;
/// `channel_type` in `open_channel` and `accept_channel`.
const CHANNEL_TYPE: u64 = 1;
/// `short_channel_id` in `channel_ready`.
const ALIAS: u64 = 1;

impl OpeningKeys {
    fn read(fields: &mut Fields<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            funding_pubkey: fields.read("funding_pubkey", Reader::point)?,
            revocation_basepoint: fields.read("revocation_basepoint", Reader::point)?,
            payment_basepoint: fields.read("payment_basepoint", Reader::point)?,
            delayed_payment_basepoint: fields.read("delayed_payment_basepoint", Reader::point)?,
            htlc_basepoint: fields.read("htlc_basepoint", Reader::point)?,
            first_per_commitment_point: fields.read("first_per_commitment_point", Reader::point)?,
        })
    }

    fn write(&self, w: &mut Writer) {
        w.point(&self.funding_pubkey);
        w.point(&self.revocation_basepoint);
        w.point(&self.payment_basepoint);
        w.point(&self.delayed_payment_basepoint);
        w.point(&self.htlc_basepoint);
        w.point(&self.first_per_commitment_point);
    }
}

/// The two records that both opening messages may have.
fn take_records(extension: &mut Extension) -> Result<(Option<ScriptBuf>, Option<Features>), DecodeError> {
    let script = extension.take(UPFRONT_SHUTDOWN_SCRIPT, |r| Ok(ScriptBuf::from_bytes(r.rest().to_vec())))?;
    let channel_type = extension.take(CHANNEL_TYPE, |r| Ok(Features::from_bytes(r.rest())))?;
    Ok((script, channel_type))
}

fn write_records(
    w: &mut Writer,
    script: Option<&ScriptBuf>,
    channel_type: Option<&Features>,
    unknown: &[TlvRecord],
) {
    let script = script.map(|script| TlvRecord::new(UPFRONT_SHUTDOWN_SCRIPT, |w| w.bytes(script.as_bytes())));
    let channel_type = channel_type.map(|bits| TlvRecord::new(CHANNEL_TYPE, |w| w.bytes(bits.as_bytes())));
    w.tlv_stream(script.iter().chain(&channel_type).chain(unknown));
}

impl OpenChannel {
    /// The type number.
    pub const KIND: u16 = 32;

    pub(super) fn read(mut fields: Fields<'_>) -> Result<Self, DecodeError> {
        let f = &mut fields;
        let mut message = Self {
            chain_hash: f.read("chain_hash", Reader::array)?,
            temporary_channel_id: f.read("temporary_channel_id", Reader::array).map(ChannelId)?,
            funding_satoshis: f.read("funding_satoshis", Reader::u64).map(Sat::new)?,
            push_msat: f.read("push_msat", Reader::u64).map(Msat::new)?,
            dust_limit_satoshis: f.read("dust_limit_satoshis", Reader::u64).map(Sat::new)?,
            max_htlc_value_in_flight_msat: f
                .read("max_htlc_value_in_flight_msat", Reader::u64)
                .map(Msat::new)?,
            channel_reserve_satoshis: f.read("channel_reserve_satoshis", Reader::u64).map(Sat::new)?,
            htlc_minimum_msat: f.read("htlc_minimum_msat", Reader::u64).map(Msat::new)?,
            feerate_per_kw: f.read("feerate_per_kw", Reader::u32).map(FeeratePerKw::new)?,
            to_self_delay: f.read("to_self_delay", Reader::u16)?,
            max_accepted_htlcs: f.read("max_accepted_htlcs", Reader::u16)?,
            keys: OpeningKeys::read(f)?,
            channel_flags: f.read("channel_flags", Reader::u8)?,
            upfront_shutdown_script: None,
            channel_type: None,
            unknown: Vec::new(),
        };
        let mut extension = fields.extension(&[UPFRONT_SHUTDOWN_SCRIPT, CHANNEL_TYPE])?;
        (message.upfront_shutdown_script, message.channel_type) = take_records(&mut extension)?;
        message.unknown = extension.unknown();
        Ok(message)
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.bytes(&self.chain_hash);
        w.bytes(&self.temporary_channel_id.0);
        w.u64(self.funding_satoshis.get());
        w.u64(self.push_msat.get());
        w.u64(self.dust_limit_satoshis.get());
        w.u64(self.max_htlc_value_in_flight_msat.get());
        w.u64(self.channel_reserve_satoshis.get());
        w.u64(self.htlc_minimum_msat.get());
        w.u32(self.feerate_per_kw.get());
        w.u16(self.to_self_delay);
        w.u16(self.max_accepted_htlcs);
        self.keys.write(w);
        w.u8(self.channel_flags);
        let (script, channel_type) = (self.upfront_shutdown_script.as_ref(), self.channel_type.as_ref());
        write_records(w, script, channel_type, &self.unknown);
    }
}

impl AcceptChannel {
    /// The type number.
    pub const KIND: u16 = 33;

    pub(super) fn read(mut fields: Fields<'_>) -> Result<Self, DecodeError> {
        let f = &mut fields;
        let mut message = Self {
            temporary_channel_id: f.read("temporary_channel_id", Reader::array).map(ChannelId)?,
            dust_limit_satoshis: f.read("dust_limit_satoshis", Reader::u64).map(Sat::new)?,
            max_htlc_value_in_flight_msat: f
                .read("max_htlc_value_in_flight_msat", Reader::u64)
                .map(Msat::new)?,
            channel_reserve_satoshis: f.read("channel_reserve_satoshis", Reader::u64).map(Sat::new)?,
            htlc_minimum_msat: f.read("htlc_minimum_msat", Reader::u64).map(Msat::new)?,
            minimum_depth: f.read("minimum_depth", Reader::u32)?,
            to_self_delay: f.read("to_self_delay", Reader::u16)?,
            max_accepted_htlcs: f.read("max_accepted_htlcs", Reader::u16)?,
            keys: OpeningKeys::read(f)?,
            upfront_shutdown_script: None,
            channel_type: None,
            unknown: Vec::new(),
        };
        let mut extension = fields.extension(&[UPFRONT_SHUTDOWN_SCRIPT, CHANNEL_TYPE])?;
        (message.upfront_shutdown_script, message.channel_type) = take_records(&mut extension)?;
        message.unknown = extension.unknown();
        Ok(message)
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.bytes(&self.temporary_channel_id.0);
        w.u64(self.dust_limit_satoshis.get());
        w.u64(self.max_htlc_value_in_flight_msat.get());
        w.u64(self.channel_reserve_satoshis.get());
        w.u64(self.htlc_minimum_msat.get());
        w.u32(self.minimum_depth);
        w.u16(self.to_self_delay);
        w.u16(self.max_accepted_htlcs);
        self.keys.write(w);
        let (script, channel_type) = (self.upfront_shutdown_script.as_ref(), self.channel_type.as_ref());
        write_records(w, script, channel_type, &self.unknown);
    }
}

impl FundingCreated {
    /// The type number.
    pub const KIND: u16 = 34;

    /// The output that it names.
    pub fn funding(&self) -> OutPoint {
        OutPoint { txid: self.funding_txid, vout: self.funding_output_index.into() }
    }

    pub(super) fn read(mut fields: Fields<'_>) -> Result<Self, DecodeError> {
        let message = Self {
            temporary_channel_id: fields.read("temporary_channel_id", Reader::array).map(ChannelId)?,
            // In the order in which it was hashed, the reverse of how people print it.
            funding_txid: fields.read("funding_txid", Reader::array).map(Txid::from_byte_array)?,
            funding_output_index: fields.read("funding_output_index", Reader::u16)?,
            signature: fields.read("signature", Reader::signature)?,
        };
        fields.end()?;
        Ok(message)
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.bytes(&self.temporary_channel_id.0);
        w.bytes(self.funding_txid.as_byte_array());
        w.u16(self.funding_output_index);
        w.signature(&self.signature);
    }
}

impl FundingSigned {
    /// The type number.
    pub const KIND: u16 = 35;

    pub(super) fn read(mut fields: Fields<'_>) -> Result<Self, DecodeError> {
        let channel_id = fields.channel_id()?;
        let signature = fields.read("signature", Reader::signature)?;
        fields.end()?;
        Ok(Self { channel_id, signature })
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.bytes(&self.channel_id.0);
        w.signature(&self.signature);
    }
}

impl ChannelReady {
    /// The type number.
    pub const KIND: u16 = 36;

    pub(super) fn read(mut fields: Fields<'_>) -> Result<Self, DecodeError> {
        let channel_id = fields.channel_id()?;
        let second_per_commitment_point = fields.read("second_per_commitment_point", Reader::point)?;
        let mut extension = fields.extension(&[ALIAS])?;
        let alias = extension.take(ALIAS, |r| r.u64())?.map(ShortChannelId);
        Ok(Self { channel_id, second_per_commitment_point, alias, unknown: extension.unknown() })
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.bytes(&self.channel_id.0);
        w.point(&self.second_per_commitment_point);
        let alias = self.alias.map(|alias| TlvRecord::new(ALIAS, |w| w.u64(alias.0)));
        w.tlv_stream(alias.iter().chain(&self.unknown));
    }
}
