//! The chain as a node sees it: blocks in order, reorganisations, what waits in the mempool, feerates; and the way back, for our
//! transactions. Whatever Core does (down, restarting, behind, nonsense), the node waits, says so, and loses nothing.
mod core;
mod follow;
mod mempool;
mod rpc;
mod submit;
mod taken;

pub use self::core::{Core, Stop, Trouble};
pub use follow::{follow, Known};
pub use mempool::{watch, Interest, Look};
pub use rpc::RpcError;
pub use submit::{Broadcaster, Verdict};
pub use taken::Taken;
