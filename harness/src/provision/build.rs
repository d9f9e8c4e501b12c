//! Builds bitcoind from the source tree that the crate `libbitcoinkernel-sys` ships: the registry is the one source that
//! a machine with Rust can reach. The crate itself is not compiled; cargo only fetches it (and checks its hash).
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::store::no_program;
use super::{tools, Program, Progress, ProvisionError, Workshop};

/// The crate whose package holds Core's source (without the wallet), and its version.
const SOURCE_CRATE: &str = "libbitcoinkernel-sys";
const SOURCE_VERSION: &str = "0.4.1";
/// Names the binary in the cache: source and recipe.
pub const KEY: &str = "bitcoin-core-31.99-libbitcoinkernel-sys-0.4.1-O1";
/// Only the daemon. -O1 builds in three quarters of the time of -O2, and a regtest chain does not notice.
const CMAKE: [&str; 14] = [
    "-DCMAKE_BUILD_TYPE=Release",
    "-DCMAKE_CXX_FLAGS_RELEASE=-O1",
    "-DBUILD_TESTS=OFF",
    "-DBUILD_BENCH=OFF",
    "-DBUILD_TX=OFF",
    "-DBUILD_UTIL=OFF",
    "-DBUILD_WALLET_TOOL=OFF",
    "-DBUILD_BITCOIN_BIN=OFF",
    "-DENABLE_IPC=OFF",
    "-DENABLE_WALLET=OFF",
    "-DWITH_ZMQ=OFF",
    "-DENABLE_EXTERNAL_SIGNER=OFF",
    "-DINSTALL_MAN=OFF",
    "-DWITH_EMBEDDED_ASMAP=OFF",
];

/// All steps; returns the stripped binary in the workshop.
pub fn build(workshop: &Workshop, progress: &Progress) -> Result<PathBuf, ProvisionError> {
    let minutes = if cores() >= 8 { 2 } else { 16 / cores().max(1) };
    progress.say(&format!(
        "no bitcoind in BITCOIND_EXE, PATH or the cache: building Bitcoin Core 31.99 from source, once, in about {minutes} \
         minutes (log: {})",
        workshop.log.display()
    ));
    tools::ensure(Program::Bitcoind, workshop, progress)?;
    progress.say(&format!("fetching the source (crate {SOURCE_CRATE} {SOURCE_VERSION})"));
    let source = fetch_source(workshop)?;
    progress.say("configuring");
    let build = workshop.folder.join("build");
    let mut cmake = Command::new("cmake");
    cmake.arg("-S").arg(source).arg("-B").arg(&build).args(["-G", "Ninja"]).args(CMAKE);
    workshop.run("configuring Bitcoin Core", &mut cmake)?;
    compile(workshop, &build, progress)?;
    let exe = build.join("bin/bitcoind");
    // An unstripped binary works as well.
    let _ = workshop.run("stripping bitcoind", Command::new("strip").arg(&exe));
    progress.done();
    progress.say(&format!("built Bitcoin Core in {} s", progress.elapsed().as_secs()));
    Ok(exe)
}

/// A manifest that nobody builds, so that cargo fetches the crate in its usual way (mirrors, offline and proxies included)
/// and says where it lies.
fn fetch_source(workshop: &Workshop) -> Result<PathBuf, ProvisionError> {
    const STEP: &str = "fetching Bitcoin Core's source from the crates registry";
    let dependency = format!("{SOURCE_CRATE} = \"={SOURCE_VERSION}\"");
    let folder = workshop.folder.join("fetch");
    write_manifest(&folder, &dependency)?;
    let mut cargo = cargo(&folder);
    cargo.args(["metadata", "--format-version", "1"]);
    let output = cargo.stdin(Stdio::null()).output().map_err(|source| no_program(&cargo, source))?;
    // A log that cannot be written only makes a failure harder to read.
    let _ = workshop.append_to_log()?.write_all(&output.stderr);
    workshop.judge(STEP, output.status)?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let manifest =
        metadata["packages"].as_array().into_iter().flatten().find(|one| one["name"] == SOURCE_CRATE);
    manifest
        .and_then(|package| package["manifest_path"].as_str())
        .and_then(|path| Path::new(path).parent())
        .map(|folder| folder.join("bitcoin"))
        .filter(|source| source.join("CMakeLists.txt").is_file())
        .ok_or_else(|| workshop.failed(STEP, "the crate has no folder `bitcoin`".to_owned()))
}

/// A package of one dependency, in a workspace of its own.
pub fn write_manifest(folder: &Path, dependency: &str) -> Result<(), ProvisionError> {
    let write = || -> Result<(), std::io::Error> {
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join("lib.rs"), "")?;
        let package = "[package]\nname = \"leyden-fetch\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[lib]\npath = \"lib.rs\"\n";
        std::fs::write(
            folder.join("Cargo.toml"),
            format!("{package}[workspace]\n[dependencies]\n{dependency}\n"),
        )
    };
    write().map_err(|source| ProvisionError::Cache { path: folder.to_owned(), source })
}

/// The cargo that runs us, or the one in `PATH`.
pub fn cargo(folder: &Path) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(folder).env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS");
    cargo
}

/// Runs ninja, whose lines `[done/total] ...` are the progress.
fn compile(workshop: &Workshop, build: &Path, progress: &Progress) -> Result<(), ProvisionError> {
    let mut log = workshop.append_to_log()?;
    let errors = workshop.append_to_log()?;
    let mut ninja = Command::new("ninja");
    ninja.arg("-C").arg(build).args(["-j", &cores().to_string(), "bitcoind"]).env("NINJA_STATUS", "[%f/%t] ");
    let mut child = ninja
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .map_err(|source| no_program(&ninja, source))?;
    for line in child.stdout.take().into_iter().flat_map(|stdout| BufReader::new(stdout).lines()) {
        let Ok(line) = line else { break };
        let _ = writeln!(log, "{line}");
        if let Some((done, total)) = ninja_status(&line) {
            progress.at(done, total);
        }
    }
    let status = child.wait().map_err(|source| no_program(&ninja, source))?;
    workshop.judge("compiling Bitcoin Core", status)
}

fn ninja_status(line: &str) -> Option<(u64, u64)> {
    let (done, total) = line.strip_prefix('[')?.split_once(']')?.0.split_once('/')?;
    Some((done.parse().ok()?, total.parse().ok()?))
}

/// How many compilers can run at once.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
