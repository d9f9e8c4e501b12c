//! I10, what is handed to the chain is valid and standard at that height, and nothing is handed in for ever. Only losing to
//! another spend of the same output is no fault.
use super::replay::Handed;
use super::{Broken, Evidence};
use crate::transcript::Verdict;
use leyden_core::units::Msat;
use std::collections::BTreeMap;

/// A transaction may be handed in so often.
const MOST_TIMES: usize = 200;

/// Core's words when another transaction spends the same: in a block, or in the mempool where it may not be replaced.
const LOST: [&str; 6] = [
    "bad-txns-inputs-missingorspent",
    "missing-inputs",
    "txn-mempool-conflict",
    "insufficient fee",
    "package RBF failed: insufficient",
    "replacement-adds-unconfirmed",
];

/// Core's words for a transaction that pays too little by itself: its child lifts it when both are handed in together.
const TOO_CHEAP: [&str; 2] = ["mempool min fee not met", "min relay fee not met"];

/// Every transaction that an honest party handed in.
pub(super) fn check(evidence: &Evidence) -> Vec<Broken> {
    let replay = &evidence.replay;
    let mut broken = Vec::new();
    let mut times: BTreeMap<(usize, bitcoin::Txid), usize> = BTreeMap::new();
    for handed in replay.handed.iter().filter(|handed| evidence.is_honest(handed.party)) {
        let (name, label) = (evidence.name(handed.party), replay.label(&handed.txid));
        let finding = |text| evidence.broken("I10", handed.party, label.clone(), Msat::ZERO, text);
        if let Some(word) = refused(evidence, handed) {
            let height = handed.now.height;
            broken.push(finding(format!("the chain refuses {name}'s {label} at height {height}: {word}")));
        }
        let count = times.entry((handed.party, handed.txid)).or_default();
        *count += 1;
        if *count == MOST_TIMES + 1 {
            broken.push(finding(format!("{name} handed in {label} more than {MOST_TIMES} times")));
        }
    }
    broken
}

/// The chain's word, if it is the party's fault.
fn refused<'a>(evidence: &Evidence, handed: &'a Handed) -> Option<&'a str> {
    let Verdict::Refused(word) = &handed.verdict else { return None };
    let is_lost = LOST.iter().any(|lost| word.starts_with(lost))
        && (has_rival(evidence, handed) || lost_with_parent(evidence, handed));
    (!is_lost && !lifted(evidence, handed, word)).then_some(word.as_str())
}

/// Whether another transaction spends the same.
fn has_rival(evidence: &Evidence, handed: &Handed) -> bool {
    let beach = &evidence.replay.beach;
    let until = if evidence.live { usize::MAX } else { handed.now.place };
    handed.inputs.iter().any(|input| beach.has_rival(input, handed.txid, until))
}

/// Whether it was handed in together with its parent, and the parent lost.
fn lost_with_parent(evidence: &Evidence, handed: &Handed) -> bool {
    let together = |other: &&Handed| {
        (other.party, other.now.height) == (handed.party, handed.now.height)
            && handed.inputs.iter().any(|input| input.txid == other.txid)
            && matches!(&other.verdict, Verdict::Refused(word) if LOST.iter().any(|lost| word.starts_with(lost)))
    };
    evidence.replay.handed.iter().filter(together).any(|parent| has_rival(evidence, parent))
}

/// Whether the chain took it at the same height after all, with its child.
fn lifted(evidence: &Evidence, handed: &Handed, word: &str) -> bool {
    let again = |other: &&Handed| {
        (other.party, other.txid, other.now.height) == (handed.party, handed.txid, handed.now.height)
            && other.verdict == Verdict::Taken
    };
    TOO_CHEAP.iter().any(|cheap| word.starts_with(cheap))
        && evidence.replay.handed.iter().any(|other| again(&other))
}

#[cfg(test)]
mod tests {
    use super::super::evidence_of;
    use super::super::replay::fixture::*;
    use super::super::replay::Replay;
    use super::*;
    use bitcoin::absolute::LockTime;
    use bitcoin::transaction::Version;
    use bitcoin::{OutPoint, Transaction, TxIn};

    fn refused(word: &str) -> Replay {
        let mut replay = replay();
        let verdict = Verdict::Refused(word.into());
        let inputs = vec![OutPoint::new(txid(9), 0)];
        replay.handed.push(Handed { now: at(90, 59), party: 1, txid: txid(1), inputs, verdict });
        replay
    }

    fn spend_by_another(replay: &mut Replay) {
        let input = vec![TxIn { previous_output: OutPoint::new(txid(9), 0), ..TxIn::default() }];
        let (version, lock_time) = (Version::TWO, LockTime::ZERO);
        replay.beach.see(&Transaction { version, lock_time, input, output: vec![] }, txid(2), 80);
    }

    #[test]
    fn a_refusal_is_broken_unless_another_was_faster() {
        let mut lost = refused("bad-txns-inputs-missingorspent");
        let broken = check(&evidence_of(lost.clone())).remove(0);
        assert!(broken.text.contains("refuses bob's tx 01010101 at height 59: bad-txns"), "{broken}");
        spend_by_another(&mut lost);
        assert_eq!(check(&evidence_of(lost)), []);
    }

    #[test]
    fn a_child_loses_with_its_parent() {
        let mut package = refused("package RBF failed: insufficient anti-DoS fees");
        let child = vec![OutPoint::new(txid(1), 0)];
        let child = Handed { txid: txid(3), inputs: child, ..package.handed[0].clone() };
        package.handed.push(child);
        assert_eq!(check(&evidence_of(package.clone())).len(), 2);
        spend_by_another(&mut package);
        assert_eq!(check(&evidence_of(package)), []);
    }

    #[test]
    fn a_parent_that_its_child_lifts_is_no_fault() {
        let mut cheap = refused("mempool min fee not met");
        assert_eq!(check(&evidence_of(cheap.clone())).len(), 1);
        let taken = Handed { verdict: Verdict::Taken, ..cheap.handed[0].clone() };
        cheap.handed.push(taken);
        assert_eq!(check(&evidence_of(cheap)), []);
    }

    #[test]
    fn too_early_is_broken_whoever_else_spends() {
        let mut early = refused("non-final");
        spend_by_another(&mut early);
        assert_eq!(check(&evidence_of(early)).len(), 1);
    }

    #[test]
    fn handing_in_for_ever_is_broken() {
        let mut replay = refused("non-final");
        replay.handed[0].verdict = Verdict::There;
        replay.handed = vec![replay.handed[0].clone(); MOST_TIMES];
        assert_eq!(check(&evidence_of(replay.clone())), []);
        replay.handed.push(replay.handed[0].clone());
        assert_eq!(check(&evidence_of(replay)).len(), 1);
    }
}
