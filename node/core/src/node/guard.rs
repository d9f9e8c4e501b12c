//! The tower's client: what punishes a state that a peer gave up goes to the tower, and stays on record here until the tower has it.
//! With no connection to the tower, or if it says nothing, all of it is handed over again when a connection stands.

use super::draft::Draft;
use super::{Action, Node};
use crate::channel::{Env, Mutant};
use crate::ids::ChannelId;
use crate::tower::{Justice, Locator, Revoked};
use crate::tx::{Commitment, Side};
use secp256k1::SecretKey;
use std::ops::Bound;

/// What the tower has not acknowledged, and whose it is.
pub(super) type Unguarded = (ChannelId, Vec<u8>);

impl Node {
    /// How many boxes the tower has not acknowledged.
    pub fn unguarded(&self) -> usize {
        self.unguarded.len()
    }

    /// The peer gave up this commitment, with this secret.
    pub(super) fn guard(
        &mut self,
        id: ChannelId,
        commitment: &Commitment,
        secret: &SecretKey,
        env: &Env,
        draft: &mut Draft,
    ) {
        let Some(channel) = self.channels.get(&id).filter(|_| self.config.tower) else { return };
        let Some(terms) = channel.terms() else { return };
        let newest = channel.commitment(Side::Remote).filter(|_| env.plants(Mutant::GuardsWrongState));
        let mut commitment = newest.unwrap_or(commitment).clone();
        if env.plants(Mutant::GuardsToLocalOnly) {
            commitment.htlcs.clear();
        }
        let keys = self.seed.channel_keys(channel.key_index());
        let destination = channel.destination();
        let revoked = Revoked { commitment: &commitment, terms, keys: &keys, secret, destination };
        for justice in Justice::of(&revoked) {
            let key = (justice.locator, justice.part);
            self.unguarded.insert(key, (id, justice.sealed.clone()));
            draft.unguarded.insert(key);
            draft.actions.push(Action::Guard { justice });
        }
    }

    /// A connection to the tower stands: it gets what it has not acknowledged, from this box on.
    pub(super) fn on_tower_ready(&mut self, from: Option<(Locator, u16)>, draft: &mut Draft) {
        let from = from.map_or(Bound::Unbounded, Bound::Included);
        for ((locator, part), (_, sealed)) in self.unguarded.range((from, Bound::Unbounded)) {
            let justice = Justice { locator: *locator, part: *part, sealed: sealed.clone() };
            draft.actions.push(Action::Guard { justice });
        }
    }

    /// The tower has it.
    pub(super) fn on_guarded(&mut self, locator: Locator, part: u16, draft: &mut Draft) {
        if self.unguarded.remove(&(locator, part)).is_some() {
            draft.unguarded.insert((locator, part));
        }
    }

    /// The channel is forgotten: none of its states can do harm any more.
    pub(super) fn forget_unguarded(&mut self, id: ChannelId, draft: &mut Draft) {
        let of_channel = self.unguarded.iter().filter(|(_, (channel, _))| *channel == id);
        draft.unguarded.extend(of_channel.map(|(key, _)| *key));
        self.unguarded.retain(|_, (channel, _)| *channel != id);
    }
}
