//! Why there is no usable bitcoind or electrs: one clear line each, with what to do about it.
use std::path::PathBuf;

use super::version::{CoreVersion, ElectrsVersion};
use super::Program;

/// Why no bitcoind, or no electrs, can be used.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// The named file is not there.
    #[error("{} names {}, which does not exist", program.variable(), path.display())]
    NotThere {
        /// Which program.
        program: Program,
        /// The binary.
        path: PathBuf,
    },
    /// It is there and cannot be run.
    #[error("{} cannot be run: {source}", path.display())]
    NotExecutable {
        /// The binary.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It ran and is something else.
    #[error("{} is not Bitcoin Core's bitcoind: `-version` printed {output:?}", path.display())]
    NotBitcoind {
        /// The binary.
        path: PathBuf,
        /// The first line that it printed.
        output: String,
    },
    /// It ran and is something else.
    #[error("{} is not electrs: `--version` printed {output:?}", path.display())]
    NotElectrs {
        /// The binary.
        path: PathBuf,
        /// The first line that it printed.
        output: String,
    },
    /// It did not say its version.
    #[error("{} is not {program}'s: `{}` did not end within 20 s", path.display(), program.asks_version())]
    Silent {
        /// Which program.
        program: Program,
        /// The binary.
        path: PathBuf,
    },
    /// It is Core, from before what the tests rely on.
    #[error("{} is Bitcoin Core {found}, and {} or later is needed (without BITCOIND_EXE one is built)", path.display(), CoreVersion::OLDEST)]
    TooOld {
        /// The binary.
        path: PathBuf,
        /// Its version.
        found: CoreVersion,
    },
    /// It is electrs, from before what the tests rely on.
    #[error("{} is electrs {found}, and {} or later is needed (without ELECTRS_EXE one is built)", path.display(), ElectrsVersion::OLDEST)]
    ElectrsTooOld {
        /// The binary.
        path: PathBuf,
        /// Its version.
        found: ElectrsVersion,
    },
    /// There is no place for a cache.
    #[error("cannot tell where to keep what is built: neither XDG_CACHE_HOME nor HOME is set")]
    NoCacheFolder,
    /// The cache cannot be used.
    #[error("cannot use the cache {}: {source}", path.display())]
    Cache {
        /// The file or folder in it.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The build needs programs that are not installed, and installing them is not ours to do.
    #[error("building {program} needs {missing}; install with:\n  {command}\nor set {} to a {} {} or later",
        program.variable(), program.name(), program.oldest())]
    MissingTools {
        /// What was to be built.
        program: Program,
        /// What is missing.
        missing: String,
        /// The command that installs it.
        command: String,
    },
    /// A program of the build could not be started.
    #[error("cannot start `{program}`: {source}")]
    NoProgram {
        /// The program.
        program: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A step failed; nothing was installed.
    #[error("{step} failed ({status}); the whole log is {}, which ends:\n{tail}", log.display())]
    Step {
        /// What was done.
        step: &'static str,
        /// How it ended.
        status: String,
        /// The log of all steps.
        log: PathBuf,
        /// The end of it.
        tail: String,
    },
}
