//! Forwarding (BOLT 2, "Forwarding HTLCs", N39 to N41): what the node tells one peer waits for what the other one has committed to.
use super::onion::through;
use super::row::two_channels;
use super::{due, Outcome, Test};
use bitcoin::OutPoint;
use leyden_core::node::Command;
use leyden_core::wire::Message;
use leyden_harness::chain::Chain;
use leyden_harness::raw::{Bench, Bent};

pub const TESTS: &[Test] = &[
    ("n39_nothing_is_offered_before_the_offer_to_us_is_irrevocable", offered_late),
    ("n40_nothing_is_failed_before_the_removal_is_irrevocable", failed_late),
    ("n40_nothing_is_failed_before_the_timeout_is_deep_enough", timed_out),
    ("n41_a_preimage_is_passed_on_at_once", fulfilled_at_once),
    ("n41_a_preimage_that_shows_on_the_chain_is_passed_on", shown_on_chain),
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

/// The peer that should pay on takes the HTLC and says nothing of it. The node goes to the chain when it has expired, takes its money
/// back there, and refuses the payer only when nobody can undo that any more.
fn timed_out() -> Outcome {
    /// Blocks after which nobody can undo it (BOLT 5 leaves the number to the node).
    const DEEP: usize = 6;
    let (mut bench, channel) = two_channels(&[])?;
    let payees = bench.channels()?.into_iter().find(|info| info.channel_id != channel);
    let payees = payees.ok_or("no channel with the payee")?;
    let mut end = bench.peers[PAYEE].hand_over(payees.channel_id);
    through(&mut bench, None, None, (6_000, 40))?;
    bench.settle()?;
    end.talk()?;
    let expiry = end.heard.iter().find_map(|message| match message {
        Message::UpdateAddHtlc(add) => Some(add.cltv_expiry.get()),
        _ => None,
    });
    let expiry = expiry.ok_or("the payee was offered nothing")?;
    let failed =
        |bench: &Bench| has_heard(bench, PAYER, |message| matches!(message, Message::UpdateFailHtlc(_)));
    // One block of grace (BOLT 2), and the commitment goes out; with it mined, what takes the money back.
    bench.mine((expiry + 1 - bench.chain.tip().height) as usize)?;
    let funding = payees.terms.ok_or("a channel without terms")?.funding;
    let commitment = bench.spend_of(funding)?;
    bench.mine(1)?;
    let vout = commitment.output.iter().position(|output| output.value.to_sat() == 50_000);
    let vout = vout.ok_or("the commitment has no output for the HTLC")? as u32;
    bench.spend_of(OutPoint { txid: commitment.compute_txid(), vout })?;
    for depth in 0..DEEP {
        due(!failed(&bench), || format!("failed with the timeout {depth} deep"))?;
        bench.mine(1)?;
    }
    due(failed(&bench), || format!("not failed with the timeout {DEEP} deep"))?;
    let payers = bench.channel(channel)?;
    due(payers.phase == "normal" && payers.pending_htlcs == 0, || format!("{payers:?}"))
}

/// The peer that was paid says nothing to the node, closes alone, and takes its money on the chain: the preimage counts from when it
/// shows in the mempool.
fn shown_on_chain() -> Outcome {
    let (mut bench, channel) = two_channels(&[])?;
    bench.peers[PAYEE]
        .bend(|message| matches!(message, Message::UpdateFulfillHtlc(_)).then(|| Bent::Instead(Vec::new())));
    let hash = through(&mut bench, None, None, (6_000, 40))?;
    bench.settle()?;
    due(bench.peers[PAYEE].is_bent(), || "there was no preimage to hold back".into())?;
    let payees = bench.channels()?.into_iter().find(|info| info.channel_id != channel);
    let payees = payees.ok_or("no channel with the payee")?;
    bench.peers[PAYEE].command(Command::ForceClose { channel: payees.channel_id })?;
    bench.settle()?;
    bench.spend_of(payees.terms.ok_or("a channel without terms")?.funding)?;
    due(!bench.peers[PAYER].has_paid(hash), || "a preimage from nowhere".into())?;
    // The commitment is mined; what spends it with the preimage only waits for that.
    bench.mine(1)?;
    bench.until("payer who was told the preimage", |bench| {
        bench.settle()?;
        Ok(bench.peers[PAYER].has_paid(hash).then_some(()))
    })?;
    let payers = bench.channel(channel)?;
    due(payers.phase == "normal" && payers.pending_htlcs == 0, || format!("{payers:?}"))
}
