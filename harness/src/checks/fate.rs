//! What became of an HTLC in the end: claimed, returned, or neither; by the chain where its channel ended there with it, else
//! by the wire. For the checks that ask it; it finds nothing broken itself.
use super::replay::{How, HtlcRef, Replay, Spend, Way};
use bitcoin::OutPoint;

/// How an HTLC ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// Its receiver has the money.
    Claimed {
        /// The height of the claim: of the message that gave R, or of the block.
        height: u32,
    },
    /// Its offerer has it again.
    Returned,
    /// It had no output in the commitment that ended the channel: the miner has it.
    Trimmed,
    /// The commitment that ended the channel does not know it.
    Absent,
    /// Nobody has it yet.
    Open,
}

/// By the chain, then by the wire.
pub(super) fn fate(replay: &Replay, at: HtlcRef) -> Fate {
    let htlc = replay.htlc(at);
    let Some((txid, Some(landing), _)) = replay.landed(at.0) else { return on_the_wire(replay, at) };
    if landing.trimmed.contains(&at.1) {
        return Fate::Trimmed;
    }
    let Some(output) = replay.output_of(at, txid) else {
        let settled = htlc.was_settled_in(landing.holder, landing.number);
        return if settled { on_the_wire(replay, at) } else { Fate::Absent };
    };
    let Some(spend) = replay.beach.spend(&output) else { return Fate::Open };
    let taker = match Way::of_htlc(&spend.witness) {
        // The HTLC transaction of a revoked commitment gains its holder nothing once it is punished.
        Way::HtlcTimeout | Way::HtlcSuccess if is_punished(replay, spend) => 1 - landing.holder,
        Way::HtlcTimeout | Way::HtlcSuccess | Way::Owner => landing.holder,
        Way::WithPreimage | Way::AfterExpiry | Way::Penalty | Way::Strange => 1 - landing.holder,
    };
    let penalty = Way::of_htlc(&spend.witness) == Way::Penalty || is_punished(replay, spend);
    match on_the_wire(replay, at) {
        // A lie brought it back; its end on the wire came long before.
        before @ Fate::Claimed { .. } if penalty && taker == htlc.receiver() => return before,
        Fate::Claimed { .. } | Fate::Returned | Fate::Trimmed | Fate::Absent | Fate::Open => {}
    }
    if taker == htlc.receiver() {
        Fate::Claimed { height: spend.height }
    } else {
        Fate::Returned
    }
}

/// Whether the other end took the output of this HTLC transaction.
fn is_punished(replay: &Replay, htlc: &Spend) -> bool {
    let output = OutPoint::new(htlc.txid, htlc.input as u32);
    replay.beach.spend(&output).is_some_and(|second| Way::of_delayed(&second.witness) == Way::Penalty)
}

fn on_the_wire(replay: &Replay, at: HtlcRef) -> Fate {
    let htlc = replay.htlc(at);
    match htlc.removal {
        Some(removal) => match removal.how {
            How::Fulfilled(_) => Fate::Claimed { height: removal.sent.height },
            How::Failed => Fate::Returned,
        },
        None if htlc.forgotten => Fate::Absent,
        None => Fate::Open,
    }
}
