//! One channel as a value: `step(&self, input, env)` gives the next value and what to do, or refuses.
//!
//! ```text
//!   open/accept -> Opening -> Confirming -> Normal -> ShuttingDown -> OnChain -> Done
//!                     |           \            \______________________^
//!                     v            \__________________________________^   closing alone, by either side
//!                    Done
//!   a side that lost states: Confirming, Normal, ShuttingDown -> FallenBehind -> OnChain
//! ```
//! Phase of life and link are two things: the phase is one of the above, the link is online from the opening until the
//! connection breaks, and again when both sides said where they stand (`reestablish`).
//! No I/O, no clock, no randomness: what it needs stands in `Env` and in the input.

mod ahead;
mod archive;
mod closing;
mod config;
mod confirming;
mod deadline;
mod fallen_behind;
mod funded;
mod input;
mod lab;
mod ledger;
mod limits;
mod normal;
mod on_chain;
mod opening;
#[cfg(feature = "lab")]
mod past;
mod record;
mod reestablish;
mod shutting_down;
mod signer;
mod stage;
#[cfg(test)]
mod tests;
mod updates;
mod view;
mod violation;

pub use deadline::FULFILLED_MARGIN;
pub use input::*;
pub use lab::{Mutant, UnknownMutant};
pub use limits::{Limits, LOCKTIME_THRESHOLD, MAX_HTLCS, MIN_DUST_LIMIT, MIN_FEERATE};
#[cfg(feature = "lab")]
pub use past::{HtlcSpend, PastState};
pub use record::RecordError;
pub use view::HtlcView;
pub use violation::{Rejection, Severity, Violation};

use archive::Archive;
use confirming::Confirming;
use fallen_behind::FallenBehind;
use funded::{Funded, LocalCommitment, Place};
use normal::Normal;
use on_chain::OnChain;
use opening::Opening;
use shutting_down::ShuttingDown;
use signer::{Promises, Signer};
use violation::Stop;

use crate::ids::{ChannelId, NodeId};
use crate::keys::ChannelKeys;
use crate::wire::{ErrorMessage, Message, OpenChannel, Warning};
use bitcoin::{ScriptBuf, Transaction};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One channel with one peer. Cheap to copy: what is big is shared.
#[derive(Clone)]
pub struct Channel {
    base: Base,
    phase: Phase,
}

/// What one input led to.
#[derive(Clone)]
pub struct Step {
    /// The next value.
    pub channel: Channel,
    /// Whether the next value must be durable before any effect happens.
    pub save: bool,
    /// In this order.
    pub effects: Vec<Effect>,
}

/// What belongs to the channel in every phase.
#[derive(Clone)]
struct Base {
    peer: NodeId,
    key_index: u64,
    config: Arc<ChannelConfig>,
    destination: ScriptBuf,
    id: ChannelId,
    link: Link,
    signer: Signer,
    archive: Archive,
}

/// Whether the peer can be talked to about this channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Link {
    /// Messages flow.
    Online,
    /// There is no connection.
    Offline,
    /// There is one, our `channel_reestablish` is sent, and the peer's is awaited.
    Reestablishing,
}

/// Where the channel is in its life.
#[derive(Clone, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant)] // one of it for each channel, and most of them funded
enum Phase {
    Opening(Opening),
    Confirming(Confirming),
    Normal(Normal),
    ShuttingDown(ShuttingDown),
    FallenBehind(FallenBehind),
    OnChain(OnChain),
    /// Abandoned or resolved: to be forgotten.
    Done,
}

/// What a step gathers.
#[derive(Default)]
struct Out {
    save: bool,
    effects: Vec<Effect>,
}

impl Channel {
    /// Proposes a channel to a peer. `key_index` is what `keys` were derived from; `destination` is where our money goes
    /// in the end; `temporary_id` must be unique with this peer.
    ///
    /// # Errors
    /// A [`Rejection`] when the request is not one that a peer could accept.
    pub fn open(
        request: &OpenRequest,
        config: &ChannelConfig,
        keys: ChannelKeys,
        key_index: u64,
        temporary_id: ChannelId,
        destination: ScriptBuf,
        env: &Env,
    ) -> Result<Step, Rejection> {
        let base = Base::new(request.peer, config, keys, key_index, temporary_id, destination);
        let mut out = Out::default();
        let opening = opening::propose(&base, request, env, &mut out)?;
        Ok(Step::new(base, Phase::Opening(opening), out))
    }

    /// Accepts a peer's proposal.
    ///
    /// # Errors
    /// The [`Violation`] that makes it unacceptable; it is to be answered by an `error` for its temporary id.
    pub fn accept(
        peer: NodeId,
        message: &OpenChannel,
        config: &ChannelConfig,
        keys: ChannelKeys,
        key_index: u64,
        destination: ScriptBuf,
        env: &Env,
    ) -> Result<Step, Violation> {
        let base = Base::new(peer, config, keys, key_index, message.temporary_channel_id, destination);
        let mut out = Out::default();
        let opening = opening::accept(&base, message, env, &mut out)?;
        Ok(Step::new(base, Phase::Opening(opening), out))
    }

    /// One input in, the next value and what to do out.
    ///
    /// # Errors
    /// A [`Rejection`] when a command of our own cannot be done; nothing changed. A peer that breaks a rule is no error:
    /// the step says what is due.
    pub fn step(&self, input: Input, env: &Env) -> Result<Step, Rejection> {
        let mut base = self.base.clone();
        let mut out = Out::default();
        let phase = match self.phase.clone().step(&mut base, &input, env, &mut out) {
            Ok(phase) => phase,
            Err(Stop::Rejected(rejection)) => return Err(rejection),
            Err(Stop::Violated(violation)) => {
                // Nothing else of the input counts.
                (base, out) = (self.base.clone(), Out::default());
                self.violated(&base, &violation, &mut out)
            }
        };
        let phase = match &input {
            Input::Unconfirmed(tx) => phase.overhear(tx, env, &mut out),
            _ => phase,
        };
        let is_block = matches!(input, Input::BlockConnected { .. });
        let phase = if is_block { phase.meet_deadlines(&base, env, &mut out) } else { phase };
        let phase = phase.pursue(&base, env, &mut out);
        for effect in &out.effects {
            if let Effect::Revoked { number, htlcs } = effect {
                base.archive.remember(*number, htlcs.clone());
            }
        }
        Ok(Step::new(base, phase, out))
    }

    /// What is due when the peer broke a rule.
    fn violated(&self, base: &Base, violation: &Violation, out: &mut Out) -> Phase {
        let text = violation.to_string();
        match violation.severity() {
            Severity::Disconnect => {
                let data = text.into_bytes();
                out.send(Message::Warning(Warning { channel_id: base.id, data }));
                out.effects.push(Effect::Disconnect);
                self.phase.clone()
            }
            Severity::FailChannel => {
                if !matches!(violation, Violation::PeerError { .. }) {
                    out.error(base.id, &text);
                }
                self.phase.clone().fail(base, &text, out)
            }
        }
    }
}

impl Phase {
    fn step(self, base: &mut Base, input: &Input, env: &Env, out: &mut Out) -> Result<Phase, Stop> {
        match self {
            Phase::Opening(phase) => phase.step(base, input, env, out),
            Phase::Confirming(phase) => phase.step(base, input, env, out),
            Phase::Normal(phase) => phase.step(base, input, env, out),
            Phase::ShuttingDown(phase) => phase.step(base, input, env, out),
            Phase::FallenBehind(phase) => phase.step(base, input, env, out),
            Phase::OnChain(phase) => phase.step(base, input, env, out),
            Phase::Done => done(input),
        }
    }

    /// An HTLC that must be decided on the chain sends the channel there, as long as there is time (BOLT 2,
    /// "`cltv_expiry_delta` Selection").
    fn meet_deadlines(self, base: &Base, env: &Env, out: &mut Out) -> Phase {
        let funded = match &self {
            Phase::Normal(phase) => Some(&phase.funded),
            Phase::ShuttingDown(phase) => Some(&phase.funded),
            Phase::Opening(_)
            | Phase::Confirming(_)
            | Phase::FallenBehind(_)
            | Phase::OnChain(_)
            | Phase::Done => None,
        };
        match funded.and_then(|funded| funded.missed_deadline(env)) {
            Some(why) => {
                let text = why.to_string();
                out.error(base.id, &text);
                self.fail(base, &text, out)
            }
            None => self,
        }
    }

    /// R may show in the mempool, in whatever transaction: it is known from here on, and upstream gets it at once (BOLT 2,
    /// "Forwarding HTLCs"; BOLT 5, "HTLC Output Handling").
    fn overhear(self, tx: &Transaction, env: &Env, out: &mut Out) -> Phase {
        let funded = match &self {
            Phase::Normal(phase) => &phase.funded,
            Phase::ShuttingDown(phase) => &phase.funded,
            Phase::FallenBehind(phase) => &phase.funded,
            Phase::OnChain(phase) => &phase.funded,
            Phase::Opening(_) | Phase::Confirming(_) | Phase::Done => return self,
        };
        if !env.plants(Mutant::IgnoresPreimagesInMempool) {
            let shown = funded.shown_in(tx).into_iter();
            let told = shown.filter_map(|(htlc, preimage)| htlc.origin.map(|origin| (origin, preimage)));
            out.effects.extend(told.map(|(origin, preimage)| Effect::Fulfilled { origin, preimage }));
        }
        self
    }

    /// On the chain, whatever happened: what can be claimed now is claimed.
    fn pursue(self, base: &Base, env: &Env, out: &mut Out) -> Phase {
        match self {
            Phase::OnChain(phase) => Phase::OnChain(phase.pursue(base, env, out)),
            Phase::Opening(_)
            | Phase::Confirming(_)
            | Phase::Normal(_)
            | Phase::ShuttingDown(_)
            | Phase::FallenBehind(_)
            | Phase::Done => self,
        }
    }

    /// The channel is failed: our commitment goes to the chain, if there is one.
    fn fail(self, base: &Base, why: &str, out: &mut Out) -> Phase {
        match self {
            Phase::Opening(_) => opening::abandon(why, out),
            // The opener forgot it before it funded it, or will have all of it: nothing of ours is on the chain.
            Phase::Confirming(phase) if phase.is_worthless() => opening::abandon(why, out),
            Phase::Confirming(phase) => OnChain::alone(base, phase.funded, why, out),
            Phase::Normal(phase) => OnChain::alone(base, phase.funded, why, out),
            Phase::ShuttingDown(phase) => OnChain::alone(base, phase.funded, why, out),
            Phase::FallenBehind(phase) => Phase::FallenBehind(phase),
            Phase::OnChain(phase) => Phase::OnChain(phase),
            Phase::Done => Phase::Done,
        }
    }
}

fn done(input: &Input) -> Result<Phase, Stop> {
    match input {
        Input::Command(_) => Err(Rejection::WrongPhase { phase: "done" }.into()),
        Input::Message(_)
        | Input::BlockConnected { .. }
        | Input::BlockDisconnected { .. }
        | Input::Unconfirmed(_)
        | Input::Disconnected
        | Input::Connected => Ok(Phase::Done),
    }
}

impl Step {
    fn new(base: Base, phase: Phase, out: Out) -> Self {
        Self { channel: Channel { base, phase }, save: out.save, effects: out.effects }
    }
}

impl Base {
    fn new(
        peer: NodeId,
        config: &ChannelConfig,
        keys: ChannelKeys,
        key_index: u64,
        id: ChannelId,
        destination: ScriptBuf,
    ) -> Self {
        let signer = Signer::new(keys, Promises::default());
        let (config, link) = (Arc::new(config.clone()), Link::Online);
        let archive = Archive::default();
        Self { peer, key_index, config, destination, id, link, signer, archive }
    }

    fn is_online(&self) -> bool {
        self.link == Link::Online
    }

    fn go_offline(&mut self, out: &mut Out) {
        out.save |= self.link != Link::Offline;
        self.link = Link::Offline;
    }

    /// A message of the peer needs an established link (BOLT 2, "Message Retransmission").
    fn online(&self, message: &'static str, env: &Env) -> Result<(), Violation> {
        let heard = self.is_online() || env.plants(Mutant::ListenBeforeReestablish);
        heard.then_some(()).ok_or(Violation::BeforeReestablish { message })
    }

    /// So does a command that sends something.
    fn commandable(&self) -> Result<(), Rejection> {
        self.is_online().then_some(()).ok_or(Rejection::Offline)
    }
}

impl Out {
    fn send(&mut self, message: Message) {
        self.effects.push(Effect::Send(message));
    }

    fn error(&mut self, channel_id: ChannelId, text: &str) {
        self.send(Message::Error(ErrorMessage { channel_id, data: text.as_bytes().to_vec() }));
    }
}

/// A peer's text for people: what is not printable is left out, and so is what is too long.
fn text_of(data: &[u8]) -> String {
    String::from_utf8_lossy(data).chars().filter(|char| !char.is_control()).take(500).collect()
}

fn not_committed(origin: Origin) -> Effect {
    Effect::Failed { origin, refusal: Refusal::NotCommitted }
}
