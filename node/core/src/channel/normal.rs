//! Normal operation: updates and signatures in both directions. The ladders stand in `funded` and `stage`.
use super::on_chain::{self, OnChain};
use super::reestablish::Standing;
use super::{
    Base, Command, Confirmed, Effect, Env, FallenBehind, Funded, Input, Mutant, Origin, Out, Phase, Refusal,
    Rejection, ShuttingDown, Stop, Violation,
};
use crate::ids::Preimage;
use crate::tx::Side;
use crate::units::BlockHeight;
use crate::wire::Message;
use serde::{Deserialize, Serialize};

/// A channel in use.
#[derive(Clone, Serialize, Deserialize)]
pub struct Normal {
    /// The channel.
    pub funded: Funded,
}

impl Normal {
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
                Ok(Phase::Normal(next))
            }
            Input::Disconnected => {
                let mut next = self;
                base.go_offline(out);
                next.funded.forget_with_the_link(env, out);
                Ok(Phase::Normal(next))
            }
            Input::Connected => {
                base.reconnect(&self.funded, out);
                Ok(Phase::Normal(self))
            }
            Input::Unconfirmed(_) => Ok(Phase::Normal(self)),
        }
    }

    fn message(self, base: &mut Base, message: &Message, env: &Env, out: &mut Out) -> Result<Phase, Stop> {
        match message {
            Message::UpdateAddHtlc(_)
            | Message::UpdateFulfillHtlc(_)
            | Message::UpdateFailHtlc(_)
            | Message::UpdateFailMalformedHtlc(_)
            | Message::CommitmentSigned(_)
            | Message::RevokeAndAck(_)
            | Message::UpdateFee(_) => {
                let mut next = self;
                next.funded.on_update(base, message, env, out)?;
                Ok(Phase::Normal(next))
            }
            Message::Shutdown(message) => {
                base.online("shutdown", env)?;
                ShuttingDown::new(self.funded).on_shutdown(base, message, env, out)
            }
            Message::Error(message) => {
                Err(Violation::PeerError { text: super::text_of(&message.data) }.into())
            }
            Message::ChannelReestablish(message) => {
                let mut next = self;
                match next.funded.on_reestablish(base, message, env, out)? {
                    Standing::Level => {
                        next.funded.repeat_proposals(out);
                        Ok(Phase::Normal(next))
                    }
                    Standing::Behind(revoked) => Ok(FallenBehind::enter(base, next.funded, revoked, out)),
                }
            }
            Message::OpenChannel(_) => Err(out_of_order("open_channel")),
            Message::AcceptChannel(_) => Err(out_of_order("accept_channel")),
            Message::FundingCreated(_) => Err(out_of_order("funding_created")),
            Message::FundingSigned(_) => Err(out_of_order("funding_signed")),
            Message::ClosingSigned(_) => Err(out_of_order("closing_signed")),
            // A repeated channel_ready is redundant, or names another alias (BOLT 2).
            Message::ChannelReady(_) => {
                base.online("channel_ready", env)?;
                Ok(Phase::Normal(self))
            }
            Message::Warning(_)
            | Message::Init(_)
            | Message::Ping(_)
            | Message::Pong(_)
            | Message::Unknown { .. } => Ok(Phase::Normal(self)),
        }
    }

    fn command(self, base: &mut Base, command: &Command, env: &Env, out: &mut Out) -> Result<Phase, Stop> {
        match command {
            Command::Add(_)
            | Command::Fulfill { .. }
            | Command::Fail { .. }
            | Command::FailMalformed { .. }
            | Command::UpdateFee(_)
            | Command::Commit => {
                let mut next = self;
                next.funded.on_command(base, command, env, out)?;
                Ok(Phase::Normal(next))
            }
            Command::Close { script, feerate } => {
                base.commandable()?;
                ShuttingDown::new(self.funded).on_close(base, script.as_ref(), *feerate, env, out)
            }
            Command::ForceClose => Ok(OnChain::alone(base, self.funded, "this node closes alone", out)),
            Command::Funded { .. } | Command::FeeInputs { .. } => {
                Err(Rejection::WrongPhase { phase: NAME }.into())
            }
        }
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
        next.funded.confirm(height, transactions, true, env, out);
        next.tell_place(height, env, out);
        match on_chain::spend_in(&next.funded, transactions) {
            Some(spend) => Ok(OnChain::spent(base, next.funded, &spend.tx, height, transactions, env, out)),
            None => Ok(Phase::Normal(next)),
        }
    }
}

impl Normal {
    /// After a reorganisation the funding is mined again, maybe elsewhere: the channel has another short id from now on.
    fn tell_place(&self, height: BlockHeight, env: &Env, out: &mut Out) {
        let is_new = self.funded.place.is_some_and(|place| place.height == height);
        let told = self.funded.short_channel_id().filter(|_| is_new);
        if let Some(short_channel_id) = told.filter(|_| !env.plants(Mutant::KeepsOldShortChannelId)) {
            out.effects.push(Effect::Ready { short_channel_id });
        }
    }
}

/// The phase's name for people.
pub const NAME: &str = "normal";

fn out_of_order(message: &'static str) -> Stop {
    Violation::OutOfOrder { message, phase: NAME }.into()
}

impl Funded {
    /// An update or a signature of the peer; any other message is none of these and is left alone.
    pub fn on_update(
        &mut self,
        base: &mut Base,
        message: &Message,
        env: &Env,
        out: &mut Out,
    ) -> Result<(), Violation> {
        base.online("an update", env)?;
        let fulfilled =
            if env.plants(Mutant::FailsFulfilledHtlcs) { self.ledger.fulfilled() } else { vec![] };
        self.take_update(base, message, env, out)?;
        if env.plants(Mutant::FailsFulfilledHtlcs) {
            self.tell_late(fulfilled, out);
        }
        match message {
            Message::UpdateFailHtlc(message) if env.plants(Mutant::FailsBeforeIrrevocable) => {
                let origin = self.ledger.find(Side::Local, message.id).and_then(|htlc| htlc.origin);
                let refusal = Refusal::Encrypted(message.reason.clone());
                out.effects.extend(origin.map(|origin| Effect::Failed { origin, refusal }));
            }
            _ => {}
        }
        Ok(())
    }

    /// What a planted bug does with R: it goes upstream once the removal is irrevocable.
    fn tell_late(&self, before: Vec<(Origin, Preimage)>, out: &mut Out) {
        let left = self.ledger.fulfilled();
        let gone = before.into_iter().filter(|one| !left.contains(one));
        out.effects.retain(|effect| !matches!(effect, Effect::Fulfilled { .. }));
        out.effects.extend(gone.map(|(origin, preimage)| Effect::Fulfilled { origin, preimage }));
    }

    fn take_update(
        &mut self,
        base: &mut Base,
        message: &Message,
        env: &Env,
        out: &mut Out,
    ) -> Result<(), Violation> {
        match message {
            Message::UpdateAddHtlc(message) => self.on_update_add_htlc(message),
            Message::UpdateFulfillHtlc(message) => self.on_update_fulfill_htlc(message, out),
            Message::UpdateFailHtlc(message) => self.on_update_fail_htlc(message),
            Message::UpdateFailMalformedHtlc(message) => self.on_update_fail_malformed_htlc(message),
            Message::CommitmentSigned(message) => {
                self.on_commitment_signed(message, &mut base.signer, env, out)?;
                if env.plants(Mutant::ForwardBeforeIrrevocable) {
                    out.effects.extend(self.ledger.acknowledged().map(Effect::Received));
                }
                Ok(())
            }
            Message::RevokeAndAck(message) => self.on_revoke_and_ack(message, &mut base.signer, out),
            Message::UpdateFee(message) => self.on_update_fee(message, &base.config, env),
            Message::Warning(_)
            | Message::Init(_)
            | Message::Error(_)
            | Message::Ping(_)
            | Message::Pong(_)
            | Message::OpenChannel(_)
            | Message::AcceptChannel(_)
            | Message::FundingCreated(_)
            | Message::FundingSigned(_)
            | Message::ChannelReady(_)
            | Message::Shutdown(_)
            | Message::ClosingSigned(_)
            | Message::ChannelReestablish(_)
            | Message::Unknown { .. } => Ok(()),
        }
    }

    /// An update or a signature of our own; any other command is none of these and is refused.
    pub fn on_command(
        &mut self,
        base: &mut Base,
        command: &Command,
        env: &Env,
        out: &mut Out,
    ) -> Result<(), Stop> {
        if *command == Command::Commit && !base.is_online() {
            return Ok(());
        }
        match command {
            Command::Add(offer) => {
                base.commandable()?;
                self.offer(offer, &base.config, env, out)?;
            }
            Command::Fulfill { id, preimage } => {
                self.fulfill(*id, *preimage, out)?;
                self.say_removed(base, *id, out);
            }
            Command::Fail { id, reason } => {
                self.fail(*id, reason.clone(), out)?;
                self.say_removed(base, *id, out);
            }
            Command::FailMalformed { id, sha256_of_onion, failure_code } => {
                self.fail_malformed(*id, *sha256_of_onion, *failure_code, out)?;
                self.say_removed(base, *id, out);
            }
            Command::UpdateFee(feerate) => {
                base.commandable()?;
                self.update_fee(*feerate, &base.config, env, out)?;
            }
            Command::Commit => self.commit(&mut base.signer, out)?,
            Command::Funded { .. }
            | Command::Close { .. }
            | Command::ForceClose
            | Command::FeeInputs { .. } => {
                return Err(Rejection::WrongPhase { phase: NAME }.into());
            }
        }
        Ok(())
    }

    /// The link broke: what no signature covers is as if it had never been sent.
    pub fn forget_unsigned(&mut self, out: &mut Out) {
        out.save = true;
        let origins = self.ledger.forget_unsigned();
        out.effects.extend(origins.into_iter().map(super::not_committed));
    }

    /// The same, unless the lab wants more to be forgotten.
    pub fn forget_with_the_link(&mut self, env: &Env, out: &mut Out) {
        self.forget_unsigned(out);
        if env.plants(Mutant::ForgetProposedRemovals) {
            self.ledger.forget_removals_of(Side::Local);
        }
    }
}
