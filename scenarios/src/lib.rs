//! The scenario catalogue, one file for each theme, and the command line. A scenario is a function over [`leyden_harness::Net`];
//! its settlement's snapshot lies in `snapshots/<name>.snap`, one for all worlds.

pub mod cli;

pub use leyden_harness::find;

mod anchors;
mod close;
mod dangers;
mod dust;
mod dust_on_chain;
mod failures;
mod fee_coins;
mod fees;
mod lab;
mod limits;
mod load;
mod mempool;
mod open;
mod pay;
mod prerequisites;
mod reconnect;
mod reorg;
mod routes;
mod seed;
mod shutdown;
mod timeouts;
