//! The transactions of BOLT 3, pure: from terms and keys to outputs to transactions to signatures.
//! Knows no messages and no channel states; `local`/`remote` here say whose commitment it is and who pays whom.

mod closing;
mod commitment;
mod format;
mod funding;
mod gather;
mod htlc;
mod number;
mod presigned;
mod read;
mod script;
mod second_stage;
mod signature;
mod sweep;
mod terms;
mod weight;

pub use closing::*;
pub use commitment::*;
pub use format::*;
pub use funding::*;
pub use gather::*;
pub use htlc::*;
pub use number::*;
pub use presigned::*;
pub use script::*;
pub use second_stage::*;
pub use sweep::*;
pub use terms::*;
pub use weight::*;

#[cfg(test)]
mod tests;
