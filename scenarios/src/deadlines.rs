//! HTLCs whose time runs out: which channel goes to the chain, at which height, and that no one upstream has to close for it.
use leyden_harness::net::{code::PERMANENT_CHANNEL_FAILURE, Standing};
use leyden_harness::prelude::*;

/// A forwarder's `cltv_expiry_delta`, and with it the blocks that are left upstream when its offered HTLC expires.
const DELTA: u32 = 40;

/// A payment over three channels that stands still.
struct Stuck {
    nodes: [NodeRef; 4],
    channels: [ChannelRef; 3],
    payment: Payment,
    /// When the HTLC expires on each channel.
    expiries: [u32; 3],
}

/// Alice pays Dave, who says nothing, so that the HTLC stands in all commitments of Alice, Bob and Carol. Then Carol falls silent.
fn stuck(net: &mut Net, amount: Msat) -> Stuck {
    let nodes = net.nodes(["alice", "bob", "carol", "dave"]);
    let [alice, bob, carol, dave] = nodes;
    let channels =
        [(alice, bob), (bob, carol), (carol, dave)].map(|(a, b)| net.open(a, b, Open::sat(1_000_000)));
    let invoice = net.invoice(dave, amount);
    net.silence(dave);
    let payment = net.start_pay_invoice(alice, &invoice);
    net.run();
    net.silence(carol);
    let expiries = [0, 1, 2].map(|hop| net.offered()[hop].cltv_expiry.get());
    Stuck { nodes, channels, payment, expiries }
}

/// Mines until the tip is at this height.
fn mine_to(net: &mut Net, height: u32) {
    let wait = height - net.height();
    net.mine(wait);
}

/// Bob's offered HTLC expires: he closes with Carol one block later, not sooner, times it out, and fails Alice's once that is six
/// deep, not sooner. All within the time that his delta leaves: Alice keeps her channel.
#[scenario(
    formats = "static_remotekey anchors",
    mutants = "no_deadline_for_offered no_timeout_on_chain fails_upstream_at_once"
)]
fn upstream_fails_once_the_timeout_is_deep(net: &mut Net) {
    let Stuck { nodes: [_, bob, ..], channels, payment, expiries: [incoming, outgoing, _] } =
        stuck(net, sat(50_000));
    mine_to(net, outgoing);
    assert_eq!(net.find_transaction("bob-carol/C2a"), None, "a block of grace");
    mine_to(net, outgoing + 1);
    assert_eq!(net.mempool_labels(), ["bob-carol/C2a"]);
    net.mine(2);
    let timeout = net.height_of("bob-carol/HT2a");
    assert_eq!(timeout, net.height());
    net.mine(4);
    net.expect_pending(payment);
    net.mine(1);
    net.expect_failure(payment, bob, PERMANENT_CHANNEL_FAILURE);
    assert_eq!(incoming - outgoing, DELTA);
    assert!(net.height() < incoming, "alice never has to close");
    net.expect_no_htlcs(channels[0]);
    net.settle();
    net.expect_settlement();
}

/// An HTLC below the dust limit has no output: upstream is failed once the commitment is six deep. Its 300 sat went to the miner.
#[scenario(formats = "static_remotekey anchors", mutants = "fails_upstream_at_once")]
fn dust_fails_upstream_once_the_commitment_is_deep(net: &mut Net) {
    let Stuck { nodes: [_, bob, ..], channels, payment, expiries: [incoming, outgoing, _] } =
        stuck(net, sat(300));
    mine_to(net, outgoing + 2);
    let commitment = net.height_of("bob-carol/C2a");
    assert_eq!(commitment, net.height());
    net.mine(4);
    net.expect_pending(payment);
    net.mine(1);
    net.expect_failure(payment, bob, PERMANENT_CHANNEL_FAILURE);
    assert!(net.height() < incoming);
    net.expect_no_htlcs(channels[0]);
    net.allow_dust(bob, 301);
    net.settle();
    net.expect_settlement();
}

/// Alice takes Bob's R and withholds the revocation of her commitment with the HTLC: 18 blocks before it expires he closes, and claims it.
#[scenario(formats = "static_remotekey anchors", mutants = "no_deadline_for_fulfilled")]
fn expiry_comes_while_the_fulfil_waits(net: &mut Net) {
    let [alice, bob, carol] = net.nodes(["alice", "bob", "carol"]);
    net.open(alice, bob, Open::sat(1_000_000).push_sat(100_000));
    net.open(bob, carol, Open::sat(1_000_000));
    net.on_message(carol, bob, Kind::UpdateFulfillHtlc, Fault::Hold);
    let invoice = net.invoice_with_delta(carol, sat(50_000), Some(60));
    let payment = net.start_pay_invoice(alice, &invoice);
    net.run();
    let incoming = net.offered()[0].cltv_expiry.get();
    net.on_message(alice, bob, Kind::RevokeAndAck, Fault::Hold);
    net.release(carol, bob);
    net.expect_success(payment);
    mine_to(net, incoming - 19);
    assert!(net.mempool().is_empty(), "not before its time");
    // It would make Alice close too, and only one of them can be first.
    net.on_message(bob, alice, Kind::Error, Fault::Drop);
    net.mine(1);
    assert_eq!(net.mempool_labels(), ["alice-bob/C2b"]);
    net.mine(2);
    assert_eq!(net.height_of("alice-bob/HE2b"), incoming - 16);
    net.settle();
    net.expect_settlement();
}

/// Alice is three blocks behind Bob when she pays him, and two more come before she has revoked the commitment with the HTLC that he
/// has fulfilled: his invoice asked for enough of them, and he closes nothing.
#[scenario(formats = "static_remotekey anchors")]
fn blocks_come_while_the_fulfil_waits(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000));
    net.on_message(bob, alice, Kind::UpdateFulfillHtlc, Fault::Hold);
    let payment = net.start_pay(alice, bob, sat(50_000));
    net.run();
    net.mine(FINAL_CLTV_SLACK);
    net.on_message(alice, bob, Kind::RevokeAndAck, Fault::Hold);
    net.release(bob, alice);
    net.mine(2);
    net.release(alice, bob);
    net.expect_success(payment);
    net.expect_channel(channel, sat(950_000), sat(50_000));
    net.settle();
    net.expect_settlement();
}

/// The HTLCs of three payments expire at one height: with anchors one transaction takes all (HT), and one sweeps what they leave (HTRD).
#[scenario]
fn timeouts_of_one_expiry_go_together(net: &mut Net) {
    let nodes = net.nodes(["alice", "bob", "carol"]);
    let [alice, bob, carol] = nodes;
    net.open(alice, bob, Open::sat(1_000_000));
    let channel = net.open(bob, carol, Open::sat(1_000_000));
    net.on_message(carol, bob, Kind::UpdateFulfillHtlc, Fault::Hold);
    let invoices =
        [20_000, 30_000, 40_000].map(|amount| net.invoice_with_delta(carol, sat(amount), Some(60)));
    let payments = invoices.map(|invoice| net.start_pay_invoice(alice, &invoice));
    net.run();
    net.sleep_node(carol);
    net.force_close(bob, channel);
    let outgoing = net.offered()[3..].iter().map(|offer| offer.cltv_expiry.get()).min().unwrap_or_default();
    mine_to(net, outgoing);
    let timeout = net.mempool();
    assert_eq!(timeout.len(), 1);
    assert_eq!(
        (timeout[0].input.len(), timeout[0].output.len()),
        (4, 4),
        "three HTLCs, a coin and its change"
    );
    net.mine(6);
    for payment in payments {
        net.expect_failure(payment, bob, PERMANENT_CHANNEL_FAILURE);
    }
    net.settle();
    net.expect_settlement();
}

/// A spike to ten times the feerate, nobody says a word, and all channels of A-B-C-D go to the chain, one after the other: the HTLC
/// times out hop by hop, and nobody loses more than fees.
#[scenario(formats = "static_remotekey anchors")]
fn cascade_of_closes_in_a_spike(net: &mut Net) {
    let Stuck { nodes, payment, expiries: [incoming, ..], .. } = stuck(net, sat(50_000));
    nodes.into_iter().for_each(|node| net.silence(node));
    net.feerate(10_000);
    mine_to(net, incoming + 60);
    for channel in ["alice-bob/C2a", "bob-carol/C2a"] {
        net.height_of(channel);
    }
    net.settle();
    assert!(matches!(net.standing(payment), Standing::Failed { .. }));
    net.expect_settlement();
}

/// The same with R: Dave closes 18 blocks before the expiry and claims; each hop reads R in the chain and claims from the one before.
#[scenario(formats = "static_remotekey anchors")]
fn cascade_of_claims_in_a_spike(net: &mut Net) {
    let [alice, bob, carol, dave] = net.nodes(["alice", "bob", "carol", "dave"]);
    for (a, b) in [(alice, bob), (bob, carol), (carol, dave)] {
        net.open(a, b, Open::sat(1_000_000));
    }
    net.on_message(dave, carol, Kind::UpdateFulfillHtlc, Fault::Hold);
    let invoice = net.invoice_with_delta(dave, sat(50_000), Some(60));
    let payment = net.start_pay_invoice(alice, &invoice);
    net.run();
    let expiries = [0, 1, 2].map(|hop| net.offered()[hop].cltv_expiry.get());
    [alice, bob, carol, dave].into_iter().for_each(|node| net.silence(node));
    net.feerate(10_000);
    mine_to(net, expiries[0] + 5);
    let claims = ["alice-bob/HE2b", "bob-carol/HE2b", "carol-dave/HE2b"];
    for (claim, expiry) in claims.into_iter().zip(expiries) {
        let height = net.height_of(claim);
        assert!(height < expiry, "{claim} is mined at {height}, the HTLC expires at {expiry}");
    }
    net.expect_success(payment);
    // An opener pays for both anchors; with its own the peer pays for the commitment.
    [alice, bob, carol].into_iter().for_each(|opener| net.allow_dust(opener, 330));
    net.settle();
    net.expect_settlement();
}
