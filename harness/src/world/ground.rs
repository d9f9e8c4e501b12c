//! The ground under a world: a chain backend, our miner over it, and every block it mined. Both worlds get the same blocks.
use super::{WorldError, WorldKind};
use crate::chain::core_rpc::CoreChain;
use crate::chain::miner::{initial_blocks, topological};
use crate::chain::{Chain, ChainError, EmbeddedChain, Miner, Tip};
use bitcoin::{Block, Transaction, TxOut, Txid};
use leyden_core::node::NewBlock;
use leyden_core::units::BlockHeight;
use std::path::PathBuf;
use std::sync::Arc;

/// A chain and who mines it.
pub struct Ground {
    backend: Backend,
    miner: Miner,
    blocks: Vec<Arc<NewBlock>>,
    /// The mempool is known to be empty: asking Core at every one of a thousand empty blocks takes longer than mining them.
    swept: bool,
}

enum Backend {
    Embedded(Box<EmbeddedChain>),
    Core(Box<CoreChain>),
}

impl Backend {
    fn chain(&mut self) -> &mut dyn Chain {
        match self {
            Backend::Embedded(chain) => chain.as_mut(),
            Backend::Core(chain) => chain.as_mut(),
        }
    }
}

impl Ground {
    /// Starts the chain of this world, with its first blocks.
    pub fn new(kind: WorldKind) -> Result<Self, WorldError> {
        let mut backend = match kind {
            WorldKind::Sim => Backend::Embedded(Box::new(EmbeddedChain::with_initial_blocks())),
            WorldKind::Regtest => {
                let core = CoreChain::with_initial_blocks();
                let core = core.map_err(|error| WorldError::Start { world: kind, why: error.to_string() })?;
                Backend::Core(Box::new(core))
            }
        };
        let miner = Miner::bootstrap(backend.chain())?;
        let mut ground = Self { backend, miner, blocks: Vec::new(), swept: true };
        for (height, block) in (1..).zip(initial_blocks()) {
            ground.note(height, block.clone());
        }
        Ok(ground)
    }

    fn note(&mut self, height: u32, block: Block) -> Arc<NewBlock> {
        let new = Arc::new(NewBlock { height: BlockHeight::new(height), hash: block.block_hash(), block });
        self.blocks.push(new.clone());
        new
    }

    /// The chain itself.
    pub fn chain(&mut self) -> &mut dyn Chain {
        self.swept = false;
        self.backend.chain()
    }

    /// The best chain's tip.
    pub fn tip(&mut self) -> Tip {
        self.backend.chain().tip()
    }

    /// What the mempool holds, parents first.
    pub fn mempool(&mut self) -> Result<Vec<Transaction>, ChainError> {
        if self.swept {
            return Ok(Vec::new());
        }
        let waiting = topological(self.backend.chain().mempool()?);
        self.swept = waiting.is_empty();
        Ok(waiting)
    }

    /// Every block of the best chain, the first after genesis first.
    pub fn blocks(&self) -> &[Arc<NewBlock>] {
        &self.blocks
    }

    /// Hands a transaction to the mempool.
    pub fn submit(&mut self, tx: &Transaction) -> Result<Txid, ChainError> {
        self.swept = false;
        self.backend.chain().submit(tx)
    }

    /// Hands transactions to the mempool together, parents first; the answer for each.
    pub fn submit_package(
        &mut self,
        transactions: &[Transaction],
    ) -> Result<Vec<Result<Txid, ChainError>>, ChainError> {
        self.swept = false;
        Ok(transactions.iter().map(|tx| self.backend.chain().submit(tx)).collect())
    }

    /// Pays these outputs from the miner's pocket, into the mempool.
    pub fn fund(&mut self, outputs: Vec<TxOut>) -> Result<Transaction, ChainError> {
        self.swept = false;
        self.miner.fund(self.backend.chain(), outputs)
    }

    /// Mines what the mempool holds and `wanted` lets through. A child of what was left out is left out.
    pub fn mine(&mut self, wanted: &dyn Fn(&Transaction) -> bool) -> Result<Arc<NewBlock>, ChainError> {
        let mut left_out: Vec<Txid> = Vec::new();
        let mut chosen = Vec::new();
        for tx in self.mempool()? {
            let orphan = tx.input.iter().any(|input| left_out.contains(&input.previous_output.txid));
            if orphan || !wanted(&tx) {
                left_out.push(tx.compute_txid());
            } else {
                chosen.push(tx);
            }
        }
        self.mine_these(chosen)
    }

    /// Mines exactly these transactions, parents first, whether or not the mempool would have taken them.
    pub fn mine_these(&mut self, chosen: Vec<Transaction>) -> Result<Arc<NewBlock>, ChainError> {
        self.swept = false;
        let block = self.miner.mine_these(self.backend.chain(), chosen)?;
        let height = self.backend.chain().tip().height;
        Ok(self.note(height, block))
    }

    /// Takes the tip out of the chain.
    pub fn unmine(&mut self) -> Result<(), ChainError> {
        self.swept = false;
        self.miner.unmine(self.backend.chain())?;
        self.blocks.pop();
        Ok(())
    }

    /// Core's data folder, its log inside; nothing in the embedded world.
    pub fn core_folder(&mut self) -> Option<PathBuf> {
        match &mut self.backend {
            Backend::Embedded(_) => None,
            Backend::Core(core) => Some(core.process().folder().to_path_buf()),
        }
    }
}
