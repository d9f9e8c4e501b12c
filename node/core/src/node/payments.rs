//! Payments that this node sends: starts attempts, takes in their outcomes, and tells the owner once how it ended.

use super::draft::Draft;
use super::{Counters, Node, Notice, PaymentOutcome, RouteHop};
use crate::channel::{Command, Env, Mutant, Offer, Origin, Refusal};
use crate::ids::{PaymentHash, Preimage};
use crate::payment::outgoing::{Attempt, Outgoing};
use crate::payment::route::{self, NoRoute, OwnChannel};
use secp256k1::SecretKey;

/// Said when nothing was tried at all.
const NO_MORE_ROUTES: &str = "no further route may be tried";

impl Node {
    /// Whether a payment with this hash runs, or has succeeded.
    pub(super) fn is_paying(&self, hash: &PaymentHash) -> bool {
        self.outgoing.get(hash).is_some_and(|payment| payment.outcome.is_none())
    }

    pub(super) fn is_paid(&self, hash: &PaymentHash) -> bool {
        let outcome = self.outgoing.get(hash).and_then(|payment| payment.outcome.as_ref());
        matches!(outcome, Some(PaymentOutcome::Succeeded { .. }))
    }

    /// Files a new payment.
    pub(super) fn begin_payment(&mut self, payment: Outgoing, draft: &mut Draft) {
        draft.payments.insert(payment.payment_hash);
        self.outgoing.insert(payment.payment_hash, payment);
    }

    /// Looks for a route and tries it; the payment ends when there is none.
    pub(super) fn try_next(&mut self, hash: PaymentHash, env: &Env, draft: &mut Draft) {
        let Some(payment) = self.outgoing.get(&hash).filter(|payment| payment.outcome.is_none()) else {
            return;
        };
        let (attempts, locked) = (self.config.max_attempts, self.config.max_cltv_total);
        let found = match payment.wanted(self.id, env.height, attempts, locked) {
            Some(wanted) => {
                let own = self.own_channels(env);
                route::find(&self.network, &own, &wanted).map_err(|NoRoute| NoRoute.to_string())
            }
            None => Err(NO_MORE_ROUTES.to_owned()),
        };
        match found {
            Ok(hops) => self.send_attempt(hash, hops, env, draft),
            Err(why) => self.give_up(hash, &why, draft),
        }
    }

    /// Sends one attempt over this route.
    pub(super) fn send_attempt(
        &mut self,
        hash: PaymentHash,
        hops: Vec<RouteHop>,
        env: &Env,
        draft: &mut Draft,
    ) {
        let Some(first) = hops.first().copied() else { return };
        let Some(channel) = self.by_scid.get(&first.short_channel_id).copied() else { return };
        let Some(payment) = self.outgoing.get_mut(&hash) else { return };
        let number = Counters::take(&mut self.counters.attempts);
        draft.counters = true;
        draft.payments.insert(hash);
        let onion = payment.onion(&session_key(&self.seed, number, env), &hops);
        payment.attempt(number, channel, hops);
        self.attempts.insert(number, hash);
        match onion {
            Ok(sent) => {
                let offer = Offer {
                    amount: first.amount,
                    payment_hash: hash,
                    cltv_expiry: first.cltv_expiry,
                    incoming_expiry: None,
                    onion: sent.packet,
                    origin: Origin::Own { attempt: number },
                };
                draft.task(channel, Command::Add(offer));
            }
            Err(error) => self.on_attempt_not_sent(number, error.to_string(), env, draft),
        }
    }

    pub(super) fn on_attempt_fulfilled(&mut self, attempt: u64, preimage: Preimage, draft: &mut Draft) {
        let Some(hash) = self.attempts.remove(&attempt) else { return };
        let Some(payment) = self.outgoing.get_mut(&hash) else { return };
        if payment.fulfilled(preimage) {
            let (amount, fee) = (payment.amount, payment.fee);
            draft.payments.insert(hash);
            draft.notice(Notice::PaymentSent { payment_hash: hash, preimage, amount, fee });
        }
    }

    pub(super) fn on_attempt_failed(
        &mut self,
        attempt: u64,
        refusal: &Refusal,
        env: &Env,
        draft: &mut Draft,
    ) {
        let key = session_key(&self.seed, attempt, env);
        let own = self.id;
        self.end_attempt(attempt, env, draft, |payment, attempt| {
            payment.refused(attempt, own, refusal, &key);
        });
    }

    pub(super) fn on_attempt_not_sent(&mut self, attempt: u64, why: String, env: &Env, draft: &mut Draft) {
        let own = self.id;
        self.end_attempt(attempt, env, draft, |payment, attempt| payment.not_sent(attempt, own, why));
    }

    /// Ends the attempt under way, lets the payment learn from it, and tries on.
    fn end_attempt(
        &mut self,
        number: u64,
        env: &Env,
        draft: &mut Draft,
        learn: impl FnOnce(&mut Outgoing, &Attempt),
    ) {
        let Some(hash) = self.attempts.remove(&number) else { return };
        let Some(payment) = self.outgoing.get_mut(&hash) else { return };
        let Some(attempt) = payment.current.take() else { return };
        learn(payment, &attempt);
        draft.payments.insert(hash);
        self.try_next(hash, env, draft);
    }

    fn give_up(&mut self, hash: PaymentHash, why: &str, draft: &mut Draft) {
        let Some(payment) = self.outgoing.get_mut(&hash) else { return };
        let failure = payment.give_up(why);
        draft.payments.insert(hash);
        draft.notice(Notice::PaymentFailed { payment_hash: hash, failure });
    }

    fn own_channels(&self, env: &Env) -> Vec<OwnChannel> {
        let own = self.by_scid.iter().filter_map(|(short_channel_id, id)| {
            let channel = self.channels.get(id)?;
            Some(OwnChannel {
                channel: *id,
                short_channel_id: *short_channel_id,
                peer: channel.peer(),
                spendable: channel.spendable(env),
            })
        });
        own.collect()
    }
}

/// The attempt's session key (BOLT 4): never used for another attempt, and found again when its failure comes back.
fn session_key(seed: &crate::keys::NodeSeed, attempt: u64, env: &Env) -> SecretKey {
    let attempt = if env.plants(Mutant::OneSessionKey) { 0 } else { attempt };
    let entropy = seed.entropy("onion session key", attempt);
    SecretKey::from_slice(&entropy).expect("fails for one hash in 2^127")
}
