//! Three nodes in a row (0 with 1, 1 with 2) over links that hold every message until it is delivered, and a stranger whom
//! all of them hear. Each save is applied before the turn's actions, as the drivers do.

use crate::chain::{birthday, Chain};
use leyden_core::channel::Env;
use leyden_core::ids::{ChannelId, NodeId, ShortChannelId};
use leyden_core::keys::NodeSeed;
use leyden_core::node::{
    Action, Command, Event, KnownChannel, Node, NodeConfig, Notice, RecordKey, Reply, Turn, Why,
};
use leyden_core::units::{BlockHeight, FeeratePerKw, Timestamp};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, LazyLock};

pub type Records = BTreeMap<RecordKey, Vec<u8>>;

/// How many nodes there are; the stranger's number comes behind theirs.
pub const NODES: usize = 3;
pub const STRANGER: usize = NODES;

/// Sent messages that are remembered, to be said again.
const HISTORY_MAX: usize = 64;
/// Deliveries after which a world that does not come to rest is a finding.
const DELIVERIES_MAX: usize = 20_000;

pub struct World {
    pub nodes: Vec<Node>,
    pub records: Vec<Records>,
    pub env: Env,
    pub chain: Chain,
    /// Messages on their way, by sender and receiver.
    pub links: BTreeMap<(usize, usize), VecDeque<Vec<u8>>>,
    pub history: VecDeque<Vec<u8>>,
    pub invoices: Vec<String>,
    /// Channels by their last names.
    pub channels: BTreeSet<ChannelId>,
    pub names: BTreeSet<ShortChannelId>,
    /// Channels of others that every node was told of.
    pub known: Vec<KnownChannel>,
    /// Payments that a sender saw succeed.
    pub paid: usize,
    waiting: BTreeSet<usize>,
}

pub fn seed(n: usize) -> NodeSeed {
    NodeSeed::new([n as u8 + 1; 32])
}

/// The stranger has an id as well.
pub fn id(n: usize) -> NodeId {
    static IDS: LazyLock<Vec<NodeId>> = LazyLock::new(|| {
        (0..=STRANGER).map(|n| seed(n).node_secret().public_key(secp256k1::SECP256K1)).collect()
    });
    IDS[n]
}

impl World {
    pub fn new() -> Self {
        let node = |n| Node::new(seed(n), NodeConfig::default(), birthday());
        let mut nodes: Vec<Node> = (0..NODES).map(node).collect();
        let records = nodes.iter_mut().map(Node::records).collect();
        Self {
            nodes,
            records,
            env: Env::new(Timestamp::ZERO, BlockHeight::ZERO, FeeratePerKw::new(1000)),
            chain: Chain::new(),
            links: BTreeMap::new(),
            history: VecDeque::new(),
            invoices: Vec::new(),
            channels: BTreeSet::new(),
            names: BTreeSet::new(),
            known: Vec::new(),
            paid: 0,
            waiting: BTreeSet::new(),
        }
    }

    /// The same world after all its nodes were stopped and started.
    pub fn restarted(&self) -> Self {
        let mut world = Self {
            nodes: Vec::new(),
            records: self.records.clone(),
            env: self.env,
            chain: self.chain.clone(),
            links: BTreeMap::new(),
            history: self.history.clone(),
            invoices: self.invoices.clone(),
            channels: self.channels.clone(),
            names: self.names.clone(),
            known: self.known.clone(),
            paid: 0,
            waiting: BTreeSet::new(),
        };
        world.nodes = (0..NODES).map(|n| world.restored(n)).collect();
        for n in 0..NODES {
            world.tell_what_is_known(n);
        }
        world
    }

    fn restored(&self, n: usize) -> Node {
        let restored = Node::restore(seed(n), NodeConfig::default(), birthday(), &self.records[n]);
        let mut node = restored.expect("what was saved can be read");
        assert!(node.records() == self.records[n], "a node is its records");
        node
    }

    /// Stops and starts one node: its links break, and the others notice.
    pub fn restart(&mut self, n: usize) {
        self.nodes[n] = self.restored(n);
        for other in 0..=STRANGER {
            self.links.remove(&(n, other));
            if self.links.remove(&(other, n)).is_some() && other != STRANGER {
                self.event(other, Event::Disconnected { peer: id(n) });
            }
        }
        self.tell_what_is_known(n);
    }

    fn tell_what_is_known(&mut self, n: usize) {
        for known in self.known.clone() {
            self.command(n, Command::LearnChannel(known));
        }
    }

    pub fn connect(&mut self, a: usize, b: usize) {
        if self.links.contains_key(&(a, b)) {
            return;
        }
        self.links.insert((a, b), VecDeque::new());
        self.links.insert((b, a), VecDeque::new());
        self.event(a, Event::Connected { peer: id(b) });
        self.event(b, Event::Connected { peer: id(a) });
    }

    /// Breaks the link; what is on its way is lost.
    pub fn disconnect(&mut self, a: usize, b: usize) {
        let links = [self.links.remove(&(a, b)), self.links.remove(&(b, a))];
        if links.iter().any(Option::is_some) {
            self.event(a, Event::Disconnected { peer: id(b) });
            self.event(b, Event::Disconnected { peer: id(a) });
        }
    }

    /// The message at a place of the queue, the first being the oldest.
    pub fn deliver(&mut self, link: (usize, usize), place: usize) {
        let message = self.links.get_mut(&link).and_then(|queue| queue.remove(place));
        if let Some(bytes) = message {
            self.hear(link.1, link.0, bytes);
        }
    }

    pub fn hear(&mut self, n: usize, from: usize, bytes: Vec<u8>) {
        self.event(n, Event::Message { peer: id(from), bytes });
    }

    pub fn command(&mut self, n: usize, command: Command) {
        self.event(n, Event::Command { call: 1, command });
    }

    pub fn event(&mut self, n: usize, event: Event) {
        if n == STRANGER {
            return;
        }
        let turn = self.nodes[n].handle(event, &self.env);
        self.perform(n, turn);
    }

    /// Wakes whoever asked for it.
    pub fn wake(&mut self) -> bool {
        let woken = self.waiting.pop_first();
        woken.iter().for_each(|n| self.event(*n, Event::Wake(Why::Commit)));
        woken.is_some()
    }

    /// Delivers everything, oldest first, until nothing is left.
    pub fn settle(&mut self) {
        for _ in 0..DELIVERIES_MAX {
            let next = self.links.iter().find(|((_, to), queue)| *to != STRANGER && !queue.is_empty());
            match next.map(|(link, _)| *link) {
                Some(link) => self.deliver(link, 0),
                None if self.wake() => {}
                None => return,
            }
        }
        panic!("the world does not come to rest");
    }

    pub fn mine(&mut self, choice: u8) {
        let block = self.chain.mine(choice);
        self.env.height = block.height;
        (0..NODES).for_each(|n| self.event(n, Event::BlockConnected(block.clone())));
    }

    pub fn unmine(&mut self, floor: u32) {
        let Some(height) = self.chain.unmine(floor) else { return };
        self.env.height = BlockHeight::new(height.get() - 1);
        (0..NODES).for_each(|n| self.event(n, Event::BlockDisconnected { height }));
    }

    fn perform(&mut self, n: usize, turn: Turn) {
        for (key, record) in turn.save.records {
            match record {
                Some(bytes) => drop(self.records[n].insert(key, bytes)),
                None => drop(self.records[n].remove(&key)),
            }
        }
        if turn.wake.is_some() {
            self.waiting.insert(n);
        }
        for action in turn.actions {
            self.act(n, action);
        }
    }

    fn act(&mut self, n: usize, action: Action) {
        match action {
            Action::Send { peer, bytes } => {
                let to = (0..=STRANGER).find(|other| id(*other) == peer);
                if let Some(queue) = to.and_then(|to| self.links.get_mut(&(n, to))) {
                    self.history.push_front(bytes.clone());
                    self.history.truncate(HISTORY_MAX);
                    queue.push_back(bytes);
                }
            }
            Action::Disconnect { peer } => {
                if let Some(other) = (0..=STRANGER).find(|other| id(*other) == peer) {
                    self.disconnect(n, other);
                }
            }
            Action::Broadcast { tx, .. } => self.chain.submit(tx),
            Action::BroadcastPackage { transactions, .. } => {
                transactions.into_iter().for_each(|tx| self.chain.submit(tx));
            }
            Action::Reply { result: Ok(Reply::Invoice { text, .. }), .. } => self.invoices.push(text),
            Action::Reply { result: Ok(Reply::Address(script)), .. } => {
                if self.chain.height() == 0 {
                    self.chain.gift(script, 10_000_000);
                }
            }
            Action::Reply { result: Ok(Reply::Opening { temporary }), .. } => {
                self.channels.insert(temporary);
            }
            Action::Reply { .. } => {}
            Action::Notice(Notice::ChannelReady { channel, short_channel_id }) => {
                self.channels.insert(channel);
                self.names.insert(short_channel_id);
            }
            Action::Notice(Notice::ChannelNamed { temporary, channel }) => {
                self.channels.remove(&temporary);
                self.channels.insert(channel);
            }
            Action::Notice(Notice::PaymentSent { .. }) => self.paid += 1,
            Action::Notice(_) => {}
        }
    }

    /// Shows a transaction of the mempool to a node.
    pub fn show(&mut self, n: usize, place: usize) {
        let tx = self.chain.mempool.get(place).cloned();
        tx.into_iter().for_each(|tx| self.event(n, Event::Unconfirmed(Arc::clone(&tx))));
    }
}
