//! I4, a known preimage is used: who learned R from the HTLC that it passed on never fails the one it was offered, and
//! claims that before it expires. R is learned from a message, from a block, or from a transaction in the mempool.
use super::fate::{fate, Fate};
use super::replay::{How, HtlcRef, Moment, Replay};
use super::{Broken, Evidence};

/// So many blocks a claim takes whose channel must be closed for it: the commitment, its HTLC transaction, and one to see R.
const CLAIM_TAKES: u32 = 3;

/// Everyone who learned a preimage.
pub(super) fn check(evidence: &Evidence) -> Vec<Broken> {
    let replay = &evidence.replay;
    let mut broken = Vec::new();
    for ((party, hash), (learned, _)) in &replay.learned {
        if !evidence.is_honest(*party) {
            continue;
        }
        for at in incoming(replay, *party, *hash, *learned) {
            let Some(what) = unused(replay, at, *learned) else { continue };
            let (name, htlc) = (evidence.name(*party), replay.htlc(at));
            let text = format!(
                "{name} knew R from height {} on and {what} {}, which expires at {}",
                learned.height,
                replay.title(at),
                htlc.expiry
            );
            broken.push(evidence.broken("I4", *party, replay.title(at), htlc.amount, text));
        }
    }
    broken
}

/// The HTLCs of this hash that the party was offered before it learned R, and passed on.
fn incoming(
    replay: &Replay,
    party: usize,
    hash: leyden_core::ids::PaymentHash,
    learned: Moment,
) -> Vec<HtlcRef> {
    let courses = replay.courses.iter().enumerate();
    let all = courses.flat_map(|(number, course)| {
        course.htlcs.iter().enumerate().map(move |(place, htlc)| ((number, place), course, htlc))
    });
    let ours = all.filter(|(_, course, htlc)| {
        htlc.hash == hash
            && course.ends[htlc.receiver()] == party
            && htlc.onward.is_some()
            && htlc.offered.place < learned.place
    });
    ours.map(|(at, _, _)| at).collect()
}

fn unused(replay: &Replay, at: HtlcRef, learned: Moment) -> Option<String> {
    let failed = replay.failbacks.iter().find(|failed| failed.incoming == at);
    match failed {
        // Equal hashes: what the next hop itself refused is given back, though another HTLC showed R.
        Some(_) if was_refused(replay, at) => return None,
        Some(failed) if failed.now.place > learned.place => return Some("failed".into()),
        Some(_) => return None, // given up before R was known: I5 asks whether it was right
        None => {}
    }
    let expiry = replay.htlc(at).expiry.get();
    if learned.height + CLAIM_TAKES >= expiry {
        return None;
    }
    match fate(replay, at) {
        Fate::Claimed { height } if height > expiry => Some(format!("claimed only at height {height}")),
        Fate::Claimed { .. } | Fate::Trimmed | Fate::Absent => None,
        Fate::Returned => Some("lost".into()),
        Fate::Open => (replay.beach.height() >= expiry).then(|| "never claimed".into()),
    }
}

/// Whether the HTLC that it was passed on as was refused by who got it.
fn was_refused(replay: &Replay, at: HtlcRef) -> bool {
    let onward = replay.htlc(at).onward.map(|onward| replay.htlc(onward));
    onward.is_some_and(|onward| onward.removal.is_some_and(|removal| removal.how == How::Failed))
}

#[cfg(test)]
mod tests {
    use super::super::evidence_of;
    use super::super::replay::fixture::*;
    use super::super::replay::{Downstream, Failback, How};
    use super::*;

    fn knows_at(place: usize, height: u32) -> Replay {
        let mut replay = replay();
        replay.learned.insert((1, PREIMAGE.payment_hash()), (at(place, height), PREIMAGE));
        replay
    }

    fn texts(replay: Replay) -> Vec<String> {
        check(&evidence_of(replay)).into_iter().map(|broken| broken.text).collect()
    }

    #[test]
    fn what_is_claimed_in_time_passes() {
        let mut replay = knows_at(60, 90);
        assert_eq!(texts(replay.clone()), [""; 0], "there is time left");
        settle(&mut replay, INCOMING, How::Fulfilled(PREIMAGE), at(61, 90));
        assert_eq!(texts(replay), [""; 0]);
    }

    #[test]
    fn failing_what_is_known_is_broken() {
        let mut replay = knows_at(60, 90);
        settle(&mut replay, INCOMING, How::Failed, at(70, 90));
        let downstream = Downstream::Removed;
        replay.failbacks.push(Failback { now: at(70, 90), incoming: INCOMING, downstream });
        let text = &texts(replay)[0];
        assert!(text.starts_with("bob knew R from height 90 on and failed HTLC 0 of alice-bob"), "{text}");
    }

    #[test]
    fn sleeping_on_it_is_broken() {
        let mut replay = knows_at(60, 90);
        replay.beach.grow_to(140);
        assert!(texts(replay.clone())[0].contains("never claimed"));
        settle(&mut replay, INCOMING, How::Fulfilled(PREIMAGE), at(61, 141));
        assert!(texts(replay)[0].contains("claimed only at height 141"));
    }

    #[test]
    fn what_came_too_late_is_excused() {
        let mut replay = knows_at(60, 138);
        replay.beach.grow_to(150);
        assert_eq!(texts(replay), [""; 0]);
    }
}
