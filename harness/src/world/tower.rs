//! Watchtowers in the world: each sees the chain and the mempool, gets the boxes of its clients, saves what it saves before it
//! broadcasts, and owns nothing. A tower is no node: it has no links, no turns, and no place in the ladder.
use super::queue::Happening;
use super::{World, WorldError, FEERATE, LATENCY};
use crate::chain::ChainError;
use crate::transcript::{Entry, Verdict};
use bitcoin::Transaction;
use leyden_core::channel::Env;
use leyden_core::node::NewBlock;
use leyden_core::tower::{Justice, Tower, TowerBatch, TowerConfig, TowerRecordKey, TowerTurn};
use leyden_core::units::{BlockHeight, FeeratePerKw};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a tower has saved.
pub type TowerStore = BTreeMap<TowerRecordKey, Vec<u8>>;

/// A tower and what is kept for it.
pub(super) struct Post {
    name: String,
    /// Its number among the parties.
    party: usize,
    tower: Tower,
    config: TowerConfig,
    store: TowerStore,
    /// The nodes that hand it boxes.
    clients: Vec<usize>,
    /// What it is told, if not what all are told.
    feerate: Option<FeeratePerKw>,
    /// It is down: nothing reaches it.
    away: bool,
    birthday: BlockHeight,
}

/// Something that will reach a tower.
#[derive(Clone, Debug)]
pub(super) enum Sight {
    /// The chain grew.
    Block(Arc<NewBlock>),
    /// The tip was taken out.
    BlockGone(u32),
    /// A transaction entered the mempool.
    Unconfirmed(Arc<Transaction>),
}

impl World {
    /// Puts a tower into the world that keeps the boxes of these nodes, and sees the chain from now on. Its number.
    pub fn add_tower(&mut self, name: &str, party: usize, clients: &[usize], config: TowerConfig) -> usize {
        self.only_in_process("a tower in the world");
        let birthday = BlockHeight::new(self.ground.tip().height);
        let tower = Tower::new(config, birthday);
        let names: Vec<&str> = clients.iter().map(|node| self.seats[*node].name.as_str()).collect();
        self.note(format!("{name} watches for {}", names.join(", ")));
        self.towers.push(Post {
            name: name.into(),
            party,
            tower,
            config,
            store: TowerStore::new(),
            clients: clients.to_vec(),
            feerate: None,
            away: false,
            birthday,
        });
        clients.iter().for_each(|node| self.queue.push(self.now, *node, Happening::TowerReady));
        self.towers.len() - 1
    }

    /// What a tower has saved.
    pub fn tower_store(&self, tower: usize) -> &TowerStore {
        &self.towers[tower].store
    }

    /// From now on this tower is told this feerate.
    pub fn tell_feerate_to_tower(&mut self, tower: usize, feerate: FeeratePerKw) {
        self.note(format!("{} is told a feerate of {feerate} from now on", self.towers[tower].name));
        self.towers[tower].feerate = Some(feerate);
    }

    /// From now on nothing reaches the tower.
    pub fn take_tower_down(&mut self, tower: usize) {
        self.note(format!("{} is down", self.towers[tower].name));
        self.towers[tower].away = true;
    }

    /// The tower starts again from what it has saved, takes in the blocks that it missed, and its clients find it again.
    pub fn start_tower(&mut self, tower: usize) -> Result<(), WorldError> {
        let now = self.now;
        let post = &mut self.towers[tower];
        let text = format!("{} starts again from what it has saved", post.name);
        let restored = Tower::restore(post.config, post.birthday, &post.store);
        post.tower = restored.map_err(|error| post.round_trip(error.to_string()))?;
        post.away = false;
        let (tip, clients) = (post.tower.tip(), post.clients.clone());
        self.note(text);
        let missed: Vec<_> =
            self.ground.blocks().iter().filter(|block| block.height > tip).cloned().collect();
        missed.into_iter().try_for_each(|block| self.show_tower(tower, Sight::Block(block)))?;
        let env = self.env_of_tower(tower);
        let turn = self.towers[tower].tower.broadcast_again(&env);
        self.finish_tower(tower, turn)?;
        for tx in self.ground.mempool()? {
            self.queue.push(now, 0, Happening::Sight { tower, what: Sight::Unconfirmed(Arc::new(tx)) });
        }
        clients.into_iter().for_each(|node| self.queue.push(now, node, Happening::TowerReady));
        Ok(())
    }

    /// Every tower is up.
    pub(super) fn start_towers(&mut self) -> Result<(), WorldError> {
        let down: Vec<usize> = (0..self.towers.len()).filter(|tower| self.towers[*tower].away).collect();
        down.into_iter().try_for_each(|tower| self.start_tower(tower))
    }

    /// A client that is no node hands a tower a box. What the tower says to it.
    pub fn hand_box(
        &mut self,
        tower: usize,
        client: leyden_core::ids::NodeId,
        justice: Justice,
    ) -> Result<(), leyden_core::tower::Refused> {
        let len = justice.sealed.len();
        let post = &mut self.towers[tower];
        let taken = post.tower.take(client, justice);
        let verdict = taken.as_ref().map_or_else(ToString::to_string, |_| "it keeps it".into());
        let text = format!("a stranger hands {} a box of {len} bytes: {verdict}", post.name);
        let save = taken?;
        post.save(save);
        self.note(text);
        Ok(())
    }

    /// A node hands its towers a box; it hears of it once all of them have it.
    pub(super) fn guard(&mut self, node: usize, justice: &Justice) {
        let (client, name, len) = (self.seats[node].id, self.seats[node].name.clone(), justice.sealed.len());
        let of_node = |post: &&mut Post| post.clients.contains(&node);
        let mut kept = true;
        let mut said = Vec::new();
        for post in self.towers.iter_mut().filter(of_node) {
            let verdict = if post.away {
                Err("it is down".to_string())
            } else {
                let taken = post.tower.take(client, justice.clone());
                taken.map(|save| post.save(save)).map_err(|refused| refused.to_string())
            };
            kept &= verdict.is_ok();
            let word = verdict.map_or_else(|why| why, |()| "it keeps it".into());
            said.push(format!("{name} hands {} a box of {len} bytes: {word}", post.name));
        }
        if kept && !said.is_empty() {
            let (locator, part) = (justice.locator, justice.part);
            let later = self.now.saturating_add(LATENCY);
            self.queue.push(later, node, Happening::Guarded { locator, part });
        }
        said.into_iter().for_each(|text| self.note(text));
    }

    /// Whether a node has a tower.
    pub(super) fn has_tower(&self, node: usize) -> bool {
        self.towers.iter().any(|post| post.clients.contains(&node))
    }

    /// Every tower will see this, after what is due before.
    pub(super) fn show_towers(&mut self, what: &Sight) {
        for tower in 0..self.towers.len() {
            self.queue.push(self.now, 0, Happening::Sight { tower, what: what.clone() });
        }
    }

    /// A tower sees something: first it saves, then it broadcasts. One that is down sees nothing.
    pub(super) fn show_tower(&mut self, tower: usize, what: Sight) -> Result<(), WorldError> {
        if self.towers[tower].away {
            return Ok(());
        }
        let mut env = self.env_of_tower(tower);
        let watch = &mut self.towers[tower].tower;
        let turn = match what {
            Sight::Block(block) => {
                env.height = block.height;
                watch.on_block(&block.block, &env)
            }
            Sight::BlockGone(height) => watch.on_block_gone(BlockHeight::new(height)),
            Sight::Unconfirmed(tx) => watch.on_unconfirmed(&tx, &env),
        };
        self.finish_tower(tower, turn)
    }

    fn finish_tower(&mut self, tower: usize, turn: TowerTurn) -> Result<(), WorldError> {
        let post = &mut self.towers[tower];
        post.save(turn.save);
        let party = post.party;
        for tx in turn.broadcast {
            let verdict = match self.ground.submit(&tx) {
                Ok(_) => Verdict::Taken,
                Err(ChainError::Refused { reason }) => Verdict::of(reason),
                Err(failure @ ChainError::Backend(_)) => return Err(failure.into()),
            };
            if verdict == Verdict::Taken {
                self.show(&tx);
            }
            self.transcript.push(self.now, Entry::TowerBroadcast { party, tx, verdict });
        }
        Ok(())
    }

    fn env_of_tower(&self, tower: usize) -> Env {
        let post = &self.towers[tower];
        let feerate = post.feerate.or(self.around.feerate()).unwrap_or(FEERATE);
        Env::new(self.now, post.tower.tip(), feerate).with(self.around.mutant())
    }

    /// Every tower could be made again from what it has saved.
    pub(super) fn check_tower_stores(&self) -> Result<(), WorldError> {
        self.towers.iter().try_for_each(Post::check_store)
    }
}

impl Post {
    fn save(&mut self, batch: TowerBatch) {
        for (key, value) in batch.records {
            match value {
                Some(bytes) => self.store.insert(key, bytes),
                None => self.store.remove(&key),
            };
        }
    }

    fn check_store(&self) -> Result<(), WorldError> {
        let restored = Tower::restore(self.config, self.birthday, &self.store);
        let restored = restored.map_err(|error| self.round_trip(error.to_string()))?;
        let mut records = restored.records();
        if !self.store.contains_key(&TowerRecordKey::Tip) {
            records.remove(&TowerRecordKey::Tip);
        }
        if records == self.store && restored.records() == self.tower.records() {
            Ok(())
        } else {
            Err(self.round_trip("its records are not what it has".into()))
        }
    }

    fn round_trip(&self, record: String) -> WorldError {
        WorldError::RoundTrip { node: self.name.clone(), record }
    }
}
