//! A passphrase's lock on 32 bytes: argon2id with its costs in the file, ChaCha20-Poly1305 with everything beside the
//! box bound to it. It knows no file.

use super::{hex, random, unhex, Passphrase, SeedError};
use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use serde::{Deserialize, Serialize};

/// What one guess at the passphrase costs: 64 MiB and three passes (RFC 9106, the second recommended choice), a tenth of
/// a second here. It is paid once, at each start.
pub(super) const COST: Cost = Cost { memory_kib: 64 * 1024, passes: 3 };

/// More than this no file of ours asks for, and a damaged one must not stop the machine.
const MOST: Cost = Cost { memory_kib: 1024 * 1024, passes: 64 };

/// argon2id's costs; one lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Cost {
    pub memory_kib: u32,
    pub passes: u32,
}

/// 32 bytes under a lock.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Locked {
    #[serde(flatten)]
    pub cost: Cost,
    salt: String,
    nonce: String,
    #[serde(rename = "box")]
    sealed: String,
}

/// What came of an attempt.
pub(super) enum Unlocked {
    /// It fits.
    Open([u8; 32]),
    /// It does not.
    WrongPassphrase,
    /// There is no lock of ours to try.
    Malformed,
}

impl Locked {
    pub fn lock(entropy: &[u8; 32], passphrase: &Passphrase, cost: Cost) -> Result<Self, SeedError> {
        let (salt, nonce) = (random::<16>()?, random::<12>()?);
        let cipher = ChaCha20Poly1305::new(&key(passphrase, &salt, cost)?.into());
        let bound = bound(cost, &salt);
        let payload = Payload { msg: entropy, aad: &bound };
        let sealed = cipher.encrypt(&nonce.into(), payload).expect("32 bytes are not too long to encrypt");
        Ok(Self { cost, salt: hex(&salt), nonce: hex(&nonce), sealed: hex(&sealed) })
    }

    pub fn unlock(&self, passphrase: &Passphrase) -> Result<Unlocked, SeedError> {
        let fields = (unhex::<16>(&self.salt), unhex::<12>(&self.nonce), unhex::<48>(&self.sealed));
        let (Some(salt), Some(nonce), Some(sealed)) = fields else { return Ok(Unlocked::Malformed) };
        if self.cost.memory_kib > MOST.memory_kib || self.cost.passes > MOST.passes {
            return Ok(Unlocked::Malformed);
        }
        let cipher = ChaCha20Poly1305::new(&key(passphrase, &salt, self.cost)?.into());
        let bound = bound(self.cost, &salt);
        let opened = cipher.decrypt(&nonce.into(), Payload { msg: &sealed, aad: &bound });
        Ok(match opened.map(<[u8; 32]>::try_from) {
            Ok(Ok(entropy)) => Unlocked::Open(entropy),
            Ok(Err(_)) => Unlocked::Malformed,
            Err(_) => Unlocked::WrongPassphrase,
        })
    }
}

fn key(passphrase: &Passphrase, salt: &[u8; 16], cost: Cost) -> Result<[u8; 32], SeedError> {
    if passphrase.expose().is_empty() {
        return Err(SeedError::EmptyPassphrase);
    }
    let params = Params::new(cost.memory_kib, cost.passes, 1, Some(32)).map_err(SeedError::Key)?;
    let mut key = [0; 32];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_into(passphrase.expose().as_bytes(), salt, &mut key).map_err(SeedError::Key)?;
    Ok(key)
}

fn bound(cost: Cost, salt: &[u8; 16]) -> Vec<u8> {
    let mut bytes = b"leyden seed 1".to_vec();
    bytes.extend(cost.memory_kib.to_be_bytes());
    bytes.extend(cost.passes.to_be_bytes());
    bytes.extend(salt);
    bytes
}
