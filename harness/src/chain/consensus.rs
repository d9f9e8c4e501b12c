//! Consensus rules of one transaction: form, finality (BIP 65/113), relative locks (BIP 68), amounts, coinbase maturity,
//! and scripts through libbitcoinconsensus. Pure functions over a view of coins; blocks are in `block`.
use std::collections::BTreeSet;

use bitcoin::absolute::LOCK_TIME_THRESHOLD;
use bitcoin::consensus::encode::serialize;
use bitcoin::{Amount, Transaction, TxOut};
use bitcoinconsensus::{Utxo, VERIFY_ALL_PRE_TAPROOT, VERIFY_TAPROOT};

use super::coins::{Coin, CoinView};
use super::reject::Reject;

/// The most weight a block may have.
pub const MAX_BLOCK_WEIGHT: u64 = 4_000_000;
/// The most signature operations (BIP 141 cost) a block may have.
pub const MAX_BLOCK_SIGOPS_COST: u64 = 80_000;
/// Blocks before a coinbase may be spent.
pub const COINBASE_MATURITY: u32 = 100;
const SEQUENCE_DISABLE: u32 = 1 << 31;
const SEQUENCE_TIME: u32 = 1 << 22;
const SEQUENCE_MASK: u32 = 0xffff;

/// The next block, as locks see it.
pub trait Clock {
    /// Height of the block that the transaction would be in.
    fn next_height(&self) -> u32;
    /// Median time past of the best chain up to `height` (BIP 113).
    fn median_time_past(&self, height: u32) -> u32;
}

/// Rules that need no context.
pub fn check_form(tx: &Transaction) -> Result<(), Reject> {
    if tx.input.is_empty() {
        return Err(Reject::NoInputs);
    }
    if tx.output.is_empty() {
        return Err(Reject::NoOutputs);
    }
    if (tx.base_size() as u64).saturating_mul(4) > MAX_BLOCK_WEIGHT {
        return Err(Reject::Oversize);
    }
    let mut total = Amount::ZERO;
    for out in &tx.output {
        if out.value > Amount::MAX_MONEY {
            return Err(Reject::OutputTooLarge);
        }
        total = total
            .checked_add(out.value)
            .filter(|total| *total <= Amount::MAX_MONEY)
            .ok_or(Reject::OutputTotalTooLarge)?;
    }
    let mut seen = BTreeSet::new();
    if !tx.input.iter().all(|input| seen.insert(input.previous_output)) {
        return Err(Reject::DuplicateInputs);
    }
    if tx.is_coinbase() {
        let length = tx.input.first().map_or(0, |input| input.script_sig.len());
        if !(2..=100).contains(&length) {
            return Err(Reject::CoinbaseLength);
        }
    } else if tx.input.iter().any(|input| input.previous_output.is_null()) {
        return Err(Reject::NullPrevout);
    }
    Ok(())
}

/// May the transaction be in the next block, by its nLockTime (BIP 113: against the median time past)?
pub fn is_final(tx: &Transaction, clock: &impl Clock) -> bool {
    let lock = tx.lock_time.to_consensus_u32();
    if lock == 0 {
        return true;
    }
    let next = clock.next_height();
    let limit =
        if lock < LOCK_TIME_THRESHOLD { next } else { clock.median_time_past(next.saturating_sub(1)) };
    lock < limit || tx.input.iter().all(|input| input.sequence.0 == u32::MAX)
}

/// When the relative locks of a transaction (BIP 68) are over: both bounds are the last that are too early.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LockPoint {
    height: i64,
    time: i64,
    /// The highest confirmed input with a lock, 0 if there is none: while that block stands, Core does not compute this anew.
    pub input_height: u32,
}

impl LockPoint {
    /// Of the next block.
    pub fn of(tx: &Transaction, coins: &[Coin], clock: &impl Clock) -> LockPoint {
        let mut point = LockPoint { height: -1, time: -1, input_height: 0 };
        // The version is unsigned for this rule.
        if (tx.version.0 as u32) < 2 {
            return point;
        }
        for (input, coin) in tx.input.iter().zip(coins) {
            let sequence = input.sequence.0;
            if sequence & SEQUENCE_DISABLE != 0 {
                continue;
            }
            let span = i64::from(sequence & SEQUENCE_MASK);
            if sequence & SEQUENCE_TIME != 0 {
                let start = i64::from(clock.median_time_past(coin.height.saturating_sub(1)));
                point.time = point.time.max(start + (span << 9) - 1);
            } else {
                point.height = point.height.max(i64::from(coin.height) + span - 1);
            }
            if coin.height != clock.next_height() {
                point.input_height = point.input_height.max(coin.height);
            }
        }
        point
    }

    /// Over by the next block?
    pub fn is_over(&self, clock: &impl Clock) -> bool {
        let next = clock.next_height();
        self.height < i64::from(next) && self.time < i64::from(clock.median_time_past(next.saturating_sub(1)))
    }
}

/// The coins that the inputs spend, in order.
pub fn spent_coins(tx: &Transaction, view: &impl CoinView) -> Result<Vec<Coin>, Reject> {
    tx.input
        .iter()
        .map(|input| view.coin(&input.previous_output).ok_or(Reject::InputsMissingOrSpent))
        .collect()
}

/// Maturity and amounts. Returns the fee.
pub fn check_amounts(tx: &Transaction, coins: &[Coin], next_height: u32) -> Result<Amount, Reject> {
    let mut value_in = Amount::ZERO;
    for coin in coins {
        if coin.coinbase && next_height.saturating_sub(coin.height) < COINBASE_MATURITY {
            return Err(Reject::PrematureCoinbaseSpend);
        }
        value_in = value_in
            .checked_add(coin.out.value)
            .filter(|total| *total <= Amount::MAX_MONEY)
            .ok_or(Reject::InputValuesOutOfRange)?;
    }
    let value_out = tx
        .output
        .iter()
        .try_fold(Amount::ZERO, |total, out| total.checked_add(out.value))
        .ok_or(Reject::OutputTotalTooLarge)?;
    value_in.checked_sub(value_out).ok_or(Reject::InBelowOut)
}

/// BIP 141 cost of the signature operations.
pub fn sigops_cost(tx: &Transaction, coins: &[Coin]) -> u64 {
    let spent = |outpoint: &bitcoin::OutPoint| {
        let index = tx.input.iter().position(|input| input.previous_output == *outpoint)?;
        coins.get(index).map(|coin| coin.out.clone())
    };
    tx.total_sigop_cost(spent) as u64
}

/// Every input's script against what it spends, by libbitcoinconsensus with every rule that regtest enforces. The error is
/// the index of the first input that fails.
pub fn check_scripts(tx: &Transaction, coins: &[Coin]) -> Result<(), usize> {
    let raw = serialize(tx);
    let spent: Vec<&TxOut> = coins.iter().map(|coin| &coin.out).collect();
    let utxos: Vec<Utxo> = spent
        .iter()
        .map(|out| Utxo {
            script_pubkey: out.script_pubkey.as_bytes().as_ptr(),
            script_pubkey_len: out.script_pubkey.len() as u32,
            value: out.value.to_sat() as i64,
        })
        .collect();
    for (index, out) in spent.iter().enumerate() {
        bitcoinconsensus::verify_with_flags(
            out.script_pubkey.as_bytes(),
            out.value.to_sat(),
            &raw,
            Some(&utxos),
            index,
            VERIFY_ALL_PRE_TAPROOT | VERIFY_TAPROOT,
        )
        .map_err(|_| index)?;
    }
    Ok(())
}
