//! What the command line takes.
use super::sweep::SweepOrder;
use clap::{Args, Parser, Subcommand};
use leyden_harness::sweep::Variant;
use leyden_harness::{Mutant, WorldKind};
use std::path::PathBuf;

/// Lightning scenarios, in a deterministic world or on real Bitcoin Core.
#[derive(Parser, Debug)]
#[command(name = "leyden", version, arg_required_else_help = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub task: Task,
}

#[derive(Subcommand, Debug)]
pub(super) enum Task {
    /// Lists the scenarios: name, theme, worlds, one line each
    List,
    /// Runs scenarios and shows how they settle
    Run(Order),
    /// Runs every variant of one scenario: a lie, a reorg or a broken link, wherever there can be one
    Sweep(SweepOrder),
    /// Plants each known bug and shows which scenario notices it
    Mutants(Hunt),
}

#[derive(Args, Debug, Default)]
pub(super) struct Hunt {
    /// The bugs to plant; all of them if none is named
    #[arg(value_name = "NAME")]
    pub mutants: Vec<Mutant>,
    /// The chain underneath: sim or regtest [default: sim]
    #[arg(long, value_name = "WORLD")]
    pub world: Option<WorldKind>,
}

#[derive(Args, Debug, Default)]
pub(super) struct Order {
    /// The scenarios' names (see `leyden list`)
    #[arg(value_name = "NAME", required_unless_present = "all", conflicts_with = "all")]
    pub names: Vec<String>,
    /// Run every scenario, in every world it can run in
    #[arg(long)]
    pub all: bool,
    /// The chain underneath: sim or regtest [default: sim, or both with --all]
    #[arg(long, value_name = "WORLD")]
    pub world: Option<WorldKind>,
    /// Keys, and with them everything else, follow from it
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Write results to this file: one object, or an array for several runs
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the transcript to this file
    #[arg(long, value_name = "FILE")]
    pub transcript: Option<PathBuf>,
    /// Show the messages as a ladder
    #[arg(long)]
    pub ladder: bool,
    /// Show the tree of on-chain transactions of each channel
    #[arg(long)]
    pub tree: bool,
    /// Write one page with ladder, tree and balances to this file
    #[arg(long, value_name = "FILE", conflicts_with = "all")]
    pub html: Option<PathBuf>,
    /// Do this to the scenario behind its script's back, as a sweep does: reorg:117:3, cut:17:before
    #[arg(long, value_name = "VARIANT", conflicts_with = "all")]
    pub variant: Option<Variant>,
    /// Leave each run's folder here, also when it passes
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
    /// Plant this bug in the nodes (see leyden mutants)
    #[arg(long, value_name = "NAME")]
    pub mutant: Option<Mutant>,
}

/// Clap's error without usage and tips.
pub(super) fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let mut lines = text.lines().map(str::trim).take_while(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    let rest: Vec<&str> = lines.collect();
    let more = if rest.is_empty() { String::new() } else { format!(" {}", rest.join(" ")) };
    format!("{first}{more} (see leyden --help)")
}
