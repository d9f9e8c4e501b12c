//! Names of things: channels, peers, hashes of payments. Each a type of its own, so that no two are confused.

use bitcoin::hashes::{sha256, Hash};
use bitcoin::OutPoint;
use secp256k1::PublicKey;
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! bytes32 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub [u8; 32]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

bytes32!(
    /// A channel's name between its two peers (BOLT 2): temporary before funding, derived from the funding outpoint after.
    ChannelId
);
bytes32!(
    /// SHA-256 of a payment's preimage: the seed's H(R).
    PaymentHash
);
bytes32!(
    /// The value only the recipient knows until it is paid: the seed's R.
    Preimage
);
bytes32!(
    /// The secret that ties a payment to its invoice (BOLT 4).
    PaymentSecret
);

impl Preimage {
    /// H(R).
    pub fn payment_hash(&self) -> PaymentHash {
        PaymentHash(sha256::Hash::hash(&self.0).to_byte_array())
    }
}

impl ChannelId {
    /// The funding txid with its last two bytes xored with the output index (BOLT 2, "Definition of `channel_id`").
    pub fn from_funding(funding: OutPoint) -> Self {
        let mut id = funding.txid.to_byte_array();
        let index = (funding.vout as u16).to_be_bytes();
        id[30] ^= index[0];
        id[31] ^= index[1];
        Self(id)
    }
}

/// A node's public key, which is its name in the network (BOLT 7).
pub type NodeId = PublicKey;

/// Where a channel's funding sits on the chain: block, position in it, output (BOLT 7). For a route, the channel's name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShortChannelId(pub u64);

impl ShortChannelId {
    /// Packs block height, transaction index and output index; nothing when one does not fit its 3, 3 or 2 bytes.
    pub fn new(height: u32, index: u32, output: u32) -> Option<Self> {
        let fits = height < 1 << 24 && index < 1 << 24 && output < 1 << 16;
        fits.then_some(Self((height as u64) << 40 | (index as u64) << 16 | output as u64))
    }
}

impl fmt::Display for ShortChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}x{}", self.0 >> 40, self.0 >> 16 & 0xff_ffff, self.0 & 0xffff)
    }
}

impl fmt::Debug for ShortChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
