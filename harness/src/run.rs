//! One run of one scenario in one world: sets it up, catches its failure, gathers what is to be shown, leaves the folder.
use crate::catalogue::Scenario;
use crate::net::Net;
use crate::page;
use crate::report;
use crate::settlement::{Settlement, Tree};
use crate::snapshot::SnapshotMode;
use crate::sweep::{judge, Shape, Variant};
use crate::world::{CannotHere, WorldError, WorldKind};
use leyden_core::channel::Mutant;
use std::cell::RefCell;
use std::fmt;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::Once;
use std::time::{Duration, Instant};

/// How to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// On which chain.
    pub world: WorldKind,
    /// Keys, and with them everything else, follow from it.
    pub seed: u64,
    /// Where to leave the run's folder, also when it passes.
    pub keep: Option<PathBuf>,
    /// What a difference to the snapshot does.
    pub snapshots: SnapshotMode,
    /// What is done to the scenario that its script does not know of.
    pub variant: Option<Variant>,
    /// Whether to write the page, and to ask the nodes for their balances at each block for it.
    pub page: bool,
    /// The bug planted in the nodes: then the run is to fail, leaves no folder unless asked to, and writes no snapshot.
    pub mutant: Option<Mutant>,
}

impl Options {
    /// This world, seed 0, nothing kept, snapshots through insta: what tests want.
    pub fn in_world(world: WorldKind) -> Self {
        let snapshots = SnapshotMode::Insta;
        Self { world, seed: 0, keep: None, snapshots, variant: None, page: false, mutant: None }
    }
}

/// How it ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// All expectations and checks held.
    Passed,
    /// This world cannot do what the scenario asks of it: no verdict.
    Skipped {
        /// Why.
        reason: String,
    },
    /// One did not.
    Failed {
        /// In words.
        message: String,
        /// File and line of the scenario's step.
        place: String,
    },
}

/// What noticed that something is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// A safety check: `I2`.
    Check(&'static str),
    /// The settlement differs from its snapshot.
    Snapshot,
    /// The chain's index gives another settlement than the blocks.
    Index,
    /// A step of the scenario, or the world that could not go on.
    Expectation,
    /// The core stopped itself: a bug of our own.
    Panic,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Cause::Check(check) => check,
            Cause::Snapshot => "snapshot",
            Cause::Index => "index",
            Cause::Expectation => "expectation",
            Cause::Panic => "panic",
        })
    }
}

/// A run that is over.
#[derive(Clone, Debug)]
pub struct Run {
    /// What ran.
    pub scenario: &'static Scenario,
    /// Where.
    pub world: WorldKind,
    /// From which seed.
    pub seed: u64,
    /// What was done to it.
    pub variant: Option<Variant>,
    /// The bug that was planted.
    pub mutant: Option<Mutant>,
    /// How it ended.
    pub outcome: Outcome,
    /// What noticed, if it failed.
    pub cause: Option<Cause>,
    /// The account, as far as it came.
    pub settlement: Settlement,
    /// Line by line.
    pub transcript: String,
    /// As a ladder.
    pub ladder: String,
    /// The transactions of each channel.
    pub tree: String,
    /// Its blocks, messages, past states and saves: what a sweep varies.
    pub shape: Shape,
    /// The page, if it was asked for.
    pub page: Option<String>,
    /// By the wall clock, start and end of Core included.
    pub elapsed: Duration,
    /// What was left, if anything was.
    pub folder: Option<PathBuf>,
}

impl Run {
    /// Whether it passed.
    pub fn passed(&self) -> bool {
        self.outcome == Outcome::Passed
    }

    /// Whether it failed.
    pub fn failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed { .. })
    }

    /// Why there is no verdict, if the world cannot do what the scenario asks.
    pub fn skipped(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Skipped { reason } => Some(reason),
            Outcome::Passed | Outcome::Failed { .. } => None,
        }
    }

    /// The command that repeats it.
    pub fn command(&self) -> String {
        let variant =
            self.variant.as_ref().map_or_else(String::new, |variant| format!(" --variant {variant}"));
        let mutant = self.mutant.map_or_else(String::new, |mutant| format!(" --mutant {mutant}"));
        format!(
            "cargo leyden run {} --world {} --seed {}{variant}{mutant}",
            self.scenario.name, self.world, self.seed
        )
    }

    /// Why it failed, for a person: message, place, folder, command. Empty if it passed.
    pub fn failure(&self) -> String {
        let Outcome::Failed { message, place } = &self.outcome else { return String::new() };
        let mut text = format!("{message}\n  at {place}\n");
        if let Some(folder) = &self.folder {
            text.push_str(&format!("  folder: {}\n", folder.display()));
        }
        text.push_str(&format!("  repeat: {}\n", self.command()));
        text
    }
}

thread_local! {
    /// The last panic of a scenario on this thread, while one runs.
    static CAUGHT: RefCell<Option<(String, String)>> = const { RefCell::new(None) };
    static RUNNING: RefCell<bool> = const { RefCell::new(false) };
}

/// Keeps scenarios' failures off stderr: they are told in the report.
fn quiet_hook() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let other = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !RUNNING.with_borrow(|running| *running) {
                return other(info);
            }
            let payload = info.payload();
            let literal = payload.downcast_ref::<&str>().copied();
            let words = literal.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
            let message = words.unwrap_or("a panic without words").to_string();
            let place = info.location().map_or_else(String::new, |at| format!("{}:{}", at.file(), at.line()));
            CAUGHT.set(Some((message, place)));
        }));
    });
}

/// Runs a scenario. An error means that the world could not be set up, which is no verdict on the scenario. A variant is held
/// against the run without it, which is made first.
pub fn run(scenario: &'static Scenario, options: &Options) -> Result<Run, WorldError> {
    if options.variant.is_none() {
        return run_against(scenario, options, None, false);
    }
    let happy = Options { variant: None, page: false, keep: None, ..options.clone() };
    let base = run_against(scenario, &happy, None, true)?;
    run_against(scenario, options, Some(&base), false)
}

/// The same; a variant is held against this run without it. A `lean` run that passes leaves out what only people read.
pub(crate) fn run_against(
    scenario: &'static Scenario,
    options: &Options,
    base: Option<&Run>,
    lean: bool,
) -> Result<Run, WorldError> {
    quiet_hook();
    let started = Instant::now();
    let mut net = Net::new(scenario, options)?;
    net.plan_cut();
    let outcome = attempt(|| {
        (scenario.function)(&mut net);
        if !net.has_expected() {
            net.expect_settlement();
        }
    });
    // A payment may fail when a link breaks under it: then the script's expectations are void, but not what is due to everybody.
    let excused = net.probe.cuts() && net.a_payment_failed() && net.noticed().is_none();
    let outcome = match outcome {
        Outcome::Failed { .. } if excused => attempt(|| {
            net.settle();
            net.expect_settlement();
        }),
        other => other,
    };
    let mut run = Run {
        scenario,
        world: options.world,
        seed: options.seed,
        variant: options.variant.clone(),
        mutant: options.mutant,
        outcome,
        cause: None,
        settlement: Settlement::default(),
        transcript: String::new(),
        ladder: String::new(),
        tree: String::new(),
        shape: Shape::default(),
        page: None,
        elapsed: Duration::ZERO,
        folder: None,
    };
    gather(&mut run, &mut net, lean);
    if let (Some(base), true) = (base, run.passed()) {
        run.outcome = judge(&net, base, &run);
        if !run.passed() {
            gather(&mut run, &mut net, false);
        }
    }
    if let Some(message) = left_to_chance(&run, &mut net) {
        run.outcome = Outcome::Failed { message, place: format!("{}:{}", scenario.file, scenario.line) };
    }
    run.cause = run.cause.or_else(|| cause(&run.outcome, &net));
    // Twice, so that the page and the folder can say how long it took.
    run.elapsed = started.elapsed();
    let told = matches!(run.outcome, Outcome::Failed { .. }) && options.mutant.is_none();
    if options.page || told {
        // A failure of the page must not hide the scenario's own.
        let mut text = None;
        attempt(|| text = Some(page::render(&run, &mut net)));
        run.page = text;
    }
    if told || options.keep.is_some() {
        run.folder = report::leave(&run, &mut net, options.keep.as_deref());
    }
    drop(net);
    run.elapsed = started.elapsed();
    Ok(run)
}

/// What is to be shown. After a failure inside the world even looking at it may fail.
/// A lean run that passed shows nothing.
fn gather(run: &mut Run, net: &mut Net, lean: bool) {
    let passed = run.passed();
    let gathering = attempt(|| {
        run.settlement = net.settlement();
        run.shape = net.shape();
        if lean && passed {
            return;
        }
        run.transcript = net.transcript();
        run.ladder = net.ladder();
        run.tree = Tree(&run.settlement).to_string();
    });
    if run.passed() {
        run.outcome = gathering;
    }
}

/// What a run in one process shows of a scenario that would not always end like this between processes.
fn left_to_chance(run: &Run, net: &mut Net) -> Option<String> {
    let as_written = run.variant.is_none() && run.mutant.is_none() && run.world != WorldKind::Live;
    let in_live = run.scenario.worlds.contains(&WorldKind::Live);
    (run.passed() && as_written && in_live).then(|| net.left_to_chance()).flatten()
}

/// What noticed a failure: the net knows of checks and snapshots, the place tells a panic of the core from a step that failed.
fn cause(outcome: &Outcome, net: &Net) -> Option<Cause> {
    let Outcome::Failed { place, .. } = outcome else { return None };
    let core = place.starts_with("node/core/") || place.contains("/node/core/");
    Some(if core { Cause::Panic } else { net.noticed().unwrap_or(Cause::Expectation) })
}

fn attempt(work: impl FnOnce()) -> Outcome {
    RUNNING.set(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    RUNNING.set(false);
    match result {
        Ok(()) => Outcome::Passed,
        Err(payload) => {
            if let Some(CannotHere { verb }) = payload.downcast_ref() {
                CAUGHT.take();
                return Outcome::Skipped { reason: format!("processes cannot do this: {verb}") };
            }
            let (message, place) = CAUGHT.take().unwrap_or_default();
            Outcome::Failed { message, place }
        }
    }
}
