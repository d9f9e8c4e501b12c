//! Nodes that know the chain from an Electrum server alone: electrs, on a Core that they never see.
mod tower_process;

use leyden_harness::chain::core_process::PeerPort;
use std::net::TcpListener;
use tower_process::{pay, wait_until, Ground};

const CHANNEL: u64 = 1_000_000;

#[test]
fn a_channel_lives_and_ends_behind_an_electrum_server() {
    let mut ground = Ground::with(PeerPort::Loopback);
    let electrs = ground.electrs();
    let alice = ground.node_behind("alice", electrs.address());
    let mut bob = ground.node_behind("bob", electrs.address());
    let channel = ground.open(&alice, &bob, CHANNEL);
    pay(&alice, &bob, 200_000);
    pay(&bob, &alice, 50_000);

    // Blocks that bob missed, one of which pays alice, and a commitment on top.
    assert!(bob.terminate().success());
    let purse = alice.client().newaddress().expect("an address");
    ground.mine_to(2, &purse);
    alice.client().forceclosechannel(channel).expect("it closes");
    wait_until("the commitment", || !ground.mempool().is_empty());
    ground.mine(1);
    bob.start_again("127.0.0.1:0");
    ground.settle(&[&alice, &bob]);
    wait_until("bob's claim", || !ground.mempool().is_empty());
    ground.mine(1);
    ground.settle(&[&alice, &bob]);
    let claimed = bob.client().getbalances().expect("it answers").wallet.get();
    assert!((148_000..150_000).contains(&claimed), "{claimed} sat, less the claim's fee");
}

#[test]
fn a_reorganisation_is_followed_behind_an_electrum_server() {
    let mut ground = Ground::with(PeerPort::Loopback);
    ground.mine(5);
    let electrs = ground.electrs();
    let alice = ground.node_behind("alice", electrs.address());
    let purse = alice.client().newaddress().expect("an address");
    ground.mine_to(1, &purse);
    ground.mine(1);
    ground.settle(&[&alice]);
    let balance = || alice.client().getbalances().expect("it answers").wallet.get();
    assert!(balance() > 0, "a coinbase that must rest");
    let stood = ground.height();
    ground.take_out(stood - 2);
    ground.mine(3);
    ground.settle(&[&alice]);
    assert_eq!((ground.height(), balance()), (stood + 1, 0), "the coin is gone with its block");
}

#[test]
fn a_node_waits_for_its_electrum_server_and_says_so() {
    let ground = Ground::new();
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let mut alice = ground.waiting_behind("alice", nobody.expect("a port that nobody has any more"));
    alice.await_line(&["the Electrum server does not answer", "waiting for it"]);
    wait_until("its words", || {
        let waits_for = alice.client().getinfo().expect("it answers").waits_for;
        waits_for.is_some_and(|words| words.contains("is it running"))
    });
}
