//! A disk that is slow: a node's save does not end before the script says so. Until then nothing of its turn leaves the node, and whatever
//! comes to it waits in order, as in the one thread that a node's process has for all of this.
use super::{World, WorldError};
use leyden_core::node::Turn;
use std::collections::{BTreeMap, BTreeSet};

/// All slow disks.
#[derive(Default)]
pub(super) struct Slow {
    planned: BTreeSet<usize>,
    begun: BTreeMap<usize, Turn>,
}

impl World {
    /// The node's next save takes until [`World::end_save`].
    pub fn slow_next_save(&mut self, node: usize) {
        self.only_in_process("a save that takes long");
        self.slow.planned.insert(node);
    }

    /// Whether the save that the node is about to make is a slow one.
    pub(super) fn is_slow(&mut self, node: usize) -> bool {
        self.slow.planned.remove(&node)
    }

    /// Whether the node waits for its disk.
    pub(super) fn is_saving(&self, node: usize) -> bool {
        self.slow.begun.contains_key(&node)
    }

    /// The disk has the turn's batch, and is not done.
    pub(super) fn begin_save(&mut self, node: usize, turn: Turn) {
        self.note(format!("{}'s disk takes long", self.seats[node].name));
        self.slow.begun.insert(node, turn);
        self.keep_waiting(node);
    }

    /// The disk is done: the turn's actions run, and then what came meanwhile is taken in.
    pub fn end_save(&mut self, node: usize) -> Result<(), WorldError> {
        let Some(turn) = self.slow.begun.remove(&node) else { return Ok(()) };
        self.note(format!("{}'s disk is done", self.seats[node].name));
        self.finish(node, turn, None)?;
        self.wake_up(node)
    }
}
