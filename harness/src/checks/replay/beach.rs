//! What of the channels reached the chain: which output was spent where, how, and with which preimage. Follows the best
//! chain as the blocks come and go; knows outputs that the walk told it of and no others.
use bitcoin::{Block, OutPoint, Transaction, Txid, Witness};
use leyden_core::ids::Preimage;
use std::collections::{BTreeMap, BTreeSet};

/// How an output of a commitment or of an HTLC transaction was spent, by its witness (BOLT 3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// By its owner, after a delay or at once.
    Owner,
    /// By the other end, with the revocation key.
    Penalty,
    /// By the commitment's holder, in an HTLC-timeout transaction.
    HtlcTimeout,
    /// By the commitment's holder, in an HTLC-success transaction.
    HtlcSuccess,
    /// By the other end, with R.
    WithPreimage,
    /// By the other end, after the expiry.
    AfterExpiry,
    /// In no way that BOLT 3 knows.
    Strange,
}

impl Way {
    /// How an HTLC's output was spent.
    pub fn of_htlc(witness: &Witness) -> Self {
        let lengths: Vec<usize> = witness.iter().map(<[u8]>::len).collect();
        match lengths.as_slice() {
            [_, _, _, 0, _] => Way::HtlcTimeout,
            [_, _, _, 32, _] => Way::HtlcSuccess,
            [_, 0, _] => Way::AfterExpiry,
            [_, 32, _] => Way::WithPreimage,
            [_, 33, _] => Way::Penalty,
            _ => Way::Strange,
        }
    }

    /// How a delayed output was spent; any other has one way only.
    pub fn of_delayed(witness: &Witness) -> Self {
        let lengths: Vec<usize> = witness.iter().map(<[u8]>::len).collect();
        match lengths.as_slice() {
            [_, 1, _] => Way::Penalty,
            _ => Way::Owner,
        }
    }

    /// Whether the commitment's holder takes it so.
    pub fn is_holders(self) -> bool {
        matches!(self, Way::HtlcTimeout | Way::HtlcSuccess)
    }
}

/// R in a witness.
pub fn preimage(witness: &Witness) -> Option<Preimage> {
    let item = match witness.len() {
        5 => witness.nth(3)?,
        3 => witness.nth(1)?,
        _ => return None,
    };
    item.try_into().ok().map(Preimage)
}

/// An output's end on the chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spend {
    /// The spending transaction.
    pub txid: Txid,
    /// Which of its inputs.
    pub input: usize,
    /// Its block.
    pub height: u32,
    /// Its witness.
    pub witness: Witness,
}

/// The best chain, as far as it concerns channels.
#[derive(Clone, Debug, Default)]
pub struct Beach {
    height: u32,
    spends: BTreeMap<OutPoint, Spend>,
    /// Outputs that count, of transactions on the chain or on their way.
    watched: BTreeSet<OutPoint>,
    /// Who was seen to spend each of them, mined or not, and when first.
    rivals: BTreeMap<OutPoint, Vec<(usize, Txid)>>,
}

impl Beach {
    /// The best chain's height.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// From now on this output counts.
    pub fn watch(&mut self, outpoint: OutPoint) {
        self.watched.insert(outpoint);
    }

    /// Whether it does.
    pub fn watches(&self, outpoint: &OutPoint) -> bool {
        self.watched.contains(outpoint)
    }

    /// A transaction was seen to spend what it spends.
    pub fn see(&mut self, tx: &Transaction, txid: Txid, place: usize) {
        for input in &tx.input {
            let seen = self.rivals.entry(input.previous_output).or_default();
            if !seen.iter().any(|(_, other)| *other == txid) {
                seen.push((place, txid));
            }
        }
    }

    /// Whether another transaction was seen before `place` to spend this.
    pub fn has_rival(&self, outpoint: &OutPoint, txid: Txid, place: usize) -> bool {
        let seen = self.rivals.get(outpoint).into_iter().flatten();
        seen.into_iter().any(|(when, other)| *other != txid && *when < place)
    }

    /// A block on top, unless it is there already. Its transactions were looked at before.
    pub fn connect(&mut self, height: u32, block: &Block) {
        self.height = height;
        for tx in block.txdata.iter().skip(1) {
            let mut txid = None;
            for (input, spent) in tx.input.iter().enumerate() {
                if !self.watched.contains(&spent.previous_output) {
                    continue;
                }
                let txid = *txid.get_or_insert_with(|| tx.compute_txid());
                let spend = Spend { txid, input, height, witness: spent.witness.clone() };
                self.spends.insert(spent.previous_output, spend);
            }
        }
    }

    /// The tip is gone.
    pub fn disconnect(&mut self, height: u32) {
        if self.height >= height {
            self.height = height.saturating_sub(1);
            self.spends.retain(|_, spend| spend.height < height);
        }
    }

    /// How an output ended on the best chain.
    pub fn spend(&self, outpoint: &OutPoint) -> Option<&Spend> {
        self.spends.get(outpoint)
    }

    /// How deep a block of this height is: 1 for the tip.
    pub fn depth(&self, height: u32) -> u32 {
        (self.height + 1).saturating_sub(height)
    }

    /// Mines a spend, for a test that needs no whole block.
    #[cfg(test)]
    pub fn put(&mut self, outpoint: OutPoint, spend: Spend) {
        self.height = self.height.max(spend.height);
        self.spends.insert(outpoint, spend);
    }

    /// Lets the chain grow, for a test.
    #[cfg(test)]
    pub fn grow_to(&mut self, height: u32) {
        self.height = height;
    }
}
