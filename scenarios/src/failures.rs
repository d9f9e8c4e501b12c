//! Payments that must fail: each at the right hop with the right error of BOLT 4, nobody loses a satoshi, no HTLC stays.
use leyden_core::node::Command;
use leyden_harness::net::code::*;
use leyden_harness::prelude::*;

/// What each channel of the line holds, all of it its opener's.
const CAPACITY: u64 = 1_000_000;
/// What a payment tries to move.
const AMOUNT: Msat = sat(100_000);

/// The hash is not that of an invoice of D, who answers incorrect_or_unknown_payment_details.
#[scenario]
fn wrong_hash(net: &mut Net) {
    let ([alice, _, _, dave], channels) = line(net);
    let invoice = net.invoice(dave, AMOUNT);
    let route = net.route(alice, &channels, &invoice).with_wrong_hash();
    let payment = net.pay_route(&route);
    net.expect_failure(payment, dave, INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS);
    expect_untouched(net, &channels);
}

/// The payment secret is not the invoice's: D's answer is the same as to a wrong hash, so that nobody can probe.
#[scenario(mutants = "accept_wrong_payment_secret")]
fn wrong_secret(net: &mut Net) {
    let ([alice, _, _, dave], channels) = line(net);
    let invoice = net.invoice(dave, AMOUNT);
    let route = net.route(alice, &channels, &invoice).with_wrong_secret();
    let payment = net.pay_route(&route);
    net.expect_failure(payment, dave, INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS);
    expect_untouched(net, &channels);
}

/// One millisatoshi less than the invoice asks: D refuses, whether the sender admits it in the total or not.
#[scenario(mutants = "accept_underpaid_invoice")]
fn underpaid(net: &mut Net) {
    let ([alice, _, _, dave], channels) = line(net);
    let invoice = net.invoice(dave, AMOUNT);
    let hidden = net.route(alice, &channels, &invoice).with_less_at(dave, msat(1));
    let mut less = invoice.clone();
    less.amount = AMOUNT.saturating_sub(msat(1));
    let admitted = net.route(alice, &channels, &less);
    for route in [hidden, admitted] {
        let payment = net.pay_route(&route);
        net.expect_failure(payment, dave, INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS);
    }
    expect_untouched(net, &channels);
}

/// A recipient takes up to double the amount, exactly (BOLT 4); one millisatoshi more is refused.
#[scenario(mutants = "accept_underpaid_invoice")]
fn overpaid_up_to_double(net: &mut Net) {
    let ([alice, _, _, dave], channels) = line(net);
    let mut invoice = net.invoice(dave, AMOUNT);
    invoice.amount = AMOUNT.saturating_add(AMOUNT);
    let double = net.route(alice, &channels, &invoice);
    invoice.amount = invoice.amount.saturating_add(msat(1));
    let beyond = net.route(alice, &channels, &invoice);
    let refused = net.pay_route(&beyond);
    net.expect_failure(refused, dave, INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS);
    let taken = net.pay_route(&double);
    // Carol takes 1 sat and 100 ppm of 200,000 sat, Bob the same of 200,021 sat.
    assert_eq!(net.fee(taken), msat(21_000 + 21_002), "the fees of carol and bob");
    net.expect_channel(channels[2], sat(CAPACITY - 200_000), sat(200_000));
    net.settle();
    net.expect_settlement();
}

/// B gets one millisatoshi less than its fee and refuses with fee_insufficient; C hears nothing of it.
#[scenario(mutants = "skip_forward_fee")]
fn fee_too_low_at_b(net: &mut Net) {
    let ([alice, bob, _, dave], channels) = line(net);
    let invoice = net.invoice(dave, AMOUNT);
    let route = net.route(alice, &channels, &invoice).with_less_at(bob, msat(1));
    let payment = net.pay_route(&route);
    net.expect_failure(payment, bob, FEE_INSUFFICIENT);
    assert_eq!(net.offers_of(&invoice), [(alice, bob)]);
    expect_untouched(net, &channels);
}

/// C gets one millisatoshi less than its fee and refuses with fee_insufficient, though B was paid well.
#[scenario(mutants = "skip_forward_fee")]
fn fee_too_low_at_c(net: &mut Net) {
    let ([alice, bob, carol, dave], channels) = line(net);
    let invoice = net.invoice(dave, AMOUNT);
    let route = net.route(alice, &channels, &invoice).with_less_at(carol, msat(1));
    let payment = net.pay_route(&route);
    net.expect_failure(payment, carol, FEE_INSUFFICIENT);
    assert_eq!(net.offers_of(&invoice), [(alice, bob), (bob, carol)]);
    expect_untouched(net, &channels);
}

/// B, then C, is left one block less than its cltv_expiry_delta and refuses with incorrect_cltv_expiry.
#[scenario(mutants = "skip_cltv_expiry_delta")]
fn expiry_delta_too_small(net: &mut Net) {
    let ([alice, bob, carol, dave], channels) = line(net);
    for hop in [bob, carol] {
        let invoice = net.invoice(dave, AMOUNT);
        let route = net.route(alice, &channels, &invoice).with_sooner_at(hop, 1);
        let payment = net.pay_route(&route);
        net.expect_failure(payment, hop, INCORRECT_CLTV_EXPIRY);
    }
    expect_untouched(net, &channels);
}

/// All expiries come nearer, each delta kept: D refuses first, then C when the HTLC to D would be too near, then B likewise.
#[scenario(mutants = "forward_too_late accept_late_final_htlc")]
fn expiry_too_soon(net: &mut Net) {
    let ([alice, bob, carol, dave], channels) = line(net);
    // The HTLCs that arrive at D, C and B expire in 21, 61 and 101 blocks. A forwarder offers none that has only 3 blocks left.
    let cases = [
        (1, dave, INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS),
        (17, dave, INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS),
        (18, carol, EXPIRY_TOO_SOON),
        (57, carol, EXPIRY_TOO_SOON),
        (58, bob, EXPIRY_TOO_SOON),
    ];
    for (blocks, hop, code) in cases {
        let invoice = net.invoice(dave, AMOUNT);
        let route = net.route(alice, &channels, &invoice).with_all_sooner(blocks);
        let payment = net.pay_route(&route);
        net.expect_failure(payment, hop, code);
    }
    expect_untouched(net, &channels);
}

/// B may lock money for 2016 blocks: one more is refused with expiry_too_far, exactly so many are not.
#[scenario(mutants = "forward_too_far")]
fn expiry_too_far(net: &mut Net) {
    let ([alice, bob, _, dave], channels) = line(net);
    let invoice = net.invoice(dave, AMOUNT);
    let later = 2016 - (21 + 40); // D's final delta and C's delta
    let route = net.route(alice, &channels, &invoice).with_all_later(later + 1);
    let payment = net.pay_route(&route);
    net.expect_failure(payment, bob, EXPIRY_TOO_FAR);
    net.expect_no_htlcs(channels[0]);
    let route = net.route(alice, &channels, &invoice).with_all_later(later);
    let payment = net.pay_route(&route);
    net.expect_success(payment);
    net.settle();
    net.expect_settlement();
}

/// More than B has in its channel with C: B answers temporary_channel_failure. A search would not even try: it knows the capacity.
#[scenario]
fn amount_too_high_for_a_channel_on_the_way(net: &mut Net) {
    let [alice, bob, carol] = net.nodes(["alice", "bob", "carol"]);
    let large = net.open(alice, bob, Open::sat(3 * CAPACITY));
    let small = net.open(bob, carol, Open::sat(CAPACITY));
    let invoice = net.invoice(carol, sat(2 * CAPACITY));
    let route = net.route(alice, &[large, small], &invoice);
    let payment = net.pay_route(&route);
    net.expect_failure(payment, bob, TEMPORARY_CHANNEL_FAILURE);
    let searched = net.try_pay(alice, carol, sat(2 * CAPACITY));
    net.expect_refused_pay(searched, "no route");
    net.expect_channel(large, sat(3 * CAPACITY), sat(0));
    net.expect_no_htlcs(large);
    expect_untouched(net, &[small]);
}

/// More than the sender may spend of its own channel, reserve and fees counted: nothing leaves. The last satoshi does.
#[scenario(formats = "static_remotekey anchors")]
fn amount_too_high_for_own_channel(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(CAPACITY));
    let format = net.channel(alice, channel).terms.map(|terms| terms.channel_type);
    // Beside the reserve of 1 % the opener keeps the fee of a commitment with two HTLCs at twice the feerate (BOLT 2).
    let kept = match format {
        Some(ChannelType::StaticRemotekey) => 10_000 + 2 * (724 + 2 * 172),
        _ => 10_000 + 2 * (1124 + 2 * 172) + 660,
    };
    let refused = net.try_pay(alice, bob, sat(CAPACITY - kept + 1));
    net.expect_never_left(refused);
    net.pay(alice, bob, sat(CAPACITY - kept));
    net.expect_channel(channel, sat(kept), sat(CAPACITY - kept));
    net.settle();
    net.expect_settlement();
}

/// B is asked to pass the payment on over a channel that it does not have: unknown_next_peer.
#[scenario]
fn unknown_next_peer(net: &mut Net) {
    let ([alice, bob, carol, _], channels) = line(net);
    let invoice = net.invoice(carol, AMOUNT);
    let mut route = net.route(alice, &channels[..2], &invoice);
    route.hops[1].short_channel_id =
        net.short_channel_id(channels[2]).expect("carol's channel with dave is ready");
    let payment = net.pay_route(&route);
    net.expect_failure(payment, bob, UNKNOWN_NEXT_PEER);
    expect_untouched(net, &channels);
}

/// B passes on nothing below 1000 sat: one millisatoshi less is refused with amount_below_minimum, and no search tries it.
#[scenario(mutants = "forward_below_minimum")]
fn below_the_minimum_of_a_forwarder(net: &mut Net) {
    let mut config = NodeConfig::default();
    config.forward.htlc_minimum = sat(1000);
    let [alice] = net.nodes(["alice"]);
    let bob = net.node_with("bob", config);
    let [carol] = net.nodes(["carol"]);
    let channels = [(alice, bob), (bob, carol)].map(|(a, b)| net.open(a, b, Open::sat(CAPACITY)));
    let invoice = net.invoice(carol, msat(999_999));
    let route = net.route(alice, &channels, &invoice);
    let payment = net.pay_route(&route);
    net.expect_failure(payment, bob, AMOUNT_BELOW_MINIMUM);
    let searched = net.try_pay(alice, carol, msat(999_999));
    net.expect_refused_pay(searched, "no route");
    expect_untouched(net, &channels);
}

/// A hash is paid once: its sender refuses to pay again, and the recipient refuses whoever tries all the same.
#[scenario(mutants = "accept_paid_invoice")]
fn same_hash_twice(net: &mut Net) {
    let ([alice, bob, carol, dave], channels) = line(net);
    let invoice = net.invoice(dave, AMOUNT);
    net.pay_invoice(alice, &invoice);
    let again = net.start_pay_invoice(alice, &invoice);
    net.expect_refused_pay(again, "paid already");
    for (from, way) in [(alice, &channels[..]), (bob, &channels[1..]), (carol, &channels[2..])] {
        let route = net.route(from, way, &invoice);
        let payment = net.pay_route(&route);
        net.expect_failure(payment, dave, INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS);
    }
    net.expect_channel(channels[2], sat(CAPACITY - 100_000), AMOUNT);
    net.settle();
    net.expect_settlement();
}

/// Invoices that cannot be paid: expired, another chain's, damaged, one's own. Each is refused in words and nothing leaves.
#[scenario(mutants = "accept_expired_invoice")]
fn invoices_that_cannot_be_paid(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(CAPACITY));
    let expired = net.invoice(bob, AMOUNT);
    let damaged = expired.text.replace("lnbcrt1", "lnbcrt2");
    net.wait(3601);
    let own = net.invoice(alice, AMOUNT).text;
    let cases = [
        (own.as_str(), "our own"),
        (&expired.text, "the invoice expired"),
        (COFFEE, "the invoice is for bitcoin, this node is on regtest"),
        (&damaged, "not an invoice"),
    ];
    for (invoice, words) in cases {
        let invoice = invoice.to_string();
        let refusal = net.command(alice, Command::Pay { invoice, amount: None, max_fee: AMOUNT });
        let refusal = refusal.expect_err("the invoice cannot be paid").to_string();
        assert!(refusal.contains(words), "{words:?} was to be said: {refusal}");
    }
    assert!(net.offered().is_empty(), "nothing leaves");
    // Whoever does not look at the expiry is refused by the recipient.
    let route = net.route(alice, &[channel], &expired);
    let payment = net.pay_route(&route);
    net.expect_failure(payment, bob, INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS);
    expect_untouched(net, &[channel]);
}

/// The coffee of BOLT 11's examples, to be paid on the main chain.
const COFFEE: &str = "lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpu9qrsgquk0rl77nj30yxdy8j9vdx85fkpmdla2087ne0xh8nhedh8w27kyke0lp53ut353s06fv3qfegext0eh0ymjpf39tuven09sam30g4vgpfna3rh";

/// A, B, C and D in a line, and their channels.
fn line(net: &mut Net) -> ([NodeRef; 4], [ChannelRef; 3]) {
    let nodes = net.nodes(["alice", "bob", "carol", "dave"]);
    let [alice, bob, carol, dave] = nodes;
    let pairs = [(alice, bob), (bob, carol), (carol, dave)];
    (nodes, pairs.map(|(opener, acceptor)| net.open(opener, acceptor, Open::sat(CAPACITY))))
}

/// Nothing moved in these channels, nothing is pending, and on the chain everyone has all of it again but the fees.
#[track_caller]
fn expect_untouched(net: &mut Net, channels: &[ChannelRef]) {
    for channel in channels {
        net.expect_channel(*channel, sat(CAPACITY), sat(0));
        net.expect_no_htlcs(*channel);
    }
    net.settle();
    net.expect_settlement();
}
