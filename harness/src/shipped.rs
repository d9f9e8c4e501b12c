//! Programs of this workspace that run as processes: where they are, and the shell that ends one with whoever started it.
use std::path::{Path, PathBuf};

/// Says the process's id, then kills it when its own standard input ends, however that comes about. Its exit status is that of the
/// process.
pub const SUPERVISOR: &str = r#"trap '' HUP INT TERM
"$@" </dev/null >/dev/null &
process=$!
echo "$process"
exec >/dev/null 2>&1
read -r word
kill -9 "$process"
wait "$process"
"#;

/// The program of this name: named by this variable of the environment, or beside the program that runs.
///
/// # Errors
/// Where it should have been.
pub fn find(name: &str, variable: &str) -> Result<PathBuf, PathBuf> {
    if let Some(named) = std::env::var_os(variable) {
        let named = PathBuf::from(named);
        return if named.is_file() { Ok(named) } else { Err(named) };
    }
    let exe = std::env::current_exe().unwrap_or_default();
    let folder = exe.parent().map(Path::to_path_buf).unwrap_or_default();
    // A test runs from `deps`, one folder deeper.
    let candidates = [folder.join(name), folder.join("..").join(name)];
    candidates.iter().find(|path| path.is_file()).cloned().ok_or_else(|| folder.join(name))
}

/// Copies a folder with all in it and the permissions of each: a node insists on them.
pub(crate) fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    if !from.is_dir() {
        return std::fs::copy(from, to).map(drop);
    }
    std::fs::create_dir(to)?;
    std::fs::set_permissions(to, std::fs::metadata(from)?.permissions())?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}
