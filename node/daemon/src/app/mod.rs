//! A whole node, put together and run until it is told to stop: the folder, the chain, the owner's thread, the listener, the control
//! port. What belongs to one of them is in its own file; here stands only the order in which they start and end.
mod handle;
#[cfg(feature = "lab")]
mod lab;
mod process;

#[cfg(feature = "lab")]
pub use lab::LabEnd;
pub(crate) use process::{birthday, join, spawn, Signals};

use crate::chain::{self, Broadcaster, Core, Interest, Known, Look, Stop, Taken, Verdict};
use crate::config::CoreConfig;
use crate::control::{self, ControlError};
use crate::net::{Book, Dialer, Peers};
use crate::owner::{Input, Owner, Standing, INBOX};
use crate::store::{Store, StoreError};
use crate::tower::Client;
use bitcoin::{BlockHash, Network};
use handle::Handle;
use leyden_core::ids::NodeId;
use leyden_core::keys::NodeSeed;
use leyden_core::node::{Node, NodeConfig, RestoreError};
use leyden_core::tower::TowerRestoreError;
use leyden_core::units::{BlockHeight, FeeratePerKw};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{mpsc as threads, Arc};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

/// So many notices wait for a slow reader of events.
const NOTICES: usize = 4_096;

/// What the chain is taken to ask before Core said so, in sat per 1000 weight units.
const FIRST_FEERATE: FeeratePerKw = FeeratePerKw::new(1_000);

/// All that a node needs to run.
pub struct Settings {
    /// Its folder, which is there.
    pub folder: PathBuf,
    /// Which chain.
    pub network: Network,
    /// Where peers connect; none to take in nobody.
    pub listen: Option<SocketAddr>,
    /// Where its owner connects.
    pub control: SocketAddr,
    /// Where Bitcoin Core is.
    pub core: CoreConfig,
    /// Its name for people.
    pub alias: String,
    /// What the chain asks where Core cannot say; none to wait for Core's word.
    pub fallback_feerate: Option<FeeratePerKw>,
    /// How often the mempool is looked at; none: only when a harness asks.
    pub mempool_interval: Option<Duration>,
    /// Peers to stay connected with from the start.
    pub connect: Vec<(NodeId, String)>,
    /// The towers that keep what punishes old states.
    pub towers: Vec<(NodeId, String)>,
    /// Whether ended connections are dialled again.
    pub redial: bool,
    /// How it behaves.
    pub node: NodeConfig,
    /// Who it is.
    pub seed: NodeSeed,
}

/// Why a node could not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The folder.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is in it.
    #[error("{0}; nothing was changed: restore the folder from a copy, or ask for help with this text")]
    Restore(#[from] RestoreError),
    /// What is in a tower's.
    #[error("{0}; nothing was changed: restore the folder from a copy, or ask for help with this text")]
    Tower(#[from] TowerRestoreError),
    /// The control port.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The port for peers.
    #[error("cannot listen for peers at {address}: {source}; choose another with --listen")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Core is on another chain.
    #[error("Bitcoin Core is on {core}, this node on {network}: start the one that fits")]
    OtherChain {
        /// Core's.
        core: String,
        /// Ours.
        network: Network,
    },
    /// Core has an answer that leads nowhere.
    #[error(transparent)]
    Core(#[from] chain::RpcError),
    /// Threads, signals.
    #[error("the system refuses what the node needs to run: {0}")]
    System(#[from] io::Error),
    /// Asked to stop before it ran.
    #[error("stopped while it waited for Bitcoin Core")]
    Stopped,
}

/// Runs a node until a signal, the control port or its store ends it.
///
/// # Errors
/// It could not start, or could not save: then nothing that it did not save was sent.
pub async fn run(settings: Settings, #[cfg(feature = "lab")] lab: Option<LabEnd>) -> Result<(), RunError> {
    let stop = Stop::default();
    let mut signals = Signals::new()?;
    let begun = Begun::open(&settings, &stop, &mut signals).await?;
    let (inbox, inputs) = mpsc::channel(INBOX);
    let (standing, stands) = watch::channel(begun.standing(&settings));
    let (notices, _) = broadcast::channel(NOTICES);
    let peers = Peers::new(settings.seed.node_secret(), inbox.clone());
    let dialer = dialer(&settings, &peers)?;
    let listener = listen(settings.listen).await?;
    let listening = listener.as_ref().map(TcpListener::local_addr).transpose()?;
    let (stopping, mut stopped) = watch::channel(false);
    let taken = Taken::default();
    let handle = Handle {
        inbox: inbox.clone(),
        dialer: dialer.clone(),
        peers: peers.clone(),
        notices: notices.clone(),
        stands: stands.clone(),
        taken: taken.clone(),
        stopping,
        node_id: begun.id,
        alias: settings.alias.clone(),
        network: settings.network,
        listening,
    };
    let server = control::Server::start(control_options(&settings), Arc::new(handle)).await?;
    let chain = ChainEnd::start(
        &settings,
        &stop,
        begun.known,
        &inbox,
        told(
            taken.clone(),
            #[cfg(feature = "lab")]
            &lab,
        ),
    )?;
    let owner = Owner {
        node: begun.node,
        store: begun.store,
        peers: peers.clone(),
        chain: chain.broadcaster.clone(),
        taken,
        guard: Client::start(&settings.seed.node_secret(), settings.towers, inbox.clone())?,
        notices,
        standing,
        #[cfg(feature = "lab")]
        lab: LabEnd::join(lab, &inbox, &chain.looks, &dialer, (listening, server.address()), begun.lab)?,
    };
    let (owning, ended) = own(owner, inputs)?;
    let meeting = tokio::spawn(meet(stands, peers.clone(), dialer, settings.connect, listener));
    tracing::info!(control = %server.address(), listen = ?listening, "the node runs");
    say_where(&begun.id, listening);
    tokio::select! {
        () = signals.wait() => tracing::info!("a signal ends the node"),
        _ = stopped.wait_for(|stop| *stop) => tracing::info!("its owner ends the node"),
        _ = ended => {}
    }
    let _ = inbox.send(Input::Stop).await;
    let result = join(owning).await;
    meeting.abort();
    peers.disconnect_all();
    server.stop().await;
    // The chain's threads may wait for Core a while longer; the process does not.
    stop.stop();
    result.map_err(RunError::from)
}

/// One line for whoever started the node: what a peer needs to connect to it.
fn say_where(id: &NodeId, listening: Option<SocketAddr>) {
    let line = listening.map_or_else(|| id.to_string(), |address| format!("{id}@{address}"));
    // Nobody may be reading.
    let _ = writeln!(io::stdout(), "{line}");
}

/// What the folder held.
struct Begun {
    id: NodeId,
    node: Node,
    store: Store,
    known: Vec<(BlockHeight, BlockHash)>,
    tip: (BlockHeight, BlockHash),
    /// What a harness is told of it.
    #[cfg(feature = "lab")]
    lab: (BlockHeight, std::collections::BTreeMap<leyden_core::node::RecordKey, Vec<u8>>),
}

impl Begun {
    /// The folder as the last run left it, or a new one that begins at Core's tip.
    async fn open(settings: &Settings, stop: &Stop, signals: &mut Signals) -> Result<Self, RunError> {
        let (folder, network) = (&settings.folder, settings.network);
        let id = settings.seed.node_secret().public_key(secp256k1::SECP256K1);
        if !Store::exists(folder) {
            let birthday = tokio::select! {
                birthday = birthday(&settings.core, network, stop) => birthday?,
                () = signals.wait() => { stop.stop(); return Err(RunError::Stopped) }
            };
            Store::create(folder, id, network, birthday)?;
        }
        let opened = Store::open(folder, id, network)?;
        let (seed, config) = (settings.seed.clone(), settings.node.clone());
        let node = Node::restore(seed, config, opened.birthday, &opened.records)?;
        let known = if opened.blocks.is_empty() { vec![opened.birthday] } else { opened.blocks };
        let tip = known.last().copied().unwrap_or(opened.birthday);
        tracing::info!(node_id = %id, height = %tip.0, %network, "the node starts");
        Ok(Self {
            id,
            node,
            store: opened.store,
            known,
            tip,
            #[cfg(feature = "lab")]
            lab: (tip.0, opened.records),
        })
    }

    fn standing(&self, settings: &Settings) -> Standing {
        // Until Core's first word.
        let feerate = settings.fallback_feerate.unwrap_or(FIRST_FEERATE);
        Standing { height: self.tip.0, hash: Some(self.tip.1), synced: false, feerate, commits: 0 }
    }
}

/// The threads that work with Core.
struct ChainEnd {
    broadcaster: Broadcaster,
    #[cfg_attr(not(feature = "lab"), allow(dead_code))]
    looks: threads::Sender<Look>,
}

impl ChainEnd {
    fn start(
        settings: &Settings,
        stop: &Stop,
        known: Vec<(BlockHeight, BlockHash)>,
        inbox: &mpsc::Sender<Input>,
        told: impl Fn(Vec<Verdict>) + Send + 'static,
    ) -> io::Result<Self> {
        let core = || Core::new(settings.core.clone(), stop.clone());
        let broadcaster = Broadcaster::start(core(), told)?;
        let (looks, asked) = threads::channel::<Look>();
        spawn("chain", {
            let (core, inbox, fallback) = (core(), inbox.clone(), settings.fallback_feerate);
            move || chain::follow(core, Known::new(known), fallback, &inbox)
        })?;
        spawn("mempool", {
            let (core, inbox, interval) = (core(), inbox.clone(), settings.mempool_interval);
            move || chain::watch(core, &asked, interval, Interest::Preimages, &inbox)
        })?;
        Ok(Self { broadcaster, looks })
    }
}

/// Who hears what Core says to our transactions.
#[cfg(feature = "lab")]
fn told(taken: Taken, lab: &Option<LabEnd>) -> impl Fn(Vec<Verdict>) + Send + 'static {
    let told = lab.as_ref().map(|end| end.told.clone());
    move |verdicts| {
        taken.judge(&verdicts);
        if let Some(told) = &told {
            let verdicts = verdicts.into_iter().map(|verdict| (verdict.txid, verdict.refused));
            told.send(&crate::trace::Told::Verdicts(verdicts.collect()));
        }
    }
}

#[cfg(not(feature = "lab"))]
fn told(taken: Taken) -> impl Fn(Vec<Verdict>) + Send + 'static {
    move |verdicts| taken.judge(&verdicts)
}

fn control_options(settings: &Settings) -> control::Options {
    control::Options {
        address: settings.control,
        folder: settings.folder.clone(),
        network: settings.network,
        limits: control::Limits::default(),
    }
}

fn dialer(settings: &Settings, peers: &Peers) -> io::Result<Dialer> {
    let book = Book::open(settings.redial.then(|| settings.folder.join("peers")))?;
    Ok(Dialer::new(peers.clone(), book, settings.redial))
}

async fn listen(address: Option<SocketAddr>) -> Result<Option<TcpListener>, RunError> {
    let Some(address) = address else { return Ok(None) };
    let bound = TcpListener::bind(address).await;
    bound.map(Some).map_err(|source| RunError::Listen { address, source })
}

type Owning = (JoinHandle<Result<(), StoreError>>, oneshot::Receiver<()>);

/// The owner's thread; the receiver hears when it ends by itself.
fn own(owner: Owner, inputs: mpsc::Receiver<Input>) -> io::Result<Owning> {
    let (over, ended) = oneshot::channel();
    let owning = spawn("owner", move || {
        let result = owner.run(inputs);
        // Whoever waits for it may be gone.
        let _ = over.send(());
        result
    })?;
    Ok((owning, ended))
}

/// Meets peers once the node has caught up: a peer could make use of what it does not know.
async fn meet(
    mut stands: watch::Receiver<Standing>,
    peers: Peers,
    dialer: Dialer,
    connect: Vec<(NodeId, String)>,
    listener: Option<TcpListener>,
) {
    if stands.wait_for(|standing| standing.synced).await.is_err() {
        return;
    }
    dialer.start();
    connect.into_iter().for_each(|(peer, address)| dialer.want(peer, address));
    if let Some(listener) = listener {
        peers.listen(listener).await;
    }
}
