//! Fees on the chain with anchors: a child pays for the commitment, coins of the wallet pay for HTLC transactions, both rise
//! towards the deadline and stay within the budget.
use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};
use leyden_core::tx::{anchor_script, ChannelTerms};
use leyden_harness::prelude::*;

/// What the chain asks in a spike, in sat per 1000 weight.
const SPIKE: u32 = 5_000;

/// Alice pays a silent Carol through Bob: one HTLC stands in both commitments of Alice and Bob.
fn pending(net: &mut Net, config: &NodeConfig) -> ([NodeRef; 3], ChannelRef) {
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| net.node_with(name, config.clone()));
    let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(300_000));
    net.open(bob, carol, Open::sat(1_000_000));
    let invoice = net.invoice(carol, sat(50_000));
    net.silence(carol);
    net.start_pay_invoice(alice, &invoice);
    net.run();
    ([alice, bob, carol], channel)
}

/// The chain asks five times what the commitment pays: Alice's anchor and a coin of her wallet pay for it, in one block with it.
#[scenario]
fn child_pays_for_the_commitment(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(300_000));
    net.feerate(SPIKE);
    net.force_close(alice, channel);
    net.mine_paying(1, u64::from(SPIKE));
    let commitment = net.height();
    net.settle();
    assert_eq!(net.height_of("C1a"), commitment, "the child pays for it at once");
    net.expect_settlement();
}

/// The mempool is full, and its floor is above what the commitment pays: alone it is refused, with its child it is taken (BOLT 3,
/// anchors; Core's package relay).
#[scenario]
fn package_lifts_the_commitment_over_the_floor(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(300_000));
    net.fill_mempool(FeeratePerKw::new(2_000));
    assert!(net.mempool_floor() > FeeratePerKw::new(2_000));
    net.feerate(SPIKE);
    net.force_close(alice, channel);
    let commitment = net.transaction("C1a").compute_txid();
    assert!(net.waits(commitment), "taken together with the child");
    net.drain_mempool();
    net.settle();
    net.expect_settlement();
}

/// The spike comes after the commitment was published: at the next block its child pays what the chain asks now.
#[scenario]
fn child_comes_later_when_the_chain_asks_more(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(300_000));
    net.force_close(alice, channel);
    net.feerate(SPIKE);
    net.mine_paying(2, u64::from(SPIKE));
    net.settle();
    net.expect_settlement();
}

/// The spike comes between commitment and claim: the HTLC transaction and the sweeps pay what the chain asks then.
#[scenario(formats = "static_remotekey anchors")]
fn spike_between_commitment_and_claim(net: &mut Net) {
    let ([alice, ..], channel) = pending(net, &NodeConfig::default());
    net.force_close(alice, channel);
    net.mine(1);
    net.feerate(SPIKE);
    net.mine(150);
    net.settle();
    net.expect_settlement();
}

/// No block takes Bob's timeout of the HTLC that he forwarded until it pays four times the usual: its fee rises towards the expiry
/// of the incoming HTLC, and is mined before.
#[scenario(mutants = "fees_never_rise")]
fn forwarded_timeout_pays_more_towards_the_incoming_expiry(net: &mut Net) {
    let [alice, bob, carol, dave] = net.nodes(["alice", "bob", "carol", "dave"]);
    net.open(alice, bob, Open::sat(1_000_000));
    let channel = net.open(bob, carol, Open::sat(1_000_000));
    net.open(carol, dave, Open::sat(1_000_000));
    let invoice = net.invoice(dave, sat(50_000));
    net.silence(dave);
    net.start_pay_invoice(alice, &invoice);
    net.run();
    net.silence(carol);
    net.force_close(bob, channel);
    net.mine(1);
    let expiry = net.offered()[1].cltv_expiry.get();
    let incoming = net.offered()[0].cltv_expiry.get();
    let wait = expiry - net.height();
    net.mine(wait);
    net.mine_paying(incoming - expiry - 1, 4_000);
    net.settle();
    let timeout = net.height_of("bob-carol/HT2a");
    assert!(timeout < incoming, "mined at {timeout}, the incoming HTLC expires at {incoming}");
    net.expect_settlement();
}

/// A budget of three percent: in a spike the claim would cost more, and waits for better days.
#[scenario]
fn low_budget_waits(net: &mut Net) {
    let mut config = NodeConfig::default();
    config.channel.claim_budget_percent = 3;
    let ([alice, ..], channel) = pending(net, &config);
    net.force_close(alice, channel);
    net.mine(1);
    net.feerate(SPIKE);
    net.mine(150);
    net.feerate(1_000);
    net.settle();
    net.expect_settlement();
}

/// Sixteen blocks after the commitment anyone may take the anchors, which nobody needs any more: no one's money is touched.
#[scenario]
fn anchors_are_taken_by_a_third_party(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(300_000));
    net.force_close(alice, channel);
    net.mine(16);
    let terms = net.channel(alice, channel).terms.unwrap();
    let commitment = net.transaction("C1a");
    let sweep = sweep_without_keys(net, &commitment, &terms);
    net.submit(&sweep);
    net.allow_dust(alice, 660);
    net.settle();
    net.expect_settlement();
}

/// Both anchors of a commitment to Mallory, with the branch that needs no key (BOLT 3, "`to_local_anchor`").
fn sweep_without_keys(net: &mut Net, commitment: &Transaction, terms: &ChannelTerms) -> Transaction {
    let scripts = [terms.local, terms.remote].map(|party| anchor_script(&party.basepoints.funding_pubkey));
    let mut input = Vec::new();
    for (vout, output) in (0..).zip(&commitment.output) {
        let script = scripts.iter().find(|script| script.to_p2wsh() == output.script_pubkey);
        input.extend(script.map(|script| TxIn {
            previous_output: OutPoint { txid: commitment.compute_txid(), vout },
            script_sig: ScriptBuf::new(),
            sequence: Sequence::from_height(16),
            witness: Witness::from_slice(&[vec![], script.to_bytes()]),
        }));
    }
    let (_, public) = net.fresh_key();
    let script_pubkey = ScriptBuf::new_p2wpkh(&public.wpubkey_hash());
    net.owns("mallory", script_pubkey.clone());
    let output = vec![TxOut { value: Amount::from_sat(500), script_pubkey }];
    Transaction { version: Version::TWO, lock_time: LockTime::ZERO, input, output }
}

/// An opening that would leave the wallet without coins for its anchor channels is refused.
#[scenario]
fn reserve_for_anchors_is_kept(net: &mut Net) {
    net.start_coins(1_000_000);
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let why = net.try_open(alice, bob, Open::sat(995_000)).unwrap_err();
    assert!(why.contains("10000 sat that 1 channels with anchors need"), "{why}");
    let channel = net.open(alice, bob, Open::sat(900_000));
    net.close(alice, channel);
    net.settle();
    net.expect_settlement();
}
