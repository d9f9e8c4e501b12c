//! Path search over the channels a node knows: backward from the recipient, cheapest first, the same answer for the same
//! knowledge. It knows no balances but the node's own, and changes nothing.

use super::{KnownChannel, RouteHop};
use crate::ids::{ChannelId, NodeId, ShortChannelId};
use crate::units::{BlockHeight, CltvExpiry, Msat};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The most hops of a route; what fits into an onion of small payloads (BOLT 4).
pub const MAX_HOPS: usize = 20;

/// Thousandths of a millionth of the amount that one block of locked money counts as, the field's usual figure.
const RISK_PER_BLOCK: u128 = 15;

/// The most channels of others that a node keeps (each direction is one).
pub const MAX_KNOWN_CHANNELS: usize = 200_000;

/// The channels of others, in both directions where both are known.
#[derive(Clone, Default, Debug)]
pub struct Network {
    channels: BTreeMap<(ShortChannelId, NodeId), KnownChannel>,
    /// Names of the channels that lead to a node.
    into: BTreeMap<NodeId, BTreeSet<(ShortChannelId, NodeId)>>,
}

impl Network {
    /// Keeps this direction of a channel, in the place of what was known of it. False when there is no more room.
    pub fn learn(&mut self, channel: KnownChannel) -> bool {
        let name = (channel.short_channel_id, channel.from);
        if self.channels.len() >= MAX_KNOWN_CHANNELS && !self.channels.contains_key(&name) {
            return false;
        }
        if let Some(old) = self.channels.insert(name, channel) {
            self.into.entry(old.to).or_default().remove(&name);
        }
        self.into.entry(channel.to).or_default().insert(name);
        true
    }

    fn leading_to(&self, node: NodeId) -> impl Iterator<Item = &KnownChannel> {
        self.into.get(&node).into_iter().flatten().filter_map(|name| self.channels.get(name))
    }
}

/// One of the node's own channels, as the first hop of a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OwnChannel {
    /// The channel.
    pub channel: ChannelId,
    /// Its name in the route.
    pub short_channel_id: ShortChannelId,
    /// Where it leads.
    pub peer: NodeId,
    /// What can be sent over it now.
    pub spendable: Msat,
}

/// What earlier attempts of a payment showed not to work.
#[derive(Clone, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Exclusions {
    /// Directions of channels, by the node that forwards.
    pub channels: BTreeSet<(ShortChannelId, NodeId)>,
    /// Whole nodes.
    pub nodes: BTreeSet<NodeId>,
}

/// What a route must do.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// This node.
    pub from: NodeId,
    /// The recipient.
    pub to: NodeId,
    /// What arrives there.
    pub amount: Msat,
    /// The tip.
    pub height: BlockHeight,
    /// The last hop's expiry.
    pub final_cltv: CltvExpiry,
    /// The most to pay in fees.
    pub max_fee: Msat,
    /// The longest lock, in blocks from `height`.
    pub max_cltv_total: u32,
    /// Channels that only the invoice names (BOLT 11 `r`).
    pub hints: &'a [KnownChannel],
    /// What not to use.
    pub excluded: &'a Exclusions,
}

/// There is no route, or none within the limits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no route to the recipient within the fee and expiry limits")]
pub struct NoRoute;

/// What must reach a node for the rest of the way to work, and the next hop from there.
#[derive(Clone, Copy)]
struct Need {
    amount: Msat,
    cltv: CltvExpiry,
    cost: u128,
    hops: usize,
    next: Option<(ShortChannelId, NodeId)>,
}

/// The cheapest route: fees plus a small price for every block that money is locked.
pub fn find(network: &Network, own: &[OwnChannel], wanted: &Wanted<'_>) -> Result<Vec<RouteHop>, NoRoute> {
    let start = Need { amount: wanted.amount, cltv: wanted.final_cltv, cost: 0, hops: 1, next: None };
    let mut best = BTreeMap::from([(wanted.to, start)]);
    let mut open = BTreeSet::from([(0_u128, 1_usize, wanted.to)]);
    let mut first: Option<(Need, &OwnChannel)> = None;
    while let Some((cost, hops, node)) = open.pop_first() {
        if first.is_some_and(|(need, _)| need.cost <= cost) {
            break;
        }
        let Some(need) = best.get(&node).copied().filter(|need| need.cost == cost && need.hops == hops)
        else {
            continue; // an older, dearer entry
        };
        if let Some(channel) = own.iter().find(|channel| starts(channel, node, &need, wanted)) {
            first = Some((need, channel));
            continue;
        }
        let hints = wanted.hints.iter().filter(|hint| hint.to == node);
        for channel in network.leading_to(node).chain(hints) {
            let Some(further) = extend(channel, &need, wanted) else { continue };
            let known = best.get(&channel.from);
            if known.is_none_or(|known| (further.cost, further.hops) < (known.cost, known.hops)) {
                best.insert(channel.from, further);
                open.insert((further.cost, further.hops, channel.from));
            }
        }
    }
    let (_, channel) = first.ok_or(NoRoute)?;
    Ok(collect(&best, channel))
}

/// Whether this own channel can be the first hop.
fn starts(channel: &OwnChannel, node: NodeId, need: &Need, wanted: &Wanted<'_>) -> bool {
    channel.peer == node
        && channel.spendable >= need.amount
        && !wanted.excluded.channels.contains(&(channel.short_channel_id, wanted.from))
}

/// What the near end of `channel` needs so that its far end gets `need`; nothing when the channel cannot carry it.
fn extend(channel: &KnownChannel, need: &Need, wanted: &Wanted<'_>) -> Option<Need> {
    let policy = &channel.policy;
    let name = (channel.short_channel_id, channel.from);
    let refused = channel.from == wanted.from
        || channel.from == wanted.to
        || need.hops >= MAX_HOPS
        || wanted.excluded.nodes.contains(&channel.from)
        || wanted.excluded.channels.contains(&name)
        || need.amount < policy.htlc_minimum
        || need.amount > policy.htlc_maximum.min(channel.capacity.to_msat());
    if refused {
        return None;
    }
    let fee = policy.fee(need.amount)?;
    let amount = need.amount.checked_add(fee)?;
    let cltv = need.cltv.get().checked_add(policy.cltv_expiry_delta)?;
    let over = amount.saturating_sub(wanted.amount) > wanted.max_fee
        || cltv.saturating_sub(wanted.height.get()) > wanted.max_cltv_total;
    if over {
        return None;
    }
    let risk =
        u128::from(amount.get()) * u128::from(policy.cltv_expiry_delta) * RISK_PER_BLOCK / 1_000_000_000;
    Some(Need {
        amount,
        cltv: CltvExpiry::new(cltv),
        cost: need.cost + u128::from(fee.get()) + risk,
        hops: need.hops + 1,
        next: Some((channel.short_channel_id, channel.to)),
    })
}

/// Walks forward from the first hop. Every `next` points at a node settled before, so that this ends.
fn collect(best: &BTreeMap<NodeId, Need>, first: &OwnChannel) -> Vec<RouteHop> {
    let mut hops = Vec::new();
    let mut step = Some((first.short_channel_id, first.peer));
    while let Some((short_channel_id, node)) = step.filter(|_| hops.len() < MAX_HOPS) {
        let Some(need) = best.get(&node) else { break };
        hops.push(RouteHop { node, short_channel_id, amount: need.amount, cltv_expiry: need.cltv });
        step = need.next;
    }
    hops
}

#[cfg(test)]
mod tests;
