//! Leyden's harness: scenarios as short functions over a [`Net`], run unchanged on the embedded chain and on Bitcoin Core.
//!
//! ```text
//!   scenario -> Net -> World (scheduler, links) -> nodes, chain
//!                 \-> transcript, settlement, checks, snapshot, report
//! ```

pub mod catalogue;
pub mod chain;
pub mod checks;
pub mod mutants;
pub mod names;
pub mod net;
pub mod page;
pub mod provision;
pub mod raw;
pub mod report;
pub mod run;
pub mod settlement;
pub mod shipped;
pub mod snapshot;
pub mod sweep;
pub mod transcript;
pub mod world;

pub use catalogue::{catalogue, find, CatalogueError, Scenario};
pub use net::Net;
pub use run::{run, Cause, Outcome, Run};
pub use world::WorldKind;

pub use inventory;
pub use leyden_core::channel::Mutant;
pub use leyden_core::tx::ChannelType;
pub use leyden_macros::scenario;

/// What a scenario file needs: `use leyden_harness::prelude::*;`.
pub mod prelude {
    pub use crate::net::{msat, sat, ChannelRef, Coin, Net, NodeRef, Open, Payment, Route, TowerRef};
    pub use crate::net::{Fault, Kind, Moment, Point, Spend, State};
    pub use crate::scenario;
    pub use crate::Mutant;
    pub use leyden_core::node::{ForwardPolicy, NodeConfig};
    pub use leyden_core::payment::outgoing::FINAL_CLTV_SLACK;
    pub use leyden_core::tx::ChannelType;
    pub use leyden_core::units::{FeeratePerKw, Msat, Sat, Timestamp};
}
