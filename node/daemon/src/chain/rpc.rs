//! One JSON-RPC connection to Bitcoin Core, and the few calls that a node needs. Blocking: each user has a thread and a connection
//! of its own.
use super::server::{decoded, Branch, ChainInfo, RpcError, Server, Tip, PATIENCE, POLL};
use crate::config::{CoreAuth, CoreConfig};
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::{Block, BlockHash, Transaction, Txid};
use jsonrpc::simple_http::SimpleHttpTransport;
use jsonrpc::Client;
use serde::de::DeserializeOwned;
use serde::Deserialize;
use serde_json::{json, Value};

/// What people call it.
pub(super) const NAME: &str = "Bitcoin Core";
const HINT: &str = "is it running, and are url and cookie right?";

/// A connection.
pub struct Rpc {
    client: Client,
    url: String,
}

impl Rpc {
    /// A connection by these settings; opened at the first call.
    pub fn new(settings: &CoreConfig) -> Result<Self, RpcError> {
        let (user, password) = match &settings.auth {
            CoreAuth::CookieFile(file) => {
                let text = std::fs::read_to_string(file).map_err(|error| RpcError::Down {
                    server: NAME,
                    hint: HINT,
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
            server: NAME,
            hint: HINT,
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
                Err(RpcError::Refused { server: NAME, method, code: error.code, message: error.message })
            }
            Err(error) => Err(RpcError::Nonsense { server: NAME, method, error: error.to_string() }),
        }
    }
}

impl Server for Rpc {
    fn chain_info(&mut self) -> Result<ChainInfo, RpcError> {
        self.call("getblockchaininfo", json!([]))
    }

    fn hash_at(&mut self, height: u32) -> Result<BlockHash, RpcError> {
        self.call("getblockhash", json!([height]))
    }

    fn wait_for_new(&mut self, tip: &BlockHash) -> Result<Tip, RpcError> {
        let millis = u64::try_from(POLL.as_millis()).unwrap_or(u64::MAX);
        self.call("waitfornewblock", json!([millis, tip]))
    }

    fn branches(&mut self) -> Result<Vec<Branch>, RpcError> {
        self.call("getchaintips", json!([]))
    }

    fn block(&mut self, at: &Tip) -> Result<Block, RpcError> {
        let hex: String = self.call("getblock", json!([at.hash, 0]))?;
        decoded(NAME, "getblock", &hex)
    }

    fn mempool(&mut self) -> Result<Vec<Txid>, RpcError> {
        self.call("getrawmempool", json!([]))
    }

    fn transaction(&mut self, txid: &Txid) -> Result<Option<Transaction>, RpcError> {
        match self.call::<String>("getrawtransaction", json!([txid])) {
            Ok(hex) => decoded(NAME, "getrawtransaction", &hex).map(Some),
            Err(RpcError::Refused { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn submit(&mut self, tx: &Transaction) -> Result<(), RpcError> {
        // Whatever it pays: the budget is the node's to keep.
        self.call::<Value>("sendrawtransaction", json!([serialize_hex(tx), 0])).map(drop)
    }

    fn submit_package(&mut self, transactions: &[Transaction]) -> Result<Vec<Option<String>>, RpcError> {
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

    fn feerate(&mut self, blocks: u16) -> Result<Option<f64>, RpcError> {
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
