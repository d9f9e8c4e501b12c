//! Settings: which source wins, what is refused and how it is said, and that the help names them all.

use super::settings::{Take, SETTINGS};
use super::*;
use crate::log;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

#[test]
fn nothing_set_is_a_node_for_this_machine_alone() {
    let config = Try::default().load().expect("the defaults");
    assert_eq!(config.folder, Path::new("/home/alice/.leyden"));
    assert_eq!(config.network, Network::Regtest);
    assert_eq!(config.listen, Some("127.0.0.1:9735".parse().expect("an address")));
    assert_eq!(config.control, "127.0.0.1:9736".parse().expect("an address"));
    assert_eq!(config.node, NodeConfig::default());
    assert!(
        matches!(config.chain, ChainConfig::Core(CoreConfig { auth: CoreAuth::CookieFile(path), .. }) if path.starts_with("/home/alice/.bitcoin"))
    );
    assert!(config.passphrase.is_none() && config.connect.is_empty());
}

#[test]
fn the_defaults_in_the_help_are_the_defaults() {
    let expected = format!("{:?}", Try::default().load().expect("the defaults"));
    for setting in SETTINGS.iter().filter(|setting| setting.default.parse::<u64>().is_ok()) {
        let set = Try::default().flag(setting.name, setting.default).load().expect("its default");
        assert_eq!(format!("{set:?}"), expected, "{}", setting.name);
    }
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let file = "alias = \"file\"\nmax-attempts = 2\nchannel-minimum-depth = 2\n";
    let all =
        Try::default().file(file).variable("LEYDEN_ALIAS", "variable").variable("LEYDEN_MAX_ATTEMPTS", "3");
    let config = all.flag("alias", "flag").load().expect("all are allowed");
    assert_eq!(config.alias, "flag");
    assert_eq!(config.node.max_attempts, 3);
    assert_eq!(config.node.channel.minimum_depth, 2);
}

#[test]
fn a_list_comes_from_one_source_whole() {
    let peer = |port: u16| format!("{ID}@127.0.0.1:{port}");
    let file = format!("connect = [\"{}\", \"{}\"]", peer(1), peer(2));
    let ports = |config: Config| config.connect.iter().map(|peer| peer.port).collect::<Vec<_>>();
    assert_eq!(ports(Try::default().file(&file).load().expect("peers")), [1, 2]);
    let listed = format!("{}, {}", peer(3), peer(4));
    let variable = Try::default().file(&file).variable("LEYDEN_CONNECT", &listed);
    assert_eq!(ports(variable.load().expect("peers")), [3, 4]);
    let flags = Try::default().file(&file).flag("connect", &peer(5)).flag("connect", &peer(6));
    assert_eq!(ports(flags.load().expect("peers")), [5, 6]);
}

#[test]
fn a_refusal_names_the_setting_its_source_and_what_is_allowed() {
    let refused = |case: Try| case.load().expect_err("not allowed").to_string();
    let flag = refused(Try::default().flag("control", "0.0.0.0:1"));
    assert_eq!(
        flag,
        "setting `control` (from the flag --control) is \"0.0.0.0:1\": it must be a loopback address with a \
         port: the control API is not for the network"
    );
    let variable = refused(Try::default().variable("LEYDEN_NETWORK", "mainnet"));
    assert!(
        variable.starts_with("setting `network` (from the variable LEYDEN_NETWORK) is \"mainnet\""),
        "{variable}"
    );
    let file = refused(Try::default().file("channel-max-accepted-htlcs = 484"));
    assert!(file.contains("leyden.toml) is \"484\": it must be a number from 1 to 483"), "{file}");
}

#[test]
fn what_is_not_allowed_is_refused() {
    for (name, value) in [
        ("folder", ""),
        ("listen", "localhost"),
        ("listen", ""),
        ("connect", "127.0.0.1:9735"),
        ("connect", "02aa@127.0.0.1:9735"),
        ("core-url", "127.0.0.1:18443"),
        ("core-url", "http://"),
        ("electrum-url", "http://127.0.0.1:1"),
        ("fallback-feerate", "252"),
        ("fallback-feerate", "-1"),
        ("fallback-feerate", "1e3"),
        ("log-level", ""),
        ("log-level", "leyden_node=loudest"),
        ("log-format", "xml"),
        ("alias", "a name of more than thirty-two bytes"),
        ("alias", "two\nlines"),
        ("channel-dust-limit", "353"),
        ("channel-to-self-delay", "0"),
        ("channel-to-self-delay", "65536"),
        ("channel-max-in-flight-percent", "101"),
        ("forward-cltv-expiry-delta", "17"),
        ("channel-min-funding", "2000000000"),
        ("forward-htlc-maximum", "0"),
    ] {
        let refused = Try::default().flag(name, value).load();
        assert!(refused.is_err(), "{name} = {value:?}");
    }
}

#[test]
fn the_chain_comes_from_one_source() {
    let electrum = || Try::default().flag("electrum-url", "tcp://127.0.0.1:50001");
    let config = electrum().load().expect("it stands alone");
    assert!(matches!(&config.chain, ChainConfig::Electrum(url) if url == "tcp://127.0.0.1:50001"));
    for (name, value) in [
        ("core-url", "http://127.0.0.1:18443"),
        ("core-cookie-file", "/a/cookie"),
        ("core-user", "alice"),
        ("core-password", "hunter3"),
    ] {
        let words = electrum().flag(name, value).load().expect_err("two sources").to_string();
        assert!(words.contains("`electrum-url`") && words.contains(&format!("`{name}`")), "{words}");
    }
}

#[test]
fn an_unknown_key_is_refused_with_its_neighbour() {
    let unknown = |text| Try::default().file(text).load().expect_err("no such setting").to_string();
    assert!(unknown("lisen = \"none\"").ends_with("no setting `lisen`; did you mean `listen`?"));
    assert!(unknown("colour = 1").ends_with("no setting `colour`"));
    assert!(unknown("[channel]\nminimum-depth = 1").ends_with("no setting `channel`"));
    assert!(unknown("folder = \"/tmp\"").contains("cannot stand in"));
    assert!(unknown("max-attempts = 1.5").contains("of another kind"));
    assert!(unknown("max-attempts = [1]").contains("of another kind"));
    let syntax = unknown("alias = \"a\"\nalias 2");
    assert!(syntax.contains("leyden.toml, line 2"), "{syntax}");
}

#[test]
fn a_file_with_a_setting_of_the_other_program_is_refused() {
    for setting in SETTINGS.iter().filter(|setting| setting.not_in_file.is_none()) {
        // Whose it is counts before what it says.
        let refused = |role| {
            let loaded = Try::default().file(&format!("{} = \"\"", setting.name)).load_as(role);
            loaded.is_err_and(|error| error.to_string().contains("cannot stand in"))
        };
        assert_eq!(refused(Some(Role::Node)), !setting.is_for_node(), "{}", setting.name);
        assert_eq!(refused(Some(Role::Tower)), !setting.is_for_tower(), "{}", setting.name);
        assert!(!refused(None), "the words of a seed are shown whoever owns it: {}", setting.name);
    }
    let refused =
        |text, role| Try::default().file(text).load_as(Some(role)).expect_err("not for it").to_string();
    let towers = refused("max-attempts = 3", Role::Tower);
    assert!(towers.starts_with("setting `max-attempts` cannot stand in /"), "{towers}");
    assert!(towers.ends_with("/leyden.toml: it is a node's, and this is a tower's file"), "{towers}");
    let nodes = refused("tower-max-boxes = 3", Role::Node);
    assert!(nodes.ends_with("/leyden.toml: it is a tower's, and this is a node's file"), "{nodes}");
}

#[test]
fn variables_of_the_other_program_are_ignored() {
    let shared = || Try::default().variable("LEYDEN_TOWER_MAX_BOXES", "many").variable("LEYDEN_ALIAS", "a");
    let node = shared().load_as(Some(Role::Node)).expect("the tower's is not read");
    assert_eq!((node.alias.as_str(), node.tower), ("a", TowerConfig::default()));
    assert!(shared().load_as(Some(Role::Tower)).is_err(), "it is read by whom it is for");
    let shared = || Try::default().variable("LEYDEN_TOWER", "nowhere").variable("LEYDEN_ALIAS", "a");
    let tower = shared().load_as(Some(Role::Tower)).expect("the node's is not read");
    assert_eq!((tower.alias.as_str(), tower.towers.len()), ("a", 0));
    assert!(shared().load_as(Some(Role::Node)).is_err(), "it is read by whom it is for");
}

#[test]
fn secrets_come_by_file_or_environment_and_are_never_shown() {
    let environment = Try::default()
        .variable("LEYDEN_PASSPHRASE", "hunter2")
        .variable("LEYDEN_CORE_PASSWORD", "hunter3")
        .variable("LEYDEN_CORE_USER", "alice");
    let config = environment.load().expect("allowed");
    assert_eq!(config.passphrase.as_ref().map(Secret::expose), Some("hunter2"));
    assert!(
        matches!(&config.chain, ChainConfig::Core(CoreConfig { auth: CoreAuth::Password { user, password }, .. }) if user == "alice" && password.expose() == "hunter3")
    );
    assert!(!format!("{config:?}").contains("hunter"));
    let refused = Try::default().file("passphrase = \"hunter2\"").load().expect_err("not in the file");
    assert!(!format!("{refused} {refused:?}").contains("hunter"), "{refused:?}");
    let arguments = ["leyden-node", "--passphrase", "hunter2"];
    assert!(parse(&arguments).is_err(), "no flag");
    assert!(parse(&["leyden-node", "--core-password", "hunter2"]).is_err(), "no flag");
}

#[test]
fn a_passphrase_file_is_read_without_its_line_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("passphrase");
    fs::write(&path, "correct horse \r\n").expect("a file");
    let named = || Try::default().flag("passphrase-file", path.to_str().expect("text"));
    let config = named().load().expect("allowed");
    assert_eq!(config.passphrase.as_ref().map(Secret::expose), Some("correct horse "));
    assert!(named().variable("LEYDEN_PASSPHRASE", "x").load().is_err(), "one or the other");
    fs::remove_file(&path).expect("a file");
    let error = named().load().expect_err("it is gone").to_string();
    assert!(error.contains("passphrase-file"), "{error}");
}

#[test]
fn settings_that_exclude_each_other_are_refused() {
    let half = Try::default().flag("core-user", "alice").load().expect_err("no password").to_string();
    assert!(half.contains("`core-user` and `core-password`"), "{half}");
    let both = Try::default().flag("core-cookie-file", "/c").flag("core-user", "a");
    assert!(both.variable("LEYDEN_CORE_PASSWORD", "b").load().is_err());
}

#[test]
fn without_a_home_the_folder_must_be_named() {
    let homeless = || Try { variables: BTreeMap::new(), ..Try::default() };
    assert!(homeless().load().expect_err("no folder").to_string().contains("`folder`"));
    let folder = tempfile::tempdir().expect("a folder");
    homeless().flag("folder", folder.path().to_str().expect("text")).load().expect("named");
}

#[test]
fn every_flag_is_parsed_and_its_help_says_it_all() {
    let mut command = <RunArgs as clap::Args>::augment_args(clap::Command::new("leyden-node"));
    command.build();
    let help = command.render_long_help().to_string();
    for setting in SETTINGS {
        let shown = help.contains(&format!("--{} ", setting.name));
        let a_flag = setting.is_for_node() && !setting.secret;
        assert_eq!(shown, a_flag, "{}", setting.name);
        assert!(!a_flag || help.contains(&setting.variable()), "{}", setting.name);
    }
    let args =
        parse(&["leyden-node", "--listen", "none", "--connect", "a", "--connect", "b"]).expect("flags");
    let expected = RunArgs::default().with("listen", "none").with("connect", "a").with("connect", "b");
    assert_eq!(args, expected);
    assert!(parse(&["leyden-node", "--lisen", "none"]).is_err());
}

#[test]
fn the_flags_fit_into_a_derived_command() {
    #[derive(clap::Parser)]
    enum Program {
        Run(RunArgs),
        Cli {
            #[command(flatten)]
            settings: RunArgs,
            method: String,
        },
    }
    let parse =
        |line: &[&str]| <Program as clap::Parser>::try_parse_from(line).map_err(|error| error.to_string());
    let expected = RunArgs::default().with("listen", "none");
    match parse(&["leyden-node", "run", "--listen", "none"]) {
        Ok(Program::Run(args)) => assert_eq!(args, expected),
        Ok(Program::Cli { .. }) => panic!("another command"),
        Err(error) => panic!("{error}"),
    }
    match parse(&["leyden-node", "cli", "--listen", "none", "getinfo"]) {
        Ok(Program::Cli { settings, method }) => {
            assert_eq!((settings, method.as_str()), (expected, "getinfo"))
        }
        Ok(Program::Run(_)) => panic!("another command"),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn names_are_unique_and_only_lists_may_repeat() {
    let names: std::collections::BTreeSet<_> = SETTINGS.iter().map(|setting| setting.name).collect();
    assert_eq!(names.len(), SETTINGS.len());
    assert_eq!(SETTINGS[0].name, "folder");
    let lists: Vec<_> = SETTINGS
        .iter()
        .filter(|setting| matches!(setting.take, Take::Many(_)))
        .map(|setting| setting.name)
        .collect();
    assert_eq!(lists, ["connect", "tower"]);
    assert!(parse(&["leyden-node", "--listen", "none", "--listen", "none"]).is_err());
}

#[test]
fn addresses_of_peers_are_read_and_written() {
    for host in ["127.0.0.1", "example.org", "[::1]"] {
        let text = format!("{ID}@{host}:9735");
        let address: PeerAddress = text.parse().expect("an address");
        assert_eq!((address.host.as_str(), address.port), (host, 9735));
        assert_eq!(address.to_string(), text);
    }
    for wrong in
        ["@a:1", "a:1", &format!("{ID}@a"), &format!("{ID}@:1"), &format!("{ID}@::1:1"), &format!("{ID}@a:x")]
    {
        assert!(wrong.parse::<PeerAddress>().is_err(), "{wrong}");
    }
}

#[test]
fn the_log_takes_every_allowed_filter() {
    for filter in ["info", "off", "info,leyden_node::net=debug"] {
        let config = Try::default().flag("log-level", filter).load().expect("allowed");
        let sink = tracing_subscriber::fmt::writer::BoxMakeWriter::new(std::io::sink);
        assert!(log::subscriber(&config.log, sink).is_ok(), "{filter}");
    }
}

const ID: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

fn parse(arguments: &[&str]) -> Result<RunArgs, clap::Error> {
    let command = <RunArgs as clap::Args>::augment_args(clap::Command::new("leyden-node"));
    let matches = command.try_get_matches_from(arguments)?;
    <RunArgs as clap::FromArgMatches>::from_arg_matches(&matches)
}

/// One set of sources.
struct Try {
    flags: RunArgs,
    variables: BTreeMap<String, String>,
    file: Option<String>,
}

impl Default for Try {
    fn default() -> Self {
        let variables = [("HOME".to_owned(), "/home/alice".to_owned())].into();
        Self { flags: RunArgs::default(), variables, file: None }
    }
}

impl Try {
    fn flag(mut self, name: &str, value: &str) -> Self {
        self.flags = self.flags.with(name, value);
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    fn file(mut self, text: &str) -> Self {
        self.file = Some(text.to_owned());
        self
    }

    fn load(self) -> Result<Config, ConfigError> {
        self.load_as(Some(Role::Node))
    }

    fn load_as(mut self, role: Option<Role>) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().expect("a folder");
        if let Some(text) = &self.file {
            fs::write(folder.path().join(FILE), text).expect("a file");
            self.flags = self.flags.with("folder", folder.path().to_str().expect("text"));
        }
        Config::load_from(&self.flags, role, &|name| self.variables.get(name).map(OsString::from))
    }
}
