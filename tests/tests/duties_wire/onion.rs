//! Onions (BOLT 4, N70 to N74): what a hop or a recipient refuses, and with which code. The channel goes on each time.
use super::row::{two_channels, BENT};
use super::{due, Outcome, Test};
use bitcoin::hashes::{sha256, Hash};
use leyden_core::ids::{PaymentHash, ShortChannelId};
use leyden_core::keys::NodeSeed;
use leyden_core::node::{Command, Notice, PaymentFailure, RouteHop, RoutePayment};
use leyden_core::payment::invoice::Invoice;
use leyden_core::units::{CltvExpiry, Msat};
use leyden_core::wire::{Message, UpdateAddHtlc};
use leyden_harness::chain::Chain;
use leyden_harness::raw::{Bench, Bent};
use std::sync::{Arc, Mutex, PoisonError};

pub const TESTS: &[Test] = &[
    ("n70_an_onion_that_cannot_be_read_is_refused_as_malformed", malformed),
    ("n71_a_forward_that_pays_or_waits_too_little_is_refused", forwards),
    ("n72_n73_every_wrong_detail_gets_the_same_answer", details),
    ("n74_an_htlc_of_a_blinded_route_is_refused_as_malformed", blinded),
];

/// The node's name for its channel with this peer.
pub fn name(bench: &mut Bench, who: usize) -> Result<ShortChannelId, libtest_mimic::Failed> {
    let id = bench.peers[who].id();
    let found = bench.channels()?.into_iter().find(|channel| channel.peer == id);
    Ok(found.and_then(|channel| channel.short_channel_id).ok_or("no channel with the peer")?)
}

/// How the first peer's payment of this hash failed.
fn failure(bench: &Bench, hash: PaymentHash) -> Option<PaymentFailure> {
    bench.peers[BENT].notices.iter().rev().find_map(|notice| match notice {
        Notice::PaymentFailed { payment_hash, failure } if *payment_hash == hash => Some(failure.clone()),
        _ => None,
    })
}

fn malformed() -> Outcome {
    let (mut bench, channel) = two_channels(&[])?;
    // The onion stands behind 2 + 32 + 8 + 8 + 32 + 4 bytes: version, key, payloads, HMAC.
    let cases: [(u16, usize, &[u8]); 4] =
        [(0xC004, 0, &[1]), (0xC006, 1, &[9; 33]), (0xC005, 100, &[1, 2, 3]), (0xC005, 1365, &[1])];
    for (code, place, bytes) in cases {
        bench.peers[BENT].bend(move |message| {
            let Message::UpdateAddHtlc(_) = message else { return None };
            let mut encoded = message.encode();
            for (byte, with) in encoded[86 + place..].iter_mut().zip(bytes) {
                *byte ^= if code == 0xC006 { *byte ^ *with } else { *with };
            }
            Some(Bent::Changed(encoded))
        });
        let paid = bench.pays(BENT, 10_000_000)?;
        let refused = bench.peers[BENT].heard.iter().rev().find_map(|message| match message {
            Message::UpdateFailMalformedHtlc(fail) => Some(fail.failure_code),
            _ => None,
        });
        due(!paid && refused == Some(code), || format!("byte {place}: {refused:x?} where {code:x} is due"))?;
    }
    let phase = bench.channel(channel)?.phase;
    due(phase == "normal", || phase)?;
    due(bench.pays(BENT, 10_000_000)?, || "the channel does not go on".into())
}

/// A `path_key` beside the onion says that the HTLC comes over a route that hides this node from the sender. It announces nothing of
/// the kind: neither as a recipient nor as a hop does it take the onion for one of the open kind.
fn blinded() -> Outcome {
    let (mut bench, channel) = two_channels(&[])?;
    for as_hop in [false, true] {
        let onion = Arc::new(Mutex::new([0; 32]));
        let seen = onion.clone();
        bench.peers[BENT].bend(move |message| {
            let Message::UpdateAddHtlc(add) = message else { return None };
            let hash = sha256::Hash::hash(add.onion_routing_packet.as_slice());
            *seen.lock().unwrap_or_else(PoisonError::into_inner) = hash.to_byte_array();
            let path_key = Some(NodeSeed::new([90; 32]).node_secret().public_key(secp256k1::SECP256K1));
            let add = UpdateAddHtlc { path_key, ..add.clone() };
            Some(Bent::Changed(Message::UpdateAddHtlc(add).encode()))
        });
        let hash = if as_hop {
            through(&mut bench, None, None, (6_000, 40))?
        } else {
            let (invoice, hash) = bench.client.invoice(Some(Msat::new(10_000_000)), "a test", None)?;
            bench.peers[BENT].command(Command::Pay { invoice, amount: None, max_fee: Msat::ZERO })?;
            hash
        };
        bench.settle()?;
        let onion = *onion.lock().unwrap_or_else(PoisonError::into_inner);
        let heard = &bench.peers[BENT].heard;
        let refused = heard.iter().any(|message| {
            matches!(message, Message::UpdateFailMalformedHtlc(fail)
                if fail.failure_code == 0xC018 && fail.sha256_of_onion == onion)
        });
        due(refused && !bench.peers[BENT].has_paid(hash), || format!("as a hop: {as_hop}: {heard:?}"))?;
    }
    let phase = bench.channel(channel)?.phase;
    due(phase == "normal", || phase)?;
    due(bench.pays(BENT, 10_000_000)?, || "the channel does not go on".into())
}

fn hop(
    node: leyden_core::ids::NodeId,
    short_channel_id: ShortChannelId,
    amount: u64,
    expiry: u32,
) -> RouteHop {
    RouteHop { node, short_channel_id, amount: Msat::new(amount), cltv_expiry: CltvExpiry::new(expiry) }
}

/// A payment of 50,000,000 msat from the first peer to the second one's invoice, through the node, over this channel of the node's,
/// with this fee and delta.
pub fn through(
    bench: &mut Bench,
    over: Option<ShortChannelId>,
    secret: Option<[u8; 32]>,
    (fee, delta): (u64, u32),
) -> Result<PaymentHash, libtest_mimic::Failed> {
    const AMOUNT: u64 = 50_000_000;
    let command = Command::Invoice {
        amount: Some(Msat::new(AMOUNT)),
        description: "a test".to_owned(),
        min_final_cltv_delta: None,
    };
    let leyden_core::node::Reply::Invoice { text, payment_hash } = bench.peers[1].command(command)? else {
        return Err("no invoice".into());
    };
    let expiry = bench.chain.tip().height + 30;
    let (first, second) = (name(bench, 0)?, name(bench, 1)?);
    let hops = vec![
        hop(bench.node.id, first, AMOUNT + fee, expiry + delta),
        hop(bench.peers[1].id(), over.unwrap_or(second), AMOUNT, expiry),
    ];
    let payment_secret = secret.unwrap_or(Invoice::parse(&text)?.payment_secret.0);
    let route = RoutePayment { payment_hash, payment_secret, hops, total: Msat::new(AMOUNT) };
    bench.peers[BENT].command(Command::PayRoute(route))?;
    Ok(payment_hash)
}

fn forwards() -> Outcome {
    let (mut bench, _) = two_channels(&[])?;
    let nowhere = Some(ShortChannelId(1 << 40));
    // 1000 msat and 100 ppm; 40 blocks.
    let cases = [
        ("the fee", None, (5_999, 40), 0x100C),
        ("the delta", None, (6_000, 39), 0x100D),
        ("the channel", nowhere, (6_000, 40), 0x400A),
    ];
    for (what, over, terms, code) in cases {
        let hash = through(&mut bench, over, None, terms)?;
        bench.settle()?;
        let failure = failure(&bench, hash).ok_or_else(|| format!("{what}: not refused"))?;
        let right = failure.node == Some(bench.node.id) && failure.code == code;
        due(right, || format!("{what}: {failure:?}"))?;
    }
    let hash = through(&mut bench, None, None, (6_000, 40))?;
    bench.settle()?;
    due(bench.peers[BENT].has_paid(hash), || "exact terms are refused".into())
}

fn details() -> Outcome {
    const AMOUNT: u64 = 10_000_000;
    let (mut bench, channel) = two_channels(&[])?;
    let over = name(&mut bench, BENT)?;
    let (node, height) = (bench.node.id, bench.chain.tip().height);
    let cases: [(&str, bool, bool, u64, u64, u32); 6] = [
        ("another secret", true, false, AMOUNT, AMOUNT, 50),
        ("an unknown hash", false, true, AMOUNT, AMOUNT, 50),
        ("a part only", false, false, AMOUNT, 2 * AMOUNT, 50),
        ("too little", false, false, AMOUNT - 1, AMOUNT - 1, 50),
        ("more than twice as much", false, false, 2 * AMOUNT + 1, 2 * AMOUNT + 1, 50),
        ("too soon", false, false, AMOUNT, AMOUNT, 17),
    ];
    for (what, other_secret, other_hash, amount, total, delta) in cases {
        let (invoice, hash) = bench.client.invoice(Some(Msat::new(AMOUNT)), "a test", None)?;
        let secret = Invoice::parse(&invoice)?.payment_secret.0;
        let payment_hash = if other_hash { PaymentHash([7; 32]) } else { hash };
        let route = RoutePayment {
            payment_hash,
            payment_secret: if other_secret { [1; 32] } else { secret },
            hops: vec![hop(node, over, amount, height + delta)],
            total: Msat::new(total),
        };
        bench.peers[BENT].command(Command::PayRoute(route))?;
        bench.settle()?;
        let failure = failure(&bench, payment_hash).ok_or_else(|| format!("{what}: not refused"))?;
        due(failure.node == Some(node) && failure.code == 0x400F, || format!("{what}: {failure:?}"))?;
        // The amount and the height are what the sender knows anyway; there is nothing else in it.
        let told = format!("{amount} msat, at height {height}");
        due(failure.text.contains(&told), || format!("{what}: {failure:?}"))?;
    }
    let phase = bench.channel(channel)?.phase;
    due(phase == "normal", || phase)
}
