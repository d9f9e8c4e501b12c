//! The control port: how an owner talks to a running node. JSON-RPC 2.0 over HTTP on loopback, one cookie, events as a
//! stream of lines. It knows the node by [`Backend`] alone, keeps nothing on disk but its cookie and its address, and
//! decides nothing: what may be done is the core's to say.
//!
//! ```text
//!   POST /            one call or a batch ─► Call ─► Backend ─► result or error
//!   GET /events?from=N        history of notices ─► one line each, `lagged` where some are gone
//! ```
//! Whoever can read the cookie file owns the node's money: the file is 0600, and nothing listens beyond loopback.

mod call;
pub mod client;
mod cookie;
mod dispatch;
mod history;
mod http;
pub(crate) mod json;
mod methods;
mod rpc;
mod server;
mod shapes;

pub use call::Call;
pub use cookie::{ADDRESS_FILE, COOKIE_FILE};
pub use history::StreamItem;
pub use methods::{help, markdown, Method, Parameter, METHODS};
pub use rpc::{
    RpcError, BATCH_MAX, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, NOT_CONNECTED, PARSE_ERROR,
    REFUSED,
};
pub use server::{ControlError, Limits, Options, Server};
pub use shapes::DecodedInvoice;

use leyden_core::ids::{ChannelId, NodeId};
use leyden_core::node::{Command, CommandError, Notice, Reply};
use leyden_core::units::{BlockHeight, FeeratePerKw};
use std::future::Future;
use std::pin::Pin;
use tokio::sync::broadcast;

/// An answer that is still to come.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What the control port needs of the node.
pub trait Backend: Send + Sync + 'static {
    /// Hands the command to the node. An error when the node refuses, and when it is stopping.
    fn command(&self, command: Command) -> BoxFuture<Result<Reply, CommandError>>;

    /// Dials the peer at `address` (`host:port`), and keeps the connection. Done when BOLT 8 is, and the peer is in [`Info::peers`];
    /// it is `ready` there by the time that its [`Notice::PeerReady`] is told.
    fn connect(&self, peer: NodeId, address: String) -> BoxFuture<Result<(), CommandError>>;

    /// Drops the connection, and dials no more.
    fn disconnect(&self, peer: NodeId) -> BoxFuture<Result<(), CommandError>>;

    /// What the node is and where it stands.
    fn info(&self) -> BoxFuture<Info>;

    /// Done when the node has taken in the block of this height.
    fn at_height(&self, height: BlockHeight) -> BoxFuture<Result<(), CommandError>>;

    /// How many of a channel's transactions the chain's source has taken since the node started; with a number, once it is more.
    fn published(&self, channel: ChannelId, more_than: Option<u64>) -> BoxFuture<u64>;

    /// All notices from now on, numbered from 1 in the order of the node's turns. Numbers begin anew with each process.
    fn notices(&self) -> broadcast::Receiver<(u64, Notice)>;

    /// Begins to stop the node. Returns at once.
    fn stop(&self);
}

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
    /// The feerate that it works with now. `openchannel` takes it where none is given.
    pub feerate: FeeratePerKw,
    /// Peers, connected or being dialled.
    pub peers: Vec<PeerInfo>,
    /// Where it accepts connections of peers, `host:port`.
    pub listening: Vec<String>,
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
