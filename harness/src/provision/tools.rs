//! The programs and libraries that building Bitcoin Core, or electrs, needs: finds which are missing; as root on Debian it
//! installs them, otherwise it prints the command that would.
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Program, Progress, ProvisionError, Workshop};

/// Debian's package, and how to see that what it brings is there.
type Package = (&'static str, Presence);

const FOR_BITCOIND: [Package; 6] = [
    ("g++", Presence::Program("c++")),
    ("cmake", Presence::Program("cmake")),
    ("ninja-build", Presence::Program("ninja")),
    ("pkg-config", Presence::Program("pkg-config")),
    ("libevent-dev", Presence::PkgConfig("libevent")),
    ("libboost-dev", Presence::Header("boost/multi_index_container.hpp")),
];
/// electrs binds to Debian's RocksDB, which makes two minutes of twelve.
const FOR_ELECTRS: [Package; 4] = [
    ("g++", Presence::Program("c++")),
    ("clang", Presence::Program("clang")),
    ("libclang-dev", Presence::Libclang),
    ("librocksdb-dev", Presence::Header("rocksdb/c.h")),
];
/// Where a header may lie without the compiler being told.
const INCLUDE: [&str; 4] =
    ["/usr/include", "/usr/local/include", "/opt/homebrew/include", "/opt/local/include"];

/// Where LLVM's libraries lie on Debian: its links stand in these, its versions below the first.
const LIBRARIES: [&str; 4] =
    ["/usr/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/local/lib"];

enum Presence {
    Program(&'static str),
    PkgConfig(&'static str),
    Header(&'static str),
    /// The library that reads C headers for Rust.
    Libclang,
}

/// Makes sure that everything is there.
pub fn ensure(program: Program, workshop: &Workshop, progress: &Progress) -> Result<(), ProvisionError> {
    let missing = missing(program);
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    let debian = on_path("apt-get");
    if !(debian && rustix::process::geteuid().is_root()) {
        let command = install_command(program, &list, debian);
        return Err(ProvisionError::MissingTools { program, missing: missing.join(", "), command });
    }
    progress.say(&format!("installing {list} with apt-get"));
    let apt = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    // Without an update a fresh image has no lists at all; one failed mirror is no reason to stop.
    let _ = workshop.run("apt-get update", apt().args(["-q", "update"]));
    workshop
        .run("apt-get install", apt().args(["-q", "install", "-y", "--no-install-recommends"]).args(&missing))
}

fn missing(program: Program) -> Vec<&'static str> {
    let needed: &[Package] = match program {
        Program::Bitcoind => &FOR_BITCOIND,
        Program::Electrs => &FOR_ELECTRS,
    };
    needed.iter().filter(|(_, presence)| !present(presence)).map(|(package, _)| *package).collect()
}

fn present(presence: &Presence) -> bool {
    match presence {
        Presence::Program(name) => on_path(name),
        Presence::PkgConfig(name) => Command::new("pkg-config")
            .args(["--exists", name])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success()),
        Presence::Header(name) => INCLUDE.iter().any(|folder| Path::new(folder).join(name).exists()),
        Presence::Libclang => {
            std::env::var_os("LIBCLANG_PATH").is_some() || LIBRARIES.iter().any(|folder| has_libclang(folder))
        }
    }
}

/// Whether a folder, or the library folder of an LLVM in it, has libclang as programs link to it.
fn has_libclang(folder: &str) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut llvm = entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"llvm"));
    Path::new(folder).join("libclang.so").exists()
        || llvm.any(|entry| entry.path().join("lib/libclang.so").exists())
}

fn on_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    found
}

/// The command for this system, with Debian's package names where nothing better is known.
fn install_command(program: Program, packages: &str, debian: bool) -> String {
    let (dnf, brew) = match program {
        Program::Bitcoind => (
            "gcc-c++ cmake ninja-build pkgconf libevent-devel boost-devel",
            "cmake ninja pkgconf libevent boost",
        ),
        Program::Electrs => ("gcc-c++ clang clang-devel rocksdb-devel", "llvm rocksdb"),
    };
    if debian {
        format!("sudo apt-get update && sudo apt-get install -y {packages}")
    } else if on_path("dnf") {
        format!("sudo dnf install {dnf}")
    } else if on_path("brew") {
        format!("brew install {brew}")
    } else {
        format!("your system's package manager (Debian's names: {packages})")
    }
}
