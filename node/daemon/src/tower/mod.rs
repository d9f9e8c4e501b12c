//! Watchtowers as processes: the client in a node, which hands its boxes to the towers it has, and the tower itself. Both move
//! messages and save; what a box is and what punishes is `leyden_core::tower`'s.
//!
//! ```text
//!   owner ── boxes ──► client ── BOLT 8 ──►│ keeper: take, save, acknowledge │◄── blocks, mempool
//!         ◄─ acks ────        ◄────────────│         see, save, punish       │──► the chain
//! ```
mod client;
mod keeper;
mod server;

pub use client::{Client, Guard};
pub use keeper::Keeper;
pub use server::{run, Settings};
