//! The onion (BOLT 4): building it as the sender, peeling one layer as a hop. It says what a hop is told and never
//! whether the hop should do it.

mod payload;
mod sphinx;
#[cfg(test)]
mod tests;

pub use payload::HopPayload;
pub(crate) use sphinx::{hmac, key, stream};

use super::failure::{
    Failure, SharedSecret, INVALID_ONION_BLINDING, INVALID_ONION_HMAC, INVALID_ONION_KEY,
    INVALID_ONION_VERSION,
};
use crate::ids::{NodeId, PaymentHash};
use crate::wire::{OnionBytes, Reader};
use bitcoin::hashes::{sha256, Hash};
use payload::invalid_payload;
use secp256k1::SecretKey;
use sphinx::{BadOnion, Opened, HMAC_LEN, HOP_PAYLOADS_LEN};

/// The sender's onion and the secrets it needs to read a failure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SentOnion {
    /// For `update_add_htlc`.
    pub packet: OnionBytes,
    /// One for each hop, first to last.
    pub shared_secrets: Vec<SharedSecret>,
}

/// The route does not fit into 1300 bytes, or a key is not usable.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("cannot build the onion: {0}")]
pub struct BuildError(pub &'static str);

/// Builds the onion for these hops, first to last. The session key must be new for each onion.
///
/// # Errors
/// A route without hops, longer than 1300 bytes, or that does not end with its only [`HopPayload::Final`].
pub fn build(
    session_key: &SecretKey,
    hops: &[(NodeId, HopPayload)],
    payment_hash: &PaymentHash,
) -> Result<SentOnion, BuildError> {
    let ends = |(_, payload): &(NodeId, HopPayload)| matches!(payload, HopPayload::Final { .. });
    if hops.iter().position(ends) != hops.len().checked_sub(1) {
        return Err(BuildError("exactly the last hop must be the final one"));
    }
    let raw: Vec<_> = hops.iter().map(|(node_id, payload)| (*node_id, payload.encode())).collect();
    build_raw(session_key, &raw, payment_hash)
}

/// Builds the onion of payloads as they are to lie in it, each with its length prefix, however wrong they may be.
///
/// # Errors
/// A route without hops, or longer than 1300 bytes.
pub fn build_raw(
    session_key: &SecretKey,
    hops: &[(NodeId, Vec<u8>)],
    payment_hash: &PaymentHash,
) -> Result<SentOnion, BuildError> {
    let (nodes, payloads): (Vec<_>, Vec<_>) = hops.iter().cloned().unzip();
    let shared_secrets = sphinx::shared_secrets(session_key, nodes.iter())?;
    let packet = sphinx::wrap(session_key, &shared_secrets, &payloads, payment_hash)?;
    Ok(SentOnion { packet, shared_secrets })
}

/// One layer taken off.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peeled {
    /// What this hop is told.
    pub payload: HopPayload,
    /// The onion for the next hop; none at the end.
    pub next: Option<OnionBytes>,
    /// Encrypts this hop's failures.
    pub shared_secret: SharedSecret,
}

/// Why a layer cannot be taken off.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PeelError {
    /// `update_fail_malformed_htlc` with this BADONION code; the hash is of the onion as received.
    Malformed {
        #[allow(missing_docs)]
        failure_code: u16,
        #[allow(missing_docs)]
        sha256_of_onion: [u8; 32],
    },
    /// The layer was readable, its payload was not: `invalid_onion_payload`, encrypted with this secret.
    Payload {
        #[allow(missing_docs)]
        shared_secret: SharedSecret,
        #[allow(missing_docs)]
        failure: Failure,
    },
}

/// Takes off one layer with the node's secret.
///
/// # Errors
/// [`PeelError::Malformed`] when version, key or HMAC is wrong; [`PeelError::Payload`] when this hop's payload is.
pub fn peel(
    node_secret: &SecretKey,
    packet: &OnionBytes,
    payment_hash: &PaymentHash,
) -> Result<Peeled, PeelError> {
    let opened =
        sphinx::open(node_secret, packet, payment_hash).map_err(|bad| malformed(code_of(bad), packet))?;
    let shared_secret = opened.shared_secret;
    let refuse = |failure| PeelError::Payload { shared_secret, failure };

    let frame = Frame::read(&opened).ok_or_else(|| refuse(invalid_payload(0, &[], 0)))?;
    let payload = HopPayload::decode(frame.stream, frame.is_final())
        .map_err(|kind| refuse(invalid_payload(kind, frame.stream, frame.prefix)))?;
    let next = match frame.is_final() {
        true => None,
        // The blinded key exists but for one chance in 2^128; nothing better can be said of it than that it is bad.
        false => Some(
            opened
                .next(frame.consumed, &frame.next_hmac)
                .ok_or_else(|| malformed(INVALID_ONION_KEY, packet))?,
        ),
    };
    Ok(Peeled { payload, next, shared_secret })
}

/// What is to be said of an onion that came with a `path_key`, by a node that is in no blinded route: nothing that tells it from any
/// other hop of one (BOLT 4, "Route Blinding").
pub fn refuse_blinded(packet: &OnionBytes) -> PeelError {
    malformed(INVALID_ONION_BLINDING, packet)
}

/// This hop's part of `unwrapped_payloads`: length, payload, `next_hmac`.
struct Frame<'a> {
    stream: &'a [u8],
    /// How long the length was.
    prefix: usize,
    next_hmac: [u8; HMAC_LEN],
    consumed: usize,
}

impl<'a> Frame<'a> {
    /// Nothing when the length is malformed, below two (0 and 1 were the legacy format), or more than the packet
    /// can hold together with the HMAC.
    fn read(opened: &'a Opened) -> Option<Self> {
        // What lies beyond one packet's length is padding; a frame that reaches into it is not a sender's.
        let mut reader = Reader::new(&opened.unwrapped[..HOP_PAYLOADS_LEN]);
        let length = reader.bigsize().ok().filter(|length| *length >= 2)?;
        let prefix = HOP_PAYLOADS_LEN - reader.left();
        let stream = reader.bytes(usize::try_from(length).ok()?).ok()?;
        let next_hmac = reader.array().ok()?;
        Some(Self { stream, prefix, next_hmac, consumed: HOP_PAYLOADS_LEN - reader.left() })
    }

    fn is_final(&self) -> bool {
        self.next_hmac == [0; HMAC_LEN]
    }
}

fn code_of(bad: BadOnion) -> u16 {
    match bad {
        BadOnion::Version => INVALID_ONION_VERSION,
        BadOnion::Hmac => INVALID_ONION_HMAC,
        BadOnion::Key => INVALID_ONION_KEY,
    }
}

fn malformed(failure_code: u16, packet: &OnionBytes) -> PeelError {
    let sha256_of_onion = sha256::Hash::hash(packet.as_slice()).to_byte_array();
    PeelError::Malformed { failure_code, sha256_of_onion }
}
