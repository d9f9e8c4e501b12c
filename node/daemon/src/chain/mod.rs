//! The chain as a node sees it: blocks in order, reorganisations, what waits in the mempool, feerates; and the way back, for our
//! transactions. Whatever its source (Bitcoin Core, or an Electrum server) does (down, restarting, behind, nonsense), the node waits, says so, and loses nothing.
mod electrum;
mod follow;
mod mempool;
mod rpc;
mod server;
mod source;
mod submit;
mod taken;

pub use follow::{follow, Known};
pub use mempool::{watch, Interest, Look};
pub use server::RpcError;
pub use source::{Source, Stop, Trouble};
pub use submit::{Broadcaster, Verdict};
pub use taken::Taken;
