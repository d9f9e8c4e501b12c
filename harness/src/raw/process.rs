//! One stock node as a process, as a person would start it: folder, regtest, free ports, Core by its cookie. A shell holds a pipe to
//! this process and kills the node when that closes, so that nothing is left behind however this process ends.
use super::{RawError, PATIENCE};
use crate::chain::core_process::{data_folder, file_tail, CoreProcess};
use crate::shipped::{copy, find, SUPERVISOR};
use leyden_core::ids::NodeId;
use leyden_node::control::client::Client;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use tempfile::TempDir;

/// The node's own folder, beside its log.
const FOLDER: &str = "node";
/// What the node logs when peers and its owner can reach it.
const READY: &str = "the node runs";

/// A running node. Dropping it kills it and deletes its folder.
#[derive(Debug)]
pub struct StockNode {
    supervisor: Child,
    folder: TempDir,
    /// Its process.
    pub pid: u32,
    /// Its name in the network.
    pub id: NodeId,
    /// Where peers connect.
    pub listen: SocketAddr,
}

impl StockNode {
    /// Starts one with these further flags, and waits until it can be reached.
    ///
    /// # Errors
    /// There is no binary, or it does not start.
    pub fn start(core: &CoreProcess, flags: &[&str]) -> Result<Self, RawError> {
        Self::start_in(core, data_folder("leyden-raw-")?, flags)
    }

    /// [`StockNode::start`] in a folder that an earlier [`StockNode::snapshot`] made.
    ///
    /// # Errors
    /// As there.
    pub fn start_in(core: &CoreProcess, folder: TempDir, flags: &[&str]) -> Result<Self, RawError> {
        let exe = find("leyden-node", "LEYDEN_NODE").map_err(RawError::NoBinary)?;
        let mut supervisor = Command::new("sh")
            .args(["-c", SUPERVISOR, "leyden-node-supervisor"])
            .arg(exe)
            .args(["run", "--network", "regtest", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"])
            .args(["--fallback-feerate", "1000", "--core-url"])
            .arg(format!("http://127.0.0.1:{}", core.rpc_port()))
            .arg("--core-cookie-file")
            .arg(core.folder().join("regtest/.cookie"))
            .arg("--folder")
            .arg(folder.path().join(FOLDER))
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(RawError::system("cannot start the node"))?;
        let pid = supervisor.stdout.take().map(first_line).and_then(|line| line.trim().parse().ok());
        let log = folder.path().join("log");
        let ready = supervisor.stderr.take().map(|stderr| watch(stderr, &log)).transpose();
        let ready = ready.map_err(RawError::system("cannot keep the node's log"))?;
        let (Some(pid), Some(true)) = (pid, ready) else {
            let _ = supervisor.kill();
            let _ = supervisor.wait();
            return Err(RawError::NotStarted(file_tail(&log, 2_000)));
        };
        let info = Client::from_folder(&folder.path().join(FOLDER))?.getinfo()?;
        let listen = info.listening.first().and_then(|address| address.parse().ok());
        let listen = listen.ok_or_else(|| RawError::NotStarted("it listens nowhere".into()))?;
        Ok(Self { supervisor, folder, pid, id: info.node_id, listen })
    }

    /// A copy of its folder as it is now. The node must be at rest.
    ///
    /// # Errors
    /// The system does not let it be copied.
    pub fn snapshot(&self) -> Result<TempDir, RawError> {
        let folder = data_folder("leyden-raw-")?;
        let (from, to) = (self.folder.path().join(FOLDER), folder.path().join(FOLDER));
        copy(&from, &to).map_err(RawError::system("cannot copy the node's folder"))?;
        Ok(folder)
    }

    /// Kills it as a power cut does.
    pub fn kill(&mut self) {
        drop(self.supervisor.stdin.take());
        let _ = self.supervisor.wait();
    }

    /// A connection to its control port.
    ///
    /// # Errors
    /// It is not there any more.
    pub fn client(&self) -> Result<Client, RawError> {
        Ok(Client::from_folder(&self.folder.path().join(FOLDER))?)
    }

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        file_tail(&self.folder.path().join("log"), 4_000)
    }

    /// What it takes of the machine, to be asked at any time.
    pub fn usage(&self) -> Usage {
        Usage { pid: self.pid }
    }
}

/// What a process takes of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pid: u32,
}

impl Usage {
    /// Memory that it holds (VmRSS), in bytes; none when it is gone.
    pub fn memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
    }

    /// Descriptors that it holds; none when it is gone.
    pub fn descriptors(&self) -> Option<usize> {
        Some(std::fs::read_dir(format!("/proc/{}/fd", self.pid)).ok()?.count())
    }
}

impl Drop for StockNode {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the node's log ends:\n{}", self.log_tail());
        }
        self.kill();
    }
}

fn first_line(stdout: impl Read) -> String {
    let mut line = String::new();
    // What cannot be read is no process id.
    let _ = BufReader::new(stdout).read_line(&mut line);
    line
}

/// Writes the log down as it comes. Whether the node said that it runs.
fn watch(stderr: impl Read + Send + 'static, log: &Path) -> std::io::Result<bool> {
    let mut file = File::create(log)?;
    let (sender, ready) = channel();
    std::thread::Builder::new().name("node's log".into()).spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            // The log is for people; the test goes on without it.
            let _ = writeln!(file, "{line}");
            if line.contains(READY) {
                let _ = sender.send(());
            }
        }
    })?;
    Ok(ready.recv_timeout(PATIENCE).is_ok())
}
