//! What the processes tell, taken into the world's books in one order: a message is received only after it was sent. The same
//! entries come out as from nodes in this process.
use super::{pair, Live, LiveError};
use crate::chain::core_rpc::reject_word;
use crate::chain::ChainError;
use crate::transcript::{Cause, Entry};
use crate::world::queue::Happening;
use crate::world::{World, WorldError, DEADLINE};
use bitcoin::{Transaction, Txid};
use leyden_core::ids::NodeId;
use leyden_core::node::Batch;
use leyden_core::units::Timestamp;
use leyden_node::control::client::Client;
use leyden_node::trace::{Did, Order, Seen, Told, TurnTrace};
use std::sync::Arc;

impl World {
    /// Takes in what is told until all is quiet.
    pub(in crate::world) fn drain_live(&mut self) -> Result<(), WorldError> {
        let tip = self.ground.tip();
        if self.processes().rests(tip) && !self.queue.is_due(self.now) {
            return self.check_deadline();
        }
        loop {
            let kills = self.kills();
            self.processes().run_all();
            self.settle_down()?;
            // Between the steps of a script time stands still: commands pile up, and all of them go at once.
            self.processes().order_all(&Order::Pause);
            self.settle_down()?;
            if self.kills() == kills {
                self.note_present()?;
                let tip = self.ground.tip();
                self.processes().rest(tip);
                return Ok(());
            }
        }
    }

    /// Waits until a node has carried out what it was ordered: a command that comes by another way is not to overtake that.
    pub(in crate::world) fn await_orders(&mut self, node: usize) -> Result<(), WorldError> {
        loop {
            while self.take_next()? {}
            let left = DEADLINE.saturating_sub(self.started.elapsed());
            let live = self.processes();
            if live.has_obeyed(node) || live.is_struck(node) {
                return Ok(());
            }
            if !live.hear(left)? {
                let waits = "orders to be carried out".to_owned();
                return Err(LiveError::Stuck { seconds: DEADLINE.as_secs(), waits }.into());
            }
        }
    }

    fn settle_down(&mut self) -> Result<(), WorldError> {
        loop {
            while self.take_next()? {}
            let height = self.ground.tip().height;
            let left = DEADLINE.saturating_sub(self.started.elapsed());
            if let Some(node) = self.processes().fallen() {
                self.bury(node);
                continue;
            }
            let live = self.processes();
            let Some(waits) = live.awaited(height) else {
                if live.take_look_due() {
                    let seeing = (0..self.seats.len()).filter(|node| self.sees_mempool(*node));
                    for node in seeing.collect::<Vec<_>>() {
                        self.processes().order(node, Order::Look);
                    }
                } else if !self.carry_next()? && !self.raise()? {
                    return Ok(());
                }
                continue;
            };
            if !live.hear(left)? {
                return Err(LiveError::Stuck { seconds: DEADLINE.as_secs(), waits }.into());
            }
        }
    }

    /// The next message that this world carries itself goes on its way. Whether there was one.
    fn carry_next(&mut self) -> Result<bool, WorldError> {
        let Some(due) = self.queue.pop(self.now) else { return self.mend() };
        self.now = self.now.max(due.at);
        if let Happening::Message { from, connection, bytes, .. } = due.what {
            if self.links.connection(from, due.node) == Some(connection) {
                self.processes().inject(from, due.node, bytes);
            }
        }
        Ok(true)
    }

    /// The processes of a live world.
    pub(in crate::world) fn processes(&mut self) -> &mut Live {
        match &mut self.live {
            Some(live) => live,
            None => unreachable!("only a live world has processes"),
        }
    }

    /// The next thing told that fits what is in the books. Whether there was one.
    fn take_next(&mut self) -> Result<bool, WorldError> {
        for node in 0..self.seats.len() {
            let ids = &self.ids;
            let live = match &mut self.live {
                Some(live) => live,
                None => return Ok(false),
            };
            let fits = live.nodes[node].queue.front().is_some_and(|told| match told {
                Told::Turn(TurnTrace { seen: Seen::Message { peer, bytes }, .. }) => {
                    let from = ids.get(peer).copied();
                    let way = from.and_then(|from| live.wires.get(&(from, node)));
                    way.and_then(|way| way.under_way.front()).is_some_and(|(_, first)| first == bytes)
                }
                _ => true,
            });
            if !fits {
                continue;
            }
            let Some(told) = live.nodes[node].queue.pop_front() else { continue };
            self.take_told(node, told)?;
            return Ok(true);
        }
        Ok(false)
    }

    fn take_told(&mut self, node: usize, told: Told) -> Result<(), WorldError> {
        match told {
            Told::Ready { listen, control: _, height, records } => {
                self.seats[node].store = records;
                self.seats[node].height = height;
                let (now, feerate) = (self.now, self.feerate_of(node));
                let plant = self.planted(node);
                let live = self.processes();
                let member = &mut live.nodes[node];
                (member.ready, member.tip) = (true, height);
                if let Some(process) = &mut member.process {
                    process.listen = listen;
                    let client = Client::from_folder(&member.plan.folder);
                    let name = member.plan.name.clone();
                    process.client = Some(
                        client
                            .map_err(|error| LiveError::Control { node: name, error: error.to_string() })?,
                    );
                }
                live.surround(node, now, feerate);
                live.order(node, Order::Plant(plant));
            }
            Told::Turn(turn) => self.take_turn(node, turn)?,
            Told::Verdicts(verdicts) => self.take_verdicts(node, verdicts)?,
            Told::Obeyed(number) => self.processes().nodes[node].orders.done(number),
        }
        Ok(())
    }

    fn take_turn(&mut self, node: usize, turn: TurnTrace) -> Result<(), WorldError> {
        let TurnTrace { seen, saved, did, wakes } = turn;
        let cause = self.cause_of(&seen);
        self.transcript.turn(node, cause);
        self.take_seen(node, seen);
        self.processes().nodes[node].wakes |= wakes;
        if !saved.is_empty() {
            let keys = self.seats[node].save(Batch { records: saved })?;
            self.transcript.push(self.now, Entry::Save { node, keys });
        }
        for did in did {
            self.take_did(node, did);
        }
        Ok(())
    }

    fn cause_of(&mut self, seen: &Seen) -> Cause {
        let number = |peer: &NodeId| self.ids.get(peer).copied();
        match seen {
            Seen::Connected { peer } => number(peer).map_or(Cause::Other, |peer| Cause::Connected { peer }),
            Seen::Disconnected { peer } => {
                number(peer).map_or(Cause::Other, |peer| Cause::Disconnected { peer })
            }
            Seen::Message { peer, bytes } => {
                number(peer).map_or(Cause::Other, |from| Cause::Message { from, bytes: bytes.clone() })
            }
            Seen::Block { hash, .. } => {
                let block = self.ground.blocks().iter().rev().find(|block| block.hash == *hash);
                block.map_or(Cause::Other, |block| Cause::Block(block.clone()))
            }
            Seen::BlockGone { .. } => Cause::BlockGone,
            Seen::Unconfirmed(txid) => {
                let known = self.processes().known.get(txid).cloned();
                known.map_or(Cause::Other, |tx| Cause::Unconfirmed(Arc::new(tx)))
            }
            Seen::Close { channel } => Cause::Close { channel: *channel },
            Seen::Command | Seen::Silent | Seen::Wake | Seen::TowerReady | Seen::Guarded { .. } => {
                Cause::Other
            }
        }
    }

    fn take_seen(&mut self, node: usize, seen: Seen) {
        let number = |peer: &NodeId| self.ids.get(peer).copied();
        match seen {
            Seen::Connected { peer } => {
                let Some(peer) = number(&peer) else { return };
                self.processes().wires.entry((node, peer)).or_default().begun += 1;
            }
            Seen::Disconnected { peer } => {
                let Some(peer) = number(&peer) else { return };
                self.links.take_down(node, peer);
                self.misses(node, peer);
                let live = self.processes();
                let way = live.wires.entry((node, peer)).or_default();
                way.ended = way.begun;
                let ended = way.ended;
                // What the other end sent over it and this one did not receive is lost.
                let back = live.wires.entry((peer, node)).or_default();
                back.under_way.retain(|(connection, _)| *connection > ended);
                live.wanted.remove(&pair(node, peer));
            }
            Seen::Message { peer, .. } => {
                let Some(from) = number(&peer) else { return };
                if let Some(way) = self.processes().wires.get_mut(&(from, node)) {
                    way.under_way.pop_front();
                }
            }
            Seen::Block { height, .. } => {
                self.seats[node].height = height;
                self.processes().nodes[node].tip = height;
            }
            Seen::BlockGone { height } => {
                let below = height.saturating_sub(1);
                self.seats[node].height = below;
                self.processes().nodes[node].tip = below;
            }
            Seen::Unconfirmed(_) | Seen::Silent | Seen::TowerReady | Seen::Guarded { .. } => {}
            Seen::Close { .. } | Seen::Command => {
                let member = &mut self.processes().nodes[node];
                member.commands = member.commands.saturating_sub(1);
            }
            Seen::Wake => self.processes().nodes[node].wakes = false,
        }
    }

    fn take_did(&mut self, node: usize, did: Did) {
        match did {
            Did::Send { peer, bytes } => {
                let Some(to) = self.ids.get(&peer).copied() else { return };
                let live = self.processes();
                let way = live.wires.entry((node, to)).or_default();
                if way.begun == way.ended {
                    return; // the link broke under it
                }
                let diverted = live.is_diverted(node, to);
                if !diverted {
                    live.set_out(node, to, &bytes);
                }
                self.note_message(node, to, bytes.clone());
                if let Some(connection) = self.links.connection(node, to).filter(|_| diverted) {
                    self.entrust(node, to, connection, bytes);
                }
            }
            Did::Disconnect { peer } => {
                let Some(other) = self.ids.get(&peer).copied() else { return };
                self.processes().wanted.remove(&pair(node, other));
                self.note(format!("{} hangs up on {}", self.seats[node].name, self.seats[other].name));
            }
            Did::Broadcast { tx, .. } => {
                self.await_verdict(node, &[tx]);
            }
            Did::BroadcastPackage { transactions, .. } => self.await_verdict(node, &transactions),
            Did::Reply | Did::Guard { .. } => {}
            Did::Notice(notice) => self.tell_owner(node, notice),
        }
    }

    fn await_verdict(&mut self, node: usize, transactions: &[Transaction]) {
        if self.is_unheard(node, transactions) {
            return;
        }
        let live = self.processes();
        live.nodes[node].unjudged += 1;
        transactions.iter().for_each(|tx| live.learn(tx));
    }

    fn take_verdicts(
        &mut self,
        node: usize,
        verdicts: Vec<(Txid, Option<String>)>,
    ) -> Result<(), WorldError> {
        let member = &mut self.processes().nodes[node];
        member.unjudged = member.unjudged.saturating_sub(1);
        for (txid, word) in verdicts {
            let live = self.processes();
            let Some(tx) = live.known.get(&txid).cloned() else { continue };
            let there = live.present.contains(&txid);
            let submitted = match word {
                Some(word) => Err(ChainError::Refused { reason: reject_word(&word) }),
                // Core takes again what it has.
                None if there => Err(ChainError::Refused { reason: "txn-already-in-mempool".into() }),
                None => Ok(txid),
            };
            if submitted.is_ok() {
                self.ground.heard_of(&tx);
                self.processes().present.insert(txid);
            }
            self.told_node(node, &tx, submitted)?;
        }
        Ok(())
    }

    /// What the mempool holds now.
    pub(in crate::world) fn note_present(&mut self) -> Result<(), WorldError> {
        let held = self.ground.mempool()?;
        self.processes().present = held.iter().map(Transaction::compute_txid).collect();
        Ok(())
    }

    /// Time passes for the processes too.
    pub(in crate::world) fn tell_time(&mut self, now: Timestamp) {
        self.processes().order_all(&Order::Clock(now.get()));
    }
}
