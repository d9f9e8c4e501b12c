//! Every scenario in every world that it can run in: `sim::name`, `regtest::name`, `live::name`. Each is a test of its own. In regtest the same
//! seed must give the same transcript as in sim, byte for byte (I20); that sim gives it twice is the target `determinism`.
use leyden as _; // its scenarios are in the catalogue because it is linked
use leyden_harness::run::Options;
use leyden_harness::{catalogue, run, Run, Scenario, WorldKind};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let scenarios = catalogue().unwrap_or_else(|error| panic!("{error}"));
    let pairs = scenarios
        .into_iter()
        .flat_map(|scenario| scenario.worlds.iter().map(move |world| (scenario, *world)));
    let trials = pairs.map(|(scenario, world)| {
        Trial::test(format!("{world}::{}", scenario.name), move || match world {
            WorldKind::Sim => passes(scenario, world).map(drop),
            WorldKind::Regtest => passes_as_in_sim(scenario),
            WorldKind::Live => passes(scenario, world).map(drop),
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

fn passes(scenario: &'static Scenario, world: WorldKind) -> Result<Run, Failed> {
    let run = run(scenario, &Options::in_world(world))?;
    if run.passed() {
        Ok(run)
    } else {
        Err(run.failure().into())
    }
}

fn passes_as_in_sim(scenario: &'static Scenario) -> Result<(), Failed> {
    let real = passes(scenario, WorldKind::Regtest)?;
    if !scenario.worlds.contains(&WorldKind::Sim) {
        return Ok(());
    }
    let embedded = passes(scenario, WorldKind::Sim)?;
    match leyden_tests::first_difference(&embedded.transcript, &real.transcript) {
        Some(difference) => Err(format!("sim and regtest: {difference}").into()),
        None => Ok(()),
    }
}
