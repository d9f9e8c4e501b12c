//! The records of a node or a tower on disk: SQLite, one table of keys and values, one atomic and durable transaction for each
//! batch. A commit returns only when the disk has it: nothing that is promised may leave before. It knows what a key is, but
//! never looks into a record.
//!
//! What a commit costs, measured here (SQLite 3.50, ext4, idle disk, 4 rows a commit): one fsync of 0.2 ms and 15 µs of work
//! for records of 1.5 kB, 60 µs for 40 kB. So only fsyncs count, and there is one: the journal's. What keeps it at that:
//! - no index of the journal on disk and no lock a transaction: `locking_mode=EXCLUSIVE`, one connection;
//! - the journal's file stays and is written over: a file that grows costs the disk a second write, 15 % more here;
//! - it is moved into the database every 4000 pages (16 MB), not 1000: three fsyncs more, each time. A batch of 483 payments
//!   touches about 500 pages, since their keys lie anywhere;
//! - pages of 4096 bytes: 8192 are no quicker and write up to twice as much; a table with rowids writes a third more;
//! - statements are prepared once.
//!
//! Reading 1,000 channels with 150 records each (38 MB) takes 0.7 s in a build for tests, of which `quick_check` is 50 ms: it
//! is worth its time at every start.

mod error;
pub(crate) mod folder;
mod journal;
mod key;
mod kind;
mod schema;
#[cfg(test)]
mod tests;

use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Network};
use folder::FILE_MODE;
use leyden_core::ids::NodeId;
use leyden_core::node::Batch;
use leyden_core::tower::TowerBatch;
use leyden_core::units::BlockHeight;
use rusqlite::config::DbConfig;
use rusqlite::types::FromSql;
use rusqlite::{params, Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::marker::PhantomData;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

pub use error::StoreError;
pub use folder::FolderLock;
pub use key::KeyError;
pub use kind::{Kept, Kind};

/// The database's file in the folder of a node or a tower.
pub const DATABASE: &str = "leyden.db";

/// What SQLite adds to that name for its journal.
const JOURNAL_SUFFIX: &str = "-wal";

/// How many of the last blocks' hashes are kept. A reorganisation deeper than that is for people to look at.
pub const BLOCKS_KEPT: u32 = 300;

/// Pages that the journal takes before they are moved into the database, which costs some fsyncs more.
const JOURNAL_PAGES: u32 = 4000;

/// A node's store.
pub type Store = Database<Batch>;
/// A tower's store.
pub type TowerStore = Database<TowerBatch>;

/// An open store that takes batches of one kind. One process has it; dropping it leaves a database without a journal.
pub struct Database<B> {
    connection: Connection,
    path: PathBuf,
    failed: bool,
    commits: u64,
    _lock: FolderLock,
    _takes: PhantomData<fn(B)>,
}

/// Where batches are made durable: a store, or what a test puts in front of one.
pub trait Durable<B>: Send {
    /// As [`Database::commit`].
    ///
    /// # Errors
    /// As there.
    fn commit(&mut self, batch: &B, chain: &[BlockMark]) -> Result<(), StoreError>;

    /// As [`Database::commits`].
    fn commits(&self) -> u64;
}

impl<B: Kept> Durable<B> for Database<B> {
    fn commit(&mut self, batch: &B, chain: &[BlockMark]) -> Result<(), StoreError> {
        Database::commit(self, batch, chain)
    }

    fn commits(&self) -> u64 {
        Database::commits(self)
    }
}

/// What an opened store held.
pub struct Opened<B: Kept = Batch> {
    /// For the commits to come.
    pub store: Database<B>,
    /// Every record.
    pub records: BTreeMap<B::Key, Vec<u8>>,
    /// The block at which the node began.
    pub birthday: (BlockHeight, BlockHash),
    /// The last blocks that the node took in, newest last; at most [`BLOCKS_KEPT`].
    pub blocks: Vec<(BlockHeight, BlockHash)>,
}

impl<B: Kept> Opened<B> {
    /// The last blocks that were taken in, oldest first; the birthday if there was none since.
    pub fn known(&self) -> Vec<(BlockHeight, BlockHash)> {
        if self.blocks.is_empty() {
            vec![self.birthday]
        } else {
            self.blocks.clone()
        }
    }

    /// The newest of them.
    pub fn tip(&self) -> (BlockHeight, BlockHash) {
        self.blocks.last().copied().unwrap_or(self.birthday)
    }
}

/// A block that the node took in, or took back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BlockMark {
    /// It is the tip now.
    Connected {
        /// Its height.
        height: BlockHeight,
        /// Its hash.
        hash: BlockHash,
    },
    /// It is not in the chain any more, nor is any above it.
    Disconnected {
        /// Its height.
        height: BlockHeight,
    },
}

impl<B: Kept> Database<B> {
    /// Whether this folder has a store.
    pub fn exists(folder: &Path) -> bool {
        folder.join(DATABASE).exists()
    }

    /// Refuses a folder whose store belongs to the other program, and changes nothing in it.
    pub fn check_kind(folder: &Path) -> Result<(), StoreError> {
        if Self::exists(folder) {
            look(&folder.join(DATABASE), B::KIND)?;
        }
        Ok(())
    }

    /// Makes a new, empty store for this node. It appears whole or not at all.
    pub fn create(
        folder: &Path,
        node: NodeId,
        network: Network,
        birthday: (BlockHeight, BlockHash),
    ) -> Result<(), StoreError> {
        Self::create_in(&FolderLock::take(folder)?, folder, node, network, birthday)
    }

    /// The same, for whoever has locked the folder already.
    pub(crate) fn create_in(
        _lock: &FolderLock,
        folder: &Path,
        node: NodeId,
        network: Network,
        birthday: (BlockHeight, BlockHash),
    ) -> Result<(), StoreError> {
        let path = folder.join(DATABASE);
        if path.exists() {
            return Err(StoreError::Exists(path));
        }
        let draft = folder.join(format!("{DATABASE}.new"));
        let in_folder = |error| StoreError::Folder(folder.to_owned(), error);
        // Left by a start that was killed here.
        if draft.exists() {
            fs::remove_file(&draft).map_err(in_folder)?;
        }
        // SQLite gives its journals the rights of the database, and would give the database those of the umask.
        OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&draft).map_err(in_folder)?;
        fill(&draft, B::KIND, node, network, birthday).map_err(|error| StoreError::of(&draft, error))?;
        File::open(&draft).and_then(|file| file.sync_all()).map_err(in_folder)?;
        fs::rename(&draft, &path).map_err(in_folder)?;
        folder::sync(folder).map_err(in_folder)
    }

    /// Opens the store of this node, and reads it whole. Refuses another node's, another network's, a newer version's
    /// and a damaged one; brings an older version's up to this one.
    pub fn open(folder: &Path, node: NodeId, network: Network) -> Result<Opened<B>, StoreError> {
        Self::open_in(FolderLock::take(folder)?, folder, node, network)
    }

    /// The same, for whoever has locked the folder already.
    pub(crate) fn open_in(
        lock: FolderLock,
        folder: &Path,
        node: NodeId,
        network: Network,
    ) -> Result<Opened<B>, StoreError> {
        let path = folder.join(DATABASE);
        if !path.exists() {
            return Err(StoreError::Missing(path));
        }
        let journal = folder.join(format!("{DATABASE}{JOURNAL_SUFFIX}"));
        let wrong = |error| StoreError::of(&path, error);
        if !journal.exists() && was_running(&look(&path, B::KIND)?).map_err(wrong)? {
            return Err(StoreError::JournalMissing { path: journal });
        }
        journal::check(&journal)?;
        let mut connection = connect(&path).map_err(wrong)?;
        schema::version(&connection, &path, B::KIND)?;
        check(&connection, &path)?;
        schema::migrate(&mut connection, &path, B::KIND)?;
        belongs(&connection, &path, node, network)?;
        let records = records::<B>(&connection, &path)?;
        let blocks = blocks(&connection, &path)?;
        let birthday = birthday(&connection, &path)?;
        set_running(&connection, true).map_err(wrong)?;
        let store = Self { connection, path, failed: false, commits: 0, _lock: lock, _takes: PhantomData };
        Ok(Opened { store, records, birthday, blocks })
    }

    /// Makes the changes durable, all or none. With nothing in it, nothing is written. After an error the store takes
    /// nothing more: memory is ahead of the disk, so that the node must stop before any promise leaves it.
    pub fn commit(&mut self, batch: &B, chain: &[BlockMark]) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::Failed(self.path.clone()));
        }
        if batch.records().is_empty() && chain.is_empty() {
            return Ok(());
        }
        let written = write(&mut self.connection, batch, chain);
        self.failed = written.is_err();
        self.commits += u64::from(written.is_ok());
        written.map_err(|error| StoreError::of(&self.path, error))
    }

    /// How many commits had something in them since it was opened.
    pub fn commits(&self) -> u64 {
        self.commits
    }
}

impl<B> Drop for Database<B> {
    fn drop(&mut self) {
        // After a failure the mark stays, and the journal with it.
        if !self.failed && set_running(&self.connection, false).is_ok() {
            let _ = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false);
        }
    }
}

fn fill(
    path: &Path,
    kind: Kind,
    node: NodeId,
    network: Network,
    birthday: (BlockHeight, BlockHash),
) -> rusqlite::Result<()> {
    let mut connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // Nobody relies on the draft: one fsync before it gets its name does for all.
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let transaction = connection.transaction()?;
    schema::create(&transaction, kind)?;
    let put = |name: &str, value: &[u8]| {
        transaction.execute("INSERT INTO meta VALUES (?1, ?2)", params![name, value]).map(|_| ())
    };
    put("node", &node.serialize())?;
    put("network", network.to_core_arg().as_bytes())?;
    put("birthday height", &birthday.0.get().to_be_bytes())?;
    put("birthday hash", &birthday.1.to_byte_array())?;
    put("running", &[0])?;
    transaction.commit()?;
    connection.close().map_err(|(_, error)| error)
}

/// One connection, which no other process shares: the index of the journal then lies in memory.
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    // A refused start and a failed commit leave the journal as it is; only a clean end removes it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // FULL: a commit waits for the journal's fsync. NORMAL would not.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", JOURNAL_PAGES)?;
    // One great commit must not leave a great file behind.
    connection.pragma_update(None, "journal_size_limit", i64::from(JOURNAL_PAGES) * 4096)?;
    connection.set_prepared_statement_cache_capacity(16);
    Ok(connection)
}

/// A look at the database alone: nothing is written, no journal is made.
fn look(path: &Path, kind: Kind) -> Result<Connection, StoreError> {
    let wrong = |error| StoreError::of(path, error);
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => uri.push(*byte as char),
            other => uri.push_str(&format!("%{other:02x}")),
        }
    }
    uri.push_str("?immutable=1");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(uri, flags).map_err(wrong)?;
    schema::version(&connection, path, kind)?;
    Ok(connection)
}

/// A database whose pages do not fit together is refused before anything is read from it.
fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let verdict: Result<String, _> = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
    match verdict.map_err(|error| StoreError::of(path, error))?.as_str() {
        "ok" => Ok(()),
        what => Err(StoreError::damaged(path, what.replace('\n', " "))),
    }
}

fn meta<T: FromSql>(connection: &Connection, name: &str) -> rusqlite::Result<Option<T>> {
    let select = "SELECT value FROM meta WHERE name = ?1";
    connection.query_row(select, [name], |row| row.get(0)).optional()
}

/// Whether the process that had the database open ended without closing it.
fn was_running(connection: &Connection) -> rusqlite::Result<bool> {
    let mark: Option<Vec<u8>> = meta(connection, "running")?;
    Ok(mark.is_some_and(|mark| mark == [1]))
}

/// While the mark stands in the database itself, its journal must be beside it: it alone has the newest states.
fn set_running(connection: &Connection, is: bool) -> rusqlite::Result<()> {
    if was_running(connection)? != is {
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('running', ?1)", [[u8::from(is)]])?;
    }
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

fn belongs(connection: &Connection, path: &Path, node: NodeId, network: Network) -> Result<(), StoreError> {
    let owner: Vec<u8> = fixed(connection, path, "node")?;
    let found = NodeId::from_slice(&owner).map_err(|error| StoreError::damaged(path, error))?;
    if found != node {
        let (found, wanted) = (Box::new(found), Box::new(node));
        return Err(StoreError::OtherNode { path: path.to_owned(), found, wanted });
    }
    let found: Vec<u8> = fixed(connection, path, "network")?;
    if found != network.to_core_arg().as_bytes() {
        let found = String::from_utf8_lossy(&found).into_owned();
        return Err(StoreError::OtherNetwork { path: path.to_owned(), found, wanted: network });
    }
    Ok(())
}

/// What was written once, at the beginning.
fn fixed<T: FromSql>(connection: &Connection, path: &Path, name: &str) -> Result<T, StoreError> {
    let value = meta(connection, name).map_err(|error| StoreError::of(path, error))?;
    value.ok_or_else(|| StoreError::damaged(path, format!("it has no `{name}`")))
}

fn birthday(connection: &Connection, path: &Path) -> Result<(BlockHeight, BlockHash), StoreError> {
    let height: [u8; 4] = fixed(connection, path, "birthday height")?;
    let hash: [u8; 32] = fixed(connection, path, "birthday hash")?;
    Ok((BlockHeight::new(u32::from_be_bytes(height)), BlockHash::from_byte_array(hash)))
}

fn records<B: Kept>(connection: &Connection, path: &Path) -> Result<BTreeMap<B::Key, Vec<u8>>, StoreError> {
    let wrong = |error| StoreError::of(path, error);
    let mut select = connection.prepare("SELECT key, value, sum FROM record").map_err(wrong)?;
    let mut rows = select.query([]).map_err(wrong)?;
    let mut records = BTreeMap::new();
    while let Some(row) = rows.next().map_err(wrong)? {
        let bytes: Vec<u8> = row.get(0).map_err(wrong)?;
        let key = B::decode(&bytes).map_err(|error| {
            let key = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            StoreError::Record { path: path.to_owned(), key, error }
        })?;
        let value: Vec<u8> = row.get(1).map_err(wrong)?;
        if row.get::<_, i64>(2).map_err(wrong)? != key::checksum(&bytes, &value) {
            return Err(StoreError::damaged(path, format!("the record {key:?} is not what was written")));
        }
        records.insert(key, value);
    }
    Ok(records)
}

fn blocks(connection: &Connection, path: &Path) -> Result<Vec<(BlockHeight, BlockHash)>, StoreError> {
    let wrong = |error| StoreError::of(path, error);
    let mut select = connection.prepare("SELECT height, hash FROM block ORDER BY height").map_err(wrong)?;
    let rows = select.query_map([], |row| {
        let hash: [u8; 32] = row.get(1)?;
        Ok((BlockHeight::new(row.get(0)?), BlockHash::from_byte_array(hash)))
    });
    let blocks = rows.map_err(wrong)?.collect::<Result<_, _>>();
    blocks.map_err(wrong)
}

fn write<B: Kept>(connection: &mut Connection, batch: &B, chain: &[BlockMark]) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut put = transaction.prepare_cached("INSERT OR REPLACE INTO record VALUES (?1, ?2, ?3)")?;
        let mut remove = transaction.prepare_cached("DELETE FROM record WHERE key = ?1")?;
        for (key, value) in batch.records() {
            let key = B::encode(key);
            match value {
                Some(value) => put.execute(params![key, value, key::checksum(&key, value)])?,
                None => remove.execute([key])?,
            };
        }
    }
    for mark in chain {
        move_tip(&transaction, mark)?;
    }
    transaction.commit()
}

fn move_tip(transaction: &Transaction, mark: &BlockMark) -> rusqlite::Result<()> {
    let mut forget_above = transaction.prepare_cached("DELETE FROM block WHERE height >= ?1")?;
    match mark {
        BlockMark::Connected { height, hash } => {
            // Whatever stood at this height or above is not below this block.
            forget_above.execute([height.get()])?;
            let mut put = transaction.prepare_cached("INSERT INTO block VALUES (?1, ?2)")?;
            put.execute(params![height.get(), hash.to_byte_array()])?;
            let mut forget = transaction.prepare_cached("DELETE FROM block WHERE height <= ?1")?;
            forget.execute([i64::from(height.get()) - i64::from(BLOCKS_KEPT)])?;
        }
        BlockMark::Disconnected { height } => {
            forget_above.execute([height.get()])?;
        }
    }
    Ok(())
}
