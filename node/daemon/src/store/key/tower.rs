//! The keys of a tower's records, written by hand like those of a node's, with tags of their own.

use super::KeyError;
use bitcoin::hashes::Hash;
use bitcoin::Txid;
use leyden_core::tower::{Locator, TowerRecordKey};

const TIP: u8 = 64;
const BOX: u8 = 65;
const BREACH: u8 = 66;

/// The key's bytes. The boxes that one transaction may open lie together.
pub(in crate::store) fn encode(key: &TowerRecordKey) -> Vec<u8> {
    match key {
        TowerRecordKey::Tip => vec![TIP],
        TowerRecordKey::Box(locator, client, part) => {
            [&[BOX][..], &locator.0, client, &part.to_be_bytes()].concat()
        }
        TowerRecordKey::Breach(txid) => [&[BREACH][..], &txid.to_byte_array()].concat(),
    }
}

/// The key that [`encode`] wrote as these bytes.
pub(in crate::store) fn decode(bytes: &[u8]) -> Result<TowerRecordKey, KeyError> {
    let (&tag, fields) = bytes.split_first().ok_or(KeyError::Empty)?;
    let wrong = KeyError::Length { tag, length: bytes.len() };
    match tag {
        TIP if fields.is_empty() => Ok(TowerRecordKey::Tip),
        TIP => Err(wrong),
        BOX => {
            let (locator, rest) = fields.split_first_chunk::<16>().ok_or(wrong.clone())?;
            let (client, part) = rest.split_first_chunk::<33>().ok_or(wrong.clone())?;
            let part = <[u8; 2]>::try_from(part).map_err(|_| wrong)?;
            Ok(TowerRecordKey::Box(Locator(*locator), *client, u16::from_be_bytes(part)))
        }
        BREACH => {
            let txid = <[u8; 32]>::try_from(fields).map_err(|_| wrong)?;
            Ok(TowerRecordKey::Breach(Txid::from_byte_array(txid)))
        }
        other => Err(KeyError::Tag(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_kind() -> Vec<(TowerRecordKey, Vec<u8>)> {
        let (locator, client, txid) = ([0xcd; 16], [0x02; 33], [0xab; 32]);
        vec![
            (TowerRecordKey::Tip, vec![64]),
            (
                TowerRecordKey::Box(Locator(locator), client, 0x102),
                [&[65][..], &locator, &client, &[1, 2]].concat(),
            ),
            (TowerRecordKey::Breach(Txid::from_byte_array(txid)), [&[66][..], &txid].concat()),
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
    fn a_key_of_another_length_or_tag_is_an_error() {
        for (_, bytes) in every_kind() {
            let longer = [&bytes[..], &[0]].concat();
            assert_eq!(decode(&longer), Err(KeyError::Length { tag: bytes[0], length: longer.len() }));
            if bytes.len() > 1 {
                assert!(decode(&bytes[..bytes.len() - 1]).is_err());
            }
        }
        assert_eq!(decode(&[]), Err(KeyError::Empty));
        assert_eq!(decode(&[7]), Err(KeyError::Tag(7)), "a node's records are none of a tower's");
    }
}
