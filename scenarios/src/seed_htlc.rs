//! The seed's HTLC (四): A 0.4, B 0.5 and 0.1 locked for three days, closed by either side at every branch of the figures, and
//! every penalty once that state is old. C1 is 0.5/0.5, C2 holds the HTLC, C3 is 0.4/0.6 as the seed's C3.
use leyden_harness::prelude::*;

/// One bitcoin, in satoshis.
const BTC: u64 = 100_000_000;
/// The seed's seq=1000.
const SEQ: u16 = 1000;
/// The seed's three days.
const THREE_DAYS: u32 = 432;
/// The seed's HTLC.
const LOCKED: Msat = sat(BTC / 10);

/// A publishes C2a, and B proves R within the three days (HED): 0.1 is B's, A has her 0.4 after seq=1000 (RD).
#[scenario(formats = "static_remotekey anchors")]
fn seed_c2a_with_r(net: &mut Net) {
    let (alice, _, channel, payment) = locked(net, Proof::Held);
    net.force_close(alice, channel);
    net.settle();
    net.expect_success(payment);
    let committed = net.height_of("C2a");
    assert_eq!(net.height_of("HED2a"), committed + 1, "B needs to wait for nothing");
    assert_eq!(net.height_of("RD2a"), committed + u32::from(SEQ));
    net.expect_settlement();
}

/// A publishes C2a, B has no R: after three days HT is valid, and HTRD seq=1000 later.
#[scenario(formats = "static_remotekey anchors", mutants = "no_timeout_on_chain")]
fn seed_c2a_without_r(net: &mut Net) {
    let (alice, _, channel, _) = locked(net, Proof::None);
    let expiry = net.offered()[0].cltv_expiry.get();
    net.force_close(alice, channel);
    net.settle();
    assert_eq!(net.height_of("HT2a"), expiry + 1, "after three days");
    assert_eq!(net.height_of("HTRD2a"), expiry + 1 + u32::from(SEQ));
    net.expect_settlement();
}

/// B publishes C2b and proves R (HE): 0.1 is his after seq=1000 (HERD), as his 0.5 (RD); A has her 0.4 at once (D).
#[scenario(formats = "static_remotekey anchors")]
fn seed_c2b_with_r(net: &mut Net) {
    let (_, bob, channel, payment) = locked(net, Proof::Held);
    net.force_close(bob, channel);
    net.settle();
    net.expect_success(payment);
    assert_eq!(net.height_of("D2b"), net.height_of("C2b") + 1);
    assert_eq!(net.height_of("HERD2b"), net.height_of("HE2b") + u32::from(SEQ));
    net.expect_settlement();
}

/// B publishes C2b without R: after three days A takes the 0.1 back (HTD).
#[scenario(formats = "static_remotekey anchors", mutants = "no_timeout_on_chain")]
fn seed_c2b_without_r(net: &mut Net) {
    let (_, bob, channel, _) = locked(net, Proof::None);
    let expiry = net.offered()[0].cltv_expiry.get();
    net.force_close(bob, channel);
    net.settle();
    assert_eq!(net.height_of("HTD2b"), expiry + 1, "after three days");
    net.expect_settlement();
}

/// The other way round, B pays A. A publishes C2a and proves R: HE and HERD are hers.
#[scenario(formats = "static_remotekey anchors")]
fn seed_other_way_c2a_with_r(net: &mut Net) {
    let (alice, _, channel, payment) = locked_by_b(net, Proof::Held);
    net.force_close(alice, channel);
    net.settle();
    net.expect_success(payment);
    assert_eq!(net.height_of("HERD2a"), net.height_of("HE2a") + u32::from(SEQ));
    net.expect_settlement();
}

/// The other way round: A publishes C2a without R, and B takes the 0.1 back after three days (HTD).
#[scenario(formats = "static_remotekey anchors", mutants = "no_timeout_on_chain")]
fn seed_other_way_c2a_without_r(net: &mut Net) {
    let (alice, _, channel, _) = locked_by_b(net, Proof::None);
    let expiry = net.offered()[0].cltv_expiry.get();
    net.force_close(alice, channel);
    net.settle();
    assert_eq!(net.height_of("HTD2a"), expiry + 1, "after three days");
    net.expect_settlement();
}

/// The other way round: B publishes C2b, and A proves R (HED).
#[scenario(formats = "static_remotekey anchors")]
fn seed_other_way_c2b_with_r(net: &mut Net) {
    let (_, bob, channel, payment) = locked_by_b(net, Proof::Held);
    net.force_close(bob, channel);
    net.settle();
    net.expect_success(payment);
    assert_eq!(net.height_of("HED2b"), net.height_of("C2b") + 1);
    net.expect_settlement();
}

/// The other way round: B publishes C2b, A has no R. After three days HT is valid, and HTRD seq=1000 later.
#[scenario(formats = "static_remotekey anchors", mutants = "no_timeout_on_chain")]
fn seed_other_way_c2b_without_r(net: &mut Net) {
    let (_, bob, channel, _) = locked_by_b(net, Proof::None);
    let expiry = net.offered()[0].cltv_expiry.get();
    net.force_close(bob, channel);
    net.settle();
    assert_eq!(net.height_of("HT2b"), expiry + 1, "after three days");
    assert_eq!(net.height_of("HTRD2b"), expiry + 1 + u32::from(SEQ));
    net.expect_settlement();
}

/// A publishes the old C1a, which is better for her: B takes her 0.5 (BR) beside his own (D).
#[scenario(formats = "static_remotekey anchors", mutants = "no_penalty_on_to_local")]
fn seed_old_c1a_is_punished(net: &mut Net) {
    let (alice, _, channel) = updated(net);
    lies(net, alice, channel, 1, false);
    net.expect_settlement();
}

/// A publishes the old C2a without its HT: B takes her 0.4 (BR) and the 0.1 (HBR) beside his own 0.5 (D).
#[scenario(formats = "static_remotekey anchors", mutants = "no_penalty_on_htlc")]
fn seed_old_c2a_is_punished(net: &mut Net) {
    let (alice, _, channel) = updated(net);
    lies(net, alice, channel, 2, false);
    expect(net, &["BR2a", "HBR2a"]);
    net.expect_settlement();
}

/// A publishes the old C2a when its three days are over, and HT: B takes the 0.1 before HTRD is ripe (HTBR).
#[scenario(formats = "static_remotekey anchors", mutants = "no_penalty_on_second_stage")]
fn seed_old_c2a_with_ht_is_punished(net: &mut Net) {
    let (alice, _, channel) = updated(net);
    net.mine(THREE_DAYS + 1);
    lies(net, alice, channel, 2, true);
    expect(net, &["HTBR2a"]);
    net.expect_settlement();
}

/// B publishes the old C2b without its HE: A takes his 0.5 (BR) and the 0.1 (HBR) beside her own 0.4 (D).
#[scenario(formats = "static_remotekey anchors", mutants = "no_penalty_on_htlc")]
fn seed_old_c2b_is_punished(net: &mut Net) {
    let (_, bob, channel) = updated(net);
    lies(net, bob, channel, 2, false);
    expect(net, &["BR2b", "HBR2b"]);
    net.expect_settlement();
}

/// B publishes the old C2b and HE with the R that he had: A takes the 0.1 before HERD is ripe (HEBR).
#[scenario(formats = "static_remotekey anchors", mutants = "no_penalty_on_second_stage")]
fn seed_old_c2b_with_he_is_punished(net: &mut Net) {
    let (_, bob, channel) = updated(net);
    lies(net, bob, channel, 2, true);
    expect(net, &["HEBR2b"]);
    net.expect_settlement();
}

/// What the payee has to claim the HTLC with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// R; the message with it never reaches the payer.
    Held,
    /// Nothing: the payer locked to a hash that nobody knows. The refusal never reaches it.
    None,
}

/// A and B with half a bitcoin each in a channel, and seq=1000.
fn half_each(net: &mut Net) -> (NodeRef, NodeRef, ChannelRef) {
    let mut config = NodeConfig::default();
    config.channel.to_self_delay = SEQ;
    let [alice, bob] = ["alice", "bob"].map(|name| net.node_with(name, config.clone()));
    let channel = net.open(alice, bob, Open::sat(BTC).push_sat(BTC / 2));
    (alice, bob, channel)
}

/// C2: the HTLC that A pays is pending in both commitments.
fn locked(net: &mut Net, proof: Proof) -> (NodeRef, NodeRef, ChannelRef, Payment) {
    let (alice, bob, channel) = half_each(net);
    let payment = lock(net, channel, [alice, bob], proof);
    net.expect_channel(channel, sat(BTC * 4 / 10), sat(BTC * 5 / 10));
    (alice, bob, channel, payment)
}

/// The same with B as the payer.
fn locked_by_b(net: &mut Net, proof: Proof) -> (NodeRef, NodeRef, ChannelRef, Payment) {
    let (alice, bob, channel) = half_each(net);
    let payment = lock(net, channel, [bob, alice], proof);
    net.expect_channel(channel, sat(BTC * 5 / 10), sat(BTC * 4 / 10));
    (alice, bob, channel, payment)
}

fn lock(net: &mut Net, channel: ChannelRef, [payer, payee]: [NodeRef; 2], proof: Proof) -> Payment {
    for kind in [Kind::UpdateFulfillHtlc, Kind::UpdateFailHtlc] {
        net.on_message(payee, payer, kind, Fault::Hold);
    }
    let invoice = net.invoice_with_delta(payee, LOCKED, Some(THREE_DAYS));
    let route = net.route(payer, &[channel], &invoice);
    let route = if proof == Proof::None { route.with_wrong_hash() } else { route };
    let payment = net.start_pay_route(&route);
    net.run();
    net.expect_pending(payment);
    payment
}

/// C3: 0.4 and 0.6, since the HTLC of three days was settled.
fn updated(net: &mut Net) -> (NodeRef, NodeRef, ChannelRef) {
    let (alice, bob, channel) = half_each(net);
    let invoice = net.invoice_with_delta(bob, LOCKED, Some(THREE_DAYS - FINAL_CLTV_SLACK));
    net.pay_invoice(alice, &invoice);
    net.expect_channel(channel, sat(BTC * 4 / 10), sat(BTC * 6 / 10));
    (alice, bob, channel)
}

/// The holder publishes its old state `n`, with its second stages or without, and ends with nothing of the channel.
fn lies(net: &mut Net, holder: NodeRef, channel: ChannelRef, n: u64, stages: bool) {
    net.dishonest(holder);
    let old = net.state_at(holder, channel, n);
    if stages {
        net.broadcast_with_second_stages(holder, old);
    } else {
        net.broadcast(holder, old);
    }
    net.settle();
    let name = net.name(holder).to_string();
    let put_in = if name == "alice" { BTC } else { 0 };
    let settlement = net.settlement();
    let line = settlement.parties.iter().find(|line| line.name == name).expect("the holder is a party");
    assert!(line.end.get() + put_in <= line.start.get(), "{name} has nothing of the channel");
}

/// Each of these names is a transaction's on the chain, or a part of one.
fn expect(net: &mut Net, names: &[&str]) {
    let settlement = net.settlement();
    for name in names {
        let mut seeds = settlement.transactions.iter().flat_map(|tx| tx.seed.split('+'));
        assert!(seeds.any(|seed| seed == *name), "no {name} is on the chain");
    }
}
