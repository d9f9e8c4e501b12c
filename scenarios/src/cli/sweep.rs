//! `leyden sweep`: plans the variants of one scenario, shows how far it is while they run, then a table of all of them and, for each that
//! failed, the command that repeats just that run. The table is the same at each call: times stand below it.
use super::{Refusal, FAILED, PASSED};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use leyden_harness::sweep::{Kind, Order, Row, Subset, Sweep, Variant};
use leyden_harness::{find, provision, WorldKind};
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::Instant;

/// Plain lines for a machine come at every so many runs.
const EVERY: u64 = 50;

#[derive(Args, Debug)]
pub(super) struct SweepOrder {
    /// The scenario that ends well (see `leyden list`)
    #[arg(value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    pub kind: KindOrder,
    /// The chain underneath: sim or regtest
    #[arg(long, value_name = "WORLD", default_value = "sim")]
    pub world: WorldKind,
    /// Keys, and with them everything else, follow from it
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Only these: N/M (the n-th of each m), N@SEED (n by chance) or the beginning of a variant (reorg:117), joined by commas
    #[arg(long, value_name = "SUBSET")]
    pub only: Option<Subset>,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(super) struct KindOrder {
    /// Each party publishes each of its revoked states, with and without second stages
    #[arg(long)]
    pub cheat: bool,
    /// At each block the chain is reorganised, 1 to 6 deep
    #[arg(long)]
    pub reorg: bool,
    /// The link breaks before and after each message
    #[arg(long)]
    pub disconnect: bool,
    /// Each node is killed at each of its saves, before it and after each action that follows
    #[arg(long)]
    pub crash: bool,
    /// Each node's process is killed (SIGKILL) after each thing that it told; only with --world live
    #[arg(long)]
    pub kill: bool,
}

impl KindOrder {
    fn kind(&self) -> Kind {
        if self.cheat {
            Kind::Cheat
        } else if self.reorg {
            Kind::Reorg
        } else if self.crash {
            Kind::Crash
        } else if self.kill {
            Kind::Kill
        } else {
            Kind::Disconnect
        }
    }
}

/// Runs the sweep. The exit status.
pub(super) fn run(order: &SweepOrder, out: &mut dyn Write, err: &mut dyn Write) -> Result<u8, Refusal> {
    let scenario = find(&order.name)?;
    if !scenario.worlds.contains(&order.world) {
        return Err(Refusal::WrongWorld { name: scenario.name, world: order.world });
    }
    if order.world.needs_core() {
        provision::bitcoind()?;
    }
    let kind = order.kind.kind();
    let only = order.only.clone().unwrap_or_default();
    let sweep = Sweep::plan(scenario, Order { kind, world: order.world, seed: order.seed, only })?;
    let count = sweep.variants().len();
    writeln!(err, "{} in {}, {kind}: {count} variants", scenario.name, order.world)?;
    let started = Instant::now();
    let bar = bar(count);
    let rows = sweep.run(&|row| step(&bar, row))?;
    bar.finish_and_clear();
    show(order, &rows, out)?;
    let seconds = started.elapsed().as_secs_f64();
    let slowest = rows.iter().max_by_key(|row| row.elapsed);
    let slowest = slowest.map_or_else(String::new, |row| {
        format!("; the slowest was {} with {} ms", row.variant, row.elapsed.as_millis())
    });
    writeln!(err, "{seconds:.1} s, {:.0} runs a second{slowest}", count as f64 / seconds.max(0.001))?;
    Ok(if rows.iter().all(Row::passed) { PASSED } else { FAILED })
}

fn bar(count: usize) -> ProgressBar {
    let terminal = std::io::stderr().is_terminal();
    let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(count as u64), target);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    bar
}

fn step(bar: &ProgressBar, row: &Row) {
    bar.inc(1);
    bar.set_message(row.variant.to_string());
    let (done, all) = (bar.position(), bar.length().unwrap_or_default());
    if !row.passed() {
        bar.suspend(|| eprintln!("FAILED  {}", row.command));
    }
    if bar.is_hidden() && done.is_multiple_of(EVERY) && done < all {
        eprintln!("[{done}/{all}] {}", row.variant);
    }
}

/// The table, then every failure in full.
fn show(order: &SweepOrder, rows: &[Row], out: &mut dyn Write) -> Result<(), Refusal> {
    let width = rows.iter().map(|row| place(&row.variant).len()).max().unwrap_or(0).max(8);
    writeln!(out, "{:width$}  {:>5}  {:>6}  result", "variants", "runs", "height")?;
    for (place, of_place) in grouped(rows) {
        let failed: Vec<&&Row> = of_place.iter().filter(|row| !row.passed()).collect();
        let result = match failed[..] {
            [] => "passed".to_string(),
            _ => {
                let which: Vec<String> = failed.iter().map(|row| row.variant.to_string()).collect();
                format!("FAILED  {}", which.join(" "))
            }
        };
        let height = of_place.iter().map(|row| row.height).max().unwrap_or_default();
        writeln!(out, "{place:width$}  {:>5}  {height:>6}  {result}", of_place.len())?;
    }
    for row in rows.iter().filter(|row| !row.passed()) {
        writeln!(out, "\n{}: {}", row.variant, row.failure)?;
    }
    let failed = rows.iter().filter(|row| !row.passed()).count();
    writeln!(out, "\n{} {}: {} passed, {failed} failed", order.name, order.kind.kind(), rows.len() - failed)?;
    Ok(())
}

/// Rows of one place of the scenario, in order: all depths at a block, both sides of a message, both ways to publish a state.
fn grouped(rows: &[Row]) -> Vec<(String, Vec<&Row>)> {
    let mut order: Vec<(String, Vec<&Row>)> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for row in rows {
        let place = place(&row.variant);
        let number = *places.entry(place.clone()).or_insert(order.len());
        if number == order.len() {
            order.push((place, Vec::new()));
        }
        order[number].1.push(row);
    }
    order
}

fn place(variant: &Variant) -> String {
    match variant {
        Variant::Reorg { at_height, .. } => format!("reorg at height {at_height}"),
        Variant::Cut { message, .. } => format!("link cut at message {message}"),
        Variant::Cheat { party, channel, state, .. } => {
            format!("{party} publishes state {state} of {channel}")
        }
        Variant::Crash { party, save, .. } => format!("{party} killed at its save {save}"),
        Variant::Kill { party, .. } => format!("{party}'s process killed"),
    }
}
