//! The transcript in parts, for whoever lays it out: who did what to whom, in words and numbers. Decides no layout.
use super::{clock, describe, Entry, Transcript, Verdict};
use crate::names::Names;

/// One thing that happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// Seconds of virtual time, with milliseconds.
    pub at: String,
    /// What.
    pub deed: Deed,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Deed {
    /// A message set out.
    Message {
        /// From 1, as messages set out: what `cut:NUMBER:before` means.
        number: u64,
        /// The sender's number among the nodes.
        from: usize,
        /// The recipient's.
        to: usize,
        /// The BOLT's name.
        name: &'static str,
        /// What of it is worth a look.
        detail: String,
    },
    /// A node saved.
    Save {
        /// Which node.
        node: usize,
        /// In words.
        text: String,
    },
    /// A node handed a transaction to the chain.
    Broadcast {
        /// Which node.
        node: usize,
        /// The transaction's names, and what the chain said if it did not take it.
        text: String,
        /// The chain refused it.
        refused: bool,
    },
    /// A block, or several empty ones in a row.
    Blocks {
        /// The first height.
        first: u32,
        /// The last.
        last: u32,
        /// The names of what is inside, the coinbase apart.
        inside: Vec<String>,
    },
    /// A node told its owner something.
    Notice {
        /// Which node.
        node: usize,
        /// In words.
        text: String,
    },
    /// A fault, or a step of the scenario.
    Note {
        /// In words.
        text: String,
    },
}

impl Transcript {
    /// All of it, in order; empty blocks in a row, with nothing but counters saved between, are one step.
    pub fn steps(&self, names: &Names) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        let mut messages = 0;
        for (at, entry) in &self.entries {
            if super::is_counters(entry) {
                continue;
            }
            if let (Some(height), Some(Step { deed: Deed::Blocks { last, inside, .. }, .. })) =
                (super::empty_block(entry), steps.last_mut())
            {
                if inside.is_empty() && *last + 1 == height {
                    *last = height;
                    continue;
                }
            }
            let deed = deed(entry, names, &mut messages);
            steps.push(Step { at: clock(*at), deed });
        }
        steps
    }
}

fn deed(entry: &Entry, names: &Names, messages: &mut u64) -> Deed {
    match entry {
        Entry::Message { from, to, bytes } => {
            *messages += 1;
            let (name, detail) = describe::message(bytes);
            Deed::Message { number: *messages, from: *from, to: *to, name, detail }
        }
        Entry::Save { node, .. } => Deed::Save { node: *node, text: describe::line(entry, names) },
        Entry::Broadcast { node, verdict, .. } => {
            let refused = matches!(verdict, Verdict::Refused(_));
            Deed::Broadcast { node: *node, text: describe::line(entry, names), refused }
        }
        Entry::TowerBroadcast { .. } => Deed::Note { text: describe::line(entry, names) },
        Entry::Block { height, txids } => {
            let inside = txids.iter().map(|txid| describe::transaction(txid, names)).collect();
            Deed::Blocks { first: *height, last: *height, inside }
        }
        Entry::Notice { node, .. } => Deed::Notice { node: *node, text: describe::line(entry, names) },
        Entry::Note { text } => Deed::Note { text: text.clone() },
    }
}
