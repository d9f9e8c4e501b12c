//! What a transaction of ours pays: what the chain asks now, more as its deadline comes nearer, never more than its budget, and
//! never less than was offered before. Only numbers.
use super::claim::Claiming;
use super::{Env, Mutant};
use crate::channel::MIN_FEERATE;
use crate::units::{BlockHeight, FeeratePerKw, Sat};

/// What decides the fee.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Price {
    /// All that is to be paid for, in weight units.
    pub weight: u64,
    /// What others pay already.
    pub paid: Sat,
    /// The most that it may cost.
    pub budget: Sat,
    /// The most that was offered for the same.
    pub offered: FeeratePerKw,
    /// The fee of what it must push out of the mempool.
    pub outbids: Sat,
    /// The height by which it must be mined.
    pub deadline: Option<BlockHeight>,
}

impl Price {
    /// The feerate to build for now; none if what there is is good enough, or if it would cost more than it may. A replacement
    /// pays for its own relay too (BIP 125, rule 4), so that small steps are not worth it.
    pub fn next(&self, claim: &Claiming, env: &Env) -> Option<FeeratePerKw> {
        let target = self.target(claim.since, env)?;
        let step = MIN_FEERATE.get().max(claim.feerate.get() / 10);
        let replaces = claim.feerate.saturating_add(FeeratePerKw::new(step));
        (claim.tx.is_none() || target >= replaces).then_some(target)
    }

    /// From what the chain asks at the first try to what the budget allows at the deadline: with the cube of the time gone, so that
    /// a block missed early costs next to nothing and the last ones nearly all. Without a deadline it waits for better days
    /// instead of paying more than its budget.
    fn target(&self, since: BlockHeight, env: &Env) -> Option<FeeratePerKw> {
        let (asked, most) = (env.feerate.max(MIN_FEERATE), self.most());
        let rising = match self.deadline {
            Some(deadline) if !env.plants(Mutant::FeesNeverRise) => {
                let whole = u64::from(deadline.saturating_sub(since).get().max(1));
                let gone = u64::from(env.height.saturating_sub(since).get()).min(whole);
                let room = u128::from(most.saturating_sub(asked).get());
                let [gone, whole] = [gone, whole].map(|blocks| u128::from(blocks).pow(3));
                asked.get().saturating_add(u32::try_from(room * gone / whole).unwrap_or(u32::MAX))
            }
            Some(_) | None => asked.get(),
        };
        let target = FeeratePerKw::new(rising).max(self.offered).max(self.outbidding());
        match self.deadline {
            None if target > most => None,
            _ if most < MIN_FEERATE => None,
            _ => Some(target.min(most)),
        }
    }

    /// A replacement pays what it replaces paid, and its own relay (BIP 125, rules 3 and 4).
    fn outbidding(&self) -> FeeratePerKw {
        if self.outbids == Sat::ZERO {
            return FeeratePerKw::ZERO;
        }
        let feerate = self.outbids.get().saturating_mul(1000) / self.weight.max(1);
        let feerate = u32::try_from(feerate).unwrap_or(u32::MAX);
        FeeratePerKw::new(feerate).saturating_add(MIN_FEERATE).saturating_add(FeeratePerKw::new(1))
    }

    /// What the budget comes to for this weight.
    fn most(&self) -> FeeratePerKw {
        let all = u128::from(self.budget.get()) + u128::from(self.paid.get());
        let feerate = all * 1000 / u128::from(self.weight.max(1));
        FeeratePerKw::new(u32::try_from(feerate).unwrap_or(u32::MAX))
    }
}

/// So many percent of an amount.
pub fn share(amount: Sat, percent: u8) -> Sat {
    Sat::new((u128::from(amount.get()) * u128::from(percent.min(100)) / 100) as u64)
}
