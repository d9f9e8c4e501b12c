//! What a node asks of whoever knows the chain, and what comes back: the same of Bitcoin Core and of an Electrum server.
use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::consensus::Decodable;
use bitcoin::{Block, BlockHash, Transaction, Txid};
use serde::Deserialize;
use std::time::Duration;

/// How long an answer may take, a long poll aside.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// How long one long poll waits for news.
pub(super) const POLL: Duration = Duration::from_secs(20);

/// Why a call gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// No settings to connect with.
    #[error("{0}")]
    Settings(String),
    /// It cannot be reached, or is starting.
    #[error("{server} does not answer at {url} ({error}): {hint}")]
    Down {
        /// What people call it.
        server: &'static str,
        /// What to look after.
        hint: &'static str,
        /// Where.
        url: String,
        /// What the connection said.
        error: String,
    },
    /// It understood and refused.
    #[error("{server} refuses {method}: {message} (code {code})")]
    Refused {
        /// What people call it.
        server: &'static str,
        /// Which call.
        method: &'static str,
        /// Its number for that.
        code: i32,
        /// In its words.
        message: String,
    },
    /// The answer is not what it promises.
    #[error("{server} answers {method} with nonsense: {error}")]
    Nonsense {
        /// What people call it.
        server: &'static str,
        /// Which call.
        method: &'static str,
        /// What is wrong with it.
        error: String,
    },
}

/// What a server answers in hex.
pub(super) fn decoded<T: Decodable>(
    server: &'static str,
    method: &'static str,
    hex: &str,
) -> Result<T, RpcError> {
    deserialize_hex(hex).map_err(|error| RpcError::Nonsense { server, method, error: error.to_string() })
}

/// A block of the best chain.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tip {
    /// Its hash.
    pub hash: BlockHash,
    /// Its height.
    pub height: u32,
}

/// What `getblockchaininfo` says that matters here; of another server the same.
#[derive(Deserialize, Debug)]
pub struct ChainInfo {
    /// `regtest`, `main`, …
    pub chain: String,
    /// The tip's height.
    pub blocks: u32,
    /// The tip.
    #[serde(rename = "bestblockhash")]
    pub best: BlockHash,
    /// Still far behind.
    #[serde(rename = "initialblockdownload")]
    pub behind: bool,
}

/// The end of a branch that the server knows, the best chain's own among them.
#[derive(Deserialize, Debug)]
pub struct Branch {
    /// The height of its last block.
    pub height: u32,
    /// So many of its blocks are not in the best chain.
    #[serde(rename = "branchlen")]
    pub length: u32,
    /// `active`, `invalid`, `headers-only`, …
    pub status: String,
}

/// What a node asks of whoever knows the chain. One connection; each thread that asks has its own.
pub trait Server: Send {
    /// Where the chain stands.
    fn chain_info(&mut self) -> Result<ChainInfo, RpcError>;
    /// The hash of the best chain's block of this height.
    fn hash_at(&mut self, height: u32) -> Result<BlockHash, RpcError>;
    /// A whole block of the best chain.
    fn block(&mut self, at: &Tip) -> Result<Block, RpcError>;
    /// Waits until the tip is another than this one, or for [`POLL`]. The tip then.
    fn wait_for_new(&mut self, tip: &BlockHash) -> Result<Tip, RpcError>;
    /// All branches of the chain that it tells of.
    fn branches(&mut self) -> Result<Vec<Branch>, RpcError>;
    /// What its mempool holds, as far as it shows.
    fn mempool(&mut self) -> Result<Vec<Txid>, RpcError>;
    /// A transaction of the mempool; none if it left.
    fn transaction(&mut self, txid: &Txid) -> Result<Option<Transaction>, RpcError>;
    /// Hands in one transaction.
    fn submit(&mut self, tx: &Transaction) -> Result<(), RpcError>;
    /// Hands in transactions together, parents first; a word for each that it did not take.
    fn submit_package(&mut self, transactions: &[Transaction]) -> Result<Vec<Option<String>>, RpcError>;
    /// What a transaction must pay to be mined within so many blocks, in BTC per 1000 vbytes; none while it knows too little.
    fn feerate(&mut self, blocks: u16) -> Result<Option<f64>, RpcError>;
}
