//! The funding output (seed: F) and the witness that spends it. The funding transaction itself is the wallet's.
use super::signature::witness_element;
use super::{funding_script, ChannelTerms};
use crate::units::Sat;
use bitcoin::{EcdsaSighashType, ScriptBuf, TxOut, Witness};
use secp256k1::ecdsa::Signature;
use secp256k1::PublicKey;

/// The output that locks a channel's money (BOLT 3, "Funding Transaction Output").
pub fn funding_output(one: &PublicKey, other: &PublicKey, amount: Sat) -> TxOut {
    TxOut { value: amount.to_amount(), script_pubkey: funding_script(one, other).to_p2wsh() }
}

impl ChannelTerms {
    /// The witness script of the funding output.
    pub fn funding_script(&self) -> ScriptBuf {
        funding_script(&self.local.basepoints.funding_pubkey, &self.remote.basepoints.funding_pubkey)
    }

    /// The funding output.
    pub fn funding_output(&self) -> TxOut {
        TxOut { value: self.funding_amount.to_amount(), script_pubkey: self.funding_script().to_p2wsh() }
    }

    /// Spends the funding output: both signatures over everything, in the order of the keys.
    pub(super) fn funding_witness(&self, local: &Signature, remote: &Signature) -> Witness {
        let local_first = self.local.basepoints.funding_pubkey.serialize()
            < self.remote.basepoints.funding_pubkey.serialize();
        let (lesser, greater) = if local_first { (local, remote) } else { (remote, local) };
        let all = EcdsaSighashType::All;
        let mut witness = Witness::new();
        witness.push([]);
        witness.push(witness_element(lesser, all));
        witness.push(witness_element(greater, all));
        witness.push(self.funding_script());
        witness
    }
}
