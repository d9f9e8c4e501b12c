//! What becomes of an HTLC that a peer offered: peeled, then kept for an invoice of ours or passed on; and how the
//! outcome downstream goes back upstream (BOLT 2 "Forwarding HTLCs", BOLT 4).
//!
//! ```text
//!   upstream                     this node                       downstream
//!   add ... irrevocable ───────► peel, check ──────────────────► add
//!   fulfill ◄─────────────────── at once ◄────────────────────── fulfill
//!   fail ◄────────────────────── one more layer ◄─────────────── fail ... irrevocable
//! ```

use super::draft::Draft;
use super::{Node, Notice};
use crate::channel::{Channel, Command, Env, Mutant, Offer, Origin, Received, Refusal, Rejection};
use crate::ids::{ChannelId, Preimage, ShortChannelId};
use crate::payment::failure::{wrap, Failure, SharedSecret};
use crate::payment::forward::{self, Ask, Forward, Resolution};
use crate::payment::incoming::{self, FinalPayload, InvoiceState};
use crate::payment::onion::{peel, refuse_blinded, HopPayload, PeelError};
use crate::units::{CltvExpiry, Msat};
use crate::wire::OnionBytes;
use std::collections::BTreeSet;

/// What an intermediate hop is told.
struct Onward {
    amount: Msat,
    expiry: CltvExpiry,
    to: ShortChannelId,
    onion: Option<OnionBytes>,
}

impl Node {
    /// A received HTLC is irrevocably committed: from here on it may be passed on or settled.
    pub(super) fn on_received(
        &mut self,
        channel: ChannelId,
        received: &Received,
        env: &Env,
        draft: &mut Draft,
    ) {
        let id = received.id;
        let peeled = if received.in_blinded_route {
            Err(refuse_blinded(&received.onion))
        } else {
            peel(&self.secret, &received.onion, &received.payment_hash)
        };
        let peeled = match peeled {
            Ok(peeled) => peeled,
            Err(PeelError::Malformed { failure_code, sha256_of_onion }) => {
                return draft.task(channel, Command::FailMalformed { id, sha256_of_onion, failure_code });
            }
            Err(PeelError::Payload { shared_secret, failure }) => {
                return draft.task(channel, Command::Fail { id, reason: wrap(&shared_secret, &failure) });
            }
        };
        let secret = peeled.shared_secret;
        // Trimmed HTLCs must not give more to miners than is allowed (BOLT 2, "Bounding exposure to trimmed HTLCs").
        let excess = self.channels.get(&channel).is_some_and(|channel| channel.is_excess_dust(id));
        if excess && !env.plants(Mutant::TakeExcessDust) {
            let failure = Failure::TemporaryChannelFailure { channel_update: Vec::new() };
            return draft.task(channel, Command::Fail { id, reason: wrap(&secret, &failure) });
        }
        let result = match peeled.payload {
            HopPayload::Intermediate { amt_to_forward, outgoing_cltv_value, short_channel_id } => {
                let onward = Onward {
                    amount: amt_to_forward,
                    expiry: outgoing_cltv_value,
                    to: short_channel_id,
                    onion: peeled.next,
                };
                self.pass_on(channel, received, secret, onward, env, draft)
            }
            HopPayload::Final { amt_to_forward, outgoing_cltv_value, payment_secret, total_msat, .. } => {
                let payload =
                    FinalPayload { amt_to_forward, outgoing_cltv_value, payment_secret, total_msat };
                self.accept(channel, received, &payload, env, draft)
            }
        };
        if let Err(failure) = result {
            draft.task(channel, Command::Fail { id, reason: wrap(&secret, &failure) });
        }
    }

    fn pass_on(
        &mut self,
        channel: ChannelId,
        received: &Received,
        shared_secret: SharedSecret,
        onward: Onward,
        env: &Env,
        draft: &mut Draft,
    ) -> Result<(), Failure> {
        // Its HMAC was received before (BOLT 4). Only what is under way is remembered: the hash is part of the HMAC, so that
        // a later replay can only pay the same hash once more, at the cost of whoever replays.
        if self.forwards.values().any(|forward| forward.shared_secret == shared_secret) {
            return Err(Failure::TemporaryNodeFailure);
        }
        let outgoing = *self.by_scid.get(&onward.to).ok_or(Failure::UnknownNextPeer)?;
        let ask = Ask {
            incoming_amount: received.amount,
            incoming_expiry: received.cltv_expiry,
            outgoing_amount: onward.amount,
            outgoing_expiry: onward.expiry,
        };
        let fee = forward::check(&self.config.forward, &ask, env, self.config.max_cltv_total)?;
        let onion = onward.onion.ok_or(Failure::TemporaryNodeFailure)?;
        let payment_hash = received.payment_hash;
        let key = (channel, received.id);
        self.forwards.insert(key, Forward { payment_hash, shared_secret, outgoing, fee, resolution: None });
        draft.forwards.insert(key);
        let offer = Offer {
            amount: onward.amount,
            payment_hash,
            cltv_expiry: onward.expiry,
            incoming_expiry: Some(received.cltv_expiry),
            onion,
            origin: Origin::Forward { channel, id: received.id },
        };
        draft.task(outgoing, Command::Add(offer));
        Ok(())
    }

    fn accept(
        &mut self,
        channel: ChannelId,
        received: &Received,
        payload: &FinalPayload,
        env: &Env,
        draft: &mut Draft,
    ) -> Result<(), Failure> {
        let hash = received.payment_hash;
        let invoice = self.invoices.get_mut(&hash);
        incoming::check(invoice.as_deref(), received, payload, env)?;
        if let Some(invoice) = invoice {
            invoice.state = InvoiceState::Claiming { channel, id: received.id, amount: received.amount };
            self.claims.insert((channel, received.id), hash);
            draft.invoices.insert(hash);
            draft.task(channel, Command::Fulfill { id: received.id, preimage: invoice.preimage });
        }
        Ok(())
    }

    /// An HTLC that we fulfilled is gone for good. For a forward there is nothing left to do.
    pub(super) fn on_settled(&mut self, channel: ChannelId, id: u64, draft: &mut Draft) {
        let Some(payment_hash) = self.claims.remove(&(channel, id)) else { return };
        let Some(invoice) = self.invoices.get_mut(&payment_hash) else { return };
        if let InvoiceState::Claiming { amount, .. } = invoice.state {
            invoice.state = InvoiceState::Paid { amount };
            draft.invoices.insert(payment_hash);
            draft.notice(Notice::PaymentReceived { payment_hash, amount });
        }
    }

    /// The preimage came from downstream: upstream gets it in the same turn.
    pub(super) fn on_fulfilled(&mut self, origin: Origin, preimage: Preimage, draft: &mut Draft) {
        match origin {
            Origin::Own { attempt } => self.on_attempt_fulfilled(attempt, preimage, draft),
            Origin::Forward { channel, id } => {
                if let Some(forward) = self.open_forward((channel, id)) {
                    draft.notice(Notice::Forwarded { payment_hash: forward.payment_hash, fee: forward.fee });
                }
                self.resolve((channel, id), Resolution::Fulfill(preimage), draft);
            }
        }
    }

    /// An HTLC that we offered is irrevocably gone without the preimage; only now upstream may be refused.
    pub(super) fn on_failed(&mut self, origin: Origin, refusal: &Refusal, env: &Env, draft: &mut Draft) {
        match origin {
            Origin::Own { attempt } => self.on_attempt_failed(attempt, refusal, env, draft),
            Origin::Forward { channel, id } => {
                if let Some(preimage) = self.confused_preimage((channel, id), env) {
                    return self.resolve((channel, id), Resolution::Fulfill(preimage), draft);
                }
                self.refuse(channel, id, draft, |secret| forward::refuse_upstream(secret, refusal));
            }
        }
    }

    /// What a planted bug takes for R of a forward: that of an own invoice, which nobody paid.
    fn confused_preimage(&self, key: (ChannelId, u64), env: &Env) -> Option<Preimage> {
        let forward = self.open_forward(key).filter(|_| env.plants(Mutant::ClaimsForwardWithOwnInvoice))?;
        self.invoices.get(&forward.payment_hash).map(|invoice| invoice.preimage)
    }

    /// A channel did not take an HTLC: it goes back where it came from.
    pub(super) fn on_not_offered(
        &mut self,
        origin: Origin,
        rejection: &Rejection,
        env: &Env,
        draft: &mut Draft,
    ) {
        match origin {
            Origin::Own { attempt } => self.on_attempt_not_sent(attempt, rejection.to_string(), env, draft),
            Origin::Forward { channel, id } => {
                self.refuse(channel, id, draft, |secret| forward::not_offered(secret, rejection));
            }
        }
    }

    fn refuse(
        &mut self,
        channel: ChannelId,
        id: u64,
        draft: &mut Draft,
        reason: impl FnOnce(&SharedSecret) -> Vec<u8>,
    ) {
        if let Some(forward) = self.open_forward((channel, id)) {
            let reason = reason(&forward.shared_secret);
            self.resolve((channel, id), Resolution::Fail(reason), draft);
        }
    }

    /// A forward that has not ended yet.
    fn open_forward(&self, key: (ChannelId, u64)) -> Option<&Forward> {
        self.forwards.get(&key).filter(|forward| forward.resolution.is_none())
    }

    /// Keeps how a forward ended, so that neither a crash nor a broken link upstream can lose it, and tells the incoming
    /// channel. The first outcome counts.
    fn resolve(&mut self, key: (ChannelId, u64), resolution: Resolution, draft: &mut Draft) {
        let Some(forward) = self.forwards.get_mut(&key).filter(|forward| forward.resolution.is_none()) else {
            return;
        };
        draft.task(key.0, resolution.command(key.1));
        forward.resolution = Some(resolution);
        self.untold.insert(key);
        draft.forwards.insert(key);
    }

    /// What an incoming channel could not be told while its link was down.
    pub(super) fn tell_again(&mut self, channel: ChannelId, draft: &mut Draft) {
        for (_, id) in self.untold.range((channel, 0)..=(channel, u64::MAX)) {
            let forward = self.forwards.get(&(channel, *id));
            if let Some(resolution) = forward.and_then(|forward| forward.resolution.as_ref()) {
                draft.task(channel, resolution.command(*id));
            }
        }
    }

    /// The incoming channel took an outcome in, or has no such HTLC any more: once it is saved, the forward is over.
    pub(super) fn on_told(&mut self, key: (ChannelId, u64)) {
        if self.untold.remove(&key) {
            self.told.insert(key);
        }
    }

    /// Forgets the forwards whose incoming channel is saved in this turn.
    pub(super) fn forget_told(&mut self, draft: &mut Draft) {
        let saved = |key: &&(ChannelId, u64)| draft.channels.contains(&key.0);
        let over: Vec<_> = self.told.iter().filter(saved).copied().collect();
        for key in over {
            self.told.remove(&key);
            self.forwards.remove(&key);
            draft.forwards.insert(key);
        }
    }

    /// After a restart: an HTLC that was to be offered and is in no channel was never signed for, so it failed.
    pub(super) fn end_unsigned(&mut self, env: &Env, draft: &mut Draft) {
        let offered: BTreeSet<Origin> =
            self.channels.values().flat_map(Channel::htlcs).filter_map(|htlc| htlc.origin).collect();
        let open = self.forwards.iter().filter(|(_, forward)| forward.resolution.is_none());
        let forwards = open.map(|((channel, id), _)| Origin::Forward { channel: *channel, id: *id });
        let attempts = self.attempts.keys().map(|attempt| Origin::Own { attempt: *attempt });
        let forgets = env.plants(Mutant::FailsForwardsAtRestart);
        let unsigned = |origin: &Origin| !offered.contains(origin) || forgets;
        let lost: Vec<_> = forwards.chain(attempts).filter(unsigned).collect();
        for origin in lost {
            self.on_failed(origin, &Refusal::NotCommitted, env, draft);
        }
    }

    /// What a planted bug does when the link to `outgoing` stands again: what was passed on there is taken for new.
    pub(super) fn forward_again(&mut self, outgoing: ChannelId, env: &Env, draft: &mut Draft) {
        let open = self.forwards.iter().filter(|(_, forward)| forward.outgoing == outgoing);
        let keys: Vec<_> =
            open.filter(|(_, forward)| forward.resolution.is_none()).map(|(key, _)| *key).collect();
        for (channel, id) in keys {
            let received = self.channels.get(&channel).and_then(|channel| channel.received(id));
            if let Some(received) = received {
                self.forwards.remove(&(channel, id));
                self.on_received(channel, &received, env, draft);
            }
        }
    }
}
