//! Packages and a full mempool in the embedded chain and in Bitcoin Core at once: the same verdicts in the same words, the
//! same mempool, and the same count of its bytes, which decides what leaves it.
mod chain_both;
mod chain_wallet;

use bitcoin::{transaction, Amount, OutPoint, ScriptBuf, Transaction, TxOut};
use chain_both::{Both, Dice};
use chain_wallet::{sign, unsigned, Fault, Lock, Owned};
use leyden_harness::chain::miner::topological;
use leyden_harness::chain::{Chain, ChainError, Miner};

/// Feerate of the fillers, in sat per 1000 weight units.
const FILL: u32 = 2_500;

#[test]
fn random_packages_get_the_same_verdict() {
    for seed in seeds() {
        let mut run = Run::start(seed);
        for step in 0..60 {
            run.chain.step = format!("seed {seed}, step {step}");
            run.step(0);
        }
        let words = &run.chain.words;
        assert!(run.chain.accepted > 20, "seed {seed}: only {} accepted", run.chain.accepted);
        assert!(words.len() > 5, "seed {seed}: few reasons seen: {words:?}");
    }
}

/// Two seeds, or those that `LEYDEN_CHAIN_SEEDS` lists with commas.
fn seeds() -> Vec<u64> {
    let listed = std::env::var("LEYDEN_CHAIN_SEEDS").unwrap_or_else(|_| "1,2".to_owned());
    listed.split(',').map(|seed| seed.trim().parse().expect("a number")).collect()
}

#[test]
fn a_full_mempool_puts_out_and_refuses_the_same() {
    let mut run = Run::start(3);
    run.chain.step = "cheap ones before the filling".to_owned();
    for _ in 0..8 {
        run.step(0);
    }
    run.fill(FILL);
    let floor = run.chain.floor().expect("no failure");
    assert_eq!(floor, u64::from(FILL) * 4 + 100);
    for step in 0..60 {
        run.chain.step = format!("full, step {step}");
        run.step(floor * 110 / 1_000);
    }
    assert!(run.chain.words.contains_key("mempool min fee not met"));
    let held = run.chain.mempool().expect("no failure");
    let fillers = held.iter().filter(|tx| tx.vsize() > 99_000).count();
    assert!(fillers < 49, "nothing was put out for dearer ones");
    run.chain.step = "a reorg under a full mempool".to_owned();
    run.miner.mine(&mut run.chain).expect("mined");
    run.miner.unmine(&mut run.chain).expect("taken out");
    while !run.chain.mempool().expect("no failure").is_empty() {
        run.miner.mine(&mut run.chain).expect("mined");
    }
    assert_eq!(run.chain.floor(), Ok(floor), "the floor stands by itself");
    run.chain.let_floor_fall().expect("no failure");
    assert_eq!(run.chain.floor(), Ok(100));
}

#[test]
fn without_a_floor_the_cheapest_finds_the_mempool_full() {
    let mut run = Run::start(6);
    run.coins = run.confirmed(40);
    run.fill(FILL);
    run.miner.mine(&mut run.chain).expect("a block takes ten of the fillers");
    run.chain.let_floor_fall().expect("no failure");
    assert_eq!(run.chain.floor(), Ok(100));
    for step in 0..40u64 {
        run.chain.step = format!("step {step}");
        let coin = run.coins[step as usize].clone();
        let tx = run.fat(&coin, 300 - 5 * step);
        let _ = run.chain.submit(&tx);
        run.same();
    }
    for word in ["mempool min fee not met", "mempool full"] {
        assert!(run.chain.words.contains_key(word), "never seen: {word:?} in {:?}", run.chain.words);
    }
}

#[test]
fn the_shape_of_a_package_is_judged_first() {
    let mut run = Run::start(4);
    let coins = run.confirmed(4);
    let parents: Vec<Transaction> = coins[..2].iter().map(|coin| run.spend(&[coin], 0, 2)).collect();
    let child = run.spend(&[&owned(&parents[0], 0), &owned(&parents[1], 0)], 2_000, 2);
    let stranger = run.spend(&[&coins[2]], 500, 2);
    let grandchild = run.spend(&[&owned(&child, 0)], 500, 2);
    let [one, two] = [parents[0].clone(), parents[1].clone()];
    let shapes = [
        (vec![child.clone(), one.clone()], "package-not-child-with-parents"),
        (vec![one.clone(), stranger.clone()], "package-not-child-with-parents"),
        (vec![one.clone(), two.clone(), child.clone(), grandchild], "package-not-child-with-parents"),
        (vec![one.clone(), one.clone(), child.clone()], "package-contains-duplicates"),
        (vec![one.clone(), two.clone(), run.twin(&child, &coins[0])], "conflict-in-package"),
        (vec![stranger.clone(); 26], "package-too-many-transactions"),
    ];
    for (package, word) in shapes {
        run.chain.step = word.to_owned();
        let verdicts = run.chain.submit_package(&package).expect("no failure");
        assert!(verdicts.iter().all(|verdict| *verdict == refused(word)), "{verdicts:?}");
    }
    assert_eq!(run.chain.submit_package(&[]), Ok(Vec::new()));
    run.chain.step = "the right shape".to_owned();
    let package = [one, two, child];
    let verdicts = run.chain.submit_package(&package).expect("no failure");
    assert!(verdicts.iter().all(Result::is_ok), "{verdicts:?}");
    let again = run.chain.submit_package(&package).expect("no failure");
    assert!(again.iter().all(|verdict| *verdict == refused("txn-already-in-mempool")), "{again:?}");
    let alone = run.chain.submit_package(&[stranger]).expect("no failure");
    assert!(alone[0].is_ok());
}

#[test]
fn a_package_replaces_what_it_pays_for() {
    let mut run = Run::start(5);
    let coins = run.confirmed(3);
    let there = run.spend(&[&coins[0]], 5_000, 2);
    run.chain.submit(&there).expect("accepted");
    let parent = run.spend(&[&coins[0]], 0, 2);
    let package = |run: &Run, fee: u64| [parent.clone(), run.spend(&[&owned(&parent, 0)], fee, 2)];
    let words = [
        (5_010, "package RBF failed: insufficient anti-DoS fees"),
        (5_022, "package RBF failed: insufficient feerate: does not improve feerate diagram"),
    ];
    for (fee, word) in words {
        run.chain.step = word.to_owned();
        let verdicts = run.chain.submit_package(&package(&run, fee)).expect("no failure");
        assert!(verdicts.iter().all(|verdict| *verdict == refused(word)), "{verdicts:?}");
    }
    run.chain.step = "it pays enough".to_owned();
    let verdicts = run.chain.submit_package(&package(&run, 12_000)).expect("no failure");
    assert!(verdicts.iter().all(Result::is_ok), "{verdicts:?}");
    assert_eq!(run.chain.mempool().expect("no failure").len(), 2);
}

fn refused<T>(word: &str) -> Result<T, ChainError> {
    Err(ChainError::Refused { reason: word.to_owned() })
}

fn owned(tx: &Transaction, vout: u32) -> Owned {
    let out = &tx.output[vout as usize];
    let lock = if out.script_pubkey == Lock::Anchor.script_pubkey() { Lock::Anchor } else { Lock::Wpkh };
    Owned { outpoint: OutPoint { txid: tx.compute_txid(), vout }, value: out.value, lock }
}

fn pay(sat: u64) -> TxOut {
    TxOut { value: Amount::from_sat(sat), script_pubkey: Lock::Wpkh.script_pubkey() }
}

/// Both chains, a miner, dice, and coins that may be spent in the mempool.
struct Run {
    chain: Both,
    miner: Miner,
    dice: Dice,
    coins: Vec<Owned>,
}

impl Run {
    fn start(seed: u64) -> Run {
        let (chain, miner) = Both::start();
        let mut run = Run { chain, miner, dice: Dice(seed), coins: Vec::new() };
        run.coins = run.confirmed(24);
        run
    }

    fn confirmed(&mut self, count: u32) -> Vec<Owned> {
        let tx = self.miner.fund(&mut self.chain, vec![pay(5_000_000); count as usize]).expect("funded");
        self.miner.mine_these(&mut self.chain, vec![tx.clone()]).expect("mined");
        (0..count).map(|vout| owned(&tx, vout)).collect()
    }

    /// All of these to one output, this fee.
    fn spend(&self, coins: &[&Owned], fee: u64, version: i32) -> Transaction {
        let total: u64 = coins.iter().map(|coin| coin.value.to_sat()).sum();
        self.make(coins, vec![pay(total.saturating_sub(fee))], version)
    }

    fn make(&self, coins: &[&Owned], outputs: Vec<TxOut>, version: i32) -> Transaction {
        let coins: Vec<Owned> = coins.iter().map(|coin| (*coin).clone()).collect();
        let mut tx = unsigned(&coins, outputs);
        tx.version = transaction::Version(version);
        sign(&mut tx, &coins, Fault::None);
        tx
    }

    /// The same child, but it also spends what a parent of it spends.
    fn twin(&self, child: &Transaction, coin: &Owned) -> Transaction {
        let mut tx = child.clone();
        let extra = self.spend(&[coin], 500, 2);
        tx.input.extend(extra.input);
        tx
    }

    fn fill(&mut self, feerate: u32) {
        self.chain.step = "filling".to_owned();
        let split = self.miner.split(self.chain.tip(), feerate).expect("the miner has enough");
        self.miner.mine_these(&mut self.chain, vec![split.clone()]).expect("mined");
        self.miner.clone().fill(&mut self.chain.embedded, &split, feerate).expect("filled");
        self.miner.fill(&mut self.chain.core, &split, feerate).expect("filled");
        self.same();
    }

    fn same(&mut self) {
        self.chain.same_mempool();
        let core = self.chain.core.mempool_bytes().expect("no failure");
        let embedded = self.chain.embedded.mempool_bytes();
        // How much room a cluster's arrays have to spare depends on how it came to be: that is not followed.
        assert!(core.abs_diff(embedded) <= 300, "{}: {embedded} bytes here, {core} in Core", self.chain.step);
        self.chain.floor().expect("no failure");
    }

    /// Something happens; `base` is what one small transaction has to pay about now.
    fn step(&mut self, base: u64) {
        if self.dice.one_in(3) {
            self.forget_spent();
        }
        match self.dice.below(12) {
            0 if base == 0 => {
                self.miner.mine(&mut self.chain).expect("mined");
            }
            1 | 2 => {
                let fee = self.fee(base);
                let coin = self.coin();
                let mut tx = self.spend(&[&coin], fee, 2);
                if base > 0 && self.dice.one_in(2) {
                    tx = self.fat(&coin, base);
                }
                if self.chain.submit(&tx).is_ok() {
                    self.coins.push(owned(&tx, 0));
                }
            }
            3 if base == 0 => self.reorg_to_others(),
            _ => self.package(base),
        }
        self.same();
    }

    /// Blocks go, and one more comes in their place with some of what is waiting and a rival of some that are.
    fn reorg_to_others(&mut self) {
        let depth = 1 + self.dice.below(2);
        for _ in 0..depth {
            self.miner.unmine(&mut self.chain).expect("taken out");
        }
        for _ in 0..=depth {
            let coin = self.coin();
            let mut chosen = Vec::new();
            if self.chain.unspent(coin.outpoint).expect("no failure").is_some() {
                chosen.push(self.spend(&[&coin], 700, 2));
            }
            let mut spent: Vec<OutPoint> = vec![coin.outpoint];
            let mut left_out = Vec::new();
            for tx in topological(self.chain.mempool().expect("no failure")) {
                let gone = tx.input.iter().any(|input| {
                    spent.contains(&input.previous_output) || left_out.contains(&input.previous_output.txid)
                });
                if gone || self.dice.one_in(2) {
                    left_out.push(tx.compute_txid());
                } else {
                    spent.extend(tx.input.iter().map(|input| input.previous_output));
                    chosen.push(tx);
                }
            }
            self.miner.mine_these(&mut self.chain, chosen).expect("mined");
        }
    }

    /// One that is there, which the mempool may have spent already.
    fn coin(&mut self) -> Owned {
        self.dice.pick(&self.coins)
    }

    /// Forgets what is gone; what only the mempool spends stays, to be replaced.
    fn forget_spent(&mut self) {
        let embedded = &mut self.chain.embedded;
        let pool = embedded.mempool().expect("no failure");
        self.coins.retain(|coin| {
            pool.iter().any(|tx| tx.compute_txid() == coin.outpoint.txid)
                || embedded.unspent(coin.outpoint).is_ok_and(|unspent| unspent.is_some())
        });
        if self.coins.len() < 16 {
            let more = self.confirmed(12);
            self.coins.extend(more);
        }
    }

    fn fee(&mut self, base: u64) -> u64 {
        match self.dice.below(6) {
            0 => 0,
            1 => self.dice.below(40),
            2 => base + self.dice.below(30),
            3 => base + self.dice.below(6_000),
            _ => base * 2 + self.dice.below(2_000),
        }
    }

    /// One of many kilobytes, just above the floor or dearer.
    fn fat(&mut self, coin: &Owned, base: u64) -> Transaction {
        let length = 20_000 + self.dice.below(60_000) as usize;
        let mut script = vec![0x6a, 0x4e];
        script.extend((length as u32).to_le_bytes());
        script.extend(vec![0; length]);
        let fee = base * (length as u64 + 200) / 110 * (100 + self.dice.below(30)) / 100;
        let data = TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::from_bytes(script) };
        let rest = coin.value.to_sat().saturating_sub(fee);
        self.make(&[coin], vec![pay(rest), data], 2)
    }

    fn package(&mut self, base: u64) {
        let truc = self.dice.one_in(3);
        let version = |dice: &mut Dice| if truc != dice.one_in(8) { 3 } else { 2 };
        let mut parents = Vec::new();
        let mut spent = Vec::new();
        for _ in 0..=(self.dice.below(4) / 2) {
            let coin = self.coin();
            let fee = if self.dice.one_in(2) { 0 } else { self.fee(base) };
            let half = coin.value.to_sat().saturating_sub(fee) / 2;
            let mut outputs = vec![pay(half), pay(half)];
            if self.dice.one_in(4) {
                outputs.push(TxOut { value: Amount::from_sat(self.dice.below(2) * 240), ..anchor() });
                outputs[0].value = Amount::from_sat(coin.value.to_sat().saturating_sub(half + fee));
            }
            let version = version(&mut self.dice);
            let parent = self.make(&[&coin], outputs, version);
            spent.push(owned(&parent, self.dice.below(2) as u32));
            if parent.output.len() > 2 && !self.dice.one_in(4) {
                spent.push(owned(&parent, 2));
            }
            parents.push(parent);
        }
        if self.dice.one_in(5) {
            spent.push(self.coin());
        }
        let inputs: Vec<&Owned> = spent.iter().collect();
        let fee = self.fee(base) * self.dice.below(6);
        let version = version(&mut self.dice);
        let child = self.spend(&inputs, fee, version);
        let mut package = parents;
        package.push(child);
        if self.dice.one_in(10) {
            package.reverse();
        }
        if self.dice.one_in(6) {
            let _ = self.chain.submit(&package[0]);
        }
        let verdicts = self.chain.submit_package(&package).expect("no failure");
        for (tx, verdict) in package.iter().zip(verdicts) {
            if verdict.is_ok() {
                self.coins.push(owned(tx, 0));
            }
        }
    }
}

fn anchor() -> TxOut {
    TxOut { value: Amount::ZERO, script_pubkey: Lock::Anchor.script_pubkey() }
}
