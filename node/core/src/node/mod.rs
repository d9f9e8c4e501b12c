//! The node: owns peers, channels, payments, wallet. `handle(event, &env)` gives one turn: save, then act.
//! The daemon and the simulated world only carry events in and turns out.
//!
//! ```text
//!   event ─► handler ─► channel steps ─► effects ─► tasks for other channels ─► … ─► Turn { save, actions, wake }
//! ```
//! All that one event led to, on however many channels, is one batch: either all of it is durable or nothing of it.

mod api;
mod blocks;
mod channels;
mod commands;
mod draft;
mod forwards;
mod guard;
mod info;
#[cfg(feature = "lab")]
mod lab;
mod payments;
mod peers;
mod records;

pub use api::*;
pub use records::RestoreError;

use crate::chain::Wallet;
use crate::channel::{Channel, Env};
use crate::ids::{ChannelId, NodeId, PaymentHash, ShortChannelId};
use crate::keys::NodeSeed;
use crate::payment::forward::Forward;
use crate::payment::incoming::OwnInvoice;
use crate::payment::outgoing::Outgoing;
use crate::payment::route::Network;
use crate::peer::Peer;
use crate::tower::Locator;
use crate::units::BlockHeight;
use bitcoin::{BlockHash, ScriptBuf};
use draft::Draft;
use guard::Unguarded;
use secp256k1::SecretKey;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A whole node.
pub struct Node {
    seed: NodeSeed,
    config: NodeConfig,
    secret: SecretKey,
    id: NodeId,
    counters: Counters,
    wallet: Wallet,
    peers: BTreeMap<NodeId, Peer>,
    channels: BTreeMap<ChannelId, Channel>,
    /// Channels that are ready, by the name that routes use.
    by_scid: BTreeMap<ShortChannelId, ChannelId>,
    /// Channels with updates to sign once the queue drained.
    due: BTreeSet<ChannelId>,
    network: Network,
    outgoing: BTreeMap<PaymentHash, Outgoing>,
    /// Attempts under way, by number.
    attempts: BTreeMap<u64, PaymentHash>,
    invoices: BTreeMap<PaymentHash, OwnInvoice>,
    /// HTLCs that pay an invoice, fulfilled but not yet irrevocably ours.
    claims: BTreeMap<(ChannelId, u64), PaymentHash>,
    forwards: BTreeMap<(ChannelId, u64), Forward>,
    /// Forwards that ended downstream, and whose incoming channel could not be told yet.
    untold: BTreeSet<(ChannelId, u64)>,
    /// Forwards whose incoming channel was told, and is not on record with it yet.
    told: BTreeSet<(ChannelId, u64)>,
    /// Channels whose next keys may not be derived yet.
    unprepared: BTreeSet<ChannelId>,
    /// What the tower has not acknowledged yet, by locator and part.
    unguarded: BTreeMap<(Locator, u16), Unguarded>,
    /// Scripts that were handed out to openings which came to nothing. Not on record: lost ones are only not used.
    unused_scripts: Vec<ScriptBuf>,
    /// Read back from records, and no event came yet.
    starting: bool,
    /// What belongs on the chain was not broadcast again since the start.
    resuming: bool,
}

/// What is counted so that nothing derived from the seed is ever used twice; durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
struct Counters {
    /// Channels begun, accepted ones included: the index of their keys.
    channels: u64,
    /// Attempts at payments: their numbers and session keys.
    attempts: u64,
    /// Invoices made: their preimages and secrets.
    invoices: u64,
    /// The height of the last block seen.
    tip: BlockHeight,
}

impl Counters {
    fn take(counter: &mut u64) -> u64 {
        let taken = *counter;
        *counter = counter.saturating_add(1);
        taken
    }
}

impl Node {
    /// A new node that has seen nothing of the chain before the block `birthday`.
    pub fn new(seed: NodeSeed, config: NodeConfig, birthday: (BlockHeight, BlockHash)) -> Self {
        let wallet = Wallet::new(&seed, birthday);
        let counters = Counters { tip: birthday.0, ..Counters::default() };
        Self::assemble(seed, config, wallet, counters)
    }

    fn assemble(seed: NodeSeed, config: NodeConfig, wallet: Wallet, counters: Counters) -> Self {
        let secret = seed.node_secret();
        Self {
            id: secret.public_key(secp256k1::SECP256K1),
            secret,
            seed,
            config,
            counters,
            wallet,
            peers: BTreeMap::new(),
            channels: BTreeMap::new(),
            by_scid: BTreeMap::new(),
            due: BTreeSet::new(),
            network: Network::default(),
            outgoing: BTreeMap::new(),
            attempts: BTreeMap::new(),
            invoices: BTreeMap::new(),
            claims: BTreeMap::new(),
            forwards: BTreeMap::new(),
            untold: BTreeSet::new(),
            told: BTreeSet::new(),
            unprepared: BTreeSet::new(),
            unguarded: BTreeMap::new(),
            unused_scripts: Vec::new(),
            starting: false,
            resuming: false,
        }
    }

    /// Its name in the network.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// The height of the last block that it took in; the driver goes on from there after a restart.
    pub fn tip(&self) -> BlockHeight {
        self.counters.tip
    }

    /// All its records, as they are saved. When nothing is under way this is what all batches so far add up to.
    pub fn records(&mut self) -> BTreeMap<RecordKey, Vec<u8>> {
        self.all_records()
    }

    /// For a driver that has nothing to do: does a little of what the next event will need, so that it is answered sooner. False
    /// when nothing is left. Changes nothing that can be seen or saved.
    pub fn derive_ahead(&mut self) -> bool {
        while let Some(id) = self.unprepared.first() {
            if self.channels.get_mut(id).is_some_and(Channel::derive_ahead) {
                return true;
            }
            self.unprepared.pop_first();
        }
        false
    }

    /// One event in, one turn out.
    pub fn handle(&mut self, event: Event, env: &Env) -> Turn {
        let mut draft = Draft::default();
        if self.starting {
            self.start(env, &mut draft);
        }
        // While the chain goes back, nobody knows yet what belongs on it.
        let goes_back = matches!(event, Event::BlockDisconnected { .. });
        match event {
            Event::Connected { peer } => self.on_connected(peer, env, &mut draft),
            Event::Disconnected { peer } => self.on_disconnected(peer, env, &mut draft),
            Event::Message { peer, bytes } => self.on_message(peer, &bytes, env, &mut draft),
            Event::Silent { peer } => self.on_silence(peer, &mut draft),
            Event::BlockConnected(block) => self.on_block_connected(&block, env, &mut draft),
            Event::Unconfirmed(tx) => self.on_unconfirmed(&tx, env, &mut draft),
            Event::BlockDisconnected { height } => self.on_block_disconnected(height, env, &mut draft),
            Event::TowerReady { from } => self.on_tower_ready(from, &mut draft),
            Event::Guarded { locator, part } => self.on_guarded(locator, part, &mut draft),
            Event::Wake(Why::Commit) => self.on_commit_due(env, &mut draft),
            Event::Wake(Why::Payments) => {}
            Event::Command { call, command } => self.on_command(call, command, env, &mut draft),
        }
        if self.resuming && !goes_back {
            self.resume(env, &mut draft);
        }
        self.run_tasks(env, &mut draft);
        self.finish(draft, env)
    }
}
