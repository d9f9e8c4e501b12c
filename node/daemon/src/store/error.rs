//! What can be wrong with a store, and what its owner can do about it. Every text names the file.

use super::key::KeyError;
use super::Kind;
use bitcoin::Network;
use leyden_core::ids::NodeId;
use std::io;
use std::path::{Path, PathBuf};

/// Why the store cannot be opened, or did not keep what it was given.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no store yet.
    #[error("{0} does not exist: this folder has no node's store yet")]
    Missing(PathBuf),
    /// There is one already.
    #[error("{0} exists already: a node's store is never overwritten")]
    Exists(PathBuf),
    /// The folder cannot be made or used.
    #[error("the folder {0} cannot be used: {1}")]
    Folder(PathBuf, #[source] io::Error),
    /// The folder is not the node's own.
    #[error("{0} holds other files and no node: name a folder of the node's own, it will be readable by you alone")]
    Foreign(PathBuf),
    /// Another process runs this folder.
    #[error("{folder} is in use by {}: a folder serves one process at a time; stop that one first", who(.pid))]
    InUse {
        /// Which.
        folder: PathBuf,
        /// The other process, if it said so.
        pid: Option<u32>,
    },
    /// Written by another node.
    #[error("{path} belongs to node {found}, but the seed beside it is that of {wanted}: put back the files that belong together")]
    OtherNode {
        /// Which file.
        path: PathBuf,
        /// Whose it is.
        found: Box<NodeId>,
        /// Who wants it.
        wanted: Box<NodeId>,
    },
    /// A tower's, where a node's is wanted, or the other way round.
    #[error("{path} belongs to {found}, not to {wanted}: each needs a folder of its own")]
    OtherKind {
        /// Which file.
        path: PathBuf,
        /// Whose it is.
        found: Kind,
        /// Who wants it.
        wanted: Kind,
    },
    /// Written for another network.
    #[error("{path} is for the network {found}, not {wanted}: a folder serves one network for ever")]
    OtherNetwork {
        /// Which file.
        path: PathBuf,
        /// What it says.
        found: String,
        /// What was asked for.
        wanted: Network,
    },
    /// Written by a newer version.
    #[error("{path} has format {found}, this version knows up to {known}: start the newer version, do not go back")]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest one known here.
        known: i64,
    },
    /// The file's own structure is broken.
    #[error("{path} is damaged ({what}): check the disk; do not put an older copy in its place, an outdated channel state loses money")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What SQLite or we saw.
        what: String,
    },
    /// A record's key makes no sense.
    #[error(
        "{path} holds a record with the key {key}: {error}; the file is damaged, or not of this version"
    )]
    Record {
        /// Which file.
        path: PathBuf,
        /// In hex.
        key: String,
        /// What is wrong with it.
        error: KeyError,
    },
    /// The file was in use when it was last written, and what was written last is not there.
    #[error("{path} is missing, and the newest channel states were in it: put it back beside the database; starting without it would use outdated states, and lose money")]
    JournalMissing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The journal is damaged before its end: commits that were acknowledged cannot be read.
    #[error("{path} is damaged: {lost} commits after its first {read} cannot be read, the newest channel states among them; check the disk, do not start without them")]
    JournalDamaged {
        /// Which file.
        path: PathBuf,
        /// Commits that can be read.
        read: u32,
        /// Commits that cannot.
        lost: u32,
    },
    /// No space left.
    #[error(
        "no space is left for {0}: nothing of this commit is kept; make room, then start the node again"
    )]
    Full(PathBuf),
    /// The disk or SQLite refused.
    #[error(
        "{0} cannot be read or written: {1}; the node must stop, look at the disk before it starts again"
    )]
    Io(PathBuf, #[source] rusqlite::Error),
    /// An earlier commit failed, so that memory is ahead of the disk.
    #[error(
        "{0} takes nothing more: an earlier commit failed; stop the node, and start it from what is kept"
    )]
    Failed(PathBuf),
}

impl StoreError {
    /// What SQLite's answer means for the file at `path`.
    pub(super) fn of(path: &Path, error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full(path.to_owned()),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::damaged(path, &error),
            // A column of another type, a table that is not there: not what we wrote.
            None => Self::damaged(path, &error),
            Some(ErrorCode::Unknown) => Self::damaged(path, &error),
            Some(_) => Self::Io(path.to_owned(), error),
        }
    }

    pub(super) fn damaged(path: &Path, what: impl ToString) -> Self {
        Self::Damaged { path: path.to_owned(), what: what.to_string() }
    }
}

fn who(pid: &Option<u32>) -> String {
    match pid {
        Some(pid) => format!("process {pid}"),
        None => "another process".to_owned(),
    }
}
