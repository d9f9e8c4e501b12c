//! The page as a reader's browser has it: rendered by a headless Chromium, with the names and balances that the chain gives, and with
//! nothing that would reach for the network.
use leyden as _; // its scenarios are in the catalogue because it is linked
use leyden_harness::prelude::*;
use leyden_harness::run::Options;
use leyden_harness::settlement::grouped;
use leyden_harness::{find, run, Run, WorldKind};
use std::path::Path;
use std::process::Command;

#[test]
fn the_main_job_shows_every_transaction_and_every_balance() {
    let (run, dom) = rendered("pay-a-b-c-d");
    assert!(run.passed(), "{}", run.failure());
    for words in [
        ">F</text>",
        ">X</text>",
        "alice-bob",
        "bob-carol",
        "carol-dave",
        "update_add_htlc",
        "closing transaction",
        "cargo leyden run pay-a-b-c-d --world sim --seed 0",
        "every safety check holds",
        "202.010 sat",
    ] {
        assert!(dom.contains(words), "{words:?} is not on the page");
    }
    has_balances(&run, &dom);
}

#[test]
fn a_close_alone_shows_the_commitment_and_its_sweeps() {
    let (run, dom) = rendered("unilateral-close-by-opener");
    assert!(run.passed(), "{}", run.failure());
    for label in ["F", "C3a", "RD3a", "D3a"] {
        assert!(dom.contains(&format!(">{label}</text>")), "{label} is not in the tree");
    }
    for words in
        ["block 1109", "anchor of bob", "published by alice", "sweep of to_local", "to_remote of bob"]
    {
        assert!(dom.contains(words), "{words:?} is not on the page");
    }
    has_balances(&run, &dom);
}

#[test]
fn ten_nodes_and_many_messages_are_one_page() {
    let (run, dom) = rendered("ten-in-a-row");
    assert!(run.passed(), "{}", run.failure());
    assert!(run.shape.messages > 400, "{} messages", run.shape.messages);
    let last = format!("<i>{}</i>", run.shape.messages);
    assert!(dom.contains(&last), "message {last} is not on the ladder");
    has_balances(&run, &dom);
}

#[test]
fn a_failed_run_says_why_and_names_stay_text() {
    let (run, dom) = rendered("a-name-that-is-markup");
    assert!(!run.passed());
    let failure = "&lt;img src=x&gt; has 1000 sat, expected 1001 sat: 1 sat too little";
    assert!(dom.contains(failure), "the failure is not on the page");
    assert!(dom.contains("FAILED") && !dom.contains("<img"), "a name became markup");
}

/// Nine channels in a row, four payments from end to end.
#[scenario(theme = "page", worlds = "sim")]
fn ten_in_a_row(net: &mut Net) {
    let nodes =
        net.nodes(["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy"]);
    for pair in nodes.windows(2) {
        net.open(pair[0], pair[1], Open::sat(1_000_000));
    }
    for amount in [50_000, 60_000, 70_000, 80_000] {
        net.pay(nodes[0], nodes[9], sat(amount));
    }
    net.settle();
    net.expect_wealth("judy", 200_260_000);
}

/// Somebody's name would be an element, if it were not escaped.
#[scenario(theme = "page", worlds = "sim")]
fn a_name_that_is_markup(net: &mut Net) {
    net.start_coins(1000);
    net.nodes(["<img src=x>"]);
    net.expect_wealth("<img src=x>", 1001);
}

/// Runs the scenario with its page, and has Chromium render it.
fn rendered(name: &str) -> (Run, String) {
    let folder = tempfile::tempdir().unwrap();
    let options =
        Options { page: true, keep: Some(folder.path().join("runs")), ..Options::in_world(WorldKind::Sim) };
    let run = run(find(name).unwrap(), &options).unwrap();
    let page = run.page.clone().expect("a page was asked for");
    for scheme in ["http:", "https:", "src=\"//", "@import", "url("] {
        assert!(!page.contains(scheme), "the page would ask the network: it holds {scheme}");
    }
    let file = folder.path().join("page.html");
    std::fs::write(&file, page).unwrap();
    let dom = dump_dom(&file, &folder.path().join("profile"));
    (run, dom)
}

/// The page as Chromium has it after its script ran. It ends by itself; its profile is new and goes with the folder.
fn dump_dom(file: &Path, profile: &Path) -> String {
    let chromium = chromium();
    let output = Command::new(&chromium)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--disable-dev-shm-usage", "--dump-dom"])
        // Whatever the page might ask for would go to nobody.
        .args(["--proxy-server=127.0.0.1:9"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("file://{}", file.display()))
        .output()
        .unwrap_or_else(|error| panic!("{chromium} cannot be started: {error}"));
    let dom = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && dom.contains("</html>"), "{chromium} did not render: {complaint}");
    dom
}

/// The browser on `PATH`, or one clear line.
fn chromium() -> String {
    let wanted = ["chromium", "chromium-browser", "google-chrome"];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        wanted.iter().find(|name| std::env::split_paths(&path).any(|folder| folder.join(name).is_file()));
    match found {
        Some(name) => (*name).to_string(),
        None => panic!("the page's tests need Chromium: sudo apt-get install -y chromium"),
    }
}

fn has_balances(run: &Run, dom: &str) {
    for party in &run.settlement.parties {
        let end = format!(">{}</td>", grouped(party.end.get()));
        assert!(
            dom.contains(&end),
            "{} ends with {} sat, which is not on the page",
            party.name,
            party.end.get()
        );
        assert!(dom.contains(&format!(">{}</span>", party.name)), "{} is not on the page", party.name);
    }
}
