//! One connection with a peer (BOLT 1): `init` first, features, ping and pong, errors and warnings. It says what a message
//! asks for; channels and payments are not its business, and nothing here outlives the connection.
//!
//! ```text
//!   Connected ─► we: init ─►        ┌─ ping ──► pong
//!               ◄─ init :them ─► Ready ─ error/warning ──► told to the node
//!                                   └─ channel messages ──► passed on
//! ```

use crate::ids::ChannelId;
use crate::wire::{DecodeError, ErrorMessage, Features, Init, Message, OpenChannel, Ping, Pong, Warning};
use bitcoin::constants::ChainHash;

/// The chain this node lives on, as messages name it.
pub const CHAIN: ChainHash = ChainHash::REGTEST;

/// A ping that asks for this many bytes or more is not answered (BOLT 1).
const PONG_LIMIT: u16 = 65532;

/// The most characters of a peer's text that are kept.
const TEXT_LIMIT: usize = 400;

/// Even bits of the features that this node knows and can honour (BOLT 9).
const SUPPORTED: [usize; 8] = [0, 8, 12, 14, LARGE_CHANNEL, 22, 26, 44];

/// What this node announces: the assumed features as required, the others as optional.
const ANNOUNCED: [usize; 8] = [0, 8, 12, 14, LARGE_CHANNEL + 1, 23, 27, 45];

/// `option_support_large_channel`.
const LARGE_CHANNEL: usize = 18;

/// A feature and the one it needs (BOLT 9, "Dependencies").
const DEPENDENCIES: [(usize, usize); 5] = [(14, 8), (16, 14), (22, 12), (38, 8), (24, 8)];

/// How far a connection is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Our `init` is out, theirs is not in.
    Greeting,
    /// Both `init`s were exchanged.
    Ready,
    /// We asked for the connection to be dropped; what still comes is not read.
    Dropping,
}

/// A connected peer.
#[derive(Clone, Debug)]
pub struct Peer {
    stage: Stage,
    features: Features,
    /// We sent a ping, and nothing came since.
    asked: bool,
}

/// What a peer's message means for the node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Heard {
    /// Nothing to do.
    Nothing,
    /// Its `init` was fine: the connection can be used.
    Ready,
    /// To be answered with this.
    Answer(Message),
    /// It proposes a channel.
    Open(Box<OpenChannel>),
    /// A message for one of our channels with this peer.
    ForChannel(ChannelId, Message),
    /// It fails one channel, or with an all-zero id all of them.
    Error {
        /// Which channel.
        channel: ChannelId,
        /// Its text, made printable and cut.
        text: String,
    },
    /// It warns.
    Warning {
        /// Its text, made printable and cut.
        text: String,
    },
    /// It broke a rule of BOLT 1: say why and drop the connection.
    Drop(Breach),
}

/// The rules of a connection that a peer can break.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Breach {
    /// A message cannot be read, or is of an unknown even type.
    #[error("{0}")]
    Unreadable(#[from] DecodeError),
    /// `init` must be the first message.
    #[error("a message came before init")]
    BeforeInit,
    /// `init` must be sent once.
    #[error("init came twice")]
    SecondInit,
    /// It insists on something that is not known here.
    #[error("feature bit {0} is required and not known here")]
    UnknownFeature(usize),
    /// It announces a feature without the one that this needs.
    #[error("feature {feature} needs feature {needs}")]
    MissingDependency {
        /// The announced feature's even bit.
        feature: usize,
        /// The even bit of the one that is missing.
        needs: usize,
    },
    /// It lives on other chains.
    #[error("no common chain")]
    OtherChain,
    /// Nothing comes from it any more.
    #[error("nothing came for a long time, not even a pong")]
    Silent,
}

impl Default for Peer {
    fn default() -> Self {
        Self { stage: Stage::Greeting, features: Features::default(), asked: false }
    }
}

impl Peer {
    /// Our first message.
    pub fn hello() -> Message {
        Message::Init(Init {
            features: Features::of(&ANNOUNCED),
            networks: vec![CHAIN.to_bytes()],
            unknown: Vec::new(),
        })
    }

    /// Whether both sides said `init` and the connection is not being dropped.
    pub fn is_ready(&self) -> bool {
        self.stage == Stage::Ready
    }

    /// Whether messages may still be sent.
    pub fn is_open(&self) -> bool {
        self.stage != Stage::Dropping
    }

    /// What the peer announced.
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// Whether it takes channels of 2^24 satoshis and more.
    pub fn takes_large_channels(&self) -> bool {
        self.features.supports(LARGE_CHANNEL)
    }

    /// The connection is about to be dropped by us.
    pub fn drop_soon(&mut self) {
        self.stage = Stage::Dropping;
    }

    /// Reads one message.
    pub fn hear(&mut self, bytes: &[u8]) -> Heard {
        if self.stage == Stage::Dropping {
            return Heard::Nothing;
        }
        self.asked = false;
        match (Message::decode(bytes), self.stage) {
            (Err(error), _) => Heard::Drop(error.into()),
            (Ok(Message::Init(init)), Stage::Greeting) => self.greet(init),
            (Ok(_), Stage::Greeting) => Heard::Drop(Breach::BeforeInit),
            (Ok(message), _) => sort(message),
        }
    }

    /// Nothing came for a while. A peer that is only quiet answers a ping; one that does not is given up, and its channels wait for it
    /// (BOLT 1, "The `ping` and `pong` Messages").
    pub fn hear_nothing(&mut self) -> Heard {
        match self.stage {
            Stage::Dropping => Heard::Nothing,
            Stage::Ready if !self.asked => {
                self.asked = true;
                Heard::Answer(Message::Ping(Ping { num_pong_bytes: 0, byteslen: 0 }))
            }
            Stage::Greeting | Stage::Ready => Heard::Drop(Breach::Silent),
        }
    }

    fn greet(&mut self, init: Init) -> Heard {
        if let Some(breach) = check_init(&init) {
            return Heard::Drop(breach);
        }
        self.features = init.features;
        self.stage = Stage::Ready;
        Heard::Ready
    }
}

/// Finds a reason not to talk to this peer (BOLT 1, "The `init` Message").
fn check_init(init: &Init) -> Option<Breach> {
    let unknown = |bit: &usize| bit & 1 == 0 && !SUPPORTED.contains(bit);
    if let Some(bit) = init.features.bits().find(unknown) {
        return Some(Breach::UnknownFeature(bit));
    }
    // What BOLT 9 lists as ASSUMED need not be announced, so that only the others can be missing.
    let assumed = |bit: usize| matches!(bit, 0 | 8 | 12 | 14 | 44);
    let broken = |(feature, needs): &&(usize, usize)| {
        init.features.supports(*feature) && !init.features.supports(*needs) && !assumed(*needs)
    };
    if let Some((feature, needs)) = DEPENDENCIES.iter().find(broken) {
        return Some(Breach::MissingDependency { feature: *feature, needs: *needs });
    }
    let elsewhere = !init.networks.is_empty() && !init.networks.contains(&CHAIN.to_bytes());
    elsewhere.then_some(Breach::OtherChain)
}

/// Says what a message after `init` is about.
fn sort(message: Message) -> Heard {
    let channel = match &message {
        Message::Init(_) => return Heard::Drop(Breach::SecondInit),
        Message::Ping(ping) => return pong(ping),
        Message::Pong(_) | Message::Unknown { .. } => return Heard::Nothing,
        Message::Error(ErrorMessage { channel_id, data }) => {
            return Heard::Error { channel: *channel_id, text: printable(data) }
        }
        Message::Warning(Warning { data, .. }) => return Heard::Warning { text: printable(data) },
        Message::OpenChannel(open) => return Heard::Open(open.clone()),
        Message::AcceptChannel(accept) => accept.temporary_channel_id,
        Message::FundingCreated(created) => created.temporary_channel_id,
        Message::FundingSigned(signed) => signed.channel_id,
        Message::ChannelReady(ready) => ready.channel_id,
        Message::Shutdown(shutdown) => shutdown.channel_id,
        Message::ClosingSigned(closing) => closing.channel_id,
        Message::UpdateAddHtlc(add) => add.channel_id,
        Message::UpdateFulfillHtlc(fulfill) => fulfill.channel_id,
        Message::UpdateFailHtlc(fail) => fail.channel_id,
        Message::UpdateFailMalformedHtlc(fail) => fail.channel_id,
        Message::CommitmentSigned(signed) => signed.channel_id,
        Message::RevokeAndAck(revoke) => revoke.channel_id,
        Message::UpdateFee(fee) => fee.channel_id,
        Message::ChannelReestablish(reestablish) => reestablish.channel_id,
    };
    Heard::ForChannel(channel, message)
}

fn pong(ping: &Ping) -> Heard {
    if ping.num_pong_bytes >= PONG_LIMIT {
        return Heard::Nothing;
    }
    Heard::Answer(Message::Pong(Pong { byteslen: ping.num_pong_bytes }))
}

/// A peer's text, safe to print: only what is printable ASCII, the rest as dots (BOLT 1).
fn printable(data: &[u8]) -> String {
    let shown = |byte: &u8| if byte.is_ascii_graphic() || *byte == b' ' { *byte as char } else { '.' };
    data.iter().take(TEXT_LIMIT).map(shown).collect()
}

#[cfg(test)]
mod tests;
