//! Breaches against the clock: miners who want more, victims who restart or sleep, second stages that break our penalties.
use crate::cheat::*;
use leyden_harness::prelude::*;

/// No block takes a penalty that does not pay five times the usual feerate: what it pays rises, and it is mined long before
/// Mallory's delay is over.
#[scenario(formats = "static_remotekey anchors", mutants = "fees_never_rise")]
fn penalty_pays_more_until_it_is_mined(net: &mut Net) {
    let ground = Ground::new(net, &[WAYS[0], WAYS[3]]);
    ground.pay(net);
    may_pay(net, &ground, 10_000);
    ground.lie(net, 1);
    net.mine(1);
    let breach = net.height();
    net.mine_paying(u32::from(DELAY) - 1, 5_000);
    for label in ["mallory-alice/BR2a+HBR2a", "bob-mallory/BR2b+HBR2b"] {
        let paid = net.height_of(label) - breach;
        assert!((2..u32::from(DELAY)).contains(&paid), "{label} is mined {paid} blocks after the breach");
    }
    net.settle();
    ground.expect_nothing_for_mallory(net);
    net.expect_settlement();
}

/// The victims' processes end between breach and penalty, twice: once cut off from the mempool, once while miners hold back.
#[scenario(formats = "static_remotekey anchors", mutants = "no_penalty_on_htlc")]
fn victim_restarts_between_breach_and_penalty(net: &mut Net) {
    let ground = Ground::new(net, &WAYS);
    ground.pay(net);
    ground.cheats.iter().for_each(|cheat| net.blind(cheat.victim));
    ground.lie(net, 1);
    net.mine(2);
    assert_eq!(penalties(net), [], "nobody sees the mempool");
    for cheat in &ground.cheats {
        net.restart(cheat.victim);
        net.sees_again(cheat.victim);
    }
    assert_eq!(penalties(net).len(), ground.cheats.len());
    mine_without_penalties(net, 2);
    ground.cheats.iter().for_each(|cheat| net.restart(cheat.victim));
    net.settle();
    ground.expect_nothing_for_mallory(net);
    net.expect_settlement();
}

/// The victim sleeps until the second last block before Mallory's delay is over, and wins: for so late a block it pays most of what
/// Mallory had.
#[scenario(formats = "static_remotekey anchors", mutants = "no_penalty_on_to_local")]
fn victim_wakes_one_block_before_the_delay_ends(net: &mut Net) {
    let ground = Ground::new(net, &[WAYS[0], WAYS[2]]);
    may_pay(net, &ground, CAPACITY / 2);
    sleep_through(net, &ground, u32::from(DELAY) - 2);
    net.settle();
    ground.expect_nothing_for_mallory(net);
    net.expect_settlement();
}

/// The victim wakes when Mallory's RD waits in the mempool for the next block, and outbids it with all that Mallory had.
#[scenario(formats = "static_remotekey anchors", mutants = "fees_never_rise")]
fn victim_outbids_the_sweep_in_the_last_block(net: &mut Net) {
    let ground = Ground::new(net, &[WAYS[0], WAYS[2]]);
    may_pay(net, &ground, CAPACITY / 2);
    sleep_through(net, &ground, u32::from(DELAY) - 1);
    assert_eq!(penalties(net).len(), 2, "RD is pushed out");
    net.settle();
    ground.expect_nothing_for_mallory(net);
    net.expect_settlement();
}

/// The victim sleeps one block too long: RD is mined, and Mallory keeps what she had. D is all that is left; so much is lost.
#[scenario(formats = "static_remotekey anchors")]
fn victim_wakes_one_block_after_the_delay_ends(net: &mut Net) {
    let ground = Ground::new(net, &[WAYS[0], WAYS[2]]);
    net.excuse("I8", ground.mallory, "her victims slept for a block too long");
    for cheat in &ground.cheats {
        net.excuse("I2", cheat.victim, "it slept for a block too long");
    }
    sleep_through(net, &ground, u32::from(DELAY));
    net.settle();
    for label in ["mallory-alice/RD1a", "bob-mallory/RD1b"] {
        net.height_of(label);
    }
    net.expect_settlement();
}

/// So many satoshis more than the usual fees may the penalties cost each victim: miners have to be won.
fn may_pay(net: &mut Net, ground: &Ground, sat: u64) {
    ground.cheats.iter().for_each(|cheat| net.allow_dust(cheat.victim, sat));
}

/// Mallory publishes the first state while all victims sleep for so many blocks.
fn sleep_through(net: &mut Net, ground: &Ground, blocks: u32) {
    ground.pay(net);
    ground.cheats.iter().for_each(|cheat| net.sleep_node(cheat.victim));
    for cheat in &ground.cheats {
        let old = net.state_at(ground.mallory, cheat.channel, 1);
        net.broadcast(ground.mallory, old);
    }
    net.mine(1 + blocks);
    ground.cheats.iter().for_each(|cheat| net.wake_node(cheat.victim));
}

/// The victim closed alone and its commitment waits in the mempool; a miner takes Mallory's old one instead.
#[scenario(formats = "static_remotekey anchors", mutants = "no_penalty_on_to_local no_penalty_on_htlc")]
fn breach_while_the_victims_close_waits(net: &mut Net) {
    let ground = Ground::new(net, &WAYS);
    ground.pay(net);
    let mut lies = Vec::new();
    for cheat in &ground.cheats {
        net.force_close(cheat.victim, cheat.channel);
        let old = ground.old(net, cheat, 1);
        lies.push(net.past(old).transaction());
    }
    net.mine_these(lies);
    net.settle();
    ground.expect_nothing_for_mallory(net);
    net.expect_settlement();
}

/// Mallory's second stages come one after the other: HEs in one transaction first, which breaks the penalty of all, then HTs in
/// another, which breaks two of the penalties that came after. None of them pays less than what it stands for.
#[scenario(mutants = "fees_fall_when_split no_penalty_on_second_stage")]
fn second_stages_break_one_penalty_after_the_other(net: &mut Net) {
    let ground = Ground::new(net, &[WAYS[0]]);
    let (mallory, Cheat { victim, .. }) = (ground.mallory, ground.cheats[0]);
    may_pay(net, &ground, 50_000);
    four_htlcs(net, &ground);
    net.mine(46);
    let old = ground.old(net, &ground.cheats[0], 4);
    let spends = net.htlc_spends(mallory, old).into_iter();
    let (with_r, timeouts): (Vec<_>, Vec<_>) = spends.partition(|spend| spend.needs_preimage());
    assert_eq!((with_r.len(), timeouts.len()), (2, 2));
    let coins = [net.coin("mallory", 50_000), net.coin("mallory", 50_000)];
    let he = net.build(&Spend::of(&with_r).coins(&coins[..1]).fee(2_000));
    let ht = net.build(&Spend::of(&timeouts).coins(&coins[1..]).fee(2_000));
    net.feerate_of(victim, 3_000);
    net.broadcast(mallory, old);
    net.mine(1);
    assert_eq!(penalties(net).len(), 1, "one for all");
    let first = least_offered(net);
    net.feerate_of(victim, 1_000);
    net.mine_these(vec![he]);
    let second = least_offered(net);
    // Signatures differ in length by a byte or two.
    assert!(second + 10 >= first, "{first} was offered, then {second} sat per 1000 weight");
    while net.height() < timeouts[0].lock_time.to_consensus_u32() {
        mine_without_penalties(net, 1);
    }
    let apart = penalties(net).len();
    net.mine_these(vec![ht]);
    assert_eq!(penalties(net).len(), apart, "two were broken, two came for what broke them");
    net.settle();
    ground.expect_nothing_for_mallory(net);
    net.expect_settlement();
}

/// Two payments of Mallory's through her victim and two of her victim's through her are pending together, and then arrive.
fn four_htlcs(net: &mut Net, ground: &Ground) {
    let (mallory, victim) = (ground.mallory, ground.cheats[0].victim);
    let [yves, zoe] = net.nodes(["yves", "zoe"]);
    net.open(mallory, yves, Open::sat(CAPACITY));
    net.open(victim, zoe, Open::sat(CAPACITY));
    let ends = [(victim, yves), (mallory, zoe)];
    ends.iter().for_each(|(_, to)| net.silence(*to));
    let mut payments = Vec::new();
    for (from, to) in ends.into_iter().chain(ends) {
        payments.push(net.start_pay(from, to, AMOUNT));
        net.run();
    }
    ends.iter().for_each(|(_, to)| net.speak(*to));
    payments.into_iter().for_each(|payment| net.expect_success(payment));
}

/// The least feerate that is offered for what stands on the commitment itself.
fn least_offered(net: &mut Net) -> u64 {
    let direct = penalties(net).into_iter().filter(|(label, _)| !label.contains("HEBR"));
    let rates: Vec<u64> = direct.map(|(_, txid)| feerate(net, txid)).collect();
    rates.into_iter().min().expect("a penalty waits")
}

/// Miners hold the penalty back until eighteen blocks are left: it is split, so that one second stage cannot hold up the rest.
#[scenario(formats = "static_remotekey anchors", mutants = "never_splits_penalties split_does_not_outbid")]
fn penalty_is_split_near_its_deadline(net: &mut Net) {
    let ground = Ground::new(net, &[WAYS[0], WAYS[3]]);
    ground.pay_together(net, 3);
    may_pay(net, &ground, 50_000);
    ground.lie(net, 3);
    net.mine(1);
    assert_eq!(penalties(net).len(), 2, "one for each channel");
    mine_without_penalties(net, u32::from(DELAY) - 18);
    assert_eq!(penalties(net).len(), 8, "one for each output");
    net.settle();
    ground.expect_nothing_for_mallory(net);
    net.expect_settlement();
}

/// The same, at a high feerate and with nearly all in the HTLCs: `to_local` alone could not outbid the penalty of all.
#[scenario(formats = "static_remotekey anchors", mutants = "split_does_not_outbid")]
fn split_penalty_outbids_with_its_largest_part(net: &mut Net) {
    let ground = Ground::with(net, &[WAYS[0]], Open::sat(CAPACITY).push_sat(CAPACITY - 335_000));
    ground.pay_together(net, 3);
    let victim = ground.cheats[0].victim;
    may_pay(net, &ground, 200_000);
    ground.lie(net, 3);
    net.feerate_of(victim, 20_000);
    net.mine(1);
    assert_eq!(penalties(net).len(), 1, "one for all");
    mine_without_penalties(net, u32::from(DELAY) - 18);
    assert_eq!(penalties(net).len(), 4, "one for each output");
    net.settle();
    ground.expect_nothing_for_mallory(net);
    net.expect_settlement();
}
