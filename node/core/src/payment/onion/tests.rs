//! Properties of the onion that the vectors do not reach.

use super::*;
use crate::ids::ShortChannelId;
use crate::units::{CltvExpiry, Msat};
use crate::wire::{TlvRecord, TlvStream, ONION_PACKET_LEN};
use proptest::prelude::*;
use secp256k1::SECP256K1;
use std::sync::Arc;

const HASH: PaymentHash = PaymentHash([7; 32]);

fn secret(n: u8) -> SecretKey {
    SecretKey::from_slice(&[n; 32]).unwrap()
}

fn node(n: u8) -> NodeId {
    secret(n).public_key(SECP256K1)
}

fn intermediate(n: u64) -> HopPayload {
    HopPayload::Intermediate {
        amt_to_forward: Msat::new(n),
        outgoing_cltv_value: CltvExpiry::new(n as u32),
        short_channel_id: ShortChannelId(n.rotate_left(40)),
    }
}

fn last(metadata: Option<Vec<u8>>) -> HopPayload {
    HopPayload::Final {
        amt_to_forward: Msat::new(0),
        outgoing_cltv_value: CltvExpiry::new(u32::MAX),
        payment_secret: Some([9; 32]),
        total_msat: Some(Msat::new(u64::MAX)),
        payment_metadata: metadata,
    }
}

/// The onion of one hop with this payload, length prefix included.
fn peel_raw(raw: Vec<u8>) -> Result<Peeled, PeelError> {
    let sent = build_raw(&secret(1), &[(node(2), raw)], &HASH).unwrap();
    peel(&secret(2), &sent.packet, &HASH)
}

fn refused(raw: Vec<u8>) -> Failure {
    match peel_raw(raw) {
        Err(PeelError::Payload { failure, .. }) => failure,
        other => panic!("not refused as a payload: {other:?}"),
    }
}

fn invalid(kind: u64, offset: u16) -> Failure {
    Failure::InvalidOnionPayload { kind, offset }
}

fn framed(stream: &[u8]) -> Vec<u8> {
    let mut raw = vec![stream.len() as u8];
    raw.extend(stream);
    raw
}

fn malformed_code(packet: &OnionBytes, hash: &PaymentHash) -> u16 {
    match peel(&secret(2), packet, hash) {
        Err(PeelError::Malformed { failure_code, sha256_of_onion }) => {
            assert_eq!(sha256_of_onion, sha256::Hash::hash(packet.as_slice()).to_byte_array());
            failure_code
        }
        other => panic!("not refused as malformed: {other:?}"),
    }
}

#[test]
fn every_hop_of_a_route_finds_its_payload() {
    for hops in 1..=20_u8 {
        let mut route: Vec<_> = (1..hops).map(|n| (node(n + 1), intermediate(n.into()))).collect();
        route.push((node(hops + 1), last(Some(vec![1, 2, 3]))));
        let sent = build(&secret(99), &route, &HASH).unwrap();
        let mut next = Some(sent.packet);
        for (index, (_, payload)) in route.iter().enumerate() {
            let peeled = peel(&secret(index as u8 + 2), &next.unwrap(), &HASH).unwrap();
            assert_eq!(&peeled.payload, payload);
            assert_eq!(peeled.shared_secret, sent.shared_secrets[index]);
            next = peeled.next;
        }
        assert_eq!(next, None);
    }
}

#[test]
fn a_route_may_fill_the_onion_to_the_last_byte_and_no_further() {
    // 1300 less the HMAC, 3 of length, 2+0 amount, 2+4 expiry, 2+40 payment data, and 4 of the metadata's own header.
    let room = 1300 - 32 - 3 - 2 - 6 - 42 - 4;
    let fits = build(&secret(1), &[(node(2), last(Some(vec![5; room])))], &HASH).unwrap();
    assert_eq!(peel(&secret(2), &fits.packet, &HASH).unwrap().payload, last(Some(vec![5; room])));
    assert!(build(&secret(1), &[(node(2), last(Some(vec![5; room + 1])))], &HASH).is_err());
}

#[test]
fn a_route_without_an_end_is_not_built() {
    assert!(build(&secret(1), &[], &HASH).is_err());
    assert!(build_raw(&secret(1), &[], &HASH).is_err());
    assert!(build(&secret(1), &[(node(2), intermediate(1))], &HASH).is_err());
    assert!(build(&secret(1), &[(node(2), last(None)), (node(3), last(None))], &HASH).is_err());
}

#[test]
fn version_key_and_hmac_have_their_own_codes() {
    let sent = build(&secret(1), &[(node(2), last(None))], &HASH).unwrap();
    let with = |at: usize, byte: u8| {
        let mut packet = *sent.packet;
        packet[at] = byte;
        Arc::new(packet)
    };
    assert_eq!(malformed_code(&with(0, 1), &HASH), INVALID_ONION_VERSION);
    assert_eq!(malformed_code(&with(1, 9), &HASH), INVALID_ONION_KEY);
    assert_eq!(malformed_code(&with(40, sent.packet[40] ^ 1), &HASH), INVALID_ONION_HMAC);
    assert_eq!(malformed_code(&with(1365, sent.packet[1365] ^ 1), &HASH), INVALID_ONION_HMAC);
    assert_eq!(malformed_code(&sent.packet, &PaymentHash([8; 32])), INVALID_ONION_HMAC);
}

#[test]
fn legacy_and_impossible_lengths_are_refused() {
    let not_minimal = vec![0xfd, 0, 6, 2, 1, 9, 4, 1, 9];
    let longer_than_the_packet = vec![0xfd, 0x05, 0x12];
    let no_room_for_the_hmac = vec![0xfd, 0x04, 0xf2];
    for raw in
        [vec![0; 33], vec![1, 0], not_minimal, longer_than_the_packet, no_room_for_the_hmac, vec![0xff; 9]]
    {
        assert_eq!(refused(raw), invalid(0, 0));
    }
}

#[test]
fn a_missing_field_is_named() {
    assert_eq!(refused(framed(&[4, 1, 9])), invalid(2, 0));
    assert_eq!(refused(framed(&[2, 1, 9])), invalid(4, 0));
    let forward = framed(&[2, 1, 9, 4, 1, 9]);
    let sent = build_raw(&secret(1), &[(node(2), forward), (node(3), last(None).encode())], &HASH).unwrap();
    let Err(PeelError::Payload { failure, shared_secret }) = peel(&secret(2), &sent.packet, &HASH) else {
        panic!("a hop without short_channel_id was peeled");
    };
    assert_eq!((failure, shared_secret), (invalid(6, 0), sent.shared_secrets[0]));
}

#[test]
fn a_wrong_record_is_named_with_its_place() {
    // An unknown even type; fields of blinded routes are among those.
    assert_eq!(refused(framed(&[2, 1, 9, 4, 1, 9, 10, 0])), invalid(10, 7));
    assert_eq!(refused(framed(&[2, 1, 9, 4, 1, 9, 100, 0])), invalid(100, 7));
    // A truncated integer with a leading zero.
    assert_eq!(refused(framed(&[2, 2, 0, 9, 4, 1, 9])), invalid(2, 1));
    // A repeated type; a record that overruns; payment_data shorter than its secret.
    assert_eq!(refused(framed(&[2, 1, 9, 2, 1, 9, 4, 1, 9])), invalid(2, 4));
    assert_eq!(refused(framed(&[2, 1, 9, 4, 9, 9])), invalid(4, 4));
    assert_eq!(refused(framed(&[2, 1, 9, 4, 1, 9, 8, 1, 1])), invalid(8, 7));
}

#[test]
fn an_unknown_odd_record_is_ignored() {
    let records = [TlvRecord { kind: 2, value: vec![9] }, TlvRecord { kind: 4, value: vec![8] }];
    let odd = TlvRecord { kind: 65_537, value: vec![1; 50] };
    let stream = TlvStream::encode(records.iter().chain([&odd]));
    let payload = peel_raw(framed(&stream)).unwrap().payload;
    assert_eq!(
        payload,
        HopPayload::Final {
            amt_to_forward: Msat::new(9),
            outgoing_cltv_value: CltvExpiry::new(8),
            payment_secret: None,
            total_msat: None,
            payment_metadata: None,
        }
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn random_packets_are_refused_as_malformed(seed in proptest::collection::vec(any::<u8>(), ONION_PACKET_LEN)) {
        let mut packet: [u8; ONION_PACKET_LEN] = seed.try_into().unwrap();
        let random = peel(&secret(2), &Arc::new(packet), &HASH);
        prop_assert!(matches!(random, Err(PeelError::Malformed { .. })), "{:?}", random);
        packet[0] = 0;
        packet[1..34].copy_from_slice(&node(5).serialize());
        prop_assert_eq!(malformed_code(&Arc::new(packet), &HASH), INVALID_ONION_HMAC);
    }

    #[test]
    fn random_payloads_are_read_or_refused_but_never_panic(
        raw in proptest::collection::vec(any::<u8>(), 0..=1268),
        small in proptest::collection::vec(0..20_u8, 0..60),
    ) {
        let _ = peel_raw(raw);
        let _ = peel_raw(framed(&small));
    }

    #[test]
    fn a_payload_reads_back_as_it_was_written(
        amount: u64, expiry: u32, channel: u64, payment_secret: [u8; 32], total: u64,
        metadata in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..600)),
    ) {
        let amt_to_forward = Msat::new(amount);
        let outgoing_cltv_value = CltvExpiry::new(expiry);
        let short_channel_id = ShortChannelId(channel);
        let first = HopPayload::Intermediate { amt_to_forward, outgoing_cltv_value, short_channel_id };
        let end = HopPayload::Final {
            amt_to_forward,
            outgoing_cltv_value,
            payment_secret: Some(payment_secret),
            total_msat: Some(Msat::new(total)),
            payment_metadata: metadata,
        };
        let sent = build(&secret(1), &[(node(2), first.clone()), (node(3), end.clone())], &HASH).unwrap();
        let peeled = peel(&secret(2), &sent.packet, &HASH).unwrap();
        prop_assert_eq!(peeled.payload, first);
        prop_assert_eq!(peel(&secret(3), &peeled.next.unwrap(), &HASH).unwrap().payload, end);
    }
}
