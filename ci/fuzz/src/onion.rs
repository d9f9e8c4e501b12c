//! Onions: any packet is peeled or refused; payloads of any bytes, well wrapped, are told or refused at each hop.

use crate::bytes::Bytes;
use leyden_core::ids::PaymentHash;
use leyden_core::payment::onion::{build_raw, peel};
use leyden_core::wire::ONION_PACKET_LEN;
use secp256k1::{SecretKey, SECP256K1};
use std::sync::Arc;

const HASH: PaymentHash = PaymentHash([7; 32]);
const HOPS_MAX: u8 = 4;

pub fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    match bytes.byte() {
        Some(hops @ 1..=HOPS_MAX) => wrapped(hops, &mut bytes),
        Some(_) => any_packet(bytes.rest()),
        None => {}
    }
}

fn any_packet(data: &[u8]) {
    let mut packet = [0; ONION_PACKET_LEN];
    let len = data.len().min(ONION_PACKET_LEN);
    packet[..len].copy_from_slice(&data[..len]);
    assert!(peel(&secret(1), &Arc::new(packet), &HASH).is_err(), "an HMAC was guessed");
}

/// Each payload as long as its first byte says, its prefix included.
fn wrapped(count: u8, bytes: &mut Bytes<'_>) {
    let mut hops = Vec::new();
    for hop in 1..=count {
        let len = usize::from(bytes.byte().unwrap_or_default()) * 2;
        hops.push((secret(hop).public_key(SECP256K1), bytes.take(len).to_vec()));
    }
    let Ok(sent) = build_raw(&secret(9), &hops, &HASH) else { return };
    let mut packet = sent.packet;
    for hop in 1..=count {
        let Ok(peeled) = peel(&secret(hop), &packet, &HASH) else { return };
        assert_eq!(peeled.shared_secret, sent.shared_secrets[usize::from(hop) - 1]);
        let Some(next) = peeled.next else { return };
        packet = next;
    }
}

fn secret(number: u8) -> SecretKey {
    SecretKey::from_slice(&[number; 32]).expect("a small number is a key")
}
