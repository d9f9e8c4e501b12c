//! A pair with a node's habits: what is received is settled or refused at once, what is due is signed when asked for. The link
//! breaks, and ends start again from what they saved, at planned moments. It judges nothing but that the ends agree.
use super::{hash_of, preimage, Pair, Who, A, B};
use leyden_core::channel::{Command, Effect, Origin, Received, Refusal};
use std::collections::{BTreeMap, BTreeSet};

/// How far an end has come with a message when the link breaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    /// It arrived, and nothing was done about it yet.
    Arrived,
    /// What it brought was settled or refused, and is not signed yet.
    Answered,
    /// That is signed.
    Signed,
}

/// What breaks with the link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Nothing else.
    Link,
    /// These ends start again from what they saved.
    Restart(&'static [Who]),
}

/// Whose messages arrive first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// All that is on its way to this end, before anything to the other.
    To(Who),
    /// One to each.
    InTurn,
}

/// A break after so many messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Break {
    pub after: usize,
    pub at: Moment,
    pub fault: Fault,
}

/// How an HTLC ended for who offered it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Ending {
    Fulfilled,
    Refused,
    Malformed,
    NotCommitted,
}

/// The pair at work.
pub struct Drive {
    pub pair: Pair,
    pub order: Order,
    /// Planned, and not happened yet.
    pub breaks: Vec<Break>,
    /// Messages that arrived so far.
    pub delivered: usize,
    /// Every ending that was told of an offer, by its number.
    pub endings: BTreeMap<(bool, u64), BTreeSet<Ending>>,
    turn: Who,
    heard: [usize; 2],
    unanswered: Vec<(Who, Received)>,
    due: Vec<Who>,
}

impl Drive {
    pub fn new(pair: Pair, order: Order, breaks: Vec<Break>) -> Self {
        let heard = [pair.a.effects.len(), pair.b.effects.len()];
        let (endings, unanswered, due) = (BTreeMap::new(), Vec::new(), Vec::new());
        Self { pair, order, breaks, delivered: 0, endings, turn: A, heard, unanswered, due }
    }

    /// Until nothing is on its way any more.
    pub fn run(&mut self) {
        while self.step() {
            assert!(self.delivered < 2_000, "the two never come to rest");
        }
    }

    /// Does what is due and lets one message arrive. Whether there was one.
    pub fn step(&mut self) -> bool {
        self.listen();
        self.break_at(Moment::Arrived);
        self.answer();
        self.break_at(Moment::Answered);
        self.sign();
        self.break_at(Moment::Signed);
        self.sign();
        let arrived = self.deliver();
        self.delivered += usize::from(arrived);
        arrived
    }

    /// This end has something to sign from the start.
    pub fn expect_signature_of(&mut self, who: Who) {
        self.due.push(who);
    }

    /// Every ending of an offer.
    pub fn endings_of(&self, who: Who, n: u8) -> Vec<Ending> {
        let told = self.endings.get(&(who == B, u64::from(n)));
        told.into_iter().flatten().copied().collect()
    }

    /// Nobody complained, all is resolved, both agree, and the opener has what it must have; it began with `begin` msat.
    pub fn assert_resolved(&self, begin: u64, offers: &[(Who, u8, u64)]) {
        for who in [A, B] {
            assert_eq!(
                (self.pair.warning_of(who), self.pair.error_of(who)),
                (None, None),
                "{who:?} complained"
            );
            assert!(self.pair.channel(who).htlcs().is_empty(), "{who:?} is left with HTLCs");
        }
        self.pair.assert_agreement();
        let mut expected = begin;
        for (who, n, amount) in offers {
            let endings = self.endings_of(*who, *n);
            let usual = match n % 4 {
                1 | 3 => Ending::Fulfilled,
                2 => Ending::Refused,
                _ => Ending::Malformed,
            };
            // One that nobody signed is lost with its link, or with its memory.
            let lost = endings.is_empty() || endings == [Ending::NotCommitted];
            assert!(lost || endings == [usual], "offer {n} of {who:?} ended as {endings:?}");
            match (endings.first(), who) {
                (Some(Ending::Fulfilled), A) => expected -= amount,
                (Some(Ending::Fulfilled), B) => expected += amount,
                _ => {}
            }
        }
        assert_eq!(self.pair.channel(A).balances().0.get(), expected);
    }

    fn deliver(&mut self) -> bool {
        let first = match self.order {
            Order::To(who) => who,
            Order::InTurn => self.turn,
        };
        self.turn = first.other();
        self.pair.deliver(first) || self.pair.deliver(first.other())
    }

    fn break_at(&mut self, at: Moment) {
        let now = |planned: &Break| planned.after == self.delivered && planned.at == at;
        let Some(index) = self.breaks.iter().position(now) else { return };
        let fault = self.breaks.remove(index).fault;
        if let Fault::Restart(_) = fault {
            // A node answers in the turn in which it saves what it received.
            self.answer();
        }
        self.pair.cut();
        if let Fault::Restart(whom) = fault {
            for who in whom {
                let saved = self.pair.end(*who).saved.clone();
                self.pair.restart(*who, &saved);
            }
        }
        self.listen();
        self.answer();
        self.due.clear();
        self.pair.connect();
    }

    /// Settles odd numbers, refuses the others; while the link is down too.
    fn answer(&mut self) {
        for (who, received) in std::mem::take(&mut self.unanswered) {
            let id = received.id;
            let n =
                (0..=u8::MAX).find(|n| hash_of(*n) == received.payment_hash).expect("an offer of the test");
            let command = match n % 4 {
                1 | 3 => Command::Fulfill { id, preimage: preimage(n) },
                2 => Command::Fail { id, reason: vec![n; 40] },
                _ => Command::FailMalformed { id, sha256_of_onion: [n; 32], failure_code: 0xC005 },
            };
            self.pair.command(who, command).unwrap();
        }
        self.listen();
    }

    fn sign(&mut self) {
        for who in std::mem::take(&mut self.due) {
            self.pair.command(who, Command::Commit).unwrap();
        }
        self.listen();
    }

    fn listen(&mut self) {
        for who in [A, B] {
            let heard = &mut self.heard[usize::from(who == B)];
            let new = self.pair.end(who).effects[*heard..].to_vec();
            *heard += new.len();
            for effect in new {
                match effect {
                    Effect::Received(received) => self.unanswered.push((who, received)),
                    Effect::CommitDue => self.due.push(who),
                    Effect::Fulfilled { origin, .. } => self.ended(who, origin, Ending::Fulfilled),
                    Effect::Failed { origin, refusal } => self.ended(who, origin, ending(&refusal)),
                    _ => {}
                }
            }
        }
    }

    fn ended(&mut self, who: Who, origin: Origin, ending: Ending) {
        let Origin::Own { attempt } = origin else { panic!("nothing is forwarded here") };
        self.endings.entry((who == B, attempt)).or_default().insert(ending);
    }
}

fn ending(refusal: &Refusal) -> Ending {
    match refusal {
        Refusal::Encrypted(_) => Ending::Refused,
        Refusal::Malformed { .. } => Ending::Malformed,
        Refusal::NotCommitted | Refusal::OnChain => Ending::NotCommitted,
    }
}
