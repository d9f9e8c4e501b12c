//! The node as a process. It moves bytes between the world and `leyden_core::node::Node`, and knows no rule of any BOLT.
//!
//! ```text
//!   peers (TCP, BOLT 8) ─┐                         ┌─► peers
//!   Core (RPC)          ─┼─► owner: handle, save ──┼─► Core
//!   control (HTTP)      ─┘   (one thread)          └─► control
//! ```
//! Without the feature `daemon` only the client of the control port is left, and what a lab node and its harness tell each other.

#[cfg(feature = "daemon")]
pub mod app;
#[cfg(feature = "daemon")]
pub mod chain;
#[cfg(feature = "daemon")]
pub mod cli;
#[cfg(feature = "daemon")]
pub mod config;
pub mod control;
#[cfg(feature = "lab")]
pub mod lab;
#[cfg(feature = "daemon")]
pub mod log;
#[cfg(feature = "daemon")]
pub mod net;
#[cfg(feature = "daemon")]
pub mod owner;
#[cfg(feature = "daemon")]
pub mod secret;
#[cfg(feature = "daemon")]
pub mod seed;
#[cfg(feature = "daemon")]
pub mod start;
#[cfg(feature = "daemon")]
pub mod store;
#[cfg(feature = "daemon")]
pub mod tower;
pub mod trace;
