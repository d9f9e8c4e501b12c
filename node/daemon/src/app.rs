//! A whole node, put together and run until it is told to stop: the folder, the chain, the owner's thread, the listener, the control
//! port. What belongs to one of them is in its own file; here stands only the order in which they start and end.
use crate::chain::{self, Broadcaster, Core, Interest, Known, Look, Stop};
use crate::config::CoreConfig;
use crate::control::{self, Backend, BoxFuture, ControlError, Info, PeerInfo};
use crate::net::{Book, Dialer, Peers};
use crate::owner::{Input, Owner, Standing, INBOX};
use crate::store::{Store, StoreError};
use crate::tower::Client;
#[cfg(feature = "lab")]
use crate::trace::Told;
use bitcoin::Network;
use leyden_core::ids::NodeId;
use leyden_core::keys::NodeSeed;
use leyden_core::node::{Command, CommandError, Node, NodeConfig, Notice, Reply, RestoreError};
use leyden_core::tower::TowerRestoreError;
use leyden_core::units::{BlockHeight, FeeratePerKw};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{mpsc as threads, Arc};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{signal, SignalKind};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::timeout;

/// So many notices wait for a slow reader of events.
const NOTICES: usize = 4_096;

/// What the chain is taken to ask before Core said so, in sat per 1000 weight units.
const FIRST_FEERATE: FeeratePerKw = FeeratePerKw::new(1_000);

/// A command that changes something waits so long for a node that has just started; then it is refused.
const CATCH_UP: Duration = Duration::from_secs(10);

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
    let node_id = settings.seed.node_secret().public_key(secp256k1::SECP256K1);
    if !Store::exists(&settings.folder) {
        let birthday = tokio::select! {
            birthday = birthday(&settings.core, settings.network, &stop) => birthday?,
            () = signals.wait() => { stop.stop(); return Err(RunError::Stopped) }
        };
        Store::create(&settings.folder, node_id, settings.network, birthday)?;
    }
    let opened = Store::open(&settings.folder, node_id, settings.network)?;
    #[cfg(feature = "lab")]
    let records = opened.records.clone();
    let node = Node::restore(settings.seed.clone(), settings.node.clone(), opened.birthday, &opened.records)?;
    let known = if opened.blocks.is_empty() { vec![opened.birthday] } else { opened.blocks };
    let (height, hash) = known.last().copied().unwrap_or(opened.birthday);
    tracing::info!(%node_id, %height, network = %settings.network, "the node starts");

    // Until Core's first word.
    let feerate = settings.fallback_feerate.unwrap_or(FIRST_FEERATE);
    let (inbox, inputs) = mpsc::channel(INBOX);
    let (standing, stands) = watch::channel(Standing { height, hash: Some(hash), synced: false, feerate });
    let (notices, _) = broadcast::channel(NOTICES);
    let peers = Peers::new(settings.seed.node_secret(), inbox.clone());
    let book = Book::open(settings.redial.then(|| settings.folder.join("peers")))?;
    let dialer = Dialer::new(peers.clone(), book, settings.redial);
    let listener = match settings.listen {
        Some(address) => {
            let listen = |source| RunError::Listen { address, source };
            Some(TcpListener::bind(address).await.map_err(listen)?)
        }
        None => None,
    };
    let listening = listener.as_ref().map(TcpListener::local_addr).transpose()?;
    let (stopping, stopped) = watch::channel(false);
    let backend = Arc::new(Handle {
        inbox: inbox.clone(),
        dialer: dialer.clone(),
        peers: peers.clone(),
        notices: notices.clone(),
        stands: stands.clone(),
        stopping,
        node_id,
        alias: settings.alias.clone(),
        network: settings.network,
        listening,
    });
    let meets = stands;
    let options = control::Options {
        address: settings.control,
        folder: settings.folder.clone(),
        network: settings.network,
        limits: control::Limits::default(),
    };
    let server = control::Server::start(options, backend).await?;

    let core = |stop: &Stop| Core::new(settings.core.clone(), stop.clone());
    #[cfg(feature = "lab")]
    let told = lab.as_ref().map(|end| end.told.clone());
    let broadcaster = Broadcaster::start(core(&stop), move |verdicts| {
        #[cfg(feature = "lab")]
        if let Some(told) = &told {
            let verdicts = verdicts.into_iter().map(|verdict| (verdict.txid, verdict.refused));
            let _ = told.send(Told::Verdicts(verdicts.collect()));
        }
        #[cfg(not(feature = "lab"))]
        drop(verdicts);
    })?;
    let (looks, asked) = threads::channel::<Look>();
    let following = spawn("chain", {
        let (core, inbox, fallback) = (core(&stop), inbox.clone(), settings.fallback_feerate);
        move || chain::follow(core, Known::new(known), fallback, &inbox)
    })?;
    let watching = spawn("mempool", {
        let (core, inbox, interval) = (core(&stop), inbox.clone(), settings.mempool_interval);
        move || chain::watch(core, &asked, interval, Interest::Preimages, &inbox)
    })?;
    #[cfg(feature = "lab")]
    let lab = match lab {
        Some(end) => {
            let (dialer, runtime) = (dialer.clone(), tokio::runtime::Handle::current());
            let dial = move |peer, address: String| {
                let dialer = dialer.clone();
                runtime.spawn(async move {
                    if let Err(error) = dialer.connect(peer, &address).await {
                        tracing::error!(%peer, %error, "dialled in vain");
                    }
                });
            };
            let ready =
                Told::Ready { listen: listening, control: server.address(), height: height.get(), records };
            Some(end.start(&inbox, &looks, dial, ready)?)
        }
        None => None,
    };
    let guard = Client::start(&settings.seed.node_secret(), settings.towers, inbox.clone())?;
    let owner = Owner {
        node,
        store: opened.store,
        peers: peers.clone(),
        chain: broadcaster,
        guard,
        notices,
        standing,
        #[cfg(feature = "lab")]
        lab,
    };
    let (over, ended) = oneshot::channel();
    let owning = spawn("owner", move || {
        let result = owner.run(inputs);
        // Whoever waits for it may be gone.
        let _ = over.send(());
        result
    })?;
    let meeting = tokio::spawn({
        let (peers, mut stands) = (peers.clone(), meets);
        async move {
            // Whatever was mined meanwhile comes first: a peer could make use of what the node does not know.
            if stands.wait_for(|standing| standing.synced).await.is_err() {
                return;
            }
            dialer.start();
            settings.connect.into_iter().for_each(|(peer, address)| dialer.want(peer, address));
            if let Some(listener) = listener {
                peers.listen(listener).await;
            }
        }
    });
    tracing::info!(control = %server.address(), listen = ?listening, "the node runs");

    let mut stopped = stopped;
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
    stop.stop();
    drop(looks);
    // The chain's threads may wait for Core a while longer; the process does not.
    drop((following, watching));
    result.map_err(RunError::from)
}

/// Where a new node begins: at Core's tip.
pub(crate) async fn birthday(
    core: &CoreConfig,
    network: Network,
    stop: &Stop,
) -> Result<(BlockHeight, bitcoin::BlockHash), RunError> {
    let (core, stop) = (core.clone(), stop.clone());
    let asking = tokio::task::spawn_blocking(move || {
        let info = Core::new(core, stop).patiently(|rpc| rpc.chain_info()).ok_or(RunError::Stopped)??;
        if info.chain != network.to_core_arg() {
            return Err(RunError::OtherChain { core: info.chain, network });
        }
        Ok((BlockHeight::new(info.blocks), info.best))
    });
    asking.await.map_err(|error| RunError::System(io::Error::other(error)))?
}

pub(crate) fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work)
}

pub(crate) async fn join(thread: JoinHandle<Result<(), StoreError>>) -> Result<(), StoreError> {
    let joined = tokio::task::spawn_blocking(move || thread.join()).await;
    match joined {
        Ok(Ok(result)) => result,
        // A bug of our own stopped the owner: it was told on stderr, and the exit status says so.
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// SIGTERM and SIGINT.
pub(crate) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    pub fn new() -> io::Result<Self> {
        let (terminate, interrupt) = (SignalKind::terminate(), SignalKind::interrupt());
        Ok(Self { terminate: signal(terminate)?, interrupt: signal(interrupt)? })
    }

    pub async fn wait(&mut self) {
        tokio::select! { _ = self.terminate.recv() => {}, _ = self.interrupt.recv() => {} }
    }
}

/// What the control port holds of the node.
struct Handle {
    inbox: mpsc::Sender<Input>,
    dialer: Dialer,
    peers: Peers,
    notices: broadcast::Sender<(u64, Notice)>,
    stands: watch::Receiver<Standing>,
    stopping: watch::Sender<bool>,
    node_id: NodeId,
    alias: String,
    network: Network,
    listening: Option<SocketAddr>,
}

/// Whether a command changes nothing.
fn only_asks(command: &Command) -> bool {
    matches!(command, Command::ListChannels | Command::ListPayments | Command::Balances)
}

impl Backend for Handle {
    fn command(&self, command: Command) -> BoxFuture<Result<Reply, CommandError>> {
        let inbox = self.inbox.clone();
        let mut stands = self.stands.clone();
        let waits = !only_asks(&command);
        Box::pin(async move {
            let synced = timeout(CATCH_UP, stands.wait_for(|standing| standing.synced));
            if waits && synced.await.is_err() {
                let text = "the node has not caught up with the chain yet: is Bitcoin Core running? Its log says what it waits for";
                return Err(CommandError(text.into()));
            }
            let stopping = || CommandError("the node is stopping".into());
            let (reply, answer) = oneshot::channel();
            inbox.send(Input::Command { command, reply }).await.map_err(|_| stopping())?;
            answer.await.map_err(|_| stopping())?
        })
    }

    fn connect(&self, peer: NodeId, address: String) -> BoxFuture<Result<(), CommandError>> {
        let dialer = self.dialer.clone();
        Box::pin(async move {
            dialer.connect(peer, &address).await.map_err(|error| CommandError(error.to_string()))
        })
    }

    fn disconnect(&self, peer: NodeId) -> BoxFuture<Result<(), CommandError>> {
        let found = self.dialer.disconnect(&peer);
        Box::pin(async move {
            found.then_some(()).ok_or_else(|| CommandError(format!("there is no connection with {peer}")))
        })
    }

    fn info(&self) -> BoxFuture<Info> {
        let standing = *self.stands.borrow();
        let peers = self.peers.list().into_iter().map(|link| PeerInfo {
            node_id: link.peer,
            address: Some(link.address),
            inbound: link.inbound,
            ready: link.ready,
        });
        let info = Info {
            node_id: self.node_id,
            alias: self.alias.clone(),
            network: self.network,
            height: standing.height,
            block_hash: standing.hash.unwrap_or_else(|| bitcoin::hashes::Hash::all_zeros()),
            synced: standing.synced && standing.hash.is_some(),
            feerate: standing.feerate,
            peers: peers.collect(),
            listening: self.listening.iter().map(ToString::to_string).collect(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        Box::pin(async move { info })
    }

    fn notices(&self) -> broadcast::Receiver<(u64, Notice)> {
        self.notices.subscribe()
    }

    fn stop(&self) {
        self.stopping.send_replace(true);
    }
}

/// What a harness gave at the start.
#[cfg(feature = "lab")]
pub struct LabEnd {
    /// The owner's end.
    pub lab: crate::lab::Lab,
    /// For whoever has something to tell.
    pub told: threads::Sender<Told>,
    /// Where orders come from.
    pub orders: std::os::unix::net::UnixStream,
}

#[cfg(feature = "lab")]
impl LabEnd {
    fn start(
        self,
        inbox: &mpsc::Sender<Input>,
        looks: &threads::Sender<Look>,
        dial: impl Fn(NodeId, String) + Send + 'static,
        ready: Told,
    ) -> io::Result<crate::lab::Lab> {
        let _ = self.told.send(ready);
        crate::lab::Lab::obey(self.orders, inbox.clone(), looks.clone(), dial)?;
        Ok(self.lab)
    }
}
