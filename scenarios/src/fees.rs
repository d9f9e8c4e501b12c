//! The commitments' feerate, which the opener pays and alone may change.
use leyden_harness::prelude::*;

/// The feerate goes up and down while an HTLC is pending; then the recipient speaks and all is settled.
#[scenario(formats = "static_remotekey anchors")]
fn fee_update_with_htlc_pending(net: &mut Net) {
    let [alice, bob, carol] = net.nodes(["alice", "bob", "carol"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000));
    net.open(bob, carol, Open::sat(1_000_000));
    net.silence(carol);
    let payment = net.try_pay(alice, carol, sat(100_000));
    for feerate in [4000, 500, 2000] {
        net.update_fee(alice, channel, feerate);
        for node in [alice, bob] {
            let info = net.channel(node, channel);
            assert_eq!((info.feerate.get(), info.pending_htlcs), (feerate, 1));
        }
    }
    net.expect_pending(payment);
    net.speak(carol);
    net.expect_success(payment);
    net.force_close(alice, channel);
    net.settle();
    net.expect_settlement();
}

/// The opener refuses a feerate that it cannot pay above its reserve, and takes the highest that it can.
#[scenario(formats = "static_remotekey anchors", mutants = "unaffordable_fee")]
fn fee_update_unaffordable(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    // Alice has 5,000 sat, of which 1 % of the channel, 1,000 sat, are her reserve.
    let channel = net.open(alice, bob, Open::sat(100_000).push_sat(95_000));
    let highest = match channel_type(net, alice, channel) {
        ChannelType::StaticRemotekey => 5526,    // 724 weight: 4,000 sat
        ChannelType::AnchorsZeroFeeHtlc => 2972, // 1,124 weight: 3,340 sat, and 660 sat for two anchors
    };
    let why = net.expect_fee_refused(alice, channel, highest + 1);
    assert_eq!(
        why,
        format!("a feerate of {} sat/kw is more than can be paid above the reserve", highest + 1)
    );
    assert_eq!(net.channel(bob, channel).feerate.get(), 1000);
    net.update_fee(alice, channel, highest);
    assert_eq!(net.channel(bob, channel).feerate.get(), highest);
    net.settle();
    net.expect_settlement();
}

/// The acceptor pays no fee and may not change it.
#[scenario(mutants = "acceptor_changes_fee")]
fn fee_update_by_acceptor(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(500_000));
    let why = net.expect_fee_refused(bob, channel, 2000);
    assert_eq!(why, "only the opener changes the feerate");
    assert_eq!(net.channel(alice, channel).feerate.get(), 1000);
    net.settle();
    net.expect_settlement();
}

fn channel_type(net: &mut Net, node: NodeRef, channel: ChannelRef) -> ChannelType {
    net.channel(node, channel).terms.expect("the channel is open").channel_type
}
