//! Every transaction of the seed's figures, and every way that BOLT 5 knows to end an output, happens in a scenario: its name
//! stands in a settlement's snapshot. For A's commitment and for B's where both make sense.
use std::collections::BTreeSet;
use std::path::Path;

/// What has a holder: it is wanted as `C…a` and as `C…b`.
const HELD: [&str; 13] =
    ["C", "RD", "D", "BR", "HT", "HTRD", "HED", "HBR", "HTBR", "HE", "HERD", "HEBR", "HTD"];
/// What is one for both.
const SHARED: [&str; 2] = ["F", "X"];

#[test]
fn every_name_of_the_seed_is_in_a_snapshot() {
    let found = names_in_snapshots();
    let held = HELD.iter().flat_map(|name| ["a", "b"].map(|holder| format!("{name}…{holder}")));
    let wanted = held.chain(SHARED.map(String::from));
    let missing: Vec<String> = wanted.filter(|name| !found.contains(name)).collect();
    assert!(missing.is_empty(), "no snapshot holds {}", missing.join(", "));
}

#[test]
fn names_are_read_from_what_is_joined_and_numbered() {
    let read = |text: &str| kinds(text).collect::<Vec<_>>();
    assert_eq!(read("mallory-alice/BR2a+HBR12a.3"), ["BR…a", "HBR…a"]);
    assert_eq!(read("F"), ["F"]);
    assert_eq!(read("payment").len(), 0);
}

/// Every name in the settlements, without number and place.
fn names_in_snapshots() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/snapshots");
    let files = std::fs::read_dir(&folder).expect("the snapshots are there");
    let mut found = BTreeSet::new();
    for file in files {
        let path = file.expect("an entry of the folder").path();
        let text = std::fs::read_to_string(&path).expect("a snapshot is text");
        // A transaction's line begins with its height.
        let lines =
            text.lines().filter(|line| line.trim_start().starts_with(|first: char| first.is_ascii_digit()));
        found.extend(lines.filter_map(|line| line.split_whitespace().nth(1)).flat_map(kinds));
    }
    found
}

/// `alice-bob/BR2a+HBR2a.1` is a `BR…a` and an `HBR…a`.
fn kinds(label: &str) -> impl Iterator<Item = String> + '_ {
    let seed = label.rsplit('/').next().unwrap_or(label);
    seed.split('+').filter_map(kind)
}

fn kind(name: &str) -> Option<String> {
    let letters = name.trim_start_matches(|letter: char| letter.is_ascii_uppercase());
    let prefix = &name[..name.len() - letters.len()];
    if letters.is_empty() {
        return SHARED.contains(&prefix).then(|| prefix.to_string());
    }
    let rest = letters.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let holder = rest.get(..1).filter(|holder| *holder == "a" || *holder == "b")?;
    HELD.contains(&prefix).then(|| format!("{prefix}…{holder}"))
}
