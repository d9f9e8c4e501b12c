//! The command line as a person or a script meets it: exit status, what stands on which stream, the JSON's fields. Some
//! scenarios here are broken on purpose: what they say must name party, transaction and amount.
use leyden_harness::prelude::*;
use serde_json::Value;

const PASSING: &str = "open-and-close";

#[test]
fn a_passing_scenario_shows_its_settlement() {
    let told = leyden(&["run", PASSING]);
    assert_eq!((told.code, told.err.as_str()), (0, ""));
    assert!(told.out.starts_with(&format!("{PASSING} in sim, seed 0: passed in ")), "{}", told.out);
    assert!(told.out.contains("closing transaction") && told.out.contains("alice"), "{}", told.out);
}

#[test]
fn the_list_has_name_theme_worlds_and_a_line() {
    let told = leyden(&["list"]);
    let line = told.out.lines().find(|line| line.starts_with(PASSING)).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[1..4], ["open", "sim", "regtest"]);
    assert!(words.len() > 8, "{line}");
}

#[test]
fn an_unknown_name_is_one_line_with_the_nearest_name() {
    let told = leyden(&["run", "open-and-clse"]);
    assert_eq!(told.code, 2);
    assert_eq!(told.err, "leyden: no scenario is named \"open-and-clse\"; did you mean open-and-close?\n");
}

#[test]
fn bad_options_are_one_line() {
    let table = [
        (vec!["run", PASSING, "--wrld", "sim"], "unexpected argument '--wrld' found"),
        (vec!["run", PASSING, "--world", "moon"], "no world is named \"moon\": sim, regtest"),
        (vec!["run", PASSING, "--seed", "x"], "invalid value 'x' for '--seed <N>'"),
        (vec!["run"], "the following required arguments were not provided"),
        (vec!["run", PASSING, "--all"], "cannot be used with"),
        (vec!["walk"], "unrecognized subcommand 'walk'"),
    ];
    for (arguments, words) in table {
        let told = leyden(&arguments);
        assert_eq!((told.code, told.err.lines().count()), (2, 1), "{arguments:?}: {}", told.err);
        assert!(told.err.contains(words), "{arguments:?}: {}", told.err);
    }
}

#[test]
fn a_file_that_cannot_be_written_is_one_line() {
    let told = leyden(&["run", PASSING, "--json", "/nowhere/at/all.json"]);
    assert_eq!((told.code, told.err.lines().count()), (2, 1), "{}", told.err);
}

#[test]
fn a_scenario_that_cannot_run_in_a_world_is_refused() {
    let told = leyden(&["run", "a-satoshi-too-much", "--world", "regtest"]);
    assert_eq!((told.code, told.err.as_str()), (2, "leyden: a-satoshi-too-much cannot run in regtest\n"));
}

#[test]
fn json_and_transcript_are_files_with_what_was_promised() {
    let folder = tempfile::tempdir().unwrap();
    let (json, transcript) = (folder.path().join("run.json"), folder.path().join("run.txt"));
    let (json_text, transcript_text) = (json.to_str().unwrap(), transcript.to_str().unwrap());
    let told = leyden(&["run", PASSING, "--seed", "7", "--json", json_text, "--transcript", transcript_text]);
    assert_eq!(told.code, 0, "{}", told.out);
    let value: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert_eq!(value["scenario"], PASSING);
    assert_eq!((&value["world"], &value["outcome"]), (&Value::from("sim"), &Value::from("passed")));
    assert_eq!(value["seed"], 7);
    assert_eq!(value["parties"][0]["name"], "alice");
    assert_eq!(value["parties"][0]["start_sat"], 200_000_000);
    assert!(value["parties"][0]["end_sat"].is_u64() && value["miner_fees_sat"].is_u64());
    assert!(value["payments"].is_array() && value["elapsed_ms"].is_number());
    let funding = &value["transactions"][0];
    assert_eq!((&funding["label"], &funding["by"]), (&Value::from("F"), &Value::from("alice")));
    let bytes = funding["hex"].as_str().unwrap();
    let tx: bitcoin::Transaction = bitcoin::consensus::encode::deserialize_hex(bytes).unwrap();
    assert_eq!(funding["txid"], tx.compute_txid().to_string());
    assert!(funding["height"].is_u64());
    assert!(std::fs::read_to_string(&transcript).unwrap().contains("alice ──open_channel"));
}

#[test]
fn several_runs_are_an_array_and_a_summary() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("runs.json");
    let told = leyden(&["run", PASSING, "pay-both-ways", "--json", json.to_str().unwrap()]);
    assert!(told.out.contains("\n2 passed, 0 failed, "), "{}", told.out);
    let value: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert_eq!(value[1]["payments"][0]["result"], "succeeded");
    assert_eq!(value[1]["payments"][0]["amount_msat"], 100_000_000);
}

#[test]
fn the_ladder_is_shown_on_request() {
    let told = leyden(&["run", PASSING, "--ladder"]);
    assert!(told.out.contains("│────────open_channel────────▶│"), "{}", told.out);
}

#[test]
fn a_failed_scenario_leaves_its_folder_and_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let told = leyden(&["run", "a-satoshi-too-much", "--keep", folder.path().to_str().unwrap()]);
    assert_eq!(told.code, 1);
    for words in ["bob has 200400000 sat, expected 200400001 sat: 1 sat too little", "cli.rs:"] {
        assert!(told.out.contains(words), "{}", told.out);
    }
    assert!(
        told.out.contains("repeat: cargo leyden run a-satoshi-too-much --world sim --seed 0"),
        "{}",
        told.out
    );
    let left = folder.path().join("a-satoshi-too-much-sim-0");
    for file in [
        "transcript.txt",
        "ladder.txt",
        "settlement.txt",
        "failure.txt",
        "repeat.sh",
        "records/alice/wallet.hex",
    ] {
        assert!(left.join(file).is_file(), "{file} is missing");
    }
}

#[test]
fn a_skipped_fee_names_the_payment_the_node_and_the_amount() {
    let folder = tempfile::tempdir().unwrap();
    let told = leyden(&["run", "a-skipped-fee", "--keep", folder.path().to_str().unwrap()]);
    assert_eq!(told.code, 1);
    let words = "payment alice -> carol, 100,000,000 msat was to succeed: failed at bob: fee_insufficient";
    assert!(told.out.contains(words), "{}", told.out);
}

#[test]
fn a_failure_on_core_leaves_cores_log_and_data() {
    let folder = tempfile::tempdir().unwrap();
    let keep = folder.path().to_str().unwrap();
    let told = leyden(&["run", "a-skipped-fee", "--world", "regtest", "--keep", keep]);
    assert_eq!(told.code, 1, "{}", told.err);
    let core = folder.path().join("a-skipped-fee-regtest-0/core");
    assert!(core.join("regtest/debug.log").is_file() && core.join("regtest/blocks").is_dir());
}

#[test]
fn a_loss_is_found_without_any_expectation() {
    let folder = tempfile::tempdir().unwrap();
    let told = leyden(&["run", "a-channel-left-open", "--keep", folder.path().to_str().unwrap()]);
    assert_eq!(told.code, 1);
    assert!(told.out.contains("check I2 fails: alice ends with"), "{}", told.out);
    assert!(told.out.contains("party alice, transaction F"), "{}", told.out);
}

/// The recipient is expected to have a satoshi more than it has.
#[scenario(theme = "broken", worlds = "sim")]
fn a_satoshi_too_much(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    net.open(alice, bob, Open::sat(1_000_000).push_sat(400_000));
    net.settle();
    net.expect_wealth("bob", 200_400_001);
}

/// A hop is not given its fee, and the payment is expected to arrive all the same.
#[scenario(theme = "broken")]
fn a_skipped_fee(net: &mut Net) {
    let [alice, bob, carol] = net.nodes(["alice", "bob", "carol"]);
    let channels = [net.open(alice, bob, Open::sat(1_000_000)), net.open(bob, carol, Open::sat(1_000_000))];
    let invoice = net.invoice(carol, sat(100_000));
    let route = net.route(alice, &channels, &invoice);
    let fee = route.fee();
    let payment = net.pay_route(&route.with_less_at(bob, fee));
    net.expect_success(payment);
}

/// The money is still in the channel when the scenario ends.
#[scenario(theme = "broken", worlds = "sim")]
fn a_channel_left_open(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    net.open(alice, bob, Open::sat(1_000_000));
}

/// What a call of the program said.
struct Told {
    code: u8,
    out: String,
    err: String,
}

fn leyden(arguments: &[&str]) -> Told {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let arguments = std::iter::once("leyden").chain(arguments.iter().copied()).map(Into::into);
    let code = leyden::cli::run(arguments, &mut out, &mut err);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Told { code, out: text(out), err: text(err) }
}
