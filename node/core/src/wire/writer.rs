//! Writes BOLT 1's fundamental types. A writer made for a message never grows past the 65,535 bytes that the
//! transport carries: what has a length of its own is cut to the room that is left.
use super::bigsize_len;
use super::TlvRecord;
use secp256k1::ecdsa::Signature;
use secp256k1::PublicKey;

/// The most bytes a message has, its type counted (BOLT 1, "Lightning Message Format").
pub const MAX_MESSAGE_LEN: usize = 65_535;

/// Bytes being put together.
#[derive(Clone, Debug)]
pub struct Writer {
    bytes: Vec<u8>,
    limit: usize,
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl Writer {
    /// For bytes that are not a message themselves: onion payloads, TLV values.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), limit: usize::MAX }
    }

    /// For a message of this type.
    pub(super) fn message(kind: u16) -> Self {
        let mut writer = Self { bytes: Vec::new(), limit: MAX_MESSAGE_LEN };
        writer.u16(kind);
        writer
    }

    /// What was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// How many bytes still fit.
    pub(super) fn room(&self) -> usize {
        self.limit.saturating_sub(self.bytes.len())
    }

    /// Bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    /// A big-endian `u16`.
    pub fn u16(&mut self, value: u16) {
        self.bytes(&value.to_be_bytes());
    }

    /// A big-endian `u32`.
    pub fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    /// A big-endian `u64`.
    pub fn u64(&mut self, value: u64) {
        self.bytes(&value.to_be_bytes());
    }

    /// A `point`: 33 bytes, compressed.
    pub fn point(&mut self, point: &PublicKey) {
        self.bytes(&point.serialize());
    }

    /// A `signature`: 64 bytes, r then s.
    pub fn signature(&mut self, signature: &Signature) {
        self.bytes(&signature.serialize_compact());
    }

    /// A `tu16`: big-endian without leading zeros.
    pub fn tu16(&mut self, value: u16) {
        self.tu64(value.into());
    }

    /// A `tu32`: big-endian without leading zeros.
    pub fn tu32(&mut self, value: u32) {
        self.tu64(value.into());
    }

    /// A `tu64`: big-endian without leading zeros, so nothing at all for 0.
    pub fn tu64(&mut self, value: u64) {
        let digits = value.to_be_bytes();
        self.bytes.extend(digits.into_iter().skip(value.leading_zeros() as usize / 8));
    }

    /// A `u16` length and these bytes, of which the end is cut when they exceed the length or the room in the message.
    pub fn sized_u16(&mut self, bytes: &[u8]) {
        let len = self.sized_room(bytes.len());
        self.u16(len);
        self.bytes(&bytes[..len.into()]);
    }

    /// A `u16` length and this many zeros, fewer when the message has no room for all: padding.
    pub(super) fn zeros_u16(&mut self, count: u16) {
        let len = self.sized_room(count.into());
        self.u16(len);
        self.bytes.resize(self.bytes.len() + usize::from(len), 0);
    }

    /// How many of `wanted` bytes fit behind a `u16` length.
    pub(super) fn sized_room(&self, wanted: usize) -> u16 {
        let fits = wanted.min(self.room().saturating_sub(2));
        u16::try_from(fits).unwrap_or(u16::MAX)
    }

    /// A TLV record (BOLT 1), unless the message has no room for it. Order is the caller's matter.
    pub fn tlv(&mut self, kind: u64, value: &[u8]) {
        let len = value.len() as u64;
        let needed = bigsize_len(kind) + bigsize_len(len);
        if self.room().saturating_sub(needed) < value.len() {
            return;
        }
        self.bigsize(kind);
        self.bigsize(len);
        self.bytes(value);
    }

    /// A TLV stream: the records put in order, of those with the same type only the first (BOLT 1 wants strictly
    /// increasing types).
    pub fn tlv_stream<'r>(&mut self, records: impl IntoIterator<Item = &'r TlvRecord>) {
        let mut ordered: Vec<&TlvRecord> = records.into_iter().collect();
        ordered.sort_by_key(|record| record.kind);
        ordered.dedup_by_key(|record| record.kind);
        ordered.iter().for_each(|record| self.tlv(record.kind, &record.value));
    }
}
