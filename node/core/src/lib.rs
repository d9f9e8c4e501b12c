//! Leyden's protocol core: a Lightning node as a value. Events go in, turns come out.
//! It opens no socket, reads no file, starts no thread, asks no clock and no operating system for randomness.

pub mod chain;
pub mod channel;
pub mod ids;
pub mod keys;
pub mod node;
pub mod payment;
pub mod peer;
pub mod tower;
pub mod transport;
pub mod tx;
pub mod units;
pub mod wire;
