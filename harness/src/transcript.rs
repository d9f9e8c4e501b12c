//! Everything that happened in a run, in order: the same bytes for the same seed. Kept as it was; names are put in when it
//! is written out, since some are only known later.

mod describe;
mod ladder;
mod rivals;
mod steps;
mod turns;

pub use rivals::Rivals;
pub use steps::{Deed, Step};
pub use turns::{Cause, Happened, Turn};

use crate::names::Names;
use bitcoin::{Transaction, Txid};
use leyden_core::node::{Notice, RecordKey};
use leyden_core::units::Timestamp;
use std::collections::BTreeMap;

/// One thing that happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Entry {
    /// A message set out.
    Message {
        /// The sender.
        from: usize,
        /// The recipient.
        to: usize,
        /// Type first.
        bytes: Vec<u8>,
    },
    /// Records became durable.
    Save {
        /// Whose.
        node: usize,
        /// Which.
        keys: Vec<RecordKey>,
    },
    /// A transaction was handed to the chain.
    Broadcast {
        /// By whom.
        node: usize,
        /// Which.
        tx: Transaction,
        /// What the chain said.
        verdict: Verdict,
    },
    /// A tower handed a transaction to the chain.
    TowerBroadcast {
        /// Its number among the parties.
        party: usize,
        /// Which.
        tx: Transaction,
        /// What the chain said.
        verdict: Verdict,
    },
    /// A block was mined.
    Block {
        /// Its height.
        height: u32,
        /// What is in it, the coinbase apart.
        txids: Vec<Txid>,
    },
    /// A node told its owner something.
    Notice {
        /// Which node.
        node: usize,
        /// What.
        notice: Notice,
    },
    /// A fault, or a step of the scenario.
    Note {
        /// In words.
        text: String,
    },
}

/// What the chain said to a transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is in the mempool now.
    Taken,
    /// It was there already, in the mempool or in a block.
    There,
    /// Its node was cut off: nobody heard it.
    Unheard,
    /// Not taken: Core's reject word.
    Refused(String),
}

impl Entry {
    /// The transaction that somebody handed to the chain, if that is what happened.
    pub fn broadcast(&self) -> Option<&Transaction> {
        match self {
            Entry::Broadcast { tx, .. } | Entry::TowerBroadcast { tx, .. } => Some(tx),
            Entry::Message { .. }
            | Entry::Save { .. }
            | Entry::Block { .. }
            | Entry::Notice { .. }
            | Entry::Note { .. } => None,
        }
    }
}

impl Verdict {
    /// From Core's reject word.
    pub fn of(word: String) -> Self {
        match word.as_str() {
            "txn-already-in-mempool" | "txn-already-known" => Verdict::There,
            _ => Verdict::Refused(word),
        }
    }
}

/// The record of a run.
#[derive(Clone, Default, Debug)]
pub struct Transcript {
    entries: Vec<(Timestamp, Entry)>,
    /// Never written out.
    turns: Vec<Turn>,
}

impl Transcript {
    /// Adds what happened now.
    pub fn push(&mut self, at: Timestamp, entry: Entry) {
        self.entries.push((at, entry));
    }

    /// Everything, in order.
    pub fn entries(&self) -> &[(Timestamp, Entry)] {
        &self.entries
    }

    /// The party that first handed each transaction to the chain, which took it or had it.
    pub fn first_broadcasts(&self, names: &Names) -> BTreeMap<Txid, usize> {
        let mut first = BTreeMap::new();
        for (_, entry) in &self.entries {
            let (party, tx) = match entry {
                Entry::Broadcast { node, tx, verdict: Verdict::Taken | Verdict::There } => {
                    (names.node_party(*node), tx)
                }
                Entry::TowerBroadcast { party, tx, verdict: Verdict::Taken | Verdict::There } => {
                    (Some(*party), tx)
                }
                _ => continue,
            };
            if let Some(party) = party {
                first.entry(tx.compute_txid()).or_insert(party);
            }
        }
        first
    }

    /// One line each; a run of empty blocks, and the nodes' notes of their heights between, is one line.
    pub fn render(&self, names: &Names) -> String {
        let mut text = String::new();
        let mut entries = self.entries.iter().peekable();
        while let Some((at, entry)) = entries.next() {
            let mut line = describe::line(entry, names);
            if let Some(first) = empty_block(entry) {
                let mut last = first;
                while let Some((_, next)) =
                    entries.peek().filter(|(_, next)| empty_block(next).is_some() || is_counters(next))
                {
                    last = empty_block(next).unwrap_or(last);
                    entries.next();
                }
                if last != first {
                    line = format!("blocks {first} to {last}: empty");
                }
            }
            text.push_str(&format!("{:>10}  {line}\n", clock(*at)));
        }
        text
    }

    /// The messages between the parties as a ladder, with what happened on the chain between the rungs.
    pub fn ladder(&self, names: &Names) -> String {
        ladder::render(self, names)
    }

    /// The end of it, for a message about a run that went wrong.
    pub fn last_lines(&self, count: usize) -> String {
        let nobody = Names::default();
        let from = self.entries.len().saturating_sub(count);
        let lines = self.entries[from..].iter();
        let lines: Vec<String> = lines
            .map(|(at, entry)| format!("  {}  {}", clock(*at), describe::line(entry, &nobody)))
            .collect();
        lines.join("\n")
    }
}

/// A node noted the height, and nothing else.
fn is_counters(entry: &Entry) -> bool {
    matches!(entry, Entry::Save { keys, .. } if *keys == [RecordKey::Node])
}

fn empty_block(entry: &Entry) -> Option<u32> {
    match entry {
        Entry::Block { height, txids } if txids.is_empty() => Some(*height),
        _ => None,
    }
}

/// Seconds with milliseconds.
fn clock(at: Timestamp) -> String {
    let millis = at.get() / 1000;
    format!("{}.{:03}", millis / 1000, millis % 1000)
}
