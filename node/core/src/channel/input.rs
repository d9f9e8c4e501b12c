//! What can come in and what can go out. A closed list each; every phase matches every input by name.
use crate::ids::{ChannelId, NodeId, PaymentHash, Preimage, ShortChannelId};
use crate::tx::{ChannelType, Commitment, HtlcTerms};
use crate::units::{BlockHeight, CltvExpiry, CommitmentNumber, FeeratePerKw, Msat, Sat, Timestamp};
use crate::wire::{Message, OnionBytes};
use bitcoin::{OutPoint, ScriptBuf, Transaction};
use secp256k1::SecretKey;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What the world is like now. Constant during one step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Env {
    /// Now.
    pub now: Timestamp,
    /// The tip that this node has processed.
    pub height: BlockHeight,
    /// What a transaction must pay to be mined soon.
    pub feerate: FeeratePerKw,
    /// The bug planted in this node.
    #[cfg(feature = "lab")]
    pub(crate) mutant: Option<super::Mutant>,
}

impl Env {
    /// The world of a sound node.
    pub const fn new(now: Timestamp, height: BlockHeight, feerate: FeeratePerKw) -> Self {
        Self {
            now,
            height,
            feerate,
            #[cfg(feature = "lab")]
            mutant: None,
        }
    }
}

/// A transaction of a block, with its place in it (for the short channel id).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Confirmed {
    /// The transaction.
    pub tx: Arc<Transaction>,
    /// Its index in the block.
    pub index: u32,
}

/// What a channel can be told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// A channel message from the peer, decoded, for this channel.
    Message(Message),
    /// Something this node wants.
    Command(Command),
    /// A block was connected: its height and those of its transactions that this channel watches.
    BlockConnected {
        /// The block's height.
        height: BlockHeight,
        /// Transactions that touch `Channel::watches()`.
        transactions: Vec<Confirmed>,
    },
    /// A transaction entered the mempool whose witnesses hold the preimage of one of this channel's HTLCs.
    Unconfirmed(Arc<Transaction>),
    /// The block at this height was taken out of the chain; the tip is now one below.
    BlockDisconnected {
        /// The height that is gone.
        height: BlockHeight,
    },
    /// The link to the peer is gone.
    Disconnected,
    /// The link to the peer is there (again).
    Connected,
}

/// What this node can want of its channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// The wallet's answer to [`Effect::FundingNeeded`]: the signed transaction and its funding output.
    Funded {
        /// Complete and signed; broadcast only after `funding_signed`.
        tx: Transaction,
        /// Index of the funding output.
        vout: u32,
    },
    /// Offer an HTLC.
    Add(Offer),
    /// Settle a received HTLC.
    Fulfill {
        /// Its id.
        id: u64,
        /// R.
        preimage: Preimage,
    },
    /// Refuse a received HTLC.
    Fail {
        /// Its id.
        id: u64,
        /// Encrypted for the origin (BOLT 4).
        reason: Vec<u8>,
    },
    /// Refuse a received HTLC whose onion cannot be read.
    FailMalformed {
        /// Its id.
        id: u64,
        /// Hash of the onion as received.
        sha256_of_onion: [u8; 32],
        /// With the BADONION bit.
        failure_code: u16,
    },
    /// Opener only: change the commitments' feerate.
    UpdateFee(FeeratePerKw),
    /// Sign the peer's next commitment if there is anything new and the last one was revoked. Sent when the queue drained.
    Commit,
    /// Close together.
    Close {
        /// Where this side's balance goes; the channel's own destination when absent.
        script: Option<ScriptBuf>,
        /// The feerate to propose; `Env::feerate` when absent.
        feerate: Option<FeeratePerKw>,
    },
    /// Close alone: broadcast the newest commitment.
    ForceClose,
    /// The wallet's answer to [`Effect::FeeInputsNeeded`].
    FeeInputs {
        /// Which claim asked.
        claim: u32,
        /// The transaction with the wallet's inputs, signed, and its change behind what was there.
        tx: Transaction,
    },
}

/// An HTLC to offer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offer {
    /// Its amount.
    pub amount: Msat,
    /// H(R).
    pub payment_hash: PaymentHash,
    /// Its absolute expiry.
    pub cltv_expiry: CltvExpiry,
    /// The expiry of the HTLC that it is forwarded for: what must be known on the chain before then.
    pub incoming_expiry: Option<CltvExpiry>,
    /// The onion for the peer.
    pub onion: OnionBytes,
    /// What it was offered for; given back with its outcome.
    pub origin: Origin,
}

/// Why an HTLC was offered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Origin {
    /// One attempt of a payment of our own.
    Own {
        /// The attempt's number, given by the node.
        attempt: u64,
    },
    /// Forwarded for an HTLC that another channel received.
    Forward {
        /// The incoming channel.
        channel: ChannelId,
        /// The incoming HTLC's id.
        id: u64,
    },
}

/// An HTLC that both commitments hold for good: forward it, settle it, or refuse it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Received {
    /// Its id.
    pub id: u64,
    /// Its amount.
    pub amount: Msat,
    /// H(R).
    pub payment_hash: PaymentHash,
    /// Its absolute expiry.
    pub cltv_expiry: CltvExpiry,
    /// The onion as received.
    pub onion: OnionBytes,
    /// Whether a `path_key` came beside it.
    pub in_blinded_route: bool,
}

/// How the peer refused an HTLC.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Refusal {
    /// `update_fail_htlc`: encrypted for the origin.
    Encrypted(Vec<u8>),
    /// `update_fail_malformed_htlc`.
    Malformed {
        /// Hash of the onion that the peer saw.
        sha256_of_onion: [u8; 32],
        /// The BADONION code.
        failure_code: u16,
    },
    /// Never reached the peer: the link broke before it was committed, or the channel closed.
    NotCommitted,
    /// The channel went to the chain, and there the HTLC ended without R.
    OnChain,
}

/// A transaction's role in the seed's words (DESIGN's table); the harness adds number and holder.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Role {
    /// F
    Funding,
    /// C: a commitment, ours.
    Commitment,
    /// RD: the delayed sweep of our `to_local`.
    SweepToLocal,
    /// D: our `to_remote` on the peer's commitment.
    SweepToRemote,
    /// X
    Closing,
    /// HT: our HTLC-timeout transactions.
    HtlcTimeout,
    /// HE: our HTLC-success transactions.
    HtlcSuccess,
    /// HTRD, HERD: the delayed sweep of those.
    SweepSecondStage,
    /// HTD: our offered HTLCs directly from the peer's commitment, after their expiry.
    ClaimTimeout,
    /// HED: the peer's HTLCs directly from its commitment, with R.
    ClaimSuccess,
    /// BR, HBR, HTBR, HEBR: what the peer had in a revoked state.
    Penalty,
    /// The child that spends our anchor and pays for our commitment.
    Anchor,
}

/// What a step asks the node to do, in this order, after the step is saved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Send to the peer.
    Send(Message),
    /// Fund this output from the wallet and answer with [`Command::Funded`]; must not be broadcast by the wallet.
    FundingNeeded {
        /// The 2-of-2's script.
        script: ScriptBuf,
        /// Its amount.
        amount: Sat,
        /// Feerate of the funding transaction.
        feerate: FeeratePerKw,
    },
    /// Hand to the chain, again at every start until it is resolved.
    Broadcast {
        /// What it is.
        role: Role,
        /// Complete.
        tx: Transaction,
    },
    /// Hand these to the chain together; the last pays for those before it.
    BroadcastPackage {
        /// Parents first; each complete.
        transactions: Vec<Transaction>,
    },
    /// A transaction needs coins of the wallet to pay its fee; answer with [`Command::FeeInputs`]. Without an answer it is asked
    /// for again at the next block.
    FeeInputsNeeded(FeeInputs),
    /// The peer revoked a state that had HTLC outputs: to be kept as long as the channel is.
    Revoked {
        /// The state's number.
        number: CommitmentNumber,
        /// Its HTLCs, as the peer's commitment lists them.
        htlcs: Arc<[HtlcTerms]>,
    },
    /// The peer gave up this commitment of its own: whoever has the secret can punish it.
    GivenUp {
        /// The commitment.
        commitment: Arc<Commitment>,
        /// Its per-commitment secret.
        secret: SecretKey,
    },
    /// Updates are waiting to be signed: call [`Command::Commit`] once the queue drained.
    CommitDue,
    /// The channel got its lasting id (funding known); the node files it under this name.
    Named {
        /// The new id.
        channel_id: ChannelId,
    },
    /// Both sides sent `channel_ready`: payments may start.
    Ready {
        /// Its place on the chain.
        short_channel_id: ShortChannelId,
    },
    /// A received HTLC is irrevocably committed.
    Received(Received),
    /// A received HTLC that we settled is irrevocably removed: its amount is ours.
    Settled {
        /// Its id.
        id: u64,
    },
    /// An HTLC that we offered was settled: true at once, not only when committed.
    Fulfilled {
        /// What it was offered for.
        origin: Origin,
        /// R.
        preimage: Preimage,
    },
    /// An HTLC that we offered is irrevocably removed without R.
    Failed {
        /// What it was offered for.
        origin: Origin,
        /// How it was refused.
        refusal: Refusal,
    },
    /// Disconnect from the peer, after what was sent before.
    Disconnect,
    /// The channel left normal operation for the chain, with the transaction that spends the funding.
    Closing {
        /// Why, for people.
        why: String,
    },
    /// Every output is irrevocably resolved (100 deep): the channel may be forgotten.
    Resolved,
    /// The channel never came to be: forget it.
    Abandoned {
        /// Why, for people.
        why: String,
        /// Whether the peer was told where our money would go.
        told_destination: bool,
    },
}

/// What a transaction that cannot pay for itself needs of the wallet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FeeInputs {
    /// The claim that needs it.
    pub claim: u32,
    /// Unsigned; inputs and outputs go behind those that are there.
    pub tx: Transaction,
    /// What is to be paid for, in weight units: `tx` with all its witnesses, and an unconfirmed parent if it has one.
    pub weight: u64,
    /// What is paid already, by that parent or by `tx` itself.
    pub paid: Sat,
    /// The feerate that all of it must reach.
    pub feerate: FeeratePerKw,
    /// The most that the coins may pay.
    pub budget: Sat,
    /// Where the change goes.
    pub change: ScriptBuf,
    /// Coins that an earlier version of it spends, which are to be used again first.
    pub coins: Vec<OutPoint>,
}

/// What this node asks when it opens a channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenRequest {
    /// The peer.
    pub peer: NodeId,
    /// The funding output's value.
    pub funding_amount: Sat,
    /// Given to the peer from the start.
    pub push: Msat,
    /// The commitment format.
    pub channel_type: ChannelType,
    /// Feerate of the first commitments.
    pub commitment_feerate: FeeratePerKw,
    /// Feerate of the funding transaction.
    pub funding_feerate: FeeratePerKw,
    /// Whether the channel may be announced.
    pub public: bool,
}

/// What this node insists on in its channels. The defaults are those of BOLT 2 and the field.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ChannelConfig {
    /// Our dust limit. Default 354 sat (BOLT 3, "Dust Limits").
    pub dust_limit: Sat,
    /// The delay we impose on the peer's own outputs, in blocks. Default 144; the seed's figures use 1000.
    pub to_self_delay: u16,
    /// The largest delay we accept, in blocks. Default 2016.
    pub max_to_self_delay: u16,
    /// The smallest HTLC we accept. Default 1 msat.
    pub htlc_minimum: Msat,
    /// The most HTLCs the peer may have open towards us. Default 483, the largest allowed.
    pub max_accepted_htlcs: u16,
    /// The most the peer may have in flight towards us, in percent of the funding. Default 100.
    pub max_in_flight_percent: u8,
    /// The reserve we ask of the peer, in parts per million of the funding. Default 10,000 (1 %), never below either dust limit.
    pub reserve_ppm: u32,
    /// Confirmations before we use a channel that the peer opened. Default 3.
    pub minimum_depth: u32,
    /// The smallest channel we accept. Default 10,000 sat.
    pub min_funding: Sat,
    /// The largest channel we open or accept. Default 1,000,000,000 sat (10 bitcoin). The node lowers it to 2^24 - 1 sat towards
    /// a peer without `option_support_large_channel` (BOLT 2).
    pub max_funding: Sat,
    /// The most the sum of dust HTLCs may burn. Default 5,000,000 msat.
    pub max_dust_htlc_exposure: Msat,
    /// The most that a claim on the chain may cost, in percent of what it takes. Default 50. A penalty may cost all of it.
    pub claim_budget_percent: u8,
    /// Blocks after which an acceptor forgets a channel whose funding never confirmed. Default 2016 (BOLT 2).
    pub forget_unconfirmed_after: u32,
}

/// An output or script whose appearance or spending on the chain concerns a channel.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Watch {
    /// Tell when a transaction pays this script.
    Script(ScriptBuf),
    /// Tell when this output is spent.
    Spend(OutPoint),
    /// Tell when this transaction confirms.
    Confirmation(bitcoin::Txid),
}
