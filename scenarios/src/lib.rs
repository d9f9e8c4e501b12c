//! The scenario catalogue, one file for each theme, and the command line. A scenario is a function over [`leyden_harness::Net`];
//! its settlement's snapshot lies in `snapshots/<name>.snap`, one for all worlds.

pub mod cli;

pub use leyden_harness::find;

mod anchors;
mod breach;
mod breach_race;
mod breach_reorg;
mod cheat;
mod close;
mod core_restarts;
mod crash;
mod dangers;
mod deadlines;
mod dust;
mod dust_on_chain;
mod failures;
mod fee_coins;
mod fees;
mod forwarding_dangers;
mod lab;
mod last_states;
mod limits;
mod load;
mod mempool;
mod open;
mod pay;
mod preimages;
mod prerequisites;
mod reconnect;
mod reorg;
mod replacement;
mod routes;
mod seed;
mod seed_htlc;
mod seed_route;
mod shutdown;
mod timeouts;
mod tower;
