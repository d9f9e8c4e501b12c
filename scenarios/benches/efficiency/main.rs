//! What a payment costs, as a ratio: curve operations are timed before and after payments in process, and the one is divided
//! by the other. The ratio survives a change of machine; the absolute numbers do not. Run with `cargo bench -p leyden`.
//!
//! The bound counts only what BOLT 2, 3, 4 and 11 make unavoidable for a non-dust payment over anchors channels, for all
//! nodes of the path together: signatures, verifications, key sets of commitments, per-commitment points, the onion and
//! the invoice's signature.

mod bound;
mod enforcement;
mod lane;

use leyden as _; // the catalogue

use bound::Curve;
use criterion::{Criterion, SamplingMode};
use lane::Lane;
use leyden_harness::run::{run, Options};
use leyden_harness::world::WorldKind;
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

/// As many HTLCs as a channel may hold in one direction (BOLT 2).
const BATCH: u64 = 483;

/// What is measured: its name, over how many channels, and how many payments at once.
const ROWS: [(&str, usize, u64); 4] = [
    ("direct-unbatched", 1, 1),
    ("three-channels-unbatched", 3, 1),
    ("direct-batched", 1, BATCH),
    ("three-channels-batched", 3, BATCH),
];

/// When this run began.
static BEGIN: LazyLock<SystemTime> = LazyLock::new(SystemTime::now);

fn main() {
    LazyLock::force(&BEGIN);
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .sample_size(20)
        .configure_from_args();
    bound::calibrate(&mut criterion, 0);
    for (round, (name, channels, batch)) in (1..).zip(ROWS) {
        payments(&mut criterion, name, channels, batch);
        bound::calibrate(&mut criterion, round);
    }
    scenarios(&mut criterion);
    let work = enforcement::time(&mut criterion);
    let last = ROWS.len() as u32;
    bound::calibrate(&mut criterion, last + 1);
    report();
    enforcement::report(&work, last);
}

/// Payments in process, one at a time or as many at once as a channel holds. Only paying is timed, not the invoices.
fn payments(criterion: &mut Criterion, name: &str, channels: usize, batch: u64) {
    let mut group = criterion.benchmark_group("payment");
    group.sampling_mode(SamplingMode::Flat);
    let mut opened = None;
    group.bench_function(name, |bencher| {
        let lane = opened.get_or_insert_with(|| Lane::open(channels));
        bencher.iter_custom(|batches| (0..batches).map(|_| lane.at_once(batch)).sum());
    });
    group.finish();
}

/// The main job from nothing to asserted balances, in each world; the real chain's start and end included.
fn scenarios(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pay-a-b-c-d");
    group.sampling_mode(SamplingMode::Flat);
    group.sample_size(10);
    let scenario =
        leyden_harness::catalogue::find("pay-a-b-c-d").expect("the main scenario is in the catalogue");
    for world in WorldKind::IN_PROCESS {
        group.bench_function(world.to_string(), |bencher| {
            bencher.iter(|| {
                let done = run(scenario, &Options::in_world(world)).expect("the world starts");
                assert!(done.passed(), "{}", done.failure());
            });
        });
    }
    group.finish();
}

/// Divides the bound by what was measured, both from this run.
fn report() {
    println!(
        "\n{:<28} {:>12} {:>12} {:>12} {:>11}",
        "", "measured us", "bound us", "payments/s", "efficiency"
    );
    for (round, (name, channels, batch)) in (0..).zip(ROWS) {
        let (Some(curve), Some(nanos)) = (Curve::between(round), median_nanos("payment", name)) else {
            println!("{name:<28} not measured: curve and payments must be of one run, so run all benchmarks at once");
            continue;
        };
        let measured = nanos / 1000.0 / batch as f64;
        let least = curve.bound_micros(channels as u64, batch);
        let (rate, efficiency) = (1e6 / measured, least / measured);
        println!("{name:<28} {measured:>12.0} {least:>12.0} {rate:>12.0} {efficiency:>11.2}");
    }
    for world in WorldKind::IN_PROCESS {
        if let Some(nanos) = median_nanos("pay-a-b-c-d", &world.to_string()) {
            println!("{:<28} {:>9.1} ms", format!("pay-a-b-c-d {world}"), nanos / 1e6);
        }
    }
}

/// The median that criterion wrote for this benchmark, in nanoseconds.
fn median_nanos(group: &str, name: &str) -> Option<f64> {
    let home = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = home.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target")));
    let file = target.join("criterion").join(group).join(name).join("new/estimates.json");
    if file.metadata().ok()?.modified().ok()? < *BEGIN {
        return None; // an earlier run's
    }
    let text = fs::read_to_string(file).ok()?;
    let estimates: serde_json::Value = serde_json::from_str(&text).ok()?;
    estimates["median"]["point_estimate"].as_f64()
}
