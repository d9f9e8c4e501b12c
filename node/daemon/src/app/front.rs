//! What stands before the node does, which may have to wait for the chain to know where it begins: the ports, and what they hold of it. Its
//! owner can ask meanwhile what it waits for, and stop it; peers are not taken in.
use super::handle::Handle;
use super::process::{listen, Identity, Signals};
use super::{Begun, RunError, Settings, FIRST_FEERATE, NOTICES};
use crate::chain::{Source, Stop, Taken, Trouble};
use crate::control;
use crate::net::{Book, Dialer, Peers};
use crate::owner::{Input, Standing};
use crate::store::FolderLock;
use leyden_core::ids::NodeId;
use leyden_core::node::Notice;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc, watch};

/// The ports, and what they hold of the node.
pub(super) struct Front {
    pub standing: watch::Sender<Standing>,
    pub notices: broadcast::Sender<(u64, Notice)>,
    pub peers: Peers,
    pub dialer: Dialer,
    /// Nobody is taken in before the node has caught up.
    pub listener: Option<TcpListener>,
    /// Where that is.
    pub listening: Option<SocketAddr>,
    pub stopped: watch::Receiver<bool>,
    pub taken: Taken,
    pub trouble: Trouble,
    pub server: control::Server,
}

impl Front {
    /// Opens the ports.
    pub async fn open(
        settings: &Settings,
        id: NodeId,
        inbox: &mpsc::Sender<Input>,
    ) -> Result<Self, RunError> {
        let feerate = settings.fallback_feerate.unwrap_or(FIRST_FEERATE);
        let (standing, stands) = watch::channel(Standing::before(feerate));
        let (notices, _) = broadcast::channel(NOTICES);
        let peers = Peers::new(settings.seed.node_secret(), inbox.clone());
        let dialer = dialer(settings, &peers)?;
        let listener = match settings.listen {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        let listening = listener.as_ref().map(TcpListener::local_addr).transpose()?;
        let (stopping, stopped) = watch::channel(false);
        let (taken, trouble) = (Taken::default(), Trouble::default());
        let (alias, network) = (settings.alias.clone(), settings.network);
        let handle = Handle {
            inbox: inbox.clone(),
            dialer: dialer.clone(),
            peers: peers.clone(),
            notices: notices.clone(),
            stands,
            taken: taken.clone(),
            has_tower: !settings.towers.is_empty(),
            stopping,
            identity: Identity { id, alias, network, listening, trouble: trouble.clone() },
        };
        let options = control::Options::new(settings.control, &settings.folder, network);
        let server = control::Server::start(options, Arc::new(handle)).await?;
        Ok(Self { standing, notices, peers, dialer, listener, listening, stopped, taken, trouble, server })
    }

    /// The node, once it is there. Until then its owner is told what it waits for, and may stop it.
    pub async fn begin(
        &mut self,
        settings: &Settings,
        id: NodeId,
        lock: FolderLock,
        stop: &Stop,
        signals: &mut Signals,
    ) -> Result<Begun, RunError> {
        let source = Source::new(settings.chain.clone(), stop.clone()).telling(self.trouble.clone());
        let stopped = self.stopped.wait_for(|stop| *stop);
        let ended = async {
            tokio::select! { () = signals.wait() => {}, _ = stopped => {} }
        };
        let begun = Begun::open(settings, id, lock, source, ended).await?;
        self.standing.send_modify(|standing| {
            *standing = Standing::at(begun.tip, standing.feerate, begun.node.unguarded())
        });
        Ok(begun)
    }
}

fn dialer(settings: &Settings, peers: &Peers) -> io::Result<Dialer> {
    let book = Book::open(settings.redial.then(|| settings.folder.join("peers")))?;
    Ok(Dialer::new(peers.clone(), book, settings.redial))
}
