//! Coins of one wallet that several channels need for their fees in the same block: none is spent twice.
use leyden_harness::prelude::*;

/// What the chain asks, in sat per 1000 weight, while commitments pay 1000.
const SPIKE: u32 = 5_000;

/// Alice closes two channels alone in a spike, with so many coins; the heights of both commitments.
fn two_closes(net: &mut Net, coins: u64) -> [u32; 2] {
    net.start_coins(0);
    let [alice, bob, carol] = net.nodes(["alice", "bob", "carol"]);
    net.fund(bob, 2_000_000);
    net.fund(carol, 2_000_000);
    let with_bob = net.open(bob, alice, Open::sat(1_000_000).push_sat(500_000));
    let with_carol = net.open(carol, alice, Open::sat(1_000_000).push_sat(500_000));
    for _ in 0..coins {
        net.fund(alice, 100_000);
    }
    // Both decide at one block: what each of them commits to is not paid for yet.
    net.force_close(alice, with_bob);
    net.force_close(alice, with_carol);
    net.feerate(SPIKE);
    net.mine_empty(1);
    net.mine_paying(2, u64::from(SPIKE));
    net.mine(1);
    // Openers pay for both anchors, and Alice spends her own.
    net.allow_dust(bob, 330);
    net.allow_dust(carol, 330);
    net.settle();
    ["bob-alice/C1b", "carol-alice/C1b"].map(|label| net.height_of(label))
}

/// With two coins both commitments get their children at once, and are mined in one block.
#[scenario(mutants = "gives_one_coin_twice")]
fn two_children_with_two_coins(net: &mut Net) {
    let [one, other] = two_closes(net, 2);
    assert_eq!(one, other, "each child has its own coin");
    net.expect_settlement();
}

/// With one coin one commitment waits until the change of the other's child is there: one block more.
#[scenario]
fn two_children_with_one_coin(net: &mut Net) {
    let [one, other] = two_closes(net, 1);
    assert_eq!(one.abs_diff(other), 1, "the second waits for the change of the first");
    net.expect_settlement();
}

/// While a child waits with a coin of the wallet, a new channel is funded with the other one, though that is smaller.
#[scenario(mutants = "gives_one_coin_twice")]
fn funding_leaves_a_childs_coin_alone(net: &mut Net) {
    net.start_coins(1_000_000);
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(bob, alice, Open::sat(500_000).push_sat(300_000));
    net.fund(alice, 1_500_000);
    net.feerate(SPIKE);
    net.force_close(alice, channel);
    let child = net.transaction("C1b").compute_txid();
    assert_eq!(net.mempool().len(), 2, "the commitment and its child");
    let next = net.open_unconfirmed(alice, bob, Open::sat(900_000));
    assert_eq!(net.mempool().len(), 3, "the child is still there");
    net.confirm(next);
    assert!(net.mined_at(child).is_some());
    net.allow_dust(bob, 330);
    net.settle();
    net.expect_settlement();
}
