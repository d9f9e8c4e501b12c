//! What a lab node and its harness tell each other, over one stream: first [`Begin`], then numbered orders in, and what was told out.
//! Frames of postcard, each behind its length in four bytes. Only data: a node that obeys it is built with the feature `lab`.
use bitcoin::{BlockHash, Transaction, Txid};
use leyden_core::channel::Role;
use leyden_core::ids::{ChannelId, NodeId};
use leyden_core::keys::NodeSeed;
use leyden_core::node::{Action, Batch, Command, Event, NodeConfig, Notice, RecordKey, Turn};
use leyden_core::tower::Locator;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::SocketAddr;

/// The longest frame: a node with all its records.
const MOST: usize = 256 << 20;

/// The first frame, from the harness: who the node is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Begin {
    /// The node's seed.
    pub seed: NodeSeed,
    /// How it behaves.
    pub config: NodeConfig,
}

/// From the harness, with a number each.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Order {
    /// It is this time, in microseconds, until told otherwise.
    Clock(u64),
    /// The chain asks this feerate, in sat per 1000 weight units, until told otherwise.
    Feerate(u32),
    /// Look into the mempool; done when all that is new there was handled.
    Look,
    /// Take in commands only, until [`Order::Run`]: what else comes waits, and nothing is signed.
    Pause,
    /// Take in what waited, and everything else from now on.
    Run,
    /// Connect to this peer, at this address.
    Dial(NodeId, String),
    /// Whether transactions are only told, and handed to no chain.
    Blind(bool),
    /// Whether messages of this peer wait, however many.
    Deaf(NodeId, bool),
    /// From now on send nothing to this peer: what is told as sent comes back as [`Order::Inject`], or never.
    Divert(NodeId),
    /// Send these bytes to this peer.
    Inject(NodeId, Vec<u8>),
    /// Carry this bug, by its name for people; none with an empty name.
    Plant(String),
}

/// From the node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Told {
    /// It runs. Everything that it has saved.
    Ready {
        /// Where it listens for peers.
        listen: Option<SocketAddr>,
        /// Where its control port is.
        control: SocketAddr,
        /// The tip that it has taken in.
        height: u32,
        /// All its records.
        records: BTreeMap<RecordKey, Vec<u8>>,
    },
    /// It handled one event; what it saved is durable, what it did follows.
    Turn(TurnTrace),
    /// What the chain said to transactions that it was handed; without a word it took them.
    Verdicts(Vec<(Txid, Option<String>)>),
    /// The order of this number is carried out.
    Obeyed(u64),
}

/// One event, and what came of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TurnTrace {
    /// What came in.
    pub seen: Seen,
    /// Records that are durable now; without bytes they are gone.
    pub saved: BTreeMap<RecordKey, Option<Vec<u8>>>,
    /// What the node does, in order.
    pub did: Vec<Did>,
    /// A turn to sign what waits follows.
    pub wakes: bool,
}

/// What came in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // the names of `leyden_core::node::Event`
pub enum Seen {
    Connected {
        peer: NodeId,
    },
    Disconnected {
        peer: NodeId,
    },
    Message {
        peer: NodeId,
        bytes: Vec<u8>,
    },
    Block {
        height: u32,
        hash: BlockHash,
    },
    BlockGone {
        height: u32,
    },
    Unconfirmed(Txid),
    /// A command to close a channel, together or alone.
    Close {
        channel: ChannelId,
    },
    /// Any other command.
    Command,
    Silent,
    Wake,
    TowerReady,
    Guarded {
        locator: Locator,
        part: u16,
    },
}

/// What the node does.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[allow(missing_docs)] // the names of `leyden_core::node::Action`
pub enum Did {
    Send {
        peer: NodeId,
        bytes: Vec<u8>,
    },
    Disconnect {
        peer: NodeId,
    },
    Broadcast {
        role: Role,
        channel: ChannelId,
        tx: Transaction,
    },
    BroadcastPackage {
        channel: ChannelId,
        transactions: Vec<Transaction>,
    },
    /// A box for the tower.
    Guard {
        locator: Locator,
        part: u16,
    },
    Reply,
    Notice(Notice),
}

impl Seen {
    /// What an event is.
    pub fn of(event: &Event) -> Self {
        match event {
            Event::Connected { peer } => Seen::Connected { peer: *peer },
            Event::Disconnected { peer } => Seen::Disconnected { peer: *peer },
            Event::Message { peer, bytes } => Seen::Message { peer: *peer, bytes: bytes.clone() },
            Event::BlockConnected(block) => Seen::Block { height: block.height.get(), hash: block.hash },
            Event::Unconfirmed(tx) => Seen::Unconfirmed(tx.compute_txid()),
            Event::BlockDisconnected { height } => Seen::BlockGone { height: height.get() },
            Event::Silent { .. } => Seen::Silent,
            Event::Wake(_) => Seen::Wake,
            Event::TowerReady { .. } => Seen::TowerReady,
            Event::Guarded { locator, part } => Seen::Guarded { locator: *locator, part: *part },
            Event::Command {
                command: Command::Close { channel, .. } | Command::ForceClose { channel },
                ..
            } => Seen::Close { channel: *channel },
            Event::Command { .. } => Seen::Command,
        }
    }
}

impl Did {
    fn of(action: &Action) -> Self {
        match action {
            Action::Send { peer, bytes } => Did::Send { peer: *peer, bytes: bytes.clone() },
            Action::Disconnect { peer } => Did::Disconnect { peer: *peer },
            Action::Broadcast { role, channel, tx } => {
                Did::Broadcast { role: *role, channel: *channel, tx: tx.clone() }
            }
            Action::BroadcastPackage { channel, transactions } => {
                Did::BroadcastPackage { channel: *channel, transactions: transactions.clone() }
            }
            Action::Guard { justice } => Did::Guard { locator: justice.locator, part: justice.part },
            Action::Reply { .. } => Did::Reply,
            Action::Notice(notice) => Did::Notice(notice.clone()),
        }
    }
}

impl TurnTrace {
    /// What came of an event.
    pub fn of(seen: Seen, turn: &Turn) -> Self {
        let Turn { save: Batch { records }, actions, wake } = turn;
        Self {
            seen,
            saved: records.clone(),
            did: actions.iter().map(Did::of).collect(),
            wakes: wake.is_some(),
        }
    }
}

/// The socket failed.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// No harness there.
    #[error("no harness answers at the lab socket: {0}")]
    Io(#[from] io::Error),
    /// A frame that is none.
    #[error("the lab socket carries nonsense: {0}")]
    Nonsense(#[from] postcard::Error),
    /// Too long.
    #[error("a frame of {0} bytes on the lab socket")]
    TooLong(usize),
}

/// Frames over a stream, in both directions.
pub struct Wire;

impl Wire {
    /// Writes one frame.
    pub fn write<T: Serialize>(stream: &mut impl Write, value: &T) -> Result<(), TraceError> {
        let body = postcard::to_stdvec(value)?;
        let length = u32::try_from(body.len()).map_err(|_| TraceError::TooLong(body.len()))?;
        let mut frame = length.to_be_bytes().to_vec();
        frame.extend(body);
        stream.write_all(&frame)?;
        Ok(())
    }

    /// Reads one frame; none at the end of the stream.
    pub fn read<T: DeserializeOwned>(stream: &mut impl Read) -> Result<Option<T>, TraceError> {
        let mut length = [0; 4];
        match stream.read_exact(&mut length) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let length = u32::from_be_bytes(length) as usize;
        if length > MOST {
            return Err(TraceError::TooLong(length));
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        Ok(Some(postcard::from_bytes(&body)?))
    }
}
