//! How far an update has come. One table for everything that can change a commitment: an HTLC's addition, its removal,
//! a new feerate; whoever sent it, both directions at once. Knows nothing of amounts, messages or signatures.
//!
//! ```text
//!   S, the sender of the update                 R, its receiver            holds it
//!     |                                            |
//!     |--- update_* ------------------------------>|  Proposed            nobody's commitment
//!     |--- commitment_signed --------------------->|  Signed              R's next commitment
//!     |<-------------------------- revoke_and_ack -|  Acked               R's only commitment
//!     |<----------------------- commitment_signed -|  Countersigned       both; S may still use its old one
//!     |--- revoke_and_ack ------------------------>|  Irrevocable         both, for good
//! ```
//!
//! An update in one direction rides on the signatures of both: R's `commitment_signed` that countersigns S's updates
//! also signs R's own proposals. So each event advances updates of both senders:
//!
//! | event by X           | updates sent by X             | updates sent by the other side  |
//! |----------------------|-------------------------------|---------------------------------|
//! | `commitment_signed`  | Proposed -> Signed            | Acked -> Countersigned          |
//! | `revoke_and_ack`     | Countersigned -> Irrevocable  | Signed -> Acked                 |
use crate::tx::Side;
use serde::{Deserialize, Serialize};

/// The steps of the ladder above, in order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Stage {
    /// Sent; no commitment holds it.
    Proposed,
    /// Its sender signed it into the receiver's next commitment.
    Signed,
    /// The receiver revoked its commitment without it.
    Acked,
    /// The receiver signed it into the sender's next commitment.
    Countersigned,
    /// The sender revoked its commitment without it: no valid commitment lacks it.
    Irrevocable,
}

/// What advances updates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// This side sent `commitment_signed`.
    Commit {
        /// Who signed.
        by: Side,
    },
    /// This side sent `revoke_and_ack`.
    Revoke {
        /// Who revoked.
        by: Side,
    },
}

/// Which of a side's commitments is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum View {
    /// The one before the newest: still valid while its revocation is awaited.
    Previous,
    /// The newest signed one.
    Newest,
    /// The one that the other side would sign now.
    Next,
}

impl Stage {
    /// The stage after `event`, for an update that `sender` sent.
    pub fn after(self, sender: Side, event: Event) -> Stage {
        let own = |by: Side| by == sender;
        match (self, event) {
            (Stage::Proposed, Event::Commit { by }) if own(by) => Stage::Signed,
            (Stage::Signed, Event::Revoke { by }) if !own(by) => Stage::Acked,
            (Stage::Acked, Event::Commit { by }) if !own(by) => Stage::Countersigned,
            (Stage::Countersigned, Event::Revoke { by }) if own(by) => Stage::Irrevocable,
            (stage, Event::Commit { .. } | Event::Revoke { .. }) => stage,
        }
    }

    /// Whether the commitment of `holder` in this view holds an update that `sender` sent.
    pub fn is_in(self, sender: Side, holder: Side, view: View) -> bool {
        let needed = match (view, sender == holder) {
            (View::Previous, true) => Stage::Irrevocable,
            (View::Previous, false) => Stage::Acked,
            (View::Newest, true) => Stage::Countersigned,
            (View::Newest, false) => Stage::Signed,
            (View::Next, true) => Stage::Acked,
            (View::Next, false) => Stage::Proposed,
        };
        self >= needed
    }

    /// Whether `signer` has to sign because of an update that `sender` sent.
    pub fn needs_signature_of(self, sender: Side, signer: Side) -> bool {
        self == if sender == signer { Stage::Proposed } else { Stage::Acked }
    }
}
