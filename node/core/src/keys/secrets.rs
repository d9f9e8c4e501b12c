//! Per-commitment secrets: how they follow from a base, and the peer's released ones in at most 49 places
//! (BOLT 3, "Efficient Per-commitment Secret Storage"). Refuses a secret that does not fit; never forgets one.
use crate::units::CommitmentNumber;
use bitcoin::hashes::{sha256, Hash};
use secp256k1::SecretKey;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Indices are 48 bits and count down, so that a later secret gives the earlier ones.
const FIRST_INDEX: u64 = (1 << 48) - 1;
/// One place for each number of trailing zeros of an index, and one for index 0.
const PLACES: usize = 49;

/// The BOLT's index of a commitment: the first commitment has the largest.
pub(super) fn commitment_index(number: CommitmentNumber) -> u64 {
    FIRST_INDEX.saturating_sub(number.get())
}

/// The secret at `index`, from a base whose index has the same bits from `bits` up (BOLT 3, `derive_secret`).
/// With the commitment seed as base and 48 bits, `generate_from_seed`.
pub(super) fn secret_from_base(base: [u8; 32], bits: u32, index: u64) -> [u8; 32] {
    let mut secret = base;
    for bit in (0..bits.min(48)).rev().filter(|bit| index >> bit & 1 == 1) {
        secret[bit as usize / 8] ^= 1 << (bit % 8);
        secret = sha256::Hash::hash(&secret).to_byte_array();
    }
    secret
}

/// The secrets released so far; any earlier one can be computed from those kept.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SecretStore {
    /// At each place the latest index with that many trailing zeros, and its secret.
    known: Vec<(u64, [u8; 32])>,
}

/// A released secret does not fit those before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("secret of commitment {0} does not fit the earlier ones")]
pub struct InconsistentSecret(pub CommitmentNumber);

impl SecretStore {
    /// Keeps the secret of commitment `number`; they must come in order from 0. One out of order, or one that does
    /// not give the earlier ones, is refused and changes nothing.
    pub fn insert(&mut self, number: CommitmentNumber, secret: &SecretKey) -> Result<(), InconsistentSecret> {
        let refused = InconsistentSecret(number);
        if number != self.next_number().ok_or(refused)? {
            return Err(refused);
        }
        let index = commitment_index(number);
        let secret = secret.secret_bytes();
        let place = place_of(index);
        let fits =
            |(known, value): &(u64, [u8; 32])| secret_from_base(secret, place as u32, *known) == *value;
        if !self.known.iter().take(place).all(fits) {
            return Err(refused);
        }
        match self.known.get_mut(place) {
            Some(slot) => *slot = (index, secret),
            None => self.known.push((index, secret)),
        }
        Ok(())
    }

    /// The secret of a revoked commitment.
    pub fn get(&self, number: CommitmentNumber) -> Option<SecretKey> {
        let index = FIRST_INDEX.checked_sub(number.get())?;
        let prefix = |place: usize| index >> place << place;
        let places = self.known.iter().take(PLACES).enumerate();
        let (place, (_, base)) = { places }.find(|(place, (known, _))| prefix(*place) == *known)?;
        SecretKey::from_slice(&secret_from_base(*base, place as u32, index)).ok()
    }

    /// The number whose secret comes next: as many as are known. Nothing when all 2^48 are.
    pub fn next_number(&self) -> Option<CommitmentNumber> {
        match self.known.iter().map(|(index, _)| *index).min() {
            None => Some(CommitmentNumber::ZERO),
            Some(0) => None,
            Some(latest) => FIRST_INDEX.checked_sub(latest - 1).map(CommitmentNumber::new),
        }
    }
}

impl fmt::Debug for SecretStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretStore({} places)", self.known.len())
    }
}

/// The number of trailing zeros: which place an index has (BOLT 3, `where_to_put_secret`).
fn place_of(index: u64) -> usize {
    (index.trailing_zeros() as usize).min(PLACES - 1)
}
