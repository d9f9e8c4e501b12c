//! The child that pays for our commitment (anchors): it spends our anchor and coins of the wallet, and both go to the chain
//! together. Needed when the commitment pays less than the chain asks, or when an HTLC cannot wait (BOLT 5, "Requirements").
use super::claim::Claiming;
use super::fee::{share, Price};
use super::{Base, Effect, Env, FeeInputs, OnChain, Out, Role};
use crate::chain::wallet_part_weight;
use crate::tx::{begin_with, complete_first, Claim, Direction, HtlcOutput, Side, FUNDING_WITNESS_WEIGHT};
use crate::units::{BlockHeight, FeeratePerKw, Sat};
use bitcoin::Transaction;
use std::sync::Arc;

impl OnChain {
    /// As soon as our commitment waits: a child, if it needs one.
    pub(super) fn pay_for_commitment(&mut self, base: &Base, env: &Env, out: &mut Out) {
        if self.began.is_none() && self.commitment_tx().is_some() {
            self.began = Some(env.height);
            out.save = true;
            self.ask_for_child(base, env, out);
        }
    }

    /// After each block in which it was not mined: more, or once more.
    pub(super) fn renew_commitment(&mut self, base: &Base, env: &Env, out: &mut Out) {
        // Also while more is asked for: the wallet may have too few coins.
        out.effects.extend(self.package().or_else(|| self.hand_over_ours()));
        if self.began.is_some() {
            self.ask_for_child(base, env, out);
        }
    }

    /// Our commitment with its child, for the chain.
    pub(super) fn package(&self) -> Option<Effect> {
        let child = self.child.as_ref().filter(|child| child.mined.is_none())?.tx.as_ref()?;
        let transactions = vec![self.commitment_tx()?.as_ref().clone(), child.as_ref().clone()];
        Some(Effect::BroadcastPackage { transactions })
    }

    fn commitment_tx(&self) -> Option<&Arc<Transaction>> {
        self.spendable().filter(|(role, _)| *role == Role::Commitment).map(|(_, tx)| tx)
    }

    /// Asks the wallet for a child, or for one that pays more, if there is need.
    fn ask_for_child(&mut self, base: &Base, env: &Env, out: &mut Out) {
        let commitment = &self.funded.local.commitment;
        let Some(anchor) = Claim::anchor(commitment, &self.funded.terms, base.signer.keys()) else {
            return;
        };
        if self.commitment_tx().is_none() {
            return;
        }
        // With signatures of the greatest length: what they happen to weigh must not show in a balance.
        let parent_weight = commitment.tx.weight().to_wu() + FUNDING_WITNESS_WEIGHT;
        let (tx, weight) = begin_with(&anchor);
        let since = self.began.unwrap_or(env.height);
        let child = self.child.take();
        let mut child = child
            .unwrap_or_else(|| Claiming::new(self.take_number(), Role::Anchor, vec![anchor.outpoint], since));
        let weight = weight + parent_weight;
        let with_wallet = weight + wallet_part_weight(1, &base.destination);
        let price = self.child_price(base, with_wallet, child.feerate);
        let parent_pays = FeeratePerKw::new(feerate(price.paid, parent_weight));
        let wanted = price.next(&child, env).filter(|wanted| *wanted > parent_pays);
        let coins = child.coins();
        child.asked = wanted.unwrap_or(child.asked);
        let number = child.number;
        if wanted.is_some() || child.tx.is_some() {
            self.child = Some(child);
        }
        let Some(feerate) = wanted else { return };
        out.save = true;
        out.effects.push(Effect::FeeInputsNeeded(FeeInputs {
            claim: number,
            tx,
            weight,
            paid: price.paid.saturating_add(anchor.amount),
            feerate,
            budget: price.budget,
            change: base.destination.clone(),
            coins,
        }));
    }

    /// All that is ours on the commitment is at stake; the first HTLC that cannot wait says how long there is.
    fn child_price(&self, base: &Base, weight: u64, offered: FeeratePerKw) -> Price {
        let commitment = &self.funded.local.commitment;
        let value = |vout: u32| {
            commitment.tx.output.get(vout as usize).map_or(Sat::ZERO, |output| output.value.into())
        };
        let outputs =
            commitment.to_local.into_iter().chain(commitment.htlcs.iter().map(|output| output.vout));
        let at_stake = outputs.map(value).fold(Sat::ZERO, Sat::saturating_add);
        let deadline = commitment.htlcs.iter().filter_map(|output| self.htlc_deadline(output)).min();
        let budget = share(at_stake, base.config.claim_budget_percent);
        Price { weight, paid: commitment.fee, budget, offered, outbids: Sat::ZERO, deadline }
    }

    fn htlc_deadline(&self, output: &HtlcOutput) -> Option<BlockHeight> {
        let HtlcOutput { htlc, .. } = output;
        match htlc.direction {
            Direction::Offered => {
                let offered = self.funded.ledger.find(Side::Local, htlc.id)?;
                offered.incoming_expiry.map(|expiry| expiry.to_height())
            }
            Direction::Received => self.preimage_of(htlc.id).map(|_| htlc.cltv_expiry.to_height()),
        }
    }

    /// The wallet's coins are in: the child can be signed, and both go to the chain.
    pub(super) fn complete_child(&mut self, base: &Base, tx: &Transaction, out: &mut Out) {
        let commitment = &self.funded.local.commitment;
        let Some(anchor) = Claim::anchor(commitment, &self.funded.terms, base.signer.keys()) else { return };
        let mut tx = tx.clone();
        complete_first(&anchor, &mut tx);
        let Some(child) = &mut self.child else { return };
        child.feerate = child.asked;
        child.tx = Some(Arc::new(tx));
        out.save = true;
        out.effects.extend(self.package());
    }

    /// The child was mined with our commitment.
    pub(super) fn on_child_mined(&mut self, tx: &Transaction, height: BlockHeight, out: &mut Out) {
        let Some(child) = &mut self.child else { return };
        let txid = tx.compute_txid();
        if child.tx.as_ref().is_some_and(|own| own.compute_txid() == txid) {
            child.mined = Some(height);
            out.save = true;
        }
    }
}

/// What a fee comes to for a weight, rounded down.
fn feerate(fee: Sat, weight: u64) -> u32 {
    u32::try_from(fee.get().saturating_mul(1000) / weight.max(1)).unwrap_or(u32::MAX)
}
