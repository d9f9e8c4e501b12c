//! What each node was handed, and when: the part of the record that is not written out. A line says that a message set out;
//! only here stands whether and when it arrived. The checks read both together.
use super::{Entry, Transcript};
use bitcoin::Transaction;
use leyden_core::ids::{ChannelId, NodeId};
use leyden_core::node::{Command, Event, NewBlock};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A node begins to work on something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Turn {
    /// Which node; the first for what concerns all.
    pub node: usize,
    /// On what.
    pub cause: Cause,
    /// How many entries of the transcript came before.
    before: usize,
}

/// What a node works on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cause {
    /// A connection stands.
    Connected {
        /// With whom.
        peer: usize,
    },
    /// A connection is gone.
    Disconnected {
        /// With whom.
        peer: usize,
    },
    /// A message arrived.
    Message {
        /// From whom.
        from: usize,
        /// Type first.
        bytes: Vec<u8>,
    },
    /// The chain grew.
    Block(Arc<NewBlock>),
    /// The tip was taken out of the chain, before any node hears of it.
    Unmined {
        /// Its height.
        height: u32,
    },
    /// The node hears of it.
    BlockGone,
    /// A transaction entered the mempool.
    Unconfirmed(Arc<Transaction>),
    /// Its owner asks for the end of a channel, together or alone.
    Close {
        /// Which.
        channel: ChannelId,
    },
    /// It falls silent.
    Silence,
    /// It speaks again.
    Speech,
    /// Anything else.
    Other,
}

impl Cause {
    /// What an event is; who a peer is, by these numbers.
    pub fn of(event: &Event, numbers: &BTreeMap<NodeId, usize>) -> Self {
        let number = |peer: &NodeId| numbers.get(peer).copied();
        match event {
            Event::Connected { peer } => number(peer).map_or(Cause::Other, |peer| Cause::Connected { peer }),
            Event::Disconnected { peer } => {
                number(peer).map_or(Cause::Other, |peer| Cause::Disconnected { peer })
            }
            Event::Message { peer, bytes } => {
                number(peer).map_or(Cause::Other, |from| Cause::Message { from, bytes: bytes.clone() })
            }
            Event::BlockConnected(block) => Cause::Block(block.clone()),
            Event::BlockDisconnected { .. } => Cause::BlockGone,
            Event::Unconfirmed(tx) => Cause::Unconfirmed(tx.clone()),
            Event::Command { command, .. } => match command {
                Command::Close { channel, .. } | Command::ForceClose { channel } => {
                    Cause::Close { channel: *channel }
                }
                _ => Cause::Other,
            },
            Event::Silent { .. } | Event::Wake(_) | Event::TowerReady { .. } | Event::Guarded { .. } => {
                Cause::Other
            }
        }
    }
}

/// One step of a run.
#[derive(Clone, Copy, Debug)]
pub enum Happened<'a> {
    /// A node began to work.
    Turn(&'a Turn),
    /// Something that is written out.
    Entry(&'a Entry),
}

impl Transcript {
    /// Notes that a node begins to work on something.
    pub fn turn(&mut self, node: usize, cause: Cause) {
        self.turns.push(Turn { node, cause, before: self.entries.len() });
    }

    /// Turns and entries in the order in which they happened.
    pub fn happened(&self) -> impl Iterator<Item = Happened<'_>> {
        let mut turns = self.turns.iter().peekable();
        let mut entries = self.entries.iter().enumerate().peekable();
        std::iter::from_fn(move || {
            let place = entries.peek().map_or(usize::MAX, |(place, _)| *place);
            match turns.next_if(|turn| turn.before <= place) {
                Some(turn) => Some(Happened::Turn(turn)),
                None => entries.next().map(|(_, (_, entry))| Happened::Entry(entry)),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leyden_core::units::Timestamp;

    #[test]
    fn a_turn_stands_before_what_it_led_to() {
        let mut transcript = Transcript::default();
        let note = |text: &str| Entry::Note { text: text.into() };
        transcript.turn(0, Cause::Silence);
        transcript.push(Timestamp::ZERO, note("one"));
        transcript.turn(1, Cause::Speech);
        transcript.turn(2, Cause::Other);
        transcript.push(Timestamp::ZERO, note("two"));
        transcript.turn(3, Cause::Other);
        let order: Vec<String> = transcript
            .happened()
            .map(|happened| match happened {
                Happened::Turn(turn) => turn.node.to_string(),
                Happened::Entry(entry) => {
                    format!("{entry:?}").chars().filter(|c| "onetw".contains(*c)).collect()
                }
            })
            .collect();
        assert_eq!(order.len(), 6);
        assert_eq!([&order[0], &order[2], &order[3], &order[5]], ["0", "1", "2", "3"]);
    }
}
