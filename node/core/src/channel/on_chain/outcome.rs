//! What became of each HTLC: told to whom it was offered for as soon as it is sure, and never sooner. With R at once, wherever
//! it shows; without R when the removal is deep (BOLT 5, "HTLC Output Handling").
use super::output::{preimage_in, HtlcKey, Output};
use super::{Effect, Env, Funded, Mutant, Out, Rejection};
use super::{Kind, OnChain, Spend, REASONABLE_DEPTH};
use crate::channel::ledger::{Htlc, Removal};
use crate::channel::Refusal;
use crate::ids::Preimage;
use crate::tx::Side;
use crate::units::BlockHeight;
use bitcoin::{OutPoint, Transaction};

impl OnChain {
    /// The node knows R of a received HTLC: it is claimed wherever an output of it stands.
    pub(super) fn learn(&mut self, id: u64, preimage: Preimage, out: &mut Out) -> Result<(), Rejection> {
        let htlc = self.funded.ledger.find(Side::Remote, id).ok_or(Rejection::UnknownHtlc { id })?;
        if preimage.payment_hash() != htlc.payment_hash {
            return Err(Rejection::WrongPreimage { id });
        }
        self.preimages.insert(id, preimage);
        out.save = true;
        Ok(())
    }

    /// After each block: every HTLC whose end is sure now.
    pub(super) fn tell_outcomes(&mut self, tip: BlockHeight, env: &Env, out: &mut Out) {
        if self.spend.is_none() {
            return;
        }
        for htlc in self.funded.ledger.htlcs().to_vec() {
            match htlc.offerer {
                Side::Local => self.tell_offered(&htlc, tip, env, out),
                Side::Remote => self.tell_received(&htlc, tip, out),
            }
        }
    }

    fn output_of(&self, offerer: Side, id: u64) -> Option<&Output> {
        let key = HtlcKey { offerer, id };
        self.outputs.iter().find(|output| output.htlc() == Some(key))
    }

    /// What a planted bug takes for the output of this HTLC: one of the other direction, if there is one.
    fn confused_output_of(&self, id: u64, env: &Env) -> Option<&Output> {
        let other = self.output_of(Side::Remote, id).filter(|_| env.plants(Mutant::ConfusesDirections));
        other.or_else(|| self.output_of(Side::Local, id))
    }

    fn tell_offered(&mut self, htlc: &Htlc, tip: BlockHeight, env: &Env, out: &mut Out) {
        let told_before = matches!(htlc.remove, Some((_, Removal::Fulfilled(_))));
        if told_before && !env.plants(Mutant::FailsFulfilledHtlcs) || self.told.contains(&htlc.id) {
            return;
        }
        let depth = if env.plants(Mutant::FailsUpstreamAtOnce) { 1 } else { REASONABLE_DEPTH };
        let spent = self.confused_output_of(htlc.id, env).map(|output| output.spent);
        match spent {
            Some(Some(spent)) => match spent.preimage {
                Some(preimage) if !env.plants(Mutant::IgnoresPreimagesOnChain) => {
                    self.tell_fulfilled(htlc, preimage, out);
                }
                Some(_) | None if Self::depth_of_spend(&spent, tip) >= depth => self.tell_failed(htlc, out),
                Some(_) | None => {}
            },
            // It waits for us, or for the peer.
            Some(None) => {}
            None if self.spend_depth(tip) >= depth && !self.may_hold(htlc, tip) => {
                self.tell_failed(htlc, out)
            }
            None => {}
        }
    }

    /// Whether what spends the funding cannot be read: a commitment of a state that we have lost, or one that is the peer's to
    /// punish. The HTLCs of our newest state may stand on it.
    fn unread(&self) -> Option<&Spend> {
        let unread = |spend: &&Spend| matches!(spend.kind, Kind::Unknown | Kind::OwnRevoked(_));
        self.spend.as_ref().filter(unread)
    }

    /// The outputs of such a transaction, while R may show in what spends them.
    pub(super) fn unread_outputs(&self) -> Vec<OutPoint> {
        let Some(spend) = self.unread() else { return Vec::new() };
        let is_open = |htlc: &Htlc| htlc.offerer == Side::Local && !self.told.contains(&htlc.id);
        if !self.funded.ledger.htlcs().iter().any(is_open) {
            return Vec::new();
        }
        let txid = spend.tx.compute_txid();
        (0u32..).zip(&spend.tx.output).map(|(vout, _)| OutPoint { txid, vout }).collect()
    }

    /// R of what we offered, in a transaction that spends from one that we cannot read.
    pub(super) fn tell_shown(&mut self, tx: &Transaction, env: &Env, out: &mut Out) {
        if self.unread().is_some() && !env.plants(Mutant::IgnoresPreimagesOnChain) {
            for (htlc, preimage) in self.funded.shown_in(tx) {
                self.tell_fulfilled(&htlc, preimage, out);
            }
        }
    }

    /// Whether an output of it may stand on a commitment that we cannot read, until it would have been timed out there.
    fn may_hold(&self, htlc: &Htlc, tip: BlockHeight) -> bool {
        self.unread().is_some() && tip < htlc.cltv_expiry.to_height().plus(REASONABLE_DEPTH)
    }

    fn tell_fulfilled(&mut self, htlc: &Htlc, preimage: Preimage, out: &mut Out) {
        self.told.insert(htlc.id);
        out.save = true;
        out.effects.extend(htlc.origin.map(|origin| Effect::Fulfilled { origin, preimage }));
    }

    fn tell_failed(&mut self, htlc: &Htlc, out: &mut Out) {
        self.told.insert(htlc.id);
        out.save = true;
        let refusal = match &htlc.remove {
            Some((_, Removal::Refused(refusal))) => refusal.clone(),
            Some((_, Removal::Fulfilled(_))) | None => Refusal::OnChain,
        };
        out.effects.extend(htlc.origin.map(|origin| Effect::Failed { origin, refusal }));
    }

    /// A received HTLC is ours for good when our claim of it is deep, or when R was given and the commitment that is mined has
    /// no output for it any more: then its amount is in our balance, or was dust.
    fn tell_received(&mut self, htlc: &Htlc, tip: BlockHeight, out: &mut Out) {
        if self.settled.contains(&htlc.id) || self.preimage_of(htlc.id).is_none() {
            return;
        }
        let is_ours = match self.output_of(Side::Remote, htlc.id).map(|output| output.spent) {
            Some(Some(spent)) => {
                let taken = spent.preimage.is_some() || self.punishes();
                taken && Self::depth_of_spend(&spent, tip) >= REASONABLE_DEPTH
            }
            Some(None) => false,
            None => self.unread().is_none() && self.spend_depth(tip) >= REASONABLE_DEPTH,
        };
        if is_ours {
            self.settled.insert(htlc.id);
            out.save = true;
            out.effects.push(Effect::Settled { id: htlc.id });
        }
    }

    fn punishes(&self) -> bool {
        self.spend.as_ref().is_some_and(|spend| matches!(spend.kind, Kind::Revoked(_)))
    }

    /// The channel ends: HTLCs that nothing was told of yet failed (their outputs were left for their fees).
    pub(super) fn tell_rest(&mut self, out: &mut Out) {
        for htlc in self.funded.ledger.htlcs().to_vec() {
            let fulfilled = matches!(htlc.remove, Some((_, Removal::Fulfilled(_))));
            if htlc.offerer == Side::Local && !fulfilled && !self.told.contains(&htlc.id) {
                self.tell_failed(&htlc, out);
            }
        }
    }
}

impl Funded {
    /// The HTLCs that we offered whose R stands in a transaction's witnesses, whatever it spends.
    pub fn shown_in(&self, tx: &Transaction) -> Vec<(Htlc, Preimage)> {
        let offered = self.ledger.htlcs().iter().filter(|htlc| htlc.offerer == Side::Local);
        let shown = offered.filter_map(|htlc| {
            let mut witnesses = tx.input.iter().map(|input| &input.witness);
            let preimage = witnesses.find_map(|witness| preimage_in(witness, &htlc.payment_hash))?;
            Some((htlc.clone(), preimage))
        });
        shown.collect()
    }
}
