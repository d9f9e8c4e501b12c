//! A node's end of its towers: a connection with each, apart from those with peers; boxes go out a few at a time, and a box that all
//! towers have is told to the owner. It keeps nothing that matters: what is lost here is given again by the node when a
//! connection stands.
#[cfg(test)]
mod tests;

use crate::net::{Book, ConnectionId, Dialer, Peers};
use crate::owner::{Input, INBOX};
use leyden_core::ids::NodeId;
use leyden_core::peer::{Heard, Peer};
use leyden_core::tower::wire::{JusticeAck, TowerMessage, Verdict, JUSTICE_ACK};
use leyden_core::tower::{tagged_hash, Justice, Locator};
use secp256k1::SecretKey;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::time::{timeout_at, Instant};

/// So many boxes wait between the owner and the connections, and for each tower; what is more is given again later.
const MOST_WAITING: usize = 1_024;
/// So many boxes are sent ahead of their acknowledgements: the largest of them fit into a connection's queue.
const WINDOW: usize = 32;
/// A tower that says nothing for so long, though it should, is dialled anew.
const PATIENCE: Duration = Duration::from_secs(60);
/// Boxes that some towers have and others do not are noted down to this number; beyond it, all towers get them again.
const MOST_NOTED: usize = 100_000;

/// A box, by what its acknowledgement names.
type Name = (Locator, u16);

/// The owner's way to the towers. It never waits.
#[derive(Clone)]
pub struct Guard {
    boxes: mpsc::Sender<Justice>,
    spilt: Spilt,
}

/// The first of the boxes that found no room.
#[derive(Clone, Default)]
struct Spilt(Arc<Mutex<Option<Name>>>);

impl Spilt {
    fn note(&self, name: Name) {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *first = least(*first, Some(name));
    }

    fn take(&self) -> Option<Name> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn least(one: Option<Name>, other: Option<Name>) -> Option<Name> {
    one.into_iter().chain(other).min()
}

impl Guard {
    /// Hands over a box. Without a connection it is lost; the node gives it again.
    pub fn give(&self, justice: Justice) {
        if let Err(TrySendError::Full(justice)) = self.boxes.try_send(justice) {
            self.spilt.note((justice.locator, justice.part));
        }
    }
}

/// The task behind a [`Guard`].
pub struct Client {
    towers: BTreeMap<NodeId, Post>,
    owner: mpsc::Sender<Input>,
    inbox: mpsc::Receiver<Input>,
    boxes: mpsc::Receiver<Justice>,
    spilt: Spilt,
    patience: Duration,
    /// Boxes that some towers have, and which.
    kept: BTreeMap<Name, BTreeSet<NodeId>>,
}

/// One tower.
struct Post {
    peers: Peers,
    link: Option<Link>,
}

/// A connection with it.
struct Link {
    connection: ConnectionId,
    peer: Peer,
    waiting: VecDeque<Justice>,
    /// Sent and not acknowledged.
    sent: BTreeSet<Name>,
    /// The last moment at which the tower said something that was waited for.
    heard: Instant,
    /// The first of those that found no room.
    spilt: Option<Name>,
    /// It kept, or refused, something since the node was last asked for more.
    kept: bool,
    refused: bool,
    /// That it refuses was said.
    told: bool,
}

enum News {
    Input(Input),
    Box(Justice),
}

impl Client {
    /// Starts dialling these towers, `host:port` each. `owner` hears when one takes boxes, and of each box that all have.
    ///
    /// # Errors
    /// None without a file of addresses.
    pub fn start(
        secret: &SecretKey,
        towers: Vec<(NodeId, String)>,
        owner: mpsc::Sender<Input>,
    ) -> io::Result<Guard> {
        Self::start_with(secret, towers, owner, PATIENCE)
    }

    fn start_with(
        secret: &SecretKey,
        towers: Vec<(NodeId, String)>,
        owner: mpsc::Sender<Input>,
        patience: Duration,
    ) -> io::Result<Guard> {
        let (sender, boxes) = mpsc::channel(MOST_WAITING);
        let spilt = Spilt::default();
        let guard = Guard { boxes: sender, spilt: spilt.clone() };
        let (news, inbox) = mpsc::channel(INBOX);
        let mut posts = BTreeMap::new();
        for (tower, address) in towers {
            let peers = Peers::new(client_secret(secret, &tower), news.clone());
            Dialer::new(peers.clone(), Book::open(None)?, true).want(tower, address);
            posts.insert(tower, Post { peers, link: None });
        }
        if !posts.is_empty() {
            let client = Self { towers: posts, owner, inbox, boxes, spilt, patience, kept: BTreeMap::new() };
            tokio::spawn(client.run());
        }
        Ok(guard)
    }

    /// Runs as long as the owner does.
    async fn run(mut self) {
        while let Some(news) = self.next().await {
            let told = match news {
                News::Input(input) => self.take(input),
                News::Box(justice) => {
                    self.offer(&justice);
                    Vec::new()
                }
            };
            let asks = self.ask_again();
            for input in told.into_iter().chain(asks) {
                if self.owner.send(input).await.is_err() {
                    return;
                }
            }
        }
    }

    /// What comes next; towers that are silent for too long are cut off meanwhile. None once the owner is gone.
    async fn next(&mut self) -> Option<News> {
        loop {
            let deadline = self.towers.values().filter_map(|post| post.deadline(self.patience)).min();
            let news = async {
                tokio::select! {
                    input = self.inbox.recv() => input.map(News::Input),
                    justice = self.boxes.recv() => justice.map(News::Box),
                }
            };
            let Some(deadline) = deadline else { return news.await };
            match timeout_at(deadline, news).await {
                Ok(news) => return news,
                Err(_) => self.cut_off_the_silent(),
            }
        }
    }

    fn cut_off_the_silent(&mut self) {
        let now = Instant::now();
        for (tower, post) in &mut self.towers {
            if post.deadline(self.patience).is_some_and(|deadline| deadline <= now) {
                tracing::warn!(%tower, "the tower does not answer: it is dialled anew");
                post.peers.cut_off(tower);
                post.link = None;
            }
        }
    }

    /// Something of a connection. What the owner is to be told.
    fn take(&mut self, input: Input) -> Vec<Input> {
        match input {
            Input::Connected { peer, connection } => {
                if let Some(post) = self.towers.get_mut(&peer) {
                    post.peers.send(&peer, connection, vec![Peer::hello().encode()]);
                    post.link = Some(Link::new(connection));
                }
                Vec::new()
            }
            Input::Disconnected { peer, connection } => {
                if let Some(post) = self.towers.get_mut(&peer) {
                    let ended = post.link.take_if(|link| link.connection == connection);
                    if ended.is_some_and(|link| link.peer.is_ready()) {
                        tracing::info!(tower = %peer, "the connection with the tower ended");
                    }
                }
                Vec::new()
            }
            Input::Messages { peer, connection, messages } => {
                messages.iter().flat_map(|bytes| self.hear(&peer, connection, bytes)).collect()
            }
            // Only connections have this inbox.
            _ => Vec::new(),
        }
    }

    fn hear(&mut self, tower: &NodeId, connection: ConnectionId, bytes: &[u8]) -> Vec<Input> {
        let Some(Post { peers, link }) = self.towers.get_mut(tower) else { return Vec::new() };
        let Some(link) = link.as_mut().filter(|link| link.connection == connection) else {
            return Vec::new();
        };
        if link.peer.is_ready() && bytes.starts_with(&JUSTICE_ACK.to_be_bytes()) {
            return self.hear_ack(tower, bytes);
        }
        match link.peer.hear(bytes) {
            Heard::Ready => {
                tracing::info!(%tower, "the tower takes boxes");
                link.heard = Instant::now();
                vec![Input::TowerReady { from: None }]
            }
            Heard::Answer(answer) => {
                peers.send(tower, connection, vec![answer.encode()]);
                Vec::new()
            }
            Heard::Error { text, .. } | Heard::Warning { text } => {
                tracing::warn!(%tower, text, "the tower complains");
                Vec::new()
            }
            Heard::Drop(breach) => {
                tracing::warn!(%tower, %breach, "the tower breaks a rule of BOLT 1");
                link.peer.drop_soon();
                peers.hang_up(tower, connection);
                Vec::new()
            }
            // No channel is opened over this connection.
            Heard::Nothing | Heard::Open(_) | Heard::ForChannel(..) => Vec::new(),
        }
    }

    /// A word on a box. One that no box waits for says nothing.
    fn hear_ack(&mut self, tower: &NodeId, bytes: &[u8]) -> Vec<Input> {
        let Ok(TowerMessage::Ack(JusticeAck { locator, part, verdict })) = TowerMessage::decode(bytes) else {
            tracing::warn!(%tower, "the tower sent an acknowledgement that cannot be read");
            return Vec::new();
        };
        let name = (locator, part);
        let Some(post) = self.towers.get_mut(tower) else { return Vec::new() };
        let Some(link) = post.link.as_mut().filter(|link| link.sent.contains(&name)) else {
            return Vec::new();
        };
        link.sent.remove(&name);
        link.heard = Instant::now();
        if verdict == Verdict::Kept {
            link.kept = true;
            self.note(name, *tower);
        } else {
            link.refused = true;
            if !std::mem::replace(&mut link.told, true) {
                tracing::warn!(%tower, ?verdict, "the tower does not take what it is given; it is asked again at the next connection");
            }
        }
        self.pump(tower);
        let all = self.kept.get(&name).is_some_and(|towers| towers.len() == self.towers.len());
        if !all {
            return Vec::new();
        }
        self.kept.remove(&name);
        vec![Input::Guarded { locator, part }]
    }

    fn note(&mut self, name: Name, tower: NodeId) {
        if self.kept.len() >= MOST_NOTED {
            self.kept.clear();
        }
        self.kept.entry(name).or_default().insert(tower);
    }

    /// A box for every tower that takes some now and does not have it.
    fn offer(&mut self, justice: &Justice) {
        let has = self.kept.get(&(justice.locator, justice.part)).cloned().unwrap_or_default();
        let lacking: Vec<NodeId> = self.towers.keys().filter(|tower| !has.contains(tower)).copied().collect();
        for tower in lacking {
            let link = self.towers.get_mut(&tower).and_then(|post| post.link.as_mut());
            let Some(link) = link.filter(|link| link.peer.is_ready()) else { continue };
            if link.waiting.len() < MOST_WAITING {
                link.waiting.push_back(justice.clone());
            } else {
                link.spilt = least(link.spilt, Some((justice.locator, justice.part)));
            }
            self.pump(&tower);
        }
    }

    /// Sends what waits, as far as the window goes.
    fn pump(&mut self, tower: &NodeId) {
        let Some(Post { peers, link: Some(link) }) = self.towers.get_mut(tower) else { return };
        while link.sent.len() < WINDOW {
            let Some(justice) = link.waiting.pop_front() else { return };
            if link.sent.is_empty() {
                link.heard = Instant::now();
            }
            if link.sent.insert((justice.locator, justice.part)) {
                peers.send(tower, link.connection, vec![TowerMessage::Justice(justice).encode()]);
            }
        }
    }

    /// Boxes found no room, and there is room now: the node gives them again, from the first of them on, so that each time it comes
    /// further, whatever else is still on record there for another tower. Not to a tower that only refuses.
    fn ask_again(&mut self) -> Option<Input> {
        if !self.boxes.is_empty() {
            return None;
        }
        let spilt = self.spilt.take();
        let mut from = None;
        for link in self.towers.values_mut().filter_map(|post| post.link.as_mut()) {
            link.spilt = least(link.spilt, spilt);
            let has_room = link.sent.is_empty() && link.waiting.is_empty();
            if has_room && link.spilt.is_some() && (link.kept || !link.refused) {
                from = least(from, link.spilt.take());
                (link.kept, link.refused) = (false, false);
            }
        }
        from.map(|from| Input::TowerReady { from: Some(from) })
    }
}

impl Post {
    /// Until when the tower must say something.
    fn deadline(&self, patience: Duration) -> Option<Instant> {
        let link = self.link.as_ref()?;
        let is_waited_for = !link.peer.is_ready() || !link.sent.is_empty();
        is_waited_for.then(|| link.heard + patience)
    }
}

impl Link {
    fn new(connection: ConnectionId) -> Self {
        Self {
            connection,
            peer: Peer::default(),
            waiting: VecDeque::new(),
            sent: BTreeSet::new(),
            heard: Instant::now(),
            spilt: None,
            kept: false,
            refused: false,
            told: false,
        }
    }
}

/// The key by which one tower knows this node: not the node's own, and another for each tower, so that a tower cannot tell whose
/// boxes it keeps, nor two of them whether they serve the same node.
fn client_secret(node: &SecretKey, tower: &NodeId) -> SecretKey {
    let hash = tagged_hash("leyden/tower/client", &[&node.secret_bytes(), &tower.serialize()]);
    // All but one hash in 2^127 are keys.
    SecretKey::from_slice(&hash).unwrap_or(*node)
}
