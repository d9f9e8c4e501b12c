//! BOLT 8: acts of any bytes are refused; of sealed messages only those open that came whole, unchanged and in order.

use crate::bytes::Bytes;
use leyden_core::transport::{Initiator, Responder, Session, HEADER_LEN, TAG_LEN};
use secp256k1::{SecretKey, SECP256K1};

pub fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    match bytes.byte() {
        Some(0) => first_act(&mut bytes),
        Some(1) => later_acts(&mut bytes),
        Some(_) => messages(&mut bytes),
        None => {}
    }
}

fn first_act(bytes: &mut Bytes<'_>) {
    assert!(responder().act_one(&filled(bytes)).is_err(), "a tag was guessed");
}

fn later_acts(bytes: &mut Bytes<'_>) {
    let (initiator, act_one) = call();
    let Ok((responder, _)) = responder().act_one(&act_one) else { panic!("a good act one") };
    assert!(initiator.act_two(&filled(bytes)).is_err(), "a tag was guessed");
    assert!(responder.act_three(&filled(bytes)).is_err(), "a tag was guessed");
}

fn messages(bytes: &mut Bytes<'_>) {
    let (mut one, mut other) = sessions();
    while let Some(choice) = bytes.byte() {
        let len = usize::from(bytes.byte().unwrap_or_default());
        let message = bytes.take(len);
        let mut sealed = Vec::new();
        one.sender.seal(message, &mut sealed).expect("short enough");
        assert_eq!(sealed.len(), HEADER_LEN + message.len() + TAG_LEN);
        let whole = match choice {
            0..=9 => {
                let at = usize::from(bytes.byte().unwrap_or_default()) % sealed.len();
                sealed[at] ^= choice + 1;
                false
            }
            // The reader believes another length.
            10..=19 => {
                sealed.truncate(sealed.len() - usize::from(choice - 9).min(sealed.len() - HEADER_LEN));
                false
            }
            20..=29 => continue,
            30..=255 => true,
        };
        match open(&mut other, &mut sealed) {
            Some(opened) => assert!(whole && opened == message, "what opens is what was sealed"),
            // All that was sealed before came in order, or the session would have ended.
            None => return,
        }
    }
}

fn open<'a>(session: &mut Session, sealed: &'a mut [u8]) -> Option<&'a [u8]> {
    let (header, body) = sealed.split_first_chunk_mut::<HEADER_LEN>()?;
    session.receiver.header(header).ok()?;
    session.receiver.body(body).ok()
}

fn sessions() -> (Session, Session) {
    let (initiator, act_one) = call();
    let Ok((responder, act_two)) = responder().act_one(&act_one) else { panic!("a good act one") };
    let Ok((act_three, one)) = initiator.act_two(&act_two) else { panic!("a good act two") };
    let Ok((_, other)) = responder.act_three(&act_three) else { panic!("a good act three") };
    (one, other)
}

fn call() -> (Initiator, [u8; 50]) {
    Initiator::start(&secret(1), secret(2), secret(3).public_key(SECP256K1))
}

fn responder() -> Responder {
    Responder::new(&secret(3), secret(4))
}

fn filled<const N: usize>(bytes: &mut Bytes<'_>) -> [u8; N] {
    let mut act = [0; N];
    let given = bytes.take(N);
    act[..given.len()].copy_from_slice(given);
    act
}

fn secret(number: u8) -> SecretKey {
    SecretKey::from_slice(&[number; 32]).expect("a small number is a key")
}
