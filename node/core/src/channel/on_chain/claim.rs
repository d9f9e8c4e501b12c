//! Our transactions that take what is ours: which outputs go together, what they pay, and how the fee rises while the deadline
//! comes nearer. A fee never falls: what was invalidated together is claimed apart, for no less than before.
use super::fee::{share, Price};
use super::output::{HtlcKey, Output, Purpose};
use super::{Base, Effect, Env, Kind, Mutant, OnChain, Out, Role, IRREVOCABLE_DEPTH};
use crate::chain::wallet_part_weight;
use crate::tx::{
    complete_joined, dust_threshold, gather, gathered_weight, join, joined_weight, Claim, Commitment,
    Direction, SecondStage, Side,
};
use crate::units::{BlockHeight, FeeratePerKw, Sat};
use bitcoin::{OutPoint, Transaction};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Blocks before a penalty's deadline from which each output is claimed by a transaction of its own, so that the cheater can
/// hold up one of them at most (BOLT 5, "Penalty Transaction Weight Calculation", `security_delay`).
const SECURITY_DELAY: u32 = 18;
/// The most outputs that one transaction takes: it stays within the standard weight.
const MOST_TOGETHER: usize = 300;

/// A transaction of ours that takes one or several outputs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Claiming {
    /// Its name towards the wallet.
    pub number: u32,
    /// What it is.
    pub role: Role,
    /// What it takes, in the order of its inputs; coins of the wallet stand behind.
    pub outpoints: Vec<OutPoint>,
    /// None while the wallet's coins are awaited, or while no feerate makes it worth its fee.
    pub tx: Option<Arc<Transaction>>,
    /// What it pays.
    pub feerate: FeeratePerKw,
    /// What the wallet was asked to make it pay.
    pub asked: FeeratePerKw,
    /// The fee of the transaction that it must push out of the mempool first: what it was split from.
    pub outbids: Sat,
    /// When it was first due.
    pub since: BlockHeight,
    /// Where it was mined, as the chain is now.
    pub mined: Option<BlockHeight>,
}

impl Claiming {
    /// One that is due from this height on and has no transaction yet.
    pub fn new(number: u32, role: Role, outpoints: Vec<OutPoint>, since: BlockHeight) -> Self {
        let (feerate, asked) = (FeeratePerKw::ZERO, FeeratePerKw::ZERO);
        let outbids = Sat::ZERO;
        Self { number, role, outpoints, tx: None, feerate, asked, outbids, since, mined: None }
    }

    /// For the chain once more, unless it is mined.
    pub fn again(&self) -> Option<Effect> {
        let tx = self.tx.as_ref().filter(|_| self.mined.is_none())?;
        Some(super::broadcast(self.role, tx))
    }

    /// The coins of the wallet that it spends.
    pub fn coins(&self) -> Vec<OutPoint> {
        let inputs = self.tx.iter().flat_map(|tx| tx.input.iter().skip(self.outpoints.len()));
        inputs.map(|input| input.previous_output).collect()
    }
}

/// What it takes to build a claim.
enum Plan {
    /// Signed by us alone: fee from what it takes.
    Sweep(Vec<Claim>),
    /// The peer signed it when the state was made, with its fee (without anchors).
    Signed(Box<Transaction>),
    /// The peer signed it, and coins of the wallet pay (with anchors).
    Joined(Vec<SecondStage>),
}

impl OnChain {
    /// Claims what can be claimed now and is not being claimed yet.
    pub fn pursue(self, base: &Base, env: &Env, out: &mut Out) -> Self {
        let mut next = self;
        if next.spend.is_none() {
            next.pay_for_commitment(base, env, out);
            return next;
        }
        let waiting = next.claimable(env);
        if waiting.is_empty() {
            return next;
        }
        let mut groups = next.groups(waiting);
        // What pushes another out of the mempool goes first: the others are in its way until then.
        groups.sort_by_key(|(_, members)| !members.iter().any(|member| next.outbid.contains_key(member)));
        for (role, outpoints) in groups {
            let mut claim = Claiming::new(next.take_number(), role, outpoints, env.height);
            let outbids = claim.outpoints.iter().filter_map(|outpoint| next.outbid.remove(outpoint));
            claim.outbids = outbids.fold(Sat::ZERO, Sat::saturating_add);
            if env.plants(Mutant::SplitDoesNotOutbid) {
                claim.outbids = Sat::ZERO;
            }
            next.build(base, env, &mut claim, out);
            next.claims.push(claim);
            out.save = true;
        }
        next
    }

    /// After each block: what waits is offered more for, or handed over once more.
    pub(super) fn renew(&mut self, base: &Base, env: &Env, out: &mut Out) {
        if self.spend.is_none() {
            return self.renew_commitment(base, env, out);
        }
        self.split_late_penalties(env, out);
        let mut claims = std::mem::take(&mut self.claims);
        for claim in claims.iter_mut().filter(|claim| claim.mined.is_none()) {
            if self.build(base, env, claim, out) {
                out.save = true;
            } else {
                out.effects.extend(claim.again());
            }
        }
        self.claims = claims;
    }

    pub(super) fn take_number(&mut self) -> u32 {
        let number = self.next_claim;
        self.next_claim = number.wrapping_add(1);
        number
    }

    /// Whether a transaction of ours takes this output.
    pub(super) fn is_claimed(&self, outpoint: &OutPoint) -> bool {
        let mut with_tx = self.claims.iter().filter(|claim| claim.tx.is_some());
        with_tx.any(|claim| claim.outpoints.contains(outpoint))
    }

    /// Outputs that the next block may give us and that no claim names.
    fn claimable(&self, env: &Env) -> Vec<OutPoint> {
        let early = u32::from(env.plants(Mutant::SweepsTooEarly));
        let next_block = env.height.plus(1 + early);
        let named = |outpoint: &OutPoint| self.claims.iter().any(|claim| claim.outpoints.contains(outpoint));
        let due = |output: &&Output| {
            output.spent.is_none() && self.due(output).is_some_and(|due| due <= next_block)
        };
        let free = self.outputs.iter().filter(due).filter(|output| !named(&output.outpoint));
        let kept = free.filter(|output| !skipped(output, env) && !self.is_dropped_twin(output, env));
        kept.map(|output| output.outpoint).collect()
    }

    /// What the bug of that name loses: of HTLCs that are equal on the chain, all but the first.
    fn is_dropped_twin(&self, output: &Output, env: &Env) -> bool {
        let is_htlc = |output: &&Output| matches!(output.purpose, Purpose::Penalty { htlc: Some(_) });
        let twin = self.outputs.iter().filter(is_htlc).find(|other| other.amount == output.amount);
        let first = twin.is_none_or(|twin| twin.outpoint == output.outpoint);
        is_htlc(&output) && !first && env.plants(Mutant::KeepsOnlyOneOfEqualHtlcs)
    }

    /// Which outputs go into one transaction: those of one role and one lock, unless what was together had to be split.
    fn groups(&self, outpoints: Vec<OutPoint>) -> Vec<(Role, Vec<OutPoint>)> {
        let mut groups: Vec<((Role, u32), Vec<OutPoint>)> = Vec::new();
        for outpoint in outpoints {
            let Some(output) = self.output(&outpoint) else { continue };
            let (role, lock) = (self.role_of(output), self.lock_of(output));
            let joined = groups.iter_mut().find(|(key, members)| {
                *key == (role, lock) && members.len() < MOST_TOGETHER && !self.stays_alone(role)
            });
            match joined {
                Some((_, members)) => members.push(outpoint),
                None => groups.push(((role, lock), vec![outpoint])),
            }
        }
        groups.into_iter().map(|((role, _), members)| (role, members)).collect()
    }

    /// Whether transactions of this role take one output each.
    fn stays_alone(&self, role: Role) -> bool {
        let anchors = self.funded.terms.channel_type.has_anchors();
        match role {
            Role::HtlcTimeout | Role::HtlcSuccess => !anchors || self.apart,
            Role::Penalty | Role::ClaimTimeout | Role::ClaimSuccess => self.apart,
            Role::SweepSecondStage => false,
            Role::SweepToLocal
            | Role::SweepToRemote
            | Role::Funding
            | Role::Commitment
            | Role::Closing
            | Role::Anchor => true,
        }
    }

    fn role_of(&self, output: &Output) -> Role {
        let is_local = self.spend.as_ref().is_some_and(|spend| spend.kind == Kind::Local);
        match output.purpose {
            Purpose::ToLocal => Role::SweepToLocal,
            Purpose::ToRemote => Role::SweepToRemote,
            Purpose::SecondStage => Role::SweepSecondStage,
            Purpose::Penalty { .. } | Purpose::SecondStagePenalty => Role::Penalty,
            Purpose::Htlc(HtlcKey { offerer: Side::Local, .. }) if is_local => Role::HtlcTimeout,
            Purpose::Htlc(HtlcKey { offerer: Side::Remote, .. }) if is_local => Role::HtlcSuccess,
            Purpose::Htlc(HtlcKey { offerer: Side::Local, .. }) => Role::ClaimTimeout,
            Purpose::Htlc(HtlcKey { offerer: Side::Remote, .. }) => Role::ClaimSuccess,
        }
    }

    /// Outputs of different lock heights do not wait for each other.
    fn lock_of(&self, output: &Output) -> u32 {
        match output.purpose {
            Purpose::Htlc(HtlcKey { offerer: Side::Local, .. }) | Purpose::SecondStage => {
                self.due(output).map_or(0, BlockHeight::get)
            }
            Purpose::Htlc(_)
            | Purpose::ToLocal
            | Purpose::ToRemote
            | Purpose::Penalty { .. }
            | Purpose::SecondStagePenalty => 0,
        }
    }

    pub(super) fn output(&self, outpoint: &OutPoint) -> Option<&Output> {
        self.outputs.iter().find(|output| output.outpoint == *outpoint)
    }

    /// Builds a claim's transaction for what it should pay now, or asks the wallet for coins to build it with. Whether there was
    /// anything to do.
    fn build(&mut self, base: &Base, env: &Env, claim: &mut Claiming, out: &mut Out) -> bool {
        match self.plan(base, &claim.outpoints) {
            None => false,
            Some(Plan::Signed(tx)) => self.hand_over(claim, *tx, FeeratePerKw::ZERO, out),
            Some(Plan::Sweep(claims)) => {
                let price = self.price(base, claim, gathered_weight(&claims, &base.destination), env);
                let Some(feerate) = price.next(claim, env) else { return false };
                match gather(&claims, &base.destination, feerate) {
                    Ok(tx) => self.hand_over(claim, tx, feerate, out),
                    Err(_) => false,
                }
            }
            Some(Plan::Joined(stages)) => {
                let (tx, weight) = (join(&stages), joined_weight(&stages));
                let price = self.price(base, claim, weight + wallet_part_weight(1, &base.destination), env);
                let Some(feerate) = price.next(claim, env) else { return false };
                claim.asked = feerate;
                // The wallet may have too few coins for more.
                out.effects.extend(claim.again());
                out.effects.push(Effect::FeeInputsNeeded(super::FeeInputs {
                    claim: claim.number,
                    tx,
                    weight,
                    paid: Sat::ZERO,
                    feerate,
                    budget: price.budget,
                    change: base.destination.clone(),
                    coins: claim.coins(),
                }));
                true
            }
        }
    }

    fn hand_over(
        &mut self,
        claim: &mut Claiming,
        tx: Transaction,
        feerate: FeeratePerKw,
        out: &mut Out,
    ) -> bool {
        if claim.tx.as_deref() == Some(&tx) {
            return false;
        }
        let tx = Arc::new(tx);
        out.effects.push(super::broadcast(claim.role, &tx));
        claim.tx = Some(tx);
        claim.feerate = feerate;
        for output in self.outputs.iter_mut().filter(|output| claim.outpoints.contains(&output.outpoint)) {
            output.offered = output.offered.max(feerate);
        }
        true
    }

    /// The wallet's coins are in: the transaction can be completed.
    pub(super) fn on_fee_inputs(&mut self, base: &Base, number: u32, tx: &Transaction, out: &mut Out) {
        if self.child.as_ref().is_some_and(|child| child.number == number) {
            return self.complete_child(base, tx, out);
        }
        let Some(place) = self.claims.iter().position(|claim| claim.number == number) else { return };
        let mut claim = self.claims[place].clone();
        let Some(Plan::Joined(stages)) = self.plan(base, &claim.outpoints) else { return };
        let mut tx = tx.clone();
        complete_joined(&stages, &self.funded.terms, base.signer.keys(), &mut tx);
        out.save = true;
        let asked = claim.asked;
        self.hand_over(&mut claim, tx, asked, out);
        self.claims[place] = claim;
    }

    /// What taking these outputs needs; nothing while one of them cannot be taken.
    fn plan(&self, base: &Base, outpoints: &[OutPoint]) -> Option<Plan> {
        let outputs: Vec<&Output> = outpoints.iter().filter_map(|outpoint| self.output(outpoint)).collect();
        let (first, commitment) = (outputs.first()?, self.commitment(base));
        let role = self.role_of(first);
        if matches!(role, Role::HtlcTimeout | Role::HtlcSuccess) {
            let stages: Option<Vec<SecondStage>> =
                outputs.iter().map(|output| self.second_stage(commitment.as_deref()?, output)).collect();
            let stages = stages.filter(|stages| stages.len() == outpoints.len())?;
            if self.funded.terms.channel_type.has_anchors() {
                return Some(Plan::Joined(stages));
            }
            let stage = stages.into_iter().next()?;
            let own = stage.htlc.sign(&self.funded.terms, base.signer.keys());
            let tx = stage.htlc.complete(&own, &stage.signature, stage.preimage.as_ref()).ok()?;
            return Some(Plan::Signed(Box::new(tx)));
        }
        let claims: Option<Vec<Claim>> =
            outputs.iter().map(|output| self.claim_of(base, commitment.as_deref(), output)).collect();
        claims.filter(|claims| claims.len() == outpoints.len()).map(Plan::Sweep)
    }

    /// HT or HE: our own HTLC transaction with the peer's signature.
    fn second_stage(&self, commitment: &Commitment, output: &Output) -> Option<SecondStage> {
        let place = commitment.htlcs.iter().position(|htlc| htlc.vout == output.outpoint.vout)?;
        let htlc = commitment.htlc_transactions(&self.funded.terms).nth(place)?;
        let signature = *self.funded.local.htlc_signatures.get(place)?;
        let preimage = match htlc.htlc.direction {
            Direction::Offered => None,
            Direction::Received => Some(self.preimage_of(htlc.htlc.id)?),
        };
        Some(SecondStage { htlc, signature, preimage })
    }

    fn claim_of(&self, base: &Base, commitment: Option<&Commitment>, output: &Output) -> Option<Claim> {
        let (terms, keys) = (&self.funded.terms, base.signer.keys());
        let (outpoint, amount) = (output.outpoint, output.amount);
        match output.purpose {
            Purpose::ToRemote => Some(Claim::to_remote_at(outpoint, amount, terms, keys)),
            Purpose::ToLocal => Claim::to_local(commitment?, terms, keys),
            Purpose::SecondStage => Claim::second_stage(commitment?, terms, keys, outpoint, amount),
            Purpose::Htlc(key) => {
                let commitment = commitment?;
                let place = commitment.htlcs.iter().position(|htlc| htlc.vout == outpoint.vout)?;
                let preimage = self.preimage_of(key.id).filter(|_| key.offerer == Side::Remote);
                Claim::htlc(commitment, terms, keys, place, preimage.as_ref())
            }
            Purpose::Penalty { .. } => {
                let commitment = commitment?;
                let secret = self.funded.secrets.get(commitment.number)?;
                let all = Claim::penalties(commitment, terms, keys, &secret);
                all.into_iter().find(|claim| claim.outpoint == outpoint)
            }
            Purpose::SecondStagePenalty => {
                let commitment = commitment?;
                let secret = self.funded.secrets.get(commitment.number)?;
                Claim::second_stage_penalty(commitment, terms, keys, &secret, outpoint, amount)
            }
        }
    }

    /// What the claim may cost, and how soon it is needed. A penalty may cost all that the cheater had; so may any claim that has
    /// waited for a hundred blocks, since less would then never be enough.
    fn price(&self, base: &Base, claim: &Claiming, weight: u64, env: &Env) -> Price {
        let outputs: Vec<&Output> =
            claim.outpoints.iter().filter_map(|outpoint| self.output(outpoint)).collect();
        let all = outputs.iter().fold(Sat::ZERO, |sum, output| sum.saturating_add(output.amount));
        let offered = outputs.iter().map(|output| output.offered).max().unwrap_or_default();
        let waited = env.height >= claim.since.plus(IRREVOCABLE_DEPTH);
        // What is left must be worth an output.
        let most = all.saturating_sub(dust_threshold(&base.destination));
        let budget = match claim.role {
            Role::Penalty => most,
            _ if waited => most,
            _ => share(all, base.config.claim_budget_percent),
        };
        let offered = if env.plants(Mutant::FeesFallWhenSplit) { claim.feerate } else { offered };
        let deadline = outputs.iter().filter_map(|output| self.deadline(output)).min();
        Price { weight, paid: Sat::ZERO, budget, offered, outbids: claim.outbids, deadline }
    }

    /// A transaction took outputs that claims of ours name: it is ours, or those claims can never be mined. What was split stands
    /// in nobody's way any more.
    pub(super) fn on_claims_spent(&mut self, tx: &Transaction, height: BlockHeight) {
        let txid = tx.compute_txid();
        let spends = |outpoint: &OutPoint| tx.input.iter().any(|input| input.previous_output == *outpoint);
        let mut lost = Vec::new();
        for (place, claim) in self.claims.iter_mut().enumerate() {
            if !claim.outpoints.iter().any(spends) {
                continue;
            }
            // Any version of it that takes the same is as good.
            let same = claim.tx.as_ref().is_some_and(|own| own.compute_txid() == txid);
            if same || claim.outpoints.iter().all(spends) {
                claim.mined = Some(height);
            } else {
                lost.push(place);
            }
        }
        self.claims.iter_mut().for_each(|claim| claim.outbids = Sat::ZERO);
        self.apart |= !lost.is_empty();
        lost.into_iter().rev().for_each(|place| drop(self.claims.remove(place)));
    }

    /// A transaction took coins of the wallet that waiting ones of ours spend: those can never be mined, and get other coins.
    pub(super) fn on_coins_spent(&mut self, tx: &Transaction, out: &mut Out) {
        let spends = |coin: &OutPoint| tx.input.iter().any(|input| input.previous_output == *coin);
        for claim in self.claims.iter_mut().chain(&mut self.child).filter(|claim| claim.mined.is_none()) {
            let own = claim.tx.as_deref() == Some(tx);
            if !own && claim.coins().iter().any(spends) {
                claim.tx = None;
                out.save = true;
            }
        }
    }

    /// Blocks from this height on are gone: claims in them wait again, claims of outputs that are gone are forgotten.
    pub(super) fn unmine_claims(&mut self, height: BlockHeight, out: &mut Out) {
        if let Some(child) = self.child.as_mut().filter(|child| child.mined.is_some_and(|at| at >= height)) {
            child.mined = None;
            out.save = true;
        }
        let outputs = &self.outputs;
        let exists = |outpoint: &OutPoint| outputs.iter().any(|output| output.outpoint == *outpoint);
        self.claims.retain(|claim| claim.outpoints.iter().all(exists));
        for claim in self.claims.iter_mut().filter(|claim| claim.mined.is_some_and(|at| at >= height)) {
            claim.mined = None;
            out.effects.extend(claim.again());
            out.save = true;
        }
    }

    /// Near the deadline a penalty of several outputs becomes several penalties.
    fn split_late_penalties(&mut self, env: &Env, out: &mut Out) {
        let late = |claim: &Claiming| {
            let outputs = claim.outpoints.iter().filter_map(|outpoint| self.output(outpoint));
            let deadline = outputs.filter_map(|output| self.deadline(output)).min();
            deadline.is_some_and(|deadline| env.height.plus(SECURITY_DELAY) >= deadline)
        };
        let several = |claim: &Claiming| {
            claim.role == Role::Penalty && claim.outpoints.len() > 1 && claim.mined.is_none()
        };
        let doomed: Vec<Claiming> =
            self.claims.iter().filter(|claim| several(claim) && late(claim)).cloned().collect();
        if doomed.is_empty() || env.plants(Mutant::NeverSplitsPenalties) {
            return;
        }
        for claim in &doomed {
            let amount = |outpoint: &&OutPoint| self.output(outpoint).map(|output| output.amount);
            let largest = claim.outpoints.iter().max_by_key(amount).copied();
            let fee = self.fee_of(claim);
            self.outbid.extend(largest.map(|largest| (largest, fee)));
        }
        self.apart = true;
        self.claims.retain(|claim| !doomed.contains(claim));
        out.save = true;
    }

    /// What a claim's transaction pays, out of what it takes.
    fn fee_of(&self, claim: &Claiming) -> Sat {
        let taken = claim.outpoints.iter().filter_map(|outpoint| self.output(outpoint));
        let taken = taken.fold(Sat::ZERO, |sum, output| sum.saturating_add(output.amount));
        let left = claim.tx.iter().flat_map(|tx| &tx.output);
        taken.saturating_sub(left.fold(Sat::ZERO, |sum, output| sum.saturating_add(output.value.into())))
    }
}

/// What a planted bug leaves lying.
fn skipped(output: &Output, env: &Env) -> bool {
    match output.purpose {
        Purpose::Penalty { htlc: None } => env.plants(Mutant::NoPenaltyOnToLocal),
        Purpose::Penalty { htlc: Some(_) } => env.plants(Mutant::NoPenaltyOnHtlc),
        Purpose::SecondStagePenalty => {
            env.plants(Mutant::NoPenaltyOnSecondStage)
                || output.outpoint.vout > 0 && env.plants(Mutant::PunishesFirstOutputOnly)
        }
        Purpose::Htlc(key) => key.offerer == Side::Local && env.plants(Mutant::NoTimeoutOnChain),
        Purpose::ToLocal | Purpose::ToRemote | Purpose::SecondStage => false,
    }
}
