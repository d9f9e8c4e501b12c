//! Broken links and restarts (BOLT 2, "Message Retransmission", duties N50 to N54): whatever was lost on the way, both ends
//! come to the same commitments, each HTLC has one outcome, and a side that lost states never publishes what it revoked.
mod pair;

use leyden_core::channel::*;
use leyden_core::tx::{ChannelType, Side};
use leyden_core::units::{FeeratePerKw, Msat};
use leyden_core::wire::{ChannelReestablish, ErrorMessage, Message, TlvRecord};
use pair::drive::*;
use pair::*;
use proptest::prelude::*;
use std::panic::{catch_unwind, AssertUnwindSafe};

const FAULTS: [Fault; 4] = [Fault::Link, Fault::Restart(&[A]), Fault::Restart(&[B]), Fault::Restart(&[A, B])];
const MOMENTS: [Moment; 3] = [Moment::Arrived, Moment::Answered, Moment::Signed];
/// What A begins with.
const BEGIN: u64 = 500_000_000;

/// Something that two ends do, and what must hold when it is over.
#[derive(Clone, Copy)]
struct Traffic {
    begin: fn() -> Pair,
    judge: fn(&Drive),
}

/// Updates of each kind in both directions at once.
const DANCE: Traffic = Traffic { begin: dance, judge: |drive| drive.assert_resolved(BEGIN, &OFFERS) };
const OFFERS: [(Who, u8, u64); 6] = [
    (A, 1, 10_000_000),
    (A, 2, 20_000_000),
    (A, 4, 3_000_000),
    (B, 5, 40_000_000),
    (B, 6, 50_000_000),
    (B, 9, 100_000),
];
/// One payment.
const PAYMENT: Traffic =
    Traffic { begin: payment, judge: |drive| drive.assert_resolved(BEGIN, &OFFERS[..1]) };
/// A new feerate.
const FEE: Traffic = Traffic { begin: fee, judge: judge_fee };
/// A close while an HTLC is pending.
const CLOSE: Traffic = Traffic { begin: close, judge: judge_close };

fn dance() -> Pair {
    let mut pair = Pair::open(Setup::default());
    for (who, n, amount) in OFFERS {
        pair.add(who, n, amount).unwrap();
    }
    pair
}

fn payment() -> Pair {
    let mut pair = Pair::open(Setup::default());
    let (who, n, amount) = OFFERS[0];
    pair.add(who, n, amount).unwrap();
    pair
}

fn fee() -> Pair {
    let mut pair = payment();
    pair.command(A, Command::UpdateFee(FeeratePerKw::new(2000))).unwrap();
    pair
}

fn judge_fee(drive: &Drive) {
    drive.assert_resolved(BEGIN, &OFFERS[..1]);
    let feerates = [A, B].map(|who| drive.pair.channel(who).feerate().unwrap().get());
    // Lost only with the memory of who wanted it.
    assert!(feerates == [2000, 2000] || feerates == [1000, 1000], "{feerates:?}");
}

fn close() -> Pair {
    let mut pair = payment();
    pair.add(B, 5, 40_000_000).unwrap();
    pair.command(A, Command::Commit).unwrap();
    pair.command(B, Command::Close { script: None, feerate: None }).unwrap();
    pair
}

/// Both have the same X; or one has it, and the other, who did not get it, was told that the channel is over.
fn judge_close(drive: &Drive) {
    let pair = &drive.pair;
    let [a, b] = [A, B].map(|who| pair.broadcasts(who));
    assert_eq!((a.len(), b.len()), (1, 1), "{:?}, {:?}", pair.warning_of(A), pair.error_of(B));
    for who in [A, B] {
        assert_eq!((pair.channel(who).phase(), pair.warning_of(who)), ("on chain", None));
    }
    if a == b {
        return assert_eq!((pair.error_of(A), pair.error_of(B)), (None, None));
    }
    assert_eq!([a[0].0, b[0].0].iter().filter(|role| **role == Role::Closing).count(), 1);
    let said = pair.error_of(A).or(pair.error_of(B)).unwrap();
    assert!(said.contains("closed on the chain"), "{said}");
    assert!(pair.channel(A).htlcs().is_empty() && pair.channel(B).htlcs().is_empty());
}

/// Plays the traffic with these breaks; the number of messages that it took.
fn play(traffic: Traffic, order: Order, breaks: Vec<Break>, mutant: Option<Mutant>) -> usize {
    let mut pair = (traffic.begin)();
    pair.env = pair.env.with(mutant);
    // What an end wants before the first message.
    let due = [A, B].map(|who| pair.end(who).effects.contains(&Effect::CommitDue));
    let mut drive = Drive::new(pair, order, breaks);
    for (who, due) in [A, B].into_iter().zip(due) {
        if due {
            drive.expect_signature_of(who);
        }
    }
    drive.run();
    (traffic.judge)(&drive);
    drive.delivered
}

/// Breaks the link once around every message, in every order of messages. Not every order with every fault: the orders differ
/// in what is on its way, the faults in what is remembered.
fn break_everywhere(traffic: Traffic, mutant: Option<Mutant>) {
    let [link, one, other, both] = FAULTS;
    let [arrived, answered, signed] = MOMENTS;
    let turns = [(arrived, link), (answered, both), (signed, one), (signed, other)];
    let plans: [(Order, &[(Moment, Fault)]); 3] =
        [(Order::InTurn, &turns), (Order::To(A), &[(signed, both)]), (Order::To(B), &[(signed, link)])];
    for (order, faults) in plans {
        for after in 0..=play(traffic, order, Vec::new(), None) {
            for (at, fault) in faults.iter().copied() {
                let broken = Break { after, at, fault };
                let result = catch_unwind(AssertUnwindSafe(|| play(traffic, order, vec![broken], mutant)));
                assert!(result.is_ok(), "{order:?}, {broken:?}");
            }
        }
    }
}

#[test]
fn n53_updates_of_each_kind_survive_a_break_at_any_moment() {
    break_everywhere(DANCE, None);
}

#[test]
fn n53_a_feerate_survives_a_break_at_any_moment() {
    break_everywhere(FEE, None);
}

#[test]
fn n53_a_close_survives_a_break_at_any_moment() {
    break_everywhere(CLOSE, None);
}

#[test]
fn mutants_that_repeat_wrongly_do_not_survive_the_breaks() {
    let mutants = [
        (Mutant::SignatureBeforeRevocation, DANCE),
        (Mutant::ForgetProposedRemovals, PAYMENT),
        (Mutant::NoSignatureAgain, PAYMENT),
    ];
    for (mutant, traffic) in mutants {
        let survived = catch_unwind(AssertUnwindSafe(|| break_everywhere(traffic, Some(mutant)))).is_ok();
        assert!(!survived, "{mutant:?} survived");
    }
}

#[test]
fn a_mutant_that_listens_too_early_takes_an_update_in() {
    let mut pair = Pair::open(Setup::default());
    pair.add(A, 1, 10_000_000).unwrap();
    let message = pair.a.sent.last().cloned().unwrap();
    pair.cut();
    pair.connect();
    pair.env = pair.env.with(Some(Mutant::ListenBeforeReestablish));
    pair.receive(B, message);
    assert_eq!(pair.warning_of(B), None);
}

#[test]
fn a_mutant_that_fell_behind_publishes_what_it_revoked() {
    let mut pair = traded();
    let old = pair.a.saved.clone();
    pair.add(A, 7, 30_000_000).unwrap();
    pair.settle();
    pair.cut();
    pair.restart(A, &old);
    pair.env = pair.env.with(Some(Mutant::BroadcastThoughFallenBehind));
    pair.connect();
    pair.deliver(A);
    assert_eq!(pair.broadcasts(A)[0].0, Role::Commitment);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_traffic_survives_any_breaks(
        offers in prop::collection::vec((any::<bool>(), 1_000..60_000_000_u64), 1..8),
        feerate in prop::option::of(500..3_000_u32),
        order in 0..3_usize,
        breaks in prop::collection::vec((0..60_usize, 0..3_usize, 0..4_usize), 1..6),
    ) {
        let mut pair = Pair::open(Setup::default());
        let mut made = Vec::new();
        for (n, (from_a, amount)) in (1..).zip(offers) {
            let who = if from_a { A } else { B };
            // What is too much is refused, and that is all.
            if pair.add(who, n, amount).is_ok() {
                made.push((who, n, amount));
            }
        }
        if let Some(feerate) = feerate {
            let _ = pair.command(A, Command::UpdateFee(FeeratePerKw::new(feerate)));
        }
        let planned = |(after, at, fault): (usize, usize, usize)| {
            Break { after, at: MOMENTS[at], fault: FAULTS[fault] }
        };
        let order = [Order::To(A), Order::To(B), Order::InTurn][order];
        let mut drive = Drive::new(pair, order, breaks.into_iter().map(planned).collect());
        [A, B].into_iter().for_each(|who| drive.expect_signature_of(who));
        drive.run();
        drive.assert_resolved(BEGIN, &made);
    }
}

#[test]
fn a_channel_begins_after_a_break_at_any_moment() {
    for fault in FAULTS {
        for after in 0..=4 {
            let mut pair = Pair::funded(Setup::default());
            let tx = pair.funding_tx.clone().unwrap();
            pair.mine(vec![tx]);
            if after == 0 {
                pair.cut();
            }
            pair.mine_empty(2);
            for n in 1..after {
                pair.deliver(if n % 2 == 0 { A } else { B });
            }
            let breaks = vec![Break { after: 0, at: Moment::Signed, fault }];
            let mut drive = Drive::new(pair, Order::InTurn, breaks);
            drive.run();
            let mut pair = drive.pair;
            for who in [A, B] {
                assert!(pair.channel(who).is_usable(), "{fault:?} after {after}");
                let ready = |effect: &&Effect| matches!(effect, Effect::Ready { .. });
                assert_eq!(pair.end(who).effects.iter().filter(ready).count(), 1);
            }
            pair.add(A, 1, 10_000_000).unwrap();
            pair.settle();
            pair.assert_agreement();
        }
    }
}

#[test]
fn a_second_break_while_the_first_is_being_healed_costs_nothing() {
    let length = play(DANCE, Order::InTurn, Vec::new(), None);
    for after in 0..=length {
        for later in [1, 2, 4] {
            let fault = FAULTS[(after + later) % 4];
            let first = Break { after, at: Moment::Signed, fault: Fault::Link };
            let second = Break { after: after + later, at: Moment::Answered, fault };
            let both = vec![first, second];
            let result = catch_unwind(AssertUnwindSafe(|| play(DANCE, Order::InTurn, both.clone(), None)));
            assert!(result.is_ok(), "{both:?}");
        }
    }
}

#[test]
fn n50_nothing_counts_before_the_peers_channel_reestablish() {
    let mut before = Pair::open(Setup::default());
    before.add(A, 1, 10_000_000).unwrap();
    before.command(A, Command::Commit).unwrap();
    before.command(B, Command::Close { script: None, feerate: None }).unwrap();
    let mut messages = before.a.sent.split_off(before.a.sent.len() - 2);
    messages.extend(before.b.sent.last().cloned());
    messages.push(before.last(A, |sent| matches!(sent, Message::ChannelReady(_)).then(|| sent.clone())));
    for message in messages {
        let mut pair = Pair::open(Setup::default());
        pair.cut();
        pair.connect();
        let state = pair.channel(B).commitment_number(Side::Local);
        pair.receive(B, message.clone());
        let warning = pair.warning_of(B).expect("it warns and hangs up");
        assert!(warning.contains("before channel_reestablish"), "{warning}");
        assert_eq!(pair.channel(B).commitment_number(Side::Local), state);
        // The channel itself goes on.
        pair.cut();
        pair.connect();
        pair.drain();
        assert!(pair.channel(A).is_usable() && pair.channel(B).is_usable());
        pair.assert_agreement();
    }
}

#[test]
fn a_second_channel_reestablish_is_out_of_order() {
    let mut pair = Pair::open(Setup::default());
    let message = Message::ChannelReestablish(position(&mut pair, A));
    pair.receive(B, message.clone());
    assert!(pair.channel(B).is_usable());
    pair.receive(B, message);
    assert!(pair.warning_of(B).unwrap().contains("channel_reestablish is not expected"));
}

#[test]
fn n51_numbers_that_cannot_be_fail_the_channel() {
    // A has commitment 2 and revoked two; so has B.
    type Change = fn(&mut ChannelReestablish);
    let wrong: [(&str, Change); 7] = [
        ("next_commitment_number 0", |message| message.next_commitment_number = 0),
        ("next_commitment_number 2", |message| message.next_commitment_number = 2),
        ("next_commitment_number 4", |message| message.next_commitment_number = 4),
        ("next_revocation_number 0", |message| message.next_revocation_number = 0),
        ("next_revocation_number 3", |message| message.next_revocation_number = 3),
        ("next_revocation_number 18446744073709551615", |message| {
            message.next_revocation_number = u64::MAX;
        }),
        ("your_last_per_commitment_secret", |message| message.your_last_per_commitment_secret[0] ^= 1),
    ];
    for (words, change) in wrong {
        let mut pair = traded();
        let mut message = position(&mut pair, A);
        change(&mut message);
        pair.receive(B, Message::ChannelReestablish(message));
        let error = pair.error_of(B).unwrap_or_else(|| panic!("{words}: no error"));
        assert!(error.contains(words), "{error}");
        let broadcasts = pair.broadcasts(B);
        assert_eq!(broadcasts.len(), 1, "{words}");
        assert_eq!(broadcasts[0].0, Role::Commitment);
        // The error makes the peer fail the channel too.
        pair.a.inbox.retain(|bytes| matches!(Message::decode(bytes), Ok(Message::Error(_))));
        pair.drain();
        assert_eq!(pair.channel(A).phase(), "on chain");
    }
}

#[test]
fn n51_a_peer_on_the_chain_and_one_that_forgot_the_channel_fail_it() {
    let mut pair = traded();
    pair.cut();
    pair.command(B, Command::ForceClose).unwrap();
    pair.connect();
    pair.drain();
    assert_eq!(pair.channel(A).phase(), "on chain");
    assert_eq!(pair.broadcasts(A)[0].0, Role::Commitment);
}

#[test]
fn an_acceptor_forgets_an_unfunded_channel_that_its_opener_forgot() {
    for push in [0, 1_000] {
        let mut pair = Pair::funded(Setup { push: Msat::new(push), ..Setup::default() });
        pair.cut();
        let (channel_id, data) = (pair.channel(B).id(), b"no such channel".to_vec());
        pair.receive(B, Message::Error(ErrorMessage { channel_id, data }));
        assert_eq!(pair.channel(B).is_done(), push == 0, "what is ours is not given up");
        assert!(pair.broadcasts(B).is_empty(), "nothing can be spent before the funding is mined");
        let funding = pair.funding_tx.clone().unwrap();
        pair.mine(vec![funding]);
        let handed = pair.broadcasts(B).iter().map(|(role, _)| *role).collect::<Vec<_>>();
        assert_eq!(handed, if push == 0 { vec![] } else { vec![Role::Commitment] });
    }
}

#[test]
fn n52_a_side_that_lost_states_waits_for_its_peer() {
    let mut pair = traded();
    let old = pair.a.saved.clone();
    pair.add(A, 7, 30_000_000).unwrap();
    pair.settle();
    pair.cut();
    pair.restart(A, &old);
    pair.connect();
    pair.deliver(A);
    assert_eq!(pair.channel(A).phase(), "fallen behind");
    assert!(pair.error_of(A).unwrap().contains("please close the channel"));
    for command in [
        Command::ForceClose,
        Command::Close { script: None, feerate: None },
        Command::UpdateFee(FeeratePerKw::new(2000)),
        Command::Add(offer(8, 1_000_000)),
    ] {
        assert_eq!(pair.command(A, command), Err(Rejection::FallenBehind));
    }
    // A restart, a reconnection, an error of the peer: nothing makes it publish or sign.
    let saved = pair.a.saved.clone();
    pair.restart(A, &saved);
    pair.input(A, Input::Connected).unwrap();
    pair.drain();
    pair.command(A, Command::Commit).unwrap();
    let channel_id = pair.channel(A).id();
    let data = b"your fault".to_vec();
    pair.receive(A, Message::Error(ErrorMessage { channel_id, data }));
    assert_eq!((pair.channel(A).phase(), pair.broadcasts(A)), ("fallen behind", Vec::new()));
    // The peer closes with its newest, and A sees it.
    let (role, commitment) = pair.broadcasts(B).remove(0);
    assert_eq!(role, Role::Commitment);
    pair.mine(vec![commitment]);
    assert_eq!(pair.channel(A).phase(), "on chain");
    assert_eq!(pair.broadcasts(A).iter().filter(|(role, _)| *role == Role::Commitment).count(), 0);
}

#[test]
fn n52_an_old_record_is_noticed_however_little_it_lacks() {
    let mut records = Vec::new();
    let mut pair = traded();
    pair.add(A, 7, 30_000_000).unwrap();
    pair.add(B, 9, 30_000_000).unwrap();
    let mut drive = Drive::new(pair, Order::InTurn, Vec::new());
    for who in [A, B] {
        drive.expect_signature_of(who);
    }
    while drive.step() {
        records.push(drive.pair.a.saved.clone());
    }
    let pair = &mut drive.pair;
    let newest = pair.channel(A).commitment_number(Side::Local).unwrap();
    records.dedup();
    let mut noticed = 0;
    for record in &records[..records.len() - 1] {
        let old = Channel::decode(record, |index| pair.a.seed.channel_keys(index)).unwrap();
        let revoked = old.commitment_number(Side::Local).unwrap() < newest;
        let (a, b) = (pair.channel(A).clone(), pair.channel(B).clone());
        pair.cut();
        pair.restart(A, record);
        pair.connect();
        pair.drain();
        let published = pair.broadcasts(A).iter().any(|(role, _)| *role == Role::Commitment);
        let phases = [A, B].map(|who| pair.channel(who).phase());
        if revoked {
            assert_eq!((phases, published), (["fallen behind", "on chain"], false));
            noticed += 1;
        } else {
            // Either it lacks what the peer tells again, or both know that it lacks more.
            assert!(phases == ["normal"; 2] || phases == ["on chain"; 2], "{phases:?}");
        }
        (pair.a.channel, pair.b.channel) = (Some(a), Some(b));
        pair.a.effects.clear();
        pair.b.effects.clear();
    }
    assert!(noticed > 2);
}

#[test]
fn n53_both_messages_come_again_in_their_first_order_to_the_byte() {
    // A signs, B signs before it hears of it, A revokes: A's signature is the older. And the other way round.
    for signs_first in [true, false] {
        let mut pair = traded();
        pair.add(B, 5, 2_000_000).unwrap();
        pair.command(B, Command::Commit).unwrap();
        pair.deliver(A);
        pair.add(A, 7, 1_000_000).unwrap();
        if signs_first {
            pair.command(A, Command::Commit).unwrap();
        }
        let lost = pair.a.sent.len() - usize::from(signs_first);
        pair.deliver(A);
        if !signs_first {
            pair.command(A, Command::Commit).unwrap();
        }
        let lost: Vec<Message> = pair.a.sent[lost..].to_vec();
        let kinds = if signs_first {
            ["commitment_signed", "revoke_and_ack"]
        } else {
            ["revoke_and_ack", "commitment_signed"]
        };
        assert_eq!(names(&lost), kinds);
        pair.cut();
        let saved = pair.a.saved.clone();
        pair.restart(A, &saved);
        pair.connect();
        let before = pair.a.sent.len();
        pair.deliver(A);
        let mut again = pair.a.sent[before..].to_vec();
        let add = again.iter().position(|message| message.name() == "update_add_htlc").unwrap();
        assert!(matches!(again.remove(add), Message::UpdateAddHtlc(add) if add.id == 1));
        assert_eq!(again, lost, "the same bytes in the same order");
        pair.settle();
        pair.assert_agreement();
    }
}

#[test]
fn n54_records_of_other_protocols_are_ignored() {
    let mut pair = traded();
    let mut message = position(&mut pair, A);
    message.unknown =
        vec![TlvRecord { kind: 1, value: vec![3; 33] }, TlvRecord { kind: 5, value: vec![4; 33] }];
    pair.receive(B, Message::ChannelReestablish(message));
    assert!(pair.channel(B).is_usable());
    assert_eq!((pair.warning_of(B), pair.error_of(B)), (None, None));
}

#[test]
fn what_is_settled_while_the_link_is_down_is_saved_and_told_later() {
    let mut pair = Pair::open(Setup::default());
    for n in [1, 2, 4] {
        pair.add(A, n, 10_000_000).unwrap();
    }
    pair.settle();
    pair.cut();
    let sent = pair.b.sent.len();
    pair.command(B, Command::Fulfill { id: 0, preimage: preimage(1) }).unwrap();
    pair.command(B, Command::Fail { id: 1, reason: vec![1; 9] }).unwrap();
    let (sha256_of_onion, failure_code) = ([4; 32], 0xC005);
    pair.command(B, Command::FailMalformed { id: 2, sha256_of_onion, failure_code }).unwrap();
    let twice = pair.command(B, Command::Fail { id: 0, reason: Vec::new() });
    assert_eq!(twice, Err(Rejection::UnknownHtlc { id: 0 }));
    assert_eq!(pair.b.sent.len(), sent, "nothing is said while nobody listens");
    assert_eq!(pair.b.saved, pair.channel(B).encode());
    let saved = pair.b.saved.clone();
    pair.restart(B, &saved);
    pair.connect();
    pair.settle();
    pair.assert_agreement();
    assert!(pair.channel(A).htlcs().is_empty());
    assert_eq!(pair.channel(A).balances().0.get(), BEGIN - 10_000_000);
}

/// Two ends with commitment 2 each, and nothing pending.
fn traded() -> Pair {
    let mut pair = Pair::open(Setup { channel_type: ChannelType::AnchorsZeroFeeHtlc, ..Setup::default() });
    pair.add(A, 1, 10_000_000).unwrap();
    pair.settle();
    pair.command(B, Command::Fulfill { id: 0, preimage: preimage(1) }).unwrap();
    pair.settle();
    for (who, side) in [(A, Side::Local), (A, Side::Remote), (B, Side::Local)] {
        assert_eq!(pair.channel(who).commitment_number(side).unwrap().get(), 2);
    }
    pair
}

/// What an end says of itself after a broken link; it is not delivered.
fn position(pair: &mut Pair, who: Who) -> ChannelReestablish {
    pair.cut();
    pair.connect();
    pair.end_mut(who.other()).inbox.clear();
    pair.last(who, |message| match message {
        Message::ChannelReestablish(message) => Some(message.clone()),
        _ => None,
    })
}

fn names(messages: &[Message]) -> Vec<&'static str> {
    messages.iter().map(Message::name).collect()
}
