//! BOLT 2, closing: shutdown and the legacy fee negotiation.
use super::{DecodeError, Fields, Reader, TlvRecord, Writer};
use crate::ids::ChannelId;
use crate::units::Sat;
use bitcoin::ScriptBuf;
use secp256k1::ecdsa::Signature;

/// No new HTLCs from here; close when the last one is gone (type 38).
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // the BOLT's own names
pub struct Shutdown {
    pub channel_id: ChannelId,
    pub scriptpubkey: ScriptBuf,
    pub unknown: Vec<TlvRecord>,
}

/// Proposes a fee and signs the closing transaction that pays it (type 39).
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // the BOLT's own names
pub struct ClosingSigned {
    pub channel_id: ChannelId,
    pub fee_satoshis: Sat,
    pub signature: Signature,
    /// TLV 1: the smallest and the largest fee the sender would take.
    pub fee_range: Option<FeeRange>,
    pub unknown: Vec<TlvRecord>,
}

/// The fees a side would take for the closing transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // the BOLT's own names
pub struct FeeRange {
    pub min_fee_satoshis: Sat,
    pub max_fee_satoshis: Sat,
}

/// `fee_range` in `closing_signed`.
const FEE_RANGE: u64 = 1;

impl Shutdown {
    /// The type number.
    pub const KIND: u16 = 38;

    pub(super) fn read(mut fields: Fields<'_>) -> Result<Self, DecodeError> {
        let channel_id = fields.channel_id()?;
        let script = fields.read("scriptpubkey", Reader::sized_u16)?;
        let scriptpubkey = ScriptBuf::from_bytes(script.to_vec());
        let unknown = fields.extension(&[])?.unknown();
        Ok(Self { channel_id, scriptpubkey, unknown })
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.bytes(&self.channel_id.0);
        w.sized_u16(self.scriptpubkey.as_bytes());
        w.tlv_stream(&self.unknown);
    }
}

impl ClosingSigned {
    /// The type number.
    pub const KIND: u16 = 39;

    pub(super) fn read(mut fields: Fields<'_>) -> Result<Self, DecodeError> {
        let channel_id = fields.channel_id()?;
        let fee_satoshis = fields.read("fee_satoshis", Reader::u64).map(Sat::new)?;
        let signature = fields.read("signature", Reader::signature)?;
        let mut extension = fields.extension(&[FEE_RANGE])?;
        let fee_range = extension.take(FEE_RANGE, |reader| {
            Ok(FeeRange {
                min_fee_satoshis: Sat::new(reader.u64()?),
                max_fee_satoshis: Sat::new(reader.u64()?),
            })
        })?;
        Ok(Self { channel_id, fee_satoshis, signature, fee_range, unknown: extension.unknown() })
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.bytes(&self.channel_id.0);
        w.u64(self.fee_satoshis.get());
        w.signature(&self.signature);
        let fee_range = self.fee_range.map(|range| {
            TlvRecord::new(FEE_RANGE, |w| {
                w.u64(range.min_fee_satoshis.get());
                w.u64(range.max_fee_satoshis.get());
            })
        });
        w.tlv_stream(fee_range.iter().chain(&self.unknown));
    }
}
