//! What a block gets when the mempool holds more than fits: the dearest chunks first, as a miner who wants fees does it. While all
//! fits, nothing is chosen and the order stays.
use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{Amount, Transaction, Txid};

use super::cluster::{chunked, Chunk, Node};

/// A transaction and what it pays.
pub struct Priced {
    /// Its id.
    pub txid: Txid,
    /// Itself.
    pub tx: Transaction,
    /// Its fee.
    pub fee: Amount,
}

/// Those that fit into `room` weight units, in the order given (parents first). With a parent left out, its children are.
pub fn choose(priced: Vec<Priced>, room: u64) -> Vec<Priced> {
    let total: u64 = priced.iter().map(|priced| priced.tx.weight().to_wu()).sum();
    if total <= room {
        return priced;
    }
    let graph = graph(&priced);
    let mut chunks: Vec<(Chunk, Vec<usize>)> = components(&graph)
        .into_iter()
        .flat_map(|members| {
            let nodes: Vec<Node> = members.iter().map(|index| within(&graph[*index], &members)).collect();
            let found = chunked(&nodes).into_iter();
            found.map(move |(chunk, inner)| (chunk, inner.iter().map(|index| members[*index]).collect()))
        })
        .collect();
    // Stable: equals stay in the order given.
    chunks.sort_by(|(a, _), (b, _)| b.cmp_feerate(a));
    let mut chosen: BTreeSet<usize> = BTreeSet::new();
    let mut left = room;
    for (chunk, members) in chunks {
        let orphan = |index: &usize| {
            graph[*index].parents.iter().any(|parent| !members.contains(parent) && !chosen.contains(parent))
        };
        let rest = left.checked_sub(chunk.size as u64).filter(|_| !members.iter().any(orphan));
        if let Some(rest) = rest {
            left = rest;
            chosen.extend(members);
        }
    }
    (0..).zip(priced).filter(|(index, _)| chosen.contains(index)).map(|(_, priced)| priced).collect()
}

fn graph(priced: &[Priced]) -> Vec<Node> {
    let places: BTreeMap<Txid, usize> = priced.iter().map(|priced| priced.txid).zip(0..).collect();
    let node = |Priced { tx, fee, .. }: &Priced| {
        let parents: BTreeSet<usize> =
            tx.input.iter().filter_map(|input| places.get(&input.previous_output.txid).copied()).collect();
        Node {
            fee: fee.to_sat() as i64,
            size: tx.weight().to_wu() as i64,
            parents: parents.into_iter().collect(),
        }
    };
    priced.iter().map(node).collect()
}

/// Sets of connected transactions, each in the order given.
fn components(graph: &[Node]) -> Vec<Vec<usize>> {
    let mut of: Vec<usize> = (0..graph.len()).collect();
    for (index, node) in graph.iter().enumerate() {
        for parent in &node.parents {
            let (from, to) = (of[*parent], of[index]);
            of.iter_mut().filter(|component| **component == from).for_each(|component| *component = to);
        }
    }
    let mut sets: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    of.iter().enumerate().for_each(|(index, component)| sets.entry(*component).or_default().push(index));
    sets.into_values().collect()
}

/// The node with its parents' positions among `members`.
fn within(node: &Node, members: &[usize]) -> Node {
    let parents = node.parents.iter().filter_map(|parent| members.binary_search(parent).ok()).collect();
    Node { parents, ..*node }
}
