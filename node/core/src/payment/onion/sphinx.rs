//! The Sphinx arithmetic of BOLT 4 on raw bytes: keys, streams, filler, wrapping and unwrapping of one packet.
//! Knows nothing of what the payloads say.

use super::BuildError;
use crate::ids::{NodeId, PaymentHash};
use crate::payment::failure::SharedSecret;
use crate::wire::{OnionBytes, ONION_PACKET_LEN};
use bitcoin::hashes::{cmp::fixed_time_eq, sha256, Hash, HashEngine, Hmac, HmacEngine};
use chacha20::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};
use chacha20::ChaCha20;
use secp256k1::{ecdh, PublicKey, Scalar, SecretKey, SECP256K1};
use std::sync::Arc;

/// `hop_payloads` of a payment's onion.
pub(crate) const HOP_PAYLOADS_LEN: usize = 1300;
pub(super) const HMAC_LEN: usize = 32;
const KEY_AT: usize = 1;
const PAYLOADS_AT: usize = 34;
const HMAC_AT: usize = PAYLOADS_AT + HOP_PAYLOADS_LEN;

/// HMAC-SHA256 over several slices, as if they were one.
pub(crate) fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut engine = HmacEngine::<sha256::Hash>::new(key);
    parts.iter().for_each(|part| engine.input(part));
    Hmac::from_engine(engine).to_byte_array()
}

/// "Key Generation": `rho`, `mu`, `um`, `pad` or `ammag`.
pub(crate) fn key(kind: &str, secret: &[u8; 32]) -> [u8; 32] {
    hmac(kind.as_bytes(), &[secret])
}

/// "Pseudo Random Byte Stream": ChaCha20 with a nonce of 96 zero bits.
pub(crate) fn stream(key: &[u8; 32]) -> ChaCha20 {
    ChaCha20::new(key.into(), &[0; 12].into())
}

/// "Shared Secret": SHA-256 of the compressed product.
fn shared_secret(point: &PublicKey, scalar: &SecretKey) -> SharedSecret {
    SharedSecret(ecdh::SharedSecret::new(point, scalar).secret_bytes())
}

/// "Blinding Ephemeral Onion Keys": SHA256(ephemeral key || shared secret). Nothing only if the hash is not a
/// scalar, which happens once in 2^128.
fn blinding(ephemeral: &PublicKey, secret: &SharedSecret) -> Option<Scalar> {
    let mut engine = sha256::Hash::engine();
    engine.input(&ephemeral.serialize());
    engine.input(&secret.0);
    Scalar::from_be_bytes(sha256::Hash::from_engine(engine).to_byte_array()).ok()
}

/// The sender's secret with each hop, first to last; the first ephemeral key belongs into the packet. The sender
/// knows the secret behind each ephemeral key, so that blinding it costs a base multiplication, not a point's.
pub(super) fn shared_secrets<'a>(
    session_key: &SecretKey,
    hops: impl ExactSizeIterator<Item = &'a NodeId>,
) -> Result<Vec<SharedSecret>, BuildError> {
    const UNUSABLE: BuildError = BuildError("the session key is not usable for this route");
    let count = hops.len();
    let mut secrets = Vec::with_capacity(count);
    let mut ephemeral = *session_key;
    for (index, node_id) in hops.enumerate() {
        let secret = shared_secret(node_id, &ephemeral);
        if index + 1 < count {
            let tweak = blinding(&ephemeral.public_key(SECP256K1), &secret).ok_or(UNUSABLE)?;
            ephemeral = ephemeral.mul_tweak(&tweak).map_err(|_| UNUSABLE)?;
        }
        secrets.push(secret);
    }
    Ok(secrets)
}

/// "Filler Generation": what the zero bytes that each hop appends will have become at the last hop.
fn filler(secrets: &[SharedSecret], payloads: &[Vec<u8>]) -> Vec<u8> {
    let mut filler = Vec::new();
    let before_last = secrets.len().saturating_sub(1);
    for (secret, payload) in secrets.iter().zip(payloads).take(before_last) {
        let start = HOP_PAYLOADS_LEN - filler.len();
        filler.resize(filler.len() + payload.len() + HMAC_LEN, 0);
        let mut stream = stream(&key("rho", &secret.0));
        stream.seek(start as u64);
        stream.apply_keystream(&mut filler);
    }
    filler
}

/// "Packet Construction": wraps the payloads, last to first. Each payload carries its own length prefix.
pub(super) fn wrap(
    session_key: &SecretKey,
    secrets: &[SharedSecret],
    payloads: &[Vec<u8>],
    payment_hash: &PaymentHash,
) -> Result<OnionBytes, BuildError> {
    if payloads.is_empty() {
        return Err(BuildError("there is no hop"));
    }
    let used: usize = payloads.iter().map(|payload| payload.len() + HMAC_LEN).sum();
    if used > HOP_PAYLOADS_LEN {
        return Err(BuildError("the route does not fit into 1300 bytes"));
    }
    let filler = filler(secrets, payloads);
    let mut body = [0; HOP_PAYLOADS_LEN];
    stream(&key("pad", &session_key.secret_bytes())).apply_keystream(&mut body);
    let mut next_hmac = [0; HMAC_LEN];
    for (index, (secret, payload)) in secrets.iter().zip(payloads).enumerate().rev() {
        let size = payload.len() + HMAC_LEN;
        body.copy_within(..HOP_PAYLOADS_LEN - size, size);
        body[..payload.len()].copy_from_slice(payload);
        body[payload.len()..size].copy_from_slice(&next_hmac);
        stream(&key("rho", &secret.0)).apply_keystream(&mut body);
        if index + 1 == payloads.len() {
            body[HOP_PAYLOADS_LEN - filler.len()..].copy_from_slice(&filler);
        }
        next_hmac = hmac(&key("mu", &secret.0), &[&body, &payment_hash.0]);
    }
    Ok(assemble(&session_key.public_key(SECP256K1), &body, &next_hmac))
}

fn assemble(ephemeral: &PublicKey, body: &[u8], hmac: &[u8; HMAC_LEN]) -> OnionBytes {
    let mut packet = [0; ONION_PACKET_LEN];
    packet[KEY_AT..PAYLOADS_AT].copy_from_slice(&ephemeral.serialize());
    packet[PAYLOADS_AT..HMAC_AT].copy_from_slice(body);
    packet[HMAC_AT..].copy_from_slice(hmac);
    Arc::new(packet)
}

/// Why a packet cannot be opened: each has its own BADONION code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BadOnion {
    Version,
    Hmac,
    Key,
}

/// A packet with its outer layer decrypted and authenticated; its payloads are not yet read.
pub(super) struct Opened {
    ephemeral: PublicKey,
    pub(super) shared_secret: SharedSecret,
    /// `unwrapped_payloads`: twice as long as they travelled, since the tail becomes the next hop's filler.
    pub(super) unwrapped: [u8; 2 * HOP_PAYLOADS_LEN],
}

/// "Onion Decryption" up to `unwrapped_payloads`.
pub(super) fn open(
    node_secret: &SecretKey,
    packet: &[u8; ONION_PACKET_LEN],
    payment_hash: &PaymentHash,
) -> Result<Opened, BadOnion> {
    if packet[0] != 0 {
        return Err(BadOnion::Version);
    }
    let ephemeral = PublicKey::from_slice(&packet[KEY_AT..PAYLOADS_AT]).map_err(|_| BadOnion::Key)?;
    let shared_secret = shared_secret(&ephemeral, node_secret);
    let body = &packet[PAYLOADS_AT..HMAC_AT];
    let expected = hmac(&key("mu", &shared_secret.0), &[body, &payment_hash.0]);
    if !fixed_time_eq(&expected, &packet[HMAC_AT..]) {
        return Err(BadOnion::Hmac);
    }
    let mut unwrapped = [0; 2 * HOP_PAYLOADS_LEN];
    unwrapped[..HOP_PAYLOADS_LEN].copy_from_slice(body);
    stream(&key("rho", &shared_secret.0)).apply_keystream(&mut unwrapped);
    Ok(Opened { ephemeral, shared_secret, unwrapped })
}

impl Opened {
    /// The packet for the next hop: what follows this hop's `consumed` bytes (its payload and `next_hmac`). Nothing
    /// when those leave less than a whole `hop_payloads`, or the next ephemeral key does not exist.
    pub(super) fn next(&self, consumed: usize, next_hmac: &[u8; HMAC_LEN]) -> Option<OnionBytes> {
        let body = self.unwrapped.get(consumed..consumed.checked_add(HOP_PAYLOADS_LEN)?)?;
        let tweak = blinding(&self.ephemeral, &self.shared_secret)?;
        let ephemeral = self.ephemeral.mul_tweak(SECP256K1, &tweak).ok()?;
        Some(assemble(&ephemeral, body, next_hmac))
    }
}
