//! BOLT 2, normal operation: updates, the commitment dance, re-establishment.
use super::{DecodeError, Fields, ReadError, Reader, TlvRecord, Writer};
use crate::ids::{ChannelId, PaymentHash, Preimage};
use crate::units::{CltvExpiry, FeeratePerKw, Msat};
use secp256k1::ecdsa::Signature;
use secp256k1::{PublicKey, SecretKey};
use std::sync::Arc;

/// The length of the onion packet inside `update_add_htlc` (BOLT 4): version, key, 1300 bytes of payloads, HMAC.
pub const ONION_PACKET_LEN: usize = 1366;

/// An onion as it travels; shared, since a channel's value is copied at every step.
pub type OnionBytes = Arc<[u8; ONION_PACKET_LEN]>;

/// Offers an HTLC (type 128).
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // the BOLT's own names
pub struct UpdateAddHtlc {
    pub channel_id: ChannelId,
    pub id: u64,
    pub amount_msat: Msat,
    pub payment_hash: PaymentHash,
    pub cltv_expiry: CltvExpiry,
    pub onion_routing_packet: OnionBytes,
    /// TLV 0: `path_key` of a blinded route.
    pub path_key: Option<PublicKey>,
    pub unknown: Vec<TlvRecord>,
}

/// Gives the preimage of an HTLC that the peer offered (type 130).
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // the BOLT's own names
pub struct UpdateFulfillHtlc {
    pub channel_id: ChannelId,
    pub id: u64,
    pub payment_preimage: Preimage,
    pub unknown: Vec<TlvRecord>,
}

/// Refuses an HTLC that the peer offered; the reason is encrypted for the origin (type 131).
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // the BOLT's own names
pub struct UpdateFailHtlc {
    pub channel_id: ChannelId,
    pub id: u64,
    pub reason: Vec<u8>,
    pub unknown: Vec<TlvRecord>,
}

/// Refuses an HTLC whose onion could not be read (type 135).
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // the BOLT's own names
pub struct UpdateFailMalformedHtlc {
    pub channel_id: ChannelId,
    pub id: u64,
    pub sha256_of_onion: [u8; 32],
    pub failure_code: u16,
}

/// Signs the receiver's next commitment and its HTLC transactions (type 132).
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // the BOLT's own names
pub struct CommitmentSigned {
    pub channel_id: ChannelId,
    pub signature: Signature,
    /// One for each untrimmed HTLC, in the order of the commitment's outputs.
    pub htlc_signatures: Vec<Signature>,
    pub unknown: Vec<TlvRecord>,
}

/// Gives up the old commitment and names the next one's point (type 133).
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // the BOLT's own names
pub struct RevokeAndAck {
    pub channel_id: ChannelId,
    pub per_commitment_secret: SecretKey,
    pub next_per_commitment_point: PublicKey,
}

/// Changes the feerate of the commitments; only the opener may (type 134).
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // the BOLT's own names
pub struct UpdateFee {
    pub channel_id: ChannelId,
    pub feerate_per_kw: FeeratePerKw,
}

/// Says where the sender stands after a reconnection (type 136).
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // the BOLT's own names
pub struct ChannelReestablish {
    pub channel_id: ChannelId,
    pub next_commitment_number: u64,
    pub next_revocation_number: u64,
    /// All zero when none was received yet.
    pub your_last_per_commitment_secret: [u8; 32],
    pub my_current_per_commitment_point: PublicKey,
    pub unknown: Vec<TlvRecord>,
}

/// `blinded_path` in `update_add_htlc`.
const PATH_KEY: u64 = 0;
/// Bytes of a signature.
const SIGNATURE_LEN: usize = 64;

impl UpdateAddHtlc {
    /// The type number.
    pub const KIND: u16 = 128;

    pub(super) fn read(mut fields: Fields<'_>) -> Result<Self, DecodeError> {
        let channel_id = fields.channel_id()?;
        let id = fields.read("id", Reader::u64)?;
        let amount_msat = fields.read("amount_msat", Reader::u64).map(Msat::new)?;
        let payment_hash = fields.read("payment_hash", Reader::array).map(PaymentHash)?;
        let cltv_expiry = fields.read("cltv_expiry", Reader::u32).map(CltvExpiry::new)?;
        let onion_routing_packet = fields.read("onion_routing_packet", Reader::array).map(Arc::new)?;
        let mut extension = fields.extension(&[PATH_KEY])?;
        let path_key = extension.take(PATH_KEY, |r| r.point())?;
        let unknown = extension.unknown();
        Ok(Self {
            channel_id,
            id,
            amount_msat,
            payment_hash,
            cltv_expiry,
            onion_routing_packet,
            path_key,
            unknown,
        })
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.bytes(&self.channel_id.0);
        w.u64(self.id);
        w.u64(self.amount_msat.get());
        w.bytes(&self.payment_hash.0);
        w.u32(self.cltv_expiry.get());
        w.bytes(self.onion_routing_packet.as_slice());
        let path_key = self.path_key.map(|point| TlvRecord::new(PATH_KEY, |w| w.point(&point)));
        w.tlv_stream(path_key.iter().chain(&self.unknown));
    }
}

impl UpdateFulfillHtlc {
    /// The type number.
    pub const KIND: u16 = 130;

    /// `attribution_data` (TLV 1) is kept among the unknown records: it is passed back as it came.
    pub(super) fn read(mut fields: Fields<'_>) -> Result<Self, DecodeError> {
        let channel_id = fields.channel_id()?;
        let id = fields.read("id", Reader::u64)?;
        let payment_preimage = fields.read("payment_preimage", Reader::array).map(Preimage)?;
        let unknown = fields.extension(&[])?.unknown();
        Ok(Self { channel_id, id, payment_preimage, unknown })
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.bytes(&self.channel_id.0);
        w.u64(self.id);
        w.bytes(&self.payment_preimage.0);
        w.tlv_stream(&self.unknown);
    }
}

impl UpdateFailHtlc {
    /// The type number.
    pub const KIND: u16 = 131;

    /// `attribution_data` (TLV 1) is kept among the unknown records.
    pub(super) fn read(mut fields: Fields<'_>) -> Result<Self, DecodeError> {
        let channel_id = fields.channel_id()?;
        let id = fields.read("id", Reader::u64)?;
        let reason = fields.read("reason", Reader::sized_u16)?.to_vec();
        let unknown = fields.extension(&[])?.unknown();
        Ok(Self { channel_id, id, reason, unknown })
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.bytes(&self.channel_id.0);
        w.u64(self.id);
        w.sized_u16(&self.reason);
        w.tlv_stream(&self.unknown);
    }
}

impl UpdateFailMalformedHtlc {
    /// The type number.
    pub const KIND: u16 = 135;

    pub(super) fn read(mut fields: Fields<'_>) -> Result<Self, DecodeError> {
        let channel_id = fields.channel_id()?;
        let id = fields.read("id", Reader::u64)?;
        let sha256_of_onion = fields.read("sha256_of_onion", Reader::array)?;
        let failure_code = fields.read("failure_code", Reader::u16)?;
        fields.end()?;
        Ok(Self { channel_id, id, sha256_of_onion, failure_code })
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.bytes(&self.channel_id.0);
        w.u64(self.id);
        w.bytes(&self.sha256_of_onion);
        w.u16(self.failure_code);
    }
}

impl CommitmentSigned {
    /// The type number.
    pub const KIND: u16 = 132;

    /// `funding_txid` (TLV 1, for splices) is kept among the unknown records. How many signatures are right is the
    /// channel's matter.
    pub(super) fn read(mut fields: Fields<'_>) -> Result<Self, DecodeError> {
        let channel_id = fields.channel_id()?;
        let signature = fields.read("signature", Reader::signature)?;
        let htlc_signatures = fields.read("htlc_signature", signatures)?;
        let unknown = fields.extension(&[])?.unknown();
        Ok(Self { channel_id, signature, htlc_signatures, unknown })
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.bytes(&self.channel_id.0);
        w.signature(&self.signature);
        let wanted = self.htlc_signatures.len().saturating_mul(SIGNATURE_LEN);
        let count = w.sized_room(wanted) / SIGNATURE_LEN as u16;
        w.u16(count);
        self.htlc_signatures.iter().take(count.into()).for_each(|signature| w.signature(signature));
        w.tlv_stream(&self.unknown);
    }
}

/// A count and that many signatures; memory is taken only for those that are there.
fn signatures(reader: &mut Reader<'_>) -> Result<Vec<Signature>, ReadError> {
    let count = usize::from(reader.u16()?);
    let mut inner = Reader::new(reader.bytes(count * SIGNATURE_LEN)?);
    (0..count).map(|_| inner.signature()).collect()
}

impl RevokeAndAck {
    /// The type number.
    pub const KIND: u16 = 133;

    pub(super) fn read(mut fields: Fields<'_>) -> Result<Self, DecodeError> {
        let channel_id = fields.channel_id()?;
        let per_commitment_secret = fields.read("per_commitment_secret", Reader::secret)?;
        let next_per_commitment_point = fields.read("next_per_commitment_point", Reader::point)?;
        fields.end()?;
        Ok(Self { channel_id, per_commitment_secret, next_per_commitment_point })
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.bytes(&self.channel_id.0);
        w.bytes(&self.per_commitment_secret.secret_bytes());
        w.point(&self.next_per_commitment_point);
    }
}

impl UpdateFee {
    /// The type number.
    pub const KIND: u16 = 134;

    pub(super) fn read(mut fields: Fields<'_>) -> Result<Self, DecodeError> {
        let channel_id = fields.channel_id()?;
        let feerate_per_kw = fields.read("feerate_per_kw", Reader::u32).map(FeeratePerKw::new)?;
        fields.end()?;
        Ok(Self { channel_id, feerate_per_kw })
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.bytes(&self.channel_id.0);
        w.u32(self.feerate_per_kw.get());
    }
}

impl ChannelReestablish {
    /// The type number.
    pub const KIND: u16 = 136;

    /// `next_funding` (TLV 1) and `my_current_funding_locked` (TLV 5), for splices, are kept among the unknown
    /// records.
    pub(super) fn read(mut fields: Fields<'_>) -> Result<Self, DecodeError> {
        let f = &mut fields;
        let mut message = Self {
            channel_id: f.channel_id()?,
            next_commitment_number: f.read("next_commitment_number", Reader::u64)?,
            next_revocation_number: f.read("next_revocation_number", Reader::u64)?,
            your_last_per_commitment_secret: f.read("your_last_per_commitment_secret", Reader::array)?,
            my_current_per_commitment_point: f.read("my_current_per_commitment_point", Reader::point)?,
            unknown: Vec::new(),
        };
        message.unknown = fields.extension(&[])?.unknown();
        Ok(message)
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.bytes(&self.channel_id.0);
        w.u64(self.next_commitment_number);
        w.u64(self.next_revocation_number);
        w.bytes(&self.your_last_per_commitment_secret);
        w.point(&self.my_current_per_commitment_point);
        w.tlv_stream(&self.unknown);
    }
}
