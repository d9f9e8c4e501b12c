//! A state of a channel with all that its holder needs to put it on the chain: the lab's way to a lie. Taken from a record that
//! was saved when the state was the newest, whose promises are as old as itself; the guard of the live channel stays as it is.
//! Builds and signs; what is published, and when, is the adversary's to say. Without the feature `lab` it does not exist.
//!
//! ```text
//!   record of state n ─► Channel::decode ─► past_state ─► C(n) ─► RD
//!                                                          ├── HT, HE (one by one, or several in one with anchors) ─► HTRD, HERD
//!                                                          └── HED, HTD on the peer's commitment of that time
//! ```
use super::funded::Funded;
use super::signer::Signer;
use super::Channel;
use crate::ids::Preimage;
use crate::keys::derive_secret_key_of;
use crate::tx::{htlc_script, ChannelType, Claim, Commitment, Direction, HtlcTerms, Side};
use crate::units::{FeeratePerKw, Sat};
use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::sighash::SighashCache;
use bitcoin::{
    ecdsa, EcdsaSighashType, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness,
};
use secp256k1::{Message, SecretKey, SECP256K1};
use std::fmt;

/// One signed state, seen from the end that saved it.
#[derive(Clone)]
pub struct PastState {
    funded: Funded,
    signer: Signer,
    destination: ScriptBuf,
}

/// One HTLC output that this end can spend, with all that its input needs. Holds a secret key and prints none.
#[derive(Clone)]
pub struct HtlcSpend {
    /// The HTLC, seen from the holder of the commitment.
    pub htlc: HtlcTerms,
    /// Its output.
    pub outpoint: OutPoint,
    /// What it holds.
    pub amount: Sat,
    /// What its input must say: one block with anchors (BOLT 3).
    pub sequence: Sequence,
    /// What the transaction must say: the peer's signature covers it, and with it all inputs of one transaction.
    pub lock_time: LockTime,
    /// For HT and HE, the output that must stand at the input's index: the peer signed it.
    pub output: Option<TxOut>,
    script: ScriptBuf,
    key: SecretKey,
    peer_signature: Option<ecdsa::Signature>,
}

impl Channel {
    /// The state that this value holds as the newest; nothing before the first commitment is signed.
    pub fn past_state(&self) -> Option<PastState> {
        let funded = self.funded()?.clone();
        let (signer, destination) = (self.base.signer.clone(), self.base.destination.clone());
        Some(PastState { funded, signer, destination })
    }
}

impl PastState {
    /// Its number, counted from 1 as the seed does.
    pub fn number(&self) -> u64 {
        self.commitment().number.get() + 1
    }

    /// Its commitment, unsigned.
    pub fn commitment(&self) -> &Commitment {
        &self.funded.local.commitment
    }

    /// The format of the channel.
    pub fn channel_type(&self) -> ChannelType {
        self.funded.terms.channel_type
    }

    /// Whether this end opened the channel.
    pub fn is_opener(&self) -> bool {
        self.funded.terms.opener == Side::Local
    }

    /// Where this end's money goes in the end.
    pub fn destination(&self) -> &ScriptBuf {
        &self.destination
    }

    /// C with both signatures, ready for the chain.
    pub fn transaction(&self) -> Transaction {
        self.funded.signed_commitment(&self.signer)
    }

    /// HT and HE: every HTLC output of its own commitment, in output order.
    pub fn own_htlcs(&self) -> Vec<HtlcSpend> {
        let (funded, terms) = (&self.funded, &self.funded.terms);
        let sighash_type = terms.channel_type.counterparty_htlc_sighash();
        let signatures = funded.local.htlc_signatures.iter();
        let transactions = self.commitment().htlc_transactions(terms).zip(signatures);
        let spends = transactions.filter_map(|(htlc, signature)| {
            let input = htlc.tx.input.first()?;
            Some(HtlcSpend {
                htlc: htlc.htlc,
                outpoint: input.previous_output,
                amount: htlc.input_amount(),
                sequence: input.sequence,
                lock_time: htlc.tx.lock_time,
                output: htlc.tx.output.first().cloned(),
                script: htlc.htlc_script.clone(),
                key: self.htlc_key(self.commitment()),
                peer_signature: Some(ecdsa::Signature { signature: *signature, sighash_type }),
            })
        });
        spends.collect()
    }

    /// HED and HTD: every HTLC output of the peer's commitment with this txid, if it is one that was valid at this state.
    pub fn peer_htlcs(&self, txid: Txid) -> Vec<HtlcSpend> {
        let known = [Some(&self.funded.remote), self.funded.remote_next.as_ref()];
        let commitment = known.into_iter().flatten().find(|known| known.tx.compute_txid() == txid);
        let Some(commitment) = commitment else { return Vec::new() };
        let format = self.channel_type();
        let spend = |htlc: &crate::tx::HtlcOutput| HtlcSpend {
            htlc: htlc.htlc,
            outpoint: OutPoint::new(txid, htlc.vout),
            amount: htlc.htlc.amount.floor_to_sat(),
            sequence: if format.has_anchors() {
                format.unlock_sequence()
            } else {
                Sequence::ENABLE_RBF_NO_LOCKTIME
            },
            lock_time: match htlc.htlc.direction {
                Direction::Offered => LockTime::ZERO,
                Direction::Received => LockTime::from_consensus(htlc.htlc.cltv_expiry.get()),
            },
            output: None,
            script: htlc_script(format, &commitment.keys, &htlc.htlc),
            key: self.htlc_key(commitment),
            peer_signature: None,
        };
        commitment.htlcs.iter().map(spend).collect()
    }

    fn htlc_key(&self, commitment: &Commitment) -> SecretKey {
        let basepoint = &self.funded.terms.local.basepoints.htlc;
        derive_secret_key_of(&self.signer.keys().htlc, basepoint, &commitment.keys.per_commitment_point)
    }

    /// RD: the sweep of its own `to_local`, valid after `to_self_delay`. Nothing if there is none or it is not worth the fee.
    pub fn to_local_sweep(&self, feerate: FeeratePerKw) -> Option<Transaction> {
        let claim = Claim::to_local(self.commitment(), &self.funded.terms, self.signer.keys())?;
        claim.sweep(&self.destination, feerate).ok()
    }

    /// HTRD or HERD: the sweep of this output of one of its HTLC transactions, valid after `to_self_delay`.
    pub fn second_stage_sweep(
        &self,
        outpoint: OutPoint,
        amount: Sat,
        feerate: FeeratePerKw,
    ) -> Option<Transaction> {
        let (terms, keys) = (&self.funded.terms, self.signer.keys());
        let claim = Claim::second_stage(self.commitment(), terms, keys, outpoint, amount)?;
        claim.sweep(&self.destination, feerate).ok()
    }
}

impl HtlcSpend {
    /// Whether it is a claim with R.
    pub fn needs_preimage(&self) -> bool {
        match self.htlc.direction {
            Direction::Offered => self.output.is_none(),
            Direction::Received => self.output.is_some(),
        }
    }

    /// The input, unsigned.
    pub fn input(&self) -> TxIn {
        TxIn {
            previous_output: self.outpoint,
            script_sig: ScriptBuf::new(),
            sequence: self.sequence,
            witness: Witness::new(),
        }
    }

    /// What the input spends.
    pub fn spent(&self) -> TxOut {
        TxOut { value: self.amount.to_amount(), script_pubkey: self.script.to_p2wsh() }
    }

    /// The witness for this output as input `index` of `tx`; R where it is needed. Nothing if there is no such input.
    pub fn witness(&self, tx: &Transaction, index: usize, preimage: Option<&Preimage>) -> Option<Witness> {
        let (all, amount) = (EcdsaSighashType::All, self.amount.to_amount());
        let hash = SighashCache::new(tx).p2wsh_signature_hash(index, &self.script, amount, all).ok()?;
        let signature = SECP256K1.sign_ecdsa(&Message::from_digest(hash.to_byte_array()), &self.key);
        let own = ecdsa::Signature { signature, sighash_type: all };
        let proof = preimage.filter(|_| self.needs_preimage()).map_or(&[][..], |preimage| &preimage.0[..]);
        let mut witness = Witness::new();
        if let Some(peer) = self.peer_signature {
            witness.push([]);
            witness.push(peer.to_vec());
        }
        witness.push(own.to_vec());
        witness.push(proof);
        witness.push(&self.script);
        Some(witness)
    }
}

impl fmt::Debug for HtlcSpend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HtlcSpend({} of {})", self.outpoint, self.amount)
    }
}
