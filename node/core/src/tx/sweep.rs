//! Outputs of a commitment that one side can take alone, and the transaction that does: one input, one output, signed.
//! Seed: RD, HTRD, HERD (delayed), D (`to_remote`), BR, HTBR, HEBR (penalty), HED and HTD (direct HTLC claims), HBR.
//! Says what a claim needs and what it costs, not when it is due.
use super::signature::{digest_at, sign, witness_element};
use super::*;
use crate::ids::Preimage;
use crate::keys::{derive_revocation_secret_key, derive_secret_key_of, ChannelKeys};
use crate::units::{FeeratePerKw, Sat};
use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::{
    EcdsaSighashType, OutPoint, PubkeyHash, Script, ScriptBuf, Sequence, Transaction, TxIn, Witness,
};
use secp256k1::SecretKey;
use std::fmt;

/// An output that this node can take alone, with all that its spending needs. Holds a secret key and prints none.
#[derive(Clone, PartialEq, Eq)]
pub struct Claim {
    /// The output.
    pub outpoint: OutPoint,
    /// What it holds.
    pub amount: Sat,
    /// The relative lock: blocks after the output's confirmation, or none.
    pub sequence: Sequence,
    /// The absolute lock: an HTLC's expiry, or none.
    pub lock_time: LockTime,
    /// What the signature commits to: the witness script, or for P2WPKH the script that BIP 143 puts in its place.
    script_code: ScriptBuf,
    /// The witness after the signature.
    tail: Vec<Vec<u8>>,
    key: SecretKey,
}

impl Claim {
    /// RD: this node's `to_local` on its own commitment, after its `to_self_delay`. Nothing if there is none.
    pub fn to_local(commitment: &Commitment, terms: &ChannelTerms, keys: &ChannelKeys) -> Option<Self> {
        let (outpoint, amount) = output(commitment, Side::Local, commitment.to_local)?;
        Some(Self::delayed(commitment, terms, keys, outpoint, amount))
    }

    /// HTRD and HERD: the output of this node's own HTLC transaction, as it was mined: with anchors its txid, and who
    /// adds inputs before it its index, differ from those signed. Nothing on the peer's commitment.
    pub fn second_stage(
        commitment: &Commitment,
        terms: &ChannelTerms,
        keys: &ChannelKeys,
        outpoint: OutPoint,
        amount: Sat,
    ) -> Option<Self> {
        (commitment.holder == Side::Local).then(|| Self::delayed(commitment, terms, keys, outpoint, amount))
    }

    fn delayed(
        commitment: &Commitment,
        terms: &ChannelTerms,
        keys: &ChannelKeys,
        outpoint: OutPoint,
        amount: Sat,
    ) -> Self {
        let (basepoint, delay) = (&terms.local.basepoints.delayed_payment, terms.local.to_self_delay);
        let of = &commitment.keys;
        let script = to_local_script(&of.revocation, delay, &of.delayed_payment);
        let key = derive_secret_key_of(&keys.delayed_payment, basepoint, &of.per_commitment_point);
        Self::by_script(outpoint, amount, Sequence::from_height(delay), vec![vec![]], script, key)
    }

    /// D: this node's `to_remote` on the peer's commitment: at once, or after one block with anchors. It needs the
    /// payment key alone. Nothing if there is none.
    pub fn to_remote(commitment: &Commitment, terms: &ChannelTerms, keys: &ChannelKeys) -> Option<Self> {
        let (outpoint, amount) = output(commitment, Side::Remote, commitment.to_remote)?;
        Some(Self::to_remote_at(outpoint, amount, terms, keys))
    }

    /// As [`Claim::to_remote`], for a commitment that this node knows nothing of but its output on the chain.
    pub fn to_remote_at(outpoint: OutPoint, amount: Sat, terms: &ChannelTerms, keys: &ChannelKeys) -> Self {
        let (format, payment) = (terms.channel_type, &terms.local.basepoints.payment);
        let sequence = claim_sequence(format);
        if format.has_anchors() {
            let script = to_remote_anchors_script(payment);
            return Self::by_script(outpoint, amount, sequence, vec![], script, keys.payment);
        }
        let bytes = payment.serialize();
        Self {
            outpoint,
            amount,
            sequence,
            lock_time: LockTime::ZERO,
            script_code: ScriptBuf::new_p2pkh(&PubkeyHash::hash(&bytes)),
            tail: vec![bytes.to_vec()],
            key: keys.payment,
        }
    }

    /// This node's own anchor of a commitment, whoever holds it: spent to pay for the commitment. Nothing without anchors.
    pub fn anchor(commitment: &Commitment, terms: &ChannelTerms, keys: &ChannelKeys) -> Option<Self> {
        let vout = match commitment.holder {
            Side::Local => commitment.to_local_anchor,
            Side::Remote => commitment.to_remote_anchor,
        };
        let (outpoint, amount) = output(commitment, commitment.holder, vout)?;
        let script = anchor_script(&terms.local.basepoints.funding_pubkey);
        Some(Self::by_script(outpoint, amount, ANY_TIME, vec![], script, keys.funding))
    }

    /// HED or HTD: the `index`th HTLC output of the peer's commitment, directly: one that the peer offered with the
    /// preimage, one that the peer received after its expiry. Nothing without the fitting preimage.
    pub fn htlc(
        commitment: &Commitment,
        terms: &ChannelTerms,
        keys: &ChannelKeys,
        index: usize,
        preimage: Option<&Preimage>,
    ) -> Option<Self> {
        let HtlcOutput { htlc, vout } = commitment.htlcs.get(index)?;
        let (outpoint, amount) = output(commitment, Side::Remote, Some(*vout))?;
        let (proof, lock_time) = match htlc.direction {
            Direction::Offered => {
                let preimage = preimage.filter(|preimage| preimage.payment_hash() == htlc.payment_hash)?;
                (preimage.0.to_vec(), LockTime::ZERO)
            }
            Direction::Received => (vec![], LockTime::from_consensus(htlc.cltv_expiry.get())),
        };
        let point = &commitment.keys.per_commitment_point;
        let key = derive_secret_key_of(&keys.htlc, &terms.local.basepoints.htlc, point);
        let script = htlc_script(terms.channel_type, &commitment.keys, htlc);
        let sequence = claim_sequence(terms.channel_type);
        let claim = Self::by_script(outpoint, amount, sequence, vec![proof], script, key);
        Some(Self { lock_time, ..claim })
    }

    /// BR, HBR: every output of the peer's revoked commitment that the revocation key takes, `to_local` first.
    /// `secret` is the per-commitment secret that the peer released for it.
    pub fn penalties(
        commitment: &Commitment,
        terms: &ChannelTerms,
        keys: &ChannelKeys,
        secret: &SecretKey,
    ) -> Vec<Self> {
        let key = derive_revocation_secret_key(&keys.revocation, secret);
        let of = &commitment.keys;
        let penalty = |vout, element, script| {
            let (outpoint, amount) = output(commitment, Side::Remote, Some(vout))?;
            Some(Self::by_script(outpoint, amount, ANY_TIME, vec![element], script, key))
        };
        let to_local = commitment.to_local.and_then(|vout| {
            let delay = terms.remote.to_self_delay;
            penalty(vout, vec![1], to_local_script(&of.revocation, delay, &of.delayed_payment))
        });
        let htlcs = commitment.htlcs.iter().filter_map(|HtlcOutput { htlc, vout }| {
            let script = htlc_script(terms.channel_type, of, htlc);
            penalty(*vout, of.revocation.serialize().to_vec(), script)
        });
        to_local.into_iter().chain(htlcs).collect()
    }

    /// HTBR, HEBR: the output of an HTLC transaction that the peer got mined out of a revoked commitment.
    pub fn second_stage_penalty(
        commitment: &Commitment,
        terms: &ChannelTerms,
        keys: &ChannelKeys,
        secret: &SecretKey,
        outpoint: OutPoint,
        amount: Sat,
    ) -> Option<Self> {
        let (of, delay) = (&commitment.keys, terms.remote.to_self_delay);
        let script = to_local_script(&of.revocation, delay, &of.delayed_payment);
        (commitment.holder == Side::Remote).then(|| {
            let key = derive_revocation_secret_key(&keys.revocation, secret);
            Self::by_script(outpoint, amount, ANY_TIME, vec![vec![1]], script, key)
        })
    }

    /// The witness: signature, then `elements` (an empty one takes the else branch), then the script.
    fn by_script(
        outpoint: OutPoint,
        amount: Sat,
        sequence: Sequence,
        elements: Vec<Vec<u8>>,
        script: ScriptBuf,
        key: SecretKey,
    ) -> Self {
        let mut tail = elements;
        tail.push(script.to_bytes());
        Self { outpoint, amount, sequence, lock_time: LockTime::ZERO, script_code: script, tail, key }
    }

    /// What its witness weighs, with a signature of the greatest length.
    pub(super) fn witness_weight(&self) -> u64 {
        let tail = self.tail.iter().map(|element| size_len(element.len()) + element.len() as u64);
        size_len(self.tail.len() + 1) + 1 + SIGNATURE_LEN + tail.sum::<u64>()
    }

    /// The weight of the sweep to `destination`, with a signature of the greatest length: at most this.
    pub fn weight(&self, destination: &Script) -> u64 {
        gathered_weight(std::slice::from_ref(self), destination)
    }

    /// The signed sweep to `destination`, or that it is not worth its fee.
    pub fn sweep(&self, destination: &Script, feerate: FeeratePerKw) -> Result<Transaction, Uneconomical> {
        gather(std::slice::from_ref(self), destination, feerate)
    }

    /// Its input, without a witness.
    pub(super) fn input(&self) -> TxIn {
        let (previous_output, sequence) = (self.outpoint, self.sequence);
        TxIn { previous_output, script_sig: ScriptBuf::new(), sequence, witness: Witness::new() }
    }

    /// Signs the input at `index` of a transaction that is complete but for the witnesses, and puts the witness in.
    pub(super) fn sign_in(&self, tx: &mut Transaction, index: usize) {
        let all = EcdsaSighashType::All;
        let amount = self.amount.to_amount();
        let signature = sign(&digest_at(tx, index, &self.script_code, amount, all), &self.key);
        let mut witness = Witness::new();
        witness.push(witness_element(&signature, all));
        self.tail.iter().for_each(|element| witness.push(element));
        if let Some(input) = tx.input.get_mut(index) {
            input.witness = witness;
        }
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Claim({} of {}, {})", self.outpoint, self.amount, self.sequence)
    }
}

/// No relative lock, an enforced lock time, replaceable: what a sweep without delay says.
const ANY_TIME: Sequence = Sequence::ENABLE_RBF_NO_LOCKTIME;

/// The sequence of a claim straight from the peer's commitment: one block with anchors, else no lock.
fn claim_sequence(format: ChannelType) -> Sequence {
    if format.has_anchors() {
        format.unlock_sequence()
    } else {
        ANY_TIME
    }
}

/// The output at `vout` of a commitment that `holder` must hold.
fn output(commitment: &Commitment, holder: Side, vout: Option<u32>) -> Option<(OutPoint, Sat)> {
    let vout = vout.filter(|_| commitment.holder == holder)?;
    let amount = commitment.tx.output.get(vout as usize)?.value;
    Some((OutPoint { txid: commitment.tx.compute_txid(), vout }, amount.into()))
}

/// How many bytes a length takes before what it measures.
pub(super) const fn size_len(len: usize) -> u64 {
    match len {
        0..=0xfc => 1,
        0xfd..=0xffff => 3,
        _ => 5,
    }
}
