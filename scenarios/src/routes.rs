//! A hop that fails and a second route: what the sender learns, what it pays, and how long whose money was locked.
use leyden_harness::net::code::*;
use leyden_harness::prelude::*;

/// What a payment moves.
const AMOUNT: Msat = sat(100_000);

/// B has lost its link to D and answers temporary_channel_failure; the next try goes by C and pays C's fee.
#[scenario]
fn second_route_around_a_broken_link(net: &mut Net) {
    let (nodes, [ab, bd, ac, cd]) = diamond(net);
    let [alice, bob, carol, dave] = nodes;
    net.disconnect(bob, dave);
    let invoice = net.invoice(dave, AMOUNT);
    let route = net.route(alice, &[ab, bd], &invoice);
    let by_hand = net.pay_route(&route);
    net.expect_failure(by_hand, bob, TEMPORARY_CHANNEL_FAILURE);
    let payment = net.pay_invoice(alice, &invoice);
    let tries = [(alice, bob), (alice, bob), (alice, carol), (carol, dave)];
    assert_eq!(net.offers_of(&invoice), tries, "by hand over bob, searched over bob, then over carol");
    assert_eq!(net.fee(payment), msat(5_000 + 10_000), "carol's 5 sat and 100 ppm");
    net.expect_channel(ab, sat(1_000_000), sat(0));
    for channel in [ab, ac, cd] {
        net.expect_no_htlcs(channel);
    }
    // The link does not come back: Bob closes that channel alone.
    net.force_close(bob, bd);
    net.settle();
    net.expect_settlement();
}

/// The cheapest way is used up: B cannot pass on so much any more and says so; the sender goes by C, which is dearer.
#[scenario]
fn second_route_when_the_cheapest_is_exhausted(net: &mut Net) {
    let (nodes, [ab, bd, ..]) = diamond(net);
    let [alice, bob, carol, dave] = nodes;
    net.pay(bob, dave, sat(900_000));
    let invoice = net.invoice(dave, AMOUNT);
    let payment = net.pay_invoice(alice, &invoice);
    assert_eq!(net.offers_of(&invoice), [(alice, bob), (alice, carol), (carol, dave)]);
    assert_eq!(net.fee(payment), msat(5_000 + 10_000), "carol's 5 sat and 100 ppm");
    net.expect_channel(ab, sat(1_000_000), sat(0));
    net.expect_channel(bd, sat(100_000), sat(900_000));
    net.settle();
    net.expect_settlement();
}

/// C falls silent for most of a day with the HTLC offered to it, then refuses: so long is the money of A and B locked.
#[scenario]
fn silent_hop_locks_money_until_it_speaks(net: &mut Net) {
    const DAY: u32 = 144;
    let [alice, bob, carol] = net.nodes(["alice", "bob", "carol"]);
    let patient = NodeConfig { invoice_expiry_seconds: 2 * 86_400, ..NodeConfig::default() };
    let dave = net.node_with("dave", patient);
    let mut dear = NodeConfig::default();
    dear.forward.fee_base = sat(50);
    let erin = net.node_with("erin", dear);
    let pairs = [(alice, bob), (bob, carol), (carol, dave), (alice, erin), (erin, dave)];
    let channels = pairs.map(|(opener, acceptor)| net.open(opener, acceptor, Open::sat(1_000_000)));

    net.silence(carol);
    let invoice = net.invoice_with_delta(dave, AMOUNT, Some(DAY - FINAL_CLTV_SLACK));
    let payment = net.start_pay_invoice(alice, &invoice);
    net.run();
    // Carol will refuse what has 3 blocks left at Dave: until then nobody can take back what it offered.
    let blocks = DAY - 3;
    let mut locked = Msat::ZERO; // msat·blocks
    for _ in 0..blocks {
        net.mine(1);
        net.expect_pending(payment);
        locked = net.offered().iter().fold(locked, |sum, offer| sum.saturating_add(offer.amount));
    }
    // Alice offered 100,022.001 sat, Bob 100,011 sat, each for 141 blocks: 28.2 million sat·blocks for 100,000 sat.
    assert_eq!(locked, msat((100_022_001 + 100_011_000) * 141), "locked while Carol is silent");
    assert_eq!(net.offers_of(&invoice), [(alice, bob), (bob, carol)]);

    net.speak(carol);
    assert_eq!(
        net.offers_of(&invoice)[2..],
        [(alice, erin), (erin, dave)],
        "Carol refused, Alice went by Erin"
    );
    assert_eq!(net.fee(payment), msat(50_000 + 10_000), "erin's 50 sat and 100 ppm");
    for channel in &channels[..3] {
        net.expect_channel(*channel, sat(1_000_000), sat(0));
        net.expect_no_htlcs(*channel);
    }
    net.settle();
    net.expect_settlement();
}

/// A reaches D over B, who is cheap, or over C, who asks 5 sat and 100 ppm. The channels: A-B, B-D, A-C, C-D.
fn diamond(net: &mut Net) -> ([NodeRef; 4], [ChannelRef; 4]) {
    let mut dear = NodeConfig::default();
    dear.forward.fee_base = sat(5);
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let carol = net.node_with("carol", dear);
    let [dave] = net.nodes(["dave"]);
    let pairs = [(alice, bob), (bob, dave), (alice, carol), (carol, dave)];
    let channels = pairs.map(|(opener, acceptor)| net.open(opener, acceptor, Open::sat(1_000_000)));
    ([alice, bob, carol, dave], channels)
}
