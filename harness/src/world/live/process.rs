//! One node as a process: started, told what it needs over its standard input (a socket pair), killed when it is dropped. A thread
//! reads what it tells; nothing here judges it. When this side goes away, whatever the reason, the process ends by itself.
use super::LiveError;
use leyden_core::ids::NodeId;
use leyden_core::keys::NodeSeed;
use leyden_core::node::NodeConfig;
use leyden_node::control::client::Client;
use leyden_node::trace::{Begin, Order, Told, Wire};
use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

/// What is heard of processes.
pub(super) enum Heard {
    /// A node's process told something, or ended.
    Node {
        /// Which node.
        node: usize,
        /// Which of its processes, from 1.
        process: u64,
        /// What; none when the process has ended.
        told: Option<Told>,
    },
    /// Core's process ended.
    CoreEnded {
        /// Which of its processes, from 1.
        process: u64,
    },
}

/// How to start a node, always in the same way.
pub(super) struct Plan {
    pub node: usize,
    pub id: NodeId,
    pub name: String,
    pub seed: NodeSeed,
    pub config: NodeConfig,
    /// Its folder; the log lies beside it.
    pub folder: PathBuf,
    pub core_url: String,
    pub core_cookie: PathBuf,
    /// When it is killed, if it is.
    pub strike: Arc<Strike>,
}

/// A kill that waits for its moment: the first process of a node dies when so much that it told was read. Nobody knows what it was
/// doing then.
#[derive(Default)]
pub(super) struct Strike {
    /// After so many; 0 for never.
    after: AtomicU64,
    read: AtomicU64,
    struck: AtomicBool,
}

impl Strike {
    pub fn plan(&self, after: u64) {
        self.after.store(after, Ordering::SeqCst);
    }

    /// How much was read of all its processes.
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::SeqCst)
    }

    /// Whether it was killed so.
    pub fn struck(&self) -> bool {
        self.struck.load(Ordering::SeqCst)
    }

    /// One more was read. Whether to kill now.
    fn falls(&self) -> bool {
        let read = self.read.fetch_add(1, Ordering::SeqCst) + 1;
        let after = self.after.load(Ordering::SeqCst);
        after > 0 && read >= after && !self.struck.swap(true, Ordering::SeqCst)
    }
}

/// A running process.
pub(super) struct Process {
    child: Arc<Mutex<Child>>,
    orders: UnixStream,
    /// Set once it is ready.
    pub listen: Option<SocketAddr>,
    pub client: Option<Client>,
}

impl Process {
    /// Starts it. It is usable once it told that it is ready.
    pub fn start(exe: &Path, plan: &Plan, number: u64, heard: Sender<Heard>) -> Result<Self, LiveError> {
        let io = |source| LiveError::Start { node: plan.name.clone(), exe: exe.to_owned(), source };
        let (ours, theirs) = UnixStream::pair().map_err(io)?;
        let log = File::options().create(true).append(true).open(plan.log()).map_err(io)?;
        let child = Command::new(exe)
            .arg("run")
            .arg("--folder")
            .arg(&plan.folder)
            .args(["--network", "regtest", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"])
            .args(["--core-url", &plan.core_url, "--core-cookie-file"])
            .arg(&plan.core_cookie)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(io)?;
        let mut reading = ours.try_clone().map_err(io)?;
        let child = Arc::new(Mutex::new(child));
        let (dying, strike) = (child.clone(), plan.strike.clone());
        let mut process = Self { child, orders: ours, listen: None, client: None };
        let begin = Begin { seed: plan.seed.clone(), config: plan.config.clone() };
        // A process that is gone already shows as ended.
        let _ = Wire::write(&mut process.orders, &begin);
        let node = plan.node;
        std::thread::Builder::new()
            .name(format!("trace of {}", plan.name))
            .spawn(move || loop {
                let told = Wire::read::<Told>(&mut reading).ok().flatten();
                let ended = told.is_none();
                if !ended && strike.falls() {
                    let _ = dying.lock().unwrap_or_else(PoisonError::into_inner).kill();
                }
                if heard.send(Heard::Node { node, process: number, told }).is_err() || ended {
                    return;
                }
            })
            .map_err(io)?;
        Ok(process)
    }

    /// Gives the order of this number.
    pub fn order(&mut self, number: u64, order: Order) {
        let _ = Wire::write(&mut self.orders, &(number, order));
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.child.lock().unwrap_or_else(PoisonError::into_inner).id()
    }

    /// Kills it as the power cut does, and waits for its end.
    pub fn kill(&mut self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Plan {
    /// Where its log goes.
    pub fn log(&self) -> PathBuf {
        self.folder.with_extension("log")
    }
}
