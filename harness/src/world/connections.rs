//! Connections between nodes as a script sees them: made, broken, silent, healed. In a live world the processes are told.
use super::queue::Happening;
use super::{World, WorldError, LATENCY};
use crate::transcript::Cause;

impl World {
    /// Connects two nodes, unless they are.
    pub fn connect(&mut self, a: usize, b: usize) -> Result<(), WorldError> {
        if self.links.stands(a, b) {
            return Ok(());
        }
        self.cut(a, b)?;
        if self.live.is_some() {
            self.drain()?;
        }
        let connection = self.links.connect(a, b);
        self.note(format!("{} and {} connect", self.seats[a].name, self.seats[b].name));
        if let Some(live) = &mut self.live {
            return Ok(live.connect(a, b)?);
        }
        self.queue.push(self.now, a, Happening::Connected { peer: b, connection });
        self.queue.push(self.now, b, Happening::Connected { peer: a, connection });
        Ok(())
    }

    /// Breaks the link between two nodes; messages on their way are lost.
    pub fn disconnect(&mut self, a: usize, b: usize) -> Result<(), WorldError> {
        if self.cut(a, b)? {
            self.note(format!("{} and {} lose their connection", self.seats[a].name, self.seats[b].name));
        }
        Ok(())
    }

    pub(super) fn cut(&mut self, a: usize, b: usize) -> Result<bool, WorldError> {
        if let Some(live) = &mut self.live {
            let stands = self.links.stands(a, b);
            if stands {
                live.disconnect(a, b)?;
            }
            self.links.take_down(a, b);
            self.links.take_down(b, a);
            return Ok(stands);
        }
        let mut cut = false;
        for (node, peer) in [(a, b), (b, a)] {
            if self.links.take_down(node, peer) {
                cut = true;
                let connection = self.links.newest(node, peer);
                self.queue.push(self.now, node, Happening::Disconnected { peer, connection });
            }
        }
        Ok(cut)
    }

    /// From now on nothing reaches the node and nothing leaves it; links stay.
    pub fn silence(&mut self, node: usize) {
        self.note(format!("{} falls silent", self.seats[node].name));
        self.links.silence(node);
        if let Some(live) = &mut self.live {
            live.hush(node, true);
        }
        self.transcript.turn(node, Cause::Silence);
    }

    /// The node takes part again; what was held back goes on its way.
    pub fn speak(&mut self, node: usize) {
        self.note(format!("{} speaks again", self.seats[node].name));
        self.transcript.turn(node, Cause::Speech);
        if let Some(live) = &mut self.live {
            live.hush(node, false);
        }
        for due in self.links.speak(node) {
            self.queue.push(self.now.saturating_add(LATENCY), due.node, due.what);
        }
    }

    /// Ends every fault: what was held back goes on its way, everybody speaks, sees and is awake, every link stands.
    pub fn heal(&mut self) -> Result<(), WorldError> {
        self.end_tampering();
        self.links.silent().into_iter().for_each(|node| self.speak(node));
        self.heal_senses()?;
        self.links.broken().into_iter().try_for_each(|(a, b)| self.connect(a, b))?;
        self.start_towers()
    }

    /// The nodes that this one is connected to.
    pub fn peers(&self, node: usize) -> Vec<usize> {
        self.links.peers(node)
    }
}
