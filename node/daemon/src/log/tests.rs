//! The log: lines for people and for programs, and no secret in either, whatever an event shows.

use super::*;
use crate::config::{Config, RunArgs};
use crate::secret::Secret;
use crate::seed::{SeedFile, Words};
use leyden_core::keys::{ChannelKeys, NodeSeed};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Does not compile when the type implements the trait: two answers would fit.
macro_rules! assert_silent {
    ($secret:ty, $shown:path) => {
        const _: fn() = || {
            trait Either<Which> {
                fn answer() {}
            }
            impl<T: ?Sized> Either<()> for T {}
            struct Shown;
            impl<T: ?Sized + $shown> Either<Shown> for T {}
            let _ = <$secret as Either<_>>::answer;
        };
    };
}

assert_silent!(Secret, std::fmt::Display);
assert_silent!(Words, std::fmt::Display);
assert_silent!(Words, std::fmt::Debug);
assert_silent!(NodeSeed, std::fmt::Display);
assert_silent!(ChannelKeys, std::fmt::Display);

const ENTROPY: [u8; 32] = [0xa7; 32];

#[test]
fn a_start_logged_in_full_shows_no_secret() {
    for format in [LogFormat::Human, LogFormat::Json] {
        let home = tempfile::tempdir().expect("a folder");
        let folder = home.path().join("node");
        let text = logged(home.path(), format, "trace", || {
            let config = config(&folder);
            tracing::info!(?config, "settings");
            let seed = SeedFile::create(&folder, Some(ENTROPY), None).expect("a seed");
            let (keys, preimage) = (seed.channel_keys(0), seed.entropy("invoice", 0));
            tracing::trace!(?seed, ?keys, "seed");
            let error = SeedFile::open(&folder, config.passphrase.as_ref()).expect_err("it is not locked");
            tracing::error!(%error, ?error, "refused");
            let words = SeedFile::words(&folder, None).expect("a seed");
            let mut secrets: Vec<String> = words.expose().map(|word| format!(" {word} ")).collect();
            secrets.extend([hex(&ENTROPY), hex(&preimage), hex(&keys.commitment_seed)]);
            secrets.extend([format!("{ENTROPY:?}"), "hunter".to_owned(), "horse".to_owned()]);
            secrets.push(hex(&keys.funding.secret_bytes()));
            secrets
        });
        assert!(text.lines.contains("settings") && text.lines.contains("refused"), "{}", text.lines);
        for secret in text.secrets {
            assert!(!text.lines.contains(&secret), "{secret} in {}", text.lines);
        }
    }
}

#[test]
fn json_lines_are_json_and_human_lines_have_no_colours_in_a_file() {
    let home = tempfile::tempdir().expect("a folder");
    let say = || {
        tracing::info!(height = 7, "a block");
        Vec::new()
    };
    let json = logged(home.path(), LogFormat::Json, "info", say).lines;
    let line: serde_json::Value = serde_json::from_str(&json).expect("one object on one line");
    assert_eq!((&line["height"], &line["message"]), (&7.into(), &"a block".into()));
    assert_eq!(line["level"], "INFO");
    let human = logged(home.path(), LogFormat::Human, "info", say).lines;
    assert!(human.contains("a block height=7") && !human.contains('\u{1b}'), "{human:?}");
}

#[test]
fn the_filter_keeps_what_is_not_asked_for_out() {
    let home = tempfile::tempdir().expect("a folder");
    let text = logged(home.path(), LogFormat::Human, "warn,leyden_node::log=debug", || {
        tracing::debug!("wanted");
        tracing::info!(target: "elsewhere", "not wanted");
        Vec::new()
    });
    assert!(text.lines.contains(" wanted") && !text.lines.contains("not wanted"), "{}", text.lines);
}

#[test]
fn the_file_is_the_owners_alone_and_goes_on_after_a_restart() {
    let home = tempfile::tempdir().expect("a folder");
    let path = home.path().join("log");
    for _ in 0..2 {
        use std::io::Write;
        writeln!(open(&path).expect("a file"), "a run").expect("room");
    }
    assert_eq!(std::fs::metadata(&path).expect("a file").mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_to_string(&path).expect("a file"), "a run\na run\n");
    assert!(matches!(open(&home.path().join("no/log")), Err(LogError::File(..))));
}

struct Logged {
    lines: String,
    secrets: Vec<String>,
}

/// What this run left in its log file, and the secrets that it knew.
fn logged(home: &Path, format: LogFormat, filter: &str, run: impl FnOnce() -> Vec<String>) -> Logged {
    let path = home.join(format!("{format:?}.log"));
    let config = LogConfig { filter: filter.to_owned(), format, file: Some(path.clone()) };
    let writer = BoxMakeWriter::new(Arc::new(open(&path).expect("a file")));
    let subscriber = subscriber(&config, writer).expect("a filter");
    let secrets = tracing::subscriber::with_default(subscriber, run);
    Logged { lines: std::fs::read_to_string(&path).expect("a file"), secrets }
}

fn config(folder: &Path) -> Config {
    let args = RunArgs::default().with("folder", folder.to_str().expect("text"));
    let environment = |name: &str| match name {
        "LEYDEN_PASSPHRASE" => Some("correct horse".into()),
        "LEYDEN_CORE_USER" => Some("alice".into()),
        "LEYDEN_CORE_PASSWORD" => Some("hunter2".into()),
        _ => None,
    };
    Config::load_from(&args, Some(crate::config::Role::Node), &environment).expect("allowed")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
