//! Where the lab build of the node is: named by the environment, or beside the program that runs. Under `cargo run` it is built first,
//! so that it is never older than what is looked at.
use super::LiveError;
use crate::shipped;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const NAME: &str = "leyden-node-lab";
const VARIABLE: &str = "LEYDEN_NODE_LAB";

/// The binary.
pub(super) fn find() -> Result<PathBuf, LiveError> {
    static BUILT: OnceLock<bool> = OnceLock::new();
    if std::env::var_os(VARIABLE).is_none() && !*BUILT.get_or_init(build) {
        return Err(LiveError::NotBuilt);
    }
    shipped::find(NAME, VARIABLE).map_err(LiveError::NoBinary)
}

/// Builds it where cargo runs us; tests have it built before they start. False if the build failed, which cargo explains.
fn build() -> bool {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (Some(cargo), None) = (std::env::var_os("CARGO"), std::env::var_os("NEXTEST")) else { return true };
    if !workspace.join("Cargo.toml").is_file() {
        return true;
    }
    let built = Command::new(cargo).args(["build", "--quiet", "--bin", NAME]).current_dir(workspace).status();
    built.is_ok_and(|status| status.success())
}
