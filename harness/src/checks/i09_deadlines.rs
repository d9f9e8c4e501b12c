//! I9, deadlines: every spend that somebody else could come before confirms in time. To spare are blocks, and the fee that
//! was paid for them. A forwarder's HTLC-timeout is due by the *incoming* expiry.
use super::i08_cheater_gets_nothing::is_revoked;
use super::replay::{Course, HtlcRef, Landing, Output, Replay, Spend, Way};
use super::{Broken, Evidence};
use bitcoin::{OutPoint, Txid};
use leyden_core::units::Sat;

/// A claim that somebody would come before whose learned R at the last moment cannot be blamed: so many blocks it takes.
const CLAIM_TAKES: u32 = 3;

/// How close a spend came to its deadline.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Margin {
    /// The transaction's name.
    pub what: String,
    /// Whose it is.
    pub party: usize,
    /// What it spends.
    pub amount: Sat,
    /// The last height at which it is in time.
    pub deadline: u32,
    /// Blocks to spare; negative when it came too late.
    pub blocks: i64,
    /// The fee that was paid for it.
    pub fee: Sat,
}

/// Every time-critical spend on the chain, in the order of channels and outputs.
pub fn margins(evidence: &Evidence) -> Vec<Margin> {
    let replay = &evidence.replay;
    let mut margins = Vec::new();
    for (number, course) in replay.courses.iter().enumerate() {
        let Some((txid, Some(landing), height)) = replay.landed(number) else { continue };
        for (vout, (amount, output)) in (0u32..).zip(&landing.outputs) {
            let scene = Scene { replay, course, number, landing, height };
            let due = scene.due(*output, OutPoint::new(txid, vout));
            margins.extend(due.into_iter().map(|due| due.margin(evidence, *amount)));
        }
    }
    margins
}

/// Those that came too late.
pub(super) fn check(evidence: &Evidence) -> Vec<Broken> {
    let late = margins(evidence).into_iter().filter(|margin| margin.blocks < 0);
    let ours = late.filter(|margin| evidence.is_honest(margin.party));
    let broken = ours.map(|margin| {
        let text = format!(
            "{}'s {} was due by height {} and came {} blocks late",
            evidence.name(margin.party),
            margin.what,
            margin.deadline,
            margin.blocks.unsigned_abs()
        );
        evidence.broken("I9", margin.party, margin.what, margin.amount.to_msat(), text)
    });
    broken.collect()
}

/// A spend with a deadline.
struct Due {
    party: usize,
    txid: Txid,
    height: u32,
    deadline: u32,
}

impl Due {
    fn margin(self, evidence: &Evidence, amount: Sat) -> Margin {
        let what = evidence.replay.label(&self.txid);
        let line = evidence.settlement.transactions.iter().find(|line| line.label == what);
        Margin {
            what,
            party: self.party,
            amount,
            deadline: self.deadline,
            blocks: i64::from(self.deadline) - i64::from(self.height),
            fee: line.map_or(Sat::ZERO, |line| line.fee),
        }
    }
}

/// A commitment on the chain.
struct Scene<'a> {
    replay: &'a Replay,
    course: &'a Course,
    number: usize,
    landing: &'a Landing,
    height: u32,
}

impl Scene<'_> {
    /// What was due of this output.
    fn due(&self, output: Output, at: OutPoint) -> Option<Due> {
        let spend = self.replay.beach.spend(&at)?;
        match output {
            Output::ToLocal => self.penalty(spend, self.height),
            Output::Htlc(place) => match Way::of_htlc(&spend.witness) {
                Way::HtlcTimeout | Way::HtlcSuccess if is_revoked(self.course, self.landing) => {
                    let second = OutPoint::new(spend.txid, spend.input as u32);
                    self.penalty(self.replay.beach.spend(&second)?, spend.height)
                }
                Way::HtlcTimeout | Way::AfterExpiry => self.timeout(spend, (self.number, place)),
                Way::HtlcSuccess | Way::WithPreimage => self.claim(spend, (self.number, place)),
                Way::Penalty | Way::Owner | Way::Strange => None,
            },
            Output::ToRemote | Output::Anchor => None,
        }
    }

    /// A penalty comes before the cheater's own sweep can: within the delay after the output was mined.
    fn penalty(&self, spend: &Spend, mined: u32) -> Option<Due> {
        let holder = self.landing.holder;
        let delay = self.course.terms.party(super::replay::side(holder)).to_self_delay;
        let party = self.course.ends[1 - holder];
        let due = Due { party, txid: spend.txid, height: spend.height, deadline: mined + u32::from(delay) };
        (Way::of_delayed(&spend.witness) == Way::Penalty).then_some(due)
    }

    fn timeout(&self, spend: &Spend, at: HtlcRef) -> Option<Due> {
        let htlc = self.replay.htlc(at);
        let deadline = self.replay.htlc(htlc.back?).expiry.get();
        let party = self.course.ends[htlc.key.0];
        Some(Due { party, txid: spend.txid, height: spend.height, deadline })
    }

    fn claim(&self, spend: &Spend, at: HtlcRef) -> Option<Due> {
        let htlc = self.replay.htlc(at);
        let (party, deadline) = (self.course.ends[htlc.receiver()], htlc.expiry.get());
        let learned = self.replay.learned.get(&(party, htlc.hash));
        let in_time = learned.is_none_or(|(learned, _)| learned.height + CLAIM_TAKES < deadline);
        in_time.then_some(Due { party, txid: spend.txid, height: spend.height, deadline })
    }
}

#[cfg(test)]
mod tests {
    use super::super::evidence_of;
    use super::super::replay::fixture::*;
    use super::*;

    /// How many blocks are to spare when output `vout` of `course`'s commitment is spent like this at `height`.
    fn blocks(course: usize, holder: usize, vout: u32, lengths: &[usize], height: u32) -> Vec<i64> {
        let mut replay = replay();
        let commitment = land(&mut replay, course, holder, 60);
        give_up(&mut replay, course, if lengths[1] == 1 { holder } else { 1 - holder });
        mine(&mut replay, OutPoint::new(commitment, vout), txid(1), height, lengths);
        let evidence = evidence_of(replay);
        let margins = margins(&evidence);
        let late = margins.iter().any(|margin| margin.blocks < 0);
        assert_eq!(check(&evidence).len(), usize::from(late));
        margins.iter().map(|margin| margin.blocks).collect()
    }

    #[test]
    fn a_forwarders_timeout_is_due_by_the_incoming_expiry() {
        assert_eq!(blocks(1, 0, 2, &[0, 71, 71, 0, 133], 101), [39]);
        assert_eq!(blocks(1, 0, 2, &[0, 71, 71, 0, 133], 141), [-1]);
        assert_eq!(blocks(0, 0, 2, &[0, 71, 71, 0, 133], 300), [0; 0], "the sender's own has time");
    }

    #[test]
    fn a_claim_is_due_by_its_own_expiry() {
        assert_eq!(blocks(0, 1, 2, &[0, 71, 71, 32, 139], 140), [0]);
        assert_eq!(blocks(0, 0, 2, &[71, 32, 133], 150), [-10]);
    }

    #[test]
    fn a_penalty_is_due_within_the_delay() {
        assert_eq!(blocks(0, 0, 0, &[71, 1, 77], 61), [143]);
        assert_eq!(blocks(0, 0, 0, &[71, 0, 77], 400), [0; 0], "the owner's sweep has time");
    }
}
