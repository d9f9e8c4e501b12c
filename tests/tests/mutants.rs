//! Every planted bug is noticed by the scenarios that name it, in every world: `sim::skip_forward_fee`. That these are green without
//! the bug is what the target `scenarios` tests.
use leyden as _; // its scenarios are in the catalogue because it is linked
use leyden_harness::mutants::{is_killed, judge, scenarios_of};
use leyden_harness::{Mutant, WorldKind};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for mutant in Mutant::ALL.iter().copied() {
        let scenarios = scenarios_of(mutant).unwrap_or_else(|error| panic!("{error}"));
        for world in WorldKind::ALL {
            let able = scenarios.iter().any(|scenario| scenario.worlds.contains(&world));
            // One that no scenario names fails once, in sim.
            if able || (scenarios.is_empty() && world == WorldKind::Sim) {
                trials.push(Trial::test(format!("{world}::{mutant}"), move || dies(mutant, world)));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn dies(mutant: Mutant, world: WorldKind) -> Result<(), Failed> {
    let able = scenarios_of(mutant)?.into_iter().filter(|scenario| scenario.worlds.contains(&world));
    let mut verdicts = Vec::new();
    for scenario in able {
        verdicts.push((scenario, judge(mutant, scenario, world, false)?));
    }
    if is_killed(&verdicts) {
        return Ok(());
    }
    let said: Vec<String> =
        verdicts.iter().map(|(scenario, verdict)| format!("{}: {verdict}", scenario.name)).collect();
    Err(format!("{mutant} is alive in {world}: [{}]", said.join(", ")).into())
}
