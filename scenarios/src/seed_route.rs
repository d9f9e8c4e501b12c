//! The seed's chain (五): A pays D over B and C with locks of three, two and one days. R is pulled back hop by hop, each hop earns
//! its fee; without R the locks run out from the back; a hop that is silent for ever costs time, and a second route is taken.
use leyden_harness::prelude::*;

/// A day, in blocks.
const DAY: u32 = 144;
/// What arrives at D.
const AMOUNT: Msat = sat(100_000);
/// What each channel holds.
const CAPACITY: u64 = 1_000_000;

/// D proves R, C learns it and proves it to B, B to A: all are paid, B and C earn a satoshi and a ten-thousandth.
#[scenario(formats = "static_remotekey anchors")]
fn seed_r_is_pulled_back_hop_by_hop(net: &mut Net) {
    let (nodes, channels) = line(net);
    let (payment, _) = lock(net, &nodes, &channels, true);
    net.release(nodes[3], nodes[2]);
    net.expect_success(payment);
    assert_eq!(
        net.fee(payment),
        msat(11_000 + 11_001),
        "carol's fee on 100,000 sat, bob's on what carol wants"
    );
    let amounts = [100_022_001, 100_011_000, 100_000_000];
    for (channel, amount) in channels.into_iter().zip(amounts) {
        net.expect_channel(channel, msat(CAPACITY * 1000 - amount), msat(amount));
    }
    net.settle();
    net.expect_settlement();
}

/// The same on the chain: every link breaks once the HTLCs stand, D closes alone and proves R there (HE), and each before it
/// reads R from the chain.
#[scenario(formats = "static_remotekey anchors", mutants = "ignores_preimages_on_chain")]
fn seed_r_is_pulled_back_on_the_chain(net: &mut Net) {
    let (nodes, channels) = line(net);
    let [_, bob, carol, dave] = nodes;
    let (payment, _) = lock(net, &nodes, &channels, true);
    for (payer, payee) in [(carol, dave), (bob, carol), (nodes[0], bob)] {
        net.on_message(payee, payer, Kind::UpdateFulfillHtlc, Fault::Hold);
        net.blind(payer);
    }
    for (number, payee) in [(2, dave), (1, carol), (0, bob)] {
        net.force_close(payee, channels[number]);
        net.mine(3);
    }
    net.settle();
    net.expect_success(payment);
    net.expect_settlement();
}

/// Nobody has R: D is silent for ever, C takes its money back on the chain after one day and refuses the HTLC of B, and B that of A.
#[scenario(formats = "static_remotekey anchors", mutants = "no_timeout_on_chain fails_upstream_at_once")]
fn seed_without_r_the_last_lock_runs_out_first(net: &mut Net) {
    let (nodes, channels) = line(net);
    let (payment, expiries) = lock(net, &nodes, &channels, false);
    // It would make D close too, and only one of them can be first.
    net.on_message(nodes[2], nodes[3], Kind::Error, Fault::Drop);
    let begin = net.height();
    net.mine_until(4 * DAY, "the payment's end", |net| !is_pending(net, payment));
    let timeout = net.height_of("carol-dave/HT2a");
    assert_eq!(timeout, expiries[2] + 3, "C waits a block for D, and its commitment and HT take one each");
    assert_eq!(net.height(), timeout + 5, "and is sure of it when it is six deep");
    let blocks = u64::from(net.height() - begin);
    assert_eq!(blocks, 152, "a day and eight blocks");
    assert_eq!(locked(net, blocks), msat(300_033_001 * 152), "45.6 million sat·blocks for 100,000 sat");
    net.settle();
    net.expect_settlement();
}

/// Nobody has R, and after the first day nobody speaks any more: C-D ends on the chain after one day, B-C after two, A-B after three.
#[scenario(formats = "static_remotekey anchors", mutants = "no_timeout_on_chain")]
fn seed_without_r_every_lock_runs_out_from_the_back(net: &mut Net) {
    let (nodes, channels) = line(net);
    let (payment, expiries) = lock(net, &nodes, &channels, false);
    nodes[..3].iter().for_each(|node| net.silence(*node));
    net.mine(3 * DAY + 20);
    let names = ["alice-bob/HT2a", "bob-carol/HT2a", "carol-dave/HT2a"];
    let ended = names.map(|name| net.height_of(name));
    for (ended, expiry) in ended.into_iter().zip(expiries) {
        assert!((expiry + 1..expiry + 5).contains(&ended), "HT at {ended} for a lock until {expiry}");
    }
    net.settle();
    assert!(!is_pending(net, payment));
    net.expect_settlement();
}

/// B is silent for ever with A's HTLC: A takes it back on the chain after three days, and pays over E, who is dearer.
#[scenario(formats = "static_remotekey anchors", mutants = "no_timeout_on_chain")]
fn seed_silent_hop_for_ever_and_a_second_route(net: &mut Net) {
    let (nodes, _) = line(net);
    let [alice, bob, _, dave] = nodes;
    let mut dear = NodeConfig::default();
    dear.forward.fee_base = sat(50);
    dear.forward.cltv_expiry_delta = DAY;
    let erin = net.node_with("erin", dear);
    net.open(alice, erin, Open::sat(CAPACITY));
    net.open(erin, dave, Open::sat(CAPACITY));
    let invoice = net.invoice_with_delta(dave, AMOUNT, Some(DAY - FINAL_CLTV_SLACK));
    net.silence(nodes[2]);
    net.on_message(bob, alice, Kind::UpdateFailHtlc, Fault::Hold);
    // It would make B close too, and only one of them can be first.
    net.on_message(alice, bob, Kind::Error, Fault::Drop);
    let payment = net.start_pay_invoice(alice, &invoice);
    net.run();
    let begin = net.height();
    assert_eq!(net.offers_of(&invoice), [(alice, bob), (bob, nodes[2])]);
    net.mine_until(4 * DAY, "the payment's end", |net| !is_pending(net, payment));
    net.expect_success(payment);
    let blocks = u64::from(net.height() - begin);
    assert_eq!(net.height(), net.height_of("alice-bob/HT2a") + 5, "six deep");
    assert_eq!(net.fee(payment), msat(50_000 + 10_000), "erin's 50 sat and 100 ppm");
    let mine = net.offered()[0].amount.get();
    assert_eq!(mine * blocks, 100_022_001 * 440, "A's money was locked for three days and a little more");
    net.settle();
    net.expect_settlement();
}

/// A-B, B-C and C-D, each node asking a day between its locks.
fn line(net: &mut Net) -> ([NodeRef; 4], [ChannelRef; 3]) {
    let mut config = NodeConfig { invoice_expiry_seconds: 10 * 86_400, ..NodeConfig::default() };
    config.forward.cltv_expiry_delta = DAY;
    let nodes = ["alice", "bob", "carol", "dave"].map(|name| net.node_with(name, config.clone()));
    let channels = [0, 1, 2].map(|hop| net.open(nodes[hop], nodes[hop + 1], Open::sat(CAPACITY)));
    (nodes, channels)
}

/// Three HTLCs stand; what D says to them does not reach C: R, or that it knows none. When each of them runs out.
fn lock(
    net: &mut Net,
    nodes: &[NodeRef; 4],
    channels: &[ChannelRef; 3],
    proven: bool,
) -> (Payment, [u32; 3]) {
    for kind in [Kind::UpdateFulfillHtlc, Kind::UpdateFailHtlc] {
        net.on_message(nodes[3], nodes[2], kind, Fault::Hold);
    }
    let invoice = net.invoice_with_delta(nodes[3], AMOUNT, Some(DAY));
    let route = net.route(nodes[0], channels, &invoice);
    let route = if proven { route } else { route.with_wrong_hash() };
    let payment = net.start_pay_route(&route);
    net.run();
    net.expect_pending(payment);
    let expiries = [0, 1, 2].map(|hop| net.offered()[hop].cltv_expiry.get());
    let days = expiries.map(|expiry| expiry - net.height());
    assert_eq!(days, [3 * DAY, 2 * DAY, DAY], "three days, two days, one day");
    (payment, expiries)
}

/// What was offered for so many blocks, in msat·blocks.
fn locked(net: &Net, blocks: u64) -> Msat {
    let all = net.offered().iter().fold(Msat::ZERO, |sum, offer| sum.saturating_add(offer.amount));
    msat(all.get() * blocks)
}

fn is_pending(net: &Net, payment: Payment) -> bool {
    net.standing(payment) == leyden_harness::net::Standing::Pending
}
