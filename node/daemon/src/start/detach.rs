//! A node or a tower in the background: starts this program again without `--detach`, waits for the line that says that it runs, and leaves it
//! alone. It has its own process group, so that Ctrl-C in the terminal does not end it; `cli stop` does.
use super::StartError;
use crate::config::LogConfig;
use crate::store::folder;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// The log of what runs in the background, in its folder.
const LOG: &str = "log";
/// From when on a person wonders.
const QUIET: Duration = Duration::from_secs(2);

/// Its settings were looked at before: what is wrong with them is said once.
pub(super) fn detach(own: &Path, log: LogConfig) -> Result<(), StartError> {
    folder::prepare(own)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(std::env::args_os().skip(1).filter(|word| word != "--detach"));
    let log = log.file.unwrap_or_else(|| {
        let log = own.join(LOG);
        command.arg("--log-file").arg(&log);
        log
    });
    let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0).spawn()?;
    let (read, said) = mpsc::channel();
    if let Some(stdout) = process.stdout.take() {
        std::thread::spawn(move || {
            let mut line = String::new();
            let _ = BufReader::new(stdout).read_line(&mut line);
            read.send(line)
        });
    }
    let line = said.recv_timeout(QUIET).or_else(|_| {
        eprintln!("leyden-node: it does not run yet; {} says what it waits for", log.display());
        said.recv()
    });
    let line = line.unwrap_or_default();
    if line.is_empty() {
        // It said why on stderr, which it shares with us.
        return Err(StartError::Ended(process.wait()?));
    }
    Ok(io::stdout().write_all(line.as_bytes())?)
}
