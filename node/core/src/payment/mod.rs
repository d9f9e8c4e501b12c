//! Payments: the onion (BOLT 4), invoices (BOLT 11), routes, and the three parts a node plays: sender, receiver, forwarder.

pub mod failure;
pub mod forward;
pub mod incoming;
pub mod invoice;
pub mod onion;
pub mod outgoing;
pub mod route;
mod terms;

pub use terms::*;
