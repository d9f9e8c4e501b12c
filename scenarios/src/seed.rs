//! The seed's own figures (四.三): 1 BTC, half each, then 0.4 and 0.6, then every way to close.
//!
//! The seed counts C1 at 0.5/0.5 and C2 at 0.4/0.6. Here a payment passes through a state of its own in which its HTLC is
//! pending (四.四: 0.4, 0.5 and the HTLC of 0.1), so C1 is 0.5/0.5, C2 holds the HTLC, and C3 is 0.4/0.6.
use leyden_harness::prelude::*;

/// One bitcoin, in satoshis.
const BTC: u64 = 100_000_000;
/// The seed's seq=1000.
const SEQ: u16 = 1000;

/// 1 BTC, half each, becomes 0.4 and 0.6, and both close together.
#[scenario(formats = "static_remotekey anchors")]
fn seed_update_and_close_together(net: &mut Net) {
    let (alice, bob, channel) = half_each(net);
    net.pay(alice, bob, sat(BTC / 10));
    net.expect_channel(channel, sat(BTC * 4 / 10), sat(BTC * 6 / 10));
    net.close(alice, channel);
    assert_eq!(net.mempool_labels(), ["X"]);
    net.settle();
    net.expect_settlement();
}

/// A closes alone at the very first state: C1a, B's half at once, A's half after 1000 blocks.
#[scenario(formats = "static_remotekey anchors")]
fn seed_a_closes_alone_at_first(net: &mut Net) {
    let (alice, _, channel) = half_each(net);
    closes_alone(net, alice, channel, ["C1a", "D1a", "RD1a"]);
}

/// B closes alone at the very first state: C1b, A's half at once, B's half after 1000 blocks.
#[scenario(formats = "static_remotekey anchors")]
fn seed_b_closes_alone_at_first(net: &mut Net) {
    let (_, bob, channel) = half_each(net);
    closes_alone(net, bob, channel, ["C1b", "D1b", "RD1b"]);
}

/// A closes alone after the update: B has 0.6 at once, A has 0.4 after 1000 blocks.
#[scenario(formats = "static_remotekey anchors")]
fn seed_a_closes_alone_after_update(net: &mut Net) {
    let (alice, bob, channel) = half_each(net);
    net.pay(alice, bob, sat(BTC / 10));
    closes_alone(net, alice, channel, ["C3a", "D3a", "RD3a"]);
}

/// B closes alone after the update: A has 0.4 at once, B has 0.6 after 1000 blocks.
#[scenario(formats = "static_remotekey anchors")]
fn seed_b_closes_alone_after_update(net: &mut Net) {
    let (alice, bob, channel) = half_each(net);
    net.pay(alice, bob, sat(BTC / 10));
    closes_alone(net, bob, channel, ["C3b", "D3b", "RD3b"]);
}

/// A funds 1 BTC and gives B half of it, as if each had put in 0.5; both ask for a delay of 1000 blocks.
fn half_each(net: &mut Net) -> (NodeRef, NodeRef, ChannelRef) {
    let mut config = NodeConfig::default();
    config.channel.to_self_delay = SEQ;
    let [alice, bob] = ["alice", "bob"].map(|name| net.node_with(name, config.clone()));
    let channel = net.open(alice, bob, Open::sat(BTC).push_sat(BTC / 2));
    net.expect_channel(channel, sat(BTC / 2), sat(BTC / 2));
    (alice, bob, channel)
}

/// `node` puts its commitment on the chain; the other side's D follows in the next block, its own RD after seq=1000.
fn closes_alone(net: &mut Net, node: NodeRef, channel: ChannelRef, [c, d, rd]: [&str; 3]) {
    net.force_close(node, channel);
    assert_eq!(net.mempool_labels(), [c]);
    net.settle();
    let committed = net.height_of(c);
    assert_eq!(net.height_of(d), committed + 1, "D follows at once");
    assert_eq!(net.height_of(rd), committed + u32::from(SEQ), "RD follows after seq=1000");
    net.expect_settlement();
}
