//! A miner with a taste: blocks of what pays enough, a child paying for its parents too. So a scenario shows whether fees rise
//! in time.
use super::Net;
use bitcoin::{Amount, Transaction, Txid};
use std::collections::{BTreeMap, BTreeSet};

/// What a waiting transaction brings.
struct Offer {
    fee: u64,
    weight: u64,
    parents: Vec<Txid>,
}

impl Net {
    /// Mines until it is so, and not longer than this many blocks: then it will never be.
    #[track_caller]
    pub fn mine_until(&mut self, most: u32, what: &str, mut is_so: impl FnMut(&mut Net) -> bool) {
        let mut blocks = 0;
        while !is_so(self) {
            if blocks == most {
                panic!("{what} was to be so within {most} blocks");
            }
            self.mine(1);
            blocks += 1;
        }
    }

    /// Mines this many blocks, each with what pays at least this feerate, in sat per 1000 weight: by itself, or together with
    /// the parents that wait with it.
    #[track_caller]
    pub fn mine_paying(&mut self, blocks: u32, sat_per_kw: u64) {
        for _ in 0..blocks {
            let wanted = self.paying(sat_per_kw);
            self.mine_chosen(1, &|tx| wanted.contains(&tx.compute_txid()));
        }
    }

    /// The transactions in the mempool that pay enough, and their parents.
    #[track_caller]
    fn paying(&mut self, sat_per_kw: u64) -> BTreeSet<Txid> {
        let waiting = self.mempool();
        let offers: BTreeMap<Txid, Offer> =
            waiting.iter().map(|tx| (tx.compute_txid(), self.offer(tx, &waiting))).collect();
        let mut wanted = BTreeSet::new();
        for txid in offers.keys() {
            let family = family(*txid, &offers);
            let new = family.iter().filter(|member| !wanted.contains(*member));
            let sum = |of: fn(&Offer) -> u64| new.clone().map(|member| of(&offers[member])).sum::<u64>();
            if sum(|offer| offer.fee) * 1000 >= sat_per_kw * sum(|offer| offer.weight) {
                wanted.extend(family);
            }
        }
        wanted
    }

    #[track_caller]
    fn offer(&mut self, tx: &Transaction, waiting: &[Transaction]) -> Offer {
        let mut parents = Vec::new();
        let mut brought = Amount::ZERO;
        for input in &tx.input {
            let from = input.previous_output;
            let parent = waiting.iter().find(|parent| parent.compute_txid() == from.txid);
            let value = match parent {
                Some(parent) => parent.output.get(from.vout as usize).map(|output| output.value),
                None => {
                    let unspent = self.chain().unspent(from);
                    self.need(unspent).map(|(output, _)| output.value)
                }
            };
            parents.extend(parent.map(|_| from.txid));
            brought += value.unwrap_or(Amount::ZERO);
        }
        let spent: Amount = tx.output.iter().map(|output| output.value).sum();
        let fee = brought.checked_sub(spent).unwrap_or(Amount::ZERO).to_sat();
        Offer { fee, weight: tx.weight().to_wu(), parents }
    }
}

/// The transaction and all that it builds on in the mempool.
fn family(txid: Txid, offers: &BTreeMap<Txid, Offer>) -> BTreeSet<Txid> {
    let mut found = BTreeSet::from([txid]);
    let mut open = vec![txid];
    while let Some(next) = open.pop() {
        let parents = offers.get(&next).map(|offer| offer.parents.clone()).unwrap_or_default();
        open.extend(parents.into_iter().filter(|parent| found.insert(*parent)));
    }
    found
}
