//! Closing together (BOLT 2, "Channel Close"): no new HTLCs, the old ones run out, then a fee is agreed on.
//!
//! ```text
//!   opener                             acceptor
//!   |<------------ shutdown ------------->|   in either order; settling and refusing go on
//!   |        (no HTLC, nothing owed)      |
//!   |--- closing_signed (fee, range) ---->|   the opener pays, so it names a fee and a range
//!   |<------- closing_signed (fee) -------|   the same fee, or another one within both ranges,
//!   |--- closing_signed (fee) ----------->|   which the opener then repeats
//!   |        X to the chain, by both      |
//! ```
use super::closing::Negotiation;
use super::on_chain::{self, OnChain};
use super::opening::{self, rules::is_shutdown_script};
use super::reestablish::Standing;
use super::{
    Base, Command, Confirmed, Env, FallenBehind, Funded, Input, Mutant, Out, Phase, Rejection, Stop,
    Violation,
};
use crate::tx::Side;
use crate::units::{BlockHeight, FeeratePerKw};
use crate::wire::{Message, Shutdown};
use bitcoin::ScriptBuf;
use serde::{Deserialize, Serialize};

/// A channel that one side or both want closed.
#[derive(Clone, Serialize, Deserialize)]
pub struct ShuttingDown {
    /// The channel.
    pub funded: Funded,
    /// Our script, once our `shutdown` is sent.
    pub(super) local_script: Option<ScriptBuf>,
    /// Our script, while our `shutdown` waits for our updates to be signed.
    wanted: Option<ScriptBuf>,
    /// The peer's script, once its `shutdown` is here.
    pub(super) remote_script: Option<ScriptBuf>,
    /// The feerate that our owner asked for.
    pub(super) feerate: Option<FeeratePerKw>,
    /// The last `closing_signed` that we sent.
    pub(super) negotiation: Negotiation,
    /// Since when the peer's funding is awaited, though the channel is to end.
    unfunded_since: Option<BlockHeight>,
}

impl ShuttingDown {
    /// Neither side has said so yet.
    pub fn new(funded: Funded) -> Self {
        Self {
            funded,
            local_script: None,
            wanted: None,
            remote_script: None,
            feerate: None,
            negotiation: Negotiation::default(),
            unfunded_since: None,
        }
    }

    /// One input.
    pub fn step(self, base: &mut Base, input: &Input, env: &Env, out: &mut Out) -> Result<Phase, Stop> {
        match input {
            Input::Message(message) => self.message(base, message, env, out),
            Input::Command(command) => self.command(base, command, env, out),
            Input::BlockConnected { height, transactions } => {
                self.on_block(base, *height, transactions, env, out)
            }
            Input::BlockDisconnected { height } => {
                let mut next = self;
                next.funded.unconfirm(*height, out);
                Ok(Phase::ShuttingDown(next))
            }
            Input::Disconnected => {
                let mut next = self;
                base.go_offline(out);
                next.funded.forget_with_the_link(env, out);
                next.negotiation = Negotiation::default();
                Ok(Phase::ShuttingDown(next))
            }
            Input::Connected => {
                base.reconnect(&self.funded, out);
                Ok(Phase::ShuttingDown(self))
            }
            Input::Unconfirmed(_) => Ok(Phase::ShuttingDown(self)),
        }
    }

    fn message(self, base: &mut Base, message: &Message, env: &Env, out: &mut Out) -> Result<Phase, Stop> {
        match message {
            Message::UpdateAddHtlc(_) if self.remote_script.is_some() => {
                Err(Violation::AddAfterShutdown.into())
            }
            Message::UpdateAddHtlc(_)
            | Message::UpdateFulfillHtlc(_)
            | Message::UpdateFailHtlc(_)
            | Message::UpdateFailMalformedHtlc(_)
            | Message::CommitmentSigned(_)
            | Message::RevokeAndAck(_)
            | Message::UpdateFee(_) => {
                let mut next = self;
                next.funded.on_update(base, message, env, out)?;
                next.advance(base, env, out)
            }
            Message::Shutdown(message) => {
                base.online("shutdown", env)?;
                self.on_shutdown(base, message, env, out)
            }
            Message::ClosingSigned(message) => {
                base.online("closing_signed", env)?;
                self.on_closing_signed(base, message, env, out)
            }
            Message::Error(message) => {
                Err(Violation::PeerError { text: super::text_of(&message.data) }.into())
            }
            Message::ChannelReestablish(message) => {
                let mut next = self;
                match next.funded.on_reestablish(base, message, env, out)? {
                    Standing::Level => next.resume(base, env, out),
                    Standing::Behind(revoked) => Ok(FallenBehind::enter(base, next.funded, revoked, out)),
                }
            }
            Message::OpenChannel(_) => Err(out_of_order("open_channel")),
            Message::AcceptChannel(_) => Err(out_of_order("accept_channel")),
            Message::FundingCreated(_) => Err(out_of_order("funding_created")),
            Message::FundingSigned(_) => Err(out_of_order("funding_signed")),
            // May cross our shutdown on the way, with offers behind it that still have to be signed and removed.
            Message::ChannelReady(message) => {
                base.online("channel_ready", env)?;
                let mut next = self;
                next.funded.learn_second_point(message.second_per_commitment_point, out);
                Ok(Phase::ShuttingDown(next))
            }
            Message::Warning(_)
            | Message::Init(_)
            | Message::Ping(_)
            | Message::Pong(_)
            | Message::Unknown { .. } => Ok(Phase::ShuttingDown(self)),
        }
    }

    fn command(self, base: &mut Base, command: &Command, env: &Env, out: &mut Out) -> Result<Phase, Stop> {
        match command {
            Command::Add(_) => Err(Rejection::Closing.into()),
            Command::Fulfill { .. }
            | Command::Fail { .. }
            | Command::FailMalformed { .. }
            | Command::UpdateFee(_)
            | Command::Commit => {
                let mut next = self;
                next.funded.on_command(base, command, env, out)?;
                next.advance(base, env, out)
            }
            Command::Close { .. } if self.wanted.is_some() || self.local_script.is_some() => {
                Err(Rejection::AlreadyClosing.into())
            }
            Command::Close { script, feerate } => self.on_close(base, script.as_ref(), *feerate, env, out),
            Command::ForceClose => Ok(OnChain::alone(base, self.funded, "this node closes alone", out)),
            Command::Funded { .. } | Command::FeeInputs { .. } => {
                Err(Rejection::WrongPhase { phase: NAME }.into())
            }
        }
    }

    /// Our owner wants the channel closed.
    pub fn on_close(
        self,
        base: &mut Base,
        script: Option<&ScriptBuf>,
        feerate: Option<FeeratePerKw>,
        env: &Env,
        out: &mut Out,
    ) -> Result<Phase, Stop> {
        let script = script.unwrap_or(&base.destination).clone();
        if !is_shutdown_script(&script) {
            return Err(Rejection::ShutdownScript.into());
        }
        let mut next = self;
        next.wanted = Some(script);
        next.feerate = feerate;
        out.save = true;
        next.advance(base, env, out)
    }

    /// The peer wants the channel closed, or agrees to it.
    pub fn on_shutdown(
        self,
        base: &mut Base,
        message: &Shutdown,
        env: &Env,
        out: &mut Out,
    ) -> Result<Phase, Stop> {
        let script = &message.scriptpubkey;
        if !is_shutdown_script(script) && !env.plants(Mutant::TakesAnyShutdownScript) {
            return Err(Violation::ShutdownScript.into());
        }
        let bound = self.funded.peer_upfront_script.as_ref();
        let upfront = bound.filter(|_| !env.plants(Mutant::ForgetsUpfrontScript));
        if [upfront, self.remote_script.as_ref()].into_iter().flatten().any(|before| before != script) {
            return Err(Violation::ShutdownScriptChanged.into());
        }
        if self.funded.ledger.has_unsigned_of(Side::Remote) {
            return Err(Violation::ShutdownWithPendingUpdates.into());
        }
        let mut next = self;
        next.remote_script = Some(script.clone());
        if next.local_script.is_none() {
            next.wanted.get_or_insert_with(|| base.destination.clone());
        }
        out.save = true;
        next.advance(base, env, out)
    }

    /// The link stands again: our `shutdown` once more, before what nobody signed yet, and the negotiation from its beginning.
    fn resume(self, base: &mut Base, env: &Env, out: &mut Out) -> Result<Phase, Stop> {
        if let Some(script) = &self.local_script {
            out.send(shutdown(base, script.clone()));
        }
        self.funded.repeat_proposals(out);
        self.advance(base, env, out)
    }

    /// What is due now: our `shutdown` once our updates are signed, the first `closing_signed` once nothing is left.
    fn advance(self, base: &mut Base, env: &Env, out: &mut Out) -> Result<Phase, Stop> {
        let mut next = self;
        if !base.is_online() {
            return Ok(Phase::ShuttingDown(next));
        }
        if !next.funded.ledger.has_unsigned_of(Side::Local) {
            if let Some(script) = next.wanted.take() {
                next.local_script = Some(script.clone());
                out.save = true;
                out.send(shutdown(base, script));
            }
        }
        next.open_negotiation(base, env, out)?;
        Ok(Phase::ShuttingDown(next))
    }

    fn on_block(
        self,
        base: &mut Base,
        height: BlockHeight,
        transactions: &[Confirmed],
        env: &Env,
        out: &mut Out,
    ) -> Result<Phase, Stop> {
        let mut next = self;
        let mined = next.funded.confirm(height, transactions, true, env, out);
        if let Some(why) = next.funded.unfunded(mined, base, &mut next.unfunded_since, height, out) {
            return Ok(opening::abandon_late(&why, out));
        }
        match on_chain::spend_in(&next.funded, transactions) {
            Some(spend) => Ok(OnChain::spent(base, next.funded, &spend.tx, height, transactions, env, out)),
            None => Ok(Phase::ShuttingDown(next)),
        }
    }
}

fn shutdown(base: &Base, scriptpubkey: ScriptBuf) -> Message {
    Message::Shutdown(Shutdown { channel_id: base.id, scriptpubkey, unknown: Vec::new() })
}

/// The phase's name for people.
pub const NAME: &str = "shutting down";

fn out_of_order(message: &'static str) -> Stop {
    Violation::OutOfOrder { message, phase: NAME }.into()
}
