//! What may enter the mempool, in the order of Core 31's `MemPoolAccept` (`src/validation.cpp`), for one transaction:
//! consensus, standardness, fees, TRUC with sibling eviction, replacement (full RBF), cluster limits, scripts.
//! Packages are not here: a parent below the minimum feerate is refused, also when a child would pay for it. The mempool
//! has no size limit, so its minimum feerate never rises above the relay minimum.
use std::collections::{BTreeSet, HashSet};

use bitcoin::{Amount, BlockHash, OutPoint, Transaction, Txid, Wtxid};

use super::cluster::{chunks, improves};
use super::coins::{Coin, CoinView};
use super::ledger::Ledger;
use super::mempool::{Entry, Mempool, PoolView};
use super::reject::Reject;
use super::{consensus, policy, script};
use consensus::{Clock, LockPoint};

const MAX_REPLACED_CLUSTERS: usize = 100;
const MAX_CLUSTER_COUNT: usize = 64;
const MAX_CLUSTER_WEIGHT: u64 = 101_000 * 4;
const TRUC_VERSION: i32 = 3;
const TRUC_MAX_VSIZE: u64 = 10_000;
const TRUC_CHILD_MAX_VSIZE: u64 = 1_000;

/// Transactions whose scripts passed every standard flag. A wtxid commits to everything that a script sees.
pub type ScriptMemo = HashSet<Wtxid>;

/// A transaction that may enter, and what leaves for it.
pub struct Acceptance {
    txid: Txid,
    entry: Entry,
    evicted: BTreeSet<Txid>,
}

impl Acceptance {
    /// Makes it so.
    pub fn apply(self, pool: &mut Mempool) -> Txid {
        for txid in &self.evicted {
            pool.remove(txid);
        }
        pool.insert(self.txid, self.entry);
        self.txid
    }
}

/// Judges one transaction. `from_block`: it comes back from a disconnected block, so the fee, TRUC and ephemeral dust
/// rules are not asked.
pub fn judge(
    tx: &Transaction,
    ledger: &Ledger,
    pool: &Mempool,
    memo: &mut ScriptMemo,
    from_block: bool,
) -> Result<Acceptance, Reject> {
    let (txid, wtxid) = (tx.compute_txid(), tx.compute_wtxid());
    check_alone(tx, ledger)?;
    check_new(pool, &txid, &wtxid)?;
    let coins = find_coins(tx, &txid, ledger, pool)?;
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
    if !from_block && fee < policy::fee_at(policy::MIN_RELAY_FEE, entry.vsize()) {
        return Err(Reject::MinRelayFee);
    }
    let mut conflicts: BTreeSet<Txid> =
        tx.input.iter().filter_map(|input| pool.spender(&input.previous_output)).collect();
    let sibling = if from_block { None } else { check_truc(&entry, pool, &conflicts)? };
    conflicts.extend(sibling);
    let evicted = check_replacement(&entry, pool, &conflicts, sibling.is_some())?;
    check_cluster_limits(&entry, pool, &evicted)?;
    let spends_conflict =
        pool.parents(tx).iter().any(|parent| !pool.ancestors(parent).is_disjoint(&conflicts));
    if spends_conflict {
        return Err(Reject::SpendsConflicting);
    }
    if !from_block {
        check_parents_dust_spent(tx, pool)?;
    }
    if !memo.contains(&wtxid) {
        script::check_standard(tx, &coins).map_err(Reject::MempoolScript)?;
        memo.insert(wtxid);
    }
    Ok(Acceptance { txid, entry, evicted })
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

fn check_new(pool: &Mempool, txid: &Txid, wtxid: &Wtxid) -> Result<(), Reject> {
    match pool.get(txid) {
        Some(entry) if entry.wtxid == *wtxid => Err(Reject::AlreadyInMempool),
        Some(_) => Err(Reject::SameNonwitnessDataInMempool),
        None => Ok(()),
    }
}

fn find_coins(tx: &Transaction, txid: &Txid, ledger: &Ledger, pool: &Mempool) -> Result<Vec<Coin>, Reject> {
    consensus::spent_coins(tx, &PoolView { ledger, pool }).map_err(|missing| {
        let mut outputs = (0..tx.output.len() as u32).map(|vout| OutPoint { txid: *txid, vout });
        if outputs.any(|outpoint| ledger.coin(&outpoint).is_some()) {
            Reject::AlreadyKnown
        } else {
            missing
        }
    })
}

/// Version 3 rules (BIP 431). Returns the sibling to evict where that is the way to stay within them.
fn check_truc(entry: &Entry, pool: &Mempool, conflicts: &BTreeSet<Txid>) -> Result<Option<Txid>, Reject> {
    let truc = entry.tx.version.0 == TRUC_VERSION;
    let parents = pool.parents(&entry.tx);
    let parent_truc = |txid: &Txid| pool.get(txid).is_some_and(|parent| parent.tx.version.0 == TRUC_VERSION);
    if parents.iter().any(|parent| parent_truc(parent) != truc) {
        return Err(Reject::Truc);
    }
    if !truc {
        return Ok(None);
    }
    if entry.vsize() > TRUC_MAX_VSIZE || parents.len() > 1 {
        return Err(Reject::Truc);
    }
    let Some(parent) = parents.first() else { return Ok(None) };
    if pool.ancestors(parent).len() > 1 || entry.vsize() > TRUC_CHILD_MAX_VSIZE {
        return Err(Reject::Truc);
    }
    let mut others = pool.descendants(parent);
    others.remove(parent);
    if others.is_empty() || !others.is_disjoint(conflicts) {
        return Ok(None);
    }
    match others.first() {
        Some(sibling) if others.len() == 1 && pool.ancestors(sibling).len() == 2 => Ok(Some(*sibling)),
        _ => Err(Reject::Truc),
    }
}

/// Core's replacement rules. Returns all that would leave.
fn check_replacement(
    entry: &Entry,
    pool: &Mempool,
    conflicts: &BTreeSet<Txid>,
    sibling: bool,
) -> Result<BTreeSet<Txid>, Reject> {
    let none = BTreeSet::new();
    if conflicts.is_empty() {
        return Ok(none);
    }
    let clusters: BTreeSet<BTreeSet<Txid>> =
        conflicts.iter().map(|conflict| pool.cluster([*conflict], &none)).collect();
    if clusters.len() > MAX_REPLACED_CLUSTERS {
        return Err(if sibling { Reject::TooManyReplacementsSibling } else { Reject::TooManyReplacements });
    }
    let evicted: BTreeSet<Txid> = conflicts.iter().flat_map(|conflict| pool.descendants(conflict)).collect();
    let replaced_fees: Amount = evicted.iter().filter_map(|txid| pool.get(txid)).map(|gone| gone.fee).sum();
    let bandwidth = policy::fee_at(policy::INCREMENTAL_RELAY_FEE, entry.vsize());
    if entry.fee.checked_sub(replaced_fees).is_none_or(|added| added < bandwidth) {
        return Err(if sibling { Reject::InsufficientFeeSibling } else { Reject::InsufficientFee });
    }
    check_cluster_limits(entry, pool, &evicted)?;
    let parents = pool.parents(&entry.tx);
    let before = pool.cluster(parents.iter().chain(&evicted).copied(), &none);
    let after: BTreeSet<Txid> = before.difference(&evicted).copied().collect();
    if improves(&chunks(&pool.graph(&after, Some(entry))), &chunks(&pool.graph(&before, None))) {
        Ok(evicted)
    } else {
        Err(Reject::ReplacementFailed)
    }
}

fn check_cluster_limits(entry: &Entry, pool: &Mempool, evicted: &BTreeSet<Txid>) -> Result<(), Reject> {
    let parents = pool.parents(&entry.tx).into_iter().filter(|parent| !evicted.contains(parent));
    let cluster = pool.cluster(parents, evicted);
    let weight: u64 = cluster.iter().filter_map(|txid| pool.get(txid)).map(|member| member.weight).sum();
    if cluster.len() + 1 > MAX_CLUSTER_COUNT || weight + entry.weight > MAX_CLUSTER_WEIGHT {
        return Err(Reject::TooLargeCluster);
    }
    Ok(())
}

/// A child of an unconfirmed parent with dust spends that dust.
fn check_parents_dust_spent(tx: &Transaction, pool: &Mempool) -> Result<(), Reject> {
    let spent: BTreeSet<OutPoint> = tx.input.iter().map(|input| input.previous_output).collect();
    for txid in pool.parents(tx) {
        let outputs = pool.get(&txid).map_or(&[][..], |parent| &parent.tx.output);
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
    for txid in pool.txids() {
        let Some(entry) = pool.get(&txid) else { continue };
        let coins = consensus::spent_coins(&entry.tx, &PoolView { ledger, pool }).ok();
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
        let mut entry = entry.clone();
        if ripe {
            entry.locks = locks;
            entry.locks_block = lock_block(&locks, ledger);
            pool.insert(txid, entry);
        } else {
            pool.remove_with_descendants(&entry.tx);
        }
    }
}
