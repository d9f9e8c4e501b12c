//! A whole tower, put together and run until it is told to stop: the folder, the chain, the keeper's thread, the listener for clients,
//! the control port, which answers `getinfo` and `stop`. What belongs to one of them is in its own file.
use crate::app::{birthday, join, spawn, RunError, Signals};
use crate::chain::{self, Broadcaster, Core, Interest, Known, Look, Stop};
use crate::config::CoreConfig;
use crate::control::{self, Backend, BoxFuture, Info, PeerInfo};
use crate::net::Peers;
use crate::owner::{Input, Standing, INBOX};
use crate::store::TowerStore;
use crate::tower::Keeper;
use bitcoin::Network;
use leyden_core::ids::{ChannelId, NodeId};
use leyden_core::keys::NodeSeed;
use leyden_core::node::{Command, CommandError, Notice, Reply};
use leyden_core::tower::{Tower, TowerConfig};
use leyden_core::units::{BlockHeight, FeeratePerKw};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{mpsc as threads, Arc};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

/// All that a tower needs to run.
pub struct Settings {
    /// Its folder, which is there.
    pub folder: PathBuf,
    /// Which chain.
    pub network: Network,
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where its owner connects.
    pub control: SocketAddr,
    /// Where Bitcoin Core is.
    pub core: CoreConfig,
    /// Its name for people.
    pub alias: String,
    /// What the chain asks where Core cannot say.
    pub fallback_feerate: FeeratePerKw,
    /// How often the mempool is looked at.
    pub mempool_interval: Duration,
    /// Its limits.
    pub tower: TowerConfig,
    /// Who it is.
    pub seed: NodeSeed,
}

/// Runs a tower until a signal, the control port or its store ends it. With Core down it waits, and takes boxes meanwhile.
///
/// # Errors
/// It could not start, or could not save: then nothing that it did not save was acknowledged.
pub async fn run(settings: Settings) -> Result<(), RunError> {
    let stop = Stop::default();
    let mut signals = Signals::new()?;
    let id = settings.seed.node_secret().public_key(secp256k1::SECP256K1);
    if !TowerStore::exists(&settings.folder) {
        let birthday = tokio::select! {
            birthday = birthday(&settings.core, settings.network, &stop) => birthday?,
            () = signals.wait() => { stop.stop(); return Err(RunError::Stopped) }
        };
        TowerStore::create(&settings.folder, id, settings.network, birthday)?;
    }
    let opened = TowerStore::open(&settings.folder, id, settings.network)?;
    let tower = Tower::restore(settings.tower, opened.birthday.0, &opened.records)?;
    let known = if opened.blocks.is_empty() { vec![opened.birthday] } else { opened.blocks };
    let (height, hash) = known.last().copied().unwrap_or(opened.birthday);
    tracing::info!(%id, %height, network = %settings.network, records = opened.records.len(), "the tower starts");

    let (inbox, inputs) = mpsc::channel(INBOX);
    let feerate = settings.fallback_feerate;
    let (standing, stands) =
        watch::channel(Standing { height, hash: Some(hash), synced: false, feerate, commits: 0 });
    let peers = Peers::new(settings.seed.node_secret(), inbox.clone());
    let listen = |source| RunError::Listen { address: settings.listen, source };
    let listener = TcpListener::bind(settings.listen).await.map_err(listen)?;
    let listening = listener.local_addr()?;
    let (stopping, mut stopped) = watch::channel(false);
    let (notices, _) = broadcast::channel(1);
    let (alias, network) = (settings.alias, settings.network);
    let backend = Handle { peers: peers.clone(), stands, stopping, notices, id, alias, network, listening };
    let options = control::Options {
        address: settings.control,
        folder: settings.folder,
        network,
        limits: control::Limits::default(),
    };
    let server = control::Server::start(options, Arc::new(backend)).await?;

    let core = || Core::new(settings.core.clone(), stop.clone());
    let broadcaster = Broadcaster::start(core(), drop)?;
    let (looks, asked) = threads::channel::<Look>();
    let following = spawn("chain", {
        let (core, inbox) = (core(), inbox.clone());
        move || chain::follow(core, Known::new(known), Some(feerate), &inbox)
    })?;
    let watching = spawn("mempool", {
        let (core, inbox, interval) = (core(), inbox.clone(), settings.mempool_interval);
        move || chain::watch(core, &asked, Some(interval), Interest::All, &inbox)
    })?;
    let keeper = Keeper { tower, store: opened.store, peers: peers.clone(), chain: broadcaster, standing };
    let (over, ended) = oneshot::channel();
    let keeping = spawn("keeper", move || {
        let result = keeper.run(inputs);
        // Whoever waits for it may be gone.
        let _ = over.send(());
        result
    })?;
    tokio::spawn(peers.clone().listen(listener));
    tracing::info!(address = format!("{id}@{listening}"), control = %server.address(), "the tower runs");

    tokio::select! {
        () = signals.wait() => tracing::info!("a signal ends the tower"),
        _ = stopped.wait_for(|stop| *stop) => tracing::info!("its owner ends the tower"),
        _ = ended => {}
    }
    let _ = inbox.send(Input::Stop).await;
    let result = join(keeping).await;
    peers.disconnect_all();
    server.stop().await;
    stop.stop();
    // The chain's threads may wait for Core a while longer; the process does not.
    drop((looks, following, watching));
    result.map_err(RunError::from)
}

/// What the control port holds of the tower.
struct Handle {
    peers: Peers,
    stands: watch::Receiver<Standing>,
    stopping: watch::Sender<bool>,
    notices: broadcast::Sender<(u64, Notice)>,
    id: NodeId,
    alias: String,
    network: Network,
    listening: SocketAddr,
}

fn no_node() -> CommandError {
    CommandError("this is a watchtower: it has no wallet, no channels and no peers; it answers getinfo, listpeers (its clients) and stop".into())
}

impl Backend for Handle {
    fn command(&self, _: Command) -> BoxFuture<Result<Reply, CommandError>> {
        Box::pin(async { Err(no_node()) })
    }

    fn connect(&self, _: NodeId, _: String) -> BoxFuture<Result<(), CommandError>> {
        Box::pin(async { Err(no_node()) })
    }

    fn disconnect(&self, client: NodeId) -> BoxFuture<Result<(), CommandError>> {
        let found = self.peers.disconnect(&client);
        Box::pin(async move {
            found.then_some(()).ok_or_else(|| CommandError(format!("there is no connection with {client}")))
        })
    }

    fn info(&self) -> BoxFuture<Info> {
        let standing = *self.stands.borrow();
        let clients = self.peers.list().into_iter().map(|link| PeerInfo {
            node_id: link.peer,
            address: Some(link.address),
            inbound: link.inbound,
            ready: link.ready,
        });
        let info = Info {
            node_id: self.id,
            alias: self.alias.clone(),
            network: self.network,
            height: standing.height,
            block_hash: standing.hash.unwrap_or_else(bitcoin::hashes::Hash::all_zeros),
            synced: standing.synced && standing.hash.is_some(),
            feerate: standing.feerate,
            peers: clients.collect(),
            listening: vec![self.listening.to_string()],
            commits: standing.commits,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        Box::pin(async move { info })
    }

    fn at_height(&self, _: BlockHeight) -> BoxFuture<Result<(), CommandError>> {
        Box::pin(async { Err(no_node()) })
    }

    fn published(&self, _: ChannelId, _: Option<u64>) -> BoxFuture<Result<u64, CommandError>> {
        Box::pin(async { Err(no_node()) })
    }

    fn notices(&self) -> broadcast::Receiver<(u64, Notice)> {
        self.notices.subscribe()
    }

    fn stop(&self) {
        self.stopping.send_replace(true);
    }
}
