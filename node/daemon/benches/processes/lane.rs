//! A row of node processes with a channel between neighbours, and payments from its first to its last and back. Time is taken from
//! the first command to the last `payment_sent`; invoices are written before.
use super::run::{Core, Node};
use leyden_core::ids::{ChannelId, NodeId, ShortChannelId};
use leyden_core::node::{KnownChannel, Notice};
use leyden_core::tx::ChannelType;
use leyden_core::units::{BlockHeight, FeeratePerKw, Msat, Sat};
use leyden_node::control::client::{Client, Events};
use leyden_node::control::{Call, StreamItem, BATCH_MAX};
use serde_json::Value;
use std::time::{Duration, Instant};

/// The largest channel without a feature of its own (BOLT 2).
const FUNDING: Sat = Sat::new(16_777_215);
/// Half of it starts on the other side.
const PUSH: Msat = Msat::new(8_000_000_000);
/// Above every dust limit.
const AMOUNT: Msat = Msat::new(1_000_000);
const FEERATE: FeeratePerKw = FeeratePerKw::new(1000);
/// So many openings go on at once: a peer allows no more.
const AT_ONCE: usize = 4;

/// A row of nodes.
pub struct Lane {
    nodes: Vec<Node>,
    forth: bool,
    /// Of the first node.
    pub start: Duration,
    memory: u64,
}

impl Lane {
    /// Opens so many channels in a row.
    pub fn open(core: &Core, channels: usize) -> Self {
        let start = |number| Node::start(core, &format!("row{channels}-{number}"));
        let mut nodes: Vec<Node> = (0..=channels).map(start).collect();
        // The first of all may have waited for Core; the second did not.
        let (begun, memory) = (nodes[1].start, nodes[1].memory());
        let addresses =
            nodes.iter_mut().map(|node| node.client.newaddress().expect("an address").to_string());
        let addresses: Vec<String> = addresses.collect();
        for address in &addresses {
            core.mine(1, address);
        }
        core.mine(100, &addresses[channels]);
        let mut known = Vec::new();
        for from in 0..channels {
            let scid = open(core, &mut nodes, from, &addresses[channels]);
            for (a, b) in [(from, from + 1), (from + 1, from)] {
                let (from, to) = (nodes[a].id, nodes[b].id);
                known.push(KnownChannel {
                    short_channel_id: scid,
                    from,
                    to,
                    capacity: FUNDING,
                    policy: Default::default(),
                });
            }
        }
        // What is measured begins when all have seen the last block.
        mine(core, &mut nodes, 1, &addresses[channels]);
        for node in &mut nodes {
            for known in &known {
                node.client.call(&Call::LearnChannel { known: *known }).expect("a channel to learn");
            }
        }
        Self { nodes, forth: true, start: begun, memory }
    }

    pub fn channels(&self) -> u64 {
        self.nodes.len() as u64 - 1
    }

    /// What an idle node has in memory, in bytes.
    pub fn memory(&self) -> u64 {
        self.memory
    }

    /// How often each node made something durable.
    pub fn commits(&mut self) -> Vec<u64> {
        self.nodes.iter_mut().map(|node| node.client.getinfo().expect("it runs").commits).collect()
    }

    /// So many payments begun at once, until the last is settled. The next call goes the other way.
    pub fn pay(&mut self, payments: usize) -> Duration {
        let last = self.nodes.len() - 1;
        let (from, to) = if self.forth { (0, last) } else { (last, 0) };
        self.forth = !self.forth;
        let invoice =
            Call::Invoice { amount: Some(AMOUNT), description: String::new(), min_final_cltv_delta: None };
        let invoices = vec![invoice; payments];
        let written = invoices.chunks(BATCH_MAX).flat_map(|calls| {
            let answers = self.nodes[to].client.batch(calls).expect("invoices");
            answers.into_iter().map(|answer| text(&answer.expect("an invoice"), "invoice"))
        });
        let pays: Vec<Call> = written
            .map(|invoice| Call::Pay { invoice, amount: None, max_fee: Some(Msat::new(100_000)) })
            .collect();
        let mut events = self.nodes[from].client.events(None).expect("events");
        // Connected before: whoever pays has a connection.
        let folder = &self.nodes[from].folder;
        let clients: Vec<Client> = pays
            .chunks(BATCH_MAX)
            .map(|_| {
                let mut client = Client::from_folder(folder).expect("it runs");
                client.getinfo().expect("it answers");
                client
            })
            .collect();
        let begin = Instant::now();
        std::thread::scope(|scope| {
            for (mut client, calls) in clients.into_iter().zip(pays.chunks(BATCH_MAX)) {
                scope.spawn(move || {
                    let answers = client.batch(calls).expect("payments");
                    answers.into_iter().for_each(|answer| drop(answer.expect("it is begun")));
                });
            }
            let sent = |notice: &Notice| matches!(notice, Notice::PaymentSent { .. });
            (0..payments).for_each(|_| drop(until(&mut events, sent)));
        });
        begin.elapsed()
    }
}

/// Two nodes with so many channels between them; what the greater of the two has in memory with all of them, and what it had before
/// the first, in bytes.
pub fn memory_with(core: &Core, channels: usize) -> (u64, u64) {
    let mut nodes = ["many-0", "many-1"].map(|name| Node::start(core, name));
    let before = nodes.iter().map(Node::memory).max().unwrap_or_default();
    let miner = nodes[0].client.newaddress().expect("an address").to_string();
    mine(core, &mut nodes, 111, &miner);
    let (peer, address) = (nodes[1].id, nodes[1].address.clone());
    nodes[0].client.connect_peer(peer, &address).expect("they connect");
    let mut events = nodes[0].client.events(None).expect("events");
    for batch in (0..channels).collect::<Vec<_>>().chunks(AT_ONCE) {
        let named = batch.iter().map(|_| {
            nodes[0].client.call(&request(peer, Sat::new(100_000), Msat::ZERO)).expect("the opening begins");
            channel_named(&mut events)
        });
        let named: Vec<ChannelId> = named.collect();
        named.into_iter().for_each(|channel| published(&mut nodes[0].client, channel));
        mine(core, &mut nodes, 1, &miner);
    }
    mine(core, &mut nodes, 6, &miner);
    (before, nodes.iter().map(Node::memory).max().unwrap_or_default())
}

/// So many blocks, which all of these nodes take in.
fn mine(core: &Core, nodes: &mut [Node], blocks: u32, miner: &str) {
    let height = BlockHeight::new(core.mine(blocks, miner));
    for node in nodes {
        node.client.call(&Call::WaitBlock { height }).expect("the block");
    }
}

fn request(peer: NodeId, funding_amount: Sat, push: Msat) -> Call {
    Call::OpenChannel {
        peer,
        funding_amount,
        push,
        channel_type: ChannelType::AnchorsZeroFeeHtlc,
        commitment_feerate: Some(FEERATE),
        funding_feerate: Some(FEERATE),
        public: true,
    }
}

fn channel_named(events: &mut Events) -> ChannelId {
    match until(events, |notice| matches!(notice, Notice::ChannelNamed { .. })) {
        Notice::ChannelNamed { channel, .. } => channel,
        other => unreachable!("{other:?} was not asked for"),
    }
}

/// Opens a channel to the next node, and waits until both can use it.
fn open(core: &Core, nodes: &mut [Node], from: usize, miner: &str) -> ShortChannelId {
    mine(core, nodes, 1, miner);
    let (peer, address) = (nodes[from + 1].id, nodes[from + 1].address.clone());
    nodes[from].client.connect_peer(peer, &address).expect("they connect");
    let mut ours = nodes[from].client.events(None).expect("events");
    let mut theirs = nodes[from + 1].client.events(None).expect("events");
    nodes[from].client.call(&request(peer, FUNDING, PUSH)).expect("the opening begins");
    let channel = channel_named(&mut ours);
    published(&mut nodes[from].client, channel);
    core.mine(6, miner);
    let ready =
        |notice: &Notice| matches!(notice, Notice::ChannelReady { channel: id, .. } if *id == channel);
    until(&mut theirs, ready);
    match until(&mut ours, ready) {
        Notice::ChannelReady { short_channel_id, .. } => short_channel_id,
        other => unreachable!("{other:?} was not asked for"),
    }
}

fn published(client: &mut Client, channel: ChannelId) {
    client.call(&Call::Published { channel, more_than: Some(0) }).expect("the funding");
}

/// The next event that fits.
fn until(events: &mut Events, fits: impl Fn(&Notice) -> bool) -> Notice {
    loop {
        let item = events.next_within(Duration::from_secs(120)).expect("events go on");
        match item.expect("the node runs") {
            StreamItem::Notice { notice, .. } if fits(&notice) => return notice,
            StreamItem::Notice { notice: Notice::PaymentFailed { failure, .. }, .. } => panic!("{failure:?}"),
            StreamItem::Notice { .. } => {}
            StreamItem::Lagged { .. } => panic!("events were missed"),
        }
    }
}

fn text(answer: &Value, name: &str) -> String {
    answer[name].as_str().expect("a text").to_owned()
}
