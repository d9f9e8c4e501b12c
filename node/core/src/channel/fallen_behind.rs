//! A channel whose books are old, as its peer proved (BOLT 2, "Message Retransmission"): a backup was restored, or the disk lost
//! what it had promised to keep. Our commitment is revoked, so that to broadcast it would give everything away. Signs nothing
//! and broadcasts nothing: asks the peer to close alone, and waits for its commitment on the chain.
use super::on_chain::{self, OnChain};
use super::{Base, Command, Env, Funded, Input, Out, Phase, Rejection, Stop};
use crate::units::CommitmentNumber;
use crate::wire::Message;
use serde::{Deserialize, Serialize};

/// A channel that waits for its peer to close it.
#[derive(Clone, Serialize, Deserialize)]
pub struct FallenBehind {
    /// The channel as we last knew it.
    pub funded: Funded,
}

impl FallenBehind {
    /// From the proof on: the peer knows that this commitment of ours, and so every one that we know of, is revoked.
    pub fn enter(base: &mut Base, funded: Funded, revoked: CommitmentNumber, out: &mut Out) -> Phase {
        let mut funded = funded;
        funded.fallen_behind = true;
        base.signer.learn_released(revoked);
        out.save = true;
        out.error(base.id, REQUEST);
        Phase::FallenBehind(Self { funded })
    }

    /// One input.
    pub fn step(self, base: &mut Base, input: &Input, env: &Env, out: &mut Out) -> Result<Phase, Stop> {
        let mut next = self;
        match input {
            Input::Message(message) => next.message(base, message, out),
            Input::Command(command) => next.command(command, out)?,
            Input::BlockConnected { height, transactions } => {
                // That the funding is another one than agreed cannot matter any more.
                next.funded.confirm(*height, transactions, true, env, out);
                if let Some(spend) = on_chain::spend_in(&next.funded, transactions) {
                    return Ok(OnChain::spent(base, next.funded, &spend.tx, *height, transactions, env, out));
                }
            }
            Input::BlockDisconnected { height } => next.funded.unconfirm(*height, out),
            Input::Disconnected => base.go_offline(out),
            // A channel in an error state repeats its error.
            Input::Connected => out.error(base.id, REQUEST),
            Input::Unconfirmed(_) => {}
        }
        Ok(Phase::FallenBehind(next))
    }

    fn message(&self, base: &Base, message: &Message, out: &mut Out) {
        match message {
            Message::ChannelReestablish(_) => out.error(base.id, REQUEST),
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
            | Message::UpdateAddHtlc(_)
            | Message::UpdateFulfillHtlc(_)
            | Message::UpdateFailHtlc(_)
            | Message::UpdateFailMalformedHtlc(_)
            | Message::CommitmentSigned(_)
            | Message::RevokeAndAck(_)
            | Message::UpdateFee(_)
            | Message::Unknown { .. } => {}
        }
    }

    fn command(&mut self, command: &Command, out: &mut Out) -> Result<(), Rejection> {
        match command {
            Command::Commit => Ok(()),
            // The peer's commitment may hold this HTLC: whoever claims it on the chain finds the preimage in the books.
            Command::Fulfill { id, preimage } => self.funded.fulfill(*id, *preimage, out),
            Command::Fail { .. }
            | Command::FailMalformed { .. }
            | Command::Funded { .. }
            | Command::Add(_)
            | Command::UpdateFee(_)
            | Command::FeeInputs { .. }
            | Command::Close { .. }
            | Command::ForceClose => Err(Rejection::FallenBehind),
        }
    }
}

/// The phase's name for people.
pub const NAME: &str = "fallen behind";

const REQUEST: &str =
    "this side lost its newest states and cannot close: please close the channel with your newest commitment";
