//! A node in the background: starts this program again without `--detach`, waits for the line that says that it runs, and leaves it
//! alone. It has its own process group, so that Ctrl-C in the terminal does not end it; `cli stop` does.
use super::StartError;
use crate::config::{Config, RunArgs};
use crate::store::folder;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// The log of a node in the background, in its folder.
const LOG: &str = "log";
/// From when on a person wonders.
const QUIET: Duration = Duration::from_secs(2);

pub(super) fn detach(args: &RunArgs) -> Result<(), StartError> {
    // What is wrong with the settings is said here, once.
    let config = Config::load(args)?;
    folder::prepare(&config.folder)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(std::env::args_os().skip(1).filter(|word| word != "--detach"));
    let log = config.log.file.unwrap_or_else(|| {
        let log = config.folder.join(LOG);
        command.arg("--log-file").arg(&log);
        log
    });
    let mut node = command.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0).spawn()?;
    let (read, said) = mpsc::channel();
    if let Some(stdout) = node.stdout.take() {
        std::thread::spawn(move || {
            let mut line = String::new();
            let _ = BufReader::new(stdout).read_line(&mut line);
            read.send(line)
        });
    }
    let line = said.recv_timeout(QUIET).or_else(|_| {
        eprintln!("leyden-node: the node does not run yet; {} says what it waits for", log.display());
        said.recv()
    });
    let line = line.unwrap_or_default();
    if line.is_empty() {
        // It said why on stderr, which it shares with us.
        return Err(StartError::Ended(node.wait()?));
    }
    Ok(io::stdout().write_all(line.as_bytes())?)
}
