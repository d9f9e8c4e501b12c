//! A watchtower: it keeps, for nodes that may be down one day, what punishes each state that was revoked towards them, sealed so
//! that only the chain can open it: the key is made of the txid of the breach. It learns nothing before, and can take nothing for
//! itself: the penalties are signed, and pay the victim. Pure, like a node: events go in, what to save and to broadcast comes out.
//!
//! ```text
//!   victim                                tower                              chain
//!   |  revoke_and_ack from the peer         |                                  |
//!   |--- justice (locator, sealed) -------->|  keeps it                        |
//!   |<------------------- justice_ack ------|                                  |
//!   |  is down                              |<------ a transaction ------------|  half of its txid is a locator
//!   |                                       |  the whole txid opens the seal   |
//!   |                                       |------- penalties --------------->|  again and dearer, until they are mined
//! ```
//! What it cannot do: with anchors the txid of a second stage is not known before, so that nothing can be signed for its output.
//! The penalty on the HTLC output itself must come first there; it can, since it waits for no block and the second stage does. A box that comes after its breach was mined is of no use: its
//! victim was up then, and punishes alone. Boxes of channels that ended well stay, since nothing tells which belong together.

mod breach;
mod justice;
mod kit;
mod records;
#[cfg(test)]
mod tests;
mod watch;
pub mod wire;

pub use justice::{tagged_hash, Justice, Locator, Revoked, SEALED_SIZES};
pub use records::{TowerBatch, TowerRecordKey, TowerRestoreError};
pub use watch::{Refused, Tower, TowerConfig, TowerTurn};
