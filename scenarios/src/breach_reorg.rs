//! Breaches and reorganisations: what was closed together comes apart, what was punished was never there.
use crate::cheat::*;
use leyden_harness::prelude::*;

/// Both closed together, one block deep; that block goes, and Mallory's old state stands in its place. A victim that had forgotten
/// the channel would lose it (I18).
#[scenario(formats = "static_remotekey anchors", mutants = "forgets_close_one_deep reorgs_are_ignored")]
fn breach_in_place_of_a_cooperative_close(net: &mut Net) {
    let ground = Ground::new(net, &WAYS);
    ground.pay(net);
    let mut lies = Vec::new();
    for cheat in &ground.cheats {
        net.close(cheat.victim, cheat.channel);
        let old = ground.old(net, cheat, 1);
        lies.push(net.past(old).transaction());
    }
    net.mine(1);
    net.unmine(1);
    net.mine_these(lies);
    net.settle();
    ground.expect_nothing_for_mallory(net);
    net.expect_settlement();
}

/// The breach was punished; a reorganisation takes both out, and another commitment stands there: Mallory's newest, the victim's
/// newest, or another one that she had revoked. What is true now counts, and is punished if it must be.
#[scenario(formats = "static_remotekey anchors", mutants = "reorgs_are_ignored")]
fn breach_gives_way_to_another_commitment(net: &mut Net) {
    let ground = Ground::new(net, &[WAYS[0], WAYS[2], WAYS[3]]);
    ground.pay(net);
    for cheat in &ground.cheats {
        let old = net.state_at(ground.mallory, cheat.channel, 1);
        net.broadcast(ground.mallory, old);
    }
    net.mine(2);
    assert!(penalties(net).is_empty(), "the penalties are mined");
    let [first, second, third] = [0, 1, 2].map(|number| ground.cheats[number]);
    let others = [
        net.state(ground.mallory, first.channel),
        net.state(second.victim, second.channel),
        ground.old(net, &third, 1),
    ];
    net.unmine(2);
    let others = others.map(|state| net.past(state).transaction());
    net.mine_these(others.to_vec());
    net.settle();
    net.height_of("carol-mallory/BR2b+HBR2b");
    net.expect_settlement();
}

/// Both are honest: A closed alone with an HTLC pending, a reorganisation takes her commitment out, and B's stands there. Each takes
/// what is its own of that one, R included.
#[scenario(formats = "static_remotekey anchors", mutants = "reorgs_are_ignored")]
fn commitment_gives_way_to_the_other_sides(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(CAPACITY).push_sat(CAPACITY / 2));
    net.on_message(bob, alice, Kind::UpdateFulfillHtlc, Fault::Hold);
    let payment = net.start_pay(alice, bob, AMOUNT);
    net.run();
    let other = net.state(bob, channel);
    net.force_close(alice, channel);
    net.mine(2);
    net.height_of("HED2a");
    net.unmine(2);
    let other = net.past(other).transaction();
    net.mine_these(vec![other]);
    net.settle();
    net.expect_success(payment);
    assert!(net.height_of("HERD2b") > net.height_of("HE2b"));
    net.expect_settlement();
}

/// The penalty was mined, and a reorganisation takes it out: Mallory's second stages stand in its place,
/// and their outputs are taken instead.
#[scenario(formats = "static_remotekey anchors", mutants = "reorgs_are_ignored")]
fn second_stages_in_place_of_the_penalty(net: &mut Net) {
    let ground = Ground::new(net, &WAYS);
    ground.pay(net);
    net.mine(EXPIRED);
    let mut stages = Vec::new();
    for cheat in &ground.cheats {
        let old = ground.old(net, cheat, 1);
        let (past, spends) = (net.past(old), net.htlc_spends(ground.mallory, old));
        let coin = past.channel_type().has_anchors().then(|| net.coin("mallory", 50_000));
        let fee = if coin.is_some() { 1_000 } else { 0 };
        stages.push(net.build(&Spend::of(&spends).coins(coin.as_slice()).fee(fee)));
    }
    ground.lie(net, 1);
    net.mine(2);
    assert!(penalties(net).is_empty(), "the penalties are mined");
    net.unmine(1);
    net.mine_these(stages);
    net.settle();
    ground.expect_nothing_for_mallory(net);
    net.expect_settlement();
}
