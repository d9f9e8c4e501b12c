//! I16, the scope of a complaint: an `error` or a `warning` names only a channel with the peer that it goes to, and what one
//! peer sent leads to no complaint to another (BOLT 1).
use super::replay::Scolding;
use super::{Broken, Evidence};
use leyden_core::units::Msat;

/// Every complaint of an honest party.
pub(super) fn check(evidence: &Evidence) -> Vec<Broken> {
    let scoldings = evidence.replay.scoldings.iter();
    let honest = scoldings.filter(|scolding| evidence.is_honest(scolding.from));
    let broken = honest.filter_map(|scolding| {
        let why = wrong(evidence, scolding)?;
        let kind = if scolding.is_error { "an error" } else { "a warning" };
        let [from, to] = [scolding.from, scolding.to].map(|party| evidence.name(party));
        let channel = format!("channel {:.8}", scolding.channel.to_string());
        let text = format!("{from} sends {kind} to {to} {why}");
        Some(evidence.broken("I16", scolding.from, channel, Msat::ZERO, text))
    });
    broken.collect()
}

fn wrong(evidence: &Evidence, scolding: &Scolding) -> Option<String> {
    if !scolding.known {
        return Some("about a channel that is not theirs".into());
    }
    let other = scolding.because_of.filter(|other| *other != scolding.to)?;
    Some(format!("while working on a message of {}", evidence.name(other)))
}

#[cfg(test)]
mod tests {
    use super::super::evidence_of;
    use super::super::replay::Replay;
    use super::*;
    use leyden_core::ids::ChannelId;

    fn texts(known: bool, because_of: Option<usize>) -> Vec<String> {
        let channel = ChannelId([9; 32]);
        let scolding = Scolding { from: 1, to: 2, channel, known, is_error: true, because_of };
        let replay = Replay { scoldings: vec![scolding], ..Replay::default() };
        check(&evidence_of(replay)).into_iter().map(|broken| broken.text).collect()
    }

    #[test]
    fn a_complaint_goes_to_whom_it_concerns() {
        assert_eq!(texts(true, Some(2)), [""; 0]);
        assert_eq!(texts(true, None), [""; 0]);
        assert_eq!(texts(true, Some(0)), ["bob sends an error to carol while working on a message of alice"]);
        assert_eq!(texts(false, Some(2)), ["bob sends an error to carol about a channel that is not theirs"]);
    }
}
