//! A failure's way back (BOLT 4, "Returning Errors"): sealed by the erring hop, one more layer at each hop before it,
//! opened by the origin. Attribution data is not offered and not read.
//!
//! ```text
//!   origin            hop 0             hop 1             hop 2 errs
//!     |<--- relay(s0) --|<--- relay(s1) --|<----- wrap(s2) --|
//!     | attribute([s0, s1, s2]) says: hop 2, and what it said
//! ```

use super::Failure;
use crate::payment::onion::{hmac, key, stream};
use crate::wire::Reader;
use bitcoin::hashes::cmp::fixed_time_eq;
use chacha20::cipher::StreamCipher;
use std::fmt;

/// A hop's ECDH secret with the origin.
#[derive(Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SharedSecret(pub [u8; 32]);

impl fmt::Debug for SharedSecret {
    /// Says nothing of the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSecret(..)")
    }
}

/// Message and padding of a return packet together are at least this long, so that its length tells little.
const PADDED_LEN: usize = 256;
const HMAC_LEN: usize = 32;

/// The longest `failuremsg` that `update_fail_htlc` can carry: 65535 bytes less the 44 of its other fields and the 36
/// of a return packet's. [`wrap`] cuts off what is longer.
pub const MAX_FAILURE_LEN: usize = 65_535 - 44 - 36;

/// The origin peels this many layers whatever the route's length, so that its timing does not tell where in the route
/// the erring node is (BOLT 4: the longest route of TLV payloads).
const LAYERS: usize = 27;

/// At the failing hop: the failure as `reason` of `update_fail_htlc`.
pub fn wrap(shared_secret: &SharedSecret, failure: &Failure) -> Vec<u8> {
    let mut message = failure.encode();
    message.truncate(MAX_FAILURE_LEN);
    let padding = PADDED_LEN.saturating_sub(message.len());
    let mut packet = vec![0; HMAC_LEN];
    // Neither length exceeds 16 bits: the one was cut above, the other is at most 256.
    packet.extend((message.len() as u16).to_be_bytes());
    packet.extend(message);
    packet.extend((padding as u16).to_be_bytes());
    packet.resize(packet.len() + padding, 0);
    let mac = hmac(&key("um", &shared_secret.0), &[&packet[HMAC_LEN..]]);
    packet[..HMAC_LEN].copy_from_slice(&mac);
    obfuscate(shared_secret, &mut packet);
    packet
}

/// At each hop on the way back: one more layer.
pub fn relay(shared_secret: &SharedSecret, reason: &[u8]) -> Vec<u8> {
    let mut packet = reason.to_vec();
    obfuscate(shared_secret, &mut packet);
    packet
}

/// At the origin: which hop (index into the route) failed and what it said; nothing when no hop's MAC fits.
///
/// A hop whose MAC fits but whose message cannot be read did fail: it is named, with [`Failure::Unknown`] of code 0
/// and what it sent. The work does not depend on which hop it is.
pub fn attribute(shared_secrets: &[SharedSecret], reason: &[u8]) -> Option<(usize, Failure)> {
    let mut packet = reason.to_vec();
    let mut found = None;
    for index in 0..shared_secrets.len().max(LAYERS) {
        let secret = shared_secrets.get(index).unwrap_or(&SharedSecret([0; 32]));
        obfuscate(secret, &mut packet);
        let (mac, content) = packet.split_at_checked(HMAC_LEN)?;
        let fits = fixed_time_eq(mac, &hmac(&key("um", &secret.0), &[content]));
        if fits && found.is_none() && index < shared_secrets.len() {
            found = Some((index, content.to_vec()));
        }
    }
    found.map(|(index, content)| (index, read(&content)))
}

fn read(content: &[u8]) -> Failure {
    let message = Reader::new(content).sized_u16();
    message.and_then(Failure::decode).unwrap_or_else(|_| Failure::Unknown { code: 0, data: content.to_vec() })
}

fn obfuscate(shared_secret: &SharedSecret, packet: &mut [u8]) {
    stream(&key("ammag", &shared_secret.0)).apply_keystream(packet);
}
