//! One thing in the cache that takes minutes to make: made by one process at a time in a folder of its own, and put in its
//! place by one rename, so that what is there is whole. It knows nothing of what is made.
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use super::{Program, Progress, ProvisionError};
use crate::chain::core_process::file_tail;

/// How much of a log an error shows, in bytes.
const TAIL: u64 = 3_000;

/// A place for one binary in the cache.
#[derive(Clone, Debug)]
pub struct Store {
    program: Program,
    cache: PathBuf,
    key: String,
}

/// Where one attempt works: a folder that is thrown away, and a log that is not.
#[derive(Debug)]
pub struct Workshop {
    /// An empty folder on the cache's file system.
    pub folder: PathBuf,
    /// The log of every program that runs here.
    pub log: PathBuf,
}

impl Store {
    /// The place named `key` in this cache folder. The key says how the binary is made: another recipe, another key.
    pub fn new(program: Program, cache: &Path, key: &str) -> Self {
        Self { program, cache: cache.to_owned(), key: key.to_owned() }
    }

    /// The finished binary, if there is one.
    pub fn installed(&self) -> Option<PathBuf> {
        Some(self.exe()).filter(|exe| exe.is_file())
    }

    /// The finished binary; if there is none, `make` makes it and returns where in the workshop it lies. Two processes at
    /// once: one makes, the other waits. An attempt that fails or is killed leaves its log and nothing else that is used.
    pub fn get_or_make(
        &self,
        progress: &Progress,
        make: impl FnOnce(&Workshop) -> Result<PathBuf, ProvisionError>,
    ) -> Result<PathBuf, ProvisionError> {
        if let Some(exe) = self.installed() {
            return Ok(exe);
        }
        let cache_error = |path: &Path| {
            let path = path.to_owned();
            move |source| ProvisionError::Cache { path, source }
        };
        std::fs::create_dir_all(&self.cache).map_err(cache_error(&self.cache))?;
        let lock_path = self.cache.join(format!("{}.lock", self.program.name()));
        let log = self.cache.join(format!("{}.log", self.key));
        let lock = File::create(&lock_path).map_err(cache_error(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                progress.say(&format!(
                    "waiting for another process that builds {} (log: {})",
                    self.program,
                    log.display()
                ));
                lock.lock().map_err(cache_error(&lock_path))?;
            }
            Err(TryLockError::Error(source)) => {
                return Err(ProvisionError::Cache { path: lock_path, source })
            }
        }
        if let Some(exe) = self.installed() {
            return Ok(exe);
        }
        self.clear_abandoned();
        // The lock is held until this function ends, however it ends.
        let folder = tempfile::Builder::new()
            .prefix(&self.building())
            .tempdir_in(&self.cache)
            .map_err(cache_error(&self.cache))?;
        File::create(&log).map_err(cache_error(&log))?;
        let workshop = Workshop { folder: folder.path().to_owned(), log };
        let made = make(&workshop)?;
        self.program.check(&made)?;
        self.install(&workshop, &made).map_err(cache_error(&self.exe()))?;
        Ok(self.exe())
    }

    fn exe(&self) -> PathBuf {
        self.cache.join(&self.key).join(self.program.name())
    }

    /// How the folders of this program's attempts begin.
    fn building(&self) -> String {
        format!("building-{}-", self.program.name())
    }

    /// What killed attempts left. Only called under the lock, so nobody works there.
    fn clear_abandoned(&self) {
        let building = self.building();
        for entry in std::fs::read_dir(&self.cache).into_iter().flatten().flatten() {
            if entry.file_name().as_encoded_bytes().starts_with(building.as_bytes()) {
                // If it cannot go now, it can the next time.
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }

    fn install(&self, workshop: &Workshop, made: &Path) -> Result<(), std::io::Error> {
        let whole = workshop.folder.join("installed");
        std::fs::create_dir_all(&whole)?;
        let exe = whole.join(self.program.name());
        std::fs::rename(made, &exe)?;
        File::open(&exe)?.sync_all()?;
        // Something that is not a finished binary may lie in the way.
        let place = self.cache.join(&self.key);
        if place.exists() {
            std::fs::remove_dir_all(&place)?;
        }
        std::fs::rename(&whole, place)
    }
}

impl Workshop {
    /// Runs a program to its end, with everything that it says in the log.
    pub fn run(&self, step: &'static str, command: &mut Command) -> Result<(), ProvisionError> {
        let log = self.append_to_log()?;
        let errors =
            log.try_clone().map_err(|source| ProvisionError::Cache { path: self.log.clone(), source })?;
        let status = command
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .status()
            .map_err(|source| no_program(command, source))?;
        self.judge(step, status)
    }

    /// The log, to write at its end.
    pub fn append_to_log(&self) -> Result<File, ProvisionError> {
        File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .map_err(|source| ProvisionError::Cache { path: self.log.clone(), source })
    }

    /// An error with the end of the log, unless the step succeeded.
    pub fn judge(&self, step: &'static str, status: ExitStatus) -> Result<(), ProvisionError> {
        if status.success() {
            return Ok(());
        }
        Err(self.failed(step, status.to_string()))
    }

    /// The error of a step.
    pub fn failed(&self, step: &'static str, status: String) -> ProvisionError {
        ProvisionError::Step { step, status, log: self.log.clone(), tail: file_tail(&self.log, TAIL) }
    }
}

/// The error of a program that did not start.
pub fn no_program(command: &Command, source: std::io::Error) -> ProvisionError {
    ProvisionError::NoProgram { program: command.get_program().to_string_lossy().into_owned(), source }
}
