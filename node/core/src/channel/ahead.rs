//! The keys of the next commitments, derived while nobody waits: most of what a commitment costs, and all of it known as soon as the
//! point is. Kept in memory only; what is not here when it is needed is derived then, with the same result.
use super::funded::Funded;
use super::{Channel, Phase};
use crate::tx::{CommitmentKeys, Side};
use secp256k1::PublicKey;

/// What was derived before it was needed.
#[derive(Clone, Default)]
pub struct Ahead {
    local: Option<CommitmentKeys>,
    remote: Option<CommitmentKeys>,
}

impl Ahead {
    /// The keys of the commitment held by `holder` with this point, if they are here.
    pub fn keys(&self, holder: Side, point: &PublicKey) -> Option<CommitmentKeys> {
        let kept = match holder {
            Side::Local => self.local,
            Side::Remote => self.remote,
        };
        kept.filter(|keys| keys.per_commitment_point == *point)
    }
}

impl Funded {
    /// Derives one set of keys that will be needed. Whether there was one.
    fn derive_ahead(&mut self) -> bool {
        let local = self.next_local_point;
        if self.ahead.keys(Side::Local, &local).is_none() {
            self.ahead.local = Some(CommitmentKeys::derive(&self.terms, Side::Local, local));
            return true;
        }
        let remote = self.next_remote_point.filter(|point| self.ahead.keys(Side::Remote, point).is_none());
        if let Some(remote) = remote {
            self.ahead.remote = Some(CommitmentKeys::derive(&self.terms, Side::Remote, remote));
        }
        remote.is_some()
    }
}

impl Channel {
    /// Does a little of what the next commitments need: one set of keys. False when nothing is left to do. Changes nothing that can
    /// be seen or saved.
    pub fn derive_ahead(&mut self) -> bool {
        match &mut self.phase {
            Phase::Normal(phase) => phase.funded.derive_ahead(),
            Phase::Opening(_)
            | Phase::Confirming(_)
            | Phase::ShuttingDown(_)
            | Phase::FallenBehind(_)
            | Phase::OnChain(_)
            | Phase::Done => false,
        }
    }
}
