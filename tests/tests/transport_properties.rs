//! BOLT 8 under damage: whatever byte is changed, cut, swapped or played again, the handshake or the session ends, and no
//! wrong message comes out. Duties N100 and N101.

use leyden_core::transport::{Act, BadMac, HandshakeError, Initiator, Responder, Session, TooLong};
use leyden_core::transport::{HEADER_LEN, MAX_MESSAGE, TAG_LEN};
use proptest::prelude::*;
use secp256k1::{PublicKey, SecretKey, SECP256K1};

/// Duty N100: each bit of each act counts.
#[test]
fn any_changed_bit_of_an_act_ends_the_handshake_at_that_act() {
    for bit in 0..50 * 8 {
        let error = with_damage([Some(bit), None, None]).unwrap_err();
        assert_eq!(act_of(&error), Act::One, "bit {bit}: {error}");
        let error = with_damage([None, Some(bit), None]).unwrap_err();
        assert_eq!(act_of(&error), Act::Two, "bit {bit}: {error}");
    }
    for bit in 0..66 * 8 {
        let error = with_damage([None, None, Some(bit)]).unwrap_err();
        assert_eq!(act_of(&error), Act::Three, "bit {bit}: {error}");
    }
    assert!(with_damage([None, None, None]).is_ok());
}

/// Duty N100: an unknown version is refused before anything else is looked at.
#[test]
fn every_other_version_is_named_in_the_error() {
    for version in 1..=255 {
        let mut act = call(1).1;
        act[0] = version;
        let error = responder().act_one(&act).unwrap_err();
        assert_eq!(error, HandshakeError::Version { act: Act::One, version });
    }
}

#[test]
fn a_caller_that_expects_another_node_is_refused_in_act_one() {
    let (_, act_one) = Initiator::start(&secret(1), secret(2), public(5));
    let error = responder().act_one(&act_one).unwrap_err();
    assert_eq!(error, HandshakeError::Tag { act: Act::One });
}

#[test]
fn nothing_shows_its_secrets() {
    let (initiator, act_one) = call(1);
    assert_eq!(format!("{initiator:?}"), "Initiator(..)");
    assert_eq!(format!("{:?}", responder()), "Responder(..)");
    let (waiting, act_two) = responder().act_one(&act_one).unwrap();
    assert_eq!(format!("{waiting:?}"), "Responder2(..)");
    let (_, session) = initiator.act_two(&act_two).unwrap();
    assert_eq!(format!("{session:?}"), "Session { sender: Sender(..), receiver: Receiver(..) }");
}

/// Duty N101: each bit counts, also of the tags; what follows is not opened any more, however right it is.
#[test]
fn any_changed_bit_of_a_sealed_message_ends_the_session() {
    let len = seal(&mut sessions().0, b"warning").len();
    for bit in 0..len * 8 {
        let (mut one, mut other) = sessions();
        let mut sealed = seal(&mut one, b"warning");
        sealed[bit / 8] ^= 1 << (bit % 8);
        let in_header = bit / 8 < HEADER_LEN;
        let expected = if in_header { BadMac::Header } else { BadMac::Body { len: len - HEADER_LEN } };
        assert_eq!(open(&mut other, &mut sealed), Err(expected), "bit {bit}");
        assert_eq!(open(&mut other, &mut seal(&mut one, b"next")), Err(BadMac::Header));
    }
}

/// Duty N101.
#[test]
fn a_message_that_was_cut_is_not_opened() {
    let sealed = seal(&mut sessions().0, b"cut me");
    for kept in 0..sealed.len() - HEADER_LEN {
        let (_, mut other) = sessions();
        let (header, body) = sealed.split_first_chunk::<HEADER_LEN>().unwrap();
        other.receiver.header(header).unwrap();
        let mut short = body[..kept].to_vec();
        assert_eq!(other.receiver.body(&mut short), Err(BadMac::Body { len: kept }));
    }
}

/// Duty N101: order is authenticated by the nonce, direction by the key.
#[test]
fn messages_played_again_left_out_or_sent_back_are_not_opened() {
    let (mut one, mut other) = sessions();
    let mut first = seal(&mut one, b"first");
    let mut again = first.clone();
    assert_eq!(open(&mut other, &mut first), Ok(b"first".to_vec()));
    assert_eq!(open(&mut other, &mut again), Err(BadMac::Header));

    let (mut one, mut other) = sessions();
    seal(&mut one, b"lost on its way");
    assert_eq!(open(&mut other, &mut seal(&mut one, b"second")), Err(BadMac::Header));

    let (mut one, _) = sessions();
    let mut own = seal(&mut one, b"mine");
    assert_eq!(open(&mut one, &mut own), Err(BadMac::Header));
}

/// Duty N101: 65535 bytes are sealed, one more is refused and costs nothing.
#[test]
fn the_longest_message_fits_and_a_longer_one_is_refused_before_it_is_sealed() {
    let (mut one, mut other) = sessions();
    let longest = vec![7; MAX_MESSAGE];
    let mut out = b"before".to_vec();
    let refused = one.sender.seal(&vec![7; MAX_MESSAGE + 1], &mut out);
    assert_eq!(refused, Err(TooLong { len: MAX_MESSAGE + 1 }));
    assert_eq!(out, b"before");
    let mut sealed = seal(&mut one, &longest);
    assert_eq!(sealed.len(), HEADER_LEN + MAX_MESSAGE + TAG_LEN);
    assert_eq!(open(&mut other, &mut sealed), Ok(longest));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Both directions, in any mixture, over several rotations of each key at its own time.
    #[test]
    fn what_one_side_seals_the_other_opens(
        secrets in proptest::array::uniform4(1u8..=250),
        turns in proptest::collection::vec((any::<bool>(), 0usize..400), 1200..2600),
    ) {
        let [local, ephemeral, remote, other_ephemeral] = secrets.map(secret);
        let (initiator, act_one) = Initiator::start(&local, ephemeral, remote.public_key(SECP256K1));
        let (responder, act_two) = Responder::new(&remote, other_ephemeral).act_one(&act_one).unwrap();
        let (act_three, mut one) = initiator.act_two(&act_two).unwrap();
        let (caller, mut other) = responder.act_three(&act_three).unwrap();
        prop_assert_eq!(caller, local.public_key(SECP256K1));
        for (back, len) in turns {
            let (from, to) = if back { (&mut other, &mut one) } else { (&mut one, &mut other) };
            let message = vec![len as u8; len];
            prop_assert_eq!(open(to, &mut seal(from, &message)), Ok(message));
        }
    }

    /// Duty N100: acts of any bytes are refused, never trusted and never a panic.
    #[test]
    fn acts_of_any_bytes_are_refused(acts in proptest::collection::vec(any::<u8>(), 166)) {
        let mut one: [u8; 50] = acts[..50].try_into().unwrap();
        let mut two: [u8; 50] = acts[50..100].try_into().unwrap();
        let mut three: [u8; 66] = acts[100..].try_into().unwrap();
        [one[0], two[0], three[0]] = [0; 3];
        prop_assert!(responder().act_one(&one).is_err());
        let (initiator, good) = call(1);
        prop_assert!(initiator.act_two(&two).is_err());
        let (responder, _) = responder().act_one(&good).unwrap();
        prop_assert_eq!(responder.act_three(&three).unwrap_err(), HandshakeError::SealedKey);
    }
}

/// A handshake with at most one bit changed in each act on its way.
fn with_damage(bits: [Option<usize>; 3]) -> Result<(Session, Session), HandshakeError> {
    let (initiator, mut act_one) = call(1);
    damage(&mut act_one, bits[0]);
    let (responder, mut act_two) = responder().act_one(&act_one)?;
    damage(&mut act_two, bits[1]);
    let (mut act_three, one) = initiator.act_two(&act_two)?;
    damage(&mut act_three, bits[2]);
    let (_, other) = responder.act_three(&act_three)?;
    Ok((one, other))
}

fn damage(act: &mut [u8], bit: Option<usize>) {
    if let Some(bit) = bit {
        act[bit / 8] ^= 1 << (bit % 8);
    }
}

fn act_of(error: &HandshakeError) -> Act {
    match error {
        HandshakeError::Version { act, .. } | HandshakeError::Key { act } | HandshakeError::Tag { act } => {
            *act
        }
        HandshakeError::SealedKey => Act::Three,
    }
}

fn sessions() -> (Session, Session) {
    with_damage([None; 3]).unwrap()
}

fn call(local: u8) -> (Initiator, [u8; 50]) {
    Initiator::start(&secret(local), secret(2), public(3))
}

fn responder() -> Responder {
    Responder::new(&secret(3), secret(4))
}

fn seal(session: &mut Session, message: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::new();
    session.sender.seal(message, &mut sealed).unwrap();
    sealed
}

fn open(session: &mut Session, sealed: &mut [u8]) -> Result<Vec<u8>, BadMac> {
    let (header, body) = sealed.split_first_chunk_mut::<HEADER_LEN>().unwrap();
    let len = session.receiver.header(header)?;
    assert_eq!(len, body.len());
    session.receiver.body(body).map(<[u8]>::to_vec)
}

fn secret(number: u8) -> SecretKey {
    SecretKey::from_slice(&[number; 32]).unwrap()
}

fn public(number: u8) -> PublicKey {
    secret(number).public_key(SECP256K1)
}
