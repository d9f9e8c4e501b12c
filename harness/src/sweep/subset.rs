//! A part of a planned sweep: `1/10` is every tenth from the first, `200@7` are 200 that chance picks from the seed 7, `reorg:117` is
//! all that begin so, several are joined by commas.
use super::Variant;
use std::str::FromStr;

/// Which of the planned variants to run; all of them if nothing is said.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Subset {
    rules: Vec<Rule>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Rule {
    /// The n-th of each m, from 1.
    Share { number: usize, of: usize },
    /// So many by chance, which the seed decides.
    Some { count: usize, seed: u64 },
    /// Those whose text is this, or goes on with a colon after it.
    Begins(String),
}

/// The text is no subset.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{text:?} is no subset: N/M (the n-th of each m), N@SEED (n by chance) or the beginning of a variant (reorg:117), several joined by commas")]
pub struct BadSubset {
    text: String,
}

impl Subset {
    /// Those of `all` that are in it, in their order.
    pub fn choose(&self, all: Vec<Variant>) -> Vec<Variant> {
        let count = all.len();
        let chosen =
            all.into_iter().enumerate().filter(|(place, variant)| self.holds(*place, count, variant));
        chosen.map(|(_, variant)| variant).collect()
    }

    fn holds(&self, place: usize, all: usize, variant: &Variant) -> bool {
        self.rules.is_empty()
            || self.rules.iter().any(|rule| match rule {
                Rule::Share { number, of } => place % of == number - 1,
                Rule::Some { count, seed } => {
                    let own = lot(*seed, place);
                    (0..all).filter(|other| lot(*seed, *other) < own).count() < *count
                }
                Rule::Begins(text) => {
                    let written = variant.to_string();
                    written.strip_prefix(text).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
                }
            })
    }
}

impl FromStr for Subset {
    type Err = BadSubset;

    fn from_str(text: &str) -> Result<Self, BadSubset> {
        let rules: Option<Vec<Rule>> = text.split(',').map(|part| rule(part.trim())).collect();
        let rules = rules.ok_or_else(|| BadSubset { text: text.into() })?;
        Ok(Self { rules })
    }
}

/// The lot that this place draws (splitmix64).
fn lot(seed: u64, place: usize) -> u64 {
    let mut lot = seed.wrapping_add((place as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    lot = (lot ^ (lot >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    lot = (lot ^ (lot >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    lot ^ (lot >> 31)
}

fn rule(text: &str) -> Option<Rule> {
    if let Some((count, seed)) = text.split_once('@') {
        return Some(Rule::Some { count: count.parse().ok()?, seed: seed.parse().ok()? });
    }
    if let Some((number, of)) = text.split_once('/') {
        let (number, of): (usize, usize) = (number.parse().ok()?, of.parse().ok()?);
        return (1..=of).contains(&number).then_some(Rule::Share { number, of });
    }
    let kind = text.split(':').next()?;
    ["reorg", "cut", "cheat", "crash", "kill"].contains(&kind).then(|| Rule::Begins(text.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(text: &str) -> Vec<String> {
        let all =
            (10..14).flat_map(|at_height| (1..=2).map(move |depth| Variant::Reorg { at_height, depth }));
        let subset: Subset = text.parse().unwrap();
        subset.choose(all.collect()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn chance_picks_as_many_as_asked_and_always_the_same() {
        assert_eq!((chosen("3@7").len(), chosen("100@7").len()), (3, 8));
        assert_eq!(chosen("3@7"), chosen("3@7"));
        assert_ne!(chosen("3@7"), chosen("3@8"));
    }

    #[test]
    fn a_share_is_every_so_many() {
        assert_eq!(chosen("2/4"), ["reorg:10:2", "reorg:12:2"]);
    }

    #[test]
    fn a_beginning_ends_at_a_colon() {
        assert_eq!(chosen("reorg:11,reorg:1"), ["reorg:11:1", "reorg:11:2"]);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "0/3", "4/3", "x/3", "everything"] {
            assert!(text.parse::<Subset>().unwrap_err().to_string().contains("is no subset"), "{text}");
        }
    }
}
