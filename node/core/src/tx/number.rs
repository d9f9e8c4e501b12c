//! The commitment number that every commitment transaction carries, obscured, in its lock time and sequence
//! (BOLT 3, "Commitment Transaction"). It tells which state appeared on the chain, and to outsiders nothing.
use crate::units::CommitmentNumber;
use bitcoin::absolute::LockTime;
use bitcoin::hashes::{sha256, Hash, HashEngine};
use bitcoin::{Sequence, Transaction};
use secp256k1::PublicKey;

const LOWER_24: u64 = 0xff_ffff;

/// The lock time and the sequence that carry `number`.
pub(super) fn encode_commitment_number(
    number: CommitmentNumber,
    opener_payment_basepoint: &PublicKey,
    acceptor_payment_basepoint: &PublicKey,
) -> (LockTime, Sequence) {
    let obscured = number.get() ^ obscuring_factor(opener_payment_basepoint, acceptor_payment_basepoint);
    let lock_time = 0x20 << 24 | (obscured & LOWER_24) as u32;
    let sequence = 0x80 << 24 | (obscured >> 24 & LOWER_24) as u32;
    (LockTime::from_consensus(lock_time), Sequence::from_consensus(sequence))
}

/// The number of a commitment transaction of this channel; nothing when the transaction's lock time and sequence are
/// not those of a commitment, as with a closing transaction.
pub fn decode_commitment_number(
    tx: &Transaction,
    opener_payment_basepoint: &PublicKey,
    acceptor_payment_basepoint: &PublicKey,
) -> Option<CommitmentNumber> {
    let [input] = tx.input.as_slice() else { return None };
    let (lock_time, sequence) = (tx.lock_time.to_consensus_u32(), input.sequence.to_consensus_u32());
    if lock_time >> 24 != 0x20 || sequence >> 24 != 0x80 {
        return None;
    }
    let obscured = (u64::from(sequence) & LOWER_24) << 24 | u64::from(lock_time) & LOWER_24;
    let factor = obscuring_factor(opener_payment_basepoint, acceptor_payment_basepoint);
    Some(CommitmentNumber::new(obscured ^ factor))
}

/// The lower 48 bits of the hash over both payment basepoints, the opener's first.
fn obscuring_factor(opener: &PublicKey, acceptor: &PublicKey) -> u64 {
    let mut engine = sha256::Hash::engine();
    engine.input(&opener.serialize());
    engine.input(&acceptor.serialize());
    let hash = sha256::Hash::from_engine(engine).to_byte_array();
    hash[26..].iter().fold(0, |factor, byte| factor << 8 | u64::from(*byte))
}
