//! Payments that arrive.
use leyden_harness::prelude::*;

/// Three payments in turn over one channel, there and back.
#[scenario(formats = "static_remotekey anchors")]
fn pay_both_ways(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(500_000));
    net.pay(alice, bob, sat(100_000));
    net.pay(bob, alice, sat(250_000));
    net.pay(alice, bob, msat(1_234_567));
    net.expect_channel(channel, msat(648_765_433), msat(351_234_567));
    net.settle();
    net.expect_settlement();
}

/// A pays D over B and C: fees at both, locks of 3, 2 and 1 days in blocks, and every balance on the chain.
#[scenario(formats = "static_remotekey anchors")]
fn pay_a_b_c_d(net: &mut Net) {
    const DAY: u32 = 144;
    let mut config = NodeConfig::default();
    config.forward.cltv_expiry_delta = DAY;
    let [alice, bob, carol, dave] =
        ["alice", "bob", "carol", "dave"].map(|name| net.node_with(name, config.clone()));
    for (opener, acceptor) in [(alice, bob), (bob, carol), (carol, dave)] {
        net.open(opener, acceptor, Open::sat(5_000_000));
    }
    // A payer adds a few blocks to what the invoice asks.
    let invoice = net.invoice_with_delta(dave, sat(1_000_000), Some(DAY - FINAL_CLTV_SLACK));
    let payment = net.pay_invoice(alice, &invoice);
    let locks: Vec<u32> = net.offered().iter().map(|offer| offer.lock()).collect();
    assert_eq!(locks, [3 * DAY, 2 * DAY, DAY], "the HTLCs are locked for 3, 2 and 1 days");
    // Carol takes 1 sat and 100 ppm of what she forwards, Bob the same of what he does.
    assert_eq!(net.fee(payment), msat(101_000 + 101_010), "the fees of carol and bob");
    net.settle();
    net.expect_settlement();
}
