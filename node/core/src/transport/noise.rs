//! What the acts and the sealed messages are made of: the AEAD, the key derivation, the running state of the handshake
//! (BOLT 8, "Handshake State"). Knows the order of nothing: which step follows which is said in `handshake`.

use super::TAG_LEN;
use crate::ids::NodeId;
use bitcoin::hashes::{sha256, Hash, HashEngine, Hmac, HmacEngine};
use chacha20poly1305::aead::AeadInPlace;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, Nonce, Tag};
use secp256k1::{ecdh, SecretKey};

const PROTOCOL_NAME: &[u8] = b"Noise_XK_secp256k1_ChaChaPoly_SHA256";
const PROLOGUE: &[u8] = b"lightning";

/// The data was not sealed with this key, nonce and associated data, or was changed on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Forged;

/// A key of the AEAD. It has no `Debug`.
pub(super) struct Key([u8; 32]);

impl Key {
    /// Encrypts in place; gives the tag.
    pub(super) fn seal(&self, nonce: u64, associated: &[u8], data: &mut [u8]) -> [u8; TAG_LEN] {
        self.cipher()
            .encrypt_in_place_detached(&Self::nonce(nonce), associated, data)
            .expect("an act or a message is far below the cipher's limit of 256 GB")
            .into()
    }

    /// Checks the tag, then decrypts in place; forged data stays as it came.
    pub(super) fn open(
        &self,
        nonce: u64,
        associated: &[u8],
        data: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), Forged> {
        self.cipher()
            .decrypt_in_place_detached(&Self::nonce(nonce), associated, data, Tag::from_slice(tag))
            .map_err(|_| Forged)
    }

    fn cipher(&self) -> ChaCha20Poly1305 {
        ChaCha20Poly1305::new(&self.0.into())
    }

    /// 32 zero bits, then the number in little-endian order: Noise's habit, not Lightning's.
    fn nonce(number: u64) -> Nonce {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&number.to_le_bytes());
        nonce.into()
    }
}

/// The accumulated secrets of a connection, `ck`. It has no `Debug`.
#[derive(Clone)]
pub(super) struct ChainingKey([u8; 32]);

impl ChainingKey {
    /// HKDF with this as the salt and no info: the next chaining key and a key.
    fn mix(&self, secret: &[u8]) -> (Self, Key) {
        let (next, key) = hkdf(&self.0, secret);
        (Self(next), Key(key))
    }

    /// "Lightning Message Key Rotation".
    pub(super) fn rotate(&self, old: &Key) -> (Self, Key) {
        self.mix(&old.0)
    }

    /// The session's two keys: the initiator's for sending, then its for receiving.
    pub(super) fn split(&self) -> (Key, Key) {
        let (to_responder, to_initiator) = hkdf(&self.0, &[]);
        (Key(to_responder), Key(to_initiator))
    }
}

/// `h` and `ck`: all that both sides have seen and derived so far. It has no `Debug`.
pub(super) struct Handshake {
    hash: [u8; 32],
    pub(super) chaining_key: ChainingKey,
}

impl Handshake {
    /// "Handshake State Initialization": bound to the responder, whom the initiator must know.
    pub(super) fn new(responder: &NodeId) -> Self {
        let name = sha256::Hash::hash(PROTOCOL_NAME).to_byte_array();
        let mut state = Self { hash: name, chaining_key: ChainingKey(name) };
        state.saw(PROLOGUE);
        state.saw(&responder.serialize());
        state
    }

    /// `h = SHA-256(h || data)`.
    pub(super) fn saw(&mut self, data: &[u8]) {
        let mut engine = sha256::Hash::engine();
        engine.input(&self.hash);
        engine.input(data);
        self.hash = sha256::Hash::from_engine(engine).to_byte_array();
    }

    /// `ck, temp_k = HKDF(ck, ECDH(local, remote))`.
    pub(super) fn agree(&mut self, local: &SecretKey, remote: &NodeId) -> Key {
        let secret = ecdh::SharedSecret::new(remote, local).secret_bytes();
        let (chaining_key, key) = self.chaining_key.mix(&secret);
        self.chaining_key = chaining_key;
        key
    }

    /// Encrypts in place, authenticating all that was seen; what comes out was then seen, too.
    pub(super) fn seal(&mut self, key: &Key, nonce: u64, data: &mut [u8]) -> [u8; TAG_LEN] {
        let tag = key.seal(nonce, &self.hash, data);
        self.saw_sealed(data, &tag);
        tag
    }

    /// Decrypts in place what the other side sealed in the same state.
    pub(super) fn open(
        &mut self,
        key: &Key,
        nonce: u64,
        data: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), Forged> {
        let before = self.hash;
        self.saw_sealed(data, tag);
        key.open(nonce, &before, data, tag)
    }

    fn saw_sealed(&mut self, data: &[u8], tag: &[u8; TAG_LEN]) {
        let mut engine = sha256::Hash::engine();
        [&self.hash, data, tag].iter().for_each(|part| engine.input(part));
        self.hash = sha256::Hash::from_engine(engine).to_byte_array();
    }
}

/// HKDF of RFC 5869 over SHA-256, without info, 64 bytes in two halves.
fn hkdf(salt: &[u8; 32], secret: &[u8]) -> ([u8; 32], [u8; 32]) {
    let extracted = hmac(salt, &[secret]);
    let first = hmac(&extracted, &[&[1]]);
    let second = hmac(&extracted, &[&first, &[2]]);
    (first, second)
}

fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut engine = HmacEngine::<sha256::Hash>::new(key);
    parts.iter().for_each(|part| engine.input(part));
    Hmac::from_engine(engine).to_byte_array()
}
