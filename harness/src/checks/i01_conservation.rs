//! I1, conservation: what came in from outside is in a wallet, with the miners, or named as left over. To the satoshi.
use super::{Broken, Evidence};
use leyden_core::units::Sat;

/// Sums both sides.
pub(super) fn check(evidence: &Evidence) -> Vec<Broken> {
    sums(evidence).err().into_iter().collect()
}

fn sums(evidence: &Evidence) -> Result<(), Broken> {
    let settlement = &evidence.settlement;
    let total = |amounts: &mut dyn Iterator<Item = Sat>| {
        amounts.fold(0u128, |sum, amount| sum + u128::from(amount.get()))
    };
    let start = total(&mut settlement.parties.iter().map(|party| party.start));
    let wallets = total(&mut settlement.parties.iter().map(|party| party.end));
    let left = total(&mut settlement.left_over.iter().map(|left| left.amount));
    let end = wallets + left + u128::from(settlement.miner_fees.get());
    if start == end {
        return Ok(());
    }
    let amount = u64::try_from(start.abs_diff(end)).unwrap_or(u64::MAX);
    let word = if end > start { "more" } else { "less" };
    Err(Broken {
        check: "I1",
        party: None,
        transaction: settlement.transactions.last().map(|line| line.label.clone()),
        amount: Sat::new(amount).to_msat(),
        text: format!("{start} sat came in, but {end} sat are accounted for: {amount} sat {word}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settlement::{LeftOver, PartyLine, Settlement};

    fn evidence(end: u64) -> Evidence {
        let party =
            PartyLine { name: "alice".into(), start: Sat::new(1000), end: Sat::new(end), fees: Sat::new(70) };
        let left = LeftOver { what: "anchor".into(), amount: Sat::new(330), anchor_of: None };
        let settlement = Settlement {
            parties: vec![party],
            left_over: vec![left],
            miner_fees: Sat::new(70),
            ..Settlement::default()
        };
        Evidence { settlement, ..Evidence::default() }
    }

    #[test]
    fn wallets_fees_and_left_overs_make_up_the_start() {
        assert_eq!(check(&evidence(600)), []);
    }

    #[test]
    fn a_satoshi_too_much_is_broken() {
        let broken = check(&evidence(601)).remove(0);
        assert_eq!(broken.amount.get(), 1000);
        assert_eq!(
            broken.to_string(),
            "check I1 fails: 1000 sat came in, but 1001 sat are accounted for: 1 sat more (1000 msat)"
        );
    }
}
