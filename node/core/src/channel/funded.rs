//! A channel whose funding is agreed and whose first commitments are signed: the books, both sides' commitments, and the
//! dance that brings updates into them. Each commitment is derived and built once, when it is signed or verified.
//!
//! ```text
//!   A                                        B
//!   |--- update_add_htlc ------------------->|
//!   |--- commitment_signed (B's next) ------>|  verify, save, revoke the old one
//!   |<------------------- revoke_and_ack ----|
//!   |<----- commitment_signed (A's next) ----|
//!   |--- revoke_and_ack -------------------->|  the HTLC is irrevocably committed
//! ```
use super::ahead::Ahead;
use super::ledger::{Ledger, Outcome};
use super::limits::Agreement;
use super::reestablish::LastSent;
use super::signer::Signer;
use super::stage::{Event, View};
use super::{Effect, Env, Mutant, Out, Violation};
use crate::ids::{ChannelId, ShortChannelId};
use crate::keys::SecretStore;
use crate::tx::{ChannelTerms, Commitment, CommitmentKeys, Side};
use crate::units::{BlockHeight, CommitmentNumber, Msat};
use crate::wire::{CommitmentSigned, Message, RevokeAndAck};
use bitcoin::{ScriptBuf, Transaction, Txid};
use secp256k1::ecdsa::Signature;
use secp256k1::PublicKey;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Where the funding transaction was mined.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Place {
    /// The block.
    pub height: BlockHeight,
    /// The index in it.
    pub index: u32,
}

/// Our newest commitment with the peer's signatures.
#[derive(Clone)]
pub struct LocalCommitment {
    /// The transaction.
    pub commitment: Arc<Commitment>,
    /// The peer's signature.
    pub signature: Signature,
    /// The peer's signatures of the HTLC transactions, in output order.
    pub htlc_signatures: Arc<Vec<Signature>>,
}

/// A funded channel.
#[derive(Clone, Deserialize)]
#[serde(try_from = "super::record::FundedRecord<'_>")]
pub struct Funded {
    /// What never changes.
    pub terms: Arc<ChannelTerms>,
    /// What the sides ask of each other.
    pub agreement: Arc<Agreement>,
    /// Balances, HTLCs, feerates.
    pub ledger: Ledger,
    /// Our newest commitment.
    pub local: LocalCommitment,
    /// The point of our next commitment; the peer knows it from `channel_ready` or our last `revoke_and_ack`.
    pub next_local_point: PublicKey,
    /// The peer's oldest commitment that it has not revoked.
    pub remote: Arc<Commitment>,
    /// The one that we signed after it, until the revocation comes.
    pub remote_next: Option<Arc<Commitment>>,
    /// The point of the peer's next commitment; none before its `channel_ready` and while its revocation is awaited.
    pub next_remote_point: Option<PublicKey>,
    /// The secrets that the peer released.
    pub secrets: Arc<SecretStore>,
    /// The funding transaction, if it is ours.
    pub funding_tx: Option<Arc<Transaction>>,
    /// Confirmations before the channel is used.
    pub minimum_depth: u32,
    /// Where the funding was mined, as the chain is now.
    pub place: Option<Place>,
    /// The script that the peer bound itself to when the channel was opened (`upfront_shutdown_script`).
    pub peer_upfront_script: Option<ScriptBuf>,
    /// The closing transactions that we signed.
    pub closings: Vec<Txid>,
    /// Whether our `channel_ready` was sent.
    pub ready_sent: bool,
    /// Which of `commitment_signed` and `revoke_and_ack` we sent last.
    pub last_sent: LastSent,
    /// The peer proved that our newest commitment is revoked, since our books are old: it must never be broadcast. The peer's
    /// newest commitment, which we do not know, still holds our `to_remote`.
    pub fallen_behind: bool,
    /// Keys that were derived while nobody waited.
    pub ahead: Ahead,
}

impl Funded {
    /// The channel's lasting name.
    pub fn channel_id(&self) -> ChannelId {
        ChannelId::from_funding(self.terms.funding)
    }

    /// The channel's place on the chain, while it has one.
    pub fn short_channel_id(&self) -> Option<ShortChannelId> {
        let place = self.place?;
        ShortChannelId::new(place.height.get(), place.index, self.terms.funding.vout)
    }

    /// Our balance and the peer's, the offers of each taken off, as our newest commitment says.
    pub fn balances(&self) -> (Msat, Msat) {
        let amount = |msat: i128| u64::try_from(msat).map_or(Msat::ZERO, Msat::new);
        let balances = self.ledger.balances(Side::Local, View::Newest);
        (amount(balances.local), amount(balances.remote))
    }

    /// Whether a signature of ours is due and possible.
    pub fn can_sign(&self) -> bool {
        self.next_remote_point.is_some()
            && self.remote_next.is_none()
            && self.ledger.needs_signature_of(Side::Local)
    }

    /// Asks for [`super::Command::Commit`] if a signature is due and possible.
    pub fn ask_for_commit(&self, out: &mut Out) {
        if self.can_sign() {
            out.effects.push(Effect::CommitDue);
        }
    }

    /// Whether both commitments are the same and neither side owes anything.
    pub fn is_at_rest(&self) -> bool {
        self.ledger.is_at_rest() && self.remote_next.is_none()
    }

    /// The commitment of `holder` that the books say now.
    fn build(
        &self,
        holder: Side,
        number: CommitmentNumber,
        point: PublicKey,
    ) -> Result<Commitment, Violation> {
        let spec = self.ledger.spec(holder, View::Newest).ok_or(Violation::Overdrawn)?;
        let opener_has = if holder == self.terms.opener { spec.to_holder } else { spec.to_counterparty };
        if opener_has < self.terms.channel_type.anchors_amount().to_msat() {
            return Err(Violation::Overdrawn);
        }
        let derive = || CommitmentKeys::derive(&self.terms, holder, point);
        let keys = self.ahead.keys(holder, &point).unwrap_or_else(derive);
        Ok(Commitment::build(&self.terms, holder, number, keys, &spec))
    }

    /// Signs the peer's next commitment, if there is anything new and the last one was revoked.
    pub fn commit(&mut self, signer: &mut Signer, out: &mut Out) -> Result<(), Violation> {
        if !self.can_sign() {
            return Ok(());
        }
        let Some(point) = self.next_remote_point.take() else { return Ok(()) };
        self.ledger.advance(Event::Commit { by: Side::Local });
        let commitment = self.build(Side::Remote, self.remote.number.next(), point)?;
        let (signature, htlc_signatures) = signer.sign_remote(&self.terms, &commitment);
        self.remote_next = Some(Arc::new(commitment));
        self.last_sent = LastSent::Signature;
        out.save = true;
        out.send(Message::CommitmentSigned(CommitmentSigned {
            channel_id: self.channel_id(),
            signature,
            htlc_signatures,
            unknown: Vec::new(),
        }));
        Ok(())
    }

    /// The peer signed our next commitment: verify it, revoke the old one.
    pub fn on_commitment_signed(
        &mut self,
        message: &CommitmentSigned,
        signer: &mut Signer,
        env: &Env,
        out: &mut Out,
    ) -> Result<(), Violation> {
        let number = self.local.commitment.number.next();
        self.ledger.advance(Event::Commit { by: Side::Remote });
        let commitment = self.build(Side::Local, number, self.next_local_point)?;
        let signature = verifiable(&message.signature, env);
        if !commitment.verify(&self.terms, Side::Remote, &signature) {
            return Err(Violation::CommitmentSignature);
        }
        let (got, due) = (message.htlc_signatures.len(), commitment.htlcs.len());
        if got != due {
            return Err(Violation::HtlcSignatureCount { got, due });
        }
        if !commitment.verify_htlcs(&self.terms, &message.htlc_signatures) {
            return Err(Violation::HtlcSignature);
        }
        let revoked = self.local.commitment.number;
        self.local = LocalCommitment {
            commitment: Arc::new(commitment),
            signature: message.signature,
            htlc_signatures: Arc::new(message.htlc_signatures.clone()),
        };
        self.next_local_point = signer.point(number.next());
        let outcomes = self.ledger.advance(Event::Revoke { by: Side::Local });
        self.last_sent = LastSent::Revocation;
        out.save |= !env.plants(Mutant::RevokesWithoutSaving);
        out.send(Message::RevokeAndAck(RevokeAndAck {
            channel_id: self.channel_id(),
            per_commitment_secret: signer.release(revoked),
            next_per_commitment_point: self.next_local_point,
        }));
        tell(outcomes, out);
        self.ask_for_commit(out);
        Ok(())
    }

    /// The peer revoked its old commitment.
    pub fn on_revoke_and_ack(
        &mut self,
        message: &RevokeAndAck,
        signer: &mut Signer,
        out: &mut Out,
    ) -> Result<(), Violation> {
        let next = self.remote_next.take().ok_or(Violation::UnexpectedRevocation)?;
        let number = self.remote.number;
        let point = message.per_commitment_secret.public_key(secp256k1::SECP256K1);
        if point != self.remote.keys.per_commitment_point {
            return Err(Violation::RevocationSecret);
        }
        let secrets = Arc::make_mut(&mut self.secrets);
        secrets.insert(number, &message.per_commitment_secret).map_err(|_| Violation::RevocationSecret)?;
        signer.peer_revoked(number);
        let revoked = std::mem::replace(&mut self.remote, next);
        self.archive(&revoked, out);
        let secret = message.per_commitment_secret;
        out.effects.push(Effect::GivenUp { commitment: revoked, secret });
        self.next_remote_point = Some(message.next_per_commitment_point);
        let outcomes = self.ledger.advance(Event::Revoke { by: Side::Remote });
        out.save = true;
        tell(outcomes, out);
        self.ask_for_commit(out);
        Ok(())
    }

    /// What a penalty will need of a state that the peer gave up.
    fn archive(&self, revoked: &Commitment, out: &mut Out) {
        if !revoked.htlcs.is_empty() {
            let htlcs = revoked.htlcs.iter().map(|output| output.htlc).collect();
            out.effects.push(Effect::Revoked { number: revoked.number, htlcs });
        }
    }

    /// Our newest commitment, signed for the chain.
    pub fn signed_commitment(&self, signer: &Signer) -> Transaction {
        let commitment = &self.local.commitment;
        commitment.complete(&self.terms, &signer.sign_own(&self.terms, commitment), &self.local.signature)
    }
}

/// The signature itself, unless the lab wants a high S to pass.
pub fn verifiable(signature: &Signature, env: &Env) -> Signature {
    let mut signature = *signature;
    if env.plants(Mutant::TakesHighSignatures) {
        signature.normalize_s();
    }
    signature
}

fn tell(outcomes: Vec<Outcome>, out: &mut Out) {
    out.effects.extend(outcomes.into_iter().map(|outcome| match outcome {
        Outcome::Received(received) => Effect::Received(received),
        Outcome::Settled { id } => Effect::Settled { id },
        Outcome::Failed { origin, refusal } => Effect::Failed { origin, refusal },
    }));
}
