//! Signing and verifying one input, the same way for every transaction here. Signatures follow RFC 6979 without
//! grinding: one operation on the curve each, and the same bytes at each call.
use bitcoin::hashes::Hash;
use bitcoin::sighash::SighashCache;
use bitcoin::{ecdsa, Amount, EcdsaSighashType, Script, Transaction};
use secp256k1::ecdsa::Signature;
use secp256k1::{Message, PublicKey, SecretKey, SECP256K1};

/// What a signature of the transaction's first input signs (BIP 143). `script_code` is the witness script.
pub(super) fn digest(
    tx: &Transaction,
    script_code: &Script,
    amount: Amount,
    kind: EcdsaSighashType,
) -> Message {
    digest_at(tx, 0, script_code, amount, kind)
}

/// The same for the input at `index`.
pub(super) fn digest_at(
    tx: &Transaction,
    index: usize,
    script_code: &Script,
    amount: Amount,
    kind: EcdsaSighashType,
) -> Message {
    let hash = SighashCache::new(tx)
        .p2wsh_signature_hash(index, script_code, amount, kind)
        .expect("the callers name an input that is there, and an output beside it for SIGHASH_SINGLE");
    Message::from_digest(hash.to_byte_array())
}

pub(super) fn sign(digest: &Message, key: &SecretKey) -> Signature {
    SECP256K1.sign_ecdsa(digest, key)
}

/// Whether the signature is the key's. The library refuses a high S; so must we, Core would not relay it (BIP 146).
pub(super) fn verify(digest: &Message, signature: &Signature, key: &PublicKey) -> bool {
    SECP256K1.verify_ecdsa(digest, signature, key).is_ok()
}

/// The signature as a witness element: DER and the byte that says what it covers.
pub(super) fn witness_element(signature: &Signature, kind: EcdsaSighashType) -> Vec<u8> {
    ecdsa::Signature { signature: *signature, sighash_type: kind }.to_vec()
}
