//! HTLC-timeout and HTLC-success transactions (seed: HT, HE): the holder's second stage out of its own commitment.
//! Building and completing only; when to broadcast one is the channel's to say.
use super::signature::{digest, sign, witness_element};
use super::{
    htlc_script, to_local_script, ChannelTerms, ChannelType, Commitment, Direction, HtlcOutput, HtlcTerms,
};
use crate::ids::Preimage;
use crate::keys::{derive_secret_key_of, ChannelKeys};
use crate::units::Sat;
use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use bitcoin::{EcdsaSighashType, OutPoint, Script, ScriptBuf, Transaction, TxIn, TxOut, Txid, Witness};
use secp256k1::ecdsa::Signature;
use secp256k1::{Message, PublicKey};

/// An unsigned HTLC-timeout or HTLC-success transaction, with what its signatures commit to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HtlcTransaction {
    /// The HTLC; its direction says which of the two this is.
    pub htlc: HtlcTerms,
    /// The unsigned transaction: one input, one delayed output.
    pub tx: Transaction,
    /// The witness script of the HTLC output that it spends.
    pub htlc_script: ScriptBuf,
    /// The witness script of its own output.
    pub output_script: ScriptBuf,
    /// The commitment's format.
    pub channel_type: ChannelType,
    /// The holder's point for the commitment: needed to sign.
    pub per_commitment_point: PublicKey,
}

/// Why an HTLC-success transaction cannot be completed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HtlcIncomplete {
    /// The preimage is not known.
    #[error("HTLC {id} cannot be claimed without its preimage")]
    PreimageMissing {
        /// The HTLC's id.
        id: u64,
    },
    /// The preimage is that of another payment.
    #[error("the preimage does not hash to the payment hash of HTLC {id}")]
    PreimageWrong {
        /// The HTLC's id.
        id: u64,
    },
}

impl Commitment {
    /// The HTLC transactions of this commitment, in output order.
    pub fn htlc_transactions<'a>(
        &'a self,
        terms: &'a ChannelTerms,
    ) -> impl ExactSizeIterator<Item = HtlcTransaction> + 'a {
        // The same for all of them: hashed once, not once per HTLC.
        let commitment = self.tx.compute_txid();
        let delay = terms.party(self.holder).to_self_delay;
        let script = to_local_script(&self.keys.revocation, delay, &self.keys.delayed_payment);
        let script_pubkey = script.to_p2wsh();
        let build = move |output: &HtlcOutput| HtlcTransaction {
            htlc: output.htlc,
            tx: self.htlc_tx(terms.channel_type, output, commitment, &script_pubkey),
            htlc_script: htlc_script(terms.channel_type, &self.keys, &output.htlc),
            output_script: script.clone(),
            channel_type: terms.channel_type,
            per_commitment_point: self.keys.per_commitment_point,
        };
        self.htlcs.iter().map(build)
    }

    fn htlc_tx(
        &self,
        format: ChannelType,
        output: &HtlcOutput,
        commitment: Txid,
        script: &Script,
    ) -> Transaction {
        let HtlcOutput { htlc, vout } = output;
        let expiry = match htlc.direction {
            Direction::Offered => htlc.cltv_expiry.get(),
            Direction::Received => 0,
        };
        // Untrimmed, so the fee fits: see `is_trimmed`.
        let amount = htlc.amount.floor_to_sat().saturating_sub(format.htlc_fee(htlc.direction, self.feerate));
        let input = TxIn {
            previous_output: OutPoint { txid: commitment, vout: *vout },
            script_sig: ScriptBuf::new(),
            sequence: format.unlock_sequence(),
            witness: Witness::new(),
        };
        Transaction {
            version: Version::TWO,
            lock_time: LockTime::from_consensus(expiry),
            input: vec![input],
            output: vec![TxOut { value: amount.to_amount(), script_pubkey: script.to_owned() }],
        }
    }
}

impl HtlcTransaction {
    /// What the HTLC output holds.
    pub const fn input_amount(&self) -> Sat {
        self.htlc.amount.floor_to_sat()
    }

    pub(super) fn digest(&self, kind: EcdsaSighashType) -> Message {
        digest(&self.tx, &self.htlc_script, self.input_amount().to_amount(), kind)
    }

    /// The holder's own signature, over everything.
    pub fn sign(&self, terms: &ChannelTerms, keys: &ChannelKeys) -> Signature {
        let basepoint = &terms.local.basepoints.htlc;
        let key = derive_secret_key_of(&keys.htlc, basepoint, &self.per_commitment_point);
        sign(&self.digest(EcdsaSighashType::All), &key)
    }

    /// The transaction with its witness: the peer's signature, the holder's own, and for HTLC-success the preimage
    /// (BOLT 3, "HTLC-Timeout and HTLC-Success Transactions"). HTLC-timeout takes no preimage and ignores one.
    pub fn complete(
        &self,
        local: &Signature,
        remote: &Signature,
        preimage: Option<&Preimage>,
    ) -> Result<Transaction, HtlcIncomplete> {
        let id = self.htlc.id;
        let proof = match (self.htlc.direction, preimage) {
            (Direction::Offered, _) => &[][..],
            (Direction::Received, None) => return Err(HtlcIncomplete::PreimageMissing { id }),
            (Direction::Received, Some(preimage)) if preimage.payment_hash() != self.htlc.payment_hash => {
                return Err(HtlcIncomplete::PreimageWrong { id })
            }
            (Direction::Received, Some(preimage)) => &preimage.0[..],
        };
        let mut witness = Witness::new();
        witness.push([]);
        witness.push(witness_element(remote, self.channel_type.counterparty_htlc_sighash()));
        witness.push(witness_element(local, EcdsaSighashType::All));
        witness.push(proof);
        witness.push(&self.htlc_script);
        let mut tx = self.tx.clone();
        tx.input.iter_mut().for_each(|input| input.witness = witness.clone());
        Ok(tx)
    }
}
