//! What is around one node: the feerate it is told, whether it sees the mempool and is heard there, whether it sees anything at
//! all, the bug planted in it, and its restart. Each change leaves a line in the transcript.
use super::queue::{Due, Happening};
use super::seat::Store;
use super::{World, WorldError, FEERATE};
use crate::transcript::{Entry, Verdict};
use bitcoin::{Transaction, Txid};
use leyden_core::channel::{Env, Mutant};
use leyden_core::ids::{PaymentHash, Preimage};
use leyden_core::units::{BlockHeight, FeeratePerKw};
use leyden_node::trace::Order;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

/// A copy of what a node had saved: its records, and its folder if it is a process.
#[derive(Clone, Debug)]
pub struct SavedCopy {
    records: Store,
    folder: Option<PathBuf>,
}

/// All of it.
#[derive(Default, Debug)]
pub(super) struct Around {
    /// What every node is told, unless told something else.
    feerate: Option<FeeratePerKw>,
    feerate_of: BTreeMap<usize, FeeratePerKw>,
    /// Nodes cut off from the mempool, and what they broadcast since, packages whole.
    blind: BTreeMap<usize, Vec<Vec<Transaction>>>,
    /// Nodes that are asleep, and what waits for them.
    asleep: BTreeMap<usize, Vec<Due>>,
    mutant: Option<Mutant>,
    /// The nodes that carry the mutant; all if none is named.
    carriers: BTreeSet<usize>,
    /// Nodes that break one rule in every run: a scenario's adversaries.
    deviants: BTreeMap<usize, Mutant>,
    /// What the lab published in a node's name.
    published: Vec<(usize, Txid)>,
    /// Every preimage that anybody gave away.
    preimages: BTreeMap<PaymentHash, Preimage>,
}

impl Around {
    /// What everybody is told who is told nothing else.
    pub fn feerate(&self) -> Option<FeeratePerKw> {
        self.feerate
    }

    /// The bug that is planted in everybody; none if nodes are named that carry it.
    pub fn mutant(&self) -> Option<Mutant> {
        self.mutant.filter(|_| self.carriers.is_empty())
    }
}

impl World {
    /// What a node is told now.
    pub(super) fn env(&self, node: usize) -> Env {
        let around = &self.around;
        let own = around.feerate_of.get(&node).copied();
        let feerate = own.or(around.feerate).unwrap_or(FEERATE);
        let carries = around.carriers.is_empty() || around.carriers.contains(&node);
        let height = BlockHeight::new(self.seats[node].height);
        let planted = around.mutant.filter(|_| carries);
        Env::new(self.now, height, feerate).with(around.deviants.get(&node).copied().or(planted))
    }

    /// The name of the bug that a node carries; empty without one.
    pub(super) fn planted(&self, node: usize) -> String {
        let around = &self.around;
        let carries = around.carriers.is_empty() || around.carriers.contains(&node);
        let planted = around.deviants.get(&node).copied().or(around.mutant.filter(|_| carries));
        planted.map_or_else(String::new, |mutant| mutant.to_string())
    }

    /// The feerate that a node is told now.
    pub fn feerate_of(&self, node: usize) -> FeeratePerKw {
        self.env(node).feerate
    }

    /// From now on every node, those with a feerate of their own too, is told this one.
    pub fn tell_feerate(&mut self, feerate: FeeratePerKw) {
        self.note(format!("the feerate is {feerate} from now on"));
        self.around.feerate_of.clear();
        self.around.feerate = Some(feerate);
        if let Some(live) = &mut self.live {
            live.order_all(&Order::Feerate(feerate.get()));
        }
    }

    /// From now on this node is told this feerate.
    pub fn tell_feerate_to(&mut self, node: usize, feerate: FeeratePerKw) {
        self.note(format!("{} is told a feerate of {feerate} from now on", self.seats[node].name));
        self.around.feerate_of.insert(node, feerate);
        if let Some(live) = &mut self.live {
            live.order(node, Order::Feerate(feerate.get()));
        }
    }

    /// Plants a bug in every node, or in those that [`World::carry`] names.
    pub fn plant(&mut self, mutant: Option<Mutant>) {
        self.around.mutant = mutant;
    }

    /// This node carries the bug that the run plants, and no other that is not named as well.
    pub fn carry(&mut self, node: usize) {
        self.around.carriers.insert(node);
    }

    /// This node breaks one rule from now on, in every run.
    pub fn deviate(&mut self, node: usize, rule: Mutant) {
        self.note(format!("{} is an adversary: {rule}", self.seats[node].name));
        self.around.deviants.insert(node, rule);
        if let Some(live) = &mut self.live {
            live.order(node, Order::Plant(rule.to_string()));
        }
    }

    /// From now on the node sees no mempool, and what it broadcasts reaches none. Blocks still arrive.
    pub fn blind(&mut self, node: usize) {
        self.note(format!("{} is cut off from the mempool", self.seats[node].name));
        self.around.blind.entry(node).or_default();
        if let Some(live) = &mut self.live {
            live.order(node, Order::Blind(true));
        }
    }

    /// The node sees the mempool again, as it is now, and what it broadcast meanwhile is handed in.
    pub fn see_again(&mut self, node: usize) -> Result<(), WorldError> {
        let Some(unheard) = self.around.blind.remove(&node) else { return Ok(()) };
        self.note(format!("{} sees the mempool again", self.seats[node].name));
        if let Some(live) = &mut self.live {
            live.order(node, Order::Blind(false));
        }
        self.show_mempool_to(node)?;
        for transactions in unheard {
            match transactions.as_slice() {
                [tx] => self.broadcast(node, tx)?,
                several => self.broadcast_package(node, several)?,
            }
        }
        Ok(())
    }

    fn show_mempool_to(&mut self, node: usize) -> Result<(), WorldError> {
        if let Some(live) = &mut self.live {
            live.look();
            return Ok(());
        }
        for tx in self.ground.mempool()? {
            self.queue.push(self.now, node, Happening::Unconfirmed(Arc::new(tx)));
        }
        Ok(())
    }

    /// From now on the node sees nothing: no message, no block, no mempool, no timer. Its links stay.
    pub fn put_to_sleep(&mut self, node: usize) {
        self.note(format!("{} falls asleep", self.seats[node].name));
        self.around.asleep.entry(node).or_default();
        if let Some(live) = &mut self.live {
            live.sleeps(node, true);
        }
    }

    /// From now on what comes to the node waits for it.
    pub(super) fn keep_waiting(&mut self, node: usize) {
        self.around.asleep.entry(node).or_default();
    }

    /// The node is awake: it gets what it missed, in order, and sees the mempool as it is now.
    pub fn wake_up(&mut self, node: usize) -> Result<(), WorldError> {
        if self.is_saving(node) {
            return self.end_save(node);
        }
        let Some(missed) = self.around.asleep.remove(&node) else { return Ok(()) };
        self.note(format!("{} wakes up", self.seats[node].name));
        if let Some(live) = &mut self.live {
            live.sleeps(node, false);
        }
        for due in missed {
            self.queue.push(due.at.max(self.now), node, due.what);
        }
        self.show_mempool_to(node)
    }

    /// The nodes that are asleep.
    pub(super) fn sleepers(&self) -> impl Iterator<Item = usize> + '_ {
        self.around.asleep.keys().copied()
    }

    /// Everybody sees and is awake.
    pub(super) fn heal_senses(&mut self) -> Result<(), WorldError> {
        let blind: Vec<usize> = self.around.blind.keys().copied().collect();
        let asleep: Vec<usize> = self.sleepers().collect();
        asleep.into_iter().try_for_each(|node| self.wake_up(node))?;
        blind.into_iter().try_for_each(|node| self.see_again(node))
    }

    /// Keeps for later what comes to a node that is asleep: an unconfirmed transaction of then is no news later.
    pub(super) fn sleeps_through(&mut self, due: Due) -> Option<Due> {
        let Some(missed) = self.around.asleep.get_mut(&due.node) else { return Some(due) };
        if !matches!(due.what, Happening::Unconfirmed(_)) {
            missed.push(due);
        }
        None
    }

    /// Whether the node learns of the mempool.
    pub(super) fn sees_mempool(&self, node: usize) -> bool {
        !self.around.blind.contains_key(&node) && !self.around.asleep.contains_key(&node)
    }

    /// Whether what the node broadcasts now reaches nobody; then it is kept.
    pub(super) fn is_unheard(&mut self, node: usize, transactions: &[Transaction]) -> bool {
        let Some(unheard) = self.around.blind.get_mut(&node) else { return false };
        unheard.push(transactions.to_vec());
        for tx in transactions {
            let entry = Entry::Broadcast { node, tx: tx.clone(), verdict: Verdict::Unheard };
            self.transcript.push(self.now, entry);
        }
        true
    }

    /// Core is killed and starts again from its disk: its mempool is lost. Nodes that are processes wait for it meanwhile; those in this
    /// process cannot tell.
    pub fn restart_core(&mut self) -> Result<(), WorldError> {
        self.drain()?;
        self.note("Core is killed and starts again from its disk".into());
        if let Some(live) = &mut self.live {
            live.lets_core_go();
        }
        self.ground.restart()?;
        if let (Some(live), Some(core)) = (&mut self.live, self.ground.core_endpoint()) {
            live.core_runs_again(core);
            self.note_present()?;
        }
        self.drain()
    }

    /// The node's process ends and starts again from what it has saved. Its links break and stand again.
    pub fn restart(&mut self, node: usize) -> Result<(), WorldError> {
        self.note(format!("{} starts again from what it has saved", self.seats[node].name));
        let peers = self.links.peers(node);
        for peer in &peers {
            self.links.take_down(node, *peer);
            self.cut(node, *peer)?;
        }
        if let Some(live) = &mut self.live {
            live.kill(node);
            live.start(node)?;
            self.drain()?;
        } else {
            self.seats[node].restart()?;
        }
        self.find_tower(node);
        peers.into_iter().try_for_each(|peer| self.connect(node, peer))
    }

    /// A copy of all that a node has saved so far.
    pub fn back_up(&mut self, node: usize) -> Result<SavedCopy, WorldError> {
        let records = self.seats[node].store.clone();
        let Some(live) = &mut self.live else { return Ok(SavedCopy { records, folder: None }) };
        Ok(SavedCopy { records, folder: Some(live.copy_folder(node)?) })
    }

    /// A restart from a copy of what it had saved earlier: its newest states are lost. It takes in the blocks that it missed since.
    pub fn restart_from(&mut self, node: usize, backup: &SavedCopy) -> Result<(), WorldError> {
        self.note(format!("{}'s disk is lost: a backup takes its place", self.seats[node].name));
        let peers = self.links.peers(node);
        for peer in &peers {
            self.links.take_down(node, *peer);
            self.cut(node, *peer)?;
        }
        if let (Some(live), Some(folder)) = (&mut self.live, &backup.folder) {
            live.kill(node);
            live.put_folder_back(node, folder)?;
            live.start(node)?;
            self.drain()?;
        } else {
            self.seats[node].store.clone_from(&backup.records);
            self.seats[node].restart()?;
            let seen = self.seats[node].height;
            for block in self.ground.blocks().iter().filter(|block| block.height.get() > seen) {
                self.queue.push(self.now, node, Happening::Block(block.clone()));
            }
        }
        self.find_tower(node);
        peers.into_iter().try_for_each(|peer| self.connect(node, peer))
    }

    /// A node that has just started finds its tower, and hands over what the tower has not acknowledged.
    pub(super) fn find_tower(&mut self, node: usize) {
        if self.has_tower(node) {
            self.queue.push(self.now, node, Happening::TowerReady);
        }
    }

    /// The lab hands these to the mempool in the node's name, together if there are several; what the chain said to each.
    pub fn publish(&mut self, node: usize, transactions: &[Transaction]) -> Result<Vec<Verdict>, WorldError> {
        let submitted = match transactions {
            [tx] => vec![self.ground.submit(tx)],
            several => self.ground.submit_package(several)?,
        };
        let mut verdicts = Vec::new();
        for (tx, submitted) in transactions.iter().zip(submitted) {
            self.around.published.push((node, tx.compute_txid()));
            verdicts.push(self.told_by_chain(node, tx, submitted)?);
        }
        Ok(verdicts)
    }

    /// What the lab published in a node's name so far.
    pub fn published(&self) -> &[(usize, Txid)] {
        &self.around.published
    }

    /// R, if anybody gave it away in a message, to its owner, in the mempool or in a block.
    pub fn preimage(&self, hash: &PaymentHash) -> Option<Preimage> {
        self.around.preimages.get(hash).copied()
    }

    /// R of an invoice, which only the node that made it knows before it is paid.
    pub fn invoice_preimage(&self, hash: &PaymentHash) -> Option<Preimage> {
        self.seats.iter().find_map(|seat| seat.own_preimage(hash))
    }

    /// Everybody knows this preimage from here on.
    pub fn reveal(&mut self, preimage: Preimage) {
        self.around.preimages.insert(preimage.payment_hash(), preimage);
    }

    /// Every preimage that a transaction shows.
    pub(super) fn learn_from(&mut self, tx: &Transaction) {
        if tx.is_coinbase() {
            return;
        }
        for input in &tx.input {
            let elements = input.witness.iter().filter_map(|element| <[u8; 32]>::try_from(element).ok());
            elements.map(Preimage).for_each(|preimage| self.reveal(preimage));
        }
    }
}
