//! The embedded chain and Bitcoin Core as one chain, for the tests that hold one to the other: every call goes to both, and the
//! first difference ends the test with the step and the transactions in hex. And dice with a seed.
#![allow(dead_code, missing_docs)]
use std::collections::{BTreeMap, BTreeSet};

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::{Block, OutPoint, Sequence, Transaction, TxOut, Txid, Wtxid};
use leyden_harness::chain::miner::{build, miner_script};
use leyden_harness::chain::{Chain, ChainError, CoreChain, EmbeddedChain, Miner, Tip};

/// Both chains as one: every answer must be the same.
pub struct Both {
    pub embedded: EmbeddedChain,
    pub core: CoreChain,
    pub step: String,
    pub words: BTreeMap<String, usize>,
    pub accepted: usize,
}

impl Both {
    /// Both with the initial blocks, and a miner over them.
    pub fn start() -> (Both, Miner) {
        let mut embedded = EmbeddedChain::with_initial_blocks();
        let mut core = CoreChain::start().expect("Bitcoin Core starts");
        let miner = Miner::bootstrap(&mut core).expect("Core takes the initial blocks");
        assert_eq!(embedded.tip(), core.tip());
        Miner::bootstrap(&mut embedded).expect("it has the initial blocks");
        (Both { embedded, core, step: String::new(), words: BTreeMap::new(), accepted: 0 }, miner)
    }

    pub fn agree<T: PartialEq + std::fmt::Debug>(
        &mut self,
        what: &str,
        embedded: Result<T, ChainError>,
        core: Result<T, ChainError>,
        about: impl FnOnce() -> String,
    ) -> Result<T, ChainError> {
        assert_eq!(embedded, core, "{} (left: embedded, right: Core), {what} of {}", self.step, about());
        if let Err(ChainError::Refused { reason }) = &core {
            *self.words.entry(reason.clone()).or_default() += 1;
        }
        core
    }

    pub fn same_mempool(&mut self) {
        let ids =
            |txs: Vec<Transaction>| txs.iter().map(Transaction::compute_wtxid).collect::<BTreeSet<Wtxid>>();
        let pool = self.core.mempool();
        let (embedded, core) = (self.embedded.mempool().map(ids), pool.clone().map(ids));
        let hex = || format!("{:#?}", pool.iter().flatten().map(serialize_hex).collect::<Vec<_>>());
        let _ = self.agree("mempool", embedded, core, hex);
    }

    /// Empty blocks until a relative lock of this sequence is over.
    pub fn mine_empty(&mut self, sequence: Sequence) {
        let blocks = if sequence.is_relative_lock_time() { sequence.0 & 0xffff } else { 0 };
        while self.tip().height < 108 {
            self.connect(&build(self.tip(), &[], miner_script())).expect("an empty block");
        }
        for _ in 0..blocks {
            self.connect(&build(self.tip(), &[], miner_script())).expect("an empty block");
        }
    }
}

impl Chain for Both {
    fn tip(&self) -> Tip {
        assert_eq!(self.embedded.tip(), self.core.tip(), "{}", self.step);
        self.core.tip()
    }

    fn submit(&mut self, tx: &Transaction) -> Result<Txid, ChainError> {
        let (embedded, core) = (self.embedded.submit(tx), self.core.submit(tx));
        let answer = self.agree("submit", embedded, core, || serialize_hex(tx));
        self.accepted += usize::from(answer.is_ok());
        self.same_mempool();
        answer
    }

    fn submit_package(
        &mut self,
        transactions: &[Transaction],
    ) -> Result<Vec<Result<Txid, ChainError>>, ChainError> {
        let embedded = self.embedded.submit_package(transactions);
        let core = self.core.submit_package(transactions);
        let hex = || format!("{:#?}", transactions.iter().map(serialize_hex).collect::<Vec<_>>());
        let answer = self.agree("submit_package", embedded, core, hex)?;
        for verdict in &answer {
            match verdict {
                Ok(_) => self.accepted += 1,
                Err(ChainError::Refused { reason }) => *self.words.entry(reason.clone()).or_default() += 1,
                Err(ChainError::Backend(fault)) => panic!("{fault}"),
            }
        }
        self.same_mempool();
        Ok(answer)
    }

    fn floor(&mut self) -> Result<u64, ChainError> {
        let (embedded, core) = (self.embedded.floor(), self.core.floor());
        self.agree("floor", embedded, core, String::new)
    }

    fn let_floor_fall(&mut self) -> Result<(), ChainError> {
        let (embedded, core) = (self.embedded.let_floor_fall(), self.core.let_floor_fall());
        self.agree("let_floor_fall", embedded, core, String::new)
    }

    fn test(&mut self, tx: &Transaction) -> Result<(), ChainError> {
        let (embedded, core) = (self.embedded.test(tx), self.core.test(tx));
        self.agree("test", embedded, core, || serialize_hex(tx))
    }

    fn mempool(&mut self) -> Result<Vec<Transaction>, ChainError> {
        self.same_mempool();
        self.embedded.mempool()
    }

    fn connect(&mut self, block: &Block) -> Result<(), ChainError> {
        let (embedded, core) = (self.embedded.connect(block), self.core.connect(block));
        let answer = self.agree("connect", embedded, core, || serialize_hex(block));
        self.same_mempool();
        answer
    }

    fn disconnect(&mut self) -> Result<Block, ChainError> {
        let (embedded, core) = (self.embedded.disconnect(), self.core.disconnect());
        let answer = self.agree("disconnect", embedded, core, String::new);
        self.same_mempool();
        answer
    }

    fn restart(&mut self) -> Result<(), ChainError> {
        let (embedded, core) = (self.embedded.restart(), self.core.restart());
        self.agree("restart", embedded, core, || "both start again".into())
    }

    fn unspent(&mut self, outpoint: OutPoint) -> Result<Option<(TxOut, u32)>, ChainError> {
        let (embedded, core) = (self.embedded.unspent(outpoint), self.core.unspent(outpoint));
        self.agree("unspent", embedded, core, || outpoint.to_string())
    }

    fn block_at(&mut self, height: u32) -> Result<Block, ChainError> {
        let (embedded, core) = (self.embedded.block_at(height), self.core.block_at(height));
        self.agree("block_at", embedded, core, || height.to_string())
    }
}

/// Splitmix64: the same numbers for the same seed.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    pub fn one_in(&mut self, sides: u64) -> bool {
        self.below(sides) == 0
    }

    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize].clone()
    }
}
