//! The one thread that owns the node. It takes what came in, lets the node handle all of it, makes what the node saved durable
//! with one commit, and only then does what the node asked for. It moves no byte itself.
//!
//! ```text
//!   inbox ─► handle, handle, … (until the inbox is empty) ─► sign what waits ─► one commit ─► all actions, in order
//!   … and while the inbox stays empty: keys for the next commitments
//! ```
//! Nothing leaves before the commit: a node that cannot save stops, and has promised nothing that it does not remember.
use crate::chain::{Broadcaster, Taken};
use crate::net::{ConnectionId, Peers};
use crate::store::{BlockMark, Durable, StoreError};
use crate::tower::Guard;
use bitcoin::{BlockHash, Transaction};
use leyden_core::channel::Env;
use leyden_core::ids::NodeId;
use leyden_core::node::{
    Action, Batch, Command, CommandError, Event, NewBlock, Node, Notice, Reply, Turn, Why,
};
use leyden_core::tower::Locator;
use leyden_core::units::{BlockHeight, FeeratePerKw, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

/// The most turns that one commit covers. Events that wait beyond it are in the next one.
const MOST_TURNS: usize = 1_000;
/// So many inputs wait for the owner before whoever brings more has to wait too: TCP then tells the peer.
pub const INBOX: usize = 1_024;

/// Something for the owner.
#[derive(Debug)]
pub enum Input {
    /// A connection with this peer stands; an older one is replaced by it.
    Connected {
        /// Who.
        peer: NodeId,
        /// Which.
        connection: ConnectionId,
    },
    /// This connection is gone.
    Disconnected {
        /// Whose.
        peer: NodeId,
        /// Which.
        connection: ConnectionId,
    },
    /// What arrived together: one commit covers it.
    Messages {
        /// From whom.
        peer: NodeId,
        /// Over which connection.
        connection: ConnectionId,
        /// Each message, type first.
        messages: Vec<Vec<u8>>,
    },
    /// Nothing came over this connection for a while.
    Silent {
        /// Whose.
        peer: NodeId,
        /// Which.
        connection: ConnectionId,
    },
    /// The chain grew.
    Block(Arc<NewBlock>),
    /// The block at the tip was taken out.
    BlockGone {
        /// Its height.
        height: BlockHeight,
    },
    /// All blocks up to the tip came before.
    CaughtUp,
    /// A transaction entered the mempool.
    Unconfirmed(Arc<Transaction>),
    /// What a transaction must pay to be mined soon, from now on.
    Feerate(FeeratePerKw),
    /// A tower takes boxes now.
    TowerReady {
        /// The first that it may lack; none: all.
        from: Option<(Locator, u16)>,
    },
    /// All towers have it on their disks.
    Guarded {
        /// The box's locator.
        locator: Locator,
        /// Its part.
        part: u16,
    },
    /// The node's owner wants something.
    Command {
        /// What.
        command: Command,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<Reply, CommandError>>,
    },
    /// No more inputs: finish.
    Stop,
    /// From a harness.
    #[cfg(feature = "lab")]
    Lab(crate::lab::Nudge),
}

/// Where the node stands, for everyone who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// The tip that the node has taken in and saved.
    pub height: BlockHeight,
    /// Its hash; none between a block that was taken out and the next.
    pub hash: Option<BlockHash>,
    /// Whether the node is there: before, it waits for Core, which knows where a new one begins.
    pub begun: bool,
    /// Whether it was at the tip since it started: before, it meets nobody.
    pub synced: bool,
    /// What the chain asks, in sat per 1000 weight units.
    pub feerate: FeeratePerKw,
    /// How often something was made durable since the process started.
    pub commits: u64,
    /// A tower: the boxes that it keeps. A node: those that not all of its towers have.
    pub boxes: usize,
}

impl Standing {
    /// Nowhere yet.
    pub fn before(feerate: FeeratePerKw) -> Self {
        let height = BlockHeight::new(0);
        Self { height, hash: None, begun: false, synced: false, feerate, commits: 0, boxes: 0 }
    }

    /// At the start, with this tip, these boxes and, until the chain's first word, this feerate.
    pub fn at((height, hash): (BlockHeight, BlockHash), feerate: FeeratePerKw, boxes: usize) -> Self {
        Self { height, hash: Some(hash), begun: true, synced: false, feerate, commits: 0, boxes }
    }

    /// This block is the tip now; what the store is to remember of it.
    pub fn connect(&mut self, block: &NewBlock) -> BlockMark {
        (self.height, self.hash) = (block.height, Some(block.hash));
        BlockMark::Connected { height: block.height, hash: block.hash }
    }

    /// The block at this height was taken out; what the store is to remember of it.
    pub fn disconnect(&mut self, height: BlockHeight) -> BlockMark {
        (self.height, self.hash) = (BlockHeight::new(height.get().saturating_sub(1)), None);
        BlockMark::Disconnected { height }
    }
}

/// What the owner works with.
pub struct Owner {
    /// The node.
    pub node: Node,
    /// Where it saves.
    pub store: Box<dyn Durable<Batch>>,
    /// The connections.
    pub peers: Peers,
    /// The way to the chain.
    pub chain: Broadcaster,
    /// What the chain took.
    pub taken: Taken,
    /// The way to the towers.
    pub guard: Guard,
    /// What is told to owners, numbered from 1.
    pub notices: broadcast::Sender<(u64, Notice)>,
    /// The tip, told to everyone who asks.
    pub standing: watch::Sender<Standing>,
    /// The harness.
    #[cfg(feature = "lab")]
    pub lab: Option<crate::lab::Lab>,
}

/// The state of the loop.
struct Desk {
    owner: Owner,
    links: BTreeMap<NodeId, ConnectionId>,
    calls: u64,
    waiting: BTreeMap<u64, oneshot::Sender<Result<Reply, CommandError>>>,
    noticed: u64,
    commit_due: bool,
    stopping: bool,
    standing: Standing,
}

/// What is to be sent, by peer.
type Mail = BTreeMap<NodeId, Vec<Vec<u8>>>;

/// What one commit covers.
#[derive(Default)]
struct Round {
    turns: usize,
    save: Batch,
    marks: Vec<BlockMark>,
    actions: Vec<Action>,
}

impl Owner {
    /// Runs until [`Input::Stop`], or until nothing can be saved any more. Blocks its thread.
    ///
    /// # Errors
    /// The store failed: nothing of the failed round has left this process.
    pub fn run(self, mut inbox: mpsc::Receiver<Input>) -> Result<(), StoreError> {
        let standing = *self.standing.borrow();
        let mut desk = Desk {
            owner: self,
            links: BTreeMap::new(),
            calls: 0,
            waiting: BTreeMap::new(),
            noticed: 0,
            commit_due: false,
            stopping: false,
            standing,
        };
        while let Some(first) = inbox.blocking_recv() {
            let mut round = Round::default();
            desk.take(first, &mut round);
            while round.turns < MOST_TURNS && !desk.stopping {
                match inbox.try_recv() {
                    Ok(input) => desk.take(input, &mut round),
                    Err(_) => {
                        // The queue drained: what waits is signed, in one.
                        if !desk.may_sign() {
                            break;
                        }
                        desk.commit_due = false;
                        desk.handle(Event::Wake(Why::Commit), &mut round);
                    }
                }
            }
            desk.finish(round)?;
            if desk.stopping {
                break;
            }
            // Until somebody wants something.
            while inbox.is_empty() && desk.owner.node.derive_ahead() {}
        }
        Ok(())
    }
}

impl Desk {
    #[cfg(feature = "lab")]
    fn take(&mut self, input: Input, round: &mut Round) {
        let Some(lab) = &mut self.owner.lab else { return self.take_in(input, round) };
        if let Some(input) = lab.hold(input) {
            self.take_in(input, round);
        }
        while let Some(input) = self.owner.lab.as_mut().and_then(crate::lab::Lab::release) {
            self.take_in(input, round);
        }
    }

    #[cfg(not(feature = "lab"))]
    fn take(&mut self, input: Input, round: &mut Round) {
        self.take_in(input, round);
    }

    /// Whether what waits may be signed now.
    fn may_sign(&self) -> bool {
        #[cfg(feature = "lab")]
        if self.owner.lab.as_ref().is_some_and(crate::lab::Lab::is_paused) {
            return false;
        }
        self.commit_due
    }

    fn take_in(&mut self, input: Input, round: &mut Round) {
        match input {
            Input::Connected { peer, connection } => {
                if self.owner.peers.is_crowded() && !self.owner.node.has_channel_with(&peer) {
                    return self.owner.peers.refuse(&peer, connection);
                }
                self.links.insert(peer, connection);
                self.handle(Event::Connected { peer }, round);
            }
            Input::Disconnected { peer, connection } => {
                if self.is_current(&peer, connection) {
                    self.links.remove(&peer);
                    self.handle(Event::Disconnected { peer }, round);
                }
            }
            Input::Messages { peer, connection, messages } => {
                for bytes in messages {
                    if self.is_current(&peer, connection) {
                        self.handle(Event::Message { peer, bytes }, round);
                    }
                }
            }
            Input::Silent { peer, connection } => {
                if self.is_current(&peer, connection) {
                    self.handle(Event::Silent { peer }, round);
                }
            }
            Input::Block(block) => {
                round.marks.push(self.standing.connect(&block));
                self.handle(Event::BlockConnected(block), round);
            }
            Input::BlockGone { height } => {
                round.marks.push(self.standing.disconnect(height));
                self.handle(Event::BlockDisconnected { height }, round);
            }
            Input::CaughtUp => self.standing.synced = true,
            Input::Unconfirmed(tx) => self.handle(Event::Unconfirmed(tx), round),
            Input::Feerate(feerate) => self.standing.feerate = feerate,
            Input::TowerReady { from } => self.handle(Event::TowerReady { from }, round),
            Input::Guarded { locator, part } => self.handle(Event::Guarded { locator, part }, round),
            Input::Command { command, reply } => {
                self.calls += 1;
                self.waiting.insert(self.calls, reply);
                self.handle(Event::Command { call: self.calls, command }, round);
            }
            Input::Stop => self.stopping = true,
            #[cfg(feature = "lab")]
            Input::Lab(nudge) => self.nudge(nudge),
        }
    }

    /// A message of a connection that another has replaced is lost with it.
    fn is_current(&self, peer: &NodeId, connection: ConnectionId) -> bool {
        self.links.get(peer) == Some(&connection)
    }

    #[cfg(feature = "lab")]
    fn nudge(&mut self, nudge: crate::lab::Nudge) {
        if let crate::lab::Nudge::Inject(peer, bytes) = nudge {
            return self.send(peer, vec![bytes]);
        }
        if let Some(lab) = &mut self.owner.lab {
            lab.nudge(nudge);
        }
    }

    fn env(&self) -> Env {
        let env = Env::new(now(), self.standing.height, self.standing.feerate);
        #[cfg(feature = "lab")]
        if let Some(lab) = &self.owner.lab {
            return lab.env(env);
        }
        env
    }

    fn handle(&mut self, event: Event, round: &mut Round) {
        let env = self.env();
        #[cfg(feature = "lab")]
        let seen = self.owner.lab.is_some().then(|| crate::trace::Seen::of(&event));
        let turn = self.owner.node.handle(event, &env);
        #[cfg(feature = "lab")]
        if let (Some(lab), Some(seen)) = (&mut self.owner.lab, seen) {
            lab.note(seen, &turn);
        }
        let Turn { save, actions, wake } = turn;
        self.commit_due |= wake.is_some();
        round.turns += 1;
        round.save.records.extend(save.records);
        round.actions.extend(actions);
    }

    /// Saves, then acts.
    fn finish(&mut self, round: Round) -> Result<(), StoreError> {
        self.owner.store.commit(&round.save, &round.marks)?;
        self.standing.commits = self.owner.store.commits();
        self.standing.boxes = self.owner.node.unguarded();
        #[cfg(feature = "lab")]
        if let Some(lab) = &mut self.owner.lab {
            lab.tell();
        }
        self.owner.standing.send_if_modified(|old| std::mem::replace(old, self.standing) != self.standing);
        let mut mail = Mail::default();
        round.actions.into_iter().for_each(|action| self.act(action, &mut mail));
        self.post(mail);
        Ok(())
    }

    /// All that a round says to a peer goes out as one: the peer can handle it as one.
    fn post(&self, mail: Mail) {
        for (peer, messages) in mail {
            #[cfg(feature = "lab")]
            if self.owner.lab.as_ref().is_some_and(|lab| lab.diverts(&peer)) {
                continue;
            }
            self.send(peer, messages);
        }
    }

    fn broadcast(&self, transactions: Vec<Transaction>) {
        #[cfg(feature = "lab")]
        if self.owner.lab.as_ref().is_some_and(crate::lab::Lab::is_blind) {
            return;
        }
        self.owner.chain.broadcast(transactions);
    }

    fn send(&self, peer: NodeId, messages: Vec<Vec<u8>>) {
        if let Some(connection) = self.links.get(&peer) {
            self.owner.peers.send(&peer, *connection, messages);
        }
    }

    /// What is to be sent waits in the mail for the end of the round, or of a connection.
    fn act(&mut self, action: Action, mail: &mut Mail) {
        match action {
            Action::Send { peer, bytes } => mail.entry(peer).or_default().push(bytes),
            Action::Disconnect { peer } => {
                self.post(std::mem::take(mail));
                if let Some(connection) = self.links.get(&peer) {
                    self.owner.peers.hang_up(&peer, *connection);
                }
            }
            Action::Broadcast { role, channel, tx } => {
                let txid = tx.compute_txid();
                tracing::info!(%channel, %txid, ?role, "a transaction goes to the chain");
                self.owner.taken.expect(channel, txid);
                self.broadcast(vec![tx]);
            }
            Action::BroadcastPackage { channel, transactions } => {
                tracing::info!(%channel, count = transactions.len(), "a package goes to the chain");
                transactions.iter().for_each(|tx| self.owner.taken.expect(channel, tx.compute_txid()));
                self.broadcast(transactions);
            }
            Action::Guard { justice } => {
                // Without a connection it is lost here: the node gives it again when there is one.
                self.owner.guard.give(justice);
            }
            Action::Reply { call, result } => {
                // Whoever asked may have gone away.
                let _ = self.waiting.remove(&call).map(|waiting| waiting.send(result));
            }
            Action::Notice(notice) => {
                self.noticed += 1;
                if let Notice::PeerReady { peer } = &notice {
                    self.owner.peers.mark_ready(peer);
                }
                let _ = self.owner.notices.send((self.noticed, notice));
            }
        }
    }
}

/// The time of day, in microseconds since 1970.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::new(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
