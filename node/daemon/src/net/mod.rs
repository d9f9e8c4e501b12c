//! Connections with peers over TCP: dial, accept, the handshake of BOLT 8, and for each connection a task that reads and one that
//! writes. It moves whole messages between sockets and the owner, and reads none of them.
//!
//! ```text
//!   listen ─┐                      ┌─ reader ─► the owner's inbox (bounded: a full one stops reading, and TCP the peer)
//!           ├─► handshake ─► link ─┤
//!   dial ───┘                      └─ queue ◄─ the owner (bounded: a peer that does not read is dropped)
//! ```
mod dialer;
mod handshake;
mod link;
mod queue;
#[cfg(test)]
mod tests;

pub use dialer::{Book, Dialer};
pub use handshake::ConnectError;

use crate::owner::Input;
use leyden_core::ids::NodeId;
use leyden_core::transport::Session;
use link::Line;
use queue::Queue;
use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};
use secp256k1::{SecretKey, SECP256K1};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, Notify};
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// Connections that have not finished the handshake, at most. One more ends the one that has been silent the longest, or, where all
/// have begun, tried the longest: nobody keeps others out by doing nothing.
const MOST_HANDSHAKES: usize = 512;
/// Connections with peers that have no channel with us, at most.
const MOST_LINKS: usize = 1_000;
/// Room above that for peers that have one, and for newcomers until it is known who they are. Beyond it connections are closed at
/// once, so that descriptors stay bounded.
const RESERVE: usize = 100;
/// A connection that brings nothing for so long is asked whether it still stands, and after as long again it is given up.
const SILENCE: Duration = Duration::from_secs(60);
/// After this long, or when a connection ended, it is tried again to accept where the system had no descriptor left.
const PAUSE: Duration = Duration::from_millis(100);

/// Counts connections, so that a message of an old one is never taken for one of the new.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ConnectionId(u64);

/// All connections. Cheap to clone.
#[derive(Clone)]
pub struct Peers {
    shared: Arc<Shared>,
}

struct Shared {
    secret: SecretKey,
    inbox: mpsc::Sender<Input>,
    next: AtomicU64,
    links: Mutex<BTreeMap<NodeId, Link>>,
    /// Whoever dials a peer holds its turn.
    turns: Mutex<BTreeMap<NodeId, Arc<Turn>>>,
    /// Bytes that wait for all peers together.
    waiting: Arc<AtomicUsize>,
    /// Told whenever a connection ended.
    ended: Notify,
}

type Turn = tokio::sync::Mutex<()>;

/// A connection that stands.
struct Link {
    connection: ConnectionId,
    queue: Arc<Queue>,
    address: String,
    inbound: bool,
    ready: bool,
}

/// A connection that somebody else made, until it is known who.
struct Handshake {
    task: AbortHandle,
    /// The first act came, and it was a right one.
    begun: Arc<AtomicBool>,
}

/// A connection, for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkInfo {
    /// With whom.
    pub peer: NodeId,
    /// The other end of it.
    pub address: String,
    /// Whether the peer dialled.
    pub inbound: bool,
    /// Whether both have said `init`.
    pub ready: bool,
}

impl Peers {
    /// None yet; `secret` is the node's own key.
    pub fn new(secret: SecretKey, inbox: mpsc::Sender<Input>) -> Self {
        let (links, turns) = (Mutex::default(), Mutex::default());
        let (next, ended, waiting) = (AtomicU64::new(1), Notify::new(), Arc::default());
        Self { shared: Arc::new(Shared { secret, inbox, next, links, turns, waiting, ended }) }
    }

    /// The connections that stand, in order of their peers.
    pub fn list(&self) -> Vec<LinkInfo> {
        let info = |(peer, link): (&NodeId, &Link)| LinkInfo {
            peer: *peer,
            address: link.address.clone(),
            inbound: link.inbound,
            ready: link.ready,
        };
        self.links().iter().map(info).collect()
    }

    /// Whether a connection stands with this peer.
    pub fn is_connected(&self, peer: &NodeId) -> bool {
        self.links().contains_key(peer)
    }

    /// Both have said `init`.
    pub fn mark_ready(&self, peer: &NodeId) {
        if let Some(link) = self.links().get_mut(peer) {
            link.ready = true;
        }
    }

    /// Sends messages over this connection, if it still stands: in one write, if it can take them.
    pub fn send(&self, peer: &NodeId, connection: ConnectionId, messages: Vec<Vec<u8>>) {
        let links = self.links();
        let Some(link) = links.get(peer).filter(|link| link.connection == connection) else { return };
        if !link.queue.push(&messages) {
            tracing::warn!(%peer, "the peer does not read what it is sent: the connection is dropped");
        }
    }

    /// Ends this connection once everything sent before is on its way.
    pub fn hang_up(&self, peer: &NodeId, connection: ConnectionId) {
        let links = self.links();
        if let Some(link) = links.get(peer).filter(|link| link.connection == connection) {
            link.queue.finish();
        }
    }

    /// Ends whatever connection there is with this peer. Whether there was one.
    pub fn disconnect(&self, peer: &NodeId) -> bool {
        self.links().get(peer).map(|link| link.queue.finish()).is_some()
    }

    /// Ends the connection with this peer at once: what waits to be sent is lost.
    pub fn cut_off(&self, peer: &NodeId) {
        if let Some(link) = self.links().get(peer) {
            link.queue.abort();
        }
    }

    /// Ends every connection.
    pub fn disconnect_all(&self) {
        self.links().values().for_each(|link| link.queue.finish());
    }

    /// Dials a peer, unless a connection with it stands by then; returns when the handshake is done and the owner knows. One dials at a
    /// time: a second connection would end the first, and what was begun over it.
    ///
    /// # Errors
    /// Nobody answers there, or somebody else does.
    pub async fn dial(&self, peer: NodeId, address: &str) -> Result<(), ConnectError> {
        let turn = self.turn(peer);
        let _turn = turn.lock().await;
        if self.is_connected(&peer) {
            return Ok(());
        }
        let (stream, session) = handshake::dial(&self.shared.secret, peer, address).await?;
        self.start(peer, stream, session, address.to_owned(), false).await;
        Ok(())
    }

    /// Whether there are so many connections that only peers with a channel may stay.
    pub fn is_crowded(&self) -> bool {
        self.links().len() > MOST_LINKS
    }

    /// Ends this connection now, without another word.
    pub fn refuse(&self, peer: &NodeId, connection: ConnectionId) {
        let links = self.links();
        if let Some(link) = links.get(peer).filter(|link| link.connection == connection) {
            link.queue.abort();
        }
    }

    /// Takes in connections for ever. The process may open as many descriptors as the system lets it.
    pub async fn listen(self, listener: TcpListener) {
        let most = getrlimit(Resource::Nofile);
        if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: most.maximum, ..most }) {
            tracing::warn!(%error, "the system leaves few descriptors for connections");
        }
        let mut handshakes: VecDeque<Handshake> = VecDeque::new();
        loop {
            match listener.accept().await {
                Ok((stream, from)) => {
                    handshakes.retain(|handshake| !handshake.task.is_finished());
                    if handshakes.len() >= MOST_HANDSHAKES {
                        let silent = handshakes.iter().position(|one| !one.begun.load(Ordering::Relaxed));
                        handshakes.remove(silent.unwrap_or(0)).iter().for_each(|one| one.task.abort());
                    }
                    let (peers, begun) = (self.clone(), Arc::new(AtomicBool::new(false)));
                    let begins = begun.clone();
                    let taking = tokio::spawn(async move { peers.take_in(stream, from, &begins).await });
                    handshakes.push_back(Handshake { task: taking.abort_handle(), begun });
                }
                Err(error) => {
                    // Out of descriptors, or the connection went before it was taken.
                    tracing::warn!(%error, "a connection could not be accepted");
                    let _ = timeout(PAUSE, self.shared.ended.notified()).await;
                }
            }
        }
    }

    async fn take_in(&self, stream: TcpStream, from: SocketAddr, begun: &AtomicBool) {
        if self.links().len() >= MOST_LINKS + RESERVE {
            tracing::debug!(%from, "there are too many connections already: this one is closed");
            return;
        }
        match handshake::answer(&self.shared.secret, stream, begun).await {
            Ok((peer, stream, session)) => {
                // From here on it is no handshake any more: nobody cuts it short.
                let peers = self.clone();
                tokio::spawn(async move {
                    peers.start(peer, stream, session, from.to_string(), true).await;
                });
            }
            Err(error) => tracing::debug!(%from, %error, "a connection ends before it began"),
        }
    }

    /// The handshake is done: the owner hears of it before any message.
    async fn start(&self, peer: NodeId, stream: TcpStream, session: Session, address: String, inbound: bool) {
        let connection = ConnectionId(self.shared.next.fetch_add(1, Ordering::Relaxed));
        let (reading, writing) = stream.into_split();
        let Session { sender, receiver } = session;
        let queue = Arc::new(Queue::new(sender, writing, self.shared.waiting.clone()));
        let link = Link { connection, queue: queue.clone(), address, inbound, ready: false };
        if !self.enter(peer, link) {
            tracing::debug!(%peer, "both dialled at once: one connection is enough");
            return;
        }
        if self.shared.inbox.send(Input::Connected { peer, connection }).await.is_err() {
            return;
        }
        let peers = self.clone();
        let line = Line { peer, connection, inbox: self.shared.inbox.clone(), silence: SILENCE };
        tokio::spawn(async move {
            link::run(&line, reading, receiver, &queue).await;
            peers.forget(&peer, connection);
            let _ = line.inbox.send(Input::Disconnected { peer, connection }).await;
        });
    }

    /// The newest connection with a peer is the one that stands, as the peer may have lost the older. But where both dialled at once,
    /// each would end the one that the other keeps: of those the one that the lower id dialled stands, at both ends. Whether it does.
    fn enter(&self, peer: NodeId, link: Link) -> bool {
        let dialled_by_lower = (self.shared.secret.public_key(SECP256K1) < peer) != link.inbound;
        let mut links = self.links();
        let crossing = |old: &Link| !old.ready && old.inbound != link.inbound;
        if !dialled_by_lower && links.get(&peer).is_some_and(crossing) {
            return false;
        }
        if let Some(old) = links.insert(peer, link) {
            old.queue.abort();
        }
        true
    }

    fn turn(&self, peer: NodeId) -> Arc<Turn> {
        let mut turns = self.shared.turns.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody holds those, nor waits for them.
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        turns.entry(peer).or_default().clone()
    }

    fn forget(&self, peer: &NodeId, connection: ConnectionId) {
        let mut links = self.links();
        if links.get(peer).is_some_and(|link| link.connection == connection) {
            links.remove(peer);
        }
        drop(links);
        self.shared.ended.notify_waiters();
    }

    fn links(&self) -> MutexGuard<'_, BTreeMap<NodeId, Link>> {
        self.shared.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
