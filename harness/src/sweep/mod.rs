//! Sweeps: from one scenario that ends well, many runs that differ by one thing that its script does not know of: a reorg, a broken
//! link, a lie, a kill. Each is held against the run without it. Plans, runs on every core, and hands back rows; it prints nothing.
//!
//! ```text
//!   run NAME -> shape (blocks, messages, past states, saves) -> variants -> runs, side by side -> rows
//! ```

mod judge;
mod plan;
mod probe;
mod subset;
mod variant;

pub(crate) use judge::judge;
pub use plan::{Block, PastState, Save, Shape};
pub use probe::Probe;
pub use subset::{BadSubset, Subset};
pub use variant::{BadVariant, Kind, Variant};

use crate::catalogue::Scenario;
use crate::run::{run_against, Options, Outcome, Run};
use crate::snapshot::SnapshotMode;
use crate::world::{WorldError, WorldKind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;
use std::time::Duration;

/// What to sweep.
#[derive(Clone, Debug)]
pub struct Order {
    /// Which of the variants there are.
    pub kind: Kind,
    /// Where.
    pub world: WorldKind,
    /// From which seed.
    pub seed: u64,
    /// Which of the planned variants to run.
    pub only: Subset,
}

/// A planned sweep.
#[derive(Debug)]
pub struct Sweep {
    scenario: &'static Scenario,
    order: Order,
    base: Run,
    variants: Vec<Variant>,
}

/// One variant that was run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// Which.
    pub variant: Variant,
    /// How it ended.
    pub outcome: Outcome,
    /// The height it came to.
    pub height: u32,
    /// By the wall clock.
    pub elapsed: Duration,
    /// The failing run for a person: message, place, folder, command. Empty if it passed.
    pub failure: String,
    /// The command that repeats just this run.
    pub command: String,
}

impl Row {
    /// Whether it passed.
    pub fn passed(&self) -> bool {
        self.outcome == Outcome::Passed
    }
}

/// Why there is no sweep.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The world could not be set up, or broke.
    #[error(transparent)]
    World(#[from] WorldError),
    /// The scenario does not pass as it is.
    #[error("{name} fails without any variant, so there is nothing to hold one against:\n{failure}")]
    Unhappy {
        /// The scenario.
        name: &'static str,
        /// Its own failure.
        failure: String,
    },
    /// Nothing to run.
    #[error("no variant of {name} is chosen: {planned} were planned")]
    Nothing {
        /// The scenario.
        name: &'static str,
        /// How many there were before `--only`.
        planned: usize,
    },
}

impl Sweep {
    /// Runs the scenario once as it is, and plans its variants.
    ///
    /// # Errors
    /// See [`SweepError`].
    pub fn plan(scenario: &'static Scenario, order: Order) -> Result<Self, SweepError> {
        let options = Options {
            world: order.world,
            seed: order.seed,
            keep: None,
            snapshots: SnapshotMode::Compare,
            variant: None,
            mutant: None,
            page: false,
        };
        let base = run_against(scenario, &options, None, true)?;
        if !base.passed() {
            return Err(SweepError::Unhappy { name: scenario.name, failure: base.failure() });
        }
        let all = base.shape.variants(order.kind);
        let planned = all.len();
        let variants = order.only.choose(all);
        if variants.is_empty() {
            return Err(SweepError::Nothing { name: scenario.name, planned });
        }
        Ok(Self { scenario, order, base, variants })
    }

    /// What will be run, in order.
    pub fn variants(&self) -> &[Variant] {
        &self.variants
    }

    /// Runs all of it, on every core, and tells of each run that is over. The rows, in the order of the plan.
    ///
    /// # Errors
    /// The first world that could not be set up.
    pub fn run(&self, over: &(dyn Fn(&Row) + Sync)) -> Result<Vec<Row>, SweepError> {
        let next = AtomicUsize::new(0);
        let rows: Mutex<Vec<(usize, Result<Row, WorldError>)>> = Mutex::new(Vec::new());
        let work = || loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(variant) = self.variants.get(number) else { return };
            let row = self.run_one(variant);
            if let Ok(row) = &row {
                over(row);
            }
            let mut rows = rows.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            rows.push((number, row));
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(work))));
        let mut rows = rows.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        rows.sort_by_key(|(number, _)| *number);
        rows.into_iter().map(|(_, row)| Ok(row?)).collect()
    }

    fn run_one(&self, variant: &Variant) -> Result<Row, WorldError> {
        let options = Options {
            world: self.order.world,
            seed: self.order.seed,
            keep: None,
            snapshots: SnapshotMode::Compare,
            variant: Some(variant.clone()),
            mutant: None,
            page: false,
        };
        let run = run_against(self.scenario, &options, Some(&self.base), true)?;
        Ok(Row {
            variant: variant.clone(),
            height: run.shape.blocks.last().map_or(0, |block| block.height),
            elapsed: run.elapsed,
            failure: run.failure(),
            command: run.command(),
            outcome: run.outcome,
        })
    }
}
