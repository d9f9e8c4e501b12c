//! The words of the lab, each shown at work: messages held, dropped, doubled, delayed and overtaken; feerates, mempools, sleep and
//! restart around a node; past states and HTLC spends of an adversary's own making.
use leyden_core::node::Notice;
use leyden_harness::prelude::*;

/// The delay on everybody's own outputs in the scenarios of past states.
const DELAY: u16 = 20;

/// N39: while A's revocation is held, B must not pass the HTLC on; once it is released the payment arrives.
#[scenario(formats = "static_remotekey anchors", mutants = "forward_before_irrevocable")]
fn held_revocation_holds_the_forward(net: &mut Net) {
    let [alice, bob, carol] = net.nodes(["alice", "bob", "carol"]);
    net.open(alice, bob, Open::sat(1_000_000));
    net.open(bob, carol, Open::sat(1_000_000));
    net.next_messages(alice, bob, Kind::RevokeAndAck, 1, Fault::Hold);
    let invoice = net.invoice(carol, sat(50_000));
    let payment = net.start_pay_invoice(alice, &invoice);
    net.run();
    net.expect_pending(payment);
    assert_eq!(net.offers_of(&invoice), [(alice, bob)]);
    net.wait(60);
    assert_eq!(net.offers_of(&invoice), [(alice, bob)]);
    net.release(alice, bob);
    net.expect_success(payment);
    assert_eq!(net.offers_of(&invoice), [(alice, bob), (bob, carol)]);
    net.settle();
    net.expect_settlement();
}

/// An update_fee that is lost, or that its signature overtakes: the signature is for another commitment, the channel fails (BOLT 2).
/// Then both close, and whose commitment is first hangs on the order between processes.
#[scenario(worlds = "sim regtest")]
fn lost_and_overtaken_updates_fail_the_channel(net: &mut Net) {
    let [alice, bob, carol] = net.nodes(["alice", "bob", "carol"]);
    for (peer, fault) in [(bob, Fault::Drop), (carol, Fault::Reorder)] {
        let channel = net.open(alice, peer, Open::sat(1_000_000));
        net.next_messages(alice, peer, Kind::UpdateFee, 1, fault);
        net.update_fee(alice, channel, 2000);
        let closing = net.notices(peer).any(|notice| matches!(notice, Notice::ChannelClosing { .. }));
        assert!(closing, "{} closes alone", net.name(peer));
        net.excuse("I14", peer, "the link changed what Alice said");
    }
    net.settle();
    net.expect_settlement();
}

/// A revoke_and_ack arrives twice: the second is one that nothing asked for, and its recipient warns and hangs up.
#[scenario]
fn doubled_revocation_ends_the_connection(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000));
    net.next_messages(bob, alice, Kind::RevokeAndAck, 1, Fault::Duplicate);
    net.update_fee(alice, channel, 2000);
    let warned = net.notices(alice).any(|notice| matches!(notice, Notice::PeerError { .. }));
    assert!(warned, "alice tells of the second revocation");
    assert!(!net.are_connected(alice, bob));
    net.force_close(bob, channel);
    net.settle();
    net.expect_settlement();
}

/// A channel_ready that takes five seconds longer and one that arrives twice do no harm.
#[scenario]
fn late_and_doubled_channel_ready(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open_unconfirmed(alice, bob, Open::sat(1_000_000));
    net.next_messages(bob, alice, Kind::ChannelReady, 1, Fault::Delay(Timestamp::new(5_000_000)));
    net.next_messages(alice, bob, Kind::ChannelReady, 1, Fault::Duplicate);
    net.confirm(channel);
    net.pay(alice, bob, sat(100_000));
    net.settle();
    net.expect_settlement();
}

/// The link breaks before, then after a message that was chosen by its number, and stands again by itself. Processes' links cannot.
#[scenario(worlds = "sim regtest")]
fn link_cut_at_a_message(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000));
    for moment in [Moment::Before, Moment::After] {
        let next = net.messages() + 1;
        net.cut_at(next, moment);
        net.disconnect(alice, bob);
        net.connect(alice, bob);
        assert!(net.messages() > next + 1, "both greet each other again");
        assert!(net.are_connected(alice, bob));
    }
    net.force_close(alice, channel);
    net.settle();
    net.expect_settlement();
}

/// The feerate that nodes are told moves: a closing transaction pays ten times as much in a spike, and the least in a calm.
#[scenario]
fn closing_follows_the_feerate(net: &mut Net) {
    let [alice, bob, carol] = net.nodes(["alice", "bob", "carol"]);
    let with_bob = net.open(alice, bob, Open::sat(1_000_000).push_sat(500_000));
    let with_carol = net.open(alice, carol, Open::sat(1_000_000).push_sat(500_000));
    net.feerate(10_000);
    net.close(alice, with_bob);
    net.mine(1);
    net.feerate(0);
    net.close(alice, with_carol);
    net.mine(1);
    net.feerate(1000);
    net.feerate_of(bob, 2000);
    net.settle();
    net.expect_settlement();
}

/// What a node broadcasts while it is cut off from the mempool reaches nobody until it sees again.
#[scenario]
fn commitment_of_a_node_cut_off(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(500_000));
    net.blind(bob);
    net.force_close(bob, channel);
    net.mine(3);
    assert!(net.mempool().is_empty());
    net.sees_again(bob);
    assert_eq!(net.mempool_labels(), ["C1b"]);
    net.settle();
    net.expect_settlement();
}

/// A node sleeps through its peer's close and thirty blocks, wakes, and takes what is its own.
#[scenario(formats = "static_remotekey anchors")]
fn sleeper_takes_its_own_later(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(500_000));
    net.sleep_node(bob);
    net.force_close(alice, channel);
    net.mine(30);
    assert_eq!(net.find_transaction("D1a"), None);
    net.wake_node(bob);
    net.settle();
    assert_eq!(net.height_of("D1a"), net.height_of("C1a") + 30);
    net.expect_settlement();
}

/// A node starts again from what it saved: its channel and its money are there.
#[scenario(formats = "static_remotekey anchors")]
fn restarted_node_closes_its_channel(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(500_000));
    net.pay(alice, bob, sat(100_000));
    net.restart(bob);
    assert!(net.are_connected(alice, bob));
    net.expect_channel(channel, sat(400_000), sat(600_000));
    net.force_close(bob, channel);
    net.settle();
    net.expect_settlement();
}

/// A publishes the state before the last and nobody watches: C, HT after the expiry, RD and HTRD after the delay. B slept and lost.
#[scenario(formats = "static_remotekey anchors")]
fn sleeping_victim_is_robbed_of_a_timeout(net: &mut Net) {
    let ([alice, bob, _], channel, _) = settled_htlcs(net, 1);
    let old = net.state_at(alice, channel, 2);
    assert_eq!(net.states(alice, channel).len(), 3);
    net.sleep_node(bob);
    net.broadcast_with_second_stages(alice, old);
    net.mine(100);
    let [c, rd, ht, htrd] = ["C2a", "RD2a", "HT2a", "HTRD2a"].map(|label| net.height_of(&own(label)));
    assert_eq!(rd - c, u32::from(DELAY));
    assert_eq!(htrd - ht, u32::from(DELAY));
    net.without_settlement("bob slept until everything was taken");
}

/// B publishes a state in which an HTLC was still pending, and HE with the preimage that it was given since; A sleeps and loses.
#[scenario(formats = "static_remotekey anchors")]
fn sleeping_victim_is_robbed_with_a_preimage(net: &mut Net) {
    let ([alice, bob, _], channel, _) = settled_htlcs(net, 1);
    net.sleep_node(alice);
    let old = net.state_at(bob, channel, 2);
    net.broadcast_with_second_stages(bob, old);
    net.mine(30);
    let [c, he, herd] = ["C2b", "HE2b", "HERD2b"].map(|label| net.height_of(&own(label)));
    assert!(he - c <= 1, "HE follows as soon as it is valid");
    assert_eq!(herd - he, u32::from(DELAY));
    net.without_settlement("alice slept until everything was taken");
}

/// With anchors the peer's signatures allow one transaction for all HTLCs of one lock time: three inputs, three outputs, one coin.
#[scenario]
fn second_stages_in_one_transaction(net: &mut Net) {
    let ([alice, bob, _], channel, _) = settled_htlcs(net, 3);
    net.sleep_node(alice);
    let old = net.states(bob, channel).into_iter().find(|state| net.htlc_spends(bob, *state).len() == 3);
    net.broadcast_with_aggregated_stages(bob, old.expect("a state with three HTLCs"));
    net.mine(1);
    let waiting = net.mempool();
    assert_eq!(waiting.len(), 1);
    assert_eq!(
        (waiting[0].input.len(), waiting[0].output.len()),
        (4, 4),
        "three HTLCs, a coin and its change"
    );
    net.mine(1);
    assert_eq!(net.mined_at(waiting[0].compute_txid()), Some(net.height()));
    net.without_settlement("alice sleeps");
}

/// HTLC spends built by hand: one at a low fee, which one at a higher fee and with one more input replaces.
#[scenario]
fn spends_built_by_hand(net: &mut Net) {
    let ([alice, bob, _], channel, _) = settled_htlcs(net, 2);
    net.sleep_node(alice);
    let old = net.states(bob, channel).into_iter().find(|state| net.htlc_spends(bob, *state).len() == 2);
    let old = old.expect("a state with two HTLCs");
    let coins = [net.coin("bob", 20_000), net.coin("bob", 30_000)];
    net.broadcast(bob, old);
    net.mine(1);
    let htlcs = net.htlc_spends(bob, old);
    let low = net.build(&Spend::of(&htlcs[..1]).coins(&coins[..1]).fee(300));
    let first = net.publish(bob, &low);
    let high = net.build(&Spend::of(&htlcs).coins(&coins).fee(5_000));
    let second = net.replace(bob, first, &high);
    net.mine(1);
    assert_eq!(net.mined_at(second), Some(net.height()));
    assert_eq!(net.mined_at(first), None);
    net.without_settlement("alice sleeps");
}

/// A claim with the preimage straight from the peer's commitment, with an input of the claimant's own beside it.
#[scenario(formats = "static_remotekey anchors")]
fn claim_from_the_peers_commitment_by_hand(net: &mut Net) {
    let ([alice, bob, carol], channel) = line(net);
    net.silence(carol);
    let invoice = net.invoice(carol, sat(50_000));
    let payment = net.start_pay_invoice(alice, &invoice);
    net.run();
    net.expect_pending(payment);
    net.reveal(&invoice);
    net.sleep_node(bob);
    net.sleep_node(carol);
    let coin = net.coin("bob", 20_000);
    let at = net.state(bob, channel);
    net.force_close(alice, channel);
    net.mine(1);
    let commitment = net.find_transaction(&own("C2a")).expect("alice's commitment is broadcast");
    let htlcs = net.peer_htlc_spends(at, commitment);
    assert_eq!(htlcs.len(), 1);
    let claim = net.build(&Spend::of(&htlcs).coins(&[coin]).fee(1_000));
    net.publish(bob, &claim);
    net.mine(1);
    assert_eq!(net.height_of(&own("HED2a")), net.height());
    net.without_settlement("bob and carol sleep");
}

/// A, B and C in a line, with short delays; the channel between A and B.
fn line(net: &mut Net) -> ([NodeRef; 3], ChannelRef) {
    let mut config = NodeConfig::default();
    config.channel.to_self_delay = DELAY;
    let nodes = ["alice", "bob", "carol"].map(|name| net.node_with(name, config.clone()));
    let [alice, bob, carol] = nodes;
    let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(300_000));
    net.open(bob, carol, Open::sat(1_000_000));
    (nodes, channel)
}

/// So many payments from A to C were pending together between A and B, and arrived.
fn settled_htlcs(net: &mut Net, count: usize) -> ([NodeRef; 3], ChannelRef, Vec<Payment>) {
    let ([alice, bob, carol], channel) = line(net);
    net.silence(carol);
    let payments: Vec<Payment> = (0..count).map(|_| net.start_pay(alice, carol, sat(50_000))).collect();
    net.run();
    payments.iter().for_each(|payment| net.expect_pending(*payment));
    net.speak(carol);
    payments.iter().for_each(|payment| net.expect_success(*payment));
    ([alice, bob, carol], channel, payments)
}

/// The name of a transaction of the channel between A and B.
fn own(label: &str) -> String {
    format!("alice-bob/{label}")
}
