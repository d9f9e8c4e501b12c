//! Forwarding (BOLT 2, "Forwarding HTLCs", N39 to N41): what the node tells one peer waits for what the other one has committed to.
use super::onion::through;
use super::row::two_channels;
use super::{due, Outcome, Test};
use leyden_core::wire::Message;
use leyden_harness::raw::{Bench, Bent};

pub const TESTS: &[Test] = &[
    ("n39_nothing_is_offered_before_the_offer_to_us_is_irrevocable", offered_late),
    ("n40_nothing_is_failed_before_the_removal_is_irrevocable", failed_late),
    ("n41_a_preimage_is_passed_on_at_once", fulfilled_at_once),
];

/// Who pays, and who is paid.
const PAYER: usize = 0;
const PAYEE: usize = 1;

fn has_heard(bench: &Bench, who: usize, is: fn(&Message) -> bool) -> bool {
    bench.peers[who].heard.iter().any(is)
}

fn reconnect(bench: &mut Bench, who: usize) -> Outcome {
    let address = bench.node.listen;
    bench.peers[who].connect(address)?;
    bench.settle()?;
    Ok(())
}

fn offered_late() -> Outcome {
    let (mut bench, _) = two_channels(&[])?;
    bench.peers[PAYER]
        .bend(|message| matches!(message, Message::RevokeAndAck(_)).then(|| Bent::Instead(Vec::new())));
    let hash = through(&mut bench, None, None, (6_000, 40))?;
    bench.settle()?;
    due(bench.peers[PAYER].is_bent(), || "there was no revocation to hold".into())?;
    let offered =
        |bench: &Bench| has_heard(bench, PAYEE, |message| matches!(message, Message::UpdateAddHtlc(_)));
    due(!offered(&bench), || "offered before the payer revoked".into())?;
    reconnect(&mut bench, PAYER)?;
    due(offered(&bench) && bench.peers[PAYER].has_paid(hash), || "not offered once it was irrevocable".into())
}

fn failed_late() -> Outcome {
    let (mut bench, _) = two_channels(&[])?;
    // The first one is for the offer, the second one for its removal.
    let mut revocations = 0;
    bench.peers[PAYEE].bend(move |message| {
        revocations += usize::from(matches!(message, Message::RevokeAndAck(_)));
        (revocations == 2).then(|| Bent::Instead(Vec::new()))
    });
    // A secret that the payee does not know: it refuses.
    through(&mut bench, None, Some([1; 32]), (6_000, 40))?;
    bench.settle()?;
    due(bench.peers[PAYEE].is_bent(), || "there was no second revocation to hold".into())?;
    let failed =
        |bench: &Bench| has_heard(bench, PAYER, |message| matches!(message, Message::UpdateFailHtlc(_)));
    due(!failed(&bench), || "failed before the payee revoked".into())?;
    reconnect(&mut bench, PAYEE)?;
    due(failed(&bench), || "not failed once the removal was irrevocable".into())
}

fn fulfilled_at_once() -> Outcome {
    let (mut bench, _) = two_channels(&[])?;
    // The preimage, and then not another word: it is not even signed.
    bench.peers[PAYEE].bend(|message| {
        matches!(message, Message::UpdateFulfillHtlc(_)).then(|| Bent::Instead(vec![message.encode()]))
    });
    let hash = through(&mut bench, None, None, (6_000, 40))?;
    bench.settle()?;
    due(bench.peers[PAYEE].is_bent(), || "there was no preimage".into())?;
    due(bench.peers[PAYER].has_paid(hash), || "the preimage was kept".into())
}
