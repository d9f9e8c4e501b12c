//! Who keeps records in a database: a node or a tower. Same tables, same mechanics; other keys, and a mark by which neither opens
//! the other's. Knows no record's content.

use super::{key, KeyError};
use leyden_core::node::{Batch, RecordKey};
use leyden_core::tower::{TowerBatch, TowerRecordKey};
use std::collections::BTreeMap;
use std::fmt;

/// Whose a database is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A node's.
    Node,
    /// A watchtower's.
    Tower,
}

impl Kind {
    /// What `file` shows for the database ("LEYD", "LEYT"), so that no other SQLite database is taken for one of ours.
    pub(super) const fn application(self) -> i64 {
        match self {
            Self::Node => 0x4c45_5944,
            Self::Tower => 0x4c45_5954,
        }
    }

    /// Whose mark that is; none of ours without it.
    pub(super) fn of(application: i64) -> Option<Self> {
        [Self::Node, Self::Tower].into_iter().find(|kind| kind.application() == application)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Node => "a node",
            Self::Tower => "a tower",
        })
    }
}

/// A batch that a database can keep.
pub trait Kept {
    /// What its records are filed under.
    type Key: Ord + fmt::Debug;

    /// Whose batches these are.
    const KIND: Kind;

    /// Each record replaced or removed.
    fn records(&self) -> &BTreeMap<Self::Key, Option<Vec<u8>>>;

    /// The key's bytes on disk.
    fn encode(key: &Self::Key) -> Vec<u8>;

    /// The key that was written as these bytes.
    ///
    /// # Errors
    /// No key of this kind is.
    fn decode(bytes: &[u8]) -> Result<Self::Key, KeyError>;
}

impl Kept for Batch {
    type Key = RecordKey;

    const KIND: Kind = Kind::Node;

    fn records(&self) -> &BTreeMap<RecordKey, Option<Vec<u8>>> {
        &self.records
    }

    fn encode(key: &RecordKey) -> Vec<u8> {
        key::encode(key)
    }

    fn decode(bytes: &[u8]) -> Result<RecordKey, KeyError> {
        key::decode(bytes)
    }
}

impl Kept for TowerBatch {
    type Key = TowerRecordKey;

    const KIND: Kind = Kind::Tower;

    fn records(&self) -> &BTreeMap<TowerRecordKey, Option<Vec<u8>>> {
        &self.records
    }

    fn encode(key: &TowerRecordKey) -> Vec<u8> {
        key::tower::encode(key)
    }

    fn decode(bytes: &[u8]) -> Result<TowerRecordKey, KeyError> {
        key::tower::decode(bytes)
    }
}
