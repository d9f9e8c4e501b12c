//! The HTLCs of every state that the peer revoked: with a released secret they are all that is needed to take each output of
//! that state, should it ever be published (BOLT 5, "Revoked Transaction Close Handling"). Kept apart from the channel's
//! record, one small record for each state that had HTLC outputs, so that saving a channel does not grow with its age.
use crate::tx::HtlcTerms;
use crate::units::CommitmentNumber;
use std::sync::Arc;

/// What the revoked states held, in order. Cheap to copy: what is big is shared.
#[derive(Clone, Default, Debug)]
pub struct Archive(Arc<Vec<(CommitmentNumber, Arc<[HtlcTerms]>)>>);

impl Archive {
    /// Keeps the HTLCs of the peer's commitment `number`, as that commitment lists them.
    pub fn remember(&mut self, number: CommitmentNumber, htlcs: Arc<[HtlcTerms]>) {
        let states = Arc::make_mut(&mut self.0);
        match states.binary_search_by_key(&number, |(known, _)| *known) {
            Ok(place) => states[place].1 = htlcs,
            Err(place) => states.insert(place, (number, htlcs)),
        }
    }

    /// The HTLCs of the peer's revoked commitment `number`; none if it had no HTLC output.
    pub fn htlcs(&self, number: CommitmentNumber) -> &[HtlcTerms] {
        match self.0.binary_search_by_key(&number, |(known, _)| *known) {
            Ok(place) => &self.0[place].1,
            Err(_) => &[],
        }
    }

    /// Every state that is kept.
    pub fn states(&self) -> impl Iterator<Item = (CommitmentNumber, &Arc<[HtlcTerms]>)> {
        self.0.iter().map(|(number, htlcs)| (*number, htlcs))
    }
}
