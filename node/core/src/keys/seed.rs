//! The node's seed and what is derived from it, by HMAC-SHA256 under a label each. The same seed gives the same keys
//! for ever; nothing here is random, and nothing here prints a secret.
use super::secrets::{commitment_index, secret_from_base};
use crate::units::CommitmentNumber;
use bitcoin::hashes::{sha256, Hash, HashEngine, Hmac, HmacEngine};
use secp256k1::{PublicKey, SecretKey, SECP256K1};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A node's one secret. Everything else follows from it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSeed([u8; 32]);

impl NodeSeed {
    /// From 32 bytes; in the simulated worlds these follow from the run's seed and the node's name.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key whose public half is the node's name.
    pub fn node_secret(&self) -> SecretKey {
        secret_key(&self.0, "node", 0)
    }

    /// The keys of the channel that this node numbered `index`.
    pub fn channel_keys(&self, index: u64) -> ChannelKeys {
        let channel = tagged(&self.0, "channel", index);
        let key = |label| secret_key(&channel, label, 0);
        ChannelKeys {
            funding: key("funding"),
            revocation: key("revocation"),
            payment: key("payment"),
            delayed_payment: key("delayed payment"),
            htlc: key("htlc"),
            commitment_seed: tagged(&channel, "commitment seed", 0),
        }
    }

    /// The seed of the wallet's extended key.
    pub fn wallet_seed(&self) -> [u8; 32] {
        tagged(&self.0, "wallet", 0)
    }

    /// 32 bytes nobody else can guess, the same at each call with the same arguments (tagged hash over seed, label,
    /// counter). Its labels cannot collide with those of the keys.
    pub fn entropy(&self, label: &str, counter: u64) -> [u8; 32] {
        tagged(&tagged(&self.0, "entropy", 0), label, counter)
    }
}

impl fmt::Debug for NodeSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeSeed(..)")
    }
}

/// The public halves that a channel's peer learns (BOLT 2, open_channel).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // the BOLT's own names
pub struct Basepoints {
    pub funding_pubkey: PublicKey,
    pub revocation: PublicKey,
    pub payment: PublicKey,
    pub delayed_payment: PublicKey,
    pub htlc: PublicKey,
}

/// One side's secrets of one channel.
#[derive(Clone)]
#[allow(missing_docs)] // the BOLT's own names
pub struct ChannelKeys {
    pub funding: SecretKey,
    pub revocation: SecretKey,
    pub payment: SecretKey,
    pub delayed_payment: SecretKey,
    pub htlc: SecretKey,
    pub commitment_seed: [u8; 32],
}

impl ChannelKeys {
    /// The public halves. Five multiplications on the curve: keep the result.
    pub fn basepoints(&self) -> Basepoints {
        Basepoints {
            funding_pubkey: self.funding.public_key(SECP256K1),
            revocation: self.revocation.public_key(SECP256K1),
            payment: self.payment.public_key(SECP256K1),
            delayed_payment: self.delayed_payment.public_key(SECP256K1),
            htlc: self.htlc.public_key(SECP256K1),
        }
    }

    /// The secret that revokes commitment `number` (BOLT 3, "Per-commitment Secret Requirements").
    pub fn per_commitment_secret(&self, number: CommitmentNumber) -> SecretKey {
        let secret = secret_from_base(self.commitment_seed, 48, commitment_index(number));
        SecretKey::from_slice(&secret).expect("a SHA-256 outside the curve's order is not found by chance")
    }

    /// Its public half, named to the peer before the commitment is signed.
    pub fn per_commitment_point(&self, number: CommitmentNumber) -> PublicKey {
        self.per_commitment_secret(number).public_key(SECP256K1)
    }
}

impl fmt::Debug for ChannelKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChannelKeys(..)")
    }
}

/// HMAC-SHA256 under `key` of the label, its end marked, and a counter.
fn tagged(key: &[u8; 32], label: &str, counter: u64) -> [u8; 32] {
    let mut engine = HmacEngine::<sha256::Hash>::new(key);
    engine.input(b"leyden/");
    engine.input(label.as_bytes());
    engine.input(&[0]);
    engine.input(&counter.to_be_bytes());
    Hmac::from_engine(engine).to_byte_array()
}

/// The first value, counting up from `counter`, that is a key on the curve: the very first, but for a 2^-128 chance.
fn secret_key(key: &[u8; 32], label: &str, counter: u64) -> SecretKey {
    let found = (counter..=u64::MAX).find_map(|n| SecretKey::from_slice(&tagged(key, label, n)).ok());
    found.expect("nearly every 32 bytes are a key")
}
