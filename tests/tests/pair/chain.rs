//! A chain under a pair: what its ends broadcast waits in a pool, and blocks take of it what is valid, in any order and with any gap.
//! It knows inputs, lock times and relative locks; signatures and fees are other tests' business. It judges nothing.
use super::{destination, Pair, Who, A, B};
use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::{OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness};
use leyden_core::channel::{Command, Effect, FeeInputs, Input};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a coin of a wallet holds.
const COIN: u64 = 1_000_000;

/// Choices that follow from a number.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// Below `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides.max(1)
    }

    /// So often of a hundred times.
    pub fn percent(&mut self, often: u64) -> bool {
        self.roll(100) < often
    }
}

/// The pair and its chain.
pub struct Ground {
    pub pair: Pair,
    pub dice: Dice,
    /// Every effect of each end, in order, with the number of those that were seen to.
    heard: [usize; 2],
    /// Everything that was ever broadcast, with the height at which it was first.
    pool: Vec<(Transaction, u32)>,
    /// Blocks since the chain was put under the pair, from this height on.
    blocks: Vec<Vec<Transaction>>,
    coins: u32,
}

impl Ground {
    /// Whatever an end broadcast before is not known.
    pub fn under(pair: Pair, seed: u64) -> Self {
        let heard = [pair.a.effects.len(), pair.b.effects.len()];
        Self { pair, dice: Dice::new(seed), heard, pool: Vec::new(), blocks: Vec::new(), coins: 0 }
    }

    /// Everything mined so far.
    pub fn mined(&self) -> impl Iterator<Item = &Transaction> {
        self.blocks.iter().flatten()
    }

    /// Hears what the ends broadcast and ask for, until they are at rest; what was new, by whom.
    pub fn listen(&mut self) -> Vec<(Who, Effect)> {
        let mut all = Vec::new();
        loop {
            let mut new = Vec::new();
            for who in [A, B] {
                let heard = &mut self.heard[usize::from(who == B)];
                new.extend(self.pair.end(who).effects[*heard..].iter().map(|effect| (who, effect.clone())));
                *heard = self.pair.end(who).effects.len();
            }
            if new.is_empty() {
                return all;
            }
            for (who, effect) in new {
                self.serve(who, &effect);
                all.push((who, effect));
            }
        }
    }

    fn serve(&mut self, who: Who, effect: &Effect) {
        let height = self.pair.env.height.get();
        match effect {
            Effect::Broadcast { tx, .. } => self.take(tx, height),
            Effect::BroadcastPackage { transactions } => {
                transactions.iter().for_each(|tx| self.take(tx, height))
            }
            // Now and then the wallet is empty.
            Effect::FeeInputsNeeded(needed) if self.dice.percent(80) => self.lend(who, needed),
            _ => {}
        }
    }

    fn take(&mut self, tx: &Transaction, height: u32) {
        if !self.pool.iter().any(|(known, _)| known == tx) {
            self.pool.push((tx.clone(), height));
        }
    }

    fn lend(&mut self, who: Who, needed: &FeeInputs) {
        let mut tx = needed.tx.clone();
        let coin = needed.coins.first().copied().unwrap_or_else(|| {
            self.coins += 1;
            OutPoint { txid: Txid::from_byte_array([0xC0; 32]), vout: self.coins }
        });
        let fee = needed.feerate.fee(needed.weight + 400).saturating_sub(needed.paid).min(needed.budget);
        tx.input.push(TxIn {
            previous_output: coin,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::new(),
        });
        let value = bitcoin::Amount::from_sat(COIN - fee.get());
        tx.output.push(TxOut { value, script_pubkey: needed.change.clone() });
        self.pair.command(who, Command::FeeInputs { claim: needed.claim, tx }).unwrap();
    }

    /// One block of some of what waits; what waits long is mined at once.
    pub fn mine(&mut self) {
        let next = self.pair.env.height.get() + 1;
        let mut order: Vec<usize> = (0..self.pool.len()).collect();
        for place in (1..order.len()).rev() {
            order.swap(place, self.dice.roll(place as u64 + 1) as usize);
        }
        let late = |place: &usize, pool: &[(Transaction, u32)]| pool[*place].1 + 4 < next;
        order.sort_by_key(|place| !late(place, &self.pool));
        let mut state = self.state();
        let mut block = Vec::new();
        // Twice, so that children of what was taken get their turn.
        for place in order.iter().chain(&order) {
            let tx = &self.pool[*place].0;
            if state.takes(tx, next) && (late(place, &self.pool) || self.dice.percent(50)) {
                state.add(tx, next);
                block.push(tx.clone());
            }
        }
        self.blocks.push(block.clone());
        self.pair.mine(block);
    }

    /// The last blocks are gone, no more than there are.
    pub fn unmine(&mut self, blocks: usize) {
        for _ in 0..blocks.min(self.blocks.len()) {
            self.blocks.pop();
            self.pair.unmine();
        }
    }

    /// Shows an end what waits and is valid now.
    pub fn show(&mut self, who: Who) -> Vec<Transaction> {
        let next = self.pair.env.height.get() + 1;
        let state = self.state();
        let waiting = self.pool.iter().map(|(tx, _)| tx).filter(|tx| state.takes(tx, next));
        let waiting: Vec<Transaction> = waiting.cloned().collect();
        for tx in &waiting {
            self.pair.input(who, Input::Unconfirmed(Arc::new(tx.clone()))).unwrap();
        }
        waiting
    }

    fn state(&self) -> State {
        let mut state = State { known: BTreeSet::new(), mined: BTreeMap::new(), spent: BTreeSet::new() };
        state.known = self.pool.iter().map(|(tx, _)| tx.compute_txid()).collect();
        let first = self.pair.env.height.get() + 1 - self.blocks.len() as u32;
        for (block, height) in self.blocks.iter().zip(first..) {
            block.iter().for_each(|tx| state.add(tx, height));
        }
        state
    }

    /// Outputs that nobody spent, beyond this many satoshis, and that pay no wallet.
    pub fn left_over(&self, beyond: u64) -> Vec<(OutPoint, u64)> {
        let state = self.state();
        let wallets = [destination(1), destination(2)];
        let mut left = Vec::new();
        for tx in self.mined() {
            let txid = tx.compute_txid();
            for (vout, output) in (0..).zip(&tx.output) {
                let outpoint = OutPoint { txid, vout };
                let free = !wallets.contains(&output.script_pubkey) && !state.spent.contains(&outpoint);
                if free && output.value.to_sat() > beyond {
                    left.push((outpoint, output.value.to_sat()));
                }
            }
        }
        left
    }

    /// What the chain brought to an end's wallet, less the coins that it lent.
    pub fn gain(&self, who: Who) -> i64 {
        let script = destination(if who == A { 1 } else { 2 });
        let is_coin = |input: &TxIn| input.previous_output.txid == Txid::from_byte_array([0xC0; 32]);
        let gain = |tx: &Transaction| {
            let own = tx.output.iter().filter(|output| output.script_pubkey == script);
            let brought: u64 = own.map(|output| output.value.to_sat()).sum();
            let lends = tx.output.last().is_some_and(|output| output.script_pubkey == script);
            let lent = tx.input.iter().filter(|input| lends && is_coin(input)).count() as u64 * COIN;
            brought as i64 - lent as i64
        };
        self.mined().map(gain).sum()
    }
}

/// The chain as the next block finds it.
struct State {
    known: BTreeSet<Txid>,
    mined: BTreeMap<Txid, u32>,
    spent: BTreeSet<OutPoint>,
}

impl State {
    fn add(&mut self, tx: &Transaction, height: u32) {
        self.mined.insert(tx.compute_txid(), height);
        self.spent.extend(tx.input.iter().map(|input| input.previous_output));
    }

    fn takes(&self, tx: &Transaction, next: u32) -> bool {
        let ripe = match tx.lock_time {
            LockTime::Blocks(height) => height.to_consensus_u32() < next,
            LockTime::Seconds(_) => true,
        };
        let fresh = !self.mined.contains_key(&tx.compute_txid());
        ripe && fresh && tx.input.iter().all(|input| self.spendable(input, next))
    }

    fn spendable(&self, input: &TxIn, next: u32) -> bool {
        let from = input.previous_output;
        let parent = self.mined.get(&from.txid).copied();
        let there = parent.is_some() || !self.known.contains(&from.txid);
        let wait = match input.sequence.to_relative_lock_time() {
            Some(bitcoin::relative::LockTime::Blocks(blocks)) => u32::from(blocks.value()),
            Some(bitcoin::relative::LockTime::Time(_)) | None => 0,
        };
        let ripe = parent.is_none_or(|height| height + wait <= next);
        there && ripe && !self.spent.contains(&from)
    }
}
