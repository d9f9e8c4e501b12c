//! Shutdown scripts and fees of closing together: what the two may ask of each other, whoever begins.
use leyden_harness::prelude::*;

/// Where `scriptpubkey` begins in `shutdown`: behind type, channel id and length.
const SCRIPT: usize = 2 + 32 + 2;
/// Where the TLVs begin in `open_channel`, of which the first is an empty `upfront_shutdown_script`.
const OPENING_TLVS: usize = 2 + 32 + 32 + 6 * 8 + 4 + 2 * 2 + 6 * 33 + 1;

/// Mallory's shutdown names a script that is none of the allowed forms: Bob warns and hangs up. She names a good one after the
/// reconnection, and both close (BOLT 2, `shutdown`).
#[scenario(formats = "static_remotekey anchors", mutants = "takes_any_shutdown_script")]
fn bad_shutdown_script(net: &mut Net) {
    let [mallory, bob] = net.nodes(["mallory", "bob"]);
    let channel = net.open(mallory, bob, Open::sat(1_000_000).push_sat(400_000));
    let bad = Fault::Rewrite("a script of no form", |bytes| bytes[SCRIPT] = 0x76);
    net.next_messages(mallory, bob, Kind::Shutdown, 1, bad);
    net.close(mallory, channel);
    assert!(!net.are_connected(mallory, bob), "bob hangs up");
    assert!(net.mempool().is_empty());
    net.connect(mallory, bob);
    assert_eq!(net.mempool_labels(), ["X"]);
    net.settle();
    net.expect_settlement();
}

/// Alice bound herself to a script when the channel was opened. Who took over her node wants it closed to another: Bob does not do
/// that, and closes alone; her money is in his commitment (BOLT 2, `upfront_shutdown_script`).
#[scenario(formats = "static_remotekey anchors", mutants = "forgets_upfront_script")]
fn another_script_than_upfront(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let bound = Fault::Rewrite("an upfront_shutdown_script", |bytes| {
        let script = [&[0, 22, 0, 20][..], &[0x77; 20]].concat();
        bytes.splice(OPENING_TLVS..OPENING_TLVS + 2, script);
    });
    net.connect(alice, bob);
    net.next_messages(alice, bob, Kind::OpenChannel, 1, bound);
    let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(400_000));
    net.close(alice, channel);
    assert!(!net.are_connected(alice, bob), "bob hangs up");
    net.connect(alice, bob);
    assert!(!net.are_connected(alice, bob), "and again");
    assert!(net.mempool().is_empty());
    net.force_close(bob, channel);
    net.settle();
    net.expect_settlement();
}

/// Whoever begins to close, and whatever it wants to pay: the opener names the fee, and the acceptor takes it or picks its own.
#[scenario(formats = "static_remotekey anchors")]
fn close_fee_whoever_begins(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    // The feerate that the one who begins wants, and the fee for 676 weight; the other wants 1000 sat/kw.
    for (begins, wants, agreed) in
        [(alice, 1500, 1014), (alice, 500, 338), (bob, 1500, 1014), (bob, 500, 338)]
    {
        let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(400_000));
        net.start_close_at(begins, channel, wants);
        net.run();
        let paid_out: u64 = net.mempool()[0].output.iter().map(|output| output.value.to_sat()).sum();
        assert_eq!(1_000_000 - paid_out, agreed, "{} begins", net.name(begins));
        net.mine(1);
    }
    net.settle();
    net.expect_settlement();
}
