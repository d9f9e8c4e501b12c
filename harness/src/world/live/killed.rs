//! Nodes whose process was killed in the middle of whatever it did. Everything that it did it had told before, so that the books hold
//! it; what it had told and not done is lost, as are messages on their way to it. When all others are at rest it starts again from
//! its folder, its links stand again, and its owner looks what he missed.
use crate::transcript::Cause;
use crate::world::{World, WorldError};

impl World {
    /// The process of this node is killed, as by a power cut, once so much that it told was read.
    pub fn kill_after(&mut self, node: usize, told: u64) {
        if let Some(live) = &self.live {
            live.kill_after(node, told);
        }
    }

    /// How much of what this node's process told was read.
    pub fn told_by(&self, node: usize) -> u64 {
        self.live.as_ref().map_or(0, |live| live.told(node))
    }

    /// A node noticed that the connection with `peer` ended: if that one was killed, it stands again later.
    pub(super) fn misses(&mut self, node: usize, peer: usize) {
        if self.processes().is_struck(peer) {
            self.deaths.miss(peer, node);
        }
    }

    /// All that the node told is in the books: its process is gone.
    pub(super) fn bury(&mut self, node: usize) {
        self.note(format!("{}'s process is killed", self.seats[node].name));
        for peer in self.links.peers(node) {
            self.deaths.miss(node, peer);
        }
        self.deaths.struck(node);
        for peer in self.links.ends_of(node) {
            self.links.take_down(node, peer);
            self.transcript.turn(node, Cause::Disconnected { peer });
        }
        let live = self.processes();
        live.kill(node);
        // Whoever stands still between two steps has to notice.
        live.run_all();
    }

    /// All others are at rest: who was killed starts again. Whether there was anybody.
    pub(super) fn raise(&mut self) -> Result<bool, WorldError> {
        let Some((node, peers)) = self.deaths.take_one() else { return Ok(false) };
        self.note(format!("{} starts again from its folder", self.seats[node].name));
        self.processes().start(node)?;
        self.drain()?;
        peers.into_iter().try_for_each(|peer| self.connect(node, peer))?;
        self.drain()?;
        self.greet(node)?;
        Ok(true)
    }
}
