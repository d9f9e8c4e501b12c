//! I6, failback in time: an HTLC that a node was offered is answered before it expires, so that an honest upstream never has
//! to close. Only where it could be: the node was not silent, its link stood, the channel worked.
use super::replay::Late;
use super::{Broken, Evidence};

/// Every HTLC that was unanswered when the block of its expiry came.
pub(super) fn check(evidence: &Evidence) -> Vec<Broken> {
    let replay = &evidence.replay;
    let mut broken = Vec::new();
    for Late { htlc: at, .. } in &replay.late {
        let (course, htlc) = (&replay.courses[at.0], replay.htlc(*at));
        let party = course.ends[htlc.receiver()];
        if !evidence.is_honest(party) {
            continue;
        }
        let (name, upstream) = (evidence.name(party), evidence.name(course.ends[htlc.key.0]));
        let title = replay.title(*at);
        let text = format!(
            "{name} neither failed nor fulfilled {title} before its expiry {}: {upstream} must close",
            htlc.expiry
        );
        broken.push(evidence.broken("I6", party, title, htlc.amount, text));
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::super::evidence_of;
    use super::super::replay::fixture::*;
    use super::super::Excuse;
    use super::*;

    #[test]
    fn an_answer_too_late_is_broken_unless_excused() {
        let mut replay = replay();
        assert_eq!(check(&evidence_of(replay.clone())), []);
        replay.late.push(Late { now: at(90, 140), htlc: INCOMING });
        let mut evidence = evidence_of(replay);
        let broken = check(&evidence).remove(0);
        assert!(broken.text.ends_with("before its expiry 140: alice must close"), "{broken}");
        let why = "bob was down".to_string();
        evidence.excuses.push(Excuse { check: "I6".into(), party: 1, why });
        let of_this = super::super::all(&evidence).into_iter().filter(|broken| broken.check == "I6");
        assert_eq!(of_this.count(), 0);
    }
}
