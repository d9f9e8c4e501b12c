//! A row of nodes with a channel between neighbours, and payments from its first to its last and back.
//! Time is taken over paying only; invoices are written before.

use leyden_core::channel::OpenRequest;
use leyden_core::keys::NodeSeed;
use leyden_core::node::{Command, KnownChannel, NodeConfig, Notice, Reply};
use leyden_core::tx::ChannelType;
use leyden_core::units::{FeeratePerKw, Msat, Sat};
use leyden_harness::world::{Ground, World, WorldKind};
use std::time::{Duration, Instant};

/// The largest channel without a feature of its own (BOLT 2).
const FUNDING: Sat = Sat::new(16_777_215);
/// Half of it starts on the other side.
const PUSH: Msat = Msat::new(8_000_000_000);
/// Above every dust limit.
const AMOUNT: Msat = Msat::new(1_000_000);
const FEERATE: FeeratePerKw = FeeratePerKw::new(1000);

/// A row of nodes.
pub struct Lane {
    world: World,
    ends: [usize; 2],
    forth: bool,
}

impl Lane {
    /// Opens `channels` channels in a row.
    pub fn open(channels: usize) -> Self {
        let mut world = World::new(Ground::new(WorldKind::Sim).expect("the embedded chain starts"))
            .expect("no processes");
        let nodes: Vec<usize> = (0..=channels).map(|number| seat(&mut world, number)).collect();
        fund(&mut world, &nodes);
        for pair in nodes.windows(2) {
            open(&mut world, pair[0], pair[1]);
        }
        let known = learn(&world, &nodes);
        for node in &nodes {
            for channel in &known {
                ask(&mut world, *node, Command::LearnChannel(*channel));
            }
        }
        Self { world, ends: [nodes[0], nodes[channels]], forth: true }
    }

    /// So many payments begun at once, until the last is settled. The next call goes the other way.
    pub fn at_once(&mut self, payments: u64) -> Duration {
        let [from, to] = if self.forth { self.ends } else { [self.ends[1], self.ends[0]] };
        self.forth = !self.forth;
        let invoices: Vec<String> = (0..payments).map(|_| self.invoice(to)).collect();
        let before = self.world.notices().len();
        let begin = Instant::now();
        for invoice in invoices {
            let pay = Command::Pay { invoice, amount: None, max_fee: Msat::new(100_000) };
            let begun = self.world.command(from, pay).expect("the world runs");
            assert!(matches!(begun, Ok(Reply::Paying { .. })), "{begun:?}");
        }
        self.world.drain().expect("the payments come to an end");
        let time = begin.elapsed();
        let sent = |notice: &Notice| matches!(notice, Notice::PaymentSent { .. });
        let done = self.world.notices()[before..].iter().filter(|said| sent(&said.notice)).count();
        assert_eq!(done as u64, payments, "every payment settles");
        time
    }

    fn invoice(&mut self, to: usize) -> String {
        let command =
            Command::Invoice { amount: Some(AMOUNT), description: String::new(), min_final_cltv_delta: None };
        match ask(&mut self.world, to, command) {
            Reply::Invoice { text, .. } => text,
            other => panic!("an invoice, not {other:?}"),
        }
    }
}

fn seat(world: &mut World, number: usize) -> usize {
    world
        .add_node(&format!("node{number}"), NodeSeed::new([number as u8 + 1; 32]), NodeConfig::default())
        .expect("no process")
}

fn fund(world: &mut World, nodes: &[usize]) {
    let outputs = nodes.iter().map(|node| match ask(world, *node, Command::NewAddress) {
        Reply::Address(script_pubkey) => {
            bitcoin::TxOut { value: bitcoin::Amount::from_sat(100_000_000), script_pubkey }
        }
        other => panic!("an address, not {other:?}"),
    });
    let outputs = outputs.collect();
    world.ground().fund(outputs).expect("the faucet pays");
    world.mine(&|_| true).expect("a block");
    world.drain().expect("the nodes rest");
}

fn open(world: &mut World, from: usize, to: usize) {
    world.connect(from, to).expect("no process");
    world.drain().expect("the link stands");
    let request = OpenRequest {
        peer: world.node_id(to),
        funding_amount: FUNDING,
        push: PUSH,
        channel_type: ChannelType::AnchorsZeroFeeHtlc,
        commitment_feerate: FEERATE,
        funding_feerate: FEERATE,
        public: true,
    };
    ask(world, from, Command::Open(request));
    world.drain().expect("the opening goes through");
    (0..6).for_each(|_| world.mine(&|_| true).expect("a block"));
    world.drain().expect("both ends see the last block");
}

/// Both directions of every channel, as the nodes' notices name them.
fn learn(world: &World, nodes: &[usize]) -> Vec<KnownChannel> {
    let mut known = Vec::new();
    let ready = world.notices().iter().filter_map(|said| match &said.notice {
        Notice::ChannelReady { short_channel_id, .. } => Some((said.node, *short_channel_id)),
        _ => None,
    });
    let ready: Vec<_> = ready.collect();
    for pair in nodes.windows(2) {
        let has = |node: usize, scid| ready.contains(&(node, scid));
        let shared = ready.iter().find(|(node, scid)| *node == pair[0] && has(pair[1], *scid));
        let short_channel_id = shared.expect("neighbours share a channel").1;
        for (from, to) in [(pair[0], pair[1]), (pair[1], pair[0])] {
            known.push(KnownChannel {
                short_channel_id,
                from: world.node_id(from),
                to: world.node_id(to),
                capacity: FUNDING,
                policy: NodeConfig::default().forward,
            });
        }
    }
    known
}

fn ask(world: &mut World, node: usize, command: Command) -> Reply {
    match world.command(node, command).expect("the world runs") {
        Ok(reply) => reply,
        Err(error) => panic!("refused: {error}"),
    }
}
