//! A turn under construction: what became dirty, what to do, what other channels still have to be told. At its end each
//! dirty thing is encoded once, however often it changed.

use super::{Action, Batch, Node, Notice, RecordKey, Turn, Why};
use crate::channel::{Command, Env};
use crate::ids::{ChannelId, NodeId, PaymentHash};
use crate::tower::Locator;
use crate::units::CommitmentNumber;
use crate::wire::Message;
use bitcoin::OutPoint;
use std::collections::{BTreeSet, VecDeque};

/// Everything that one event led to so far.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) actions: Vec<Action>,
    /// Commands for channels, to be run in this order before the turn ends.
    pub(super) tasks: VecDeque<Task>,
    pub(super) channels: BTreeSet<ChannelId>,
    /// Revoked states that are new, or whose channel is forgotten.
    pub(super) revoked: Vec<(ChannelId, CommitmentNumber)>,
    /// Boxes for the tower that are new, or done with.
    pub(super) unguarded: BTreeSet<(Locator, u16)>,
    pub(super) payments: BTreeSet<PaymentHash>,
    pub(super) invoices: BTreeSet<PaymentHash>,
    pub(super) forwards: BTreeSet<(ChannelId, u64)>,
    pub(super) counters: bool,
}

/// Something that a channel has to be told in this turn.
pub(super) struct Task {
    pub(super) channel: ChannelId,
    pub(super) command: Command,
}

impl Draft {
    /// Tells the owner.
    pub(super) fn notice(&mut self, notice: Notice) {
        self.actions.push(Action::Notice(notice));
    }

    /// Sends to a peer.
    pub(super) fn send(&mut self, peer: NodeId, message: &Message) {
        self.actions.push(Action::Send { peer, bytes: message.encode() });
    }

    /// Tells a channel, later in this turn.
    pub(super) fn task(&mut self, channel: ChannelId, command: Command) {
        self.tasks.push_back(Task { channel, command });
    }

    /// What transactions spend whose channels get their coins later in this turn: another's coins among it.
    pub(super) fn lent_coins(&self) -> impl Iterator<Item = OutPoint> + '_ {
        let lent = self.tasks.iter().filter_map(|task| match &task.command {
            Command::FeeInputs { tx, .. } => Some(tx),
            _ => None,
        });
        lent.flat_map(|tx| tx.input.iter().map(|input| input.previous_output))
    }
}

impl Node {
    /// Runs what effects asked of other channels. It ends: an HTLC that came in leads to one command out, an outcome to
    /// one command back, and a payment of our own to at most `max_attempts` commands.
    pub(super) fn run_tasks(&mut self, env: &Env, draft: &mut Draft) {
        while let Some(Task { channel, command }) = draft.tasks.pop_front() {
            self.run_task(channel, command, env, draft);
        }
    }

    /// Encodes what changed, once, and asks to be woken if a channel has something to sign.
    pub(super) fn finish(&mut self, mut draft: Draft, env: &Env) -> Turn {
        self.forget_told(&mut draft);
        let mut save = Batch::default();
        for id in draft.channels {
            save.records
                .insert(RecordKey::Channel(id), self.channels.get(&id).map(|channel| channel.encode()));
        }
        for (id, number) in draft.revoked {
            save.records.insert(RecordKey::Revoked(id, number), self.revoked_record(&id, number));
        }
        for (locator, part) in draft.unguarded {
            let record = self.unguarded_record(&(locator, part));
            save.records.insert(RecordKey::Unguarded(locator, part), record);
        }
        for hash in draft.payments {
            save.records.insert(RecordKey::Payment(hash), self.payment_record(&hash));
        }
        for hash in draft.invoices {
            save.records.insert(RecordKey::Invoice(hash), self.invoice_record(&hash));
        }
        for (channel, id) in draft.forwards {
            save.records.insert(RecordKey::Forward(channel, id), self.forward_record(&(channel, id)));
        }
        if draft.counters {
            save.records.insert(RecordKey::Node, Some(self.node_record()));
        }
        if let Some(record) = self.wallet_record() {
            save.records.insert(RecordKey::Wallet, Some(record));
        }
        let wake = (!self.due.is_empty()).then_some((env.now, Why::Commit));
        Turn { save, actions: draft.actions, wake }
    }
}
