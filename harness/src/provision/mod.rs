//! Finds Bitcoin Core's `bitcoind` and the Electrum server `electrs`, or builds them: `BITCOIND_EXE` and `ELECTRS_EXE`, then
//! `PATH`, then this project's cache, then a build from source (of Core a published binary, only if
//! `LEYDEN_DOWNLOAD_BITCOIND=1` asks for it). Whatever is found was run once and says a version that the tests can use. It
//! writes only below the cache folder, and installs system packages only as root.
mod build;
mod download;
mod electrs;
mod error;
mod program;
mod progress;
mod store;
mod tools;
mod version;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub use error::ProvisionError;
pub use program::Program;
pub use progress::Progress;
pub use store::{Store, Workshop};
pub use version::{CoreVersion, ElectrsVersion};

/// The binary for this process's environment, provisioned if need be; what takes time is told on stderr. Quick if there is
/// nothing to do: the checks of an unchanged binary are remembered in the cache.
pub fn bitcoind() -> Result<PathBuf, ProvisionError> {
    Provisioner::from_env()?.bitcoind()
}

/// [`bitcoind`], for the Electrum server that the live world asks at the end of a run.
pub fn electrs() -> Result<PathBuf, ProvisionError> {
    Provisioner::from_env()?.electrs()
}

/// Where to look, and where to keep what was built.
#[derive(Clone, Debug)]
pub struct Provisioner {
    /// `BITCOIND_EXE`: if set, nothing else is tried.
    pub bitcoind_exe: Option<OsString>,
    /// `ELECTRS_EXE`, likewise.
    pub electrs_exe: Option<OsString>,
    /// `PATH`.
    pub search_path: Option<OsString>,
    /// This project's folder in the user's cache: `$XDG_CACHE_HOME/leyden` or `~/.cache/leyden`.
    pub cache: PathBuf,
    /// `LEYDEN_DOWNLOAD_BITCOIND=1`: fetch a published binary instead of building one.
    pub download: bool,
}

impl Provisioner {
    /// What this process's environment says. An empty variable counts as not set.
    pub fn from_env() -> Result<Self, ProvisionError> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        // The XDG rule: a relative path there is to be ignored.
        let xdg = set("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let base = xdg.or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".cache")));
        Ok(Self {
            bitcoind_exe: set(Program::Bitcoind.variable()),
            electrs_exe: set(Program::Electrs.variable()),
            search_path: set("PATH"),
            cache: base.ok_or(ProvisionError::NoCacheFolder)?.join("leyden"),
            download: set("LEYDEN_DOWNLOAD_BITCOIND").is_some_and(|value| value == "1"),
        })
    }

    /// Looks in every place, then builds or downloads.
    pub fn bitcoind(&self) -> Result<PathBuf, ProvisionError> {
        if let Some(found) = self.find(Program::Bitcoind)? {
            return Ok(found);
        }
        let progress = Progress::on_stderr(Program::Bitcoind);
        if self.download {
            let store = Store::new(Program::Bitcoind, &self.cache, download::KEY);
            return store.get_or_make(&progress, |workshop| download::download(workshop, &progress));
        }
        Store::new(Program::Bitcoind, &self.cache, build::KEY)
            .get_or_make(&progress, |workshop| build::build(workshop, &progress))
    }

    /// Looks in every place, then builds.
    pub fn electrs(&self) -> Result<PathBuf, ProvisionError> {
        if let Some(found) = self.find(Program::Electrs)? {
            return Ok(found);
        }
        let progress = Progress::on_stderr(Program::Electrs);
        Store::new(Program::Electrs, &self.cache, electrs::KEY)
            .get_or_make(&progress, |workshop| electrs::build(workshop, &progress))
    }

    /// Looks in every place and makes nothing. A wrong binary that a variable names is an error; one in `PATH` that is too
    /// old is only passed over.
    pub fn find(&self, program: Program) -> Result<Option<PathBuf>, ProvisionError> {
        let (named, keys): (_, &[&str]) = match program {
            Program::Bitcoind => (&self.bitcoind_exe, &[build::KEY, download::KEY]),
            Program::Electrs => (&self.electrs_exe, &[electrs::KEY]),
        };
        if let Some(exe) = named {
            let exe = std::path::absolute(exe).unwrap_or_else(|_| PathBuf::from(exe));
            self.check(program, &exe)?;
            return Ok(Some(exe));
        }
        for folder in self.search_path.iter().flat_map(std::env::split_paths) {
            let exe = folder.join(program.name());
            if folder.is_absolute() && exe.is_file() {
                match self.check(program, &exe) {
                    Ok(()) => return Ok(Some(exe)),
                    Err(error) => eprintln!("leyden: passing over the {} in PATH: {error}", program.name()),
                }
            }
        }
        for key in keys {
            if let Some(exe) = Store::new(program, &self.cache, key).installed() {
                self.check(program, &exe)?;
                return Ok(Some(exe));
            }
        }
        Ok(None)
    }

    fn check(&self, program: Program, exe: &Path) -> Result<(), ProvisionError> {
        version::check_remembered(program, exe, &self.cache.join("checked"))
    }
}
