//! What the owner of a node does: it gives commands and is told what came of them. When its node was killed it acts as a person
//! would: it tells the node of the network again, looks at the lists of channels and payments for what it may have missed, and
//! gives a command that was not answered once more, unless it sees there that it was heard. It never looks into a node.
use super::{Notified, World, WorldError};
use crate::transcript::Entry;
use leyden_core::ids::{ChannelId, PaymentHash};
use leyden_core::node::{
    ChannelInfo, Command, CommandError, Event, KnownChannel, Notice, PaymentInfo, PaymentOutcome, Reply,
};
use leyden_core::payment::invoice::Invoice;
use std::collections::{BTreeMap, BTreeSet};

/// All owners.
#[derive(Default, Debug)]
pub(super) struct Owners {
    calls: u64,
    replies: BTreeMap<u64, Result<Reply, CommandError>>,
    /// The network, as each node was told of it; gossip would tell it again.
    network: BTreeMap<usize, Vec<KnownChannel>>,
    /// How many payments of this hash each owner began.
    begun: BTreeMap<(usize, PaymentHash), usize>,
}

impl World {
    /// The owner of a node wants something; everything that follows from it happens at the next `drain`. A command that a kill
    /// leaves without an answer is given again, unless the node's lists show that it was heard.
    pub fn command(
        &mut self,
        node: usize,
        command: Command,
    ) -> Result<Result<Reply, CommandError>, WorldError> {
        if self.is_dead(node) {
            self.drain()?;
        }
        if let Command::LearnChannel(known) = &command {
            self.owners.network.entry(node).or_default().push(*known);
        }
        let kills = self.kills();
        let call = self.ask(node, command.clone())?;
        if !self.owners.replies.contains_key(&call) {
            self.drain()?;
        }
        let reply = match self.owners.replies.remove(&call) {
            Some(reply) => reply,
            None if self.kills() == kills => {
                return Err(WorldError::NoReply { node: self.seats[node].name.clone() });
            }
            None => match self.was_heard(node, &command)? {
                Some(reply) => Ok(reply),
                None => {
                    self.note(format!("{}'s owner asks again", self.seats[node].name));
                    return self.command(node, command);
                }
            },
        };
        if let Ok(Reply::Paying { payment_hash }) = &reply {
            *self.owners.begun.entry((node, *payment_hash)).or_default() += 1;
        }
        Ok(reply)
    }

    fn ask(&mut self, node: usize, command: Command) -> Result<u64, WorldError> {
        let call = self.owners.calls;
        self.owners.calls += 1;
        if self.live.is_some() {
            if !self.processes().is_ready(node) {
                self.drain()?;
            }
            self.await_orders(node)?;
            match self.processes().command(node, command) {
                Ok(reply) => self.answer(call, reply),
                // Killed before it answered.
                Err(_) if self.processes().is_struck(node) => {}
                Err(error) => return Err(error.into()),
            }
            return Ok(call);
        }
        // A node that waits for its disk does not answer.
        if !self.is_saving(node) {
            self.handle(node, Event::Command { call, command })?;
        }
        Ok(call)
    }

    /// The node answers a command.
    pub(super) fn answer(&mut self, call: u64, result: Result<Reply, CommandError>) {
        self.owners.replies.insert(call, result);
    }

    /// The node tells its owner something, or the owner sees it in a list.
    pub(super) fn tell_owner(&mut self, node: usize, notice: Notice) {
        if let Notice::PaymentSent { preimage, .. } = &notice {
            self.reveal(*preimage);
        }
        self.transcript.push(self.now, Entry::Notice { node, notice: notice.clone() });
        self.notices.push(Notified { at: self.now, node, notice });
    }

    /// The node has just started again: it is told of the network, and looked at for what its owner may have missed.
    pub(super) fn greet(&mut self, node: usize) -> Result<(), WorldError> {
        for known in self.owners.network.get(&node).cloned().unwrap_or_default() {
            if self.is_dead(node) {
                return Ok(()); // killed again
            }
            let call = self.ask(node, Command::LearnChannel(known))?;
            self.owners.replies.remove(&call);
        }
        let (payments, channels) = (self.payments_of(node)?, self.channels_of(node)?);
        if self.is_dead(node) {
            return Ok(()); // killed again
        }
        let missed = payments.iter().filter_map(|info| self.missed_payment(node, info));
        let missed: Vec<Notice> = missed.chain(self.missed_channels(node, &channels)).collect();
        missed.into_iter().for_each(|notice| self.tell_owner(node, notice));
        Ok(())
    }

    fn payments_of(&mut self, node: usize) -> Result<Vec<PaymentInfo>, WorldError> {
        let call = self.ask(node, Command::ListPayments)?;
        match self.owners.replies.remove(&call) {
            Some(Ok(Reply::Payments(payments))) => Ok(payments),
            None if self.is_dead(node) => Ok(Vec::new()),
            _ => Err(WorldError::NoReply { node: self.seats[node].name.clone() }),
        }
    }

    fn channels_of(&mut self, node: usize) -> Result<Vec<ChannelInfo>, WorldError> {
        let call = self.ask(node, Command::ListChannels)?;
        match self.owners.replies.remove(&call) {
            Some(Ok(Reply::Channels(channels))) => Ok(channels),
            None if self.is_dead(node) => Ok(Vec::new()),
            _ => Err(WorldError::NoReply { node: self.seats[node].name.clone() }),
        }
    }

    fn told(&self, node: usize) -> impl Iterator<Item = &Notice> {
        self.notices.iter().filter(move |said| said.node == node).map(|said| &said.notice)
    }

    /// A payment that is over, if its owner does not know so.
    fn missed_payment(&self, node: usize, info: &PaymentInfo) -> Option<Notice> {
        let PaymentInfo { payment_hash, amount, fee, .. } = *info;
        let got = |notice: &&Notice| matches!(notice, Notice::PaymentReceived { payment_hash: hash, .. } if *hash == payment_hash);
        let sent = |notice: &&Notice| matches!(notice, Notice::PaymentSent { payment_hash: hash, .. } if *hash == payment_hash);
        let failed = |notice: &&Notice| matches!(notice, Notice::PaymentFailed { payment_hash: hash, .. } if *hash == payment_hash);
        let known = |notice: &dyn Fn(&&Notice) -> bool| self.told(node).filter(notice).count();
        match info.outcome.clone()? {
            PaymentOutcome::Succeeded { .. } if info.incoming => {
                (known(&got) == 0).then_some(Notice::PaymentReceived { payment_hash, amount })
            }
            PaymentOutcome::Succeeded { preimage } => {
                let notice = Notice::PaymentSent { payment_hash, preimage, amount, fee };
                (known(&sent) == 0).then_some(notice)
            }
            PaymentOutcome::Failed { failure } => {
                let begun = self.owners.begun.get(&(node, payment_hash)).copied().unwrap_or(1);
                let over = known(&sent) + known(&failed);
                (over < begun).then_some(Notice::PaymentFailed { payment_hash, failure })
            }
        }
    }

    /// What became of channels, where their owner does not know it.
    fn missed_channels(&self, node: usize, channels: &[ChannelInfo]) -> Vec<Notice> {
        let (mut named, mut ready, mut closing, mut over) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for notice in self.told(node) {
            match notice {
                Notice::ChannelNamed { channel, .. } => drop(named.insert(*channel)),
                Notice::ChannelReady { channel, .. } => drop(ready.insert(*channel)),
                Notice::ChannelClosing { channel, .. } => drop(closing.insert(*channel)),
                Notice::ChannelResolved { channel } | Notice::ChannelAbandoned { channel, .. } => {
                    over.insert(*channel);
                }
                Notice::PeerReady { .. }
                | Notice::PaymentSent { .. }
                | Notice::PaymentFailed { .. }
                | Notice::PaymentReceived { .. }
                | Notice::Forwarded { .. }
                | Notice::PeerError { .. } => {}
            }
        }
        let mut missed = Vec::new();
        for info in channels {
            let channel = info.channel_id;
            if let Some(short_channel_id) = info.short_channel_id {
                if info.phase == "normal" && !ready.contains(&channel) {
                    missed.push(Notice::ChannelReady { channel, short_channel_id });
                }
            }
            if is_closing(info) && !closing.contains(&channel) {
                missed.push(Notice::ChannelClosing { channel, why: "it is listed so".into() });
            }
        }
        let listed: BTreeSet<ChannelId> = channels.iter().map(|info| info.channel_id).collect();
        for channel in
            named.into_iter().filter(|channel| !listed.contains(channel) && !over.contains(channel))
        {
            missed.push(if ready.contains(&channel) || closing.contains(&channel) {
                Notice::ChannelResolved { channel }
            } else {
                Notice::ChannelAbandoned { channel, why: "it is not listed any more".into() }
            });
        }
        missed
    }

    /// Whether the node's lists show what a command that was not answered was to lead to. What leaves no trace there, or may be done
    /// twice, was not heard.
    fn was_heard(&mut self, node: usize, command: &Command) -> Result<Option<Reply>, WorldError> {
        match command {
            Command::Pay { invoice, .. } => match Invoice::parse(invoice) {
                Ok(invoice) => self.is_listed(node, invoice.payment_hash),
                Err(_) => Ok(None),
            },
            Command::PayRoute(route) => self.is_listed(node, route.payment_hash),
            Command::Close { channel, .. } | Command::ForceClose { channel } => {
                let alone = matches!(command, Command::ForceClose { .. });
                let channels = self.channels_of(node)?;
                let info = channels.iter().find(|info| info.channel_id == *channel);
                let done =
                    info.is_none_or(|info| is_closing(info) && !(alone && info.phase == SHUTTING_DOWN));
                Ok(done.then_some(Reply::Done))
            }
            Command::NewAddress
            | Command::Open(_)
            | Command::UpdateFee { .. }
            | Command::Invoice { .. }
            | Command::LearnChannel(_)
            | Command::ListChannels
            | Command::ListPayments
            | Command::Balances => Ok(None),
        }
    }

    /// A try at this payment that the owner did not count yet is listed, over or not.
    fn is_listed(&mut self, node: usize, payment_hash: PaymentHash) -> Result<Option<Reply>, WorldError> {
        let payments = self.payments_of(node)?;
        let mut sent = payments.iter().filter(|info| info.payment_hash == payment_hash && !info.incoming);
        let Some(info) = sent.next() else { return Ok(None) };
        let begun = self.owners.begun.get(&(node, payment_hash)).copied().unwrap_or_default();
        let heard = begun == 0 || !matches!(info.outcome, Some(PaymentOutcome::Failed { .. }));
        Ok(heard.then_some(Reply::Paying { payment_hash }))
    }
}

/// A channel in this phase is being closed together.
const SHUTTING_DOWN: &str = "shutting down";

fn is_closing(info: &ChannelInfo) -> bool {
    [SHUTTING_DOWN, "on chain", "done"].contains(&info.phase.as_str())
}
