//! What senders, receivers and forwarders talk about: policies, hops of a route, how a payment ended. Values only.
use crate::ids::{NodeId, PaymentHash, Preimage, ShortChannelId};
use crate::units::{CltvExpiry, Msat, Sat};
use serde::{Deserialize, Serialize};

/// A payment over a given route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoutePayment {
    /// The hash to pay to.
    pub payment_hash: PaymentHash,
    /// The secret told to the recipient.
    pub payment_secret: [u8; 32],
    /// The hops, first to last.
    pub hops: Vec<RouteHop>,
    /// `total_msat` told to the recipient.
    pub total: Msat,
}

/// One hop: over which channel, to whom, what arrives there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RouteHop {
    /// The node at the end of this hop.
    pub node: NodeId,
    /// The channel to it.
    pub short_channel_id: ShortChannelId,
    /// The HTLC's amount on this channel.
    pub amount: Msat,
    /// The HTLC's expiry on this channel.
    pub cltv_expiry: CltvExpiry,
}

/// One direction of a channel as a route needs it (BOLT 7, channel_update).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // the BOLT's own names
pub struct KnownChannel {
    pub short_channel_id: ShortChannelId,
    /// The node that forwards in this direction.
    pub from: NodeId,
    pub to: NodeId,
    pub capacity: Sat,
    pub policy: ForwardPolicy,
}

/// What a node asks for forwarding over one of its channels (BOLT 7).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // the BOLT's own names
pub struct ForwardPolicy {
    pub fee_base: Msat,
    pub fee_proportional_millionths: u32,
    /// Blocks between the incoming and the outgoing expiry.
    pub cltv_expiry_delta: u32,
    pub htlc_minimum: Msat,
    pub htlc_maximum: Msat,
}

impl Default for ForwardPolicy {
    /// 1000 msat base, 100 ppm, 40 blocks; any amount.
    fn default() -> Self {
        Self {
            fee_base: Msat::new(1000),
            fee_proportional_millionths: 100,
            cltv_expiry_delta: 40,
            htlc_minimum: Msat::new(1),
            htlc_maximum: Msat::new(21_000_000 * 100_000_000 * 1000),
        }
    }
}

impl ForwardPolicy {
    /// The fee for forwarding `amount`: base plus the proportional part, rounded down (BOLT 7, "HTLC Fees").
    /// Nothing when it does not fit.
    pub fn fee(&self, amount: Msat) -> Option<Msat> {
        let part = u128::from(amount.get()) * u128::from(self.fee_proportional_millionths) / 1_000_000;
        self.fee_base.checked_add(Msat::new(u64::try_from(part).ok()?))
    }
}

/// How a payment ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum PaymentOutcome {
    /// The preimage proves it.
    Succeeded {
        /// R.
        preimage: Preimage,
    },
    /// It failed for good.
    Failed {
        /// Why, with the failing hop.
        failure: PaymentFailure,
    },
}

/// Why a payment failed: what the last attempt's failing hop said (BOLT 4).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PaymentFailure {
    /// The node that failed it; none when it never left, or when the answer could not be read.
    pub node: Option<NodeId>,
    /// The BOLT's failure code; 0 when it never left.
    pub code: u16,
    /// In words.
    pub text: String,
}
