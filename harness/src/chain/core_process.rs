//! One bitcoind in regtest for one scenario: its own folder, its own chosen port, loopback only, cookie authentication.
//! It starts without a poll or a sleep (its log comes through a pipe until "Done loading"), and it never outlives the
//! process that started it, however that one ends.
//!
//! The `bitcoind` crate is not used for this: it deletes the folder when dropped (also after a failure), waits for Core
//! by sleeping, asks for a wallet, and leaves Core running when its own process is killed.
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use rustix::event::{poll, PollFd, PollFlags};
use rustix::process::{kill_process, pidfd_open, Pid, PidfdFlags, Signal};
use tempfile::TempDir;

use super::core_client::CoreClient;
use super::ports::{Port, PortError};
use crate::provision::ProvisionError;

/// What Core takes for the present, in seconds since 1970 (2035-07-05): after every block time that a scenario can reach
/// (blocks start on 2026-01-01 and are 600 s apart), so that no block is ever "too new", whatever the machine's clock says.
pub const MOCK_TIME: u64 = 2_067_225_600;

/// How long Core may take from its start to "Done loading". It takes 0.15 s; a machine under heavy load takes seconds.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// What it says, long before it ends, of a port that somebody else has: the one of its RPC, and the one for peers.
const PORT_TAKEN: [&str; 2] = ["Unable to bind any endpoint for RPC server", "Failed to listen on any port"];
/// How often it is started on other ports before giving up.
const PORT_ATTEMPTS: usize = 8;
/// Free space that tmpfs must have before it is preferred to the disk, in bytes.
const TMPFS_ROOM: u64 = 256 << 20;
/// How much of the end of `debug.log` an error shows, in bytes.
const TAIL: u64 = 2_000;
/// How much of the end of its output an error shows, in lines, below all that it called an error.
const TAIL_LINES: usize = 12;

/// Starts bitcoind and holds a pipe to the harness as its stdin. Whatever ends the harness, the pipe closes, `read`
/// returns and bitcoind is killed; a word on the pipe says that the harness is alive and looks after the folder itself.
/// Signals of the terminal or of a test runner reach the harness, which is what decides. After the fork its own copy of
/// stdout is closed, so that the reader of bitcoind's log sees the end of it when bitcoind ends.
pub(super) const SUPERVISOR: &str = r#"trap '' HUP INT TERM
folder=$1; shift
"$@" 2>&1 </dev/null &
core=$!
exec >/dev/null
read -r word
kill -9 "$core"
wait "$core"
[ -n "$word" ] || [ -e "$folder/kept" ] || rm -rf -- "$folder"
"#;

/// Why there is no running Core.
#[derive(Debug, thiserror::Error)]
pub enum CoreError {
    /// There is no bitcoind to start.
    #[error(transparent)]
    Provision(#[from] ProvisionError),
    /// Its folder could not be made or used.
    #[error("cannot use the folder for Core's data {}: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The supervisor could not be started.
    #[error("cannot start {} under `sh`: {source}", exe.display())]
    Spawn {
        /// The binary.
        exe: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There are no ports for it.
    #[error(transparent)]
    NoPort(#[from] PortError),
    /// Somebody was quicker, and each time if it was tried again.
    #[error("another program has a TCP port that was chosen for Core")]
    PortsTaken,
    /// It ended before it was ready.
    #[error("{} ended before it was ready; the end of its output:\n{output}", exe.display())]
    Ended {
        /// The binary.
        exe: PathBuf,
        /// The last lines of its output.
        output: String,
    },
    /// It was not ready in time.
    #[error("{} was not ready after {} s; is the machine overloaded? The end of its log:\n{log}", exe.display(), START_DEADLINE.as_secs())]
    Slow {
        /// The binary.
        exe: PathBuf,
        /// The end of `debug.log`.
        log: String,
    },
    /// It does not take the first blocks.
    #[error("Core started, but did not take the initial blocks: {source}")]
    InitialBlocks {
        /// What it said.
        source: super::ChainError,
    },
    /// It is ready, and its RPC cannot be used.
    #[error("Core started, but its RPC on port {port} cannot be used: {source}")]
    Unreachable {
        /// The RPC port.
        port: u16,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Whether Core talks to other programs in the way of the peer-to-peer network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PeerPort {
    /// It listens to nobody and calls nobody.
    Closed,
    /// It listens on 127.0.0.1, which an Electrum server reads blocks from, and calls nobody.
    Loopback,
}

/// A bitcoind that was started and is perhaps not ready yet: do something useful, then call [`CoreLaunch::ready`].
#[derive(Debug)]
pub struct CoreLaunch {
    process: CoreProcess,
    ready: Receiver<Startup>,
}

/// What the reader of Core's output saw.
#[derive(Debug)]
enum Startup {
    Ready,
    PortTaken,
    Ended(String),
}

impl CoreLaunch {
    /// Waits until Core answers RPC. If another program took a port in between, it starts again on others.
    pub fn ready(self) -> Result<CoreProcess, CoreError> {
        let mut launch = self;
        for _ in 0..PORT_ATTEMPTS {
            match launch.process.answers(&launch.ready) {
                Ok(()) => return Ok(launch.process),
                Err(CoreError::PortsTaken) => {
                    let (exe, peers) = (launch.process.exe.clone(), launch.process.peers());
                    drop(launch);
                    launch = CoreProcess::launch(&exe, peers)?;
                }
                Err(error) => return Err(error),
            }
        }
        Err(CoreError::PortsTaken)
    }
}

/// A running bitcoind. Dropping it kills it, waits for its end and deletes its folder, unless [`CoreProcess::keep`] was
/// called or the thread is panicking.
#[derive(Debug)]
pub struct CoreProcess {
    exe: PathBuf,
    supervisor: Child,
    folder: Option<TempDir>,
    path: PathBuf,
    ports: Ports,
}

/// The ports of one Core, on 127.0.0.1.
#[derive(Debug)]
pub struct Ports {
    /// For its RPC.
    pub rpc: Port,
    /// For peers.
    pub peers: Option<Port>,
}

impl Ports {
    /// Free ones.
    ///
    /// # Errors
    /// There are none.
    pub fn choose(peers: PeerPort) -> Result<Self, PortError> {
        let peers = matches!(peers, PeerPort::Loopback).then(Port::choose).transpose()?;
        Ok(Self { rpc: Port::choose()?, peers })
    }
}

impl CoreProcess {
    /// Starts Core and waits until it answers.
    pub fn start(exe: &Path) -> Result<Self, CoreError> {
        Self::launch(exe, PeerPort::Closed)?.ready()
    }

    /// Starts Core and returns at once.
    pub fn launch(exe: &Path, peers: PeerPort) -> Result<CoreLaunch, CoreError> {
        Self::launch_on(exe, Ports::choose(peers)?)
    }

    /// The same, first on these ports.
    pub fn launch_on(exe: &Path, ports: Ports) -> Result<CoreLaunch, CoreError> {
        let folder = data_folder("leyden-core-")?;
        let path = folder.path().to_owned();
        let (supervisor, ready) = supervise(exe, &path, &ports)?;
        let process = Self { exe: exe.to_owned(), supervisor, folder: Some(folder), path, ports };
        Ok(CoreLaunch { process, ready })
    }

    /// Kills bitcoind as a power cut does, and returns when it is gone. Its folder and its ports wait for it.
    ///
    /// # Errors
    /// What the system said, and if there is nothing to kill.
    pub fn kill(&mut self) -> Result<(), std::io::Error> {
        let pid = self.pid().and_then(Pid::from_raw).ok_or(std::io::ErrorKind::NotFound)?;
        let process = pidfd_open(pid, PidfdFlags::empty())?;
        kill_process(pid, Signal::KILL)?;
        poll(&mut [PollFd::new(&process, PollFlags::IN)], None)?;
        Ok(())
    }

    /// After [`CoreProcess::kill`]: starts it again in its folder and at its ports, and waits until it answers. Blocks that were not on
    /// its disk yet are lost, and so is its mempool.
    pub fn start_again(&mut self) -> Result<(), CoreError> {
        let (supervisor, ready) = supervise(&self.exe, &self.path, &self.ports)?;
        // The new one is there before the old one goes: somebody cleans up at any time.
        let mut old = std::mem::replace(&mut self.supervisor, supervisor);
        end(&mut old);
        self.answers(&ready)
    }

    /// Waits until it answers.
    fn answers(&self, ready: &Receiver<Startup>) -> Result<(), CoreError> {
        match ready.recv_timeout(START_DEADLINE) {
            Ok(Startup::Ready) => Ok(()),
            Ok(Startup::PortTaken) => Err(CoreError::PortsTaken),
            Ok(Startup::Ended(output)) => Err(CoreError::Ended { exe: self.exe.clone(), output }),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                Err(CoreError::Slow { exe: self.exe.clone(), log: self.log_tail() })
            }
        }
    }

    /// A new RPC connection.
    pub fn client(&self) -> Result<CoreClient, CoreError> {
        let port = self.rpc_port();
        let unreachable = |source| CoreError::Unreachable { port, source };
        let cookie = std::fs::read_to_string(self.path.join("regtest/.cookie")).map_err(unreachable)?;
        CoreClient::connect(port, &cookie).map_err(unreachable)
    }

    /// The port of its RPC, on 127.0.0.1.
    pub fn rpc_port(&self) -> u16 {
        self.ports.rpc.number()
    }

    /// The port for peers on 127.0.0.1, if it was started with one.
    pub fn peer_port(&self) -> Option<u16> {
        self.ports.peers.as_ref().map(Port::number)
    }

    fn peers(&self) -> PeerPort {
        self.peer_port().map_or(PeerPort::Closed, |_| PeerPort::Loopback)
    }

    /// Its data folder.
    pub fn folder(&self) -> &Path {
        &self.path
    }

    /// Its log.
    pub fn debug_log(&self) -> PathBuf {
        self.path.join("regtest/debug.log")
    }

    /// bitcoind's process id (not the supervisor's), if it wrote one.
    pub fn pid(&self) -> Option<i32> {
        std::fs::read_to_string(self.path.join("regtest/bitcoind.pid")).ok()?.trim().parse().ok()
    }

    /// The end of its log, for an error message.
    pub fn log_tail(&self) -> String {
        file_tail(&self.debug_log(), TAIL)
    }

    /// Keeps the folder after the end, also if this process is killed later; returns where it is.
    pub fn keep(&mut self) -> PathBuf {
        if let Some(folder) = self.folder.take() {
            // Without the marker the folder is only lost if this process is killed as well.
            let _ = File::create(self.path.join("kept"));
            let _ = folder.keep();
        }
        self.path.clone()
    }
}

impl Drop for CoreProcess {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let path = self.keep();
            eprintln!("Core's data folder is kept: {}", path.display());
        }
        end(&mut self.supervisor);
    }
}

/// Has a supervisor kill its bitcoind and go.
fn end(supervisor: &mut Child) {
    if let Some(mut pipe) = supervisor.stdin.take() {
        // If the supervisor is gone already there is nobody to tell, and nothing left to kill.
        let _ = pipe.write_all(b"end\n");
    }
    let _ = supervisor.wait();
}

/// Starts bitcoind under a supervisor; the receiver hears when it answers.
fn supervise(exe: &Path, folder: &Path, ports: &Ports) -> Result<(Child, Receiver<Startup>), CoreError> {
    let mut supervisor = Command::new("sh")
        .args(["-c", SUPERVISOR, "leyden-core-supervisor"])
        .arg(folder)
        .arg(exe)
        .args(arguments(folder, ports))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|source| CoreError::Spawn { exe: exe.to_owned(), source })?;
    let (sender, ready) = std::sync::mpsc::channel();
    if let Some(output) = supervisor.stdout.take() {
        // Ends with Core at the latest. A failed send means that nobody waits any more.
        std::thread::spawn(move || sender.send(watch_start(output)));
    }
    Ok((supervisor, ready))
}

/// Core's command line. Small caches and one script thread, because a regtest chain is tiny and many run at once;
/// everything that looks for other nodes is off; the mempool's policy is Core's default.
fn arguments(folder: &Path, ports: &Ports) -> Vec<String> {
    let mut arguments: Vec<String> = [
        "-regtest",
        "-server",
        "-rpcbind=127.0.0.1",
        "-rpcallowip=127.0.0.1",
        "-rpcthreads=16",
        // An idle connection must survive as long as its scenario.
        "-rpcservertimeout=86400",
        "-par=1",
        "-dbcache=4",
        "-maxmempool=5",
        // Nothing leaves by its age when the clock is moved.
        "-mempoolexpiry=1000000",
        "-maxsigcachesize=1",
        "-fastprune",
        "-persistmempool=0",
        "-checkblocks=1",
        "-checklevel=0",
        // On regtest Core walks over its whole block index and mempool at each change, which no verdict depends on.
        "-checkblockindex=0",
        "-checkmempool=0",
        "-connect=0",
        "-dnsseed=0",
        "-discover=0",
        "-natpmp=0",
        // Never "initial block download", however old the last block is.
        "-maxtipage=9999999999",
        "-printtoconsole=1",
        "-logtimemicros=1",
    ]
    .map(str::to_owned)
    .to_vec();
    match &ports.peers {
        None => arguments.extend(["-listen=0", "-networkactive=0"].map(str::to_owned)),
        Some(peers) => {
            arguments.extend(["-listen=1", "-listenonion=0"].map(str::to_owned));
            arguments.push(format!("-bind=127.0.0.1:{}", peers.number()));
        }
    }
    arguments.push(format!("-mocktime={MOCK_TIME}"));
    arguments.push(format!("-rpcport={}", ports.rpc.number()));
    arguments.push(format!("-datadir={}", folder.display()));
    arguments
}

/// Reads Core's output until it is ready or has ended. Dropping the pipe afterwards is safe: Core ignores SIGPIPE, and
/// its log goes on in `debug.log`.
fn watch_start(output: impl Read) -> Startup {
    let (mut wrong, mut seen) = (Vec::new(), VecDeque::new());
    for line in BufReader::new(output).lines() {
        let Ok(line) = line else { break };
        if line.contains("init message: Done loading") {
            return Startup::Ready;
        }
        if line.contains("[error]") || line.starts_with("Error: ") {
            wrong.push(line);
            continue;
        }
        seen.truncate(TAIL_LINES - 1);
        seen.push_front(line);
    }
    if wrong.iter().any(|line| PORT_TAKEN.iter().any(|words| line.contains(words))) {
        return Startup::PortTaken;
    }
    wrong.extend(seen.into_iter().rev());
    Startup::Ended(wrong.join("\n"))
}

/// A new folder, in memory if there is room: what syncs to a disk waits for whoever else uses it.
pub(crate) fn data_folder(prefix: &str) -> Result<TempDir, CoreError> {
    let tmpfs = Path::new("/dev/shm");
    let room =
        rustix::fs::statvfs(tmpfs).is_ok_and(|fs| fs.f_bavail.saturating_mul(fs.f_frsize) >= TMPFS_ROOM);
    if room {
        // Not writable for us: the disk does as well.
        if let Ok(folder) = tempfile::Builder::new().prefix(prefix).tempdir_in(tmpfs) {
            return Ok(folder);
        }
    }
    tempfile::Builder::new()
        .prefix(prefix)
        .tempdir()
        .map_err(|source| CoreError::Folder { path: std::env::temp_dir(), source })
}

/// The last `length` bytes of a file, from the start of a line; empty if there is no such file.
pub(crate) fn file_tail(path: &Path, length: u64) -> String {
    let read = || -> Result<String, std::io::Error> {
        let mut file = File::open(path)?;
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(size.saturating_sub(length)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let whole =
            if size > length { text.split_once('\n').map_or(&*text, |(_, rest)| rest) } else { &*text };
        Ok(whole.trim_end().to_owned())
    };
    read().unwrap_or_default()
}
