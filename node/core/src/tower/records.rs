//! The tower's records: each a version byte and a body, written whole, read back into an equal tower. Bytes that make no sense are
//! an error that names the record, never a panic.
use super::breach::Breach;
use super::justice::Locator;
use super::watch::{Client, Place};
use super::{Tower, TowerConfig};
use crate::units::BlockHeight;
use bitcoin::Txid;
use serde::de::DeserializeOwned;
use serde::Serialize;
use std::collections::BTreeMap;

/// The first byte of every record.
const VERSION: u8 = 1;

/// What a record of a tower is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum TowerRecordKey {
    /// The last block that was seen.
    Tip,
    /// One box: its locator, the client's public key, its part.
    Box(Locator, Client, u16),
    /// A breach under way, by the txid of the commitment.
    Breach(Txid),
}

/// One durable, atomic change: each record replaced or removed, all or none.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TowerBatch {
    /// In order of their keys.
    pub records: BTreeMap<TowerRecordKey, Option<Vec<u8>>>,
}

/// A tower's records could not be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TowerRestoreError {
    /// Written by another version.
    #[error("record {record:?} has version {found:?}, this tower reads version {VERSION}")]
    Version {
        /// Which.
        record: TowerRecordKey,
        /// Its first byte.
        found: Option<u8>,
    },
    /// Not the encoding of such a record.
    #[error("record {record:?} cannot be read")]
    Body {
        /// Which.
        record: TowerRecordKey,
    },
    /// A record is filed under a name that is not its own.
    #[error("record {record:?} holds something else")]
    Misfiled {
        /// Which.
        record: TowerRecordKey,
    },
}

impl TowerRecordKey {
    pub(super) fn of((locator, client, part): &Place) -> Self {
        Self::Box(*locator, *client, *part)
    }
}

impl Tower {
    /// The tower that wrote these records. `tip` counts only for a new one.
    pub fn restore(
        config: TowerConfig,
        tip: BlockHeight,
        records: &BTreeMap<TowerRecordKey, Vec<u8>>,
    ) -> Result<Self, TowerRestoreError> {
        let mut tower = Self::new(config, tip);
        for (key, bytes) in records {
            match key {
                TowerRecordKey::Tip => tower.tip = decode(key, bytes)?,
                TowerRecordKey::Box(locator, client, part) => {
                    tower.put((*locator, *client, *part), body(key, bytes)?.to_vec());
                }
                TowerRecordKey::Breach(txid) => {
                    let breach: Breach = decode(key, bytes)?;
                    if breach.tx.compute_txid() != *txid {
                        return Err(TowerRestoreError::Misfiled { record: *key });
                    }
                    tower.breaches.insert(*txid, breach);
                }
            }
        }
        Ok(tower)
    }

    /// All its records: what all batches so far add up to, from its first block on.
    pub fn records(&self) -> BTreeMap<TowerRecordKey, Vec<u8>> {
        let tip = (TowerRecordKey::Tip, self.tip_record());
        let boxes = self.boxes.keys().map(|place| (TowerRecordKey::of(place), self.box_record(place)));
        let breaches =
            self.breaches.keys().map(|txid| (TowerRecordKey::Breach(*txid), self.breach_record(txid)));
        let written = boxes.chain(breaches).filter_map(|(key, record)| Some((key, record?)));
        written.chain([tip]).collect()
    }

    pub(super) fn tip_record(&self) -> Vec<u8> {
        encode(&self.tip)
    }

    pub(super) fn box_record(&self, place: &Place) -> Option<Vec<u8>> {
        let sealed = self.boxes.get(place)?;
        Some([&[VERSION], sealed.as_slice()].concat())
    }

    pub(super) fn breach_record(&self, txid: &Txid) -> Option<Vec<u8>> {
        self.breaches.get(txid).map(encode)
    }
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(&(VERSION, value)).expect("these values always encode")
}

fn decode<T: DeserializeOwned>(key: &TowerRecordKey, bytes: &[u8]) -> Result<T, TowerRestoreError> {
    let wrong = TowerRestoreError::Body { record: *key };
    let (value, rest) = postcard::take_from_bytes(body(key, bytes)?).map_err(|_| wrong)?;
    if rest.is_empty() {
        Ok(value)
    } else {
        Err(wrong)
    }
}

fn body<'a>(key: &TowerRecordKey, bytes: &'a [u8]) -> Result<&'a [u8], TowerRestoreError> {
    match bytes.split_first() {
        Some((&VERSION, body)) => Ok(body),
        other => Err(TowerRestoreError::Version { record: *key, found: other.map(|(version, _)| *version) }),
    }
}
