//! I7, no old state: nobody hands a commitment to the chain whose secret it gave up, and nobody gives up a secret before the
//! record that makes that commitment old is durable.
use super::{Broken, Evidence};
use leyden_core::units::Msat;

/// Every broadcast, then every secret.
pub(super) fn check(evidence: &Evidence) -> Vec<Broken> {
    let mut broken = broadcasts(evidence);
    broken.extend(secrets(evidence));
    broken
}

fn broadcasts(evidence: &Evidence) -> Vec<Broken> {
    let replay = &evidence.replay;
    let mut broken = Vec::new();
    for handed in replay.handed.iter().filter(|handed| evidence.is_honest(handed.party)) {
        for course in &replay.courses {
            let Some(landing) = course.landings.get(&handed.txid) else { continue };
            let own = course.ends[landing.holder] == handed.party;
            if !own || !course.gave_up(landing, handed.now.place) {
                continue;
            }
            let (name, label) = (evidence.name(handed.party), replay.label(&handed.txid));
            let text = format!(
                "{name} broadcasts {label} of {} at height {}, whose secret it gave up",
                course.name, handed.now.height
            );
            let amount = course.terms.funding_amount.to_msat();
            broken.push(evidence.broken("I7", handed.party, label, amount, text));
        }
    }
    broken
}

fn secrets(evidence: &Evidence) -> Vec<Broken> {
    let replay = &evidence.replay;
    let unsaved = replay.unsaved.iter().map(|unsaved| (unsaved, &replay.courses[unsaved.course]));
    let honest = unsaved.filter(|(unsaved, course)| evidence.is_honest(course.ends[unsaved.end]));
    let broken = honest.map(|(unsaved, course)| {
        let party = course.ends[unsaved.end];
        let letter = ['a', 'b'][unsaved.end];
        let label = format!("C{}{letter}", unsaved.number + 1);
        let name = evidence.name(party);
        let text = format!(
            "{name} gives up the secret of {label} of {} before the next commitment is saved",
            course.name
        );
        evidence.broken("I7", party, label, Msat::ZERO, text)
    });
    broken.collect()
}

#[cfg(test)]
mod tests {
    use super::super::evidence_of;
    use super::super::replay::fixture::*;
    use super::super::replay::{Handed, Replay, Unsaved};
    use super::*;
    use crate::transcript::Verdict;

    /// Bob hands in his commitment 1 at place 90.
    fn broadcast() -> Replay {
        let mut replay = replay();
        let txid = land(&mut replay, 0, 1, 60);
        let handed = Handed { now: at(90, 59), party: 1, txid, inputs: vec![], verdict: Verdict::Taken };
        replay.handed.push(handed);
        replay
    }

    #[test]
    fn the_newest_state_may_be_broadcast() {
        assert_eq!(check(&evidence_of(broadcast())), []);
    }

    #[test]
    fn an_old_state_must_not() {
        let mut replay = broadcast();
        give_up(&mut replay, 0, 1);
        let broken = check(&evidence_of(replay)).remove(0);
        assert!(broken.text.contains("whose secret it gave up"), "{broken}");
        assert_eq!(broken.amount.get(), 1_000_000_000);
    }

    #[test]
    fn a_secret_before_the_record_is_broken() {
        let mut replay = replay();
        replay.unsaved.push(Unsaved { course: 0, end: 1, number: 0 });
        let broken = check(&evidence_of(replay)).remove(0);
        assert!(broken.text.starts_with("bob gives up the secret of C1b of alice-bob before"), "{broken}");
    }
}
