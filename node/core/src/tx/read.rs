//! A commitment transaction as the chain shows it, read back into a [`Commitment`]: which output is what follows from keys and
//! from the HTLCs that the state held. Nothing is believed of outputs that fit nothing.
use super::*;
use crate::units::{CommitmentNumber, FeeratePerKw, Sat};
use bitcoin::{Script, Transaction, Witness};
use secp256k1::PublicKey;

impl Commitment {
    /// Reads `tx` as the commitment `number` of `holder`, whose point is `point`, with these HTLCs. Equal HTLC outputs are
    /// interchangeable: each of them is taken once, in the order that BOLT 3 gives them ("Transaction Output Ordering").
    pub fn read(
        terms: &ChannelTerms,
        holder: Side,
        number: CommitmentNumber,
        point: PublicKey,
        tx: &Transaction,
        htlcs: &[HtlcTerms],
    ) -> Self {
        let keys = CommitmentKeys::derive(terms, holder, point);
        let mut unsigned = tx.clone();
        unsigned.input.iter_mut().for_each(|input| input.witness = Witness::new());
        let spent = tx.output.iter().fold(Sat::ZERO, |sum, output| sum.saturating_add(output.value.into()));
        let mut commitment = Self {
            holder,
            number,
            keys,
            feerate: FeeratePerKw::ZERO,
            tx: unsigned,
            to_local: None,
            to_remote: None,
            to_local_anchor: None,
            to_remote_anchor: None,
            htlcs: Vec::new(),
            trimmed: Vec::new(),
            fee: terms.funding_amount.saturating_sub(spent),
        };
        commitment.find_balances(terms);
        commitment.find_htlcs(terms, htlcs);
        commitment
    }

    /// How many outputs were recognised.
    pub fn recognised(&self) -> usize {
        let singles = [self.to_local, self.to_remote, self.to_local_anchor, self.to_remote_anchor];
        singles.iter().flatten().count() + self.htlcs.len()
    }

    fn find_balances(&mut self, terms: &ChannelTerms) {
        let (format, own, other) =
            (terms.channel_type, terms.party(self.holder), terms.party(self.holder.other()));
        let keys = &self.keys;
        let delayed = to_local_script(&keys.revocation, own.to_self_delay, &keys.delayed_payment).to_p2wsh();
        let to_remote = to_remote_script_pubkey(format, &keys.counterparty_payment);
        let find = |script: &Script| position(&self.tx, |output| output.script_pubkey.as_script() == script);
        let anchor = |party: &PartyTerms| {
            let script = anchor_script(&party.basepoints.funding_pubkey).to_p2wsh();
            find(&script).filter(|_| format.has_anchors())
        };
        let found = (find(&delayed), find(&to_remote), anchor(own), anchor(other));
        (self.to_local, self.to_remote, self.to_local_anchor, self.to_remote_anchor) = found;
    }

    fn find_htlcs(&mut self, terms: &ChannelTerms, htlcs: &[HtlcTerms]) {
        let mut ordered: Vec<&HtlcTerms> = htlcs.iter().collect();
        ordered.sort_by_key(|htlc| (htlc.cltv_expiry, htlc.id));
        let mut taken = Vec::new();
        for htlc in ordered {
            let script = htlc_script(terms.channel_type, &self.keys, htlc).to_p2wsh();
            let amount = htlc.amount.floor_to_sat().to_amount();
            let places = (0u32..).zip(&self.tx.output).filter(|(vout, output)| {
                output.script_pubkey == script && output.value == amount && !taken.contains(vout)
            });
            match places.map(|(vout, _)| vout).next() {
                Some(vout) => {
                    taken.push(vout);
                    self.htlcs.push(HtlcOutput { htlc: *htlc, vout });
                }
                None => self.trimmed.push(*htlc),
            }
        }
        self.htlcs.sort_by_key(|output| output.vout);
    }
}

fn position(tx: &Transaction, fits: impl Fn(&bitcoin::TxOut) -> bool) -> Option<u32> {
    (0u32..).zip(&tx.output).find(|(_, output)| fits(output)).map(|(vout, _)| vout)
}
