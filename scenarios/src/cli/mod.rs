//! The command line: `leyden list`, `leyden run`, `leyden sweep`, `leyden mutants`. Exit status 0 if all passed, 1 if a scenario
//! failed, 2 if nothing could be run as asked (an unknown name, a bad option, no usable bitcoind): then with one clear line.

mod arguments;
mod json;
mod list;
mod mutants;
mod runs;
mod sweep;

use arguments::{Arguments, Task};
use clap::Parser;
use leyden_harness::catalogue::CatalogueError;
use leyden_harness::provision::ProvisionError;
use leyden_harness::sweep::SweepError;
use leyden_harness::world::WorldError;
use leyden_harness::WorldKind;
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

/// All passed.
const PASSED: u8 = 0;
/// A scenario failed.
const FAILED: u8 = 1;
/// Not run as asked.
const REFUSED: u8 = 2;

/// Why nothing was run as asked.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("{0}")]
    Arguments(String),
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    #[error(transparent)]
    World(#[from] WorldError),
    #[error(transparent)]
    Sweep(#[from] SweepError),
    #[error("--html is one page for one scenario: {0} were named")]
    OnePage(usize),
    #[error(transparent)]
    Bitcoind(#[from] ProvisionError),
    #[error("{name} cannot run in {world}")]
    WrongWorld { name: &'static str, world: WorldKind },
    #[error("cannot write {}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("cannot write the output: {0}")]
    Output(#[from] std::io::Error),
}

/// Runs the command line with these arguments, the program's name first. The exit status.
pub fn run(arguments: impl IntoIterator<Item = OsString>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let told = match Arguments::try_parse_from(arguments) {
        Ok(Arguments { task: Task::List }) => list::list(out).map(|()| PASSED),
        Ok(Arguments { task: Task::Run(order) }) => runs::run(&order, out, err),
        Ok(Arguments { task: Task::Sweep(order) }) => sweep::run(&order, out, err),
        Ok(Arguments { task: Task::Mutants(order) }) => mutants::hunt(&order, out, err),
        Err(error) if !error.use_stderr() => {
            return match write!(out, "{error}") {
                Ok(()) => PASSED,
                Err(_) => REFUSED,
            };
        }
        Err(error) => Err(Refusal::Arguments(arguments::one_line(&error))),
    };
    match told {
        Ok(code) => code,
        // Who reads has seen enough (`| head`): nothing to complain about.
        Err(Refusal::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => PASSED,
        Err(refusal) => {
            // If even this cannot be written there is nobody to tell.
            let _ = writeln!(err, "leyden: {refusal}");
            REFUSED
        }
    }
}
