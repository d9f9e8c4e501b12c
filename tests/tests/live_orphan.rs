//! A harness of a live run that is killed without warning leaves no node behind.
use leyden_harness::prelude::*;
use leyden_harness::run::Options;
use leyden_harness::{find, run, WorldKind};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::process::{pidfd_open, Pid, PidfdFlags};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// Set in the process that is to be killed: this same test binary, told to run [`runs_nodes_until_killed`].
const VICTIM: &str = "LEYDEN_TEST_VICTIM";

#[test]
fn sigkill_of_the_runner_ends_every_node() {
    let mut runner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "runs_nodes_until_killed", "--nocapture"])
        .env(VICTIM, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(runner.stdout.take().unwrap()).lines().map(Result::unwrap);
    let told = lines.map(|line| line.strip_prefix("nodes ").map(str::to_owned)).find_map(|pids| pids);
    let pids = told.expect("the runner started no nodes");
    let nodes: Vec<_> = pids
        .split(' ')
        .map(|pid| pidfd_open(Pid::from_raw(pid.parse().unwrap()).unwrap(), PidfdFlags::empty()).unwrap())
        .collect();
    assert_eq!(nodes.len(), 2);

    runner.kill().unwrap();
    runner.wait().unwrap();

    let timeout = Timespec { tv_sec: 20, tv_nsec: 0 };
    for node in &nodes {
        let ended = poll(&mut [PollFd::new(node, PollFlags::IN)], Some(&timeout)).unwrap();
        assert_eq!(ended, 1, "a node lives on after its harness was killed");
    }
}

/// The victim of the test above; as a test of its own it has nothing to do.
#[test]
fn runs_nodes_until_killed() {
    if std::env::var_os(VICTIM).is_some() {
        let scenario = find("nodes-that-wait-for-ever").unwrap();
        run(scenario, &Options::in_world(WorldKind::Live)).unwrap();
    }
}

/// Two connected nodes with a channel, and nothing more until the runner is killed.
#[scenario(worlds = "live")]
fn nodes_that_wait_for_ever(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    net.open(alice, bob, Open::sat(1_000_000));
    let pids: Vec<String> = net.process_ids().iter().map(u32::to_string).collect();
    println!("\nnodes {}", pids.join(" "));
    // Until our parent kills us, or is gone itself and closes the pipe.
    std::io::stdin().read_line(&mut String::new()).unwrap();
}
