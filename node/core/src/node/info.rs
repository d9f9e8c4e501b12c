//! What the owner can look at: channels, payments, balances. Reads only.

use super::{BalanceInfo, ChannelInfo, Node, PaymentInfo, PaymentOutcome};
use crate::channel::Channel;
use crate::ids::NodeId;
use crate::payment::incoming::InvoiceState;
use crate::tx::Side;
use crate::units::Msat;

impl Node {
    /// Whether the peer has a channel with this node whose funding the chain has confirmed: such a peer is worth more than one that
    /// only says so.
    pub fn has_channel_with(&self, peer: &NodeId) -> bool {
        let mut theirs = self.channels.values().filter(|channel| channel.peer() == *peer);
        theirs.any(|channel| channel.short_channel_id().is_some())
    }

    pub(super) fn list_channels(&self) -> Vec<ChannelInfo> {
        let channels = self.channels.iter().map(|(id, channel)| {
            let (to_local, to_remote) = channel.balances();
            let number = |side| channel.commitment_number(side).unwrap_or_default().get();
            ChannelInfo {
                channel_id: *id,
                peer: channel.peer(),
                phase: channel.phase().to_owned(),
                usable: channel.is_usable(),
                short_channel_id: channel.short_channel_id(),
                terms: channel.terms().cloned(),
                to_local,
                to_remote,
                pending_htlcs: channel.htlcs().len(),
                local_commitment: number(Side::Local),
                remote_commitment: number(Side::Remote),
                feerate: channel.feerate().unwrap_or_default(),
            }
        });
        channels.collect()
    }

    /// Sent payments first, then the invoices that are paid.
    pub(super) fn list_payments(&self) -> Vec<PaymentInfo> {
        let sent = self.outgoing.values().map(|payment| PaymentInfo {
            payment_hash: payment.payment_hash,
            amount: payment.amount,
            fee: payment.fee,
            outcome: payment.outcome.clone(),
            attempts: payment.attempts,
            incoming: false,
        });
        let got = self.invoices.iter().filter_map(|(hash, invoice)| {
            let (amount, outcome) = match invoice.state {
                InvoiceState::Open => return None,
                InvoiceState::Claiming { amount, .. } => (amount, None),
                InvoiceState::Paid { amount } => {
                    (amount, Some(PaymentOutcome::Succeeded { preimage: invoice.preimage }))
                }
            };
            let fee = Msat::ZERO;
            Some(PaymentInfo { payment_hash: *hash, amount, fee, outcome, attempts: 0, incoming: true })
        });
        sent.chain(got).collect()
    }

    /// The wallet's coins, what is ours in channels by the newest books, and what of channels that ended is not in the wallet yet:
    /// no satoshi twice.
    pub(super) fn balances(&mut self) -> BalanceInfo {
        let sum = |amounts: &mut dyn Iterator<Item = Msat>| amounts.fold(Msat::ZERO, Msat::saturating_add);
        let unclaimed = || self.channels.values().map(Channel::unclaimed);
        let open = self.channels.values().zip(unclaimed()).filter(|(_, unclaimed)| unclaimed.is_none());
        BalanceInfo {
            channels: sum(&mut open.map(|(channel, _)| channel.balances().0)),
            closing: sum(&mut unclaimed().flatten()),
            wallet: self.wallet.balance(),
        }
    }
}
