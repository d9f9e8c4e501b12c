//! The node's settings: one table, each settable in `leyden.toml`, in the environment and by a flag, under the same name;
//! the flag wins over the environment, that over the file, that over the default. All are checked before anything starts,
//! and what is refused is refused with its name, where it came from, and what is allowed.

mod chain;
mod settings;
mod sources;
#[cfg(test)]
mod tests;

use crate::secret::Secret;
use crate::seed::Passphrase;
use bitcoin::Network;
use leyden_core::ids::NodeId;
use leyden_core::node::NodeConfig;
use leyden_core::tower::TowerConfig;
use leyden_core::units::FeeratePerKw;
use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

pub use sources::{Environment, RunArgs, Source, TowerArgs};

/// The file of settings in the node's folder.
pub const FILE: &str = "leyden.toml";

/// Everything that a run of the node is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the node keeps its things.
    pub folder: PathBuf,
    /// Which chain.
    pub network: Network,
    /// Where peers can connect; nowhere without it. Port 0 lets the system choose.
    pub listen: Option<SocketAddr>,
    /// Peers to connect to at the start, and to keep connected.
    pub connect: Vec<PeerAddress>,
    /// The towers that keep what punishes old states.
    pub towers: Vec<PeerAddress>,
    /// Where the control API listens. Loopback.
    pub control: SocketAddr,
    /// Where the chain comes from.
    pub chain: ChainConfig,
    /// The feerate while the chain's source has no estimate.
    pub fallback_feerate: FeeratePerKw,
    /// What is logged, and where.
    pub log: LogConfig,
    /// The name that the node announces (BOLT 7), at most 32 bytes.
    pub alias: String,
    /// What locks the seed.
    pub passphrase: Option<Passphrase>,
    /// How the node behaves.
    pub node: NodeConfig,
    /// What a tower does for how many.
    pub tower: TowerConfig,
}

/// A peer, and where it listens: `<node id>@<host>:<port>`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerAddress {
    /// Who.
    pub id: NodeId,
    /// A name or an IP address; one of version 6 in brackets.
    pub host: String,
    /// Its TCP port.
    pub port: u16,
}

/// Text that is no `<node id>@<host>:<port>`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("it must be <node id>@<host>:<port>, the id as 66 hex digits")]
pub struct PeerAddressError;

impl FromStr for PeerAddress {
    type Err = PeerAddressError;

    fn from_str(text: &str) -> Result<Self, PeerAddressError> {
        let (id, address) = text.split_once('@').ok_or(PeerAddressError)?;
        let (host, port) = address.rsplit_once(':').ok_or(PeerAddressError)?;
        let id = id.parse().map_err(|_| PeerAddressError)?;
        let port = port.parse().map_err(|_| PeerAddressError)?;
        // An address of version 6 without brackets would lose its last part to the port.
        let is_bracketed = host.starts_with('[') && host.ends_with(']');
        let is_host = !host.is_empty() && (is_bracketed || !host.contains(':'));
        is_host.then(|| Self { id, host: host.to_owned(), port }).ok_or(PeerAddressError)
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}:{}", self.id, self.host, self.port)
    }
}

/// Where the chain comes from.
#[derive(Clone, Debug)]
pub enum ChainConfig {
    /// Bitcoin Core.
    Core(CoreConfig),
    /// An Electrum server: `tcp://<host>:<port>`.
    Electrum(String),
}

/// How to reach Bitcoin Core.
#[derive(Clone, Debug)]
pub struct CoreConfig {
    /// Its RPC server.
    pub url: String,
    /// Who we are to it.
    pub auth: CoreAuth,
}

/// How Bitcoin Core knows us.
#[derive(Clone, Debug)]
pub enum CoreAuth {
    /// By the cookie that it writes at each of its starts: to be read again whenever it refuses.
    CookieFile(PathBuf),
    /// By a name and a password.
    Password {
        /// `rpcuser`.
        user: String,
        /// `rpcpassword`.
        password: Secret,
    },
}

/// What this program runs as: each takes the settings that say something to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// A node.
    Node,
    /// A watchtower.
    Tower,
}

/// What is logged, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogConfig {
    /// A level, or `tracing-subscriber` directives such as `info,leyden_node::net=debug`.
    pub filter: String,
    /// For whom.
    pub format: LogFormat,
    /// To this file; without it to stderr.
    pub file: Option<PathBuf>,
}

/// Who reads the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// People.
    Human,
    /// Programs: one JSON object a line.
    Json,
}

/// Why the settings are refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value is not allowed.
    #[error("setting `{name}` (from {source_of_it}) is {value}: it must be {allowed}")]
    Value {
        /// Which setting.
        name: &'static str,
        /// Where the value came from.
        source_of_it: Source,
        /// The value, quoted; a secret one is not shown.
        value: String,
        /// What it may be.
        allowed: &'static str,
    },
    /// Two settings do not fit together.
    #[error("settings `{0}` and `{1}` do not fit together: {2}")]
    Together(&'static str, &'static str, &'static str),
    /// The file has a key that is no setting.
    #[error("{path}: there is no setting `{key}`{}", did_you_mean(.near))]
    Unknown {
        /// Which file.
        path: PathBuf,
        /// The key.
        key: String,
        /// The setting that looks most like it.
        near: Option<&'static str>,
    },
    /// This setting is not for the file, or not for the environment.
    #[error("setting `{name}` cannot stand in {source_of_it}: {why}")]
    Misplaced {
        /// Which.
        name: &'static str,
        /// Where it was.
        source_of_it: Source,
        /// Why not.
        why: &'static str,
    },
    /// The file is no TOML.
    #[error("{path}, line {line}: this is not TOML: {what}")]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// The parser's word for it, without the line itself.
        what: String,
    },
    /// A file cannot be read.
    #[error("setting `{name}`: {path} cannot be read: {error}")]
    Unreadable {
        /// Which setting named it.
        name: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

fn did_you_mean(near: &Option<&'static str>) -> String {
    near.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

impl Config {
    /// The settings of a node: its flags, the process's environment, the file in the folder, the defaults.
    pub fn load(args: &RunArgs) -> Result<Self, ConfigError> {
        Self::load_from(args, Some(Role::Node), &|name| std::env::var_os(name))
    }

    /// The same for what a node's folder and a tower's have in common, the seed: the file may be that of either.
    pub fn load_either(args: &RunArgs) -> Result<Self, ConfigError> {
        Self::load_from(args, None, &|name| std::env::var_os(name))
    }

    /// The settings of a tower. Its usual folder is not a node's, so that both can run on one machine.
    pub fn load_tower(args: &TowerArgs) -> Result<Self, ConfigError> {
        let environment: Environment = &|name| std::env::var_os(name);
        Self::load_from(&args.settings(environment), Some(Role::Tower), environment)
    }

    /// The same, with the environment given; without a role the settings of both are taken.
    pub fn load_from(
        args: &RunArgs,
        role: Option<Role>,
        environment: Environment,
    ) -> Result<Self, ConfigError> {
        let values = sources::collect(args, role, environment)?;
        let mut draft = settings::Draft::new(environment);
        for (setting, source, values) in &values {
            settings::apply(setting, source, values, &mut draft)?;
        }
        draft.finish()
    }
}

/// The first line of a file that holds a passphrase; one line end, as editors leave it, is not part of it.
fn read_passphrase(path: &PathBuf) -> Result<Passphrase, ConfigError> {
    let text = fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
        name: "passphrase-file",
        path: path.clone(),
        error,
    })?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Secret::new(text.strip_suffix('\r').unwrap_or(text)))
}
