//! Signatures as scripts see them: encodings, hash types, and the check against the spending transaction. Used for policy
//! and for naming failures only.
use bitcoin::hashes::Hash;
use bitcoin::secp256k1::{ecdsa, schnorr, Message, PublicKey, SECP256K1};
use bitcoin::sighash::{Annex, Prevouts, SighashCache};
use bitcoin::{EcdsaSighashType, Script, TapLeafHash, TapSighashType, Transaction, TxOut, XOnlyPublicKey};

use super::ScriptFault::{self, Core};

/// Which rules a script runs under.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// scriptSig, bare outputs, P2SH.
    Base,
    /// P2WPKH and P2WSH.
    WitnessV0,
    /// A taproot leaf.
    Tapscript,
}

/// Checks the signatures of one input.
pub struct Checker<'a> {
    /// The spending transaction.
    pub tx: &'a Transaction,
    /// The input.
    pub index: usize,
    policy: bool,
    spent: &'a [TxOut],
    cache: SighashCache<&'a Transaction>,
    annex: Option<Vec<u8>>,
    leaf: Option<TapLeafHash>,
}

impl<'a> Checker<'a> {
    /// For an input of `tx`, which spends `spent`.
    pub fn new(tx: &'a Transaction, spent: &'a [TxOut], index: usize, policy: bool) -> Checker<'a> {
        Checker { tx, index, policy, spent, cache: SighashCache::new(tx), annex: None, leaf: None }
    }

    /// The input has an annex.
    pub fn set_annex(&mut self, annex: &[u8]) {
        self.annex = Some(annex.to_vec());
    }

    /// The input runs this leaf.
    pub fn set_leaf(&mut self, leaf: TapLeafHash) {
        self.leaf = Some(leaf);
    }

    /// Are the encodings of signature and key acceptable? The outcome of the check is another matter.
    pub fn encodings(&self, signature: &[u8], key: &[u8], version: Version) -> Result<(), ScriptFault> {
        if let Some((hash_type, der)) = signature.split_last() {
            if !is_strict_der(der) {
                return Err(Core("Non-canonical DER signature"));
            }
            if self.policy {
                if !is_low_s(der) {
                    return Err(Core("Non-canonical signature: S value is unnecessarily high"));
                }
                if !(1..=3).contains(&(hash_type & !0x80)) {
                    return Err(Core("Signature hash type missing or not understood"));
                }
            }
        }
        if self.policy {
            let compressed = key.len() == 33 && matches!(key.first(), Some(2 | 3));
            let plain = key.len() == 65 && key.first() == Some(&4);
            if !compressed && !plain {
                return Err(Core("Public key is neither compressed or uncompressed"));
            }
            if version == Version::WitnessV0 && !compressed {
                return Err(Core("Using non-compressed keys in segwit"));
            }
        }
        Ok(())
    }

    /// Does an ECDSA signature with its hash type sign this input for `code`?
    pub fn ecdsa(&mut self, signature: &[u8], key: &[u8], code: &[u8], version: Version) -> bool {
        let Some((hash_type, der)) = signature.split_last() else { return false };
        let Ok(key) = PublicKey::from_slice(key) else { return false };
        let Ok(mut parsed) = ecdsa::Signature::from_der_lax(der) else { return false };
        parsed.normalize_s();
        let code = Script::from_bytes(code);
        let digest = match version {
            Version::Base => {
                let hash = self.cache.legacy_signature_hash(self.index, code, u32::from(*hash_type));
                hash.ok().map(|hash| hash.to_byte_array())
            }
            _ => {
                let Some(out) = self.spent.get(self.index) else { return false };
                // Policy has refused undefined types before; in a block the library alone decides.
                let Ok(kind) = EcdsaSighashType::from_standard(u32::from(*hash_type)) else { return false };
                let hash = self.cache.p2wsh_signature_hash(self.index, code, out.value, kind);
                hash.ok().map(|hash| hash.to_byte_array())
            }
        };
        digest.is_some_and(|digest| {
            SECP256K1.verify_ecdsa(&Message::from_digest(digest), &parsed, &key).is_ok()
        })
    }

    /// A BIP 340 signature of 64 or 65 bytes, for the key path or the leaf that was set.
    pub fn schnorr(&mut self, signature: &[u8], key: &[u8]) -> Result<(), ScriptFault> {
        const WRONG: ScriptFault = Core("Invalid Schnorr signature");
        const HASH_TYPE: ScriptFault = Core("Invalid Schnorr signature hash type");
        let (body, kind) = match signature.len() {
            64 => (signature, TapSighashType::Default),
            65 => {
                let (hash_type, body) = signature.split_last().ok_or(WRONG)?;
                let kind = TapSighashType::from_consensus_u8(*hash_type).map_err(|_| HASH_TYPE)?;
                if kind == TapSighashType::Default {
                    return Err(HASH_TYPE);
                }
                (body, kind)
            }
            _ => return Err(Core("Invalid Schnorr signature size")),
        };
        let annex = self.annex.as_deref().and_then(|annex| Annex::new(annex).ok());
        let leaf = self.leaf.map(|leaf| (leaf, u32::MAX));
        let hash = self
            .cache
            .taproot_signature_hash(self.index, &Prevouts::All(self.spent), annex, leaf, kind)
            .map_err(|_| HASH_TYPE)?;
        let key = XOnlyPublicKey::from_slice(key).map_err(|_| WRONG)?;
        let parsed = schnorr::Signature::from_slice(body).map_err(|_| WRONG)?;
        SECP256K1
            .verify_schnorr(&parsed, &Message::from_digest(hash.to_byte_array()), &key)
            .map_err(|_| WRONG)
    }
}

fn is_low_s(der: &[u8]) -> bool {
    ecdsa::Signature::from_der_lax(der).is_ok_and(|signature| {
        let mut low = signature;
        low.normalize_s();
        low == signature
    })
}

/// BIP 66, without the hash type.
fn is_strict_der(der: &[u8]) -> bool {
    let [0x30, total, rest @ ..] = der else { return false };
    if !(8..=72).contains(&der.len()) || usize::from(*total) != rest.len() {
        return false;
    }
    strict_integer(rest).and_then(strict_integer).is_some_and(<[u8]>::is_empty)
}

/// One positive, minimal integer; returns what follows.
fn strict_integer(bytes: &[u8]) -> Option<&[u8]> {
    let [0x02, length, rest @ ..] = bytes else { return None };
    let number = rest.get(..usize::from(*length))?;
    match number {
        [] => None,
        [first, ..] if first & 0x80 != 0 => None,
        [0, second, ..] if second & 0x80 == 0 => None,
        _ => rest.get(usize::from(*length)..),
    }
}
