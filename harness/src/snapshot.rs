//! One snapshot of the settlement for each scenario, shared by all worlds: `snapshots/<name>.snap` beside the scenario's crate,
//! in insta's format. Tests go through insta; the command line compares by itself and writes nothing unless told to.
use crate::catalogue::Scenario;
use crate::settlement::grouped;
use std::fmt;
use std::path::PathBuf;

/// How a difference is treated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SnapshotMode {
    /// Compare only; write nothing.
    Compare,
    /// Through insta, which writes what `INSTA_UPDATE` says.
    Insta,
}

/// The settlement is not what the snapshot says.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Mismatch {
    /// There is no snapshot yet.
    #[error("there is no snapshot {file} yet; accept this settlement with: INSTA_UPDATE=always cargo leyden run {name}")]
    Missing {
        /// The scenario.
        name: &'static str,
        /// Where it would be.
        file: String,
    },
    /// Lines differ.
    #[error("{facts}the settlement of {name} is not that of its snapshot (- expected, + found):\n{lines}")]
    Different {
        /// The scenario.
        name: &'static str,
        /// Who has too much or too little, in words.
        facts: Facts,
        /// The lines that differ.
        lines: LineDiff,
    },
}

/// One line for each party that ends with another amount than expected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Facts {
    lines: Vec<String>,
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// Lines of one text that are not in the other, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LineDiff {
    lines: Vec<String>,
}

impl fmt::Display for LineDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}

/// Compares a settlement with the scenario's snapshot.
pub fn compare(scenario: &Scenario, found: &str, mode: SnapshotMode) -> Result<(), Mismatch> {
    let expected = read(scenario.snapshot_file());
    if expected.as_deref().map(str::trim_end) == Some(found.trim_end()) {
        return Ok(());
    }
    if mode == SnapshotMode::Insta && accept(scenario, found) {
        return Ok(());
    }
    let name = scenario.name;
    Err(match expected {
        None => Mismatch::Missing { name, file: scenario.snapshot_file().display().to_string() },
        Some(expected) => {
            Mismatch::Different { name, facts: facts(&expected, found), lines: diff(&expected, found) }
        }
    })
}

/// `alice ends with 671 sat, expected 672 sat: 1 sat too little; see alice-bob/X, by alice, fee 677 sat`.
fn facts(expected: &str, found: &str) -> Facts {
    let wanted = ends(expected);
    let off = ends(found).into_iter().filter_map(|(name, end)| {
        let (_, due) = wanted.iter().find(|(party, _)| *party == name)?;
        let word = match end.cmp(due) {
            std::cmp::Ordering::Equal => return None,
            std::cmp::Ordering::Less => "too little",
            std::cmp::Ordering::Greater => "too much",
        };
        let (off, end, due) = (grouped(end.abs_diff(*due)), grouped(end), grouped(*due));
        let last = last_transaction(found, name).unwrap_or_default();
        Some(format!("{name} ends with {end} sat, expected {due} sat: {off} sat {word}{last}"))
    });
    Facts { lines: off.collect() }
}

/// The party's own last transaction or, if it made none, the last one of its channels.
fn last_transaction(found: &str, party: &str) -> Option<String> {
    let (_, table) = found.split_once("\nheight ")?;
    let rows = table.lines().skip(1).take_while(|line| !line.is_empty());
    let rows: Vec<(&str, &str, &str)> = rows
        .filter_map(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
            [_, label, by, fee, ..] => Some((label, by, fee)),
            _ => None,
        })
        .collect();
    let own = rows.iter().rev().find(|(_, by, _)| *by == party);
    let shared = rows.iter().rev().find(|(label, ..)| label.contains(party));
    let (label, by, fee) = own.or(shared).or(rows.last())?;
    Some(format!("; see {label}, by {by}, fee {fee} sat"))
}

/// What each party ends with: the table's first block, without its heading.
fn ends(settlement: &str) -> Vec<(&str, u64)> {
    let rows = settlement.lines().skip(1).take_while(|line| !line.is_empty());
    let end = |line| match str::split_whitespace(line).collect::<Vec<_>>()[..] {
        [name, _, end, ..] => Some((name, end.replace(',', "").parse().ok()?)),
        _ => None,
    };
    rows.filter_map(end).collect()
}

/// The text of a snapshot file, without its header.
fn read(file: PathBuf) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let rest = text.strip_prefix("---\n")?;
    let (_, content) = rest.split_once("\n---\n")?;
    Some(content.to_string())
}

/// Hands the difference to insta; whether it let it pass (that is, wrote the new text).
fn accept(scenario: &Scenario, found: &str) -> bool {
    static ROOT: std::sync::Once = std::sync::Once::new();
    ROOT.call_once(|| {
        if std::env::var_os("INSTA_WORKSPACE_ROOT").is_none() {
            std::env::set_var("INSTA_WORKSPACE_ROOT", scenario.home);
        }
    });
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(scenario.snapshot_dir());
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_description(scenario.doc);
    let assert = || settings.bind(|| insta::assert_snapshot!(scenario.name, found));
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(assert)).is_ok()
}

/// The lines that differ: a longest common subsequence is kept out.
fn diff(expected: &str, found: &str) -> LineDiff {
    let (old, new): (Vec<&str>, Vec<&str>) =
        (expected.trim_end().lines().collect(), found.trim_end().lines().collect());
    let mut common = vec![vec![0usize; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = match old[i] == new[j] {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            lines.push(format!("- {}", old[i]));
            i += 1;
        } else {
            lines.push(format!("+ {}", new[j]));
            j += 1;
        }
    }
    LineDiff { lines }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_the_lines() {
        let lines = diff("alice 10\nbob 20\ncarol 30\n", "alice 10\nbob 21\ncarol 30\ndave 1");
        assert_eq!(lines.to_string(), "- bob 20\n+ bob 21\n+ dave 1");
    }

    #[test]
    fn a_satoshi_too_little_names_party_transaction_and_amount() {
        let text = |end: &str, fee: &str| {
            format!(
                "party  start sat  end sat  change  chain fees\nalice  5,000  {end}  -2  2\nminers    2\n\n\
                 height  transaction  by  fee sat  role\n   105  F  alice  {fee}  funding transaction\n"
            )
        };
        assert_eq!(
            facts(&text("4,998", "2"), &text("4,997", "3")).to_string(),
            "alice ends with 4,997 sat, expected 4,998 sat: 1 sat too little; see F, by alice, fee 3 sat\n"
        );
        assert_eq!(facts(&text("4,998", "2"), &text("4,998", "2")).to_string(), "");
    }
}
