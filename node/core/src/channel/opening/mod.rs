//! From the first message to the signatures of the first commitments (BOLT 2, "Channel Establishment v1"). Nothing here is
//! on the chain yet and no money is at stake: whatever goes wrong, the channel is forgotten.
//!
//! ```text
//!   opener                                 acceptor
//!   |--- open_channel ---------------------->|
//!   |<------------------- accept_channel ----|   AwaitFunding: the wallet makes F, unsigned by nobody else
//!   |--- funding_created ------------------->|   the acceptor's C1, signed
//!   |<------------------- funding_signed ----|   the opener's C1, signed: only now F may be broadcast
//! ```
mod acceptor;
mod opener;
pub(super) mod rules;

pub(super) use acceptor::accept;
pub(super) use opener::propose;

use super::ledger::Ledger;
use super::limits::{Agreement, Limits};
use super::{Base, Command, Effect, Env, Input, Out, Phase, Rejection, Stop, Violation};
use crate::tx::{ChannelTerms, ChannelType, Commitment, CommitmentKeys, PartyTerms, Side};
use crate::units::{CommitmentNumber, FeeratePerKw, Msat, Sat};
use crate::wire::{Features, Message, OpeningKeys};
use bitcoin::{OutPoint, ScriptBuf, Transaction};
use secp256k1::PublicKey;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How far the opening has come.
#[derive(Clone, Serialize, Deserialize)]
pub enum Opening {
    /// Opener: `accept_channel` is awaited.
    SentOpen(Arc<Proposal>),
    /// Opener: the wallet's funding transaction is awaited.
    AwaitFunding(Arc<Agreed>),
    /// Opener: `funding_signed` is awaited.
    SentFundingCreated(Arc<Agreed>, Arc<Transaction>, OutPoint),
    /// Acceptor: `funding_created` is awaited.
    SentAccept(Arc<Agreed>),
}

/// What the opener proposed.
#[derive(Clone, Serialize, Deserialize)]
pub struct Proposal {
    channel_type: ChannelType,
    funding_amount: Sat,
    push: Msat,
    commitment_feerate: FeeratePerKw,
    funding_feerate: FeeratePerKw,
    limits: Limits,
}

/// What both sides said, before the funding is known.
#[derive(Clone, Serialize, Deserialize)]
pub struct Agreed {
    channel_type: ChannelType,
    funding_amount: Sat,
    push: Msat,
    feerate: FeeratePerKw,
    funding_feerate: FeeratePerKw,
    opener: Side,
    local: PartyTerms,
    remote: PartyTerms,
    agreement: Agreement,
    minimum_depth: u32,
    first_remote_point: PublicKey,
    peer_upfront_script: Option<ScriptBuf>,
}

/// The channel as it would be with a funding output.
struct Draft {
    terms: ChannelTerms,
    ledger: Ledger,
    local: Commitment,
    remote: Commitment,
}

impl Agreed {
    /// The first commitments over this funding output.
    fn draft(&self, base: &Base, funding: OutPoint) -> Result<Draft, Violation> {
        let terms = ChannelTerms {
            channel_type: self.channel_type,
            funding,
            funding_amount: self.funding_amount,
            opener: self.opener,
            local: self.local,
            remote: self.remote,
        };
        let opener_has = self.funding_amount.to_msat().saturating_sub(self.push);
        let (local, remote) = match self.opener {
            Side::Local => (opener_has, self.push),
            Side::Remote => (self.push, opener_has),
        };
        let ledger = Ledger::new(self.opener, local, remote, self.feerate);
        let build = |holder, point| {
            let spec = ledger.spec(holder, super::stage::View::Newest).ok_or(Violation::Overdrawn)?;
            let keys = CommitmentKeys::derive(&terms, holder, point);
            Ok(Commitment::build(&terms, holder, CommitmentNumber::ZERO, keys, &spec))
        };
        let local = build(Side::Local, base.signer.point(CommitmentNumber::ZERO))?;
        let remote = build(Side::Remote, self.first_remote_point)?;
        Ok(Draft { local, remote, ledger, terms })
    }
}

impl Opening {
    /// The phase's name for people.
    pub fn name(&self) -> &'static str {
        match self {
            Opening::SentOpen(_) => "awaiting accept_channel",
            Opening::AwaitFunding(_) => "awaiting the wallet's funding transaction",
            Opening::SentFundingCreated(..) => "awaiting funding_signed",
            Opening::SentAccept(_) => "awaiting funding_created",
        }
    }

    /// The funding amount and our share of it.
    pub fn balances(&self) -> (Msat, Msat) {
        let (funding, push, opener) = match self {
            Opening::SentOpen(proposal) => (proposal.funding_amount, proposal.push, Side::Local),
            Opening::AwaitFunding(agreed)
            | Opening::SentFundingCreated(agreed, ..)
            | Opening::SentAccept(agreed) => (agreed.funding_amount, agreed.push, agreed.opener),
        };
        let opener_has = funding.to_msat().saturating_sub(push);
        match opener {
            Side::Local => (opener_has, push),
            Side::Remote => (push, opener_has),
        }
    }

    /// One input.
    pub fn step(self, base: &mut Base, input: &Input, env: &Env, out: &mut Out) -> Result<Phase, Stop> {
        match input {
            Input::Message(message) => self.message(base, message, env, out),
            Input::Command(command) => self.command(base, command, env, out),
            Input::BlockConnected { .. }
            | Input::BlockDisconnected { .. }
            | Input::Unconfirmed(_)
            | Input::Connected => Ok(Phase::Opening(self)),
            Input::Disconnected => Ok(abandon("the connection was lost before the channel was funded", out)),
        }
    }

    fn message(self, base: &mut Base, message: &Message, env: &Env, out: &mut Out) -> Result<Phase, Stop> {
        match message {
            Message::AcceptChannel(message) => self.on_accept_channel(base, message, out),
            Message::FundingCreated(message) => self.on_funding_created(base, message, env, out),
            Message::FundingSigned(message) => self.on_funding_signed(base, message, env, out),
            Message::Error(message) => {
                let text = String::from_utf8_lossy(&message.data);
                Ok(abandon(&format!("the peer refused: {text}"), out))
            }
            Message::Shutdown(_) => Err(Violation::ShutdownTooEarly.into()),
            Message::OpenChannel(_) => Err(self.out_of_order("open_channel")),
            Message::ChannelReady(_) => Err(self.out_of_order("channel_ready")),
            Message::ClosingSigned(_) => Err(self.out_of_order("closing_signed")),
            Message::UpdateAddHtlc(_) => Err(self.out_of_order("update_add_htlc")),
            Message::UpdateFulfillHtlc(_) => Err(self.out_of_order("update_fulfill_htlc")),
            Message::UpdateFailHtlc(_) => Err(self.out_of_order("update_fail_htlc")),
            Message::UpdateFailMalformedHtlc(_) => Err(self.out_of_order("update_fail_malformed_htlc")),
            Message::CommitmentSigned(_) => Err(self.out_of_order("commitment_signed")),
            Message::RevokeAndAck(_) => Err(self.out_of_order("revoke_and_ack")),
            Message::UpdateFee(_) => Err(self.out_of_order("update_fee")),
            Message::ChannelReestablish(_) => Err(self.out_of_order("channel_reestablish")),
            Message::Warning(_)
            | Message::Init(_)
            | Message::Ping(_)
            | Message::Pong(_)
            | Message::Unknown { .. } => Ok(Phase::Opening(self)),
        }
    }

    fn command(self, base: &mut Base, command: &Command, env: &Env, out: &mut Out) -> Result<Phase, Stop> {
        match command {
            Command::Funded { tx, vout } => self.on_funded(base, tx, *vout, env, out),
            Command::Commit => Ok(Phase::Opening(self)),
            Command::ForceClose => {
                out.error(base.id, "the opening was given up");
                Ok(abandon("given up before the channel was funded", out))
            }
            Command::Add(_)
            | Command::Fulfill { .. }
            | Command::Fail { .. }
            | Command::FailMalformed { .. }
            | Command::UpdateFee(_)
            | Command::FeeInputs { .. }
            | Command::Close { .. } => Err(Rejection::WrongPhase { phase: self.name() }.into()),
        }
    }

    fn out_of_order(&self, message: &'static str) -> Stop {
        Violation::OutOfOrder { message, phase: self.name() }.into()
    }
}

/// The channel never came to be.
pub(super) fn abandon(why: &str, out: &mut Out) -> Phase {
    forget(why, false, out)
}

/// The same for a channel that was over already: the peer may know where our money was to go.
pub(super) fn abandon_late(why: &str, out: &mut Out) -> Phase {
    forget(why, true, out)
}

fn forget(why: &str, told_destination: bool, out: &mut Out) -> Phase {
    out.save = true;
    out.effects.push(Effect::Abandoned { why: why.to_owned(), told_destination });
    Phase::Done
}

/// Our six keys for the opening message.
fn opening_keys(base: &Base) -> OpeningKeys {
    let basepoints = base.signer.basepoints();
    OpeningKeys {
        funding_pubkey: basepoints.funding_pubkey,
        revocation_basepoint: basepoints.revocation,
        payment_basepoint: basepoints.payment,
        delayed_payment_basepoint: basepoints.delayed_payment,
        htlc_basepoint: basepoints.htlc,
        first_per_commitment_point: base.signer.point(CommitmentNumber::ZERO),
    }
}

/// The only chain that this node serves so far, as `chain_hash` names it (BOLT 0): the hash of regtest's first block.
pub(super) fn chain_hash() -> [u8; 32] {
    bitcoin::constants::ChainHash::REGTEST.to_bytes()
}

/// A `channel_type` for the wire.
fn features_of(channel_type: ChannelType) -> Features {
    Features::of(channel_type.feature_bits())
}

/// The script that binds the peer when it closes, if it named one.
fn upfront(script: &Option<ScriptBuf>) -> Option<ScriptBuf> {
    script.clone().filter(|script| !script.is_empty())
}
