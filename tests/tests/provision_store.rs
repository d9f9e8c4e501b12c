//! The cache's promise: one process makes, the others wait for it, and an attempt that fails or is killed leaves nothing
//! that looks finished. What is made is a script here, so that it takes no minutes; the rest is the real path.
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use leyden_harness::provision::{Program, Progress, ProvisionError, Store, Workshop};
use tempfile::TempDir;

/// The cache folder of a process that is one of several: this same test binary, told to run [`makes_when_told`].
const MAKER: &str = "LEYDEN_TEST_MAKER";

#[test]
fn two_processes_at_once_wait_for_one_build() {
    let cache = TempDir::new().unwrap();
    let mut first = Maker::start(cache.path());
    assert_eq!(first.next_line(), "making");
    let mut second = Maker::start(cache.path());
    // Said before it waits, while the first one still holds the lock.
    assert!(second.next_error().contains("waiting for another process that builds Bitcoin Core"));
    first.finish();
    let made = first.next_line();
    assert!(made.starts_with("made /"));
    assert_eq!(made, second.next_line(), "the second one made its own");
}

#[test]
fn a_killed_build_leaves_nothing_finished_and_the_next_one_clears_up() {
    let cache = TempDir::new().unwrap();
    let mut killed = Maker::start(cache.path());
    assert_eq!(killed.next_line(), "making");
    killed.process.kill().unwrap();
    killed.process.wait().unwrap();
    let store = Store::new(Program::Bitcoind, cache.path(), "thing");
    assert_eq!((store.installed(), abandoned(cache.path())), (None, 1));

    let exe = store.get_or_make(&Progress::on_stderr(Program::Bitcoind), good).unwrap();
    assert_eq!((store.installed(), abandoned(cache.path())), (Some(exe), 0));
}

#[test]
fn a_failed_step_shows_the_end_of_its_log_and_installs_nothing() {
    let cache = TempDir::new().unwrap();
    let store = Store::new(Program::Bitcoind, cache.path(), "thing");
    let failed = store.get_or_make(&Progress::on_stderr(Program::Bitcoind), |workshop| {
        workshop.run("boiling", Command::new("sh").args(["-c", "echo the kettle is empty; exit 3"]))?;
        good(workshop)
    });
    let Err(ProvisionError::Step { step: "boiling", tail, log, .. }) = failed else { panic!("{failed:?}") };
    assert_eq!(tail, "the kettle is empty");
    assert!(log.is_file());
    assert_eq!((store.installed(), abandoned(cache.path())), (None, 0));
}

#[test]
fn something_made_that_is_no_bitcoind_is_not_installed() {
    let cache = TempDir::new().unwrap();
    let store = Store::new(Program::Bitcoind, cache.path(), "thing");
    let error = store
        .get_or_make(&Progress::on_stderr(Program::Bitcoind), |workshop| Ok(script(workshop, "echo tea")))
        .unwrap_err();
    assert!(matches!(error, ProvisionError::NotBitcoind { .. }), "{error}");
    assert_eq!(store.installed(), None);
}

/// One of several processes for the tests above; as a test of its own it has nothing to do.
#[test]
fn makes_when_told() {
    let Some(cache) = std::env::var_os(MAKER) else { return };
    let made = Store::new(Program::Bitcoind, Path::new(&cache), "thing").get_or_make(
        &Progress::on_stderr(Program::Bitcoind),
        |workshop| {
            println!("\n>making");
            std::io::stdin().read_line(&mut String::new()).unwrap();
            good(workshop)
        },
    );
    println!("\n>made {}", made.unwrap().display());
}

fn good(workshop: &Workshop) -> Result<PathBuf, ProvisionError> {
    Ok(script(workshop, "echo Bitcoin Core daemon version v31.0.0"))
}

fn script(workshop: &Workshop, line: &str) -> PathBuf {
    let exe = workshop.folder.join("made");
    std::fs::write(&exe, format!("#!/bin/sh\n{line}\n")).unwrap();
    std::fs::set_permissions(&exe, PermissionsExt::from_mode(0o755)).unwrap();
    exe
}

fn abandoned(cache: &Path) -> usize {
    let entries = std::fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().file_name());
    entries.filter(|name| name.to_string_lossy().starts_with("building-")).count()
}

struct Maker {
    process: Child,
}

impl Maker {
    fn start(cache: &Path) -> Self {
        let process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "makes_when_told", "--nocapture"])
            .env(MAKER, cache)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { process }
    }

    /// The next line that it says to us, past what the test runner in it says.
    fn next_line(&mut self) -> String {
        let mut lines = lines(self.process.stdout.as_mut().unwrap());
        lines.find_map(|line| line.strip_prefix('>').map(str::to_owned)).expect("it ended")
    }

    fn next_error(&mut self) -> String {
        lines(self.process.stderr.as_mut().unwrap()).next().expect("it ended")
    }

    fn finish(&mut self) {
        self.process.stdin.take().unwrap().write_all(b"\n").unwrap();
    }
}

impl Drop for Maker {
    fn drop(&mut self) {
        // Has ended already if the test went well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Lines, and not a byte beyond the last one that was asked for.
fn lines<R: std::io::Read>(pipe: &mut R) -> impl Iterator<Item = String> + use<'_, R> {
    BufReader::with_capacity(1, pipe).lines().map_while(Result::ok)
}
