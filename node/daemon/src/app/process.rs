//! What a process of ours does to begin and to end, and how it names itself, whatever runs in it: a node or a tower.
use super::RunError;
use crate::chain::{self, Broadcaster, Interest, Known, Look, Source, Stop, Trouble, Verdict};
use crate::config::ChainConfig;
use crate::control::{Info, PeerInfo};
use crate::net::Peers;
use crate::owner::{Input, Standing};
use crate::store::{Database, FolderLock, Kept, Opened, StoreError};
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Network};
use leyden_core::ids::NodeId;
use leyden_core::node::CommandError;
use leyden_core::units::{BlockHeight, FeeratePerKw};
use std::future::Future;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc as threads;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{signal, SignalKind};
use tokio::sync::{mpsc, oneshot, watch};

/// The folder as the last run left it, or a new one that begins at the chain's tip. `ended`: the process is not wanted any more.
pub(crate) async fn open<B: Kept>(
    folder: &Path,
    lock: FolderLock,
    id: NodeId,
    network: Network,
    source: Source,
    ended: impl Future<Output = ()>,
) -> Result<Opened<B>, RunError> {
    if !Database::<B>::exists(folder) {
        let birthday = tokio::select! {
            birthday = birthday(source, network) => birthday?,
            () = ended => return Err(RunError::Stopped),
        };
        Database::<B>::create_in(&lock, folder, id, network, birthday)?;
    }
    Ok(Database::open_in(lock, folder, id, network)?)
}

/// Where a new node begins: at the tip.
async fn birthday(source: Source, network: Network) -> Result<(BlockHeight, BlockHash), RunError> {
    let asking = tokio::task::spawn_blocking(move || {
        let mut source = source;
        let info = source.patiently(|server| server.chain_info()).ok_or(RunError::Stopped)??;
        if info.chain != network.to_core_arg() {
            return Err(RunError::OtherChain { theirs: info.chain, network });
        }
        Ok((BlockHeight::new(info.blocks), info.best))
    });
    asking.await.map_err(|error| RunError::System(io::Error::other(error)))?
}

fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work)
}

/// What a process wants of the chain.
pub(crate) struct ChainPlan {
    /// Where it comes from.
    pub chain: ChainConfig,
    /// The blocks taken in last, oldest first.
    pub known: Vec<(BlockHeight, BlockHash)>,
    /// What the chain asks where its source cannot say.
    pub fallback: Option<FeeratePerKw>,
    /// How often the mempool is looked at; none: only when asked.
    pub interval: Option<Duration>,
    /// Which of its transactions count.
    pub interest: Interest,
    /// Where it is said what the process waits for.
    pub trouble: Trouble,
}

/// The threads that work with the chain's source.
pub(crate) struct ChainEnd {
    /// The way to the chain.
    pub broadcaster: Broadcaster,
    /// Asks for a look into the mempool; the watch over it ends with this.
    #[cfg_attr(not(feature = "lab"), allow(dead_code))]
    pub looks: threads::Sender<Look>,
}

impl ChainEnd {
    /// Starts them; `told` hears what is said to our transactions.
    pub fn start(
        plan: ChainPlan,
        stop: &Stop,
        inbox: &mpsc::Sender<Input>,
        told: impl Fn(Vec<Verdict>) + Send + 'static,
    ) -> io::Result<Self> {
        let ChainPlan { chain, known, fallback, interval, interest, trouble } = plan;
        let source = || Source::new(chain.clone(), stop.clone());
        let broadcaster = Broadcaster::start(source(), told)?;
        let (looks, asked) = threads::channel::<Look>();
        spawn("chain", {
            let (source, inbox) = (source().telling(trouble), inbox.clone());
            move || chain::follow(source, Known::new(known), fallback, &inbox)
        })?;
        spawn("mempool", {
            let (source, inbox) = (source(), inbox.clone());
            move || chain::watch(source, &asked, interval, interest, &inbox)
        })?;
        Ok(Self { broadcaster, looks })
    }
}

/// Listens for peers.
pub(crate) async fn listen(address: SocketAddr) -> Result<TcpListener, RunError> {
    TcpListener::bind(address).await.map_err(|source| RunError::Listen { address, source })
}

/// One line for whoever started it: what a peer, or a client, needs to connect to it.
pub(crate) fn say_where(id: &NodeId, listening: Option<SocketAddr>) {
    let line = listening.map_or_else(|| id.to_string(), |address| format!("{id}@{address}"));
    // Nobody may be reading.
    let _ = writeln!(io::stdout(), "{line}");
}

/// The thread that owns everything; the receiver hears when it ends by itself.
pub(crate) type Owning = (JoinHandle<Result<(), StoreError>>, oneshot::Receiver<()>);

/// Starts it.
pub(crate) fn own(
    name: &str,
    work: impl FnOnce() -> Result<(), StoreError> + Send + 'static,
) -> io::Result<Owning> {
    let (over, ended) = oneshot::channel();
    let owning = spawn(name, move || {
        let result = work();
        // Whoever waits for it may be gone.
        let _ = over.send(());
        result
    })?;
    Ok((owning, ended))
}

/// Waits until something ends the process: a signal, its owner, or the thread that owns everything.
pub(crate) async fn wait_for_end(
    what: &str,
    signals: &mut Signals,
    stopped: &mut watch::Receiver<bool>,
    ended: oneshot::Receiver<()>,
) {
    tokio::select! {
        () = signals.wait() => tracing::info!("a signal ends the {what}"),
        _ = stopped.wait_for(|stop| *stop) => tracing::info!("its owner ends the {what}"),
        _ = ended => {}
    }
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

/// Who a process is, for its control port.
pub(crate) struct Identity {
    /// Its public key.
    pub id: NodeId,
    /// Its name for people.
    pub alias: String,
    /// Which chain.
    pub network: Network,
    /// Where it listens for peers.
    pub listening: Option<SocketAddr>,
    /// What keeps it from following the chain.
    pub trouble: Trouble,
}

impl Identity {
    /// What it is and where it stands.
    pub fn info(&self, standing: &Standing, peers: &Peers) -> Info {
        let peers = peers.list().into_iter().map(|link| PeerInfo {
            node_id: link.peer,
            address: Some(link.address),
            inbound: link.inbound,
            ready: link.ready,
        });
        Info {
            node_id: self.id,
            alias: self.alias.clone(),
            network: self.network,
            height: standing.height,
            block_hash: standing.hash.unwrap_or_else(Hash::all_zeros),
            synced: standing.synced && standing.hash.is_some(),
            waits_for: self.trouble.words(),
            feerate: standing.feerate,
            peers: peers.collect(),
            listening: self.listening.iter().map(ToString::to_string).collect(),
            commits: standing.commits,
            boxes: standing.boxes,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// What is said to the wish to end a connection.
pub(crate) fn disconnected(peer: &NodeId, found: bool) -> Result<(), CommandError> {
    found.then_some(()).ok_or_else(|| CommandError(format!("there is no connection with {peer}")))
}
