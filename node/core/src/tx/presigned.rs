//! A penalty in two halves: the signature, which only the victim can make, and the rest, which anybody can who knows what the
//! commitment was made of. A watchtower holds both halves and never the key. Says what is valid, not when it is due.
use super::signature::{digest_at, verify, witness_element};
use super::*;
use crate::units::{FeeratePerKw, Sat};
use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use bitcoin::{
    ecdsa, EcdsaSighashType, OutPoint, Script, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness,
};
use secp256k1::ecdsa::Signature;
use secp256k1::PublicKey;

/// What a claim's key signs away in advance: the sweep that pays this fee.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Presigned {
    /// What the sweep leaves to the miner.
    pub fee: Sat,
    /// Of all of it.
    pub signature: Signature,
}

/// An output that the revocation key takes, seen by somebody who does not have that key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Forfeited {
    /// The output.
    pub outpoint: OutPoint,
    /// What it holds.
    pub amount: Sat,
    script: ScriptBuf,
    element: Vec<u8>,
    key: PublicKey,
}

impl Claim {
    /// The sweep to `destination`, its signature apart, or that it is not worth its fee.
    pub fn presign(&self, destination: &Script, feerate: FeeratePerKw) -> Result<Presigned, Uneconomical> {
        let tx = self.sweep(destination, feerate)?;
        let left = tx.output.iter().fold(Sat::ZERO, |sum, output| sum.saturating_add(output.value.into()));
        let fee = self.amount.saturating_sub(left);
        let element = tx.input.first().and_then(|input| input.witness.nth(0)).unwrap_or_default();
        let signature = ecdsa::Signature::from_slice(element).expect("the sweep has just been signed");
        Ok(Presigned { fee, signature: signature.signature })
    }

    /// The highest feerate at which the sweep to `destination` is still worth its fee.
    pub fn dearest_feerate(&self, destination: &Script) -> FeeratePerKw {
        let budget = self.amount.saturating_sub(dust_threshold(destination));
        let feerate = budget.get().saturating_mul(1000) / self.weight(destination);
        FeeratePerKw::new(u32::try_from(feerate).unwrap_or(u32::MAX))
    }
}

impl Forfeited {
    /// The holder's delayed output at this place: `to_local` of a revoked commitment or the output of a second stage from it.
    /// Nothing if what stands there is something else.
    pub fn delayed(tx: &Transaction, vout: u32, keys: &CommitmentKeys, to_self_delay: u16) -> Option<Self> {
        let script = to_local_script(&keys.revocation, to_self_delay, &keys.delayed_payment);
        Self::at(tx, vout, script, vec![1], keys)
    }

    /// An HTLC output of a revoked commitment. Of `htlc` direction, hash and expiry count. Nothing if what stands there is
    /// something else.
    pub fn htlc(
        tx: &Transaction,
        vout: u32,
        channel_type: ChannelType,
        keys: &CommitmentKeys,
        htlc: &HtlcTerms,
    ) -> Option<Self> {
        let script = htlc_script(channel_type, keys, htlc);
        Self::at(tx, vout, script, keys.revocation.serialize().to_vec(), keys)
    }

    fn at(
        tx: &Transaction,
        vout: u32,
        script: ScriptBuf,
        element: Vec<u8>,
        keys: &CommitmentKeys,
    ) -> Option<Self> {
        let output = tx.output.get(vout as usize)?;
        let fits = output.script_pubkey == script.to_p2wsh();
        let outpoint = OutPoint { txid: tx.compute_txid(), vout };
        let (amount, key) = (output.value.into(), keys.revocation);
        fits.then_some(Self { outpoint, amount, script, element, key })
    }

    /// The penalty that pays `destination`, complete. Nothing if the signature is not the revocation key's over it.
    pub fn taken(&self, destination: &Script, presigned: &Presigned) -> Option<Transaction> {
        let left = self.amount.checked_sub(presigned.fee)?;
        let input = TxIn {
            previous_output: self.outpoint,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::new(),
        };
        let mut tx = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![input],
            output: vec![TxOut { value: left.to_amount(), script_pubkey: destination.to_owned() }],
        };
        let all = EcdsaSighashType::All;
        let digest = digest_at(&tx, 0, &self.script, self.amount.to_amount(), all);
        if !verify(&digest, &presigned.signature, &self.key) {
            return None;
        }
        let mut witness = Witness::new();
        witness.push(witness_element(&presigned.signature, all));
        witness.push(&self.element);
        witness.push(&self.script);
        tx.input.iter_mut().for_each(|input| input.witness = witness.clone());
        Some(tx)
    }
}
