//! I20: the same seed gives the same transcript byte for byte: twice in sim, and in regtest the same as in sim. (So two runs
//! in regtest agree as well: a third test of that would only take time.) The two runs in sim start from another seed than
//! everything else, and are held to the same snapshot: a settlement does not depend on the seed.

use leyden as _; // its scenarios are in the catalogue because it is linked
use leyden_harness::run::Options;
use leyden_harness::{catalogue, run, Run, Scenario, WorldKind};
use libtest_mimic::{Arguments, Failed, Trial};

/// Not the one that the other tests run with.
const OTHER_SEED: u64 = 1;

fn main() {
    let arguments = Arguments::from_args();
    let scenarios = catalogue().unwrap_or_else(|error| panic!("{error}"));
    let runs_in = |scenario: &Scenario, world| scenario.worlds.contains(&world);
    let mut trials = Vec::new();
    for scenario in scenarios {
        let name = |kind: &str| format!("{kind}::{}", scenario.name);
        if runs_in(scenario, WorldKind::Sim) {
            trials.push(Trial::test(name("twice_in_sim"), || {
                same(scenario, WorldKind::Sim, WorldKind::Sim, OTHER_SEED)
            }));
        }
        if runs_in(scenario, WorldKind::Sim) && runs_in(scenario, WorldKind::Regtest) {
            trials.push(Trial::test(name("sim_and_regtest"), || {
                same(scenario, WorldKind::Sim, WorldKind::Regtest, 0)
            }));
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn same(scenario: &'static Scenario, one: WorldKind, other: WorldKind, seed: u64) -> Result<(), Failed> {
    let (one, other) = (transcript(scenario, one, seed)?, transcript(scenario, other, seed)?);
    if one == other {
        return Ok(());
    }
    let lines = one.lines().zip(other.lines()).enumerate();
    let differing = lines.into_iter().find(|(_, (a, b))| a != b);
    Err(match differing {
        Some((number, (a, b))) => format!("line {} differs:\n  {a}\n  {b}", number + 1),
        None => format!("one has {} lines, the other {}", one.lines().count(), other.lines().count()),
    }
    .into())
}

fn transcript(scenario: &'static Scenario, world: WorldKind, seed: u64) -> Result<String, Failed> {
    let run: Run = run(scenario, &Options { seed, ..Options::in_world(world) })?;
    if run.passed() {
        Ok(run.transcript)
    } else {
        Err(run.failure().into())
    }
}
