//! The embedded chain and Bitcoin Core, given the same random transactions and blocks, valid and not: the same verdicts in
//! the same words, the same mempool, the same coins. Every call goes to both; the first difference ends the test with the
//! seed, the step and the transaction in hex.
mod chain_both;
mod chain_wallet;

use std::collections::BTreeSet;
use std::slice::from_ref;

use bitcoin::{absolute, transaction, Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxOut, Txid};
use chain_both::{Both, Dice};
use chain_wallet::{sign, unsigned, Fault, Lock, Owned, FAULTS};
use leyden_harness::chain::miner::{build, miner_script, seal};
use leyden_harness::chain::{Chain, Miner, Tip};

#[test]
fn random_transactions_and_blocks_get_the_same_verdict() {
    for seed in seeds() {
        let mut run = Run::start(seed);
        for step in 0..160 {
            run.chain.step = format!("seed {seed}, step {step}");
            run.step();
        }
        assert!(run.chain.accepted > 30, "seed {seed}: only {} were accepted", run.chain.accepted);
        assert!(run.chain.words.len() > 15, "seed {seed}: few reasons seen: {:?}", run.chain.words);
    }
}

/// Three seeds, or those that `LEYDEN_CHAIN_SEEDS` lists with commas.
fn seeds() -> Vec<u64> {
    let listed = std::env::var("LEYDEN_CHAIN_SEEDS").unwrap_or_else(|_| "1,2,3".to_owned());
    listed.split(',').map(|seed| seed.trim().parse().expect("a number")).collect()
}

#[test]
fn each_fault_on_each_lock_gets_the_same_verdict() {
    let mut run = Run::start(4);
    run.chain.step = "faults".to_owned();
    for lock in LOCKS {
        let mut coin = run.confirmed(lock);
        run.chain.mine_empty(lock.sequence());
        for fault in FAULTS.into_iter().chain([Fault::None]) {
            run.chain.step = format!("{lock:?} with {fault:?}");
            let coins = [coin.clone()];
            let mut tx = unsigned(&coins, vec![pay(coin.value.to_sat() - 2_000, Lock::Wpkh)]);
            let mut right = tx.clone();
            sign(&mut right, &coins, Fault::None);
            sign(&mut tx, &coins, fault);
            if tx == right && fault != Fault::None {
                continue; // this lock has nothing that could be wrong in this way
            }
            let _ = run.chain.test(&tx);
            let block = build(run.chain.tip(), &[(tx, Amount::ZERO)], miner_script());
            if run.chain.connect(&block).is_ok() {
                run.chain.disconnect().expect("taken out");
                // Where policy takes it too, it is in the mempool now: mine it for good, with a new coin for the rest.
                if !run.chain.mempool().expect("no failure").is_empty() {
                    run.miner.mine(&mut run.chain).expect("mined");
                    coin = run.confirmed(lock);
                    run.chain.mine_empty(lock.sequence());
                }
            }
        }
    }
}

#[test]
fn what_is_not_there_is_refused_in_the_same_words() {
    let mut run = Run::start(7);
    let height = run.chain.tip().height;
    assert!(run.chain.block_at(height + 1).is_err());
    let parent = run.chain.block_at(height - 1).expect("it is there").block_hash();
    let branch = build(Tip { height: height - 1, hash: parent }, &[], Lock::Wpkh.script_pubkey());
    assert!(run.chain.connect(&branch).is_err());
    assert_eq!(run.chain.unspent(OutPoint::null()), Ok(None));
}

#[test]
fn a_long_chain_of_unconfirmed_transactions_ends_at_the_same_length() {
    let mut run = Run::start(5);
    let mut coin = run.confirmed(Lock::Wpkh);
    let mut length = 0;
    loop {
        run.chain.step = format!("link {length}");
        let coins = [coin.clone()];
        let mut tx = unsigned(&coins, vec![pay(coin.value.to_sat() - 200, Lock::Wpkh)]);
        sign(&mut tx, &coins, Fault::None);
        if run.chain.submit(&tx).is_err() {
            break;
        }
        length += 1;
        let outpoint = OutPoint { txid: tx.compute_txid(), vout: 0 };
        coin = Owned { outpoint, value: tx.output[0].value, lock: Lock::Wpkh };
    }
    assert_eq!(length, 64);
    assert!(run.chain.words.contains_key("too-large-cluster"));
}

#[test]
fn version_three_transactions_get_the_same_verdict() {
    let mut run = Run::start(6);
    let [one, two] = [run.confirmed(Lock::Wpkh), run.confirmed(Lock::Wpkh)];
    let truc = |coins: &[Owned], version: i32, outputs: Vec<TxOut>| {
        let mut tx = unsigned(coins, outputs);
        tx.version = transaction::Version(version);
        sign(&mut tx, coins, Fault::None);
        tx
    };
    let owned = |tx: &Transaction, vout: u32| Owned {
        outpoint: OutPoint { txid: tx.compute_txid(), vout },
        value: tx.output[vout as usize].value,
        lock: Lock::Wpkh,
    };
    let half = one.value.to_sat() / 2 - 1_000;
    let parent = truc(&[one], 3, vec![pay(half, Lock::Wpkh), pay(half, Lock::Wpkh)]);
    run.chain.submit(&parent).expect("a version 3 parent");
    let out = |coin: &Owned, fee: u64| vec![pay(coin.value.to_sat() - fee, Lock::Wpkh)];
    let (left, right) = (owned(&parent, 0), owned(&parent, 1));
    let wrong_version = truc(from_ref(&left), 2, out(&left, 1_000));
    assert!(run.chain.submit(&wrong_version).is_err());
    let plain = truc(from_ref(&two), 2, out(&two, 1_000));
    run.chain.submit(&plain).expect("a version 2 parent");
    assert!(run.chain.submit(&truc(&[owned(&plain, 0)], 3, out(&owned(&plain, 0), 1_000))).is_err());
    let many = vec![pay(1_000, Lock::Wpkh); 40];
    assert!(run.chain.submit(&truc(from_ref(&left), 3, many)).is_err());
    let child = truc(from_ref(&left), 3, out(&left, 1_000));
    run.chain.submit(&child).expect("a version 3 child");
    assert!(run.chain.submit(&truc(&[owned(&child, 0)], 3, out(&owned(&child, 0), 1_000))).is_err());
    assert!(run.chain.submit(&truc(from_ref(&right), 3, out(&right, 1_001))).is_err());
    run.chain.submit(&truc(from_ref(&right), 3, out(&right, 5_000))).expect("evicts its sibling");
    assert!(run.chain.words.contains_key("TRUC-violation"));
    assert!(run.chain.words.contains_key("insufficient fee (including sibling eviction)"));
}

const LOCKS: [Lock; 12] = [
    Lock::Wpkh,
    Lock::NestedWpkh,
    Lock::Pkh,
    Lock::BareMultisig,
    Lock::TaprootKey,
    Lock::TaprootLeaf,
    Lock::Csv(3),
    Lock::Cltv(108),
    Lock::Multisig,
    Lock::ToLocal(2),
    Lock::Hash,
    Lock::Anchor,
];

fn pay(sat: u64, lock: Lock) -> TxOut {
    TxOut { value: Amount::from_sat(sat), script_pubkey: lock.script_pubkey() }
}

/// Both chains, a miner, and what we can spend.
struct Run {
    chain: Both,
    miner: Miner,
    dice: Dice,
    coins: Vec<Owned>,
    refused: Vec<Transaction>,
}

impl Run {
    fn start(seed: u64) -> Run {
        let (chain, miner) = Both::start();
        let mut run = Run { chain, miner, dice: Dice(seed), coins: Vec::new(), refused: Vec::new() };
        for lock in LOCKS {
            let coin = run.confirmed(lock);
            run.coins.push(coin);
        }
        run
    }

    fn confirmed(&mut self, lock: Lock) -> Owned {
        let out = pay(1_000_000, lock);
        let value = out.value;
        let tx = self.miner.fund(&mut self.chain, vec![out]).expect("funded");
        self.miner.mine(&mut self.chain).expect("mined");
        Owned { outpoint: OutPoint { txid: tx.compute_txid(), vout: 0 }, value, lock }
    }

    fn step(&mut self) {
        match self.dice.below(20) {
            0 | 1 => {
                self.miner.mine(&mut self.chain).expect("the mempool can be mined");
            }
            2 => self.block_with_a_fault(),
            3 => self.mine_a_refused_one(),
            4 if self.dice.one_in(2) => self.reorg(),
            5 => {
                if let Some(tx) = self.refused.pop() {
                    let _ = self.chain.submit(&tx);
                }
            }
            6 => {
                let mempool = self.chain.mempool().expect("no failure");
                if !mempool.is_empty() {
                    let again = self.dice.pick(&mempool);
                    let _ = self.chain.submit(&again);
                }
            }
            _ => self.transaction(),
        }
    }

    fn transaction(&mut self) {
        let tx = self.random_transaction();
        let tested = self.chain.test(&tx);
        let submitted = self.chain.submit(&tx);
        assert_eq!(tested.is_ok(), submitted.is_ok(), "{}", self.chain.step);
        if submitted.is_ok() {
            self.note(&tx);
        } else {
            if self.dice.one_in(12) {
                self.note(&tx); // what spends it will miss its inputs
            }
            self.refused.push(tx);
        }
    }

    fn random_transaction(&mut self) -> Transaction {
        if !self.dice.one_in(10) {
            self.forget_spent();
        }
        let from = self.coins.len().saturating_sub(40);
        let mut coins = Vec::new();
        for _ in 0..=self.dice.below(3) {
            let coin = self.dice.pick(&self.coins[from..]);
            if self.dice.one_in(40) || !coins.iter().any(|have: &Owned| have.outpoint == coin.outpoint) {
                coins.push(coin);
            }
        }
        let outputs = self.random_outputs(&coins);
        let mut tx = unsigned(&coins, outputs);
        match self.dice.below(24) {
            0 => tx.version = transaction::Version(self.dice.below(5) as i32),
            1 => tx.version = transaction::Version(-1),
            2 => {
                tx.lock_time =
                    absolute::LockTime::from_consensus(self.chain.tip().height + self.dice.below(3) as u32)
            }
            3 => tx.input[0].sequence = Sequence::from_consensus(self.dice.below(5) as u32),
            4 => tx.input[0].sequence = Sequence::from_consensus(1 << 22 | self.dice.below(4) as u32),
            5 => tx.input[0].sequence = Sequence::MAX,
            6 => tx.input[0].previous_output.vout += 1,
            7 => tx.version = transaction::Version::ONE,
            8 | 9 => tx.version = transaction::Version(3),
            _ => {}
        }
        let fault = if self.dice.one_in(6) { self.dice.pick(&FAULTS) } else { Fault::None };
        sign(&mut tx, &coins, fault);
        tx
    }

    /// Its outputs can be spent from now on.
    fn note(&mut self, tx: &Transaction) {
        let txid = tx.compute_txid();
        for (vout, out) in (0u32..).zip(&tx.output) {
            if let Some(lock) = LOCKS.into_iter().find(|lock| lock.script_pubkey() == out.script_pubkey) {
                self.coins.push(Owned { outpoint: OutPoint { txid, vout }, value: out.value, lock });
            }
        }
    }

    /// Forgets what is gone, so that most transactions have their inputs. What only the mempool spends stays: to replace.
    fn forget_spent(&mut self) {
        let embedded = &mut self.chain.embedded;
        let pool = embedded.mempool().expect("no failure");
        let pooled: BTreeSet<Txid> = pool.iter().map(Transaction::compute_txid).collect();
        self.coins.retain(|coin| {
            pooled.contains(&coin.outpoint.txid)
                || embedded.unspent(coin.outpoint).is_ok_and(|unspent| unspent.is_some())
        });
        while self.coins.len() < 8 {
            let lock = self.dice.pick(&LOCKS);
            let coin = self.confirmed(lock);
            self.coins.push(coin);
        }
    }

    fn random_outputs(&mut self, coins: &[Owned]) -> Vec<TxOut> {
        let total: u64 = coins.iter().map(|coin| coin.value.to_sat()).sum();
        let fee = match self.dice.below(10) {
            0 => self.dice.below(40),
            1..=5 => 100 + self.dice.below(400),
            _ => self.dice.below(5_000),
        };
        let mut left = total.saturating_sub(fee);
        let mut outputs = Vec::new();
        for _ in 0..self.dice.below(3) {
            let lock = self.dice.pick(&LOCKS);
            let value = if self.dice.one_in(12) { self.dice.below(700) } else { left / 3 };
            left = left.saturating_sub(value);
            outputs.push(pay(value, lock));
        }
        let lock = self.dice.pick(&LOCKS);
        outputs.push(pay(left, lock));
        let odd = |script: Vec<u8>, value: u64| TxOut {
            value: Amount::from_sat(value),
            script_pubkey: ScriptBuf::from_bytes(script),
        };
        match self.dice.below(30) {
            0 => outputs.push(odd(vec![0x6a, 0x01, 0x02], 0)),
            1 => outputs.push(odd([vec![0x6a, 0x4d, 0x50, 0xc3], vec![0; 50_000]].concat(), 0)),
            2 => outputs.push(odd([vec![0x6a, 0x4e, 0xb0, 0x86, 1, 0], vec![0; 100_016]].concat(), 0)),
            3 => outputs.push(odd(vec![0x51], 1_000)),
            4 => outputs.push(odd(vec![0x52, 0x02, 1, 2], 1_000)),
            5 => outputs.push(pay(total + 1, Lock::Wpkh)),
            6 => outputs.push(pay(Amount::MAX_MONEY.to_sat() + self.dice.below(2), Lock::Wpkh)),
            7 => outputs.clear(),
            8 => outputs.extend(vec![pay(0, Lock::Anchor); self.dice.below(3) as usize]),
            9 => outputs = vec![odd(vec![0x6a], 0)],
            _ => {}
        }
        outputs
    }

    /// What policy refuses, a block may hold; what consensus refuses, not.
    fn mine_a_refused_one(&mut self) {
        let Some(tx) = self.refused.pop() else { return };
        let tip = self.chain.tip();
        let block = build(tip, &[(tx, Amount::ZERO)], miner_script());
        let _ = self.chain.connect(&block);
    }

    fn reorg(&mut self) {
        let mut blocks = Vec::new();
        for _ in 0..=self.dice.below(2) {
            blocks.push(self.miner.unmine(&mut self.chain).expect("taken out"));
        }
        self.transaction();
        if self.dice.one_in(2) {
            while let Some(mut block) = blocks.pop() {
                // Not the same block again: Core would put back its old descendants too, and take them out again.
                block.header.prev_blockhash = self.chain.tip().hash;
                block.txdata[0].input[0].sequence = Sequence::from_consensus(self.dice.below(1 << 32) as u32);
                seal(&mut block);
                if self.chain.connect(&block).is_err() {
                    break; // a coinbase that it spends has gone with the old branch
                }
            }
        }
    }

    fn block_with_a_fault(&mut self) {
        let tip = self.chain.tip();
        let mut block = build(tip, &[], miner_script());
        let mut sealed = true;
        let coinbase = &mut block.txdata[0];
        match self.dice.below(12) {
            0 => coinbase.output[0].value += Amount::ONE_SAT,
            1 => coinbase.input[0].script_sig = ScriptBuf::from_bytes(vec![0x01, 0x05, 0x51]),
            2 => coinbase.input[0].script_sig = ScriptBuf::from_bytes(vec![0x51]),
            3 => block.header.time = block.header.time.saturating_sub(600 * 7),
            4 => block.header.version = bitcoin::block::Version::from_consensus(3),
            5 => block.header.bits = bitcoin::CompactTarget::from_consensus(0x207f_fffe),
            6 => {
                let again = coinbase.clone();
                block.txdata.push(again);
            }
            7 => coinbase.lock_time = absolute::LockTime::from_consensus(tip.height + 2),
            8 => {
                sealed = false;
                block.header.merkle_root =
                    bitcoin::TxMerkleNode::from_raw_hash(bitcoin::hashes::Hash::from_byte_array([1; 32]));
            }
            9 => coinbase.output[0].script_pubkey = ScriptBuf::from_bytes(vec![0xac; 9_000]),
            10 => coinbase.output[0].script_pubkey = ScriptBuf::from_bytes(vec![0xac; 25_000]),
            _ => coinbase.output[0].value = Amount::from_sat(1),
        }
        // Core remembers a block that it called invalid; no two of ours are the same.
        block.txdata[0].input[0].sequence = Sequence::from_consensus(self.dice.below(1 << 32) as u32);
        if sealed {
            seal(&mut block);
        } else {
            while !block.header.target().is_met_by(block.block_hash()) {
                block.header.nonce += 1;
            }
        }
        let _ = self.chain.connect(&block);
    }
}
