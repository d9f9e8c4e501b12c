//! The commitment transaction (seed: C): built from terms and balances, signed, verified, completed.
//! Decides which outputs exist and in what order; does not decide whether anyone may sign.
use super::signature::{digest, sign, verify};
use super::*;
use crate::keys::{derive_public_key, derive_revocation_public_key, derive_secret_key_of, ChannelKeys};
use crate::units::{CltvExpiry, CommitmentNumber, FeeratePerKw, Msat, Sat};
use bitcoin::transaction::Version;
use bitcoin::{EcdsaSighashType, ScriptBuf, Transaction, TxIn, TxOut, Witness};
use secp256k1::ecdsa::Signature;
use secp256k1::{Message, PublicKey};

/// The public keys of one commitment, derived once and used for all its outputs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CommitmentKeys {
    /// The holder's point for this commitment.
    pub per_commitment_point: PublicKey,
    /// Punishes: spendable by the counterparty once the holder released the secret.
    pub revocation: PublicKey,
    /// The holder's delayed key.
    pub delayed_payment: PublicKey,
    /// The holder's HTLC key.
    pub holder_htlc: PublicKey,
    /// The counterparty's HTLC key.
    pub counterparty_htlc: PublicKey,
    /// The counterparty's `to_remote` key: its payment basepoint, untouched.
    pub counterparty_payment: PublicKey,
}

impl CommitmentKeys {
    /// Derives the keys of the commitment held by `holder` whose point is `point`. Four derivations.
    pub fn derive(terms: &ChannelTerms, holder: Side, point: PublicKey) -> Self {
        let own = &terms.party(holder).basepoints;
        let other = &terms.party(holder.other()).basepoints;
        Self {
            per_commitment_point: point,
            revocation: derive_revocation_public_key(&other.revocation, &point),
            delayed_payment: derive_public_key(&own.delayed_payment, &point),
            holder_htlc: derive_public_key(&own.htlc, &point),
            counterparty_htlc: derive_public_key(&other.htlc, &point),
            counterparty_payment: other.payment,
        }
    }
}

/// An HTLC that has an output.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HtlcOutput {
    /// The HTLC.
    pub htlc: HtlcTerms,
    /// Its output's index.
    pub vout: u32,
}

/// A commitment transaction, unsigned, with what is needed to find its outputs again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Commitment {
    /// Whose it is.
    pub holder: Side,
    /// Its number.
    pub number: CommitmentNumber,
    /// Its keys.
    pub keys: CommitmentKeys,
    /// The feerate it was built for, and its HTLC transactions are.
    pub feerate: FeeratePerKw,
    /// The unsigned transaction.
    pub tx: Transaction,
    /// Index of `to_local`, unless trimmed.
    pub to_local: Option<u32>,
    /// Index of `to_remote`, unless trimmed.
    pub to_remote: Option<u32>,
    /// Index of the holder's anchor, if there is one (BOLT 3, `to_local_anchor`).
    pub to_local_anchor: Option<u32>,
    /// Index of the counterparty's anchor, if there is one.
    pub to_remote_anchor: Option<u32>,
    /// HTLCs with an output, in output order: the order of `htlc_signatures`.
    pub htlcs: Vec<HtlcOutput>,
    /// HTLCs without one.
    pub trimmed: Vec<HtlcTerms>,
    /// The miner's share, trimmed outputs included.
    pub fee: Sat,
}

impl Commitment {
    /// Builds the commitment that `holder` holds (BOLT 3, "Commitment Transaction Construction").
    /// A balance too small for the fee pays what it has (BOLT 3, "Fee Payment"). An opener that cannot even pay the
    /// anchors ([`commitment_cost`]) must be refused before: the transaction would spend more than there is.
    pub fn build(
        terms: &ChannelTerms,
        holder: Side,
        number: CommitmentNumber,
        keys: CommitmentKeys,
        spec: &CommitmentSpec,
    ) -> Self {
        let dust_limit = terms.party(holder).dust_limit;
        let (trimmed, kept): (Vec<HtlcTerms>, Vec<HtlcTerms>) =
            spec.htlcs.iter().copied().partition(|htlc| {
                is_trimmed(terms.channel_type, dust_limit, spec.feerate, htlc.direction, htlc.amount)
            });
        let mut outputs = plan_outputs(terms, holder, &keys, spec, &kept);
        outputs.sort_by(|one, other| one.order().cmp(&other.order()));
        let spent = outputs.iter().fold(Sat::ZERO, |sum, output| sum.saturating_add(output.amount));
        let mut commitment = Self {
            holder,
            number,
            keys,
            feerate: spec.feerate,
            tx: unsigned(terms, number),
            to_local: None,
            to_remote: None,
            to_local_anchor: None,
            to_remote_anchor: None,
            htlcs: Vec::with_capacity(kept.len()),
            trimmed,
            fee: terms.funding_amount.saturating_sub(spent),
        };
        outputs.into_iter().for_each(|output| commitment.push(output));
        commitment
    }

    fn push(&mut self, output: Planned) {
        let vout = self.tx.output.len() as u32;
        match output.role {
            Role::ToLocal => self.to_local = Some(vout),
            Role::ToRemote => self.to_remote = Some(vout),
            Role::ToLocalAnchor => self.to_local_anchor = Some(vout),
            Role::ToRemoteAnchor => self.to_remote_anchor = Some(vout),
            Role::Htlc(htlc) => self.htlcs.push(HtlcOutput { htlc, vout }),
        }
        self.tx.output.push(TxOut { value: output.amount.to_amount(), script_pubkey: output.script });
    }

    /// Signs the funding input with this node's funding key.
    pub fn sign(&self, terms: &ChannelTerms, keys: &ChannelKeys) -> Signature {
        sign(&self.digest(terms), &keys.funding)
    }

    /// Whether `signature` is `signer`'s over this commitment. A high-S signature is refused.
    pub fn verify(&self, terms: &ChannelTerms, signer: Side, signature: &Signature) -> bool {
        verify(&self.digest(terms), signature, &terms.party(signer).basepoints.funding_pubkey)
    }

    /// The transaction with both signatures, ready for the chain.
    pub fn complete(&self, terms: &ChannelTerms, local: &Signature, remote: &Signature) -> Transaction {
        let mut tx = self.tx.clone();
        tx.input.iter_mut().for_each(|input| input.witness = terms.funding_witness(local, remote));
        tx
    }

    /// This node's signatures of the HTLC transactions of the *peer's* commitment, in output order.
    pub fn sign_htlcs(&self, terms: &ChannelTerms, keys: &ChannelKeys) -> Vec<Signature> {
        if self.htlcs.is_empty() {
            return Vec::new();
        }
        let basepoint = &terms.local.basepoints.htlc;
        let key = derive_secret_key_of(&keys.htlc, basepoint, &self.keys.per_commitment_point);
        let kind = terms.channel_type.counterparty_htlc_sighash();
        self.htlc_transactions(terms).map(|htlc| sign(&htlc.digest(kind), &key)).collect()
    }

    /// Whether the peer's `signatures` fit the HTLC transactions of *this node's* commitment: count, order, each valid, low S.
    pub fn verify_htlcs(&self, terms: &ChannelTerms, signatures: &[Signature]) -> bool {
        let kind = terms.channel_type.counterparty_htlc_sighash();
        let key = &self.keys.counterparty_htlc;
        let valid = |(htlc, signature): (HtlcTransaction, _)| verify(&htlc.digest(kind), signature, key);
        signatures.len() == self.htlcs.len() && self.htlc_transactions(terms).zip(signatures).all(valid)
    }

    fn digest(&self, terms: &ChannelTerms) -> Message {
        let amount = terms.funding_amount.to_amount();
        digest(&self.tx, &terms.funding_script(), amount, EcdsaSighashType::All)
    }
}

/// What an output is for.
enum Role {
    ToLocal,
    ToRemote,
    ToLocalAnchor,
    ToRemoteAnchor,
    Htlc(HtlcTerms),
}

/// An output before the order is known.
struct Planned {
    role: Role,
    amount: Sat,
    script: ScriptBuf,
}

impl Planned {
    /// BOLT 3, "Transaction Output Ordering": value, script, and for equal HTLC outputs the expiry. Beyond that equal
    /// outputs have equal HTLC transactions; the id only keeps the order the same at each build.
    fn order(&self) -> (Sat, &ScriptBuf, CltvExpiry, u64) {
        let (expiry, id) = match &self.role {
            Role::Htlc(htlc) => (htlc.cltv_expiry, htlc.id),
            _ => (CltvExpiry::ZERO, 0),
        };
        (self.amount, &self.script, expiry, id)
    }
}

/// The outputs that exist after fee and trimming, in no order yet.
fn plan_outputs(
    terms: &ChannelTerms,
    holder: Side,
    keys: &CommitmentKeys,
    spec: &CommitmentSpec,
    kept: &[HtlcTerms],
) -> Vec<Planned> {
    let (format, own, other) = (terms.channel_type, terms.party(holder), terms.party(holder.other()));
    let (to_holder, to_counterparty) = balances(terms, holder, spec, kept.len());
    let (has_local, has_remote) = (to_holder >= own.dust_limit, to_counterparty >= own.dust_limit);
    let mut outputs = Vec::with_capacity(kept.len() + 4);
    let mut add = |role, amount, script| outputs.push(Planned { role, amount, script });
    for htlc in kept {
        let script = htlc_script(format, keys, htlc).to_p2wsh();
        add(Role::Htlc(*htlc), htlc.amount.floor_to_sat(), script);
    }
    if has_local {
        let script = to_local_script(&keys.revocation, own.to_self_delay, &keys.delayed_payment);
        add(Role::ToLocal, to_holder, script.to_p2wsh());
    }
    if has_remote {
        add(Role::ToRemote, to_counterparty, to_remote_script_pubkey(format, &keys.counterparty_payment));
    }
    let anchor = |party: &PartyTerms| anchor_script(&party.basepoints.funding_pubkey).to_p2wsh();
    if format.has_anchors() && (has_local || !kept.is_empty()) {
        add(Role::ToLocalAnchor, ANCHOR_AMOUNT, anchor(own));
    }
    if format.has_anchors() && (has_remote || !kept.is_empty()) {
        add(Role::ToRemoteAnchor, ANCHOR_AMOUNT, anchor(other));
    }
    outputs
}

/// Both balances in whole satoshis, the opener's after fee and anchors.
fn balances(terms: &ChannelTerms, holder: Side, spec: &CommitmentSpec, untrimmed: usize) -> (Sat, Sat) {
    let cost = commitment_cost(terms.channel_type, spec.feerate, untrimmed);
    let pays = |balance: Msat, is_opener: bool| {
        let balance = balance.floor_to_sat();
        if is_opener {
            balance.saturating_sub(cost)
        } else {
            balance
        }
    };
    let holder_opened = terms.opener == holder;
    (pays(spec.to_holder, holder_opened), pays(spec.to_counterparty, !holder_opened))
}

/// The commitment with its input and lock time, without outputs.
fn unsigned(terms: &ChannelTerms, number: CommitmentNumber) -> Transaction {
    let opener = &terms.party(terms.opener).basepoints.payment;
    let acceptor = &terms.party(terms.opener.other()).basepoints.payment;
    let (lock_time, sequence) = encode_commitment_number(number, opener, acceptor);
    let script_sig = ScriptBuf::new();
    let input = TxIn { previous_output: terms.funding, script_sig, sequence, witness: Witness::new() };
    Transaction { version: Version::TWO, lock_time, input: vec![input], output: Vec::new() }
}
