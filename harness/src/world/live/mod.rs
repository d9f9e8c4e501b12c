//! The live world: each node is a process, messages go over TCP, the chain is Core. The processes tell of every turn, and from that
//! the world keeps the same books as in one process: records, transcript, offers, notices. It also knows from it when all is
//! quiet: every message that was sent was received, every node has taken in the tip, nothing waits. There is no sleep here.
//!
//! ```text
//!   process a ──turns──► queue of a ─┐   a message is received in these books only after
//!   process b ──turns──► queue of b ─┴─► it was sent in them: one order for everybody
//! ```
mod binary;
mod books;
mod core;
mod killed;
mod orders;
mod process;
mod quiet;

use crate::chain::core_process::data_folder;
use crate::chain::Tip;
use crate::shipped;
use bitcoin::{Transaction, Txid};
pub use core::CoreEndpoint;
use core::Watched;
use leyden_core::ids::NodeId;
use leyden_core::node::{Command, CommandError, Reply};
use leyden_core::units::{FeeratePerKw, Timestamp};
use leyden_node::control::client::Client;
use leyden_node::trace::{Order, Told};
use orders::Orders;
use process::{Heard, Plan, Process};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError, Sender};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// The processes could not do what the world needs of them.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// No binary.
    #[error("the live world needs {}: build it with `cargo build --bin leyden-node-lab`", .0.display())]
    NoBinary(PathBuf),
    /// No place for the nodes' folders.
    #[error("no folder for the nodes: {0}")]
    Folder(String),
    /// The build failed.
    #[error("the lab build of the node failed; see above, or try `cargo build --bin leyden-node-lab`")]
    NotBuilt,
    /// It could not be started.
    #[error("{node} cannot be started from {}: {source}", exe.display())]
    Start {
        /// Which.
        node: String,
        /// From what.
        exe: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It ended, and nobody had asked it to.
    #[error("{node}'s process ended by itself; its log ends:\n{log}")]
    Ended {
        /// Which.
        node: String,
        /// The end of its log.
        log: String,
    },
    /// The chain under it is gone.
    #[error("Bitcoin Core died in the middle of the run; its log ends:\n{log}")]
    CoreDied {
        /// The end of its log.
        log: String,
    },
    /// Nothing came for too long.
    #[error("the processes did not come to rest within {seconds} s: {waits}")]
    Stuck {
        /// How long was waited.
        seconds: u64,
        /// For what.
        waits: String,
    },
    /// A folder could not be copied.
    #[error("{node}'s folder cannot be copied: {source}")]
    Copy {
        /// Whose.
        node: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The control port.
    #[error("{node}'s control port: {error}")]
    Control {
        /// Whose.
        node: String,
        /// What went wrong.
        error: String,
    },
}

/// All processes, and what is known of them.
pub(super) struct Live {
    exe: PathBuf,
    folder: TempDir,
    core: Watched,
    sender: Sender<Heard>,
    heard: Receiver<Heard>,
    nodes: Vec<Member>,
    /// Connections that each end has had and lost, and what is on its way.
    wires: BTreeMap<(usize, usize), Way>,
    /// The links that should stand.
    wanted: BTreeSet<(usize, usize)>,
    /// Transactions by id: what nodes name may be looked up.
    known: BTreeMap<Txid, Transaction>,
    /// What the mempool held when last looked at.
    present: BTreeSet<Txid>,
    /// The mempool has something that the nodes have not looked at.
    look_due: bool,
    /// Nodes whose messages wait, theirs and those for them.
    silent: BTreeSet<usize>,
    /// Copies of folders made so far.
    copies: usize,
    /// Nodes that stay paused.
    asleep: BTreeSet<usize>,
    /// Directions in which this world carries the messages.
    diverted: BTreeSet<(usize, usize)>,
    /// The tip on which all was quiet, while nobody was asked for anything since.
    rested: Option<Tip>,
}

/// A node's process, and what it has told that is not in the books yet.
pub(super) struct Member {
    plan: Plan,
    process: Option<Process>,
    started: u64,
    queue: VecDeque<Told>,
    ready: bool,
    tip: u32,
    wakes: bool,
    commands: u64,
    unjudged: usize,
    orders: Orders,
    /// Its process was killed at a planned moment, and all that it told is here.
    over: bool,
}

/// One direction between two nodes.
#[derive(Default)]
struct Way {
    /// Connections to the other end that this end has seen.
    begun: u64,
    ended: u64,
    /// Sent and not received: over which connection, and the bytes.
    under_way: VecDeque<(u64, Vec<u8>)>,
}

impl Live {
    /// No nodes yet, on this Core.
    pub fn new(core: CoreEndpoint) -> Result<Self, LiveError> {
        let exe = binary::find()?;
        // In memory if there is room: a busy disk makes a node wait for its fsync longer than a test does for a node.
        let folder = data_folder("leyden-live-").map_err(|error| LiveError::Folder(error.to_string()))?;
        let (sender, heard) = channel();
        Ok(Self {
            exe,
            folder,
            core: Watched::new(core, &sender),
            sender,
            heard,
            nodes: Vec::new(),
            wires: BTreeMap::new(),
            wanted: BTreeSet::new(),
            known: BTreeMap::new(),
            present: BTreeSet::new(),
            look_due: false,
            silent: BTreeSet::new(),
            copies: 0,
            asleep: BTreeSet::new(),
            diverted: BTreeSet::new(),
            rested: None,
        })
    }

    /// Starts the process of one more node.
    pub fn add(
        &mut self,
        name: &str,
        id: NodeId,
        seed: leyden_core::keys::NodeSeed,
        config: leyden_core::node::NodeConfig,
        tip: Tip,
    ) -> Result<(), LiveError> {
        let plan = Plan {
            node: self.nodes.len(),
            id,
            name: name.to_owned(),
            seed,
            config,
            folder: self.folder.path().join(name),
            core_url: self.core.core.url.clone(),
            core_cookie: self.core.core.cookie.clone(),
            strike: Arc::default(),
        };
        self.nodes.push(Member {
            plan,
            process: None,
            started: 0,
            queue: VecDeque::new(),
            ready: false,
            tip: tip.height,
            wakes: false,
            commands: 0,
            unjudged: 0,
            orders: Orders::default(),
            over: false,
        });
        self.start(self.nodes.len() - 1)
    }

    /// Starts a node's process, from what its folder holds.
    pub fn start(&mut self, node: usize) -> Result<(), LiveError> {
        self.rested = None;
        let member = &mut self.nodes[node];
        member.started += 1;
        let process = Process::start(&self.exe, &member.plan, member.started, self.sender.clone())?;
        member.process = Some(process);
        (member.ready, member.wakes, member.commands, member.unjudged) = (false, false, 0, 0);
        member.over = false;
        Ok(())
    }

    /// Kills a node's process. What it told before is kept, what it was about to do is not.
    pub fn kill(&mut self, node: usize) {
        self.rested = None;
        if let Some(mut process) = self.nodes[node].process.take() {
            process.kill();
        }
        self.nodes[node].orders.lose();
        self.nodes[node].over = false;
        // It tells no more of how its connections ended.
        let peers: Vec<usize> =
            self.wires.keys().filter(|(from, _)| *from == node).map(|way| way.1).collect();
        for peer in peers {
            let begun = self.wires.entry((peer, node)).or_default().begun;
            let way = self.wires.entry((node, peer)).or_default();
            way.begun = way.begun.max(begun);
            // What it sent last may have arrived: that is known once the peer tells of the end.
            way.ended = way.begun;
            self.wires.entry((peer, node)).or_default().under_way.clear();
        }
        self.wanted.retain(|(a, b)| *a != node && *b != node);
    }

    /// The first process of this node is killed once so much that it told was read.
    pub fn kill_after(&self, node: usize, told: u64) {
        self.nodes[node].plan.strike.plan(told);
    }

    /// How much of what this node told was read.
    pub fn told(&self, node: usize) -> u64 {
        self.nodes[node].plan.strike.read()
    }

    /// Whether the node was killed at its planned moment, and is not running again.
    pub fn is_struck(&self, node: usize) -> bool {
        let member = &self.nodes[node];
        member.started == 1 && member.plan.strike.struck()
    }

    /// A node that was killed and has no more to tell.
    pub fn fallen(&self) -> Option<usize> {
        self.nodes.iter().position(|member| member.over && member.queue.is_empty())
    }

    /// The ids of the processes that run.
    pub fn process_ids(&self) -> Vec<u32> {
        self.nodes.iter().filter_map(|member| member.process.as_ref()).map(Process::id).collect()
    }

    /// Whether the node has carried out every order.
    pub fn has_obeyed(&self, node: usize) -> bool {
        self.nodes[node].orders.left() == 0
    }

    /// Whether the node takes commands.
    pub fn is_ready(&self, node: usize) -> bool {
        self.nodes[node].ready
    }

    /// A copy of a node's folder as it is now. Between the steps of a script no process writes.
    pub fn copy_folder(&mut self, node: usize) -> Result<PathBuf, LiveError> {
        self.copies += 1;
        let folder = &self.nodes[node].plan.folder;
        let copy = folder.with_extension(format!("copy-{}", self.copies));
        shipped::copy(folder, &copy).map_err(|source| self.copy_failed(node, source))?;
        Ok(copy)
    }

    /// Puts a copy in the place of the node's folder; its process must not run.
    pub fn put_folder_back(&mut self, node: usize, copy: &Path) -> Result<(), LiveError> {
        let folder = &self.nodes[node].plan.folder;
        let put = std::fs::remove_dir_all(folder).and_then(|()| shipped::copy(copy, folder));
        put.map_err(|source| self.copy_failed(node, source))
    }

    fn copy_failed(&self, node: usize, source: std::io::Error) -> LiveError {
        LiveError::Copy { node: self.nodes[node].plan.name.clone(), source }
    }

    /// Tells every running process.
    pub fn order_all(&mut self, order: &Order) {
        (0..self.nodes.len()).for_each(|node| self.order(node, order.clone()));
    }

    /// Tells one process.
    pub fn order(&mut self, node: usize, order: Order) {
        // What time it is matters to nobody before something else happens.
        if !matches!(order, Order::Clock(_)) {
            self.rested = None;
        }
        let member = &mut self.nodes[node];
        if let Some(process) = &mut member.process {
            process.order(member.orders.give(), order);
        }
    }

    /// Gives the same surroundings to one process that it had in this world before.
    pub fn surround(&mut self, node: usize, now: Timestamp, feerate: FeeratePerKw) {
        self.order(node, Order::Clock(now.get()));
        self.order(node, Order::Feerate(feerate.get()));
        let diverted = self.diverted.iter().filter(|(from, _)| *from == node).map(|(_, to)| *to);
        for to in diverted.collect::<Vec<_>>() {
            self.order(node, Order::Divert(self.nodes[to].plan.id));
        }
        for other in (0..self.nodes.len()).filter(|other| *other != node) {
            if self.silent.contains(&other) || self.silent.contains(&node) {
                self.order(node, Order::Deaf(self.nodes[other].plan.id, true));
            }
        }
    }

    /// A command of the owner's, through the control port. The turn that it was comes in the books with the next drain.
    pub fn command(
        &mut self,
        node: usize,
        command: Command,
    ) -> Result<Result<Reply, CommandError>, LiveError> {
        self.nodes[node].commands += 1;
        self.with_client(node, |client| client.command(command))
    }

    /// Connects two nodes over TCP; the first one dials.
    pub fn connect(&mut self, a: usize, b: usize) -> Result<(), LiveError> {
        self.rested = None;
        self.wanted.insert(pair(a, b));
        for way in [(a, b), (b, a)] {
            self.wires.entry(way).or_default();
        }
        let id = self.nodes[b].plan.id;
        let address = self.nodes[b].process.as_ref().and_then(|process| process.listen);
        let Some(address) = address else { return Ok(()) };
        self.order(a, Order::Dial(id, address.to_string()));
        Ok(())
    }

    /// Breaks their connection.
    pub fn disconnect(&mut self, a: usize, b: usize) -> Result<(), LiveError> {
        self.wanted.remove(&pair(a, b));
        let id = self.nodes[b].plan.id;
        self.with_client(a, |client| client.disconnect(id))
    }

    fn with_client<T>(
        &mut self,
        node: usize,
        call: impl FnOnce(&mut Client) -> Result<T, leyden_node::control::client::ClientError>,
    ) -> Result<T, LiveError> {
        self.rested = None;
        let member = &mut self.nodes[node];
        let name = member.plan.name.clone();
        let client = member.process.as_mut().and_then(|process| process.client.as_mut());
        let Some(client) = client else {
            return Err(LiveError::Control { node: name, error: "the node is not running".into() });
        };
        call(client).map_err(|error| LiveError::Control { node: name, error: error.to_string() })
    }

    /// Whether a node sleeps: it stays paused whatever happens, until told otherwise.
    pub fn sleeps(&mut self, node: usize, asleep: bool) {
        self.rested = None;
        if asleep {
            self.asleep.insert(node);
        } else {
            self.asleep.remove(&node);
        }
    }

    /// Lets everybody who is awake take in what waits.
    pub fn run_all(&mut self) {
        let awake = (0..self.nodes.len()).filter(|node| !self.asleep.contains(node));
        awake.collect::<Vec<_>>().into_iter().for_each(|node| self.order(node, Order::Run));
    }

    /// Whether messages of and for this node wait, until told otherwise.
    pub fn hush(&mut self, node: usize, silent: bool) {
        if silent {
            self.silent.insert(node);
        } else {
            self.silent.remove(&node);
        }
        for other in (0..self.nodes.len()).filter(|other| *other != node) {
            let waits = silent || self.silent.contains(&other);
            let (id, other_id) = (self.nodes[node].plan.id, self.nodes[other].plan.id);
            self.order(node, Order::Deaf(other_id, waits));
            self.order(other, Order::Deaf(id, waits));
        }
    }

    /// From now on this world carries the messages in this direction.
    pub fn divert(&mut self, from: usize, to: usize) {
        if self.diverted.insert((from, to)) {
            self.order(from, Order::Divert(self.nodes[to].plan.id));
        }
    }

    /// Whether it does.
    pub fn is_diverted(&self, from: usize, to: usize) -> bool {
        self.diverted.contains(&(from, to))
    }

    /// Gives a message that this world carried to its sender, to be sent at last.
    pub fn inject(&mut self, from: usize, to: usize, bytes: Vec<u8>) {
        let peer = self.nodes[to].plan.id;
        self.set_out(from, to, &bytes);
        self.order(from, Order::Inject(peer, bytes));
    }

    /// A message is on its way, unless its connection is gone.
    fn set_out(&mut self, from: usize, to: usize, bytes: &[u8]) {
        let received = self.wires.entry((to, from)).or_default().ended;
        let way = self.wires.entry((from, to)).or_default();
        if way.begun > way.ended && way.begun > received {
            way.under_way.push_back((way.begun, bytes.to_vec()));
        }
    }

    /// A transaction that nodes may name.
    pub fn learn(&mut self, tx: &Transaction) {
        self.known.entry(tx.compute_txid()).or_insert_with(|| tx.clone());
    }

    /// The mempool has news.
    pub fn look(&mut self) {
        self.rested = None;
        self.look_due = true;
    }

    /// Core is about to be killed on purpose.
    pub fn lets_core_go(&mut self) {
        self.core.lets_go();
    }

    /// Core runs again, where it was.
    pub fn core_runs_again(&mut self, core: CoreEndpoint) {
        self.rested = None;
        self.core.runs_again(core, &self.sender);
    }

    /// Where the nodes' folders and logs are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Waits for something to be told.
    fn hear(&mut self, patience: Duration) -> Result<bool, LiveError> {
        let heard = match self.heard.recv_timeout(patience) {
            Ok(heard) => heard,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Ok(false),
        };
        self.file(heard)?;
        while let Ok(heard) = self.heard.try_recv() {
            self.file(heard)?;
        }
        Ok(true)
    }

    fn file(&mut self, heard: Heard) -> Result<(), LiveError> {
        let (node, process, told) = match heard {
            Heard::Node { node, process, told } => (node, process, told),
            Heard::CoreEnded { process } => return self.core.ended(process),
        };
        let member = &mut self.nodes[node];
        match told {
            Some(told) => member.queue.push_back(told),
            None if member.started == 1 && process == 1 && member.plan.strike.struck() => {
                member.over = member.process.is_some();
            }
            None if member.process.is_some() && member.started == process => {
                return Err(LiveError::Ended {
                    node: member.plan.name.clone(),
                    log: crate::chain::core_process::file_tail(&member.plan.log(), 2_000),
                });
            }
            None => {}
        }
        Ok(())
    }
}

fn pair(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}
