//! Opening channels.
use leyden_core::node::Notice;
use leyden_harness::prelude::*;

/// A channel is opened and closed together; everyone has their own again, less the fees.
#[scenario(formats = "static_remotekey anchors")]
fn open_and_close(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(400_000));
    net.expect_channel(channel, sat(600_000), sat(400_000));
    net.close(bob, channel);
    net.mine(1);
    net.settle();
    net.expect_settlement();
}

/// Three channels between the same two nodes: each has its own balance, and each is closed on its own.
#[scenario(formats = "static_remotekey anchors")]
fn several_channels_between_two(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let first = net.open(alice, bob, Open::sat(1_000_000));
    let second = net.open(alice, bob, Open::sat(500_000).push_sat(250_000));
    let third = net.open(bob, alice, Open::sat(2_000_000));
    // Only one channel holds enough for each of these.
    net.pay(alice, bob, sat(900_000));
    net.pay(bob, alice, sat(1_900_000));
    net.pay(alice, bob, sat(1_500_000));
    net.expect_channel(first, sat(100_000), sat(900_000));
    net.expect_channel(second, sat(250_000), sat(250_000));
    net.expect_channel(third, sat(1_600_000), sat(400_000));
    net.close(alice, first);
    net.force_close(bob, second);
    net.close(alice, third);
    net.settle();
    net.expect_settlement();
}

/// The funding is never mined: after 2016 blocks the acceptor forgets the channel, and nobody has lost anything.
#[scenario]
fn funding_never_confirmed(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open_unconfirmed(alice, bob, Open::sat(1_000_000));
    let funding = net.find_transaction("F").expect("the funding was broadcast");
    net.never_mine(funding);
    net.mine_empty(2015);
    assert!(net.find_channel(bob, channel).is_some());
    net.mine_empty(1);
    assert!(net.find_channel(bob, channel).is_none(), "bob forgets after 2016 blocks");
    assert!(net.find_channel(alice, channel).is_some(), "alice must not: her coins are in it");
    net.settle();
    net.expect_settlement();
}

/// The funding is mined after the acceptor has forgotten the channel: the opener closes alone and has its coins again.
#[scenario(formats = "static_remotekey anchors")]
fn funding_confirmed_too_late(net: &mut Net) {
    let [alice] = net.nodes(["alice"]);
    let mut hasty = NodeConfig::default();
    hasty.channel.forget_unconfirmed_after = 20;
    let bob = net.node_with("bob", hasty);
    let channel = net.open_unconfirmed(alice, bob, Open::sat(1_000_000));
    net.mine_empty(20);
    assert!(net.find_channel(bob, channel).is_none(), "bob has forgotten");
    net.mine(10);
    net.settle();
    net.expect_settlement();
}

/// Openings that one side cannot agree to: each is refused with its reason, and no coin is locked.
#[scenario]
fn refused_openings(net: &mut Net) {
    let [alice] = net.nodes(["alice"]);
    let with = |change: fn(&mut NodeConfig)| {
        let mut config = NodeConfig::default();
        change(&mut config);
        config
    };
    let big = net.node_with("big", with(|config| config.channel.min_funding = Sat::new(500_000)));
    let slow = net.node_with("slow", with(|config| config.channel.to_self_delay = 3000));
    let greedy = net.node_with("greedy", with(|config| config.channel.reserve_ppm = 300_000));
    let dusty = net.node_with("dusty", with(|config| config.channel.dust_limit = Sat::new(20_000)));
    let usual = || Open::sat(400_000);
    // What the opener does not even ask for.
    for (open, why) in [
        (Open::sat(5_000), "a channel of 5000 sat is not within 10000 sat and 1000000000 sat"),
        (usual().push_sat(400_001), "cannot push 400001000 msat of 400000 sat"),
    ] {
        expect_refused_opening(net, [alice, big], open, why, false);
    }
    let too_small = "funding_satoshis 400000 sat is below the smallest channel accepted here, 500000 sat";
    let too_slow = "to_self_delay 3000 is above the largest accepted, 2016";
    let too_much = "channel_reserve_satoshis 120000 sat is above the largest accepted, 80000 sat";
    let too_dusty = "dust_limit_satoshis 20000 sat is above the largest accepted, 10000 sat";
    for (ends, why) in [
        ([alice, big], too_small),
        ([alice, slow], too_slow),
        ([slow, alice], too_slow),
        ([alice, greedy], too_much),
        ([greedy, alice], too_much),
        ([dusty, alice], too_dusty),
    ] {
        expect_refused_opening(net, ends, usual(), why, true);
    }
    // All of Alice's coins are still hers to use.
    net.open(alice, big, Open::sat(199_000_000));
    net.settle();
    net.expect_settlement();
}

/// The opening is refused for this reason, which both sides are told if it was asked for; neither keeps anything of it.
fn expect_refused_opening(net: &mut Net, ends: [NodeRef; 2], open: Open, why: &str, asked: bool) {
    let [opener, acceptor] = ends;
    let seen = ends.map(|node| net.notices(node).count());
    let refused = net.try_open(opener, acceptor, open).expect_err("the opening was to be refused");
    assert!(refused.contains(why), "refused with {refused:?}, expected {why:?}");
    assert!(net.mempool().is_empty());
    for (node, seen) in ends.into_iter().zip(seen) {
        assert_eq!(told_since(net, node, seen, why), asked, "{} knows why", net.name(node));
        let balances = net.balances(node);
        assert_eq!((balances.wallet, balances.channels), (Sat::new(200_000_000), sat(0)));
    }
}

fn told_since(net: &Net, node: NodeRef, seen: usize, why: &str) -> bool {
    let mut errors = net.notices(node).skip(seen).filter_map(|notice| match notice {
        Notice::PeerError { text, .. } => Some(text),
        _ => None,
    });
    errors.any(|text| text.contains(why))
}
