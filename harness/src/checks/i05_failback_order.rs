//! I5, no failback too early: an HTLC is failed to the one who offered it only when the one that it was passed on as can no
//! longer be claimed: its removal is irrevocable on the wire, or its end on the chain is reasonably deep (BOLT 2 and 5).
use super::replay::{Downstream, Failback};
use super::{Broken, Evidence};

/// Blocks that make an end on the chain reasonably deep.
const REASONABLE_DEPTH: u32 = 6;

/// Every HTLC that was failed on the wire.
pub(super) fn check(evidence: &Evidence) -> Vec<Broken> {
    let replay = &evidence.replay;
    let mut broken = Vec::new();
    for Failback { now, incoming, downstream } in &replay.failbacks {
        let htlc = replay.htlc(*incoming);
        let forwarder = replay.courses[incoming.0].ends[htlc.receiver()];
        let Some(why) = too_early(*downstream).filter(|_| evidence.is_honest(forwarder)) else { continue };
        let out = htlc.onward.map(|out| replay.title(out)).unwrap_or_default();
        let name = evidence.name(forwarder);
        let text = format!(
            "{name} failed {} at height {} while the one passed on, {out}, {why}",
            replay.title(*incoming),
            now.height
        );
        broken.push(evidence.broken("I5", forwarder, replay.title(*incoming), htlc.amount, text));
    }
    broken
}

fn too_early(downstream: Downstream) -> Option<String> {
    let shallow = |depth: u32| depth < REASONABLE_DEPTH;
    match downstream {
        Downstream::Never | Downstream::Removed => None,
        Downstream::Spent { depth } => shallow(depth).then(|| format!("was spent only {depth} blocks deep")),
        Downstream::Missing { depth } => {
            shallow(depth).then(|| format!("is missing on the chain only {depth} blocks deep"))
        }
        Downstream::Open => Some("could still be claimed".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::evidence_of;
    use super::super::replay::fixture::*;
    use super::*;

    fn texts(downstream: Downstream) -> Vec<String> {
        let mut replay = replay();
        replay.failbacks.push(Failback { now: at(70, 90), incoming: INCOMING, downstream });
        check(&evidence_of(replay)).into_iter().map(|broken| broken.text).collect()
    }

    #[test]
    fn what_cannot_come_back_may_be_failed() {
        let fine = [
            Downstream::Never,
            Downstream::Removed,
            Downstream::Spent { depth: 6 },
            Downstream::Missing { depth: 6 },
        ];
        fine.into_iter().for_each(|downstream| assert_eq!(texts(downstream), [""; 0]));
    }

    #[test]
    fn what_can_still_be_claimed_must_not_be_failed() {
        let text = &texts(Downstream::Open)[0];
        assert!(text.starts_with("bob failed HTLC 0 of alice-bob"), "{text}");
        assert!(text.ends_with("could still be claimed"), "{text}");
        assert_eq!(texts(Downstream::Spent { depth: 5 }).len(), 1);
        assert_eq!(texts(Downstream::Missing { depth: 1 }).len(), 1);
    }
}
