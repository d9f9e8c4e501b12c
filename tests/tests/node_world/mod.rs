//! Some nodes, one queue, a chain that believes everything: enough to see whole nodes at work without a real chain.
//! Every save is applied before the turn's actions, and can be read back into a node at any point.
#![allow(dead_code)] // each test target uses a part of it

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::constants::genesis_block;
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version as TxVersion;
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn,
    TxMerkleNode, TxOut, Txid, Witness,
};
use leyden_core::channel::{Env, OpenRequest};
use leyden_core::ids::{ChannelId, NodeId, PaymentHash, ShortChannelId};
use leyden_core::keys::NodeSeed;
use leyden_core::node::{
    Action, ChannelInfo, Command, CommandError, Event, ForwardPolicy, KnownChannel, NewBlock, Node,
    NodeConfig, Notice, PaymentFailure, PaymentInfo, PaymentOutcome, RecordKey, Reply, Turn, Why,
};
use leyden_core::tx::ChannelType;
use leyden_core::units::{BlockHeight, FeeratePerKw, Msat, Sat, Timestamp};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

pub type Records = BTreeMap<RecordKey, Vec<u8>>;

pub struct World {
    pub nodes: Vec<Node>,
    pub configs: Vec<NodeConfig>,
    pub records: Vec<Records>,
    pub notices: Vec<(usize, Notice)>,
    pub env: Env,
    pub mempool: Vec<Transaction>,
    queue: VecDeque<(usize, Event)>,
    links: BTreeSet<(usize, usize)>,
    waiting: BTreeSet<usize>,
    replies: VecDeque<Result<Reply, CommandError>>,
    tip: BlockHash,
    seen: BTreeSet<Txid>,
    /// Read the records back after each save, as if the node had crashed right then.
    pub check_saves: bool,
    /// Messages to nodes that are not linked with their sender: from, to, bytes. Whoever plays such a node reads them here.
    pub unheard: VecDeque<(usize, usize, Vec<u8>)>,
    /// Every event so far, with the node that it was for and what the world was like.
    pub history: Vec<(usize, Event, Env)>,
    salt: u32,
}

pub fn seed(n: usize) -> NodeSeed {
    NodeSeed::new([n as u8 + 1; 32])
}

pub fn birthday() -> (BlockHeight, BlockHash) {
    (BlockHeight::ZERO, genesis_block(Network::Regtest).block_hash())
}

impl World {
    /// That many nodes, each with 10,000,000 sat, all connected with each other.
    pub fn new(count: usize) -> Self {
        Self::with(vec![NodeConfig::default(); count])
    }

    pub fn with(configs: Vec<NodeConfig>) -> Self {
        let nodes =
            configs.iter().enumerate().map(|(n, config)| Node::new(seed(n), config.clone(), birthday()));
        let nodes: Vec<Node> = nodes.collect();
        let count = nodes.len();
        let (height, feerate) = (BlockHeight::ZERO, FeeratePerKw::new(1000));
        let mut world = Self {
            nodes,
            configs,
            records: vec![Records::new(); count],
            notices: Vec::new(),
            env: Env::new(Timestamp::ZERO, height, feerate),
            mempool: Vec::new(),
            queue: VecDeque::new(),
            links: BTreeSet::new(),
            waiting: BTreeSet::new(),
            replies: VecDeque::new(),
            tip: birthday().1,
            seen: BTreeSet::new(),
            check_saves: false,
            unheard: VecDeque::new(),
            history: Vec::new(),
            salt: 0,
        };
        for n in 0..count {
            (n + 1..count).for_each(|other| world.connect(n, other));
            let Ok(Reply::Address(script)) = world.command(n, Command::NewAddress) else {
                panic!("no address")
            };
            world.gift(script, 10_000_000);
        }
        world.mine(1);
        world
    }

    pub fn id(&self, n: usize) -> NodeId {
        self.nodes[n].id()
    }

    fn index(&self, id: NodeId) -> usize {
        self.nodes.iter().position(|node| node.id() == id).expect("a node of this world")
    }

    pub fn connect(&mut self, a: usize, b: usize) {
        self.links.extend([(a, b), (b, a)]);
        let (id_a, id_b) = (self.id(a), self.id(b));
        self.queue.push_back((a, Event::Connected { peer: id_b }));
        self.queue.push_back((b, Event::Connected { peer: id_a }));
        self.run();
    }

    pub fn disconnect(&mut self, a: usize, b: usize) {
        self.links.remove(&(a, b));
        self.links.remove(&(b, a));
        let (id_a, id_b) = (self.id(a), self.id(b));
        self.queue.push_back((a, Event::Disconnected { peer: id_b }));
        self.queue.push_back((b, Event::Disconnected { peer: id_a }));
        self.run();
    }

    /// Breaks a link; what is on its way over it is lost.
    pub fn lose(&mut self, a: usize, b: usize) {
        let (id_a, id_b) = (self.id(a), self.id(b));
        self.queue.retain(|(to, event)| match event {
            Event::Message { peer, .. } => (*to, *peer) != (a, id_b) && (*to, *peer) != (b, id_a),
            _ => true,
        });
        self.disconnect(a, b);
    }

    /// Delivers until nothing is left; commitments are signed when the queue is empty.
    pub fn run(&mut self) {
        self.run_until(|_, _| false);
    }

    /// Delivers until a turn, already performed, is the one looked for.
    pub fn run_until(&mut self, found: impl Fn(usize, &Turn) -> bool) {
        for _ in 0..100_000 {
            let (n, event) = match self.queue.pop_front() {
                Some(next) => next,
                None => match self.waiting.pop_first() {
                    Some(n) => (n, Event::Wake(Why::Commit)),
                    None => return,
                },
            };
            self.history.push((n, event.clone(), self.env));
            let turn = self.nodes[n].handle(event, &self.env);
            let stop = found(n, &turn);
            self.perform(n, turn);
            if stop {
                return;
            }
        }
        panic!("the world does not come to rest");
    }

    pub fn deliver(&mut self, n: usize, event: Event) {
        self.history.push((n, event.clone(), self.env));
        let turn = self.nodes[n].handle(event, &self.env);
        self.perform(n, turn);
    }

    fn perform(&mut self, n: usize, turn: Turn) {
        let saved = !turn.save.records.is_empty();
        for (key, record) in turn.save.records {
            match record {
                Some(bytes) => self.records[n].insert(key, bytes),
                None => self.records[n].remove(&key),
            };
        }
        if saved && self.check_saves {
            let restored = Node::restore(seed(n), self.configs[n].clone(), birthday(), &self.records[n]);
            assert_eq!(restored.expect("a readable save").records(), self.records[n]);
        }
        for action in turn.actions {
            match action {
                Action::Send { peer, bytes } => {
                    let (to, from) = (self.index(peer), self.id(n));
                    if self.links.contains(&(n, to)) {
                        self.queue.push_back((to, Event::Message { peer: from, bytes }));
                    } else {
                        self.unheard.push_back((n, to, bytes));
                    }
                }
                Action::Disconnect { peer } => {
                    let other = self.index(peer);
                    self.disconnect_later(n, other);
                }
                Action::Broadcast { tx, .. } => {
                    if self.seen.insert(tx.compute_txid()) {
                        self.mempool.push(tx);
                    }
                }
                Action::BroadcastPackage { transactions, .. } => {
                    let new = transactions.into_iter().filter(|tx| self.seen.insert(tx.compute_txid()));
                    self.mempool.extend(new);
                }
                // None of these nodes has a tower.
                Action::Guard { .. } => {}
                Action::Reply { result, .. } => self.replies.push_back(result),
                Action::Notice(notice) => self.notices.push((n, notice)),
            }
        }
        if turn.wake.is_some() {
            self.waiting.insert(n);
        }
    }

    fn disconnect_later(&mut self, a: usize, b: usize) {
        if self.links.remove(&(a, b)) {
            self.links.remove(&(b, a));
            let (id_a, id_b) = (self.id(a), self.id(b));
            self.queue.push_back((a, Event::Disconnected { peer: id_b }));
            self.queue.push_back((b, Event::Disconnected { peer: id_a }));
        }
    }

    /// One command, and all that it leads to.
    pub fn command(&mut self, n: usize, command: Command) -> Result<Reply, CommandError> {
        self.replies.clear();
        self.order(n, command);
        self.run();
        self.replies.pop_front().expect("every command is answered")
    }

    /// A command whose consequences wait.
    pub fn order(&mut self, n: usize, command: Command) {
        self.deliver(n, Event::Command { call: 1, command });
    }

    /// A coin from nowhere, in the next block.
    pub fn gift(&mut self, to: ScriptBuf, sat: u64) {
        self.salt += 1;
        let mut source = [0; 32];
        source[..4].copy_from_slice(&self.salt.to_le_bytes());
        self.mempool.push(Transaction {
            version: TxVersion::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn {
                previous_output: OutPoint::new(Txid::from_byte_array(source), 0),
                script_sig: ScriptBuf::new(),
                sequence: Sequence::MAX,
                witness: Witness::new(),
            }],
            output: vec![TxOut { value: Amount::from_sat(sat), script_pubkey: to }],
        });
    }

    pub fn mine(&mut self, count: u32) {
        for _ in 0..count {
            let height = BlockHeight::new(self.env.height.get() + 1);
            let header = Header {
                version: Version::TWO,
                prev_blockhash: self.tip,
                merkle_root: TxMerkleNode::all_zeros(),
                time: height.get(),
                bits: CompactTarget::from_consensus(0x207f_ffff),
                nonce: 0,
            };
            let block = Block { header, txdata: std::mem::take(&mut self.mempool) };
            self.tip = block.block_hash();
            self.env.height = height;
            let block = Arc::new(NewBlock { height, hash: self.tip, block });
            for n in 0..self.nodes.len() {
                self.queue.push_back((n, Event::BlockConnected(block.clone())));
            }
            self.run();
        }
    }

    pub fn open_request(&self, to: usize, sat: u64, push: u64) -> OpenRequest {
        OpenRequest {
            peer: self.id(to),
            funding_amount: Sat::new(sat),
            push: Sat::new(push).to_msat(),
            channel_type: ChannelType::AnchorsZeroFeeHtlc,
            commitment_feerate: FeeratePerKw::new(1000),
            funding_feerate: FeeratePerKw::new(1000),
            public: true,
        }
    }

    /// Opens a channel and mines until it is ready; everyone else learns of it in both directions.
    pub fn open(&mut self, from: usize, to: usize, sat: u64, push: u64) -> (ChannelId, ShortChannelId) {
        let request = self.open_request(to, sat, push);
        let before = self.notices.len();
        let reply = self.command(from, Command::Open(request));
        assert!(matches!(reply, Ok(Reply::Opening { .. })), "{reply:?}");
        self.mine(6);
        let ready = self.notices[before..].iter().find_map(|(n, notice)| match notice {
            Notice::ChannelReady { channel, short_channel_id } if *n == from => {
                Some((*channel, *short_channel_id))
            }
            _ => None,
        });
        let (channel, name) = ready.unwrap_or_else(|| panic!("not ready: {:?}", &self.notices[before..]));
        self.announce(name, from, to, sat);
        self.announce(name, to, from, sat);
        (channel, name)
    }

    fn announce(&mut self, short_channel_id: ShortChannelId, from: usize, to: usize, sat: u64) {
        let policy = self.configs[from].forward;
        let known = KnownChannel {
            short_channel_id,
            from: self.id(from),
            to: self.id(to),
            capacity: Sat::new(sat),
            policy,
        };
        for n in 0..self.nodes.len() {
            self.command(n, Command::LearnChannel(known)).expect("there is room");
        }
    }

    pub fn invoice(&mut self, n: usize, msat: u64) -> (String, PaymentHash) {
        let command = Command::Invoice {
            amount: Some(Msat::new(msat)),
            description: "a test".to_owned(),
            min_final_cltv_delta: None,
        };
        match self.command(n, command) {
            Ok(Reply::Invoice { text, payment_hash }) => (text, payment_hash),
            other => panic!("no invoice: {other:?}"),
        }
    }

    pub fn pay_invoice(&mut self, from: usize, invoice: &str) -> Result<Reply, CommandError> {
        let max_fee = Msat::new(1_000_000);
        self.command(from, Command::Pay { invoice: invoice.to_owned(), amount: None, max_fee })
    }

    /// Pays and gives the fee, or the failure.
    pub fn pay(&mut self, from: usize, to: usize, msat: u64) -> Result<u64, PaymentFailure> {
        let (text, hash) = self.invoice(to, msat);
        self.pay_invoice(from, &text).expect("the payment begins");
        self.result(from, hash)
    }

    /// How a payment ended. It ended exactly once, and the notices say so too.
    pub fn result(&mut self, n: usize, hash: PaymentHash) -> Result<u64, PaymentFailure> {
        let ends = self.notices.iter().filter(|(at, notice)| *at == n && ends(notice, hash)).count();
        assert_eq!(ends, 1, "one terminal result");
        let payments = self.payments(n);
        let info = payments.iter().find(|info| info.payment_hash == hash).expect("a known payment");
        match info.outcome.clone().expect("an ended payment") {
            PaymentOutcome::Succeeded { preimage } => {
                assert_eq!(preimage.payment_hash(), hash);
                Ok(info.fee.get())
            }
            PaymentOutcome::Failed { failure } => Err(failure),
        }
    }

    pub fn payments(&mut self, n: usize) -> Vec<PaymentInfo> {
        match self.command(n, Command::ListPayments) {
            Ok(Reply::Payments(payments)) => payments,
            other => panic!("{other:?}"),
        }
    }

    pub fn channels(&mut self, n: usize) -> Vec<ChannelInfo> {
        match self.command(n, Command::ListChannels) {
            Ok(Reply::Channels(channels)) => channels,
            other => panic!("{other:?}"),
        }
    }

    /// Our side's balance of one channel, in msat; nothing may be pending.
    pub fn balance(&mut self, n: usize, channel: ChannelId) -> u64 {
        let channels = self.channels(n);
        let info = channels.iter().find(|info| info.channel_id == channel).expect("a channel of this node");
        assert_eq!(info.pending_htlcs, 0);
        info.to_local.get()
    }
}

fn ends(notice: &Notice, hash: PaymentHash) -> bool {
    match notice {
        Notice::PaymentSent { payment_hash, .. } | Notice::PaymentFailed { payment_hash, .. } => {
            *payment_hash == hash
        }
        _ => false,
    }
}

/// A policy with this base fee and delta, and 100 ppm.
pub fn policy(fee_base: u64, cltv_expiry_delta: u32) -> ForwardPolicy {
    ForwardPolicy { fee_base: Msat::new(fee_base), cltv_expiry_delta, ..ForwardPolicy::default() }
}
