//! The sealed box: found by one half of the breach's txid, opened by the whole. Knows nothing of what is inside.
use super::kit::Kit;
use crate::keys::ChannelKeys;
use crate::tx::{ChannelTerms, Commitment};
use bitcoin::hashes::{sha256, Hash, HashEngine};
use bitcoin::{Script, Txid};
use chacha20poly1305::aead::Aead;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use secp256k1::SecretKey;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a box can hold, in bytes. Each is filled up to one of these sizes, so that a few HTLCs look like none: with the first there
/// is room for five, or eleven with anchors.
const ROOM: [usize; 3] = [4_096, 16_384, 61_440];
/// The nonce before what is sealed, and the tag behind it.
const NONCE: usize = 12;
const OVERHEAD: usize = NONCE + 16;

/// The sizes that [`Justice::sealed`] has, in bytes. The largest fits into one message.
pub const SEALED_SIZES: [usize; 3] = [ROOM[0] + OVERHEAD, ROOM[1] + OVERHEAD, ROOM[2] + OVERHEAD];

/// The first half of a txid, as its bytes stand in a transaction's input. The other half stays unknown until the transaction
/// shows: 128 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Locator(pub [u8; 16]);

/// What a node hands its tower for one revoked state, or for a part of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Justice {
    /// Finds the breach.
    pub locator: Locator,
    /// From 0: a state with very many HTLCs takes several boxes.
    pub part: u16,
    /// Opens with the breach's txid. Its size is one of [`SEALED_SIZES`].
    pub sealed: Vec<u8>,
}

/// A state that the peer gave up, with what its punishment takes. Holds secrets and prints none.
#[derive(Clone, Copy)]
pub struct Revoked<'a> {
    /// The peer's commitment.
    pub commitment: &'a Commitment,
    /// The channel's terms.
    pub terms: &'a ChannelTerms,
    /// The victim's keys in that channel.
    pub keys: &'a ChannelKeys,
    /// The per-commitment secret that the peer released for it.
    pub secret: &'a SecretKey,
    /// Where the victim's money goes.
    pub destination: &'a Script,
}

impl Justice {
    /// What punishes this state, sealed; always at least one box, also if there is nothing to punish, so that nobody can tell.
    pub fn of(revoked: &Revoked<'_>) -> Vec<Self> {
        let txid = revoked.commitment.tx.compute_txid();
        let kits = Kit::of(revoked).split(ROOM[ROOM.len() - 1]);
        let sealed = (0..).zip(kits).map(|(part, kit)| {
            let sealed = seal(&txid, kit.encode());
            Self { locator: Locator::of(&txid), part, sealed }
        });
        sealed.collect()
    }
}

impl Locator {
    /// That of a transaction.
    pub fn of(txid: &Txid) -> Self {
        let bytes = txid.to_byte_array();
        Self(*bytes.first_chunk().expect("a txid has 32 bytes"))
    }
}

impl fmt::Display for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Seals what fits into the largest box.
fn seal(txid: &Txid, mut content: Vec<u8>) -> Vec<u8> {
    let room = ROOM.into_iter().find(|room| content.len() <= *room).unwrap_or(content.len());
    content.resize(room, 0);
    let key = tagged_hash("leyden/tower/key", &[&txid.to_byte_array()]);
    // One key may seal several parts, or one part twice: the nonce follows from the content, so that no two contents share one.
    let nonce: [u8; NONCE] =
        *tagged_hash("leyden/tower/nonce", &[&key, &content]).first_chunk().expect("of 32 bytes");
    let sealed = ChaCha20Poly1305::new(&key.into()).encrypt(&nonce.into(), content.as_slice());
    let sealed = sealed.expect("a few kilobytes are never too long");
    [&nonce[..], &sealed].concat()
}

/// What is inside, if this transaction is the one that it was sealed for.
pub(super) fn open(txid: &Txid, sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE>()?;
    let key = tagged_hash("leyden/tower/key", &[&txid.to_byte_array()]);
    ChaCha20Poly1305::new(&key.into()).decrypt(&(*nonce).into(), sealed).ok()
}

/// SHA-256 with a tag in front, as BIP 340 has it: one hash for one purpose.
pub fn tagged_hash(tag: &str, parts: &[&[u8]]) -> [u8; 32] {
    let tag = sha256::Hash::hash(tag.as_bytes()).to_byte_array();
    let mut engine = sha256::Hash::engine();
    engine.input(&tag);
    engine.input(&tag);
    parts.iter().for_each(|part| engine.input(part));
    sha256::Hash::from_engine(engine).to_byte_array()
}
