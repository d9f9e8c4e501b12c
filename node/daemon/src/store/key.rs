//! A record's key as bytes: a tag, then the fields at fixed widths, numbers big-endian. Written by hand, because these
//! bytes are on people's disks: no change of a derive may move them. What cannot be read is an error, never a guess.

pub(super) mod tower;

use leyden_core::ids::{ChannelId, PaymentHash};
use leyden_core::node::RecordKey;
use leyden_core::tower::Locator;
use leyden_core::units::CommitmentNumber;

const NODE: u8 = 0;
const CHANNEL: u8 = 1;
const PAYMENT: u8 = 2;
const INVOICE: u8 = 3;
const FORWARD: u8 = 4;
const WALLET: u8 = 5;
const REVOKED: u8 = 6;
const UNGUARDED: u8 = 7;

/// Bytes that are no record's key.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    /// There are none.
    #[error("the key is empty")]
    Empty,
    /// No record of this version has such a tag.
    #[error("no record has the tag {0}")]
    Tag(u8),
    /// Too short or too long for its tag.
    #[error("a key with tag {tag} cannot have {length} bytes")]
    Length {
        /// The first byte.
        tag: u8,
        /// All bytes, the tag included.
        length: usize,
    },
}

/// The key's bytes. Keys of one channel's revoked states lie together, in their order.
pub(super) fn encode(key: &RecordKey) -> Vec<u8> {
    match key {
        RecordKey::Node => vec![NODE],
        RecordKey::Channel(id) => tagged(CHANNEL, &id.0, None),
        RecordKey::Payment(hash) => tagged(PAYMENT, &hash.0, None),
        RecordKey::Invoice(hash) => tagged(INVOICE, &hash.0, None),
        RecordKey::Forward(id, htlc) => tagged(FORWARD, &id.0, Some(*htlc)),
        RecordKey::Wallet => vec![WALLET],
        RecordKey::Revoked(id, number) => tagged(REVOKED, &id.0, Some(number.get())),
        RecordKey::Unguarded(locator, part) => [&[UNGUARDED][..], &locator.0, &part.to_be_bytes()].concat(),
    }
}

/// The key that [`encode`] wrote as these bytes.
pub(super) fn decode(bytes: &[u8]) -> Result<RecordKey, KeyError> {
    let (&tag, fields) = bytes.split_first().ok_or(KeyError::Empty)?;
    let wrong = KeyError::Length { tag, length: bytes.len() };
    let name = || <[u8; 32]>::try_from(fields).map_err(|_| wrong.clone());
    let numbered = || {
        let (name, number) = fields.split_first_chunk::<32>().ok_or(wrong.clone())?;
        let number = <[u8; 8]>::try_from(number).map_err(|_| wrong.clone())?;
        Ok((ChannelId(*name), u64::from_be_bytes(number)))
    };
    match tag {
        NODE | WALLET if !fields.is_empty() => Err(wrong),
        NODE => Ok(RecordKey::Node),
        CHANNEL => Ok(RecordKey::Channel(ChannelId(name()?))),
        PAYMENT => Ok(RecordKey::Payment(PaymentHash(name()?))),
        INVOICE => Ok(RecordKey::Invoice(PaymentHash(name()?))),
        FORWARD => numbered().map(|(id, htlc)| RecordKey::Forward(id, htlc)),
        WALLET => Ok(RecordKey::Wallet),
        REVOKED => numbered().map(|(id, number)| RecordKey::Revoked(id, CommitmentNumber::new(number))),
        UNGUARDED => {
            let (locator, part) = fields.split_first_chunk::<16>().ok_or(wrong.clone())?;
            let part = <[u8; 2]>::try_from(part).map_err(|_| wrong.clone())?;
            Ok(RecordKey::Unguarded(Locator(*locator), u16::from_be_bytes(part)))
        }
        other => Err(KeyError::Tag(other)),
    }
}

fn tagged(tag: u8, name: &[u8; 32], number: Option<u64>) -> Vec<u8> {
    let mut bytes = vec![tag];
    bytes.extend(name);
    bytes.extend(number.into_iter().flat_map(u64::to_be_bytes));
    bytes
}

/// Of a record, key and value: 64 bits against a bad disk, which SQLite does not notice inside a value. Not against people.
/// Each step can be undone, so that no change within eight bytes goes unseen.
pub(super) fn checksum(key: &[u8], value: &[u8]) -> i64 {
    let step = |sum: u64, word: u64| (sum ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    let words = |sum: u64, bytes: &[u8]| {
        let chunks = bytes.chunks_exact(8);
        let rest = chunks.remainder();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        let sum =
            chunks.fold(sum, |sum, word| step(sum, word.first_chunk().map_or(0, |w| u64::from_le_bytes(*w))));
        step(step(sum, u64::from_le_bytes(last)), bytes.len() as u64)
    };
    words(words(0, key), value).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_kind() -> Vec<(RecordKey, Vec<u8>)> {
        let id = [0xab; 32];
        let numbered = |tag: u8| [&[tag][..], &id, &[0, 0, 0, 0, 0, 0, 1, 2]].concat();
        vec![
            (RecordKey::Node, vec![0]),
            (RecordKey::Channel(ChannelId(id)), [&[1][..], &id].concat()),
            (RecordKey::Payment(PaymentHash(id)), [&[2][..], &id].concat()),
            (RecordKey::Invoice(PaymentHash(id)), [&[3][..], &id].concat()),
            (RecordKey::Forward(ChannelId(id), 0x102), numbered(4)),
            (RecordKey::Wallet, vec![5]),
            (RecordKey::Revoked(ChannelId(id), CommitmentNumber::new(0x102)), numbered(6)),
            (RecordKey::Unguarded(Locator([0xcd; 16]), 0x102), [&[7][..], &[0xcd; 16], &[1, 2]].concat()),
        ]
    }

    #[test]
    fn the_bytes_of_every_key_are_pinned() {
        for (key, bytes) in every_kind() {
            assert_eq!(encode(&key), bytes, "{key:?}");
            assert_eq!(decode(&bytes), Ok(key));
        }
    }

    #[test]
    fn the_checksum_is_pinned_and_sees_every_change() {
        let value: Vec<u8> = (0..=99).collect();
        let sum = checksum(&[1, 2], &value);
        assert_eq!(sum, -8_376_553_455_178_335_237);
        for bit in 0..800 {
            let mut other = value.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(checksum(&[1, 2], &other), sum, "bit {bit}");
        }
        assert_ne!(checksum(&[1, 2], &value[..99]), sum);
        assert_ne!(checksum(&[1], &value), sum);
        assert_ne!(checksum(&[], &[]), checksum(&[0], &[]));
        assert_ne!(checksum(&[], &[]), checksum(&[], &[0]));
    }

    #[test]
    fn a_key_of_another_length_or_tag_is_an_error() {
        for (_, bytes) in every_kind() {
            let longer = [&bytes[..], &[0]].concat();
            assert_eq!(decode(&longer), Err(KeyError::Length { tag: bytes[0], length: longer.len() }));
            if bytes.len() > 1 {
                assert!(decode(&bytes[..bytes.len() - 1]).is_err());
            }
        }
        assert_eq!(decode(&[]), Err(KeyError::Empty));
        assert_eq!(decode(&[8]), Err(KeyError::Tag(8)));
    }
}
