//! Sweeps as a person or a script meets them: planned from a scenario that ends well, run side by side, the same table at each call, and
//! for what fails the one command that repeats just that run.
use leyden_harness::prelude::*;

#[test]
fn reorgs_leave_a_channel_as_it_was() {
    let told = leyden(&["sweep", "open-and-close", "--reorg"]);
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    assert!(told.out.contains("open-and-close --reorg: 42 passed, 0 failed"), "{}", told.out);
    assert!(
        told.out.contains("reorg at height 109      6"),
        "each depth at the block of the close: {}",
        told.out
    );
}

#[test]
fn reorgs_leave_a_payment_over_three_channels_as_it_was() {
    // Every third, so that each depth and each block still comes up; the command line has them all.
    let told = leyden(&["sweep", "pay-a-b-c-d", "--reorg", "--only", "1/3"]);
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    let again = leyden(&["sweep", "pay-a-b-c-d", "--reorg", "--only", "1/3"]);
    assert_eq!(told.out, again.out, "two sweeps, one table");
}

#[test]
fn a_liar_ends_with_nothing() {
    let told = leyden(&["sweep", "pay-both-ways", "--cheat"]);
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    for words in ["alice publishes state 1 of alice-bob", "bob publishes state 6 of alice-bob"] {
        assert!(told.out.contains(words), "{}", told.out);
    }
}

#[test]
fn a_broken_link_loses_no_payment() {
    let told = leyden(&["sweep", "pay-both-ways", "--disconnect", "--only", "1/2"]);
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    assert!(told.out.contains("link cut at message 9 "), "{}", told.out);
}

#[test]
fn a_killed_node_loses_no_payment() {
    // Every so many points; the command line has them all.
    let told = leyden(&["sweep", "pay-a-b-c-d", "--crash", "--only", "1/40"]);
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    let again = leyden(&["sweep", "pay-a-b-c-d", "--crash", "--only", "1/40"]);
    assert_eq!(told.out, again.out, "two sweeps, one table");
}

#[test]
fn a_killed_node_loses_no_channel() {
    // All points: an opening whose answer is lost is given again, and what became of the first try must not disturb the second.
    let told = leyden(&["sweep", "open-and-close", "--crash"]);
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    assert!(told.out.contains("alice killed at its save 1 "), "{}", told.out);
}

#[test]
fn a_killed_victim_punishes_all_the_same() {
    let told = leyden(&["sweep", "revoked-balance-is-taken", "--crash", "--only", "1/12"]);
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
}

#[test]
fn one_variant_runs_alone_on_core() {
    let told = leyden(&["run", "open-and-close", "--world", "regtest", "--variant", "reorg:109:2"]);
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    assert!(
        told.out.starts_with("open-and-close in regtest, seed 0, 2 deep at height 109: passed"),
        "{}",
        told.out
    );
}

#[test]
fn what_a_variant_breaks_is_told_with_the_command_that_repeats_it() {
    let told = leyden(&["sweep", "closes-at-a-height", "--reorg", "--only", "reorg:107"]);
    assert_eq!(told.code, 1, "{}{}", told.out, told.err);
    for words in [
        "FAILED  reorg:107:1",
        "the tip is to be at height 107, no block later",
        "sweep.rs:",
        "repeat: cargo leyden run closes-at-a-height --world sim --seed 0 --variant reorg:107:1",
        "closes-at-a-height --reorg: 0 passed, 4 failed",
    ] {
        assert!(told.out.contains(words), "{words:?}: {}", told.out);
    }
    let repeated = leyden(&["run", "closes-at-a-height", "--variant", "reorg:107:1"]);
    assert_eq!(repeated.code, 1, "{}", repeated.out);
    assert!(repeated.out.contains("the tip is to be at height 107"), "{}", repeated.out);
}

#[test]
fn a_variant_that_never_comes_to_pass_is_no_success() {
    let told = leyden(&["run", "open-and-close", "--variant", "reorg:9999:1"]);
    assert_eq!(told.code, 1, "{}", told.out);
    let words = "the variant reorg:9999:1 never came to pass: the run has no such place";
    assert!(told.out.contains(words), "{}", told.out);
}

#[test]
fn what_cannot_be_swept_is_one_line() {
    let table = [
        (vec!["sweep", "open-and-close"], "required arguments were not provided"),
        (vec!["sweep", "open-and-clse", "--reorg"], "did you mean open-and-close?"),
        (vec!["sweep", "open-and-close", "--reorg", "--cheat"], "cannot be used with"),
        (vec!["sweep", "open-and-close", "--reorg", "--only", "5/4"], "is no subset"),
        (
            vec!["sweep", "open-and-close", "--reorg", "--only", "cut:1"],
            "no variant of open-and-close is chosen",
        ),
        (vec!["run", "open-and-close", "--variant", "reorg:1"], "is no variant: reorg:HEIGHT:DEPTH"),
    ];
    for (arguments, words) in table {
        let told = leyden(&arguments);
        assert_eq!((told.code, told.err.lines().count()), (2, 1), "{arguments:?}: {}", told.err);
        assert!(told.err.contains(words), "{arguments:?}: {}", told.err);
    }
}

/// A script that counts on exact heights, which a reorg moves.
#[scenario(theme = "broken", worlds = "sim")]
fn closes_at_a_height(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000));
    assert_eq!(net.height(), 107, "the tip is to be at height 107, no block later");
    net.close(alice, channel);
    net.settle();
    net.without_settlement("it is here for its heights");
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
