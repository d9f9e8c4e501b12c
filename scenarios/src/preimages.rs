//! A preimage that shows on the chain goes upstream: from a block, from the mempool, from a claim that was mined while the forwarder
//! slept. The recipients here say nothing on the wire: they close, and claim with R.
use leyden_harness::prelude::*;

/// Blocks that the last HTLC leaves the recipients: enough to wait before they must close.
const FINAL_DELTA: u32 = 60;

/// Alice, and Bob who forwards for her, and two recipients behind him.
struct Star {
    nodes: [NodeRef; 4],
    upstream: ChannelRef,
    /// To Carol, to Dave.
    downstream: [ChannelRef; 2],
    payments: [Payment; 2],
}

/// Alice pays Carol and Dave through Bob; both have their HTLC, and neither's `update_fulfill_htlc` arrives.
fn withheld(net: &mut Net) -> Star {
    let nodes = net.nodes(["alice", "bob", "carol", "dave"]);
    let [alice, bob, carol, dave] = nodes;
    let upstream = net.open(alice, bob, Open::sat(1_000_000));
    let downstream = [carol, dave].map(|end| net.open(bob, end, Open::sat(1_000_000)));
    let payments = [carol, dave].map(|end| {
        net.on_message(end, bob, Kind::UpdateFulfillHtlc, Fault::Hold);
        let invoice = net.invoice_with_delta(end, sat(50_000), Some(FINAL_DELTA));
        net.start_pay_invoice(alice, &invoice)
    });
    net.run();
    payments.iter().for_each(|payment| net.expect_pending(*payment));
    Star { nodes, upstream, downstream, payments }
}

/// Carol closes, and Bob closes his channel with Dave: both claim with R (HE, HED), and Bob, who sees no
/// mempool, reads it in a block. Nor does Alice see one, who would hear of R there herself.
#[scenario(formats = "static_remotekey anchors", mutants = "ignores_preimages_on_chain")]
fn preimage_in_a_block_goes_upstream(net: &mut Net) {
    let Star { nodes: [alice, bob, carol, _], upstream, downstream, payments } = withheld(net);
    net.force_close(carol, downstream[0]);
    net.force_close(bob, downstream[1]);
    net.blind(alice);
    net.blind(bob);
    net.mine(1);
    payments.iter().for_each(|payment| net.expect_pending(*payment));
    net.mine(1);
    payments.iter().for_each(|payment| net.expect_success(*payment));
    net.expect_no_htlcs(upstream);
    net.settle();
    net.expect_settlement();
}

/// The same, but no block takes the claims: that they are in the mempool is enough.
#[scenario(formats = "static_remotekey anchors", mutants = "ignores_preimages_in_mempool")]
fn preimage_in_the_mempool_goes_upstream(net: &mut Net) {
    let Star { nodes: [_, bob, carol, _], upstream, downstream, payments } = withheld(net);
    net.force_close(carol, downstream[0]);
    net.force_close(bob, downstream[1]);
    net.mine(1);
    payments.iter().for_each(|payment| net.expect_success(*payment));
    net.expect_no_htlcs(upstream);
    for claim in ["bob-carol/HE2b", "bob-dave/HED2a"] {
        assert!(net.mempool_labels().contains(&claim.to_string()), "{claim} is not mined yet");
    }
    net.settle();
    net.expect_settlement();
}

/// Bob sleeps while both claims are mined, and finds R in the blocks that he missed.
#[scenario(formats = "static_remotekey anchors", mutants = "ignores_preimages_on_chain")]
fn preimage_shown_while_the_forwarder_slept(net: &mut Net) {
    let Star { nodes: [alice, bob, carol, _], upstream, downstream, payments } = withheld(net);
    net.force_close(bob, downstream[1]);
    net.blind(alice);
    net.sleep_node(bob);
    net.force_close(carol, downstream[0]);
    net.mine(10);
    payments.iter().for_each(|payment| net.expect_pending(*payment));
    net.wake_node(bob);
    payments.iter().for_each(|payment| net.expect_success(*payment));
    net.expect_no_htlcs(upstream);
    net.settle();
    net.expect_settlement();
}

/// Both of Bob's sides are on the chain: R from Carol's claim takes Alice's HTLC from her commitment (HED), before it expires.
#[scenario(formats = "static_remotekey anchors", mutants = "ignores_preimages_on_chain")]
fn preimage_crosses_two_closed_channels(net: &mut Net) {
    let Star { nodes: [alice, bob, carol, _], upstream, downstream, payments } = withheld(net);
    let incoming = net.offered().iter().map(|offer| offer.cltv_expiry.get()).max().unwrap_or_default();
    net.blind(bob);
    net.force_close(alice, upstream);
    net.force_close(carol, downstream[0]);
    net.mine(2);
    net.sees_again(bob);
    net.mine(1);
    // Two of one amount: which is the first depends on the keys.
    let claim =
        net.find_transaction("alice-bob/HED3a.0").or_else(|| net.find_transaction("alice-bob/HED3a.1"));
    let claimed = claim.and_then(|claim| net.mined_at(claim));
    assert!(claimed.is_some_and(|height| height < incoming), "bob claims with R before {incoming}");
    net.expect_success(payments[0]);
    net.settle();
    net.expect_settlement();
}

/// Bob's link to Alice is down when Carol gives him R: he closes that channel in time, and claims Alice's HTLC with R.
#[scenario(formats = "static_remotekey anchors", mutants = "no_deadline_for_fulfilled")]
fn preimage_comes_while_upstream_is_away(net: &mut Net) {
    let Star { nodes: [alice, bob, carol, dave], payments, .. } = withheld(net);
    let incoming = net.offered().iter().map(|offer| offer.cltv_expiry.get()).max().unwrap_or_default();
    net.disconnect(alice, bob);
    net.release(carol, bob);
    net.release(dave, bob);
    let wait = incoming - 18 - net.height();
    net.mine(wait - 1);
    assert!(net.mempool().is_empty(), "there is still time for alice to come back");
    net.mine(3);
    payments.iter().for_each(|payment| net.expect_success(*payment));
    let apart = net.find_transaction("alice-bob/HE3b.0");
    let claim = apart.or_else(|| net.find_transaction("alice-bob/HE3b.0+HE3b.1"));
    let claimed = claim.and_then(|claim| net.mined_at(claim));
    assert!(claimed.is_some_and(|height| height < incoming), "bob claims with R before {incoming}");
    net.settle();
    net.expect_settlement();
}
