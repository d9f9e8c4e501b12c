//! Unspent outputs: the coin, the confirmed set, and views layered over it. No rules here.
use std::collections::HashMap;

use bitcoin::{OutPoint, Transaction, TxOut};

/// An unspent output and where it came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Coin {
    /// The output.
    pub out: TxOut,
    /// The height that it confirmed at; for an unconfirmed one, the height of the next block.
    pub height: u32,
    /// From a coinbase: spendable only after 100 blocks.
    pub coinbase: bool,
}

/// The confirmed unspent outputs. Only looked up, never iterated, so that hash order cannot show.
pub type CoinSet = HashMap<OutPoint, Coin>;

/// Somewhere to look coins up.
pub trait CoinView {
    /// The coin, if it exists and this view has not spent it.
    fn coin(&self, outpoint: &OutPoint) -> Option<Coin>;
}

impl CoinView for CoinSet {
    fn coin(&self, outpoint: &OutPoint) -> Option<Coin> {
        self.get(outpoint).cloned()
    }
}

/// Can never be spent (OP_RETURN or too long), so it never enters the set.
pub fn is_unspendable(out: &TxOut) -> bool {
    let script = out.script_pubkey.as_bytes();
    script.first() == Some(&0x6a) || script.len() > 10_000
}

/// The coins that a transaction creates when it confirms at `height`.
pub fn created_coins(tx: &Transaction, height: u32) -> impl Iterator<Item = (OutPoint, Coin)> + '_ {
    let txid = tx.compute_txid();
    let coinbase = tx.is_coinbase();
    (0u32..)
        .zip(&tx.output)
        .filter(|(_, out)| !is_unspendable(out))
        .map(move |(vout, out)| (OutPoint { txid, vout }, Coin { out: out.clone(), height, coinbase }))
}
