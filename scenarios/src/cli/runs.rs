//! `leyden run`: one scenario after the other, each shown when it is over.
use super::arguments::Order;
use super::{json, Refusal, FAILED, PASSED};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use leyden_harness::run::{Options, Outcome};
use leyden_harness::snapshot::SnapshotMode;
use leyden_harness::{catalogue, find, provision, Run, Scenario, WorldKind};
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::Instant;

/// Runs what was ordered. The exit status.
pub(super) fn run(order: &Order, out: &mut dyn Write, err: &mut dyn Write) -> Result<u8, Refusal> {
    if order.html.is_some() && order.names.len() != 1 {
        return Err(Refusal::OnePage(order.names.len()));
    }
    let (planned, skipped) = plan(order)?;
    if planned.iter().any(|(_, world)| world.needs_core()) {
        provision::bitcoind()?;
    }
    if planned.iter().any(|(_, world)| *world == WorldKind::Live) {
        provision::electrs()?;
    }
    for (scenario, world) in &skipped {
        writeln!(err, "{} is skipped in {world}: it declares that it cannot run there", scenario.name)?;
    }
    let started = Instant::now();
    let progress = Progress::new(planned.len());
    let mut runs = Vec::new();
    for (scenario, world) in planned {
        progress.begin(scenario, world, err)?;
        let options = Options {
            world,
            seed: order.seed,
            keep: order.keep.clone(),
            mutant: order.mutant,
            snapshots: if updates_snapshots() { SnapshotMode::Insta } else { SnapshotMode::Compare },
            variant: order.variant.clone(),
            page: order.html.is_some(),
        };
        let run = leyden_harness::run(scenario, &options)?;
        progress.bar.suspend(|| show(&run, order, out))?;
        progress.bar.inc(1);
        runs.push(run);
    }
    progress.bar.finish_and_clear();
    write_files(order, &runs)?;
    let failed = runs.iter().filter(|run| run.failed()).count();
    if runs.len() > 1 {
        summary(&runs, started, out)?;
    }
    Ok(if failed == 0 { PASSED } else { FAILED })
}

/// A person at a terminal accepts snapshots only by saying so.
fn updates_snapshots() -> bool {
    std::env::var("INSTA_UPDATE").is_ok_and(|wish| matches!(wish.as_str(), "always" | "new" | "unseen"))
}

type Pairs = Vec<(&'static Scenario, WorldKind)>;

/// What is to be run, and what was asked for by `--all` and cannot.
fn plan(order: &Order) -> Result<(Pairs, Pairs), Refusal> {
    if order.all {
        let worlds = order.world.map_or(WorldKind::IN_PROCESS.to_vec(), |world| vec![world]);
        let all = catalogue()?;
        let pairs = all.into_iter().flat_map(|scenario| worlds.iter().map(move |world| (scenario, *world)));
        return Ok(pairs.partition(|(scenario, world)| scenario.worlds.contains(world)));
    }
    let world = order.world.unwrap_or(WorldKind::Sim);
    let mut planned = Vec::new();
    for name in &order.names {
        let scenario = find(name)?;
        // What processes cannot do shows when it is asked of them.
        if !scenario.worlds.contains(&world) && world != WorldKind::Live {
            return Err(Refusal::WrongWorld { name: scenario.name, world });
        }
        planned.push((scenario, world));
    }
    Ok((planned, Vec::new()))
}

/// A bar at a terminal; plain lines elsewhere, when there is more than one run.
struct Progress {
    bar: ProgressBar,
    plain: bool,
}

impl Progress {
    fn new(count: usize) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let several = count > 1;
        let target =
            if several && terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(count as u64), target);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}") {
            bar.set_style(style);
        }
        Self { bar, plain: several && !terminal }
    }

    fn begin(&self, scenario: &Scenario, world: WorldKind, err: &mut dyn Write) -> Result<(), Refusal> {
        self.bar.set_message(format!("{} in {world}", scenario.name));
        if self.plain {
            let (number, all) = (self.bar.position() + 1, self.bar.length().unwrap_or_default());
            writeln!(err, "[{number}/{all}] {} in {world}", scenario.name)?;
        }
        Ok(())
    }
}

fn show(run: &Run, order: &Order, out: &mut dyn Write) -> Result<(), Refusal> {
    let verdict = match &run.outcome {
        Outcome::Passed => "passed".to_owned(),
        Outcome::Skipped { reason } => format!("skipped ({reason})"),
        Outcome::Failed { .. } => "FAILED".to_owned(),
    };
    let millis = run.elapsed.as_millis();
    let variant = run.variant.as_ref().map_or_else(String::new, |variant| format!(", {}", variant.words()));
    let (name, world, seed) = (run.scenario.name, run.world, run.seed);
    writeln!(out, "{name} in {world}, seed {seed}{variant}: {verdict} in {millis} ms\n")?;
    if order.ladder {
        writeln!(out, "{}", run.ladder)?;
    }
    if order.tree {
        writeln!(out, "{}", run.tree)?;
    }
    writeln!(out, "{}", run.settlement)?;
    if run.failed() {
        writeln!(out, "{}", run.failure())?;
    } else if let Some(folder) = &run.folder {
        writeln!(out, "folder: {}\n", folder.display())?;
    }
    Ok(())
}

fn summary(runs: &[Run], started: Instant, out: &mut dyn Write) -> Result<(), Refusal> {
    let failed: Vec<&Run> = runs.iter().filter(|run| run.failed()).collect();
    let skipped = runs.iter().filter(|run| run.skipped().is_some()).count();
    for run in &failed {
        writeln!(out, "FAILED  {}", run.command())?;
    }
    let (passed, seconds) = (runs.len() - failed.len() - skipped, started.elapsed().as_secs_f64());
    let skips = if skipped > 0 { format!(", {skipped} skipped") } else { String::new() };
    writeln!(out, "{passed} passed, {} failed{skips}, {seconds:.1} s", failed.len())?;
    Ok(())
}

fn write_files(order: &Order, runs: &[Run]) -> Result<(), Refusal> {
    if let Some(path) = &order.json {
        let objects: Vec<serde_json::Value> = runs.iter().map(json::of).collect();
        let value = match <[serde_json::Value; 1]>::try_from(objects) {
            Ok([one]) if !order.all => one,
            Ok(one) => serde_json::Value::from(one.to_vec()),
            Err(several) => serde_json::Value::from(several),
        };
        write_file(path, &format!("{value:#}\n"))?;
    }
    if let (Some(path), Some(page)) = (&order.html, runs.iter().find_map(|run| run.page.as_ref())) {
        write_file(path, page)?;
    }
    if let Some(path) = &order.transcript {
        let several = runs.len() > 1;
        let heading = |run: &Run| format!("== {} in {}, seed {}\n", run.scenario.name, run.world, run.seed);
        let texts = runs.iter().map(|run| match several {
            true => format!("{}{}\n", heading(run), run.transcript),
            false => run.transcript.clone(),
        });
        write_file(path, &texts.collect::<String>())?;
    }
    Ok(())
}

fn write_file(path: &Path, text: &str) -> Result<(), Refusal> {
    std::fs::write(path, text).map_err(|source| Refusal::File { path: path.to_path_buf(), source })
}
