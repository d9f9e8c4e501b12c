//! The tower itself: takes boxes within limits, looks for their locators in blocks and in the mempool, and follows each breach.
//! What it must not lose is saved before anything else happens: a box before it is acknowledged, a breach before its penalties go
//! out.
use super::breach::Breach;
use super::justice::open;
use super::kit::Kit;
use super::{Justice, Locator, TowerBatch, TowerRecordKey, SEALED_SIZES};
use crate::channel::Env;
use crate::ids::NodeId;
use crate::units::BlockHeight;
use bitcoin::{Block, Transaction, Txid};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// What a tower does for how many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TowerConfig {
    /// The most clients. Default 100.
    pub max_clients: usize,
    /// The most boxes of one client. Default 10,000.
    pub max_boxes: usize,
    /// The most bytes in all boxes of one client. Default 64 MiB.
    pub max_bytes: usize,
}

impl Default for TowerConfig {
    fn default() -> Self {
        Self { max_clients: 100, max_boxes: 10_000, max_bytes: 64 << 20 }
    }
}

/// Why a tower does not take a box.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// No box has this size.
    #[error("a box of {len} bytes is none of the sizes that boxes have")]
    Size {
        /// Its size.
        len: usize,
    },
    /// The client has as much as it may.
    #[error("this client has {boxes} boxes of {bytes} bytes, and may have no more")]
    Full {
        /// How many it has.
        boxes: usize,
        /// How large they are together.
        bytes: usize,
    },
    /// There are as many clients as there may be.
    #[error("this tower has {clients} clients, and takes no more")]
    TooManyClients {
        /// How many.
        clients: usize,
    },
}

/// What one event led to: first save, then broadcast.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TowerTurn {
    /// To be durable before anything is broadcast.
    pub save: TowerBatch,
    /// For the mempool, each by itself, in this order.
    pub broadcast: Vec<Transaction>,
}

/// Where a box stands: a cheater may be a client too and know the locator of its own breach, so that each client has its own.
pub(super) type Place = (Locator, Client, u16);
/// A client, by the bytes of its name.
pub(super) type Client = [u8; 33];

/// A watchtower.
#[derive(Clone)]
pub struct Tower {
    config: TowerConfig,
    pub(super) tip: BlockHeight,
    pub(super) boxes: BTreeMap<Place, Vec<u8>>,
    pub(super) breaches: BTreeMap<Txid, Breach>,
    /// Boxes and bytes of each client.
    usage: BTreeMap<Client, (usize, usize)>,
}

impl Tower {
    /// A tower that has nothing and has seen the chain up to this height.
    pub fn new(config: TowerConfig, tip: BlockHeight) -> Self {
        let (boxes, breaches, usage) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { config, tip, boxes, breaches, usage }
    }

    /// The height of the last block that it took in; the driver goes on from there after a restart.
    pub fn tip(&self) -> BlockHeight {
        self.tip
    }

    /// How many boxes it keeps, of all clients.
    pub fn boxes(&self) -> usize {
        self.boxes.len()
    }

    /// Keeps a box of a client's; once the batch is durable it may be acknowledged. One that is there already is taken again.
    ///
    /// # Errors
    /// When the box is none, or there is no room for it; nothing changed.
    pub fn take(&mut self, client: NodeId, justice: Justice) -> Result<TowerBatch, Refused> {
        let Justice { locator, part, sealed } = justice;
        let (client, len) = (client.serialize(), sealed.len());
        if !SEALED_SIZES.contains(&len) {
            return Err(Refused::Size { len });
        }
        let place = (locator, client, part);
        let replaced = self.boxes.get(&place).map(Vec::len);
        let (boxes, bytes) = self.usage.get(&client).copied().unwrap_or_default();
        if !self.usage.contains_key(&client) && self.usage.len() >= self.config.max_clients {
            return Err(Refused::TooManyClients { clients: self.usage.len() });
        }
        let after = (
            boxes + usize::from(replaced.is_none()),
            bytes.saturating_sub(replaced.unwrap_or_default()).saturating_add(len),
        );
        if after.0 > self.config.max_boxes || after.1 > self.config.max_bytes {
            return Err(Refused::Full { boxes, bytes });
        }
        self.put(place, sealed);
        let mut save = TowerBatch::default();
        self.save_box(&place, &mut save);
        Ok(save)
    }

    pub(super) fn put(&mut self, place: Place, sealed: Vec<u8>) {
        self.drop_box(&place);
        let (boxes, bytes) = self.usage.entry(place.1).or_default();
        *boxes += 1;
        *bytes = bytes.saturating_add(sealed.len());
        self.boxes.insert(place, sealed);
    }

    fn drop_box(&mut self, place: &Place) {
        let Some(sealed) = self.boxes.remove(place) else { return };
        let Some((boxes, bytes)) = self.usage.get_mut(&place.1) else { return };
        *boxes = boxes.saturating_sub(1);
        *bytes = bytes.saturating_sub(sealed.len());
        if *boxes == 0 {
            self.usage.remove(&place.1);
        }
    }

    /// The chain grew by this block, at `env.height`. One that is not above the last one seen is known already.
    pub fn on_block(&mut self, block: &Block, env: &Env) -> TowerTurn {
        let mut turn = TowerTurn::default();
        if env.height <= self.tip {
            return turn;
        }
        self.tip = env.height;
        let mut changed = BTreeSet::new();
        for tx in block.txdata.iter().filter(|tx| !tx.is_coinbase()) {
            let txid = tx.compute_txid();
            self.begin(tx, txid, env);
            let mut shared = None;
            for (own, breach) in &mut self.breaches {
                let tx = shared.get_or_insert_with(|| Arc::new(tx.clone()));
                if breach.see(*own, tx, txid, env.height) {
                    changed.insert(*own);
                }
            }
        }
        let under_way: Vec<Txid> = self.breaches.keys().copied().collect();
        for txid in under_way {
            self.pursue(txid, env, &mut turn);
        }
        changed.into_iter().for_each(|txid| self.save_breach(&txid, &mut turn.save));
        self.save_tip(&mut turn.save);
        turn
    }

    /// A transaction entered the mempool: a breach may be answered before it is mined, and a rival of a penalty outbid.
    pub fn on_unconfirmed(&mut self, tx: &Transaction, env: &Env) -> TowerTurn {
        let mut turn = TowerTurn::default();
        let txid = tx.compute_txid();
        if self.begin(tx, txid, env) {
            self.pursue(txid, env, &mut turn);
            return turn;
        }
        let spent = self.breaches.iter().filter(|(own, breach)| breach.is_spent_by(**own, tx));
        let spent: Vec<Txid> = spent.map(|(own, _)| *own).collect();
        for own in spent {
            let kits = self.kits(&own);
            let Some(breach) = self.breaches.get_mut(&own) else { continue };
            let penalties = breach.outbid(tx, &kits, env);
            if !penalties.is_empty() {
                turn.broadcast.extend(penalties);
                self.save_breach(&own, &mut turn.save);
            }
        }
        turn
    }

    /// The block at this height was taken out of the chain.
    pub fn on_block_gone(&mut self, height: BlockHeight) -> TowerTurn {
        let mut turn = TowerTurn::default();
        if height > self.tip {
            return turn;
        }
        self.tip = height.saturating_sub(BlockHeight::new(1));
        let changed =
            self.breaches.iter_mut().filter_map(|(txid, breach)| breach.unsee(height).then_some(*txid));
        let changed: Vec<Txid> = changed.collect();
        changed.into_iter().for_each(|txid| self.save_breach(&txid, &mut turn.save));
        self.save_tip(&mut turn.save);
        turn
    }

    /// The first event after a restart, once the chain was caught up with: what was broadcast last may never have left.
    pub fn broadcast_again(&mut self, env: &Env) -> TowerTurn {
        let mut turn = TowerTurn::default();
        let under_way: Vec<Txid> = self.breaches.keys().copied().collect();
        under_way.into_iter().for_each(|txid| self.pursue(txid, env, &mut turn));
        turn
    }

    /// Whether this transaction is a breach that was not known: a box opens, and something of what is inside can be taken.
    fn begin(&mut self, tx: &Transaction, txid: Txid, env: &Env) -> bool {
        if self.breaches.contains_key(&txid) || self.boxes.range(places(&txid)).next().is_none() {
            return false;
        }
        let breach = Breach::new(&Arc::new(tx.clone()));
        let real = !breach.targets(&self.kits(&txid), env).is_empty();
        if real {
            self.breaches.insert(txid, breach);
        }
        real
    }

    /// What this txid opens.
    fn kits(&self, txid: &Txid) -> Vec<Kit> {
        let sealed = self.boxes.range(places(txid)).map(|(_, sealed)| sealed);
        sealed.filter_map(|sealed| Kit::decode(&open(txid, sealed)?)).collect()
    }

    fn pursue(&mut self, txid: Txid, env: &Env, turn: &mut TowerTurn) {
        let kits = self.kits(&txid);
        let Some(breach) = self.breaches.get_mut(&txid) else { return };
        if breach.is_over(&kits, env) {
            self.forget(&txid, turn);
            return;
        }
        turn.broadcast.extend(breach.pursue(&kits, env));
        self.save_breach(&txid, &mut turn.save);
    }

    /// A breach is over: its boxes were of use once, and never again.
    fn forget(&mut self, txid: &Txid, turn: &mut TowerTurn) {
        self.breaches.remove(txid);
        self.save_breach(txid, &mut turn.save);
        let used: Vec<Place> = self.boxes.range(places(txid)).map(|(place, _)| *place).collect();
        for place in used {
            self.drop_box(&place);
            self.save_box(&place, &mut turn.save);
        }
    }

    fn save_box(&self, place: &Place, save: &mut TowerBatch) {
        save.records.insert(TowerRecordKey::of(place), self.box_record(place));
    }

    fn save_breach(&self, txid: &Txid, save: &mut TowerBatch) {
        save.records.insert(TowerRecordKey::Breach(*txid), self.breach_record(txid));
    }

    fn save_tip(&self, save: &mut TowerBatch) {
        save.records.insert(TowerRecordKey::Tip, Some(self.tip_record()));
    }

    /// Its limits.
    pub fn config(&self) -> &TowerConfig {
        &self.config
    }
}

/// Where the boxes stand that a transaction may open.
fn places(txid: &Txid) -> RangeInclusive<Place> {
    let locator = Locator::of(txid);
    (locator, [0; 33], 0)..=(locator, [u8::MAX; 33], u16::MAX)
}
