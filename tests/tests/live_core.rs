//! Core is killed under node processes. They stay up, say what they wait for, take nothing back that they know from it, and go on when
//! a Core is back at the same address. A live run whose Core dies says so and leaves nothing behind.
mod tower_process;

use leyden_harness::prelude::*;
use leyden_harness::run::{Options, Outcome};
use leyden_harness::{find, run, WorldKind};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::process::{kill_process, pidfd_open, Pid, PidfdFlags, Signal};
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::time::Duration;
use tower_process::{pay, wait_until, Ground, Process};

const CHANNEL: u64 = 1_000_000;

#[test]
fn nodes_outlive_a_core_that_is_killed_and_loses_blocks() {
    let mut ground = Ground::new();
    let (mut alice, mut bob) = (ground.node("alice", &[]), ground.node("bob", &[]));
    let channel = ground.open(&alice, &bob, CHANNEL);
    pay(&alice, &bob, 200_000);
    ground.write_to_disk();
    ground.mine(3);
    ground.settle(&[&alice, &bob]);
    let height = ground.height();

    let blocks = ground.kill_core();
    for node in [&mut alice, &mut bob] {
        node.await_line(&["Bitcoin Core does not answer", "waiting for it"]);
        wait_until("its words", || says(node, "Bitcoin Core does not answer"));
    }
    // A channel needs no chain for this.
    pay(&alice, &bob, 50_000);
    pay(&bob, &alice, 20_000);

    assert_eq!(ground.start_core_again(), height - 3, "what was not written is lost");
    for node in [&mut alice, &mut bob] {
        node.await_line(&["Bitcoin Core has lost blocks"]);
        let mut client = node.client();
        assert_eq!(client.getinfo().expect("it answers").height.get(), height, "nothing is taken back");
        wait_until("its words", || says(node, "lost blocks"));
        assert_eq!(client.listchannels().expect("it answers")[0].phase, "normal");
    }
    pay(&alice, &bob, 10_000);
    ground.give_back(&blocks);
    ground.mine(1);
    ground.settle(&[&alice, &bob]);
    for node in [&alice, &bob] {
        wait_until("the end of the wait", || waits_for(node).is_none());
    }

    pay(&bob, &alice, 40_000);
    alice.client().closechannel(channel, None).expect("it closes");
    wait_until("the closing transaction", || !ground.mempool().is_empty());
    ground.mine(101);
    ground.settle(&[&alice, &bob]);
    assert_eq!(bob.client().getbalances().expect("it answers").wallet.get(), 200_000);
    assert!(alice.terminate().success() && bob.terminate().success(), "SIGTERM ends a node cleanly");
}

#[test]
fn a_channel_that_is_closed_while_core_is_down_is_closed_when_it_is_back() {
    let mut ground = Ground::new();
    let (mut alice, bob) = (ground.node("alice", &[]), ground.node("bob", &[]));
    let channel = ground.open(&alice, &bob, CHANNEL);
    pay(&alice, &bob, 200_000);
    ground.write_to_disk();
    ground.kill_core();
    alice.client().forceclosechannel(channel).expect("it closes");
    alice.await_line(&["a transaction goes to the chain"]);
    // Killed too, before anybody took it.
    alice.kill();
    alice.start_again("127.0.0.1:0");
    wait_until("its words", || waits_for(&alice).is_some());
    ground.start_core_again();
    wait_until("the commitment", || !ground.mempool().is_empty());
    ground.mine(1);
    ground.settle(&[&alice, &bob]);
    let channels = bob.client().listchannels().expect("it answers");
    assert_eq!(channels[0].phase, "on chain");
}

#[test]
fn a_node_that_starts_before_core_says_what_it_waits_for() {
    let mut ground = Ground::new();
    ground.write_to_disk();
    ground.kill_core();
    let mut alice = ground.waiting_node("alice");
    let mut client = alice.client();
    wait_until("its words", || waits_for(&alice).is_some());
    let info = client.getinfo().expect("it answers");
    assert!(!info.synced && info.height.get() == 0, "{info:?}");
    let (status, said) = alice.twin();
    assert!(!status.success() && said.contains("in use"), "{status}: {said}");
    let refused = client.listchannels().expect_err("there is no node yet").to_string();
    assert!(refused.contains("not caught up") && refused.contains("does not answer"), "{refused}");

    let height = ground.start_core_again();
    // Whoever asks now waits for it.
    client.newaddress().expect("a node with a wallet");
    alice.await_line(&["the node runs"]);
    ground.settle(&[&alice]);
    assert_eq!(client.getinfo().expect("it answers").height.get(), height);
    wait_until("the tip", || client.getinfo().expect("it answers").synced);
    assert_eq!(waits_for(&alice), None);
    assert!(alice.terminate().success());
}

#[test]
fn a_node_that_waits_for_core_can_be_stopped() {
    let mut ground = Ground::new();
    ground.kill_core();
    let mut alice = ground.waiting_node("alice");
    alice.client().stop().expect("it stops");
    let status = alice.ended();
    assert!(!status.success(), "it never ran");
}

fn says(node: &Process, words: &str) -> bool {
    waits_for(node).is_some_and(|waits_for| waits_for.contains(words))
}

fn waits_for(node: &Process) -> Option<String> {
    node.client().getinfo().expect("it answers").waits_for
}

/// The processes of the runs below.
static NODES: Mutex<Vec<OwnedFd>> = Mutex::new(Vec::new());

#[test]
fn a_core_that_dies_under_a_live_run_ends_it_and_says_so() {
    let keep = tempfile::tempdir().expect("a folder");
    let options = Options { keep: Some(keep.path().to_owned()), ..Options::in_world(WorldKind::Live) };
    for name in ["core-dies-while-its-word-is-awaited", "core-dies-before-a-block"] {
        let run = run(find(name).expect("it is below"), &options).expect("the world starts");
        let Outcome::Failed { message, .. } = &run.outcome else { panic!("{name}: {:?}", run.outcome) };
        let says_so = message.contains("Bitcoin Core died") || message.contains("bitcoind died");
        assert!(says_so && message.contains("UpdateTip"), "{name}: {message}");
        assert!(run.elapsed < Duration::from_secs(30), "{name} took {:?}", run.elapsed);
        let folder = run.folder.expect("a folder");
        let read = |file: &str| std::fs::read_to_string(folder.join(file)).expect("it is there");
        assert!(read("core/regtest/debug.log").contains("UpdateTip"));
        assert!(read("failure.txt").contains("died") && read("logs.txt").contains("the node runs"));
    }
    let nodes = NODES.lock().expect("nobody panicked");
    assert_eq!(nodes.len(), 4);
    let timeout = Timespec { tv_sec: 20, tv_nsec: 0 };
    for node in nodes.iter() {
        let ended = poll(&mut [PollFd::new(node, PollFlags::IN)], Some(&timeout)).expect("a poll");
        assert_eq!(ended, 1, "a node lives on after its run");
    }
}

/// Alice closes alone when nobody is there to take her commitment.
#[scenario(worlds = "live")]
fn core_dies_while_its_word_is_awaited(net: &mut Net) {
    let (alice, channel) = channel_without_core(net);
    net.force_close(alice, channel);
}

/// The next thing that the script wants is a block.
#[scenario(worlds = "live")]
fn core_dies_before_a_block(net: &mut Net) {
    channel_without_core(net);
    net.mine(1);
}

fn channel_without_core(net: &mut Net) -> (NodeRef, ChannelRef) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000));
    net.pay(alice, bob, sat(100_000));
    let process = |pid: i32| Pid::from_raw(pid).expect("a number");
    let pids = net.process_ids().into_iter().map(|pid| process(pid.try_into().expect("a number")));
    let nodes = pids.map(|pid| pidfd_open(pid, PidfdFlags::empty()).expect("it runs"));
    NODES.lock().expect("nobody panicked").extend(nodes);
    let core = process(net.core_process_id().expect("it runs"));
    kill_process(core, Signal::KILL).expect("it runs");
    (alice, channel)
}
