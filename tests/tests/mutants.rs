//! Every planted bug is noticed by the scenarios that name it, in every world: `sim::skip_forward_fee`. That these are green without
//! the bug is what the target `scenarios` tests.
use leyden as _; // its scenarios are in the catalogue because it is linked
use leyden_harness::mutants::{judge, scenarios_of, Verdict};
use leyden_harness::{Mutant, Scenario, WorldKind};
use libtest_mimic::{Arguments, Failed, Trial};
use std::collections::BTreeMap;

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for mutant in Mutant::ALL.iter().copied() {
        let scenarios = scenarios_of(mutant).unwrap_or_else(|error| panic!("{error}"));
        for world in WorldKind::IN_PROCESS {
            let able = scenarios.iter().any(|scenario| scenario.worlds.contains(&world));
            // One that no scenario names fails once, in sim.
            if able || (scenarios.is_empty() && world == WorldKind::Sim) {
                trials.push(Trial::test(format!("{world}::{mutant}"), move || dies(mutant, world)));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// In sim each function that names the bug must be red with it, in one channel format at least (a bug may be none in the other):
/// the second is run only if the first does not tell. In regtest the first function that names it does.
fn dies(mutant: Mutant, world: WorldKind) -> Result<(), Failed> {
    let able = scenarios_of(mutant)?.into_iter().filter(|scenario| scenario.worlds.contains(&world));
    let mut functions: BTreeMap<(&str, u32), Vec<&'static Scenario>> = BTreeMap::new();
    able.for_each(|scenario| functions.entry((scenario.file, scenario.line)).or_default().push(scenario));
    if functions.is_empty() {
        return Err(format!("no scenario names {mutant}").into());
    }
    let count = if world == WorldKind::Sim { functions.len() } else { 1 };
    functions.values().take(count).try_for_each(|formats| killed_by(mutant, world, formats))
}

fn killed_by(mutant: Mutant, world: WorldKind, formats: &[&'static Scenario]) -> Result<(), Failed> {
    let mut said = Vec::new();
    for scenario in formats {
        match judge(mutant, scenario, world, false)? {
            Verdict::Killed(_) => return Ok(()),
            verdict => said.push(format!("{}: {verdict}", scenario.name)),
        }
    }
    Err(format!("{mutant} is alive in {world}: [{}]", said.join(", ")).into())
}
