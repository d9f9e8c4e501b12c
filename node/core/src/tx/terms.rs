//! What both sides agreed on when the channel was opened, and what one commitment says.
use crate::ids::PaymentHash;
use crate::keys::Basepoints;
use crate::units::{CltvExpiry, FeeratePerKw, Msat, Sat};
use bitcoin::OutPoint;
use serde::{Deserialize, Serialize};

/// The commitment format (BOLT 2 `channel_type`, BOLT 9). The one place where formats differ is this type's methods.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ChannelType {
    /// `option_static_remotekey`.
    StaticRemotekey,
    /// `option_anchors`: anchors, HTLC transactions without fee.
    AnchorsZeroFeeHtlc,
}

/// One of the two ends of a channel, seen from this node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Side {
    /// This node.
    Local,
    /// The peer.
    Remote,
}

impl Side {
    /// The other end.
    pub const fn other(self) -> Self {
        match self {
            Side::Local => Side::Remote,
            Side::Remote => Side::Local,
        }
    }
}

/// What one side brought: its keys, and what it asked of *its own* commitment or of the other's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PartyTerms {
    /// Its public keys.
    pub basepoints: Basepoints,
    /// Outputs of its own commitment below this are trimmed.
    pub dust_limit: Sat,
    /// The delay, in blocks, on *its own* `to_local` and second-stage outputs (it was asked for by the other side).
    pub to_self_delay: u16,
}

/// Everything about a channel that never changes and that its transactions depend on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ChannelTerms {
    /// The commitment format.
    pub channel_type: ChannelType,
    /// The funding output.
    pub funding: OutPoint,
    /// Its value.
    pub funding_amount: Sat,
    /// Who opened, and so pays the commitment's fee and anchors.
    pub opener: Side,
    /// This node.
    pub local: PartyTerms,
    /// The peer.
    pub remote: PartyTerms,
}

impl ChannelTerms {
    /// The terms of one side.
    pub const fn party(&self, side: Side) -> &PartyTerms {
        match side {
            Side::Local => &self.local,
            Side::Remote => &self.remote,
        }
    }
}

/// Whether an HTLC was offered or received by the holder of the commitment in question.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Direction {
    /// The holder pays: HT after the expiry.
    Offered,
    /// The holder is paid: HE with the preimage.
    Received,
}

impl Direction {
    /// The same HTLC seen from the other side.
    pub const fn other(self) -> Self {
        match self {
            Direction::Offered => Direction::Received,
            Direction::Received => Direction::Offered,
        }
    }
}

/// One HTLC as a commitment holds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HtlcTerms {
    /// Seen from the commitment's holder.
    pub direction: Direction,
    /// Its id in its direction (BOLT 2); tells apart HTLCs of equal hash and amount.
    pub id: u64,
    /// Its amount.
    pub amount: Msat,
    /// H(R).
    pub payment_hash: PaymentHash,
    /// The absolute expiry.
    pub cltv_expiry: CltvExpiry,
}

/// What one commitment says, before fees and trimming; `holder` is whose commitment it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommitmentSpec {
    /// The feerate of the commitment and (static_remotekey) of its HTLC transactions.
    pub feerate: FeeratePerKw,
    /// The holder's own balance, HTLCs it offered already taken off.
    pub to_holder: Msat,
    /// The other side's balance, HTLCs it offered already taken off.
    pub to_counterparty: Msat,
    /// The pending HTLCs.
    pub htlcs: Vec<HtlcTerms>,
}
