//! The opener's side of the opening.
use super::rules;
use super::{chain_hash, features_of, opening_keys, upfront, Agreed, Opening, Proposal};
use crate::channel::ahead::Ahead;
use crate::channel::limits::{sane_feerates, Agreement, Limits};
use crate::channel::reestablish::LastSent;
use crate::channel::{
    Base, ChannelConfig, Confirming, Effect, Env, Funded, LocalCommitment, Mutant, OpenRequest, Out, Phase,
    Rejection, Stop, Violation,
};
use crate::ids::ChannelId;
use crate::tx::{commitment_cost, funding_output, Side};
use crate::units::CommitmentNumber;
use crate::wire::{AcceptChannel, FundingCreated, FundingSigned, Message, OpenChannel};
use bitcoin::{OutPoint, ScriptBuf, Transaction};
use std::sync::Arc;

/// Proposes a channel.
pub(in crate::channel) fn propose(
    base: &Base,
    request: &OpenRequest,
    env: &Env,
    out: &mut Out,
) -> Result<Opening, Rejection> {
    let config = &base.config;
    let limits = Limits::ours(config, request.funding_amount, config.dust_limit);
    check_request(request, config, &limits, env)?;
    out.send(Message::OpenChannel(Box::new(OpenChannel {
        chain_hash: chain_hash(),
        temporary_channel_id: base.id,
        funding_satoshis: request.funding_amount,
        push_msat: request.push,
        dust_limit_satoshis: config.dust_limit,
        max_htlc_value_in_flight_msat: limits.max_in_flight,
        channel_reserve_satoshis: limits.reserve,
        htlc_minimum_msat: limits.htlc_minimum,
        feerate_per_kw: request.commitment_feerate,
        to_self_delay: config.to_self_delay,
        max_accepted_htlcs: limits.max_accepted_htlcs,
        keys: opening_keys(base),
        channel_flags: u8::from(request.public),
        upfront_shutdown_script: Some(ScriptBuf::new()),
        channel_type: Some(features_of(request.channel_type)),
        unknown: Vec::new(),
    })));
    Ok(Opening::SentOpen(Arc::new(Proposal {
        channel_type: request.channel_type,
        funding_amount: request.funding_amount,
        push: request.push,
        commitment_feerate: request.commitment_feerate,
        funding_feerate: request.funding_feerate,
        limits,
    })))
}

fn check_request(
    request: &OpenRequest,
    config: &ChannelConfig,
    limits: &Limits,
    env: &Env,
) -> Result<(), Rejection> {
    let (funding, push) = (request.funding_amount, request.push);
    let (minimum, maximum) = (config.min_funding, config.max_funding);
    if funding < minimum || funding > maximum {
        return Err(Rejection::FundingAmount { funding, minimum, maximum });
    }
    let balance = funding.to_msat().checked_sub(push).ok_or(Rejection::PushTooLarge { push, funding })?;
    let (lowest, highest) = sane_feerates(env);
    let feerate = request.commitment_feerate;
    if feerate < lowest || feerate > highest {
        return Err(Rejection::Feerate { feerate, lowest, highest });
    }
    let cost = commitment_cost(request.channel_type, feerate, 0);
    let reserve = limits.reserve;
    let enough = balance >= cost.to_msat();
    let kept = balance.saturating_sub(cost.to_msat()).max(push);
    if !enough || kept <= reserve.to_msat() {
        return Err(Rejection::CannotPayCommitment { cost, reserve });
    }
    Ok(())
}

impl Opening {
    pub(super) fn on_accept_channel(
        self,
        base: &mut Base,
        message: &AcceptChannel,
        out: &mut Out,
    ) -> Result<Phase, Stop> {
        let Opening::SentOpen(proposal) = &self else { return Err(self.out_of_order("accept_channel")) };
        let (config, funding) = (&base.config, proposal.funding_amount);
        rules::check_accept(message, config, funding, proposal.channel_type, &proposal.limits)?;
        let local = rules::party(&opening_keys(base), config.dust_limit, message.to_self_delay);
        let remote = rules::party(&message.keys, message.dust_limit_satoshis, config.to_self_delay);
        let one = &local.basepoints.funding_pubkey;
        let output = funding_output(one, &remote.basepoints.funding_pubkey, funding);
        out.effects.push(Effect::FundingNeeded {
            script: output.script_pubkey,
            amount: funding,
            feerate: proposal.funding_feerate,
        });
        Ok(Phase::Opening(Opening::AwaitFunding(Arc::new(Agreed {
            channel_type: proposal.channel_type,
            funding_amount: funding,
            push: proposal.push,
            feerate: proposal.commitment_feerate,
            funding_feerate: proposal.funding_feerate,
            opener: Side::Local,
            local,
            remote,
            agreement: Agreement { local: proposal.limits, remote: rules::limits_of_accept(message) },
            minimum_depth: message.minimum_depth.max(1),
            first_remote_point: message.keys.first_per_commitment_point,
            peer_upfront_script: upfront(&message.upfront_shutdown_script),
        }))))
    }

    pub(super) fn on_funded(
        self,
        base: &mut Base,
        tx: &Transaction,
        vout: u32,
        env: &Env,
        out: &mut Out,
    ) -> Result<Phase, Stop> {
        let Opening::AwaitFunding(agreed) = &self else {
            return Err(Rejection::WrongPhase { phase: self.name() }.into());
        };
        let index = u16::try_from(vout).map_err(|_| Rejection::FundingMismatch)?;
        let funding = OutPoint { txid: tx.compute_txid(), vout };
        let draft = agreed.draft(base, funding)?;
        let pays = tx.output.get(usize::from(index)) == Some(&draft.terms.funding_output());
        if !pays && !env.plants(Mutant::FundsItself) {
            return Err(Rejection::FundingMismatch.into());
        }
        let temporary_channel_id = base.id;
        base.id = ChannelId::from_funding(funding);
        out.effects.push(Effect::Named { channel_id: base.id });
        let (signature, _) = base.signer.sign_remote(&draft.terms, &draft.remote);
        out.send(Message::FundingCreated(FundingCreated {
            temporary_channel_id,
            funding_txid: funding.txid,
            funding_output_index: index,
            signature,
        }));
        out.save = true;
        let next = Opening::SentFundingCreated(agreed.clone(), Arc::new(tx.clone()), funding);
        Ok(Phase::Opening(next))
    }

    pub(super) fn on_funding_signed(
        self,
        base: &mut Base,
        message: &FundingSigned,
        env: &Env,
        out: &mut Out,
    ) -> Result<Phase, Stop> {
        let Opening::SentFundingCreated(agreed, tx, funding) = &self else {
            return Err(self.out_of_order("funding_signed"));
        };
        let draft = agreed.draft(base, *funding)?;
        if !draft.local.verify(&draft.terms, Side::Remote, &message.signature) {
            return Err(Violation::CommitmentSignature.into());
        }
        out.save = true;
        out.effects.push(Effect::Broadcast { role: crate::channel::Role::Funding, tx: tx.as_ref().clone() });
        let funded = agreed.fund(base, draft, message.signature, Some(tx.clone()));
        Ok(Phase::Confirming(Confirming::new(funded, env.height)))
    }
}

impl Agreed {
    /// The funded channel, once the peer's signature of our first commitment is verified.
    pub(super) fn fund(
        &self,
        base: &Base,
        draft: super::Draft,
        signature: secp256k1::ecdsa::Signature,
        funding_tx: Option<Arc<Transaction>>,
    ) -> Funded {
        Funded {
            terms: Arc::new(draft.terms),
            agreement: Arc::new(self.agreement),
            ledger: draft.ledger,
            local: LocalCommitment {
                commitment: Arc::new(draft.local),
                signature,
                htlc_signatures: Arc::new(Vec::new()),
            },
            next_local_point: base.signer.point(CommitmentNumber::ZERO.next()),
            remote: Arc::new(draft.remote),
            remote_next: None,
            next_remote_point: None,
            secrets: Arc::default(),
            funding_tx,
            minimum_depth: self.minimum_depth,
            place: None,
            peer_upfront_script: self.peer_upfront_script.clone(),
            closings: Vec::new(),
            ready_sent: false,
            last_sent: LastSent::Signature,
            fallen_behind: false,
            ahead: Ahead::default(),
        }
    }
}
