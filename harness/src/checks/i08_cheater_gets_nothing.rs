//! I8, a cheater gets nothing: of a commitment that its holder had given up, no output ends in the holder's wallet, second
//! stages and aggregated HTLC transactions included; anchors aside.
use super::replay::{Course, Landing, Output, Replay, Way};
use super::{Broken, Evidence};
use bitcoin::{OutPoint, Txid};
use leyden_core::units::Sat;

/// Every channel that ended with a commitment that was given up.
pub(super) fn check(evidence: &Evidence) -> Vec<Broken> {
    let replay = &evidence.replay;
    let mut broken = Vec::new();
    for (number, course) in replay.courses.iter().enumerate() {
        let Some((txid, Some(landing), _)) = replay.landed(number) else { continue };
        if !is_revoked(course, landing) {
            continue;
        }
        let cheater = course.ends[landing.holder];
        for (vout, (amount, output)) in (0u32..).zip(&landing.outputs) {
            let Some(by) = kept(replay, *output, OutPoint::new(txid, vout)) else { continue };
            let what = match output {
                Output::ToLocal => "to_local".to_string(),
                Output::Htlc(place) => replay.title((number, *place)),
                Output::ToRemote | Output::Anchor => continue,
            };
            broken.push(finding(evidence, cheater, (txid, by), *amount, &what));
        }
    }
    broken
}

fn finding(evidence: &Evidence, cheater: usize, (old, by): (Txid, Txid), amount: Sat, what: &str) -> Broken {
    let (name, old) = (evidence.name(cheater), evidence.replay.label(&old));
    let label = evidence.replay.label(&by);
    let text = format!("{name} broadcast {old}, which it had given up, and keeps its {what} with {label}");
    evidence.broken("I8", cheater, label, amount.to_msat(), text)
}

/// Whether the other end has the secret.
pub(super) fn is_revoked(course: &Course, landing: &Landing) -> bool {
    let released = usize::try_from(landing.number).ok();
    let released = released.and_then(|number| course.released[landing.holder].get(number));
    released.is_some_and(|released| released.arrived.is_some())
}

/// The transaction with which the holder got this output, or the one behind it.
fn kept(replay: &Replay, output: Output, at: OutPoint) -> Option<Txid> {
    let spend = replay.beach.spend(&at)?;
    match output {
        Output::ToLocal => (Way::of_delayed(&spend.witness) == Way::Owner).then_some(spend.txid),
        Output::Htlc(_) if Way::of_htlc(&spend.witness).is_holders() => {
            let second = replay.beach.spend(&OutPoint::new(spend.txid, spend.input as u32))?;
            (Way::of_delayed(&second.witness) == Way::Owner).then_some(second.txid)
        }
        Output::Htlc(_) | Output::ToRemote | Output::Anchor => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::evidence_of;
    use super::super::replay::fixture::*;
    use super::*;

    /// Alice's commitment with bob, given up and mined.
    fn lie() -> (Replay, Txid) {
        let mut replay = replay();
        let commitment = land(&mut replay, 0, 0, 60);
        give_up(&mut replay, 0, 0);
        (replay, commitment)
    }

    #[test]
    fn a_cheater_who_is_punished_passes() {
        let (mut replay, commitment) = lie();
        mine(&mut replay, OutPoint::new(commitment, 0), txid(1), 61, &[71, 1, 77]);
        mine(&mut replay, OutPoint::new(commitment, 2), txid(2), 61, &[0, 71, 71, 0, 133]);
        mine(&mut replay, OutPoint::new(txid(2), 0), txid(3), 62, &[71, 1, 77]);
        assert_eq!(check(&evidence_of(replay)), []);
    }

    #[test]
    fn a_cheater_who_keeps_to_local_is_found() {
        let (mut replay, commitment) = lie();
        mine(&mut replay, OutPoint::new(commitment, 0), txid(1), 210, &[71, 0, 77]);
        let broken = check(&evidence_of(replay)).remove(0);
        assert_eq!((broken.party.as_deref(), broken.amount.get()), (Some("alice"), 850_000_000));
    }

    #[test]
    fn a_cheater_who_keeps_a_second_stage_is_found() {
        let (mut replay, commitment) = lie();
        mine(&mut replay, OutPoint::new(commitment, 2), txid(2), 61, &[0, 71, 71, 0, 133]);
        mine(&mut replay, OutPoint::new(txid(2), 0), txid(3), 210, &[71, 0, 77]);
        let broken = check(&evidence_of(replay)).remove(0);
        assert!(broken.text.contains("HTLC 0 of alice-bob"), "{broken}");
    }

    #[test]
    fn the_newest_state_is_no_lie() {
        let mut replay = replay();
        let commitment = land(&mut replay, 0, 0, 60);
        mine(&mut replay, OutPoint::new(commitment, 0), txid(1), 210, &[71, 0, 77]);
        assert_eq!(check(&evidence_of(replay)), []);
    }
}
