//! What a peer can do to an HTLC-timeout that waits in the mempool (anchors): double-spend a part of a batch, replace it and take the
//! replacement away again, pin a claim with R that no one can replace.
use bitcoin::{Amount, Transaction, TxOut};
use leyden_core::channel::HtlcSpend;
use leyden_harness::net::Standing;
use leyden_harness::prelude::*;

/// Bob's commitment with HTLCs to Carol is mined and they have expired: his timeout waits in the mempool. Carol's node sleeps.
struct Expired {
    nodes: [NodeRef; 3],
    upstream: ChannelRef,
    payments: Vec<Payment>,
    /// Carol's claims with R.
    claims: Vec<HtlcSpend>,
    /// Carol's.
    coins: Vec<Coin>,
}

fn expired(net: &mut Net, amounts: &[u64], coins: usize) -> Expired {
    let nodes = net.nodes(["alice", "bob", "carol"]);
    let [alice, bob, carol] = nodes;
    let upstream = net.open(alice, bob, Open::sat(1_000_000));
    let channel = net.open(bob, carol, Open::sat(1_000_000));
    let coins = (0..coins).map(|_| net.coin("carol", 1_000_000)).collect();
    // One for each timeout: what waits in the mempool lends nothing to another.
    amounts.iter().skip(1).for_each(|_| net.fund(bob, 500_000));
    net.on_message(carol, bob, Kind::UpdateFulfillHtlc, Fault::Hold);
    let invoices: Vec<_> =
        amounts.iter().map(|amount| net.invoice_with_delta(carol, sat(*amount), Some(60))).collect();
    let payments: Vec<Payment> =
        invoices.iter().map(|invoice| net.start_pay_invoice(alice, invoice)).collect();
    net.run();
    net.dishonest(carol);
    net.sleep_node(carol);
    net.force_close(bob, channel);
    let outgoing = net.offered().iter().map(|offer| offer.cltv_expiry.get()).min().unwrap_or_default();
    let wait = outgoing - net.height();
    net.mine(wait);
    payments.iter().for_each(|payment| net.expect_pending(*payment));
    let commitment = net.transaction("bob-carol/C2a").compute_txid();
    let claims = net.peer_htlc_spends(net.state(carol, channel), commitment);
    assert_eq!(claims.len(), amounts.len());
    Expired { nodes, upstream, payments, claims, coins }
}

/// Bob's waiting timeouts.
fn timeouts(net: &mut Net) -> Vec<Transaction> {
    let waiting = net.mempool();
    waiting.into_iter().filter(|tx| tx.lock_time.to_consensus_u32() > 0).collect()
}

/// Carol double-spends one HTLC of Bob's batch at the lowest fee, when its fee has already risen: what is left is claimed apart, for
/// no less than the batch paid, and is in the next blocks.
#[scenario(mutants = "fees_fall_when_split")]
fn double_spend_of_a_batch_resets_no_fee(net: &mut Net) {
    let Expired { nodes, payments, claims, coins, .. } = expired(net, &[30_000, 40_000, 50_000], 1);
    let batch = timeouts(net);
    assert_eq!((batch.len(), batch[0].input.len()), (1, 4));
    net.mine_empty(20);
    net.dishonest(nodes[2]);
    let claim = net.build(&Spend::of(&claims[..1]).coins(&coins).fee(300));
    net.mine_these(vec![claim]);
    let waiting = timeouts(net);
    assert_eq!(waiting.len(), 2, "each alone");
    net.mine_paying(2, 3_000);
    for tx in waiting {
        let gone = net.mempool().iter().all(|other| other.compute_txid() != tx.compute_txid());
        assert!(gone, "it pays as much as before");
    }
    assert!(timeouts(net).is_empty());
    net.mine(6);
    let succeeded = |payment: &&Payment| matches!(net.standing(**payment), Standing::Succeeded { .. });
    let successes = payments.iter().filter(succeeded).count();
    assert_eq!(successes, 1, "of three, carol took one");
    net.settle();
    net.expect_settlement();
}

/// Replacement cycling: Carol's claim with R pushes Bob's timeout out, and leaves again with its other input. Bob has seen R, and
/// hands his timeout in again at every block.
#[scenario(mutants = "ignores_preimages_in_mempool")]
fn replacement_cycling_of_a_timeout(net: &mut Net) {
    let Expired { nodes: [_, _, carol], upstream, payments, claims, coins } = expired(net, &[50_000], 3);
    for coin in &coins {
        let waiting = timeouts(net);
        assert_eq!(waiting.len(), 1, "bob's timeout is there again");
        let claim = net.build(&Spend::of(&claims).coins(std::slice::from_ref(coin)).fee(20_000));
        let claim = net.replace(carol, waiting[0].compute_txid(), &claim);
        net.expect_success(payments[0]);
        let away = net.build(&Spend::of(&[]).coins(std::slice::from_ref(coin)).fee(40_000));
        net.replace(carol, claim, &away);
        assert!(timeouts(net).is_empty());
        net.mine(1);
    }
    net.expect_no_htlcs(upstream);
    net.mine(1);
    net.height_of("bob-carol/HT2a");
    net.settle();
    net.expect_settlement();
}

/// Pinning: Carol's claim with R pays little, and hangs on a child too dear to be pushed out. It is not mined and cannot be
/// replaced; Alice's HTLC is claimed with R all the same.
#[scenario(mutants = "ignores_preimages_in_mempool")]
fn pinned_claim_gives_its_preimage_away(net: &mut Net) {
    let Expired { nodes: [_, _, carol], upstream, payments, claims, coins } = expired(net, &[50_000], 1);
    net.dishonest(carol);
    let claim = net.build(&Spend::of(&claims).coins(&coins).fee(3_000));
    let waiting = timeouts(net);
    let claim_txid = net.replace(carol, waiting[0].compute_txid(), &claim);
    let change = Coin {
        outpoint: bitcoin::OutPoint::new(claim_txid, 0),
        output: claim.output[0].clone(),
        ..coins[0].clone()
    };
    let filler = TxOut { value: Amount::from_sat(300), script_pubkey: change.output.script_pubkey.clone() };
    let child = (0..700).fold(Spend::of(&[]).coins(&[change]), |child, _| child.output(filler.clone()));
    let child = net.build(&child.fee(60_000));
    let child = net.publish(carol, &child);
    net.run();
    net.mine_without(3, &[claim_txid, child]);
    net.expect_success(payments[0]);
    net.expect_no_htlcs(upstream);
    assert!(timeouts(net).is_empty(), "bob's timeout pays less than what it would push out");
    net.settle();
    net.expect_settlement();
}
