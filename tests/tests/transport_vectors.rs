//! BOLT 8's own vectors, read from the appendix's text: both sides of the handshake, every act that must fail, and the
//! messages around two rotations of the key.

use bitcoin::hex::{DisplayHex, FromHex};
use chacha20poly1305::aead::AeadInPlace;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use leyden_core::transport::{Act, HandshakeError, Initiator, Responder, Responder2, Session};
use leyden_core::transport::{HEADER_LEN, TAG_LEN};
use secp256k1::{PublicKey, SecretKey};

const APPENDIX: &str = include_str!("../data/bolt8/transport.md");
const INITIATOR: &str = "transport-initiator";
const RESPONDER: &str = "transport-responder";

/// Duty N100 for act two, and the good case.
#[test]
fn the_initiator_answers_every_act_two_as_in_the_appendix() {
    let vectors = vectors(INITIATOR);
    assert_eq!(vectors.len(), 5);
    for vector in vectors {
        let (initiator, act_one) = call(&vector);
        let mut steps = vector.steps();
        assert_eq!(steps.next(), Some(("output", hex(&act_one))), "{}", vector.name);
        let outcome = match <[u8; 50]>::try_from(unhex(&steps.next().unwrap().1)) {
            Ok(act_two) => initiator.act_two(&act_two).map(|(act_three, _)| hex(&act_three)),
            Err(short) => {
                assert_short("ACT2", short.len(), 50, &steps.next().unwrap().1);
                continue;
            }
        };
        assert_outcome(outcome, steps.next().unwrap().1, &vector.name);
    }
}

/// Duty N100 for acts one and three, and the good case.
#[test]
fn the_responder_answers_every_act_one_and_three_as_in_the_appendix() {
    let vectors = vectors(RESPONDER);
    assert_eq!(vectors.len(), 10);
    for vector in vectors {
        let mut steps = vector.steps();
        let input = unhex(&steps.next().unwrap().1);
        let Ok(act_one) = <[u8; 50]>::try_from(&input[..]) else {
            assert_short("ACT1", input.len(), 50, &steps.next().unwrap().1);
            continue;
        };
        let expected = steps.next().unwrap().1;
        let responder = match responder(&vector).act_one(&act_one) {
            Ok((responder, act_two)) => {
                assert_eq!(hex(&act_two), expected, "{}", vector.name);
                responder
            }
            Err(error) => {
                assert_outcome(Err(error), expected, &vector.name);
                continue;
            }
        };
        answer_act_three(responder, &unhex(&steps.next().unwrap().1), steps.next().unwrap().1, &vector);
    }
}

fn answer_act_three(responder: Responder2, input: &[u8], expected: String, vector: &Vector) {
    let Ok(act_three) = <[u8; 66]>::try_from(input) else {
        return assert_short("ACT3", input.len(), 66, &expected);
    };
    match responder.act_three(&act_three) {
        Ok((caller, _)) => {
            assert_eq!(caller, vectors(INITIATOR)[0].public("ls.pub"));
            assert!(expected.starts_with("rk,sk="), "{}", vector.name);
        }
        Err(error) => assert_outcome(Err(error), expected, &vector.name),
    }
}

/// "Message Encryption Tests", each message also opened at the other end. Rotation is part of duty N101.
#[test]
fn messages_are_sealed_as_in_the_appendix_across_two_rotations() {
    let vector = vectors("transport-message").remove(0);
    let (mut initiator, mut responder) = sessions();
    let mut compared = 0;
    for number in 0..=1001 {
        let mut sealed = Vec::new();
        initiator.sender.seal(b"hello", &mut sealed).unwrap();
        if let Some(expected) = vector.find(&format!("output {number}")) {
            assert_eq!(hex(&sealed), expected, "message {number}");
            compared += 1;
        }
        let (header, body) = sealed.split_first_chunk_mut::<HEADER_LEN>().unwrap();
        assert_eq!(responder.receiver.header(header), Ok(body.len()));
        assert_eq!(responder.receiver.body(body), Ok(&b"hello"[..]));
    }
    assert_eq!(compared, 6);
}

/// The keys do not show themselves, so what the session seals is compared with what they seal by the cipher alone.
#[test]
fn both_keys_of_the_session_are_those_of_the_appendix() {
    let vector = vectors("transport-message").remove(0);
    let (mut initiator, mut responder) = sessions();
    for (sender, key) in [(&mut initiator.sender, "sk"), (&mut responder.sender, "rk")] {
        let mut sealed = Vec::new();
        sender.seal(b"hello", &mut sealed).unwrap();
        let key = unhex(&vector.find(key).unwrap());
        let mut length = [0, 5];
        let tag = ChaCha20Poly1305::new_from_slice(&key)
            .unwrap()
            .encrypt_in_place_detached(&[0; 12].into(), &[], &mut length)
            .unwrap();
        assert_eq!(sealed[..2], length);
        assert_eq!(sealed[2..2 + TAG_LEN], *tag);
    }
}

/// Both ends of the appendix's good handshake.
fn sessions() -> (Session, Session) {
    let (initiator, act_one) = call(&vectors(INITIATOR)[0]);
    let (responder, act_two) = responder(&vectors(RESPONDER)[0]).act_one(&act_one).unwrap();
    let (act_three, calling) = initiator.act_two(&act_two).unwrap();
    let (_, called) = responder.act_three(&act_three).unwrap();
    (calling, called)
}

fn call(vector: &Vector) -> (Initiator, [u8; 50]) {
    Initiator::start(&vector.secret("ls.priv"), vector.secret("e.priv"), vector.public("rs.pub"))
}

fn responder(vector: &Vector) -> Responder {
    Responder::new(&vector.secret("ls.priv"), vector.secret("e.priv"))
}

/// An act that is too short is no act: its type has a length, and whoever reads it from a socket ends there.
fn assert_short(act: &str, len: usize, whole: usize, expected: &str) {
    assert_eq!(expected, format!("ERROR ({act}_READ_FAILED)"));
    assert_eq!(len, whole - 1);
}

fn assert_outcome(outcome: Result<String, HandshakeError>, expected: String, name: &str) {
    match outcome {
        Ok(output) => assert_eq!(output, expected, "{name}"),
        // Some vectors name the version after the code, some do not.
        Err(error) => {
            assert_eq!(code(&error), expected.replace("_VERSION 1)", "_VERSION)"), "{name}: {error}")
        }
    }
}

/// The appendix's name of an error.
fn code(error: &HandshakeError) -> String {
    let number = |act: &Act| match act {
        Act::One => 1,
        Act::Two => 2,
        Act::Three => 3,
    };
    match error {
        HandshakeError::Version { act, version: 1 } => format!("ERROR (ACT{}_BAD_VERSION)", number(act)),
        HandshakeError::Version { act, version } => panic!("version {version} of act {act}"),
        HandshakeError::Key { act } => format!("ERROR (ACT{}_BAD_PUBKEY)", number(act)),
        HandshakeError::Tag { act } => format!("ERROR (ACT{}_BAD_TAG)", number(act)),
        HandshakeError::SealedKey => "ERROR (ACT3_BAD_CIPHERTEXT)".to_string(),
    }
}

/// One named vector: its lines `key: value` and `key=value`, in order.
struct Vector {
    name: String,
    lines: Vec<(String, String)>,
}

impl Vector {
    fn find(&self, key: &str) -> Option<String> {
        self.lines.iter().find(|(found, _)| found == key).map(|(_, value)| value.clone())
    }

    fn secret(&self, key: &str) -> SecretKey {
        self.find(key).unwrap().parse().unwrap()
    }

    fn public(&self, key: &str) -> PublicKey {
        self.find(key).unwrap().parse().unwrap()
    }

    /// What goes in and comes out, in order.
    fn steps(&self) -> impl Iterator<Item = (&str, String)> {
        let steps = self.lines.iter().filter(|(key, _)| key == "input" || key == "output");
        steps.map(|(key, value)| (key.as_str(), value.clone()))
    }
}

fn vectors(kind: &str) -> Vec<Vector> {
    let mut vectors: Vec<Vector> = Vec::new();
    for line in APPENDIX.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let Some((key, value)) = line.find([':', '=']).map(|at| (&line[..at], line[at + 1..].trim())) else {
            continue;
        };
        let value = value.trim_start_matches("0x").to_string();
        match vectors.last_mut() {
            _ if key == "name" => vectors.push(Vector { name: value, lines: Vec::new() }),
            Some(vector) => vector.lines.push((key.to_string(), value)),
            None => {}
        }
    }
    vectors.into_iter().filter(|vector| vector.name.starts_with(kind)).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.to_lower_hex_string()
}

fn unhex(text: &str) -> Vec<u8> {
    FromHex::from_hex(text).unwrap()
}
