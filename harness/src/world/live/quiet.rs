//! When nothing is left to do: known from what was told, by counting. Each reason why it is not quiet yet has words, for the case
//! that it never comes.
use super::{pair, Live};
use crate::chain::Tip;

impl Live {
    /// What is still awaited; nothing if all is quiet on a chain of this height.
    pub(super) fn awaited(&self, height: u32) -> Option<String> {
        self.nodes.iter().enumerate().find_map(|(node, member)| {
            let name = &member.plan.name;
            member.process.as_ref().filter(|_| !self.asleep.contains(&node))?;
            if self.is_struck(node) {
                return Some(format!("{name} was killed, and may have told more"));
            }
            if !member.ready {
                return Some(format!("{name} is not ready"));
            }
            if !member.queue.is_empty() {
                return Some(format!("{name} told something that nobody sent"));
            }
            if member.tip != height {
                return Some(format!("{name} is at height {}, the chain at {height}", member.tip));
            }
            if member.orders.left() > 0 {
                return Some(format!("{name} has not carried out {} of its orders", member.orders.left()));
            }
            if member.wakes || member.commands > 0 {
                return Some(format!("{name} has something to sign or to answer"));
            }
            if member.unjudged > 0 {
                return Some(format!(
                    "the chain has not judged {} of {name}'s transactions",
                    member.unjudged
                ));
            }
            self.wires.iter().filter(|((from, _), _)| *from == node).find_map(|((_, to), way)| {
                let other = &self.nodes[*to].plan.name;
                let waits = self.silent.contains(&node) || self.silent.contains(to);
                if self.asleep.contains(to) {
                    return None;
                }
                if !way.under_way.is_empty() && !waits {
                    return Some(format!(
                        "{} messages are on their way from {name} to {other}",
                        way.under_way.len()
                    ));
                }
                let stands = way.begun > way.ended;
                let wanted = self.wanted.contains(&pair(node, *to));
                (stands != wanted).then(|| {
                    let wish = if wanted { "stand" } else { "end" };
                    format!("the connection of {name} with {other} is to {wish}")
                })
            })
        })
    }

    /// All is quiet on this tip.
    pub(super) fn rest(&mut self, tip: Tip) {
        self.rested = Some(tip);
    }

    /// Whether it still is: nobody was asked for anything since, and the chain is where it was.
    pub(super) fn rests(&self, tip: Tip) -> bool {
        self.rested == Some(tip)
    }

    /// Whether the nodes have to look into the mempool before it is quiet.
    pub(super) fn take_look_due(&mut self) -> bool {
        std::mem::take(&mut self.look_due)
    }
}
