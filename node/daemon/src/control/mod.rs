//! The control port: how an owner talks to a running node. JSON-RPC 2.0 over HTTP on loopback, one cookie, events as a
//! stream of lines. It knows the node by [`Backend`] alone, keeps nothing on disk but its cookie and its address, and
//! decides nothing: what may be done is the core's to say.
//!
//! ```text
//!   POST /            one call or a batch ─► Call ─► Backend ─► result or error
//!   GET /events?from=N        history of notices ─► one line each, `lagged` where some are gone
//! ```
//! Whoever can read the cookie file owns the node's money: the file is 0600, and nothing listens beyond loopback.

// A client alone writes calls and reads answers; the server does the reverse too.
#![cfg_attr(not(feature = "daemon"), allow(dead_code))]

#[cfg(feature = "daemon")]
mod answers;
#[cfg(feature = "daemon")]
mod backend;
mod call;
pub mod client;
mod cookie;
#[cfg(feature = "daemon")]
mod cookie_files;
#[cfg(feature = "daemon")]
mod dispatch;
#[cfg(feature = "daemon")]
mod history;
#[cfg(feature = "daemon")]
mod http;
pub(crate) mod json;
#[cfg(feature = "daemon")]
mod methods;
mod rpc;
#[cfg(feature = "daemon")]
mod server;
mod shapes;
mod stream;

#[cfg(feature = "daemon")]
pub use backend::{Backend, BoxFuture};
pub use call::Call;
pub use cookie::{authorization, ADDRESS_FILE, COOKIE_FILE};
#[cfg(feature = "daemon")]
pub use methods::{help, markdown, Method, Parameter, METHODS};
pub use rpc::{
    RpcError, BATCH_MAX, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, NOT_CONNECTED, PARSE_ERROR,
    REFUSED,
};
#[cfg(feature = "daemon")]
pub use server::{ControlError, Limits, Options, Server};
pub use shapes::DecodedInvoice;
pub use stream::StreamItem;

use leyden_core::ids::NodeId;
use leyden_core::units::{BlockHeight, FeeratePerKw};

/// What a node is and where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Info {
    /// Its public key.
    pub node_id: NodeId,
    /// Its name for people.
    pub alias: String,
    /// The chain it is on.
    pub network: bitcoin::Network,
    /// The newest block that it has processed.
    pub height: BlockHeight,
    /// That block's hash.
    pub block_hash: bitcoin::BlockHash,
    /// Whether that is the tip of its source of blocks.
    pub synced: bool,
    /// What keeps it from following its source of blocks, in words; none while it follows.
    pub waits_for: Option<String>,
    /// The feerate that it works with now. `openchannel` takes it where none is given.
    pub feerate: FeeratePerKw,
    /// Peers, connected or being dialled.
    pub peers: Vec<PeerInfo>,
    /// Where it accepts connections of peers, `host:port`.
    pub listening: Vec<String>,
    /// How often it has made something durable since it started; each time is one fsync.
    pub commits: u64,
    /// Of a tower the boxes that it keeps, of a node those that not all of its towers have.
    pub boxes: usize,
    /// The program's version.
    pub version: String,
}

/// One peer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerInfo {
    /// Its public key.
    pub node_id: NodeId,
    /// The address of the connection, or the one being dialled; none when it is not known.
    pub address: Option<String>,
    /// Whether the peer dialled us.
    pub inbound: bool,
    /// Whether `init` went both ways: only then are commands about this peer of use.
    pub ready: bool,
}
