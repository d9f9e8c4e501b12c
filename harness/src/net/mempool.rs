//! Hostile weather between a transaction and its block: a mempool that is full, a miner who takes what nobody saw, a chain that
//! turns to other transactions. Thin words over the ground; both worlds do the same.
use super::Net;
use bitcoin::{Transaction, Txid};
use leyden_core::units::FeeratePerKw;

/// A mempool of fillers is empty after five blocks. Other transactions may take some more.
const MOST_DRAINING_BLOCKS: u32 = 20;

impl Net {
    /// Fills the mempool with the miner's own transactions of this feerate (each near the largest standard size, all of it
    /// fee) until nothing cheaper is left in it, and cheaper transactions are refused: `mempool min fee not met`.
    ///
    /// It mines one block first, which holds nothing but the transaction that the fillers spend. Afterwards the floor is
    /// this feerate and the relay increment of 25 sat per 1000 weight. It stands there, since the chain's own clock does
    /// not run: however many blocks come, until one leaves the mempool empty. Then it is gone.
    #[track_caller]
    pub fn fill_mempool(&mut self, feerate: FeeratePerKw) {
        let split = self.world.ground().split(feerate.get());
        let split = self.need(split);
        self.mine_these(vec![split.clone()]);
        let filled = self.world.ground().fill(&split, feerate.get());
        self.need(filled);
        let floor = self.mempool_floor().get();
        self.highest_feerate = self.highest_feerate.max(floor);
        self.note(format!("the mempool is full: nothing below {floor} sat/kw gets in"));
    }

    /// The least feerate that the mempool takes now, rounded up: 25 while it was never full.
    #[track_caller]
    pub fn mempool_floor(&mut self) -> FeeratePerKw {
        let floor = self.world.ground().floor();
        let floor = self.need(floor).div_ceil(4);
        FeeratePerKw::new(u32::try_from(floor).unwrap_or(u32::MAX))
    }

    /// Mines until the mempool is empty, which takes five blocks if it was filled. The floor falls with the last of them.
    /// What must never be mined stays, and the floor with it.
    #[track_caller]
    pub fn drain_mempool(&mut self) {
        for _ in 0..MOST_DRAINING_BLOCKS {
            let waiting = self.mempool();
            if waiting.iter().all(|tx| self.never_mined.contains(&tx.compute_txid())) {
                return;
            }
            self.mine(1);
        }
        panic!("the mempool is not empty after {MOST_DRAINING_BLOCKS} blocks");
    }

    /// Whether this transaction waits in the mempool.
    #[track_caller]
    pub fn waits(&mut self, txid: Txid) -> bool {
        self.mempool().iter().any(|tx| tx.compute_txid() == txid)
    }

    /// Hands transactions to the mempool together, parents first and the child last; the chain must take them all.
    #[track_caller]
    pub fn submit_package(&mut self, transactions: &[Transaction]) {
        let verdicts = self.world.submit_package(transactions);
        for (tx, verdict) in transactions.iter().zip(self.need(verdicts)) {
            if let Err(error) = verdict {
                panic!("transaction {} of a package was to be taken: {error}", tx.compute_txid());
            }
        }
        let txids: Vec<String> = transactions.iter().map(short).collect();
        self.note(format!("the scenario submits a package: tx {}", txids.join(", ")));
    }

    /// Hands transactions to the mempool together. The chain must answer each with this word of Core's; none stands for one
    /// that it takes.
    #[track_caller]
    pub fn expect_package(&mut self, transactions: &[Transaction], words: &[Option<&str>]) {
        let verdicts = self.world.submit_package(transactions);
        let verdicts = self.need(verdicts);
        assert_eq!(verdicts.len(), words.len(), "a word for each transaction");
        for ((tx, verdict), word) in transactions.iter().zip(verdicts).zip(words) {
            let said = match verdict {
                Ok(_) => None,
                Err(crate::chain::ChainError::Refused { reason }) => Some(reason),
                Err(failure @ crate::chain::ChainError::Backend(_)) => panic!("{failure}"),
            };
            assert_eq!(said.as_deref(), *word, "the verdict on {} in a package", tx.compute_txid());
            let said = said.map_or("takes".to_owned(), |reason| format!("refuses ({reason})"));
            self.note(format!("in a package, the chain {said} tx {}", short(tx)));
        }
    }

    /// Gives a transaction to the miner alone: nobody sees it before the next block, which holds it. What conflicts with it in
    /// the mempool loses. Policy is not asked; if it is not valid then, the scenario ends there.
    pub fn hand_to_miner(&mut self, tx: Transaction) {
        self.note(format!("the miner alone gets tx {}", short(&tx)));
        self.world.ground().hand_to_miner(tx);
    }

    /// Turns the chain: takes `depth` blocks out and mines one more in their place, each of exactly the transactions (parents
    /// first) that are given for its height. They may conflict with what was mined before or with what waits; the losers and
    /// what hangs on them are gone. What is neither mined again nor lost waits in the mempool.
    #[track_caller]
    pub fn reorg(&mut self, depth: u32, mut transactions: impl FnMut(u32) -> Vec<Transaction>) {
        self.unmine(depth);
        for _ in 0..=depth {
            let height = self.height() + 1;
            self.mine_these(transactions(height));
        }
    }
}

fn short(tx: &Transaction) -> String {
    format!("{:.8}", tx.compute_txid().to_string())
}
