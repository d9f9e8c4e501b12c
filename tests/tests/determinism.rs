//! I20: the same seed gives the same transcript byte for byte, twice in sim. (That regtest gives the same as sim is part of the
//! target `scenarios`, where each runs in regtest anyway.) Both runs start from another seed than everything else, and are held
//! to the same snapshot: a settlement does not depend on the seed.

use leyden as _; // its scenarios are in the catalogue because it is linked
use leyden_harness::run::Options;
use leyden_harness::{catalogue, run, Scenario, WorldKind};
use libtest_mimic::{Arguments, Failed, Trial};

/// Not the one that the other tests run with.
const OTHER_SEED: u64 = 1;

fn main() {
    let arguments = Arguments::from_args();
    let scenarios = catalogue().unwrap_or_else(|error| panic!("{error}"));
    let in_sim = scenarios.into_iter().filter(|scenario| scenario.worlds.contains(&WorldKind::Sim));
    let trials =
        in_sim.map(|scenario| Trial::test(format!("twice_in_sim::{}", scenario.name), || same(scenario)));
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

fn same(scenario: &'static Scenario) -> Result<(), Failed> {
    let (one, other) = (transcript(scenario)?, transcript(scenario)?);
    match leyden_tests::first_difference(&one, &other) {
        Some(difference) => Err(difference.into()),
        None => Ok(()),
    }
}

fn transcript(scenario: &'static Scenario) -> Result<String, Failed> {
    let run = run(scenario, &Options { seed: OTHER_SEED, ..Options::in_world(WorldKind::Sim) })?;
    if run.passed() {
        Ok(run.transcript)
    } else {
        Err(run.failure().into())
    }
}
