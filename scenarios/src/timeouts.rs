//! HTLCs that end on the chain: timed out or claimed with R, on the commitment of either side.
use leyden_harness::prelude::*;

/// The blocks until every HTLC of a payment over two hops has expired.
const LONG: u32 = 120;

/// Alice pays a silent Carol through Bob: one HTLC stands in both commitments of Alice and Bob.
fn pending(net: &mut Net) -> ([NodeRef; 3], ChannelRef, Payment) {
    let [alice, bob, carol] = net.nodes(["alice", "bob", "carol"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(300_000));
    net.open(bob, carol, Open::sat(1_000_000));
    let invoice = net.invoice(carol, sat(50_000));
    net.silence(carol);
    let payment = net.start_pay_invoice(alice, &invoice);
    net.run();
    ([alice, bob, carol], channel, payment)
}

/// Alice closes alone with the HTLC that she offered pending (C); it expires, she takes it back (HT) and sweeps that (HTRD).
/// None of them comes too early for the chain.
#[scenario(formats = "static_remotekey anchors", mutants = "sweeps_too_early no_timeout_on_chain")]
fn offered_times_out_on_own_commitment(net: &mut Net) {
    let ([alice, ..], channel, _) = pending(net);
    net.force_close(alice, channel);
    net.mine(LONG);
    net.settle();
    assert!(!net.transcript().contains("refused, "), "the chain takes whatever alice broadcasts");
    net.expect_settlement();
}

/// Bob closes alone; the HTLC that Alice offered expires, and she takes it straight from his commitment (HTD).
#[scenario(formats = "static_remotekey anchors")]
fn offered_times_out_on_peers_commitment(net: &mut Net) {
    let ([_, bob, _], channel, _) = pending(net);
    net.force_close(bob, channel);
    net.mine(LONG);
    net.settle();
    net.expect_settlement();
}

/// Alice closes alone; then Carol settles, and Bob claims Alice's HTLC from her commitment with R (HED).
#[scenario(formats = "static_remotekey anchors")]
fn received_is_claimed_on_peers_commitment(net: &mut Net) {
    let ([alice, _, carol], channel, payment) = pending(net);
    net.force_close(alice, channel);
    net.speak(carol);
    net.settle();
    net.expect_success(payment);
    net.expect_settlement();
}

/// Bob closes alone; then Carol settles, and Bob claims Alice's HTLC from his own commitment with R (HE, HERD).
#[scenario(formats = "static_remotekey anchors")]
fn received_is_claimed_on_own_commitment(net: &mut Net) {
    let ([_, bob, carol], channel, payment) = pending(net);
    net.force_close(bob, channel);
    net.speak(carol);
    net.settle();
    net.expect_success(payment);
    net.expect_settlement();
}
