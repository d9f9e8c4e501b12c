//! The handle that a scenario gets: open, pay, close, mine, break things, and look. Synchronous: when a call returns, all that
//! follows from it has happened. What goes wrong ends the scenario with a message in words.
//!
//! ```text
//!   let [alice, bob] = net.nodes(["alice", "bob"]);
//!   let channel = net.open(alice, bob, Open::sat(1_000_000));
//!   net.pay(alice, bob, sat(100_000));
//!   net.close(alice, channel);
//!   net.settle();
//!   net.expect_settlement();
//! ```

mod around;
pub mod code;
mod coins;
mod kill;
mod lab;
mod mempool;
mod messages;
mod miner;
mod open;
mod pay;
mod route;
mod settle;
mod spend;
mod tower;

pub use crate::world::{Fault, Kind, Moment, Point};
pub use coins::Coin;
pub use lab::{Lie, State};
pub use open::{ChannelRef, Open};
pub use pay::{Invoice, Payment, Standing};
pub use route::Route;
pub use spend::Spend;
pub use tower::TowerRef;

use crate::catalogue::Scenario;
use crate::checks::Excuse;
use crate::names::{Names, NodeParty, Party};
use crate::run::{Cause, Options};
use crate::settlement::{grouped, Settlement};
use crate::snapshot::SnapshotMode;
use crate::sweep::Probe;
use crate::world::{Ground, Offered, World, WorldError, WorldKind, FEERATE};
use bitcoin::hashes::{sha256, Hash, HashEngine};
use bitcoin::{Amount, ScriptBuf, Transaction, TxOut, Txid};
use lab::Lab;
use leyden_core::ids::{ChannelId, NodeId};
use leyden_core::keys::NodeSeed;
use leyden_core::node::{BalanceInfo, Command, CommandError, KnownChannel, NodeConfig, Notice, Reply};
use leyden_core::units::{Msat, Sat, Timestamp};
use open::ChannelData;
use pay::PaymentData;
use std::collections::BTreeSet;
use std::fmt::Display;

/// So much each node has from the start, unless [`Net::start_coins`] says otherwise.
pub const START_COINS: u64 = 200_000_000;

/// An amount of whole satoshis, as payments count.
pub const fn sat(amount: u64) -> Msat {
    Sat::new(amount).to_msat()
}

/// An amount in thousandths of a satoshi.
pub const fn msat(amount: u64) -> Msat {
    Msat::new(amount)
}

/// A node of the scenario.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct NodeRef(pub(crate) usize);

/// What the net knows of a node.
struct NodeData {
    name: String,
    party: usize,
    config: NodeConfig,
    /// Kept for nothing but the settlement: dust that the scenario lets it burn.
    allowed_dust: u64,
    /// The checks do not hold for it.
    dishonest: bool,
    /// What it may pay the miners, if the scenario says.
    fee_budget: Option<Sat>,
}

/// The handle.
pub struct Net {
    pub(crate) world: World,
    pub(crate) names: Names,
    kind: WorldKind,
    seed: u64,
    scenario: &'static Scenario,
    snapshots: SnapshotMode,
    pub(crate) probe: Probe,
    start_coins: u64,
    nodes: Vec<NodeData>,
    channels: Vec<ChannelData>,
    payments: Vec<PaymentData>,
    network: Vec<KnownChannel>,
    coins: u64,
    never_mined: Vec<Txid>,
    lab: Lab,
    /// Channels that an end called resolved or abandoned, in the first `notices_read` notices.
    resolved: BTreeSet<(NodeRef, ChannelId)>,
    notices_read: usize,
    /// The highest feerate that the scenario asked for, in sat per 1000 weight.
    highest_feerate: u32,
    /// Checks that the scenario expects to fail.
    excuses: Vec<Excuse>,
    expected: bool,
    /// The check or snapshot that ended the run.
    noticed: Option<Cause>,
}

impl Net {
    /// An empty net for one run.
    pub(crate) fn new(scenario: &'static Scenario, options: &Options) -> Result<Self, WorldError> {
        let (kind, seed) = (options.world, options.seed);
        // A planted bug writes no snapshot.
        let snapshots = if options.mutant.is_some() { SnapshotMode::Compare } else { options.snapshots };
        let mut world = World::new(Ground::new(kind)?)?;
        world.plant(options.mutant);
        Ok(Self {
            world,
            names: Names::default(),
            kind,
            seed,
            scenario,
            snapshots,
            probe: Probe::new(options),
            start_coins: START_COINS,
            nodes: Vec::new(),
            channels: Vec::new(),
            payments: Vec::new(),
            network: Vec::new(),
            coins: 0,
            never_mined: Vec::new(),
            lab: Lab::default(),
            resolved: BTreeSet::new(),
            notices_read: 0,
            highest_feerate: FEERATE.get(),
            excuses: Vec::new(),
            expected: false,
            noticed: None,
        })
    }

    /// The world underneath, for scenarios that must know (they should not).
    pub fn world_kind(&self) -> WorldKind {
        self.kind
    }

    /// The run's seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    // ---- nodes ----

    /// Nodes with these names and the default configuration, each with its start coins, confirmed.
    #[track_caller]
    pub fn nodes<const N: usize>(&mut self, names: [&str; N]) -> [NodeRef; N] {
        let nodes = names.map(|name| self.seat(name, NodeConfig::default()));
        self.give_start_coins(&nodes);
        nodes
    }

    /// One node with this configuration, with its start coins, confirmed.
    #[track_caller]
    pub fn node_with(&mut self, name: &str, config: NodeConfig) -> NodeRef {
        let node = self.seat(name, config);
        self.give_start_coins(&[node]);
        node
    }

    /// What every node that comes from now on starts with, in satoshis; none with 0.
    pub fn start_coins(&mut self, sat: u64) {
        self.start_coins = sat;
    }

    /// Gives a node one more coin of this many satoshis from the miner, confirmed.
    #[track_caller]
    pub fn fund(&mut self, node: NodeRef, sat: u64) {
        let script = self.address(node);
        self.fund_scripts(vec![TxOut { value: Amount::from_sat(sat), script_pubkey: script }]);
    }

    fn seat(&mut self, name: &str, config: NodeConfig) -> NodeRef {
        if self.nodes.iter().any(|node| node.name == name) {
            panic!("there is already a node named {name}");
        }
        let bytes = self.secret("node", name);
        let to_self_delay = config.channel.to_self_delay;
        let seed = NodeSeed::new(bytes);
        let node = NodeParty { seed: seed.clone(), to_self_delay };
        let party = self.names.add_party(Party { name: name.into(), node: Some(node) });
        let added = self.world.add_node(name, seed, config.clone());
        let number = self.need(added);
        self.nodes.push(NodeData {
            name: name.into(),
            party,
            config,
            allowed_dust: 0,
            dishonest: false,
            fee_budget: None,
        });
        self.plan_crash(NodeRef(number));
        let known = self.network.clone();
        for channel in known {
            self.done(NodeRef(number), Command::LearnChannel(channel));
        }
        NodeRef(number)
    }

    #[track_caller]
    fn give_start_coins(&mut self, nodes: &[NodeRef]) {
        if self.start_coins == 0 {
            return;
        }
        let value = Amount::from_sat(self.start_coins);
        let outputs = nodes.iter().map(|node| TxOut { value, script_pubkey: self.address(*node) });
        let outputs = outputs.collect();
        let names: Vec<&str> = nodes.iter().map(|node| self.name(*node)).collect();
        let text = format!("the miner gives {} {} sat each", names.join(", "), grouped(self.start_coins));
        self.note(text);
        self.fund_scripts(outputs);
    }

    /// 32 bytes that follow from the run's seed and a name.
    fn secret(&self, kind: &str, name: &str) -> [u8; 32] {
        let mut engine = sha256::Hash::engine();
        engine.input(format!("leyden {kind} {} {name}", self.seed).as_bytes());
        sha256::Hash::from_engine(engine).to_byte_array()
    }

    /// A fresh script of the node's wallet.
    #[track_caller]
    pub fn address(&mut self, node: NodeRef) -> ScriptBuf {
        match self.command(node, Command::NewAddress) {
            Ok(Reply::Address(script)) => script,
            other => self.unexpected(node, "a new address", &other),
        }
    }

    /// A node's name.
    pub fn name(&self, node: NodeRef) -> &str {
        &self.nodes[node.0].name
    }

    /// A node's public name in the network.
    pub fn id(&self, node: NodeRef) -> NodeId {
        self.world.node_id(node.0)
    }

    pub(crate) fn node_count(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn node_name(&self, node: usize) -> &str {
        &self.nodes[node].name
    }

    /// The node behind a public name.
    pub(crate) fn by_id(&self, id: NodeId) -> Option<NodeRef> {
        (0..self.nodes.len()).map(NodeRef).find(|node| self.id(*node) == id)
    }

    /// What the node says that it has, in its wallet and in its channels.
    #[track_caller]
    pub fn balances(&mut self, node: NodeRef) -> BalanceInfo {
        match self.command(node, Command::Balances) {
            Ok(Reply::Balances(balances)) => balances,
            other => self.unexpected(node, "its balances", &other),
        }
    }

    /// Everything that the node told its owner so far, in order.
    pub fn notices(&self, node: NodeRef) -> impl Iterator<Item = &Notice> {
        self.world.notices().iter().filter(move |said| said.node == node.0).map(|said| &said.notice)
    }

    /// Every HTLC that was offered on the wire so far, in order.
    pub fn offered(&self) -> &[Offered] {
        self.world.offered()
    }

    // ---- the network and its faults ----

    /// Runs until nothing is left to do; needed only after `start_` calls.
    #[track_caller]
    pub fn run(&mut self) {
        let result = self.world.drain();
        self.need(result);
    }

    /// Lets seconds of virtual time pass without a block.
    #[track_caller]
    pub fn wait(&mut self, seconds: u64) {
        let result = self.world.wait(Timestamp::new(seconds.saturating_mul(1_000_000)));
        self.need(result);
    }

    // ---- blocks ----

    /// Mines this many blocks, each with all that the mempool holds.
    #[track_caller]
    pub fn mine(&mut self, blocks: u32) {
        self.mine_without(blocks, &[]);
    }

    /// Mines this many blocks with nothing in them.
    #[track_caller]
    pub fn mine_empty(&mut self, blocks: u32) {
        (0..blocks).for_each(|_| self.mine_these(Vec::new()));
    }

    /// Mines this many blocks, but leaves out these transactions and what hangs on them.
    #[track_caller]
    pub fn mine_without(&mut self, blocks: u32, censored: &[Txid]) {
        let never: Vec<Txid> = censored.iter().chain(&self.never_mined).copied().collect();
        self.mine_chosen(blocks, &|tx| never.is_empty() || !never.contains(&tx.compute_txid()));
    }

    /// From now on no block holds this transaction, nor what hangs on it.
    pub fn never_mine(&mut self, txid: Txid) {
        self.never_mined.push(txid);
    }

    #[track_caller]
    fn mine_chosen(&mut self, blocks: u32, wanted: &dyn Fn(&Transaction) -> bool) {
        for _ in 0..blocks {
            let result = self.world.mine(wanted);
            self.need(result);
            self.after_block();
            self.mined();
        }
    }

    /// Takes this many blocks out of the chain; their transactions go back to the mempool.
    #[track_caller]
    pub fn unmine(&mut self, blocks: u32) {
        for _ in 0..blocks {
            let result = self.world.unmine();
            self.need(result);
            self.after_unmining();
        }
    }

    /// The height of the tip.
    pub fn height(&mut self) -> u32 {
        self.world.ground().tip().height
    }

    // ---- ends ----

    /// Gives a node one command, as its owner would. What follows from it happens at the next [`Net::run`].
    #[track_caller]
    pub fn command(&mut self, node: NodeRef, command: Command) -> Result<Reply, CommandError> {
        let result = self.world.command(node.0, command);
        self.need(result)
    }

    /// A command that must succeed; all that follows from it happens too.
    #[track_caller]
    fn done(&mut self, node: NodeRef, command: Command) {
        let reply = self.command(node, command.clone());
        if let Err(error) = reply {
            panic!("{} refuses {command:?}: {error}", self.name(node));
        }
        self.run();
    }

    #[track_caller]
    fn unexpected(&self, node: NodeRef, wanted: &str, got: &Result<Reply, CommandError>) -> ! {
        match got {
            Ok(reply) => panic!("{} was asked for {wanted} and answered {reply:?}", self.name(node)),
            Err(error) => panic!("{} was asked for {wanted} and refused: {error}", self.name(node)),
        }
    }

    #[track_caller]
    pub(crate) fn need<T, E: Display>(&self, result: Result<T, E>) -> T {
        match result {
            Ok(value) => value,
            Err(error) => panic!("{error}"),
        }
    }

    /// Adds one line to the transcript.
    pub fn note(&mut self, text: impl Into<String>) {
        self.world.note(text.into());
    }

    /// The transcript so far, one line for each thing that happened.
    pub fn transcript(&mut self) -> String {
        self.observe_broadcasts();
        self.world.transcript().render(&self.names)
    }

    /// What only the order in one process settled: which of two transactions was first. In words, if there was any.
    pub(crate) fn left_to_chance(&mut self) -> Option<String> {
        let rivals = self.world.transcript().rivals()?;
        self.observe_broadcasts();
        let name = |txid: Txid| self.names.full_label(&txid).unwrap_or_else(|| txid.to_string());
        Some(format!(
            "{} and {} are both handed in, and between processes either may be first, but this scenario is declared for the live world: \
             lose the message that sets off the second one, mine between them, or leave `live` out",
            name(rivals.first),
            name(rivals.second)
        ))
    }

    /// The transcript so far as a ladder.
    pub fn ladder(&mut self) -> String {
        self.observe_broadcasts();
        self.world.transcript().ladder(&self.names)
    }

    /// The settlement as the chain has it now.
    pub fn settlement(&mut self) -> Settlement {
        let lines = self.payment_lines();
        let mut settlement = Settlement::read(self.world.ground().blocks(), &mut self.names, lines);
        settlement.publish(&self.world.transcript().first_broadcasts(&self.names));
        settlement
    }

    /// The check or snapshot that found something wrong, if one did.
    pub(crate) fn noticed(&self) -> Option<Cause> {
        self.noticed
    }

    /// Whether the scenario compared its settlement itself.
    pub(crate) fn has_expected(&self) -> bool {
        self.expected
    }

    /// Names what was broadcast, also if it was never mined.
    pub(crate) fn observe_broadcasts(&mut self) {
        let blocks = self.world.ground().blocks().to_vec();
        self.names.foresee(&blocks);
        for block in blocks {
            block.block.txdata.iter().for_each(|tx| self.names.observe(tx));
        }
        for (_, entry) in self.world.transcript().entries() {
            entry.broadcast().into_iter().for_each(|tx| self.names.observe(tx));
        }
    }
}
