//! Reads BOLT 1's fundamental types off a byte slice. Never reads past the end, never allocates more than the
//! slice holds, never panics.
use secp256k1::ecdsa::Signature;
use secp256k1::{PublicKey, SecretKey};

/// Why a value could not be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReadError {
    /// The bytes end before the value does.
    #[error("needs {needed} bytes where {left} are left")]
    TooShort {
        /// Bytes the value takes.
        needed: usize,
        /// Bytes that are there.
        left: usize,
    },
    /// The value's encoding allows fewer bytes than there are, or not this many.
    #[error("{extra} bytes too many")]
    TooLong {
        /// Bytes beyond the value's end.
        extra: usize,
    },
    /// A BigSize or a truncated integer is not in its shortest form.
    #[error("not minimally encoded")]
    NotMinimal,
    /// 33 bytes that are not a compressed point on the curve.
    #[error("not a valid point")]
    Point,
    /// 64 bytes of which a half is not below the curve's order.
    #[error("not a valid signature")]
    Signature,
    /// 32 bytes that are zero or not below the curve's order.
    #[error("not a valid secret key")]
    SecretKey,
}

/// A position in bytes from a peer. A read that fails leaves the position unspecified: give up on an error.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first of these bytes.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes }
    }

    /// How many bytes are left.
    pub const fn left(&self) -> usize {
        self.left.len()
    }

    /// Whether everything was read.
    pub const fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// The next `count` bytes.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], ReadError> {
        let short = ReadError::TooShort { needed: count, left: self.left.len() };
        let (taken, left) = self.left.split_at_checked(count).ok_or(short)?;
        self.left = left;
        Ok(taken)
    }

    /// All that is left (`...*byte` at a message's end).
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.left)
    }

    /// Says that nothing may be left.
    pub fn finish(&self) -> Result<(), ReadError> {
        match self.left.len() {
            0 => Ok(()),
            extra => Err(ReadError::TooLong { extra }),
        }
    }

    /// The next `N` bytes (`N*byte`, `sha256`, `chain_hash`, `channel_id`).
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        let short = ReadError::TooShort { needed: N, left: self.left.len() };
        let (taken, left) = self.left.split_first_chunk::<N>().ok_or(short)?;
        self.left = left;
        Ok(*taken)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, ReadError> {
        self.array().map(u8::from_be_bytes)
    }

    /// A big-endian `u16`.
    pub fn u16(&mut self) -> Result<u16, ReadError> {
        self.array().map(u16::from_be_bytes)
    }

    /// A big-endian `u32`.
    pub fn u32(&mut self) -> Result<u32, ReadError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A big-endian `u64`.
    pub fn u64(&mut self) -> Result<u64, ReadError> {
        self.array().map(u64::from_be_bytes)
    }

    /// A `point`: 33 bytes, compressed, on the curve.
    pub fn point(&mut self) -> Result<PublicKey, ReadError> {
        PublicKey::from_slice(self.bytes(33)?).map_err(|_| ReadError::Point)
    }

    /// A `signature`: 64 bytes, r then s. A high s passes here: who verifies refuses it, with the reaction due there.
    pub fn signature(&mut self) -> Result<Signature, ReadError> {
        Signature::from_compact(self.bytes(64)?).map_err(|_| ReadError::Signature)
    }

    /// A secret key of 32 bytes.
    pub fn secret(&mut self) -> Result<SecretKey, ReadError> {
        SecretKey::from_slice(self.bytes(32)?).map_err(|_| ReadError::SecretKey)
    }

    /// A `u16` length and that many bytes.
    pub fn sized_u16(&mut self) -> Result<&'a [u8], ReadError> {
        let len = self.u16()?;
        self.bytes(len.into())
    }

    /// A `tu16`: all that is left, at most 2 bytes, no leading zero (BOLT 1, fundamental types).
    pub fn tu16(&mut self) -> Result<u16, ReadError> {
        self.truncated().map(u16::from_be_bytes)
    }

    /// A `tu32`: all that is left, at most 4 bytes, no leading zero.
    pub fn tu32(&mut self) -> Result<u32, ReadError> {
        self.truncated().map(u32::from_be_bytes)
    }

    /// A `tu64`: all that is left, at most 8 bytes, no leading zero.
    pub fn tu64(&mut self) -> Result<u64, ReadError> {
        self.truncated().map(u64::from_be_bytes)
    }

    /// The rest, with the zeros put back in front that a truncated integer leaves out.
    fn truncated<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        let digits = self.rest();
        if digits.len() > N {
            return Err(ReadError::TooLong { extra: digits.len() - N });
        }
        if digits.first() == Some(&0) {
            return Err(ReadError::NotMinimal);
        }
        let mut whole = [0; N];
        whole[N - digits.len()..].copy_from_slice(digits);
        Ok(whole)
    }
}
