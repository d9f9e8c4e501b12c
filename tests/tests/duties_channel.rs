//! Duties of BOLT 2 towards one peer that the other channel tests do not reach: what must not get stuck, what must not be lost.
mod pair;

use leyden_core::channel::*;
use leyden_core::tx::ChannelType;
use leyden_core::units::Msat;
use leyden_core::wire::{Message, UpdateAddHtlc, UpdateFailHtlc};
use pair::*;

/// The longest `reason` that a message can carry: 65,535 bytes less type, channel, id and the reason's own length.
const LONGEST_REASON: usize = 65_535 - 2 - 32 - 8 - 2;

#[test]
fn n40_whatever_reason_a_peer_gave_can_be_given_to_another() {
    for len in [0, 1, 65_001, LONGEST_REASON] {
        let mut pair = Pair::open(Setup::default());
        pair.add(A, 1, 10_000_000).unwrap();
        pair.settle();
        pair.command(B, Command::Fail { id: 0, reason: vec![7; len] }).unwrap();
        pair.settle();
        pair.assert_agreement();
        let refused = pair.effects(A).into_iter().find_map(|effect| match effect {
            Effect::Failed { refusal: Refusal::Encrypted(reason), .. } => Some(reason),
            _ => None,
        });
        assert_eq!(refused, Some(vec![7; len]), "as long as it was");
    }
    let longest = UpdateFailHtlc {
        channel_id: Pair::open(Setup::default()).channel(A).id(),
        id: 0,
        reason: vec![0; LONGEST_REASON],
        unknown: Vec::new(),
    };
    assert_eq!(Message::UpdateFailHtlc(longest).encode().len(), 65_535);
}

#[test]
fn n21_a_shutdown_that_crosses_channel_ready_and_an_offer_still_ends_in_a_close() {
    let mut pair = Pair::funded(Setup::default());
    let funding = pair.funding_tx.clone().unwrap();
    pair.mine(vec![funding]);
    pair.mine_empty(2);
    // B has both channel_ready and begins to pay; A closes before it read B's.
    pair.deliver(B);
    assert!(pair.channel(B).is_usable() && !pair.channel(A).is_usable());
    pair.command(A, Command::Close { script: None, feerate: None }).unwrap();
    pair.add(B, 1, 10_000_000).unwrap();
    pair.command(B, Command::Commit).unwrap();
    pair.settle();
    assert!(pair.channel(A).htlcs()[0].settleable, "A signs what it was sent");
    pair.command(A, Command::Fulfill { id: 0, preimage: preimage(1) }).unwrap();
    pair.settle();
    assert_eq!(pair.broadcasts(A).last(), pair.broadcasts(B).last());
    assert_eq!(pair.broadcasts(B).len(), 1, "closed together");
    assert_eq!((pair.error_of(A), pair.error_of(B)), (None, None));
}

#[test]
fn a_second_channel_ready_while_closing_changes_no_point() {
    let mut pair = Pair::open(Setup::default());
    let ready = pair.last(B, |message| match message {
        Message::ChannelReady(ready) => Some(ready.clone()),
        _ => None,
    });
    pair.add(A, 1, 10_000_000).unwrap();
    pair.settle();
    pair.command(A, Command::Close { script: None, feerate: None }).unwrap();
    pair.receive(A, Message::ChannelReady(ready));
    pair.settle();
    pair.command(B, Command::Fulfill { id: 0, preimage: preimage(1) }).unwrap();
    pair.settle();
    assert_eq!(pair.broadcasts(A), pair.broadcasts(B));
    assert_eq!(pair.broadcasts(A).len(), 1);
}

#[test]
fn n40_a_trimmed_htlc_of_a_channel_that_ended_on_the_chain_failed_once_its_commitment_is_deep() {
    let mut pair = Pair::open(Setup::default());
    pair.add(A, 1, 200_000).unwrap();
    pair.settle();
    pair.command(B, Command::ForceClose).unwrap();
    let (_, commitment) = pair.broadcasts(B)[0].clone();
    pair.mine(vec![commitment]);
    let (_, sweep) = pair.broadcasts(A)[0].clone();
    pair.mine(vec![sweep]);
    let failed = |pair: &Pair| {
        let failed =
            |effect: &&Effect| matches!(effect, Effect::Failed { origin: Origin::Own { attempt: 1 }, .. });
        pair.end(A).effects.iter().filter(failed).count()
    };
    pair.mine_empty(3);
    assert_eq!(failed(&pair), 0, "not before the commitment is a reasonable number of blocks deep");
    pair.mine_empty(1);
    assert_eq!(failed(&pair), 1);
    pair.mine_empty(100);
    assert!(pair.channel(A).is_done());
    assert_eq!(failed(&pair), 1, "once");
}

#[test]
fn n35_a_signature_for_nothing_new_is_answered_and_moves_no_money() {
    for channel_type in [ChannelType::StaticRemotekey, ChannelType::AnchorsZeroFeeHtlc] {
        let mut pair = Pair::open(Setup { channel_type, ..Setup::default() });
        let before = pair.channel(B).balances();
        pair.add(A, 1, 10_000_000).unwrap();
        pair.command(A, Command::Commit).unwrap();
        let signed = pair.last(A, |message| match message {
            Message::CommitmentSigned(signed) => Some(signed.clone()),
            _ => None,
        });
        pair.settle();
        // The very same signature again is not one of the next commitment.
        pair.receive(B, Message::CommitmentSigned(signed));
        assert!(pair.error_of(B).unwrap().contains("signature"));
        assert_eq!(pair.channel(B).balances().0, before.0, "nothing is ours before it is settled");
    }
}

#[test]
fn n30_an_offer_of_all_the_money_there_is_overflows_nothing() {
    for amount in [u64::MAX, u64::MAX - 1, u64::MAX / 1000, 1_000_000_000] {
        let mut pair = Pair::open(Setup::default());
        let mut add = offer_message(&mut pair);
        add.amount_msat = Msat::new(amount);
        pair.receive(B, Message::UpdateAddHtlc(add));
        assert!(pair.warning_of(B).is_some(), "{amount}");
        assert!(pair.channel(B).htlcs().is_empty());
    }
}

#[test]
fn n30_an_htlc_id_that_is_not_the_next_is_warned_about() {
    for id in [1, 2, u64::MAX] {
        let mut pair = Pair::open(Setup::default());
        let mut add = offer_message(&mut pair);
        add.id = id;
        pair.receive(B, Message::UpdateAddHtlc(add));
        assert!(pair.warning_of(B).unwrap().contains("0 is next"));
    }
}

fn add_of(message: &Message) -> Option<UpdateAddHtlc> {
    match message {
        Message::UpdateAddHtlc(add) => Some(add.clone()),
        _ => None,
    }
}

/// A's first offer, which B did not get.
fn offer_message(pair: &mut Pair) -> UpdateAddHtlc {
    pair.add(A, 1, 10_000_000).unwrap();
    pair.b.inbox.clear();
    pair.last(A, add_of)
}
