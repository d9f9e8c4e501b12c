//! What a peer asks of the offers it gets: its reserve, and how many HTLCs of what size. The sender keeps to them by itself.
use leyden_harness::prelude::*;

/// The acceptor can spend all above its reserve of 1 %, and not a satoshi more.
#[scenario]
fn reserve_of_acceptor(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(400_000));
    let payment = offer(net, bob, alice, channel, sat(390_001));
    net.expect_refused_by_sender(payment, "390001000 msat is more than the 390000000 msat that can be spent");
    let payment = offer(net, bob, alice, channel, sat(390_000));
    net.expect_success(payment);
    net.expect_channel(channel, sat(990_000), sat(10_000));
    net.settle();
    net.expect_settlement();
}

/// The opener keeps its reserve, and what its commitment would cost at twice the feerate with two HTLCs.
#[scenario(formats = "static_remotekey anchors", mutants = "offer_beyond_reserve")]
fn reserve_of_opener(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000));
    let terms = net.channel(alice, channel).terms.expect("the channel is open");
    let cost = match terms.channel_type {
        ChannelType::StaticRemotekey => 2 * (724 + 2 * 172),
        ChannelType::AnchorsZeroFeeHtlc => 2 * (1124 + 2 * 172) + 660,
    };
    let most = 1_000_000 - 10_000 - cost;
    let payment = offer(net, alice, bob, channel, sat(most + 1));
    let (more, most) = (sat(most + 1), sat(most));
    net.expect_refused_by_sender(payment, &format!("{more} is more than the {most} that can be spent"));
    let payment = offer(net, alice, bob, channel, most);
    net.expect_success(payment);
    net.settle();
    net.expect_settlement();
}

/// Bob takes no more than a tenth of the channel in flight: a second payment waits for the first.
#[scenario(mutants = "offer_too_much_in_flight")]
fn in_flight_limit(net: &mut Net) {
    let mut config = NodeConfig::default();
    config.channel.max_in_flight_percent = 10;
    let (alice, bob, channel) = channel_to(net, config);
    let amounts = [60_000, 40_001, 40_000].map(sat);
    let [first, second, third] = offers_at_once(net, alice, bob, channel, amounts);
    net.expect_success(first);
    net.expect_refused_by_sender(second, "the peer accepts no more than 100000000 msat in flight");
    net.expect_success(third);
    let again = offer(net, alice, bob, channel, sat(40_001));
    net.expect_success(again);
    net.settle();
    net.expect_settlement();
}

/// Bob takes two HTLCs at once: a third waits for one of them.
#[scenario(mutants = "offer_too_many")]
fn max_accepted_htlcs(net: &mut Net) {
    let mut config = NodeConfig::default();
    config.channel.max_accepted_htlcs = 2;
    let (alice, bob, channel) = channel_to(net, config);
    let [first, second, third] = offers_at_once(net, alice, bob, channel, [sat(10_000); 3]);
    net.expect_success(first);
    net.expect_success(second);
    net.expect_refused_by_sender(third, "the peer accepts no more than 2 HTLCs");
    let again = offer(net, alice, bob, channel, sat(10_000));
    net.expect_success(again);
    net.settle();
    net.expect_settlement();
}

/// Bob takes no HTLC below 10,000 sat.
#[scenario(mutants = "offer_below_minimum")]
fn htlc_minimum(net: &mut Net) {
    let mut config = NodeConfig::default();
    config.channel.htlc_minimum = sat(10_000);
    let (alice, bob, channel) = channel_to(net, config);
    let payment = offer(net, alice, bob, channel, msat(9_999_999));
    let why = "9999999 msat is below the peer's htlc_minimum_msat 10000000 msat, or nothing";
    net.expect_refused_by_sender(payment, why);
    let payment = offer(net, alice, bob, channel, sat(10_000));
    net.expect_success(payment);
    net.settle();
    net.expect_settlement();
}

/// Alice opens a channel to Bob, who is configured like this.
fn channel_to(net: &mut Net, config: NodeConfig) -> (NodeRef, NodeRef, ChannelRef) {
    let [alice] = net.nodes(["alice"]);
    let bob = net.node_with("bob", config);
    (alice, bob, net.open(alice, bob, Open::sat(1_000_000)))
}

/// One HTLC over exactly this channel, to its end.
fn offer(net: &mut Net, from: NodeRef, to: NodeRef, channel: ChannelRef, amount: Msat) -> Payment {
    let [payment] = offers_at_once(net, from, to, channel, [amount]);
    payment
}

/// Several HTLCs at once over exactly this channel, without the search that would pass by a channel with too little in it.
fn offers_at_once<const N: usize>(
    net: &mut Net,
    from: NodeRef,
    to: NodeRef,
    channel: ChannelRef,
    amounts: [Msat; N],
) -> [Payment; N] {
    let invoices = amounts.map(|amount| net.invoice(to, amount));
    let routes = invoices.map(|invoice| net.route(from, &[channel], &invoice));
    let payments = routes.map(|route| net.start_pay_route(&route));
    net.run();
    payments
}
