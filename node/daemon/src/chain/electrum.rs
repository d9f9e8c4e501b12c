//! An Electrum server (protocol 1.4) as the source of the chain: JSON-RPC, a line each, over one TCP connection. It hands out no whole
//! blocks, so that each is put together from its header and its transactions, and is only believed if they give the header's root.
//! News are pushed. It shows no mempool: R is heard from blocks alone, and transactions that go together are handed in one by one.
use super::server::{decoded, Branch, ChainInfo, RpcError, Server, Tip, PATIENCE, POLL};
use bitcoin::block::Header;
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::constants::genesis_block;
use bitcoin::{Block, BlockHash, Network, Transaction, Txid};
use serde::de::DeserializeOwned;
use serde::Deserialize;
use serde_json::{json, Value};
use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Instant;

#[cfg(test)]
mod tests;

/// What people call it.
pub(super) const NAME: &str = "the Electrum server";
const HINT: &str = "is it running, and is the url right?";

/// The longest line: a transaction as large as a block, in hex, with room.
const MOST: u64 = 16 << 20;
/// So many questions are under way at once.
const AT_ONCE: usize = 100;
/// No block holds more transactions: 4,000,000 weight, and the smallest has 240.
const MOST_TRANSACTIONS: usize = 16_667;
const SUBSCRIBE: &str = "blockchain.headers.subscribe";

/// A connection.
pub struct Electrum {
    url: String,
    stream: BufReader<TcpStream>,
    /// What came of the line that comes next.
    line: Vec<u8>,
    asked: u64,
    /// The newest tip that it told of.
    head: Option<Head>,
}

/// What it says of its tip.
#[derive(Deserialize, Clone, Debug)]
struct Head {
    height: u32,
    #[serde(rename = "hex")]
    header: String,
}

/// Which transaction is at a place: the protocol has the id alone, electrs an object.
#[derive(Deserialize)]
#[serde(untagged)]
enum AtPlace {
    Bare(Txid),
    Named {
        #[serde(alias = "tx_hash")]
        tx_id: Txid,
    },
}

/// Anything that it says: an answer, or news.
#[derive(Deserialize)]
struct Said {
    id: Option<u64>,
    #[serde(default)]
    result: Value,
    error: Option<Value>,
    method: Option<String>,
    #[serde(default)]
    params: Vec<Value>,
}

impl Electrum {
    /// Connects to `tcp://HOST:PORT`. It is told of new tips once it asks for the first: who only hands in would never read them.
    pub fn connect(url: &str) -> Result<Self, RpcError> {
        let stream = dial(url).map_err(|error| away(url, &error))?;
        let mut server = Self {
            url: url.to_owned(),
            stream: BufReader::new(stream),
            line: Vec::new(),
            asked: 0,
            head: None,
        };
        let _: Value = server.ask("server.version", json!(["leyden", "1.4"]))?;
        Ok(server)
    }

    fn subscribe(&mut self) -> Result<Tip, RpcError> {
        let head: Head = self.ask(SUBSCRIBE, json!([]))?;
        let tip = head.tip()?;
        self.head = Some(head);
        Ok(tip)
    }

    fn ask<T: DeserializeOwned>(&mut self, method: &'static str, params: Value) -> Result<T, RpcError> {
        let mut answers = self.ask_all(method, vec![params])?;
        answers.pop().unwrap_or_else(|| Err(nonsense(method, "no answer")))
    }

    /// The same question with these parameters each; all are sent before the first answer is read.
    fn ask_all<T: DeserializeOwned>(
        &mut self,
        method: &'static str,
        all: Vec<Value>,
    ) -> Result<Vec<Result<T, RpcError>>, RpcError> {
        let first = self.asked;
        let mut questions = String::new();
        for params in &all {
            let question = json!({"jsonrpc": "2.0", "id": self.asked, "method": method, "params": params});
            questions.push_str(&format!("{question}\n"));
            self.asked += 1;
        }
        let url = self.url.clone();
        self.stream.get_mut().write_all(questions.as_bytes()).map_err(|error| away(&url, &error))?;
        let deadline = Instant::now() + PATIENCE;
        let mut answers: Vec<Option<Result<T, RpcError>>> = all.iter().map(|_| None).collect();
        while answers.iter().any(Option::is_none) {
            let silent = || away(&url, &io::Error::from(io::ErrorKind::TimedOut));
            let said = self.hear(deadline)?.ok_or_else(silent)?;
            let place = said.id.and_then(|id| usize::try_from(id.checked_sub(first)?).ok());
            let slot = place.and_then(|place| answers.get_mut(place));
            let slot = slot.ok_or_else(|| nonsense(method, "an answer to another question"))?;
            *slot = Some(match said.error {
                Some(error) => Err(refused(method, &error)),
                None => serde_json::from_value(said.result).map_err(|error| nonsense(method, error)),
            });
        }
        Ok(answers.into_iter().flatten().collect())
    }

    /// The next answer; none if there was none until then. News are noted on the way.
    fn hear(&mut self, until: Instant) -> Result<Option<Said>, RpcError> {
        loop {
            let Some(said) = self.read(until)? else { return Ok(None) };
            if said.method.is_none() {
                return Ok(Some(said));
            }
            self.note(said);
        }
    }

    fn note(&mut self, said: Said) {
        if said.method.as_deref() == Some(SUBSCRIBE) {
            let head = said.params.into_iter().next().and_then(|head| serde_json::from_value(head).ok());
            self.head = head.or(self.head.take());
        }
    }

    /// The next line; none if it did not end until then, and what came of it is kept.
    fn read(&mut self, until: Instant) -> Result<Option<Said>, RpcError> {
        let lost = |error: &io::Error| away(&self.url, error);
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        self.stream.get_ref().set_read_timeout(Some(left)).map_err(|error| lost(&error))?;
        let room = MOST.saturating_sub(self.line.len() as u64);
        match self.stream.by_ref().take(room).read_until(b'\n', &mut self.line) {
            Ok(_) if self.line.ends_with(b"\n") => {
                let said = serde_json::from_slice(&self.line);
                self.line.clear();
                said.map(Some).map_err(|error| nonsense("a question", error))
            }
            Ok(_) if self.line.len() as u64 >= MOST => Err(nonsense("a question", "a line without an end")),
            Ok(_) => Err(lost(&io::ErrorKind::UnexpectedEof.into())),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Ok(None)
            }
            Err(error) => Err(lost(&error)),
        }
    }

    fn header(&mut self, height: u32) -> Result<Header, RpcError> {
        const QUESTION: &str = "blockchain.block.header";
        let hex: String = self.ask(QUESTION, json!([height]))?;
        decoded(NAME, QUESTION, &hex)
    }

    /// The transactions of a block of the best chain, in order, as far as it says; whether they are all is for the root to tell.
    fn txids(&mut self, height: u32) -> Result<Vec<Txid>, RpcError> {
        let mut txids = Vec::new();
        // For each answer electrs reads the whole block: not many more questions than there are transactions.
        let mut more = 2;
        while txids.len() <= MOST_TRANSACTIONS {
            let places = txids.len()..txids.len() + more;
            more = AT_ONCE.min(more * 2);
            let questions = places.map(|place| json!([height, place, false])).collect();
            for answer in self.ask_all("blockchain.transaction.id_from_pos", questions)? {
                match answer {
                    Ok(AtPlace::Bare(txid) | AtPlace::Named { tx_id: txid }) => txids.push(txid),
                    Err(RpcError::Refused { .. }) if !txids.is_empty() => return Ok(txids),
                    Err(error) => return Err(error),
                }
            }
        }
        Err(nonsense("blockchain.transaction.id_from_pos", "more transactions than a block holds"))
    }
}

impl Server for Electrum {
    fn chain_info(&mut self) -> Result<ChainInfo, RpcError> {
        let first = self.header(0)?.block_hash();
        let networks =
            [Network::Bitcoin, Network::Testnet, Network::Testnet4, Network::Signet, Network::Regtest];
        let network = networks.into_iter().find(|network| genesis_block(*network).block_hash() == first);
        let chain =
            network.map_or_else(|| format!("the chain of {first}"), |network| network.to_core_arg().into());
        let tip = self.subscribe()?;
        Ok(ChainInfo { chain, blocks: tip.height, best: tip.hash, behind: false })
    }

    fn hash_at(&mut self, height: u32) -> Result<BlockHash, RpcError> {
        self.header(height).map(|header| header.block_hash())
    }

    fn block(&mut self, at: &Tip) -> Result<Block, RpcError> {
        const QUESTION: &str = "blockchain.transaction.get";
        let header = self.header(at.height)?;
        if header.block_hash() != at.hash {
            // Not to be asked again: whoever walks along the chain begins anew.
            return Err(refused(QUESTION, &json!("the chain changed meanwhile")));
        }
        let txids = self.txids(at.height)?;
        // The last ones once more would give the same root.
        if BTreeSet::from_iter(&txids).len() < txids.len() {
            return Err(nonsense(QUESTION, format!("a transaction twice in block {}", at.hash)));
        }
        let mut txdata = Vec::with_capacity(txids.len());
        for some in txids.chunks(AT_ONCE) {
            let questions = some.iter().map(|txid| json!([txid])).collect();
            for answer in self.ask_all::<String>(QUESTION, questions)? {
                txdata.push(decoded(NAME, QUESTION, &answer?)?);
            }
        }
        let block = Block { header, txdata };
        if !block.check_merkle_root() || !block.check_witness_commitment() {
            return Err(nonsense(QUESTION, format!("not the transactions of block {}", at.hash)));
        }
        Ok(block)
    }

    fn wait_for_new(&mut self, tip: &BlockHash) -> Result<Tip, RpcError> {
        let until = Instant::now() + POLL;
        loop {
            let head = match &self.head {
                Some(head) => head.tip()?,
                None => self.subscribe()?,
            };
            if head.hash != *tip {
                return Ok(head);
            }
            match self.read(until)? {
                Some(said) => self.note(said),
                None => return self.subscribe(),
            }
        }
    }

    fn branches(&mut self) -> Result<Vec<Branch>, RpcError> {
        Ok(Vec::new())
    }

    fn mempool(&mut self) -> Result<Vec<Txid>, RpcError> {
        Ok(Vec::new())
    }

    fn transaction(&mut self, txid: &Txid) -> Result<Option<Transaction>, RpcError> {
        const QUESTION: &str = "blockchain.transaction.get";
        match self.ask::<String>(QUESTION, json!([txid])) {
            Ok(hex) => decoded(NAME, QUESTION, &hex).map(Some),
            Err(RpcError::Refused { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn submit(&mut self, tx: &Transaction) -> Result<(), RpcError> {
        self.ask::<Txid>("blockchain.transaction.broadcast", json!([serialize_hex(tx)])).map(drop)
    }

    fn submit_package(&mut self, transactions: &[Transaction]) -> Result<Vec<Option<String>>, RpcError> {
        let words = transactions.iter().map(|tx| match self.submit(tx) {
            Ok(()) => Ok(None),
            Err(RpcError::Refused { message, .. }) => Ok(Some(message)),
            Err(error) => Err(error),
        });
        words.collect()
    }

    fn feerate(&mut self, blocks: u16) -> Result<Option<f64>, RpcError> {
        // Below zero: it knows too little.
        let estimate: f64 = self.ask("blockchain.estimatefee", json!([blocks]))?;
        Ok(Some(estimate).filter(|estimate| *estimate > 0.0))
    }
}

impl Head {
    fn tip(&self) -> Result<Tip, RpcError> {
        let header: Header = decoded(NAME, SUBSCRIBE, &self.header)?;
        Ok(Tip { hash: header.block_hash(), height: self.height })
    }
}

fn dial(url: &str) -> io::Result<TcpStream> {
    let place = url.strip_prefix("tcp://").unwrap_or(url);
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in place.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_write_timeout(Some(PATIENCE))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn away(url: &str, error: &io::Error) -> RpcError {
    RpcError::Down { server: NAME, hint: HINT, url: url.to_owned(), error: error.to_string() }
}

fn nonsense(method: &'static str, error: impl std::fmt::Display) -> RpcError {
    RpcError::Nonsense { server: NAME, method, error: error.to_string() }
}

/// Servers say it as a text, or as a number and a text.
fn refused(method: &'static str, error: &Value) -> RpcError {
    let code = error["code"].as_i64().and_then(|code| i32::try_from(code).ok()).unwrap_or_default();
    let message = error["message"].as_str().or_else(|| error.as_str());
    let message = message.map_or_else(|| error.to_string(), str::to_owned);
    RpcError::Refused { server: NAME, method, code, message }
}
