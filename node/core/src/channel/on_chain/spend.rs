//! Which transaction spent the funding, and what of it is ours to take.
use super::output::{HtlcKey, Output, Purpose};
use super::{depth_of, OnChain};
use super::{Base, Effect, Out};
use crate::tx::{
    decode_commitment_number, to_remote_script_pubkey, Commitment, Direction, HtlcOutput, HtlcTerms, Side,
};
use crate::units::{BlockHeight, CommitmentNumber};
use bitcoin::{OutPoint, Transaction};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use Kind::*;

/// The mined transaction that spends the funding.
#[derive(Clone, Serialize, Deserialize)]
pub struct Spend {
    /// Its block.
    pub height: BlockHeight,
    /// Which it is.
    pub kind: Kind,
    /// The transaction.
    pub tx: Arc<Transaction>,
}

/// Which transaction it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Kind {
    /// X: both signed it to close.
    Together,
    /// Our own newest commitment.
    Local,
    /// The peer's newest commitment that it can be sure of.
    Remote,
    /// The one that we signed after it and that was not answered yet.
    RemoteNext,
    /// One that the peer had revoked.
    Revoked(CommitmentNumber),
    /// One that we had revoked ourselves: everything of it is the peer's to take.
    OwnRevoked(CommitmentNumber),
    /// None that we know: of a state that we have lost, or no commitment at all.
    Unknown,
}

impl OnChain {
    /// The funding was spent by this transaction.
    pub(super) fn on_spend(
        &mut self,
        base: &Base,
        tx: &Arc<Transaction>,
        height: BlockHeight,
        out: &mut Out,
    ) {
        let kind = self.classify(base, tx);
        let expected = self.ours.as_ref().is_some_and(|(_, ours)| ours.compute_txid() == tx.compute_txid());
        if !expected {
            out.effects.push(Effect::Closing { why: kind.describe() });
        }
        self.spend = Some(Spend { height, kind, tx: tx.clone() });
        let found = self.read_outputs(base);
        self.outputs =
            found.into_iter().map(|(outpoint, purpose)| Output::new(outpoint, tx, purpose, height)).collect();
        out.save = true;
    }

    fn classify(&self, base: &Base, tx: &Transaction) -> Kind {
        let funded = &self.funded;
        let txid = tx.compute_txid();
        let is = |commitment: &Commitment| commitment.tx.compute_txid() == txid;
        if funded.closings.contains(&txid) {
            return Together;
        }
        if is(&funded.local.commitment) {
            return Local;
        }
        if is(&funded.remote) {
            return Remote;
        }
        if funded.remote_next.as_ref().is_some_and(|next| is(next)) {
            return RemoteNext;
        }
        let payment = |side| &funded.terms.party(side).basepoints.payment;
        let (opener, acceptor) = (funded.terms.opener, funded.terms.opener.other());
        match decode_commitment_number(tx, payment(opener), payment(acceptor)) {
            Some(number) => self.classify_old(base, tx, number),
            None => Unknown,
        }
    }

    /// A commitment of an old number is the side's whose scripts it has.
    fn classify_old(&self, base: &Base, tx: &Transaction, number: CommitmentNumber) -> Kind {
        let theirs = self.revoked_commitment(base, number, tx).map_or(0, |read| read.recognised());
        let is_ours = number < self.funded.local.commitment.number;
        let point = base.signer.point(number);
        let ours = || Commitment::read(&self.funded.terms, Side::Local, number, point, tx, &[]).recognised();
        match if is_ours { ours() } else { 0 } {
            0 if theirs == 0 => Unknown,
            ours if ours > theirs => OwnRevoked(number),
            _ => Revoked(number),
        }
    }

    /// The peer's commitment `number` that this transaction is, if its secret was released.
    fn revoked_commitment(
        &self,
        base: &Base,
        number: CommitmentNumber,
        tx: &Transaction,
    ) -> Option<Commitment> {
        let secret = self.funded.secrets.get(number)?;
        let point = secret.public_key(secp256k1::SECP256K1);
        let htlcs: &[HtlcTerms] = base.archive.htlcs(number);
        Some(Commitment::read(&self.funded.terms, Side::Remote, number, point, tx, htlcs))
    }

    /// The mined commitment, if it is one that we know.
    pub(super) fn commitment(&self, base: &Base) -> Option<Arc<Commitment>> {
        let spend = self.spend.as_ref()?;
        match spend.kind {
            Local => Some(self.funded.local.commitment.clone()),
            Remote => Some(self.funded.remote.clone()),
            RemoteNext => self.funded.remote_next.clone(),
            Revoked(number) => self.revoked_commitment(base, number, &spend.tx).map(Arc::new),
            Together | OwnRevoked(_) | Unknown => None,
        }
    }

    /// The outputs that are ours to take, or may become so.
    fn read_outputs(&self, base: &Base) -> Vec<(OutPoint, Purpose)> {
        let Some(spend) = &self.spend else { return Vec::new() };
        let commitment = self.commitment(base);
        let mut found = Vec::new();
        if let (Local | Revoked(_), Some(commitment)) = (spend.kind, &commitment) {
            let purpose =
                if spend.kind == Local { Purpose::ToLocal } else { Purpose::Penalty { htlc: None } };
            found.extend(commitment.to_local.map(|vout| (vout, purpose)));
        }
        if matches!(spend.kind, Remote | RemoteNext | Revoked(_) | Unknown) {
            found.extend(self.to_remote_outputs(&spend.tx).map(|vout| (vout, Purpose::ToRemote)));
        }
        for HtlcOutput { htlc, vout } in commitment.iter().flat_map(|commitment| &commitment.htlcs) {
            let holder = if spend.kind == Local { Side::Local } else { Side::Remote };
            let offerer = match htlc.direction {
                Direction::Offered => holder,
                Direction::Received => holder.other(),
            };
            let key = HtlcKey { offerer, id: htlc.id };
            let purpose = match spend.kind {
                Revoked(_) => Purpose::Penalty { htlc: Some(key) },
                Local | Remote | RemoteNext | Together | OwnRevoked(_) | Unknown => Purpose::Htlc(key),
            };
            found.push((*vout, purpose));
        }
        let txid = spend.tx.compute_txid();
        found.into_iter().map(|(vout, purpose)| (OutPoint { txid, vout }, purpose)).collect()
    }

    /// What pays our payment key: it needs nothing but that key, so that it is ours even on a commitment that we know nothing of.
    fn to_remote_outputs<'a>(&self, tx: &'a Transaction) -> impl Iterator<Item = u32> + 'a {
        let terms = &self.funded.terms;
        let script = to_remote_script_pubkey(terms.channel_type, &terms.local.basepoints.payment);
        (0u32..)
            .zip(&tx.output)
            .filter(move |(_, output)| output.script_pubkey == script)
            .map(|(vout, _)| vout)
    }

    /// How deep the transaction is that spends the funding; none deep while there is none.
    pub(super) fn spend_depth(&self, tip: BlockHeight) -> u32 {
        self.spend.as_ref().map_or(0, |spend| depth_of(spend.height, tip))
    }
}

impl Kind {
    fn describe(self) -> String {
        match self {
            Together => "closed together".to_owned(),
            Local => "our own commitment was mined".to_owned(),
            Remote => "the peer closed alone with its newest commitment".to_owned(),
            RemoteNext => "the peer closed alone with the commitment that it had not acknowledged".to_owned(),
            Revoked(number) => format!("the peer published its revoked commitment {number}: it is punished"),
            OwnRevoked(number) => format!("our own revoked commitment {number} was mined: it is lost"),
            Unknown => "an unknown transaction spends the funding output: money may be lost".to_owned(),
        }
    }
}
