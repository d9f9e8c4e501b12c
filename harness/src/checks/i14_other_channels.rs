//! I14, one peer's misbehaviour closes no channel with another: between two honest ends a commitment goes to the chain only
//! when an owner asked for it, an HTLC's deadline is near, or the other end has forgotten what it never saw mined.
use super::replay::{Course, Handed};
use super::{Broken, Evidence};

/// An HTLC that expires within so many blocks is a reason to close: BOLT 2's 18 for a claim, and some to see it coming.
const NEAR: u32 = 24;

/// Every commitment that its holder handed in.
pub(super) fn check(evidence: &Evidence) -> Vec<Broken> {
    let replay = &evidence.replay;
    let mut broken = Vec::new();
    for course in &replay.courses {
        if !course.ends.iter().all(|end| evidence.is_honest(*end)) {
            continue;
        }
        let own = |handed: &&Handed| {
            let landing = course.landings.get(&handed.txid);
            landing.is_some_and(|landing| course.ends[landing.holder] == handed.party)
        };
        // The first tells why; handing it in again needs no other reason.
        let Some(handed) = replay.handed.iter().find(own) else { continue };
        if has_reason(course, handed) {
            continue;
        }
        let (name, label) = (evidence.name(handed.party), replay.label(&handed.txid));
        let other = course.ends.iter().find(|end| **end != handed.party).copied().unwrap_or_default();
        let text = format!(
            "{name} closes {} alone at height {}: nobody asked, no HTLC is near its expiry, and {} is honest",
            course.name,
            handed.now.height,
            evidence.name(other)
        );
        let amount = course.terms.funding_amount.to_msat();
        broken.push(evidence.broken("I14", handed.party, label, amount, text));
    }
    broken
}

fn has_reason(course: &Course, handed: &Handed) -> bool {
    let ended = [course.asked, course.abandoned].into_iter().flatten();
    let asked = ended.into_iter().any(|ended| ended.place < handed.now.place);
    let end = course.end_of(handed.party).unwrap_or_default();
    let near = course.htlcs.iter().any(|htlc| {
        let settled = htlc.removal.and_then(|removal| removal.settled[end]);
        let pending = !htlc.forgotten && settled.is_none_or(|settled| settled.place > handed.now.place);
        let begun = htlc.offered.place < handed.now.place;
        begun && pending && htlc.expiry.get() <= handed.now.height.saturating_add(NEAR)
    });
    asked || near
}

#[cfg(test)]
mod tests {
    use super::super::evidence_of;
    use super::super::replay::fixture::*;
    use super::super::replay::Replay;
    use super::*;
    use crate::transcript::Verdict;

    /// Bob closes his channel with carol at this height; the HTLC in it expires at 100.
    fn closed_at(height: u32) -> Replay {
        let mut replay = replay();
        let txid = land(&mut replay, 1, 0, height + 1);
        let handed = Handed { now: at(90, height), party: 1, txid, inputs: vec![], verdict: Verdict::Taken };
        replay.handed.push(handed);
        replay
    }

    #[test]
    fn an_order_or_a_deadline_is_a_reason() {
        assert_eq!(check(&evidence_of(closed_at(76))), []);
        let mut asked = closed_at(60);
        asked.courses[1].asked = Some(at(80, 60));
        assert_eq!(check(&evidence_of(asked)), []);
    }

    #[test]
    fn a_third_ones_sins_are_none() {
        let replay = closed_at(75);
        let third = Evidence { dishonest: vec![true], ..evidence_of(replay.clone()) };
        let broken = check(&third).remove(0);
        assert!(broken.text.starts_with("bob closes bob-carol alone at height 75"), "{broken}");
        let peer = Evidence { dishonest: vec![false, false, true], ..evidence_of(replay) };
        assert_eq!(check(&peer), []);
    }
}
