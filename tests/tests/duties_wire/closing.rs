//! Closing together (BOLT 2, N20 and N21): signatures and fees of the closing transaction, and what may follow a shutdown.
use super::opening::{foreign, high_s};
use super::row::{judge, meet, one, two_channels, Due, Row, BENT, WITNESS};
use super::{due, Outcome, Test};
use bitcoin::ScriptBuf;
use leyden_core::ids::{ChannelId, PaymentHash};
use leyden_core::keys::NodeSeed;
use leyden_core::node::Command;
use leyden_core::tx::{ClosingSpec, ClosingTransaction};
use leyden_core::units::{CltvExpiry, FeeratePerKw, Msat, Sat};
use leyden_core::wire::{ClosingSigned, FeeRange, Message, Shutdown, UpdateAddHtlc};
use leyden_harness::raw::{Bench, Bent};
use std::sync::Arc;

pub const TESTS: &[Test] = &[
    ("n20_a_fee_outside_of_the_overlap_fails_the_channel", outside_of_the_overlap),
    ("n20_an_output_below_what_is_relayed_fails_the_channel", dust_output),
    ("n21_a_shutdown_is_answered_and_no_offer_may_follow_it", add_after_shutdown),
    ("n21_a_shutdown_to_a_strange_script_is_warned_about", strange_script),
];

fn closes(bench: &mut Bench, channel: ChannelId) -> Outcome {
    bench.peers[BENT].command(Command::Close { channel, feerate: None })?;
    Ok(())
}

fn closing(message: &Message, bend: impl FnOnce(&mut ClosingSigned)) -> Option<Vec<Vec<u8>>> {
    let Message::ClosingSigned(closing) = message else { return None };
    let mut closing = closing.clone();
    bend(&mut closing);
    one(Message::ClosingSigned(closing))
}

const fn row(name: &'static str, bend: fn(&Message) -> Option<Vec<Vec<u8>>>, text: &'static str) -> Row {
    Row { name, flags: &[], act: closes, bend, due: Due::Failed(text) }
}

pub const ROWS: &[Row] = &[
    Row { due: Due::WarnedOnly("suits us"), ..row("n20_no_common_fee", no_common_fee, "") },
    row("n20_wrong_signature", |m| closing(m, |signed| signed.signature = foreign()), "signature"),
    row(
        "n20_high_s_signature",
        |m| closing(m, |signed| signed.signature = high_s(&signed.signature)),
        "signature",
    ),
    row(
        "n20_fee_beyond_the_openers_money",
        |m| closing(m, |signed| signed.fee_satoshis = Sat::new(700_000)),
        "",
    ),
];

/// A range of fees that leaves the node none, since nobody has so much. The signature does not cover it.
fn no_common_fee(message: &Message) -> Option<Vec<Vec<u8>>> {
    let beyond = |sat: u64| Sat::new(2_000_000 + sat);
    let range = FeeRange { min_fee_satoshis: beyond(0), max_fee_satoshis: beyond(1) };
    closing(message, |signed| signed.fee_range = Some(range))
}

/// The node is the opener and names a fee and a range; the peer answers with another fee of that range, and with a range of its own
/// that this fee is not in.
fn outside_of_the_overlap() -> Outcome {
    let mut bench = Bench::start(2, &[])?;
    bench.be_proposed(BENT, 1_000_000, 400_000)?;
    bench.propose(WITNESS, 1_000_000, 400_000)?;
    let channel = bench.confirm()?[BENT].ok_or("the channel is not ready")?;
    bench.peers[BENT].bend(|message| {
        closing(message, |signed| {
            let max_fee_satoshis = Sat::new(signed.fee_satoshis.get() - 1);
            signed.fee_range = Some(FeeRange { min_fee_satoshis: Sat::ZERO, max_fee_satoshis });
        })
        .map(Bent::Instead)
    });
    let feerate = Some(FeeratePerKw::new(1500));
    bench.peers[BENT].command(Command::Close { channel, feerate })?;
    let reaction = meet(&mut bench)?;
    judge(&mut bench, channel, &reaction, Due::Failed("outside of"))
}

/// The node has 200 sat, which no output of its script may hold (294 are relayed): whoever signs has to leave them to the miners. A peer
/// that signs for them as an output has signed what would never be mined; and one that gives all it has for the fee leaves no output.
fn dust_output() -> Outcome {
    for (dust_limit, fee, wrong) in
        [(354, 1_000, None), (0, 1_000, Some("signature")), (354, 999_800, Some("dust"))]
    {
        let mut bench = Bench::start(2, &[])?;
        bench.propose(BENT, 1_000_000, 200)?;
        bench.propose(WITNESS, 1_000_000, 400_000)?;
        let channel = bench.confirm()?[BENT].ok_or("the channel is not ready")?;
        let peer = &mut bench.peers[BENT];
        let own = peer.channels().into_iter().find(|info| info.channel_id == channel);
        let own = own.ok_or("the peer does not know the channel")?;
        let shutdown = Shutdown { channel_id: channel, scriptpubkey: script(), unknown: Vec::new() };
        peer.raw().send(&Message::Shutdown(shutdown));
        let answer = peer.listen()?.messages;
        let [Message::Shutdown(nodes)] = &answer[..] else { return Err(format!("{answer:?}").into()) };
        let (terms, fee) = (own.terms.ok_or("a channel without terms")?, Sat::new(fee));
        let spec = ClosingSpec {
            to_local: own.to_local,
            to_remote: own.to_remote,
            local_script: script(),
            remote_script: nodes.scriptpubkey.clone(),
            fee,
            dust_limit: Sat::new(dust_limit),
        };
        let keys = NodeSeed::new([1; 32]).channel_keys(0);
        let closing = ClosingTransaction::build(&terms, &spec);
        let signature = closing.map_or_else(|_| foreign(), |closing| closing.sign(&terms, &keys));
        let signed = ClosingSigned {
            channel_id: channel,
            fee_satoshis: fee,
            signature,
            fee_range: None,
            unknown: Vec::new(),
        };
        peer.raw().send(&Message::ClosingSigned(signed));
        let reaction = peer.listen()?;
        if let Some(text) = wrong {
            judge(&mut bench, channel, &reaction, Due::Failed(text))?;
        } else {
            let taken = |message: &Message| matches!(message, Message::ClosingSigned(answer) if answer.fee_satoshis == fee);
            due(matches!(&reaction.messages[..], [only] if taken(only)), || {
                format!("left out: {reaction:?}")
            })?;
            bench.spend_of(terms.funding)?;
        }
    }
    Ok(())
}

fn script() -> ScriptBuf {
    ScriptBuf::from_bytes([&[0, 20][..], &[7; 20]].concat())
}

fn add_after_shutdown() -> Outcome {
    let (mut bench, channel) = two_channels(&[])?;
    let shutdown = Shutdown { channel_id: channel, scriptpubkey: script(), unknown: Vec::new() };
    bench.peers[BENT].raw().send(&Message::Shutdown(shutdown));
    let answer = bench.peers[BENT].listen()?;
    let answered =
        matches!(&answer.messages[..], [Message::Shutdown(shutdown)] if shutdown.channel_id == channel);
    due(answered && !answer.closed, || format!("{answer:?}"))?;
    let add = UpdateAddHtlc {
        channel_id: channel,
        id: 0,
        amount_msat: Msat::new(10_000_000),
        payment_hash: PaymentHash([7; 32]),
        cltv_expiry: CltvExpiry::new(500),
        onion_routing_packet: Arc::new([0; 1366]),
        path_key: None,
        unknown: Vec::new(),
    };
    bench.peers[BENT].raw().send(&Message::UpdateAddHtlc(add));
    let reaction = bench.peers[BENT].listen()?;
    judge(&mut bench, channel, &reaction, Due::WarnedOnly("after shutdown"))
}

fn strange_script() -> Outcome {
    let (mut bench, channel) = two_channels(&[])?;
    let scriptpubkey = ScriptBuf::from_bytes(vec![0x51]);
    let shutdown = Shutdown { channel_id: channel, scriptpubkey, unknown: Vec::new() };
    bench.peers[BENT].raw().send(&Message::Shutdown(shutdown));
    let reaction = bench.peers[BENT].listen()?;
    judge(&mut bench, channel, &reaction, Due::Warned("script"))
}
