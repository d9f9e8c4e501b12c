//! A variant held against the run without it. Each kind has its own promise; the checks of every run have been made before.
use super::Variant;
use crate::net::Net;
use crate::run::{Outcome, Run};
use crate::settlement::{grouped, Settlement};

/// A cheater may keep its anchors: 330 satoshis each.
const ANCHORS: i128 = 2 * 330;

/// How a variant that passed its own checks ends, by what `base` did.
pub(crate) fn judge(net: &Net, base: &Run, run: &Run) -> Outcome {
    let Some(variant) = &run.variant else { return Outcome::Passed };
    let place = format!("{}:{}", run.scenario.file, run.scenario.line);
    let broken = if base.passed() {
        broken(variant, &base.settlement, &run.settlement, net.variant_is_done())
    } else {
        Some(format!("the scenario fails without the variant too: {}", base.failure()))
    };
    match broken {
        None => Outcome::Passed,
        Some(message) => Outcome::Failed { message, place },
    }
}

fn broken(variant: &Variant, base: &Settlement, found: &Settlement, done: bool) -> Option<String> {
    if !done {
        return Some(format!("the variant {variant} never came to pass: the run has no such place"));
    }
    match variant {
        Variant::Reorg { .. } => other_payment(base, found).or_else(|| other_balance("I11", base, found)),
        Variant::Cut { .. } => lost_payment(found),
        // A payment that the kill made fail is another outcome that could be; the checks of every run have looked at it.
        Variant::Crash { .. } | Variant::Kill { .. } => lost_payment(found).or_else(|| {
            let same = other_payment(base, found).is_none() && base.payments.len() == found.payments.len();
            same.then(|| other_balance("I12", base, found)).flatten()
        }),
        Variant::Cheat { party, channel, .. } => gain(found, party, channel),
    }
}

/// I11, I12: the same balances, on-chain fees and anchors left behind apart.
fn other_balance(check: &str, base: &Settlement, found: &Settlement) -> Option<String> {
    (0..base.parties.len().max(found.parties.len())).find_map(|party| {
        let (wanted, got) = (before_fees(base, party), before_fees(found, party));
        if wanted == got {
            return None;
        }
        let word = if got > wanted { "more" } else { "less" };
        let off = grouped(u64::try_from(wanted.abs_diff(got)).unwrap_or(u64::MAX));
        let name = found.party_name(party);
        Some(format!(
            "check {check} fails: {name} ends with {off} sat {word} than without the variant, fees apart"
        ))
    })
}

/// What a party has, what it paid to miners, and what anchors it paid for.
fn before_fees(settlement: &Settlement, party: usize) -> i128 {
    let line = settlement.parties.get(party);
    let own = line.map_or(0, |line| i128::from(line.end.get()) + i128::from(line.fees.get()));
    let anchors = settlement.left_over.iter().filter(|left| left.anchor_of == Some(party));
    own + anchors.map(|left| i128::from(left.amount.get())).sum::<i128>()
}

fn other_payment(base: &Settlement, found: &Settlement) -> Option<String> {
    let pairs = base.payments.iter().zip(&found.payments);
    let other = pairs.into_iter().find(|(one, other)| one != other);
    other.map(|(wanted, got)| {
        format!("payment {} -> {}: {}, without the variant {}", got.from, got.to, got.result, wanted.result)
    })
}

/// A payment may fail and be refunded (I2 and I13 have looked at that); it may not hang.
fn lost_payment(found: &Settlement) -> Option<String> {
    let pending = found.payments.iter().find(|payment| payment.result == "pending");
    pending.map(|payment| format!("payment {} -> {} never ends", payment.from, payment.to))
}

/// I8: the cheater ends with nothing from that channel, anchors aside.
fn gain(found: &Settlement, cheater: &str, channel: &str) -> Option<String> {
    let party = found.parties.iter().position(|party| party.name == cheater)?;
    let gain = found.gain(channel, party);
    (gain > ANCHORS).then(|| format!("check I8 fails: {cheater} gains {gain} sat from {channel} by its lie"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settlement::{PartyLine, PaymentLine};
    use leyden_core::units::{Msat, Sat};

    const REORG: Variant = Variant::Reorg { at_height: 110, depth: 1 };
    const CUT: Variant = Variant::Cut { message: 3, moment: crate::world::Moment::Before };

    fn settlement(end: u64, fees: u64, result: &str) -> Settlement {
        let payment = PaymentLine {
            from: "alice".into(),
            to: "bob".into(),
            amount: Msat::new(1000),
            fee: Msat::ZERO,
            result: result.into(),
        };
        let line =
            PartyLine { name: "alice".into(), start: Sat::ZERO, end: Sat::new(end), fees: Sat::new(fees) };
        Settlement { parties: vec![line], payments: vec![payment], ..Settlement::default() }
    }

    #[test]
    fn a_reorg_may_change_fees_alone() {
        let base = settlement(100, 5, "succeeded");
        assert_eq!(broken(&REORG, &base, &settlement(98, 7, "succeeded"), true), None);
        let told = broken(&REORG, &base, &settlement(98, 5, "succeeded"), true).unwrap();
        assert_eq!(told, "check I11 fails: alice ends with 2 sat less than without the variant, fees apart");
    }

    #[test]
    fn a_reorg_changes_no_payment_and_a_cut_leaves_none_hanging() {
        let base = settlement(100, 5, "succeeded");
        let told = broken(&REORG, &base, &settlement(100, 5, "failed"), true).unwrap();
        assert_eq!(told, "payment alice -> bob: failed, without the variant succeeded");
        assert_eq!(broken(&CUT, &base, &settlement(100, 5, "failed"), true), None);
        assert!(broken(&CUT, &base, &settlement(100, 5, "pending"), true).unwrap().contains("never ends"));
    }

    #[test]
    fn a_kill_may_end_a_payment_and_change_no_balance_besides() {
        let crash = Variant::Crash { party: "alice".into(), save: 3, point: crate::world::Point::Before };
        let base = settlement(100, 5, "succeeded");
        assert_eq!(broken(&crash, &base, &settlement(99, 6, "succeeded"), true), None);
        let told = broken(&crash, &base, &settlement(98, 5, "succeeded"), true).unwrap();
        assert_eq!(told, "check I12 fails: alice ends with 2 sat less than without the variant, fees apart");
        assert_eq!(broken(&crash, &base, &settlement(98, 5, "failed"), true), None);
        assert!(broken(&crash, &base, &settlement(100, 5, "pending"), true).unwrap().contains("never ends"));
    }

    #[test]
    fn a_variant_that_never_happened_proves_nothing() {
        let base = settlement(100, 5, "succeeded");
        let told = broken(&REORG, &base, &base, false).unwrap();
        assert_eq!(told, "the variant reorg:110:1 never came to pass: the run has no such place");
    }
}
