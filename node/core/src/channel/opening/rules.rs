//! What a channel's two sides must agree on before there is one (BOLT 2, `open_channel` and `accept_channel`): each rule
//! with its violation. Checks only.
use crate::channel::limits::{sane_feerates, Limits, MAX_HTLCS, MIN_DUST_LIMIT};
use crate::channel::{ChannelConfig, Env, Violation};
use crate::keys::Basepoints;
use crate::tx::{commitment_cost, ChannelType, PartyTerms};
use crate::units::{Msat, Sat};
use crate::wire::{AcceptChannel, Features, OpenChannel, OpeningKeys};
use bitcoin::{Script, ScriptBuf};

/// The largest dust limit accepted: more would let a peer burn what others can still claim.
const MAX_DUST_LIMIT: Sat = Sat::new(10_000);
/// The deepest funding that an acceptor may ask to wait for, in blocks.
const MAX_MINIMUM_DEPTH: u32 = 144;

/// The numbers that both opening messages hold.
struct Asked {
    dust_limit: Sat,
    reserve: Sat,
    max_in_flight: Msat,
    htlc_minimum: Msat,
    to_self_delay: u16,
    max_accepted_htlcs: u16,
}

/// What the peer asks of us, from its `open_channel`.
pub fn limits_of_open(message: &OpenChannel) -> Limits {
    Limits {
        reserve: message.channel_reserve_satoshis,
        max_accepted_htlcs: message.max_accepted_htlcs,
        max_in_flight: message.max_htlc_value_in_flight_msat,
        htlc_minimum: message.htlc_minimum_msat,
    }
}

/// What the peer asks of us, from its `accept_channel`.
pub fn limits_of_accept(message: &AcceptChannel) -> Limits {
    Limits {
        reserve: message.channel_reserve_satoshis,
        max_accepted_htlcs: message.max_accepted_htlcs,
        max_in_flight: message.max_htlc_value_in_flight_msat,
        htlc_minimum: message.htlc_minimum_msat,
    }
}

/// Whether a peer's `open_channel` can be accepted, and the format it asks for. `ours` is what we would ask of it.
pub fn check_open(
    message: &OpenChannel,
    config: &ChannelConfig,
    ours: &Limits,
    env: &Env,
) -> Result<ChannelType, Violation> {
    let funding = message.funding_satoshis;
    let (lowest, highest) = sane_feerates(env);
    let feerate = message.feerate_per_kw;
    if message.chain_hash != super::chain_hash() {
        return Err(Violation::UnknownChain);
    }
    if funding < config.min_funding {
        return Err(Violation::FundingTooSmall { funding, minimum: config.min_funding });
    }
    if funding > config.max_funding {
        return Err(Violation::FundingTooLarge { funding, maximum: config.max_funding });
    }
    if message.push_msat > funding.to_msat() {
        return Err(Violation::PushTooLarge { push: message.push_msat, funding });
    }
    if feerate < lowest || feerate > highest {
        return Err(Violation::Feerate { feerate, lowest, highest });
    }
    let channel_type = channel_type(message.channel_type.as_ref())?;
    let asked = Asked {
        dust_limit: message.dust_limit_satoshis,
        reserve: message.channel_reserve_satoshis,
        max_in_flight: message.max_htlc_value_in_flight_msat,
        htlc_minimum: message.htlc_minimum_msat,
        to_self_delay: message.to_self_delay,
        max_accepted_htlcs: message.max_accepted_htlcs,
    };
    check_asked(&asked, config, funding)?;
    if asked.dust_limit > asked.reserve {
        return Err(Violation::DustLimitAboveReserve {
            dust_limit: asked.dust_limit,
            reserve: asked.reserve,
        });
    }
    check_upfront(message.upfront_shutdown_script.as_ref())?;
    let balance = funding.to_msat().saturating_sub(message.push_msat);
    let cost = commitment_cost(channel_type, feerate, 0);
    if balance < cost.to_msat() {
        return Err(Violation::OpenerCannotPay { balance, cost });
    }
    let reserve = asked.reserve.max(ours.reserve);
    let to_opener = balance.saturating_sub(cost.to_msat());
    if to_opener <= reserve.to_msat() && message.push_msat <= reserve.to_msat() {
        return Err(Violation::BothBelowReserve { reserve });
    }
    Ok(channel_type)
}

/// Whether a peer's `accept_channel` fits the proposal.
pub fn check_accept(
    message: &AcceptChannel,
    config: &ChannelConfig,
    funding: Sat,
    proposed: ChannelType,
    ours: &Limits,
) -> Result<(), Violation> {
    if channel_type(message.channel_type.as_ref())? != proposed {
        return Err(Violation::ChannelTypeDiffers);
    }
    if message.minimum_depth > MAX_MINIMUM_DEPTH {
        return Err(Violation::MinimumDepth { depth: message.minimum_depth, maximum: MAX_MINIMUM_DEPTH });
    }
    let asked = Asked {
        dust_limit: message.dust_limit_satoshis,
        reserve: message.channel_reserve_satoshis,
        max_in_flight: message.max_htlc_value_in_flight_msat,
        htlc_minimum: message.htlc_minimum_msat,
        to_self_delay: message.to_self_delay,
        max_accepted_htlcs: message.max_accepted_htlcs,
    };
    check_asked(&asked, config, funding)?;
    if asked.dust_limit > ours.reserve {
        return Err(Violation::DustLimitAboveReserve { dust_limit: asked.dust_limit, reserve: ours.reserve });
    }
    check_upfront(message.upfront_shutdown_script.as_ref())
}

fn check_asked(asked: &Asked, config: &ChannelConfig, funding: Sat) -> Result<(), Violation> {
    if asked.to_self_delay > config.max_to_self_delay {
        let maximum = config.max_to_self_delay;
        return Err(Violation::ToSelfDelayTooLarge { asked: asked.to_self_delay, maximum });
    }
    if asked.max_accepted_htlcs == 0 || asked.max_accepted_htlcs > MAX_HTLCS {
        return Err(Violation::MaxAcceptedHtlcs { asked: asked.max_accepted_htlcs });
    }
    if asked.dust_limit < MIN_DUST_LIMIT {
        return Err(Violation::DustLimitTooSmall { asked: asked.dust_limit });
    }
    if asked.dust_limit > MAX_DUST_LIMIT {
        return Err(Violation::DustLimitTooLarge { asked: asked.dust_limit, maximum: MAX_DUST_LIMIT });
    }
    if asked.reserve < config.dust_limit {
        return Err(Violation::ReserveBelowOurDust { reserve: asked.reserve, dust_limit: config.dust_limit });
    }
    let maximum = Sat::new(funding.get() / 5).max(config.dust_limit);
    if asked.reserve > maximum {
        return Err(Violation::ReserveTooLarge { reserve: asked.reserve, maximum });
    }
    if asked.htlc_minimum >= funding.to_msat() {
        return Err(Violation::HtlcMinimumTooLarge { minimum: asked.htlc_minimum, funding });
    }
    if asked.max_in_flight < config.dust_limit.to_msat() {
        return Err(Violation::InFlightTooSmall { maximum: asked.max_in_flight });
    }
    Ok(())
}

fn channel_type(features: Option<&Features>) -> Result<ChannelType, Violation> {
    let features = features.ok_or(Violation::ChannelTypeMissing)?;
    ChannelType::from_feature_bits(features.bits()).ok_or(Violation::ChannelTypeUnknown)
}

fn check_upfront(script: Option<&ScriptBuf>) -> Result<(), Violation> {
    match script {
        Some(script) if !script.is_empty() && !is_shutdown_script(script) => Err(Violation::UpfrontScript),
        Some(_) | None => Ok(()),
    }
}

/// The forms that a closing output may have (BOLT 2, `shutdown`): witness programs of version 0, and those of later
/// versions (`option_shutdown_anysegwit`, which every node of today negotiates).
pub fn is_shutdown_script(script: &Script) -> bool {
    script.is_p2wpkh() || script.is_p2wsh() || (script.is_witness_program() && !is_version_0(script))
}

fn is_version_0(script: &Script) -> bool {
    script.as_bytes().first() == Some(&0)
}

/// One side's unchanging terms from its message and the delay that the *other* side asked of it.
pub fn party(keys: &OpeningKeys, dust_limit: Sat, to_self_delay: u16) -> PartyTerms {
    let basepoints = Basepoints {
        funding_pubkey: keys.funding_pubkey,
        revocation: keys.revocation_basepoint,
        payment: keys.payment_basepoint,
        delayed_payment: keys.delayed_payment_basepoint,
        htlc: keys.htlc_basepoint,
    };
    PartyTerms { basepoints, dust_limit, to_self_delay }
}
