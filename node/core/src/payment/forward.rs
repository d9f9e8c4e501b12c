//! The forwarder's part: whether an HTLC pays for being passed on and leaves enough time (BOLT 4, BOLT 7 "HTLC Fees",
//! BOLT 2 "cltv_expiry_delta Selection"), and what is kept of it until it ended downstream.
//! It moves nothing itself.

use super::failure::{relay, wrap, Failure, SharedSecret};
use super::ForwardPolicy;
use crate::channel::{Command, Env, Mutant, Refusal, Rejection};
use crate::ids::{ChannelId, PaymentHash, Preimage};
use crate::units::{CltvExpiry, Msat};
use serde::{Deserialize, Serialize};

/// Blocks an outgoing HTLC must still have: fewer, and it would be timed out on the chain before it is settled.
const MIN_BLOCKS_OUT: u32 = 3;

/// Blocks an incoming HTLC must still have: below this, BOLT 2 would have us close to claim it.
const MIN_BLOCKS_IN: u32 = 18;

/// What came in and what is asked to go out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ask {
    /// The incoming HTLC's amount.
    pub incoming_amount: Msat,
    /// The incoming HTLC's expiry.
    pub incoming_expiry: CltvExpiry,
    /// `amt_to_forward`.
    pub outgoing_amount: Msat,
    /// `outgoing_cltv_value`.
    pub outgoing_expiry: CltvExpiry,
}

/// An HTLC on its way through this node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Forward {
    /// H(R).
    pub payment_hash: PaymentHash,
    /// Encrypts the failure for the origin.
    pub shared_secret: SharedSecret,
    /// Where it went.
    pub outgoing: ChannelId,
    /// What this node earns.
    pub fee: Msat,
    /// How it ended downstream, until the incoming channel has that on record.
    pub resolution: Option<Resolution>,
}

/// What is to be done to the incoming HTLC.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Resolution {
    /// Give R.
    Fulfill(Preimage),
    /// Refuse it with this reason.
    Fail(Vec<u8>),
}

impl Resolution {
    /// For the channel that the HTLC came in with.
    pub fn command(&self, id: u64) -> Command {
        match self {
            Resolution::Fulfill(preimage) => Command::Fulfill { id, preimage: *preimage },
            Resolution::Fail(reason) => Command::Fail { id, reason: reason.clone() },
        }
    }
}

/// The fee, if the policy is kept; otherwise what to tell the origin.
pub fn check(policy: &ForwardPolicy, ask: &Ask, env: &Env, max_cltv_total: u32) -> Result<Msat, Failure> {
    let height = env.height;
    let channel_update = Vec::new();
    if ask.outgoing_amount < policy.htlc_minimum && !env.plants(Mutant::ForwardBelowMinimum) {
        return Err(Failure::AmountBelowMinimum { htlc_msat: ask.outgoing_amount, channel_update });
    }
    if ask.outgoing_amount > policy.htlc_maximum {
        return Err(Failure::TemporaryChannelFailure { channel_update });
    }
    let paid = ask.incoming_amount.checked_sub(ask.outgoing_amount);
    let enough = |paid: &Msat| policy.fee(ask.outgoing_amount).is_some_and(|due| *paid >= due);
    let fee = paid.filter(|paid| enough(paid) || env.plants(Mutant::SkipForwardFee));
    let Some(fee) = fee else {
        return Err(Failure::FeeInsufficient { htlc_msat: ask.incoming_amount, channel_update });
    };
    let between = ask.incoming_expiry.checked_sub(ask.outgoing_expiry);
    let too_near = between.is_none_or(|between| between.get() < policy.cltv_expiry_delta);
    if too_near && !env.plants(Mutant::SkipCltvExpiryDelta) {
        return Err(Failure::IncorrectCltvExpiry { cltv_expiry: ask.outgoing_expiry, channel_update });
    }
    let too_soon = ask.outgoing_expiry.to_height() <= height.plus(MIN_BLOCKS_OUT)
        || ask.incoming_expiry.to_height() <= height.plus(MIN_BLOCKS_IN);
    if too_soon && !env.plants(Mutant::ForwardTooLate) {
        return Err(Failure::ExpiryTooSoon { channel_update });
    }
    let too_far = ask.outgoing_expiry.to_height() > height.plus(max_cltv_total);
    if too_far && !env.plants(Mutant::ForwardTooFar) {
        return Err(Failure::ExpiryTooFar);
    }
    Ok(fee)
}

/// What to tell upstream when the outgoing channel does not take the HTLC (BOLT 4, "Returning Errors").
pub fn not_offered(shared_secret: &SharedSecret, rejection: &Rejection) -> Vec<u8> {
    let channel_update = Vec::new();
    let failure = match rejection {
        Rejection::HtlcTooSmall { amount, .. } => {
            Failure::AmountBelowMinimum { htlc_msat: *amount, channel_update }
        }
        Rejection::Closing => Failure::PermanentChannelFailure,
        _ => Failure::TemporaryChannelFailure { channel_update },
    };
    wrap(shared_secret, &failure)
}

/// What to tell upstream of a refusal downstream: one more layer on what is encrypted already, a first layer on what the
/// next hop could not read or never got (BOLT 4, "Returning Errors").
pub fn refuse_upstream(shared_secret: &SharedSecret, refusal: &Refusal) -> Vec<u8> {
    match refusal {
        Refusal::Encrypted(reason) => relay(shared_secret, reason),
        Refusal::Malformed { sha256_of_onion, failure_code } => {
            wrap(shared_secret, &Failure::malformed(*failure_code, *sha256_of_onion))
        }
        Refusal::NotCommitted => {
            wrap(shared_secret, &Failure::TemporaryChannelFailure { channel_update: Vec::new() })
        }
        Refusal::OnChain => wrap(shared_secret, &Failure::PermanentChannelFailure),
    }
}

#[cfg(test)]
mod tests;
