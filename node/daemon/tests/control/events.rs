//! Events: all of them, in order, numbered; what a late or slow reader is told; and `stop`.

use crate::fake::{Asked, World};
use crate::samples;
use leyden_core::node::Notice;
use leyden_node::control::client::ClientError;
use leyden_node::control::{Limits, StreamItem, ADDRESS_FILE, COOKIE_FILE};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn every_notice_comes_unchanged_and_in_order() {
    let world = World::new();
    let mut events = world.client().events(None).expect("a stream");
    let told: Vec<StreamItem> = numbered(samples::notices());
    for item in &told {
        let StreamItem::Notice { number, notice } = item else { panic!("only notices are told") };
        world.fake.tell(*number, notice.clone());
    }
    for item in told {
        assert_eq!(events.next_within(PATIENCE).expect("it comes"), Some(item));
    }
}

#[test]
fn a_reader_can_begin_with_what_has_been() {
    let world = World::new();
    let told = numbered(samples::notices());
    tell(&world, samples::notices());
    let from_third: Vec<_> = stream(&world, Some(3)).take(told.len() - 2).map(Result::unwrap).collect();
    assert_eq!(from_third, told[2..]);
    let again: Vec<_> = stream(&world, Some(1)).take(told.len()).map(Result::unwrap).collect();
    assert_eq!(again, told);
    // What has not been cannot be begun with, but for the very next.
    let next = told.len() as u64 + 1;
    assert!(world.client().events(Some(next)).is_ok());
    let error = world.client().events(Some(next + 1)).map(drop).expect_err("a number of another process");
    assert!(matches!(error, ClientError::Http { status: 400, .. }), "{error}");
}

#[test]
fn the_call_gives_the_same_events() {
    let world = World::new();
    tell(&world, samples::notices());
    let answer = world.client().request("events", serde_json::json!([2, 3])).expect("an answer");
    let numbers: Vec<_> =
        answer["events"].as_array().expect("events").iter().map(|event| &event["number"]).collect();
    assert_eq!(numbers, [2, 3, 4]);
    assert_eq!(answer["next"], 5);
    assert_eq!(answer["events"][0]["event"], "channel_named");
}

#[test]
fn a_reader_that_is_too_slow_is_told_what_it_missed() {
    let world = World::with(Limits { events: 10, ..Limits::default() });
    let mut slow = stream(&world, None);
    // Far more than the sockets between us hold.
    let total: u64 = 2_000;
    let text = "x".repeat(16_000);
    for number in 1..=total {
        world.fake.tell(number, Notice::PeerError { peer: samples::node(2), text: text.clone() });
    }
    wait_for(&world, total);
    let (mut next, mut missed) = (1, 0);
    while next <= total {
        match slow.next_within(PATIENCE).expect("the stream goes on") {
            Some(StreamItem::Notice { number, .. }) => {
                assert_eq!(number, next);
                next += 1;
            }
            Some(StreamItem::Lagged { missed: count }) => {
                missed += count;
                next += count;
            }
            None => panic!("the stream ended"),
        }
    }
    assert!(missed > 0, "nothing was missed: the sockets hold more than the test thought");
}

#[test]
fn streams_are_limited_and_free_again() {
    let world = World::with(Limits { streams: 1, ..Limits::default() });
    let first = world.client().events(None).expect("a stream");
    let error = world.client().events(None).map(drop).expect_err("one is enough");
    assert!(matches!(error, ClientError::Http { status: 503, .. }), "{error}");
    drop(first);
    // The server learns of it by the connection's end, which no answer tells.
    let deadline = std::time::Instant::now() + PATIENCE;
    while world.client().events(None).is_err() {
        assert!(std::time::Instant::now() < deadline, "the place is not free again");
        std::thread::yield_now();
    }
}

#[test]
fn stop_is_answered_then_streams_end_and_the_files_are_gone() {
    let mut world = World::new();
    let mut client = world.client();
    let mut events = client.events(None).expect("a stream");
    client.stop().expect("answered");
    world.runtime.block_on(world.fake.stopped.acquire()).expect("told").forget();
    assert_eq!(world.fake.take_asked(), [Asked::Stop]);
    world.stop();
    assert!(matches!(events.next_within(PATIENCE), Ok(None)), "the stream ends cleanly");
    for name in [COOKIE_FILE, ADDRESS_FILE] {
        assert!(!world.folder.path().join(name).exists(), "{name}");
    }
    let error = client.getinfo().expect_err("nobody is there");
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    let error = leyden_node::control::client::Client::from_folder(world.folder.path()).map(drop);
    assert!(matches!(error, Err(ClientError::NoNode { .. })));
}

#[test]
fn an_answer_that_is_being_made_goes_out_before_the_port_closes() {
    let mut world = World::new();
    world.fake.gate.forget_permits(usize::MAX);
    let mut client = world.client();
    let (gate, inside) = (world.fake.gate.clone(), world.fake.inside.clone());
    let asking = std::thread::spawn(move || client.getbalances().map(drop));
    while inside.load(std::sync::atomic::Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    let server = world.server.take().expect("it runs");
    let stopping = world.runtime.spawn(server.stop());
    gate.add_permits(1);
    // `Done` is no balance, but it is an answer.
    let error = asking.join().expect("no panic").expect_err("no balances");
    assert!(matches!(error, ClientError::Answer(_)), "{error}");
    world.runtime.block_on(stopping).expect("it stops");
}

fn numbered(notices: Vec<Notice>) -> Vec<StreamItem> {
    (1..).zip(notices).map(|(number, notice)| StreamItem::Notice { number, notice }).collect()
}

/// Tells all, and waits until the control port has them.
fn tell(world: &World, notices: Vec<Notice>) {
    let count = notices.len() as u64;
    (1..).zip(notices).for_each(|(number, notice)| world.fake.tell(number, notice));
    wait_for(world, count);
}

fn wait_for(world: &World, number: u64) {
    let mut client = world.client();
    let deadline = std::time::Instant::now() + PATIENCE;
    // Without `from`, `next` is the one after the newest.
    while client.request("events", serde_json::json!([])).expect("an answer")["next"] != number + 1 {
        assert!(std::time::Instant::now() < deadline, "notice {number} did not arrive");
    }
}

fn stream(world: &World, from: Option<u64>) -> leyden_node::control::client::Events {
    world.client().events(from).expect("a stream")
}
