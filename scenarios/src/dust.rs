//! Payments too small for an output of their own: where exactly trimming begins, and how many a channel takes.
use leyden_harness::net::code::TEMPORARY_CHANNEL_FAILURE;
use leyden_harness::net::Invoice;
use leyden_harness::prelude::*;

/// A forwarder that takes no fee, so that one amount travels all the way.
fn free_of_charge() -> NodeConfig {
    let mut config = NodeConfig::default();
    config.forward.fee_base = Msat::ZERO;
    config.forward.fee_proportional_millionths = 0;
    config
}

/// HTLCs one satoshi below and exactly at each side's limit, pending: who has an output for them, and what the miner gets.
#[scenario(formats = "static_remotekey anchors")]
fn dust_begins_one_satoshi_below_the_limit(net: &mut Net) {
    let [alice] = net.nodes(["alice"]);
    let bob = net.node_with("bob", free_of_charge());
    let [carol] = net.nodes(["carol"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(500_000));
    net.open(bob, carol, Open::sat(1_000_000));
    let format = net.channel(alice, channel).terms.map(|terms| terms.channel_type);
    // The dust limit of 354 sat and, without anchors, the fee of the transaction that would claim the output at
    // 1000 sat/kw: HTLC-timeout (663) for Alice, who offers, HTLC-success (703) for Bob. `fee` is the commitment's own.
    let (at_alice, at_bob, fee) = match format {
        Some(ChannelType::StaticRemotekey) => (354 + 663, 354 + 703, 724),
        _ => (354, 354, 1124),
    };
    for amount in [at_alice - 1, at_alice, at_bob - 1, at_bob] {
        net.silence(carol);
        let payment = net.start_pay(alice, carol, sat(amount));
        net.run();
        net.expect_pending(payment);
        for (node, limit) in [(alice, at_alice), (bob, at_bob)] {
            let commitment = net.commitment(node, channel);
            let (outputs, trimmed) = (commitment.htlcs.len(), commitment.trimmed.len());
            let (wanted, miner) = if amount < limit { ((0, 1), fee + amount) } else { ((1, 0), fee + 172) };
            let name = net.name(node);
            assert_eq!((outputs, trimmed), wanted, "{name}'s commitment with an HTLC of {amount} sat");
            assert_eq!(commitment.fee, Sat::new(miner), "{name}'s commitment fee with {amount} sat");
        }
        net.speak(carol);
        net.expect_success(payment);
    }
    let paid = at_alice - 1 + at_alice + at_bob - 1 + at_bob;
    net.expect_channel(channel, sat(500_000 - paid), sat(500_000 + paid));
    net.settle();
    net.expect_settlement();
}

/// Dust that would go to the miner is bounded: of 15 payments of 353 sat at once, 14 fit into 5000 sat; the sender refuses the 15th.
#[scenario(formats = "static_remotekey anchors", mutants = "ignore_dust_exposure")]
fn sender_bounds_its_dust(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000));
    let payments = pay_dust(net, alice, bob, 15);
    let (last, others) = payments.split_last().expect("15 payments");
    others.iter().for_each(|payment| net.expect_success(*payment));
    net.expect_refused_pay(*last, "dust HTLCs would burn");
    net.expect_channel(channel, sat(1_000_000 - 14 * 353), sat(14 * 353));
    net.pay(alice, bob, sat(353));
    net.settle();
    net.expect_settlement();
}

/// A sender that does not care meets a recipient that does: the 15th is refused there with temporary_channel_failure.
#[scenario(formats = "static_remotekey anchors", mutants = "take_excess_dust")]
fn recipient_bounds_its_dust(net: &mut Net) {
    let mut careless = NodeConfig::default();
    careless.channel.max_dust_htlc_exposure = sat(1_000_000);
    let alice = net.node_with("alice", careless);
    let [bob] = net.nodes(["bob"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000));
    let payments = pay_dust(net, alice, bob, 15);
    let (last, others) = payments.split_last().expect("15 payments");
    others.iter().for_each(|payment| net.expect_success(*payment));
    net.expect_failure(*last, bob, TEMPORARY_CHANNEL_FAILURE);
    net.expect_channel(channel, sat(1_000_000 - 14 * 353), sat(14 * 353));
    net.expect_no_htlcs(channel);
    net.settle();
    net.expect_settlement();
}

/// So many payments of 353 sat at once.
fn pay_dust(net: &mut Net, from: NodeRef, to: NodeRef, count: usize) -> Vec<Payment> {
    let invoices: Vec<Invoice> = (0..count).map(|_| net.invoice(to, sat(353))).collect();
    let payments = invoices.iter().map(|invoice| net.start_pay_invoice(from, invoice)).collect();
    net.run();
    payments
}
