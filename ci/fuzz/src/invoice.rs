//! Invoices: any text; and any fields, behind those that every invoice needs or alone, signed and with a right checksum, so
//! that the fields' own readers are reached.

use crate::bytes::Bytes;
use bitcoin::bech32::{Bech32, ByteIterExt, Fe32, Fe32IterExt, Hrp};
use bitcoin::hashes::{sha256, Hash};
use bitcoin::Network;
use leyden_core::payment::invoice::Invoice;
use leyden_core::units::Timestamp;
use secp256k1::{Message, SecretKey, SECP256K1};

const PREFIXES: [&str; 4] = ["lnbcrt", "lnbc", "lntb", "lnsb"];
const AMOUNT: &[u8; 14] = b"0123456789munp";
/// A time, and the fields `p`, `s`, `d` and `9` with what is needed at least.
const TIME_LEN: usize = 7;

pub fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let Some(choice) = bytes.byte() else { return };
    if choice == 0 {
        if let Ok(text) = std::str::from_utf8(bytes.rest()) {
            read(text);
        }
        return;
    }
    let prefix = PREFIXES[usize::from(choice >> 1) % PREFIXES.len()];
    let amount_len = usize::from(choice >> 3) % 16;
    let amount = bytes.take(amount_len).iter().map(|byte| char::from(AMOUNT[usize::from(*byte) % 14]));
    let human = amount.fold(prefix.to_owned(), |text, letter| text + &letter.to_string());
    let mut elements = if choice & 1 == 1 { needed() } else { Vec::new() };
    elements.extend(bytes.rest().iter().map(|byte| element(byte % 32)));
    if let Some(text) = sign(&human, elements) {
        read(&text);
    }
}

fn read(text: &str) {
    let Ok(invoice) = Invoice::parse(text) else { return };
    assert_eq!(Invoice::parse(invoice.as_str()).as_ref(), Ok(&invoice), "it reads as what it was");
    let _ = invoice.check_payable(Network::Regtest, Timestamp::ZERO);
    assert!(invoice.expires_at() >= invoice.timestamp);
}

fn needed() -> Vec<Fe32> {
    let mut elements = vec![element(0); TIME_LEN - 1];
    elements.push(element(9));
    let fields: [(u8, Vec<u8>); 4] =
        [(1, vec![4; 52]), (16, vec![2; 52]), (13, vec![3; 2]), (5, vec![16, 8, 0])];
    for (kind, value) in fields {
        let len = value.len() as u8;
        elements.extend([kind, len / 32, len % 32].map(element));
        elements.extend(value.into_iter().map(element));
    }
    elements
}

/// The whole text: what is signed are the elements' bits, filled up to whole bytes.
fn sign(human: &str, mut elements: Vec<Fe32>) -> Option<String> {
    let human = Hrp::parse(human).ok()?;
    let filled = elements.iter().copied().chain([element(0); 2]).fes_to_bytes();
    let len = (elements.len() * 5).div_ceil(8);
    let signed: Vec<u8> = human.as_str().bytes().chain(filled.take(len)).collect();
    let digest = Message::from_digest(sha256::Hash::hash(&signed).to_byte_array());
    let key = SecretKey::from_slice(&[3; 32]).ok()?;
    let (recovery, signature) = SECP256K1.sign_ecdsa_recoverable(&digest, &key).serialize_compact();
    let recovery = u8::try_from(recovery.to_i32()).ok()?;
    elements.extend(signature.into_iter().chain([recovery]).bytes_to_fes());
    Some(elements.into_iter().with_checksum::<Bech32>(&human).chars().collect())
}

fn element(value: u8) -> Fe32 {
    Fe32::try_from(value).expect("below 32")
}
