//! HTLC and fee updates, ours and the peer's, with every rule of BOLT 2 "Normal Operation" that binds them.
//! They change the books only; nothing is signed here.
use super::ledger::{Htlc, Removal};
use super::limits::{sane_feerates, LOCKTIME_THRESHOLD};
use super::{
    Base, ChannelConfig, Effect, Env, Funded, Mutant, Offer, Origin, Out, Refusal, Rejection, Violation,
};
use crate::ids::Preimage;
use crate::tx::Side;
use crate::units::{FeeratePerKw, Msat};
use crate::wire::{
    Message, UpdateAddHtlc, UpdateFailHtlc, UpdateFailMalformedHtlc, UpdateFee, UpdateFulfillHtlc,
};

/// The bit that marks a failure code as one about the onion itself (BOLT 4).
const BADONION: u16 = 0x8000;
/// The most that `reason` may hold: a message of 65,535 bytes less type, channel, id and the reason's length. What a peer
/// could say of an HTLC of ours thus always fits into what we say upstream.
const MAX_REASON_LEN: usize = 65_535 - 2 - 32 - 8 - 2;

impl Funded {
    /// Offers an HTLC.
    pub fn offer(
        &mut self,
        offer: &Offer,
        config: &ChannelConfig,
        env: &Env,
        out: &mut Out,
    ) -> Result<(), Rejection> {
        self.check_offer(offer, env)?;
        self.ledger.add(Side::Local, offer, Some(offer.origin), false);
        if self.ledger.htlcs().last().is_some_and(|htlc| self.is_dust(htlc)) {
            let (exposure, maximum) = (self.dust_exposure_now(), config.max_dust_htlc_exposure);
            if exposure > maximum && !env.plants(Mutant::IgnoreDustExposure) {
                return Err(Rejection::DustExposure { exposure, maximum });
            }
        }
        let message = self.ledger.htlcs().last().and_then(|htlc| self.add_message(htlc));
        out.effects.extend(message.map(Effect::Send));
        self.ask_for_commit(out);
        Ok(())
    }

    /// Our offer, as it was or is sent; none once the peer acknowledged it, since the onion is gone then.
    pub fn add_message(&self, htlc: &Htlc) -> Option<Message> {
        Some(Message::UpdateAddHtlc(UpdateAddHtlc {
            channel_id: self.channel_id(),
            id: htlc.id,
            amount_msat: htlc.amount,
            payment_hash: htlc.payment_hash,
            cltv_expiry: htlc.cltv_expiry,
            onion_routing_packet: htlc.onion.clone()?,
            path_key: None,
            unknown: Vec::new(),
        }))
    }

    fn check_offer(&self, offer: &Offer, env: &Env) -> Result<(), Rejection> {
        let limits = self.agreement.on(Side::Local);
        let (amount, expiry) = (offer.amount, offer.cltv_expiry.get());
        if expiry >= LOCKTIME_THRESHOLD {
            return Err(Rejection::CltvExpiryIsTime { expiry });
        }
        let too_small = amount < limits.htlc_minimum && !env.plants(Mutant::OfferBelowMinimum);
        if amount == Msat::ZERO || too_small {
            return Err(Rejection::HtlcTooSmall { amount, minimum: limits.htlc_minimum });
        }
        let (count, sum) = self.in_flight(Side::Local);
        let full = count >= usize::from(limits.max_accepted_htlcs);
        if full && !env.plants(Mutant::OfferTooMany) {
            return Err(Rejection::TooManyHtlcs { maximum: limits.max_accepted_htlcs });
        }
        let too_much = sum.saturating_add(amount) > limits.max_in_flight;
        if too_much && !env.plants(Mutant::OfferTooMuchInFlight) {
            return Err(Rejection::TooMuchInFlight { maximum: limits.max_in_flight });
        }
        let spendable = self.offerable(Side::Local);
        // Each of the limits above bounds what is offerable too: a node that forgets one of them forgets it here as well.
        let forgets = [
            Mutant::OfferBeyondReserve,
            Mutant::OfferBelowMinimum,
            Mutant::OfferTooMany,
            Mutant::OfferTooMuchInFlight,
        ];
        if amount > spendable && !forgets.into_iter().any(|mutant| env.plants(mutant)) {
            return Err(Rejection::Unaffordable { amount, spendable });
        }
        Ok(())
    }

    /// The peer offers an HTLC.
    pub fn on_update_add_htlc(&mut self, message: &UpdateAddHtlc) -> Result<(), Violation> {
        let limits = *self.agreement.on(Side::Remote);
        let (amount, expiry) = (message.amount_msat, message.cltv_expiry.get());
        let due = self.ledger.next_id(Side::Remote);
        if message.id != due {
            return Err(Violation::HtlcId { got: message.id, due });
        }
        if amount == Msat::ZERO || amount < limits.htlc_minimum {
            return Err(Violation::HtlcTooSmall { amount, minimum: limits.htlc_minimum });
        }
        if expiry >= LOCKTIME_THRESHOLD {
            return Err(Violation::CltvExpiryIsTime { expiry });
        }
        let (count, sum) = self.in_flight(Side::Remote);
        if count >= usize::from(limits.max_accepted_htlcs) {
            return Err(Violation::TooManyHtlcs { maximum: limits.max_accepted_htlcs });
        }
        if sum.saturating_add(amount) > limits.max_in_flight {
            return Err(Violation::TooMuchInFlight { maximum: limits.max_in_flight });
        }
        let offer = Offer {
            amount,
            payment_hash: message.payment_hash,
            cltv_expiry: message.cltv_expiry,
            incoming_expiry: None,
            onion: message.onion_routing_packet.clone(),
            origin: Origin::Own { attempt: 0 },
        };
        self.ledger.add(Side::Remote, &offer, None, message.path_key.is_some());
        match self.overdraft(Side::Remote) {
            Some((reserve, cost)) => Err(Violation::HtlcUnaffordable { amount, reserve, cost }),
            None => Ok(()),
        }
    }

    /// Settles a received HTLC, in the books. Saved at once: nobody tells us twice what became of it.
    pub fn fulfill(&mut self, id: u64, preimage: Preimage, out: &mut Out) -> Result<(), Rejection> {
        let htlc = self.settleable(Side::Remote, id).ok_or(Rejection::UnknownHtlc { id })?;
        if preimage.payment_hash() != htlc {
            return Err(Rejection::WrongPreimage { id });
        }
        self.ledger.remove(Side::Remote, id, Removal::Fulfilled(preimage));
        out.save = true;
        Ok(())
    }

    /// Refuses a received HTLC with a reason for the origin, in the books.
    pub fn fail(&mut self, id: u64, reason: Vec<u8>, out: &mut Out) -> Result<(), Rejection> {
        if reason.len() > MAX_REASON_LEN {
            return Err(Rejection::ReasonTooLong { len: reason.len() });
        }
        self.refuse(id, Refusal::Encrypted(reason), out)
    }

    /// Refuses a received HTLC whose onion cannot be read, in the books.
    pub fn fail_malformed(
        &mut self,
        id: u64,
        sha256_of_onion: [u8; 32],
        failure_code: u16,
        out: &mut Out,
    ) -> Result<(), Rejection> {
        if failure_code & BADONION == 0 {
            return Err(Rejection::NotBadOnion { code: failure_code });
        }
        self.refuse(id, Refusal::Malformed { sha256_of_onion, failure_code }, out)
    }

    fn refuse(&mut self, id: u64, refusal: Refusal, out: &mut Out) -> Result<(), Rejection> {
        let removed = self.ledger.remove(Side::Remote, id, Removal::Refused(refusal));
        out.save |= removed;
        removed.then_some(()).ok_or(Rejection::UnknownHtlc { id })
    }

    /// Tells the peer what the books say of an HTLC that it offered; while messages do not flow, that waits.
    pub fn say_removed(&self, base: &Base, id: u64, out: &mut Out) {
        if base.is_online() {
            let message = self.ledger.find(Side::Remote, id).and_then(|htlc| self.removal_message(htlc));
            out.effects.extend(message.map(Effect::Send));
            self.ask_for_commit(out);
        }
    }

    /// How we removed an HTLC of the peer, as it was or is sent.
    pub fn removal_message(&self, htlc: &Htlc) -> Option<Message> {
        let (channel_id, id, unknown) = (self.channel_id(), htlc.id, Vec::new());
        let (_, removal) = htlc.remove.as_ref()?;
        match removal.clone() {
            Removal::Fulfilled(payment_preimage) => {
                let message = UpdateFulfillHtlc { channel_id, id, payment_preimage, unknown };
                Some(Message::UpdateFulfillHtlc(message))
            }
            Removal::Refused(Refusal::Encrypted(reason)) => {
                Some(Message::UpdateFailHtlc(UpdateFailHtlc { channel_id, id, reason, unknown }))
            }
            Removal::Refused(Refusal::Malformed { sha256_of_onion, failure_code }) => {
                let message = UpdateFailMalformedHtlc { channel_id, id, sha256_of_onion, failure_code };
                Some(Message::UpdateFailMalformedHtlc(message))
            }
            // Only what was never signed ends so, or what ended on the chain, and neither is a removal.
            Removal::Refused(Refusal::NotCommitted | Refusal::OnChain) => None,
        }
    }

    fn settleable(&self, offerer: Side, id: u64) -> Option<crate::ids::PaymentHash> {
        let htlc = self.ledger.find(offerer, id).filter(|htlc| htlc.is_settleable())?;
        Some(htlc.payment_hash)
    }

    /// The peer settles an HTLC of ours: R is known from here on, whatever becomes of the channel.
    pub fn on_update_fulfill_htlc(
        &mut self,
        message: &UpdateFulfillHtlc,
        out: &mut Out,
    ) -> Result<(), Violation> {
        let (id, preimage) = (message.id, message.payment_preimage);
        let hash = self.settleable(Side::Local, id).ok_or(Violation::UnknownHtlc { id })?;
        if preimage.payment_hash() != hash {
            return Err(Violation::WrongPreimage { id });
        }
        let origin = self.ledger.find(Side::Local, id).and_then(|htlc| htlc.origin);
        self.ledger.remove(Side::Local, id, Removal::Fulfilled(preimage));
        out.save = true;
        out.effects.extend(origin.map(|origin| Effect::Fulfilled { origin, preimage }));
        Ok(())
    }

    /// The peer refuses an HTLC of ours.
    pub fn on_update_fail_htlc(&mut self, message: &UpdateFailHtlc) -> Result<(), Violation> {
        self.on_refusal(message.id, Refusal::Encrypted(message.reason.clone()))
    }

    /// The peer refuses an HTLC of ours since it cannot read the onion.
    pub fn on_update_fail_malformed_htlc(
        &mut self,
        message: &UpdateFailMalformedHtlc,
    ) -> Result<(), Violation> {
        let (sha256_of_onion, failure_code) = (message.sha256_of_onion, message.failure_code);
        if failure_code & BADONION == 0 {
            return Err(Violation::NotBadOnion { code: failure_code });
        }
        self.on_refusal(message.id, Refusal::Malformed { sha256_of_onion, failure_code })
    }

    fn on_refusal(&mut self, id: u64, refusal: Refusal) -> Result<(), Violation> {
        let removed = self.ledger.remove(Side::Local, id, Removal::Refused(refusal));
        removed.then_some(()).ok_or(Violation::UnknownHtlc { id })
    }

    /// Opener only: proposes a feerate.
    pub fn update_fee(
        &mut self,
        feerate: FeeratePerKw,
        config: &ChannelConfig,
        env: &Env,
        out: &mut Out,
    ) -> Result<(), Rejection> {
        let (lowest, highest) = sane_feerates(env);
        if self.terms.opener != Side::Local && !env.plants(Mutant::AcceptorChangesFee) {
            return Err(Rejection::NotOpener);
        }
        let sane = feerate >= lowest && feerate <= highest;
        if !sane && !env.plants(Mutant::ProposesAnyFeerate) {
            return Err(Rejection::Feerate { feerate, lowest, highest });
        }
        if !self.opener_affords(feerate) && !env.plants(Mutant::UnaffordableFee) {
            return Err(Rejection::FeeUnaffordable { feerate });
        }
        let (exposure, maximum) = (self.dust_exposure(feerate), config.max_dust_htlc_exposure);
        let more = exposure > maximum && exposure > self.dust_exposure_now();
        if more && !env.plants(Mutant::IgnoreDustExposure) {
            return Err(Rejection::DustExposure { exposure, maximum });
        }
        self.ledger.update_fee(feerate);
        out.send(self.fee_message(feerate));
        self.ask_for_commit(out);
        Ok(())
    }

    /// Our proposal of a feerate.
    pub fn fee_message(&self, feerate: FeeratePerKw) -> Message {
        let channel_id = self.channel_id();
        Message::UpdateFee(UpdateFee { channel_id, feerate_per_kw: feerate })
    }

    /// The opener proposes a feerate. One that turns HTLCs into dust beyond what is allowed fails the channel, before it is
    /// committed: the HTLCs still have their outputs then.
    pub fn on_update_fee(
        &mut self,
        message: &UpdateFee,
        config: &ChannelConfig,
        env: &Env,
    ) -> Result<(), Violation> {
        let feerate = message.feerate_per_kw;
        let (lowest, highest) = sane_feerates(env);
        if self.terms.opener != Side::Remote {
            return Err(Violation::FeeFromAcceptor);
        }
        let sane = feerate >= lowest && feerate <= highest;
        if !sane && !env.plants(Mutant::TakesAnyFeerate) {
            return Err(Violation::Feerate { feerate, lowest, highest });
        }
        let (exposure, maximum) = (self.dust_exposure(feerate), config.max_dust_htlc_exposure);
        let more = exposure > maximum && exposure > self.dust_exposure_now();
        if more && !env.plants(Mutant::TakesFeerateThatTrims) {
            return Err(Violation::FeerateDustExposure { feerate, exposure, maximum });
        }
        self.ledger.update_fee(feerate);
        match self.overdraft(Side::Remote) {
            Some(_) => Err(Violation::FeeUnaffordable { feerate }),
            None => Ok(()),
        }
    }
}
