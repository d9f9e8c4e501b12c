//! Where the lab build of the node is: named by the environment, or beside the program that runs. Under `cargo run` it is built first,
//! so that it is never older than what is looked at.
use super::LiveError;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const NAME: &str = "leyden-node-lab";

/// The binary.
pub(super) fn find() -> Result<PathBuf, LiveError> {
    if let Some(named) = std::env::var_os("LEYDEN_NODE_LAB") {
        let named = PathBuf::from(named);
        return if named.is_file() { Ok(named) } else { Err(LiveError::NoBinary(named)) };
    }
    static BUILT: OnceLock<bool> = OnceLock::new();
    if !*BUILT.get_or_init(build) {
        return Err(LiveError::NotBuilt);
    }
    let exe = std::env::current_exe().unwrap_or_default();
    let folder = exe.parent().map(Path::to_path_buf).unwrap_or_default();
    // A test runs from `deps`, one folder deeper.
    let candidates = [folder.join(NAME), folder.join("..").join(NAME)];
    let found = candidates.iter().find(|path| path.is_file()).cloned();
    found.ok_or_else(|| LiveError::NoBinary(folder.join(NAME)))
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
