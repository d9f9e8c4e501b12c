//! The shape of the tree, kept by a test instead of by habit: top level, sizes, first paragraphs, names, and which module
//! of the core may use which. A rule that gets in the way is changed here, where everybody sees it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Most lines of a Rust file. Aim at 200.
const FILE_LINES_MAX: usize = 600;

/// What stands at the top, dot-files and `Cargo.lock` apart.
const TOP_LEVEL: &[&str] = &["Cargo.toml", "README.md", "ci", "harness", "node", "scenarios", "tests"];

/// Words that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["utils", "util", "helpers", "helper", "common", "manager", "misc"];

/// The core's modules and what each may use, besides `units` and `ids`, which everyone may.
/// Left to right as data flows; nothing points back at `node`; `wire`, `keys` and `transport` know nobody.
const CORE_EDGES: &[(&str, &[&str])] = &[
    ("units", &[]),
    ("ids", &[]),
    ("wire", &[]),
    ("keys", &[]),
    ("transport", &[]),
    ("chain", &["keys"]),
    ("tx", &["keys", "wire"]),
    ("channel", &["keys", "wire", "tx", "chain"]),
    ("peer", &["wire"]),
    ("tower", &["keys", "wire", "tx", "channel"]),
    ("payment", &["keys", "wire", "channel"]),
    ("node", &["chain", "keys", "wire", "tx", "channel", "peer", "payment", "tower"]),
];

/// Text that must not stand in our sources, and why. Written in two halves, so that this file does not name it.
const FORBIDDEN: &[(&str, &str, &str)] = &[
    ("thread::", "sleep", "a sleep is a guess: await quiescence or an event"),
    ("time::", "sleep(", "a sleep is a guess: await quiescence or an event"),
    ("#[ig", "nore", "an ignored test is a test that nobody runs"),
    ("to", "do!(", "unfinished places refuse with an error that says so"),
    ("unimple", "mented!(", "unfinished places refuse with an error that says so"),
    ("TO", "DO", "an open point is an issue, not a comment"),
    ("FIX", "ME", "an open point is an issue, not a comment"),
];

#[test]
fn top_level_is_fixed() {
    let allowed: BTreeSet<&str> = TOP_LEVEL.iter().copied().collect();
    let ignored = ["Cargo.lock", "target", "clippy.toml", "rustfmt.toml"];
    let found: BTreeSet<String> = fs::read_dir(root())
        .expect("the workspace can be listed")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && !ignored.contains(&name.as_str()))
        .collect();
    let strange: Vec<&String> = found.iter().filter(|name| !allowed.contains(name.as_str())).collect();
    assert!(strange.is_empty(), "not at the top level, please: {strange:?}");
    let missing: Vec<&&str> = allowed.iter().filter(|name| !found.contains(**name)).collect();
    assert!(missing.is_empty(), "missing at the top level: {missing:?}");
}

#[test]
fn files_are_small_and_open_with_their_role() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            wrong.push(format!("{path} has {lines} lines: give it a second room"));
        }
        if !text.starts_with("//!") {
            wrong.push(format!("{path} does not open with a //! paragraph that says its role"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn names_say_what_is_inside() {
    let is_empty_name = |path: &String| {
        Path::new(path).iter().any(|part| {
            let stem = Path::new(part).file_stem().unwrap_or_default().to_string_lossy().into_owned();
            EMPTY_NAMES.contains(&stem.as_str())
        })
    };
    let wrong: Vec<String> = sources().into_iter().map(|(path, _)| path).filter(is_empty_name).collect();
    assert!(wrong.is_empty(), "names that say nothing: {wrong:?}");
}

#[test]
fn nothing_forbidden_is_written() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            for (head, tail, why) in FORBIDDEN {
                if line.contains(&format!("{head}{tail}")) {
                    wrong.push(format!("{path}:{}: {head}{tail}: {why}", number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn core_modules_use_only_what_they_may() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let Some(inside) = path.strip_prefix("node/core/src/") else { continue };
        let module = inside.split(['/', '.']).next().unwrap_or_default();
        if module == "lib" {
            continue;
        }
        let Some((_, allowed)) = CORE_EDGES.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!("{path}: module {module} has no row in CORE_EDGES"));
            continue;
        };
        for used in modules_used(&text) {
            let free = used == module || used == "units" || used == "ids";
            if !free && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{path}: {module} may not use {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn core_depends_on_nothing_that_touches_the_world() {
    let manifest = fs::read_to_string(root().join("node/core/Cargo.toml")).expect("the core's manifest");
    for heavy in ["tokio", "rusqlite", "bitcoind", "electrsd", "tempfile", "rand", "tracing", "reqwest"] {
        let named = manifest
            .lines()
            .any(|line| line.starts_with(&format!("{heavy} ")) || line.starts_with(&format!("{heavy}.")));
        assert!(!named, "leyden-core must not depend on {heavy}");
    }
}

/// The core's modules named in `crate::…` paths, nested imports included.
fn modules_used(text: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for (start, _) in text.match_indices("crate::") {
        let rest = &text[start + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => used.extend(first_word(rest)),
            Some(group) => {
                let mut depth = 0;
                let mut part = String::new();
                for letter in group.chars() {
                    match letter {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => used.extend(first_word(&std::mem::take(&mut part))),
                        _ if depth == 0 => part.push(letter),
                        _ => {}
                    }
                }
                used.extend(first_word(&part));
            }
        }
    }
    used
}

fn first_word(path: &str) -> Option<String> {
    let word: String = path.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let is_module = word.chars().next().is_some_and(|c| c.is_lowercase());
    is_module.then_some(word)
}

/// Every Rust file of the workspace, by its path from the root.
fn sources() -> Vec<(String, String)> {
    let root = root();
    let mut found = Vec::new();
    for top in ["node", "harness", "scenarios", "tests", "ci"] {
        collect(&root.join(top), &mut found);
    }
    found.sort();
    found
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&root).expect("below the root").to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).expect("a source file is text"))
        })
        .collect()
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.expect("an entry").path()) {
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_path_buf()
}
