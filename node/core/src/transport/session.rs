//! Messages after the handshake (BOLT 8, "Lightning Message Specification"): sealing, opening, and new keys after every
//! 1000 uses of one. Both directions know nothing of each other, so that a writer and a reader can each own one.

use super::noise::{ChainingKey, Key};
use super::{HEADER_LEN, MAX_MESSAGE, TAG_LEN};
use std::fmt;

/// Uses of a key before the next one: two for each message (BOLT 8, "Lightning Message Key Rotation").
const USES_OF_A_KEY: u64 = 1000;

/// What both sides talk with after the handshake.
#[derive(Debug)]
pub struct Session {
    /// Seals what goes out.
    pub sender: Sender,
    /// Opens what comes in.
    pub receiver: Receiver,
}

impl Session {
    pub(super) fn new(sending: Key, receiving: Key, chaining_key: ChainingKey) -> Self {
        let direction = |key| Direction { key, chaining_key: chaining_key.clone(), nonce: 0 };
        Self {
            sender: Sender { direction: direction(sending) },
            receiver: Receiver { direction: Some(direction(receiving)) },
        }
    }
}

/// A message is longer than BOLT 8 allows; nothing was sealed, and the session goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a message of {len} bytes is longer than {MAX_MESSAGE}")]
pub struct TooLong {
    /// Its length in bytes.
    pub len: usize,
}

/// What came was not sealed by the peer as the next thing, or was changed. The connection must be closed (BOLT 8).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadMac {
    /// Where a message's length was to come.
    #[error("a sealed message's length is not authentic")]
    Header,
    /// Where the message itself was to come.
    #[error("a sealed message of {len} bytes, tag included, is not authentic")]
    Body {
        /// Bytes given, tag included.
        len: usize,
    },
}

/// Seals messages, in the order in which they are then sent.
pub struct Sender {
    direction: Direction,
}

impl Sender {
    /// Appends the sealed message to `out`: 34 bytes more than it has.
    ///
    /// # Errors
    /// [`TooLong`] above [`MAX_MESSAGE`]; `out` is then as it was.
    pub fn seal(&mut self, message: &[u8], out: &mut Vec<u8>) -> Result<(), TooLong> {
        let too_long = TooLong { len: message.len() };
        let length = u16::try_from(message.len()).map_err(|_| too_long)?.to_be_bytes();
        out.reserve(HEADER_LEN + message.len() + TAG_LEN);
        self.append(&length, out);
        self.append(message, out);
        Ok(())
    }

    fn append(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(plain);
        let tag = self.direction.using(|key, nonce| key.seal(nonce, &[], &mut out[start..]));
        out.extend_from_slice(&tag);
    }
}

/// Opens messages, in the order in which they came: a header, then the body whose length it says, and so on.
pub struct Receiver {
    /// Nothing once anything failed: what comes after a forged byte is never opened.
    direction: Option<Direction>,
}

impl Receiver {
    /// How many bytes to read for the body, tag included: 16 to 65551.
    ///
    /// # Errors
    /// [`BadMac::Header`]; the session is over.
    pub fn header(&mut self, header: &[u8; HEADER_LEN]) -> Result<usize, BadMac> {
        let mut header = *header;
        let length = self.open(&mut header).ok_or(BadMac::Header)?;
        Ok(length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)) + TAG_LEN)
    }

    /// The message, decrypted where it lies. `body` is as long as [`Receiver::header`] said.
    ///
    /// # Errors
    /// [`BadMac::Body`]; the session is over.
    pub fn body<'a>(&mut self, body: &'a mut [u8]) -> Result<&'a [u8], BadMac> {
        let len = body.len();
        self.open(body).ok_or(BadMac::Body { len })
    }

    fn open<'a>(&mut self, sealed: &'a mut [u8]) -> Option<&'a [u8]> {
        let mut direction = self.direction.take()?;
        let (data, tag) = sealed.split_last_chunk_mut::<TAG_LEN>()?;
        direction.using(|key, nonce| key.open(nonce, &[], data, tag)).ok()?;
        self.direction = Some(direction);
        Some(data)
    }
}

/// One direction's key, the one before which it cannot be told, and how often the key was used.
struct Direction {
    key: Key,
    chaining_key: ChainingKey,
    nonce: u64,
}

impl Direction {
    /// Each use has a nonce of its own; the last one of a key is followed by the next key.
    fn using<T>(&mut self, use_key: impl FnOnce(&Key, u64) -> T) -> T {
        let result = use_key(&self.key, self.nonce);
        self.nonce += 1;
        if self.nonce == USES_OF_A_KEY {
            (self.chaining_key, self.key) = self.chaining_key.rotate(&self.key);
            self.nonce = 0;
        }
        result
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender(..)")
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receiver(..)")
    }
}
