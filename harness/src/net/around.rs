//! What is around a node: the feerates it is told, the mempool it sees, sleep, restart, and the bug that it carries. `settle`
//! makes everybody see and wake; feerates stay.
use super::{Net, NodeRef};
use leyden_core::channel::{Mutant, MIN_FEERATE};
use leyden_core::node::Command;
use leyden_core::units::FeeratePerKw;

/// What a node had saved at one time.
#[derive(Clone)]
pub struct Backup(crate::world::SavedCopy);

impl Net {
    /// From now on every node is told this feerate, in sat per 1000 weight: a spike, an absurd one, or with 0 the lowest there is.
    /// A node acts on it at its next event.
    pub fn feerate(&mut self, sat_per_kw: u32) {
        let feerate = self.told_feerate(sat_per_kw);
        self.world.tell_feerate(feerate);
    }

    /// The same for one node.
    pub fn feerate_of(&mut self, node: NodeRef, sat_per_kw: u32) {
        let feerate = self.told_feerate(sat_per_kw);
        self.world.tell_feerate_to(node.0, feerate);
    }

    fn told_feerate(&mut self, sat_per_kw: u32) -> FeeratePerKw {
        let feerate = FeeratePerKw::new(sat_per_kw).max(MIN_FEERATE);
        self.highest_feerate = self.highest_feerate.max(feerate.get());
        feerate
    }

    /// From now on the node does not see the mempool, and what it broadcasts reaches none: a partition. Blocks still arrive.
    pub fn blind(&mut self, node: NodeRef) {
        self.world.blind(node.0);
    }

    /// The node sees the mempool again, as it is now; what it broadcast meanwhile is handed in.
    #[track_caller]
    pub fn sees_again(&mut self, node: NodeRef) {
        let seeing = self.world.see_again(node.0);
        self.need(seeing);
        self.run();
    }

    /// From now on the node sees nothing at all, no block, no message, no timer, until [`Net::wake_node`]. Its links stay.
    pub fn sleep_node(&mut self, node: NodeRef) {
        self.world.put_to_sleep(node.0);
    }

    /// The node gets all that it missed, in order, and sees the mempool as it is now.
    #[track_caller]
    pub fn wake_node(&mut self, node: NodeRef) {
        let waking = self.world.wake_up(node.0);
        self.need(waking);
        self.run();
    }

    /// The node's process ends and starts again from what it has saved; its links break and stand again. It learns the network anew.
    #[track_caller]
    pub fn restart(&mut self, node: NodeRef) {
        let restarted = self.world.restart(node.0);
        self.need(restarted);
        for channel in self.network.clone() {
            self.done(node, Command::LearnChannel(channel));
        }
        self.run();
    }

    /// Core is killed as by a power cut, and starts again from its disk: the blocks are there, its mempool is lost. On the embedded
    /// chain all of it is that the mempool is lost.
    #[track_caller]
    pub fn restart_core(&mut self) {
        let restarted = self.world.restart_core();
        self.need(restarted);
    }

    /// The id of Core's process in the live world; none in the others.
    pub fn core_process_id(&mut self) -> Option<i32> {
        self.world.core_process_id()
    }

    /// The ids of the nodes' processes; none where they have no processes of their own.
    pub fn process_ids(&self) -> Vec<u32> {
        self.world.process_ids()
    }

    /// A copy of all that the node has saved so far.
    #[track_caller]
    pub fn backup(&mut self, node: NodeRef) -> Backup {
        let copied = self.world.back_up(node.0);
        Backup(self.need(copied))
    }

    /// The node's disk is lost, and it starts again from this copy. Its newest states are gone, and it does not know.
    #[track_caller]
    pub fn restart_from(&mut self, node: NodeRef, backup: &Backup) {
        let restarted = self.world.restart_from(node.0, &backup.0);
        self.need(restarted);
        for channel in self.network.clone() {
            self.done(node, Command::LearnChannel(channel));
        }
        self.run();
    }

    /// If the run plants a bug, this node carries it, and no other that is not named like this. Without any such word all carry
    /// it: a cheater is a stock node too.
    pub fn mutate(&mut self, node: NodeRef) {
        self.world.carry(node.0);
    }

    /// The node is an adversary from now on: it breaks this one rule in every run, and carries no planted bug.
    pub fn deviate(&mut self, node: NodeRef, rule: Mutant) {
        self.dishonest(node);
        self.world.deviate(node.0, rule);
    }
}
