//! I11, a reorganisation that is shallower than a party's confirmation depth changes no balance: two settlements side by side.
use super::Broken;
use crate::settlement::Settlement;
use leyden_core::units::Sat;

/// Every party ends with the same in both, fees that it paid apart: after a reorganisation a spend may have cost more.
pub fn same_balances(without: &Settlement, with: &Settlement) -> Result<(), Broken> {
    for (one, other) in without.parties.iter().zip(&with.parties) {
        let before_fees = |end: Sat, fees: Sat| end.saturating_add(fees).get();
        let expected = before_fees(one.end, one.fees);
        let found = before_fees(other.end, other.fees);
        if one.name == other.name && expected == found {
            continue;
        }
        let text = format!(
            "{} ends with {found} sat before fees after the reorganisation, {expected} sat without it",
            one.name
        );
        return Err(Broken {
            check: "I11",
            party: Some(one.name.clone()),
            transaction: with.transactions.last().map(|line| line.label.clone()),
            amount: Sat::new(expected.abs_diff(found)).to_msat(),
            text,
        });
    }
    if without.parties.len() == with.parties.len() {
        return Ok(());
    }
    Err(Broken {
        check: "I11",
        party: None,
        transaction: None,
        amount: leyden_core::units::Msat::ZERO,
        text: "the two runs do not have the same parties".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settlement::PartyLine;

    fn settlement(end: u64, fees: u64) -> Settlement {
        let line = PartyLine {
            name: "alice".into(),
            start: Sat::new(1000),
            end: Sat::new(end),
            fees: Sat::new(fees),
        };
        Settlement { parties: vec![line], ..Settlement::default() }
    }

    #[test]
    fn only_fees_may_differ() {
        assert_eq!(same_balances(&settlement(900, 100), &settlement(850, 150)), Ok(()));
        let broken = same_balances(&settlement(900, 100), &settlement(899, 100)).unwrap_err();
        assert_eq!((broken.party.as_deref(), broken.amount.get()), (Some("alice"), 1000));
        assert!(same_balances(&settlement(900, 100), &Settlement::default()).is_err());
    }
}
