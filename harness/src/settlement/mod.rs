//! Who ends with what, computed from the blocks alone: every output of every transaction that concerns a party is followed
//! to its end, in a wallet, in a miner's pocket, or named as left over. What nodes say of themselves is not asked.

pub mod history;
mod links;
pub mod second;
mod table;
mod tree;

use crate::names::{Known, Names, What};
use bitcoin::{OutPoint, Transaction, TxOut};
use leyden_core::node::NewBlock;
use leyden_core::units::{Msat, Sat};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

pub use links::{Input, Output, Revenue};
pub use table::{grouped, msat};
pub use tree::{Tree, Visit};

/// One party's wealth.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct PartyLine {
    /// Its name.
    pub name: String,
    /// What came into its wallet from outside, that is from the miner.
    pub start: Sat,
    /// What its wallet can spend at the end.
    pub end: Sat,
    /// The miners' fees that it paid.
    pub fees: Sat,
}

/// One transaction on the chain that concerns a party.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OnChain {
    /// The seed's name, with its channel in front if there are several; `payment` for one that is no channel's.
    pub label: String,
    /// The seed's name alone.
    pub seed: String,
    /// The channel's name, if it is a channel's.
    pub channel: Option<String>,
    /// The BOLT's name.
    pub bolt: &'static str,
    /// The transaction.
    pub tx: Transaction,
    /// Its block.
    pub height: u32,
    /// The party that made it.
    pub by: usize,
    /// What the miner got.
    pub fee: Sat,
    /// The party whose money that was.
    pub payer: usize,
    /// The party that handed it to the chain first; nothing if only the miner or the scenario did.
    pub published: Option<usize>,
    /// What it spends, in its order.
    pub inputs: Vec<Input>,
    /// What it pays, in its order.
    pub outputs: Vec<Output>,
}

/// An output that nobody's wallet has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeftOver {
    /// What it is.
    pub what: String,
    /// Its value.
    pub amount: Sat,
    /// The party that paid for it, if it is an anchor: the opener.
    pub anchor_of: Option<usize>,
}

/// How a payment ended, for the table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PaymentLine {
    /// The sender.
    pub from: String,
    /// The recipient.
    pub to: String,
    /// What the recipient was to get.
    pub amount: Msat,
    /// What the nodes between got.
    pub fee: Msat,
    /// `succeeded`, `pending`, or `failed at bob: fee_insufficient`.
    pub result: String,
}

/// The whole account.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Settlement {
    /// One line each, in the order they joined.
    pub parties: Vec<PartyLine>,
    /// In the order of the chain.
    pub transactions: Vec<OnChain>,
    /// What nobody has.
    pub left_over: Vec<LeftOver>,
    /// What the miners got.
    pub miner_fees: Sat,
    /// From whom the miners got it: one line for each party that paid any.
    pub revenue: Vec<Revenue>,
    /// In the order they began.
    pub payments: Vec<PaymentLine>,
}

impl Settlement {
    /// Reads the account from the best chain's blocks, genesis' successor first. Names must know the parties; channels
    /// are found on the way.
    pub fn read(blocks: &[Arc<NewBlock>], names: &mut Names, payments: Vec<PaymentLine>) -> Self {
        let parties = names.parties().iter();
        let parties = parties.map(|party| PartyLine { name: party.name.clone(), ..PartyLine::default() });
        let mut book = Book {
            settlement: Settlement { parties: parties.collect(), payments, ..Settlement::default() },
            outside: BTreeMap::new(),
            unspent: BTreeMap::new(),
        };
        names.foresee(blocks);
        for block in blocks {
            for tx in &block.block.txdata {
                book.enter(tx, block.height.get(), names);
            }
        }
        book.close(names)
    }
}

/// The account while it is being read.
struct Book {
    settlement: Settlement,
    /// Unspent outputs that concern nobody (the miner's).
    outside: BTreeMap<OutPoint, TxOut>,
    /// Unspent outputs of transactions that concern a party, in the order of the chain.
    unspent: BTreeMap<OutPoint, (usize, TxOut)>,
}

impl Book {
    fn enter(&mut self, tx: &Transaction, height: u32, names: &mut Names) {
        names.observe(tx);
        let txid = tx.compute_txid();
        let spent: Vec<TxOut> = tx
            .input
            .iter()
            .filter_map(|input| self.unspent.remove(&input.previous_output).map(|(_, output)| output))
            .collect();
        let foreign: Vec<TxOut> =
            tx.input.iter().filter_map(|input| self.outside.remove(&input.previous_output)).collect();
        let outputs = (0u32..).zip(&tx.output).map(|(vout, output)| (OutPoint::new(txid, vout), output));
        if spent.is_empty() {
            for (outpoint, output) in outputs {
                match names.output(&outpoint) {
                    Some(Known { value, what: What::Wallet { party } }) => {
                        let start = &mut self.settlement.parties[*party].start;
                        *start = start.saturating_add(*value);
                        self.unspent.insert(outpoint, (self.unspent.len(), output.clone()));
                    }
                    _ => drop(self.outside.insert(outpoint, output.clone())),
                }
            }
            return;
        }
        let total_in: Sat = sum(spent.iter().chain(&foreign));
        let fee = total_in.saturating_sub(sum(&tx.output));
        for (outpoint, output) in outputs {
            self.unspent.insert(outpoint, (self.settlement.transactions.len(), output.clone()));
        }
        self.list(tx, height, fee, names);
    }

    fn list(&mut self, tx: &Transaction, height: u32, fee: Sat, names: &Names) {
        let txid = tx.compute_txid();
        let (label, bolt, by, payer) = match names.label(&txid) {
            Some(label) => {
                let opener = names.channels()[label.channel].opener;
                let payer = if label.opener_pays { opener } else { label.by };
                (names.full_label(&txid).unwrap_or_default(), label.bolt, label.by, payer)
            }
            None => {
                let spender = tx.input.iter().find_map(|input| match names.output(&input.previous_output) {
                    Some(Known { what: What::Wallet { party }, .. }) => Some(*party),
                    _ => None,
                });
                let spender = spender.unwrap_or_default();
                ("payment".to_string(), "wallet transaction", spender, spender)
            }
        };
        self.settlement.miner_fees = self.settlement.miner_fees.saturating_add(fee);
        let paid = &mut self.settlement.parties[payer].fees;
        *paid = paid.saturating_add(fee);
        let (seed, tx) = (label.clone(), tx.clone());
        self.settlement.transactions.push(OnChain {
            label,
            seed,
            channel: None,
            bolt,
            tx,
            height,
            by,
            fee,
            payer,
            published: None,
            inputs: Vec::new(),
            outputs: Vec::new(),
        });
    }

    fn close(mut self, names: &Names) -> Settlement {
        let mut rest: Vec<(usize, OutPoint, TxOut)> =
            self.unspent.into_iter().map(|(outpoint, (order, output))| (order, outpoint, output)).collect();
        rest.sort_by_key(|(order, outpoint, _)| (*order, outpoint.vout));
        for (_, outpoint, output) in rest {
            let amount = Sat::from(output.value);
            match names.output(&outpoint).map(|known| &known.what) {
                Some(What::Wallet { party }) => {
                    let end = &mut self.settlement.parties[*party].end;
                    *end = end.saturating_add(amount);
                }
                Some(what) => {
                    let anchor_of = match what {
                        What::Output { channel, stage: crate::names::Stage::Anchor(_), .. } => {
                            Some(names.channels()[*channel].opener)
                        }
                        _ => None,
                    };
                    let what = names.describe(what);
                    self.settlement.left_over.push(LeftOver { what, amount, anchor_of });
                }
                None => {
                    let what = format!("output {} of a transaction, to nobody known", outpoint.vout);
                    self.settlement.left_over.push(LeftOver { what, amount, anchor_of: None });
                }
            }
        }
        // Labels are known in full only now that all channels are.
        for line in &mut self.settlement.transactions {
            let txid = line.tx.compute_txid();
            if let (Some(full), Some(label)) = (names.full_label(&txid), names.label(&txid)) {
                line.label = full;
                line.seed.clone_from(&label.seed);
                line.channel = Some(names.channels()[label.channel].name.clone());
            }
        }
        // The order inside a block or a transaction follows from txids and keys, and so from the seed: the account does not.
        self.settlement.left_over.sort_by(|a, b| a.what.cmp(&b.what));
        self.settlement.transactions.sort_by(|a, b| (a.height, &a.label).cmp(&(b.height, &b.label)));
        links::link(&mut self.settlement, names);
        self.settlement
    }
}

fn sum<'a>(outputs: impl IntoIterator<Item = &'a TxOut>) -> Sat {
    outputs.into_iter().fold(Sat::ZERO, |sum, output| sum.saturating_add(output.value.into()))
}
