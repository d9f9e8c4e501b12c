//! Version 3 transactions (TRUC, BIP 431) in the mempool, as Core 31 (`src/policy/truc_policy.cpp`) judges them: one
//! unconfirmed parent, one unconfirmed child, a small child. First each alone, then as members of a package.
use std::collections::BTreeSet;

use bitcoin::{Transaction, Txid};

use super::mempool::{Entry, Mempool};
use super::reject::Reject;

const VERSION: i32 = 3;
const MAX_VSIZE: u64 = 10_000;
const CHILD_MAX_VSIZE: u64 = 1_000;

fn is_truc(tx: &Transaction) -> bool {
    tx.version.0 == VERSION
}

/// One transaction against the mempool. Returns the sibling to evict where that is the way to stay within the rules.
pub fn check_alone(
    entry: &Entry,
    pool: &Mempool,
    conflicts: &BTreeSet<Txid>,
) -> Result<Option<Txid>, Reject> {
    let truc = is_truc(&entry.tx);
    let parents = pool.parents(&entry.tx);
    let parent_truc = |txid: &Txid| pool.get(txid).is_some_and(|parent| is_truc(&parent.tx));
    if parents.iter().any(|parent| parent_truc(parent) != truc) {
        return Err(Reject::Truc);
    }
    if !truc {
        return Ok(None);
    }
    if entry.vsize() > MAX_VSIZE || parents.len() > 1 {
        return Err(Reject::Truc);
    }
    let Some(parent) = parents.first() else { return Ok(None) };
    if pool.ancestors(parent).len() > 1 || entry.vsize() > CHILD_MAX_VSIZE {
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

/// One member of a package, parents first, against the others and the mempool.
pub fn check_in_package(entry: &Entry, package: &[&Entry], pool: &Mempool) -> Result<(), Reject> {
    let txid = entry.tx.compute_txid();
    let spends =
        |tx: &Transaction, txid: &Txid| tx.input.iter().any(|input| input.previous_output.txid == *txid);
    let others: Vec<(Txid, &Transaction)> = package
        .iter()
        .map(|member| (member.tx.compute_txid(), &member.tx))
        .filter(|(other, _)| *other != txid)
        .collect();
    let in_pool = pool.parents(&entry.tx);
    let in_package: Vec<&(Txid, &Transaction)> =
        others.iter().filter(|(parent, _)| spends(&entry.tx, parent)).collect();
    if !is_truc(&entry.tx) {
        let pool_truc = in_pool.iter().filter_map(|txid| pool.get(txid)).any(|parent| is_truc(&parent.tx));
        let allowed = !pool_truc && !in_package.iter().any(|(_, parent)| is_truc(parent));
        return if allowed { Ok(()) } else { Err(Reject::Truc) };
    }
    if in_pool.len() + in_package.len() > 1 {
        return Err(Reject::Truc);
    }
    let (parent, parent_truc, parent_has_child) = match (in_pool.first(), in_package.first()) {
        (Some(parent), _) => {
            if pool.ancestors(parent).len() > 1 {
                return Err(Reject::Truc);
            }
            let truc = pool.get(parent).is_some_and(|parent| is_truc(&parent.tx));
            (*parent, truc, pool.descendants(parent).len() > 1)
        }
        (None, Some((parent, tx))) => (*parent, is_truc(tx), false),
        (None, None) => return Ok(()),
    };
    let related = others.iter().any(|(_, tx)| spends(tx, &parent) || spends(tx, &txid));
    if entry.vsize() > CHILD_MAX_VSIZE || !parent_truc || parent_has_child || related {
        return Err(Reject::Truc);
    }
    Ok(())
}
