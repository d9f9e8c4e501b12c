//! Faults of single messages: held, dropped, delayed, doubled, overtaken, and links that break before or after the n-th message of
//! the run. Each leaves a line in the transcript. It decides by sender, recipient, type and number; it reads no content.
use super::queue::Happening;
use super::{Kind, World, WorldError, LATENCY};
use leyden_core::units::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// What happens to a message.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// It waits until it is released, and so does all that its sender sends behind it: a stream stays a stream.
    Hold,
    /// It is lost; what its sender sends behind it arrives.
    Drop,
    /// It takes this much longer; what its sender sends behind it overtakes it.
    Delay(Timestamp),
    /// It arrives twice.
    Duplicate,
    /// It arrives behind the next message of its sender; if there is none, when it is released.
    Reorder,
    /// Its bytes are changed on the way: the sender is an adversary. For people, what is changed.
    Rewrite(&'static str, fn(&mut Vec<u8>)),
    /// From this byte on it holds these: what was seen elsewhere. For people, what they are.
    Put(&'static str, usize, &'static [u8]),
}

/// Where a link breaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    /// The message is lost with the link.
    Before,
    /// The message arrives, and nothing that it leads to.
    After,
}

/// A fault for the next messages of one type in one direction.
#[derive(Clone, Copy, Debug)]
struct Rule {
    from: usize,
    to: usize,
    kind: Kind,
    fault: Fault,
    /// How many more; without an end if none.
    left: Option<u32>,
}

/// All of it.
#[derive(Default, Debug)]
pub(super) struct Tampering {
    /// Messages sent since the run began.
    sent: u64,
    rules: Vec<Rule>,
    /// Directions in which everything waits.
    stalled: BTreeSet<(usize, usize)>,
    /// What waits, in order, by direction.
    held: BTreeMap<(usize, usize), Vec<Happening>>,
    cuts: Vec<(u64, Moment)>,
    /// Links that a cut broke, to stand again once the world is at rest.
    torn: Vec<(usize, usize)>,
}

impl Tampering {
    /// The fault that this message gets, and one message less for its rule.
    fn fault(&mut self, from: usize, to: usize, bytes: &[u8]) -> Option<Fault> {
        if self.rules.is_empty() {
            return None;
        }
        let kind = Kind::of(bytes)?;
        let fits =
            |rule: &&mut Rule| (rule.from, rule.to, rule.kind) == (from, to, kind) && rule.left != Some(0);
        let rule = self.rules.iter_mut().find(fits)?;
        rule.left = rule.left.map(|left| left - 1);
        Some(rule.fault)
    }

    fn cuts(&mut self, number: u64, moment: Moment) -> bool {
        let before = self.cuts.len();
        self.cuts.retain(|cut| *cut != (number, moment));
        self.cuts.len() != before
    }
}

impl World {
    /// From now on, or for the next `count`, messages of this type in this direction get this fault.
    pub fn tamper(&mut self, from: usize, to: usize, kind: Kind, fault: Fault, count: Option<u32>) {
        if let Some(live) = &mut self.live {
            live.divert(from, to);
        }
        self.tampering.rules.push(Rule { from, to, kind, fault, left: count });
    }

    /// Messages sent since the run began, also those that were lost.
    pub fn messages_sent(&self) -> u64 {
        self.tampering.sent
    }

    /// The link breaks at the `number`th message of the run (from 1), and stands again once the world is at rest.
    pub fn cut_at(&mut self, number: u64, moment: Moment) {
        self.only_in_process("cut_at");
        self.tampering.cuts.push((number, moment));
    }

    /// What was held in this direction goes on its way, in order, and holding ends.
    pub fn release(&mut self, from: usize, to: usize) {
        let way = (from, to);
        self.tampering.rules.retain(|rule| (rule.from, rule.to) != way || !matches!(rule.fault, Fault::Hold));
        self.tampering.stalled.remove(&way);
        let held = self.tampering.held.remove(&way).unwrap_or_default();
        if held.is_empty() {
            return;
        }
        self.note(format!("what {} sent to {} is released", self.seats[from].name, self.seats[to].name));
        for message in held {
            self.queue.push(self.now.saturating_add(LATENCY), to, message);
        }
    }

    /// Ends every fault of messages; all that was held goes on its way.
    pub(super) fn end_tampering(&mut self) {
        self.tampering.rules.clear();
        self.tampering.cuts.clear();
        let ways: Vec<_> = self.tampering.held.keys().copied().collect();
        ways.into_iter().for_each(|(from, to)| self.release(from, to));
        self.tampering.stalled.clear();
    }

    /// What the script keeps from going on now, for people.
    pub fn kept_back(&self) -> Vec<String> {
        let name = |node: usize| &self.seats[node].name;
        let held = self.tampering.held.iter().filter(|(_, messages)| !messages.is_empty());
        let held = held.map(|((from, to), _)| format!("what {} sent to {} is held", name(*from), name(*to)));
        let silent = self.links.silent().into_iter().map(|node| format!("{} is silent", name(node)));
        let asleep = self.sleepers().map(|node| format!("{} is asleep", name(node)));
        held.chain(silent).chain(asleep).collect()
    }

    /// A message sets out.
    pub(super) fn entrust(&mut self, from: usize, to: usize, connection: u64, bytes: Vec<u8>) {
        self.tampering.sent += 1;
        let (number, way) = (self.tampering.sent, (from, to));
        if self.tampering.cuts(number, Moment::Before) {
            return self.tear(from, to, number, "before");
        }
        let stalled = self.tampering.stalled.contains(&way);
        let fault = if stalled { None } else { self.tampering.fault(from, to, &bytes) };
        let name = Kind::of(&bytes).map_or("message", Kind::name);
        let message = Happening::Message { from, connection, number, bytes };
        let at = self.now.saturating_add(LATENCY);
        let mut told = |what: &str| {
            let (from, to) = (&self.seats[from].name, &self.seats[to].name);
            self.note(format!("{from}'s {name} to {to} {what}"));
        };
        match fault {
            None if stalled => self.tampering.held.entry(way).or_default().push(message),
            None => {
                self.queue.push(at, to, message);
                self.bring_overtaken(way);
            }
            Some(Fault::Hold) => {
                told("is held");
                self.tampering.stalled.insert(way);
                self.tampering.held.entry(way).or_default().push(message);
            }
            Some(Fault::Drop) => told("is dropped"),
            Some(Fault::Delay(span)) => {
                told("is delayed");
                self.queue.push(at.saturating_add(span), to, message);
            }
            Some(Fault::Duplicate) => {
                told("is doubled");
                self.queue.push(at, to, message.clone());
                self.queue.push(at, to, message);
                self.bring_overtaken(way);
            }
            Some(Fault::Rewrite(what, change)) => {
                told(&format!("comes with {what}"));
                self.queue.push(at, to, message.changed(change));
                self.bring_overtaken(way);
            }
            Some(Fault::Put(what, at_byte, put)) => {
                told(&format!("comes with {what}"));
                let change = |bytes: &mut Vec<u8>| bytes[at_byte..at_byte + put.len()].copy_from_slice(put);
                self.queue.push(at, to, message.changed(change));
                self.bring_overtaken(way);
            }
            Some(Fault::Reorder) => {
                told("is overtaken");
                self.tampering.held.entry(way).or_default().push(message);
            }
        }
    }

    /// What was to arrive behind the message that was just sent.
    fn bring_overtaken(&mut self, way: (usize, usize)) {
        for message in self.tampering.held.remove(&way).unwrap_or_default() {
            self.queue.push(self.now.saturating_add(LATENCY), way.1, message);
        }
    }

    /// A message was delivered.
    pub(super) fn delivered(&mut self, from: usize, to: usize, number: u64) {
        if self.tampering.cuts(number, Moment::After) {
            self.tear(from, to, number, "after");
        }
    }

    fn tear(&mut self, from: usize, to: usize, number: u64, moment: &str) {
        let (a, b) = (&self.seats[from].name, &self.seats[to].name);
        self.note(format!("{a} and {b} lose their connection {moment} message {number}"));
        // Only nodes in this process get here, whose links always obey.
        let _ = self.cut(from, to);
        self.tampering.torn.push((from.min(to), from.max(to)));
    }

    /// The world is at rest: links that a cut broke stand again. Whether there were any.
    pub(super) fn mend(&mut self) -> Result<bool, WorldError> {
        let torn = std::mem::take(&mut self.tampering.torn);
        torn.iter().try_for_each(|(a, b)| self.connect(*a, *b))?;
        Ok(!torn.is_empty())
    }
}
