//! What may enter the mempool, in the order of Core 31's `MemPoolAccept` (`src/validation.cpp`), for one transaction:
//! consensus, standardness, fees, TRUC with sibling eviction, replacement (full RBF), cluster limits, scripts.
//! Several that come together are in `package`; room is made in `room`.
use std::collections::{BTreeMap, BTreeSet, HashSet};

use bitcoin::{BlockHash, OutPoint, Transaction, Txid, Wtxid};

use super::coins::{Coin, CoinView};
use super::ledger::Ledger;
use super::mempool::{Entry, Made, Mempool, PoolView};
use super::reject::Reject;
use super::{consensus, policy, replace, script, truc};
use consensus::{Clock, LockPoint};

/// Transactions whose scripts passed every standard flag. A wtxid commits to everything that a script sees.
pub type ScriptMemo = HashSet<Wtxid>;

/// Who pays for a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fees {
    /// It pays for itself.
    Own,
    /// The package that it comes in is asked, not the transaction.
    OfPackage,
    /// Nobody: it comes back from a disconnected block, so the fee, TRUC and ephemeral dust rules are not asked.
    Waived,
}

/// A transaction that may enter as far as it can be seen alone: replacement, limits and scripts are still to be asked.
pub struct Candidate {
    /// Its id.
    pub txid: Txid,
    /// What would be held.
    pub entry: Entry,
    /// What it conflicts with in the mempool, a sibling to evict included.
    pub conflicts: BTreeSet<Txid>,
    sibling: bool,
    coins: Vec<Coin>,
}

impl Candidate {
    /// The scripts, which are dear and so come last.
    pub fn check_scripts(&self, memo: &mut ScriptMemo) -> Result<(), Reject> {
        if !memo.contains(&self.entry.wtxid) {
            script::check_standard(&self.entry.tx, &self.coins).map_err(Reject::MempoolScript)?;
            memo.insert(self.entry.wtxid);
        }
        Ok(())
    }

    /// Puts it in.
    pub fn enter(self, pool: &mut Mempool) -> Txid {
        pool.insert(self.txid, self.entry);
        self.txid
    }
}

/// A transaction that may enter, and what leaves for it.
pub struct Acceptance {
    candidate: Candidate,
    evicted: BTreeSet<Txid>,
}

impl Acceptance {
    /// Makes it so. There may be too little room then.
    pub fn apply(self, pool: &mut Mempool) -> Txid {
        self.evicted.iter().for_each(|txid| pool.remove(txid));
        self.candidate.enter(pool)
    }
}

/// Judges one transaction.
pub fn judge(
    tx: &Transaction,
    ledger: &Ledger,
    pool: &Mempool,
    memo: &mut ScriptMemo,
    fees: Fees,
) -> Result<Acceptance, Reject> {
    let candidate = check(tx, ledger, pool, &Made::new(), fees)?;
    let conflicts = &candidate.conflicts;
    let evicted = replace::check_alone(&candidate.entry, pool, conflicts, candidate.sibling)?;
    replace::check_cluster_limits(&[&candidate.entry], pool, &evicted)?;
    let spends_conflict =
        pool.parents(tx).iter().any(|parent| !pool.ancestors(parent).is_disjoint(conflicts));
    if spends_conflict {
        return Err(Reject::SpendsConflicting);
    }
    if fees != Fees::Waived {
        check_parents_dust_spent(tx, &BTreeMap::new(), pool)?;
    }
    candidate.check_scripts(memo)?;
    Ok(Acceptance { candidate, evicted })
}

/// What can be said of one transaction before anything is replaced. `made`: outputs of those that come with it.
pub fn check(
    tx: &Transaction,
    ledger: &Ledger,
    pool: &Mempool,
    made: &Made,
    fees: Fees,
) -> Result<Candidate, Reject> {
    let (txid, wtxid) = (tx.compute_txid(), tx.compute_wtxid());
    check_alone(tx, ledger)?;
    check_new(pool, &txid, &wtxid)?;
    let coins = find_coins(tx, &txid, &PoolView { ledger, pool, made })?;
    let locks = LockPoint::of(tx, &coins, ledger);
    if !locks.is_over(ledger) {
        return Err(Reject::NonBip68Final);
    }
    let fee = consensus::check_amounts(tx, &coins, ledger.next_height())?;
    policy::check_inputs(tx, &coins)?;
    policy::check_witnesses(tx, &coins)?;
    let sigops = consensus::sigops_cost(tx, &coins);
    let weight = tx.weight().to_wu().max(sigops.saturating_mul(policy::BYTES_PER_SIGOP));
    let entry = Entry { tx: tx.clone(), wtxid, fee, weight, locks, locks_block: lock_block(&locks, ledger) };
    policy::check_ephemeral(tx, fee)?;
    if sigops > policy::MAX_STANDARD_TX_SIGOPS_COST {
        return Err(Reject::TooManySigops);
    }
    if fees == Fees::Own {
        policy::check_feerate(fee, entry.vsize(), pool.floor.rate())?;
    }
    let mut conflicts: BTreeSet<Txid> =
        tx.input.iter().filter_map(|input| pool.spender(&input.previous_output)).collect();
    let sibling = match fees {
        Fees::Waived => None,
        Fees::Own => truc::check_alone(&entry, pool, &conflicts)?,
        Fees::OfPackage => match truc::check_alone(&entry, pool, &conflicts)? {
            Some(_) => return Err(Reject::Truc),
            None => None,
        },
    };
    conflicts.extend(sibling);
    Ok(Candidate { txid, entry, conflicts, sibling: sibling.is_some(), coins })
}

/// What can be said without coins.
fn check_alone(tx: &Transaction, ledger: &Ledger) -> Result<(), Reject> {
    consensus::check_form(tx)?;
    if tx.is_coinbase() {
        return Err(Reject::LooseCoinbase);
    }
    policy::check_standard(tx)?;
    policy::check_minimum_size(tx)?;
    if !consensus::is_final(tx, ledger) {
        return Err(Reject::NonFinal);
    }
    Ok(())
}

/// It is not there already.
pub fn check_new(pool: &Mempool, txid: &Txid, wtxid: &Wtxid) -> Result<(), Reject> {
    match pool.get(txid) {
        Some(entry) if entry.wtxid == *wtxid => Err(Reject::AlreadyInMempool),
        Some(_) => Err(Reject::SameNonwitnessDataInMempool),
        None => Ok(()),
    }
}

fn find_coins(tx: &Transaction, txid: &Txid, view: &PoolView) -> Result<Vec<Coin>, Reject> {
    consensus::spent_coins(tx, view).map_err(|missing| {
        let mut outputs = (0..tx.output.len() as u32).map(|vout| OutPoint { txid: *txid, vout });
        if outputs.any(|outpoint| view.ledger.coin(&outpoint).is_some()) {
            Reject::AlreadyKnown
        } else {
            missing
        }
    })
}

/// A child of an unconfirmed parent with dust spends that dust. `package`: transactions that come with it.
pub fn check_parents_dust_spent(
    tx: &Transaction,
    package: &BTreeMap<Txid, &Transaction>,
    pool: &Mempool,
) -> Result<(), Reject> {
    let spent: BTreeSet<OutPoint> = tx.input.iter().map(|input| input.previous_output).collect();
    let parents: BTreeSet<Txid> = spent.iter().map(|outpoint| outpoint.txid).collect();
    for txid in parents {
        let parent = package.get(&txid).copied().or_else(|| pool.get(&txid).map(|entry| &entry.tx));
        let outputs = parent.map_or(&[][..], |parent| &parent.output);
        let left = (0u32..)
            .zip(outputs)
            .any(|(vout, out)| policy::is_dust(out) && !spent.contains(&OutPoint { txid, vout }));
        if left {
            return Err(Reject::MissingEphemeralSpends);
        }
    }
    Ok(())
}

fn lock_block(locks: &LockPoint, ledger: &Ledger) -> Option<BlockHash> {
    ledger.at(locks.input_height).map(|connected| connected.hash)
}

/// After a block went out: removes what may no longer be in the next block (finality, relative locks, maturity). As in Core,
/// relative locks are computed anew only when the block that they hang on has gone.
pub fn drop_unripe(ledger: &Ledger, pool: &mut Mempool) {
    let made = Made::new();
    for txid in pool.txids() {
        let Some(entry) = pool.get(&txid) else { continue };
        let coins = consensus::spent_coins(&entry.tx, &PoolView { ledger, pool, made: &made }).ok();
        let locks = match &coins {
            Some(coins) if lock_block(&entry.locks, ledger) != entry.locks_block => {
                LockPoint::of(&entry.tx, coins, ledger)
            }
            _ => entry.locks,
        };
        let ripe = consensus::is_final(&entry.tx, ledger)
            && locks.is_over(ledger)
            && coins.is_some_and(|coins| {
                consensus::check_amounts(&entry.tx, &coins, ledger.next_height()).is_ok()
            });
        if ripe {
            pool.relock(&txid, locks, lock_block(&locks, ledger));
        } else {
            let tx = entry.tx.clone();
            pool.remove_with_descendants(&tx);
        }
    }
}
