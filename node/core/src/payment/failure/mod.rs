//! What a hop says of a payment it refused (BOLT 4, "Failure Messages"), as a value and as bytes. How it travels back
//! is in `returning`; what to do about it is the sender's matter.

mod returning;
#[cfg(test)]
mod tests;

pub use returning::{attribute, relay, wrap, SharedSecret, MAX_FAILURE_LEN};

use crate::units::{BlockHeight, CltvExpiry, Msat};
use crate::wire::{ReadError, Reader, Writer};

/// Flag: the onion could not be read, so the sending peer encrypts the failure.
pub const BADONION: u16 = 0x8000;
/// Flag: permanent, otherwise transient.
pub const PERM: u16 = 0x4000;
/// Flag: the node failed, otherwise a channel.
pub const NODE: u16 = 0x2000;
/// Flag: a channel's forwarding parameter was violated.
pub const UPDATE: u16 = 0x1000;

/// `invalid_onion_version`, for `update_fail_malformed_htlc`.
pub const INVALID_ONION_VERSION: u16 = BADONION | PERM | 4;
/// `invalid_onion_hmac`, for `update_fail_malformed_htlc`.
pub const INVALID_ONION_HMAC: u16 = BADONION | PERM | 5;
/// `invalid_onion_key`, for `update_fail_malformed_htlc`.
pub const INVALID_ONION_KEY: u16 = BADONION | PERM | 6;
/// `invalid_onion_blinding`, for `update_fail_malformed_htlc`.
pub const INVALID_ONION_BLINDING: u16 = BADONION | PERM | 24;

const TEMPORARY_NODE_FAILURE: u16 = NODE | 2;
const PERMANENT_NODE_FAILURE: u16 = PERM | NODE | 2;
const REQUIRED_NODE_FEATURE_MISSING: u16 = PERM | NODE | 3;
const TEMPORARY_CHANNEL_FAILURE: u16 = UPDATE | 7;
const PERMANENT_CHANNEL_FAILURE: u16 = PERM | 8;
const REQUIRED_CHANNEL_FEATURE_MISSING: u16 = PERM | 9;
const UNKNOWN_NEXT_PEER: u16 = PERM | 10;
const AMOUNT_BELOW_MINIMUM: u16 = UPDATE | 11;
const FEE_INSUFFICIENT: u16 = UPDATE | 12;
const INCORRECT_CLTV_EXPIRY: u16 = UPDATE | 13;
const EXPIRY_TOO_SOON: u16 = UPDATE | 14;
const INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS: u16 = PERM | 15;
const FINAL_INCORRECT_CLTV_EXPIRY: u16 = 18;
const FINAL_INCORRECT_HTLC_AMOUNT: u16 = 19;
const CHANNEL_DISABLED: u16 = UPDATE | 20;
const EXPIRY_TOO_FAR: u16 = 21;
const INVALID_ONION_PAYLOAD: u16 = PERM | 22;
const MPP_TIMEOUT: u16 = 23;

/// What a hop says of a payment it refused (BOLT 4, "Failure Messages"). A `channel_update` is carried as it came
/// and may be empty, since a node may leave it out.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[allow(missing_docs)] // the BOLT's own names
pub enum Failure {
    TemporaryNodeFailure,
    PermanentNodeFailure,
    RequiredNodeFeatureMissing,
    InvalidOnionVersion {
        sha256_of_onion: [u8; 32],
    },
    InvalidOnionHmac {
        sha256_of_onion: [u8; 32],
    },
    InvalidOnionKey {
        sha256_of_onion: [u8; 32],
    },
    InvalidOnionBlinding {
        sha256_of_onion: [u8; 32],
    },
    TemporaryChannelFailure {
        channel_update: Vec<u8>,
    },
    PermanentChannelFailure,
    RequiredChannelFeatureMissing,
    UnknownNextPeer,
    AmountBelowMinimum {
        htlc_msat: Msat,
        channel_update: Vec<u8>,
    },
    FeeInsufficient {
        htlc_msat: Msat,
        channel_update: Vec<u8>,
    },
    IncorrectCltvExpiry {
        cltv_expiry: CltvExpiry,
        channel_update: Vec<u8>,
    },
    ExpiryTooSoon {
        channel_update: Vec<u8>,
    },
    IncorrectOrUnknownPaymentDetails {
        htlc_msat: Msat,
        height: BlockHeight,
    },
    FinalIncorrectCltvExpiry {
        cltv_expiry: CltvExpiry,
    },
    FinalIncorrectHtlcAmount {
        incoming_htlc_amt: Msat,
    },
    ChannelDisabled {
        disabled_flags: u16,
        channel_update: Vec<u8>,
    },
    ExpiryTooFar,
    InvalidOnionPayload {
        kind: u64,
        offset: u16,
    },
    MppTimeout,
    /// A code that is not known here, or a known one whose data is not as it should be.
    Unknown {
        code: u16,
        data: Vec<u8>,
    },
}

impl Failure {
    /// Its code with flags (BOLT 4).
    pub fn code(&self) -> u16 {
        match self {
            Failure::TemporaryNodeFailure => TEMPORARY_NODE_FAILURE,
            Failure::PermanentNodeFailure => PERMANENT_NODE_FAILURE,
            Failure::RequiredNodeFeatureMissing => REQUIRED_NODE_FEATURE_MISSING,
            Failure::InvalidOnionVersion { .. } => INVALID_ONION_VERSION,
            Failure::InvalidOnionHmac { .. } => INVALID_ONION_HMAC,
            Failure::InvalidOnionKey { .. } => INVALID_ONION_KEY,
            Failure::InvalidOnionBlinding { .. } => INVALID_ONION_BLINDING,
            Failure::TemporaryChannelFailure { .. } => TEMPORARY_CHANNEL_FAILURE,
            Failure::PermanentChannelFailure => PERMANENT_CHANNEL_FAILURE,
            Failure::RequiredChannelFeatureMissing => REQUIRED_CHANNEL_FEATURE_MISSING,
            Failure::UnknownNextPeer => UNKNOWN_NEXT_PEER,
            Failure::AmountBelowMinimum { .. } => AMOUNT_BELOW_MINIMUM,
            Failure::FeeInsufficient { .. } => FEE_INSUFFICIENT,
            Failure::IncorrectCltvExpiry { .. } => INCORRECT_CLTV_EXPIRY,
            Failure::ExpiryTooSoon { .. } => EXPIRY_TOO_SOON,
            Failure::IncorrectOrUnknownPaymentDetails { .. } => INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS,
            Failure::FinalIncorrectCltvExpiry { .. } => FINAL_INCORRECT_CLTV_EXPIRY,
            Failure::FinalIncorrectHtlcAmount { .. } => FINAL_INCORRECT_HTLC_AMOUNT,
            Failure::ChannelDisabled { .. } => CHANNEL_DISABLED,
            Failure::ExpiryTooFar => EXPIRY_TOO_FAR,
            Failure::InvalidOnionPayload { .. } => INVALID_ONION_PAYLOAD,
            Failure::MppTimeout => MPP_TIMEOUT,
            Failure::Unknown { code, .. } => *code,
        }
    }

    /// The failure that the next hop reported in the clear with `update_fail_malformed_htlc`; this node passes it on
    /// in that hop's place (BOLT 2, "Removing an HTLC").
    pub fn malformed(failure_code: u16, sha256_of_onion: [u8; 32]) -> Self {
        Self::known(failure_code, &sha256_of_onion)
            .unwrap_or_else(|_| Failure::Unknown { code: failure_code, data: sha256_of_onion.to_vec() })
    }

    /// `failuremsg`: code and data.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.u16(self.code());
        match self {
            Failure::InvalidOnionVersion { sha256_of_onion }
            | Failure::InvalidOnionHmac { sha256_of_onion }
            | Failure::InvalidOnionKey { sha256_of_onion }
            | Failure::InvalidOnionBlinding { sha256_of_onion } => writer.bytes(sha256_of_onion),
            Failure::TemporaryChannelFailure { channel_update }
            | Failure::ExpiryTooSoon { channel_update } => {
                writer.sized_u16(channel_update);
            }
            Failure::AmountBelowMinimum { htlc_msat, channel_update }
            | Failure::FeeInsufficient { htlc_msat, channel_update } => {
                writer.u64(htlc_msat.get());
                writer.sized_u16(channel_update);
            }
            Failure::IncorrectCltvExpiry { cltv_expiry, channel_update } => {
                writer.u32(cltv_expiry.get());
                writer.sized_u16(channel_update);
            }
            Failure::IncorrectOrUnknownPaymentDetails { htlc_msat, height } => {
                writer.u64(htlc_msat.get());
                writer.u32(height.get());
            }
            Failure::FinalIncorrectCltvExpiry { cltv_expiry } => writer.u32(cltv_expiry.get()),
            Failure::FinalIncorrectHtlcAmount { incoming_htlc_amt } => writer.u64(incoming_htlc_amt.get()),
            Failure::ChannelDisabled { disabled_flags, channel_update } => {
                writer.u16(*disabled_flags);
                writer.sized_u16(channel_update);
            }
            Failure::InvalidOnionPayload { kind, offset } => {
                writer.bigsize(*kind);
                writer.u16(*offset);
            }
            Failure::Unknown { data, .. } => writer.bytes(data),
            Failure::TemporaryNodeFailure
            | Failure::PermanentNodeFailure
            | Failure::RequiredNodeFeatureMissing
            | Failure::PermanentChannelFailure
            | Failure::RequiredChannelFeatureMissing
            | Failure::UnknownNextPeer
            | Failure::ExpiryTooFar
            | Failure::MppTimeout => {}
        }
        writer.into_bytes()
    }

    /// Reads `failuremsg`. What follows the data (BOLT 4 allows a TLV stream there) is not kept. Data that does not
    /// fit its code is kept as [`Failure::Unknown`]: what an erring node says badly is still its answer.
    ///
    /// # Errors
    /// When there are not even the two bytes of a code.
    pub fn decode(failuremsg: &[u8]) -> Result<Self, ReadError> {
        let mut reader = Reader::new(failuremsg);
        let code = reader.u16()?;
        let data = reader.rest();
        Ok(Self::known(code, data).unwrap_or_else(|_| Failure::Unknown { code, data: data.to_vec() }))
    }

    fn known(code: u16, data: &[u8]) -> Result<Self, ReadError> {
        let mut data = Reader::new(data);
        Ok(match code {
            TEMPORARY_NODE_FAILURE => Failure::TemporaryNodeFailure,
            PERMANENT_NODE_FAILURE => Failure::PermanentNodeFailure,
            REQUIRED_NODE_FEATURE_MISSING => Failure::RequiredNodeFeatureMissing,
            INVALID_ONION_VERSION => Failure::InvalidOnionVersion { sha256_of_onion: data.array()? },
            INVALID_ONION_HMAC => Failure::InvalidOnionHmac { sha256_of_onion: data.array()? },
            INVALID_ONION_KEY => Failure::InvalidOnionKey { sha256_of_onion: data.array()? },
            INVALID_ONION_BLINDING => Failure::InvalidOnionBlinding { sha256_of_onion: data.array()? },
            TEMPORARY_CHANNEL_FAILURE => {
                Failure::TemporaryChannelFailure { channel_update: update(&mut data)? }
            }
            PERMANENT_CHANNEL_FAILURE => Failure::PermanentChannelFailure,
            REQUIRED_CHANNEL_FEATURE_MISSING => Failure::RequiredChannelFeatureMissing,
            UNKNOWN_NEXT_PEER => Failure::UnknownNextPeer,
            AMOUNT_BELOW_MINIMUM => Failure::AmountBelowMinimum {
                htlc_msat: Msat::new(data.u64()?),
                channel_update: update(&mut data)?,
            },
            FEE_INSUFFICIENT => Failure::FeeInsufficient {
                htlc_msat: Msat::new(data.u64()?),
                channel_update: update(&mut data)?,
            },
            INCORRECT_CLTV_EXPIRY => Failure::IncorrectCltvExpiry {
                cltv_expiry: CltvExpiry::new(data.u32()?),
                channel_update: update(&mut data)?,
            },
            EXPIRY_TOO_SOON => Failure::ExpiryTooSoon { channel_update: update(&mut data)? },
            INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS => Failure::IncorrectOrUnknownPaymentDetails {
                htlc_msat: Msat::new(data.u64()?),
                height: BlockHeight::new(data.u32()?),
            },
            FINAL_INCORRECT_CLTV_EXPIRY => {
                Failure::FinalIncorrectCltvExpiry { cltv_expiry: CltvExpiry::new(data.u32()?) }
            }
            FINAL_INCORRECT_HTLC_AMOUNT => {
                Failure::FinalIncorrectHtlcAmount { incoming_htlc_amt: Msat::new(data.u64()?) }
            }
            CHANNEL_DISABLED => {
                Failure::ChannelDisabled { disabled_flags: data.u16()?, channel_update: update(&mut data)? }
            }
            EXPIRY_TOO_FAR => Failure::ExpiryTooFar,
            INVALID_ONION_PAYLOAD => {
                Failure::InvalidOnionPayload { kind: data.bigsize()?, offset: data.u16()? }
            }
            MPP_TIMEOUT => Failure::MppTimeout,
            code => Failure::Unknown { code, data: data.rest().to_vec() },
        })
    }
}

fn update(data: &mut Reader<'_>) -> Result<Vec<u8>, ReadError> {
    data.sized_u16().map(<[u8]>::to_vec)
}
