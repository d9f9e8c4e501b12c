//! A node's place in the world: the node, its store, the tip it has seen; and what the world remembers of it.
use super::WorldError;
use crate::chain::Tip;
use bitcoin::BlockHash;
use leyden_core::channel::{Channel, Env, PastState};
use leyden_core::ids::{ChannelId, NodeId, PaymentHash, Preimage};
use leyden_core::keys::NodeSeed;
use leyden_core::node::{Batch, Event, Node, NodeConfig, Notice, RecordKey, Turn};
use leyden_core::tx::Side;
use leyden_core::units::{BlockHeight, CltvExpiry, Msat, Timestamp};
use leyden_core::wire::{Message, OnionBytes};
use std::collections::BTreeMap;

/// What a node has saved.
pub type Store = BTreeMap<RecordKey, Vec<u8>>;

/// A channel's record beyond this size (some 70 pending HTLCs) is read back at every 16th save only: with hundreds pending
/// nothing else would take any time.
const LARGE_RECORD: usize = 100_000;

/// A node and what is kept for it.
pub(super) struct Seat {
    pub name: String,
    pub id: NodeId,
    /// None while a process of its own holds it.
    node: Option<Node>,
    pub store: Store,
    /// The tip it has processed.
    pub height: u32,
    saves: u64,
    /// The last record of each commitment of this node that a newer one replaced, by its number.
    past: BTreeMap<(ChannelId, u64), Vec<u8>>,
    /// The number of the commitment that the store holds.
    newest: BTreeMap<ChannelId, u64>,
    seed: NodeSeed,
    config: NodeConfig,
    birthday: (BlockHeight, BlockHash),
}

impl Seat {
    pub fn new(name: &str, seed: NodeSeed, config: NodeConfig, tip: Tip) -> Self {
        let birthday = (BlockHeight::new(tip.height), tip.hash);
        let node = Node::new(seed.clone(), config.clone(), birthday);
        let (name, id, height) = (name.into(), node.id(), tip.height);
        let (store, past, newest) = (Store::new(), BTreeMap::new(), BTreeMap::new());
        Self { name, id, node: Some(node), store, height, saves: 0, past, newest, seed, config, birthday }
    }

    /// How many batches it has made durable.
    pub fn saves(&self) -> u64 {
        self.saves
    }

    /// Makes a batch durable, whole. The keys it touched.
    pub fn save(&mut self, batch: Batch) -> Result<Vec<RecordKey>, WorldError> {
        let keys = batch.records.keys().cloned().collect();
        self.saves += 1;
        for (key, value) in batch.records {
            if cfg!(debug_assertions) {
                self.check_channel(&key, value.as_deref())?;
            }
            let replaced = match value {
                Some(bytes) => self.store.insert(key.clone(), bytes),
                None => self.store.remove(&key),
            };
            if let RecordKey::Channel(channel) = key {
                self.archive(channel, replaced);
            }
        }
        Ok(keys)
    }

    /// Keeps the record that was replaced if it is the last one of its commitment. Read only when somebody lies.
    fn archive(&mut self, channel: ChannelId, replaced: Option<Vec<u8>>) {
        let number = |channel: &Channel| channel.commitment_number(Side::Local);
        let now = match &self.node {
            Some(node) => node.channel(channel).and_then(number),
            None => self.saved_channel(channel).as_ref().and_then(number),
        };
        let now = now.map(|number| number.get());
        let before = match now {
            Some(number) => self.newest.insert(channel, number),
            None => self.newest.remove(&channel),
        };
        if let (Some(before), Some(record)) = (before.filter(|before| Some(*before) != now), replaced) {
            self.past.insert((channel, before), record);
        }
    }

    /// The numbers, from 0, of all commitments of this node that were ever its newest.
    pub fn commitments(&self, channel: ChannelId) -> Vec<u64> {
        let past = self.past.range((channel, 0)..=(channel, u64::MAX)).map(|((_, number), _)| *number);
        past.chain(self.newest.get(&channel).copied()).collect()
    }

    /// The state in which the commitment of this number was the newest.
    pub fn past_state(&self, channel: ChannelId, number: u64) -> Option<PastState> {
        let newest = self.newest.get(&channel) == Some(&number);
        let record = match newest {
            true => self.store.get(&RecordKey::Channel(channel)),
            false => self.past.get(&(channel, number)),
        };
        Channel::decode(record?, |index| self.seed.channel_keys(index)).ok()?.past_state()
    }

    /// The process ends; another begins from what was saved.
    pub fn restart(&mut self) -> Result<(), WorldError> {
        let restored = self.restored();
        let node = restored.map_err(|error| self.round_trip(error.to_string()))?;
        self.height = node.tip().get();
        self.node = Some(node);
        Ok(())
    }

    /// From now on a process of its own holds the node.
    pub fn leave_process(&mut self) {
        self.node = None;
    }

    /// One turn of the node.
    pub fn handle(&mut self, event: Event, env: &Env) -> Turn {
        match &mut self.node {
            Some(node) => node.handle(event, env),
            None => unreachable!("a node in a process of its own takes no events from here"),
        }
    }

    /// R of an invoice of this node, paid or not.
    pub fn own_preimage(&self, hash: &PaymentHash) -> Option<Preimage> {
        match &self.node {
            Some(node) => node.own_preimage(hash),
            None => self.restored().ok()?.own_preimage(hash),
        }
    }

    fn restored(&self) -> Result<Node, leyden_core::node::RestoreError> {
        Node::restore(self.seed.clone(), self.config.clone(), self.birthday, &self.store)
    }

    /// A channel's record reads back to a channel that writes the same record.
    fn check_channel(&self, key: &RecordKey, value: Option<&[u8]>) -> Result<(), WorldError> {
        let (RecordKey::Channel(_), Some(bytes)) = (key, value) else { return Ok(()) };
        if bytes.len() > LARGE_RECORD && !self.saves.is_multiple_of(16) {
            return Ok(());
        }
        let again =
            Channel::decode(bytes, |index| self.seed.channel_keys(index)).map(|channel| channel.encode());
        match again {
            Ok(again) if again == bytes => Ok(()),
            Ok(_) => Err(self.round_trip(format!("{key:?} writes other bytes"))),
            Err(error) => Err(self.round_trip(format!("{key:?}: {error}"))),
        }
    }

    /// A channel as it was saved last.
    pub fn saved_channel(&self, channel: ChannelId) -> Option<Channel> {
        let bytes = self.store.get(&RecordKey::Channel(channel))?;
        Channel::decode(bytes, |index| self.seed.channel_keys(index)).ok()
    }

    /// A node can be made from all that was saved.
    pub fn check_store(&self) -> Result<(), WorldError> {
        let restored = self.restored();
        restored.map(drop).map_err(|error| self.round_trip(error.to_string()))
    }

    fn round_trip(&self, record: String) -> WorldError {
        WorldError::RoundTrip { node: self.name.clone(), record }
    }
}

/// Something a node told its owner.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notified {
    /// When.
    pub at: Timestamp,
    /// Which node.
    pub node: usize,
    /// What.
    pub notice: Notice,
}

/// An HTLC that was offered on the wire.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offered {
    /// By whom.
    pub from: usize,
    /// To whom.
    pub to: usize,
    /// On which channel.
    pub channel: ChannelId,
    /// Its number among its sender's on that channel.
    pub id: u64,
    /// For which payment.
    pub payment_hash: PaymentHash,
    /// Its amount.
    pub amount: Msat,
    /// Its absolute expiry.
    pub cltv_expiry: CltvExpiry,
    /// The height at which it was offered.
    pub height: u32,
    /// Its onion: no two payments have the same.
    pub onion: OnionBytes,
}

impl Offered {
    /// The offer in these bytes, if that is what they are.
    pub(super) fn read(from: usize, to: usize, height: u32, bytes: &[u8]) -> Option<Self> {
        const UPDATE_ADD_HTLC: [u8; 2] = 128u16.to_be_bytes();
        if !bytes.starts_with(&UPDATE_ADD_HTLC) {
            return None;
        }
        match Message::decode(bytes) {
            Ok(Message::UpdateAddHtlc(add)) => Some(Self {
                from,
                to,
                channel: add.channel_id,
                id: add.id,
                payment_hash: add.payment_hash,
                amount: add.amount_msat,
                cltv_expiry: add.cltv_expiry,
                height,
                onion: add.onion_routing_packet,
            }),
            _ => None,
        }
    }

    /// How many blocks the money is locked for at most.
    pub fn lock(&self) -> u32 {
        self.cltv_expiry.get().saturating_sub(self.height)
    }
}
