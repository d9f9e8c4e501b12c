//! The node as the control port sees it.
use super::Info;
use leyden_core::ids::{ChannelId, NodeId};
use leyden_core::node::{Command, CommandError, Notice, Reply};
use leyden_core::units::BlockHeight;
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
    fn published(&self, channel: ChannelId, more_than: Option<u64>) -> BoxFuture<Result<u64, CommandError>>;

    /// Done when each of the node's towers has what punishes every state that was revoked by now.
    fn guarded(&self) -> BoxFuture<Result<(), CommandError>>;

    /// All notices from now on, numbered from 1 in the order of the node's turns. Numbers begin anew with each process.
    fn notices(&self) -> broadcast::Receiver<(u64, Notice)>;

    /// Begins to stop the node. Returns at once.
    fn stop(&self);
}
