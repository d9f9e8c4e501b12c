//! I17, every state that an honest party signs keeps the limits: reserves, HTLCs a side, the opener's costs, dust, low-S
//! signatures, and one penalty for the whole commitment that is standard.
use super::replay::{Course, Signed};
use super::{Broken, Evidence};
use leyden_core::units::{Msat, Sat};

/// BOLT 2's most HTLCs a side.
const MOST_HTLCS: usize = 483;
/// The weight that a standard transaction may have.
const STANDARD_WEIGHT: usize = 400_000;
/// What a penalty weighs beside its HTLCs: version, locks, two outputs, `to_local` (BOLT 5, "Penalty Transaction Weight
/// Calculation").
const PENALTY_BASE: usize = 324 + 272 + 4 * 53;
/// What it weighs more for each HTLC, at most.
const PENALTY_PER_HTLC: usize = 413;

/// Every signature, then every HTLC without an output.
pub(super) fn check(evidence: &Evidence) -> Vec<Broken> {
    let mut broken = Vec::new();
    for signed in &evidence.replay.signed {
        let course = &evidence.replay.courses[signed.course];
        let party = course.ends[signed.signer];
        let Some((text, amount)) = wrong(evidence, course, signed).filter(|_| evidence.is_honest(party))
        else {
            continue;
        };
        let letter = ['b', 'a'][signed.signer];
        let label = format!("C{}{letter}", signed.number + 1);
        let text = format!("{} signs {label} of {}, {text}", evidence.name(party), course.name);
        broken.push(evidence.broken("I17", party, label, amount, text));
    }
    broken.extend(dust(evidence));
    broken
}

fn wrong(evidence: &Evidence, course: &Course, signed: &Signed) -> Option<(String, Msat)> {
    for end in 0..2 {
        let name = evidence.name(course.ends[end]);
        let most = MOST_HTLCS.min(usize::from(course.limits[1 - end].max_accepted_htlcs));
        if signed.offered[end] > most {
            let text = format!("in which {name} offers {} HTLCs, {most} allowed", signed.offered[end]);
            return Some((text, Msat::ZERO));
        }
        let cost = if end == 0 { signed.cost } else { Sat::ZERO };
        let reserve = course.limits[1 - end].reserve;
        // The reserve binds who offers; what the other end does can only take from the opener's part of it.
        let least = if signed.new_from[end] { reserve.saturating_add(cost) } else { cost };
        let missing = i128::from(least.to_msat().get()) - signed.balances[end];
        if missing > 0 {
            let text = format!("in which {name} has {} msat and must keep {least}", signed.balances[end]);
            return Some((text, Msat::new(u64::try_from(missing).unwrap_or(u64::MAX))));
        }
    }
    let weight = PENALTY_BASE + signed.untrimmed * PENALTY_PER_HTLC;
    if weight > STANDARD_WEIGHT {
        return Some((format!("whose penalty would weigh {weight}"), Msat::ZERO));
    }
    (!signed.low_s).then(|| ("with a signature of high S".into(), Msat::ZERO))
}

fn dust(evidence: &Evidence) -> Vec<Broken> {
    let replay = &evidence.replay;
    let mut broken = Vec::new();
    for dust in &replay.dust {
        let party = replay.courses[dust.htlc.0].ends[replay.htlc(dust.htlc).key.0];
        let Some(most) = evidence.max_dust.get(party).copied() else { continue };
        if dust.exposure <= most || !evidence.is_honest(party) {
            continue;
        }
        let (name, title) = (evidence.name(party), replay.title(dust.htlc));
        let text = format!(
            "{name} offers {title}, and has {} without an output at stake, {most} allowed",
            dust.exposure
        );
        broken.push(evidence.broken("I17", party, title, dust.exposure.saturating_sub(most), text));
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::super::evidence_of;
    use super::super::replay::fixture::*;
    use super::super::replay::Dust;
    use super::*;

    fn texts(change: impl Fn(&mut Signed)) -> Vec<String> {
        let mut replay = replay();
        let mut signed = Signed {
            now: at(30, 50),
            course: 0,
            signer: 0,
            number: 1,
            balances: [100_000_000, 0],
            offered: [483, 483],
            untrimmed: 966,
            new_from: [true, false],
            cost: Sat::new(5_000),
            low_s: true,
            signature: None,
        };
        change(&mut signed);
        replay.signed.push(signed);
        check(&evidence_of(replay)).into_iter().map(|broken| broken.text).collect()
    }

    #[test]
    fn a_state_within_the_limits_passes() {
        assert_eq!(texts(|_| {}), [""; 0]);
        assert_eq!(texts(|signed| signed.balances[0] = 15_000_000), [""; 0]);
    }

    #[test]
    fn each_limit_is_kept() {
        let bob = "alice signs C2b of alice-bob, ";
        let reserve = texts(|signed| signed.balances[0] = 14_999_999);
        assert_eq!(reserve, [format!("{bob}in which alice has 14999999 msat and must keep 15000 sat")]);
        let cost = texts(|signed| (signed.balances[0], signed.new_from[0]) = (4_999_999, false));
        assert_eq!(cost, [format!("{bob}in which alice has 4999999 msat and must keep 5000 sat")]);
        let count = texts(|signed| signed.offered[1] = 484);
        assert_eq!(count, [format!("{bob}in which bob offers 484 HTLCs, 483 allowed")]);
        let weight = texts(|signed| signed.untrimmed = 967);
        assert_eq!(weight, [format!("{bob}whose penalty would weigh 400179")]);
        let high = texts(|signed| signed.low_s = false);
        assert_eq!(high, [format!("{bob}with a signature of high S")]);
    }

    #[test]
    fn dust_is_bounded() {
        let mut replay = replay();
        replay.dust.push(Dust { htlc: OUTGOING, exposure: Msat::new(5_001) });
        let mut evidence = Evidence { max_dust: vec![Msat::new(5_000); 3], ..evidence_of(replay) };
        assert_eq!(check(&evidence).remove(0).amount.get(), 1);
        evidence.max_dust = vec![Msat::new(5_001); 3];
        assert_eq!(check(&evidence), []);
    }
}
