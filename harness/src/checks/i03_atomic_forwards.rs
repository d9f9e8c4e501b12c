//! I3, forwards are atomic: who paid on, was paid. An HTLC that went out and was claimed means that the one that it was
//! forwarded from is claimed as well, on the wire or on the chain.
use super::fate::{fate, Fate};
use super::replay::{HtlcRef, Replay};
use super::{Broken, Evidence};

/// Every HTLC that was forwarded.
pub(super) fn check(evidence: &Evidence) -> Vec<Broken> {
    let replay = &evidence.replay;
    let mut broken = Vec::new();
    for (number, course) in replay.courses.iter().enumerate() {
        for (place, htlc) in course.htlcs.iter().enumerate() {
            let (Some(back), forwarder) = (htlc.back, course.ends[htlc.key.0]) else { continue };
            let out = (number, place);
            if !evidence.is_honest(forwarder) || !is_paid(replay, out) {
                continue;
            }
            let Some(how) = unpaid(replay, back) else { continue };
            let name = evidence.name(forwarder);
            let text = format!("{name} paid {} and {how} {}", replay.title(out), replay.title(back));
            broken.push(evidence.broken("I3", forwarder, replay.title(back), htlc.amount, text));
        }
    }
    broken
}

/// Whether the next one took the money, and the forwarder knows: a message that gives R may never arrive.
fn is_paid(replay: &Replay, out: HtlcRef) -> bool {
    let htlc = replay.htlc(out);
    let forwarder = replay.courses[out.0].ends[htlc.key.0];
    let knows = replay.learned.contains_key(&(forwarder, htlc.hash));
    matches!(fate(replay, out), Fate::Claimed { .. }) && (knows || replay.landed(out.0).is_some())
}

fn unpaid(replay: &Replay, back: HtlcRef) -> Option<&'static str> {
    match fate(replay, back) {
        Fate::Claimed { .. } | Fate::Trimmed | Fate::Absent => None,
        Fate::Returned => Some("gave back"),
        Fate::Open => {
            let expired = replay.beach.height() >= replay.htlc(back).expiry.get();
            expired.then_some("never claimed")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::evidence_of;
    use super::super::replay::fixture::*;
    use super::super::replay::How;
    use super::*;
    use bitcoin::OutPoint;

    fn paid_on() -> Replay {
        let mut replay = replay();
        settle(&mut replay, OUTGOING, How::Fulfilled(PREIMAGE), at(60, 55));
        replay.learned.insert((1, PREIMAGE.payment_hash()), (at(61, 55), PREIMAGE));
        replay
    }

    #[test]
    fn a_forward_that_is_paid_on_both_sides_passes() {
        let mut replay = paid_on();
        settle(&mut replay, INCOMING, How::Fulfilled(PREIMAGE), at(62, 55));
        assert_eq!(check(&evidence_of(replay)), []);
    }

    #[test]
    fn a_claim_on_the_chain_counts() {
        let mut replay = paid_on();
        let commitment = land(&mut replay, 0, 1, 60);
        mine(&mut replay, OutPoint::new(commitment, 2), txid(1), 61, &[0, 71, 71, 32, 139]);
        replay.beach.grow_to(200);
        assert_eq!(check(&evidence_of(replay)), []);
    }

    #[test]
    fn paid_on_and_given_back_is_broken() {
        let mut replay = paid_on();
        settle(&mut replay, INCOMING, How::Failed, at(62, 55));
        let broken = check(&evidence_of(replay.clone())).remove(0);
        assert_eq!(broken.party.as_deref(), Some("bob"));
        assert!(broken.text.contains("bob paid HTLC 0 of bob-carol"), "{broken}");
        let evidence = Evidence { dishonest: vec![false, true], ..evidence_of(replay) };
        assert_eq!(check(&evidence), [], "nobody answers for a cheater");
    }

    #[test]
    fn a_second_stage_that_was_punished_is_no_return() {
        let mut replay = paid_on();
        let lie = land(&mut replay, 0, 0, 60);
        mine(&mut replay, OutPoint::new(lie, 2), txid(2), 61, &[0, 71, 71, 0, 133]);
        assert_eq!(check(&evidence_of(replay.clone())).len(), 1, "HT alone gives it back");
        mine(&mut replay, OutPoint::new(txid(2), 0), txid(3), 62, &[71, 1, 77]);
        assert_eq!(check(&evidence_of(replay)), []);
    }

    #[test]
    fn paid_on_the_chain_and_lost_there_is_broken() {
        let mut replay = replay();
        let (in_tx, out_tx) = (land(&mut replay, 0, 0, 60), land(&mut replay, 1, 0, 60));
        mine(&mut replay, OutPoint::new(out_tx, 2), txid(1), 90, &[71, 32, 133]);
        mine(&mut replay, OutPoint::new(in_tx, 2), txid(2), 141, &[0, 71, 71, 0, 133]);
        assert_eq!(check(&evidence_of(replay)).len(), 1);
    }
}
