//! Channel steps: puts the new value in the place of the old one and turns each effect into what the node does.

use super::draft::Draft;
use super::peers::error;
use super::{Action, Node, Notice};
use crate::chain::Bill;
use crate::channel::{Channel, Command, Effect, Env, FeeInputs, Input, Mutant, Offer, Rejection, Role, Step};
use crate::ids::{ChannelId, NodeId};
use crate::units::{FeeratePerKw, Sat};
use crate::wire::Message;
use bitcoin::{OutPoint, ScriptBuf, Transaction};

impl Node {
    /// One step of one channel, and all that follows from it. A channel that is gone has nothing to do.
    pub(super) fn step(
        &mut self,
        id: ChannelId,
        input: Input,
        env: &Env,
        draft: &mut Draft,
    ) -> Result<(), Rejection> {
        let Some(channel) = self.channels.get(&id) else { return Ok(()) };
        let step = channel.step(input, env)?;
        self.apply(id, step, env, draft);
        Ok(())
    }

    /// Keeps what a step gave and does what it asks for.
    pub(super) fn apply(&mut self, id: ChannelId, step: Step, env: &Env, draft: &mut Draft) {
        self.channels.insert(id, step.channel);
        if step.save {
            self.unprepared.insert(id);
            draft.channels.insert(id);
        }
        self.run_effects(id, step.effects, env, draft);
    }

    /// Does what a channel asks for, in its order.
    pub(super) fn run_effects(
        &mut self,
        mut id: ChannelId,
        effects: Vec<Effect>,
        env: &Env,
        draft: &mut Draft,
    ) {
        let Some(peer) = self.channels.get(&id).map(Channel::peer) else { return };
        for effect in effects {
            match effect {
                Effect::Send(message) => self.send(peer, &message, draft),
                Effect::FundingNeeded { script, amount, feerate } => {
                    self.fund(id, script, amount, feerate, env, draft);
                }
                Effect::Broadcast { role, tx } => self.broadcast(id, role, tx, env, draft),
                Effect::BroadcastPackage { transactions } => {
                    draft.actions.push(Action::BroadcastPackage { channel: id, transactions });
                }
                Effect::FeeInputsNeeded(needed) => self.give_fee_inputs(id, &needed, env, draft),
                Effect::Revoked { number, .. } => draft.revoked.push((id, number)),
                Effect::GivenUp { commitment, secret } => self.guard(id, &commitment, &secret, env, draft),
                Effect::CommitDue => {
                    self.due.insert(id);
                }
                Effect::Named { channel_id } => {
                    self.rename(id, channel_id, draft);
                    id = channel_id;
                }
                Effect::Ready { short_channel_id } => {
                    // Told again after each reorganisation. Whoever knows only the old id can still name the channel by it.
                    if self.by_scid.insert(short_channel_id, id) == Some(id) {
                        continue;
                    }
                    draft.notice(Notice::ChannelReady { channel: id, short_channel_id });
                }
                Effect::Received(received) => self.on_received(id, &received, env, draft),
                Effect::Settled { id: htlc } => self.on_settled(id, htlc, draft),
                Effect::Fulfilled { origin, preimage } => self.on_fulfilled(origin, preimage, draft),
                Effect::Failed { origin, refusal } => self.on_failed(origin, &refusal, env, draft),
                Effect::Disconnect => self.disconnect(peer, draft),
                Effect::Closing { why } => draft.notice(Notice::ChannelClosing { channel: id, why }),
                Effect::Resolved => {
                    self.forget(id, draft);
                    draft.notice(Notice::ChannelResolved { channel: id });
                }
                Effect::Abandoned { why, told_destination } => self.abandon(id, why, told_destination, draft),
            }
        }
    }

    /// Runs a command that another channel's effect led to. What cannot be offered is refused where it came from.
    pub(super) fn run_task(&mut self, id: ChannelId, command: Command, env: &Env, draft: &mut Draft) {
        let origin = match &command {
            Command::Add(Offer { origin, .. }) => Some(*origin),
            _ => None,
        };
        let settled = match &command {
            Command::Fulfill { id: htlc, .. } | Command::Fail { id: htlc, .. } => Some((id, *htlc)),
            _ => None,
        };
        let known = self.channels.contains_key(&id);
        let result = self.step(id, Input::Command(command), env, draft);
        match (result, origin) {
            (Err(rejection), Some(origin)) => self.on_not_offered(origin, &rejection, env, draft),
            (Ok(()), Some(origin)) if !known => {
                self.on_not_offered(origin, &Rejection::Closing, env, draft);
            }
            (Ok(()) | Err(Rejection::UnknownHtlc { .. }), None) => {
                settled.into_iter().for_each(|key| self.on_told(key));
            }
            // The link is down: it is told again when messages flow. Or the channel is on the chain, where the record of the
            // outcome waits for whoever resolves it there.
            (Ok(()) | Err(_), _) => {}
        }
    }

    /// The queue drained: each channel that has something to sign signs it.
    pub(super) fn on_commit_due(&mut self, env: &Env, draft: &mut Draft) {
        for id in std::mem::take(&mut self.due) {
            // Refused when the link broke meanwhile; it is asked for again after the re-establishment.
            let _ = self.step(id, Input::Command(Command::Commit), env, draft);
        }
    }

    fn send(&mut self, peer: NodeId, message: &Message, draft: &mut Draft) {
        let complaint = match message {
            Message::Error(error) => Some(&error.data),
            Message::Warning(warning) => Some(&warning.data),
            _ => None,
        };
        if let Some(data) = complaint {
            let text = String::from_utf8_lossy(data).into_owned();
            draft.notice(Notice::PeerError { peer, text });
        }
        if self.peers.get(&peer).is_some_and(|connection| connection.is_open()) {
            draft.send(peer, message);
        }
    }

    fn fund(
        &mut self,
        id: ChannelId,
        script: ScriptBuf,
        amount: Sat,
        feerate: FeeratePerKw,
        env: &Env,
        draft: &mut Draft,
    ) {
        let script = if env.plants(Mutant::FundsItself) { self.wallet.fresh_script() } else { script };
        let used = self.used_coins(env, draft);
        match self.wallet.fund(id, script, amount, feerate, &used) {
            Ok((tx, vout)) => draft.task(id, Command::Funded { tx, vout }),
            Err(problem) => {
                let why = problem.to_string();
                if let Some(channel) = self.channels.get(&id) {
                    draft.send(channel.peer(), &error(id, "the funding cannot be provided"));
                }
                self.abandon(id, why, false, draft);
            }
        }
    }

    /// Coins of the wallet that transactions wait with: those that channels know of, and those given to others in this turn.
    fn used_coins(&self, env: &Env, draft: &Draft) -> Vec<OutPoint> {
        if env.plants(Mutant::GivesOneCoinTwice) {
            return Vec::new();
        }
        let known = self.channels.values().flat_map(Channel::fee_coins);
        known.chain(draft.lent_coins()).collect()
    }

    /// Coins for a transaction that cannot pay for itself. Those that other transactions of ours wait with are left alone; if
    /// there are too few, the channel asks again at the next block.
    fn give_fee_inputs(&mut self, id: ChannelId, needed: &FeeInputs, env: &Env, draft: &mut Draft) {
        let used = self.used_coins(env, draft);
        let bill = Bill {
            tx: &needed.tx,
            weight: needed.weight,
            paid: needed.paid,
            feerate: needed.feerate,
            budget: needed.budget,
            change: &needed.change,
            again: &needed.coins,
            used: &used,
        };
        if let Some(tx) = self.wallet.pay(&bill) {
            draft.task(id, Command::FeeInputs { claim: needed.claim, tx });
        }
    }

    /// The channel never came to be. A destination that was not told to anyone goes to another channel.
    pub(super) fn abandon(&mut self, id: ChannelId, why: String, told_destination: bool, draft: &mut Draft) {
        let channel = self.channels.get(&id).filter(|_| !told_destination);
        let unused = channel.map(|channel| channel.destination().to_owned());
        self.unused_scripts.extend(unused);
        self.forget(id, draft);
        draft.notice(Notice::ChannelAbandoned { channel: id, why });
    }

    fn broadcast(&mut self, id: ChannelId, role: Role, tx: Transaction, env: &Env, draft: &mut Draft) {
        if role == Role::Funding {
            self.wallet.broadcast(id, &tx, env.now);
        }
        draft.actions.push(Action::Broadcast { role, channel: id, tx });
    }

    fn rename(&mut self, temporary: ChannelId, lasting: ChannelId, draft: &mut Draft) {
        let Some(channel) = self.channels.remove(&temporary) else { return };
        self.channels.insert(lasting, channel);
        self.wallet.rename_reservation(temporary, lasting);
        if draft.channels.remove(&temporary) {
            draft.channels.insert(lasting);
        }
        if self.due.remove(&temporary) {
            self.due.insert(lasting);
        }
        draft.notice(Notice::ChannelNamed { temporary, channel: lasting });
    }

    fn forget(&mut self, id: ChannelId, draft: &mut Draft) {
        let states = self.channels.get(&id).into_iter().flat_map(Channel::revoked_states);
        draft.revoked.extend(states.map(|(number, _)| (id, number)));
        self.forget_unguarded(id, draft);
        self.channels.remove(&id);
        self.by_scid.retain(|_, channel| *channel != id);
        self.due.remove(&id);
        self.wallet.release(id);
        draft.channels.insert(id);
    }
}
