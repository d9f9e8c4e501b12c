//! Inputs to begin a corpus with: what nodes really said and wrote, and short scripts of what can happen.

use crate::life;
use leyden_core::node::RecordKey;

/// Scripts for `step`: the first byte says which life goes on, then come steps as `step` reads them.
const SCRIPTS: [&[u8]; 14] = [
    // A payment over two hops, settled; a block.
    &[0, 200, 0, 0, 2, 12, 9, 0, 0, 180, 0, 0],
    // Closed together, mined.
    &[0, 200, 0, 3, 2, 1, 0, 180, 0, 180, 0, 0],
    // Closed alone, mined, all that follows.
    &[0, 200, 0, 4, 1, 0, 180, 0, 180, 150, 200, 0, 180, 0, 0],
    &[0, 200, 1, 4, 1, 0, 180, 0, 180, 150, 200, 0, 180, 0, 180, 0],
    // The life with an HTLC under way, closed alone on both sides.
    &[1, 200, 1, 4, 1, 180, 0, 180, 150, 90, 180, 0, 180, 150, 90, 0],
    &[1, 0, 200, 0, 4, 1, 180, 0, 180, 210, 0, 0, 180, 150, 255, 0],
    // A feerate, a reconnection in the middle of it.
    &[0, 200, 0, 5, 1, 3, 90, 40, 0, 0, 160, 0, 2, 160, 0, 0, 0],
    // Another channel is opened, and mined.
    &[0, 200, 1, 6, 2, 8, 10, 0, 4, 9, 9, 0, 2, 2, 0, 180, 0, 0, 180, 150, 6, 0],
    // A payment step by step, doubled, changed, cut.
    &[
        0, 200, 0, 0, 1, 10, 200, 0, 90, 40, 0, 0, 90, 40, 0, 160, 40, 1, 100, 40, 0, 200, 0, 40, 4, 1, 2, 3,
        4, 0,
    ],
    &[0, 200, 0, 0, 1, 10, 200, 0, 90, 40, 0, 240, 0, 50, 40, 0, 0, 0],
    // The stranger says again what others said.
    &[0, 160, 4, 0, 110, 4, 0, 3, 110, 4, 0, 9, 110, 5, 100, 7, 0, 30, 2, 9, 9, 0],
    &[0, 110, 1, 200, 15, 0, 60, 1, 2, 3, 4, 5, 6, 7, 8, 0],
    // Restarts, a reorganisation, time.
    &[1, 160, 1, 3, 160, 1, 0, 0, 180, 0, 180, 0, 180, 180, 180, 180, 250, 1, 40, 1, 0, 0],
    // A route of one's own making.
    &[0, 200, 0, 2, 2, 1, 0, 12, 9, 0, 0, 90, 2, 1, 12, 9, 0, 0, 60, 5, 12, 9, 0, 0],
];

/// Target, number, bytes.
pub fn all() -> Vec<(&'static str, usize, Vec<u8>)> {
    let mut seeds = Vec::new();
    let mut add = |target, bytes: Vec<u8>| seeds.push((target, seeds.len(), bytes));
    for script in SCRIPTS {
        add("step", script.to_vec());
    }
    for world in [life::ready(), life::busy()] {
        world.history.iter().for_each(|message| add("message", message.clone()));
        for text in &world.invoices {
            add("invoice", [&[0], text.as_bytes()].concat());
        }
        let records = world.records.iter().flatten();
        for (_, record) in records.filter(|(key, _)| matches!(key, RecordKey::Channel(_))) {
            add("channel", [&[0], record.as_slice()].concat());
        }
    }
    add("invoice", vec![1]);
    add("invoice", vec![1 | 4 << 3, 1, 2, 3, 10, 6, 0, 1, 1, 24, 0, 1, 9]);
    add("invoice", [vec![1, 3, 1, 12], vec![1; 45]].concat());
    for choice in 0..6 {
        add("records", vec![choice]);
        add("records", vec![choice, 0, 2, 0, 40, 9, 6, 1]);
        add("channel", vec![choice + 1, 0, 60, 1]);
    }
    add("tlv", vec![0xff, 0, 2, 1, 7, 2, 1, 9, 4, 1, 0, 15, 0]);
    add("tlv", vec![1, 1, 0, 0xfd, 1, 1, 2, 8, 8]);
    add("onion", vec![1, 20, 39, 2, 2, 4, 210, 4, 2, 1, 200, 8, 33]);
    add(
        "onion",
        vec![
            2, 9, 17, 2, 2, 4, 210, 4, 1, 90, 6, 8, 0, 0, 1, 0, 0, 1, 0, 0, 8, 9, 2, 1, 9, 4, 1, 9, 16, 1, 7,
        ],
    );
    add("onion", vec![0; 1367]);
    for code in [0x2002u16, 0x1007, 0x400f, 0x100b, 0x100d, 0x4016, 0x8004, 18, 19, 21, 23, 0x1014] {
        let mut failure = code.to_be_bytes().to_vec();
        failure.extend([0; 40]);
        add("failure", failure);
    }
    for first in [0, 1, 2, 200] {
        add("transport", [vec![first], vec![3; 60]].concat());
    }
    add("transport", vec![2, 100, 4, 1, 2, 3, 4, 100, 0, 100, 1, 9, 3, 2, 8, 8, 4]);
    seeds
}
