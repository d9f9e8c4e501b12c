//! The database's tables, their version, and the way from older versions to this one. Each step runs in the same
//! transaction as the number that says it ran.

use super::{Kind, StoreError};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::path::Path;

/// The tables of this version.
const TABLES: &str = "
    CREATE TABLE record (key BLOB PRIMARY KEY, value BLOB NOT NULL, sum INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE block (height INTEGER PRIMARY KEY, hash BLOB NOT NULL);
";

/// One step: from the version that is its place in the list to the next one.
type Step = fn(&Transaction) -> rusqlite::Result<()>;

/// All steps. Never change one that was released: add the next.
/// Version 0, which was never released, kept no hashes of blocks.
const STEPS: &[Step] = &[|transaction| {
    transaction.execute_batch("CREATE TABLE block (height INTEGER PRIMARY KEY, hash BLOB NOT NULL);")
}];

/// Fills an empty database: the tables, the marks.
pub(super) fn create(transaction: &Transaction, kind: Kind) -> rusqlite::Result<()> {
    transaction.execute_batch(TABLES)?;
    transaction.pragma_update(None, "application_id", kind.application())?;
    transaction.pragma_update(None, "user_version", STEPS.len() as i64)
}

/// The version of a database: how many steps it has behind it. Refuses a newer one, and one that is not ours.
pub(super) fn version(connection: &Connection, path: &Path, kind: Kind) -> Result<usize, StoreError> {
    let number = |name| {
        let found = connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        found.map_err(|error| StoreError::of(path, error))
    };
    let application = number("application_id")?;
    match Kind::of(application) {
        Some(found) if found == kind => {}
        Some(found) => return Err(StoreError::OtherKind { path: path.to_owned(), found, wanted: kind }),
        None => return Err(StoreError::damaged(path, format!("it is not {kind}'s database"))),
    }
    let found = number("user_version")?;
    let known = STEPS.len();
    match usize::try_from(found) {
        Ok(version) if version <= known => Ok(version),
        Ok(_) => Err(StoreError::Newer { path: path.to_owned(), found, known: known as i64 }),
        Err(_) => Err(StoreError::damaged(path, "its version is below zero")),
    }
}

/// Brings an older database up to this version, whole or not at all.
pub(super) fn migrate(connection: &mut Connection, path: &Path, kind: Kind) -> Result<(), StoreError> {
    let done = version(connection, path, kind)?;
    if done == STEPS.len() {
        return Ok(());
    }
    let wrong = |error| StoreError::of(path, error);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(wrong)?;
    for step in STEPS.iter().skip(done) {
        step(&transaction).map_err(wrong)?;
    }
    transaction.pragma_update(None, "user_version", STEPS.len() as i64).map_err(wrong)?;
    transaction.commit().map_err(wrong)
}
