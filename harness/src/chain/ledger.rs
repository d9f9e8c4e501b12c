//! The confirmed chain: blocks from genesis to the tip, unspent outputs, and undo data to take the tip out again. It does
//! not judge; `block` does, before it adds.
use std::collections::BTreeMap;
use std::sync::Arc;

use bitcoin::constants::genesis_block;
use bitcoin::{Block, BlockHash, Network, OutPoint};

use super::coins::{created_coins, Coin, CoinSet, CoinView};
use super::consensus::Clock;
use super::Tip;

/// A block of the chain and the coins that it spent.
#[derive(Debug)]
pub struct Connected {
    /// The block.
    pub block: Block,
    /// Its hash.
    pub hash: BlockHash,
    undo: Vec<(OutPoint, Coin)>,
}

/// Blocks and coins. Cloning shares the blocks.
#[derive(Clone, Debug)]
pub struct Ledger {
    blocks: Vec<Arc<Connected>>,
    coins: CoinSet,
}

impl Ledger {
    /// Regtest's genesis alone. Its coinbase is not a coin.
    pub fn genesis() -> Ledger {
        let block = genesis_block(Network::Regtest);
        let hash = block.block_hash();
        Ledger { blocks: vec![Arc::new(Connected { block, hash, undo: Vec::new() })], coins: CoinSet::new() }
    }

    /// The tip.
    pub fn tip(&self) -> Tip {
        let height = self.blocks.len().saturating_sub(1) as u32;
        let hash =
            self.blocks.last().map_or_else(|| genesis_block(Network::Regtest).block_hash(), |tip| tip.hash);
        Tip { height, hash }
    }

    /// The block at a height.
    pub fn at(&self, height: u32) -> Option<&Connected> {
        self.blocks.get(height as usize).map(Arc::as_ref)
    }

    /// Adds a block that was checked, with what it spends and creates beyond itself.
    pub fn push(&mut self, block: Block, spent: Vec<(OutPoint, Coin)>, created: BTreeMap<OutPoint, Coin>) {
        for (outpoint, _) in &spent {
            self.coins.remove(outpoint);
        }
        self.coins.extend(created);
        let hash = block.block_hash();
        self.blocks.push(Arc::new(Connected { block, hash, undo: spent }));
    }

    /// Takes the tip out and restores what it spent. `None` at genesis.
    pub fn pop(&mut self) -> Option<Block> {
        if self.blocks.len() < 2 {
            return None;
        }
        let connected = self.blocks.pop()?;
        for tx in &connected.block.txdata {
            for (outpoint, _) in created_coins(tx, 0) {
                self.coins.remove(&outpoint);
            }
        }
        self.coins.extend(connected.undo.iter().cloned());
        Some(connected.block.clone())
    }
}

impl CoinView for Ledger {
    fn coin(&self, outpoint: &OutPoint) -> Option<Coin> {
        self.coins.coin(outpoint)
    }
}

impl Clock for Ledger {
    fn next_height(&self) -> u32 {
        self.tip().height + 1
    }

    fn median_time_past(&self, height: u32) -> u32 {
        let last = (height as usize).min(self.blocks.len().saturating_sub(1));
        let mut times: Vec<u32> = self
            .blocks
            .iter()
            .take(last + 1)
            .rev()
            .take(11)
            .map(|connected| connected.block.header.time)
            .collect();
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or(0)
    }
}
