//! Closing alone an honest channel: the seed's C, D at once, RD after 1000 blocks.
use leyden_harness::prelude::*;

/// The seed's seq=1000.
const SEQ: u16 = 1000;

/// A channel between two nodes that ask each other to wait 1000 blocks, with a payment behind it.
fn channel_with_seq_1000(net: &mut Net) -> (NodeRef, NodeRef, ChannelRef) {
    let mut config = NodeConfig::default();
    config.channel.to_self_delay = SEQ;
    let [alice, bob] = ["alice", "bob"].map(|name| net.node_with(name, config.clone()));
    let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(500_000));
    net.pay(alice, bob, sat(100_000));
    (alice, bob, channel)
}

/// The opener closes alone: the other has its money at once (D), the opener after 1000 blocks (RD).
#[scenario(formats = "static_remotekey anchors")]
fn unilateral_close_by_opener(net: &mut Net) {
    let (alice, _, channel) = channel_with_seq_1000(net);
    let number = net.channel(alice, channel).local_commitment + 1;
    net.force_close(alice, channel);
    net.settle();
    let commitment = net.height_of(&format!("C{number}a"));
    let sweep = net.height_of(&format!("RD{number}a"));
    assert_eq!(sweep - commitment, u32::from(SEQ), "RD follows C after seq=1000");
    net.expect_settlement();
}

/// The acceptor closes alone: the opener has its money at once (D), the acceptor after 1000 blocks (RD).
#[scenario(formats = "static_remotekey anchors")]
fn unilateral_close_by_acceptor(net: &mut Net) {
    let (_, bob, channel) = channel_with_seq_1000(net);
    let number = net.channel(bob, channel).local_commitment + 1;
    net.force_close(bob, channel);
    net.settle();
    let commitment = net.height_of(&format!("C{number}b"));
    let sweep = net.height_of(&format!("RD{number}b"));
    assert_eq!(sweep - commitment, u32::from(SEQ), "RD follows C after seq=1000");
    net.expect_settlement();
}

/// The opener shuts down while an HTLC is pending: it is settled first, no new one is taken, then both close.
#[scenario(formats = "static_remotekey anchors")]
fn shutdown_with_htlc_pending_by_opener(net: &mut Net) {
    let [alice, bob, carol] = net.nodes(["alice", "bob", "carol"]);
    shutdown_with_htlc_pending(net, [alice, bob, carol], alice);
}

/// The acceptor shuts down while an HTLC is pending: it is settled first, no new one is taken, then both close.
#[scenario(formats = "static_remotekey anchors")]
fn shutdown_with_htlc_pending_by_acceptor(net: &mut Net) {
    let [alice, bob, carol] = net.nodes(["alice", "bob", "carol"]);
    shutdown_with_htlc_pending(net, [alice, bob, carol], bob);
}

/// Alice's payment to a silent Carol is pending when one end shuts down the channel of Alice and Bob.
fn shutdown_with_htlc_pending(net: &mut Net, [alice, bob, carol]: [NodeRef; 3], closer: NodeRef) {
    let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(300_000));
    net.open(bob, carol, Open::sat(1_000_000));
    net.silence(carol);
    let pending = net.try_pay(alice, carol, sat(100_000));
    net.close(closer, channel);
    assert!(net.mempool().is_empty(), "no closing transaction while an HTLC is pending");
    for (from, to) in [(alice, bob), (bob, alice)] {
        let invoice = net.invoice(to, sat(1_000));
        let route = net.route(from, &[channel], &invoice);
        let late = net.pay_route(&route);
        net.expect_refused_by_sender(late, "the channel is closing: no new HTLCs");
    }
    net.expect_pending(pending);
    net.speak(carol);
    net.expect_success(pending);
    assert_eq!(net.mempool_labels(), ["alice-bob/X"]);
    net.settle();
    net.expect_settlement();
}

/// Bob's 300 sat are below the dust limit: the closing transaction leaves them to the miner.
#[scenario]
fn close_with_dust(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000));
    net.pay(alice, bob, sat(300));
    net.close(alice, channel);
    assert_eq!(net.mempool()[0].output.len(), 1, "only alice's output is left");
    net.allow_dust(bob, 300);
    net.settle();
    net.expect_settlement();
}

/// The two want different fees for the closing transaction: the opener names a range, the acceptor picks within it.
#[scenario]
fn close_fee_is_negotiated(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    // The feerates that each wants, and the fee for 676 weight: alice, who pays, goes up to twice her own.
    for (alices, bobs, agreed) in [(1000, 1500, 1014), (1000, 500, 338), (1000, 9000, 1352)] {
        let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(400_000));
        net.start_close_at(alice, channel, alices);
        net.start_close_at(bob, channel, bobs);
        net.run();
        let paid_out: u64 = net.mempool()[0].output.iter().map(|output| output.value.to_sat()).sum();
        assert_eq!(1_000_000 - paid_out, agreed);
        net.mine(1);
    }
    net.settle();
    net.expect_settlement();
}

/// The channel is closed together before its funding is mined: both transactions are in one block.
#[scenario]
fn close_in_funding_block(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open_unconfirmed(alice, bob, Open::sat(1_000_000).push_sat(400_000));
    net.close(bob, channel);
    net.mine(1);
    assert_eq!(net.height_of("F"), net.height_of("X"));
    net.settle();
    net.expect_settlement();
}

/// The opener closes alone before its funding is mined: both transactions are in one block, its money comes later.
#[scenario(formats = "static_remotekey anchors")]
fn unilateral_close_in_funding_block(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open_unconfirmed(alice, bob, Open::sat(1_000_000).push_sat(400_000));
    net.force_close(alice, channel);
    net.mine(1);
    assert_eq!(net.height_of("F"), net.height_of("C1a"));
    net.settle();
    net.expect_settlement();
}

/// The acceptor closes alone before the funding is mined: its commitment waits for the funding, and goes to the chain then.
#[scenario(formats = "static_remotekey anchors")]
fn acceptor_closes_alone_before_the_funding(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open_unconfirmed(alice, bob, Open::sat(1_000_000).push_sat(400_000));
    net.disconnect(alice, bob);
    net.force_close(bob, channel);
    net.mine(2);
    assert_eq!(net.height_of("C1b"), net.height_of("F") + 1);
    net.settle();
    net.expect_settlement();
}

/// The longest delay there is: Alice closes alone, and her money is hers again 2016 blocks later.
#[scenario]
fn unilateral_close_with_the_longest_delay(net: &mut Net) {
    let mut config = NodeConfig::default();
    config.channel.to_self_delay = 2016;
    let [alice, bob] = ["alice", "bob"].map(|name| net.node_with(name, config.clone()));
    let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(500_000));
    net.force_close(alice, channel);
    net.settle();
    assert_eq!(net.height_of("RD1a") - net.height_of("C1a"), 2016);
    net.expect_settlement();
}

/// What a node says that it has: in its channel, then of the channel that ended, then in its wallet, and never in two of them.
#[scenario]
fn balances_name_each_satoshi_once(net: &mut Net) {
    let (alice, bob, channel) = channel_with_seq_1000(net);
    let expect = |net: &mut Net, node, channels, closing| {
        let balances = net.balances(node);
        assert_eq!((balances.channels, balances.closing), (channels, closing), "of {}", net.name(node));
        balances.wallet
    };
    let before = expect(net, bob, sat(600_000), sat(0));
    net.force_close(bob, channel);
    expect(net, bob, sat(0), sat(600_000));
    net.mine(1);
    expect(net, bob, sat(0), sat(600_000));
    // She opened: the commitment's fee and both anchors are hers to pay.
    expect(net, alice, sat(0), sat(400_000 - 1_124 - 660));
    net.mine(2);
    expect(net, alice, sat(0), sat(0));
    net.settle();
    let gained = expect(net, bob, sat(0), sat(0)).get() - before.get();
    assert_eq!(gained, 600_000 - 483, "all of it, but for the fee of RD3b");
    net.expect_settlement();
}
