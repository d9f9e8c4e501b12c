//! Both first commitments are signed; the funding is awaited on the chain (BOLT 2, `channel_ready`).
//!
//! ```text
//!   A                          B
//!   |--- channel_ready ------->|   each when the funding is deep enough for it;
//!   |<------ channel_ready ----|   with both, payments may start
//! ```
use super::on_chain::{self, OnChain};
use super::opening;
use super::reestablish::Standing;
use super::{
    Base, Command, Confirmed, Effect, Env, FallenBehind, Funded, Input, Mutant, Out, Phase, Place, Rejection,
    ShuttingDown, Stop, Violation,
};
use crate::tx::Side;
use crate::units::{BlockHeight, CommitmentNumber, Msat};
use crate::wire::{ChannelReady, Message};
use bitcoin::constants::COINBASE_MATURITY;
use secp256k1::PublicKey;
use serde::{Deserialize, Serialize};

/// For so many blocks the funding is handed to the chain after each one without it; later only every so many blocks.
const OFTEN: u32 = 144;

/// A channel whose funding is not deep enough yet for both.
#[derive(Clone, Serialize, Deserialize)]
pub struct Confirming {
    /// The channel.
    pub funded: Funded,
    since: BlockHeight,
    received: bool,
}

impl Confirming {
    /// From the signatures on; `height` is now.
    pub fn new(funded: Funded, height: BlockHeight) -> Self {
        Self { funded, since: height, received: false }
    }

    /// Whether nobody could miss it: its funding was not seen, the opener's is all of it, and only the opener can fund it.
    pub fn is_worthless(&self) -> bool {
        let ledger = &self.funded.ledger;
        let opened_by_peer = self.funded.terms.opener == Side::Remote;
        opened_by_peer && self.funded.place.is_none() && ledger.settled(Side::Local) == Msat::ZERO
    }

    /// One input.
    pub fn step(self, base: &mut Base, input: &Input, env: &Env, out: &mut Out) -> Result<Phase, Stop> {
        match input {
            Input::Message(message) => self.message(base, message, env, out),
            Input::Command(command) => self.command(base, command, env, out),
            Input::BlockConnected { height, transactions } => {
                self.on_block(base, *height, transactions, env, out)
            }
            Input::BlockDisconnected { height } => Ok(self.on_block_gone(*height, out)),
            Input::Disconnected => {
                base.go_offline(out);
                Ok(Phase::Confirming(self))
            }
            Input::Connected => {
                base.reconnect(&self.funded, out);
                Ok(Phase::Confirming(self))
            }
            Input::Unconfirmed(_) => Ok(Phase::Confirming(self)),
        }
    }

    fn message(self, base: &mut Base, message: &Message, env: &Env, out: &mut Out) -> Result<Phase, Stop> {
        match message {
            Message::ChannelReady(message) => self.on_channel_ready(base, message, env, out),
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
                        next.send_ready(base, env, out);
                        Ok(next.begin(out))
                    }
                    Standing::Behind(revoked) => Ok(FallenBehind::enter(base, next.funded, revoked, out)),
                }
            }
            Message::OpenChannel(_) => Err(out_of_order("open_channel")),
            Message::AcceptChannel(_) => Err(out_of_order("accept_channel")),
            Message::FundingCreated(_) => Err(out_of_order("funding_created")),
            Message::FundingSigned(_) => Err(out_of_order("funding_signed")),
            Message::ClosingSigned(_) => Err(out_of_order("closing_signed")),
            Message::UpdateAddHtlc(_) => Err(out_of_order("update_add_htlc")),
            Message::UpdateFulfillHtlc(_) => Err(out_of_order("update_fulfill_htlc")),
            Message::UpdateFailHtlc(_) => Err(out_of_order("update_fail_htlc")),
            Message::UpdateFailMalformedHtlc(_) => Err(out_of_order("update_fail_malformed_htlc")),
            Message::CommitmentSigned(_) => Err(out_of_order("commitment_signed")),
            Message::RevokeAndAck(_) => Err(out_of_order("revoke_and_ack")),
            Message::UpdateFee(_) => Err(out_of_order("update_fee")),
            Message::Warning(_)
            | Message::Init(_)
            | Message::Ping(_)
            | Message::Pong(_)
            | Message::Unknown { .. } => Ok(Phase::Confirming(self)),
        }
    }

    fn command(self, base: &mut Base, command: &Command, env: &Env, out: &mut Out) -> Result<Phase, Stop> {
        match command {
            Command::Commit => Ok(Phase::Confirming(self)),
            Command::ForceClose => Ok(OnChain::alone(base, self.funded, "this node closes alone", out)),
            Command::Close { script, feerate } => {
                base.commandable()?;
                ShuttingDown::new(self.funded).on_close(base, script.as_ref(), *feerate, env, out)
            }
            Command::Funded { .. }
            | Command::Add(_)
            | Command::Fulfill { .. }
            | Command::Fail { .. }
            | Command::FailMalformed { .. }
            | Command::UpdateFee(_)
            | Command::FeeInputs { .. } => Err(Rejection::WrongPhase { phase: NAME }.into()),
        }
    }

    fn on_channel_ready(
        self,
        base: &mut Base,
        message: &ChannelReady,
        env: &Env,
        out: &mut Out,
    ) -> Result<Phase, Stop> {
        base.online("channel_ready", env)?;
        if self.received {
            return Ok(Phase::Confirming(self));
        }
        let mut next = self;
        next.received = true;
        next.funded.learn_second_point(message.second_per_commitment_point, out);
        Ok(next.begin(out))
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
        let waited = height.get().saturating_sub(next.since.get());
        let again = waited <= OFTEN || waited.is_multiple_of(OFTEN);
        let mined = next.funded.confirm(height, transactions, again, env, out);
        if let Some(why) = next.funded.unfunded(mined, base, &mut Some(next.since), height, out) {
            return Ok(opening::abandon(&why, out));
        }
        if let Some(spend) = on_chain::spend_in(&next.funded, transactions) {
            return Ok(OnChain::spent(base, next.funded, &spend.tx, height, transactions, env, out));
        }
        next.send_ready(base, env, out);
        Ok(next.begin(out))
    }

    fn send_ready(&mut self, base: &Base, env: &Env, out: &mut Out) {
        let depth = self.funded.depth(env.height);
        let due = if env.plants(Mutant::ReadyTooEarly) { 1 } else { self.funded.minimum_depth };
        if self.funded.ready_sent || depth < due || !base.is_online() {
            return;
        }
        self.funded.ready_sent = true;
        out.save = true;
        out.send(self.funded.channel_ready(base));
    }

    fn on_block_gone(self, height: BlockHeight, out: &mut Out) -> Phase {
        let mut next = self;
        next.funded.unconfirm(height, out);
        Phase::Confirming(next)
    }

    /// Normal operation, once both sides are ready and the funding has its place.
    fn begin(self, out: &mut Out) -> Phase {
        match self.funded.short_channel_id() {
            Some(short_channel_id) if self.funded.ready_sent && self.received => {
                out.effects.push(Effect::Ready { short_channel_id });
                Phase::Normal(super::Normal { funded: self.funded })
            }
            Some(_) | None => Phase::Confirming(self),
        }
    }
}

/// Whether a block holds the funding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mined {
    /// It does not.
    No,
    /// As agreed.
    Right,
    /// A transaction of that id that does not pay what was agreed.
    Wrong,
}

impl Funded {
    /// Looks for the funding in a block: the named output must pay exactly the amount to exactly the script (BOLT 2,
    /// `channel_ready`). What a block's own reward pays is not ready before it can be spent. A funding that is ours and in no block yet is
    /// handed to the chain again, if wanted: a mempool may lose it, since Core's is gone when it is killed and a full one throws out
    /// what pays least.
    pub fn confirm(
        &mut self,
        height: BlockHeight,
        transactions: &[Confirmed],
        again: bool,
        env: &Env,
        out: &mut Out,
    ) -> Mined {
        let funding = self.terms.funding;
        let found = transactions.iter().find(|confirmed| confirmed.tx.compute_txid() == funding.txid);
        let Some(confirmed) = found else {
            if again {
                out.effects.extend(self.rebroadcast_funding());
            }
            return Mined::No;
        };
        let pays = confirmed.tx.output.get(funding.vout as usize) == Some(&self.terms.funding_output());
        if !pays && !env.plants(Mutant::FundingIsNotChecked) {
            return Mined::Wrong;
        }
        self.place = Some(Place { height, index: confirmed.index });
        if confirmed.tx.is_coinbase() {
            // Until then neither side could close alone (bolts #1338).
            self.minimum_depth = self.minimum_depth.max(COINBASE_MATURITY);
        }
        out.save = true;
        Mined::Right
    }

    /// Why there will be no funding, and the channel can be forgotten: what was mined is not what was agreed, or the peer's funding has
    /// been awaited for longer than it deserves (BOLT 2, `channel_ready`: an acceptor forgets it after 2016 blocks). `since` keeps from
    /// when on it is awaited.
    pub fn unfunded(
        &self,
        mined: Mined,
        base: &Base,
        since: &mut Option<BlockHeight>,
        height: BlockHeight,
        out: &mut Out,
    ) -> Option<String> {
        if mined == Mined::Wrong {
            let why = Violation::FundingMismatch.to_string();
            out.error(base.id, &why);
            return Some(why);
        }
        if self.place.is_some() || self.terms.opener == Side::Local {
            *since = None;
            return None;
        }
        out.save |= since.is_none();
        let patience = base.config.forget_unconfirmed_after;
        let over = height >= since.get_or_insert(height).plus(patience);
        over.then(|| format!("the funding was not confirmed within {patience} blocks"))
    }

    /// The point of the peer's second commitment, from its first `channel_ready`; any later one names the same.
    pub fn learn_second_point(&mut self, point: PublicKey, out: &mut Out) {
        let first = self.remote.number == CommitmentNumber::ZERO && self.remote_next.is_none();
        if first && self.next_remote_point.is_none() {
            self.next_remote_point = Some(point);
            out.save = true;
        }
    }

    /// Forgets the funding's place when its block is gone.
    pub fn unconfirm(&mut self, height: BlockHeight, out: &mut Out) {
        if self.place.is_some_and(|place| place.height >= height) {
            self.place = None;
            out.save = true;
            out.effects.extend(self.rebroadcast_funding());
        }
    }

    /// The funding transaction for the chain, if it is ours and not mined.
    pub fn rebroadcast_funding(&self) -> Option<Effect> {
        let tx = self.funding_tx.as_ref().filter(|_| self.place.is_none())?;
        Some(Effect::Broadcast { role: super::Role::Funding, tx: tx.as_ref().clone() })
    }

    /// How deep the funding is at this height.
    pub fn depth(&self, height: BlockHeight) -> u32 {
        let place = self.place.map_or(u32::MAX, |place| place.height.get());
        height.get().saturating_add(1).saturating_sub(place)
    }
}

/// The phase's name for people.
pub const NAME: &str = "awaiting confirmations";

fn out_of_order(message: &'static str) -> Stop {
    Violation::OutOfOrder { message, phase: NAME }.into()
}
