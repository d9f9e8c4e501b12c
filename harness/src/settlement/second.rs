//! The second opinion: the same account from another source than the blocks in the harness's hands. An index (electrs, in the live
//! world) is asked which transactions touch the parties' scripts, then which touch the outputs of those, and so on; out of that
//! alone the settlement is read again, and must be the same. It asks no node, and believes no index that cannot prove a place.
use super::{grouped, OnChain, PaymentLine, Settlement};
use crate::names::Names;
use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::hashes::Hash;
use bitcoin::pow::CompactTarget;
use bitcoin::{Block, BlockHash, OutPoint, ScriptBuf, Transaction, TxMerkleNode, Txid};
use leyden_core::node::NewBlock;
use leyden_core::units::{BlockHeight, Sat};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::Arc;

/// A transaction in a block, by an index.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Mined {
    /// Its block's height.
    pub height: u32,
    /// Which transaction.
    pub txid: Txid,
}

/// Somebody who knows transactions by the scripts that they touch.
pub trait Index {
    /// Why it gave no answer.
    type Error: Error;

    /// For each script, the transactions in blocks that pay it or spend what was paid to it.
    fn histories(&mut self, scripts: &[ScriptBuf]) -> Result<Vec<Vec<Mined>>, Self::Error>;

    /// The transactions with these ids, in this order.
    fn transactions(&mut self, txids: &[Txid]) -> Result<Vec<Transaction>, Self::Error>;

    /// For each, its place in its block, the coinbase's being 0; proven.
    fn places(&mut self, mined: &[Mined]) -> Result<Vec<usize>, Self::Error>;
}

/// The account as the index has it. From `names` only the parties and their wallets' scripts are taken.
///
/// # Errors
/// The index's own.
pub fn read_from<I: Index>(
    index: &mut I,
    names: &Names,
    payments: Vec<PaymentLine>,
) -> Result<Settlement, I::Error> {
    let mut names = names.forgetful();
    let gathered = Gathering::all(index, &names)?;
    let blocks = gathered.blocks(index)?;
    Ok(Settlement::read(&blocks, &mut names, payments))
}

/// What the index has told so far.
struct Gathering {
    wallets: BTreeSet<ScriptBuf>,
    asked: BTreeSet<ScriptBuf>,
    found: BTreeMap<Txid, (u32, Transaction)>,
}

impl Gathering {
    fn all<I: Index>(index: &mut I, names: &Names) -> Result<Self, I::Error> {
        let wallets: BTreeSet<ScriptBuf> = names.scripts().cloned().collect();
        let mut gathering = Self { wallets, asked: BTreeSet::new(), found: BTreeMap::new() };
        let mut wanted: Vec<ScriptBuf> = gathering.wallets.iter().cloned().collect();
        while !wanted.is_empty() {
            gathering.ask(index, wanted)?;
            wanted = gathering.further();
        }
        gathering.add_strangers(index)?;
        Ok(gathering)
    }

    fn ask<I: Index>(&mut self, index: &mut I, scripts: Vec<ScriptBuf>) -> Result<(), I::Error> {
        let histories = index.histories(&scripts)?;
        self.asked.extend(scripts);
        let new = histories.into_iter().flatten().filter(|mined| !self.found.contains_key(&mined.txid));
        let new: BTreeMap<Txid, u32> = new.map(|mined| (mined.txid, mined.height)).collect();
        self.add(index, new)
    }

    fn add<I: Index>(&mut self, index: &mut I, new: BTreeMap<Txid, u32>) -> Result<(), I::Error> {
        let txids: Vec<Txid> = new.keys().copied().collect();
        let transactions = index.transactions(&txids)?;
        self.found.extend(new.into_iter().zip(transactions).map(|((txid, height), tx)| (txid, (height, tx))));
        Ok(())
    }

    /// The scripts that hang on the parties' coins and were not asked for yet.
    fn further(&self) -> Vec<ScriptBuf> {
        let ours = self.spending_ours();
        let outputs = ours.iter().filter_map(|txid| self.found.get(txid)).flat_map(|(_, tx)| &tx.output);
        let scripts: BTreeSet<&ScriptBuf> = outputs.map(|output| &output.script_pubkey).collect();
        let new =
            scripts.into_iter().filter(|script| !self.asked.contains(*script) && !script.is_op_return());
        new.cloned().collect()
    }

    /// The transactions that spend a wallet's coin, or an output of such a transaction.
    fn spending_ours(&self) -> BTreeSet<Txid> {
        let mut ours: BTreeSet<Txid> = BTreeSet::new();
        loop {
            let new = self.found.iter().filter(|(txid, (_, tx))| {
                !ours.contains(*txid)
                    && tx.input.iter().any(|input| {
                        let spent = &input.previous_output;
                        ours.contains(&spent.txid) || self.in_wallet(spent)
                    })
            });
            let new: Vec<Txid> = new.map(|(txid, _)| *txid).collect();
            if new.is_empty() {
                return ours;
            }
            ours.extend(new);
        }
    }

    fn in_wallet(&self, outpoint: &OutPoint) -> bool {
        let paid = self.found.get(&outpoint.txid);
        let output = paid.and_then(|(_, tx)| tx.output.get(outpoint.vout as usize));
        output.is_some_and(|output| self.wallets.contains(&output.script_pubkey))
    }

    /// What parties' transactions spend beside the parties' coins: the fee cannot be told without it.
    fn add_strangers<I: Index>(&mut self, index: &mut I) -> Result<(), I::Error> {
        let ours = self.spending_ours();
        let inputs = ours.iter().filter_map(|txid| self.found.get(txid)).flat_map(|(_, tx)| &tx.input);
        let spent = inputs.map(|input| input.previous_output);
        let strange: BTreeSet<OutPoint> =
            spent.filter(|outpoint| !self.found.contains_key(&outpoint.txid)).collect();
        let txids: Vec<Txid> = strange.iter().map(|outpoint| outpoint.txid).collect();
        let parents = index.transactions(&txids)?;
        let paid = strange.iter().zip(&parents).filter_map(|(outpoint, parent)| {
            let output = parent.output.get(outpoint.vout as usize)?;
            Some((outpoint.txid, output.script_pubkey.clone()))
        });
        let (txids, scripts): (Vec<Txid>, Vec<ScriptBuf>) = paid.unzip();
        let histories = index.histories(&scripts)?;
        let mined = txids.iter().zip(histories).filter_map(|(txid, history)| {
            history.iter().find(|mined| mined.txid == *txid).map(|mined| (*txid, mined.height))
        });
        self.add(index, mined.collect())
    }

    /// The part of each block that was found, in its order. The other transactions are not there; a block starts with one that
    /// spends and pays nothing, where its coinbase is not among them.
    fn blocks<I: Index>(self, index: &mut I) -> Result<Vec<Arc<NewBlock>>, I::Error> {
        let mined: Vec<Mined> =
            self.found.iter().map(|(txid, (height, _))| Mined { height: *height, txid: *txid }).collect();
        let places = index.places(&mined)?;
        let mut blocks: BTreeMap<u32, BTreeMap<usize, Transaction>> = BTreeMap::new();
        for ((height, tx), place) in self.found.into_values().zip(places) {
            blocks.entry(height).or_default().insert(place, tx);
        }
        Ok(blocks
            .into_iter()
            .map(|(height, transactions)| Arc::new(part_of_block(height, transactions)))
            .collect())
    }
}

fn part_of_block(height: u32, mut transactions: BTreeMap<usize, Transaction>) -> NewBlock {
    transactions.entry(0).or_insert_with(|| Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: Vec::new(),
        output: Vec::new(),
    });
    let header = Header {
        version: Version::TWO,
        prev_blockhash: BlockHash::all_zeros(),
        merkle_root: TxMerkleNode::all_zeros(),
        time: 0,
        bits: CompactTarget::from_consensus(0),
        nonce: 0,
    };
    let block = Block { header, txdata: transactions.into_values().collect() };
    NewBlock { height: BlockHeight::new(height), hash: header.block_hash(), block }
}

/// The first thing in which two accounts differ, in words.
pub fn difference(by_blocks: &Settlement, by_index: &Settlement) -> Option<String> {
    if by_blocks == by_index {
        return None;
    }
    let parties = by_blocks.parties.iter().zip(&by_index.parties);
    let wealth = parties.filter(|(ours, theirs)| ours != theirs).map(|(ours, theirs)| {
        let differing = [
            ("starts with", ours.start, theirs.start),
            ("ends with", ours.end, theirs.end),
            ("paid fees of", ours.fees, theirs.fees),
        ];
        let found = differing.into_iter().find(|(_, ours, theirs)| ours != theirs);
        found.map_or_else(
            || format!("the parties are {} and {}", ours.name, theirs.name),
            |(verb, by_blocks, by_index)| {
                let (by_blocks, by_index) = (sat(by_blocks), sat(by_index));
                format!("{} {verb} {by_blocks} by the blocks and {by_index} by the index", ours.name)
            },
        )
    });
    let mut words: Vec<String> = wealth.collect();
    words.extend(transactions_differ(by_blocks, by_index));
    if words.is_empty() {
        let table = (by_blocks.to_string(), by_index.to_string());
        let lines = table.0.lines().zip(table.1.lines()).find(|(ours, theirs)| ours != theirs);
        let (ours, theirs) = lines.unwrap_or(("what is left over", "something else"));
        words.push(format!("{ours:?} by the blocks is {theirs:?} by the index"));
    }
    Some(words.join("; "))
}

fn transactions_differ(by_blocks: &Settlement, by_index: &Settlement) -> Option<String> {
    let find = |settlement: &Settlement, txid: Txid| -> Option<OnChain> {
        settlement.transactions.iter().find(|line| line.tx.compute_txid() == txid).cloned()
    };
    for ours in &by_blocks.transactions {
        let Some(theirs) = find(by_index, ours.tx.compute_txid()) else {
            return Some(format!("{} is in a block and not in the index", ours.label));
        };
        if ours.height != theirs.height {
            return Some(format!(
                "{} is in block {}, by the index in {}",
                ours.label, ours.height, theirs.height
            ));
        }
        let outputs = ours.outputs.iter().zip(&theirs.outputs).zip(0..);
        for ((one, other), vout) in outputs {
            let by = |settlement: &Settlement, place: Option<usize>| {
                place.and_then(|place| settlement.transactions.get(place)).map(|line| line.tx.compute_txid())
            };
            if by(by_blocks, one.spent_by) != by(by_index, other.spent_by) || one.amount != other.amount {
                let spender = |settlement: &Settlement, place: Option<usize>| {
                    let line = place.and_then(|place| settlement.transactions.get(place));
                    line.map_or_else(|| "nobody".to_owned(), |line| line.label.clone())
                };
                return Some(format!(
                    "output {vout} of {} ({}, {}) is spent by {}; by the index it is {}, spent by {}",
                    ours.label,
                    one.what,
                    sat(one.amount),
                    spender(by_blocks, one.spent_by),
                    sat(other.amount),
                    spender(by_index, other.spent_by),
                ));
            }
        }
        if *ours != theirs {
            return Some(format!("{} is read otherwise from the index ({})", ours.label, theirs.label));
        }
    }
    let extra = by_index.transactions.iter().find(|line| find(by_blocks, line.tx.compute_txid()).is_none());
    extra.map(|line| format!("{} is in the index and in no block", line.label))
}

fn sat(amount: Sat) -> String {
    format!("{} sat", grouped(amount.get()))
}
