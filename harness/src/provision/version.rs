//! Is this file a bitcoind, or an electrs, that the tests can use? Runs it once for its version, and remembers a good verdict for as
//! long as the file is the same (path, size, time of change), because the question comes once per scenario.
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::time::Duration;

use bitcoin::hashes::{sha256, Hash};

use super::{Program, ProvisionError};

/// How long that may take: it takes 20 ms.
const DEADLINE: Duration = Duration::from_secs(20);
/// How much of its output is read, in bytes.
const MOST: u64 = 4_096;

/// Bitcoin Core's version.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct CoreVersion {
    /// The major version: 28 in 28.1.
    pub major: u32,
    /// The minor version: 1 in 28.1.
    pub minor: u32,
}

impl CoreVersion {
    /// The oldest Core that knows what the tests use: JSON-RPC 2.0, one-parent-one-child packages, TRUC and ephemeral anchors.
    pub const OLDEST: Self = Self { major: 28, minor: 0 };
}

impl fmt::Display for CoreVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for CoreVersion {
    type Err = ();
    /// Reads `28.1`, and `v28.1.0rc1-abc` as well.
    fn from_str(text: &str) -> Result<Self, ()> {
        let [major, minor] = numbers(text).ok_or(())?;
        Ok(Self { major, minor })
    }
}

/// electrs's version.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ElectrsVersion {
    /// 0 in 0.10.9.
    pub major: u32,
    /// 10 in 0.10.9.
    pub minor: u32,
    /// 9 in 0.10.9.
    pub patch: u32,
}

impl ElectrsVersion {
    /// The oldest that speaks to today's Core; also the one that is built.
    pub const OLDEST: Self = Self { major: 0, minor: 10, patch: 10 };
}

impl fmt::Display for ElectrsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for ElectrsVersion {
    type Err = ();
    /// Reads `0.10.10`, and `v0.10.10` as well.
    fn from_str(text: &str) -> Result<Self, ()> {
        let [major, minor, patch] = numbers(text).ok_or(())?;
        Ok(Self { major, minor, patch })
    }
}

/// The first numbers of a version.
fn numbers<const COUNT: usize>(text: &str) -> Option<[u32; COUNT]> {
    let parts = text.trim_start_matches('v').split(|c: char| !c.is_ascii_digit());
    let numbers: Vec<u32> = parts.take(COUNT).map_while(|digits| digits.parse().ok()).collect();
    numbers.try_into().ok()
}

/// [`Program::check`], answered from `memory` (a folder) if this very file passed before.
pub fn check_remembered(program: Program, exe: &Path, memory: &Path) -> Result<(), ProvisionError> {
    let note = note(program, exe, memory);
    if let Some((file, stamp)) = &note {
        if std::fs::read_to_string(file).is_ok_and(|kept| kept == *stamp) {
            return Ok(());
        }
    }
    program.check(exe)?;
    if let Some((file, stamp)) = note {
        // A memory that cannot be written costs 20 ms the next time, nothing else.
        let _ = std::fs::create_dir_all(memory);
        let unfinished = file.with_extension(std::process::id().to_string());
        if std::fs::write(&unfinished, stamp).is_ok() {
            let _ = std::fs::rename(&unfinished, &file);
        }
    }
    Ok(())
}

/// The file that remembers this binary, and what tells that the binary is still the same.
fn note(program: Program, exe: &Path, memory: &Path) -> Option<(PathBuf, String)> {
    let metadata = std::fs::metadata(exe).ok()?;
    let changed = metadata.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?.as_nanos();
    let name = sha256::Hash::hash(exe.as_os_str().as_encoded_bytes()).to_string();
    // A later version of this file may ask for more than the one that wrote the note.
    let stamp = format!("{changed} {} {program} {}\n", metadata.len(), program.oldest());
    Some((memory.join(&name[..16]), stamp))
}

/// Core's version, if this is Core and new enough.
pub(super) fn check_bitcoind(exe: &Path) -> Result<CoreVersion, ProvisionError> {
    let output = first_line(Program::Bitcoind, exe)?;
    let version = output.strip_prefix("Bitcoin Core").and_then(|rest| rest.split_once("version "));
    let Some(found) = version.and_then(|(_, version)| version.parse::<CoreVersion>().ok()) else {
        return Err(ProvisionError::NotBitcoind { path: exe.to_owned(), output });
    };
    if found < CoreVersion::OLDEST {
        return Err(ProvisionError::TooOld { path: exe.to_owned(), found });
    }
    Ok(found)
}

/// electrs's version, if this is electrs and new enough.
pub(super) fn check_electrs(exe: &Path) -> Result<ElectrsVersion, ProvisionError> {
    let output = first_line(Program::Electrs, exe)?;
    let version = output.strip_prefix('v').and_then(|version| version.parse::<ElectrsVersion>().ok());
    let Some(found) = version else {
        return Err(ProvisionError::NotElectrs { path: exe.to_owned(), output });
    };
    if found < ElectrsVersion::OLDEST {
        return Err(ProvisionError::ElectrsTooOld { path: exe.to_owned(), found });
    }
    Ok(found)
}

/// The first line that it prints when asked for its version.
fn first_line(program: Program, exe: &Path) -> Result<String, ProvisionError> {
    let path = exe.to_owned();
    if !exe.exists() {
        return Err(ProvisionError::NotThere { program, path });
    }
    if exe.is_dir() {
        return Err(ProvisionError::NotExecutable { path, source: std::io::ErrorKind::IsADirectory.into() });
    }
    let Some(output) = version_output(program, exe)? else {
        return Err(ProvisionError::Silent { program, path });
    };
    Ok(output.lines().next().unwrap_or_default().trim().to_owned())
}

/// The start of what it prints, or nothing if it does not end.
fn version_output(program: Program, exe: &Path) -> Result<Option<String>, ProvisionError> {
    let not_executable = |source| ProvisionError::NotExecutable { path: exe.to_owned(), source };
    let mut child = Command::new(exe)
        .args(program.version_arguments())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(not_executable)?;
    let Some(stdout) = child.stdout.take() else { return Ok(None) };
    let (sender, output) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stdout.take(MOST).read_to_end(&mut bytes);
        sender.send(bytes)
    });
    let output = output.recv_timeout(DEADLINE).ok();
    // It has ended already, or is not to go on.
    let _ = child.kill();
    let _ = child.wait();
    Ok(output.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}
