//! Every scenario in every world that it can run in: `sim::name`, `regtest::name`. Each is a test of its own.
use leyden as _; // its scenarios are in the catalogue because it is linked
use leyden_harness::run::Options;
use leyden_harness::{catalogue, run, Scenario, WorldKind};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let scenarios = catalogue().unwrap_or_else(|error| panic!("{error}"));
    let pairs = scenarios
        .into_iter()
        .flat_map(|scenario| scenario.worlds.iter().map(move |world| (scenario, *world)));
    let trials = pairs.map(|(scenario, world)| {
        Trial::test(format!("{world}::{}", scenario.name), move || passes(scenario, world))
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

fn passes(scenario: &'static Scenario, world: WorldKind) -> Result<(), Failed> {
    let run = run(scenario, &Options::in_world(world))?;
    if run.passed() {
        Ok(())
    } else {
        Err(run.failure().into())
    }
}
