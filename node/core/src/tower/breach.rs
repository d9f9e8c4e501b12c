//! One breach from the moment it shows until it is a hundred blocks deep: which of its outputs are taken, which second stages took
//! their place, what was offered for each. Decides what to broadcast; opens no box.
use super::kit::{Kit, Target};
use crate::channel::{Env, Mutant};
use crate::units::{BlockHeight, FeeratePerKw};
use bitcoin::{OutPoint, Transaction, Txid};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// From here on nothing comes back: BOLT 5's "irrevocably resolved".
const IRREVOCABLE_DEPTH: u32 = 100;
/// The tower waits so many blocks at most for a penalty before it pays more.
const MOST_PATIENCE: u32 = 6;
/// So many penalties may hang on a breach that is not mined: mempools allow 24 descendants.
const MOST_CHILDREN: usize = 20;

/// A revoked commitment that somebody published.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Breach {
    /// The commitment.
    pub tx: Arc<Transaction>,
    /// Its block, as the chain is now.
    mined: Option<BlockHeight>,
    /// The block of another spend of what it spends: then it never was.
    rival: Option<BlockHeight>,
    /// Mined transactions that spend its outputs: second stages of the cheater's, if they are what a box says.
    stages: Vec<Stage>,
    /// What was offered last for each output.
    tried: BTreeMap<OutPoint, Try>,
    /// The blocks in which outputs were spent, by whomever.
    taken: BTreeMap<OutPoint, BlockHeight>,
}

/// A mined transaction that spends an output of the breach.
#[derive(Clone, Serialize, Deserialize)]
struct Stage {
    txid: Txid,
    tx: Arc<Transaction>,
    mined: BlockHeight,
}

/// A penalty that was handed to the chain.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Try {
    /// Its place among the penalties on its output.
    step: u8,
    /// The height at which it became this one.
    since: BlockHeight,
}

impl Breach {
    /// A transaction that a box was opened by.
    pub fn new(tx: &Arc<Transaction>) -> Self {
        Self {
            tx: tx.clone(),
            mined: None,
            rival: None,
            stages: Vec::new(),
            tried: BTreeMap::new(),
            taken: BTreeMap::new(),
        }
    }

    /// All that can be taken of it, each output once.
    pub fn targets(&self, kits: &[Kit], env: &Env) -> Vec<Target> {
        let stages: Vec<&Transaction> = match env.plants(Mutant::TowerIgnoresSecondStages) {
            true => Vec::new(),
            false => self.stages.iter().map(|stage| stage.tx.as_ref()).collect(),
        };
        let mut targets = BTreeMap::new();
        for target in kits.iter().flat_map(|kit| kit.targets(&self.tx, &stages)) {
            targets.entry(target.outpoint).or_insert(target);
        }
        targets.into_values().collect()
    }

    /// Looks at a transaction of the block at this height; `own` is the breach's txid. Whether it concerns the breach.
    pub fn see(&mut self, own: Txid, tx: &Arc<Transaction>, txid: Txid, height: BlockHeight) -> bool {
        if txid == own {
            self.mined = Some(height);
            return true;
        }
        let funding = self.tx.input.first().map(|input| input.previous_output);
        let mut concerns = false;
        for input in &tx.input {
            let spent = input.previous_output;
            if Some(spent) == funding {
                self.rival = Some(height);
                concerns = true;
            } else if self.holds(own, &spent) {
                self.taken.insert(spent, height);
                concerns = true;
            }
        }
        let spends_breach = tx.input.iter().any(|input| input.previous_output.txid == own);
        if spends_breach && !self.stages.iter().any(|stage| stage.txid == txid) {
            self.stages.push(Stage { txid, tx: tx.clone(), mined: height });
        }
        concerns
    }

    /// Whether this output is one of the breach's, or of what was mined on top of it.
    fn holds(&self, own: Txid, outpoint: &OutPoint) -> bool {
        outpoint.txid == own || self.stages.iter().any(|stage| stage.txid == outpoint.txid)
    }

    /// Whether this transaction spends anything of the breach.
    pub fn is_spent_by(&self, own: Txid, tx: &Transaction) -> bool {
        tx.input.iter().any(|input| self.holds(own, &input.previous_output))
    }

    /// Undoes what the block at this height and those above it did; whether that is anything.
    pub fn unsee(&mut self, height: BlockHeight) -> bool {
        let before = (self.mined, self.rival, self.stages.len(), self.taken.len());
        self.mined = self.mined.filter(|mined| *mined < height);
        self.rival = self.rival.filter(|rival| *rival < height);
        self.stages.retain(|stage| stage.mined < height);
        self.taken.retain(|_, mined| *mined < height);
        before != (self.mined, self.rival, self.stages.len(), self.taken.len())
    }

    /// What belongs into the mempool now: for each output that nobody has taken yet one penalty, dearer than the last if that
    /// one waited too long or pays less than the chain asks.
    pub fn pursue(&mut self, kits: &[Kit], env: &Env) -> Vec<Transaction> {
        if self.rival.is_some() {
            return Vec::new();
        }
        let patience = patience(kits);
        let most = if self.mined.is_some() { usize::MAX } else { MOST_CHILDREN };
        let mut targets = self.targets(kits, env);
        targets.retain(|target| !self.taken.contains_key(&target.outpoint));
        targets.truncate(most);
        let mut penalties = Vec::new();
        for target in targets {
            let wanted = target.step_for(env.feerate);
            let step = match self.tried.get(&target.outpoint) {
                None => wanted,
                Some(last) => {
                    let late = env.height.get().saturating_sub(last.since.get()) >= patience;
                    target.raised(last.step, late, env).max(wanted)
                }
            };
            penalties.extend(self.offer(&target, step, env));
        }
        penalties
    }

    /// A transaction of somebody else in the mempool spends what the tower is about to take: what it may replace is not waited for.
    pub fn outbid(&mut self, rival: &Transaction, kits: &[Kit], env: &Env) -> Vec<Transaction> {
        let pays_victim = |kit: &Kit| {
            rival.output.iter().all(|output| output.script_pubkey.as_script() == kit.destination())
        };
        if kits.iter().any(pays_victim) {
            return Vec::new();
        }
        let spends = |target: &Target| {
            let mut inputs = rival.input.iter();
            inputs.any(|input| input.previous_output == target.outpoint)
        };
        let mut penalties = Vec::new();
        for target in self.targets(kits, env).into_iter().filter(spends) {
            if let Some(last) = self.tried.get(&target.outpoint).copied() {
                let step = target.raised(last.step, true, env);
                penalties.extend(self.offer(&target, step, env).filter(|_| step > last.step));
            }
        }
        penalties
    }

    /// The penalty at this step, noted down.
    fn offer(&mut self, target: &Target, step: u8, env: &Env) -> Option<Transaction> {
        let (_, tx) = target.penalties.get(usize::from(step))?;
        let last = self.tried.get(&target.outpoint).filter(|last| last.step == step);
        let since = last.map_or(env.height, |last| last.since);
        self.tried.insert(target.outpoint, Try { step, since });
        Some(tx.clone())
    }

    /// Whether nothing can come of it any more.
    pub fn is_over(&self, kits: &[Kit], env: &Env) -> bool {
        let deep = |height: BlockHeight| {
            env.height.get().saturating_add(1).saturating_sub(height.get()) >= IRREVOCABLE_DEPTH
        };
        let resolved = || {
            let targets = self.targets(kits, env);
            targets.iter().all(|target| self.taken.get(&target.outpoint).is_some_and(|taken| deep(*taken)))
        };
        self.rival.is_some_and(deep) || (self.mined.is_some_and(deep) && resolved())
    }
}

impl Target {
    /// The cheapest penalty that pays as much as the chain asks; the dearest if none does.
    fn step_for(&self, feerate: FeeratePerKw) -> u8 {
        let enough = self.penalties.iter().position(|(paid, _)| *paid >= feerate);
        enough.unwrap_or(self.penalties.len().saturating_sub(1)) as u8
    }

    /// The next one, if there is one and it is time.
    fn raised(&self, step: u8, late: bool, env: &Env) -> u8 {
        let last = self.penalties.len().saturating_sub(1) as u8;
        if late && step < last && !env.plants(Mutant::TowerNeverRaises) {
            step + 1
        } else {
            step
        }
    }
}

/// So many blocks until a penalty is raised: all of them come within half the cheater's delay.
fn patience(kits: &[Kit]) -> u32 {
    let delay = kits.iter().map(|kit| u32::from(kit.to_self_delay)).min().unwrap_or_default();
    (delay / 8).clamp(1, MOST_PATIENCE)
}
