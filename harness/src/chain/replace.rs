//! What has to leave the mempool for newcomers that conflict with it, and whether they pay enough for that: Core 31's
//! replacement rules (full RBF), for one transaction and for a parent with its child; and the limits of a cluster.
use std::collections::BTreeSet;

use bitcoin::{Amount, Txid};

use super::cluster::{chunks, improves};
use super::mempool::{Entry, Mempool};
use super::policy;
use super::reject::{PackageRbf, Reject};

const MAX_REPLACED_CLUSTERS: usize = 100;
const MAX_CLUSTER_COUNT: usize = 64;
const MAX_CLUSTER_WEIGHT: u64 = 101_000 * 4;

/// One transaction. Returns all that would leave. `sibling`: one of the conflicts is only a sibling to be evicted.
pub fn check_alone(
    entry: &Entry,
    pool: &Mempool,
    conflicts: &BTreeSet<Txid>,
    sibling: bool,
) -> Result<BTreeSet<Txid>, Reject> {
    if conflicts.is_empty() {
        return Ok(BTreeSet::new());
    }
    if replaces_too_many(pool, conflicts) {
        return Err(if sibling { Reject::TooManyReplacementsSibling } else { Reject::TooManyReplacements });
    }
    let evicted = with_descendants(pool, conflicts);
    if !pays(pool, &evicted, entry.fee, entry.vsize()) {
        return Err(if sibling { Reject::InsufficientFeeSibling } else { Reject::InsufficientFee });
    }
    check_cluster_limits(&[entry], pool, &evicted)?;
    if improves_order(&[entry], pool, &evicted) {
        Ok(evicted)
    } else {
        Err(Reject::ReplacementFailed)
    }
}

/// A package, parents first. Returns all that would leave.
pub fn check_package(
    package: &[&Entry],
    pool: &Mempool,
    conflicts: &BTreeSet<Txid>,
) -> Result<BTreeSet<Txid>, Reject> {
    let [parent, child] = package else { return Err(Reject::PackageRbf(PackageRbf::Shape)) };
    if package.iter().any(|entry| !pool.parents(&entry.tx).is_empty()) {
        return Err(Reject::PackageRbf(PackageRbf::Ancestors));
    }
    if replaces_too_many(pool, conflicts) {
        return Err(Reject::PackageRbf(PackageRbf::TooMany));
    }
    let evicted = with_descendants(pool, conflicts);
    let (fee, vsize) = (parent.fee + child.fee, parent.vsize() + child.vsize());
    if !pays(pool, &evicted, fee, vsize) {
        return Err(Reject::PackageRbf(PackageRbf::InsufficientFees));
    }
    let together = u128::from(fee.to_sat()) * u128::from(parent.vsize());
    if together <= u128::from(parent.fee.to_sat()) * u128::from(vsize) {
        return Err(Reject::PackageRbf(PackageRbf::ParentFeerate));
    }
    check_cluster_limits(package, pool, &evicted)?;
    if improves_order(package, pool, &evicted) {
        Ok(evicted)
    } else {
        Err(Reject::PackageRbf(PackageRbf::Diagram))
    }
}

/// Newcomers that are all connected with each other: would their cluster become too large?
pub fn check_cluster_limits(
    newcomers: &[&Entry],
    pool: &Mempool,
    evicted: &BTreeSet<Txid>,
) -> Result<(), Reject> {
    let parents = newcomers.iter().flat_map(|entry| pool.parents(&entry.tx));
    let cluster = pool.cluster(parents.filter(|parent| !evicted.contains(parent)), evicted);
    let members = cluster.iter().filter_map(|txid| pool.get(txid)).chain(newcomers.iter().copied());
    let weight: u64 = members.map(|member| member.weight).sum();
    if cluster.len() + newcomers.len() > MAX_CLUSTER_COUNT || weight > MAX_CLUSTER_WEIGHT {
        return Err(Reject::TooLargeCluster);
    }
    Ok(())
}

fn replaces_too_many(pool: &Mempool, conflicts: &BTreeSet<Txid>) -> bool {
    let none = BTreeSet::new();
    let clusters: BTreeSet<BTreeSet<Txid>> =
        conflicts.iter().map(|conflict| pool.cluster([*conflict], &none)).collect();
    clusters.len() > MAX_REPLACED_CLUSTERS
}

fn with_descendants(pool: &Mempool, conflicts: &BTreeSet<Txid>) -> BTreeSet<Txid> {
    conflicts.iter().flat_map(|conflict| pool.descendants(conflict)).collect()
}

/// All that leaves is paid for, and the newcomers' own relay (BIP 125 rules 3 and 4).
fn pays(pool: &Mempool, evicted: &BTreeSet<Txid>, fee: Amount, vsize: u64) -> bool {
    let replaced: Amount = evicted.iter().filter_map(|txid| pool.get(txid)).map(|gone| gone.fee).sum();
    let bandwidth = policy::fee_at(policy::INCREMENTAL_RELAY_FEE, vsize);
    fee.checked_sub(replaced).is_some_and(|added| added >= bandwidth)
}

/// The best order to mine in gets better everywhere.
fn improves_order(newcomers: &[&Entry], pool: &Mempool, evicted: &BTreeSet<Txid>) -> bool {
    let parents: BTreeSet<Txid> = newcomers.iter().flat_map(|entry| pool.parents(&entry.tx)).collect();
    let before = pool.cluster(parents.iter().chain(evicted).copied(), &BTreeSet::new());
    let after: BTreeSet<Txid> = before.difference(evicted).copied().collect();
    improves(&chunks(&pool.graph(&after, newcomers)), &chunks(&pool.graph(&before, &[])))
}
