//! A whole tower, put together and run until it is told to stop: the folder, the chain, the keeper's thread, the listener for clients,
//! the control port, which answers `getinfo` and `stop`. What belongs to one of them is in its own file.
use crate::app::{
    disconnected, join, listen, open, own, say_where, wait_for_end, ChainEnd, ChainPlan, Identity, RunError,
    Signals,
};
use crate::chain::{Interest, Source, Stop, Trouble};
use crate::config::ChainConfig;
use crate::control::{self, Backend, BoxFuture, Info};
use crate::net::Peers;
use crate::owner::{Input, Standing, INBOX};
use crate::store::{FolderLock, Opened};
use crate::tower::Keeper;
use bitcoin::Network;
use leyden_core::ids::{ChannelId, NodeId};
use leyden_core::keys::NodeSeed;
use leyden_core::node::{Command, CommandError, Notice, Reply};
use leyden_core::tower::{Tower, TowerBatch, TowerConfig};
use leyden_core::units::{BlockHeight, FeeratePerKw};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, watch};

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
    /// Where the chain comes from.
    pub chain: ChainConfig,
    /// Its name for people.
    pub alias: String,
    /// What the chain asks where its source cannot say.
    pub fallback_feerate: FeeratePerKw,
    /// How often the mempool is looked at.
    pub mempool_interval: Duration,
    /// Its limits.
    pub tower: TowerConfig,
    /// Who it is.
    pub seed: NodeSeed,
}

/// Runs a tower until a signal, the control port or its store ends it. With the chain's source down it waits, and takes boxes meanwhile.
///
/// # Errors
/// It could not start, or could not save: then nothing that it did not save was acknowledged.
pub async fn run(settings: Settings) -> Result<(), RunError> {
    let stop = Stop::default();
    let mut signals = Signals::new()?;
    let id = settings.seed.node_secret().public_key(secp256k1::SECP256K1);
    let (network, trouble) = (settings.network, Trouble::default());
    let source = Source::new(settings.chain.clone(), stop.clone()).telling(trouble.clone());
    let lock = FolderLock::take(&settings.folder)?;
    let opened: Opened<TowerBatch> = open(&settings.folder, lock, id, network, source, signals.wait())
        .await
        .inspect_err(|_| stop.stop())?;
    let tower = Tower::restore(settings.tower, opened.birthday.0, &opened.records)?;
    let (known, tip) = (opened.known(), opened.tip());
    tracing::info!(%id, height = %tip.0, %network, records = opened.records.len(), "the tower starts");

    let (inbox, inputs) = mpsc::channel(INBOX);
    let (standing, stands) = watch::channel(Standing::at(tip, settings.fallback_feerate, tower.boxes()));
    let peers = Peers::new(settings.seed.node_secret(), inbox.clone());
    let listener = listen(settings.listen).await?;
    let listening = listener.local_addr()?;
    let (stopping, mut stopped) = watch::channel(false);
    let (notices, _) = broadcast::channel(1);
    let identity =
        Identity { id, alias: settings.alias, network, listening: Some(listening), trouble: trouble.clone() };
    let backend = Handle { peers: peers.clone(), stands, stopping, notices, identity };
    let options = control::Options::new(settings.control, &settings.folder, network);
    let server = control::Server::start(options, Arc::new(backend)).await?;
    let plan = ChainPlan {
        chain: settings.chain,
        known,
        fallback: Some(settings.fallback_feerate),
        interval: Some(settings.mempool_interval),
        interest: Interest::All,
        trouble,
    };
    let chain = ChainEnd::start(plan, &stop, &inbox, drop)?;
    let broadcaster = chain.broadcaster.clone();
    let keeper = Keeper { tower, store: opened.store, peers: peers.clone(), chain: broadcaster, standing };
    let (keeping, ended) = own("keeper", move || keeper.run(inputs))?;
    tokio::spawn(peers.clone().listen(listener));
    tracing::info!(address = format!("{id}@{listening}"), control = %server.address(), "the tower runs");
    say_where(&id, Some(listening));
    wait_for_end("tower", &mut signals, &mut stopped, ended).await;
    let _ = inbox.send(Input::Stop).await;
    let result = join(keeping).await;
    peers.disconnect_all();
    server.stop().await;
    // The chain's threads may wait for their source a while longer; the process does not.
    stop.stop();
    result.map_err(RunError::from)
}

/// What the control port holds of the tower.
struct Handle {
    peers: Peers,
    stands: watch::Receiver<Standing>,
    stopping: watch::Sender<bool>,
    notices: broadcast::Sender<(u64, Notice)>,
    identity: Identity,
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
        Box::pin(async move { disconnected(&client, found) })
    }

    fn info(&self) -> BoxFuture<Info> {
        let info = self.identity.info(&self.stands.borrow(), &self.peers);
        Box::pin(async move { info })
    }

    fn at_height(&self, _: BlockHeight) -> BoxFuture<Result<(), CommandError>> {
        Box::pin(async { Err(no_node()) })
    }

    fn published(&self, _: ChannelId, _: Option<u64>) -> BoxFuture<Result<u64, CommandError>> {
        Box::pin(async { Err(no_node()) })
    }

    fn guarded(&self) -> BoxFuture<Result<(), CommandError>> {
        Box::pin(async { Err(no_node()) })
    }

    fn notices(&self) -> broadcast::Receiver<(u64, Notice)> {
        self.notices.subscribe()
    }

    fn stop(&self) {
        self.stopping.send_replace(true);
    }
}
