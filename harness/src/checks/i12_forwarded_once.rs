//! I12, nothing is forwarded twice, whatever broke or was killed between: behind every HTLC that a party offered stands either a
//! payment that its owner asked for, or one HTLC of the same hash that it holds, and no two stand behind the same.
use super::{Broken, Evidence};

/// Every HTLC that was signed for.
pub(super) fn check(evidence: &Evidence) -> Vec<Broken> {
    let replay = &evidence.replay;
    let mut broken = Vec::new();
    for (number, course) in replay.courses.iter().enumerate() {
        for (place, htlc) in course.htlcs.iter().enumerate() {
            let offerer = course.ends[htlc.key.0];
            let signed = htlc.from.iter().any(Option::is_some);
            let asked = |payment: &super::PaymentEvidence| {
                payment.from == offerer && payment.payment_hash == htlc.hash
            };
            let known = htlc.back.is_some() || evidence.payments.iter().any(asked);
            if !signed || known || !evidence.is_honest(offerer) {
                continue;
            }
            let (name, title) = (evidence.name(offerer), replay.title((number, place)));
            let text = format!("{name} offers {title}, which nobody asked it for and nothing stands behind");
            broken.push(evidence.broken("I12", offerer, title, htlc.amount, text));
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::super::replay::fixture::*;
    use super::super::{evidence_of, PaymentEvidence};
    use super::*;
    use leyden_core::units::Msat;

    /// Alice asked for her payment.
    fn evidence(replay: super::super::replay::Replay) -> Evidence {
        let payment = PaymentEvidence {
            name: "alice -> carol".into(),
            from: 0,
            to: 2,
            payment_hash: PREIMAGE.payment_hash(),
            amount: Msat::new(100_000_000),
            max_fee: Msat::ZERO,
            sent: Vec::new(),
            failed: 0,
            received: Vec::new(),
        };
        Evidence { payments: vec![payment], ..evidence_of(replay) }
    }

    #[test]
    fn a_payment_and_its_forward_pass() {
        assert_eq!(check(&evidence(replay())), []);
    }

    #[test]
    fn a_second_forward_of_one_htlc_is_broken() {
        let mut replay = replay();
        let mut twin = replay.htlc(OUTGOING).clone();
        (twin.key.1, twin.back) = (1, None);
        replay.courses[1].offer(twin);
        let broken = check(&evidence(replay.clone())).remove(0);
        assert_eq!(broken.party.as_deref(), Some("bob"));
        assert!(broken.text.starts_with("bob offers HTLC 1 of bob-carol"), "{broken}");
        let cheat = Evidence { dishonest: vec![false, true], ..evidence(replay.clone()) };
        assert_eq!(check(&cheat), [], "nobody answers for a cheater");
        replay.courses[1].htlcs[1].from = [None; 2];
        assert_eq!(check(&evidence(replay)), [], "what was never signed for is no HTLC");
    }
}
