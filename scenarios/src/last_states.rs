//! Closing alone while HTLCs of both directions are pending: by each side, by both at once, with the commitment that was not answered
//! yet, and with a chain that changes its mind about whose commitment it is.
use bitcoin::Transaction;
use leyden_harness::net::Standing;
use leyden_harness::prelude::*;

/// A channel with an HTLC in each direction.
struct Busy {
    alice: NodeRef,
    bob: NodeRef,
    channel: ChannelRef,
    /// Who settles, and who never does.
    settles: NodeRef,
    payments: [Payment; 2],
}

/// Alice pays Carol through Bob, Bob pays Dave through Alice, neither recipient says a word: the channel between holds both HTLCs.
fn busy(net: &mut Net) -> Busy {
    let [alice, bob, carol, dave] = net.nodes(["alice", "bob", "carol", "dave"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(400_000));
    net.open(bob, carol, Open::sat(1_000_000));
    net.open(alice, dave, Open::sat(1_000_000));
    let payments = [(alice, carol), (bob, dave)].map(|(from, to)| {
        net.on_message(to, if to == carol { bob } else { alice }, Kind::UpdateFulfillHtlc, Fault::Hold);
        let invoice = net.invoice_with_delta(to, sat(50_000), Some(60));
        net.start_pay_invoice(from, &invoice)
    });
    net.run();
    for node in [alice, bob] {
        assert_eq!(net.commitment(node, channel).htlcs.len(), 2);
    }
    Busy { alice, bob, channel, settles: carol, payments }
}

/// Carol settles, so that Bob has R for Alice's HTLC; Dave's R comes only when Alice's deadline with him has closed that channel.
fn end(net: &mut Net, busy: &Busy) {
    net.release(busy.settles, busy.bob);
    net.mine(160);
    net.settle();
    busy.payments.iter().for_each(|payment| net.expect_success(*payment));
    net.expect_settlement();
}

/// The node's newest commitment, signed.
fn commitment(net: &Net, node: NodeRef, channel: ChannelRef) -> Transaction {
    net.past(net.state(node, channel)).transaction()
}

/// The opener closes alone.
#[scenario(formats = "static_remotekey anchors")]
fn close_by_opener_with_htlcs_both_ways(net: &mut Net) {
    let busy = busy(net);
    net.force_close(busy.alice, busy.channel);
    end(net, &busy);
}

/// The acceptor closes alone.
#[scenario(formats = "static_remotekey anchors")]
fn close_by_acceptor_with_htlcs_both_ways(net: &mut Net) {
    let busy = busy(net);
    net.force_close(busy.bob, busy.channel);
    end(net, &busy);
}

/// Both close alone at once: Alice's commitment is first in the mempool, Bob's is mined.
#[scenario(formats = "static_remotekey anchors")]
fn both_close_alone_at_once(net: &mut Net) {
    let busy = busy(net);
    let bobs = commitment(net, busy.bob, busy.channel);
    net.force_close(busy.alice, busy.channel);
    net.force_close(busy.bob, busy.channel);
    net.mine_these(vec![bobs]);
    end(net, &busy);
}

/// A third HTLC is in Bob's newest commitment, and he has not revoked the one before: it is the newest that he publishes.
#[scenario(formats = "static_remotekey anchors")]
fn close_with_the_unanswered_next_commitment(net: &mut Net) {
    let busy = busy(net);
    let Busy { alice, bob, channel, .. } = busy;
    net.on_message(bob, alice, Kind::RevokeAndAck, Fault::Hold);
    let third = net.start_pay(alice, bob, sat(60_000));
    net.run();
    net.expect_pending(third);
    assert_eq!(net.commitment(bob, channel).htlcs.len(), 3);
    net.force_close(bob, channel);
    end(net, &busy);
    assert!(matches!(net.standing(third), Standing::Failed { .. }));
}

/// Alice's commitment and what was claimed from it are reorganised out, and Bob's is mined instead: all is claimed anew from there.
#[scenario(formats = "static_remotekey anchors", mutants = "reorgs_are_ignored")]
fn other_commitment_after_a_reorganisation(net: &mut Net) {
    let busy = busy(net);
    let bobs = commitment(net, busy.bob, busy.channel);
    net.force_close(busy.alice, busy.channel);
    net.mine(2);
    net.unmine(2);
    net.mine_these(vec![bobs]);
    end(net, &busy);
}

/// A closing transaction is reorganised out five blocks deep, waits two blocks, and is mined again.
#[scenario]
fn close_is_reorganised_out_and_mined_again(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(400_000));
    net.close(alice, channel);
    net.mine(5);
    net.unmine(5);
    assert_eq!(net.mempool_labels(), ["X"]);
    net.mine_empty(2);
    net.mine(1);
    assert_eq!(net.height_of("X"), net.height());
    net.settle();
    net.expect_settlement();
}
