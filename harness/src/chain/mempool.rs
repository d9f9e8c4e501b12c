//! The unconfirmed transactions and their graph. Holds and finds; what may enter is decided in `accept` and `package`, what
//! must leave for want of room in `room`.
use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{Amount, BlockHash, OutPoint, Transaction, TxOut, Txid, Wtxid};

use super::cluster::Node;
use super::coins::{Coin, CoinView};
use super::consensus::{Clock, LockPoint};
use super::ledger::Ledger;
use super::room::{self, Floor, Slots};

/// An unconfirmed transaction.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The transaction.
    pub tx: Transaction,
    /// Its id with witness.
    pub wtxid: Wtxid,
    /// What it pays.
    pub fee: Amount,
    /// Its weight, raised to 20 vbytes for each signature operation if those are more.
    pub weight: u64,
    /// Its relative locks when it came in.
    pub locks: LockPoint,
    /// The block that `locks` hangs on.
    pub locks_block: Option<BlockHash>,
}

impl Entry {
    /// Virtual bytes, rounded up.
    pub fn vsize(&self) -> u64 {
        self.weight.div_ceil(4)
    }
}

/// The mempool.
#[derive(Clone, Default, Debug)]
pub struct Mempool {
    entries: BTreeMap<Txid, Entry>,
    spenders: BTreeMap<OutPoint, Txid>,
    /// Bytes that Core would count for the transactions themselves.
    bytes: u64,
    slots: Slots,
    /// What a newcomer pays at least.
    pub floor: Floor,
}

impl Mempool {
    /// The entry of a transaction.
    pub fn get(&self, txid: &Txid) -> Option<&Entry> {
        self.entries.get(txid)
    }

    /// Ids of all, in no meaningful order.
    pub fn txids(&self) -> Vec<Txid> {
        self.entries.keys().copied().collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes that Core would count for it, the graph apart.
    pub fn flat_bytes(&self) -> u64 {
        room::flat_bytes(self.entries.len(), self.spenders.len(), &self.slots) + self.bytes
    }

    /// All transactions with their ids.
    pub fn transactions(&self) -> impl Iterator<Item = (Txid, &Transaction)> {
        self.entries.iter().map(|(txid, entry)| (*txid, &entry.tx))
    }

    /// Who spends an output here.
    pub fn spender(&self, outpoint: &OutPoint) -> Option<Txid> {
        self.spenders.get(outpoint).copied()
    }

    /// Puts one in. What it conflicts with must be out.
    pub fn insert(&mut self, txid: Txid, entry: Entry) {
        for input in &entry.tx.input {
            self.spenders.insert(input.previous_output, txid);
        }
        self.bytes += room::transaction_bytes(&entry.tx);
        self.slots.taken(self.entries.len());
        self.entries.insert(txid, entry);
    }

    /// Notes a transaction's relative locks anew.
    pub fn relock(&mut self, txid: &Txid, locks: LockPoint, locks_block: Option<BlockHash>) {
        if let Some(entry) = self.entries.get_mut(txid) {
            entry.locks = locks;
            entry.locks_block = locks_block;
        }
    }

    /// Takes one out; its children stay.
    pub fn remove(&mut self, txid: &Txid) {
        if let Some(entry) = self.entries.remove(txid) {
            self.bytes -= room::transaction_bytes(&entry.tx);
            self.slots.freed(self.entries.len());
            for input in &entry.tx.input {
                if self.spenders.get(&input.previous_output) == Some(txid) {
                    self.spenders.remove(&input.previous_output);
                }
            }
        }
    }

    /// Takes one and all that hangs on it out. Works too when the transaction itself is not here.
    pub fn remove_with_descendants(&mut self, tx: &Transaction) {
        let txid = tx.compute_txid();
        let mut doomed = BTreeSet::from([txid]);
        for vout in 0..tx.output.len() as u32 {
            if let Some(child) = self.spender(&OutPoint { txid, vout }) {
                doomed.extend(self.descendants(&child));
            }
        }
        for txid in doomed {
            self.remove(&txid);
        }
    }

    /// Unconfirmed transactions whose outputs this one spends.
    pub fn parents(&self, tx: &Transaction) -> BTreeSet<Txid> {
        tx.input
            .iter()
            .map(|input| input.previous_output.txid)
            .filter(|txid| self.entries.contains_key(txid))
            .collect()
    }

    /// Unconfirmed transactions that spend this one's outputs.
    pub fn children(&self, txid: &Txid) -> BTreeSet<Txid> {
        let outputs = self.get(txid).map_or(0, |entry| entry.tx.output.len() as u32);
        (0..outputs).filter_map(|vout| self.spender(&OutPoint { txid: *txid, vout })).collect()
    }

    /// Itself and everything that it builds on.
    pub fn ancestors(&self, txid: &Txid) -> BTreeSet<Txid> {
        self.reach([*txid], |txid| self.get(txid).map(|entry| self.parents(&entry.tx)).unwrap_or_default())
    }

    /// Itself and everything that builds on it.
    pub fn descendants(&self, txid: &Txid) -> BTreeSet<Txid> {
        self.reach([*txid], |txid| self.children(txid))
    }

    /// Everything connected with any of `start`, without going through `removed`.
    pub fn cluster(&self, start: impl IntoIterator<Item = Txid>, removed: &BTreeSet<Txid>) -> BTreeSet<Txid> {
        self.reach(start, |txid| {
            let mut next = self.children(txid);
            next.extend(self.get(txid).map(|entry| self.parents(&entry.tx)).unwrap_or_default());
            next.retain(|txid| !removed.contains(txid));
            next
        })
    }

    fn reach(
        &self,
        start: impl IntoIterator<Item = Txid>,
        next: impl Fn(&Txid) -> BTreeSet<Txid>,
    ) -> BTreeSet<Txid> {
        let mut queue: Vec<Txid> = start.into_iter().collect();
        let mut seen: BTreeSet<Txid> = queue.iter().copied().collect();
        while let Some(txid) = queue.pop() {
            queue.extend(next(&txid).into_iter().filter(|txid| seen.insert(*txid)));
        }
        seen
    }

    /// These transactions as a graph for `cluster`, with `extra` (parents first) at the end.
    pub fn graph(&self, txids: &BTreeSet<Txid>, extra: &[&Entry]) -> Vec<Node> {
        let order: Vec<&Txid> = txids.iter().collect();
        let extra_ids: Vec<Txid> = extra.iter().map(|entry| entry.tx.compute_txid()).collect();
        let entries = order.iter().filter_map(|txid| self.get(txid)).chain(extra.iter().copied());
        let place = |txid: &Txid| match order.binary_search(&txid) {
            Ok(index) => Some(index),
            Err(_) => extra_ids.iter().position(|id| id == txid).map(|index| order.len() + index),
        };
        entries
            .map(|entry| {
                let parents: BTreeSet<Txid> =
                    entry.tx.input.iter().map(|input| input.previous_output.txid).collect();
                Node {
                    fee: entry.fee.to_sat() as i64,
                    size: entry.weight as i64,
                    parents: parents.iter().filter_map(place).collect(),
                }
            })
            .collect()
    }
}

/// Outputs of transactions that come in together.
pub type Made = BTreeMap<OutPoint, TxOut>;

/// Confirmed coins and the outputs of the mempool, whether or not the mempool spends them.
pub struct PoolView<'a> {
    /// The confirmed chain.
    pub ledger: &'a Ledger,
    /// The mempool over it.
    pub pool: &'a Mempool,
    /// What a package brings along.
    pub made: &'a Made,
}

impl CoinView for PoolView<'_> {
    fn coin(&self, outpoint: &OutPoint) -> Option<Coin> {
        let unconfirmed = |out: TxOut| Coin { out, height: self.ledger.next_height(), coinbase: false };
        if let Some(out) = self.made.get(outpoint) {
            return Some(unconfirmed(out.clone()));
        }
        if let Some(entry) = self.pool.get(&outpoint.txid) {
            return entry.tx.output.get(outpoint.vout as usize).cloned().map(unconfirmed);
        }
        self.ledger.coin(outpoint)
    }
}
