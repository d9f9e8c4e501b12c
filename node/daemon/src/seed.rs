//! The node's seed on disk: 32 bytes, which are 24 BIP 39 words. In the file `seed`, plain or locked with a passphrase
//! (argon2id gives the key, ChaCha20-Poly1305 the lock). The file is written whole or not at all, never overwritten, and
//! readable by its owner alone. Nothing here prints a secret; only [`Words`] gives one out, to the backup command.

mod lock;
#[cfg(test)]
mod tests;

use crate::secret::Secret;
use crate::store::folder::{draft, sync};
use crate::store::{FolderLock, Store, StoreError};
use bip39::Mnemonic;
use bitcoin::hashes::{sha256, Hash};
use leyden_core::keys::NodeSeed;
use lock::Locked;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What locks a seed.
pub type Passphrase = Secret;

/// The seed's file in the node's folder.
pub const FILE: &str = "seed";

/// The version of the file that this code writes and reads.
const VERSION: u32 = 1;

/// Why a seed cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// There is none.
    #[error("{0} does not exist: this folder has no seed yet")]
    Missing(PathBuf),
    /// There is one already.
    #[error("{0} exists already: a seed is never overwritten")]
    Exists(PathBuf),
    /// The folder has a store, whose seed is lost.
    #[error("{0} is missing, but the folder has a node's store: restore the seed from its 24 words; a new one cannot sign for those channels")]
    Lost(PathBuf),
    /// It is locked, and no passphrase was given.
    #[error("{0} is locked: give its passphrase in LEYDEN_PASSPHRASE or by `passphrase-file`")]
    Locked(PathBuf),
    /// The file is whole, but this passphrase does not open it.
    #[error("the passphrase does not open {0}")]
    WrongPassphrase(PathBuf),
    /// A passphrase was given for a seed that has none.
    #[error("{0} is not locked, but a passphrase was given: leave it out, or make the seed anew from its words with the passphrase")]
    NotLocked(PathBuf),
    /// An empty passphrase locks nothing.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// Not a seed file, or not the bytes that were written.
    #[error("{path} is damaged ({what}): restore the seed from its 24 words")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it. Never its content.
        what: &'static str,
    },
    /// Written by a newer version.
    #[error("{path} has version {found}, this program reads version {VERSION}")]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The words are no seed.
    #[error("these are not the 24 words of a seed: {0}")]
    Words(WordsError),
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] StoreError),
    /// The disk refused.
    #[error("{0} cannot be read or written: {1}")]
    Io(PathBuf, #[source] io::Error),
    /// The system has no randomness.
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
    /// The key cannot be computed, for want of memory perhaps.
    #[error("the passphrase's key cannot be computed: {0}")]
    Key(argon2::Error),
}

/// What is wrong with the words of a backup. It names places, never a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WordsError {
    /// Not 24 of them.
    #[error("there are {0}")]
    Count(usize),
    /// One is not in BIP 39's English list.
    #[error("word {0} is not in BIP 39's English list")]
    Unknown(usize),
    /// Each is a word, but they do not belong together.
    #[error("their checksum is wrong: a word is mistyped, or two changed places")]
    Checksum,
}

/// The 24 words, for the owner's backup. No `Debug`, no `Display`: whoever shows them says so in words.
pub struct Words(Mnemonic);

impl Words {
    /// The words in their order.
    pub fn expose(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.words()
    }
}

/// The seed's file.
pub struct SeedFile;

impl SeedFile {
    /// Whether this folder has a seed.
    pub fn exists(folder: &Path) -> bool {
        folder.join(FILE).exists()
    }

    /// Makes the file: with this entropy, or with the system's. Refuses to overwrite one, and to make a new seed beside
    /// the store of a lost one.
    pub fn create(
        folder: &Path,
        entropy: Option<[u8; 32]>,
        passphrase: Option<&Passphrase>,
    ) -> Result<NodeSeed, SeedError> {
        let _lock = FolderLock::take(folder)?;
        let path = folder.join(FILE);
        if path.exists() {
            return Err(SeedError::Exists(path));
        }
        let entropy = match entropy {
            Some(entropy) => entropy,
            None if Store::exists(folder) => return Err(SeedError::Lost(path)),
            None => random()?,
        };
        let content = match passphrase {
            None => Content::Plain { entropy: hex(&entropy) },
            Some(passphrase) => Content::Locked(Locked::lock(&entropy, passphrase, lock::COST)?),
        };
        write_new(folder, FILE, &encode(&content)).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => SeedError::Exists(path.clone()),
            _ => SeedError::Io(path.clone(), error),
        })?;
        Ok(NodeSeed::new(entropy))
    }

    /// Makes the file from the words of a backup.
    pub fn restore(
        folder: &Path,
        words: &Secret,
        passphrase: Option<&Passphrase>,
    ) -> Result<NodeSeed, SeedError> {
        Self::create(folder, Some(entropy_of(words)?), passphrase)
    }

    /// Reads the seed.
    pub fn open(folder: &Path, passphrase: Option<&Passphrase>) -> Result<NodeSeed, SeedError> {
        entropy(folder, passphrase).map(NodeSeed::new)
    }

    /// The words that a backup is made of.
    pub fn words(folder: &Path, passphrase: Option<&Passphrase>) -> Result<Words, SeedError> {
        let entropy = entropy(folder, passphrase)?;
        Ok(Words(Mnemonic::from_entropy(&entropy).expect("32 bytes are 24 words")))
    }
}

/// What the file says below its first line.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Content {
    Plain { entropy: String },
    Locked(Locked),
}

fn entropy(folder: &Path, passphrase: Option<&Passphrase>) -> Result<[u8; 32], SeedError> {
    let path = folder.join(FILE);
    let bytes = fs::read(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound if Store::exists(folder) => SeedError::Lost(path.clone()),
        io::ErrorKind::NotFound => SeedError::Missing(path.clone()),
        _ => SeedError::Io(path.clone(), error),
    })?;
    let damaged = |what| SeedError::Damaged { path: path.clone(), what };
    match (decode(&path, &bytes)?, passphrase) {
        (Content::Plain { entropy }, None) => unhex(&entropy).ok_or(damaged("its entropy is not 32 bytes")),
        (Content::Plain { .. }, Some(_)) => Err(SeedError::NotLocked(path)),
        (Content::Locked(_), None) => Err(SeedError::Locked(path)),
        (Content::Locked(locked), Some(passphrase)) => match locked.unlock(passphrase)? {
            lock::Unlocked::Open(entropy) => Ok(entropy),
            lock::Unlocked::WrongPassphrase => Err(SeedError::WrongPassphrase(path)),
            lock::Unlocked::Malformed => Err(damaged("its fields have the wrong length")),
        },
    }
}

/// A first line with the version and a checksum of the rest, then the fields. With the checksum right, a lock that does
/// not open means another passphrase, and not a bad disk.
fn encode(content: &Content) -> String {
    let body = toml::to_string(content).expect("a table of strings and numbers is TOML");
    format!("leyden seed {VERSION} {}\n{body}", checksum(&body))
}

fn decode(path: &Path, bytes: &[u8]) -> Result<Content, SeedError> {
    let damaged = |what| SeedError::Damaged { path: path.to_owned(), what };
    let text = std::str::from_utf8(bytes).map_err(|_| damaged("it is not text"))?;
    let (head, body) = text.split_once('\n').ok_or(damaged("it ends too early"))?;
    let fields: Vec<&str> = head.split(' ').collect();
    let ["leyden", "seed", version, sum] = fields[..] else { return Err(damaged("its first line is wrong")) };
    let found: u32 = version.parse().map_err(|_| damaged("its version is not a number"))?;
    if found != VERSION {
        return Err(SeedError::Newer { path: path.to_owned(), found });
    }
    if checksum(body) != sum {
        return Err(damaged("its checksum is wrong"));
    }
    // The parser's own message would quote the line, and with it the secret.
    toml::from_str(body).map_err(|_| damaged("its fields cannot be read"))
}

/// Eight bytes of SHA-256: enough against accidents. It says nothing about 32 random bytes.
fn checksum(body: &str) -> String {
    hex(&sha256::Hash::hash(body.as_bytes()).to_byte_array()[..8])
}

fn entropy_of(words: &Secret) -> Result<[u8; 32], SeedError> {
    let wrong = |error| SeedError::Words(error);
    let words: Vec<String> = words.expose().split_whitespace().map(str::to_lowercase).collect();
    if words.len() != 24 {
        return Err(wrong(WordsError::Count(words.len())));
    }
    let mnemonic = Mnemonic::parse_normalized(&words.join(" ")).map_err(|error| match error {
        bip39::Error::UnknownWord(index) => wrong(WordsError::Unknown(index + 1)),
        _ => wrong(WordsError::Checksum),
    })?;
    mnemonic.to_entropy().try_into().map_err(|_| wrong(WordsError::Checksum))
}

/// Writes a file that must not exist yet: whole and durable under its name, or not there.
fn write_new(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    let (draft, file) = draft(folder, name, text)?;
    file.sync_all()?;
    // Unlike a rename, a link never replaces what is there.
    let linked = fs::hard_link(&draft, folder.join(name));
    fs::remove_file(&draft)?;
    linked?;
    sync(folder)
}

fn random<const N: usize>() -> Result<[u8; N], SeedError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(SeedError::Random)?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    <[u8; N] as bitcoin::hex::FromHex>::from_hex(text).ok()
}
