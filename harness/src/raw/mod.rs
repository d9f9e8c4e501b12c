//! A peer that sends any bytes, and a stock node to send them to: a real `leyden-node` process on a Bitcoin Core of its own, spoken
//! to over TCP and BOLT 8. A [`Counterpart`] has a whole node in it that makes correct messages, of which a test bends one; or the test
//! takes one [`End`] of its channel into its own hands. Nothing here judges what the node does, and nothing of it is used by scenarios.
//!
//! ```text
//!   test ─► Bench ─┬─ Core, miner
//!                  ├─ StockNode (a process) ◄── TCP ──► RawPeer ◄─ bend ─ Counterpart (a Node as a value)
//!                  └─ control client
//! ```

mod bench;
mod counterpart;
mod end;
mod peer;
mod process;
mod socket;

pub use bench::{request, Bench};
pub use counterpart::{Bend, Bent, Counterpart};
pub use end::End;
pub use peer::{RawPeer, Reaction};
pub use process::{StockNode, Usage};
pub use socket::Socket;

use crate::chain::core_process::CoreError;
use crate::chain::ChainError;
use leyden_core::node::CommandError;
use leyden_node::control::client::ClientError;
use std::path::PathBuf;
use std::time::Duration;

/// Whatever is waited for comes within this, or the test fails. Far more than it takes on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The bench broke, or what it waited for did not come. Never a verdict on what a node said.
#[derive(Debug, thiserror::Error)]
pub enum RawError {
    /// No binary.
    #[error("there is no {}: build it with `cargo build -p leyden-node`, or name one in LEYDEN_NODE", .0.display())]
    NoBinary(PathBuf),
    /// The system.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What it said.
        source: std::io::Error,
    },
    /// The node's process ended, or never began.
    #[error("the node did not start; its log ends:\n{0}")]
    NotStarted(String),
    /// The handshake that a correct peer does failed.
    #[error("no handshake: {0}")]
    Handshake(String),
    /// What came over a connection is no sealed message.
    #[error("the node's bytes cannot be opened: {0}")]
    Unsealed(String),
    /// It did not come.
    #[error("within {} s there was no {what}", PATIENCE.as_secs(), what = .0)]
    Slow(&'static str),
    /// The control port.
    #[error("the control port: {0}")]
    Control(#[from] ClientError),
    /// The counterpart's own node refuses a command.
    #[error("the counterpart refuses: {0}")]
    Refused(#[from] CommandError),
    /// Core.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// The chain.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

impl RawError {
    fn system(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}
