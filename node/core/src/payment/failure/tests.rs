//! Failures: the codec's identity, and the way back for any length of route.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

fn any_failure() -> impl Strategy<Value = Failure> {
    let fields =
        (any::<u8>(), any::<u64>(), any::<u32>(), any::<u16>(), any::<[u8; 32]>(), vec(any::<u8>(), 0..300));
    fields.prop_map(|(pick, long, int, short, sha256_of_onion, bytes)| {
        let htlc_msat = Msat::new(long);
        let cltv_expiry = CltvExpiry::new(int);
        let channel_update = bytes.clone();
        match pick % 23 {
            0 => Failure::TemporaryNodeFailure,
            1 => Failure::PermanentNodeFailure,
            2 => Failure::RequiredNodeFeatureMissing,
            3 => Failure::InvalidOnionVersion { sha256_of_onion },
            4 => Failure::InvalidOnionHmac { sha256_of_onion },
            5 => Failure::InvalidOnionKey { sha256_of_onion },
            6 => Failure::InvalidOnionBlinding { sha256_of_onion },
            7 => Failure::TemporaryChannelFailure { channel_update },
            8 => Failure::PermanentChannelFailure,
            9 => Failure::RequiredChannelFeatureMissing,
            10 => Failure::UnknownNextPeer,
            11 => Failure::AmountBelowMinimum { htlc_msat, channel_update },
            12 => Failure::FeeInsufficient { htlc_msat, channel_update },
            13 => Failure::IncorrectCltvExpiry { cltv_expiry, channel_update },
            14 => Failure::ExpiryTooSoon { channel_update },
            15 => Failure::IncorrectOrUnknownPaymentDetails { htlc_msat, height: BlockHeight::new(int) },
            16 => Failure::FinalIncorrectCltvExpiry { cltv_expiry },
            17 => Failure::FinalIncorrectHtlcAmount { incoming_htlc_amt: htlc_msat },
            18 => Failure::ChannelDisabled { disabled_flags: short, channel_update },
            19 => Failure::ExpiryTooFar,
            20 => Failure::InvalidOnionPayload { kind: long, offset: short },
            21 => Failure::MppTimeout,
            _ => Failure::Unknown { code: 0x0fff, data: bytes },
        }
    })
}

/// What arrives at the origin of a route with these secrets when hop `erring` says `failure`.
fn arriving(secrets: &[SharedSecret], erring: usize, failure: &Failure) -> Vec<u8> {
    let sealed = wrap(&secrets[erring], failure);
    secrets[..erring].iter().rev().fold(sealed, |packet, secret| relay(secret, &packet))
}

#[test]
fn codes_are_those_of_the_bolt() {
    let coded = |failure: Failure| failure.code();
    assert_eq!(coded(Failure::TemporaryNodeFailure), 0x2002);
    assert_eq!(coded(Failure::PermanentNodeFailure), 0x6002);
    assert_eq!(coded(Failure::malformed(0xc005, [1; 32])), 0xc005);
    assert_eq!(coded(Failure::TemporaryChannelFailure { channel_update: vec![] }), 0x1007);
    assert_eq!(coded(Failure::UnknownNextPeer), 0x400a);
    assert_eq!(coded(Failure::InvalidOnionPayload { kind: 2, offset: 1 }), 0x4016);
    assert_eq!(Failure::malformed(0xc005, [1; 32]), Failure::InvalidOnionHmac { sha256_of_onion: [1; 32] });
    let strange = Failure::malformed(0x8fff, [1; 32]);
    assert_eq!(strange, Failure::Unknown { code: 0x8fff, data: vec![1; 32] });
}

#[test]
fn a_known_code_with_too_little_data_keeps_its_code() {
    assert_eq!(Failure::decode(&[0x40, 15]), Ok(Failure::Unknown { code: 0x400f, data: vec![] }));
    assert_eq!(
        Failure::decode(&[0x10, 7, 0, 9, 1]),
        Ok(Failure::Unknown { code: 0x1007, data: vec![0, 9, 1] })
    );
    assert!(Failure::decode(&[0x40]).is_err());
}

#[test]
fn a_short_failure_is_padded_to_256_bytes() {
    assert_eq!(wrap(&SharedSecret([1; 32]), &Failure::MppTimeout).len(), 32 + 2 + 256 + 2);
}

#[test]
fn the_longest_failure_still_travels_and_a_longer_one_is_cut() {
    let secrets = [SharedSecret([1; 32]), SharedSecret([2; 32])];
    for extra in [0, 1, 10_000] {
        let failure = Failure::Unknown { code: 0x0fff, data: vec![3; MAX_FAILURE_LEN - 2 + extra] };
        let packet = arriving(&secrets, 1, &failure);
        assert_eq!(packet.len(), 65_535 - 44);
        let whole = Failure::Unknown { code: 0x0fff, data: vec![3; MAX_FAILURE_LEN - 2] };
        assert_eq!(attribute(&secrets, &packet), Some((1, whole)));
    }
}

#[test]
fn a_packet_that_some_hop_changed_is_attributed_to_nobody() {
    let secrets: Vec<_> = (1..=5).map(|n| SharedSecret([n; 32])).collect();
    let mut packet = arriving(&secrets, 3, &Failure::ExpiryTooFar);
    packet[100] ^= 1;
    assert_eq!(attribute(&secrets, &packet), None);
    assert_eq!(attribute(&secrets, &[]), None);
    assert_eq!(attribute(&[], &packet), None);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn a_failure_reads_back_as_it_was_written(failure in any_failure()) {
        prop_assert_eq!(Failure::decode(&failure.encode()), Ok(failure));
    }

    #[test]
    fn the_origin_finds_the_hop_that_failed(
        failure in any_failure(), seed: [u8; 31], hops in 1..=30_u8, pick: u8,
    ) {
        let secret = |n: u8| { let mut bytes = [n; 32]; bytes[1..].copy_from_slice(&seed); SharedSecret(bytes) };
        let secrets: Vec<_> = (0..hops).map(secret).collect();
        let erring = usize::from(pick % hops);
        let packet = arriving(&secrets, erring, &failure);
        prop_assert!(packet.len() >= 32 + 2 + 256 + 2);
        prop_assert_eq!(attribute(&secrets, &packet), Some((erring, failure)));
    }

    #[test]
    fn random_bytes_are_attributed_to_nobody(bytes in vec(any::<u8>(), 0..2000), message in vec(any::<u8>(), 0..100)) {
        prop_assert_eq!(attribute(&[SharedSecret([1; 32]), SharedSecret([2; 32])], &bytes), None);
        let _ = Failure::decode(&message);
    }
}
