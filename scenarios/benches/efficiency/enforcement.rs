//! What enforcement costs: a cheat sweep of the main scenario, against the curve operations that its runs cannot do without, and a
//! force close whose money waits 2016 blocks. The operations are counted from a transcript of each run: what was said and what
//! was handed to the chain.

use super::bound::Curve;
use super::median_nanos;
use criterion::{Criterion, SamplingMode};
use leyden_harness::run::{run, Options};
use leyden_harness::sweep::{Kind, Order, Subset, Sweep};
use leyden_harness::WorldKind;
use std::cell::Cell;

/// The scenario that is swept.
const SWEPT: &str = "pay-a-b-c-d";
/// The scenario whose delay is the longest there is.
const LONGEST: &str = "unilateral-close-with-the-longest-delay";

/// How often the runs of one sweep did what costs curve operations.
#[derive(Clone, Copy, Default, Debug)]
pub struct Work {
    runs: u64,
    openings: u64,
    signatures: u64,
    htlc_signatures: u64,
    revocations: u64,
    offers: u64,
    closings: u64,
    spends: u64,
}

/// Times both; what the sweep's runs did.
pub fn time(criterion: &mut Criterion) -> Work {
    let mut group = criterion.benchmark_group("enforcement");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    let work = Cell::new(Work::default());
    group.bench_function("cheat-sweep", |bencher| {
        let sweep = planned();
        work.set(work_of(&sweep));
        bencher.iter(|| {
            let rows = sweep.run(&|_| {}).expect("the worlds start");
            assert!(rows.iter().all(|row| row.passed()), "a variant failed");
        });
    });
    let longest = leyden_harness::catalogue::find(LONGEST).expect("the scenario is in the catalogue");
    group.bench_function("delay-of-2016-blocks", |bencher| {
        bencher.iter(|| {
            let done = run(longest, &Options::in_world(WorldKind::Sim)).expect("the world starts");
            assert!(done.passed(), "{}", done.failure());
        });
    });
    group.finish();
    work.get()
}

fn planned() -> Sweep {
    let swept = leyden_harness::catalogue::find(SWEPT).expect("the main scenario is in the catalogue");
    let order = Order { kind: Kind::Cheat, world: WorldKind::Sim, seed: 0, only: Subset::default() };
    Sweep::plan(swept, order).expect("the scenario runs")
}

/// Runs each variant once with a transcript, and counts.
fn work_of(sweep: &Sweep) -> Work {
    let swept = leyden_harness::catalogue::find(SWEPT).expect("the main scenario is in the catalogue");
    let mut work = Work::default();
    for variant in sweep.variants() {
        let options = Options { variant: Some(variant.clone()), ..Options::in_world(WorldKind::Sim) };
        let run = run(swept, &options).expect("the world starts");
        work.runs += 1;
        run.transcript.lines().for_each(|line| work.count(line));
    }
    work
}

impl Work {
    fn count(&mut self, line: &str) {
        let says = |message: &str| line.contains(&format!("──{message}"));
        self.openings += u64::from(says("open_channel"));
        self.signatures += u64::from(says("commitment_signed"));
        let htlcs = line.split_once("commitment_signed (").and_then(|(_, rest)| rest.split(' ').next());
        self.htlc_signatures += htlcs.and_then(|count| count.parse::<u64>().ok()).unwrap_or(0);
        self.revocations += u64::from(says("revoke_and_ack"));
        self.offers += u64::from(says("update_add_htlc"));
        self.closings += u64::from(says("closing_signed"));
        let label =
            line.split_once(" broadcasts ").filter(|_| !line.contains("already")).map(|(_, label)| label);
        self.spends += label.map_or(0, |label| 1 + label.matches('+').count() as u64);
    }

    /// The least that this takes, in microseconds: both ends' parts of each.
    ///
    /// An opening: seven points a side, both first commitments derived by both, each signed and verified, the funding signed
    /// and verified. A signature of a commitment: made, checked, its keys derived twice; each HTLC's made and checked. A revocation: two multiplications. An offer: the onion made and peeled. What is handed to the chain: signed, and
    /// verified by it.
    fn bound_micros(&self, curve: &Curve) -> f64 {
        let key_set = curve.revocation + 3.0 * curve.tweak;
        let both = curve.sign + curve.verify;
        let opening = 14.0 * curve.base_multiply + 4.0 * key_set + 3.0 * both;
        let signature = both + 2.0 * key_set;
        let offer = 2.0 * curve.ecdh + curve.base_multiply + curve.multiply;
        self.openings as f64 * opening
            + self.signatures as f64 * signature
            + self.htlc_signatures as f64 * both
            + self.revocations as f64 * 2.0 * curve.base_multiply
            + self.offers as f64 * offer
            + (self.closings + self.spends) as f64 * both
    }
}

/// Two lines for the report.
pub fn report(work: &Work, round: u32) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    let swept = Curve::between(round).zip(median_nanos("enforcement", "cheat-sweep"));
    match swept.filter(|_| work.runs > 0) {
        Some((curve, nanos)) => {
            let runs = work.runs as f64;
            let measured = nanos / 1000.0 * cores / runs;
            let least = work.bound_micros(&curve) / runs;
            let (rate, efficiency) = (1e6 / measured, least / measured);
            println!(
                "{:<28} {measured:>12.0} {least:>12.0} {rate:>12.0} {efficiency:>11.2}  (runs, a core)",
                "cheat sweep"
            );
        }
        None => println!("cheat sweep not measured: run all benchmarks at once"),
    }
    if let Some(nanos) = median_nanos("enforcement", "delay-of-2016-blocks") {
        println!("{:<28} {:>9.1} ms", "delay of 2016 blocks, sim", nanos / 1e6);
    }
}
