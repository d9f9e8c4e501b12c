//! A whole node, put together and run until it is told to stop: the folder, the chain, the owner's thread, the listener, the control
//! port. What belongs to one of them is in its own file; here stands only the order in which they start and end.
mod front;
mod handle;
#[cfg(feature = "lab")]
mod lab;
mod process;

#[cfg(feature = "lab")]
pub use lab::LabEnd;
pub(crate) use process::{
    disconnected, join, listen, open, own, say_where, wait_for_end, ChainEnd, ChainPlan, Identity, Signals,
};

use crate::chain::{self, Interest, Source, Stop, Taken, Verdict};
use crate::config::ChainConfig;
use crate::control::ControlError;
use crate::net::{Dialer, Peers};
use crate::owner::{Input, Owner, Standing, INBOX};
use crate::store::{FolderLock, Opened, Store, StoreError};
use crate::tower::Client;
use bitcoin::{BlockHash, Network};
use front::Front;
use leyden_core::ids::NodeId;
use leyden_core::keys::NodeSeed;
use leyden_core::node::{Node, NodeConfig, RestoreError};
use leyden_core::tower::TowerRestoreError;
use leyden_core::units::{BlockHeight, FeeratePerKw};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

/// So many notices wait for a slow reader of events.
const NOTICES: usize = 4_096;

/// What the chain is taken to ask before its source said so, in sat per 1000 weight units.
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
    /// Where the chain comes from.
    pub chain: ChainConfig,
    /// Its name for people.
    pub alias: String,
    /// What the chain asks where its source cannot say; none to wait for its word.
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
    /// The source is on another chain.
    #[error("the chain's source is on {theirs}, this node on {network}: start the one that fits")]
    OtherChain {
        /// The source's.
        theirs: String,
        /// Ours.
        network: Network,
    },
    /// The source has an answer that leads nowhere.
    #[error(transparent)]
    Chain(#[from] chain::RpcError),
    /// Threads, signals.
    #[error("the system refuses what the node needs to run: {0}")]
    System(#[from] io::Error),
    /// Asked to stop before it ran.
    #[error("stopped while it waited for the chain")]
    Stopped,
}

/// Runs a node until a signal, the control port or its store ends it.
///
/// # Errors
/// It could not start, or could not save: then nothing that it did not save was sent.
pub async fn run(settings: Settings, #[cfg(feature = "lab")] lab: Option<LabEnd>) -> Result<(), RunError> {
    let stop = Stop::default();
    let mut signals = Signals::new()?;
    // First of all: the ports of a folder are those of the process that has it.
    let lock = FolderLock::take(&settings.folder)?;
    Store::check_kind(&settings.folder)?;
    let id = settings.seed.node_secret().public_key(secp256k1::SECP256K1);
    let (inbox, inputs) = mpsc::channel(INBOX);
    let mut front = Front::open(&settings, id, &inbox).await?;
    let begun = match front.begin(&settings, id, lock, &stop, &mut signals).await {
        Ok(begun) => begun,
        Err(error) => {
            stop.stop();
            front.server.stop().await;
            return Err(error);
        }
    };
    let Front { standing, notices, peers, dialer, listener, listening, mut stopped, taken, trouble, server } =
        front;
    let stands = standing.subscribe();
    let chain = ChainEnd::start(
        ChainPlan {
            chain: settings.chain,
            known: begun.known,
            fallback: settings.fallback_feerate,
            interval: settings.mempool_interval,
            interest: Interest::Preimages,
            trouble,
        },
        &stop,
        &inbox,
        told(
            taken.clone(),
            #[cfg(feature = "lab")]
            &lab,
        ),
    )?;
    let owner = Owner {
        node: begun.node,
        store: Box::new(begun.store),
        peers: peers.clone(),
        chain: chain.broadcaster.clone(),
        taken,
        guard: Client::start(&settings.seed.node_secret(), settings.towers, inbox.clone())?,
        notices,
        standing,
        #[cfg(feature = "lab")]
        lab: LabEnd::join(lab, &inbox, &chain.looks, &dialer, (listening, server.address()), begun.lab)?,
    };
    let (owning, ended) = own("owner", move || owner.run(inputs))?;
    let meeting = tokio::spawn(meet(stands, peers.clone(), dialer, settings.connect, listener));
    tracing::info!(control = %server.address(), listen = ?listening, "the node runs");
    say_where(&id, listening);
    wait_for_end("node", &mut signals, &mut stopped, ended).await;
    let _ = inbox.send(Input::Stop).await;
    let result = join(owning).await;
    meeting.abort();
    peers.disconnect_all();
    server.stop().await;
    // The chain's threads may wait for their source a while longer; the process does not.
    stop.stop();
    result.map_err(RunError::from)
}

/// What the folder held.
struct Begun {
    node: Node,
    store: Store,
    known: Vec<(BlockHeight, BlockHash)>,
    tip: (BlockHeight, BlockHash),
    /// What a harness is told of it.
    #[cfg(feature = "lab")]
    lab: (BlockHeight, std::collections::BTreeMap<leyden_core::node::RecordKey, Vec<u8>>),
}

impl Begun {
    /// The folder as the last run left it, or a new one that begins at the chain's tip.
    async fn open(
        settings: &Settings,
        id: NodeId,
        lock: FolderLock,
        source: Source,
        ended: impl Future<Output = ()>,
    ) -> Result<Self, RunError> {
        let network = settings.network;
        let opened: Opened = open(&settings.folder, lock, id, network, source, ended).await?;
        let (seed, config) = (settings.seed.clone(), settings.node.clone());
        let node = Node::restore(seed, config, opened.birthday, &opened.records)?;
        let (known, tip) = (opened.known(), opened.tip());
        tracing::info!(node_id = %id, height = %tip.0, %network, "the node starts");
        Ok(Self {
            node,
            store: opened.store,
            known,
            tip,
            #[cfg(feature = "lab")]
            lab: (tip.0, opened.records),
        })
    }
}

/// Who hears what is said to our transactions.
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
