//! Consensus rules of a block on the tip, in the order of Core's `CheckBlock`, `ContextualCheckBlock` and `ConnectBlock`:
//! proof of work, time, merkle roots, coinbase (BIP 34, amount), weight, sigops, and each transaction. It works on a view
//! and changes nothing until the whole block has passed. The rule against times in the future is not here: there is no
//! clock.
use std::collections::{BTreeMap, BTreeSet};

use bitcoin::block::Header;
use bitcoin::hashes::{sha256d, Hash, HashEngine};
use bitcoin::{Amount, Block, CompactTarget, OutPoint, ScriptBuf, Target, Transaction, WitnessCommitment};

use super::accept::ScriptMemo;
use super::coins::{created_coins, Coin, CoinView};
use super::consensus::{self, Clock, MAX_BLOCK_SIGOPS_COST, MAX_BLOCK_WEIGHT};
use super::ledger::Ledger;
use super::reject::Reject;
use super::script;

/// Regtest's only difficulty.
pub const REGTEST_BITS: u32 = 0x207f_ffff;
const HALVING_INTERVAL: u32 = 150;
const WITNESS_COMMITMENT: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];

/// What a coinbase may create at a height, without fees: 50 BTC, halved every 150 blocks.
pub fn subsidy(height: u32) -> Amount {
    Amount::from_sat(5_000_000_000u64.checked_shr(height / HALVING_INTERVAL).unwrap_or(0))
}

/// The scriptSig prefix that BIP 34 asks for.
pub fn height_push(height: u32) -> ScriptBuf {
    ScriptBuf::builder().push_int(i64::from(height)).into_script()
}

/// Checks a block against the tip and adds it.
pub fn connect(block: &Block, ledger: &mut Ledger, memo: &ScriptMemo) -> Result<(), Reject> {
    // On another parent it would be a branch; `Chain` has none.
    if block.header.prev_blockhash != ledger.tip().hash {
        return Err(Reject::PreviousNotFound);
    }
    check_form(block)?;
    check_header(&block.header, ledger)?;
    check_in_context(block, ledger)?;
    let Changes { spent, created } = check_transactions(block, ledger, memo)?;
    ledger.push(block.clone(), spent, created);
    Ok(())
}

/// What needs only the block.
fn check_form(block: &Block) -> Result<(), Reject> {
    let target = Target::from_compact(block.header.bits);
    if target > Target::from_compact(CompactTarget::from_consensus(REGTEST_BITS))
        || !target.is_met_by(block.header.block_hash())
    {
        return Err(Reject::HighHash);
    }
    check_merkle_root(block)?;
    let base_size = size_without_witness(block);
    let count = block.txdata.len() as u64;
    if count == 0
        || count.saturating_mul(4) > MAX_BLOCK_WEIGHT
        || base_size.saturating_mul(4) > MAX_BLOCK_WEIGHT
    {
        return Err(Reject::BlockLength);
    }
    let mut txs = block.txdata.iter();
    if !txs.next().is_some_and(Transaction::is_coinbase) {
        return Err(Reject::CoinbaseMissing);
    }
    if txs.any(Transaction::is_coinbase) {
        return Err(Reject::CoinbaseMultiple);
    }
    block.txdata.iter().try_for_each(consensus::check_form)?;
    let legacy: u64 = block.txdata.iter().map(legacy_sigops).sum();
    if legacy.saturating_mul(4) > MAX_BLOCK_SIGOPS_COST {
        return Err(Reject::BlockSigops);
    }
    Ok(())
}

fn size_without_witness(block: &Block) -> u64 {
    let count = bitcoin::VarInt(block.txdata.len() as u64).size() as u64;
    80 + count + block.txdata.iter().map(|tx| tx.base_size() as u64).sum::<u64>()
}

fn legacy_sigops(tx: &Transaction) -> u64 {
    let inputs = tx.input.iter().map(|input| input.script_sig.count_sigops_legacy());
    let outputs = tx.output.iter().map(|out| out.script_pubkey.count_sigops_legacy());
    inputs.chain(outputs).sum::<usize>() as u64
}

/// The merkle root, and that no repeated subtree could hide behind it (CVE-2012-2459).
fn check_merkle_root(block: &Block) -> Result<(), Reject> {
    let mut level: Vec<[u8; 32]> = block.txdata.iter().map(|tx| tx.compute_txid().to_byte_array()).collect();
    let mut repeated = false;
    while level.len() > 1 {
        repeated |= level.chunks_exact(2).any(|pair| matches!(pair, [left, right] if left == right));
        level = level
            .chunks(2)
            .filter_map(|pair| {
                let (left, right) = (pair.first()?, pair.last()?); // one alone is paired with itself
                let mut engine = sha256d::Hash::engine();
                engine.input(left);
                engine.input(right);
                Some(sha256d::Hash::from_engine(engine).to_byte_array())
            })
            .collect();
    }
    if level.first().copied().unwrap_or_default() != block.header.merkle_root.to_byte_array() {
        return Err(Reject::MerkleRoot);
    }
    if repeated {
        return Err(Reject::DuplicateTransactions);
    }
    Ok(())
}

fn check_header(header: &Header, ledger: &Ledger) -> Result<(), Reject> {
    if header.bits != CompactTarget::from_consensus(REGTEST_BITS) {
        return Err(Reject::DiffBits);
    }
    if header.time <= ledger.median_time_past(ledger.tip().height) {
        return Err(Reject::TimeTooOld);
    }
    let version = header.version.to_consensus();
    if version < 4 {
        return Err(Reject::BlockVersion(version));
    }
    Ok(())
}

fn check_in_context(block: &Block, ledger: &Ledger) -> Result<(), Reject> {
    if !block.txdata.iter().all(|tx| consensus::is_final(tx, ledger)) {
        return Err(Reject::BlockNonFinal);
    }
    let coinbase = block.txdata.first().ok_or(Reject::CoinbaseMissing)?;
    let script_sig = coinbase.input.first().map(|input| input.script_sig.as_bytes()).unwrap_or_default();
    if !script_sig.starts_with(height_push(ledger.next_height()).as_bytes()) {
        return Err(Reject::CoinbaseHeight);
    }
    check_witness_commitment(block, coinbase)?;
    if block.weight().to_wu() > MAX_BLOCK_WEIGHT {
        return Err(Reject::BlockWeight);
    }
    Ok(())
}

fn check_witness_commitment(block: &Block, coinbase: &Transaction) -> Result<(), Reject> {
    let committed = coinbase.output.iter().rev().find_map(|out| {
        let script = out.script_pubkey.as_bytes();
        script.strip_prefix(&WITNESS_COMMITMENT).and_then(|rest| rest.get(..32))
    });
    let Some(committed) = committed else {
        let unexpected = block.txdata.iter().flat_map(|tx| &tx.input).any(|input| !input.witness.is_empty());
        return if unexpected { Err(Reject::UnexpectedWitness) } else { Ok(()) };
    };
    let witness: Vec<&[u8]> = coinbase.input.iter().flat_map(|input| input.witness.iter()).collect();
    let [reserved] = witness.as_slice() else { return Err(Reject::WitnessNonceSize) };
    if reserved.len() != 32 {
        return Err(Reject::WitnessNonceSize);
    }
    if witness_commitment(block, reserved).is_none_or(|found| found.as_byte_array() != committed) {
        return Err(Reject::WitnessMerkleMatch);
    }
    Ok(())
}

/// The witness commitment of a block (BIP 141).
pub fn witness_commitment(block: &Block, reserved: &[u8]) -> Option<WitnessCommitment> {
    block.witness_root().map(|root| Block::compute_witness_commitment(&root, reserved))
}

/// What a block spends of the coins before it, and creates.
#[derive(Default)]
struct Changes {
    spent: Vec<(OutPoint, Coin)>,
    created: BTreeMap<OutPoint, Coin>,
}

/// Coins as they stand in the middle of a block.
struct BlockView<'a> {
    ledger: &'a Ledger,
    gone: BTreeSet<OutPoint>,
    changes: Changes,
}

impl CoinView for BlockView<'_> {
    fn coin(&self, outpoint: &OutPoint) -> Option<Coin> {
        if let Some(coin) = self.changes.created.get(outpoint) {
            return Some(coin.clone());
        }
        self.ledger.coin(outpoint).filter(|_| !self.gone.contains(outpoint))
    }
}

impl BlockView<'_> {
    fn apply(&mut self, tx: &Transaction, coins: Vec<Coin>, height: u32) {
        for (input, coin) in tx.input.iter().zip(coins) {
            if self.changes.created.remove(&input.previous_output).is_none() {
                self.gone.insert(input.previous_output);
                self.changes.spent.push((input.previous_output, coin));
            }
        }
        self.changes.created.extend(created_coins(tx, height));
    }
}

fn check_transactions(block: &Block, ledger: &Ledger, memo: &ScriptMemo) -> Result<Changes, Reject> {
    let height = ledger.next_height();
    let mut view = BlockView { ledger, gone: BTreeSet::new(), changes: Changes::default() };
    let mut outputs = block.txdata.iter().flat_map(|tx| created_coins(tx, height));
    if outputs.any(|(outpoint, _)| ledger.coin(&outpoint).is_some()) {
        return Err(Reject::Bip30);
    }
    let mut fees = Amount::ZERO;
    let mut sigops = 0u64;
    for tx in &block.txdata {
        let coins = if tx.is_coinbase() { Vec::new() } else { consensus::spent_coins(tx, &view)? };
        if !tx.is_coinbase() {
            fees += consensus::check_amounts(tx, &coins, height)?;
            if !consensus::LockPoint::of(tx, &coins, ledger).is_over(ledger) {
                return Err(Reject::BlockNonFinal);
            }
        }
        sigops = sigops.saturating_add(consensus::sigops_cost(tx, &coins));
        if sigops > MAX_BLOCK_SIGOPS_COST {
            return Err(Reject::BlockSigops);
        }
        if !tx.is_coinbase() && !memo.contains(&tx.compute_wtxid()) {
            script::check_mandatory(tx, &coins).map_err(Reject::BlockScript)?;
        }
        view.apply(tx, coins, height);
    }
    let paid: Amount =
        block.txdata.first().map(|tx| tx.output.iter().map(|out| out.value).sum()).unwrap_or_default();
    if paid > subsidy(height) + fees {
        return Err(Reject::CoinbaseAmount);
    }
    Ok(view.changes)
}
