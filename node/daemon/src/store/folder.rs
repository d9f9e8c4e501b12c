//! The node's folder: readable by its owner alone, and run by one process at a time. Nothing here knows what is inside.

use super::StoreError;
use rustix::fs::{flock, FlockOperation};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The file that the running process holds locked; it stays when the process ends, the lock does not.
const LOCK: &str = "lock";

/// What shows that a folder is a node's own.
const OWN_FILES: &[&str] = &[LOCK, "seed", super::DATABASE, "leyden.toml"];

/// Rights for the owner alone.
const FOLDER_MODE: u32 = 0o700;
pub(crate) const FILE_MODE: u32 = 0o600;

/// A lock on a folder, for as long as this lives. The kernel drops it with the process, however that ends.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes the lock, or says who has it. Makes the folder when it is not there.
    pub fn take(folder: &Path) -> Result<Self, StoreError> {
        prepare(folder)?;
        let wrong = |error| StoreError::Folder(folder.to_owned(), error);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(folder.join(LOCK))
            .map_err(wrong)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = String::new();
                let read = file.read_to_string(&mut text);
                let pid = read.ok().and_then(|_| text.trim().parse().ok());
                return Err(StoreError::InUse { folder: folder.to_owned(), pid });
            }
            Err(error) => return Err(wrong(error.into())),
        }
        // Only for the other process's message: no need to be durable.
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(wrong)?;
        Ok(Self { _file: file })
    }
}

/// A file for the owner alone beside the one of this name, to take its place once it is whole: a reader sees the old one or the new
/// one, never half of one. What a killed process left of such a draft is written over.
pub(crate) fn draft(folder: &Path, name: &str, text: &str) -> io::Result<(PathBuf, File)> {
    let path = folder.join(format!("{name}.new"));
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&path)?;
    file.write_all(text.as_bytes())?;
    Ok((path, file))
}

/// Makes the folder, or makes sure that an existing one is the node's own and closed to others.
pub(crate) fn prepare(folder: &Path) -> Result<(), StoreError> {
    let wrong = |error| StoreError::Folder(folder.to_owned(), error);
    if !folder.exists() {
        return DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder).map_err(wrong);
    }
    let found = fs::metadata(folder).map_err(wrong)?;
    if !found.is_dir() {
        return Err(wrong(io::ErrorKind::NotADirectory.into()));
    }
    if found.mode() & 0o7777 == FOLDER_MODE {
        return Ok(());
    }
    // Somebody's home or /tmp must not be closed to others because its path was given by mistake.
    let is_empty = fs::read_dir(folder).map_err(wrong)?.next().is_none();
    if !is_empty && !OWN_FILES.iter().any(|name| folder.join(name).exists()) {
        return Err(StoreError::Foreign(folder.to_owned()));
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(FOLDER_MODE)).map_err(wrong)
}

/// Makes the folder's own list of files durable: a new name counts only after this.
pub(crate) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
