//! Reconnection (BOLT 2, "Message Retransmission", N32 and N50 to N54): what a peer claims about the state, and what comes again.
use super::row::{judge, one, pays, two_channels, Due, Row, BENT, WITNESS};
use super::{due, Outcome, Test};
use leyden_core::ids::ChannelId;
use leyden_core::node::Command;
use leyden_core::units::{FeeratePerKw, Msat};
use leyden_core::wire::{ChannelReestablish, Message, TlvRecord, UpdateFee};
use leyden_harness::chain::Chain;
use leyden_harness::raw::{Bench, Bent};

pub const TESTS: &[Test] = &[
    ("n32_an_offer_that_comes_again_counts_once", offer_again),
    ("n53_revocation_and_signature_come_again_in_their_order", again_in_order),
    ("n52_a_node_that_lost_states_publishes_nothing", lost_states),
    ("n54_records_of_other_protocols_are_ignored", unknown_records),
    ("n51_a_second_channel_reestablish_is_warned_about", second),
];

/// A payment, so that there are secrets to talk about, and a new connection.
fn reconnects(bench: &mut Bench, _: ChannelId) -> Outcome {
    due(bench.pays(BENT, 10_000_000)?, || "the payment before failed".into())?;
    let address = bench.node.listen;
    bench.peers[BENT].connect(address)?;
    Ok(())
}

fn claim(message: &Message, bend: impl FnOnce(&mut ChannelReestablish)) -> Option<Vec<Vec<u8>>> {
    let Message::ChannelReestablish(claim) = message else { return None };
    let mut claim = claim.clone();
    bend(&mut claim);
    one(Message::ChannelReestablish(claim))
}

const fn fails(name: &'static str, bend: fn(&Message) -> Option<Vec<Vec<u8>>>, text: &'static str) -> Row {
    Row { name, flags: &[], act: reconnects, bend, due: Due::Failed(text) }
}

/// Both have commitment 2 and revoked two.
pub const ROWS: &[Row] = &[
    Row {
        name: "n50_an_update_before_channel_reestablish",
        flags: &[],
        act: reconnects,
        bend: |message| {
            let Message::ChannelReestablish(claim) = message else { return None };
            let (channel_id, feerate_per_kw) = (claim.channel_id, FeeratePerKw::new(2000));
            one(Message::UpdateFee(UpdateFee { channel_id, feerate_per_kw }))
        },
        due: Due::Warned("before channel_reestablish"),
    },
    fails(
        "n51_next_commitment_number_zero",
        |m| claim(m, |claim| claim.next_commitment_number = 0),
        "next_commitment_number 0",
    ),
    fails(
        "n51_next_commitment_number_too_low",
        |m| claim(m, |claim| claim.next_commitment_number = 2),
        "next_commitment_number 2",
    ),
    fails(
        "n51_next_commitment_number_too_high",
        |m| claim(m, |claim| claim.next_commitment_number = 4),
        "next_commitment_number 4",
    ),
    fails(
        "n51_next_revocation_number_too_low",
        |m| claim(m, |claim| claim.next_revocation_number = 0),
        "next_revocation_number 0",
    ),
    fails(
        "n52_next_revocation_number_too_high_with_a_wrong_secret",
        |m| claim(m, |claim| claim.next_revocation_number = 3),
        "next_revocation_number 3",
    ),
    fails(
        "n52_a_wrong_secret",
        |m| claim(m, |claim| claim.your_last_per_commitment_secret[0] ^= 1),
        "your_last_per_commitment_secret",
    ),
];

fn reconnect(bench: &mut Bench) -> Outcome {
    let address = bench.node.listen;
    bench.peers[BENT].connect(address)?;
    bench.settle()?;
    Ok(())
}

/// The offer arrives, its signature does not; both come again.
fn offer_again() -> Outcome {
    let (mut bench, channel) = two_channels(&[])?;
    bench.peers[BENT]
        .bend(|message| matches!(message, Message::CommitmentSigned(_)).then(|| Bent::Instead(Vec::new())));
    let (invoice, hash) = bench.client.invoice(Some(Msat::new(10_000_000)), "a test", None)?;
    let before = bench.channel(channel)?.to_local.get();
    bench.peers[BENT].command(Command::Pay { invoice, amount: None, max_fee: Msat::ZERO })?;
    bench.settle()?;
    due(bench.peers[BENT].is_bent(), || "there was no signature to lose".into())?;
    reconnect(&mut bench)?;
    due(bench.peers[BENT].has_paid(hash), || "the payment did not go on".into())?;
    let after = bench.channel(channel)?.to_local.get();
    due(after == before + 10_000_000, || format!("{before} and then {after}"))
}

/// The node's answer to a signature is lost.
fn again_in_order() -> Outcome {
    let (mut bench, channel) = two_channels(&[])?;
    let last = |message: &Message| matches!(message, Message::CommitmentSigned(_) | Message::RevokeAndAck(_));
    pays(&mut bench, channel)?;
    let lost = bench.peers[BENT].listen()?.messages;
    let lost: Vec<Message> = lost.into_iter().filter(last).collect();
    let right = matches!(&lost[..], [Message::RevokeAndAck(_), Message::CommitmentSigned(_)]);
    due(right, || format!("the node answered {lost:?}"))?;
    let heard = bench.peers[BENT].heard.len();
    reconnect(&mut bench)?;
    let again: Vec<Message> =
        bench.peers[BENT].heard[heard..].iter().filter(|m| last(m)).take(2).cloned().collect();
    due(again == lost, || format!("{lost:?}, and after the break {again:?}"))?;
    due(bench.pays(BENT, 1_000_000)?, || "the channel does not go on".into())
}

/// The node runs from an old copy of its folder, and its peer proves it: it must not publish what it revoked, and asks the peer to close.
fn lost_states() -> Outcome {
    let (mut bench, channel) = two_channels(&[])?;
    let old = bench.node.snapshot()?;
    due(bench.pays(BENT, 10_000_000)?, || "the payment before failed".into())?;
    bench.go_back(old)?;
    let funding = bench.channel(channel)?.terms.ok_or("no terms")?.funding;
    let address = bench.node.listen;
    bench.peers[WITNESS].connect(address)?;
    bench.peers[BENT].connect(address)?;
    bench.peers[WITNESS].talk()?;
    // The proof goes out; what the node claims does not come in, or the peer would close at once.
    let peer = &mut bench.peers[BENT];
    let greeting = peer.listen()?.messages;
    greeting.iter().filter(|message| matches!(message, Message::Init(_))).for_each(|init| peer.hear(init));
    let reaction = peer.listen()?;
    let asked = reaction.errors().iter().any(|text| text.contains("please close the channel"));
    due(asked, || format!("{reaction:?}"))?;
    let command = bench.client.forceclosechannel(channel);
    due(command.is_err(), || "its own owner can make it publish what it revoked".into())?;
    bench.peers[BENT].disconnect();
    bench.mine(3)?;
    let phase = bench.channel(channel)?.phase;
    due(phase == "fallen behind", || phase)?;
    let unspent = bench.chain.unspent(funding)?.is_some();
    due(unspent, || "something was published".into())?;
    // The peer closes, and the node takes its money from the peer's commitment.
    bench.peers[BENT].command(Command::ForceClose { channel })?;
    bench.settle()?;
    bench.spend_of(funding)?;
    bench.mine(1)?;
    let phase = bench.channel(channel)?.phase;
    due(phase == "on chain", || phase)?;
    due(bench.pays(WITNESS, 1_000_000)?, || "the other peer's channel suffers".into())
}

fn unknown_records() -> Outcome {
    let (mut bench, channel) = two_channels(&[])?;
    bench.peers[BENT].bend(|message| {
        let Message::ChannelReestablish(claim) = message else { return None };
        let unknown =
            vec![TlvRecord { kind: 1, value: vec![3; 33] }, TlvRecord { kind: 5, value: vec![4; 33] }];
        let claim = ChannelReestablish { unknown, ..claim.clone() };
        Some(Bent::Changed(Message::ChannelReestablish(claim).encode()))
    });
    reconnect(&mut bench)?;
    due(bench.peers[BENT].is_bent(), || "there was no channel_reestablish".into())?;
    due(bench.pays(BENT, 1_000_000)?, || "the channel does not go on".into())?;
    let phase = bench.channel(channel)?.phase;
    due(phase == "normal", || phase)
}

fn second() -> Outcome {
    let (mut bench, channel) = two_channels(&[])?;
    reconnect(&mut bench)?;
    let claim =
        bench.peers[BENT].said.iter().rev().find(|m| matches!(m, Message::ChannelReestablish(_))).cloned();
    bench.peers[BENT].raw().send(&claim.ok_or("no channel_reestablish")?);
    let reaction = bench.peers[BENT].listen()?;
    judge(&mut bench, channel, &reaction, Due::Warned("channel_reestablish is not expected"))
}
