//! The saved form of a channel: a version byte, then postcard. Holds no secret of ours: keys are derived again from
//! `key_index`. Commitments are not stored but built again from the books, which say all that they say.
use super::ahead::Ahead;
use super::funded::{Funded, LocalCommitment, Place};
use super::ledger::Ledger;
use super::limits::Agreement;
use super::reestablish::LastSent;
use super::signer::{Promises, Signer, LAST_COMMITMENT};
use super::stage::View;
use super::{Archive, Base, Channel, ChannelConfig, Link, Phase};
use crate::ids::{ChannelId, NodeId};
use crate::keys::{ChannelKeys, SecretStore};
use crate::tx::{ChannelTerms, Commitment, CommitmentKeys, Side};
use crate::units::CommitmentNumber;
use bitcoin::{ScriptBuf, Transaction, Txid};
use secp256k1::ecdsa::Signature;
use secp256k1::PublicKey;
use serde::{Deserialize, Serialize, Serializer};
use std::borrow::Cow;
use std::sync::Arc;

/// The form written by this code.
const VERSION: u8 = 3;

/// Why bytes are not a saved channel of this node.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecordError {
    /// No bytes at all.
    #[error("the channel's record is empty")]
    Empty,
    /// Written by another version.
    #[error("the channel's record has version {0}, this program reads version {VERSION}")]
    Version(u8),
    /// Not what was written.
    #[error("the channel's record is damaged: {0}")]
    Damaged(postcard::Error),
    /// Left over bytes.
    #[error("the channel's record has {0} bytes too many")]
    Trailing(usize),
    /// The keys derived from its index are not the channel's.
    #[error("the channel's record belongs to another seed")]
    OtherKeys,
    /// Its commitments are not those that were promised or revoked: going on from there could cost everything.
    #[error("the channel's record names other commitments than those that were signed and revoked")]
    BrokenPromises,
}

/// Everything of a channel but its keys. Borrowed when it is written, since hundreds of HTLCs are not copied for nothing.
#[derive(Serialize, Deserialize)]
struct Record<'a> {
    peer: NodeId,
    key_index: u64,
    config: Arc<ChannelConfig>,
    destination: ScriptBuf,
    id: ChannelId,
    link: Link,
    promises: Promises,
    phase: Cow<'a, Phase>,
}

impl Channel {
    /// The saved record.
    pub fn encode(&self) -> Vec<u8> {
        let base = &self.base;
        let record = Record {
            peer: base.peer,
            key_index: base.key_index,
            config: base.config.clone(),
            destination: base.destination.clone(),
            id: base.id,
            link: base.link,
            promises: base.signer.promises(),
            phase: Cow::Borrowed(&self.phase),
        };
        // Writing to memory fails only where a type cannot be written at all, which every test would show.
        postcard::to_stdvec(&(VERSION, &record))
            .unwrap_or_else(|error| panic!("a record cannot be written: {error}"))
    }

    /// Reads a saved record; `keys` gives the channel's keys from their index.
    ///
    /// # Errors
    /// A [`RecordError`] that says what is wrong with the bytes.
    pub fn decode(bytes: &[u8], keys: impl FnOnce(u64) -> ChannelKeys) -> Result<Channel, RecordError> {
        let (version, rest) = bytes.split_first().ok_or(RecordError::Empty)?;
        if *version != VERSION {
            return Err(RecordError::Version(*version));
        }
        let (record, left): (Record<'static>, &[u8]) =
            postcard::take_from_bytes(rest).map_err(RecordError::Damaged)?;
        if !left.is_empty() {
            return Err(RecordError::Trailing(left.len()));
        }
        let signer = Signer::new(keys(record.key_index), record.promises);
        let base = Base {
            peer: record.peer,
            key_index: record.key_index,
            config: record.config,
            destination: record.destination,
            id: record.id,
            link: record.link,
            signer,
            archive: Archive::default(),
        };
        let channel = Channel { base, phase: record.phase.into_owned() };
        match channel.funded() {
            Some(funded) if !funded.belongs_to(&channel.base.signer) => Err(RecordError::OtherKeys),
            Some(funded) if !channel.phase.suits(funded) => Err(RecordError::BrokenPromises),
            Some(funded) if !funded.keeps_promises(&channel.base.signer) => Err(RecordError::BrokenPromises),
            Some(_) | None => Ok(channel),
        }
    }
}

/// A funded channel without what can be built again.
#[derive(Serialize, Deserialize)]
pub struct FundedRecord<'a> {
    terms: Arc<ChannelTerms>,
    agreement: Arc<Agreement>,
    ledger: Cow<'a, Ledger>,
    local: (CommitmentNumber, PublicKey),
    signature: Signature,
    htlc_signatures: Arc<Vec<Signature>>,
    next_local_point: PublicKey,
    remote: (CommitmentNumber, PublicKey),
    remote_next: Option<PublicKey>,
    next_remote_point: Option<PublicKey>,
    secrets: Arc<SecretStore>,
    funding_tx: Option<Arc<Transaction>>,
    minimum_depth: u32,
    place: Option<Place>,
    peer_upfront_script: Option<ScriptBuf>,
    closings: Vec<Txid>,
    ready_sent: bool,
    last_sent: LastSent,
    fallen_behind: bool,
}

impl Serialize for Funded {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        FundedRecord::from(self).serialize(serializer)
    }
}

impl<'a> From<&'a Funded> for FundedRecord<'a> {
    fn from(funded: &'a Funded) -> Self {
        let named = |commitment: &Commitment| (commitment.number, commitment.keys.per_commitment_point);
        Self {
            local: named(&funded.local.commitment),
            remote: named(&funded.remote),
            remote_next: funded.remote_next.as_ref().map(|next| next.keys.per_commitment_point),
            terms: funded.terms.clone(),
            agreement: funded.agreement.clone(),
            ledger: Cow::Borrowed(&funded.ledger),
            signature: funded.local.signature,
            htlc_signatures: funded.local.htlc_signatures.clone(),
            next_local_point: funded.next_local_point,
            next_remote_point: funded.next_remote_point,
            secrets: funded.secrets.clone(),
            funding_tx: funded.funding_tx.clone(),
            minimum_depth: funded.minimum_depth,
            place: funded.place,
            peer_upfront_script: funded.peer_upfront_script.clone(),
            closings: funded.closings.clone(),
            ready_sent: funded.ready_sent,
            last_sent: funded.last_sent,
            fallen_behind: funded.fallen_behind,
        }
    }
}

/// The record's parts do not fit together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the record's balances or numbers do not fit together")]
pub struct Inconsistent;

impl TryFrom<FundedRecord<'_>> for Funded {
    type Error = Inconsistent;

    fn try_from(record: FundedRecord<'_>) -> Result<Self, Inconsistent> {
        record.check()?;
        let local = record.build(Side::Local, View::Newest, record.local)?;
        if record.htlc_signatures.len() != local.htlcs.len() {
            return Err(Inconsistent);
        }
        let (number, _) = record.remote;
        let next =
            record.remote_next.map(|point| record.build(Side::Remote, View::Newest, (number.next(), point)));
        let view = if next.is_some() { View::Previous } else { View::Newest };
        let remote = record.build(Side::Remote, view, record.remote)?;
        Ok(Self {
            local: LocalCommitment {
                commitment: Arc::new(local),
                signature: record.signature,
                htlc_signatures: record.htlc_signatures,
            },
            remote: Arc::new(remote),
            remote_next: next.transpose()?.map(Arc::new),
            terms: record.terms,
            agreement: record.agreement,
            ledger: record.ledger.into_owned(),
            next_local_point: record.next_local_point,
            next_remote_point: record.next_remote_point,
            secrets: record.secrets,
            funding_tx: record.funding_tx,
            minimum_depth: record.minimum_depth,
            place: record.place,
            peer_upfront_script: record.peer_upfront_script,
            closings: record.closings,
            ready_sent: record.ready_sent,
            last_sent: record.last_sent,
            fallen_behind: record.fallen_behind,
            ahead: Ahead::default(),
        })
    }
}

impl FundedRecord<'_> {
    fn check(&self) -> Result<(), Inconsistent> {
        let numbers = [self.local.0, self.remote.0];
        let numbered = numbers.iter().all(|number| *number < LAST_COMMITMENT);
        let sum = self.ledger.settled(Side::Local).checked_add(self.ledger.settled(Side::Remote));
        let whole = sum.is_some_and(|sum| sum == self.terms.funding_amount.to_msat());
        let bounded = self.terms.funding_amount.get() <= bitcoin::Amount::MAX_MONEY.to_sat();
        (numbered && whole && bounded).then_some(()).ok_or(Inconsistent)
    }

    fn build(
        &self,
        holder: Side,
        view: View,
        (number, point): (CommitmentNumber, PublicKey),
    ) -> Result<Commitment, Inconsistent> {
        let spec = self.ledger.spec(holder, view).ok_or(Inconsistent)?;
        let keys = CommitmentKeys::derive(&self.terms, holder, point);
        Ok(Commitment::build(&self.terms, holder, number, keys, &spec))
    }
}

impl Phase {
    /// Whether the channel may be in this phase: one whose commitment is proven to be revoked only waits for its peer.
    fn suits(&self, funded: &Funded) -> bool {
        match self {
            Phase::Opening(_) | Phase::Confirming(_) | Phase::Normal(_) | Phase::ShuttingDown(_) => {
                !funded.fallen_behind
            }
            Phase::FallenBehind(_) => funded.fallen_behind,
            Phase::OnChain(_) | Phase::Done => true,
        }
    }
}

impl Funded {
    /// Whether these are the channel's keys.
    fn belongs_to(&self, signer: &Signer) -> bool {
        signer.basepoints() == self.terms.local.basepoints
    }

    /// Whether the commitments are the ones that the signer's promises are about, with our own points.
    fn keeps_promises(&self, signer: &Signer) -> bool {
        let local = &self.local.commitment;
        let newest = self.remote_next.as_ref().unwrap_or(&self.remote);
        let promised = signer.promises();
        let released = local.number.previous();
        // A side that lost states knows of more of its secrets than its books do.
        let lost = promised.released.filter(|lost| self.fallen_behind && *lost >= local.number);
        let expected = Promises {
            released: lost.or(released),
            signed: Some((newest.number, newest.tx.compute_txid())),
            revoked: self.remote.number.previous(),
        };
        promised == expected
            && lost.is_some() == self.fallen_behind
            && local.keys.per_commitment_point == signer.point(local.number)
            && self.next_local_point == signer.point(local.number.next())
    }
}

/// An onion in a record: its bytes, or none.
pub mod onion {
    use crate::wire::{OnionBytes, ONION_PACKET_LEN};
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::sync::Arc;

    struct Bytes<'a>(&'a [u8]);

    impl Serialize for Bytes<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(self.0)
        }
    }

    /// Writes it.
    pub fn serialize<S: Serializer>(onion: &Option<OnionBytes>, serializer: S) -> Result<S::Ok, S::Error> {
        onion.as_ref().map(|onion| Bytes(onion.as_slice())).serialize(serializer)
    }

    /// Reads it; any other length than an onion's is refused.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<OnionBytes>, D::Error> {
        let Some(bytes) = Option::<&'de [u8]>::deserialize(deserializer)? else { return Ok(None) };
        let packet: [u8; ONION_PACKET_LEN] =
            bytes.try_into().map_err(|_| Error::custom("not an onion's length"))?;
        Ok(Some(Arc::new(packet)))
    }
}
