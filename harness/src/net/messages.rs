//! Faults of the network: links that break, nodes that fall silent, single messages that are held, dropped, delayed, doubled or
//! overtaken. `settle` ends them all. Each leaves a line in the transcript.
//!
//! ```text
//!   net.on_message(alice, bob, Kind::RevokeAndAck, Fault::Hold);   // every one from now on
//!   net.next_messages(alice, bob, Kind::UpdateAddHtlc, 1, Fault::Duplicate);
//!   net.release(alice, bob);                                       // what was held goes on its way
//!   net.cut_at(17, Moment::After);                                 // the run's 17th message is the last on its link
//! ```
use super::{Net, NodeRef};
use crate::world::{Fault, Kind, Moment};

impl Net {
    /// Connects two nodes, unless they are.
    #[track_caller]
    pub fn connect(&mut self, a: NodeRef, b: NodeRef) {
        let result = self.world.connect(a.0, b.0);
        self.need(result);
        self.run();
    }

    /// Breaks the link between two nodes; messages on their way are lost.
    #[track_caller]
    pub fn disconnect(&mut self, a: NodeRef, b: NodeRef) {
        let result = self.world.disconnect(a.0, b.0);
        self.need(result);
        self.run();
    }

    /// From now on no message reaches the node and none leaves it, until it [`Net::speak`]s. It still sees the chain.
    pub fn silence(&mut self, node: NodeRef) {
        self.world.silence(node.0);
    }

    /// Ends a node's silence: what was held back is delivered.
    #[track_caller]
    pub fn speak(&mut self, node: NodeRef) {
        self.world.speak(node.0);
        self.run();
    }

    /// Every message of this type that `from` sends to `to` from now on gets this fault.
    pub fn on_message(&mut self, from: NodeRef, to: NodeRef, kind: Kind, fault: Fault) {
        self.world.tamper(from.0, to.0, kind, fault, None);
    }

    /// The next `count` messages of this type that `from` sends to `to` get this fault.
    pub fn next_messages(&mut self, from: NodeRef, to: NodeRef, kind: Kind, count: u32, fault: Fault) {
        self.world.tamper(from.0, to.0, kind, fault, Some(count));
    }

    /// What `from` sent to `to` and was held or overtaken goes on its way, and nothing more is held there.
    #[track_caller]
    pub fn release(&mut self, from: NodeRef, to: NodeRef) {
        self.world.release(from.0, to.0);
        self.run();
    }

    /// Whether the link between the two stands.
    pub fn are_connected(&self, a: NodeRef, b: NodeRef) -> bool {
        self.world.peers(a.0).contains(&b.0)
    }

    /// How many messages were sent since the run began, on all links.
    pub fn messages(&self) -> u64 {
        self.world.messages_sent()
    }

    /// The link breaks before or after the run's `number`th message (from 1, as [`Net::messages`] counts), and stands again once
    /// the world is at rest.
    pub fn cut_at(&mut self, number: u64, moment: Moment) {
        self.world.cut_at(number, moment);
    }
}
