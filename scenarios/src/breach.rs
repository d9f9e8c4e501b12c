//! Breaches and their penalties (BOLT 5, "Revoked Transaction Close Handling"): Mallory publishes what she had revoked, as opener
//! and as acceptor, with and without HTLCs, with and without their second stages. Each time she ends with nothing of the channel.
use crate::cheat::*;
use leyden_harness::prelude::*;

/// Mallory publishes the first state, in which she had more: D and BR follow, all is the victim's. As opener and as acceptor.
#[scenario(formats = "static_remotekey anchors", mutants = "no_penalty_on_to_local")]
fn revoked_balance_is_taken(net: &mut Net) {
    let ground = Ground::new(net, &[WAYS[0], WAYS[2]]);
    ground.pay(net);
    for cheat in &ground.cheats {
        let old = net.state_at(ground.mallory, cheat.channel, 1);
        net.broadcast(ground.mallory, old);
    }
    net.settle();
    ground.expect_nothing_for_mallory(net);
    net.expect_settlement();
}

/// The victim had nothing in the state that is published: there is no `to_remote`, and BR is all.
#[scenario(formats = "static_remotekey anchors", mutants = "no_penalty_on_to_local")]
fn revoked_state_without_a_balance_of_the_victim(net: &mut Net) {
    let ground = Ground::with(net, &[WAYS[0]], Open::sat(CAPACITY));
    ground.pay(net);
    let old = net.state_at(ground.mallory, ground.cheats[0].channel, 1);
    net.broadcast(ground.mallory, old);
    net.settle();
    ground.expect_nothing_for_mallory(net);
    net.expect_settlement();
}

/// Mallory has nothing and risks nothing: she publishes a state with an HTLC that she refused. HBR is all that there is to take.
#[scenario(formats = "static_remotekey anchors", mutants = "no_penalty_on_htlc")]
fn revoked_state_without_a_balance_of_the_cheater(net: &mut Net) {
    let ground = Ground::with(net, &[WAYS[3]], Open::sat(CAPACITY));
    let Cheat { victim, channel, .. } = ground.cheats[0];
    let invoice = net.invoice(ground.mallory, AMOUNT);
    let route = net.route(victim, &[channel], &invoice).with_wrong_secret();
    net.pay_route(&route);
    net.expect_channel(channel, sat(CAPACITY), sat(0));
    let old = ground.old(net, &ground.cheats[0], 1);
    net.broadcast(ground.mallory, old);
    net.settle();
    ground.expect_nothing_for_mallory(net);
    net.expect_settlement();
}

/// The old state holds an HTLC, Mallory's or the victim's: one transaction takes her balance and the HTLC (BR and HBR).
#[scenario(formats = "static_remotekey anchors", mutants = "no_penalty_on_to_local no_penalty_on_htlc")]
fn revoked_htlc_is_taken(net: &mut Net) {
    let ground = Ground::new(net, &WAYS);
    ground.pay(net);
    ground.lie(net, 1);
    net.settle();
    ground.expect_nothing_for_mallory(net);
    net.expect_settlement();
}

/// Mallory's second stages come first: HE with the R that she was given since, HT after the expiry. Their outputs are taken too
/// (HEBR, HTBR).
#[scenario(formats = "static_remotekey anchors", mutants = "no_penalty_on_second_stage")]
fn revoked_second_stage_is_taken(net: &mut Net) {
    let ground = Ground::new(net, &WAYS);
    ground.pay(net);
    net.mine(EXPIRED);
    for cheat in &ground.cheats {
        let old = ground.old(net, cheat, 1);
        net.broadcast_with_second_stages(ground.mallory, old);
    }
    net.settle();
    ground.expect_nothing_for_mallory(net);
    net.expect_settlement();
}

/// Three HTLCs at once, and their second stages in one transaction (anchors allow it): each of its outputs is taken.
#[scenario(mutants = "no_penalty_on_second_stage punishes_first_output_only")]
fn revoked_second_stages_in_one_transaction(net: &mut Net) {
    let ground = Ground::new(net, &WAYS);
    ground.pay_together(net, 3);
    net.mine(EXPIRED);
    for cheat in &ground.cheats {
        let old = ground.old(net, cheat, 3);
        net.broadcast_with_aggregated_stages(ground.mallory, old);
    }
    net.settle();
    ground.expect_nothing_for_mallory(net);
    net.expect_settlement();
}

/// Two HTLCs of one hash, one amount and one expiry in the old state: two outputs that look the same, and both are taken. Whose of them
/// is the first, and so the one that is paid, hangs on the order between processes.
#[scenario(
    worlds = "sim regtest",
    formats = "static_remotekey anchors",
    mutants = "keeps_only_one_of_equal_htlcs"
)]
fn equal_htlcs_are_both_taken(net: &mut Net) {
    let ground = Ground::new(net, &[WAYS[0]]);
    let Cheat { victim, channel, .. } = ground.cheats[0];
    let mallory = ground.mallory;
    let [zoe, erin, frank] = net.nodes(["zoe", "erin", "frank"]);
    let last = net.open(victim, zoe, Open::sat(CAPACITY));
    let senders = [erin, frank].map(|sender| (sender, net.open(sender, mallory, Open::sat(CAPACITY))));
    net.silence(zoe);
    let invoice = net.invoice(zoe, AMOUNT);
    for (sender, first) in senders {
        let route = net.route(sender, &[first, channel, last], &invoice);
        net.start_pay_route(&route);
    }
    net.run();
    let old = ground.old(net, &ground.cheats[0], 2);
    let twins = net.htlc_spends(mallory, old);
    assert_eq!(twins[0].spent(), twins[1].spent(), "nothing on the chain tells them apart");
    net.speak(zoe);
    net.excuse("I4", victim, "zoe took one HTLC of this hash and refused the other: so does the victim");
    net.broadcast(mallory, old);
    net.settle();
    net.expect_settlement();
}
