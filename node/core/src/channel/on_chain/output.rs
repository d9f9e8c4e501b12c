//! The outputs on the chain that concern us: what each is for, from when and until when it can be taken, how it was spent.
use super::{depth_of, Kind, OnChain};
use super::{Base, Confirmed, Env, Out};
use crate::channel::ledger::{Htlc, Removal};
use crate::ids::{PaymentHash, Preimage};
use crate::tx::{to_local_script, Commitment, Side};
use crate::units::{BlockHeight, FeeratePerKw, Msat, Sat};
use bitcoin::{OutPoint, Transaction, Txid, Witness};
use serde::{Deserialize, Serialize};

/// What is worth less and was not worth a claim in a hundred blocks is left: most of it would be fees, the rest dust.
const LEFT_BELOW: Sat = Sat::new(1_000);

/// Which HTLC: ids count in each direction apart, so that equal hashes and amounts are never confused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct HtlcKey {
    /// Who offered it.
    pub offerer: Side,
    /// Its id in its direction.
    pub id: u64,
}

/// What an output is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Purpose {
    /// Our delayed balance on our commitment.
    ToLocal,
    /// Our balance on the peer's commitment.
    ToRemote,
    /// An HTLC on a commitment that was not revoked.
    Htlc(HtlcKey),
    /// The delayed output of our own HTLC transaction.
    SecondStage,
    /// What the peer had on a revoked commitment: its balance or an HTLC.
    Penalty {
        /// Which HTLC, if it is one's.
        htlc: Option<HtlcKey>,
    },
    /// The delayed output of the peer's HTLC transaction from a revoked commitment.
    SecondStagePenalty,
}

/// An output that is ours, or may be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Output {
    /// Where it is.
    pub outpoint: OutPoint,
    /// What it holds.
    pub amount: Sat,
    /// What it is for.
    pub purpose: Purpose,
    /// The block that holds its transaction.
    pub confirmed: BlockHeight,
    /// How it was spent, as the chain is now.
    pub spent: Option<Spent>,
    /// The most that a transaction of ours has offered for it: it is never claimed for less (a rebuilt claim would not replace
    /// the old one).
    pub offered: FeeratePerKw,
}

/// Who took an output.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Spent {
    /// The block.
    pub height: BlockHeight,
    /// The transaction.
    pub txid: Txid,
    /// R, if it showed it.
    pub preimage: Option<Preimage>,
}

impl Output {
    /// The output of a transaction that was mined at this height. One that is not there holds nothing.
    pub fn new(outpoint: OutPoint, tx: &Transaction, purpose: Purpose, confirmed: BlockHeight) -> Self {
        let amount = tx.output.get(outpoint.vout as usize).map_or(Sat::ZERO, |output| output.value.into());
        Self { outpoint, amount, purpose, confirmed, spent: None, offered: FeeratePerKw::ZERO }
    }

    /// The HTLC that it belongs to directly.
    pub fn htlc(&self) -> Option<HtlcKey> {
        match self.purpose {
            Purpose::Htlc(key) => Some(key),
            Purpose::Penalty { htlc } => htlc,
            Purpose::ToLocal | Purpose::ToRemote | Purpose::SecondStage | Purpose::SecondStagePenalty => None,
        }
    }
}

impl OnChain {
    /// What is ours and no transaction that was mined has moved to the wallet yet, fees not taken off. An HTLC that we offered counts
    /// for nothing until its end is known, as in a channel that is open.
    pub fn unclaimed(&self) -> Msat {
        if self.spend.is_none() {
            return self.funded.balances().0;
        }
        let open = self.outputs.iter().filter(|output| output.spent.is_none());
        let ours = open.filter(|output| match output.purpose {
            Purpose::ToLocal | Purpose::ToRemote | Purpose::SecondStage => true,
            Purpose::Penalty { .. } | Purpose::SecondStagePenalty => true,
            Purpose::Htlc(key) => key.offerer == Side::Remote && self.due(output).is_some(),
        });
        ours.map(|output| output.amount.to_msat()).fold(Msat::ZERO, Msat::saturating_add)
    }

    /// Whether the mined commitment is ours.
    fn is_local(&self) -> bool {
        self.spend.as_ref().is_some_and(|spend| spend.kind == Kind::Local)
    }

    pub(super) fn find_htlc(&self, key: HtlcKey) -> Option<&Htlc> {
        self.funded.ledger.find(key.offerer, key.id)
    }

    /// R of a received HTLC, if we may use it: we gave it to the peer, or were told to.
    pub(super) fn preimage_of(&self, id: u64) -> Option<Preimage> {
        let told = self.preimages.get(&id).copied();
        told.or_else(|| match self.funded.ledger.find(Side::Remote, id)?.remove {
            Some((_, Removal::Fulfilled(preimage))) => Some(preimage),
            Some((_, Removal::Refused(_))) | None => None,
        })
    }

    /// The first height of a block that may hold our claim; none while it is not ours to take.
    pub(super) fn due(&self, output: &Output) -> Option<BlockHeight> {
        let terms = &self.funded.terms;
        let lock = u32::from(terms.channel_type.has_anchors());
        match output.purpose {
            Purpose::ToLocal | Purpose::SecondStage => {
                Some(output.confirmed.plus(u32::from(terms.local.to_self_delay)))
            }
            Purpose::ToRemote => Some(output.confirmed.plus(lock)),
            Purpose::Penalty { .. } | Purpose::SecondStagePenalty => Some(output.confirmed),
            Purpose::Htlc(key) => {
                let unlocked = output.confirmed.plus(lock);
                match key.offerer {
                    Side::Local => {
                        let expired = self.find_htlc(key)?.cltv_expiry.to_height().plus(1);
                        Some(expired.max(unlocked))
                    }
                    Side::Remote => self.preimage_of(key.id).map(|_| unlocked),
                }
            }
        }
    }

    /// The height by which it must be ours; none where time costs nothing. For an HTLC that we offered it is the *incoming*
    /// HTLC's expiry: until then upstream cannot take its money back.
    pub(super) fn deadline(&self, output: &Output) -> Option<BlockHeight> {
        match output.purpose {
            Purpose::ToLocal | Purpose::ToRemote | Purpose::SecondStage => None,
            Purpose::Penalty { .. } | Purpose::SecondStagePenalty => {
                Some(output.confirmed.plus(u32::from(self.funded.terms.remote.to_self_delay)))
            }
            Purpose::Htlc(key) => {
                let htlc = self.find_htlc(key)?;
                match key.offerer {
                    Side::Local => htlc.incoming_expiry.map(|expiry| expiry.to_height()),
                    Side::Remote => Some(htlc.cltv_expiry.to_height()),
                }
            }
        }
    }

    /// Marks what these transactions spend, and finds the second stages among their outputs.
    pub(super) fn on_transactions(
        &mut self,
        base: &Base,
        height: BlockHeight,
        transactions: &[Confirmed],
        env: &Env,
        out: &mut Out,
    ) {
        for Confirmed { tx, .. } in transactions {
            self.tell_shown(tx, env, out);
            self.on_child_mined(tx, height, out);
            self.on_coins_spent(tx, out);
            let touched = self.mark_spent(tx, height);
            if touched.is_empty() {
                continue;
            }
            out.save = true;
            self.find_second_stages(base, tx, height, &touched);
            self.on_claims_spent(tx, height);
        }
    }

    /// The outputs that this transaction spends.
    fn mark_spent(&mut self, tx: &Transaction, height: BlockHeight) -> Vec<Output> {
        let mut touched = Vec::new();
        let txid = tx.compute_txid();
        for input in &tx.input {
            let place = self.outputs.iter().position(|output| output.outpoint == input.previous_output);
            let Some(place) = place.filter(|place| self.outputs[*place].spent.is_none()) else { continue };
            let hash =
                self.outputs[place].htlc().and_then(|key| self.find_htlc(key)).map(|htlc| htlc.payment_hash);
            let preimage = hash.and_then(|hash| preimage_in(&input.witness, &hash));
            self.outputs[place].spent = Some(Spent { height, txid, preimage });
            touched.push(self.outputs[place].clone());
        }
        touched
    }

    /// Outputs of HTLC transactions pay the same script as `to_local`: ours after a delay, or the cheater's until we punish.
    fn find_second_stages(&mut self, base: &Base, tx: &Transaction, height: BlockHeight, spent: &[Output]) {
        let ours = self.is_local();
        let is_htlc = |output: &Output| output.htlc().is_some();
        if !spent.iter().any(is_htlc) {
            return;
        }
        let Some(commitment) = self.commitment(base).filter(|commitment| ours || self.is_revoked(commitment))
        else {
            return;
        };
        let script = delayed_script(&commitment, self.funded.terms.party(commitment.holder).to_self_delay);
        let purpose = if ours { Purpose::SecondStage } else { Purpose::SecondStagePenalty };
        let txid = tx.compute_txid();
        for (vout, _) in (0u32..).zip(&tx.output).filter(|(_, output)| output.script_pubkey == script) {
            let outpoint = OutPoint { txid, vout };
            if !self.outputs.iter().any(|known| known.outpoint == outpoint) {
                self.outputs.push(Output::new(outpoint, tx, purpose, height));
            }
        }
    }

    fn is_revoked(&self, commitment: &Commitment) -> bool {
        let spend = self.spend.as_ref();
        spend.is_some_and(|spend| spend.kind == Kind::Revoked(commitment.number))
    }

    /// Undoes what the block at this height and those above it did; with `all`, the spend of the funding too.
    pub(super) fn forget_block(&mut self, height: BlockHeight, all: bool, out: &mut Out) {
        let before = self.outputs.len();
        self.outputs.retain(|output| !all && output.confirmed < height);
        let mut changed = self.outputs.len() != before;
        for output in &mut self.outputs {
            if output.spent.is_some_and(|spent| spent.height >= height) {
                output.spent = None;
                changed = true;
            }
        }
        out.save |= changed;
        self.unmine_claims(height, out);
    }

    /// Whether nothing more can happen to this output that is ours to see to.
    pub(super) fn is_over(&self, output: &Output, deep: impl Fn(BlockHeight) -> bool) -> bool {
        if let Some(spent) = output.spent {
            return deep(spent.height);
        }
        match (output.purpose, self.due(output)) {
            // Without R it goes back to the peer, who may take its time.
            (Purpose::Htlc(key), None) => {
                self.find_htlc(key).is_none_or(|htlc| deep(htlc.cltv_expiry.to_height()))
            }
            // What is worth no claim even at the lowest feerate is left.
            (_, Some(due)) => output.amount < LEFT_BELOW && deep(due) && !self.is_claimed(&output.outpoint),
            (_, None) => true,
        }
    }

    /// How deep the spend of this output is.
    pub(super) fn depth_of_spend(spent: &Spent, tip: BlockHeight) -> u32 {
        depth_of(spent.height, tip)
    }
}

fn delayed_script(commitment: &Commitment, delay: u16) -> bitcoin::ScriptBuf {
    let keys = &commitment.keys;
    to_local_script(&keys.revocation, delay, &keys.delayed_payment).to_p2wsh()
}

/// R in a witness, by its hash: whichever way the output was spent.
pub(super) fn preimage_in(witness: &Witness, hash: &PaymentHash) -> Option<Preimage> {
    let preimages = witness.iter().filter_map(|element| <[u8; 32]>::try_from(element).ok().map(Preimage));
    preimages.into_iter().find(|preimage| preimage.payment_hash() == *hash)
}
