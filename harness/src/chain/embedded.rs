//! The embedded chain: a real regtest chain and mempool in memory, judged by the same rules as Core (libbitcoinconsensus for
//! scripts; see `consensus`, `policy`, `accept`, `block`). No clock and no threads: the same calls give the same chain.
//! One rule of Core's is not followed: when a reorg joins unconfirmed transactions to a cluster of more than 64, Core puts
//! some of them out, and this chain keeps them all.
use std::sync::OnceLock;

use bitcoin::{Block, OutPoint, Transaction, TxOut, Txid};

use super::accept::{self, Fees, ScriptMemo};
use super::coins::CoinView;
use super::ledger::Ledger;
use super::mempool::Mempool;
use super::miner::{initial_blocks, topological_by_id};
use super::reject::Reject;
use super::{block, package, room, Chain, ChainError, Tip};

/// A chain of its own, from regtest's genesis.
#[derive(Clone, Debug)]
pub struct EmbeddedChain {
    ledger: Ledger,
    pool: Mempool,
    memo: ScriptMemo,
}

impl Default for EmbeddedChain {
    fn default() -> Self {
        EmbeddedChain::new()
    }
}

impl EmbeddedChain {
    /// Only the genesis block.
    pub fn new() -> EmbeddedChain {
        EmbeddedChain { ledger: Ledger::genesis(), pool: Mempool::default(), memo: ScriptMemo::new() }
    }

    /// Bytes that Core would count for this mempool.
    pub fn mempool_bytes(&self) -> u64 {
        room::bytes(&self.pool)
    }

    /// With the miner's initial blocks, prepared once for the process.
    ///
    /// # Panics
    /// If our own miner built blocks that our own rules refuse.
    pub fn with_initial_blocks() -> EmbeddedChain {
        static PREPARED: OnceLock<EmbeddedChain> = OnceLock::new();
        PREPARED
            .get_or_init(|| {
                let mut chain = EmbeddedChain::new();
                for block in initial_blocks() {
                    if let Err(refused) = chain.connect(block) {
                        panic!("initial block {}: {refused}", block.block_hash());
                    }
                }
                chain
            })
            .clone()
    }
}

impl Chain for EmbeddedChain {
    fn tip(&self) -> Tip {
        self.ledger.tip()
    }

    fn submit(&mut self, tx: &Transaction) -> Result<Txid, ChainError> {
        let acceptance = accept::judge(tx, &self.ledger, &self.pool, &mut self.memo, Fees::Own)?;
        let txid = acceptance.apply(&mut self.pool);
        room::trim(&mut self.pool);
        match self.pool.get(&txid) {
            Some(_) => Ok(txid),
            None => Err(Reject::MempoolFull.into()),
        }
    }

    fn submit_package(
        &mut self,
        transactions: &[Transaction],
    ) -> Result<Vec<Result<Txid, ChainError>>, ChainError> {
        let verdicts = package::submit(transactions, &self.ledger, &mut self.pool, &mut self.memo);
        Ok(verdicts.into_iter().map(|verdict| verdict.map_err(ChainError::from)).collect())
    }

    fn floor(&mut self) -> Result<u64, ChainError> {
        Ok(self.pool.floor.or_relay_minimum())
    }

    fn let_floor_fall(&mut self) -> Result<(), ChainError> {
        self.pool.floor.fall();
        Ok(())
    }

    fn test(&mut self, tx: &Transaction) -> Result<(), ChainError> {
        accept::judge(tx, &self.ledger, &self.pool, &mut self.memo, Fees::Own)?;
        Ok(())
    }

    fn mempool(&mut self) -> Result<Vec<Transaction>, ChainError> {
        Ok(topological_by_id(self.pool.transactions().map(|(txid, tx)| (txid, tx.clone())).collect()))
    }

    fn connect(&mut self, block: &Block) -> Result<(), ChainError> {
        block::connect(block, &mut self.ledger, &self.memo)?;
        self.pool.floor.block();
        for tx in &block.txdata {
            self.pool.remove(&tx.compute_txid());
            for input in &tx.input {
                let loser = self.pool.spender(&input.previous_output).and_then(|txid| self.pool.get(&txid));
                if let Some(loser) = loser.map(|entry| entry.tx.clone()) {
                    self.pool.remove_with_descendants(&loser);
                }
            }
        }
        Ok(())
    }

    fn disconnect(&mut self) -> Result<Block, ChainError> {
        let block = self.ledger.pop().ok_or(Reject::GenesisStays)?;
        for tx in &block.txdata {
            match accept::judge(tx, &self.ledger, &self.pool, &mut self.memo, Fees::Waived) {
                Ok(acceptance) => {
                    acceptance.apply(&mut self.pool);
                }
                Err(_) => self.pool.remove_with_descendants(tx),
            }
        }
        accept::drop_unripe(&self.ledger, &mut self.pool);
        room::trim(&mut self.pool);
        Ok(block)
    }

    fn restart(&mut self) -> Result<(), ChainError> {
        self.pool = Mempool::default();
        Ok(())
    }

    fn unspent(&mut self, outpoint: OutPoint) -> Result<Option<(TxOut, u32)>, ChainError> {
        Ok(self.ledger.coin(&outpoint).map(|coin| (coin.out, coin.height)))
    }

    fn block_at(&mut self, height: u32) -> Result<Block, ChainError> {
        let found = self.ledger.at(height).map(|connected| connected.block.clone());
        Ok(found.ok_or(Reject::NoSuchHeight)?)
    }
}
