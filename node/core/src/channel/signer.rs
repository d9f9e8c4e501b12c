//! The only place where a channel's secrets are used. It refuses, by panicking with the reason, what can only be a bug of our
//! own and would cost money: signing a commitment of ours whose secret was released, signing two different commitments of
//! the peer under one number, signing one that the peer already revoked.
use crate::keys::{Basepoints, ChannelKeys};
use crate::tx::{ChannelTerms, Commitment, Side};
use crate::units::CommitmentNumber;
use bitcoin::Txid;
use secp256k1::ecdsa::Signature;
use secp256k1::{PublicKey, SecretKey};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The greatest commitment number (BOLT 3).
pub const LAST_COMMITMENT: CommitmentNumber = CommitmentNumber::new((1 << 48) - 1);

/// What was promised so far. Part of the saved record; the secrets are not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Promises {
    /// The newest of our commitments whose secret was released.
    pub(super) released: Option<CommitmentNumber>,
    /// The newest commitment of the peer that we signed.
    pub(super) signed: Option<(CommitmentNumber, Txid)>,
    /// The newest commitment that the peer revoked.
    pub(super) revoked: Option<CommitmentNumber>,
}

/// A channel's keys with a guard.
#[derive(Clone)]
pub struct Signer {
    keys: Arc<ChannelKeys>,
    basepoints: Arc<Basepoints>,
    promises: Promises,
}

impl Signer {
    /// A new channel's, or one restored with what it had promised.
    pub fn new(keys: ChannelKeys, promises: Promises) -> Self {
        Self { basepoints: Arc::new(keys.basepoints()), keys: Arc::new(keys), promises }
    }

    /// For the record.
    pub fn promises(&self) -> Promises {
        self.promises
    }

    /// The public halves.
    pub fn basepoints(&self) -> Basepoints {
        *self.basepoints
    }

    /// The point of our commitment `number`.
    pub fn point(&self, number: CommitmentNumber) -> PublicKey {
        self.keys.per_commitment_point(number)
    }

    /// The keys, for sweeping what is ours on the chain.
    pub fn keys(&self) -> &ChannelKeys {
        &self.keys
    }

    /// Signs our own commitment, to broadcast it.
    pub fn sign_own(&self, terms: &ChannelTerms, commitment: &Commitment) -> Signature {
        assert!(commitment.holder == Side::Local, "signing the peer's commitment as our own");
        let revoked = self.promises.released.is_some_and(|released| commitment.number <= released);
        assert!(!revoked, "commitment {} of ours is revoked: signing it would lose all", commitment.number);
        commitment.sign(terms, &self.keys)
    }

    /// Signs the peer's commitment and its HTLC transactions.
    pub fn sign_remote(
        &mut self,
        terms: &ChannelTerms,
        commitment: &Commitment,
    ) -> (Signature, Vec<Signature>) {
        let number = commitment.number;
        assert!(commitment.holder == Side::Remote, "signing our own commitment for the peer");
        let revoked = self.promises.revoked.is_some_and(|revoked| number <= revoked);
        assert!(!revoked, "commitment {number} of the peer is revoked already");
        let txid = commitment.tx.compute_txid();
        let fits = match self.promises.signed {
            None => number == CommitmentNumber::ZERO,
            Some((last, earlier)) => (number == last && txid == earlier) || number == last.next(),
        };
        assert!(fits, "a second, different commitment {number} for the peer, or a number left out");
        self.promises.signed = Some((number, txid));
        (commitment.sign(terms, &self.keys), commitment.sign_htlcs(terms, &self.keys))
    }

    /// Gives away the secret of our commitment `number`; from here on it is never signed.
    pub fn release(&mut self, number: CommitmentNumber) -> SecretKey {
        let expected = self.promises.released.map_or(CommitmentNumber::ZERO, CommitmentNumber::next);
        assert!(number == expected, "releasing the secret of {number} where {expected} is due");
        self.promises.released = Some(number);
        self.keys.per_commitment_secret(number)
    }

    /// The secret of our commitment `number` again, which the peer did not receive.
    pub fn released_secret(&self, number: CommitmentNumber) -> SecretKey {
        let released = self.promises.released.is_some_and(|released| number <= released);
        assert!(released, "the secret of {number} was never released");
        self.keys.per_commitment_secret(number)
    }

    /// Whether this is the secret of our commitment `number`, released or not. A number beyond the last (BOLT 3) has none.
    pub fn is_secret_of(&self, number: CommitmentNumber, secret: &[u8; 32]) -> bool {
        number <= LAST_COMMITMENT && self.keys.per_commitment_secret(number).secret_bytes() == *secret
    }

    /// The peer proved that it knows the secret of our commitment `number`: from here on none up to it is ever signed.
    pub fn learn_released(&mut self, number: CommitmentNumber) {
        self.promises.released = self.promises.released.max(Some(number));
    }

    /// The peer revoked its commitment `number`.
    pub fn peer_revoked(&mut self, number: CommitmentNumber) {
        self.promises.revoked = Some(number);
    }
}
