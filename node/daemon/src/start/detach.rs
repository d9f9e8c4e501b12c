//! A node in the background: starts this program again without `--detach`, waits for the line that says that it runs, and leaves it
//! alone. It has its own process group, so that Ctrl-C in the terminal does not end it; `cli stop` does.
use super::StartError;
use crate::config::{Config, RunArgs};
use crate::store::folder;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// The log of a node in the background, in its folder.
const LOG: &str = "log";

pub(super) fn detach(args: &RunArgs) -> Result<(), StartError> {
    // What is wrong with the settings is said here, once.
    let config = Config::load(args)?;
    folder::prepare(&config.folder)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(std::env::args_os().skip(1).filter(|word| word != "--detach"));
    if config.log.file.is_none() {
        command.arg("--log-file").arg(config.folder.join(LOG));
    }
    let mut node = command.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0).spawn()?;
    let mut line = String::new();
    if let Some(said) = node.stdout.take() {
        BufReader::new(said).read_line(&mut line)?;
    }
    if line.is_empty() {
        // It said why on stderr, which it shares with us.
        return Err(StartError::Ended(node.wait()?));
    }
    Ok(io::stdout().write_all(line.as_bytes())?)
}
