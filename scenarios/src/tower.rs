//! Watchtowers (the seed's open problem): Mallory publishes what she had revoked while her victims are down, and somebody who could
//! not know what he kept punishes her. Each time she ends with nothing of the channel, and the tower owns nothing. These towers are in
//! this process, so that none of it runs in the live world: `tests/tests/live_tower.rs` has towers that are processes.
use crate::cheat::*;
use leyden_core::tower::{Justice, Locator, Refused, SEALED_SIZES};
use leyden_harness::prelude::*;
use leyden_harness::settlement::OnChain;

/// The victims sleep through the whole delay and longer; the tower takes Mallory's balance (BR) and the HTLC (HBR), hers or the
/// victim's, although she tries for her second stages too.
#[scenario(
    worlds = "sim regtest",
    formats = "static_remotekey anchors",
    mutants = "guards_wrong_state guards_to_local_only"
)]
fn tower_punishes_while_the_victim_sleeps(net: &mut Net) {
    let ground = watched(net, &WAYS);
    let tina = net.tower("tina", &victims(&ground));
    ground.pay(net);
    fall_asleep(net, &ground);
    net.mine(EXPIRED);
    for cheat in &ground.cheats {
        let old = ground.old(net, cheat, 1);
        net.broadcast_with_second_stages(ground.mallory, old);
    }
    net.mine(u32::from(DELAY) + 10);
    expect_published_by(net, "tina", 8);
    assert!(!net.tower_store(tina).is_empty());
    net.settle();
    ground.expect_nothing_for_mallory(net);
    net.expect_settlement();
}

/// Tina was down too when Mallory's commitments and second stages were mined, and comes back before the delay ends: what HE and HT
/// made of the HTLCs is taken (HEBR, HTBR) with what was signed for them in advance.
#[scenario(worlds = "sim regtest", formats = "static_remotekey", mutants = "tower_ignores_second_stages")]
fn tower_punishes_second_stages(net: &mut Net) {
    let ground = watched(net, &WAYS);
    let tina = net.tower("tina", &victims(&ground));
    ground.pay(net);
    fall_asleep(net, &ground);
    net.stop_tower(tina);
    net.mine(EXPIRED);
    for cheat in &ground.cheats {
        let old = ground.old(net, cheat, 1);
        net.broadcast_with_second_stages(ground.mallory, old);
    }
    net.mine(3);
    net.start_tower(tina);
    net.mine(u32::from(DELAY) + 10);
    expect_published_by(net, "tina", 8);
    for label in ["mallory-alice/HTBR2a", "mallory-bob/HEBR2a", "carol-mallory/HTBR2b", "dave-mallory/HEBR2b"]
    {
        net.height_of(label);
    }
    net.settle();
    ground.expect_nothing_for_mallory(net);
    net.expect_settlement();
}

/// The limit of it with anchors: the second stages have a txid that nobody could know before. A tower that comes after them takes
/// `to_local` and nothing else; what HE and HT hold is lost while the victims sleep.
#[scenario(worlds = "sim regtest")]
fn tower_is_too_late_for_second_stages_with_anchors(net: &mut Net) {
    let ground = watched(net, &[WAYS[0], WAYS[1]]);
    let tina = net.tower("tina", &victims(&ground));
    ground.pay(net);
    fall_asleep(net, &ground);
    net.stop_tower(tina);
    net.mine(EXPIRED);
    for cheat in &ground.cheats {
        let old = ground.old(net, cheat, 1);
        net.broadcast_with_second_stages(ground.mallory, old);
        net.excuse("I2", cheat.victim, "second stages with anchors are out of a tower's reach");
    }
    net.excuse("I8", ground.mallory, "second stages with anchors are out of a tower's reach");
    net.mine(3);
    net.start_tower(tina);
    net.mine(u32::from(DELAY) + 10);
    expect_published_by(net, "tina", 2);
    net.settle();
    for label in ["mallory-alice/HTRD2a", "mallory-bob/HERD2a"] {
        net.height_of(label);
    }
    net.expect_settlement();
}

/// Justice from what was stored alone: the victims are gone, and Tina starts again from her records twice, before the breach and
/// between breach and penalty. A hundred blocks later she has forgotten all of it.
#[scenario(
    worlds = "sim regtest",
    formats = "static_remotekey anchors",
    mutants = "guards_wrong_state guards_to_local_only"
)]
fn tower_punishes_from_its_records_alone(net: &mut Net) {
    let ground = watched(net, &[WAYS[0], WAYS[3]]);
    let tina = net.tower("tina", &victims(&ground));
    ground.pay_together(net, 3);
    fall_asleep(net, &ground);
    net.stop_tower(tina);
    net.start_tower(tina);
    let boxes = net.tower_store(tina).len();
    ground.lie(net, 3);
    mine_without_penalties(net, 2);
    net.stop_tower(tina);
    mine_without_penalties(net, 1);
    net.start_tower(tina);
    net.mine(u32::from(DELAY) + 110);
    expect_published_by(net, "tina", 8);
    assert_eq!(net.tower_store(tina).len() + 2, boxes, "two boxes were of use, and no breach is left");
    net.settle();
    ground.expect_nothing_for_mallory(net);
    net.expect_settlement();
}

/// Two towers watch for the same victims and are told different feerates: whoever is first, each output is taken once, and neither
/// outbids the other for ever.
#[scenario(worlds = "sim regtest", formats = "static_remotekey anchors", mutants = "guards_wrong_state")]
fn two_towers_race(net: &mut Net) {
    let ground = watched(net, &[WAYS[0], WAYS[3]]);
    net.tower("tina", &victims(&ground));
    let tom = net.tower("tom", &victims(&ground));
    net.tower_feerate(tom, 3_000);
    ground.pay(net);
    fall_asleep(net, &ground);
    ground.lie(net, 1);
    mine_without_penalties(net, 2);
    net.mine(u32::from(DELAY) + 10);
    expect_published_by(net, "tom", 4);
    net.settle();
    ground.expect_nothing_for_mallory(net);
    net.expect_settlement();
}

/// No block takes a penalty that does not pay five times the usual feerate: Tina's next one does, and is mined long before Mallory's
/// delay is over.
#[scenario(worlds = "sim regtest", formats = "static_remotekey anchors", mutants = "tower_never_raises")]
fn tower_pays_more_until_it_is_mined(net: &mut Net) {
    let ground = watched(net, &[WAYS[0], WAYS[3]]);
    net.tower("tina", &victims(&ground));
    ground.pay(net);
    ground.cheats.iter().for_each(|cheat| net.allow_dust(cheat.victim, 20_000));
    fall_asleep(net, &ground);
    ground.lie(net, 1);
    mine_without_penalties(net, 1);
    let breach = net.height();
    net.mine_paying(u32::from(DELAY) - 1, 5_000);
    for label in ["mallory-alice/BR2a", "bob-mallory/BR2b"] {
        let paid = net.height_of(label) - breach;
        assert!((2..u32::from(DELAY)).contains(&paid), "{label} is mined {paid} blocks after the breach");
    }
    net.settle();
    ground.expect_nothing_for_mallory(net);
    net.expect_settlement();
}

/// A reorganisation takes breach and penalty out of the chain, twice: both come back, and so does the victims' money.
#[scenario(worlds = "sim regtest", formats = "static_remotekey anchors", mutants = "guards_to_local_only")]
fn tower_survives_a_reorganisation(net: &mut Net) {
    let ground = watched(net, &[WAYS[0], WAYS[3]]);
    let tina = net.tower("tina", &victims(&ground));
    ground.pay(net);
    fall_asleep(net, &ground);
    ground.lie(net, 1);
    net.mine(2);
    net.unmine(2);
    net.mine_empty(3);
    mine_without_penalties(net, 1);
    net.unmine(1);
    net.stop_tower(tina);
    net.start_tower(tina);
    net.mine(u32::from(DELAY) + 10);
    expect_published_by(net, "tina", 4);
    net.settle();
    ground.expect_nothing_for_mallory(net);
    net.expect_settlement();
}

/// The victims are awake: they and their tower punish at the same time, miners hold all of it back for a while, and neither
/// outbids the other for ever. What is taken is the victims', whoever took it.
#[scenario(worlds = "sim regtest", formats = "static_remotekey anchors")]
fn victim_and_tower_both_punish(net: &mut Net) {
    let ground = watched(net, &WAYS);
    net.tower("tina", &victims(&ground));
    ground.pay(net);
    ground.lie(net, 1);
    mine_without_penalties(net, 2);
    net.settle();
    ground.expect_nothing_for_mallory(net);
    net.expect_settlement();
}

/// Tina is down while states are revoked, and the victims' processes end before she comes back: each box that she did not
/// acknowledge was on their disks, and is handed over again.
#[scenario(worlds = "sim regtest", formats = "static_remotekey anchors", mutants = "guards_wrong_state")]
fn boxes_are_handed_over_again_after_a_restart(net: &mut Net) {
    let ground = watched(net, &[WAYS[0], WAYS[3]]);
    let tina = net.tower("tina", &victims(&ground));
    net.stop_tower(tina);
    ground.pay(net);
    ground.cheats.iter().for_each(|cheat| net.restart(cheat.victim));
    net.start_tower(tina);
    fall_asleep(net, &ground);
    ground.lie(net, 1);
    net.mine(u32::from(DELAY) + 10);
    expect_published_by(net, "tina", 4);
    net.settle();
    ground.expect_nothing_for_mallory(net);
    net.expect_settlement();
}

/// A tower whose only boxes are junk, under the locators of the very breaches, does nothing at all; the victims are awake and need
/// no tower. Boxes of a wrong size, and more boxes than a client may have, are refused.
#[scenario(worlds = "sim regtest", formats = "static_remotekey anchors")]
fn tower_given_junk_does_nothing(net: &mut Net) {
    let ground = Ground::new(net, &[WAYS[0], WAYS[3]]);
    let tina = net.tower("tina", &[]);
    ground.pay(net);
    for cheat in &ground.cheats {
        let old = ground.old(net, cheat, 1);
        let locator = Locator::of(&net.past(old).transaction().compute_txid());
        for (part, size) in (0..).zip(SEALED_SIZES) {
            let sealed = vec![part as u8; size];
            assert_eq!(net.hand_box(tina, Justice { locator, part, sealed }), Ok(()));
        }
        let odd = Justice { locator, part: 9, sealed: vec![0; 100] };
        assert_eq!(net.hand_box(tina, odd), Err(Refused::Size { len: 100 }));
        net.broadcast(ground.mallory, old);
    }
    net.settle();
    let settlement = net.settlement();
    let by_tina = |line: &OnChain| line.published.is_some_and(|by| settlement.parties[by].name == "tina");
    assert!(!settlement.transactions.iter().any(by_tina), "junk opens nothing");
    ground.expect_nothing_for_mallory(net);
    net.expect_settlement();
}

/// Victims whose tower must do all alone.
fn watched(net: &mut Net, ways: &[Way]) -> Ground {
    let config = NodeConfig { tower: true, ..NodeConfig::default() };
    Ground::configured(net, ways, Open::sat(CAPACITY).push_sat(CAPACITY / 2), config)
}

fn victims(ground: &Ground) -> Vec<NodeRef> {
    ground.cheats.iter().map(|cheat| cheat.victim).collect()
}

fn fall_asleep(net: &mut Net, ground: &Ground) {
    ground.cheats.iter().for_each(|cheat| net.sleep_node(cheat.victim));
}

/// So many penalties are mined, and this party published all of them.
fn expect_published_by(net: &mut Net, party: &str, count: usize) {
    let settlement = net.settlement();
    let penalties: Vec<_> = settlement.transactions.iter().filter(|line| line.label.contains("BR")).collect();
    for line in &penalties {
        let by = line.published.map(|party| settlement.parties[party].name.as_str());
        assert_eq!(by, Some(party), "{} is published by the tower", line.label);
    }
    assert_eq!(penalties.len(), count);
}
