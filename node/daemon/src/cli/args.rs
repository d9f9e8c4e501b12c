//! The verbs, as they are typed. Each is one method of the control port; what they say of themselves is `--help`.

use super::units;
use crate::control::Call;
use leyden_core::ids::{ChannelId, NodeId, ShortChannelId};
use leyden_core::node::{ForwardPolicy, KnownChannel};
use leyden_core::tx::ChannelType;
use leyden_core::units::{BlockHeight, FeeratePerKw, Msat, Sat};

/// What a person can ask of a node.
#[derive(clap::Subcommand, Clone, Debug)]
#[command(rename_all = "lower")]
#[allow(missing_docs)] // their help texts are doc comments; the rest speaks for itself
pub enum Verb {
    /// What the node is and where it stands
    GetInfo,
    /// A fresh address of the wallet
    NewAddress,
    /// Connect to a peer, and stay connected
    #[command(after_help = "Example: connect 0279be…1798@127.0.0.1:9735")]
    Connect {
        /// The peer's node id, an @, and host:port
        #[arg(value_name = "ID@HOST:PORT", value_parser = units::peer_address)]
        peer: (NodeId, String),
    },
    /// Drop the connection to a peer
    Disconnect {
        /// The peer's node id
        #[arg(value_name = "ID", value_parser = units::node_id)]
        peer: NodeId,
    },
    /// The peers
    ListPeers,
    /// Open a channel with a connected peer
    #[command(after_help = "Example: openchannel 0279be…1798 0.01btc --feerate 2 --wait")]
    OpenChannel {
        /// The peer's node id
        #[arg(value_name = "ID", value_parser = units::node_id)]
        peer: NodeId,
        /// The channel's size, all of it from this node's wallet: 1000000, 0.01btc
        #[arg(value_parser = units::sat)]
        amount: Sat,
        /// Give this much to the peer, for good
        #[arg(long, value_name = "AMOUNT", value_parser = units::msat, default_value = "0")]
        push: Msat,
        /// The commitment format
        #[arg(long = "channel-type", value_name = "TYPE", default_value = "anchors")]
        channel_type: Format,
        /// Feerate of the funding transaction, in sat/vB [default: the node's]
        #[arg(long, value_name = "SAT/VB", value_parser = units::feerate)]
        feerate: Option<FeeratePerKw>,
        /// Feerate of the first commitments, in sat/vB [default: the node's]
        #[arg(long = "commitment-feerate", value_name = "SAT/VB", value_parser = units::feerate)]
        commitment_feerate: Option<FeeratePerKw>,
        /// Let the channel be announced
        #[arg(long)]
        public: bool,
        /// Wait until the chain took the funding, or until the channel can be used, which takes blocks [alone: ready]
        #[arg(long, value_name = "UNTIL", num_args = 0..=1, require_equals = true, default_missing_value = "ready")]
        wait: Option<Opened>,
    },
    /// Close a channel together with the peer
    CloseChannel {
        /// The channel's id
        #[arg(value_name = "CHANNEL", value_parser = units::channel_id)]
        channel: ChannelId,
        /// Feerate of the closing transaction, in sat/vB [default: the node's]
        #[arg(long, value_name = "SAT/VB", value_parser = units::feerate)]
        feerate: Option<FeeratePerKw>,
        /// Wait until the chain took the closing, or until all is settled there, a hundred blocks deep [alone: settled]
        #[arg(long, value_name = "UNTIL", num_args = 0..=1, require_equals = true, default_missing_value = "settled")]
        wait: Option<Closed>,
    },
    /// Close a channel alone, when the peer does not answer
    #[command(
        after_help = "Our money then waits as many blocks as the peer asked for when the channel was opened."
    )]
    ForceCloseChannel {
        /// The channel's id
        #[arg(value_name = "CHANNEL", value_parser = units::channel_id)]
        channel: ChannelId,
        /// Wait until the chain took the commitment, or until all is settled there, a hundred blocks deep [alone: settled]
        #[arg(long, value_name = "UNTIL", num_args = 0..=1, require_equals = true, default_missing_value = "settled")]
        wait: Option<Closed>,
    },
    /// Change the feerate of a channel's commitments (opener only)
    SetChannelFee {
        /// The channel's id
        #[arg(value_name = "CHANNEL", value_parser = units::channel_id)]
        channel: ChannelId,
        /// The feerate, in sat/vB
        #[arg(value_name = "SAT/VB", value_parser = units::feerate)]
        feerate: FeeratePerKw,
    },
    /// Make an invoice
    #[command(after_help = "Example: invoice 100sat --description 'a coffee'")]
    Invoice {
        /// How much; left out, the payer chooses
        #[arg(value_parser = units::msat)]
        amount: Option<Msat>,
        /// What for; the payer sees it
        #[arg(long, value_name = "TEXT", default_value = "")]
        description: String,
        /// Blocks that the last HTLC must leave this node, 21 or more [default: 21]
        #[arg(long = "min-final-cltv-delta", value_name = "BLOCKS")]
        min_final_cltv_delta: Option<u32>,
    },
    /// What an invoice says
    DecodeInvoice {
        /// The invoice (BOLT 11)
        invoice: String,
    },
    /// Pay an invoice, and wait for the outcome
    Pay {
        /// The invoice (BOLT 11)
        invoice: String,
        /// How much, for an invoice without amount
        #[arg(long, value_parser = units::msat)]
        amount: Option<Msat>,
        /// The most to pay in fees [default: 1 % of the amount, at least 5 sat]
        #[arg(long = "max-fee", value_name = "AMOUNT", value_parser = units::msat)]
        max_fee: Option<Msat>,
        /// Only begin it
        #[arg(long = "no-wait")]
        no_wait: bool,
    },
    /// Send one attempt over exactly this route, for tests
    PayRoute {
        /// The parameters as a JSON object: see `help payroute`
        #[arg(value_name = "JSON", value_parser = route)]
        route: Call,
    },
    /// Tell the node of a channel of others
    LearnChannel {
        /// HEIGHTxINDEXxOUTPUT
        #[arg(value_name = "CHANNEL", value_parser = units::short_channel_id)]
        short_channel_id: ShortChannelId,
        /// Who forwards in this direction
        #[arg(value_parser = units::node_id)]
        from: NodeId,
        /// To whom
        #[arg(value_parser = units::node_id)]
        to: NodeId,
        /// The channel's size
        #[arg(value_parser = units::sat)]
        capacity: Sat,
        /// Its policy
        #[command(flatten)]
        policy: Policy,
    },
    /// The channels
    ListChannels,
    /// Payments sent, and invoices that were paid
    ListPayments,
    /// The wallet's coins, and what is ours in channels
    GetBalances,
    /// Watch what happens, one line each
    Events {
        /// Begin with this number; numbers begin with 1 at each start of the node [default: what comes next]
        #[arg(long, value_name = "NUMBER")]
        from: Option<u64>,
        /// End after so many
        #[arg(long, value_name = "NUMBER")]
        count: Option<u64>,
    },
    /// Wait until the node has taken in a block
    WaitBlock {
        /// Its height
        #[arg(value_parser = units::block_height)]
        height: BlockHeight,
    },
    /// Wait until a channel can be used
    WaitChannel {
        /// The channel's id
        #[arg(value_name = "CHANNEL", value_parser = units::channel_id)]
        channel: ChannelId,
    },
    /// Wait until the node's watchtowers have what punishes each state that a peer has revoked
    WaitGuarded,
    /// How many transactions of a channel the chain has taken since the node started
    Published {
        /// The channel's id
        #[arg(value_name = "CHANNEL", value_parser = units::channel_id)]
        channel: ChannelId,
        /// Wait until it is more than this
        #[arg(long = "more-than", value_name = "NUMBER")]
        more_than: Option<u64>,
    },
    /// Stop the node, and wait until it has said goodbye
    Stop {
        /// Only ask it to
        #[arg(long = "no-wait")]
        no_wait: bool,
    },
    /// The methods of the control port, or all about one of them
    Help {
        /// Which
        method: Option<String>,
        /// All of it, as a page
        #[arg(long)]
        markdown: bool,
    },
}

/// How far an opening is waited for.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opened {
    /// The chain's source took the funding transaction: it can be mined
    Published,
    /// The channel can be used
    Ready,
}

/// How far a close is waited for.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Closed {
    /// The chain's source took what closes the channel: it can be mined
    Published,
    /// Nothing is left to happen
    Settled,
}

/// The commitment formats, by short names.
#[derive(clap::ValueEnum, Clone, Copy, Debug)]
pub enum Format {
    /// `option_anchors`, HTLC transactions without fee
    Anchors,
    /// `option_static_remotekey`
    StaticRemotekey,
}

impl From<Format> for ChannelType {
    fn from(format: Format) -> Self {
        match format {
            Format::Anchors => Self::AnchorsZeroFeeHtlc,
            Format::StaticRemotekey => Self::StaticRemotekey,
        }
    }
}

/// What a node asks for forwarding over a channel.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct Policy {
    /// Base fee
    #[arg(long, value_name = "AMOUNT", value_parser = units::msat, default_value = "1sat")]
    pub fee_base: Msat,
    /// Proportional fee, in millionths
    #[arg(long, value_name = "PPM", default_value_t = 100)]
    pub fee_ppm: u32,
    /// Blocks between the two expiries
    #[arg(long, value_name = "BLOCKS", default_value_t = 40)]
    pub cltv_delta: u32,
    /// The smallest HTLC
    #[arg(long, value_name = "AMOUNT", value_parser = units::msat, default_value = "1msat")]
    pub htlc_min: Msat,
    /// The largest HTLC
    #[arg(long, value_name = "AMOUNT", value_parser = units::msat, default_value = "21000000btc")]
    pub htlc_max: Msat,
}

impl From<Policy> for ForwardPolicy {
    fn from(policy: Policy) -> Self {
        Self {
            fee_base: policy.fee_base,
            fee_proportional_millionths: policy.fee_ppm,
            cltv_expiry_delta: policy.cltv_delta,
            htlc_minimum: policy.htlc_min,
            htlc_maximum: policy.htlc_max,
        }
    }
}

/// The parameters of `payroute`, already as its call.
fn route(text: &str) -> Result<Call, String> {
    let parameters = serde_json::from_str(text).map_err(|error| format!("{}: {error}", units::Typo::Json))?;
    Call::named("payroute", parameters).map_err(|error| error.message)
}

impl Verb {
    /// The call that it stands for.
    pub(super) fn call(self) -> Call {
        match self {
            Self::GetInfo => Call::GetInfo {},
            Self::NewAddress => Call::NewAddress {},
            Self::Connect { peer: (peer, address) } => Call::Connect { peer, address },
            Self::Disconnect { peer } => Call::Disconnect { peer },
            Self::ListPeers => Call::ListPeers {},
            Self::OpenChannel {
                peer,
                amount,
                push,
                channel_type,
                feerate,
                commitment_feerate,
                public,
                wait: _,
            } => Call::OpenChannel {
                peer,
                funding_amount: amount,
                push,
                channel_type: channel_type.into(),
                commitment_feerate,
                funding_feerate: feerate,
                public,
            },
            Self::CloseChannel { channel, feerate, wait: _ } => Call::CloseChannel { channel, feerate },
            Self::ForceCloseChannel { channel, wait: _ } => Call::ForceCloseChannel { channel },
            Self::SetChannelFee { channel, feerate } => Call::SetChannelFee { channel, feerate },
            Self::Invoice { amount, description, min_final_cltv_delta } => {
                Call::Invoice { amount, description, min_final_cltv_delta }
            }
            Self::DecodeInvoice { invoice } => Call::DecodeInvoice { invoice },
            Self::Pay { invoice, amount, max_fee, no_wait: _ } => Call::Pay { invoice, amount, max_fee },
            Self::PayRoute { route } => route,
            Self::LearnChannel { short_channel_id, from, to, capacity, policy } => {
                let policy = policy.into();
                Call::LearnChannel { known: KnownChannel { short_channel_id, from, to, capacity, policy } }
            }
            Self::ListChannels => Call::ListChannels {},
            Self::ListPayments => Call::ListPayments {},
            Self::GetBalances => Call::GetBalances {},
            Self::Events { from, count: _ } => Call::Events { from, limit: u32::MAX },
            Self::WaitBlock { height } => Call::WaitBlock { height },
            Self::WaitChannel { channel: _ } => Call::ListChannels {},
            Self::WaitGuarded => Call::WaitGuarded {},
            Self::Published { channel, more_than } => Call::Published { channel, more_than },
            Self::Stop { no_wait: _ } => Call::Stop {},
            Self::Help { method, markdown: _ } => Call::Help { method },
        }
    }
}
