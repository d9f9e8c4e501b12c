//! The command line's first words: what is to be done, with which settings, and what the exit status is.
mod detach;

use crate::app::{self, RunError, Settings};
use crate::cli;
use crate::config::{Config, ConfigError, PeerAddress, RunArgs, TowerArgs};
use crate::log::{self, LogError};
use crate::seed::{SeedError, SeedFile};
use crate::store::StoreError;
use crate::tower;
use clap::{Parser, Subcommand};
use leyden_core::keys::NodeSeed;
use std::future::Future;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::time::Duration;

/// The mempool is looked at so often; Core has no way to wait for it.
const MEMPOOL_INTERVAL: Duration = Duration::from_secs(2);
/// Threads for sockets; the node itself has one of its own.
const WORKERS: usize = 2;

/// A Lightning node.
#[derive(Parser)]
#[command(name = "leyden-node", version, about, long_about = None, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Run the node in the foreground; SIGTERM, SIGINT or `cli stop` end it.
    ///
    /// Each setting can be given as a flag, as an environment variable LEYDEN_<NAME>, or in leyden.toml in the folder, in this order.
    /// The first run makes the folder and a seed: write its words down with `leyden-node words`.
    ///
    /// When it runs, one line on stdout says what a peer needs to connect to it: ID@HOST:PORT.
    Run {
        #[command(flatten)]
        args: RunArgs,
        #[command(flatten)]
        background: Background,
    },
    /// Run a watchtower: it keeps sealed penalties for nodes, and punishes when one of their peers publishes an old state.
    ///
    /// It holds no money, and can take none. When it runs, one line on stdout says what nodes name with --tower: ID@HOST:PORT.
    Tower {
        #[command(flatten)]
        args: TowerArgs,
        #[command(flatten)]
        background: Background,
    },
    /// Talk to a running node, or to a tower (getinfo, listpeers, stop).
    Cli(Box<cli::CliArgs>),
    /// Show the 24 words of the node's seed. Whoever reads them owns the node's money.
    Words(RunArgs),
    /// Make the seed of a new folder from 24 words, read from standard input.
    Restore(RunArgs),
    /// Show the wallet's descriptors, to watch its coins elsewhere. They cannot spend.
    Descriptor(RunArgs),
}

#[derive(clap::Args)]
struct Background {
    /// Go on in the background: return once it runs. It logs to log in its folder, unless --log-file says otherwise
    #[arg(long)]
    detach: bool,
}

/// Why the program ends with an error.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Seed(#[from] SeedError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it did not start ({0})")]
    Ended(std::process::ExitStatus),
    #[cfg(feature = "lab")]
    #[error(transparent)]
    Lab(#[from] crate::trace::TraceError),
}

/// `leyden-node`.
pub fn main() -> ExitCode {
    let Arguments { what } = Arguments::parse();
    let result = match what {
        What::Run { args, background } => start(Config::load(&args), &background, run),
        What::Tower { args, background } => start(Config::load_tower(&args), &background, tower),
        What::Cli(args) => return cli::run(*args),
        What::Words(args) => words(&args),
        What::Restore(args) => restore(&args),
        What::Descriptor(args) => descriptor(&args),
    };
    exit(result)
}

fn exit(result: Result<(), StartError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("leyden-node: {error}");
            let usage = matches!(error, StartError::Config(_) | StartError::Log(_));
            ExitCode::from(if usage { 2 } else { 1 })
        }
    }
}

/// Runs it here, or in the background.
fn start(
    config: Result<Config, ConfigError>,
    background: &Background,
    run: fn(Config) -> Result<(), StartError>,
) -> Result<(), StartError> {
    let config = config?;
    if background.detach {
        return detach::detach(&config.folder, config.log);
    }
    run(config)
}

fn run(config: Config) -> Result<(), StartError> {
    log::start(&config.log)?;
    let seed = seed(&config)?;
    let settings = settings(config, seed);
    in_runtime(app::run(
        settings,
        #[cfg(feature = "lab")]
        None,
    ))
}

/// The seed of the folder; a new one in a new folder.
fn seed(config: &Config) -> Result<NodeSeed, SeedError> {
    let (folder, passphrase) = (&config.folder, config.passphrase.as_ref());
    if SeedFile::exists(folder) {
        return SeedFile::open(folder, passphrase);
    }
    let seed = SeedFile::create(folder, None, passphrase)?;
    tracing::warn!(folder = %folder.display(), "a new seed: write its words down (leyden-node words)");
    Ok(seed)
}

fn tower(config: Config) -> Result<(), StartError> {
    log::start(&config.log)?;
    let seed = seed(&config)?;
    let listen =
        config.listen.ok_or(ConfigError::Together("tower", "listen", "a tower listens for its clients"))?;
    in_runtime(tower::run(tower::Settings {
        folder: config.folder,
        network: config.network,
        listen,
        control: config.control,
        chain: config.chain,
        alias: config.alias,
        fallback_feerate: config.fallback_feerate,
        mempool_interval: MEMPOOL_INTERVAL,
        tower: config.tower,
        seed,
    }))
}

fn settings(config: Config, seed: NodeSeed) -> Settings {
    let places = |peers: &[PeerAddress]| {
        peers.iter().map(|peer| (peer.id, format!("{}:{}", peer.host, peer.port))).collect()
    };
    let (connect, towers) = (places(&config.connect), places(&config.towers));
    Settings {
        folder: config.folder,
        network: config.network,
        listen: config.listen,
        control: config.control,
        chain: config.chain,
        alias: config.alias,
        fallback_feerate: Some(config.fallback_feerate),
        mempool_interval: Some(MEMPOOL_INTERVAL),
        connect,
        towers,
        redial: true,
        node: config.node,
        seed,
    }
}

fn in_runtime(run: impl Future<Output = Result<(), RunError>>) -> Result<(), StartError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(WORKERS).build()?;
    Ok(runtime.block_on(run)?)
}

fn words(args: &RunArgs) -> Result<(), StartError> {
    let config = Config::load_either(args)?;
    let words = SeedFile::words(&config.folder, config.passphrase.as_ref())?;
    let words: Vec<&str> = words.expose().collect();
    writeln!(io::stdout(), "{}", words.join(" "))?;
    Ok(())
}

fn restore(args: &RunArgs) -> Result<(), StartError> {
    let config = Config::load_either(args)?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let words = crate::secret::Secret::new(line.trim());
    SeedFile::restore(&config.folder, &words, config.passphrase.as_ref())?;
    writeln!(io::stdout(), "the seed is in {}", config.folder.display())?;
    Ok(())
}

fn descriptor(args: &RunArgs) -> Result<(), StartError> {
    let config = Config::load_either(args)?;
    let seed = SeedFile::open(&config.folder, config.passphrase.as_ref())?;
    for descriptor in leyden_core::chain::watch_only_descriptors(&seed) {
        writeln!(io::stdout(), "{descriptor}")?;
    }
    Ok(())
}

/// `leyden-node-lab run`: a harness on standard input says who the node is, when it is, and what the chain asks.
#[cfg(feature = "lab")]
pub fn lab_main() -> ExitCode {
    let Arguments { what } = Arguments::parse();
    let What::Run { args, background: Background { detach: false } } = what else {
        eprintln!("leyden-node-lab: it only runs, for a harness; all else is done by leyden-node");
        return ExitCode::from(2);
    };
    exit(run_lab(&args))
}

#[cfg(feature = "lab")]
fn run_lab(args: &RunArgs) -> Result<(), StartError> {
    let config = Config::load(args)?;
    log::start(&config.log)?;
    let (lab, begin, told, orders) = crate::lab::Lab::begin()?;
    let config = Config { node: begin.config, ..config };
    let settings = Settings { mempool_interval: None, redial: false, ..settings(config, begin.seed) };
    in_runtime(app::run(settings, Some(app::LabEnd { lab, told, orders })))
}
