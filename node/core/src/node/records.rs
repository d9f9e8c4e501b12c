//! The node's records: each a version byte and a body, written whole, read back into an equal node. Bytes that make no
//! sense are an error that names the record, never a panic.

use super::draft::Draft;
use super::{Counters, Node, NodeConfig, RecordKey};
use crate::chain::{Wallet, WalletError};
use crate::channel::{Channel, Env, Input, Mutant, RecordError};
use crate::ids::{ChannelId, PaymentHash};
use crate::keys::NodeSeed;
use crate::payment::incoming::InvoiceState;
use crate::tower::Locator;
use crate::tx::HtlcTerms;
use crate::units::{BlockHeight, CommitmentNumber};
use bitcoin::BlockHash;
use serde::de::DeserializeOwned;
use serde::Serialize;
use std::collections::BTreeMap;

/// The first byte of every record that the node itself writes; a channel's record has a version of its own.
const VERSION: u8 = 1;

/// A node's records could not be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RestoreError {
    /// Written by another version.
    #[error("record {record:?} has version {found:?}, this node reads version {VERSION}")]
    Version {
        /// Which.
        record: RecordKey,
        /// Its first byte.
        found: Option<u8>,
    },
    /// Not the encoding of such a record.
    #[error("record {record:?} cannot be read: {error}")]
    Body {
        /// Which.
        record: RecordKey,
        /// Why.
        error: postcard::Error,
    },
    /// The wallet's record is wrong.
    #[error(transparent)]
    Wallet(#[from] WalletError),
    /// A channel's record is wrong.
    #[error("channel {channel} cannot be read: {error}")]
    Channel {
        /// Which.
        channel: ChannelId,
        /// Why.
        error: RecordError,
    },
    /// A record is filed under a name that is not its own.
    #[error("record {record:?} holds something else")]
    Misfiled {
        /// Which.
        record: RecordKey,
    },
}

impl Node {
    /// The node that wrote these records, as it was when the last of them was saved; with none, a new node. All links are
    /// down, the channels of others are not known. `birthday` counts only for a new node.
    pub fn restore(
        seed: NodeSeed,
        config: NodeConfig,
        birthday: (BlockHeight, BlockHash),
        records: &BTreeMap<RecordKey, Vec<u8>>,
    ) -> Result<Self, RestoreError> {
        let counters = match records.get(&RecordKey::Node) {
            Some(bytes) => decode(&RecordKey::Node, bytes)?,
            None => Counters { tip: birthday.0, ..Counters::default() },
        };
        let wallet = match records.get(&RecordKey::Wallet) {
            Some(bytes) => Wallet::decode(&seed, body(&RecordKey::Wallet, bytes)?)?,
            None => Wallet::new(&seed, birthday),
        };
        let mut node = Self::assemble(seed, config, wallet, counters);
        for (key, bytes) in records {
            node.restore_record(key, bytes)?;
        }
        let channels = &node.channels;
        node.wallet.release_unless(|channel| channels.contains_key(channel));
        node.starting = true;
        Ok(node)
    }

    /// Before the first event after a restart: every link is down, whatever the records say, and what the last turn left undone in
    /// here is done.
    pub(super) fn start(&mut self, env: &Env, draft: &mut Draft) {
        self.starting = false;
        self.resuming = true;
        if env.plants(Mutant::LosesForwardsAtRestart) {
            self.forwards.clear();
            self.untold.clear();
        }
        let ids: Vec<ChannelId> = self.channels.keys().copied().collect();
        for id in ids {
            // Links are never refused.
            let _ = self.step(id, Input::Disconnected, env, draft);
            self.tell_again(id, draft);
        }
        self.end_unsigned(env, draft);
    }

    /// After it: what belongs on the chain goes there again, since the last turn's actions may never have run.
    pub(super) fn resume(&mut self, env: &Env, draft: &mut Draft) {
        self.resuming = false;
        let ids: Vec<ChannelId> = self.channels.keys().copied().collect();
        for id in ids.into_iter().filter(|_| !env.plants(Mutant::BroadcastsNothingAtRestart)) {
            let unmined = self.channels.get(&id).map(Channel::unmined).unwrap_or_default();
            self.run_effects(id, unmined, env, draft);
        }
    }

    fn restore_record(&mut self, key: &RecordKey, bytes: &[u8]) -> Result<(), RestoreError> {
        match key {
            RecordKey::Node | RecordKey::Wallet => {}
            RecordKey::Channel(id) => self.restore_channel(*id, bytes)?,
            RecordKey::Revoked(id, number) => {
                let htlcs: Vec<HtlcTerms> = decode(key, bytes)?;
                let channel = self.channels.get_mut(id);
                channel
                    .ok_or(RestoreError::Misfiled { record: key.clone() })?
                    .remember_revoked(*number, htlcs.into());
            }
            RecordKey::Unguarded(locator, part) => {
                self.unguarded.insert((*locator, *part), decode(key, bytes)?);
            }
            RecordKey::Payment(hash) => {
                let payment: crate::payment::outgoing::Outgoing = decode(key, bytes)?;
                filed(key, payment.payment_hash == *hash)?;
                self.attempts.extend(payment.current.iter().map(|attempt| (attempt.number, *hash)));
                self.outgoing.insert(*hash, payment);
            }
            RecordKey::Invoice(hash) => {
                let invoice: crate::payment::incoming::OwnInvoice = decode(key, bytes)?;
                filed(key, invoice.payment_hash() == *hash)?;
                if let InvoiceState::Claiming { channel, id, .. } = invoice.state {
                    self.claims.insert((channel, id), *hash);
                }
                self.invoices.insert(*hash, invoice);
            }
            RecordKey::Forward(channel, id) => {
                let forward: crate::payment::forward::Forward = decode(key, bytes)?;
                if forward.resolution.is_some() {
                    self.untold.insert((*channel, *id));
                }
                self.forwards.insert((*channel, *id), forward);
            }
        }
        Ok(())
    }

    fn restore_channel(&mut self, id: ChannelId, bytes: &[u8]) -> Result<(), RestoreError> {
        let decoded = Channel::decode(bytes, |index| self.seed.channel_keys(index));
        let channel = decoded.map_err(|error| RestoreError::Channel { channel: id, error })?;
        filed(&RecordKey::Channel(id), channel.id() == id)?;
        // One that is mined and not ready yet has a place too; it is told when it is ready.
        let ready = channel.short_channel_id().filter(|_| channel.was_ready());
        self.by_scid.extend(ready.map(|name| (name, id)));
        self.channels.insert(id, channel);
        Ok(())
    }

    pub(super) fn node_record(&self) -> Vec<u8> {
        encode(&self.counters)
    }

    pub(super) fn wallet_record(&mut self) -> Option<Vec<u8>> {
        let body = self.wallet.take_record()?;
        Some(std::iter::once(VERSION).chain(body).collect())
    }

    pub(super) fn all_records(&mut self) -> BTreeMap<RecordKey, Vec<u8>> {
        let wallet = std::iter::once(VERSION).chain(self.wallet.record()).collect();
        let mut records =
            BTreeMap::from([(RecordKey::Node, self.node_record()), (RecordKey::Wallet, wallet)]);
        records.extend(self.channels.iter().map(|(id, channel)| (RecordKey::Channel(*id), channel.encode())));
        for (id, channel) in &self.channels {
            let states = channel.revoked_states();
            records.extend(
                states.map(|(number, htlcs)| (RecordKey::Revoked(*id, number), encode(&htlcs.as_ref()))),
            );
        }
        records
            .extend(self.outgoing.iter().map(|(hash, payment)| (RecordKey::Payment(*hash), encode(payment))));
        records
            .extend(self.invoices.iter().map(|(hash, invoice)| (RecordKey::Invoice(*hash), encode(invoice))));
        let unguarded = self.unguarded.iter();
        records.extend(
            unguarded.map(|((locator, part), unguarded)| {
                (RecordKey::Unguarded(*locator, *part), encode(unguarded))
            }),
        );
        let forwards = self.forwards.iter();
        records
            .extend(forwards.map(|((id, htlc), forward)| (RecordKey::Forward(*id, *htlc), encode(forward))));
        records
    }

    /// A revoked state's HTLCs; nothing once its channel is forgotten.
    pub(super) fn revoked_record(&self, id: &ChannelId, number: CommitmentNumber) -> Option<Vec<u8>> {
        Some(encode(&self.channels.get(id)?.revoked_state(number)))
    }

    pub(super) fn unguarded_record(&self, key: &(Locator, u16)) -> Option<Vec<u8>> {
        self.unguarded.get(key).map(encode)
    }

    pub(super) fn payment_record(&self, hash: &PaymentHash) -> Option<Vec<u8>> {
        self.outgoing.get(hash).map(encode)
    }

    pub(super) fn invoice_record(&self, hash: &PaymentHash) -> Option<Vec<u8>> {
        self.invoices.get(hash).map(encode)
    }

    pub(super) fn forward_record(&self, key: &(ChannelId, u64)) -> Option<Vec<u8>> {
        self.forwards.get(key).map(encode)
    }
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(&(VERSION, value)).expect("these values always encode")
}

fn decode<T: DeserializeOwned>(key: &RecordKey, bytes: &[u8]) -> Result<T, RestoreError> {
    let (value, rest) = postcard::take_from_bytes(body(key, bytes)?)
        .map_err(|error| RestoreError::Body { record: key.clone(), error })?;
    filed(key, rest.is_empty())?;
    Ok(value)
}

fn body<'a>(key: &RecordKey, bytes: &'a [u8]) -> Result<&'a [u8], RestoreError> {
    match bytes.split_first() {
        Some((&VERSION, body)) => Ok(body),
        other => {
            Err(RestoreError::Version { record: key.clone(), found: other.map(|(version, _)| *version) })
        }
    }
}

fn filed(key: &RecordKey, fits: bool) -> Result<(), RestoreError> {
    fits.then_some(()).ok_or_else(|| RestoreError::Misfiled { record: key.clone() })
}
