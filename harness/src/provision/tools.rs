//! The programs and libraries that building Bitcoin Core needs: finds which are missing; as root on Debian it installs
//! them, otherwise it prints the command that would.
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Progress, ProvisionError, Workshop};

/// Debian's package, and how to see that what it brings is there.
const NEEDED: [(&str, Presence); 6] = [
    ("g++", Presence::Program("c++")),
    ("cmake", Presence::Program("cmake")),
    ("ninja-build", Presence::Program("ninja")),
    ("pkg-config", Presence::Program("pkg-config")),
    ("libevent-dev", Presence::PkgConfig("libevent")),
    ("libboost-dev", Presence::Header("boost/multi_index_container.hpp")),
];
/// Where a header may lie without the compiler being told.
const INCLUDE: [&str; 4] =
    ["/usr/include", "/usr/local/include", "/opt/homebrew/include", "/opt/local/include"];

enum Presence {
    Program(&'static str),
    PkgConfig(&'static str),
    Header(&'static str),
}

/// Makes sure that everything is there.
pub fn ensure(workshop: &Workshop, progress: &Progress) -> Result<(), ProvisionError> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    let debian = on_path("apt-get");
    if !(debian && rustix::process::geteuid().is_root()) {
        let command = install_command(&list, debian);
        return Err(ProvisionError::MissingTools { missing: missing.join(", "), command });
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

fn missing() -> Vec<&'static str> {
    NEEDED.iter().filter(|(_, presence)| !present(presence)).map(|(package, _)| *package).collect()
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
    }
}

fn on_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    found
}

/// The command for this system, with Debian's package names where nothing better is known.
fn install_command(packages: &str, debian: bool) -> String {
    if debian {
        format!("sudo apt-get update && sudo apt-get install -y {packages}")
    } else if on_path("dnf") {
        "sudo dnf install gcc-c++ cmake ninja-build pkgconf libevent-devel boost-devel".to_owned()
    } else if on_path("brew") {
        "brew install cmake ninja pkgconf libevent boost".to_owned()
    } else {
        format!("your system's package manager (Debian's names: {packages})")
    }
}
