//! Fills a mempool with the miner's own money: transactions of nearly the largest standard size that pay all they have as fee.
//! They come from one confirmed split, because a cluster of the mempool has no room for two of them. Deterministic: the same
//! miner makes the same fillers over either backend.
use bitcoin::script::PushBytesBuf;
use bitcoin::{
    absolute, transaction, Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness,
};

use super::miner::{sign, Miner, MinerCoin};
use super::policy::INCREMENTAL_RELAY_FEE;
use super::room::MOST_BYTES;
use super::{Chain, ChainError, Tip};

/// Bytes that a filler carries. Ten fillers fit a block, and about fifty the mempool.
const DATA: usize = 99_690;
/// A filler's size. Its signature's length does not change it.
const VSIZE: u64 = DATA as u64 + 98;
/// So many are surely too many for the mempool.
const MOST: usize = MOST_BYTES as usize / DATA + 1;

impl Miner {
    /// The transaction that the fillers spend; it has to be mined first. Not handed to the mempool. `feerate` in sat per 1000
    /// weight units.
    ///
    /// # Errors
    /// `Refused` if the miner has too few ripe coins.
    pub fn split(&mut self, tip: Tip, feerate: u32) -> Result<Transaction, ChainError> {
        let out = TxOut { value: fee(feerate), script_pubkey: self.script.clone() };
        let (tx, taken) = self.payment(tip, vec![out; MOST])?;
        self.coins.retain(|coin| !taken.contains(coin));
        let outputs = coins_of(&tx);
        self.coins.splice(0..0, outputs.into_iter().skip(MOST));
        Ok(tx)
    }

    /// Hands fillers of this feerate (sat per 1000 weight units) to the mempool until it has put out a transaction of that
    /// feerate: then nothing cheaper is left in it. They spend a `split` for the same feerate that was mined.
    ///
    /// # Errors
    /// What the chain answers: `mempool min fee not met` if the floor is above this feerate already.
    pub fn fill(
        &mut self,
        chain: &mut dyn Chain,
        split: &Transaction,
        feerate: u32,
    ) -> Result<(), ChainError> {
        let wanted = u64::from(feerate) * 4 + INCREMENTAL_RELAY_FEE;
        let mut coins = coins_of(split).into_iter().take(MOST);
        while chain.floor()? < wanted {
            let Some(coin) = coins.next() else { break };
            let filler = filler(coin, &self.script)?;
            match chain.submit(&filler) {
                Ok(_) => {}
                // It was the one that had to go.
                Err(ChainError::Refused { reason }) if reason == "mempool full" => {}
                Err(error) => return Err(error),
            }
        }
        self.coins.extend(coins);
        Ok(())
    }
}

fn fee(feerate: u32) -> Amount {
    Amount::from_sat((u64::from(feerate) * 4 * VSIZE).div_ceil(1_000))
}

fn coins_of(tx: &Transaction) -> Vec<MinerCoin> {
    let txid = tx.compute_txid();
    let coin = |(vout, out): (u32, &TxOut)| MinerCoin {
        outpoint: OutPoint { txid, vout },
        value: out.value,
        ripe_at: 0,
    };
    (0u32..).zip(&tx.output).map(coin).collect()
}

fn filler(coin: MinerCoin, script: &ScriptBuf) -> Result<Transaction, ChainError> {
    let mut data = PushBytesBuf::new();
    data.extend_from_slice(&[0; DATA])
        .map_err(|fault| ChainError::Backend(format!("the filler's data cannot be pushed: {fault}")))?;
    let input = TxIn {
        previous_output: coin.outpoint,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness: Witness::new(),
    };
    let mut tx = Transaction {
        version: transaction::Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: vec![input],
        output: vec![TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::new_op_return(data) }],
    };
    sign(&mut tx, &[coin], script)?;
    Ok(tx)
}
