//! What comes into a node and what goes out of it.
use crate::channel::{ChannelConfig, Confirmed, OpenRequest, Role};
use crate::ids::{ChannelId, NodeId, PaymentHash, Preimage, ShortChannelId};
use crate::tower::{Justice, Locator};
use crate::units::{BlockHeight, CommitmentNumber, FeeratePerKw, Msat, Sat, Timestamp};
use bitcoin::{BlockHash, ScriptBuf, Transaction};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

pub use crate::payment::{
    ForwardPolicy, KnownChannel, PaymentFailure, PaymentOutcome, RouteHop, RoutePayment,
};

/// Something that happened to the node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A connection to this peer stands (BOLT 8 is done, or the world vouches for it). `init` follows.
    Connected {
        /// Who.
        peer: NodeId,
    },
    /// The connection is gone.
    Disconnected {
        /// Who.
        peer: NodeId,
    },
    /// One message's bytes.
    Message {
        /// From whom.
        peer: NodeId,
        /// Type first (BOLT 1).
        bytes: Vec<u8>,
    },
    /// Nothing came from this peer for as long as the driver waits before it says so; said again after each such time.
    Silent {
        /// From whom.
        peer: NodeId,
    },
    /// The chain grew by this block.
    BlockConnected(Arc<NewBlock>),
    /// A transaction entered the mempool.
    Unconfirmed(Arc<Transaction>),
    /// The tip was taken out of the chain.
    BlockDisconnected {
        /// Its height.
        height: BlockHeight,
    },
    /// A connection to the tower stands: what it has not acknowledged comes as [`Action::Guard`] again.
    TowerReady {
        /// The first box of those, in order of locators and parts; none: all.
        from: Option<(Locator, u16)>,
    },
    /// The tower has a box on its disk (`justice_ack`).
    Guarded {
        /// Its locator.
        locator: Locator,
        /// Its part.
        part: u16,
    },
    /// The time that the node asked to be woken at has come.
    Wake(Why),
    /// The owner wants something; the answer comes as [`Action::Reply`] under the same number.
    Command {
        /// Chosen by the caller.
        call: u64,
        /// What.
        command: Command,
    },
}

/// A block as nodes get it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewBlock {
    /// Its height.
    pub height: BlockHeight,
    /// Its hash.
    pub hash: BlockHash,
    /// The block itself.
    pub block: bitcoin::Block,
}

/// Why a node asked to be woken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Why {
    /// The queue drained: sign what is waiting.
    Commit,
    /// An incomplete multi-part payment or an attempt ran out of time.
    Payments,
}

/// What the owner can ask for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// A fresh wallet address.
    NewAddress,
    /// Open a channel with a connected peer.
    Open(OpenRequest),
    /// Close a channel together.
    Close {
        /// Which.
        channel: ChannelId,
        /// Feerate of the closing transaction; the environment's when absent.
        feerate: Option<FeeratePerKw>,
    },
    /// Close a channel alone.
    ForceClose {
        /// Which.
        channel: ChannelId,
    },
    /// Change a channel's feerate (opener only).
    UpdateFee {
        /// Which.
        channel: ChannelId,
        /// To what.
        feerate: FeeratePerKw,
    },
    /// Make an invoice.
    Invoice {
        /// The amount; any when absent.
        amount: Option<Msat>,
        /// Its description.
        description: String,
        /// Final CLTV delta; 18 when absent (BOLT 11 `c`).
        min_final_cltv_delta: Option<u32>,
    },
    /// Pay an invoice.
    Pay {
        /// BOLT 11 text.
        invoice: String,
        /// The amount, for an invoice without one.
        amount: Option<Msat>,
        /// The most to pay in fees.
        max_fee: Msat,
    },
    /// Send one attempt over exactly this route, whatever policy says. For tests of how others react, and for keysend-like uses.
    PayRoute(RoutePayment),
    /// Tell the node of a channel of others, for its routes. Gossip will do this later.
    LearnChannel(KnownChannel),
    /// Its channels.
    ListChannels,
    /// Its payments.
    ListPayments,
    /// Wallet and channel balances.
    Balances,
}

/// How a node behaves.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NodeConfig {
    /// What it asks of its channels.
    pub channel: ChannelConfig,
    /// What it asks for forwarding. Defaults: 1000 msat base, 100 ppm, 40 blocks (34 is the least BOLT 2 recommends).
    pub forward: ForwardPolicy,
    /// How many routes a payment tries.
    pub max_attempts: u32,
    /// The most channels a peer may have opening at once.
    pub max_pending_opens: usize,
    /// The longest a payment may lock money, in blocks. Default 2016.
    pub max_cltv_total: u32,
    /// Satoshis that the wallet keeps for each channel with anchors, to pay for closing it alone. Default 10,000.
    pub anchor_reserve: Sat,
    /// How long its invoices can be paid, in seconds (BOLT 11 `x`). Default 3600, the BOLT's own.
    pub invoice_expiry_seconds: u64,
    /// Whether a tower gets what punishes the states that peers give up, from now on. Default no.
    pub tower: bool,
}

impl Default for NodeConfig {
    /// The documented defaults, six attempts at a payment, four channels opening at once.
    fn default() -> Self {
        Self {
            channel: ChannelConfig::default(),
            forward: ForwardPolicy::default(),
            max_attempts: 6,
            max_pending_opens: 4,
            max_cltv_total: 2016,
            anchor_reserve: Sat::new(10_000),
            invoice_expiry_seconds: 3600,
            tower: false,
        }
    }
}

/// What a turn asks the driver to do, after `save` is durable, in this order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Send these bytes to the peer.
    Send {
        /// To whom.
        peer: NodeId,
        /// Type first.
        bytes: Vec<u8>,
    },
    /// Drop the connection.
    Disconnect {
        /// With whom.
        peer: NodeId,
    },
    /// Hand to the chain's mempool.
    Broadcast {
        /// What it is.
        role: Role,
        /// Which channel it belongs to.
        channel: ChannelId,
        /// Complete.
        tx: Transaction,
    },
    /// Hand these to the chain's mempool together: the last pays for those before it, which may be there already.
    BroadcastPackage {
        /// Which channel they belong to.
        channel: ChannelId,
        /// Parents first; each complete.
        transactions: Vec<Transaction>,
    },
    /// Hand to the tower, if there is a connection to it; answer with [`Event::Guarded`] once it has it. What is lost on the way
    /// comes again after [`Event::TowerReady`].
    Guard {
        /// A box.
        justice: Justice,
    },
    /// The answer to a command.
    Reply {
        /// The caller's number.
        call: u64,
        /// What came of it; the error says what to do.
        result: Result<Reply, CommandError>,
    },
    /// Something the owner may want to know.
    Notice(Notice),
}

/// A command was refused; nothing changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct CommandError(pub String);

/// Answers to commands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// Done, or begun; notices tell the rest.
    Done,
    /// A fresh address's script.
    Address(ScriptBuf),
    /// The channel that is being opened.
    Opening {
        /// Its temporary id.
        temporary: ChannelId,
    },
    /// A new invoice.
    Invoice {
        /// BOLT 11 text.
        text: String,
        /// Its hash.
        payment_hash: PaymentHash,
    },
    /// The payment that began, or its number.
    Paying {
        /// Its hash.
        payment_hash: PaymentHash,
    },
    /// The channels.
    Channels(Vec<ChannelInfo>),
    /// The payments.
    Payments(Vec<PaymentInfo>),
    /// The balances.
    Balances(BalanceInfo),
}

/// A channel, for its owner.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct ChannelInfo {
    pub channel_id: ChannelId,
    pub peer: NodeId,
    pub phase: String,
    /// Whether HTLCs may be offered now: not while the peer is away, nor before `channel_reestablish` went both ways.
    pub usable: bool,
    pub short_channel_id: Option<ShortChannelId>,
    pub terms: Option<crate::tx::ChannelTerms>,
    pub to_local: Msat,
    pub to_remote: Msat,
    pub pending_htlcs: usize,
    pub local_commitment: u64,
    pub remote_commitment: u64,
    pub feerate: FeeratePerKw,
}

/// A payment, for its owner.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct PaymentInfo {
    pub payment_hash: PaymentHash,
    pub amount: Msat,
    pub fee: Msat,
    pub outcome: Option<PaymentOutcome>,
    pub attempts: u32,
    pub incoming: bool,
}

/// Wallet and channel money.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct BalanceInfo {
    pub wallet: Sat,
    pub channels: Msat,
    pub closing: Msat,
}

/// Something the owner may want to know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Notice {
    PeerReady {
        peer: NodeId,
    },
    ChannelNamed {
        temporary: ChannelId,
        channel: ChannelId,
    },
    ChannelReady {
        channel: ChannelId,
        short_channel_id: ShortChannelId,
    },
    ChannelClosing {
        channel: ChannelId,
        why: String,
    },
    ChannelResolved {
        channel: ChannelId,
    },
    ChannelAbandoned {
        channel: ChannelId,
        why: String,
    },
    PaymentSent {
        payment_hash: PaymentHash,
        preimage: Preimage,
        amount: Msat,
        fee: Msat,
    },
    PaymentFailed {
        payment_hash: PaymentHash,
        failure: PaymentFailure,
    },
    PaymentReceived {
        payment_hash: PaymentHash,
        amount: Msat,
    },
    Forwarded {
        payment_hash: PaymentHash,
        fee: Msat,
    },
    /// The peer broke a rule, or sent an error or a warning.
    PeerError {
        peer: NodeId,
        text: String,
    },
}

/// One durable, atomic change: each record replaced or removed, all or none.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Batch {
    /// In order of their keys.
    pub records: std::collections::BTreeMap<RecordKey, Option<Vec<u8>>>,
}

/// What a record is about.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum RecordKey {
    /// The node's counters.
    Node,
    /// One channel, whole.
    Channel(ChannelId),
    /// One outgoing payment.
    Payment(PaymentHash),
    /// One invoice of our own.
    Invoice(PaymentHash),
    /// One HTLC being forwarded, by the channel and the id that it came in with.
    Forward(ChannelId, u64),
    /// The wallet's change set.
    Wallet,
    /// The HTLCs of one state of a channel that the peer revoked.
    Revoked(ChannelId, CommitmentNumber),
    /// A box that the tower has not acknowledged, by its locator and part.
    Unguarded(Locator, u16),
}

/// What one event led to: first save, then act, then sleep until `wake`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Turn {
    /// To be durable before any action runs.
    pub save: Batch,
    /// In order.
    pub actions: Vec<Action>,
    /// When to send [`Event::Wake`], and why; `now` means when the queue drained.
    pub wake: Option<(Timestamp, Why)>,
}

/// Confirmed transactions that concern a channel, picked from a block.
pub type Relevant = Vec<Confirmed>;
