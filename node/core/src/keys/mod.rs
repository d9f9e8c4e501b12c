//! Keys of a node and of its channels, all from one 32-byte seed (BOLT 3, "Key Derivation").
//! Secrets live in these types, print as nothing, and leave only as signatures or as released per-commitment secrets.

mod derive;
mod secrets;
mod seed;

pub use derive::*;
pub use secrets::*;
pub use seed::*;

#[cfg(test)]
mod tests;
