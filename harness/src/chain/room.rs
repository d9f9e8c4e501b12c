//! How much room the mempool has: what Core 31 counts its memory to (`CTxMemPool::DynamicMemoryUsage`), which chunk leaves
//! when that is over the limit (`TrimToSize`), and the floor under the feerates that follows from it (`GetMinFee`).
//! Bytes are counted as Core counts them on a 64-bit machine, so that both backends are full at the same transaction.
use std::cmp::Ordering;
use std::collections::BTreeSet;

use bitcoin::{Transaction, Txid};

use super::cluster::{finest, Chunk};
use super::mempool::Mempool;
use super::policy::{INCREMENTAL_RELAY_FEE, MIN_RELAY_FEE};

/// Bytes that the mempool may take: Core runs with `-maxmempool=5`.
pub const MOST_BYTES: u64 = 5_000_000;

/// An entry, its places in three indexes, and its node in the graph.
const ENTRY: u64 = 224 + 64;
/// An input in the map of spenders.
const INPUT: u64 = 80;
/// A place in the list that Core shuffles for relay.
const SLOT: u64 = 40;
/// The transaction itself with its counter, without what it points to.
const TRANSACTION: u64 = 144 + 48;
/// Sizes of an input, of an output, and of a witness item's header.
const TX_IN: u64 = 104;
const TX_OUT: u64 = 48;
const WITNESS_ITEM: u64 = 24;
/// Scripts up to this length take no memory of their own.
const DIRECT_SCRIPT: usize = 36;
/// A chunk in the mining order.
const CHUNK: u64 = 64;
/// A cluster of one, a cluster of more, and what each transaction of the latter adds to its arrays.
const SINGLE: u64 = 72;
const CLUSTER: u64 = 136;
const MEMBER: [u64; 3] = [4, 4, 32];
/// More than the graph can take for each transaction: below this nothing has to be counted exactly.
const GRAPH_MOST: u64 = 600;

/// What an allocation of this size takes.
const fn allocated(size: u64) -> u64 {
    if size == 0 {
        0
    } else {
        ((size + 31) >> 4) << 4
    }
}

/// Bytes for one transaction and all that it points to.
pub fn transaction_bytes(tx: &Transaction) -> u64 {
    let script = |length: usize| if length > DIRECT_SCRIPT { allocated(length as u64) } else { 0 };
    let inputs: u64 = tx
        .input
        .iter()
        .map(|input| {
            let items: u64 = input.witness.iter().map(|item| allocated(item.len() as u64)).sum();
            script(input.script_sig.len()) + allocated(input.witness.len() as u64 * WITNESS_ITEM) + items
        })
        .sum();
    let outputs: u64 = tx.output.iter().map(|out| script(out.script_pubkey.len())).sum();
    let arrays = allocated(tx.input.len() as u64 * TX_IN) + allocated(tx.output.len() as u64 * TX_OUT);
    TRANSACTION + arrays + inputs + outputs
}

/// Bytes for everything but the transactions and their graph.
pub fn flat_bytes(entries: usize, inputs: usize, slots: &Slots) -> u64 {
    entries as u64 * ENTRY + inputs as u64 * INPUT + allocated(slots.capacity as u64 * SLOT)
}

/// The capacity of a list that doubles when it is full and shrinks when it is half empty: it depends on what was there.
#[derive(Clone, Copy, Default, Debug)]
pub struct Slots {
    capacity: usize,
}

impl Slots {
    /// One more comes to `count` that are there.
    pub fn taken(&mut self, count: usize) {
        if count == self.capacity {
            self.capacity = (self.capacity * 2).max(1);
        }
    }

    /// One has gone, `count` are left.
    pub fn freed(&mut self, count: usize) {
        if count > 0 && count * 2 < self.capacity {
            self.capacity = count;
        }
    }
}

/// The feerate below which nothing enters, because dearer transactions were put out for want of room.
///
/// Core halves it every 3 to 12 hours of its own clock, counted from the last block. That clock stands still (it is
/// mocked), so that the floor stays exactly where it is until the clock is moved on purpose.
#[derive(Clone, Copy, Default, Debug)]
pub struct Floor {
    /// Sat per 1000 vbytes; 0 if the mempool was never full.
    rate: u64,
    /// A block came since it last rose. Before, no time makes it fall.
    block_since: bool,
}

impl Floor {
    /// Sat per 1000 vbytes.
    pub fn rate(&self) -> u64 {
        self.rate
    }

    /// The same, or the relay minimum if that is more.
    pub fn or_relay_minimum(&self) -> u64 {
        self.rate.max(MIN_RELAY_FEE)
    }

    /// A block was connected.
    pub fn block(&mut self) {
        self.block_since = true;
    }

    /// So much time passes that nothing of it is left, if a block came since it last rose.
    pub fn fall(&mut self) {
        if self.block_since {
            self.rate = 0;
        }
    }

    fn raise(&mut self, evicted: Chunk) {
        let vsize = (evicted.size + 3) / 4;
        let rate = (evicted.fee * 1_000 / vsize.max(1)) as u64 + INCREMENTAL_RELAY_FEE;
        if rate > self.rate {
            *self = Floor { rate, block_since: false };
        }
    }
}

/// Puts out the worst chunk until the rest has room.
pub fn trim(pool: &mut Mempool) {
    while pool.flat_bytes() + pool.len() as u64 * GRAPH_MOST > MOST_BYTES {
        let graph = Graph::of(pool);
        if pool.flat_bytes() + graph.bytes <= MOST_BYTES {
            return;
        }
        let Some(worst) = graph.worst else { return };
        pool.floor.raise(worst.chunk);
        worst.members.iter().for_each(|txid| pool.remove(txid));
    }
}

/// Bytes that Core would count for the whole mempool.
pub fn bytes(pool: &Mempool) -> u64 {
    pool.flat_bytes() + Graph::of(pool).bytes
}

/// The clusters of a mempool, weighed.
#[derive(Default)]
struct Graph {
    bytes: u64,
    worst: Option<Last>,
}

impl Graph {
    fn of(pool: &Mempool) -> Graph {
        let none = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut graph = Graph::default();
        for txid in pool.txids() {
            if !seen.contains(&txid) {
                let cluster = pool.cluster([txid], &none);
                graph.add(pool, &cluster);
                seen.extend(cluster);
            }
        }
        graph
    }

    fn add(&mut self, pool: &Mempool, cluster: &BTreeSet<Txid>) {
        let chunks = finest(&pool.graph(cluster, &[]));
        let count = cluster.len() as u64;
        self.bytes += CHUNK * chunks.len() as u64;
        self.bytes += match count {
            1 => SINGLE,
            _ => CLUSTER + MEMBER.iter().map(|size| allocated(size * count)).sum::<u64>(),
        };
        let Some(last) = Last::of(&chunks, cluster) else { return };
        if self.worst.as_ref().is_none_or(|worst| last.is_worse_than(worst)) {
            self.worst = Some(last);
        }
    }
}

/// The last chunk of a cluster, the first of it to leave.
struct Last {
    chunk: Chunk,
    /// Weight of all of this feerate in the cluster: of equals the cluster with most of it loses first.
    equal_weight: i64,
    members: BTreeSet<Txid>,
}

impl Last {
    fn of(chunks: &[(Chunk, Vec<usize>)], cluster: &BTreeSet<Txid>) -> Option<Last> {
        let (chunk, members) = chunks.last()?;
        let equals = chunks.iter().filter(|(other, _)| other.cmp_feerate(chunk) == Ordering::Equal);
        let equal_weight = equals.map(|(other, _)| other.size).sum();
        let ids: Vec<&Txid> = cluster.iter().collect();
        let members = members.iter().filter_map(|index| ids.get(*index).copied().copied()).collect();
        Some(Last { chunk: *chunk, equal_weight, members })
    }

    fn is_worse_than(&self, other: &Last) -> bool {
        let order = other
            .chunk
            .cmp_feerate(&self.chunk)
            .then(self.equal_weight.cmp(&other.equal_weight))
            .then(self.members.last().cmp(&other.members.last()));
        order == Ordering::Greater
    }
}
