//! Dangers that were disclosed in the field, each met by the rule that is there for it: a funding that pays something else, fees
//! that burn HTLCs, signatures that no mempool takes, an onion that comes again.
use leyden_core::node::Notice;
use leyden_harness::net::code::INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS;
use leyden_harness::net::{Invoice, Standing};
use leyden_harness::prelude::*;

/// Whether the node closes the channel for a reason with these words.
fn closes(net: &Net, node: NodeRef, words: &str) -> bool {
    net.notices(node)
        .any(|notice| matches!(notice, Notice::ChannelClosing { why, .. } if why.contains(words)))
}

/// The opener's funding transaction pays a script of its own. The acceptor looks at it when it is mined, sends no channel_ready, and
/// forgets the channel: nothing was in it (BOLT 2, `channel_ready`).
#[scenario(formats = "static_remotekey anchors", mutants = "funding_is_not_checked funds_itself")]
fn funding_pays_something_else(net: &mut Net) {
    let [mallory, bob] = net.nodes(["mallory", "bob"]);
    let honest = net.open(mallory, bob, Open::sat(500_000));
    net.deviate(mallory, Mutant::FundsItself);
    let channel = net.open_unconfirmed(mallory, bob, Open::sat(1_000_000).push_sat(500_000));
    net.silence(mallory);
    net.mine(6);
    let id = net.channel_id(channel);
    let ready = |notice: &Notice| matches!(notice, Notice::ChannelReady { channel, .. } if *channel == id);
    assert!(!net.notices(bob).any(ready));
    assert!(net.find_channel(bob, channel).is_none(), "bob has forgotten it");
    net.speak(mallory);
    net.pay(mallory, bob, sat(1_000));
    net.expect_channel(honest, sat(499_000), sat(1_000));
    net.settle();
    net.expect_settlement();
}

/// HTLCs of 30,000 sat are pending to a silent Mallory, who opened the channel; she raises the feerate so that all would be dust for
/// her friend, the miner. Bob fails the channel before that is committed, and has all of it back (BOLT 2, `update_fee`).
#[scenario(formats = "static_remotekey", mutants = "takes_feerate_that_trims ignore_dust_exposure")]
fn feerate_that_burns_htlcs(net: &mut Net) {
    let [mallory, bob] = net.nodes(["mallory", "bob"]);
    let carol = net.node_with("carol", NodeConfig::default());
    let channel = net.open(mallory, bob, Open::sat(1_000_000).push_sat(400_000));
    net.open(mallory, carol, Open::sat(1_000_000));
    net.silence(carol);
    for _ in 0..4 {
        net.try_pay(bob, carol, sat(30_000));
    }
    let why = net.expect_fee_refused(mallory, channel, 50_000);
    assert!(why.contains("dust HTLCs would burn"), "{why}");
    net.deviate(mallory, Mutant::IgnoreDustExposure);
    net.update_fee(mallory, channel, 50_000);
    assert!(closes(net, bob, "dust HTLCs would burn"));
    net.feerate(1_000);
    net.mine(1);
    let commitment = net.transaction("mallory-bob/C5b");
    assert_eq!(commitment.output.len(), 6, "each HTLC still has its output");
    // Carol, once she speaks, has too few blocks left to take any.
    net.mine(FINAL_CLTV_SLACK);
    net.settle();
    net.expect_settlement();
}

/// Mallory, who opened the channel, proposes a feerate out of all reason, for a friend among the miners. Bob warns and hangs up;
/// it is never committed. She cannot take it back, so Bob closes alone (BOLT 2, `update_fee`).
#[scenario(formats = "static_remotekey anchors", mutants = "takes_any_feerate proposes_any_feerate")]
fn feerate_out_of_all_reason(net: &mut Net) {
    let [mallory, bob] = net.nodes(["mallory", "bob"]);
    let honest = net.open(mallory, bob, Open::sat(1_000_000).push_sat(400_000));
    let absurd = [60_000, 252];
    for absurd in absurd {
        let why = net.expect_fee_refused(mallory, honest, absurd);
        assert!(why.contains("is not within 253 sat/kw and 50000 sat/kw"), "{why}");
    }
    for absurd in absurd {
        let channel = net.open(mallory, bob, Open::sat(1_000_000).push_sat(400_000));
        net.deviate(mallory, Mutant::ProposesAnyFeerate);
        net.update_fee(mallory, channel, absurd);
        for _ in 0..2 {
            assert_eq!(net.channel(bob, channel).feerate.get(), 1_000, "{absurd} sat/kw is not taken");
            assert!(!net.are_connected(mallory, bob), "bob hangs up, again and again");
            net.connect(mallory, bob);
        }
        net.force_close(bob, channel);
        net.mine(1);
    }
    net.settle();
    net.expect_settlement();
}

/// Offset of the signature in `commitment_signed`: behind type and channel id.
const COMMITMENT_SIGNATURE: usize = 2 + 32;
/// Offset of the signature in `closing_signed`: behind the fee too.
const CLOSING_SIGNATURE: usize = 2 + 32 + 8;

/// Mallory's signature comes with a high S: valid on the curve, but no mempool takes a transaction with it. Bob fails the channel
/// with the commitment that he has (BOLT 2; BIP 146).
#[scenario(formats = "static_remotekey anchors", mutants = "takes_high_signatures")]
fn high_s_in_commitment_signed(net: &mut Net) {
    let [mallory, bob] = net.nodes(["mallory", "bob"]);
    let channel = net.open(mallory, bob, Open::sat(1_000_000).push_sat(400_000));
    net.dishonest(mallory);
    let high = Fault::Rewrite("a high S", |bytes| raise(bytes, COMMITMENT_SIGNATURE));
    net.next_messages(mallory, bob, Kind::CommitmentSigned, 1, high);
    // It would make her close too, and only one of them can be first.
    net.on_message(bob, mallory, Kind::Error, Fault::Drop);
    net.update_fee(mallory, channel, 2_000);
    assert!(closes(net, bob, "signature of the commitment transaction"));
    assert_eq!(net.mempool_labels(), ["C1b"]);
    net.settle();
    net.expect_settlement();
}

/// The same with the closing transaction: whoever gets it fails the channel, and closes alone.
#[scenario(formats = "static_remotekey anchors", mutants = "takes_high_signatures")]
fn high_s_in_closing_signed(net: &mut Net) {
    let [mallory, bob] = net.nodes(["mallory", "bob"]);
    let channel = net.open(mallory, bob, Open::sat(1_000_000).push_sat(400_000));
    net.dishonest(mallory);
    let high = Fault::Rewrite("a high S", |bytes| raise(bytes, CLOSING_SIGNATURE));
    net.next_messages(mallory, bob, Kind::ClosingSigned, 1, high);
    // It would make her close too, and only one of them can be first.
    net.on_message(bob, mallory, Kind::Error, Fault::Drop);
    net.close(bob, channel);
    assert!(closes(net, bob, "signature of the closing transaction"));
    net.settle();
    net.expect_settlement();
}

/// The order of the curve, of which S and its twin are the two halves (SEC 2, secp256k1).
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xba,
    0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
];

/// Puts the order less S in the place of S, of a signature (R, S) that begins here.
fn raise(bytes: &mut [u8], signature: usize) {
    let s = &mut bytes[signature + 32..signature + 64];
    let mut borrow = 0;
    for (digit, order) in s.iter_mut().zip(ORDER).rev() {
        let difference = i16::from(order) - i16::from(*digit) - borrow;
        borrow = i16::from(difference < 0);
        *digit = difference.rem_euclid(256) as u8;
    }
}

/// Mallory offers an onion again that was paid already, over Bob to Carol. It gets as far as Carol, who does not take one payment
/// twice, and comes back; Bob neither loses nor gains (BOLT 4, "Packet Structure", on replays).
#[scenario(formats = "static_remotekey anchors", mutants = "accept_paid_invoice one_session_key")]
fn replayed_onion(net: &mut Net) {
    let [mallory, bob, carol] = net.nodes(["mallory", "bob", "carol"]);
    let first = net.open(mallory, bob, Open::sat(1_000_000));
    let second = net.open(bob, carol, Open::sat(1_000_000));
    let paid = [10_000, 10_000].map(|amount| {
        let invoice = net.invoice(carol, sat(amount));
        let route = net.route(mallory, &[first, second], &invoice);
        let payment = net.pay_route(&route);
        net.expect_success(payment);
        onions_of(net, &invoice)
    });
    assert_ne!(paid[0][0][..KEY], paid[1][0][..KEY], "an honest sender has a key for each");
    net.deviate(mallory, Mutant::OneSessionKey);
    let invoice = net.invoice(carol, sat(50_000));
    let route = net.route(mallory, &[first, second], &invoice);
    let payment = net.pay_route(&route);
    net.expect_success(payment);
    let replay = net.pay_route(&route);
    let onions = onions_of(net, &invoice);
    assert_eq!((&onions[0], &onions[1]), (&onions[2], &onions[3]), "the same again, at each hop");
    assert_eq!(net.offers_of(&invoice), [(mallory, bob), (bob, carol), (mallory, bob), (bob, carol)]);
    net.expect_failure(replay, carol, INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS);
    net.settle();
    net.expect_settlement();
}

/// Mallory's onion is under way over Bob and Carol to Dave, who is silent, when Bob starts again. Her friend Eve offers Bob the same onion
/// over another channel: he remembers it, and passes nothing on. Dave is paid once, starts again too, and takes no replay either.
#[scenario(formats = "static_remotekey anchors", mutants = "loses_forwards_at_restart accept_paid_invoice")]
fn replayed_onion_after_a_restart(net: &mut Net) {
    let [mallory, eve, bob, carol, dave] = net.nodes(["mallory", "eve", "bob", "carol", "dave"]);
    let [first, other, second, third] = [(mallory, bob), (eve, bob), (bob, carol), (carol, dave)]
        .map(|(opener, acceptor)| net.open(opener, acceptor, Open::sat(1_000_000)));
    net.deviate(mallory, Mutant::OneSessionKey);
    let invoice = net.invoice(dave, sat(50_000));
    net.silence(dave);
    let route = net.route(mallory, &[first, second, third], &invoice);
    let payment = net.start_pay_route(&route);
    net.run();
    net.restart(bob);
    net.expect_pending(payment);

    let same = Fault::Put("the onion of another", ONION, onions_of(net, &invoice).swap_remove(0).leak());
    net.dishonest(eve);
    net.next_messages(eve, bob, Kind::UpdateAddHtlc, 1, same);
    let eves = net.route(eve, &[other, second, third], &invoice);
    let replay = net.pay_route(&eves);
    assert!(matches!(net.standing(replay), Standing::Failed { .. }));
    let offers = [(mallory, bob), (bob, carol), (carol, dave), (eve, bob)];
    assert_eq!(net.offers_of(&invoice), offers, "bob passes nothing on");

    net.speak(dave);
    net.expect_success(payment);
    net.restart(dave);
    let late = net.pay_route(&route);
    net.expect_failure(late, dave, INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS);
    net.settle();
    net.expect_settlement();
}

/// Where the onion of an `update_add_htlc` begins: behind type, channel, id, amount, payment hash and expiry.
const ONION: usize = 2 + 32 + 8 + 8 + 32 + 4;

/// Where the key of an onion ends, which stands in front with its version.
const KEY: usize = 1 + 33;

/// Every onion that was offered for this invoice, in order.
fn onions_of(net: &Net, invoice: &Invoice) -> Vec<Vec<u8>> {
    let offers = net.offered().iter().filter(|offer| offer.payment_hash == invoice.payment_hash);
    offers.map(|offer| offer.onion.to_vec()).collect()
}
