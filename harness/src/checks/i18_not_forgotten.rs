//! I18, no channel is forgotten too early: who calls one resolved sees its end 100 blocks deep, and every output of it that
//! is its own at rest as deep (BOLT 5, "irrevocably resolved"). A cooperative close is no exception.
use super::replay::Resolved;
use super::{Broken, Evidence, IRREVOCABLE_DEPTH};
use leyden_core::units::{Msat, Sat};

/// An output below this is not worth its own fees at the feerate that nodes are told: nobody has to fetch it. The dearest is an HTLC
/// without anchors, which leaves 354 sat at the dust limit when its own transaction is paid (703 sat).
const WORTHLESS: Sat = Sat::new(1_100);

/// Every channel that an honest end called resolved.
pub(super) fn check(evidence: &Evidence) -> Vec<Broken> {
    let replay = &evidence.replay;
    let mut broken = Vec::new();
    for resolved in &replay.resolved {
        let course = &replay.courses[resolved.course];
        let party = course.ends[resolved.end];
        let Some((why, amount)) = too_early(resolved).filter(|_| evidence.is_honest(party)) else { continue };
        let (name, height) = (evidence.name(party), resolved.now.height);
        let text = format!("{name} calls {} resolved at height {height}, but {why}", course.name);
        broken.push(evidence.broken("I18", party, course.name.clone(), amount, text));
    }
    broken
}

fn too_early(resolved: &Resolved) -> Option<(String, Msat)> {
    match resolved.depth {
        None => return Some(("its funding is not spent in any block".into(), Msat::ZERO)),
        Some(depth) if depth < IRREVOCABLE_DEPTH => {
            return Some((format!("its end is only {depth} blocks deep"), Msat::ZERO));
        }
        Some(_) => {}
    }
    let open = resolved.open.iter().find(|(amount, _)| *amount >= WORTHLESS);
    open.map(|(amount, what)| (format!("{what} ({amount}) is not at rest"), amount.to_msat()))
}

#[cfg(test)]
mod tests {
    use super::super::evidence_of;
    use super::super::replay::fixture::*;
    use super::*;

    fn texts(depth: Option<u32>, open: &[(u64, &str)]) -> Vec<String> {
        let mut replay = replay();
        let open = open.iter().map(|(amount, what)| (Sat::new(*amount), (*what).into())).collect();
        replay.resolved.push(Resolved { now: at(99, 300), course: 0, end: 1, depth, open });
        check(&evidence_of(replay)).into_iter().map(|broken| broken.text).collect()
    }

    #[test]
    fn a_channel_at_rest_may_be_forgotten() {
        assert_eq!(texts(Some(100), &[]), [""; 0]);
        assert_eq!(texts(Some(100), &[(999, "to_local")]), [""; 0]);
    }

    #[test]
    fn one_that_can_still_change_must_not() {
        let start = "bob calls alice-bob resolved at height 300, but";
        assert_eq!(texts(Some(99), &[]), [format!("{start} its end is only 99 blocks deep")]);
        assert_eq!(texts(None, &[]), [format!("{start} its funding is not spent in any block")]);
        assert_eq!(
            texts(Some(100), &[(5_000, "HTLC 3")]),
            [format!("{start} HTLC 3 (5000 sat) is not at rest")]
        );
    }
}
