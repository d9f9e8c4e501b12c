//! The shape of a run, and the variants that follow from it. A pure table: what happened where, and what could be done to it there.
use super::{Kind, Variant};
use crate::transcript::{Entry, Transcript};
use crate::world::{Moment, Point};
use leyden_core::node::RecordKey;
use std::collections::BTreeMap;

/// Reorgs are swept from depth 1 to this.
const DEEPEST: u32 = 6;

/// What a run was made of.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Shape {
    /// The blocks that the run mined, in the order of their heights.
    pub blocks: Vec<Block>,
    /// How many messages set out.
    pub messages: u64,
    /// Every state that a party could publish though it has been revoked.
    pub states: Vec<PastState>,
    /// Every save of every node, in order.
    pub saves: Vec<Save>,
    /// How much each node's process told, in a live world.
    pub told: Vec<(String, u64)>,
}

/// A save of a run.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Save {
    /// Whose.
    pub party: String,
    /// Which of its saves, from 1.
    pub number: u64,
    /// How many actions came after it.
    pub actions: u32,
    /// One of them answers the owner.
    pub answers: bool,
    /// The node noted the height of a block, and did nothing.
    pub quiet: bool,
}

/// A block of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Block {
    /// Its height.
    pub height: u32,
    /// Whether it holds a transaction, or made a node do more than count it.
    pub eventful: bool,
}

/// A state that a party could publish.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct PastState {
    /// Who holds the commitment.
    pub party: String,
    /// Of which channel.
    pub channel: String,
    /// From 1, as the seed counts.
    pub number: u64,
    /// Whether it has HTLCs, and so second stages.
    pub has_htlcs: bool,
}

impl Shape {
    /// Reads a transcript.
    pub fn read(transcript: &Transcript, states: Vec<PastState>, saves: Vec<Save>) -> Self {
        let mut blocks: BTreeMap<u32, bool> = BTreeMap::new();
        let mut messages = 0;
        let mut height = None;
        for (_, entry) in transcript.entries() {
            let mut eventful = false;
            match entry {
                Entry::Block { height: new, txids } => {
                    height = Some(*new);
                    eventful = !txids.is_empty();
                }
                Entry::Message { .. } => {
                    messages += 1;
                    eventful = true;
                }
                Entry::Save { keys, .. } => eventful = keys.iter().any(|key| *key != RecordKey::Node),
                Entry::Broadcast { .. } | Entry::TowerBroadcast { .. } | Entry::Notice { .. } => {
                    eventful = true;
                }
                Entry::Note { .. } => {}
            }
            if let Some(height) = height {
                *blocks.entry(height).or_default() |= eventful;
            }
        }
        let blocks = blocks.into_iter().map(|(height, eventful)| Block { height, eventful }).collect();
        Self { blocks, messages, states, saves, told: Vec::new() }
    }

    /// All variants of this kind, in the order in which they happen.
    pub fn variants(&self, kind: Kind) -> Vec<Variant> {
        match kind {
            Kind::Reorg => self.reorgs(),
            Kind::Disconnect => (1..=self.messages)
                .flat_map(|message| {
                    [Moment::Before, Moment::After].map(|moment| Variant::Cut { message, moment })
                })
                .collect(),
            Kind::Cheat => self.states.iter().flat_map(PastState::cheats).collect(),
            Kind::Crash => self.crashes(),
            Kind::Kill => self.told.iter().flat_map(kills).collect(),
        }
    }

    /// Each save, before it, after each of the turn's actions, and with all of them done but the answer. Of heights that a node only
    /// noted, the first in a row stands for all: it cannot tell them apart.
    fn crashes(&self) -> Vec<Variant> {
        let mut quiet_before: BTreeMap<&str, bool> = BTreeMap::new();
        let mut variants = Vec::new();
        for save in &self.saves {
            if quiet_before.insert(&save.party, save.quiet) == Some(true) && save.quiet {
                continue;
            }
            let after = (0..=save.actions).map(Point::After);
            let points =
                [Point::Before].into_iter().chain(after).chain(save.answers.then_some(Point::Unanswered));
            variants.extend(points.map(|point| Variant::Crash {
                party: save.party.clone(),
                save: save.number,
                point,
            }));
        }
        variants
    }

    /// Each block and depth. Of those that would take out blocks in which nothing happened, only the first in a row stands for all:
    /// a node cannot tell one stretch of empty blocks from another.
    fn reorgs(&self) -> Vec<Variant> {
        let mut variants = Vec::new();
        let mut quiet_before = [false; DEEPEST as usize];
        for (place, block) in self.blocks.iter().enumerate() {
            for (depth, quiet_before) in (1..=DEEPEST).zip(&mut quiet_before) {
                let Some(first) = (place + 1).checked_sub(depth as usize) else { continue };
                let quiet = self.blocks[first..=place].iter().all(|taken| !taken.eventful);
                if !(quiet && *quiet_before) {
                    variants.push(Variant::Reorg { at_height: block.height, depth });
                }
                *quiet_before = quiet;
            }
        }
        variants
    }
}

/// After each thing that a node told but the last, which says that it is at rest.
fn kills((party, count): &(String, u64)) -> impl Iterator<Item = Variant> + '_ {
    (1..*count).map(|told| Variant::Kill { party: party.clone(), told })
}

impl PastState {
    fn cheats(&self) -> Vec<Variant> {
        let cheat = |second_stages| Variant::Cheat {
            party: self.party.clone(),
            channel: self.channel.clone(),
            state: self.number,
            second_stages,
        };
        if self.has_htlcs {
            vec![cheat(false), cheat(true)]
        } else {
            vec![cheat(false)]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(eventful: &[bool]) -> Shape {
        let blocks = (10..).zip(eventful).map(|(height, eventful)| Block { height, eventful: *eventful });
        Shape { blocks: blocks.collect(), messages: 2, ..Shape::default() }
    }

    fn written(variants: Vec<Variant>) -> Vec<String> {
        variants.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn reorgs_go_no_deeper_than_the_run() {
        let planned = written(shape(&[true, true, true]).variants(Kind::Reorg));
        let all = ["reorg:10:1", "reorg:11:1", "reorg:11:2", "reorg:12:1", "reorg:12:2", "reorg:12:3"];
        assert_eq!(planned, all);
    }

    #[test]
    fn one_quiet_stretch_stands_for_all_of_a_row() {
        let planned = written(shape(&[true, false, false, false]).variants(Kind::Reorg));
        assert_eq!(
            planned,
            [
                "reorg:10:1",
                "reorg:11:1",
                "reorg:11:2",
                "reorg:12:2",
                "reorg:12:3",
                "reorg:13:3",
                "reorg:13:4"
            ]
        );
    }

    #[test]
    fn each_message_is_cut_before_and_after() {
        let planned = written(shape(&[]).variants(Kind::Disconnect));
        assert_eq!(planned, ["cut:1:before", "cut:1:after", "cut:2:before", "cut:2:after"]);
    }

    #[test]
    fn each_save_is_killed_before_it_and_after_each_action() {
        let save = |party: &str, number, actions, quiet| {
            let (party, answers) = (party.to_owned(), actions > 0);
            Save { party, number, actions, answers, quiet }
        };
        let saves = vec![
            save("bob", 1, 1, false),
            save("bob", 2, 0, true),
            save("alice", 1, 0, false),
            save("bob", 3, 0, true),
        ];
        let planned = written(Shape { saves, ..Shape::default() }.variants(Kind::Crash));
        let all = [
            "crash:bob:1:before",
            "crash:bob:1:after:0",
            "crash:bob:1:after:1",
            "crash:bob:1:unanswered",
            "crash:bob:2:before",
            "crash:bob:2:after:0",
            "crash:alice:1:before",
            "crash:alice:1:after:0",
        ];
        assert_eq!(planned, all);
    }

    #[test]
    fn a_state_with_htlcs_is_published_with_and_without_second_stages() {
        let state = |number, has_htlcs| PastState {
            party: "alice".into(),
            channel: "alice-bob".into(),
            number,
            has_htlcs,
        };
        let shape = Shape { states: vec![state(1, false), state(2, true)], ..Shape::default() };
        assert_eq!(
            written(shape.variants(Kind::Cheat)),
            ["cheat:alice:alice-bob:1", "cheat:alice:alice-bob:2", "cheat:alice:alice-bob:2:second-stages"]
        );
    }
}
