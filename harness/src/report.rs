//! The folder that a failing run leaves: transcript, ladder, settlement, tree, page, node records, Core's log and data, and the command
//! that repeats it. Failing to write it never hides the failure itself.
use crate::net::Net;
use crate::run::Run;
use leyden_core::node::RecordKey;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Writes the folder below `keep`, or below the target folder. Where it is; nothing if it could not be written.
pub fn leave(run: &Run, net: &mut Net, keep: Option<&Path>) -> Option<PathBuf> {
    let variant =
        run.variant.as_ref().map_or_else(String::new, |variant| format!("-{}", plain(&variant.to_string())));
    let name = format!("{}-{}-{}{variant}", run.scenario.name, run.world, run.seed);
    let folder = keep.map_or_else(default_place, Path::to_path_buf).join(name);
    match write(run, net, &folder) {
        Ok(()) => Some(folder),
        Err(error) => {
            eprintln!("the run's folder {} cannot be written: {error}", folder.display());
            None
        }
    }
}

/// `target/leyden-failures` of the workspace if it is still there, else the system's place for temporary files.
fn default_place() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().filter(|root| root.is_dir());
    workspace.map_or_else(std::env::temp_dir, |root| root.join("target")).join("leyden-failures")
}

fn write(run: &Run, net: &mut Net, folder: &Path) -> io::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    fs::write(folder.join("transcript.txt"), &run.transcript)?;
    fs::write(folder.join("ladder.txt"), &run.ladder)?;
    fs::write(folder.join("settlement.txt"), run.settlement.to_string())?;
    fs::write(folder.join("tree.txt"), &run.tree)?;
    if let Some(page) = &run.page {
        fs::write(folder.join("page.html"), page)?;
    }
    if !run.passed() {
        fs::write(folder.join("failure.txt"), run.failure())?;
    }
    fs::write(folder.join("repeat.sh"), format!("{}\n", run.command()))?;
    for node in 0..net.node_count() {
        write_records(net, node, &folder.join("records"))?;
    }
    if let Some(core) = net.world.ground().core_folder() {
        copy_folder(&core, &folder.join("core"))?;
    }
    if let Some(nodes) = net.world.process_folder() {
        copy_folder(&nodes, &folder.join("nodes"))?;
        fs::write(folder.join("logs.txt"), merged_logs(&nodes)?)?;
    }
    Ok(())
}

/// The nodes' logs as one, by the time at the head of each line. A line without one belongs to the line before.
fn merged_logs(folder: &Path) -> io::Result<String> {
    let mut lines: Vec<(String, String)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|kind| kind != "log") {
            continue;
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut time = String::new();
        for line in String::from_utf8_lossy(&fs::read(&path)?).lines() {
            let head = line.split_whitespace().next().unwrap_or_default();
            if head.ends_with('Z') && head.contains('T') {
                head.clone_into(&mut time);
            }
            lines.push((time.clone(), format!("{name:>8}  {line}\n")));
        }
    }
    lines.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(lines.into_iter().map(|(_, line)| line).collect())
}

fn write_records(net: &mut Net, node: usize, folder: &Path) -> io::Result<()> {
    let folder = folder.join(net.node_name(node));
    fs::create_dir_all(&folder)?;
    for (key, bytes) in net.world.records(node) {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(folder.join(format!("{}.hex", file_name(key))), hex)?;
    }
    Ok(())
}

/// The key's words with nothing in them that a file system minds.
fn file_name(key: &RecordKey) -> String {
    plain(&format!("{key:?}")).trim_matches('-').to_lowercase()
}

/// Letters and digits stay, all else is a dash.
fn plain(words: &str) -> String {
    words.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect()
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else if kind.is_file() {
            // A file that Core removes meanwhile is no loss.
            let _ = fs::copy(entry.path(), target);
        }
    }
    Ok(())
}
