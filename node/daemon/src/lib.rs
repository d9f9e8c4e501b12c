//! The node as a process. It moves bytes between the world and `leyden_core::node::Node`, and knows no rule of any BOLT.
//!
//! ```text
//!   peers (TCP, BOLT 8) ─┐                         ┌─► peers
//!   Core (RPC)          ─┼─► owner: handle, save ──┼─► Core
//!   control (HTTP)      ─┘   (one thread)          └─► control
//! ```

pub mod cli;
pub mod control;
