//! The duties towards peers that send anything (BOLT 1, 2, 3, 4, 8), against the running node: a stock process on its own Bitcoin
//! Core, spoken to over TCP. Each row breaks one rule, and sees exactly the reaction that is due, on exactly that scope: another
//! peer's channel with the same node still pays. Rows that need no channel of their own share a node.
#[path = "../bad_opens/mod.rs"]
mod bad_opens;
mod closing;
mod connection;
mod forwarding;
mod funding;
mod handshake;
mod onion;
mod opening;
mod payload;
mod payments;
#[path = "../proposal/mod.rs"]
mod proposal;
mod reestablish;
mod row;
mod same_hash;

use libtest_mimic::{Arguments, Failed, Trial};

/// What a test gives.
type Outcome = Result<(), Failed>;

fn main() {
    let arguments = Arguments::from_args();
    let alone = [
        handshake::TESTS,
        connection::TESTS,
        opening::TESTS,
        funding::TESTS,
        payments::TESTS,
        forwarding::TESTS,
        onion::TESTS,
        payload::TESTS,
        same_hash::TESTS,
        closing::TESTS,
        reestablish::TESTS,
    ];
    let alone = alone.into_iter().flatten().map(|(name, test)| Trial::test(*name, *test));
    let rows = [payments::ROWS, closing::ROWS, reestablish::ROWS].into_iter().flatten();
    let rows = rows.map(|row| Trial::test(row.name, move || row::run(row)));
    libtest_mimic::run(&arguments, alone.chain(rows).collect()).exit();
}

/// A test with a name.
type Test = (&'static str, fn() -> Outcome);

/// Fails a test that saw something else than what is due.
fn due(holds: bool, what: impl FnOnce() -> String) -> Outcome {
    if holds {
        Ok(())
    } else {
        Err(what().into())
    }
}
