//! When an HTLC can no longer be left to the peer's good will: the height from which the channel must go to the chain
//! (BOLT 2, "`cltv_expiry_delta` Selection"). Only says so.
use super::ledger::{Htlc, Removal};
use super::stage::{Stage, View};
use super::{Env, Funded, Mutant};
use crate::tx::{Direction, Side};
use crate::units::CltvExpiry;

/// Blocks beyond its expiry for which an offered HTLC may still be there: the grace period G.
const OFFERED_GRACE: u32 = 1;
/// Blocks before its expiry by which a received HTLC whose preimage was given must be gone: 2R + G + S.
pub const FULFILLED_MARGIN: u32 = 18;

/// An HTLC whose deadline has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MissedDeadline {
    /// We offered it, and the peer neither settled nor refused it in time.
    #[error("offered HTLC {id} expired at {expiry} and is still there")]
    Offered {
        /// Its id.
        id: u64,
        /// Its absolute expiry.
        expiry: CltvExpiry,
    },
    /// We gave its preimage, and the peer did not take it out of the commitments in time.
    #[error("fulfilled HTLC {id} expires at {expiry} and is still there")]
    Fulfilled {
        /// Its id.
        id: u64,
        /// Its absolute expiry.
        expiry: CltvExpiry,
    },
}

impl Funded {
    /// The first HTLC that makes the channel go to the chain at this height.
    pub fn missed_deadline(&self, env: &Env) -> Option<MissedDeadline> {
        self.ledger.htlcs().iter().find_map(|htlc| match htlc.offerer {
            Side::Local => offered_too_long(htlc, env),
            Side::Remote => self.fulfilled_too_long(htlc, env),
        })
    }

    fn fulfilled_too_long(&self, htlc: &Htlc, env: &Env) -> Option<MissedDeadline> {
        let fulfilled = matches!(htlc.remove, Some((_, Removal::Fulfilled(_))));
        let late = env.height.plus(FULFILLED_MARGIN) >= htlc.cltv_expiry.to_height();
        if !fulfilled || !late || env.plants(Mutant::NoDeadlineForFulfilled) {
            return None;
        }
        // Without an output there is nothing to gain on the chain.
        let mut outputs = self.local.commitment.htlcs.iter();
        let ours = |htlc_id| htlc_id == htlc.id;
        let there = outputs.any(|o| o.htlc.direction == Direction::Received && ours(o.htlc.id));
        there.then_some(MissedDeadline::Fulfilled { id: htlc.id, expiry: htlc.cltv_expiry })
    }
}

/// In either commitment, with an output or without: what it was forwarded for waits for its end.
fn offered_too_long(htlc: &Htlc, env: &Env) -> Option<MissedDeadline> {
    let committed = htlc.add > Stage::Proposed;
    let there = committed && !htlc.removed_in(Side::Local, View::Previous);
    let late = env.height >= htlc.cltv_expiry.to_height().plus(OFFERED_GRACE);
    let missed = there && late && !env.plants(Mutant::NoDeadlineForOffered);
    missed.then_some(MissedDeadline::Offered { id: htlc.id, expiry: htlc.cltv_expiry })
}
