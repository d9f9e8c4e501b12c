//! One JSON-RPC connection to Bitcoin Core, and the few calls that a node needs. Blocking: each user has a thread and a connection
//! of its own.
use crate::config::{CoreAuth, CoreConfig};
use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::{Block, BlockHash, Transaction, Txid};
use jsonrpc::simple_http::SimpleHttpTransport;
use jsonrpc::Client;
use serde::de::DeserializeOwned;
use serde::Deserialize;
use serde_json::{json, Value};
use std::time::Duration;

/// How long an answer may take, a long poll aside.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long one long poll waits for news.
pub(super) const POLL: Duration = Duration::from_secs(20);

/// Why a call gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// No settings to connect with.
    #[error("{0}")]
    Settings(String),
    /// Core cannot be reached, or is starting.
    #[error("Bitcoin Core does not answer at {url} ({error}): is it running, and are url and cookie right?")]
    Down {
        /// Where.
        url: String,
        /// What the connection said.
        error: String,
    },
    /// Core understood and refused.
    #[error("Bitcoin Core refuses {method}: {message} (code {code})")]
    Refused {
        /// Which call.
        method: &'static str,
        /// Core's number.
        code: i32,
        /// Core's words.
        message: String,
    },
    /// The answer is not what Core promises.
    #[error("Bitcoin Core answers {method} with nonsense: {error}")]
    Nonsense {
        /// Which call.
        method: &'static str,
        /// What is wrong with it.
        error: String,
    },
}

/// A connection.
pub struct Rpc {
    client: Client,
    url: String,
}

/// A block of the best chain.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tip {
    /// Its hash.
    pub hash: BlockHash,
    /// Its height.
    pub height: u32,
}

/// What `getblockchaininfo` says that matters here.
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

/// The end of a branch that Core knows, the best chain's own among them.
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

impl Rpc {
    /// A connection by these settings; opened at the first call.
    pub fn new(settings: &CoreConfig) -> Result<Self, RpcError> {
        let (user, password) = match &settings.auth {
            CoreAuth::CookieFile(file) => {
                let text = std::fs::read_to_string(file).map_err(|error| RpcError::Down {
                    url: settings.url.clone(),
                    error: format!("its cookie file {} cannot be read: {error}", file.display()),
                })?;
                let (user, password) = text.trim().split_once(':').ok_or_else(|| {
                    RpcError::Settings(format!("{} is no cookie file of Bitcoin Core", file.display()))
                })?;
                (user.to_owned(), password.to_owned())
            }
            CoreAuth::Password { user, password } => (user.clone(), password.expose().to_owned()),
        };
        let builder = SimpleHttpTransport::builder().timeout(PATIENCE + POLL);
        let builder = builder.url(&settings.url).map_err(|error| {
            RpcError::Settings(format!("{} is no url for Bitcoin Core: {error}", settings.url))
        })?;
        let transport = builder.auth(user, Some(password)).build();
        Ok(Self { client: Client::with_transport(transport), url: settings.url.clone() })
    }

    fn call<T: DeserializeOwned>(&self, method: &'static str, params: Value) -> Result<T, RpcError> {
        let params = jsonrpc::arg(params);
        let down = |error: &dyn std::fmt::Display| RpcError::Down {
            url: self.url.clone(),
            error: error.to_string(),
        };
        let request = self.client.build_request(method, Some(&params));
        let response = self.client.send_request(request).map_err(|error| down(&error))?;
        match response.result::<T>() {
            Ok(value) => Ok(value),
            // -28: still starting.
            Err(jsonrpc::Error::Rpc(error)) if error.code == -28 => Err(down(&error.message)),
            Err(jsonrpc::Error::Rpc(error)) => {
                Err(RpcError::Refused { method, code: error.code, message: error.message })
            }
            Err(error) => Err(RpcError::Nonsense { method, error: error.to_string() }),
        }
    }

    /// Where the chain stands.
    pub fn chain_info(&self) -> Result<ChainInfo, RpcError> {
        self.call("getblockchaininfo", json!([]))
    }

    /// The hash of the best chain's block of this height.
    pub fn hash_at(&self, height: u32) -> Result<BlockHash, RpcError> {
        self.call("getblockhash", json!([height]))
    }

    /// Waits until the tip is another than this one, or for [`POLL`]. The tip then.
    pub fn wait_for_new(&self, tip: &BlockHash) -> Result<Tip, RpcError> {
        let millis = u64::try_from(POLL.as_millis()).unwrap_or(u64::MAX);
        self.call("waitfornewblock", json!([millis, tip]))
    }

    /// All branches of the chain.
    pub fn branches(&self) -> Result<Vec<Branch>, RpcError> {
        self.call("getchaintips", json!([]))
    }

    /// A whole block.
    pub fn block(&self, hash: &BlockHash) -> Result<Block, RpcError> {
        let hex: String = self.call("getblock", json!([hash, 0]))?;
        deserialize_hex(&hex)
            .map_err(|error| RpcError::Nonsense { method: "getblock", error: error.to_string() })
    }

    /// What the mempool holds.
    pub fn mempool(&self) -> Result<Vec<Txid>, RpcError> {
        self.call("getrawmempool", json!([]))
    }

    /// A transaction of the mempool; none if it left.
    pub fn transaction(&self, txid: &Txid) -> Result<Option<Transaction>, RpcError> {
        match self.call::<String>("getrawtransaction", json!([txid])) {
            Ok(hex) => deserialize_hex(&hex).map(Some).map_err(|error| RpcError::Nonsense {
                method: "getrawtransaction",
                error: error.to_string(),
            }),
            Err(RpcError::Refused { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Hands in one transaction.
    pub fn submit(&self, tx: &Transaction) -> Result<(), RpcError> {
        // Whatever it pays: the budget is the node's to keep.
        self.call::<Value>("sendrawtransaction", json!([serialize_hex(tx), 0])).map(drop)
    }

    /// Hands in transactions together, parents first; Core's word for each that it did not take.
    pub fn submit_package(&self, transactions: &[Transaction]) -> Result<Vec<Option<String>>, RpcError> {
        let hex: Vec<String> = transactions.iter().map(serialize_hex).collect();
        let answer: Package = self.call("submitpackage", json!([hex, 0]))?;
        let whole = (answer.message != "success").then_some(answer.message);
        let verdict = |tx: &Transaction| {
            let wtxid = tx.compute_wtxid().to_string();
            let result = answer.results.get(&wtxid);
            result.map_or_else(|| whole.clone(), |result| result.error.clone())
        };
        Ok(transactions.iter().map(verdict).collect())
    }

    /// What a transaction must pay to be mined within so many blocks, in BTC per 1000 vbytes; none while Core knows too little.
    pub fn feerate(&self, blocks: u16) -> Result<Option<f64>, RpcError> {
        #[derive(Deserialize)]
        struct Estimate {
            feerate: Option<f64>,
        }
        self.call::<Estimate>("estimatesmartfee", json!([blocks])).map(|estimate| estimate.feerate)
    }
}

#[derive(Deserialize)]
struct Package {
    #[serde(rename = "package_msg")]
    message: String,
    #[serde(rename = "tx-results")]
    results: std::collections::BTreeMap<String, PackageResult>,
}

#[derive(Deserialize)]
struct PackageResult {
    error: Option<String>,
}
