//! The chain turns: the funding goes out before and after the channel is ready, a close goes out while it is pending, claims and
//! spends of the wallet go out and are mined elsewhere. What was mined again counts, and nobody loses anything.
use leyden_core::node::Notice;
use leyden_harness::prelude::*;

/// The deepest reorganisation here.
const DEEPEST: u32 = 6;

/// Whether the node said that the channel is ready.
fn is_ready(net: &Net, node: NodeRef, channel: ChannelRef) -> bool {
    let id = net.channel_id(channel);
    net.notices(node).any(|notice| matches!(notice, Notice::ChannelReady { channel, .. } if *channel == id))
}

/// Takes blocks out and mines one more in their place, empty: what they held waits again.
fn turn(net: &mut Net, depth: u32) {
    net.unmine(depth);
    net.mine_empty(depth + 1);
}

/// The funding goes out one and two blocks deep, before it is deep enough: it is ready three deep at its second place, no sooner.
#[scenario(formats = "static_remotekey anchors", mutants = "ready_too_early")]
fn funding_out_before_ready(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    for depth in [1, 2] {
        let channel = net.open_unconfirmed(alice, bob, Open::sat(1_000_000).push_sat(400_000));
        net.mine(depth);
        turn(net, depth);
        for _ in 0..3 {
            assert!(!is_ready(net, alice, channel) && !is_ready(net, bob, channel), "not three deep yet");
            net.mine(1);
        }
        assert!(is_ready(net, alice, channel) && is_ready(net, bob, channel));
        net.announce_again(channel);
        net.pay(alice, bob, sat(50_000));
    }
    net.settle();
    net.expect_settlement();
}

/// The funding of a channel in use goes out at each depth from 1 to 6 and is mined elsewhere: the channel goes on meanwhile. Its new
/// place is its new short id, by which payments reach it; so do those that know only the old one (BOLT 7).
#[scenario(formats = "static_remotekey anchors", mutants = "keeps_old_short_channel_id")]
fn funding_out_after_ready(net: &mut Net) {
    let mut hasty = NodeConfig::default();
    hasty.channel.minimum_depth = 1;
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| net.node_with(name, hasty.clone()));
    let first = net.open(alice, bob, Open::sat(2_000_000));
    net.mine(DEEPEST);
    for depth in 1..=DEEPEST {
        let channel = net.open_unconfirmed(bob, carol, Open::sat(1_000_000));
        net.confirm(channel);
        net.mine(depth - 1);
        let old = net.short_channel_id(channel);
        turn(net, depth);
        let while_out = net.invoice(carol, sat(10_000));
        let route = net.route(alice, &[first, channel], &while_out);
        let payment = net.pay_route(&route);
        net.expect_success(payment);
        net.mine(1);
        let later = net.invoice(carol, sat(10_000));
        let by_old_name = net.route(alice, &[first, channel], &later);
        net.announce_again(channel);
        assert_ne!(net.short_channel_id(channel), old, "mined elsewhere");
        let payment = net.pay_route(&by_old_name);
        net.expect_success(payment);
        let last = net.invoice(carol, sat(10_000));
        let by_new_name = net.route(alice, &[first, channel], &last);
        let payment = net.pay_route(&by_new_name);
        net.expect_success(payment);
    }
    net.settle();
    net.expect_settlement();
}

/// Bob starts again while the funding is out: he knows no place of the channel and refuses cleanly. Mined again, it works again.
#[scenario(mutants = "keeps_old_short_channel_id")]
fn restarted_while_the_funding_is_out(net: &mut Net) {
    let [alice, bob, carol] = net.nodes(["alice", "bob", "carol"]);
    let first = net.open(alice, bob, Open::sat(1_000_000));
    let second = net.open(bob, carol, Open::sat(1_000_000));
    turn(net, 3);
    net.restart(bob);
    let payment = net.try_pay(alice, carol, sat(10_000));
    net.expect_failure(payment, bob, leyden_harness::net::code::UNKNOWN_NEXT_PEER);
    net.mine(1);
    net.announce_again(second);
    let invoice = net.invoice(carol, sat(10_000));
    let route = net.route(alice, &[first, second], &invoice);
    let payment = net.pay_route(&route);
    net.expect_success(payment);
    net.settle();
    net.expect_settlement();
}

/// How a channel is closed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Close {
    Together,
    Alone,
}

/// A close goes out at each depth from 1 to 6 and is mined again later: it ends as it would have.
#[scenario(formats = "static_remotekey anchors", mutants = "reorgs_are_ignored")]
fn close_out_and_mined_again(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    for close in [Close::Together, Close::Alone] {
        for depth in [1, 3, DEEPEST] {
            let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(400_000));
            match close {
                Close::Together => net.close(alice, channel),
                Close::Alone => net.force_close(alice, channel),
            }
            net.mine(depth);
            turn(net, depth);
            assert!(!net.mempool().is_empty(), "the close waits again");
            net.mine(1);
        }
    }
    net.settle();
    net.expect_settlement();
}

/// Alice's commitment is one deep when the chain turns to Bob's: each takes what is its own from the one that stands.
#[scenario(formats = "static_remotekey anchors", mutants = "reorgs_are_ignored")]
fn one_commitment_in_place_of_the_other(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(400_000));
    let bobs = net.state(bob, channel);
    let bobs = net.past(bobs).transaction();
    net.force_close(alice, channel);
    net.mine(2);
    let height = net.height();
    net.reorg(2, |at| if at == height { vec![bobs.clone()] } else { Vec::new() });
    net.settle();
    assert!(net.mined_at(bobs.compute_txid()).is_some());
    assert!(net.find_transaction("RD1b").is_some());
    net.expect_settlement();
}

fn is_mined(net: &mut Net, label: &str) -> bool {
    let txid = net.find_transaction(label);
    txid.is_some_and(|txid| net.mined_at(txid).is_some())
}

/// The claims of an HTLC, first and second stage, go out two deep and are mined again elsewhere, with the same coins for fees.
#[scenario(formats = "static_remotekey anchors", mutants = "reorgs_are_ignored")]
fn claims_out_and_mined_again(net: &mut Net) {
    let mut config = NodeConfig::default();
    config.channel.to_self_delay = 10;
    config.channel.claim_budget_percent = 10;
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| net.node_with(name, config.clone()));
    let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(300_000));
    net.open(bob, carol, Open::sat(1_000_000));
    let invoice = net.invoice(carol, sat(50_000));
    net.silence(carol);
    let payment = net.start_pay_invoice(alice, &invoice);
    net.run();
    net.force_close(bob, channel);
    net.speak(carol);
    for label in ["C2b", "HE2b", "HERD2b"] {
        let label = format!("alice-bob/{label}");
        net.mine_until(50, &label, |net| is_mined(net, &label));
        net.mine(1);
        turn(net, 2);
        net.mine(1);
    }
    // Alice, who opened, pays for both anchors; Bob spends his.
    net.allow_dust(alice, 330);
    net.settle();
    net.expect_success(payment);
    net.expect_settlement();
}

/// Alice closes alone and is gone; her commitment leaves the chain in a reorganisation, and then the full mempool. Bob's own
/// commitment takes its place, so that his money does not wait for her.
#[scenario]
fn peers_commitment_goes_out_for_good(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(300_000));
    net.force_close(alice, channel);
    net.mine(1);
    net.sleep_node(alice);
    net.unmine(1);
    net.feerate(5_000);
    net.fill_mempool(FeeratePerKw::new(2_000));
    let hers = net.find_transaction("C1a").expect("she broadcast it");
    assert!(!net.waits(hers), "pushed out");
    net.drain_mempool();
    assert!(is_mined(net, "C1b"));
    net.feerate(1_000);
    net.wake_node(alice);
    // Alice, who opened, pays for both anchors; Bob spends his.
    net.allow_dust(alice, 330);
    net.settle();
    net.expect_settlement();
}

/// Alice funds two channels and a child of her commitment from her wallet; all of it goes out, and is mined again.
#[scenario]
fn wallet_spends_out(net: &mut Net) {
    let [alice, bob, carol] = net.nodes(["alice", "bob", "carol"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(300_000));
    net.feerate(5_000);
    net.force_close(alice, channel);
    net.mine_paying(1, 5_000);
    let second = net.open_unconfirmed(alice, carol, Open::sat(500_000));
    net.mine(1);
    turn(net, 2);
    net.feerate(1_000);
    net.mine(1);
    net.confirm(second);
    net.pay(alice, carol, sat(10_000));
    net.settle();
    net.expect_settlement();
}

/// The chain goes backwards: its tip is below what the nodes have seen, for a while. They go on from there.
#[scenario(formats = "static_remotekey anchors")]
fn chain_goes_backwards(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(300_000));
    net.mine(DEEPEST);
    net.unmine(DEEPEST);
    net.run();
    net.pay(alice, bob, sat(10_000));
    net.restart(bob);
    net.pay(alice, bob, sat(10_000));
    net.mine(2);
    net.pay(bob, alice, sat(10_000));
    net.force_close(bob, channel);
    net.mine(1);
    net.unmine(3);
    net.run();
    net.mine(1);
    net.settle();
    net.expect_settlement();
}
