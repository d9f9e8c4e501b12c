//! Builds electrs with `cargo install`, against the system's RocksDB: its own would take five times as long. What cargo says of
//! its progress is shown; nothing of the user's own cargo folder is changed.
use std::io::{BufReader, Read, Write};
use std::path::PathBuf;
use std::process::Stdio;

use super::build::{cargo, cores};
use super::store::no_program;
use super::{tools, Program, Progress, ProvisionError, Workshop};

const VERSION: &str = "0.10.10";
/// Names the binary in the cache: source and recipe.
pub const KEY: &str = "electrs-0.10.10-system-rocksdb-O1";

/// All steps; returns the binary in the workshop.
pub fn build(workshop: &Workshop, progress: &Progress) -> Result<PathBuf, ProvisionError> {
    let minutes = if cores() >= 8 { 1 } else { 4 / cores().max(1) };
    progress.say(&format!(
        "no electrs in ELECTRS_EXE, PATH or the cache: building electrs {VERSION} from the crates registry, once, in about \
         {minutes} minutes (log: {})",
        workshop.log.display()
    ));
    tools::ensure(Program::Electrs, workshop, progress)?;
    install(workshop, progress)?;
    progress.done();
    progress.say(&format!("built electrs in {} s", progress.elapsed().as_secs()));
    Ok(workshop.folder.join("root/bin/electrs"))
}

fn install(workshop: &Workshop, progress: &Progress) -> Result<(), ProvisionError> {
    let mut log = workshop.append_to_log()?;
    let output = workshop.append_to_log()?;
    let mut cargo = cargo(&workshop.folder);
    cargo
        .args(["install", "electrs", "--version", VERSION, "--locked", "--no-track", "--root"])
        .arg(workshop.folder.join("root"))
        .arg("--target-dir")
        .arg(workshop.folder.join("target"))
        .envs([("ROCKSDB_INCLUDE_DIR", "/usr/include"), ("ROCKSDB_LIB_DIR", "/usr/lib")])
        // A regtest chain does not notice what these leave out.
        .envs([("CARGO_PROFILE_RELEASE_LTO", "off"), ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")])
        // The bar is written for a person; it is the only place where cargo says how much there is to do.
        .envs([("CARGO_TERM_PROGRESS_WHEN", "always"), ("CARGO_TERM_PROGRESS_WIDTH", "100")]);
    let mut child = cargo
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| no_program(&cargo, source))?;
    for line in child.stderr.take().into_iter().flat_map(lines) {
        match cargo_status(&line) {
            Some((done, total)) => progress.at(done, total),
            // A log that cannot be written only makes a failure harder to read.
            None => drop(writeln!(log, "{line}")),
        }
    }
    let status = child.wait().map_err(|source| no_program(&cargo, source))?;
    workshop.judge("compiling electrs", status)
}

/// Its lines; a bar is drawn again after each carriage return.
fn lines(output: impl Read) -> impl Iterator<Item = String> {
    let mut bytes = BufReader::new(output).bytes().map_while(Result::ok);
    std::iter::from_fn(move || {
        let mut line = Vec::new();
        loop {
            match bytes.next() {
                Some(b'\n' | b'\r') if !line.is_empty() => break,
                Some(b'\n' | b'\r') => {}
                Some(byte) => line.push(byte),
                None if line.is_empty() => return None,
                None => break,
            }
        }
        Some(String::from_utf8_lossy(&line).into_owned())
    })
}

/// `Building [==>  ] 12/130: serde, log`.
fn cargo_status(line: &str) -> Option<(u64, u64)> {
    let (_, rest) = line.split_once("Building")?.1.split_once("] ")?;
    let (done, total) = rest.split_once(':').map_or(rest, |(counts, _)| counts).split_once('/')?;
    let digits = |text: &str| text.trim().chars().take_while(char::is_ascii_digit).collect::<String>();
    Some((digits(done).parse().ok()?, digits(total).parse().ok()?))
}
