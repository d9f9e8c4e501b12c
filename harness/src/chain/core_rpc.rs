//! Real Bitcoin Core as a [`Chain`]: each call is one RPC exchange, and every verdict is Core's own word. It mines
//! nothing (the miner is ours) and decides nothing; a dead or silent Core is [`ChainError::Backend`], never a verdict.
use std::collections::{BTreeMap, BTreeSet};

use bitcoin::consensus::encode::{deserialize_hex, serialize};
use bitcoin::hex::DisplayHex;
use bitcoin::{Amount, Block, BlockHash, OutPoint, ScriptBuf, Transaction, TxOut, Txid};
use serde_json::{json, Value};

use super::core_client::{Call, CoreClient, RpcError};
use super::core_process::{CoreError, CoreLaunch, CoreProcess, PeerPort, MOCK_TIME};
use super::miner::initial_blocks;
use super::{Chain, ChainError, Tip};

/// Core's RPC error codes that are verdicts on a transaction (`src/rpc/protocol.h`).
const TX_ERROR: i64 = -25;
const TX_REJECTED: i64 = -26;
const ALREADY_IN_UTXO_SET: i64 = -27;
const NOT_DECODED: i64 = -22;
/// All the coins there can be, in BTC: `sendrawtransaction` shall not have an opinion on what we burn.
const ANY_BURN: u32 = 21_000_000;

/// So many transactions are a package at most.
const MAX_PACKAGE_COUNT: usize = 25;
/// Seconds after which nothing is left of any floor: it halves every 12 hours at least.
const FLOOR_IS_GONE: u64 = 60 * 24 * 3600;

/// A chain held by a bitcoind of its own.
#[derive(Debug)]
pub struct CoreChain {
    process: CoreProcess,
    client: CoreClient,
    /// The best chain by height, the genesis block first: only `connect` and `disconnect` change it, so Core need not be
    /// asked again for a block that it accepted (a hash stands for one block only).
    blocks: Vec<(BlockHash, Block)>,
    /// Blocks that `disconnect` made Core call invalid, by their parent.
    disconnected: BTreeMap<BlockHash, BTreeSet<BlockHash>>,
    /// Every transaction that was in the mempool at some time, with the order in which it first came.
    seen: BTreeMap<Txid, (usize, Transaction)>,
    mempool: Mempool,
    /// What Core takes for the present, in seconds since 1970: it stands still unless `let_floor_fall` moves it.
    clock: u64,
}

/// What is known of Core's mempool without asking.
#[derive(Debug)]
enum Mempool {
    Known(Vec<Transaction>),
    /// Something was submitted, connected or disconnected since it was last read.
    Stale,
}

impl CoreChain {
    /// Finds or provisions bitcoind, starts one and connects to it: a regtest chain with only the genesis block.
    pub fn start() -> Result<Self, CoreError> {
        Self::launch(PeerPort::Closed).and_then(Self::ready)
    }

    /// Bytes that Core counts for its mempool.
    ///
    /// # Errors
    /// If Core failed.
    pub fn mempool_bytes(&mut self) -> Result<u64, ChainError> {
        let info = self.call("getmempoolinfo", json!([]))?;
        info["usage"].as_u64().ok_or_else(|| self.nonsense("getmempoolinfo", "no usage"))
    }

    /// [`CoreChain::start`] with the miner's initial blocks on it. They are built while Core starts, and handed over in one
    /// exchange.
    pub fn with_initial_blocks(peers: PeerPort) -> Result<Self, CoreError> {
        let launch = Self::launch(peers)?;
        let blocks = initial_blocks();
        let mut chain = Self::ready(launch)?;
        chain.connect_all(blocks).map_err(|source| CoreError::InitialBlocks { source })?;
        Ok(chain)
    }

    /// Finds or provisions bitcoind and starts one, without waiting for it: its first 150 ms can be used otherwise.
    pub fn launch(peers: PeerPort) -> Result<CoreLaunch, CoreError> {
        CoreProcess::launch(&crate::provision::bitcoind()?, peers)
    }

    /// Waits for a started bitcoind and connects to it.
    pub fn ready(launch: CoreLaunch) -> Result<Self, CoreError> {
        let process = launch.ready()?;
        let client = process.client()?;
        let genesis = bitcoin::constants::genesis_block(bitcoin::Network::Regtest);
        Ok(Self {
            process,
            client,
            blocks: vec![(genesis.block_hash(), genesis)],
            disconnected: BTreeMap::new(),
            seen: BTreeMap::new(),
            mempool: Mempool::Known(Vec::new()),
            clock: MOCK_TIME,
        })
    }

    /// The process underneath: its folder, log and `keep()`.
    pub fn process(&mut self) -> &mut CoreProcess {
        &mut self.process
    }

    /// [`Chain::connect`] for many blocks, each on the one before, in one exchange. Those before a refused one stay.
    pub fn connect_all(&mut self, blocks: &[Block]) -> Result<(), ChainError> {
        let mut tip = self.tip_hash();
        let follow = blocks.iter().all(|block| {
            let parent = std::mem::replace(&mut tip, block.block_hash());
            block.header.prev_blockhash == parent
        });
        if !follow || !self.disconnected.is_empty() {
            return blocks.iter().try_for_each(|block| self.connect(block));
        }
        let calls: Vec<Call> =
            blocks.iter().map(|block| ("submitblock", json!([serialize_hex(block)]))).collect();
        let answers = self.client.batch(&calls).map_err(|error| self.failed(&error))?;
        for (block, answer) in blocks.iter().zip(answers) {
            self.accepted(block, answer)?;
        }
        Ok(())
    }

    /// Takes note of what Core said to `submitblock`: nothing if the block is the new tip, otherwise a word.
    fn accepted(&mut self, block: &Block, answer: Result<Value, RpcError>) -> Result<(), ChainError> {
        if let Some(word) = self.judged(answer)?.as_str() {
            return Err(ChainError::Refused { reason: word.to_owned() });
        }
        self.push(block);
        Ok(())
    }

    fn push(&mut self, block: &Block) {
        self.blocks.push((block.block_hash(), block.clone()));
        if !matches!(&self.mempool, Mempool::Known(transactions) if transactions.is_empty()) {
            self.mempool = Mempool::Stale;
        }
    }

    fn call(&mut self, method: &'static str, params: Value) -> Result<Value, ChainError> {
        self.client.call(method, params).map_err(|error| self.failed(&error))
    }

    /// A failure of Core itself, with what a person needs to find out why.
    fn failed(&self, error: &RpcError) -> ChainError {
        let tail = self.process.log_tail();
        ChainError::Backend(format!(
            "{error}; see Core's log {} which ends:\n{tail}",
            self.process.debug_log().display()
        ))
    }

    fn nonsense(&self, method: &'static str, what: &'static str) -> ChainError {
        self.failed(&RpcError::Nonsense { method, what })
    }

    /// A call whose refusal by Core is a verdict.
    fn verdict(&mut self, method: &'static str, params: Value) -> Result<Value, ChainError> {
        let answer = self.client.call(method, params);
        self.judged(answer)
    }

    fn judged(&self, answer: Result<Value, RpcError>) -> Result<Value, ChainError> {
        match answer {
            Ok(value) => Ok(value),
            Err(RpcError::Refused { code, message, .. })
                if matches!(code, TX_ERROR | TX_REJECTED | ALREADY_IN_UTXO_SET | NOT_DECODED) =>
            {
                let already = code == ALREADY_IN_UTXO_SET;
                let reason = if already { "txn-already-known".to_owned() } else { reject_word(&message) };
                Err(ChainError::Refused { reason })
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn height(&self) -> u32 {
        u32::try_from(self.blocks.len()).unwrap_or(u32::MAX).saturating_sub(1)
    }

    fn tip_hash(&self) -> BlockHash {
        // The genesis block never leaves, so the list is never empty.
        self.blocks
            .last()
            .map_or_else(|| unreachable!("the genesis block was disconnected"), |(hash, _)| *hash)
    }

    /// Somebody else handed this in, and Core took it.
    pub fn heard_of(&mut self, tx: &Transaction) {
        self.mempool = Mempool::Stale;
        self.remember(tx);
    }

    /// Somebody else may have handed something in.
    pub fn look_again(&mut self) {
        self.mempool = Mempool::Stale;
    }

    fn remember(&mut self, tx: &Transaction) {
        // The same txid may come back with another witness; the last one that Core took is the one it holds.
        let order = self.seen.len();
        let entry = self.seen.entry(tx.compute_txid()).or_insert_with(|| (order, tx.clone()));
        entry.1.clone_from(tx);
    }

    /// Core keeps a block that `disconnect` took out marked as invalid, and its descendants with it. Lifting the mark
    /// lifts theirs too, so they are taken out again: the chain ends at this block.
    fn reconnect(&mut self, hash: BlockHash) -> Result<(), ChainError> {
        self.call("reconsiderblock", json!([hash]))?;
        for child in self.disconnected.get(&hash).cloned().unwrap_or_default() {
            self.call("invalidateblock", json!([child]))?;
        }
        let best = self.call("getbestblockhash", json!([]))?;
        if best.as_str() != Some(&hash.to_string()) {
            return Err(self.nonsense("getbestblockhash", "a block that was put back is not the tip"));
        }
        Ok(())
    }

    /// Blocks that Core called invalid and does not know any more come to it as new.
    fn forget_lost_marks(&mut self) -> Result<(), ChainError> {
        let marked: Vec<BlockHash> = self.disconnected.values().flatten().copied().collect();
        let calls: Vec<Call> = marked.iter().map(|hash| ("getblockheader", json!([hash]))).collect();
        let answers = self.client.batch(&calls).map_err(|error| self.failed(&error))?;
        let known = marked.iter().zip(&answers).filter(|(_, answer)| answer.is_ok());
        let known: BTreeSet<BlockHash> = known.map(|(hash, _)| *hash).collect();
        self.disconnected.values_mut().for_each(|hashes| hashes.retain(|hash| known.contains(hash)));
        self.disconnected.retain(|_, hashes| !hashes.is_empty());
        Ok(())
    }

    /// What Core had not written to its disk before it was killed, from where it stands to our tip.
    fn hand_over_lost_blocks(&mut self) -> Result<(), ChainError> {
        let best = self.call("getbestblockhash", json!([]))?;
        let stands = self.blocks.iter().position(|(hash, _)| best.as_str() == Some(&hash.to_string()));
        let stands = stands.ok_or_else(|| self.nonsense("getbestblockhash", "a tip of another chain"))?;
        let lost: Vec<Block> = self.blocks.drain(stands + 1..).map(|(_, block)| block).collect();
        self.mempool = Mempool::Stale;
        self.connect_all(&lost)
    }

    /// Reads Core's mempool: one call, and one more if Core holds a transaction that did not come from us.
    fn read_mempool(&mut self) -> Result<Vec<Transaction>, ChainError> {
        let txids: Vec<Txid> = serde_json::from_value(self.call("getrawmempool", json!([]))?)
            .map_err(|_| self.nonsense("getrawmempool", "not a list of txids"))?;
        for txid in &txids {
            if !self.seen.contains_key(txid) {
                let hex = self.call("getrawtransaction", json!([txid]))?;
                let tx =
                    decode(&hex).ok_or_else(|| self.nonsense("getrawtransaction", "not a transaction"))?;
                self.remember(&tx);
            }
        }
        let present: BTreeSet<Txid> = txids.into_iter().collect();
        let mut by_arrival: Vec<(usize, Transaction)> =
            present.iter().filter_map(|txid| self.seen.get(txid).cloned()).collect();
        by_arrival.sort_by_key(|(order, _)| *order);
        Ok(parents_first(by_arrival.into_iter().map(|(_, tx)| tx).collect()))
    }
}

impl Chain for CoreChain {
    fn tip(&self) -> Tip {
        Tip { height: self.height(), hash: self.tip_hash() }
    }

    fn submit(&mut self, tx: &Transaction) -> Result<Txid, ChainError> {
        let txid = tx.compute_txid();
        // Core answers a second submission with success; the trait wants the word, which only the test knows.
        if self.seen.contains_key(&txid) {
            self.test(tx)?;
        }
        // A refusal may change the mempool too: "mempool full" comes after what the newcomer replaced has gone.
        self.mempool = Mempool::Stale;
        self.verdict("sendrawtransaction", json!([serialize_hex(tx), 0, ANY_BURN]))?;
        self.remember(tx);
        Ok(txid)
    }

    fn submit_package(
        &mut self,
        transactions: &[Transaction],
    ) -> Result<Vec<Result<Txid, ChainError>>, ChainError> {
        if transactions.is_empty() {
            return Ok(Vec::new());
        }
        self.mempool = Mempool::Stale;
        let refused = |reason: &str| ChainError::Refused { reason: reason.to_owned() };
        if transactions.len() > MAX_PACKAGE_COUNT {
            // The RPC has no word for this, only a sentence about its arguments.
            return Ok(vec![Err(refused("package-too-many-transactions")); transactions.len()]);
        }
        let raw: Vec<String> = transactions.iter().map(serialize_hex).collect();
        let answer = match self.verdict("submitpackage", json!([raw, 0, ANY_BURN])) {
            Ok(answer) => answer,
            Err(whole @ ChainError::Refused { .. }) => return Ok(vec![Err(whole); transactions.len()]),
            Err(failure @ ChainError::Backend(_)) => return Err(failure),
        };
        let mut verdicts = Vec::with_capacity(transactions.len());
        for tx in transactions {
            let verdict = package_verdict(&answer, tx)
                .ok_or_else(|| self.nonsense("submitpackage", "a transaction without a verdict"))?;
            if verdict.is_ok() {
                self.remember(tx);
            }
            verdicts.push(verdict.map_err(|reason| ChainError::Refused { reason }));
        }
        Ok(verdicts)
    }

    fn floor(&mut self) -> Result<u64, ChainError> {
        let info = self.call("getmempoolinfo", json!([]))?;
        let floor = info["mempoolminfee"].as_f64().and_then(|btc| Amount::from_btc(btc).ok());
        floor.map(Amount::to_sat).ok_or_else(|| self.nonsense("getmempoolinfo", "no minimum feerate"))
    }

    fn let_floor_fall(&mut self) -> Result<(), ChainError> {
        self.clock += FLOOR_IS_GONE;
        self.call("setmocktime", json!([self.clock]))?;
        // Core counts the time that passed when it is asked next; a block in between would start it anew.
        self.floor().map(|_| ())
    }

    fn test(&mut self, tx: &Transaction) -> Result<(), ChainError> {
        let answer = self.verdict("testmempoolaccept", json!([[serialize_hex(tx)], 0]))?;
        let verdict = &answer[0];
        match (verdict["allowed"].as_bool(), verdict["reject-reason"].as_str()) {
            (Some(true), _) => Ok(()),
            (Some(false), Some(reason)) => Err(ChainError::Refused { reason: reject_word(reason) }),
            _ => Err(self.nonsense("testmempoolaccept", "no verdict")),
        }
    }

    fn mempool(&mut self) -> Result<Vec<Transaction>, ChainError> {
        if let Mempool::Known(transactions) = &self.mempool {
            return Ok(transactions.clone());
        }
        let transactions = self.read_mempool()?;
        self.mempool = Mempool::Known(transactions.clone());
        Ok(transactions)
    }

    fn connect(&mut self, block: &Block) -> Result<(), ChainError> {
        let parent = block.header.prev_blockhash;
        if parent != self.tip_hash() {
            // Core would keep it as a branch, and might later switch to it by itself.
            return Err(ChainError::Refused { reason: "prev-blk-not-found".to_owned() });
        }
        let hash = block.block_hash();
        if self.disconnected.get(&parent).is_some_and(|children| children.contains(&hash)) {
            self.reconnect(hash)?;
            if let Some(children) = self.disconnected.get_mut(&parent) {
                children.remove(&hash);
            }
            self.push(block);
            return Ok(());
        }
        let answer = self.client.call("submitblock", json!([serialize_hex(block)]));
        self.accepted(block, answer)
    }

    fn disconnect(&mut self) -> Result<Block, ChainError> {
        let [.., (parent, _), (tip, _)] = &self.blocks[..] else {
            return Err(ChainError::Refused { reason: "the genesis block stays".to_owned() });
        };
        let (parent, tip) = (*parent, *tip);
        self.call("invalidateblock", json!([tip]))?;
        let best = self.call("getbestblockhash", json!([]))?;
        if best.as_str() != Some(&parent.to_string()) {
            return Err(self.nonsense("getbestblockhash", "the tip's parent did not become the tip"));
        }
        self.disconnected.entry(parent).or_default().insert(tip);
        let Some((_, block)) = self.blocks.pop() else { unreachable!("there were two blocks above") };
        for tx in block.txdata.iter().skip(1) {
            self.remember(tx);
        }
        self.mempool = Mempool::Stale;
        Ok(block)
    }

    fn restart(&mut self) -> Result<(), ChainError> {
        let dead = |error: &dyn std::fmt::Display| ChainError::Backend(error.to_string());
        self.process.kill().map_err(|error| dead(&error))?;
        self.process.start_again().map_err(|error| dead(&error))?;
        self.client = self.process.client().map_err(|error| dead(&error))?;
        // A command line cannot know how far the clock was moved.
        self.call("setmocktime", json!([self.clock]))?;
        self.forget_lost_marks()?;
        self.hand_over_lost_blocks()
    }

    fn unspent(&mut self, outpoint: OutPoint) -> Result<Option<(TxOut, u32)>, ChainError> {
        let answer = self.call("gettxout", json!([outpoint.txid, outpoint.vout, false]))?;
        if answer.is_null() {
            return Ok(None);
        }
        let value = answer["value"].as_f64().and_then(|btc| Amount::from_btc(btc).ok());
        let script = answer["scriptPubKey"]["hex"].as_str().and_then(|hex| ScriptBuf::from_hex(hex).ok());
        let depth = answer["confirmations"].as_u64().and_then(|depth| u32::try_from(depth).ok());
        let height = depth.and_then(|depth| (self.height() + 1).checked_sub(depth));
        match (value, script, height) {
            (Some(value), Some(script_pubkey), Some(height)) => {
                Ok(Some((TxOut { value, script_pubkey }, height)))
            }
            _ => Err(self.nonsense("gettxout", "an output without value, script or depth")),
        }
    }

    fn block_at(&mut self, height: u32) -> Result<Block, ChainError> {
        let block = usize::try_from(height).ok().and_then(|index| self.blocks.get(index));
        match block {
            Some((_, block)) => Ok(block.clone()),
            None => Err(ChainError::Refused { reason: "block height out of range".to_owned() }),
        }
    }
}

/// In one go: `serialize_hex` of the `bitcoin` crate goes byte by byte, which shows with a megabyte.
fn serialize_hex<T: bitcoin::consensus::Encodable>(what: &T) -> String {
    serialize(what).to_lower_hex_string()
}

fn decode<T: bitcoin::consensus::Decodable>(hex: &Value) -> Option<T> {
    deserialize_hex(hex.as_str()?).ok()
}

/// Core's reject word without its details (`min relay fee not met, 0 < 110`), the same for the test and the submission.
pub(crate) fn reject_word(message: &str) -> String {
    let word = message.split_once(", ").map_or(message, |(word, _)| word);
    match word {
        "missing-inputs" => "bad-txns-inputs-missingorspent".to_owned(),
        // What the RPC says in a sentence has a word inside Core.
        word if word.starts_with("package topology disallowed") => {
            "package-not-child-with-parents".to_owned()
        }
        word => word.to_owned(),
    }
}

/// Core's verdict on one member of a package, in the words that it would have alone. If the package was refused as a whole,
/// the words for the single transactions tell only why they needed it.
fn package_verdict(answer: &Value, tx: &Transaction) -> Option<Result<Txid, String>> {
    let result = answer["tx-results"].get(tx.compute_wtxid().to_string())?;
    let package = reject_word(answer["package_msg"].as_str()?);
    let of_members = ["success", "transaction failed", "unspent-dust"].contains(&package.as_str());
    Some(match result["error"].as_str() {
        Some(error) if of_members => Err(reject_word(error)),
        Some(_) => Err(package),
        None if result.get("other-wtxid").is_some() => Err("txn-same-nonwitness-data-in-mempool".to_owned()),
        None if result["fees"].get("effective-feerate").is_some() => Ok(tx.compute_txid()),
        None => Err("txn-already-in-mempool".to_owned()),
    })
}

/// Puts parents before children and changes nothing else of the order.
fn parents_first(transactions: Vec<Transaction>) -> Vec<Transaction> {
    let mut waiting: BTreeSet<Txid> = transactions.iter().map(Transaction::compute_txid).collect();
    let mut rest = transactions;
    let mut ordered = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let before = rest.len();
        let mut later = Vec::new();
        for tx in rest {
            if tx.input.iter().any(|input| waiting.contains(&input.previous_output.txid)) {
                later.push(tx);
            } else {
                waiting.remove(&tx.compute_txid());
                ordered.push(tx);
            }
        }
        if later.len() == before {
            // A cycle of hashes cannot exist; if it did, every transaction is still returned.
            ordered.append(&mut later);
        }
        rest = later;
    }
    ordered
}
