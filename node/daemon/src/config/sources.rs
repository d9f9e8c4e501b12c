//! Where settings come from: the flags, the environment, the file. Gives each setting's text and its source; what a text
//! means is the table's business.

use super::settings::{Setting, Take, SETTINGS};
use super::{ConfigError, Role, FILE};
use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Looks a variable up.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Where a value came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// The command line.
    Flag(&'static str),
    /// The environment.
    Variable(String),
    /// The file of settings.
    File(PathBuf),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "the flag --{name}"),
            Self::Variable(name) => write!(f, "the variable {name}"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// The flags of a run, one for each setting. Flatten it into a subcommand: `Run(RunArgs)`.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct RunArgs {
    flags: BTreeMap<&'static str, Vec<String>>,
}

impl RunArgs {
    /// As if this flag were given once more.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        if let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) {
            self.flags.entry(setting.name).or_default().push(value.into());
        }
        self
    }
}

/// What stands below the flags in the help.
const AFTER_HELP: &str = "\
Each setting can also stand in leyden.toml in the node's folder, without its dashes (listen = \"none\"), or in the environment.
A flag wins over the environment, that over the file, that over the default. What is not allowed is refused at the start.
Secrets are no flags, since every user of a machine sees those: LEYDEN_PASSPHRASE (or --passphrase-file) locks the seed,
LEYDEN_CORE_PASSWORD goes with --core-user.
A variable that only a tower knows is ignored here, since one shell may start both; in leyden.toml such a setting is refused.

A node beside a Core of its own, for nobody else:
  leyden-node run --core-cookie-file ~/.bitcoin/regtest/.cookie
A second one on the same machine, with the first as its peer:
  leyden-node run --folder ~/.leyden2 --listen none --control 127.0.0.1:9737 --connect <node id>@127.0.0.1:9735";

/// The same below a tower's.
const AFTER_TOWER_HELP: &str = "\
Each setting can also stand in leyden.toml in the tower's folder, or in the environment, as for `run`.
A variable that only a node knows is ignored here, since one shell may start both; in leyden.toml such a setting is refused.";

/// The flags of a tower: the settings that say something to one.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct TowerArgs(RunArgs);

impl TowerArgs {
    /// The same as settings, with a tower's usual folder if none is named.
    pub(super) fn settings(&self, environment: Environment) -> RunArgs {
        let (folder, _) = SETTINGS.split_first().expect("there are settings");
        let is_named = self.0.flags.contains_key(folder.name) || environment(&folder.variable()).is_some();
        match super::settings::default_folder(environment).filter(|_| !is_named) {
            Some(node) => {
                let mut own = node.into_os_string();
                own.push("-tower");
                self.0.clone().with(folder.name, own.to_string_lossy())
            }
            None => self.0.clone(),
        }
    }
}

impl clap::Args for TowerArgs {
    fn augment_args(command: Command) -> Command {
        augment(command.after_help(AFTER_TOWER_HELP), Setting::is_for_tower)
            .mut_arg("folder", |arg| arg.help("Where the tower keeps its things [default: ~/.leyden-tower] [env: LEYDEN_FOLDER]"))
            .mut_arg("listen", |arg| arg.help("Where clients can connect; port 0 lets the system choose [default: 127.0.0.1:9735] [env: LEYDEN_LISTEN]"))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for TowerArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(flags(matches, Setting::is_for_tower)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.flags.extend(Self::from_arg_matches(matches)?.0.flags);
        Ok(())
    }
}

fn flagged(which: fn(&Setting) -> bool) -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(move |setting| setting.has_flag() && which(setting))
}

fn flags(matches: &ArgMatches, which: fn(&Setting) -> bool) -> RunArgs {
    let given = flagged(which).filter_map(|setting| {
        let values = matches.get_many::<String>(setting.name)?;
        Some((setting.name, values.cloned().collect()))
    });
    RunArgs { flags: given.collect() }
}

fn augment(command: Command, which: fn(&Setting) -> bool) -> Command {
    flagged(which).fold(command, |command, setting| {
        let action = match setting.take {
            Take::One(_) => ArgAction::Set,
            Take::Many(_) => ArgAction::Append,
        };
        let arg = Arg::new(setting.name)
            .long(setting.name)
            .value_name(setting.value)
            .help(help(setting))
            .help_heading(setting.heading)
            .value_parser(ValueParser::string())
            .action(action);
        command.arg(arg)
    })
}

impl clap::Args for RunArgs {
    fn augment_args(command: Command) -> Command {
        augment(command.after_help(AFTER_HELP), Setting::is_for_node)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for RunArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(flags(matches, Setting::is_for_node))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.flags.extend(Self::from_arg_matches(matches)?.flags);
        Ok(())
    }
}

fn help(setting: &Setting) -> String {
    let default = match setting.default {
        "" => String::new(),
        default => format!(" [default: {default}]"),
    };
    format!("{}{default} [env: {}]", setting.help, setting.variable())
}

/// A setting, its source, its values.
pub(super) type Found = (&'static Setting, Source, Vec<String>);

/// What was set, each by the source that wins. The folder comes first: the file of settings lies in it. A file belongs to one
/// role, and must not set what only another knows; the environment may be shared by both.
pub(super) fn collect(
    args: &RunArgs,
    role: Option<Role>,
    environment: Environment,
) -> Result<Vec<Found>, ConfigError> {
    let mut found = Vec::new();
    let (folder, rest) = SETTINGS.split_first().expect("there are settings");
    let nearest = |setting: &'static Setting| match from_flag(setting, args) {
        Some(found) => Ok(Some(found)),
        None => from_environment(setting, environment),
    };
    found.extend(nearest(folder)?);
    let path = match found.first() {
        Some((_, _, values)) => PathBuf::from(values.concat()),
        None => super::settings::default_folder(environment).ok_or(NO_HOME)?,
    };
    let mut file = from_file(&path.join(FILE), role)?;
    for setting in rest.iter().filter(|setting| setting.is_only_for_another(role).is_none()) {
        let in_file = file.remove(setting.name);
        found.extend(nearest(setting)?.or(in_file));
    }
    Ok(found)
}

/// Without a home there is no default folder.
const NO_HOME: ConfigError =
    ConfigError::Together("folder", "HOME", "neither says where the node's things are: set one of them");

fn from_flag(setting: &'static Setting, args: &RunArgs) -> Option<Found> {
    let values = args.flags.get(setting.name)?;
    Some((setting, Source::Flag(setting.name), values.clone()))
}

fn from_environment(
    setting: &'static Setting,
    environment: Environment,
) -> Result<Option<Found>, ConfigError> {
    let name = setting.variable();
    let Some(value) = environment(&name) else { return Ok(None) };
    let source = Source::Variable(name);
    let Ok(value) = value.into_string() else { return Err(setting.refuse(&source, "no text")) };
    let values = match setting.take {
        Take::One(_) => vec![value],
        Take::Many(_) => value.split(',').map(|part| part.trim().to_owned()).collect(),
    };
    Ok(Some((setting, source, values)))
}

/// The file's settings; none without a file.
fn from_file(path: &Path, role: Option<Role>) -> Result<BTreeMap<&'static str, Found>, ConfigError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        // The folder itself may be wrong; that is said with its name.
        Err(error) => {
            return Err(ConfigError::Unreadable { name: "folder", path: path.to_owned(), error });
        }
    };
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let start = error.span().map_or(0, |span| span.start);
        let line = text.bytes().take(start).filter(|byte| *byte == b'\n').count() + 1;
        ConfigError::Syntax { path: path.to_owned(), line, what: error.message().to_owned() }
    })?;
    let source = Source::File(path.to_owned());
    let mut found = BTreeMap::new();
    for (key, value) in &table {
        let Some(setting) = SETTINGS.iter().find(|setting| setting.name == key) else {
            let near = SETTINGS.iter().map(|setting| setting.name).min_by_key(|name| distance(name, key));
            let near = near.filter(|name| distance(name, key) <= 2);
            return Err(ConfigError::Unknown { path: path.to_owned(), key: key.clone(), near });
        };
        let others = setting.is_only_for_another(role).map(|other| match other {
            Role::Node => "it is a node's, and this is a tower's file",
            Role::Tower => "it is a tower's, and this is a node's file",
        });
        if let Some(why) = setting.not_in_file.or(others) {
            return Err(ConfigError::Misplaced { name: setting.name, source_of_it: source, why });
        }
        let values = match (&setting.take, value) {
            (Take::Many(_), toml::Value::Array(values)) => values.iter().map(text_of).collect(),
            (_, value) => text_of(value).map(|value| vec![value]),
        };
        let values = values.ok_or_else(|| setting.refuse(&source, "of another kind"))?;
        found.insert(setting.name, (setting, source.clone(), values));
    }
    Ok(found)
}

fn text_of(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(is) => Some(is.to_string()),
        toml::Value::Float(_) | toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => {
            None
        }
    }
}

/// How many letters must change to make one word of the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, right) in b.chars().enumerate() {
            let replaced = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}
