//! What one hop is told (BOLT 4, "`payload` format"), as a value and as a TLV stream. Whether amounts and expiries
//! are acceptable is not judged here.

use crate::ids::ShortChannelId;
use crate::payment::failure::Failure;
use crate::units::{CltvExpiry, Msat};
use crate::wire::{Reader, TlvError, TlvStream, Writer};

const AMT_TO_FORWARD: u64 = 2;
const OUTGOING_CLTV_VALUE: u64 = 4;
const SHORT_CHANNEL_ID: u64 = 6;
const PAYMENT_DATA: u64 = 8;
const PAYMENT_METADATA: u64 = 16;
/// The fields of blinded routes (10, 12, 18) are not among them: a node that does not offer those refuses them.
const KNOWN: [u64; 5] =
    [AMT_TO_FORWARD, OUTGOING_CLTV_VALUE, SHORT_CHANNEL_ID, PAYMENT_DATA, PAYMENT_METADATA];

/// What one hop is told (BOLT 4, "`payload` format").
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // the BOLT's own names
pub enum HopPayload {
    /// Forward to `short_channel_id`.
    Intermediate { amt_to_forward: Msat, outgoing_cltv_value: CltvExpiry, short_channel_id: ShortChannelId },
    /// The payment ends here.
    Final {
        amt_to_forward: Msat,
        outgoing_cltv_value: CltvExpiry,
        payment_secret: Option<[u8; 32]>,
        /// Written only beside `payment_secret`; `amt_to_forward` stands in for it there when there is none.
        total_msat: Option<Msat>,
        payment_metadata: Option<Vec<u8>>,
    },
}

impl HopPayload {
    /// The payload as it lies in the onion: BigSize length, then the TLV stream.
    pub fn encode(&self) -> Vec<u8> {
        let mut stream = Writer::new();
        match self {
            HopPayload::Intermediate { amt_to_forward, outgoing_cltv_value, short_channel_id } => {
                write_forward(&mut stream, *amt_to_forward, *outgoing_cltv_value);
                stream.tlv(SHORT_CHANNEL_ID, &short_channel_id.0.to_be_bytes());
            }
            HopPayload::Final {
                amt_to_forward,
                outgoing_cltv_value,
                payment_secret,
                total_msat,
                payment_metadata,
            } => {
                write_forward(&mut stream, *amt_to_forward, *outgoing_cltv_value);
                if let Some(secret) = payment_secret {
                    let mut data = Writer::new();
                    data.bytes(secret);
                    data.tu64(total_msat.unwrap_or(*amt_to_forward).get());
                    stream.tlv(PAYMENT_DATA, &data.into_bytes());
                }
                if let Some(metadata) = payment_metadata {
                    stream.tlv(PAYMENT_METADATA, metadata);
                }
            }
        }
        with_length(&stream.into_bytes())
    }

    /// Reads the TLV stream, without its length prefix. `is_final` when there is no further hop. Fields that this
    /// position does not use are checked for their form only.
    ///
    /// # Errors
    /// The record (0 when there is none to name) that is missing, unknown or not well formed.
    pub(super) fn decode(stream: &[u8], is_final: bool) -> Result<Self, u64> {
        let mut records = TlvStream::parse(stream, &KNOWN).map_err(culprit)?;
        let amount = records.take(AMT_TO_FORWARD, |value| value.tu64().map(Msat::new)).map_err(culprit)?;
        let expiry =
            records.take(OUTGOING_CLTV_VALUE, |value| value.tu32().map(CltvExpiry::new)).map_err(culprit)?;
        let channel =
            records.take(SHORT_CHANNEL_ID, |value| value.u64().map(ShortChannelId)).map_err(culprit)?;
        let payment_data = records
            .take(PAYMENT_DATA, |value| Ok((value.array::<32>()?, Msat::new(value.tu64()?))))
            .map_err(culprit)?;
        let payment_metadata =
            records.take(PAYMENT_METADATA, |value| Ok(value.rest().to_vec())).map_err(culprit)?;

        let amt_to_forward = amount.ok_or(AMT_TO_FORWARD)?;
        let outgoing_cltv_value = expiry.ok_or(OUTGOING_CLTV_VALUE)?;
        if !is_final {
            let short_channel_id = channel.ok_or(SHORT_CHANNEL_ID)?;
            return Ok(HopPayload::Intermediate { amt_to_forward, outgoing_cltv_value, short_channel_id });
        }
        Ok(HopPayload::Final {
            amt_to_forward,
            outgoing_cltv_value,
            payment_secret: payment_data.map(|(secret, _)| secret),
            total_msat: payment_data.map(|(_, total)| total),
            payment_metadata,
        })
    }
}

fn write_forward(stream: &mut Writer, amt_to_forward: Msat, outgoing_cltv_value: CltvExpiry) {
    let mut amount = Writer::new();
    amount.tu64(amt_to_forward.get());
    stream.tlv(AMT_TO_FORWARD, &amount.into_bytes());
    let mut expiry = Writer::new();
    expiry.tu32(outgoing_cltv_value.get());
    stream.tlv(OUTGOING_CLTV_VALUE, &expiry.into_bytes());
}

fn with_length(stream: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.bigsize(stream.len() as u64);
    writer.bytes(stream);
    writer.into_bytes()
}

fn culprit(error: TlvError) -> u64 {
    match error {
        TlvError::Type { .. } => 0,
        TlvError::Length { kind, .. }
        | TlvError::Overrun { kind, .. }
        | TlvError::Order { kind, .. }
        | TlvError::UnknownEven { kind }
        | TlvError::Value { kind, .. } => kind,
    }
}

/// `invalid_onion_payload` for the record `kind`: its offset counts from the start of the decrypted bytes, so from
/// the length prefix (`prefix` bytes); 0 when there is no such record.
pub(super) fn invalid_payload(kind: u64, stream: &[u8], prefix: usize) -> Failure {
    let offset = offset_of(kind, stream).map_or(0, |offset| prefix + offset);
    Failure::InvalidOnionPayload { kind, offset: u16::try_from(offset).unwrap_or(0) }
}

/// Where the last record of this type starts; the last, since a repeated one is what is wrong with a stream.
fn offset_of(kind: u64, stream: &[u8]) -> Option<usize> {
    let mut reader = Reader::new(stream);
    let mut found = None;
    while !reader.is_empty() {
        let start = stream.len() - reader.left();
        let Ok(this) = reader.bigsize() else { break };
        if this == kind {
            found = Some(start);
        }
        let Some(length) = reader.bigsize().ok().and_then(|length| usize::try_from(length).ok()) else {
            break;
        };
        if reader.bytes(length).is_err() {
            break;
        }
    }
    found
}
