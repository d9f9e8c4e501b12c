//! Whole nodes paying each other: direct, over others, with every failure at the right hop.
mod node_world;

use leyden_core::ids::{PaymentHash, ShortChannelId};
use leyden_core::node::{
    Action, Command, Node, NodeConfig, Notice, PaymentFailure, Reply, RouteHop, RoutePayment,
};
use leyden_core::node::{Event, PaymentOutcome, RecordKey, Why};
use leyden_core::payment::invoice::Invoice;
use leyden_core::units::{CltvExpiry, Msat};
use node_world::{birthday, policy, seed, World};

#[test]
fn a_direct_payment_moves_exactly_its_amount() {
    let mut world = World::new(2);
    let (channel, _) = world.open(0, 1, 1_000_000, 500_000);
    let before = world.balance(0, channel);
    assert_eq!(world.pay(0, 1, 100_000_000), Ok(0));
    assert_eq!(world.pay(1, 0, 30_000_001), Ok(0));
    assert_eq!(world.balance(0, channel), before - 100_000_000 + 30_000_001);
    assert_eq!(world.balance(1, channel), 500_000_000 + 100_000_000 - 30_000_001);
}

/// A-B-C-D, the channel between each two opened by the first, 1,000,000 sat.
fn line() -> (World, Vec<ShortChannelId>) {
    let mut configs = vec![NodeConfig::default(); 4];
    configs[1].forward = policy(1000, 144);
    configs[2].forward = policy(2000, 144);
    let mut world = World::with(configs);
    let names = (0..3).map(|n| world.open(n, n + 1, 1_000_000, 0).1).collect();
    (world, names)
}

#[test]
fn each_forwarder_earns_exactly_its_fee() {
    let (mut world, _) = line();
    // C takes 2000 + 100 ppm of 100,000,000; B takes 1000 + 100 ppm of what it passes on, rounded down.
    assert_eq!(world.pay(0, 3, 100_000_000), Ok(12_000 + 11_001));
    let gains: Vec<i128> = (0..4).map(|n| wealth(&mut world, n)).collect();
    assert_eq!(
        gains,
        [1_000_000_000 - 100_023_001, 1_000_000_000 + 11_001, 1_000_000_000 + 12_000, 100_000_000]
    );
    let earned = world.notices.iter().filter_map(|(n, notice)| match notice {
        Notice::Forwarded { fee, .. } => Some((*n, fee.get())),
        _ => None,
    });
    assert_eq!(earned.collect::<Vec<_>>(), [(2, 12_000), (1, 11_001)]);
}

/// What a node has in its channels, the cost of commitments that it opened given back.
fn wealth(world: &mut World, n: usize) -> i128 {
    world.channels(n).iter().map(|info| i128::from(info.to_local.get())).sum()
}

/// The route of a payment of 1,000,000 msat from A to D that asks exactly what everyone wants.
fn good_route(world: &World, names: &[ShortChannelId], hash: PaymentHash) -> RoutePayment {
    let height = world.env.height.get();
    let amounts = [1_003_200, 1_002_100, 1_000_000];
    let hops = (0..3).map(|n| RouteHop {
        node: world.id(n + 1),
        short_channel_id: names[n],
        amount: Msat::new(amounts[n]),
        cltv_expiry: CltvExpiry::new(height + 18 + 144 * (2 - n as u32)),
    });
    let hops = hops.collect();
    RoutePayment { payment_hash: hash, payment_secret: [0; 32], hops, total: Msat::new(1_000_000) }
}

/// Changes the good route and gives the failure that comes back.
fn failure(change: impl FnOnce(&mut RoutePayment)) -> (Option<usize>, u16) {
    failure_after(0, change)
}

fn failure_after(blocks: u32, change: impl FnOnce(&mut RoutePayment)) -> (Option<usize>, u16) {
    let (mut world, names) = line();
    world.mine(blocks);
    let (_, hash) = world.invoice(3, 1_000_000);
    let mut route = good_route(&world, &names, hash);
    change(&mut route);
    let reply = world.command(0, Command::PayRoute(route));
    assert!(matches!(reply, Ok(Reply::Paying { .. })), "{reply:?}");
    let PaymentFailure { node, code, .. } = world.result(0, hash).expect_err("it must fail");
    assert!(world.channels(0).iter().all(|info| info.pending_htlcs == 0));
    let node = node.and_then(|id| (0..4).find(|n| world.id(*n) == id));
    (node, code)
}

#[test]
fn every_failure_is_attributed_to_the_hop_that_failed() {
    let wrong_details = 0x400f;
    assert_eq!(failure(|_| {}), (Some(3), wrong_details), "the secret is wrong");
    assert_eq!(failure(|route| route.hops[0].amount = Msat::new(1_003_199)), (Some(1), 0x100c));
    assert_eq!(failure(|route| route.hops[1].amount = Msat::new(1_002_099)), (Some(2), 0x100c));
    let late = |n: usize| move |route: &mut RoutePayment| shift(route, n, 1);
    assert_eq!(failure(late(1)), (Some(1), 0x100d));
    assert_eq!(failure(late(2)), (Some(2), 0x100d));
    assert_eq!(failure(|route| route.hops[1].short_channel_id = ShortChannelId(77)), (Some(1), 0x400a));
    assert_eq!(failure(|route| route.hops[2].short_channel_id = ShortChannelId(77)), (Some(2), 0x400a));
    let soon = |route: &mut RoutePayment| (0..3).for_each(|n| shift(route, n, -155));
    assert_eq!(
        failure_after(150, soon),
        (Some(2), 0x100e),
        "what B passes on is in time, what C would pass on is not"
    );
    let far = |route: &mut RoutePayment| (0..3).for_each(|n| shift(route, n, 3000));
    assert_eq!(failure(far), (Some(1), 21));
    let poor = |route: &mut RoutePayment| {
        route.hops[0].amount = Msat::new(995_000_000);
        route.hops[1].amount = Msat::new(994_000_000);
    };
    assert_eq!(failure(poor), (None, 0), "A cannot send so much: it never left");
}

#[test]
fn an_onion_that_the_next_hop_cannot_read_is_reported_by_the_hop_before() {
    let (mut world, names) = line();
    let (_, hash) = world.invoice(3, 1_000_000);
    for (spoiled, reporter) in [(0, 3), (1, 1), (2, 2)] {
        let mut route = good_route(&world, &names, hash);
        // The layer is made for someone else: whoever gets it finds a wrong HMAC.
        route.hops[spoiled].node = world.id(if spoiled == 0 { reporter } else { 0 });
        world.notices.clear();
        world.command(0, Command::PayRoute(route)).unwrap();
        let failure = world.result(0, hash).unwrap_err();
        assert_eq!((failure.node, failure.code), (Some(world.id(reporter)), 0xc005));
    }
}

#[test]
fn every_save_of_a_payment_can_be_read_back() {
    let (mut world, _) = line();
    world.check_saves = true;
    assert!(world.pay(0, 3, 20_000_000).is_ok());
    assert!(world.pay(0, 3, 2_000_000_000).is_err());
}

#[test]
fn a_forward_whose_link_breaks_before_it_was_committed_is_refused_upstream() {
    let (mut world, _) = line();
    let (invoice, hash) = world.invoice(3, 1_000_000);
    let max_fee = Msat::new(100_000);
    world.order(0, Command::Pay { invoice, amount: None, max_fee });
    // Until C has offered the HTLC to D, but not signed for it.
    let to_d = world.id(3);
    let sends = |action: &Action| matches!(action, Action::Send { peer, .. } if *peer == to_d);
    world.run_until(|n, turn| n == 2 && turn.actions.iter().any(sends));
    world.disconnect(2, 3);
    let failure = world.result(0, hash).unwrap_err();
    assert_eq!((failure.node, failure.code), (Some(world.id(2)), 0x1007));
}

#[test]
fn a_crash_before_an_htlc_is_signed_for_counts_as_its_failure() {
    let (mut world, _) = line();
    let (invoice, hash) = world.invoice(3, 1_000_000);
    let max_fee = Msat::new(100_000);
    world.order(0, Command::Pay { invoice, amount: None, max_fee });
    let restored = restart(&mut world, 0);
    assert!(restored.iter().any(|action| {
        matches!(action, Action::Notice(Notice::PaymentFailed { payment_hash, .. }) if *payment_hash == hash)
    }));
}

#[test]
fn what_a_forward_came_to_is_kept_while_upstream_is_gone() {
    let (mut world, _) = line();
    let (invoice, hash) = world.invoice(3, 1_000_000);
    let max_fee = Msat::new(100_000);
    world.order(0, Command::Pay { invoice, amount: None, max_fee });
    let to_d = world.id(3);
    let sends = |action: &Action| matches!(action, Action::Send { peer, .. } if *peer == to_d);
    world.run_until(|n, turn| n == 2 && turn.actions.iter().any(sends));
    // B is gone when D's preimage arrives at C.
    world.disconnect(1, 2);
    let preimage = world.payments(3)[0].outcome.clone();
    let Some(PaymentOutcome::Succeeded { preimage }) = preimage else { panic!("D was paid") };
    assert_eq!(preimage.payment_hash(), hash);
    // It is in the record of the channel with B, where whoever claims it on the chain looks; the forward is over.
    let upstream = world.channels(2).into_iter().find(|info| info.peer == world.id(1)).unwrap();
    let kept = world.records[2].get(&RecordKey::Channel(upstream.channel_id)).unwrap();
    assert!(kept.windows(32).any(|bytes| bytes == preimage.0), "C can claim from B what it paid to D");
    assert!(!world.records[2].keys().any(|key| matches!(key, RecordKey::Forward(..))));
    // It is told when the link stands again, also after a restart.
    restart(&mut world, 2);
    world.disconnect(2, 3);
    world.connect(1, 2);
    world.connect(2, 3);
    assert!(world.result(0, hash).is_ok());
    for n in 0..4 {
        assert!(world.channels(n).iter().all(|info| info.pending_htlcs == 0));
    }
    // And payments go through again.
    assert!(world.pay(0, 3, 1_000_000).is_ok());
}

#[test]
fn an_htlc_under_way_when_its_link_breaks_is_completed_when_it_stands_again() {
    for steps in 0..60 {
        let (mut world, _) = line();
        let (invoice, hash) = world.invoice(3, 1_000_000);
        let max_fee = Msat::new(100_000);
        world.order(0, Command::Pay { invoice, amount: None, max_fee });
        let left = std::cell::Cell::new(steps);
        world.run_until(|_, _| left.replace(left.get() - 1) == 0);
        world.lose(1, 2);
        world.connect(1, 2);
        // Whether it was lost before it was committed or not: the payment ends, once.
        let result = world.result(0, hash);
        let paid = world
            .notices
            .iter()
            .any(|(n, notice)| *n == 3 && matches!(notice, Notice::PaymentReceived { .. }));
        assert_eq!(result.is_ok(), paid, "after {steps} events: {result:?}");
        for n in 0..4 {
            assert!(world.channels(n).iter().all(|info| info.pending_htlcs == 0), "after {steps} events");
        }
        assert!(world.pay(0, 3, 2_000_000).is_ok(), "after {steps} events");
    }
}

/// The node starts again from what it saved; what it does first.
fn restart(world: &mut World, n: usize) -> Vec<Action> {
    let node = Node::restore(seed(n), world.configs[n].clone(), birthday(), &world.records[n]);
    world.nodes[n] = node.unwrap();
    let env = world.env;
    world.nodes[n].handle(Event::Wake(Why::Commit), &env).actions
}

fn shift(route: &mut RoutePayment, hop: usize, blocks: i32) {
    let expiry = route.hops[hop].cltv_expiry.get();
    route.hops[hop].cltv_expiry = CltvExpiry::new(expiry.saturating_add_signed(blocks));
}

#[test]
fn an_exhausted_channel_fails_at_its_owner() {
    let mut world = World::new(3);
    world.open(0, 1, 1_000_000, 0);
    world.open(1, 2, 100_000, 0);
    let (_, hash) = world.invoice(2, 1_000_000);
    let height = world.env.height.get();
    let hop = |n: usize, amount, expiry| (n, Msat::new(amount), CltvExpiry::new(height + expiry));
    let names =
        world.channels(1).iter().map(|info| (info.peer, info.short_channel_id.unwrap())).collect::<Vec<_>>();
    let name = |peer| names.iter().find(|(node, _)| *node == peer).unwrap().1;
    let (to_b, to_c) = (name(world.id(0)), name(world.id(2)));
    let hops = [(hop(1, 200_100_000, 58), to_b), (hop(2, 200_000_000, 18), to_c)];
    let hops = hops.map(|((n, amount, cltv_expiry), short_channel_id)| RouteHop {
        node: world.id(n),
        short_channel_id,
        amount,
        cltv_expiry,
    });
    let total = Msat::new(200_000_000);
    let route = RoutePayment { payment_hash: hash, payment_secret: [0; 32], hops: hops.to_vec(), total };
    world.command(0, Command::PayRoute(route)).unwrap();
    let failure = world.result(0, hash).unwrap_err();
    assert_eq!((failure.node, failure.code), (Some(world.id(1)), 0x1007));
}

#[test]
fn a_failing_hop_is_left_for_a_second_route() {
    let mut configs = vec![NodeConfig::default(); 4];
    configs[1].forward = policy(1000, 40);
    configs[2].forward = policy(5000, 40);
    let mut world = World::with(configs);
    // A-B-D is cheaper, but B has not enough towards D; A-C-D is dearer and works.
    world.open(0, 1, 1_000_000, 0);
    world.open(0, 2, 1_000_000, 0);
    world.open(1, 3, 600_000, 500_000);
    world.open(2, 3, 1_000_000, 0);
    assert_eq!(world.pay(0, 3, 300_000_000), Ok(35_000));
    assert_eq!(world.payments(0)[0].attempts, 2);
}

#[test]
fn an_offline_channel_is_reported_and_avoided() {
    let mut world = World::new(4);
    world.open(0, 1, 1_000_000, 0);
    world.open(0, 2, 1_000_000, 0);
    world.open(1, 3, 1_000_000, 0);
    world.open(2, 3, 1_000_000, 0);
    world.disconnect(1, 3);
    assert!(world.pay(0, 3, 10_000_000).is_ok());
    world.disconnect(2, 3);
    let failure = world.pay(0, 3, 10_000_000).unwrap_err();
    assert_eq!(failure.code, 0x1007);
}

#[test]
fn a_paid_invoice_is_not_paid_again() {
    let mut world = World::new(2);
    world.open(0, 1, 1_000_000, 0);
    let (text, hash) = world.invoice(1, 5_000_000);
    world.pay_invoice(0, &text).unwrap();
    assert_eq!(world.result(0, hash), Ok(0));
    assert!(world.pay_invoice(0, &text).is_err());
    let received = world.notices.iter().filter(|(n, notice)| {
        *n == 1 && matches!(notice, Notice::PaymentReceived { amount, .. } if amount.get() == 5_000_000)
    });
    assert_eq!(received.count(), 1);
}

/// With fewer blocks than that the next block or two would close the channel while the HTLC is taken out of it.
#[test]
fn an_invoice_asks_for_blocks_enough() {
    let mut world = World::new(1);
    let mut invoice = |min_final_cltv_delta| {
        let amount = Some(Msat::new(1_000));
        world.command(0, Command::Invoice { amount, description: String::new(), min_final_cltv_delta })
    };
    for delta in [0, 20, 65_536] {
        let refused = invoice(Some(delta)).unwrap_err().to_string();
        assert!(refused.contains("must be 21 to 65535"), "{refused}");
    }
    for (delta, asked) in [(None, 21), (Some(21), 21), (Some(65_535), 65_535)] {
        let Ok(Reply::Invoice { text, .. }) = invoice(delta) else { panic!("{delta:?} is refused") };
        assert_eq!(Invoice::parse(&text).unwrap().min_final_cltv_expiry_delta, asked);
    }
}

/// Blocks reach two nodes at different moments: one that is up to three blocks ahead of its payer is paid, one further ahead refuses.
#[test]
fn a_payee_may_be_three_blocks_ahead_of_its_payer() {
    for (ahead, code) in [(3, None), (4, Some(0x400f))] {
        let mut world = World::new(2);
        world.open(0, 1, 1_000_000, 0);
        let (invoice, hash) = world.invoice(1, 5_000_000);
        world.order(0, Command::Pay { invoice, amount: None, max_fee: Msat::ZERO });
        world.env.height = world.env.height.plus(ahead);
        world.run();
        assert_eq!(world.result(0, hash).err().map(|failure| failure.code), code, "{ahead} blocks ahead");
    }
}

#[test]
fn a_payment_without_a_route_ends_at_once() {
    let mut world = World::new(3);
    world.open(0, 1, 1_000_000, 0);
    let failure = world.pay(0, 2, 1_000_000).unwrap_err();
    assert_eq!((failure.node, failure.code), (None, 0));
}

#[test]
fn many_payments_in_both_directions_settle() {
    let (mut world, _) = line();
    world.pay(0, 3, 300_000_000).unwrap();
    let mut due = Vec::new();
    for n in 0..12 {
        let (from, to) = if n % 2 == 0 { (0, 3) } else { (3, 0) };
        let (invoice, hash) = world.invoice(to, 1_000_000 + n);
        due.push((from, hash, invoice));
    }
    for (from, _, invoice) in &due {
        let max_fee = Msat::new(100_000);
        world.order(*from, Command::Pay { invoice: invoice.clone(), amount: None, max_fee });
    }
    world.run();
    for (from, hash, _) in due {
        assert!(world.result(from, hash).is_ok());
    }
    for n in 0..4 {
        assert!(world.channels(n).iter().all(|info| info.pending_htlcs == 0));
    }
}

#[test]
fn a_node_read_back_from_its_records_is_the_same() {
    let (mut world, _) = line();
    world.pay(0, 3, 100_000_000).unwrap();
    world.pay(0, 3, 2_000_000_000).unwrap_err();
    for n in 0..4 {
        assert_eq!(world.nodes[n].records(), world.records[n], "all that changed was saved");
        let mut restored =
            Node::restore(seed(n), world.configs[n].clone(), birthday(), &world.records[n]).unwrap();
        assert_eq!(restored.tip(), world.nodes[n].tip());
        assert_eq!(restored.records(), world.records[n]);
        let mut before = (world.channels(n), world.payments(n), world.command(n, Command::Balances));
        // The links are gone, nothing else.
        before.0.iter_mut().for_each(|channel| channel.usable = false);
        world.nodes[n] = restored;
        let after = (world.channels(n), world.payments(n), world.command(n, Command::Balances));
        assert_eq!(before, after);
    }
}

#[test]
fn damaged_records_are_errors() {
    let mut world = World::new(2);
    world.open(0, 1, 1_000_000, 0);
    world.pay(0, 1, 1_000_000).unwrap();
    let good = world.records[0].clone();
    let restore = |records| Node::restore(seed(0), NodeConfig::default(), birthday(), &records);
    assert!(restore(good.clone()).is_ok());
    for key in good.keys() {
        for damage in [Vec::new(), vec![0; 40], vec![1; 40], vec![255; 40]] {
            let mut records = good.clone();
            records.insert(key.clone(), damage);
            assert!(restore(records).is_err(), "{key:?}");
        }
    }
}
