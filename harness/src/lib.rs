//! Leyden's harness: scenarios as short functions over a [`Net`], run unchanged on the embedded chain and on Bitcoin Core.
//!
//! ```text
//!   scenario -> Net -> World (scheduler, links) -> nodes, chain
//!                 \-> transcript, settlement, checks, snapshot, report
//! ```

pub mod chain;
pub mod provision;
