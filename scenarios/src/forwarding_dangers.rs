//! Dangers for whoever forwards, known from public disclosures: an HTLC failed upstream though R is known or may still show, R given
//! away for nothing, HTLCs taken for one another. Each names the bug that it would find.
use leyden_harness::net::{code::PERMANENT_CHANNEL_FAILURE, Standing};
use leyden_harness::prelude::*;

/// Carol and Dave give R on the wire, and then the mined commitment has no output for the HTLC: with Carol it is hers, whose
/// revocation never comes; with Dave it is Bob's own. Alice's HTLCs are fulfilled all the same.
#[scenario(formats = "static_remotekey anchors", mutants = "fails_fulfilled_htlcs")]
fn fulfilled_htlc_is_not_failed_for_want_of_an_output(net: &mut Net) {
    let [alice, bob, carol, dave] = net.nodes(["alice", "bob", "carol", "dave"]);
    let upstream = net.open(alice, bob, Open::sat(1_000_000));
    let downstream = [carol, dave].map(|end| net.open(bob, end, Open::sat(1_000_000)));
    let payments = [carol, dave].map(|end| {
        net.on_message(end, bob, Kind::UpdateFulfillHtlc, Fault::Hold);
        let invoice = net.invoice_with_delta(end, sat(50_000), Some(60));
        net.start_pay_invoice(alice, &invoice)
    });
    net.run();
    net.on_message(carol, bob, Kind::RevokeAndAck, Fault::Drop);
    net.on_message(bob, dave, Kind::RevokeAndAck, Fault::Hold);
    [carol, dave].into_iter().for_each(|end| net.release(end, bob));
    for (closer, channel) in [(carol, downstream[0]), (bob, downstream[1])] {
        assert!(net.commitment(closer, channel).htlcs.is_empty(), "{} has no HTLC", net.name(closer));
        net.force_close(closer, channel);
    }
    net.mine(8);
    payments.iter().for_each(|payment| net.expect_success(*payment));
    net.expect_no_htlcs(upstream);
    net.settle();
    net.expect_settlement();
}

/// Carol refuses on the wire, but the commitment with the HTLC is not revoked yet: she publishes it and claims with R. Bob, who has
/// not failed Alice, gives her R.
#[scenario(formats = "static_remotekey anchors", mutants = "fails_before_irrevocable")]
fn refused_on_the_wire_and_claimed_on_the_chain(net: &mut Net) {
    let [alice, bob, carol] = net.nodes(["alice", "bob", "carol"]);
    let upstream = net.open(alice, bob, Open::sat(1_000_000));
    let downstream = net.open(bob, carol, Open::sat(1_000_000));
    let invoice = net.invoice_with_delta(carol, sat(50_000), Some(60));
    net.on_message(carol, bob, Kind::UpdateFailHtlc, Fault::Hold);
    let route = net.route(alice, &[upstream, downstream], &invoice).with_wrong_secret();
    let payment = net.start_pay_route(&route);
    net.run();
    net.on_message(bob, carol, Kind::CommitmentSigned, Fault::Hold);
    net.release(carol, bob);
    net.expect_pending(payment);
    net.reveal(&invoice);
    net.dishonest(carol);
    let state = net.state(carol, downstream);
    assert_eq!(net.htlc_spends(carol, state).len(), 1);
    net.broadcast_with_second_stages(carol, state);
    net.mine(2);
    net.expect_success(payment);
    net.expect_no_htlcs(upstream);
    net.settle();
    net.expect_settlement();
}

/// Two HTLCs of one hash, amount and id, in opposite directions, that nobody has R for: each fails when its own timeout is deep.
#[scenario(formats = "static_remotekey anchors", mutants = "confuses_directions")]
fn same_hash_in_both_directions(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(400_000));
    let [to_bob, to_alice] = [bob, alice].map(|to| net.invoice(to, sat(50_000)));
    let there = net.route(alice, &[channel], &to_bob).with_all_later(10).with_wrong_hash();
    let mut back = net.route(bob, &[channel], &to_alice).with_all_later(30);
    back.payment_hash = there.payment_hash;
    for (from, to) in [(alice, bob), (bob, alice)] {
        net.on_message(from, to, Kind::UpdateFailHtlc, Fault::Hold);
    }
    let payments = [there, back].map(|route| net.start_pay_route(&route));
    net.run();
    for node in [alice, bob] {
        assert_eq!(net.commitment(node, channel).htlcs.len(), 2);
    }
    let mut expiries = [0, 1].map(|offer| net.offered()[offer].cltv_expiry.get());
    // Either may have been offered first; Alice's runs out first.
    expiries.sort_unstable();
    net.force_close(alice, channel);
    for (payment, expiry) in payments.into_iter().zip(expiries) {
        // The timeout is in the block after the expiry, and six deep five blocks later.
        let wait = expiry + 5 - net.height();
        net.mine(wait);
        net.expect_pending(payment);
        net.mine(1);
        assert!(matches!(net.standing(payment), Standing::Failed { .. }));
    }
    net.settle();
    net.expect_settlement();
}

/// Somebody routes an HTLC through Bob whose hash is that of his own unpaid invoice. It ends on the chain: Bob's R stays his.
#[scenario(formats = "static_remotekey anchors", mutants = "claims_forward_with_own_invoice")]
fn forward_with_the_hash_of_an_own_invoice(net: &mut Net) {
    let [alice, bob, carol, dave] = net.nodes(["alice", "bob", "carol", "dave"]);
    let line = [(alice, bob), (bob, carol), (carol, dave)].map(|(a, b)| net.open(a, b, Open::sat(1_000_000)));
    let [own, decoy] = [bob, dave].map(|to| net.invoice(to, sat(50_000)));
    let mut route = net.route(alice, &line, &decoy);
    route.payment_hash = own.payment_hash;
    net.silence(dave);
    let payment = net.start_pay_route(&route);
    net.run();
    net.silence(carol);
    let wait = net.offered()[1].cltv_expiry.get() + 9 - net.height();
    net.mine(wait);
    net.height_of("bob-carol/HT2a");
    net.expect_failure(payment, bob, PERMANENT_CHANNEL_FAILURE);
    assert_eq!(net.known_preimage(&own.payment_hash), None, "nobody paid, nobody has R");
    net.settle();
    net.expect_settlement();
}
