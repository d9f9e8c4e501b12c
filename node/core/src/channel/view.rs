//! What can be seen of a channel from outside. Reads only.
use super::stage::View;
use super::{confirming, fallen_behind, normal, on_chain, shutting_down};
use super::{Channel, ChannelConfig, Effect, Env, Funded, Limits, Phase, Received, Watch};
use crate::ids::{ChannelId, NodeId, PaymentHash, ShortChannelId};
use crate::tx::{ChannelTerms, Commitment, HtlcTerms, Side};
use crate::units::{CltvExpiry, CommitmentNumber, FeeratePerKw, Msat};
use bitcoin::Script;
use std::sync::Arc;

/// A pending HTLC, as its owner sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HtlcView {
    /// Who offered it.
    pub offerer: Side,
    /// Its id in its direction.
    pub id: u64,
    /// Its amount.
    pub amount: Msat,
    /// H(R).
    pub payment_hash: PaymentHash,
    /// The absolute expiry.
    pub cltv_expiry: CltvExpiry,
    /// Both commitments hold it for good and nobody began to remove it.
    pub settleable: bool,
    /// What it was offered for; none when received.
    pub origin: Option<super::Origin>,
}

impl Channel {
    pub(super) fn funded(&self) -> Option<&Funded> {
        match &self.phase {
            Phase::Opening(_) | Phase::Done => None,
            Phase::Confirming(phase) => Some(&phase.funded),
            Phase::Normal(phase) => Some(&phase.funded),
            Phase::ShuttingDown(phase) => Some(&phase.funded),
            Phase::FallenBehind(phase) => Some(&phase.funded),
            Phase::OnChain(phase) => Some(&phase.funded),
        }
    }

    /// Its name: temporary until [`Effect::Named`].
    pub fn id(&self) -> ChannelId {
        self.base.id
    }

    /// With whom.
    pub fn peer(&self) -> NodeId {
        self.base.peer
    }

    /// What its keys were derived from.
    pub fn key_index(&self) -> u64 {
        self.base.key_index
    }

    /// Where our money goes in the end, unless the owner names another script.
    pub fn destination(&self) -> &Script {
        &self.base.destination
    }

    /// What this node asked of it.
    pub fn config(&self) -> &ChannelConfig {
        &self.base.config
    }

    /// Where it is in its life, for people.
    pub fn phase(&self) -> &'static str {
        match &self.phase {
            Phase::Opening(opening) => opening.name(),
            Phase::Confirming(_) => confirming::NAME,
            Phase::Normal(_) => normal::NAME,
            Phase::ShuttingDown(_) => shutting_down::NAME,
            Phase::FallenBehind(_) => fallen_behind::NAME,
            Phase::OnChain(_) => on_chain::NAME,
            Phase::Done => "done",
        }
    }

    /// Whether both sides sent `channel_ready`, or it never comes to that.
    pub fn was_ready(&self) -> bool {
        !matches!(self.phase, Phase::Opening(_) | Phase::Confirming(_))
    }

    /// Whether the funding output is agreed and both first commitments are signed.
    pub fn is_funded(&self) -> bool {
        self.funded().is_some()
    }

    /// Whether messages flow and HTLCs may be offered.
    pub fn is_usable(&self) -> bool {
        matches!(self.phase, Phase::Normal(_)) && self.base.is_online()
    }

    /// Whether it may be forgotten: abandoned, or resolved.
    pub fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Done)
    }

    /// What both agreed on, once the funding is known.
    pub fn terms(&self) -> Option<&ChannelTerms> {
        self.funded().map(|funded| funded.terms.as_ref())
    }

    /// What this side asks of the other, once the funding is known.
    pub fn limits(&self, by: Side) -> Option<Limits> {
        self.funded().map(|funded| *funded.agreement.by(by))
    }

    /// Its place on the chain, while the funding is mined.
    pub fn short_channel_id(&self) -> Option<ShortChannelId> {
        self.funded()?.short_channel_id()
    }

    /// Our balance and the peer's, the offers of each taken off, as our newest commitment says.
    pub fn balances(&self) -> (Msat, Msat) {
        match (&self.phase, self.funded()) {
            (_, Some(funded)) => funded.balances(),
            (Phase::Opening(opening), None) => opening.balances(),
            (_, None) => (Msat::ZERO, Msat::ZERO),
        }
    }

    /// Of a channel that goes to the chain: what is ours and no transaction that was mined has moved to the wallet yet, fees not taken
    /// off. None while it does not.
    pub fn unclaimed(&self) -> Option<Msat> {
        match &self.phase {
            Phase::OnChain(phase) => Some(phase.unclaimed()),
            Phase::Opening(_)
            | Phase::Confirming(_)
            | Phase::Normal(_)
            | Phase::ShuttingDown(_)
            | Phase::FallenBehind(_)
            | Phase::Done => None,
        }
    }

    /// The most that could be offered in one HTLC now, all limits counted. Nothing when the channel is not in use.
    pub fn spendable(&self, _env: &Env) -> Msat {
        self.offerable(Side::Local)
    }

    /// The most that the peer could offer in one HTLC now.
    pub fn receivable(&self) -> Msat {
        self.offerable(Side::Remote)
    }

    fn offerable(&self, side: Side) -> Msat {
        match &self.phase {
            Phase::Normal(normal) if self.base.is_online() => normal.funded.offerable(side),
            Phase::Normal(_)
            | Phase::Opening(_)
            | Phase::Confirming(_)
            | Phase::ShuttingDown(_)
            | Phase::FallenBehind(_)
            | Phase::OnChain(_)
            | Phase::Done => Msat::ZERO,
        }
    }

    /// What dust HTLCs would burn at most (BOLT 2, "Bounding exposure to trimmed in-flight HTLCs").
    pub fn dust_exposure(&self) -> Msat {
        self.funded().map_or(Msat::ZERO, Funded::dust_exposure_now)
    }

    /// Whether the peer's HTLC `id` is dust that brings the exposure above [`ChannelConfig::max_dust_htlc_exposure`]: once
    /// it is received, it is to be failed with `temporary_channel_failure`, even if its preimage is known.
    pub fn is_excess_dust(&self, id: u64) -> bool {
        let maximum = self.base.config.max_dust_htlc_exposure;
        self.funded().is_some_and(|funded| {
            let htlc = funded.ledger.find(Side::Remote, id);
            htlc.is_some_and(|htlc| funded.is_dust(htlc)) && funded.dust_exposure_up_to(id) > maximum
        })
    }

    /// Every pending HTLC, in the order of their proposals.
    pub fn htlcs(&self) -> Vec<HtlcView> {
        let htlcs = self.funded().map(|funded| funded.ledger.htlcs()).unwrap_or_default();
        let view = |htlc: &super::ledger::Htlc| HtlcView {
            offerer: htlc.offerer,
            id: htlc.id,
            amount: htlc.amount,
            payment_hash: htlc.payment_hash,
            cltv_expiry: htlc.cltv_expiry,
            settleable: htlc.is_settleable(),
            origin: htlc.origin,
        };
        htlcs.iter().map(view).collect()
    }

    /// A pending HTLC of the peer, as it was told when it came.
    pub fn received(&self, id: u64) -> Option<Received> {
        super::ledger::received(self.funded()?.ledger.find(Side::Remote, id)?)
    }

    /// The number of a side's newest signed commitment.
    pub fn commitment_number(&self, holder: Side) -> Option<CommitmentNumber> {
        self.commitment(holder).map(|commitment| commitment.number)
    }

    /// A side's newest signed commitment, unsigned.
    pub fn commitment(&self, holder: Side) -> Option<&Commitment> {
        let funded = self.funded()?;
        Some(match (holder, &funded.remote_next) {
            (Side::Local, _) => &funded.local.commitment,
            (Side::Remote, Some(next)) => next,
            (Side::Remote, None) => &funded.remote,
        })
    }

    /// The feerate of our newest commitment.
    pub fn feerate(&self) -> Option<FeeratePerKw> {
        Some(self.funded()?.ledger.feerate(Side::Local, View::Newest))
    }

    /// Whether no update is under way in either direction.
    pub fn is_at_rest(&self) -> bool {
        self.funded().is_none_or(|funded| {
            let moving = [Side::Local, Side::Remote].into_iter().any(|side| funded.ledger.is_moving(side));
            funded.remote_next.is_none() && !moving
        })
    }

    /// The HTLCs of every state that the peer revoked, by the state's number: records of their own.
    pub fn revoked_states(&self) -> impl Iterator<Item = (CommitmentNumber, &Arc<[HtlcTerms]>)> {
        self.base.archive.states()
    }

    /// The HTLCs of one of them; none if it had no HTLC output.
    pub fn revoked_state(&self, number: CommitmentNumber) -> &[HtlcTerms] {
        self.base.archive.htlcs(number)
    }

    /// Coins of the wallet that its transactions spend, which are not mined yet.
    pub fn fee_coins(&self) -> Vec<bitcoin::OutPoint> {
        match &self.phase {
            Phase::OnChain(phase) => phase.fee_coins(),
            Phase::Opening(_)
            | Phase::Confirming(_)
            | Phase::Normal(_)
            | Phase::ShuttingDown(_)
            | Phase::FallenBehind(_)
            | Phase::Done => Vec::new(),
        }
    }

    /// Puts back what [`Effect::Revoked`] asked to be kept, after the channel was read from its record.
    pub fn remember_revoked(&mut self, number: CommitmentNumber, htlcs: Arc<[HtlcTerms]>) {
        self.base.archive.remember(number, htlcs);
    }

    /// What on the chain concerns it.
    pub fn watches(&self) -> Vec<Watch> {
        match (&self.phase, self.funded()) {
            (Phase::OnChain(phase), _) => phase.watches(),
            (_, Some(funded)) => {
                let funding = funded.terms.funding;
                vec![Watch::Confirmation(funding.txid), Watch::Spend(funding)]
            }
            (_, None) => Vec::new(),
        }
    }

    /// What belongs on the chain and is not mined: to be broadcast again after a start.
    pub fn unmined(&self) -> Vec<Effect> {
        match (&self.phase, self.funded()) {
            (Phase::OnChain(phase), _) => phase.unmined(),
            (_, Some(funded)) => funded.rebroadcast_funding().into_iter().collect(),
            (_, None) => Vec::new(),
        }
    }
}
