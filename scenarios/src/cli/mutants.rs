//! `leyden mutants`: every planted bug against the scenarios that name it, on all cores, and the score.
use super::arguments::Hunt;
use super::{Refusal, FAILED, PASSED};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use leyden_harness::mutants::{is_killed, judge, scenarios_of, Verdict};
use leyden_harness::world::WorldError;
use leyden_harness::{provision, Mutant, Scenario, WorldKind};
use std::io::{IsTerminal, Write};
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

/// One scenario to be run with one bug.
struct Trial {
    mutant: Mutant,
    scenario: &'static Scenario,
}

/// Hunts what was ordered. The exit status: 1 if a bug survives, or no scenario names it.
pub(super) fn hunt(order: &Hunt, out: &mut dyn Write, err: &mut dyn Write) -> Result<u8, Refusal> {
    let world = order.world.unwrap_or(WorldKind::Sim);
    let mutants = if order.mutants.is_empty() { Mutant::ALL.to_vec() } else { order.mutants.clone() };
    if world.needs_core() {
        provision::bitcoind()?;
    }
    let mut trials = Vec::new();
    for mutant in &mutants {
        let able = scenarios_of(*mutant)?.into_iter().filter(|scenario| scenario.worlds.contains(&world));
        trials.extend(able.map(|scenario| Trial { mutant: *mutant, scenario }));
    }
    let verdicts = run_all(&trials, world, err)?;
    let score = table(&mutants, &trials, &verdicts, world, out)?;
    for (trial, verdict) in trials.iter().zip(&verdicts) {
        if let Verdict::Unsound(failure) = verdict {
            writeln!(out, "\n{} is red without {}:\n{failure}", trial.scenario.name, trial.mutant)?;
        }
    }
    Ok(if score { PASSED } else { FAILED })
}

/// Runs all, as many at once as there are cores; the verdicts in the order of the trials.
fn run_all(trials: &[Trial], world: WorldKind, err: &mut dyn Write) -> Result<Vec<Verdict>, Refusal> {
    let next = AtomicUsize::new(0);
    let workers = std::thread::available_parallelism().map_or(1, NonZero::get);
    let progress = Progress::new(trials.len());
    let (sender, receiver) = mpsc::channel::<(usize, Result<Verdict, WorldError>)>();
    let mut verdicts: Vec<Option<Verdict>> = vec![None; trials.len()];
    std::thread::scope(|scope| {
        for _ in 0..workers.min(trials.len()) {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                while let Some((place, trial)) = take(trials, next) {
                    // Nobody listens any more only when another trial could not be run at all.
                    if sender.send((place, judge(trial.mutant, trial.scenario, world, true))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for (place, verdict) in receiver {
            let verdict = verdict?;
            progress.told(&trials[place], &verdict, err)?;
            verdicts[place] = Some(verdict);
        }
        progress.bar.finish_and_clear();
        Ok(verdicts.into_iter().flatten().collect())
    })
}

fn take<'a>(trials: &'a [Trial], next: &AtomicUsize) -> Option<(usize, &'a Trial)> {
    let place = next.fetch_add(1, Ordering::Relaxed);
    trials.get(place).map(|trial| (place, trial))
}

/// One line for each trial, one for a bug that nobody looks for, and the score. Whether all are killed.
fn table(
    mutants: &[Mutant],
    trials: &[Trial],
    verdicts: &[Verdict],
    world: WorldKind,
    out: &mut dyn Write,
) -> Result<bool, Refusal> {
    let width = mutants.iter().map(|mutant| mutant.to_string().len()).max().unwrap_or(0);
    let names = trials.iter().map(|trial| trial.scenario.name.len()).max().unwrap_or(0).max(8);
    writeln!(out, "{:width$}  {:names$}  killed in {world} by", "mutant", "scenario")?;
    let (mut killed, mut judged, mut alive) = (0, 0, Vec::new());
    for mutant in mutants {
        let own = trials.iter().zip(verdicts).filter(|(trial, _)| trial.mutant == *mutant);
        let own: Vec<(&'static Scenario, Verdict)> =
            own.map(|(trial, verdict)| (trial.scenario, verdict.clone())).collect();
        for (scenario, verdict) in &own {
            writeln!(out, "{mutant:width$}  {:names$}  {verdict}", scenario.name)?;
        }
        if own.is_empty() && !scenarios_of(*mutant)?.is_empty() {
            writeln!(out, "{mutant:width$}  {:names$}  not run: its scenarios cannot run in {world}", "-")?;
            continue;
        }
        if own.is_empty() {
            writeln!(out, "{mutant:width$}  {:names$}  NO SCENARIO NAMES IT", "-")?;
        }
        judged += 1;
        if is_killed(&own) {
            killed += 1;
        } else {
            alive.push(mutant.to_string());
        }
    }
    writeln!(out, "\n{killed} of {judged} mutants killed")?;
    if !alive.is_empty() {
        writeln!(out, "alive: {}", alive.join(", "))?;
    }
    Ok(alive.is_empty())
}

/// A bar at a terminal, plain lines elsewhere.
struct Progress {
    bar: ProgressBar,
    plain: bool,
}

impl Progress {
    fn new(count: usize) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(count as u64), target);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}") {
            bar.set_style(style);
        }
        Self { bar, plain: !terminal }
    }

    fn told(&self, trial: &Trial, verdict: &Verdict, err: &mut dyn Write) -> Result<(), Refusal> {
        self.bar.set_message(format!("{} by {}: {verdict}", trial.mutant, trial.scenario.name));
        self.bar.inc(1);
        if self.plain {
            let (number, all) = (self.bar.position(), self.bar.length().unwrap_or_default());
            writeln!(err, "[{number}/{all}] {} by {}: {verdict}", trial.mutant, trial.scenario.name)?;
        }
        Ok(())
    }
}
