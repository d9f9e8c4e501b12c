//! The table of all settings: name, help, what is allowed, and where in [`Config`] it goes. A new setting is a new row.

use super::chain::ChainDraft;
use super::sources::Environment;
use super::{ChainConfig, Config, ConfigError, CoreAuth, CoreConfig, LogConfig, LogFormat, Role, Source};
use crate::secret::Secret;
use bitcoin::Network;
use leyden_core::node::NodeConfig;
use leyden_core::tower::TowerConfig;
use leyden_core::units::{FeeratePerKw, Msat, Sat};
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// One setting.
pub(super) struct Setting {
    /// In the file and as a flag; in the environment in capitals, `LEYDEN_` before it, `_` for `-`.
    pub name: &'static str,
    /// Under which title `--help` shows it.
    pub heading: &'static str,
    /// What stands for its value in the help.
    pub value: &'static str,
    /// What it is for.
    pub help: &'static str,
    /// What holds when it is not set, in words.
    pub default: &'static str,
    /// What its value must be.
    pub allowed: &'static str,
    /// Where it goes.
    pub take: Take,
    /// Whether its value is a secret: then it is no flag, which every user of the machine could read.
    pub secret: bool,
    /// Why the file cannot set it, if so.
    pub not_in_file: Option<&'static str>,
}

/// How a value is taken in; nothing when it is not allowed.
pub(super) enum Take {
    /// One value.
    One(fn(&mut Draft, &str) -> Option<()>),
    /// Any number of them; all are from one source.
    Many(fn(&mut Draft, &str) -> Option<()>),
}

impl Setting {
    pub fn variable(&self) -> String {
        format!("LEYDEN_{}", self.name.to_uppercase().replace('-', "_"))
    }

    pub fn has_flag(&self) -> bool {
        !self.secret
    }

    /// Whether it says anything to a node.
    pub fn is_for_node(&self) -> bool {
        self.heading != TOWER
    }

    /// Whether it says anything to a tower.
    pub fn is_for_tower(&self) -> bool {
        matches!(self.heading, GENERAL | CHAIN | LOGGING | TOWER) || matches!(self.name, "listen" | "control")
    }

    /// Whose setting it is alone, where that is somebody else than the one who asks.
    pub fn is_only_for_another(&self, role: Option<Role>) -> Option<Role> {
        match role? {
            Role::Node => (!self.is_for_node()).then_some(Role::Tower),
            Role::Tower => (!self.is_for_tower()).then_some(Role::Node),
        }
    }

    pub fn refuse(&self, source: &Source, value: &str) -> ConfigError {
        ConfigError::Value {
            name: self.name,
            source_of_it: source.clone(),
            value: value.to_owned(),
            allowed: self.allowed,
        }
    }
}

/// Takes a setting's values into the draft.
pub(super) fn apply(
    setting: &Setting,
    source: &Source,
    values: &[String],
    draft: &mut Draft,
) -> Result<(), ConfigError> {
    let (Take::One(take) | Take::Many(take)) = &setting.take;
    for value in values {
        let shown = if setting.secret { "not shown".to_owned() } else { format!("{value:?}") };
        take(draft, value).ok_or_else(|| setting.refuse(source, &shown))?;
    }
    Ok(())
}

/// What is known so far.
pub(super) struct Draft {
    config: Config,
    chain: ChainDraft,
    passphrase_file: Option<PathBuf>,
}

impl Draft {
    /// The defaults.
    pub fn new(environment: Environment) -> Self {
        let home = home(environment).unwrap_or_default();
        let config = Config {
            folder: default_folder(environment).unwrap_or_default(),
            network: Network::Regtest,
            listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9735))),
            connect: Vec::new(),
            towers: Vec::new(),
            control: SocketAddr::from((Ipv4Addr::LOCALHOST, 9736)),
            chain: ChainConfig::Core(CoreConfig {
                url: "http://127.0.0.1:18443".to_owned(),
                auth: CoreAuth::CookieFile(home.join(".bitcoin/regtest/.cookie")),
            }),
            fallback_feerate: FeeratePerKw::new(2500),
            log: LogConfig { filter: "info".to_owned(), format: LogFormat::Human, file: None },
            alias: String::new(),
            passphrase: None,
            node: NodeConfig::default(),
            tower: TowerConfig::default(),
        };
        let passphrase_file = None;
        Self { config, chain: ChainDraft::default(), passphrase_file }
    }

    /// The settings, if they fit together.
    pub fn finish(self) -> Result<Config, ConfigError> {
        let mut config = self.config;
        config.chain = self.chain.finish(config.chain)?;
        if let Some(path) = self.passphrase_file {
            if config.passphrase.is_some() {
                let why = "set one of them";
                return Err(ConfigError::Together("passphrase", "passphrase-file", why));
            }
            config.passphrase = Some(super::read_passphrase(&path)?);
        }
        config.node.tower = !config.towers.is_empty();
        let channel = &config.node.channel;
        if channel.min_funding > channel.max_funding {
            let why = "the least is more than the most";
            return Err(ConfigError::Together("channel-min-funding", "channel-max-funding", why));
        }
        let forward = &config.node.forward;
        if forward.htlc_minimum > forward.htlc_maximum {
            let why = "the least is more than the most";
            return Err(ConfigError::Together("forward-htlc-minimum", "forward-htlc-maximum", why));
        }
        Ok(config)
    }
}

fn home(environment: Environment) -> Option<PathBuf> {
    environment("HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
}

/// `~/.leyden`; none without a home.
pub(super) fn default_folder(environment: Environment) -> Option<PathBuf> {
    home(environment).map(|home| home.join(".leyden"))
}

fn number<T: std::str::FromStr + PartialOrd>(text: &str, allowed: RangeInclusive<T>) -> Option<T> {
    text.parse().ok().filter(|number| allowed.contains(number))
}

fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| PathBuf::from(text))
}

fn url(text: &str, schemes: &[&str]) -> Option<String> {
    let rest = schemes.iter().find_map(|scheme| text.strip_prefix(scheme))?;
    (!rest.is_empty()).then(|| text.to_owned())
}

/// No more than all bitcoin there will ever be.
const MOST_SAT: u64 = 21_000_000 * 100_000_000;

const GENERAL: &str = "General";
const NETWORKING: &str = "Peers and control";
const CHAIN: &str = "The chain";
const LOGGING: &str = "Logs";
const FORWARDING: &str = "Forwarding (BOLT 7)";
const CHANNELS: &str = "Channels (BOLT 2)";
const PAYMENTS: &str = "Payments";
const TOWER: &str = "What the tower takes";

/// A row that any source may set.
const fn row(
    [heading, name, value]: [&'static str; 3],
    help: &'static str,
    [default, allowed]: [&'static str; 2],
    take: fn(&mut Draft, &str) -> Option<()>,
) -> Setting {
    let take = Take::One(take);
    Setting { name, heading, value, help, default, allowed, take, secret: false, not_in_file: None }
}

/// All settings. The folder comes first: the file of the others lies in it.
pub(super) static SETTINGS: &[Setting] = &[
    Setting {
        not_in_file: Some("the file lies in that folder"),
        ..row(
            [GENERAL, "folder", "PATH"],
            "Where the node keeps its seed, its records and its file of settings, leyden.toml",
            ["~/.leyden", "a path"],
            |draft, text| path(text).map(|path| draft.config.folder = path),
        )
    },
    row(
        [GENERAL, "network", "NAME"],
        "Which chain",
        ["regtest", "regtest: the other networks are not served yet"],
        |_, text| (text == "regtest").then_some(()),
    ),
    row(
        [GENERAL, "alias", "TEXT"],
        "The name the node announces",
        ["", "at most 32 bytes of text"],
        |draft, text| {
            let fits = text.len() <= 32 && !text.chars().any(char::is_control);
            fits.then(|| draft.config.alias = text.to_owned())
        },
    ),
    Setting {
        secret: true,
        not_in_file: Some(
            "it would lie beside the seed that it locks; use LEYDEN_PASSPHRASE or `passphrase-file`",
        ),
        ..row(
            [GENERAL, "passphrase", "TEXT"],
            "What locks the seed",
            ["", "a text that is not empty"],
            |draft, text| (!text.is_empty()).then(|| draft.config.passphrase = Some(Secret::new(text))),
        )
    },
    row(
        [GENERAL, "passphrase-file", "PATH"],
        "A file whose text locks the seed; the text itself can be in LEYDEN_PASSPHRASE, never in a flag",
        ["", "a path"],
        |draft, text| path(text).map(|path| draft.passphrase_file = Some(path)),
    ),
    row(
        [NETWORKING, "listen", "HOST:PORT"],
        "Where peers can connect; port 0 lets the system choose, `none` lets nobody in",
        ["127.0.0.1:9735", "an IP address with a port, such as 0.0.0.0:9735 or [::]:9735, or `none`"],
        |draft, text| {
            draft.config.listen = if text == "none" { None } else { Some(text.parse().ok()?) };
            Some(())
        },
    ),
    Setting {
        take: Take::Many(|draft, text| text.parse().ok().map(|peer| draft.config.connect.push(peer))),
        ..row(
            [NETWORKING, "connect", "ID@HOST:PORT"],
            "A peer to connect to at the start; may be given several times (in the environment with commas)",
            ["", "<node id>@<host>:<port>, the id as 66 hex digits"],
            |_, _| None,
        )
    },
    Setting {
        take: Take::Many(|draft, text| text.parse().ok().map(|tower| draft.config.towers.push(tower))),
        ..row(
            [NETWORKING, "tower", "ID@HOST:PORT"],
            "A watchtower that punishes for the node while it is down; may be given several times",
            ["", "<tower's id>@<host>:<port>, the id as 66 hex digits"],
            |_, _| None,
        )
    },
    row(
        [NETWORKING, "control", "HOST:PORT"],
        "Where `leyden-node cli` and programs reach the node; port 0 lets the system choose",
        ["127.0.0.1:9736", "a loopback address with a port: the control API is not for the network"],
        |draft, text| {
            let address: SocketAddr = text.parse().ok()?;
            address.ip().is_loopback().then(|| draft.config.control = address)
        },
    ),
    row(
        [CHAIN, "core-url", "URL"],
        "Bitcoin Core's RPC server",
        ["http://127.0.0.1:18443", "http://<host>:<port>"],
        |draft, text| url(text, &["http://"]).map(|url| draft.chain.core_url = Some(url)),
    ),
    row(
        [CHAIN, "core-cookie-file", "PATH"],
        "The cookie that Core writes at its start",
        ["~/.bitcoin/regtest/.cookie", "a path"],
        |draft, text| path(text).map(|path| draft.chain.cookie_file = Some(path)),
    ),
    row(
        [CHAIN, "core-user", "NAME"],
        "Core's rpcuser, instead of the cookie; its password goes into LEYDEN_CORE_PASSWORD or leyden.toml",
        ["", "a name without `:`"],
        |draft, text| {
            let is_name = !text.is_empty() && !text.contains(':');
            is_name.then(|| draft.chain.user = Some(text.to_owned()))
        },
    ),
    Setting {
        secret: true,
        ..row(
            [CHAIN, "core-password", "TEXT"],
            "Core's rpcpassword",
            ["", "a text that is not empty"],
            |draft, text| (!text.is_empty()).then(|| draft.chain.password = Some(Secret::new(text))),
        )
    },
    row(
        [CHAIN, "electrum-url", "URL"],
        "An Electrum server to take the chain from, instead of Core; it shows no mempool",
        ["", "tcp://<host>:<port>"],
        |draft, text| url(text, &["tcp://"]).map(|url| draft.chain.electrum_url = Some(url)),
    ),
    row(
        [CHAIN, "fallback-feerate", "SAT/KW"],
        "The feerate while the chain's source has no estimate, in satoshis per 1000 weight",
        ["2500", "a number from 253 (the least that is relayed) to 1000000"],
        |draft, text| {
            number(text, 253..=1_000_000).map(|rate| draft.config.fallback_feerate = FeeratePerKw::new(rate))
        },
    ),
    row(
        [LOGGING, "log-level", "FILTER"],
        "error, warn, info, debug, trace, or directives such as info,leyden_node::net=debug",
        ["info", "a level (error, warn, info, debug, trace, off) or tracing directives"],
        |draft, text| {
            let is_filter = !text.is_empty() && tracing_subscriber::EnvFilter::try_new(text).is_ok();
            is_filter.then(|| draft.config.log.filter = text.to_owned())
        },
    ),
    row(
        [LOGGING, "log-format", "FORMAT"],
        "For people or for programs",
        ["human", "human or json"],
        |draft, text| {
            draft.config.log.format = match text {
                "human" => LogFormat::Human,
                "json" => LogFormat::Json,
                _ => return None,
            };
            Some(())
        },
    ),
    row(
        [LOGGING, "log-file", "PATH"],
        "A file to log to, instead of stderr",
        ["", "a path"],
        |draft, text| path(text).map(|path| draft.config.log.file = Some(path)),
    ),
    row(
        [FORWARDING, "forward-fee-base", "MSAT"],
        "The fee for forwarding a payment, whatever its amount",
        ["1000", "a number of millisatoshis below 2^32"],
        |draft, text| {
            number(text, 0..=u64::from(u32::MAX))
                .map(|fee| draft.config.node.forward.fee_base = Msat::new(fee))
        },
    ),
    row(
        [FORWARDING, "forward-fee-ppm", "PPM"],
        "The fee for forwarding a payment, in millionths of its amount",
        ["100", "a number from 0 to 1000000"],
        |draft, text| {
            number(text, 0..=1_000_000).map(|ppm| draft.config.node.forward.fee_proportional_millionths = ppm)
        },
    ),
    row(
        [FORWARDING, "forward-cltv-expiry-delta", "BLOCKS"],
        "Blocks between the expiries of a forwarded payment; below 34 a claim may come too late (BOLT 2)",
        ["40", "a number from 18 to 2016"],
        |draft, text| {
            number(text, 18..=2016).map(|delta| draft.config.node.forward.cltv_expiry_delta = delta)
        },
    ),
    row(
        [FORWARDING, "forward-htlc-minimum", "MSAT"],
        "The smallest payment to forward",
        ["1", "a number of millisatoshis from 1"],
        |draft, text| {
            number(text, 1..=MOST_SAT * 1000)
                .map(|least| draft.config.node.forward.htlc_minimum = Msat::new(least))
        },
    ),
    row(
        [FORWARDING, "forward-htlc-maximum", "MSAT"],
        "The largest payment to forward",
        ["all there is", "a number of millisatoshis from 1"],
        |draft, text| {
            number(text, 1..=MOST_SAT * 1000)
                .map(|most| draft.config.node.forward.htlc_maximum = Msat::new(most))
        },
    ),
    row(
        [CHANNELS, "channel-dust-limit", "SAT"],
        "Outputs of our commitments below this are trimmed",
        ["354", "a number of satoshis from 354 (BOLT 3) to 10000"],
        |draft, text| {
            number(text, 354..=10_000).map(|sat| draft.config.node.channel.dust_limit = Sat::new(sat))
        },
    ),
    row(
        [CHANNELS, "channel-to-self-delay", "BLOCKS"],
        "How long a peer that closes alone waits for its money, and we have to punish a cheat",
        ["144", "a number from 1 to 2016"],
        |draft, text| number(text, 1..=2016).map(|delay| draft.config.node.channel.to_self_delay = delay),
    ),
    row(
        [CHANNELS, "channel-max-to-self-delay", "BLOCKS"],
        "How long we are willing to wait ourselves",
        ["2016", "a number from 1 to 65535"],
        |draft, text| {
            number(text, 1..=u16::MAX).map(|delay| draft.config.node.channel.max_to_self_delay = delay)
        },
    ),
    row(
        [CHANNELS, "channel-htlc-minimum", "MSAT"],
        "The smallest HTLC that a peer may offer us",
        ["1", "a number of millisatoshis from 0"],
        |draft, text| {
            number(text, 0..=MOST_SAT * 1000)
                .map(|least| draft.config.node.channel.htlc_minimum = Msat::new(least))
        },
    ),
    row(
        [CHANNELS, "channel-max-accepted-htlcs", "COUNT"],
        "HTLCs that a peer may have open towards us",
        ["483", "a number from 1 to 483 (BOLT 2)"],
        |draft, text| number(text, 1..=483).map(|most| draft.config.node.channel.max_accepted_htlcs = most),
    ),
    row(
        [CHANNELS, "channel-max-in-flight-percent", "PERCENT"],
        "How much of a channel may be in HTLCs towards us",
        ["100", "a number from 1 to 100"],
        |draft, text| {
            number(text, 1..=100).map(|most| draft.config.node.channel.max_in_flight_percent = most)
        },
    ),
    row(
        [CHANNELS, "channel-reserve-ppm", "PPM"],
        "What a peer must keep in a channel, in millionths of it: what it loses when it cheats",
        ["10000", "a number from 0 to 500000"],
        |draft, text| number(text, 0..=500_000).map(|ppm| draft.config.node.channel.reserve_ppm = ppm),
    ),
    row(
        [CHANNELS, "channel-minimum-depth", "BLOCKS"],
        "Confirmations before a channel that a peer opened is used",
        ["3", "a number from 1 to 144"],
        |draft, text| number(text, 1..=144).map(|depth| draft.config.node.channel.minimum_depth = depth),
    ),
    row(
        [CHANNELS, "channel-min-funding", "SAT"],
        "The smallest channel we take",
        ["10000", "a number of satoshis from 1000"],
        |draft, text| {
            number(text, 1000..=MOST_SAT).map(|least| draft.config.node.channel.min_funding = Sat::new(least))
        },
    ),
    row(
        [CHANNELS, "channel-max-funding", "SAT"],
        "The largest channel we take or make",
        ["1000000000", "a number of satoshis from 1000"],
        |draft, text| {
            number(text, 1000..=MOST_SAT).map(|most| draft.config.node.channel.max_funding = Sat::new(most))
        },
    ),
    row(
        [CHANNELS, "channel-max-dust-exposure", "MSAT"],
        "The most that payments too small for the chain may burn when a channel closes",
        ["5000000", "a number of millisatoshis from 0"],
        |draft, text| {
            number(text, 0..=MOST_SAT * 1000)
                .map(|most| draft.config.node.channel.max_dust_htlc_exposure = Msat::new(most))
        },
    ),
    row(
        [CHANNELS, "channel-claim-budget-percent", "PERCENT"],
        "The most that a claim on the chain may cost, of what it takes; a penalty may cost all of it",
        ["50", "a number from 1 to 100"],
        |draft, text| number(text, 1..=100).map(|most| draft.config.node.channel.claim_budget_percent = most),
    ),
    row(
        [CHANNELS, "channel-forget-unconfirmed-after", "BLOCKS"],
        "When to forget a channel of a peer's whose funding never confirmed",
        ["2016", "a number from 2016 (BOLT 2) to 100000"],
        |draft, text| {
            number(text, 2016..=100_000)
                .map(|blocks| draft.config.node.channel.forget_unconfirmed_after = blocks)
        },
    ),
    row(
        [CHANNELS, "max-pending-opens", "COUNT"],
        "Channels that one peer may be opening at once",
        ["4", "a number from 1 to 100"],
        |draft, text| number(text, 1..=100).map(|most| draft.config.node.max_pending_opens = most),
    ),
    row(
        [CHANNELS, "anchor-reserve", "SAT"],
        "What the wallet keeps for each channel with anchors, to pay for closing it alone",
        ["10000", "a number of satoshis from 0 to 1000000"],
        |draft, text| number(text, 0..=1_000_000).map(|sat| draft.config.node.anchor_reserve = Sat::new(sat)),
    ),
    row(
        [PAYMENTS, "max-attempts", "COUNT"],
        "Routes that a payment tries",
        ["6", "a number from 1 to 100"],
        |draft, text| number(text, 1..=100).map(|most| draft.config.node.max_attempts = most),
    ),
    row(
        [PAYMENTS, "max-cltv-total", "BLOCKS"],
        "The longest that a payment may lock money",
        ["2016", "a number from 40 to 4032"],
        |draft, text| number(text, 40..=4032).map(|most| draft.config.node.max_cltv_total = most),
    ),
    row(
        [PAYMENTS, "invoice-expiry", "SECONDS"],
        "How long our invoices can be paid",
        ["3600", "a number from 1 to 31536000 (a year)"],
        |draft, text| {
            number(text, 1..=31_536_000).map(|seconds| draft.config.node.invoice_expiry_seconds = seconds)
        },
    ),
    row(
        [TOWER, "tower-max-clients", "COUNT"],
        "Clients that have boxes here",
        ["100", "a number from 1 to 100000"],
        |draft, text| number(text, 1..=100_000).map(|most| draft.config.tower.max_clients = most),
    ),
    row(
        [TOWER, "tower-max-boxes", "COUNT"],
        "Boxes of one client: one for each of its channels' old states, at least",
        ["10000", "a number from 1 to 10000000"],
        |draft, text| number(text, 1..=10_000_000).map(|most| draft.config.tower.max_boxes = most),
    ),
    row(
        [TOWER, "tower-max-bytes", "BYTES"],
        "Bytes in all boxes of one client; they are kept in memory too",
        ["67108864", "a number from 5000 to 10^12"],
        |draft, text| number(text, 5_000..=1_000_000_000_000).map(|most| draft.config.tower.max_bytes = most),
    ),
];
