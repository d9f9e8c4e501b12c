//! The wallet, on bdk_wallet: coins, addresses, funding transactions. Knows no channels beyond the name a coin is
//! reserved under, and never talks to a chain: blocks are handed in, transactions are handed out.

mod bill;
mod wallet;

#[cfg(test)]
mod tests;

pub use bill::{wallet_part_weight, Bill};
pub use wallet::*;
