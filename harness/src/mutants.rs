//! Planted bugs against the scenarios that exist for them: each scenario must be green on sound nodes and red with the bug. A check
//! that cannot fail proves nothing. It runs and judges; it plants nothing itself.
use crate::catalogue::{catalogue, CatalogueError, Scenario};
use crate::run::{run, Cause, Options};
use crate::snapshot::SnapshotMode;
use crate::world::{WorldError, WorldKind};
use leyden_core::channel::Mutant;
use std::fmt;

/// What a scenario says of a bug.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is red with the bug, and this noticed.
    Killed(Cause),
    /// It is green with the bug: it proves nothing.
    Survived,
    /// It is red without the bug: it proves nothing either. Why.
    Unsound(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Killed(cause) => cause.fmt(f),
            Verdict::Survived => f.pad("SURVIVES"),
            Verdict::Unsound(_) => f.pad("RED WITHOUT IT"),
        }
    }
}

/// The scenarios that name this bug, by name.
pub fn scenarios_of(mutant: Mutant) -> Result<Vec<&'static Scenario>, CatalogueError> {
    Ok(catalogue()?.into_iter().filter(|scenario| scenario.mutants.contains(&mutant)).collect())
}

/// Runs a scenario with the bug in it and, if asked, without.
///
/// # Errors
/// The world could not be set up, which is no verdict.
pub fn judge(
    mutant: Mutant,
    scenario: &'static Scenario,
    world: WorldKind,
    also_without: bool,
) -> Result<Verdict, WorldError> {
    let sound = Options { snapshots: SnapshotMode::Compare, ..Options::in_world(world) };
    if also_without {
        let run = run(scenario, &sound)?;
        if !run.passed() {
            return Ok(Verdict::Unsound(run.failure()));
        }
    }
    let run = run(scenario, &Options { mutant: Some(mutant), ..sound })?;
    Ok(run.cause.map_or(Verdict::Survived, Verdict::Killed))
}

/// Whether the bug is killed, by what its scenarios said: by every function that names it, in one channel format at least (a bug
/// may be none in another), and by none that is red anyway.
pub fn is_killed(verdicts: &[(&'static Scenario, Verdict)]) -> bool {
    let killed = |verdict: &Verdict| matches!(verdict, Verdict::Killed(_));
    let unsound = |verdict: &Verdict| matches!(verdict, Verdict::Unsound(_));
    let same = |one: &Scenario, other: &Scenario| (one.file, one.line) == (other.file, other.line);
    let by_its_function = |scenario: &Scenario| {
        verdicts.iter().any(|(other, verdict)| same(scenario, other) && killed(verdict))
    };
    let none_unsound = !verdicts.iter().any(|(_, verdict)| unsound(verdict));
    !verdicts.is_empty() && none_unsound && verdicts.iter().all(|(scenario, _)| by_its_function(scenario))
}
