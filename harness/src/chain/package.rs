//! Transactions that come together, as Core 31's `submitpackage` takes them: a child with its parents, parents first, where
//! the child may pay for parents that are too cheap alone. Each is tried alone before; those in the mempool are passed over.
use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{OutPoint, Transaction, Txid};

use super::accept::{self, Candidate, Fees, ScriptMemo};
use super::ledger::Ledger;
use super::mempool::{Entry, Made, Mempool};
use super::reject::Reject;
use super::{policy, replace, room, truc};

const MAX_COUNT: usize = 25;
const MAX_WEIGHT: u64 = 404_000;

/// Why a package is refused.
enum Fault {
    /// As a whole: no transaction of it is to blame.
    Whole(Reject),
    /// For this member.
    Member(usize, Reject),
}

/// Puts what it can of a package into the mempool; the verdict for each. A member that came in only to be put out again for
/// want of room is refused.
pub fn submit(
    package: &[Transaction],
    ledger: &Ledger,
    pool: &mut Mempool,
    memo: &mut ScriptMemo,
) -> Vec<Result<Txid, Reject>> {
    if let Err(reject) = check_form(package) {
        return vec![Err(reject); package.len()];
    }
    let mut verdicts: Vec<Result<Txid, Reject>> =
        package.iter().map(|tx| submit_alone(tx, ledger, pool, memo)).collect();
    let hopeless = |verdict: &Result<Txid, Reject>| {
        verdict.as_ref().is_err_and(|reject| !reject.may_pass_in_package() && !reject.is_there())
    };
    let open: Vec<usize> = (0..package.len())
        .filter(|index| verdicts[*index].as_ref().is_err_and(Reject::may_pass_in_package))
        .collect();
    let mut whole = None;
    if package.len() > 1 && !open.is_empty() && !verdicts.iter().any(hopeless) {
        let members: Vec<&Transaction> = open.iter().map(|index| &package[*index]).collect();
        match submit_together(&members, ledger, pool, memo) {
            Ok(txids) => open.iter().zip(txids).for_each(|(index, txid)| verdicts[*index] = Ok(txid)),
            Err(Fault::Member(member, reject)) => verdicts[open[member]] = Err(reject),
            Err(Fault::Whole(reject)) => whole = Some(reject),
        }
    }
    room::trim(pool);
    let mut put_out = false;
    for (tx, verdict) in package.iter().zip(&mut verdicts) {
        let came_in = verdict.as_ref().map_or_else(Reject::is_there, |_| true);
        if came_in && pool.get(&tx.compute_txid()).is_none() {
            *verdict = Err(Reject::MempoolFull);
            put_out = true;
        }
    }
    if let Some(reject) = whole.filter(|_| !put_out) {
        open.iter().for_each(|index| verdicts[*index] = Err(reject));
    }
    verdicts
}

/// What can be said without the chain: first what Core's RPC asks for, then Core's own rules.
fn check_form(package: &[Transaction]) -> Result<(), Reject> {
    if package.len() > MAX_COUNT {
        return Err(Reject::PackageTooMany);
    }
    let txids: Vec<Txid> = package.iter().map(Transaction::compute_txid).collect();
    let (Some((child, parents)), [parent_ids @ .., _]) = (package.split_last(), txids.as_slice()) else {
        return Ok(());
    };
    let spends =
        |tx: &Transaction, txid: &Txid| tx.input.iter().any(|input| input.previous_output.txid == *txid);
    let all_parents = parent_ids.iter().all(|txid| spends(child, txid));
    let related = parents.iter().any(|tx| parent_ids.iter().any(|txid| spends(tx, txid)));
    if !all_parents || related {
        return Err(Reject::PackageShape);
    }
    let weight: u64 = package.iter().map(|tx| tx.weight().to_wu()).sum();
    if !parents.is_empty() && weight > MAX_WEIGHT {
        return Err(Reject::PackageTooLarge);
    }
    if txids.iter().collect::<BTreeSet<_>>().len() < txids.len() {
        return Err(Reject::PackageDuplicates);
    }
    let mut seen: BTreeSet<OutPoint> = BTreeSet::new();
    for tx in package {
        // Twice in one transaction is that transaction's own fault.
        let spent: BTreeSet<OutPoint> = tx.input.iter().map(|input| input.previous_output).collect();
        if spent.is_empty() || !seen.is_disjoint(&spent) {
            return Err(Reject::PackageConflict);
        }
        seen.extend(spent);
    }
    Ok(())
}

/// As if it came by itself, except that room is only made at the end of the package.
fn submit_alone(
    tx: &Transaction,
    ledger: &Ledger,
    pool: &mut Mempool,
    memo: &mut ScriptMemo,
) -> Result<Txid, Reject> {
    let (txid, wtxid) = (tx.compute_txid(), tx.compute_wtxid());
    accept::check_new(pool, &txid, &wtxid)?;
    Ok(accept::judge(tx, ledger, pool, memo, Fees::Own)?.apply(pool))
}

/// All of them or none, parents first.
fn submit_together(
    members: &[&Transaction],
    ledger: &Ledger,
    pool: &mut Mempool,
    memo: &mut ScriptMemo,
) -> Result<Vec<Txid>, Fault> {
    if let [tx] = members {
        return match submit_alone(tx, ledger, pool, memo) {
            Ok(txid) => Ok(vec![txid]),
            Err(reject) => Err(Fault::Member(0, reject)),
        };
    }
    let candidates = candidates(members, ledger, pool)?;
    let entries: Vec<&Entry> = candidates.iter().map(|candidate| &candidate.entry).collect();
    for entry in &entries {
        truc::check_in_package(entry, &entries, pool).map_err(Fault::Whole)?;
    }
    let last = members.len() - 1;
    let (fee, vsize) = entries
        .iter()
        .fold((bitcoin::Amount::ZERO, 0), |(fee, vsize), entry| (fee + entry.fee, vsize + entry.vsize()));
    policy::check_feerate(fee, vsize, pool.floor.rate()).map_err(|reject| Fault::Member(last, reject))?;
    let conflicts: BTreeSet<Txid> =
        candidates.iter().flat_map(|candidate| candidate.conflicts.iter().copied()).collect();
    let evicted = if conflicts.is_empty() {
        BTreeSet::new()
    } else {
        replace::check_package(&entries, pool, &conflicts).map_err(Fault::Whole)?
    };
    replace::check_cluster_limits(&entries, pool, &evicted).map_err(Fault::Whole)?;
    let by_id: BTreeMap<Txid, &Transaction> = members.iter().map(|tx| (tx.compute_txid(), *tx)).collect();
    for (index, tx) in members.iter().enumerate() {
        accept::check_parents_dust_spent(tx, &by_id, pool).map_err(|reject| Fault::Member(index, reject))?;
    }
    for (index, candidate) in candidates.iter().enumerate() {
        candidate.check_scripts(memo).map_err(|reject| Fault::Member(index, reject))?;
    }
    evicted.iter().for_each(|txid| pool.remove(txid));
    Ok(candidates.into_iter().map(|candidate| candidate.enter(pool)).collect())
}

/// Each by itself, with the outputs of those before it, and without asking for a fee.
fn candidates(members: &[&Transaction], ledger: &Ledger, pool: &Mempool) -> Result<Vec<Candidate>, Fault> {
    let mut made = Made::new();
    let mut candidates = Vec::with_capacity(members.len());
    for (index, tx) in members.iter().enumerate() {
        let candidate = accept::check(tx, ledger, pool, &made, Fees::OfPackage);
        candidates.push(candidate.map_err(|reject| Fault::Member(index, reject))?);
        let txid = tx.compute_txid();
        made.extend((0u32..).zip(&tx.output).map(|(vout, out)| (OutPoint { txid, vout }, out.clone())));
    }
    Ok(candidates)
}
