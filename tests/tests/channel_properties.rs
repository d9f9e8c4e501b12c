//! What holds for a channel whatever happens: both views equal at rest, balances conserved, records that read back as they
//! were written, and no input that makes it panic.
mod pair;

use leyden_core::channel::*;
use leyden_core::ids::{ChannelId, Preimage};
use leyden_core::tx::{ChannelType, Side};
use leyden_core::units::{CltvExpiry, FeeratePerKw, Msat, Sat};
use leyden_core::wire::*;
use pair::*;
use proptest::prelude::*;
use std::sync::Arc;

/// One thing that may happen between two ends.
#[derive(Clone, Copy, Debug)]
enum Move {
    Add(Who, u64),
    AddAll(Who),
    Fulfill(Who, usize),
    Fail(Who, usize),
    Fee(u32),
    Commit(Who),
    Deliver(Who, u8),
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, ..ProptestConfig::default() })]

    #[test]
    fn any_interleaving_ends_with_equal_views_and_conserved_balances(
        setup in setups(),
        moves in prop::collection::vec(moves(), 1..60),
    ) {
        let mut pair = Pair::open(setup);
        for (n, step) in moves.into_iter().enumerate() {
            play(&mut pair, n as u8, step);
            prop_assert_eq!(pair.warning_of(A), None);
            prop_assert_eq!(pair.warning_of(B), None);
            prop_assert_eq!(pair.error_of(A).or(pair.error_of(B)), None);
        }
        pair.settle();
        pair.assert_agreement();
        let settled = settle_all(&mut pair);
        pair.assert_agreement();
        prop_assert_eq!(pair.channel(A).balances().0.get(), settled);
        pair.command(B, Command::Close { script: None, feerate: None }).unwrap();
        pair.settle();
        prop_assert_eq!(pair.broadcasts(A).len(), 1);
        prop_assert_eq!(pair.broadcasts(A), pair.broadcasts(B));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_message_makes_a_channel_panic_or_lose_its_record(
        phase in 0_usize..7,
        messages in prop::collection::vec(messages(), 1..12),
    ) {
        let mut pair = Pair::open(Setup::default());
        bring_to(&mut pair, phase);
        for message in messages {
            pair.receive(B, message);
        }
        pair.mine_empty(1);
    }

    #[test]
    fn a_damaged_record_is_an_error_or_another_channel_and_never_a_panic(
        phase in 0_usize..7,
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut pair = Pair::open(Setup::default());
        bring_to(&mut pair, phase);
        let mut bytes = pair.channel(B).encode();
        let keys = |index| pair.b.seed.channel_keys(index);
        prop_assert!(Channel::decode(&bytes[..cut.index(bytes.len())], keys).is_err());
        let longer = [&bytes[..], &[0]].concat();
        prop_assert!(Channel::decode(&longer, keys).is_err());
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(channel) = Channel::decode(&bytes, keys) {
            channel.watches();
            channel.spendable(&pair.env);
        }
    }

    #[test]
    fn any_bytes_are_a_record_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let seed = leyden_core::keys::NodeSeed::new([2; 32]);
        let mut versioned = vec![2];
        versioned.extend(&bytes);
        prop_assert!(Channel::decode(&bytes, |index| seed.channel_keys(index)).is_err());
        prop_assert!(Channel::decode(&versioned, |index| seed.channel_keys(index)).is_err());
    }
}

fn setups() -> impl Strategy<Value = Setup> {
    let types = prop_oneof![Just(ChannelType::StaticRemotekey), Just(ChannelType::AnchorsZeroFeeHtlc)];
    (types, 0..=970_000_u64, 253..3000_u32, 1..20_u16).prop_map(|(channel_type, push, feerate, most)| Setup {
        channel_type,
        funding: Sat::new(1_000_000),
        push: Msat::new(push * 1000 + 7),
        feerate: FeeratePerKw::new(feerate),
        a: ChannelConfig { dust_limit: Sat::new(1_000), ..ChannelConfig::default() },
        // The acceptor fails a channel whose new feerate would burn too much: an offer that crosses an update_fee could meet that
        // among honest ends, and here the channel is to live.
        b: ChannelConfig {
            max_accepted_htlcs: most,
            max_dust_htlc_exposure: Msat::new(1_000_000_000),
            ..ChannelConfig::default()
        },
    })
}

fn moves() -> impl Strategy<Value = Move> {
    let who = || prop_oneof![Just(A), Just(B)];
    let amounts = prop_oneof![1..2_000_000_u64, 1_000_000..200_000_000_u64];
    prop_oneof![
        4 => (who(), amounts).prop_map(|(who, amount)| Move::Add(who, amount)),
        1 => who().prop_map(Move::AddAll),
        3 => (who(), 0..8_usize).prop_map(|(who, nth)| Move::Fulfill(who, nth)),
        2 => (who(), 0..8_usize).prop_map(|(who, nth)| Move::Fail(who, nth)),
        1 => (253..9_000_u32).prop_map(Move::Fee),
        5 => who().prop_map(Move::Commit),
        9 => (who(), 1..4_u8).prop_map(|(who, count)| Move::Deliver(who, count)),
    ]
}

/// A move that is not allowed now is refused, and that is all.
fn play(pair: &mut Pair, n: u8, step: Move) {
    let _ = match step {
        Move::Add(who, amount) => pair.add(who, n, amount),
        Move::AddAll(who) => {
            let all = pair.channel(who).spendable(&pair.env);
            let added = pair.add(who, n, all.get());
            let dust = matches!(added, Err(Rejection::DustExposure { .. }));
            assert!(all == Msat::ZERO || dust || added.is_ok(), "{all} is spendable, but {added:?}");
            added
        }
        Move::Fulfill(who, nth) => match settleable(pair, who).get(nth) {
            Some((id, preimage)) => pair.command(who, Command::Fulfill { id: *id, preimage: *preimage }),
            None => Ok(()),
        },
        Move::Fail(who, nth) => match settleable(pair, who).get(nth) {
            Some((id, _)) => pair.command(who, Command::Fail { id: *id, reason: vec![1; 32] }),
            None => Ok(()),
        },
        Move::Fee(feerate) => pair.command(A, Command::UpdateFee(FeeratePerKw::new(feerate))),
        Move::Commit(who) => pair.command(who, Command::Commit),
        Move::Deliver(to, count) => {
            (0..count).for_each(|_| {
                pair.deliver(to);
            });
            Ok(())
        }
    };
}

/// The HTLCs that an end received and may settle, with their preimages.
fn settleable(pair: &Pair, who: Who) -> Vec<(u64, Preimage)> {
    let htlcs = pair.channel(who).htlcs();
    let received = htlcs.iter().filter(|htlc| htlc.offerer == Side::Remote && htlc.settleable);
    let known = |hash| (0..=u8::MAX).map(preimage).find(|preimage| preimage.payment_hash() == hash);
    received.filter_map(|htlc| Some((htlc.id, known(htlc.payment_hash)?))).collect()
}

/// A settles all it received, B refuses all it received; what A must then have.
fn settle_all(pair: &mut Pair) -> u64 {
    let pending = pair.channel(A).htlcs();
    let sum: u64 = pending.iter().map(|htlc| htlc.amount.get()).sum();
    let settled = pair.channel(A).balances().0.get() + sum;
    for (id, preimage) in settleable(pair, A) {
        pair.command(A, Command::Fulfill { id, preimage }).unwrap();
    }
    for (id, _) in settleable(pair, B) {
        pair.command(B, Command::Fail { id, reason: Vec::new() }).unwrap();
    }
    pair.settle();
    assert!(pair.channel(A).htlcs().is_empty());
    settled
}

/// Somewhere in a channel's life.
fn bring_to(pair: &mut Pair, phase: usize) {
    let close = Command::Close { script: None, feerate: None };
    match phase {
        0 => {
            *pair = Pair::strangers(Setup::default());
            pair.propose().unwrap();
            pair.deliver(B);
        }
        1 => *pair = Pair::funded(Setup::default()),
        2 => {}
        3 => {
            pair.add(A, 1, 10_000_000).unwrap();
            pair.add(B, 2, 10_000_000).unwrap();
            pair.settle();
            pair.add(B, 3, 10_000_000).unwrap();
            pair.command(B, Command::Commit).unwrap();
        }
        4 => {
            pair.add(A, 1, 10_000_000).unwrap();
            pair.settle();
            pair.command(B, close).unwrap();
            pair.deliver(A);
        }
        5 => pair.command(B, Command::ForceClose).unwrap(),
        _ => {
            pair.command(A, close).unwrap();
            pair.deliver(B);
        }
    }
}

/// What a made-up message is made of.
#[derive(Clone, Debug)]
struct Random {
    large: u64,
    small: u64,
    bytes: [u8; 32],
    channel_id: ChannelId,
    secret: secp256k1::SecretKey,
    point: secp256k1::PublicKey,
    signature: secp256k1::ecdsa::Signature,
}

/// Anything a peer could say that decodes.
fn messages() -> impl Strategy<Value = Message> {
    (0..16_u8, any::<u64>(), 0..4_u64, any::<[u8; 32]>()).prop_map(|(kind, large, small, bytes)| {
        let secret = leyden_core::keys::NodeSeed::new(bytes).node_secret();
        let random = Random {
            large,
            small,
            bytes,
            channel_id: ChannelId(bytes),
            secret,
            point: secret.public_key(secp256k1::SECP256K1),
            signature: secp256k1::SECP256K1.sign_ecdsa(&secp256k1::Message::from_digest(bytes), &secret),
        };
        if kind < 7 {
            update_message(kind, random)
        } else {
            other_message(kind, random)
        }
    })
}

fn update_message(kind: u8, random: Random) -> Message {
    let Random { large, small, bytes, channel_id, secret, point, signature } = random;
    let amount = if small == 0 { large } else { large % 600_000_000 };
    let unknown = Vec::new();
    match kind {
        0 => Message::UpdateAddHtlc(UpdateAddHtlc {
            channel_id,
            id: small,
            amount_msat: Msat::new(amount),
            payment_hash: hash_of(small as u8),
            cltv_expiry: CltvExpiry::new(large as u32),
            onion_routing_packet: Arc::new([1; ONION_PACKET_LEN]),
            path_key: None,
            unknown,
        }),
        1 => {
            let payment_preimage = preimage(small as u8 + 2);
            Message::UpdateFulfillHtlc(UpdateFulfillHtlc { channel_id, id: small, payment_preimage, unknown })
        }
        2 => {
            let reason = bytes.to_vec();
            Message::UpdateFailHtlc(UpdateFailHtlc { channel_id, id: small, reason, unknown })
        }
        3 => Message::UpdateFailMalformedHtlc(UpdateFailMalformedHtlc {
            channel_id,
            id: small,
            sha256_of_onion: bytes,
            failure_code: large as u16,
        }),
        4 => {
            let htlc_signatures = vec![signature; small as usize];
            Message::CommitmentSigned(CommitmentSigned { channel_id, signature, htlc_signatures, unknown })
        }
        5 => Message::RevokeAndAck(RevokeAndAck {
            channel_id,
            per_commitment_secret: secret,
            next_per_commitment_point: point,
        }),
        _ => Message::UpdateFee(UpdateFee { channel_id, feerate_per_kw: FeeratePerKw::new(large as u32) }),
    }
}

fn other_message(kind: u8, random: Random) -> Message {
    let Random { large, small, bytes, channel_id, secret: _, point, signature } = random;
    let fee = Sat::new(large % 2_000);
    let range = FeeRange { min_fee_satoshis: fee, max_fee_satoshis: Sat::new(large) };
    let unknown = Vec::new();
    match kind {
        7 => Message::Shutdown(Shutdown { channel_id, scriptpubkey: destination(small as u8), unknown }),
        8 => Message::ClosingSigned(ClosingSigned {
            channel_id,
            fee_satoshis: fee,
            signature,
            fee_range: (small > 1).then_some(range),
            unknown,
        }),
        9 => {
            let second_per_commitment_point = point;
            Message::ChannelReady(ChannelReady {
                channel_id,
                second_per_commitment_point,
                alias: None,
                unknown,
            })
        }
        10 => Message::FundingSigned(FundingSigned { channel_id, signature }),
        11 => Message::FundingCreated(FundingCreated {
            temporary_channel_id: channel_id,
            funding_txid: bitcoin::hashes::Hash::from_byte_array(bytes),
            funding_output_index: small as u16,
            signature,
        }),
        12 => Message::ChannelReestablish(ChannelReestablish {
            channel_id,
            next_commitment_number: small,
            next_revocation_number: small,
            your_last_per_commitment_secret: bytes,
            my_current_per_commitment_point: point,
            unknown,
        }),
        13 => Message::Warning(Warning { channel_id, data: bytes.to_vec() }),
        14 => Message::Error(ErrorMessage { channel_id, data: bytes.to_vec() }),
        _ => Message::Unknown { kind: 32_769 },
    }
}
