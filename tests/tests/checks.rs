//! The checks over real runs: their second reading of the wire fits every signature, and each finds what it is for when one
//! thing in the record of a sound run is changed.
use leyden as _; // its scenarios are in the catalogue because it is linked
use leyden_core::ids::ChannelId;
use leyden_core::units::Timestamp;
use leyden_core::wire::{ErrorMessage, Message, UpdateFailHtlc};
use leyden_harness::checks::replay::{Downstream, How};
use leyden_harness::checks::{self, Broken, Evidence};
use leyden_harness::prelude::*;
use leyden_harness::run::Options;
use leyden_harness::transcript::{Cause, Entry, Happened, Transcript, Verdict};
use leyden_harness::{find, run, Scenario, WorldKind};
use std::cell::Cell;

type Look = fn(&mut Net);

thread_local! {
    /// The scenario to run, and what is then looked at.
    static INSIDE: Cell<Option<[Look; 2]>> = const { Cell::new(None) };
}

/// Runs a scenario of the catalogue in the embedded world; `look` comes after its last line.
fn after(name: &str, look: Look) {
    let scenario = find(name).unwrap_or_else(|error| panic!("{error}"));
    INSIDE.set(Some([scenario.function, look]));
    let with_look = |net: &mut Net| {
        let [scenario, look] = INSIDE.get().expect("it was set before the run");
        scenario(net);
        look(net);
    };
    let scenario: &'static Scenario = Box::leak(Box::new(Scenario { function: with_look, ..*scenario }));
    let run = run(scenario, &Options::in_world(WorldKind::Sim)).unwrap_or_else(|error| panic!("{error}"));
    assert!(run.passed(), "{}", run.failure());
}

/// The evidence of a run whose record was changed: what is not kept did not happen.
fn changed(net: &mut Net, mut keep: impl FnMut(&Happened<'_>) -> Option<Option<Entry>>) -> Evidence {
    let mut record = Transcript::default();
    for happened in net.record().happened() {
        match (keep(&happened), happened) {
            (None, Happened::Turn(turn)) => record.turn(turn.node, turn.cause.clone()),
            (None, Happened::Entry(entry)) => record.push(Timestamp::ZERO, entry.clone()),
            (Some(instead), _) => instead.into_iter().for_each(|entry| record.push(Timestamp::ZERO, entry)),
        }
    }
    let replay = net.read_again(&record);
    Evidence { replay, ..net.evidence() }
}

#[track_caller]
fn expect(evidence: &Evidence, check: &str, party: &str, words: &str) {
    let found: Vec<Broken> =
        checks::all(evidence).into_iter().filter(|broken| broken.check == check).collect();
    let fits = |broken: &&Broken| broken.party.as_deref() == Some(party) && broken.text.contains(words);
    assert!(found.iter().any(|broken| fits(&broken)), "{check} was to find {words:?} of {party}: {found:?}");
}

// ---- the reading ----

/// Every commitment_signed is of the commitment that the messages before it describe.
fn signatures_fit(net: &mut Net) {
    let replay = net.evidence().replay;
    assert!(!replay.signed.is_empty());
    for signed in &replay.signed {
        let course = &replay.courses[signed.course];
        assert!(
            replay.fits(signed),
            "commitment {} of {}, end {}",
            signed.number,
            course.name,
            signed.signer
        );
    }
}

#[test]
fn every_signature_fits_the_books() {
    for name in [
        "pay-a-b-c-d-static-remotekey",
        "pay-both-ways",
        "both-directions-at-once",
        "both-directions-over-b",
        "fee-update-with-htlc-pending",
        "shutdown-with-htlc-pending-by-acceptor",
        "dust-begins-one-satoshi-below-the-limit",
        "silent-hop-locks-money-until-it-speaks",
        "wrong-hash",
    ] {
        after(name, signatures_fit);
    }
}

#[test]
fn a_commitment_on_the_chain_is_recognised() {
    after("unilateral-close-by-opener", |net| {
        let replay = net.evidence().replay;
        let (txid, landing, _) = replay.landed(0).expect("the channel ended");
        assert_eq!(landing.map(|landing| landing.holder), Some(0));
        assert_eq!(Some(txid), net.find_transaction(&replay.label(&txid)));
        assert_eq!(checks::all(&net.evidence()), []);
    });
}

// ---- each check finds what it is for ----

/// A payment over two forwarders, with one thing changed.
#[test]
fn a_payment_that_is_not_passed_back_is_found() {
    after("pay-a-b-c-d", |net| {
        let mut evidence = net.evidence();
        assert_eq!(checks::all(&evidence), []);
        for htlc in &mut evidence.replay.courses[0].htlcs {
            if let Some(removal) = &mut htlc.removal {
                removal.how = How::Failed;
            }
        }
        expect(&evidence, "I3", "bob", "and gave back HTLC 0 of alice-bob");
        expect(&evidence, "I4", "bob", "lost HTLC 0 of alice-bob");
    });
}

#[test]
fn a_preimage_that_is_failed_upstream_is_found() {
    after("pay-a-b-c-d", |net| {
        let evidence = changed(net, |happened| {
            let Happened::Entry(Entry::Message { from: 1, to: 0, bytes }) = happened else { return None };
            let Ok(Message::UpdateFulfillHtlc(fulfill)) = Message::decode(bytes) else { return None };
            let (channel_id, id, reason) = (fulfill.channel_id, fulfill.id, Vec::new());
            let fail =
                Message::UpdateFailHtlc(UpdateFailHtlc { channel_id, id, reason, unknown: Vec::new() });
            Some(Some(Entry::Message { from: 1, to: 0, bytes: fail.encode() }))
        });
        expect(&evidence, "I4", "bob", "failed HTLC 0 of alice-bob");
    });
}

#[test]
fn a_failure_before_the_revocation_is_found() {
    after("wrong-hash", |net| {
        // Dave's revocations do not reach carol: to her dave's refusal is not irrevocable when she passes it on.
        let evidence = changed(net, |happened| {
            let Happened::Turn(turn) = happened else { return None };
            let Cause::Message { from: 3, bytes } = &turn.cause else { return None };
            let is_revocation = matches!(Message::decode(bytes), Ok(Message::RevokeAndAck(_)));
            (turn.node == 2 && is_revocation).then_some(None)
        });
        expect(&evidence, "I5", "carol", "could still be claimed");
        let failbacks = &net.evidence().replay.failbacks;
        let removed = failbacks.iter().filter(|failed| failed.downstream == Downstream::Removed);
        assert_eq!(removed.count(), 2, "bob and carol pass on, dave refuses");
    });
}

#[test]
fn a_secret_before_the_save_is_found() {
    after("pay-a-b-c-d", |net| {
        let evidence = changed(net, |happened| {
            matches!(happened, Happened::Entry(Entry::Save { node: 1, .. })).then_some(None)
        });
        expect(&evidence, "I7", "bob", "before the next commitment is saved");
    });
}

#[test]
fn a_refused_transaction_is_found() {
    after("unilateral-close-by-opener", |net| {
        let mut evidence = net.evidence();
        evidence.replay.handed[0].verdict = Verdict::Refused("dust".into());
        expect(&evidence, "I10", "alice", "the chain refuses alice's");
    });
}

#[test]
fn a_close_that_nobody_asked_for_is_found() {
    after("unilateral-close-by-acceptor", |net| {
        let mut evidence = net.evidence();
        evidence.replay.courses[0].asked = None;
        expect(&evidence, "I14", "bob", "closes alice-bob alone");
    });
}

#[test]
fn a_complaint_to_the_wrong_peer_is_found() {
    after("pay-a-b-c-d", |net| {
        let theirs = net.evidence().replay.courses[2].id;
        let mut said = false;
        let evidence = changed(net, |happened| {
            let Happened::Entry(Entry::Message { from: 1, to: 0, .. }) = happened else { return None };
            (!std::mem::replace(&mut said, true)).then(|| Some(complaint(theirs)))
        });
        expect(&evidence, "I16", "bob", "about a channel that is not theirs");
    });
}

/// Bob fails alice's channel by another's name.
fn complaint(channel_id: ChannelId) -> Entry {
    let error = Message::Error(ErrorMessage { channel_id, data: Vec::new() });
    Entry::Message { from: 1, to: 0, bytes: error.encode() }
}

#[test]
fn a_channel_that_is_forgotten_early_is_found() {
    after("open-and-close", |net| {
        // The last blocks did not come before the channel was called resolved.
        let mut evidence = net.evidence();
        let resolved = &mut evidence.replay.resolved[0];
        assert_eq!(resolved.depth, Some(100));
        resolved.depth = Some(1);
        expect(&evidence, "I18", "alice", "its end is only 1 blocks deep");
    });
}
