//! The ground under a world: a chain backend, our miner over it, and every block it mined. Both worlds get the same blocks.
use super::live::CoreEndpoint;
use super::{WorldError, WorldKind};
use crate::chain::core_process::PeerPort;
use crate::chain::core_rpc::CoreChain;
use crate::chain::electrs::{Electrs, ElectrsError};
use crate::chain::miner::{initial_blocks, topological};
use crate::chain::{Chain, ChainError, EmbeddedChain, Miner, Tip};
use bitcoin::{Block, OutPoint, Transaction, TxOut, Txid};
use leyden_core::node::NewBlock;
use leyden_core::units::BlockHeight;
use std::path::PathBuf;
use std::sync::Arc;

/// A chain and who mines it.
pub struct Ground {
    kind: WorldKind,
    backend: Backend,
    miner: Miner,
    blocks: Vec<Arc<NewBlock>>,
    /// The mempool is known to be empty: asking Core at every one of a thousand empty blocks takes longer than mining them.
    swept: bool,
    /// The mempool was filled and has not been empty since.
    full: bool,
    /// Known to the miner alone.
    handed: Vec<Transaction>,
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
            WorldKind::Regtest | WorldKind::Live => {
                let live = kind == WorldKind::Live;
                let peers = if live { PeerPort::Loopback } else { PeerPort::Closed };
                let core = CoreChain::with_initial_blocks(peers);
                let core = core.map_err(|error| WorldError::Start { world: kind, why: error.to_string() })?;
                Backend::Core(Box::new(core))
            }
        };
        let miner = Miner::bootstrap(backend.chain())?;
        let mut ground =
            Self { kind, backend, miner, blocks: Vec::new(), swept: true, full: false, handed: Vec::new() };
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
        let waiting = match &mut self.backend {
            // In this order already.
            Backend::Embedded(chain) => chain.mempool()?,
            Backend::Core(chain) => topological(chain.mempool()?),
        };
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
        self.backend.chain().submit_package(transactions)
    }

    /// The least feerate that the mempool takes now, in sat per 1000 vbytes.
    pub fn floor(&mut self) -> Result<u64, ChainError> {
        self.backend.chain().floor()
    }

    /// The transaction whose outputs [`Ground::fill`] spends; mine it first. `feerate` in sat per 1000 weight units.
    pub fn split(&mut self, feerate: u32) -> Result<Transaction, ChainError> {
        let tip = self.backend.chain().tip();
        self.miner.split(tip, feerate)
    }

    /// Fills the mempool with the miner's transactions of this feerate (sat per 1000 weight units), until it is full and
    /// holds nothing cheaper. The floor that this gives stands until a block leaves the mempool empty.
    pub fn fill(&mut self, split: &Transaction, feerate: u32) -> Result<(), ChainError> {
        self.swept = false;
        self.full = true;
        self.miner.fill(self.backend.chain(), split, feerate)
    }

    /// Gives a transaction to the miner alone: the next block that [`Ground::mine`] makes holds it, before that nobody sees
    /// it. What conflicts with it in the mempool is left out of that block.
    pub fn hand_to_miner(&mut self, tx: Transaction) {
        self.handed.push(tx);
    }

    /// Pays these outputs from the miner's pocket, into the mempool.
    pub fn fund(&mut self, outputs: Vec<TxOut>) -> Result<Transaction, ChainError> {
        self.swept = false;
        self.miner.fund(self.backend.chain(), outputs)
    }

    /// Mines what was handed to the miner alone, and what the mempool holds and `wanted` lets through. A child of what was
    /// left out is left out. If not all fits, the dearest is mined.
    pub fn mine(&mut self, wanted: &dyn Fn(&Transaction) -> bool) -> Result<Arc<NewBlock>, ChainError> {
        let handed = std::mem::take(&mut self.handed);
        let taken: Vec<OutPoint> = handed.iter().flat_map(spent).collect();
        let known: Vec<Txid> = handed.iter().map(Transaction::compute_txid).collect();
        let mut left_out: Vec<Txid> = Vec::new();
        let mut chosen = Vec::new();
        for tx in self.mempool()? {
            if !known.is_empty() && known.contains(&tx.compute_txid()) {
                continue;
            }
            let orphan = spent(&tx).any(|outpoint| left_out.contains(&outpoint.txid));
            let loser = spent(&tx).any(|outpoint| taken.contains(&outpoint));
            if orphan || loser || !wanted(&tx) {
                left_out.push(tx.compute_txid());
            } else {
                chosen.push(tx);
            }
        }
        if !handed.is_empty() {
            chosen.extend(handed);
            chosen = topological(chosen);
        }
        self.mine_these(chosen)
    }

    /// Mines exactly these transactions, parents first, whether or not the mempool would have taken them.
    pub fn mine_these(&mut self, chosen: Vec<Transaction>) -> Result<Arc<NewBlock>, ChainError> {
        self.swept = false;
        let block = self.miner.mine_these(self.backend.chain(), chosen)?;
        let height = self.backend.chain().tip().height;
        if self.full && self.mempool()?.is_empty() {
            self.full = false;
            self.backend.chain().let_floor_fall()?;
        }
        Ok(self.note(height, block))
    }

    /// Takes the tip out of the chain.
    pub fn unmine(&mut self) -> Result<(), ChainError> {
        self.swept = false;
        self.miner.unmine(self.backend.chain())?;
        self.blocks.pop();
        Ok(())
    }

    /// Whoever holds the chain is killed and starts again from its disk. What was in the mempool is lost.
    pub fn restart(&mut self) -> Result<(), ChainError> {
        (self.swept, self.full) = (false, false);
        self.backend.chain().restart()
    }

    /// Where processes reach Core, in a live world.
    pub fn core_endpoint(&mut self) -> Option<CoreEndpoint> {
        match (&mut self.backend, self.kind) {
            (Backend::Core(core), WorldKind::Live) => {
                let process = core.process();
                Some(CoreEndpoint {
                    url: format!("http://127.0.0.1:{}", process.rpc_port()),
                    cookie: process.folder().join("regtest/.cookie"),
                    log: process.debug_log(),
                    pid: process.pid(),
                })
            }
            (Backend::Core(_) | Backend::Embedded(_), _) => None,
        }
    }

    /// An Electrum server that has all of this chain, in a live world.
    pub fn index(&mut self) -> Result<Option<Electrs>, ElectrsError> {
        match (&mut self.backend, self.kind) {
            (Backend::Core(core), WorldKind::Live) => {
                let tip = core.tip();
                Electrs::on(core.process(), tip).map(Some)
            }
            (Backend::Core(_) | Backend::Embedded(_), _) => Ok(None),
        }
    }

    /// Somebody else handed this to Core, which took it.
    pub fn heard_of(&mut self, tx: &Transaction) {
        self.swept = false;
        if let Backend::Core(core) = &mut self.backend {
            core.heard_of(tx);
        }
    }

    /// Core's data folder, its log inside; nothing in the embedded world.
    pub fn core_folder(&mut self) -> Option<PathBuf> {
        match &mut self.backend {
            Backend::Embedded(_) => None,
            Backend::Core(core) => Some(core.process().folder().to_path_buf()),
        }
    }
}

fn spent(tx: &Transaction) -> impl Iterator<Item = OutPoint> + '_ {
    tx.input.iter().map(|input| input.previous_output)
}
