//! One or several HTLC transactions of one kind in one, with inputs added that pay for it: what anchors allow, since the peer's
//! signatures cover one input and one output only (BOLT 3, "HTLC-Timeout and HTLC-Success Transactions").
use super::signature::{digest_at, sign, witness_element};
use super::weight::SIGNATURE_LEN;
use super::*;
use crate::ids::Preimage;
use crate::keys::{derive_secret_key_of, ChannelKeys};
use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use bitcoin::{EcdsaSighashType, Transaction, Witness};
use secp256k1::ecdsa::Signature;

/// An HTLC transaction of our own with what completes it.
#[derive(Clone, Debug)]
pub struct SecondStage {
    /// As the peer signed it.
    pub htlc: HtlcTransaction,
    /// The peer's signature.
    pub signature: Signature,
    /// R, for HTLC-success.
    pub preimage: Option<Preimage>,
}

/// The unsigned transaction: the inputs and outputs of all of these, in order and side by side. More may be put behind them.
pub fn join(stages: &[SecondStage]) -> Transaction {
    let latest = stages.iter().map(|stage| stage.htlc.tx.lock_time.to_consensus_u32()).max();
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::from_consensus(latest.unwrap_or_default()),
        input: stages.iter().flat_map(|stage| stage.htlc.tx.input.iter().cloned()).collect(),
        output: stages.iter().flat_map(|stage| stage.htlc.tx.output.iter().cloned()).collect(),
    }
}

/// The weight of [`join`]'s transaction with all its witnesses, at most this; what is put behind comes on top.
pub fn joined_weight(stages: &[SecondStage]) -> u64 {
    let base = join(stages).weight().to_wu();
    let witness = |stage: &SecondStage| {
        let script = stage.htlc.htlc_script.len() as u64;
        let proof = if stage.preimage.is_some() { 33 } else { 1 };
        // The number of elements, an empty one, two signatures, the proof or nothing, the script. An input without witness
        // counts one byte where any has one.
        1 + 1 + 2 * (1 + SIGNATURE_LEN) + proof + 1 + script
    };
    // Marker and flag.
    base + 2 + stages.iter().map(witness).sum::<u64>()
}

/// Puts the witnesses of these into the first inputs of a transaction that is otherwise complete.
pub fn complete_joined(
    stages: &[SecondStage],
    terms: &ChannelTerms,
    keys: &ChannelKeys,
    tx: &mut Transaction,
) {
    let all = EcdsaSighashType::All;
    for (index, stage) in stages.iter().enumerate() {
        let (htlc, basepoint) = (&stage.htlc, &terms.local.basepoints.htlc);
        let key = derive_secret_key_of(&keys.htlc, basepoint, &htlc.per_commitment_point);
        let amount = htlc.input_amount().to_amount();
        let local = sign(&digest_at(tx, index, &htlc.htlc_script, amount, all), &key);
        let proof = stage.preimage.map_or(Vec::new(), |preimage| preimage.0.to_vec());
        let mut witness = Witness::new();
        witness.push([]);
        witness.push(witness_element(&stage.signature, htlc.channel_type.counterparty_htlc_sighash()));
        witness.push(witness_element(&local, all));
        witness.push(proof);
        witness.push(&htlc.htlc_script);
        if let Some(input) = tx.input.get_mut(index) {
            input.witness = witness;
        }
    }
}

/// Puts the witness of one claim into the first input of a transaction that is otherwise complete: an anchor's child.
pub fn complete_first(claim: &Claim, tx: &mut Transaction) {
    claim.sign_in(tx, 0);
}

/// The unsigned start of a transaction that takes this claim and nothing else, and its weight with the witness.
pub fn begin_with(claim: &Claim) -> (Transaction, u64) {
    let tx = Transaction {
        version: Version::TWO,
        lock_time: claim.lock_time,
        input: vec![claim.input()],
        output: Vec::new(),
    };
    let weight = tx.weight().to_wu() + 2 + claim.witness_weight();
    (tx, weight)
}
