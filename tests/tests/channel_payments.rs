//! Normal operation between two ends: HTLCs both ways, fees, limits, and what a peer may not do.
mod pair;

use leyden_core::channel::*;
use leyden_core::ids::Preimage;
use leyden_core::tx::{ChannelType, Side};
use leyden_core::units::{CltvExpiry, CommitmentNumber, FeeratePerKw, Msat, Sat};
use leyden_core::wire::Message;
use pair::*;
use std::sync::Arc;

const STATIC_AND_ANCHORS: [ChannelType; 2] = [ChannelType::StaticRemotekey, ChannelType::AnchorsZeroFeeHtlc];

#[test]
fn a_payment_moves_its_amount_and_is_told_at_each_point() {
    for channel_type in STATIC_AND_ANCHORS {
        let mut pair = Pair::open(Setup { channel_type, ..Setup::default() });
        pair.add(A, 1, 100_000_000).unwrap();
        assert_eq!(pair.effects(A), [Effect::CommitDue]);
        pair.drain();
        assert!(pair.effects(B).is_empty(), "nothing is received before it is committed");
        pair.settle();
        let received = received(&mut pair, B);
        assert_eq!((received.id, received.amount), (0, Msat::new(100_000_000)));
        assert_eq!(received.onion, offer(1, 0).onion);
        pair.assert_agreement();
        pair.effects(A);
        pair.command(B, Command::Fulfill { id: 0, preimage: preimage(1) }).unwrap();
        pair.drain();
        let origin = Origin::Own { attempt: 1 };
        assert_eq!(pair.effects(A), [Effect::Fulfilled { origin, preimage: preimage(1) }]);
        pair.settle();
        assert!(pair.effects(B).contains(&Effect::Settled { id: 0 }));
        pair.assert_agreement();
        assert_eq!(pair.channel(A).balances(), (Msat::new(400_000_000), Msat::new(600_000_000)));
        for who in [A, B] {
            let number = pair.channel(who).commitment_number(Side::Local);
            assert_eq!(number, Some(CommitmentNumber::new(2)), "one new commitment for each change");
        }
    }
}

#[test]
fn keys_derived_ahead_change_nothing_that_is_said_or_saved() {
    let [with, without] = [true, false].map(|ahead| {
        let mut pair = Pair::open(Setup::default());
        pair.ahead = ahead;
        pair.add(A, 1, 100_000_000).unwrap();
        pair.settle();
        pair.add(B, 2, 20_000_000).unwrap();
        pair.command(B, Command::Fulfill { id: 0, preimage: preimage(1) }).unwrap();
        pair.settle();
        [pair.a, pair.b].map(|end| (end.sent, end.saved))
    });
    assert_eq!(with, without);
}

#[test]
fn a_refused_htlc_goes_back_and_its_reason_arrives_when_it_is_irrevocable() {
    let mut pair = Pair::open(Setup::default());
    pair.add(A, 1, 100_000_000).unwrap();
    pair.add(A, 2, 50_000_000).unwrap();
    pair.settle();
    pair.command(B, Command::Fail { id: 0, reason: vec![7; 292] }).unwrap();
    let malformed = Command::FailMalformed { id: 1, sha256_of_onion: [3; 32], failure_code: 0xc005 };
    pair.command(B, malformed).unwrap();
    pair.effects(A);
    pair.drain();
    assert!(pair.effects(A).is_empty(), "a refusal is told only when it is irrevocable");
    pair.settle();
    let failed = |attempt, refusal| Effect::Failed { origin: Origin::Own { attempt }, refusal };
    let effects = pair.effects(A);
    assert!(effects.contains(&failed(1, Refusal::Encrypted(vec![7; 292]))));
    let malformed = Refusal::Malformed { sha256_of_onion: [3; 32], failure_code: 0xc005 };
    assert!(effects.contains(&failed(2, malformed)));
    pair.assert_agreement();
    assert_eq!(pair.channel(A).balances().0, Msat::new(500_000_000));
}

#[test]
fn htlcs_cross_in_both_directions_with_one_hash() {
    let mut pair = Pair::open(Setup::default());
    pair.add(A, 1, 10_000_000).unwrap();
    pair.add(B, 1, 20_000_000).unwrap();
    pair.command(A, Command::Commit).unwrap();
    pair.add(A, 1, 10_000_000).unwrap();
    pair.command(B, Command::Commit).unwrap();
    pair.settle();
    pair.assert_agreement();
    assert_eq!(pair.channel(A).htlcs().len(), 3, "N31: several HTLCs may have one hash");
    for (who, ids) in [(B, vec![0, 1]), (A, vec![0])] {
        for id in ids {
            pair.command(who, Command::Fulfill { id, preimage: preimage(1) }).unwrap();
        }
    }
    pair.settle();
    pair.assert_agreement();
    assert_eq!(pair.channel(A).balances().0, Msat::new(500_000_000));
}

#[test]
fn nothing_is_signed_without_a_change_or_before_a_revocation() {
    let mut pair = Pair::open(Setup::default());
    let signatures = |pair: &Pair, who| {
        let signed = |message: &&Message| matches!(message, Message::CommitmentSigned(_));
        pair.end(who).sent.iter().filter(signed).count()
    };
    pair.command(A, Command::Commit).unwrap();
    assert_eq!(signatures(&pair, A), 0, "N35: no change, no signature");
    pair.add(A, 1, 10_000_000).unwrap();
    pair.command(A, Command::Commit).unwrap();
    pair.effects(A);
    pair.add(A, 2, 10_000_000).unwrap();
    assert!(pair.effects(A).is_empty(), "no second signature while the revocation is awaited");
    pair.command(A, Command::Commit).unwrap();
    assert_eq!(signatures(&pair, A), 1);
    pair.deliver(B);
    pair.deliver(B);
    pair.deliver(A);
    assert!(pair.effects(A).contains(&Effect::CommitDue), "the revocation came and more is waiting");
    pair.settle();
    pair.assert_agreement();
}

#[test]
fn an_opener_changes_the_feerate_with_htlcs_pending() {
    for channel_type in STATIC_AND_ANCHORS {
        let mut pair = Pair::open(Setup { channel_type, ..Setup::default() });
        pair.add(B, 1, 30_000_000).unwrap();
        pair.add(A, 2, 30_000_000).unwrap();
        pair.command(A, Command::UpdateFee(FeeratePerKw::new(2500))).unwrap();
        pair.settle();
        pair.assert_agreement();
        for who in [A, B] {
            assert_eq!(pair.channel(who).feerate(), Some(FeeratePerKw::new(2500)));
        }
        let refused = pair.command(B, Command::UpdateFee(FeeratePerKw::new(3000)));
        assert_eq!(refused, Err(Rejection::NotOpener));
    }
}

#[test]
fn n37_a_wrong_fee_update_is_warned_about() {
    let cases: [(Who, u32, &str); 4] = [
        (B, 2000, "does not pay"),
        (A, 252, "not within"),
        (A, 1_000_000, "not within"),
        (A, 49_000, "cannot pay"),
    ];
    for (from, feerate, text) in cases {
        let push = Msat::new(970_000_000);
        let mut pair = Pair::open(Setup { push, ..Setup::default() });
        let update = Message::UpdateFee(leyden_core::wire::UpdateFee {
            channel_id: pair.channel(A).id(),
            feerate_per_kw: FeeratePerKw::new(feerate),
        });
        pair.receive(from.other(), update);
        let warning = pair.warning_of(from.other()).expect("a warning, and the connection closed");
        assert!(warning.contains(text), "{warning}");
    }
}

#[test]
fn n37_a_feerate_that_turns_htlcs_into_dust_fails_the_channel() {
    let feerate = FeeratePerKw::new(50_000);
    let cases = [
        (ChannelType::StaticRemotekey, 30_000_000, true),
        (ChannelType::StaticRemotekey, 5_000_000, false), // as much as may burn
        (ChannelType::AnchorsZeroFeeHtlc, 30_000_000, false), // its limit does not depend on the feerate
    ];
    for (channel_type, amount, fails) in cases {
        let mut pair = Pair::open(Setup { channel_type, ..Setup::default() });
        pair.add(B, 1, amount).unwrap();
        pair.settle();
        let channel_id = pair.channel(A).id();
        let update = leyden_core::wire::UpdateFee { channel_id, feerate_per_kw: feerate };
        pair.receive(B, Message::UpdateFee(update));
        let error = pair.error_of(B);
        assert_eq!(error.is_some_and(|error| error.contains("would burn")), fails, "{amount} msat");
    }
}

#[test]
fn n30_an_offer_against_the_rules_is_warned_about() {
    let limited = ChannelConfig {
        htlc_minimum: Msat::new(5_000),
        max_accepted_htlcs: 1,
        max_in_flight_percent: 20,
        ..ChannelConfig::default()
    };
    let setup = Setup { b: limited, ..Setup::default() };
    let cases: [(u64, u32, u64, &str); 7] = [
        (0, 500, 0, "or nothing"),
        (4_999, 500, 0, "htlc_minimum_msat"),
        (10_000, 500_000_000, 0, "is a time"),
        (10_000, 500, 1, "is next"),
        (200_000_001, 500, 0, "max_htlc_value_in_flight_msat"),
        (u64::MAX, 500, 0, "max_htlc_value_in_flight_msat"),
        (10_000, 500, 0, ""),
    ];
    for (amount, expiry, id, text) in cases {
        let mut pair = Pair::open(setup.clone());
        let add = |id| add_message(&pair, id, amount, expiry);
        let (first, second) = (add(id), add(id + 1));
        pair.receive(B, first);
        if text.is_empty() {
            assert_eq!(pair.warning_of(B), None);
            pair.receive(B, second);
            assert!(pair.warning_of(B).unwrap().contains("max_accepted_htlcs"));
        } else {
            let warning = pair.warning_of(B).expect("a warning, and the connection closed");
            assert!(warning.contains(text), "{warning}");
        }
    }
}

#[test]
fn n30_an_offer_that_touches_the_reserve_is_warned_about() {
    let mut pair = Pair::open(Setup::default());
    let (_, theirs) = pair.channel(B).balances();
    // Reserve 10,000 sat; the commitment with one HTLC costs 896 sat at 1000 sat/kw.
    let most = theirs.get() - 10_000_000 - 896_000;
    let (good, bad) = (add_message(&pair, 0, most, 500), add_message(&pair, 0, most + 1, 500));
    pair.receive(B, bad);
    assert!(pair.warning_of(B).unwrap().contains("reserve"));
    let mut pair = Pair::open(Setup::default());
    pair.receive(B, good);
    assert_eq!(pair.warning_of(B), None);
}

#[test]
fn our_own_offers_are_refused_before_they_break_a_rule() {
    let limited = ChannelConfig {
        htlc_minimum: Msat::new(5_000),
        max_accepted_htlcs: 2,
        max_in_flight_percent: 20,
        ..ChannelConfig::default()
    };
    let mut pair = Pair::open(Setup { b: limited, ..Setup::default() });
    let minimum = Msat::new(5_000);
    let too_small = |amount| Err(Rejection::HtlcTooSmall { amount: Msat::new(amount), minimum });
    assert_eq!(pair.add(A, 1, 0), too_small(0));
    assert_eq!(pair.add(A, 1, 4_999), too_small(4_999));
    let maximum = Msat::new(200_000_000);
    assert_eq!(pair.add(A, 1, 200_000_001), Err(Rejection::TooMuchInFlight { maximum }));
    let timed = Offer { cltv_expiry: CltvExpiry::new(500_000_000), ..offer(1, 10_000) };
    let refused = pair.command(A, Command::Add(timed));
    assert_eq!(refused, Err(Rejection::CltvExpiryIsTime { expiry: 500_000_000 }));
    pair.add(A, 1, 10_000_000).unwrap();
    pair.add(A, 2, 10_000_000).unwrap();
    assert_eq!(pair.add(A, 3, 10_000_000), Err(Rejection::TooManyHtlcs { maximum: 2 }));
    pair.settle();
    pair.assert_agreement();
}

#[test]
fn what_can_be_spent_is_exactly_what_is_accepted() {
    for channel_type in STATIC_AND_ANCHORS {
        for who in [A, B] {
            let mut pair = Pair::open(Setup { channel_type, ..Setup::default() });
            let spendable = pair.channel(who).spendable(&pair.env).get();
            let refused = pair.add(who, 1, spendable + 1);
            assert!(matches!(refused, Err(Rejection::Unaffordable { .. })), "{refused:?}");
            pair.add(who, 1, spendable).unwrap();
            pair.settle();
            assert_eq!(pair.warning_of(who.other()), None);
            pair.assert_agreement();
            assert_eq!(pair.channel(who).spendable(&pair.env), Msat::ZERO);
        }
    }
}

#[test]
fn n43_dust_beyond_the_limit_is_not_offered_and_is_told_when_received() {
    let careful = ChannelConfig { max_dust_htlc_exposure: Msat::new(500_000), ..ChannelConfig::default() };
    let mut pair = Pair::open(Setup { a: careful.clone(), ..Setup::default() });
    pair.add(A, 1, 300_000).unwrap();
    let refused = pair.add(A, 2, 300_000);
    assert!(matches!(refused, Err(Rejection::DustExposure { .. })), "{refused:?}");
    pair.add(A, 2, 30_000_000).unwrap();
    pair.add(B, 3, 300_000).unwrap();
    pair.settle();
    pair.assert_agreement();
    assert!(pair.channel(A).dust_exposure() > careful.max_dust_htlc_exposure);
    assert!(pair.channel(A).is_excess_dust(0));
    assert!(!pair.channel(B).is_excess_dust(0), "B allows more");
    assert!(!pair.channel(B).is_excess_dust(1));
}

#[test]
fn n33_a_wrong_preimage_or_an_unknown_htlc_is_warned_about() {
    let mut pair = Pair::open(Setup::default());
    pair.add(A, 1, 10_000_000).unwrap();
    pair.settle();
    let refused = pair.command(B, Command::Fulfill { id: 0, preimage: preimage(9) });
    assert_eq!(refused, Err(Rejection::WrongPreimage { id: 0 }));
    let refused = pair.command(B, Command::Fail { id: 1, reason: Vec::new() });
    assert_eq!(refused, Err(Rejection::UnknownHtlc { id: 1 }));
    for (id, preimage, text) in [(0, preimage(9), "preimage"), (1, preimage(1), "not one that can")] {
        let mut pair = Pair::open(Setup::default());
        pair.add(A, 1, 10_000_000).unwrap();
        pair.settle();
        let fulfill = fulfill_message(&pair, id, preimage);
        pair.receive(A, fulfill);
        assert!(pair.warning_of(A).unwrap().contains(text));
    }
}

#[test]
fn n33_nothing_is_settled_before_it_is_irrevocably_committed() {
    let mut pair = Pair::open(Setup::default());
    pair.add(A, 1, 10_000_000).unwrap();
    pair.drain();
    pair.command(A, Command::Commit).unwrap();
    pair.drain();
    let refused = pair.command(B, Command::Fulfill { id: 0, preimage: preimage(1) });
    assert_eq!(refused, Err(Rejection::UnknownHtlc { id: 0 }));
    let fulfill = fulfill_message(&pair, 0, preimage(1));
    pair.receive(A, fulfill);
    assert!(pair.warning_of(A).is_some());
}

#[test]
fn n34_a_malformed_refusal_needs_the_badonion_bit() {
    let mut pair = Pair::open(Setup::default());
    pair.add(A, 1, 10_000_000).unwrap();
    pair.settle();
    let malformed = Command::FailMalformed { id: 0, sha256_of_onion: [0; 32], failure_code: 5 };
    assert_eq!(pair.command(B, malformed), Err(Rejection::NotBadOnion { code: 5 }));
    pair.receive(
        A,
        Message::UpdateFailMalformedHtlc(leyden_core::wire::UpdateFailMalformedHtlc {
            channel_id: pair.channel(A).id(),
            id: 0,
            sha256_of_onion: [0; 32],
            failure_code: 5,
        }),
    );
    assert!(pair.warning_of(A).unwrap().contains("BADONION"));
}

#[test]
fn n35_a_bad_signature_fails_the_channel_and_our_commitment_goes_to_the_chain() {
    for case in ["commitment", "htlc", "count"] {
        let mut pair = Pair::open(Setup::default());
        pair.add(A, 1, 10_000_000).unwrap();
        pair.command(A, Command::Commit).unwrap();
        pair.b.inbox.pop_back();
        pair.deliver(B);
        let mut signed = pair.last(A, |message| match message {
            Message::CommitmentSigned(signed) => Some(signed.clone()),
            _ => None,
        });
        match case {
            "commitment" => signed.signature = signed.htlc_signatures[0],
            "htlc" => signed.htlc_signatures[0] = signed.signature,
            _ => signed.htlc_signatures.clear(),
        }
        pair.receive(B, Message::CommitmentSigned(signed));
        assert!(pair.error_of(B).unwrap().contains("signature"));
        let broadcasts = pair.broadcasts(B);
        assert_eq!(broadcasts.len(), 1);
        assert_eq!(broadcasts[0].0, Role::Commitment);
        assert_eq!(pair.channel(B).phase(), "on chain");
    }
}

#[test]
fn n36_a_wrong_secret_or_an_unasked_revocation_is_an_offence() {
    let mut pair = Pair::open(Setup::default());
    pair.add(A, 1, 10_000_000).unwrap();
    pair.command(A, Command::Commit).unwrap();
    while pair.deliver(B) {}
    let revocation = pair.last(B, |message| match message {
        Message::RevokeAndAck(revocation) => Some(revocation.clone()),
        _ => None,
    });
    pair.a.inbox.clear();
    let mut wrong = revocation.clone();
    wrong.per_commitment_secret = pair.b.seed.node_secret();
    pair.receive(A, Message::RevokeAndAck(wrong));
    assert!(pair.error_of(A).unwrap().contains("secret"));

    let mut pair = Pair::open(Setup::default());
    pair.receive(A, Message::RevokeAndAck(revocation));
    assert!(pair.warning_of(A).unwrap().contains("no signature of ours"));
}

#[test]
fn a_full_batch_in_both_directions_is_committed_and_settled_at_once() {
    let roomy =
        ChannelConfig { max_dust_htlc_exposure: Msat::new(1_000_000_000), ..ChannelConfig::default() };
    let setup = Setup { feerate: FeeratePerKw::new(253), a: roomy.clone(), b: roomy, ..Setup::default() };
    let mut pair = Pair::open(setup);
    for n in 0..25 {
        pair.add(A, n, 1_000_000).unwrap();
        pair.add(B, n, 1_000_000).unwrap();
    }
    pair.settle();
    pair.assert_agreement();
    for id in 0..25 {
        for who in [A, B] {
            pair.command(who, Command::Fulfill { id, preimage: preimage(id as u8) }).unwrap();
        }
    }
    pair.settle();
    pair.assert_agreement();
    assert!(pair.channel(A).htlcs().is_empty());
    assert!(pair.channel(A).commitment_number(Side::Local).unwrap() <= CommitmentNumber::new(6));
}

#[test]
fn a_broken_link_undoes_what_nobody_signed_and_the_channel_waits_for_its_peer() {
    let mut pair = Pair::open(Setup::default());
    pair.add(A, 1, 10_000_000).unwrap();
    pair.settle();
    pair.add(A, 2, 20_000_000).unwrap();
    pair.effects(A);
    pair.input(A, Input::Disconnected).unwrap();
    let origin = Origin::Own { attempt: 2 };
    assert_eq!(pair.effects(A), [Effect::Failed { origin, refusal: Refusal::NotCommitted }]);
    assert_eq!(pair.channel(A).htlcs().len(), 1);
    assert_eq!(pair.add(A, 3, 10_000_000), Err(Rejection::Offline));
    pair.input(A, Input::Connected).unwrap();
    assert!(!pair.channel(A).is_usable());
    pair.command(A, Command::Commit).unwrap();
}

fn received(pair: &mut Pair, who: Who) -> Received {
    let received = |effect| match effect {
        Effect::Received(received) => Some(received),
        _ => None,
    };
    pair.effects(who).into_iter().find_map(received).expect("an HTLC was received")
}

fn add_message(pair: &Pair, id: u64, amount: u64, expiry: u32) -> Message {
    Message::UpdateAddHtlc(leyden_core::wire::UpdateAddHtlc {
        channel_id: pair.channel(A).id(),
        id,
        amount_msat: Msat::new(amount),
        payment_hash: hash_of(1),
        cltv_expiry: CltvExpiry::new(expiry),
        onion_routing_packet: Arc::new([0; 1366]),
        path_key: None,
        unknown: Vec::new(),
    })
}

fn fulfill_message(pair: &Pair, id: u64, payment_preimage: Preimage) -> Message {
    let channel_id = pair.channel(A).id();
    let unknown = Vec::new();
    Message::UpdateFulfillHtlc(leyden_core::wire::UpdateFulfillHtlc {
        channel_id,
        id,
        payment_preimage,
        unknown,
    })
}

#[test]
fn the_reserve_is_the_least_that_either_side_keeps() {
    let pair = Pair::open(Setup::default());
    assert_eq!(pair.channel(A).limits(Side::Local).unwrap().reserve, Sat::new(10_000));
    assert_eq!(pair.channel(B).spendable(&pair.env), Msat::new(490_000_000));
    assert_eq!(pair.channel(A).receivable(), Msat::new(490_000_000));
}
