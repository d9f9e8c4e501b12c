//! Nodes that are killed in the middle of a turn, and disks that fail or are slow. Whoever was killed starts again from what it had saved once
//! the world is at rest; its owner looks at its lists and gives again what was not heard.
//!
//! ```text
//!   net.kill_next(bob, Point::Before);        // the event that leads to bob's next save is lost
//!   net.kill_next(bob, Point::After(1));      // it is saved, and only the first action of its turn runs
//! ```
use super::{Net, NodeRef};
use crate::world::Point;

impl Net {
    /// How many saves the node has made so far.
    pub fn saves(&self, node: NodeRef) -> u64 {
        self.world.saves_of(node.0)
    }

    /// The node is killed at this save of its own, from 1 as [`Net::saves`] counts.
    pub fn kill_at(&mut self, node: NodeRef, save: u64, point: Point) {
        self.world.kill_at(node.0, save, point);
    }

    /// The node is killed at its next save.
    pub fn kill_next(&mut self, node: NodeRef, point: Point) {
        self.kill_at(node, self.saves(node) + 1, point);
    }

    /// The disk takes none of the node's next save: it stops before anything of that turn leaves it, and starts again when the disk
    /// is well.
    pub fn fail_next_save(&mut self, node: NodeRef) {
        self.note(format!("{}'s disk is about to fail", self.name(node)));
        self.kill_next(node, Point::Before);
    }

    /// The node's next save takes until [`Net::disk_is_done`]. Nothing of that turn leaves it before, and it hears and answers nothing.
    pub fn slow_next_save(&mut self, node: NodeRef) {
        self.world.slow_next_save(node.0);
    }

    /// The slow save ends; the node goes on with all that waited for it.
    #[track_caller]
    pub fn disk_is_done(&mut self, node: NodeRef) {
        let ended = self.world.end_save(node.0);
        self.need(ended);
        self.run();
    }

    /// How many nodes were killed so far.
    pub fn kills(&self) -> u64 {
        self.world.kills()
    }
}
