//! The acceptor's side of the opening.
use super::rules;
use super::{features_of, opening_keys, upfront, Agreed, Opening};
use crate::channel::limits::{Agreement, Limits};
use crate::channel::{Base, Confirming, Effect, Env, Out, Phase, Stop, Violation};
use crate::ids::ChannelId;
use crate::tx::Side;
use crate::units::FeeratePerKw;
use crate::wire::{AcceptChannel, FundingCreated, FundingSigned, Message, OpenChannel};
use bitcoin::ScriptBuf;
use std::sync::Arc;

/// Accepts a peer's proposal, or names the rule that it breaks.
pub(in crate::channel) fn accept(
    base: &Base,
    message: &OpenChannel,
    env: &Env,
    out: &mut Out,
) -> Result<Opening, Violation> {
    let config = &base.config;
    let dust_limit = config.dust_limit.max(message.dust_limit_satoshis);
    let limits = Limits::ours(config, message.funding_satoshis, dust_limit);
    let channel_type = rules::check_open(message, config, &limits, env)?;
    let minimum_depth = config.minimum_depth.max(1);
    out.send(Message::AcceptChannel(Box::new(AcceptChannel {
        temporary_channel_id: message.temporary_channel_id,
        dust_limit_satoshis: config.dust_limit,
        max_htlc_value_in_flight_msat: limits.max_in_flight,
        channel_reserve_satoshis: limits.reserve,
        htlc_minimum_msat: limits.htlc_minimum,
        minimum_depth,
        to_self_delay: config.to_self_delay,
        max_accepted_htlcs: limits.max_accepted_htlcs,
        keys: opening_keys(base),
        upfront_shutdown_script: Some(ScriptBuf::new()),
        channel_type: Some(features_of(channel_type)),
        unknown: Vec::new(),
    })));
    Ok(Opening::SentAccept(Arc::new(Agreed {
        channel_type,
        funding_amount: message.funding_satoshis,
        push: message.push_msat,
        feerate: message.feerate_per_kw,
        funding_feerate: FeeratePerKw::ZERO,
        opener: Side::Remote,
        local: rules::party(&opening_keys(base), config.dust_limit, message.to_self_delay),
        remote: rules::party(&message.keys, message.dust_limit_satoshis, config.to_self_delay),
        agreement: Agreement { local: limits, remote: rules::limits_of_open(message) },
        minimum_depth,
        first_remote_point: message.keys.first_per_commitment_point,
        peer_upfront_script: upfront(&message.upfront_shutdown_script),
    })))
}

impl Opening {
    pub(super) fn on_funding_created(
        self,
        base: &mut Base,
        message: &FundingCreated,
        env: &Env,
        out: &mut Out,
    ) -> Result<Phase, Stop> {
        let Opening::SentAccept(agreed) = &self else { return Err(self.out_of_order("funding_created")) };
        let funding = message.funding();
        let draft = agreed.draft(base, funding)?;
        if !draft.local.verify(&draft.terms, Side::Remote, &message.signature) {
            return Err(Violation::CommitmentSignature.into());
        }
        let (signature, _) = base.signer.sign_remote(&draft.terms, &draft.remote);
        base.id = ChannelId::from_funding(funding);
        out.save = true;
        out.effects.push(Effect::Named { channel_id: base.id });
        out.send(Message::FundingSigned(FundingSigned { channel_id: base.id, signature }));
        let funded = agreed.fund(base, draft, message.signature, None);
        Ok(Phase::Confirming(Confirming::new(funded, env.height)))
    }
}
