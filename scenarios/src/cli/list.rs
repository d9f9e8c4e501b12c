//! `leyden list`.
use super::Refusal;
use leyden_harness::{catalogue, Scenario};
use std::io::Write;

/// One line for each scenario.
pub(super) fn list(out: &mut dyn Write) -> Result<(), Refusal> {
    let all = catalogue()?;
    let width = |of: &dyn Fn(&Scenario) -> usize| all.iter().map(|scenario| of(scenario)).max().unwrap_or(0);
    let (names, themes) = (width(&|scenario| scenario.name.len()), width(&|scenario| scenario.theme().len()));
    for scenario in &all {
        let worlds: Vec<String> = scenario.worlds.iter().map(ToString::to_string).collect();
        let (name, theme, worlds) = (scenario.name, scenario.theme(), worlds.join(" "));
        writeln!(out, "{name:names$}  {theme:themes$}  {worlds:11}  {}", scenario.doc)?;
    }
    Ok(())
}
