//! What node processes do, on this machine, now: payments over TCP with every fsync real, beside the least that the BOLTs' curve
//! operations take, timed in the same run. Prints one table. `cargo bench -p leyden-node --bench processes`
//!
//! It asks the nodes only through their control ports, and needs a bitcoind in `BITCOIND_EXE` or in this project's cache.
mod bound;
mod lane;
mod run;

use lane::Lane;
use std::time::Duration;

/// The most HTLCs that one side may have in flight (BOLT 2).
const MOST: usize = 483;
/// So many batches there and back; the best one counts least, the median is shown.
const BATCHES: usize = 7;
/// So many channels of one node, for what they take in memory.
const CHANNELS: usize = 1_000;
/// So many payments one at a time.
const SINGLE: usize = 60;

fn main() {
    // Cargo gives `--bench`; a test run of all targets measures nothing.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let begin = bound::Curve::time();
    let core = run::Core::start();
    let mut direct = Lane::open(&core, 1);
    let (start, memory) = (direct.start, direct.memory());
    let mut rows = Vec::new();
    rows.push(batches("direct, 483 in flight", &mut direct, MOST));
    rows.push(batches("direct, 100 in flight", &mut direct, 100));
    rows.push(single("direct, one at a time", &mut direct));
    drop(direct);
    let mut far = Lane::open(&core, 3);
    rows.push(batches("three channels, 483", &mut far, MOST));
    rows.push(single("three channels, one", &mut far));
    drop(far);
    let curve = begin.mean(&bound::Curve::time());
    let (without, with) = lane::memory_with(&core, CHANNELS);
    report(&rows, &curve);
    let millis = start.as_secs_f64() * 1e3;
    println!(
        "start on an empty folder     {millis:>8.0} ms\nmemory of an idle node       {:>8.1} MB\n\
         {CHANNELS} channels more           {:>8.1} MB",
        memory as f64 / 1e6,
        with.saturating_sub(without) as f64 / 1e6
    );
}

/// One line of the table.
struct Row {
    name: &'static str,
    channels: u64,
    at_once: u64,
    /// For all of one batch.
    time: Duration,
    /// Of the node that writes most, for each payment.
    fsyncs: f64,
}

fn batches(name: &'static str, lane: &mut Lane, at_once: usize) -> Row {
    lane.pay(at_once);
    let before = lane.commits();
    let times: Vec<Duration> = (0..BATCHES).map(|_| lane.pay(at_once)).collect();
    row(name, lane, at_once, before, times)
}

fn single(name: &'static str, lane: &mut Lane) -> Row {
    lane.pay(1);
    let before = lane.commits();
    let times = (0..SINGLE).map(|_| lane.pay(1)).collect();
    row(name, lane, 1, before, times)
}

fn row(
    name: &'static str,
    lane: &mut Lane,
    at_once: usize,
    before: Vec<u64>,
    mut times: Vec<Duration>,
) -> Row {
    let payments = (at_once * times.len()) as f64;
    // An invoice that was written is a commit too, and no part of paying: they go in few batches.
    let most = lane.commits().into_iter().zip(before).map(|(after, before)| after - before).max();
    times.sort();
    let time = times[times.len() / 2];
    Row {
        name,
        channels: lane.channels(),
        at_once: at_once as u64,
        time,
        fsyncs: most.unwrap_or(0) as f64 / payments,
    }
}

fn report(rows: &[Row], curve: &bound::Curve) {
    println!(
        "\n{:<26} {:>11} {:>11} {:>11} {:>11} {:>13}",
        "", "payments/s", "ms a batch", "us each", "bound us", "fsyncs each"
    );
    for row in rows {
        let each = row.time.as_secs_f64() * 1e6 / row.at_once as f64;
        println!(
            "{:<26} {:>11.0} {:>11.1} {each:>11.0} {:>11.0} {:>13.3}",
            row.name,
            1e6 / each,
            row.time.as_secs_f64() * 1e3,
            curve.bound_micros(row.channels, row.at_once),
            row.fsyncs
        );
    }
}
