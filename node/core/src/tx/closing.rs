//! The closing transaction (seed: X) of `closing_signed` (BOLT 3, "Legacy Closing Transaction"): built for a fee,
//! signed, verified, completed. Which fee to ask or take is the channel's to negotiate.
use super::signature::{digest, sign, verify};
use super::{ChannelTerms, Side};
use crate::keys::ChannelKeys;
use crate::units::{FeeratePerKw, Msat, Sat};
use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use bitcoin::{EcdsaSighashType, Script, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};
use secp256k1::ecdsa::Signature;
use secp256k1::Message;

/// What both sides take home.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClosingSpec {
    /// This node's balance, before the fee.
    pub to_local: Msat,
    /// The peer's balance, before the fee.
    pub to_remote: Msat,
    /// This node's `shutdown` script.
    pub local_script: ScriptBuf,
    /// The peer's `shutdown` script.
    pub remote_script: ScriptBuf,
    /// The opener pays it.
    pub fee: Sat,
    /// Outputs below this are left out: the dust limit of whoever signs this variant.
    pub dust_limit: Sat,
}

/// An unsigned closing transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClosingTransaction {
    /// The unsigned transaction.
    pub tx: Transaction,
    /// Index of this node's output, unless left out.
    pub to_local: Option<u32>,
    /// Index of the peer's output, unless left out.
    pub to_remote: Option<u32>,
    /// The miner's share, outputs left out included.
    pub fee: Sat,
}

/// Why there is no closing transaction for these balances and this fee.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ClosingImpossible {
    /// The opener's balance does not cover the fee.
    #[error("the opener has {balance} and cannot pay a closing fee of {fee}")]
    FeeAboveBalance {
        /// The fee asked for.
        fee: Sat,
        /// What the opener has.
        balance: Sat,
    },
    /// Both outputs are below the dust limit.
    #[error("both outputs are below the dust limit of {dust_limit}")]
    NothingLeft {
        /// The dust limit.
        dust_limit: Sat,
    },
}

impl ClosingTransaction {
    /// Builds the transaction: balances rounded down, the opener's less the fee, dust left out, BIP 69 order.
    /// Nobody's dust limit applies to an `OP_RETURN` output, which is no legacy `shutdown` script anyway.
    pub fn build(terms: &ChannelTerms, spec: &ClosingSpec) -> Result<Self, ClosingImpossible> {
        let (mut local, mut remote) = (spec.to_local.floor_to_sat(), spec.to_remote.floor_to_sat());
        let payer = match terms.opener {
            Side::Local => &mut local,
            Side::Remote => &mut remote,
        };
        let too_much = ClosingImpossible::FeeAboveBalance { fee: spec.fee, balance: *payer };
        *payer = payer.checked_sub(spec.fee).ok_or(too_much)?;
        let outputs = [(Side::Local, local, &spec.local_script), (Side::Remote, remote, &spec.remote_script)];
        let kept = outputs.into_iter().filter(|(_, amount, _)| *amount >= spec.dust_limit);
        let outputs = kept.map(|(side, amount, script)| {
            (side, TxOut { value: amount.to_amount(), script_pubkey: script.clone() })
        });
        Self::of(terms, outputs.collect())
            .ok_or(ClosingImpossible::NothingLeft { dust_limit: spec.dust_limit })
    }

    /// The variant in which `side` gave up its output: a peer may do so with its own (BOLT 3), and its signature
    /// tells. Nothing when no other output would be left, or when it has none to give up.
    pub fn without(&self, terms: &ChannelTerms, side: Side) -> Option<Self> {
        let dropped = match side {
            Side::Local => self.to_local?,
            Side::Remote => self.to_remote?,
        };
        let rest = { self.tx.output.iter().zip(0u32..) }.filter(|(_, index)| *index != dropped);
        Self::of(terms, rest.map(|(output, _)| (side.other(), output.clone())).collect())
    }

    /// Whichever variant the peer signed: this one, or the one without the peer's own output.
    pub fn signed_by_peer(self, terms: &ChannelTerms, signature: &Signature) -> Option<Self> {
        if self.verify(terms, Side::Remote, signature) {
            return Some(self);
        }
        let without = self.without(terms, Side::Remote)?;
        without.verify(terms, Side::Remote, signature).then_some(without)
    }

    fn of(terms: &ChannelTerms, mut outputs: Vec<(Side, TxOut)>) -> Option<Self> {
        outputs.sort_by(|(_, one), (_, other)| {
            (one.value, &one.script_pubkey).cmp(&(other.value, &other.script_pubkey))
        });
        let index = |wanted| { outputs.iter().zip(0u32..) }.find(|((side, _), _)| *side == wanted);
        let (to_local, to_remote) = (index(Side::Local), index(Side::Remote));
        let (to_local, to_remote) = (to_local.map(|(_, index)| index), to_remote.map(|(_, index)| index));
        let paid = outputs.iter().fold(Sat::ZERO, |sum, (_, output)| sum.saturating_add(output.value.into()));
        let input = TxIn {
            previous_output: terms.funding,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        };
        let tx = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![input],
            output: outputs.into_iter().map(|(_, output)| output).collect(),
        };
        let fee = terms.funding_amount.saturating_sub(paid);
        (!tx.output.is_empty()).then_some(Self { tx, to_local, to_remote, fee })
    }

    /// Signs the funding input with this node's funding key.
    pub fn sign(&self, terms: &ChannelTerms, keys: &ChannelKeys) -> Signature {
        sign(&self.digest(terms), &keys.funding)
    }

    /// Whether `signature` is `signer`'s over this transaction. A high-S signature is refused.
    pub fn verify(&self, terms: &ChannelTerms, signer: Side, signature: &Signature) -> bool {
        verify(&self.digest(terms), signature, &terms.party(signer).basepoints.funding_pubkey)
    }

    /// The transaction with both signatures, ready for the chain.
    pub fn complete(&self, terms: &ChannelTerms, local: &Signature, remote: &Signature) -> Transaction {
        let mut tx = self.tx.clone();
        tx.input.iter_mut().for_each(|input| input.witness = terms.funding_witness(local, remote));
        tx
    }

    fn digest(&self, terms: &ChannelTerms) -> Message {
        let amount = terms.funding_amount.to_amount();
        digest(&self.tx, &terms.funding_script(), amount, EcdsaSighashType::All)
    }
}

/// The expected weight of a closing transaction with both outputs; the witness is reckoned as for a commitment
/// (BOLT 3, Appendix A: 222 bytes, signatures of 73).
pub fn closing_weight(local_script: &Script, remote_script: &Script) -> u64 {
    const FIXED: u64 = 4 * (4 + 1 + 41 + 1 + 4) + 2 + 222;
    let output = |script: &Script| 4 * (8 + 1 + script.len() as u64);
    FIXED + output(local_script) + output(remote_script)
}

/// The fee of a closing transaction with both outputs at this feerate.
pub fn closing_fee(feerate: FeeratePerKw, local_script: &Script, remote_script: &Script) -> Sat {
    feerate.fee(closing_weight(local_script, remote_script))
}
