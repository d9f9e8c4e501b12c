//! The catalogue: every function marked `#[scenario]` in the linked crates, by name. Running them is `run`'s business.
use crate::net::Net;
use crate::world::WorldKind;
use leyden_core::channel::Mutant;
use leyden_core::tx::ChannelType;
use std::path::{Path, PathBuf};

/// One scenario as the attribute filed it.
#[derive(Debug)]
pub struct Scenario {
    /// Its name: the function's, with dashes.
    pub name: &'static str,
    /// The group it was given; see [`Scenario::theme`].
    pub theme: Option<&'static str>,
    /// Where it can run.
    pub worlds: &'static [WorldKind],
    /// One line for people.
    pub doc: &'static str,
    /// The scenario itself.
    pub function: fn(&mut Net),
    /// The format of its channels unless it says otherwise.
    pub channel_type: ChannelType,
    /// The planted bugs that it exists for: with each of them it must fail.
    pub mutants: &'static [Mutant],
    /// Where it is written.
    pub file: &'static str,
    /// The line there.
    pub line: u32,
    /// The folder of its crate; the snapshots lie in `snapshots` below it.
    pub home: &'static str,
}

inventory::collect!(Scenario);

impl Scenario {
    /// The group it is listed under: the one it was given, or the name of its file.
    pub fn theme(&self) -> &str {
        let of_file = || Path::new(self.file).file_stem().and_then(|stem| stem.to_str()).unwrap_or("other");
        self.theme.unwrap_or_else(of_file)
    }

    /// Where its settlement snapshots are kept.
    pub fn snapshot_dir(&self) -> PathBuf {
        Path::new(self.home).join("snapshots")
    }

    /// The snapshot of its settlement, one for all worlds.
    pub fn snapshot_file(&self) -> PathBuf {
        self.snapshot_dir().join(format!("{}.snap", self.name))
    }
}

/// Why the catalogue cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CatalogueError {
    /// Two functions claim one name.
    #[error("two scenarios are named {name}: {first} and {second}")]
    Duplicate {
        /// The name.
        name: &'static str,
        /// File and line of one.
        first: String,
        /// File and line of the other.
        second: String,
    },
    /// No scenario has this name.
    #[error("no scenario is named {name:?}{}", .nearest.map(|near| format!("; did you mean {near}?")).unwrap_or_default())]
    Unknown {
        /// What was asked for.
        name: String,
        /// The closest name there is, if any is close.
        nearest: Option<&'static str>,
    },
}

/// All scenarios, sorted by name.
pub fn catalogue() -> Result<Vec<&'static Scenario>, CatalogueError> {
    sorted(inventory::iter::<Scenario>.into_iter().collect())
}

/// The scenario of this name.
pub fn find(name: &str) -> Result<&'static Scenario, CatalogueError> {
    let all = catalogue()?;
    if let Some(found) = all.iter().find(|scenario| scenario.name == name) {
        return Ok(found);
    }
    let nearest = all.iter().map(|scenario| (distance(name, scenario.name), scenario.name)).min();
    let nearest = nearest.filter(|(steps, near)| *steps <= near.len() / 3).map(|(_, near)| near);
    Err(CatalogueError::Unknown { name: name.into(), nearest })
}

fn sorted(mut all: Vec<&'static Scenario>) -> Result<Vec<&'static Scenario>, CatalogueError> {
    all.sort_by_key(|scenario| (scenario.name, scenario.file, scenario.line));
    let place = |scenario: &Scenario| format!("{}:{}", scenario.file, scenario.line);
    match all.windows(2).find(|pair| pair[0].name == pair[1].name) {
        Some(pair) => Err(CatalogueError::Duplicate {
            name: pair[0].name,
            first: place(pair[0]),
            second: place(pair[1]),
        }),
        None => Ok(all),
    }
}

/// How many letters must be put in, taken out or changed to make one word the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, other) in b.iter().enumerate() {
            let change = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(name: &'static str, line: u32) -> &'static Scenario {
        Box::leak(Box::new(Scenario {
            name,
            theme: None,
            worlds: &[WorldKind::Sim],
            doc: "",
            function: |_| {},
            channel_type: ChannelType::AnchorsZeroFeeHtlc,
            mutants: &[],
            file: "src/pay.rs",
            line,
            home: "",
        }))
    }

    #[test]
    fn two_of_one_name_are_refused() {
        let refused = sorted(vec![scenario("pay", 9), scenario("open", 5), scenario("pay", 3)]);
        assert_eq!(
            refused.unwrap_err().to_string(),
            "two scenarios are named pay: src/pay.rs:3 and src/pay.rs:9"
        );
    }

    #[test]
    fn names_come_sorted_and_the_theme_is_the_file() {
        let all = sorted(vec![scenario("pay", 9), scenario("open", 5)]).unwrap();
        assert_eq!(all.iter().map(|scenario| scenario.name).collect::<Vec<_>>(), ["open", "pay"]);
        assert_eq!(all[0].theme(), "pay");
    }

    #[test]
    fn a_slip_of_the_finger_is_one_step_away() {
        assert_eq!(distance("pay-a-b", "pay-a-b"), 0);
        assert_eq!(distance("pay-ab", "pay-a-b"), 1);
        assert_eq!(distance("", "abc"), 3);
    }
}
