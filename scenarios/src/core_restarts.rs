//! Core is killed and starts again from its disk: blocks stay, the mempool is lost. Nodes wait for it, take nothing back that they know
//! from it, and hand their transactions in again after the next block.
use leyden_harness::prelude::*;

/// The funding was in Core's mempool and nowhere else: Alice hands it in again, and the channel opens.
#[scenario(formats = "static_remotekey anchors")]
fn core_is_killed_before_the_funding_is_mined(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open_unconfirmed(alice, bob, Open::sat(1_000_000));
    assert_eq!(net.mempool_labels(), ["F"]);
    net.restart_core();
    assert_eq!(net.mempool_labels(), [""; 0]);
    net.mine(1);
    assert_eq!(net.mempool_labels(), ["F"]);
    net.confirm(channel);
    net.pay(alice, bob, sat(50_000));
    net.settle();
    net.expect_settlement();
}

/// Core is killed between funding and payment, with an HTLC under way, and again when the channel is closed: nobody loses or waits for
/// more than a block.
#[scenario(formats = "static_remotekey anchors")]
fn core_is_killed_between_funding_and_payment(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000));
    net.restart_core();
    net.pay(alice, bob, sat(100_000));
    net.silence(bob);
    let payment = net.start_pay(alice, bob, sat(20_000));
    net.run();
    net.restart_core();
    net.expect_pending(payment);
    net.speak(bob);
    net.expect_success(payment);
    net.pay(bob, alice, sat(10_000));
    net.close(alice, channel);
    net.restart_core();
    net.mine(1);
    assert_eq!(net.mempool_labels(), ["X"]);
    net.settle();
    net.expect_settlement();
}

/// Bob's penalty is lost with Core's mempool. It is there again after the next block, and Mallory gets nothing.
#[scenario(formats = "static_remotekey anchors")]
fn core_is_killed_under_a_penalty(net: &mut Net) {
    let [mallory, bob] = net.nodes(["mallory", "bob"]);
    let channel = net.open(mallory, bob, Open::sat(1_000_000).push_sat(400_000));
    let old = net.state(mallory, channel);
    net.pay(mallory, bob, sat(100_000));
    net.broadcast(mallory, old);
    net.mine(1);
    assert!(net.mempool_labels().contains(&"BR1a".to_owned()));
    net.restart_core();
    net.mine(1);
    assert!(net.mempool_labels().contains(&"BR1a".to_owned()));
    net.settle();
    net.expect_settlement();
}
