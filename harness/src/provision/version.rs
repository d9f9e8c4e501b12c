//! Is this file a bitcoind that the tests can use? Runs it once with `-version`, and remembers the verdict for as long as
//! the file is the same (path, size, time of change), because the question comes once per scenario.
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::time::Duration;

use bitcoin::hashes::{sha256, Hash};

use super::ProvisionError;

/// The oldest Core that knows what the tests use: JSON-RPC 2.0, one-parent-one-child packages, TRUC and ephemeral anchors.
pub const OLDEST: CoreVersion = CoreVersion { major: 28, minor: 0 };
/// How long `-version` may take: it takes 20 ms.
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

impl fmt::Display for CoreVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for CoreVersion {
    type Err = ();
    /// Reads `28.1`, and `v28.1.0rc1-abc` as well.
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.trim_start_matches('v').split(|c: char| !c.is_ascii_digit());
        let mut number = || parts.next().and_then(|digits| digits.parse().ok()).ok_or(());
        Ok(Self { major: number()?, minor: number()? })
    }
}

/// [`check`], answered from `memory` (a folder) if this very file passed before.
pub fn check_remembered(exe: &Path, memory: &Path) -> Result<CoreVersion, ProvisionError> {
    let note = note(exe, memory);
    if let Some((file, stamp)) = &note {
        let kept = std::fs::read_to_string(file).unwrap_or_default();
        if let Some((kept_stamp, version)) = kept.split_once('\n') {
            if let (true, Ok(version)) = (kept_stamp == stamp, version.trim().parse()) {
                return Ok(version);
            }
        }
    }
    let version = check(exe)?;
    if let Some((file, stamp)) = note {
        // A memory that cannot be written costs 20 ms the next time, nothing else.
        let _ = std::fs::create_dir_all(memory);
        let unfinished = file.with_extension(std::process::id().to_string());
        if std::fs::write(&unfinished, format!("{stamp}\n{version}\n")).is_ok() {
            let _ = std::fs::rename(&unfinished, &file);
        }
    }
    Ok(version)
}

/// The file that remembers this binary, and what tells that the binary is still the same.
fn note(exe: &Path, memory: &Path) -> Option<(PathBuf, String)> {
    let metadata = std::fs::metadata(exe).ok()?;
    let changed = metadata.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?.as_nanos();
    let name = sha256::Hash::hash(exe.as_os_str().as_encoded_bytes()).to_string();
    Some((memory.join(&name[..16]), format!("{changed} {}", metadata.len())))
}

/// Runs the binary with `-version` and judges what it says.
pub fn check(exe: &Path) -> Result<CoreVersion, ProvisionError> {
    let path = exe.to_owned();
    if !exe.exists() {
        return Err(ProvisionError::NotThere { path });
    }
    if exe.is_dir() {
        return Err(ProvisionError::NotExecutable { path, source: std::io::ErrorKind::IsADirectory.into() });
    }
    let Some(output) = version_output(exe)? else { return Err(ProvisionError::Silent { path }) };
    let output = output.lines().next().unwrap_or_default().trim().to_owned();
    let version = output.strip_prefix("Bitcoin Core").and_then(|rest| rest.split_once("version "));
    let Some(found) = version.and_then(|(_, version)| version.parse::<CoreVersion>().ok()) else {
        return Err(ProvisionError::NotBitcoind { path, output });
    };
    if found < OLDEST {
        return Err(ProvisionError::TooOld { path, found });
    }
    Ok(found)
}

/// The start of what `-version` prints, or nothing if it does not end.
fn version_output(exe: &Path) -> Result<Option<String>, ProvisionError> {
    let not_executable = |source| ProvisionError::NotExecutable { path: exe.to_owned(), source };
    let mut child = Command::new(exe)
        .arg("-version")
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
