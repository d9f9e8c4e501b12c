//! The ladder: one column for each party, one rung for each message, the chain's events between them.
use super::{clock, describe, Entry, Transcript};
use crate::names::Names;
use leyden_core::units::Timestamp;

/// From column to column.
const STEP: usize = 30;
/// Where the first column stands.
const MARGIN: usize = 12;

/// The whole ladder.
pub(super) fn render(transcript: &Transcript, names: &Names) -> String {
    let nodes = names.parties().iter().filter(|party| party.node.is_some());
    let count = nodes.clone().count();
    let mut text = " ".repeat(MARGIN - 3);
    for party in nodes {
        text.push_str(&format!("{:<STEP$}", party.name));
    }
    text = format!("{}\n", text.trim_end());
    let mut empty: Vec<u32> = Vec::new();
    for (at, entry) in transcript.entries() {
        if let Some(height) = super::empty_block(entry) {
            empty.push(height);
            continue;
        }
        let said = match entry {
            Entry::Message { from, to, bytes } => rung(count, *from, *to, describe::name(bytes)),
            Entry::Broadcast { .. }
            | Entry::TowerBroadcast { .. }
            | Entry::Block { .. }
            | Entry::Note { .. } => between(entry, names),
            Entry::Save { .. } | Entry::Notice { .. } => continue,
        };
        push_empty(&mut text, &mut empty);
        push(&mut text, *at, &said);
    }
    push_empty(&mut text, &mut empty);
    text
}

fn push(text: &mut String, at: Timestamp, said: &str) {
    text.push_str(&format!("{:>10}  {}\n", clock(at), said.trim_end()));
}

fn push_empty(text: &mut String, empty: &mut Vec<u32>) {
    match empty.as_slice() {
        [] => return,
        [one] => text.push_str(&format!("{:>10}  · block {one}: empty\n", "")),
        [first, .., last] => text.push_str(&format!("{:>10}  · blocks {first} to {last}: empty\n", "")),
    }
    empty.clear();
}

fn between(entry: &Entry, names: &Names) -> String {
    format!("· {}", describe::line(entry, names))
}

/// An arrow from one column to another over bars.
fn rung(count: usize, from: usize, to: usize, name: &str) -> String {
    let mut line: Vec<char> = vec![' '; (count.saturating_sub(1)) * STEP + 1];
    let column = |node: usize| node * STEP;
    (0..count).for_each(|node| line[column(node)] = '│');
    let (left, right) = (column(from.min(to)), column(from.max(to)));
    if right >= line.len() {
        return name.into(); // a party without a column
    }
    line[left + 1..right].fill('─');
    if from < to {
        line[right - 1] = '▶';
    } else {
        line[left + 1] = '◀';
    }
    let room = right - left - 1;
    let start = left + 1 + room.saturating_sub(name.chars().count()) / 2;
    for (offset, letter) in name.chars().enumerate().take(room.saturating_sub(2)) {
        line[start + offset] = letter;
    }
    line.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arrow_points_at_the_recipient() {
        assert_eq!(rung(2, 0, 1, "init"), "│────────────init────────────▶│");
        assert_eq!(rung(2, 1, 0, "init"), "│◀───────────init─────────────│");
    }
}
