//! The boundaries of dust on the chain, satoshi by satoshi: what has no output is the miner's, what has one is somebody's.
use leyden_harness::prelude::*;

/// What every node here takes for dust.
const DUST: u64 = 354;

fn has_anchors(net: &mut Net, node: NodeRef, channel: ChannelRef) -> bool {
    net.channel(node, channel).terms.is_some_and(|terms| terms.channel_type.has_anchors())
}

/// An HTLC of Alice's one satoshi below the limit of the commitment that is mined, and exactly at it, with each of the two closing: below,
/// it is the miner's; at the limit it is an output, which Alice can take back, though it may not be worth its fee.
#[scenario(formats = "static_remotekey anchors")]
fn htlc_at_the_limit_on_the_chain(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    for (closer, claim) in [(alice, 663), (bob, 703)] {
        for below in [1, 0] {
            let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(500_000));
            let anchors = has_anchors(net, alice, channel);
            // Without anchors the HTLC must pay for the transaction that claims it, at 1000 sat/kw.
            let amount = DUST + if anchors { 0 } else { claim } - below;
            // Both commitments hold it, and Bob does not settle it while the one before may still come.
            net.next_messages(alice, bob, Kind::RevokeAndAck, 1, Fault::Hold);
            net.start_pay(alice, bob, sat(amount));
            net.run();
            let commitment = net.commitment(closer, channel);
            assert_eq!(commitment.htlcs.len(), usize::from(below == 0), "{amount} sat");
            net.force_close(closer, channel);
            net.mine(1);
            net.release(alice, bob);
            net.allow_dust(alice, amount);
        }
    }
    // At 1000 sat/kw the claim from Bob's commitment costs more than half of what it takes, and waits for better days.
    net.feerate(800);
    net.settle();
    net.expect_settlement();
}

/// Bob's balance is one satoshi below the dust limit, and exactly at it, with each of the two closing: below, it is the miner's; at
/// the limit it is an output (BOLT 3, "Trimmed Outputs"). Alice has her reserve and more.
#[scenario(formats = "static_remotekey anchors")]
fn balance_at_the_limit_on_the_chain(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    for closer in [alice, bob] {
        for balance in [DUST - 1, DUST] {
            let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(balance));
            // An anchor stands for each output that its owner has (BOLT 3, "`to_local_anchor` and `to_remote_anchor`").
            let each = if has_anchors(net, alice, channel) { 2 } else { 1 };
            let commitment = net.commitment(closer, channel).tx;
            let outputs = if balance < DUST { each } else { 2 * each };
            assert_eq!(commitment.output.len(), outputs, "{balance} sat");
            net.force_close(closer, channel);
            net.mine(1);
            net.allow_dust(bob, balance);
            net.allow_dust(alice, 330);
        }
    }
    net.settle();
    net.expect_settlement();
}
