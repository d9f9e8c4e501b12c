//! Links that break and stand again: what was under way goes on, and nobody loses or pays twice.
use leyden_core::node::Notice;
use leyden_harness::net::code;
use leyden_harness::prelude::*;

/// What a payment moves.
const AMOUNT: Msat = sat(100_000);

/// C loses its link to D with the payment of A on it; when the link stands again D gets it, and A learns so.
#[scenario(formats = "static_remotekey anchors", mutants = "no_signature_again")]
fn payment_at_a_broken_link_completes_after_reconnect(net: &mut Net) {
    let ([alice, _, carol, dave], channels) = line(net);
    // Dave hears nothing until the link is gone: Carol has signed the HTLC, and what she sent is lost.
    net.silence(dave);
    let payment = net.start_pay(alice, dave, AMOUNT);
    net.run();
    net.expect_pending(payment);
    net.disconnect(carol, dave);
    net.speak(dave);
    net.expect_pending(payment);
    net.connect(carol, dave);
    net.expect_success(payment);
    net.expect_channel(channels[2], sat(900_000), AMOUNT);
    for channel in channels {
        net.expect_no_htlcs(channel);
    }
    net.settle();
    net.expect_settlement();
}

/// B loses both its links while the payment is locked behind it: Carol's preimage waits in her channel, then finds its way back.
#[scenario]
fn preimage_at_a_broken_link_completes_after_reconnect(net: &mut Net) {
    let ([alice, bob, carol, dave], channels) = line(net);
    net.silence(dave);
    let payment = net.start_pay(alice, dave, AMOUNT);
    net.run();
    net.disconnect(alice, bob);
    net.disconnect(bob, carol);
    net.speak(dave);
    net.expect_channel(channels[2], sat(900_000), AMOUNT);
    net.expect_pending(payment);
    net.connect(alice, bob);
    net.expect_pending(payment);
    net.connect(bob, carol);
    net.expect_success(payment);
    for channel in channels {
        net.expect_no_htlcs(channel);
    }
    net.settle();
    net.expect_settlement();
}

/// C knows two preimages when its link to B breaks: one is signed for, the other waits for the revocation. Neither is lost.
#[scenario(formats = "static_remotekey anchors", mutants = "forget_proposed_removals no_signature_again")]
fn two_preimages_at_a_broken_link(net: &mut Net) {
    let ([alice, bob, carol, dave], channels) = line(net);
    let [erin] = net.nodes(["erin"]);
    net.open(carol, erin, Open::sat(1_000_000));
    let payments = [dave, erin].map(|to| {
        net.silence(to);
        net.start_pay(alice, to, AMOUNT)
    });
    net.run();
    net.silence(bob);
    net.speak(dave);
    net.speak(erin);
    net.disconnect(bob, carol);
    net.speak(bob);
    payments.into_iter().for_each(|payment| net.expect_pending(payment));
    net.connect(bob, carol);
    payments.into_iter().for_each(|payment| net.expect_success(payment));
    for channel in channels {
        net.expect_no_htlcs(channel);
    }
    net.settle();
    net.expect_settlement();
}

/// A refusal meets a broken link on its way back: nothing moved, and the sender learns it after the reconnection.
#[scenario]
fn refusal_at_a_broken_link_arrives_after_reconnect(net: &mut Net) {
    let ([alice, bob, carol, dave], channels) = line(net);
    let invoice = net.invoice(dave, AMOUNT);
    let route = net.route(alice, &channels, &invoice).with_wrong_secret();
    net.silence(dave);
    let payment = net.start_pay_route(&route);
    net.run();
    net.disconnect(bob, carol);
    net.speak(dave);
    net.expect_pending(payment);
    net.connect(bob, carol);
    net.expect_failure(payment, dave, code::INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS);
    for channel in channels {
        net.expect_channel(channel, sat(1_000_000), sat(0));
        net.expect_no_htlcs(channel);
    }
    net.settle();
    net.expect_settlement();
}

/// An update_fee and its signature are lost with the link, together with payments in both directions: all are sent again.
#[scenario(formats = "static_remotekey anchors")]
fn fee_update_and_disconnect(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(500_000));
    net.silence(bob);
    let there = net.start_pay(alice, bob, AMOUNT);
    let back = net.start_pay(bob, alice, sat(30_000));
    net.update_fee(alice, channel, 2_000);
    net.run();
    net.disconnect(alice, bob);
    net.speak(bob);
    net.connect(alice, bob);
    net.expect_success(there);
    net.expect_success(back);
    net.expect_channel(channel, sat(430_000), sat(570_000));
    for node in [alice, bob] {
        assert_eq!(net.commitment(node, channel).feerate.get(), 2_000, "both have the new feerate");
    }
    net.settle();
    net.expect_settlement();
}

/// The link breaks while both close: they begin again and close together.
#[scenario(formats = "static_remotekey anchors")]
fn shutdown_and_disconnect(net: &mut Net) {
    let ([alice, bob, ..], channels) = line(net);
    net.pay(alice, bob, AMOUNT);
    net.silence(bob);
    net.start_close_at(alice, channels[0], 1_000);
    net.run();
    net.disconnect(alice, bob);
    net.speak(bob);
    net.connect(alice, bob);
    net.settle();
    net.expect_settlement();
}

/// B closed alone while A was away: its error makes A, who thinks the channel is open, give it up too.
#[scenario]
fn peer_that_closed_while_the_link_was_down(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(500_000));
    net.pay(alice, bob, AMOUNT);
    net.disconnect(alice, bob);
    net.force_close(bob, channel);
    net.connect(alice, bob);
    assert_eq!(net.channel(alice, channel).phase, "on chain");
    net.settle();
    net.expect_settlement();
}

/// A, B, C and D in a line, and their channels.
fn line(net: &mut Net) -> ([NodeRef; 4], [ChannelRef; 3]) {
    let nodes = net.nodes(["alice", "bob", "carol", "dave"]);
    let [alice, bob, carol, dave] = nodes;
    let pairs = [(alice, bob), (bob, carol), (carol, dave)];
    (nodes, pairs.map(|(opener, acceptor)| net.open(opener, acceptor, Open::sat(1_000_000))))
}

/// Bob answers a signature with his revocation and a signature of his own, and both are lost with the link: he sends them again in
/// that order, or nobody could read them (BOLT 2, "Message Retransmission"). The link of processes cannot be cut at a message.
#[scenario(
    worlds = "sim regtest",
    formats = "static_remotekey anchors",
    mutants = "signature_before_revocation"
)]
fn revocation_and_signature_come_again_in_their_order(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000));
    let payment = net.start_pay(alice, bob, AMOUNT);
    // update_add_htlc, commitment_signed, and then Bob's answer.
    net.cut_at(net.messages() + 3, Moment::Before);
    net.run();
    net.expect_success(payment);
    net.expect_channel(channel, sat(900_000), AMOUNT);
    net.settle();
    net.expect_settlement();
}

/// Alice does not hear where Bob stands, and he offers an HTLC all the same: what comes before `channel_reestablish` does not
/// count, she warns and hangs up. With a new connection all goes on.
#[scenario(mutants = "listen_before_reestablish")]
fn nothing_counts_before_reestablish(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(500_000));
    net.pay(alice, bob, AMOUNT);
    net.disconnect(alice, bob);
    net.next_messages(bob, alice, Kind::ChannelReestablish, 1, Fault::Drop);
    net.connect(alice, bob);
    let payment = net.start_pay(bob, alice, AMOUNT);
    net.run();
    let warned = |notice: &Notice| matches!(notice, Notice::PeerError { text, .. } if text.contains("before channel_reestablish"));
    assert!(net.notices(alice).any(warned), "alice says what is missing");
    assert!(!net.are_connected(alice, bob), "alice hangs up");
    net.connect(alice, bob);
    net.expect_success(payment);
    net.expect_channel(channel, sat(500_000), sat(500_000));
    net.settle();
    net.expect_settlement();
}

/// Alice's disk is lost, and a backup from before two payments takes its place. Bob proves that she is behind: she asks him to
/// close, publishes nothing herself, and takes what his commitment gives her (BOLT 2, "Message Retransmission").
#[scenario(formats = "static_remotekey anchors", mutants = "broadcast_though_fallen_behind")]
fn lost_states_are_never_published(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(500_000));
    let backup = net.backup(alice);
    net.pay(alice, bob, AMOUNT);
    net.pay(bob, alice, sat(250_000));
    net.restart_from(alice, &backup);
    assert_eq!(net.channel(alice, channel).phase, "fallen behind");
    net.excuse("I14", bob, "Alice asks him to close");
    net.settle();
    let last = net.state(bob, channel).number;
    net.height_of(&format!("C{last}b"));
    net.height_of(&format!("D{last}b"));
    net.expect_settlement();
}

/// Bob's disk is lost while he forwards: Carol closes with a state that the backup does not know. He cannot read her commitment, but
/// R shows in what she takes from it, and Alice pays him.
#[scenario(formats = "static_remotekey anchors", mutants = "ignores_preimages_on_chain")]
fn preimage_shows_on_a_lost_state(net: &mut Net) {
    let [alice, bob, carol, dave] = net.nodes(["alice", "bob", "carol", "dave"]);
    net.open(alice, bob, Open::sat(1_000_000));
    let lost = net.open(bob, carol, Open::sat(1_000_000));
    net.open(carol, dave, Open::sat(1_000_000));
    net.silence(dave);
    let payment = net.start_pay(alice, dave, AMOUNT);
    net.run();
    let backup = net.backup(bob);
    net.pay(bob, carol, sat(50_000));
    net.restart_from(bob, &backup);
    assert_eq!(net.channel(bob, lost).phase, "fallen behind");
    net.blind(bob);
    net.speak(dave);
    // Carol's commitment, and then what she takes from it: Bob sees both in blocks only.
    net.mine(2);
    net.excuse("I14", carol, "Bob asks her to close");
    net.settle();
    net.expect_success(payment);
    net.expect_settlement();
}
