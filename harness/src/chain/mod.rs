//! Chains under the nodes: the embedded one and real Bitcoin Core, behind one trait. The miner is ours in both, so that
//! blocks (and with them every txid) are the same in both worlds.
mod accept;
mod block;
mod cluster;
mod coins;
mod consensus;
pub mod core_client;
pub mod core_process;
pub mod core_rpc;
pub mod electrs;
pub mod embedded;
mod filler;
mod ledger;
mod mempool;
pub mod miner;
mod package;
mod policy;
pub mod ports;
mod reject;
mod replace;
mod room;
mod script;
mod template;
mod truc;

pub use core_rpc::CoreChain;
pub use electrs::Electrs;
pub use embedded::EmbeddedChain;
pub use miner::Miner;

use bitcoin::{Block, BlockHash, OutPoint, Transaction, TxOut, Txid};

/// Why a chain did not take a transaction or a block. `reason` is Core's own reject word where one exists
/// (`non-BIP68-final`, `bad-txns-inputs-missingorspent`, `min relay fee not met`, `dust`, ...).
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ChainError {
    /// The transaction or block breaks a rule.
    #[error("refused: {reason}")]
    Refused {
        /// Core's reject word.
        reason: String,
    },
    /// The backend itself failed (Core died, RPC nonsense): never a verdict.
    #[error("the chain backend failed: {0}")]
    Backend(String),
}

/// The tip of the best chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tip {
    /// Its height.
    pub height: u32,
    /// Its hash.
    pub hash: BlockHash,
}

/// A chain with a mempool, driven synchronously: when a call returns, its effect is complete.
pub trait Chain {
    /// The best chain's tip.
    fn tip(&self) -> Tip;
    /// Consensus and policy, then into the mempool. Already there or already mined is `Refused` with Core's words.
    fn submit(&mut self, tx: &Transaction) -> Result<Txid, ChainError>;
    /// The verdict that `submit` would give, without keeping it.
    fn test(&mut self, tx: &Transaction) -> Result<(), ChainError>;
    /// Transactions that come together: a child and parents of it, parents first, at most 25. What each needs is judged for
    /// itself and, where it pays too little or misses an input, for all of these together. The verdict for each; one that
    /// was there already is `Refused` with Core's word, and a package that is refused as a whole gives each of those that
    /// did not pass alone the word for the package.
    ///
    /// # Errors
    /// `Backend` only.
    fn submit_package(
        &mut self,
        transactions: &[Transaction],
    ) -> Result<Vec<Result<Txid, ChainError>>, ChainError>;
    /// The least feerate that the mempool takes now, in sat per 1000 vbytes: more than the relay minimum once it was full.
    fn floor(&mut self) -> Result<u64, ChainError>;
    /// Lets so much of the chain's own time pass (no block, nothing else changes) that the floor falls to the relay minimum.
    /// As in Core it does so only if a block came since it last rose. Without this call it never falls.
    fn let_floor_fall(&mut self) -> Result<(), ChainError>;
    /// What the mempool holds, parents before children.
    fn mempool(&mut self) -> Result<Vec<Transaction>, ChainError>;
    /// Adds a block on the tip (full consensus check).
    fn connect(&mut self, block: &Block) -> Result<(), ChainError>;
    /// Takes the tip out; its transactions go back to the mempool where they still fit. Returns it.
    fn disconnect(&mut self) -> Result<Block, ChainError>;
    /// An unspent output of the best chain (not of the mempool), and the height it confirmed at.
    fn unspent(&mut self, outpoint: OutPoint) -> Result<Option<(TxOut, u32)>, ChainError>;
    /// The program that holds the chain is killed and starts again from its disk: the mempool is lost, and blocks that were not on
    /// the disk yet are handed to it once more.
    ///
    /// # Errors
    /// It does not start, or has another chain than before.
    fn restart(&mut self) -> Result<(), ChainError>;
    /// A block of the best chain.
    fn block_at(&mut self, height: u32) -> Result<Block, ChainError>;
}
