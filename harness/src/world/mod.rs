//! The world under the nodes: virtual time, connections, the chain. One scheduler for `sim` and `regtest`: it takes the next
//! event, hands it to its node, saves what the node saves, then runs what the node asks for. It knows no scenario.
//!
//! ```text
//!   queue -> node.handle(event) -> save -> actions -> queue | chain
//! ```

mod around;
mod connections;
mod error;
mod ground;
mod kill;
mod kind;
mod links;
mod live;
mod owner;
mod queue;
mod seat;
mod slow;
mod tampering;
mod tower;
mod turn;
mod worlds;

pub use around::SavedCopy;
pub use error::WorldError;
pub use ground::Ground;
pub use kill::{Point, Saved};
pub use kind::Kind;
pub use live::LiveError;
pub use seat::{Notified, Offered, Store};
pub use tampering::{Fault, Moment};
pub use tower::TowerStore;
pub use worlds::{CannotHere, UnknownWorld, WorldKind};

use crate::chain::ChainError;
use crate::transcript::{Cause, Entry, Transcript, Verdict};
use around::Around;
use bitcoin::{Transaction, Txid};
use kill::Deaths;
use leyden_core::channel::{Channel, PastState};
use leyden_core::ids::{ChannelId, NodeId};
use leyden_core::node::{Event, NewBlock, NodeConfig};
use leyden_core::units::{BlockHeight, FeeratePerKw, Timestamp};
use leyden_core::wire::Message;
use links::Links;
use live::Live;
use owner::Owners;
use queue::{Due, Happening, Queue};
use seat::Seat;
use slow::Slow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tampering::Tampering;
use tower::{Post, Sight};

/// One hop of a message takes this long.
pub const LATENCY: Timestamp = Timestamp::new(10_000);
/// From block to block.
pub const BLOCK_INTERVAL: Timestamp = Timestamp::new(600_000_000);
/// What a transaction must pay to be mined soon, as every node is told.
pub const FEERATE: FeeratePerKw = FeeratePerKw::new(1000);
/// So many events without rest are a livelock.
const MOST_EVENTS: u32 = 200_000;
/// A run takes no longer than this.
const DEADLINE: Duration = Duration::from_secs(60);

/// Nodes, links, time and chain.
pub struct World {
    ground: Ground,
    queue: Queue,
    links: Links,
    tampering: Tampering,
    around: Around,
    deaths: Deaths,
    slow: Slow,
    owners: Owners,
    now: Timestamp,
    seats: Vec<Seat>,
    towers: Vec<Post>,
    ids: BTreeMap<NodeId, usize>,
    notices: Vec<Notified>,
    offered: Vec<Offered>,
    refused: Vec<Refused>,
    transcript: Transcript,
    started: Instant,
    /// The processes, in a live world.
    live: Option<Live>,
}

/// A transaction that a node handed in and the chain did not take.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// Whose.
    pub node: usize,
    /// Which.
    pub txid: Txid,
    /// Core's word.
    pub reason: String,
}

impl World {
    /// An empty world on this chain.
    pub fn new(ground: Ground) -> Result<Self, WorldError> {
        let mut ground = ground;
        let live = ground.core_endpoint().map(Live::new).transpose()?;
        Ok(Self {
            ground,
            queue: Queue::default(),
            links: Links::default(),
            tampering: Tampering::default(),
            around: Around::default(),
            deaths: Deaths::default(),
            slow: Slow::default(),
            owners: Owners::default(),
            now: Timestamp::ZERO,
            seats: Vec::new(),
            towers: Vec::new(),
            ids: BTreeMap::new(),
            notices: Vec::new(),
            offered: Vec::new(),
            refused: Vec::new(),
            transcript: Transcript::default(),
            started: Instant::now(),
            live,
        })
    }

    /// Refuses a verb that processes cannot do: the run ends as skipped.
    #[track_caller]
    fn only_in_process(&self, verb: &'static str) {
        if self.live.is_some() {
            std::panic::panic_any(CannotHere { verb });
        }
    }

    /// The chain, its miner and its faucet.
    pub fn ground(&mut self) -> &mut Ground {
        &mut self.ground
    }

    /// The ids of the nodes' processes, in a live world.
    pub fn process_ids(&self) -> Vec<u32> {
        self.live.as_ref().map(Live::process_ids).unwrap_or_default()
    }

    /// The id of Core's process, in a live world.
    pub fn core_process_id(&mut self) -> Option<i32> {
        self.ground.core_endpoint().and_then(|core| core.pid)
    }

    /// The folders and logs of the nodes that are processes, in a live world.
    pub fn process_folder(&self) -> Option<std::path::PathBuf> {
        self.live.as_ref().map(|live| live.folder().to_path_buf())
    }

    /// Everything that happened so far.
    pub fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// Everything that nodes told their owners.
    pub fn notices(&self) -> &[Notified] {
        &self.notices
    }

    /// Every HTLC offered on the wire.
    pub fn offered(&self) -> &[Offered] {
        &self.offered
    }

    /// Every transaction that the chain did not take from a node.
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// Virtual time.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// A node's public name.
    pub fn node_id(&self, node: usize) -> NodeId {
        self.seats[node].id
    }

    /// What a node has saved: key and bytes, in order.
    pub fn records(&self, node: usize) -> &seat::Store {
        &self.seats[node].store
    }

    /// A channel as a node has saved it.
    pub fn saved_channel(&self, node: usize, channel: ChannelId) -> Option<Channel> {
        self.seats[node].saved_channel(channel)
    }

    /// The numbers, from 0, of all commitments of a channel that were ever the node's newest.
    pub fn commitments(&self, node: usize, channel: ChannelId) -> Vec<u64> {
        self.seats[node].commitments(channel)
    }

    /// The node's state in which its commitment of this number, from 0, was the newest.
    pub fn past_state(&self, node: usize, channel: ChannelId, number: u64) -> Option<PastState> {
        self.seats[node].past_state(channel, number)
    }

    /// Every node could be made again from what it has saved. Looked at in debug builds only, like every record that is
    /// saved: it costs an eighth of a scenario.
    pub fn check_stores(&self) -> Result<(), WorldError> {
        if !cfg!(debug_assertions) {
            return Ok(());
        }
        self.seats.iter().try_for_each(Seat::check_store)?;
        self.check_tower_stores()
    }

    /// Puts a new node into the world; it has seen the chain up to now. Its number.
    pub fn add_node(
        &mut self,
        name: &str,
        seed: leyden_core::keys::NodeSeed,
        config: NodeConfig,
    ) -> Result<usize, WorldError> {
        let tip = self.ground.tip();
        let mut seat = Seat::new(name, seed.clone(), config.clone(), tip);
        if let Some(live) = &mut self.live {
            seat.leave_process();
            live.add(name, seat.id, seed, config, tip)?;
        }
        self.ids.insert(seat.id, self.seats.len());
        self.seats.push(seat);
        Ok(self.seats.len() - 1)
    }

    /// Notes a line that stands for itself (a fault, a step of the scenario).
    pub fn note(&mut self, text: String) {
        self.transcript.push(self.now, Entry::Note { text });
    }

    /// Runs until nothing is left to do now.
    pub fn drain(&mut self) -> Result<(), WorldError> {
        if self.live.is_some() {
            return self.drain_live();
        }
        let mut events = 0;
        loop {
            let Some(due) = self.queue.pop(self.now) else {
                if self.revive()? || self.mend()? {
                    continue;
                }
                return Ok(());
            };
            self.now = self.now.max(due.at);
            events += 1;
            if events > MOST_EVENTS {
                let last = self.transcript.last_lines(4);
                return Err(WorldError::Livelock { events: MOST_EVENTS, last });
            }
            if events % 256 == 1 {
                self.check_deadline()?;
            }
            self.deliver(due)?;
        }
    }

    fn check_deadline(&self) -> Result<(), WorldError> {
        let over = self.started.elapsed() > DEADLINE;
        if over {
            Err(WorldError::Deadline { seconds: DEADLINE.as_secs() })
        } else {
            Ok(())
        }
    }

    /// Lets virtual time pass. Timers that come due on the way ring once, at the end.
    pub fn wait(&mut self, span: Timestamp) -> Result<(), WorldError> {
        self.drain()?;
        self.now = self.now.saturating_add(span);
        if self.live.is_some() {
            self.tell_time(self.now);
        }
        self.drain()
    }

    /// Mines one block: what the mempool holds and `wanted` lets through. Drained before; the nodes learn of it at the next drain.
    pub fn mine(&mut self, wanted: &dyn Fn(&Transaction) -> bool) -> Result<(), WorldError> {
        self.mine_by(|ground| ground.mine(wanted))
    }

    /// Mines one block of exactly these transactions, as a miner may who does not care for policy. Drained before; the
    /// nodes learn of it at the next drain.
    pub fn mine_these(&mut self, transactions: Vec<Transaction>) -> Result<(), WorldError> {
        self.mine_by(|ground| ground.mine_these(transactions))
    }

    fn mine_by(
        &mut self,
        mine: impl FnOnce(&mut Ground) -> Result<Arc<NewBlock>, ChainError>,
    ) -> Result<(), WorldError> {
        self.check_deadline()?;
        self.wait(BLOCK_INTERVAL)?;
        let new = mine(&mut self.ground)?;
        new.block.txdata.iter().for_each(|tx| self.learn_from(tx));
        let txids = new.block.txdata.iter().skip(1).map(Transaction::compute_txid).collect();
        self.transcript.push(self.now, Entry::Block { height: new.height.get(), txids });
        if self.live.is_some() {
            return self.note_present();
        }
        for node in 0..self.seats.len() {
            self.queue.push(self.now, node, Happening::Block(new.clone()));
        }
        self.show_towers(&Sight::Block(new));
        Ok(())
    }

    /// Somebody who is no node hands a transaction to the chain. Every node sees it if the chain takes it.
    pub fn submit(&mut self, tx: &Transaction) -> Result<Txid, ChainError> {
        let txid = self.ground.submit(tx)?;
        self.show(tx);
        Ok(txid)
    }

    /// The same for transactions that come together, parents first; the answer for each.
    pub fn submit_package(
        &mut self,
        transactions: &[Transaction],
    ) -> Result<Vec<Result<Txid, ChainError>>, ChainError> {
        let verdicts = self.ground.submit_package(transactions)?;
        let taken = transactions.iter().zip(&verdicts).filter(|(_, verdict)| verdict.is_ok());
        taken.for_each(|(tx, _)| self.show(tx));
        Ok(verdicts)
    }

    /// Takes the tip out of the chain; its transactions go back to the mempool.
    pub fn unmine(&mut self) -> Result<(), WorldError> {
        self.drain()?;
        let height = self.ground.tip().height;
        self.ground.unmine()?;
        self.transcript.turn(0, Cause::Unmined { height });
        self.note(format!("the block at height {height} is taken out of the chain"));
        if self.live.is_some() {
            self.note_present()?;
            return self.drain();
        }
        for node in 0..self.seats.len() {
            self.queue.push(self.now, node, Happening::BlockGone { height });
        }
        self.show_towers(&Sight::BlockGone(height));
        self.drain()
    }

    fn deliver(&mut self, due: Due) -> Result<(), WorldError> {
        if let Happening::Sight { tower, what } = due.what {
            return self.show_tower(tower, what);
        }
        let Some(due) = self.sleeps_through(due).and_then(|due| self.outlives(due)) else { return Ok(()) };
        let node = due.node;
        match due.what {
            Happening::Message { from, .. } if self.links.holds(from, node) => {
                self.links.hold(due);
                Ok(())
            }
            Happening::Message { from, connection, number, bytes } => {
                if self.links.connection(node, from) != Some(connection) {
                    return Ok(()); // the link broke under it
                }
                let peer = self.seats[from].id;
                self.handle(node, Event::Message { peer, bytes })?;
                self.delivered(from, node, number);
                Ok(())
            }
            Happening::Connected { peer, connection } => {
                if self.links.connection(node, peer) != Some(connection) {
                    return Ok(());
                }
                let peer = self.seats[peer].id;
                self.handle(node, Event::Connected { peer })
            }
            Happening::Disconnected { peer, connection } => {
                if self.links.newest(node, peer) == connection {
                    self.links.take_down(node, peer);
                }
                let peer = self.seats[peer].id;
                self.handle(node, Event::Disconnected { peer })
            }
            Happening::Block(block) => {
                self.seats[node].height = block.height.get();
                self.handle(node, Event::BlockConnected(block))
            }
            Happening::Unconfirmed(tx) => self.handle(node, Event::Unconfirmed(tx)),
            Happening::BlockGone { height } => {
                self.seats[node].height = height.saturating_sub(1);
                self.handle(node, Event::BlockDisconnected { height: BlockHeight::new(height) })
            }
            Happening::Wake(why) => self.handle(node, Event::Wake(why)),
            Happening::TowerReady => self.handle(node, Event::TowerReady { from: None }),
            Happening::Guarded { locator, part } => self.handle(node, Event::Guarded { locator, part }),
            Happening::Sight { .. } => Ok(()),
        }
    }

    fn send(&mut self, node: usize, peer: NodeId, bytes: Vec<u8>) {
        let Some(to) = self.ids.get(&peer).copied() else { return };
        let Some(connection) = self.links.connection(node, to) else { return };
        self.note_message(node, to, bytes.clone());
        self.entrust(node, to, connection, bytes);
    }

    /// A message sets out: what is remembered of it.
    fn note_message(&mut self, node: usize, to: usize, bytes: Vec<u8>) {
        let height = self.seats[node].height;
        if let Some(offer) = Offered::read(node, to, height, &bytes) {
            // Sent again after a broken link it is still one offer.
            let known = self
                .offered
                .iter()
                .rev()
                .any(|old| (old.from, old.channel, old.id) == (offer.from, offer.channel, offer.id));
            if !known {
                self.offered.push(offer);
            }
        }
        if bytes.starts_with(&Kind::UpdateFulfillHtlc.number().to_be_bytes()) {
            if let Ok(Message::UpdateFulfillHtlc(message)) = Message::decode(&bytes) {
                self.reveal(message.payment_preimage);
            }
        }
        self.transcript.push(self.now, Entry::Message { from: node, to, bytes });
    }

    /// The node drops a connection: what it sent before still arrives, what is on its way to it does not.
    fn hang_up(&mut self, node: usize, peer: NodeId) {
        let Some(other) = self.ids.get(&peer).copied() else { return };
        if self.links.take_down(node, other) {
            self.note(format!("{} hangs up on {}", self.seats[node].name, self.seats[other].name));
            let connection = self.links.newest(node, other);
            self.queue.push(self.now, node, Happening::Disconnected { peer: other, connection });
            let later = self.now.saturating_add(LATENCY);
            self.queue.push(later, other, Happening::Disconnected { peer: node, connection });
        }
    }

    fn broadcast(&mut self, node: usize, tx: &Transaction) -> Result<(), WorldError> {
        if self.is_unheard(node, std::slice::from_ref(tx)) {
            return Ok(());
        }
        let submitted = self.ground.submit(tx);
        self.told_node(node, tx, submitted)
    }

    fn broadcast_package(&mut self, node: usize, transactions: &[Transaction]) -> Result<(), WorldError> {
        if self.is_unheard(node, transactions) {
            return Ok(());
        }
        let submitted = self.ground.submit_package(transactions);
        transactions.iter().zip(submitted?).try_for_each(|(tx, verdict)| self.told_node(node, tx, verdict))
    }

    /// What the chain said to a transaction of the node's own.
    fn told_node(
        &mut self,
        node: usize,
        tx: &Transaction,
        submitted: Result<Txid, ChainError>,
    ) -> Result<(), WorldError> {
        if let Verdict::Refused(reason) = self.told_by_chain(node, tx, submitted)? {
            self.refused.push(Refused { node, txid: tx.compute_txid(), reason });
        }
        Ok(())
    }

    /// Notes what the chain said to a transaction; one that it took is seen by every node.
    fn told_by_chain(
        &mut self,
        node: usize,
        tx: &Transaction,
        submitted: Result<Txid, ChainError>,
    ) -> Result<Verdict, WorldError> {
        let verdict = match submitted {
            Ok(_) => Verdict::Taken,
            Err(ChainError::Refused { reason }) => Verdict::of(reason),
            Err(failure @ ChainError::Backend(_)) => return Err(failure.into()),
        };
        if verdict == Verdict::Taken {
            self.show(tx);
        }
        self.transcript.push(self.now, Entry::Broadcast { node, tx: tx.clone(), verdict: verdict.clone() });
        Ok(verdict)
    }

    /// Every node sees what entered the mempool, unless it is cut off.
    fn show(&mut self, tx: &Transaction) {
        self.learn_from(tx);
        if let Some(live) = &mut self.live {
            live.learn(tx);
            return live.look();
        }
        let tx = Arc::new(tx.clone());
        for node in (0..self.seats.len()).filter(|node| self.sees_mempool(*node)).collect::<Vec<_>>() {
            self.queue.push(self.now, node, Happening::Unconfirmed(tx.clone()));
        }
        self.show_towers(&Sight::Unconfirmed(tx));
    }
}
