//! Fetches a published bitcoind through the crate `bitcoind`, whose build script knows the address and the hash of each
//! release. Only when asked for: the default must not depend on a host outside the crates registry.
use std::path::PathBuf;

use super::build::{cargo, write_manifest};
use super::{Progress, ProvisionError, Workshop};

/// Names the binary in the cache.
pub const KEY: &str = "bitcoin-core-31.1-download";
const DEPENDENCY: &str =
    r#"bitcoind = { version = "=0.43.2", default-features = false, features = ["download", "31_1"] }"#;

/// Builds a package that depends on the crate, which downloads and unpacks; returns the binary in the workshop.
pub fn download(workshop: &Workshop, progress: &Progress) -> Result<PathBuf, ProvisionError> {
    progress.say("downloading Bitcoin Core 31.1 through the crate `bitcoind` (LEYDEN_DOWNLOAD_BITCOIND=1)");
    let folder = workshop.folder.join("fetch");
    write_manifest(&folder, DEPENDENCY)?;
    let unpacked = workshop.folder.join("download");
    let mut build = cargo(&folder);
    build
        .args(["build", "--quiet"])
        .env_remove("BITCOIND_SKIP_DOWNLOAD")
        .env("BITCOIND_DOWNLOAD_DIR", &unpacked);
    workshop
        .run("downloading Bitcoin Core (unset LEYDEN_DOWNLOAD_BITCOIND to build it instead)", &mut build)?;
    let versions = std::fs::read_dir(&unpacked).into_iter().flatten().flatten();
    versions.map(|version| version.path().join("bin/bitcoind")).find(|exe| exe.is_file()).ok_or_else(|| {
        workshop.failed("downloading Bitcoin Core", "the crate unpacked no bitcoind".to_owned())
    })
}
