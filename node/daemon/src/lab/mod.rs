//! The lab's end in a node that runs as a process of its own: a harness on the other end of standard input hears every turn (what came in, what was
//! saved, what went out) and says what time it is, what the chain asks, when to look into the mempool, and which bug to carry.
//! Only a build with the feature `lab` has it. When the socket closes, the process ends: no harness leaves an orphan.
mod link;

pub use link::{Lab, Teller};

use leyden_core::channel::Mutant;
use leyden_core::ids::NodeId;
use leyden_core::units::{FeeratePerKw, Timestamp};

/// What a harness changes in the owner's surroundings.
#[derive(Clone, Debug)]
pub enum Nudge {
    /// It is this time now, and stays so.
    Clock(Timestamp),
    /// The chain asks this, whatever Core says.
    Feerate(FeeratePerKw),
    /// Whether all but commands waits.
    Pause(bool),
    /// Whether transactions are only told.
    Blind(bool),
    /// Whether messages of this peer wait.
    Deaf(NodeId, bool),
    /// What goes to this peer is only told.
    Divert(NodeId),
    /// These bytes go to this peer.
    Inject(NodeId, Vec<u8>),
    /// The bug to carry.
    Plant(Option<Mutant>),
    /// The order of this number is carried out.
    Obeyed(u64),
}
