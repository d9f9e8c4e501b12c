//! What holds for every message and for all bytes: a message survives the wire, and no bytes bring the decoder down.
use bitcoin::hex::FromHex;
use leyden_core::ids::{ChannelId, PaymentHash, Preimage, ShortChannelId};
use leyden_core::units::{CltvExpiry, FeeratePerKw, Msat, Sat};
use leyden_core::wire::*;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use proptest::sample::{select, Index};
use proptest::test_runner::{Config, TestRunner};
use secp256k1::ecdsa::Signature;
use secp256k1::{PublicKey, SecretKey};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

#[test]
fn every_message_survives_the_wire() {
    for message in messages() {
        check(64, message, |message| {
            let bytes = message.encode();
            prop_assert!(bytes.len() <= MAX_MESSAGE_LEN);
            prop_assert_eq!(Message::decode(&bytes), Ok(message.clone()));
            prop_assert_eq!(Message::peek_channel_id(&bytes), message.channel_id());
            Ok(())
        });
    }
}

/// So that a message that is added later is not left out here.
#[test]
fn every_known_type_has_a_generator() {
    let known = (0..=u16::MAX).filter(|kind| {
        let outcome = Message::decode(&kind.to_be_bytes());
        matches!(outcome, Err(DecodeError::Field { .. }))
    });
    let mut generated = BTreeSet::new();
    let mut runner = TestRunner::deterministic();
    for message in messages() {
        let message = message.new_tree(&mut runner).unwrap().current();
        generated.insert(message.kind());
    }
    generated.remove(&UNKNOWN_KIND);
    assert_eq!(generated, known.collect());
}

#[test]
fn any_bytes_are_a_message_or_an_error() {
    let kinds = (0..=u16::MAX).filter(|kind| Message::decode(&kind.to_be_bytes()).is_err_and(is_field));
    let kind = prop_oneof![4 => select(Vec::from_iter(kinds)), 1 => any::<u16>()];
    let bytes = (kind, vec(any::<u8>(), 0..1800)).prop_map(|(kind, rest)| {
        let mut bytes = kind.to_be_bytes().to_vec();
        bytes.extend(rest);
        bytes
    });
    check(1024, bytes, |bytes| is_stable(&bytes));
    check(128, vec(any::<u8>(), 0..300), |bytes| is_stable(&bytes));
}

#[test]
fn a_mutated_message_is_a_message_or_an_error() {
    let mutation = (any::<Index>(), any::<u8>(), 0..4u8);
    for message in messages() {
        check(96, (message, vec(mutation.clone(), 1..4)), |(message, mutations)| {
            let mut bytes = message.encode();
            for (place, byte, how) in mutations {
                let place = place.index(bytes.len().max(1)).min(bytes.len());
                match how {
                    0 if place < bytes.len() => bytes[place] ^= byte,
                    1 if place < bytes.len() => drop(bytes.remove(place)),
                    2 => bytes.insert(place, byte),
                    _ => bytes.push(byte),
                }
            }
            is_stable(&bytes)
        });
    }
}

#[test]
fn a_message_cut_anywhere_is_a_message_or_an_error() {
    for message in messages() {
        check(64, (message, any::<Index>()), |(message, place)| {
            let bytes = message.encode();
            is_stable(&bytes[..place.index(bytes.len())])
        });
    }
}

/// Duty N02, and the layout itself: the field that a cut takes away is the one that the spec puts there.
#[test]
fn every_cut_through_the_fields_is_refused_with_the_name_of_the_field_in_the_spec() {
    let mut runner = TestRunner::deterministic();
    for strategy in messages() {
        let whole = strategy.new_tree(&mut runner).unwrap().current();
        let bytes = whole.encode();
        for (field, range) in layout(&whole, &bytes) {
            for cut in range {
                let error = Message::decode(&bytes[..cut]).expect_err(field);
                let expected = (Some(whole.kind()), Some(field));
                assert_eq!((error.kind(), field_of(&error)), expected, "{cut}: {error}");
            }
        }
    }
}

#[test]
fn what_exceeds_the_limit_is_cut_to_it() {
    let channel_id = ChannelId([7; 32]);
    let long = vec![9; 70_000];
    let error = Message::Error(ErrorMessage { channel_id, data: long.clone() });
    let Ok(Message::Error(cut)) = Message::decode(&error.encode()) else { panic!("not an error") };
    assert_eq!((error.encode().len(), cut.data), (MAX_MESSAGE_LEN, vec![9; MAX_MESSAGE_LEN - 36]));

    let signature = Signature::from_compact(&[1; 64]).unwrap();
    let commitment_signed = |count| {
        let htlc_signatures = vec![signature; count];
        Message::CommitmentSigned(CommitmentSigned {
            channel_id,
            signature,
            htlc_signatures,
            unknown: vec![],
        })
    };
    assert_eq!(commitment_signed(2000).encode(), commitment_signed(1022).encode());

    let (most, more) = (Pong { byteslen: Pong::MAX_BYTESLEN }, Pong { byteslen: u16::MAX });
    assert_eq!(Message::Pong(most.clone()).encode(), Message::Pong(more).encode());
    assert_eq!(Message::decode(&Message::Pong(most.clone()).encode()), Ok(Message::Pong(most)));

    let mut init = Init { features: Features::of(&[0, 560_000]), networks: vec![], unknown: vec![] };
    let Ok(Message::Init(cut)) = Message::decode(&Message::Init(init.clone()).encode()) else {
        panic!("not init")
    };
    assert_eq!(cut.features, Features::of(&[0]), "the highest bits are the ones that go");

    init.features = Features::of(&[0]);
    init.unknown = vec![TlvRecord { kind: 5, value: long }, TlvRecord { kind: 7, value: vec![1] }];
    let Ok(Message::Init(cut)) = Message::decode(&Message::Init(init.clone()).encode()) else {
        panic!("not init")
    };
    assert_eq!(cut.unknown, init.unknown[1..]);

    let too_long = Message::decode(&vec![0xff; MAX_MESSAGE_LEN + 1]);
    assert_eq!(too_long, Err(DecodeError::TooLong { kind: 0xffff, len: MAX_MESSAGE_LEN + 1 }));
}

#[test]
fn global_features_are_read_as_features() {
    let init = Init { features: Features::of(&[1, 13]), networks: vec![], unknown: vec![] };
    let bytes = [0, 16, 0, 3, 0, 0x20, 0, 0, 1, 2];
    assert_eq!(Message::decode(&bytes), Ok(Message::Init(init)));
}

/// Type numbers and values of the records that are understood, written out by hand from BOLT 2.
#[test]
fn known_records_have_the_types_and_forms_of_the_spec() {
    let (id, point, signature) = ("05".repeat(32), G, "01".repeat(64));
    let decode = |text: String| Message::decode(&Vec::from_hex(&text).unwrap());

    let ready = format!("0024{id}{point}");
    let Ok(Message::ChannelReady(message)) = decode(format!("{ready}01080000000000000226")) else {
        panic!("{id}")
    };
    assert_eq!((message.alias, message.unknown), (Some(ShortChannelId(550)), vec![]));
    assert_eq!(record_error(decode(format!("{ready}010700000000000226"))), Some(1), "seven bytes");

    let signed = format!("0027{id}0000000000000009{signature}");
    let fees = "0000000000000001000000000000000a";
    let Ok(Message::ClosingSigned(message)) = decode(format!("{signed}0110{fees}")) else { panic!("{id}") };
    let (min_fee_satoshis, max_fee_satoshis) = (Sat::new(1), Sat::new(10));
    assert_eq!(message.fee_range, Some(FeeRange { min_fee_satoshis, max_fee_satoshis }));
    assert_eq!(record_error(decode(format!("{signed}0111{fees}00"))), Some(1), "seventeen bytes");

    let accept = format!("0021{id}{}{}", "00".repeat(40), point.repeat(6));
    let Ok(Message::AcceptChannel(message)) = decode(format!("{accept}000001021000")) else { panic!("{id}") };
    assert_eq!(message.upfront_shutdown_script, Some(bitcoin::ScriptBuf::new()));
    assert_eq!(message.channel_type, Some(Features::of(&[Features::STATIC_REMOTEKEY])));

    let add = format!("0080{id}{}{}", "00".repeat(52), "00".repeat(ONION_PACKET_LEN));
    let Ok(Message::UpdateAddHtlc(message)) = decode(format!("{add}0021{point}")) else { panic!("{id}") };
    assert_eq!(message.path_key.map(|key| key.to_string()), Some(point.to_owned()));
    assert_eq!(
        record_error(decode(format!("{add}0021{}", point.replace("0279", "0479")))),
        Some(0),
        "no point"
    );

    let init = |networks: &str| decode(format!("00100000000001{networks}"));
    assert!(init(&format!("40{id}{id}")).is_ok());
    assert_eq!(record_error(init(&format!("21{id}00"))), Some(1), "33 bytes are no number of hashes");
}

/// The hash goes on the wire in its own order, not in the reverse that people are shown.
#[test]
fn the_funding_txid_gives_the_channel_id_that_bolt_2_defines() {
    let (temporary, txid) = ("00".repeat(32), format!("{}0102", "ab".repeat(30)));
    let bytes = Vec::from_hex(&format!("0022{temporary}{txid}0100{}", "01".repeat(64))).unwrap();
    let Ok(Message::FundingCreated(message)) = Message::decode(&bytes) else { panic!("{txid}") };
    let funding = bitcoin::OutPoint::new(message.funding_txid, message.funding_output_index.into());
    assert_eq!(ChannelId::from_funding(funding).to_string(), format!("{}0002", "ab".repeat(30)));
}

/// Duty N36 wants the channel failed for a wrong secret, also for one that is no secret at all.
#[test]
fn the_channel_of_a_message_that_cannot_be_read_is_still_known() {
    let bytes = Vec::from_hex(&format!("0085{}{}{G}", "05".repeat(32), "00".repeat(32))).unwrap();
    let (field, problem) = ("per_commitment_secret", ReadError::SecretKey);
    assert_eq!(Message::decode(&bytes), Err(DecodeError::Field { kind: 133, field, problem }));
    assert_eq!(Message::peek_channel_id(&bytes), Some(ChannelId([5; 32])));
}

/// The curve's generator.
const G: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

/// The type of the known record whose value was refused.
fn record_error(outcome: Result<Message, DecodeError>) -> Option<u64> {
    match outcome {
        Err(DecodeError::Extension { problem: TlvError::Value { kind, .. }, .. }) => Some(kind),
        _ => None,
    }
}

/// The fields of each message, as `tools/extract-formats.py` of the spec takes them from BOLT 1 and 2.
const LAYOUTS: &str = include_str!("../data/bolt2/messages.csv");

/// The odd type that stands for all unknown ones.
const UNKNOWN_KIND: u16 = 0x7fff;

fn check<S: Strategy>(cases: u32, strategy: S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&strategy, test);
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// Decoding does not panic, and what was understood is written so that it is understood the same way again.
fn is_stable(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(message) = Message::decode(bytes) {
        prop_assert_eq!(Message::decode(&message.encode()), Ok(message));
    }
    Ok(())
}

fn is_field(error: DecodeError) -> bool {
    matches!(error, DecodeError::Field { .. })
}

fn field_of(error: &DecodeError) -> Option<&'static str> {
    match error {
        DecodeError::Field { field, .. } => Some(field),
        _ => None,
    }
}

/// Which bytes each field of a message takes, the type left out, as the spec's own table has it. A count belongs to
/// what it counts.
fn layout(message: &Message, bytes: &[u8]) -> Vec<(&'static str, Range<usize>)> {
    let rows = LAYOUTS.lines().map(|line| Vec::from_iter(line.split(',')));
    let rows = Vec::from_iter(rows.filter(|row| row[1] == message.name()));
    let kinds = rows.iter().filter(|row| row[0] == "msgtype").map(|row| row[2].parse::<u16>().unwrap());
    let known = !matches!(message, Message::Unknown { .. });
    assert_eq!(Vec::from_iter(kinds), Vec::from_iter(known.then_some(message.kind())), "{}", message.name());

    let mut layout = Vec::new();
    let (mut start, mut at, mut counted) = (2, 2, None);
    for row in rows.iter().filter(|row| row[0] == "msgdata" && !row[3].ends_with("_tlvs")) {
        let (name, unit, count) = (row[2], unit_len(row[3]), row[4]);
        if rows.iter().any(|row| row.get(4) == Some(&name)) {
            counted = Some(usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]])));
            at += 2;
            continue;
        }
        at += unit * counted.take().unwrap_or_else(|| count.parse().unwrap_or(1));
        layout.push((name, start..at));
        start = at;
    }
    layout
}

/// Bytes of one value of a fundamental type.
fn unit_len(unit: &str) -> usize {
    match unit {
        "byte" => 1,
        "u16" => 2,
        "u32" => 4,
        "u64" => 8,
        "chain_hash" | "channel_id" | "sha256" => 32,
        "point" => 33,
        "signature" => 64,
        other => panic!("no length for {other}"),
    }
}

/// A generator for every message, all fields free.
fn messages() -> Vec<BoxedStrategy<Message>> {
    let mut all = setup();
    all.extend(opening());
    all.extend(closing());
    all.extend(updates());
    all.extend(commitments());
    all
}

fn setup() -> Vec<BoxedStrategy<Message>> {
    let text = || (id(), vec(any::<u8>(), 0..900));
    vec![
        (features(), vec(any::<[u8; 32]>(), 0..3), unknown())
            .prop_map(|(features, networks, unknown)| Message::Init(Init { features, networks, unknown }))
            .boxed(),
        text().prop_map(|(channel_id, data)| Message::Error(ErrorMessage { channel_id, data })).boxed(),
        text().prop_map(|(channel_id, data)| Message::Warning(Warning { channel_id, data })).boxed(),
        (any::<u16>(), 0..=Ping::MAX_BYTESLEN)
            .prop_map(|(num_pong_bytes, byteslen)| Message::Ping(Ping { num_pong_bytes, byteslen }))
            .boxed(),
        (0..=Pong::MAX_BYTESLEN).prop_map(|byteslen| Message::Pong(Pong { byteslen })).boxed(),
        Just(Message::Unknown { kind: UNKNOWN_KIND }).boxed(),
    ]
}

fn opening() -> Vec<BoxedStrategy<Message>> {
    let funding_created = (id(), any::<[u8; 32]>(), any::<u16>(), signature());
    vec![
        open_channel().prop_map(|message| Message::OpenChannel(Box::new(message))).boxed(),
        open_channel().prop_map(|message| Message::AcceptChannel(Box::new(accepted(message)))).boxed(),
        funding_created
            .prop_map(|(temporary_channel_id, txid, funding_output_index, signature)| {
                let funding_txid = bitcoin::hashes::Hash::from_byte_array(txid);
                Message::FundingCreated(FundingCreated {
                    temporary_channel_id,
                    funding_txid,
                    funding_output_index,
                    signature,
                })
            })
            .boxed(),
        (id(), signature())
            .prop_map(|(channel_id, signature)| {
                Message::FundingSigned(FundingSigned { channel_id, signature })
            })
            .boxed(),
        (id(), point(), proptest::option::of(any::<u64>()), unknown())
            .prop_map(|(channel_id, second_per_commitment_point, alias, unknown)| {
                let alias = alias.map(ShortChannelId);
                Message::ChannelReady(ChannelReady {
                    channel_id,
                    second_per_commitment_point,
                    alias,
                    unknown,
                })
            })
            .boxed(),
    ]
}

fn open_channel() -> impl Strategy<Value = OpenChannel> {
    let numbers = (any::<[u64; 6]>(), any::<u32>(), any::<[u16; 2]>(), any::<u8>());
    let records = (proptest::option::of(script()), proptest::option::of(features()), unknown());
    let keys = [point(), point(), point(), point(), point(), point()];
    (any::<[u8; 32]>(), id(), numbers, keys, records).prop_map(|(chain_hash, id, numbers, keys, records)| {
        let (amounts, feerate, limits, channel_flags) = numbers;
        OpenChannel {
            chain_hash,
            temporary_channel_id: id,
            funding_satoshis: Sat::new(amounts[0]),
            push_msat: Msat::new(amounts[1]),
            dust_limit_satoshis: Sat::new(amounts[2]),
            max_htlc_value_in_flight_msat: Msat::new(amounts[3]),
            channel_reserve_satoshis: Sat::new(amounts[4]),
            htlc_minimum_msat: Msat::new(amounts[5]),
            feerate_per_kw: FeeratePerKw::new(feerate),
            to_self_delay: limits[0],
            max_accepted_htlcs: limits[1],
            keys: OpeningKeys {
                funding_pubkey: keys[0],
                revocation_basepoint: keys[1],
                payment_basepoint: keys[2],
                delayed_payment_basepoint: keys[3],
                htlc_basepoint: keys[4],
                first_per_commitment_point: keys[5],
            },
            channel_flags,
            upfront_shutdown_script: records.0,
            channel_type: records.1,
            unknown: records.2,
        }
    })
}

/// The fields of `accept_channel` are those of `open_channel`, with a depth for the feerate.
fn accepted(open: OpenChannel) -> AcceptChannel {
    AcceptChannel {
        temporary_channel_id: open.temporary_channel_id,
        dust_limit_satoshis: open.dust_limit_satoshis,
        max_htlc_value_in_flight_msat: open.max_htlc_value_in_flight_msat,
        channel_reserve_satoshis: open.channel_reserve_satoshis,
        htlc_minimum_msat: open.htlc_minimum_msat,
        minimum_depth: open.feerate_per_kw.get(),
        to_self_delay: open.to_self_delay,
        max_accepted_htlcs: open.max_accepted_htlcs,
        keys: open.keys,
        upfront_shutdown_script: open.upfront_shutdown_script,
        channel_type: open.channel_type,
        unknown: open.unknown,
    }
}

fn closing() -> Vec<BoxedStrategy<Message>> {
    let fee_range = any::<[u64; 2]>().prop_map(|[least, most]| FeeRange {
        min_fee_satoshis: Sat::new(least),
        max_fee_satoshis: Sat::new(most),
    });
    vec![
        (id(), script(), unknown())
            .prop_map(|(channel_id, scriptpubkey, unknown)| {
                Message::Shutdown(Shutdown { channel_id, scriptpubkey, unknown })
            })
            .boxed(),
        (id(), any::<u64>(), signature(), proptest::option::of(fee_range), unknown())
            .prop_map(|(channel_id, fee, signature, fee_range, unknown)| {
                let fee_satoshis = Sat::new(fee);
                Message::ClosingSigned(ClosingSigned {
                    channel_id,
                    fee_satoshis,
                    signature,
                    fee_range,
                    unknown,
                })
            })
            .boxed(),
    ]
}

fn updates() -> Vec<BoxedStrategy<Message>> {
    let onion = vec(any::<u8>(), ONION_PACKET_LEN).prop_map(|bytes| Arc::new(bytes.try_into().unwrap()));
    let add =
        (id(), any::<[u64; 2]>(), any::<[u8; 32]>(), any::<u32>(), onion, proptest::option::of(point()));
    vec![
        (add, unknown())
            .prop_map(|((channel_id, [id, amount], hash, expiry, onion, path_key), unknown)| {
                Message::UpdateAddHtlc(UpdateAddHtlc {
                    channel_id,
                    id,
                    amount_msat: Msat::new(amount),
                    payment_hash: PaymentHash(hash),
                    cltv_expiry: CltvExpiry::new(expiry),
                    onion_routing_packet: onion,
                    path_key,
                    unknown,
                })
            })
            .boxed(),
        (id(), any::<u64>(), any::<[u8; 32]>(), unknown())
            .prop_map(|(channel_id, id, preimage, unknown)| {
                let payment_preimage = Preimage(preimage);
                Message::UpdateFulfillHtlc(UpdateFulfillHtlc { channel_id, id, payment_preimage, unknown })
            })
            .boxed(),
        (id(), any::<u64>(), vec(any::<u8>(), 0..400), unknown())
            .prop_map(|(channel_id, id, reason, unknown)| {
                Message::UpdateFailHtlc(UpdateFailHtlc { channel_id, id, reason, unknown })
            })
            .boxed(),
        (id(), any::<u64>(), any::<[u8; 32]>(), any::<u16>())
            .prop_map(|(channel_id, id, sha256_of_onion, failure_code)| {
                Message::UpdateFailMalformedHtlc(UpdateFailMalformedHtlc {
                    channel_id,
                    id,
                    sha256_of_onion,
                    failure_code,
                })
            })
            .boxed(),
        (id(), any::<u32>())
            .prop_map(|(channel_id, feerate)| {
                let feerate_per_kw = FeeratePerKw::new(feerate);
                Message::UpdateFee(UpdateFee { channel_id, feerate_per_kw })
            })
            .boxed(),
    ]
}

fn commitments() -> Vec<BoxedStrategy<Message>> {
    vec![
        (id(), signature(), vec(signature(), 0..6), unknown())
            .prop_map(|(channel_id, signature, htlc_signatures, unknown)| {
                Message::CommitmentSigned(CommitmentSigned {
                    channel_id,
                    signature,
                    htlc_signatures,
                    unknown,
                })
            })
            .boxed(),
        (id(), secret(), point())
            .prop_map(|(channel_id, per_commitment_secret, next_per_commitment_point)| {
                Message::RevokeAndAck(RevokeAndAck {
                    channel_id,
                    per_commitment_secret,
                    next_per_commitment_point,
                })
            })
            .boxed(),
        (id(), any::<[u64; 2]>(), any::<[u8; 32]>(), point(), unknown())
            .prop_map(|(channel_id, [commitment, revocation], secret, point, unknown)| {
                Message::ChannelReestablish(ChannelReestablish {
                    channel_id,
                    next_commitment_number: commitment,
                    next_revocation_number: revocation,
                    your_last_per_commitment_secret: secret,
                    my_current_per_commitment_point: point,
                    unknown,
                })
            })
            .boxed(),
    ]
}

fn id() -> impl Strategy<Value = ChannelId> {
    any::<[u8; 32]>().prop_map(ChannelId)
}

fn secret() -> impl Strategy<Value = SecretKey> {
    any::<[u8; 32]>().prop_filter_map("not below the order", |bytes| SecretKey::from_slice(&bytes).ok())
}

fn point() -> impl Strategy<Value = PublicKey> {
    secret().prop_map(|secret| secret.public_key(secp256k1::SECP256K1))
}

/// Any r and s, low and high.
fn signature() -> impl Strategy<Value = Signature> {
    vec(any::<u8>(), 64).prop_filter_map("not below the order", |bytes| Signature::from_compact(&bytes).ok())
}

fn script() -> impl Strategy<Value = bitcoin::ScriptBuf> {
    vec(any::<u8>(), 0..60).prop_map(bitcoin::ScriptBuf::from_bytes)
}

fn features() -> impl Strategy<Value = Features> {
    btree_set(0..300usize, 0..8).prop_map(|bits| Features::of(&Vec::from_iter(bits)))
}

/// Odd records, in order, of types that are known nowhere.
fn unknown() -> impl Strategy<Value = Vec<TlvRecord>> {
    let kind = prop_oneof![0..600u64, 0..0x2_0000u64, any::<u64>()].prop_map(|kind| kind | 3);
    btree_map(kind, vec(any::<u8>(), 0..300), 0..4)
        .prop_map(|records| records.into_iter().map(|(kind, value)| TlvRecord { kind, value }).collect())
}
