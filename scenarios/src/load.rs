//! Many payments at once: both directions, several channels, and as many as a commitment holds.
use leyden_harness::net::Invoice;
use leyden_harness::prelude::*;

/// Ten payments each way over one channel, all under way at the same time; every one arrives, exact to the millisatoshi.
#[scenario(formats = "static_remotekey anchors")]
fn both_directions_at_once(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(500_000));
    let mut orders = Vec::new();
    for n in 1..=10 {
        orders.push((alice, net.invoice(bob, msat(n * 1_000_001))));
        orders.push((bob, net.invoice(alice, msat(n * 2_000_003))));
    }
    pay_at_once(net, &orders);
    // 1 + 2 + ... + 10 = 55 times each.
    let gain = 55 * 2_000_003 - 55 * 1_000_001;
    net.expect_channel(channel, msat(500_000_000 + gain), msat(500_000_000 - gain));
    net.expect_no_htlcs(channel);
    net.settle();
    net.expect_settlement();
}

/// Ten payments each way between A and C at the same time, all over B, who is paid for twenty.
#[scenario]
fn both_directions_over_b(net: &mut Net) {
    let [alice, bob, carol] = net.nodes(["alice", "bob", "carol"]);
    let [ab, bc] = [(alice, bob), (bob, carol)]
        .map(|(opener, acceptor)| net.open(opener, acceptor, Open::sat(1_000_000).push_sat(500_000)));
    let mut orders = Vec::new();
    for n in 1..=10 {
        orders.push((alice, net.invoice(carol, sat(n * 1_000))));
        orders.push((carol, net.invoice(alice, sat(n * 2_000))));
    }
    pay_at_once(net, &orders);
    // Of each payment Bob takes 1 sat and 100 ppm: of 55,000 sat from Alice, of 110,000 sat from Carol.
    let (from_alice, from_carol) = (10_000 + 5_500, 10_000 + 11_000);
    net.expect_channel(ab, msat(555_000_000 - from_alice), msat(445_000_000 + from_alice));
    net.expect_channel(bc, msat(555_000_000 + from_carol), msat(445_000_000 - from_carol));
    net.settle();
    net.expect_settlement();
}

/// 483 HTLCs at once in one direction, as many as BOLT 2 lets a side accept; the 484th is refused by the sender itself.
#[scenario(formats = "static_remotekey anchors")]
fn four_hundred_and_eighty_three_at_once(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(5_000_000));
    let orders: Vec<(NodeRef, Invoice)> = (0..483).map(|_| (alice, net.invoice(bob, sat(2_000)))).collect();
    let last = net.invoice(bob, sat(2_000));
    let route = net.route(alice, &[channel], &last);
    let payments: Vec<Payment> =
        orders.iter().map(|(from, invoice)| net.start_pay_invoice(*from, invoice)).collect();
    let refused = net.start_pay_route(&route);
    net.run();
    payments.iter().for_each(|payment| net.expect_success(*payment));
    net.expect_refused_pay(refused, "no more than 483 HTLCs");
    assert_eq!(net.offered().len(), 483);
    net.expect_channel(channel, sat(5_000_000 - 483 * 2_000), sat(483 * 2_000));
    // Room again: the same payment succeeds now.
    let again = net.pay_route(&route);
    net.expect_success(again);
    net.settle();
    net.expect_settlement();
}

/// Begins all payments before the first message is on its way; every one must succeed.
#[track_caller]
fn pay_at_once(net: &mut Net, orders: &[(NodeRef, Invoice)]) {
    let payments: Vec<Payment> =
        orders.iter().map(|(from, invoice)| net.start_pay_invoice(*from, invoice)).collect();
    payments.iter().for_each(|payment| net.expect_pending(*payment));
    net.run();
    payments.iter().for_each(|payment| net.expect_success(*payment));
}
