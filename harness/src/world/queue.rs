//! What is to happen, ordered by virtual time and, within one instant, by when it was put in. Nothing here knows nodes' insides.
use super::tower::Sight;
use bitcoin::Transaction;
use leyden_core::node::{Event, NewBlock, Why};
use leyden_core::tower::Locator;
use leyden_core::units::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Something that will reach a node.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    /// A message's bytes arrive.
    Message {
        /// The sender.
        from: usize,
        /// The connection it was sent over; an older one's messages are lost.
        connection: u64,
        /// Its number in the run, from 1.
        number: u64,
        /// Type first.
        bytes: Vec<u8>,
    },
    /// A connection to `peer` stands.
    Connected {
        /// The other end.
        peer: usize,
        /// Which connection.
        connection: u64,
    },
    /// The connection to `peer` is gone.
    Disconnected {
        /// The other end.
        peer: usize,
        /// Which connection; a newer one may stand already.
        connection: u64,
    },
    /// The chain grew.
    Block(Arc<NewBlock>),
    /// A transaction entered the mempool.
    Unconfirmed(Arc<Transaction>),
    /// The tip was taken out.
    BlockGone {
        /// Its height.
        height: u32,
    },
    /// A connection to the tower stands.
    TowerReady,
    /// The tower has a box.
    Guarded {
        /// Its locator.
        locator: Locator,
        /// Its part.
        part: u16,
    },
    /// A tower sees something; the entry's node does not count.
    Sight {
        /// Which tower.
        tower: usize,
        /// What.
        what: Sight,
    },
    /// The node asked for it.
    Wake(Why),
}

impl Happening {
    /// A message with other bytes.
    pub fn changed(self, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        match self {
            Happening::Message { from, connection, number, mut bytes } => {
                change(&mut bytes);
                Happening::Message { from, connection, number, bytes }
            }
            other => other,
        }
    }

    /// What the chain has to say to a node, as it would come to it.
    pub fn of_chain(event: &Event) -> Option<Self> {
        match event {
            Event::BlockConnected(block) => Some(Happening::Block(block.clone())),
            Event::BlockDisconnected { height } => Some(Happening::BlockGone { height: height.get() }),
            Event::Connected { .. }
            | Event::Disconnected { .. }
            | Event::Message { .. }
            | Event::Silent { .. }
            | Event::Unconfirmed(_)
            | Event::TowerReady { .. }
            | Event::Guarded { .. }
            | Event::Wake(_)
            | Event::Command { .. } => None,
        }
    }
}

/// One entry of the queue.
#[derive(Clone, Debug)]
pub(super) struct Due {
    /// When.
    pub at: Timestamp,
    /// To which node.
    pub node: usize,
    /// What.
    pub what: Happening,
}

/// The queue.
#[derive(Default, Debug)]
pub(super) struct Queue {
    next: u64,
    entries: BTreeMap<(Timestamp, u64), Due>,
    /// How many entries are more than a timer.
    pressing: usize,
    /// Timers that are set, so that none is set twice.
    wakes: BTreeSet<(Timestamp, usize, Why)>,
}

impl Queue {
    /// Puts something in, behind all that is there for the same instant. A timer that is already set is not set again.
    pub fn push(&mut self, at: Timestamp, node: usize, what: Happening) {
        match &what {
            Happening::Wake(why) => {
                if !self.wakes.insert((at, node, *why)) {
                    return;
                }
            }
            _ => self.pressing += 1,
        }
        self.entries.insert((at, self.next), Due { at, node, what });
        self.next += 1;
    }

    /// Whether [`Queue::pop`] would give something.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.pressing > 0 || self.entries.keys().next().is_some_and(|(at, _)| *at <= now)
    }

    /// The next thing due, as long as anything but a timer of the future is left. A timer whose time comes on the way counts.
    pub fn pop(&mut self, now: Timestamp) -> Option<Due> {
        let first = self.entries.first_entry()?;
        if self.pressing == 0 && first.key().0 > now {
            return None;
        }
        let due = first.remove();
        match &due.what {
            Happening::Wake(why) => {
                self.wakes.remove(&(due.at, due.node, *why));
            }
            _ => self.pressing -= 1,
        }
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::new(12);

    #[test]
    fn one_instant_keeps_the_order_it_was_given() {
        let mut queue = Queue::default();
        queue.push(NOON, 0, Happening::Wake(Why::Commit));
        queue.push(NOON, 1, Happening::BlockGone { height: 1 });
        queue.push(Timestamp::new(3), 2, Happening::BlockGone { height: 1 });
        let order: Vec<usize> = std::iter::from_fn(|| queue.pop(NOON)).map(|due| due.node).collect();
        assert_eq!(order, [2, 0, 1]);
    }

    #[test]
    fn a_timer_of_the_future_waits_and_is_set_once() {
        let mut queue = Queue::default();
        queue.push(NOON, 0, Happening::Wake(Why::Payments));
        queue.push(NOON, 0, Happening::Wake(Why::Payments));
        assert!(queue.pop(Timestamp::ZERO).is_none());
        assert!(queue.pop(NOON).is_some());
        assert!(queue.pop(NOON).is_none());
    }
}
