//! The programs that are provisioned: what each is called, by whom it is asked for, and what it must say of itself. A table;
//! it finds and builds nothing.
use super::version::{self, CoreVersion, ElectrsVersion};
use super::ProvisionError;
use std::ffi::OsString;
use std::fmt;
use std::path::Path;

/// A program of somebody else's that the worlds stand on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Program {
    /// Bitcoin Core's daemon.
    Bitcoind,
    /// The Electrum server.
    Electrs,
}

impl Program {
    /// The file's name.
    pub fn name(self) -> &'static str {
        match self {
            Program::Bitcoind => "bitcoind",
            Program::Electrs => "electrs",
        }
    }

    /// The variable that names a binary; if it is set, nothing else is tried.
    pub fn variable(self) -> &'static str {
        match self {
            Program::Bitcoind => "BITCOIND_EXE",
            Program::Electrs => "ELECTRS_EXE",
        }
    }

    /// The argument that makes it say its version.
    pub(super) fn asks_version(self) -> &'static str {
        match self {
            Program::Bitcoind => "-version",
            Program::Electrs => "--version",
        }
    }

    /// All arguments for that. Core would write into its user's own data folder first, and several at once would fail over it.
    pub(super) fn version_arguments(self) -> Vec<OsString> {
        let mut arguments = vec![OsString::from(self.asks_version())];
        if self == Program::Bitcoind {
            let mut elsewhere = OsString::from("-datadir=");
            elsewhere.push(std::env::temp_dir());
            arguments.extend([OsString::from("-nosettings"), elsewhere]);
        }
        arguments
    }

    /// The oldest version that can be used, in words.
    pub(super) fn oldest(self) -> String {
        match self {
            Program::Bitcoind => CoreVersion::OLDEST.to_string(),
            Program::Electrs => ElectrsVersion::OLDEST.to_string(),
        }
    }

    /// Runs the binary for its version and judges what it says.
    pub(super) fn check(self, exe: &Path) -> Result<(), ProvisionError> {
        match self {
            Program::Bitcoind => version::check_bitcoind(exe).map(|_| ()),
            Program::Electrs => version::check_electrs(exe).map(|_| ()),
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Program::Bitcoind => "Bitcoin Core",
            Program::Electrs => "electrs",
        })
    }
}
