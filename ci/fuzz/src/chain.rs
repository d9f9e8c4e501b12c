//! A chain for three nodes that believe each other's signatures: coins are there or not, spent once, and locked as long as
//! their spender says (BIP 65, 68). Scripts are not run: what no honest chain could hold must still not be mined here.

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::constants::genesis_block;
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version as TxVersion;
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn,
    TxMerkleNode, TxOut, Txid, Witness,
};
use leyden_core::node::NewBlock;
use leyden_core::units::BlockHeight;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Clone)]
pub struct Chain {
    blocks: Vec<Arc<NewBlock>>,
    pub mempool: Vec<Arc<Transaction>>,
    /// Unspent outputs and the height at which each was mined.
    coins: BTreeMap<OutPoint, u32>,
    salt: u32,
}

pub fn birthday() -> (BlockHeight, BlockHash) {
    (BlockHeight::ZERO, genesis_block(Network::Regtest).block_hash())
}

impl Chain {
    pub fn new() -> Self {
        Self { blocks: Vec::new(), mempool: Vec::new(), coins: BTreeMap::new(), salt: 0 }
    }

    pub fn height(&self) -> u32 {
        self.blocks.len() as u32
    }

    /// Into the mempool, if it is not there and could still be mined beside what is mined.
    pub fn submit(&mut self, tx: Transaction) {
        let txid = tx.compute_txid();
        let known = self.mempool.iter().any(|other| other.compute_txid() == txid);
        let possible = tx.input.iter().all(|input| self.is_coin(&input.previous_output));
        if !known && possible {
            self.mempool.push(Arc::new(tx));
        }
    }

    fn is_coin(&self, coin: &OutPoint) -> bool {
        let creates =
            |tx: &Arc<Transaction>| tx.compute_txid() == coin.txid && (coin.vout as usize) < tx.output.len();
        self.coins.contains_key(coin) || self.mempool.iter().any(creates)
    }

    /// A coin from nowhere, in the next block.
    pub fn gift(&mut self, to: ScriptBuf, sat: u64) {
        self.salt += 1;
        let mut source = [0; 32];
        source[..4].copy_from_slice(&self.salt.to_le_bytes());
        let source = OutPoint::new(Txid::from_byte_array(source), 0);
        self.coins.insert(source, 0);
        self.mempool.push(Arc::new(Transaction {
            version: TxVersion::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn {
                previous_output: source,
                script_sig: ScriptBuf::new(),
                sequence: Sequence::MAX,
                witness: Witness::new(),
            }],
            output: vec![TxOut { value: Amount::from_sat(sat), script_pubkey: to }],
        }));
    }

    /// The next block: of the mempool's first eight those whose bit is set, and all others, as far as they can be mined.
    pub fn mine(&mut self, choice: u8) -> Arc<NewBlock> {
        let height = self.height() + 1;
        let mut mined = Vec::new();
        for (index, tx) in std::mem::take(&mut self.mempool).into_iter().enumerate() {
            let chosen = index >= 8 || choice >> index & 1 == 1;
            if chosen && self.can_be_mined(&tx, height) {
                self.spend(&tx, height);
                mined.push(tx.as_ref().clone());
            } else {
                self.mempool.push(tx);
            }
        }
        let mempool = std::mem::take(&mut self.mempool);
        for tx in mempool {
            // What conflicts with the block is gone.
            if tx.input.iter().all(|input| self.is_coin(&input.previous_output)) {
                self.mempool.push(tx);
            }
        }
        let header = Header {
            version: Version::TWO,
            prev_blockhash: self.blocks.last().map_or(birthday().1, |block| block.hash),
            merkle_root: TxMerkleNode::all_zeros(),
            time: height,
            bits: CompactTarget::from_consensus(0x207f_ffff),
            nonce: u32::from(choice),
        };
        let block = Block { header, txdata: mined };
        let block = NewBlock { height: BlockHeight::new(height), hash: block.block_hash(), block };
        self.blocks.push(Arc::new(block));
        self.blocks[self.blocks.len() - 1].clone()
    }

    /// Takes the tip out of the chain; its transactions are in the mempool again. Blocks up to `floor` stay.
    pub fn unmine(&mut self, floor: u32) -> Option<BlockHeight> {
        if self.height() <= floor {
            return None;
        }
        let gone = self.blocks.pop()?;
        for tx in &gone.block.txdata {
            let txid = tx.compute_txid();
            self.coins.retain(|coin, _| coin.txid != txid);
        }
        let created = |coin: &OutPoint| {
            let found = |block: &Arc<NewBlock>| {
                let made = |tx: &Transaction| tx.compute_txid() == coin.txid;
                block.block.txdata.iter().any(made).then(|| block.height.get())
            };
            self.blocks.iter().find_map(found)
        };
        let spent = gone.block.txdata.iter().flat_map(|tx| &tx.input).map(|input| input.previous_output);
        let back: Vec<(OutPoint, u32)> = spent.filter_map(|coin| Some((coin, created(&coin)?))).collect();
        self.coins.extend(back);
        let returned = gone.block.txdata.iter().cloned().map(Arc::new);
        self.mempool = returned.chain(std::mem::take(&mut self.mempool)).collect();
        Some(gone.height)
    }

    fn can_be_mined(&self, tx: &Transaction, height: u32) -> bool {
        let final_at = |input: &TxIn| match (self.coins.get(&input.previous_output), tx.version.0 >= 2) {
            (None, _) => false,
            (Some(_), false) => true,
            (Some(mined), true) => match input.sequence.to_relative_lock_time() {
                Some(bitcoin::relative::LockTime::Blocks(blocks)) => {
                    height >= mined + u32::from(blocks.value())
                }
                Some(bitcoin::relative::LockTime::Time(_)) => false,
                None => true,
            },
        };
        let locked = match tx.lock_time {
            LockTime::Blocks(locked) => locked.to_consensus_u32() >= height,
            LockTime::Seconds(_) => false,
        };
        let ignores_lock = tx.input.iter().all(|input| input.sequence == Sequence::MAX);
        (!locked || ignores_lock) && tx.input.iter().all(final_at)
    }

    fn spend(&mut self, tx: &Transaction, height: u32) {
        for input in &tx.input {
            self.coins.remove(&input.previous_output);
        }
        let txid = tx.compute_txid();
        for vout in 0..tx.output.len() as u32 {
            self.coins.insert(OutPoint::new(txid, vout), height);
        }
    }
}
