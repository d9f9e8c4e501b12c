//! Nodes that are killed at one of their saves, and start again from what they had saved once the world is at rest. What was on its
//! way to a dead node is lost with its links; what it had sent still arrives. The chain goes on, and tells it later what it missed.
//!
//! ```text
//!   event -> node.handle -> | save -> | action -> | action -> |     each bar is a point to be killed at
//! ```
use super::queue::{Due, Happening};
use super::{World, WorldError, LATENCY};
use crate::transcript::Cause;
use leyden_core::node::{Action, RecordKey};
use std::collections::BTreeMap;
use std::fmt;

/// Where in a turn a node is killed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Point {
    /// Before the turn's batch is durable: the event that led to it is lost. A save that fails is the same, since a node stops there.
    Before,
    /// After it, when so many of the turn's actions have run.
    After(u32),
    /// After it and every action but the answer to its owner, who does not know whether it was heard.
    Unanswered,
}

/// A save of the run, as a plan for kills needs it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Saved {
    /// Whose.
    pub node: usize,
    /// Which of the node's, from 1.
    pub number: u64,
    /// How many actions came after it.
    pub actions: u32,
    /// One of them answers the owner.
    pub answers: bool,
    /// The node noted the height, and did nothing.
    pub quiet: bool,
}

/// All kills: to come, and to recover from.
#[derive(Default, Debug)]
pub(super) struct Deaths {
    planned: Vec<(usize, u64, Point)>,
    dead: BTreeMap<usize, Dead>,
    count: u64,
    saved: Vec<Saved>,
}

/// What waits for a node that was killed.
#[derive(Default, Debug)]
struct Dead {
    /// Whom it was connected to.
    peers: Vec<usize>,
    /// Blocks that came and went since.
    missed: Vec<Happening>,
}

impl Deaths {
    /// A process was killed.
    pub(super) fn struck(&mut self, node: usize) {
        self.count += 1;
        self.dead.entry(node).or_default();
    }

    /// A dead node was connected to this one.
    pub(super) fn miss(&mut self, node: usize, peer: usize) {
        let peers = &mut self.dead.entry(node).or_default().peers;
        if !peers.contains(&peer) {
            peers.push(peer);
        }
    }

    /// One that is dead, from now on no more, and whom it was connected to.
    pub(super) fn take_one(&mut self) -> Option<(usize, Vec<usize>)> {
        self.dead.pop_first().map(|(node, dead)| (node, dead.peers))
    }
}

/// Whether it is what the owner waits for.
pub(super) fn is_answer(action: &Action) -> bool {
    matches!(action, Action::Reply { .. })
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Point::Before => f.write_str("before"),
            Point::After(acts) => write!(f, "after:{acts}"),
            Point::Unanswered => f.write_str("unanswered"),
        }
    }
}

impl World {
    /// The node is killed at this save of its own, from 1 as [`World::saves_of`] counts.
    pub fn kill_at(&mut self, node: usize, save: u64, point: Point) {
        self.only_in_process("a kill at a save");
        self.deaths.planned.push((node, save, point));
    }

    /// How many saves the node has made.
    pub fn saves_of(&self, node: usize) -> u64 {
        self.seats[node].saves()
    }

    /// Every save of the run so far, in order.
    pub fn saved(&self) -> &[Saved] {
        &self.deaths.saved
    }

    /// How many nodes were killed so far.
    pub fn kills(&self) -> u64 {
        self.deaths.count
    }

    /// Whether the node was killed and has not started again.
    pub(super) fn is_dead(&self, node: usize) -> bool {
        self.deaths.dead.contains_key(&node)
    }

    /// The kill that is planned for the save that the node is about to make.
    pub(super) fn strikes(&mut self, node: usize) -> Option<Point> {
        let next = self.seats[node].saves() + 1;
        let planned = &mut self.deaths.planned;
        let place = planned.iter().position(|(whose, save, _)| (*whose, *save) == (node, next))?;
        Some(planned.swap_remove(place).2)
    }

    pub(super) fn note_saved(&mut self, node: usize, keys: &[RecordKey], actions: &[Action]) {
        let quiet = *keys == [RecordKey::Node] && actions.is_empty();
        let answers = actions.iter().any(is_answer);
        let (number, actions) = (self.seats[node].saves(), u32::try_from(actions.len()).unwrap_or(u32::MAX));
        self.deaths.saved.push(Saved { node, number, actions, answers, quiet });
    }

    /// The node's process is gone. `news` of the chain that it had in hand comes again: whoever starts asks for the blocks after
    /// the last that it saved.
    pub(super) fn fall(
        &mut self,
        node: usize,
        point: Point,
        news: Option<Happening>,
    ) -> Result<(), WorldError> {
        let (name, saves) = (&self.seats[node].name, self.seats[node].saves());
        let text = match point {
            Point::Before => format!("{name} is killed before its save {}", saves + 1),
            Point::After(acts) => format!("{name} is killed after its save {saves} and {acts} actions"),
            Point::Unanswered => format!("{name} is killed after its save {saves}, before it answers"),
        };
        self.note(text);
        self.deaths.count += 1;
        let peers = self.links.peers(node);
        for peer in self.links.ends_of(node) {
            self.links.take_down(node, peer);
            self.transcript.turn(node, Cause::Disconnected { peer });
            let connection = self.links.newest(node, peer);
            let later = self.now.saturating_add(LATENCY);
            self.queue.push(later, peer, Happening::Disconnected { peer: node, connection });
        }
        self.deaths.dead.insert(node, Dead { peers, missed: news.into_iter().collect() });
        Ok(())
    }

    /// What comes to a dead node is lost, but for what the chain has to say.
    pub(super) fn outlives(&mut self, due: Due) -> Option<Due> {
        let Some(dead) = self.deaths.dead.get_mut(&due.node) else { return Some(due) };
        match due.what {
            Happening::Block(_) | Happening::BlockGone { .. } => dead.missed.push(due.what),
            Happening::Message { .. }
            | Happening::Connected { .. }
            | Happening::Disconnected { .. }
            | Happening::Unconfirmed(_)
            | Happening::TowerReady
            | Happening::Guarded { .. }
            | Happening::Sight { .. }
            | Happening::Wake(_) => {}
        }
        None
    }

    /// The world is at rest: who was killed starts again from what it had saved, hears first what it missed of the chain, and its links
    /// stand again. Whether there was anybody.
    pub(super) fn revive(&mut self) -> Result<bool, WorldError> {
        let dead = std::mem::take(&mut self.deaths.dead);
        let any = !dead.is_empty();
        for (node, Dead { peers, missed }) in dead {
            self.note(format!("{} starts again from what it has saved", self.seats[node].name));
            self.seats[node].restart()?;
            self.find_tower(node);
            peers.into_iter().try_for_each(|peer| self.connect(node, peer))?;
            for what in missed {
                self.deliver(Due { at: self.now, node, what })?;
            }
            self.greet(node)?;
        }
        Ok(any)
    }
}
