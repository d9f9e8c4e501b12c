//! Blocks: the wallet takes in each one, and every channel learns of it with the transactions that it watches for.

use super::draft::Draft;
use super::{NewBlock, Node, Relevant};
use crate::channel::{Channel, Confirmed, Env, Input, Watch};
use crate::ids::{ChannelId, PaymentHash, Preimage};
use crate::units::BlockHeight;
use bitcoin::{Transaction, Txid};
use std::sync::Arc;

impl Node {
    /// A block that is not above the last one seen is known already, from before a restart.
    pub(super) fn on_block_connected(&mut self, block: &NewBlock, env: &Env, draft: &mut Draft) {
        if block.height <= self.counters.tip {
            return;
        }
        self.counters.tip = block.height;
        draft.counters = true;
        self.wallet.connect(&block.block, block.height, block.hash);
        let env = Env { height: block.height, ..*env };
        let mut picker = Picker::new(&block.block.txdata);
        let ids = self.oldest_first();
        for id in ids {
            let Some(channel) = self.channels.get(&id) else { continue };
            let transactions = picker.pick(&channel.watches());
            let input = Input::BlockConnected { height: block.height, transactions };
            // Blocks are never refused.
            let _ = self.step(id, input, &env, draft);
        }
        self.run_tasks(&env, draft);
    }

    /// A transaction that is not mined yet proves nothing, but the preimages in it are known from here on: whose HTLC has such a
    /// hash is told, whatever the transaction spends.
    pub(super) fn on_unconfirmed(&mut self, tx: &Arc<Transaction>, env: &Env, draft: &mut Draft) {
        let elements = tx.input.iter().flat_map(|input| input.witness.iter());
        let preimages = elements.filter_map(|element| <[u8; 32]>::try_from(element).ok().map(Preimage));
        let hashes: Vec<PaymentHash> = preimages.map(|preimage| preimage.payment_hash()).collect();
        if hashes.is_empty() {
            return;
        }
        let waits =
            |channel: &Channel| channel.htlcs().iter().any(|htlc| hashes.contains(&htlc.payment_hash));
        let waiting = self.channels.iter().filter(|(_, channel)| waits(channel));
        let ids: Vec<ChannelId> = waiting.map(|(id, _)| *id).collect();
        for id in ids {
            // What the chain shows is never refused.
            let _ = self.step(id, Input::Unconfirmed(tx.clone()), env, draft);
        }
    }

    pub(super) fn on_block_disconnected(&mut self, height: BlockHeight, env: &Env, draft: &mut Draft) {
        if height > self.counters.tip {
            return;
        }
        self.counters.tip = height.saturating_sub(BlockHeight::new(1));
        draft.counters = true;
        self.wallet.disconnect(height);
        let env = Env { height: self.counters.tip, ..*env };
        let ids = self.oldest_first();
        for id in ids {
            // Blocks are never refused.
            let _ = self.step(id, Input::BlockDisconnected { height }, &env, draft);
        }
        self.run_tasks(&env, draft);
    }
}

impl Node {
    /// Every channel in the order in which they were begun: what is scarce, as the wallet's coins are, goes to the older one. Ids
    /// follow from keys, and say nothing.
    fn oldest_first(&self) -> Vec<ChannelId> {
        let mut ids: Vec<(u64, ChannelId)> =
            self.channels.iter().map(|(id, channel)| (channel.key_index(), *id)).collect();
        ids.sort_unstable();
        ids.into_iter().map(|(_, id)| id).collect()
    }
}

/// Finds what a channel watches for in one block; each transaction is hashed and copied at most once.
struct Picker<'a> {
    transactions: &'a [Transaction],
    txids: Vec<Txid>,
    shared: Vec<Option<Arc<Transaction>>>,
}

impl<'a> Picker<'a> {
    fn new(transactions: &'a [Transaction]) -> Self {
        Self { transactions, txids: Vec::new(), shared: vec![None; transactions.len()] }
    }

    fn pick(&mut self, watches: &[Watch]) -> Relevant {
        if watches.is_empty() {
            return Vec::new();
        }
        if self.txids.is_empty() {
            self.txids = self.transactions.iter().map(Transaction::compute_txid).collect();
        }
        let mut picked = Vec::new();
        // What spends a picked one in the same block comes along: its outputs could not be watched yet.
        let mut parents: Vec<Txid> = Vec::new();
        let places = self.transactions.iter().zip(&self.txids).zip(&mut self.shared).zip(0..);
        for (((tx, txid), shared), index) in places {
            let child = || tx.input.iter().any(|input| parents.contains(&input.previous_output.txid));
            if watches.iter().any(|watch| concerns(watch, tx, txid)) || child() {
                parents.push(*txid);
                let tx = shared.get_or_insert_with(|| Arc::new(tx.clone())).clone();
                picked.push(Confirmed { tx, index });
            }
        }
        picked
    }
}

fn concerns(watch: &Watch, tx: &Transaction, txid: &Txid) -> bool {
    match watch {
        Watch::Script(script) => tx.output.iter().any(|output| output.script_pubkey == *script),
        Watch::Spend(outpoint) => tx.input.iter().any(|input| input.previous_output == *outpoint),
        Watch::Confirmation(wanted) => txid == wanted,
    }
}
