//! One end of a channel in a test's hands: taken over from a counterpart as a value, which signs only when told to, and offers what
//! no node would: any onion, any hash, the same one twice.
use super::{RawError, RawPeer};
use leyden_core::channel::{Channel, Command, Effect, Env, Input, Offer, Origin, Refusal};
use leyden_core::ids::{PaymentHash, Preimage};
use leyden_core::units::{CltvExpiry, Msat};
use leyden_core::wire::{Message, OnionBytes};

/// The end and its connection.
pub struct End {
    raw: RawPeer,
    channel: Channel,
    env: Env,
    /// What came of it, messages excepted.
    pub effects: Vec<Effect>,
    /// Every message of the node under test, in order.
    pub heard: Vec<Message>,
}

impl End {
    pub(super) fn new(raw: RawPeer, channel: Channel, env: Env) -> Self {
        Self { raw, channel, env, effects: Vec::new(), heard: Vec::new() }
    }

    /// Does this to the channel; what it leads to goes out at once.
    ///
    /// # Panics
    /// The channel refuses.
    pub fn command(&mut self, command: Command) {
        self.input(Input::Command(command));
    }

    /// Offers an HTLC, which bears the number `n` in what comes of it.
    ///
    /// # Panics
    /// The channel refuses.
    pub fn offer(&mut self, n: u64, amount: u64, payment_hash: PaymentHash, expiry: u32, onion: &OnionBytes) {
        self.command(Command::Add(Offer {
            amount: Msat::new(amount),
            payment_hash,
            incoming_expiry: None,
            cltv_expiry: CltvExpiry::new(expiry),
            onion: onion.clone(),
            origin: Origin::Own { attempt: n },
        }));
    }

    /// Signs what waits, and takes in all that the node says, until both are at rest or the node has ended the connection.
    ///
    /// # Errors
    /// The node is silent, or not to be understood.
    pub fn talk(&mut self) -> Result<(), RawError> {
        loop {
            let signed = self.input(Input::Command(Command::Commit));
            let reaction = self.raw.reaction()?;
            let quiet = reaction.messages.is_empty() && !signed;
            for message in reaction.messages {
                self.heard.push(message.clone());
                self.input(Input::Message(message));
            }
            if quiet || reaction.closed {
                return Ok(());
            }
        }
    }

    /// The offers that were fulfilled.
    pub fn fulfilled(&self) -> Vec<(u64, Preimage)> {
        let fulfilled = |effect: &Effect| match effect {
            Effect::Fulfilled { origin: Origin::Own { attempt }, preimage } => Some((*attempt, *preimage)),
            _ => None,
        };
        self.effects.iter().filter_map(fulfilled).collect()
    }

    /// The offers that were refused, for good, and how.
    pub fn refused(&self) -> Vec<(u64, Refusal)> {
        let failed = |effect: &Effect| match effect {
            Effect::Failed { origin: Origin::Own { attempt }, refusal } => Some((*attempt, refusal.clone())),
            _ => None,
        };
        self.effects.iter().filter_map(failed).collect()
    }

    /// Whether anything was said.
    fn input(&mut self, input: Input) -> bool {
        let step = self.channel.step(input, &self.env);
        let step = step.unwrap_or_else(|rejection| panic!("a test asks for {rejection}"));
        self.channel = step.channel;
        let mut said = false;
        for effect in step.effects {
            match effect {
                Effect::Send(message) => said |= self.raw.send(&message),
                effect => self.effects.push(effect),
            }
        }
        said
    }
}
