//! One thing that is done to a scenario without its script's knowledge, as a value and as text: `reorg:117:3`, `cut:17:before`,
//! `cheat:alice:alice-bob:2`, `crash:bob:12:after:1`. Says what is to be done; the probe does it.
use crate::world::{Moment, Point};
use std::fmt;
use std::str::FromStr;

/// What is done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Variant {
    /// When the block at this height has been mined for the first time, so many blocks are taken out of the chain and mined again, with
    /// the same transactions, and one more.
    Reorg {
        /// When.
        at_height: u32,
        /// How many.
        depth: u32,
    },
    /// The link under this message breaks, and stands again when all else has come to rest.
    Cut {
        /// From 1, as messages set out.
        message: u64,
        /// Whether the message arrives.
        moment: Moment,
    },
    /// At the end of the script a party publishes a past state of its own.
    Cheat {
        /// Who.
        party: String,
        /// Of which channel.
        channel: String,
        /// From 1, as the seed counts.
        state: u64,
        /// Whether it publishes its HTLC transactions of that state too.
        second_stages: bool,
    },
    /// A node is killed at one of its saves, and starts again from what it had saved once all else has come to rest.
    Crash {
        /// Who.
        party: String,
        /// Which of its saves, from 1.
        save: u64,
        /// Where in the turn.
        point: Point,
    },
    /// A node's process is killed once so much that it told was read, and starts again from its folder once all else is at rest.
    Kill {
        /// Who.
        party: String,
        /// How much it has told, counted from its start.
        told: u64,
    },
}

/// A kind of variant, for a sweep.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// Each block, each depth.
    Reorg,
    /// Each message, before and after.
    Disconnect,
    /// Each party, each past state, with and without second stages.
    Cheat,
    /// Each save of each node: before it, and after it with so many of the turn's actions done, or all but the answer to its owner.
    Crash,
    /// Each node, after anything that its process told: only where nodes are processes.
    Kill,
}

/// The text is no variant.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{text:?} is no variant: reorg:HEIGHT:DEPTH, cut:MESSAGE:before|after, cheat:PARTY:CHANNEL:STATE[:second-stages], crash:PARTY:SAVE:before|after:ACTIONS|unanswered or kill:PARTY:TOLD")]
pub struct BadVariant {
    text: String,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Reorg => "--reorg",
            Kind::Disconnect => "--disconnect",
            Kind::Cheat => "--cheat",
            Kind::Crash => "--crash",
            Kind::Kill => "--kill",
        })
    }
}

impl Variant {
    /// In words.
    pub fn words(&self) -> String {
        match self {
            Variant::Reorg { at_height, depth } => {
                format!("{depth} deep at height {at_height}")
            }
            Variant::Cut { message, moment: Moment::Before } => format!("link cut before message {message}"),
            Variant::Cut { message, moment: Moment::After } => format!("link cut after message {message}"),
            Variant::Cheat { party, channel, state, second_stages } => {
                let with = if *second_stages { ", with second stages" } else { "" };
                format!("{party} publishes state {state} of {channel}{with}")
            }
            Variant::Crash { party, save, point: Point::Before } => {
                format!("{party} is killed before its save {save}")
            }
            Variant::Crash { party, save, point: Point::After(acts) } => {
                format!("{party} is killed after its save {save} and {acts} actions")
            }
            Variant::Crash { party, save, point: Point::Unanswered } => {
                format!("{party} is killed after its save {save}, before it answers")
            }
            Variant::Kill { party, told } => format!("{party}'s process is killed after {told} things told"),
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Variant::Reorg { at_height, depth } => write!(f, "reorg:{at_height}:{depth}"),
            Variant::Cut { message, moment: Moment::Before } => write!(f, "cut:{message}:before"),
            Variant::Cut { message, moment: Moment::After } => write!(f, "cut:{message}:after"),
            Variant::Cheat { party, channel, state, second_stages } => {
                let with = if *second_stages { ":second-stages" } else { "" };
                write!(f, "cheat:{party}:{channel}:{state}{with}")
            }
            Variant::Crash { party, save, point } => write!(f, "crash:{party}:{save}:{point}"),
            Variant::Kill { party, told } => write!(f, "kill:{party}:{told}"),
        }
    }
}

impl FromStr for Variant {
    type Err = BadVariant;

    fn from_str(text: &str) -> Result<Self, BadVariant> {
        parse(text).ok_or_else(|| BadVariant { text: text.into() })
    }
}

fn parse(text: &str) -> Option<Variant> {
    let parts: Vec<&str> = text.split(':').collect();
    let variant = match parts[..] {
        ["reorg", height, depth] => {
            Variant::Reorg { at_height: height.parse().ok()?, depth: depth.parse().ok()? }
        }
        ["cut", message, moment] => {
            let moment = match moment {
                "before" => Moment::Before,
                "after" => Moment::After,
                _ => return None,
            };
            Variant::Cut { message: message.parse().ok()?, moment }
        }
        ["cheat", party, channel, state] => Variant::Cheat {
            party: party.into(),
            channel: channel.into(),
            state: state.parse().ok()?,
            second_stages: false,
        },
        ["cheat", party, channel, state, "second-stages"] => Variant::Cheat {
            party: party.into(),
            channel: channel.into(),
            state: state.parse().ok()?,
            second_stages: true,
        },
        ["crash", party, save, "before"] => {
            Variant::Crash { party: party.into(), save: save.parse().ok()?, point: Point::Before }
        }
        ["crash", party, save, "after", acts] => Variant::Crash {
            party: party.into(),
            save: save.parse().ok()?,
            point: Point::After(acts.parse().ok()?),
        },
        ["crash", party, save, "unanswered"] => {
            Variant::Crash { party: party.into(), save: save.parse().ok()?, point: Point::Unanswered }
        }
        ["kill", party, told] => Variant::Kill { party: party.into(), told: told.parse().ok()? },
        _ => return None,
    };
    Some(variant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for text in [
            "reorg:117:3",
            "cut:17:before",
            "cut:17:after",
            "cheat:alice:alice-bob:2",
            "cheat:bob:alice-bob:1:second-stages",
            "crash:bob:12:before",
            "crash:bob:12:after:0",
            "crash:bob:12:unanswered",
            "kill:bob:17",
        ] {
            assert_eq!(text.parse::<Variant>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn nonsense_is_refused_with_the_forms_there_are() {
        for text in [
            "",
            "reorg",
            "reorg:x:1",
            "reorg:1",
            "cut:1:during",
            "cheat:a:b:c",
            "cheat:a:b:1:all",
            "crash:a:1:after",
        ] {
            let refused = text.parse::<Variant>().unwrap_err().to_string();
            assert!(refused.contains("is no variant: reorg:HEIGHT:DEPTH"), "{refused}");
        }
    }
}
