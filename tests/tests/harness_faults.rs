//! The harness's own verbs: silence, broken links, censoring and empty blocks, coins and verdicts of the chain. Each is a
//! scenario that would fail if the verb did nothing.
use bitcoin::sighash::{EcdsaSighashType, SighashCache};
use bitcoin::transaction::Version;
use bitcoin::{absolute, Amount, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};
use leyden_harness::net::code;
use leyden_harness::prelude::*;
use leyden_harness::run::Options;
use leyden_harness::{find, run, WorldKind};

/// Runs one of the scenarios below in the embedded world.
fn passes(name: &str) {
    let scenario = find(name).unwrap_or_else(|error| panic!("{error}"));
    let run = run(scenario, &Options::in_world(WorldKind::Sim)).unwrap_or_else(|error| panic!("{error}"));
    assert!(run.passed(), "{}", run.failure());
}

#[test]
fn a_silent_node_delays_and_loses_nothing() {
    passes("silent-recipient");
}

/// A payment to a silent node is pending; when the node speaks it arrives.
#[scenario(theme = "harness", worlds = "sim")]
fn silent_recipient(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    net.open(alice, bob, Open::sat(1_000_000));
    let payment = net.start_pay(alice, bob, sat(1_000));
    net.silence(bob);
    net.run();
    net.expect_pending(payment);
    net.wait(60);
    net.expect_pending(payment);
    net.speak(bob);
    net.expect_success(payment);
    net.settle();
}

#[test]
fn a_pending_payment_names_what_the_script_keeps_back() {
    let run = run(find("kept-back").unwrap(), &Options::in_world(WorldKind::Sim)).unwrap();
    let words = "was to succeed: pending; what bob sent to alice is held; carol is silent; dave is asleep";
    assert!(run.failure().contains(words), "{}", run.failure());
}

/// A payment that cannot come to its end.
#[scenario(theme = "harness", worlds = "sim")]
fn kept_back(net: &mut Net) {
    let [alice, bob, carol, dave] = net.nodes(["alice", "bob", "carol", "dave"]);
    net.open(alice, bob, Open::sat(1_000_000));
    net.on_message(bob, alice, Kind::UpdateFulfillHtlc, Fault::Hold);
    net.silence(carol);
    net.sleep_node(dave);
    let payment = net.start_pay(alice, bob, sat(1_000));
    net.run();
    net.expect_success(payment);
}

#[test]
fn nothing_passes_a_broken_link() {
    passes("broken-link");
}

/// Over a broken link no payment leaves; the other link of the same node still carries.
#[scenario(theme = "harness", worlds = "sim")]
fn broken_link(net: &mut Net) {
    let [alice, bob, carol] = net.nodes(["alice", "bob", "carol"]);
    net.open(alice, bob, Open::sat(1_000_000));
    net.open(alice, carol, Open::sat(1_000_000));
    net.disconnect(alice, bob);
    let payment = net.try_pay(alice, bob, sat(1_000));
    net.expect_never_left(payment);
    net.pay(alice, carol, sat(1_000));
    net.settle();
}

#[test]
fn a_censored_transaction_waits() {
    passes("censored-funding");
}

/// The funding waits through blocks without it and through empty ones.
#[scenario(theme = "harness", worlds = "sim")]
fn censored_funding(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open_unconfirmed(alice, bob, Open::sat(1_000_000));
    let funding = net.find_transaction("F").expect("the funding transaction is broadcast");
    net.mine_without(3, &[funding]);
    net.mine_empty(3);
    assert_eq!(net.mempool_labels(), ["F"]);
    assert_eq!(net.mined_at(funding), None);
    net.confirm(channel);
    assert_eq!(net.height_of("F"), net.height() - 2);
    net.settle();
}

#[test]
fn a_funding_that_is_never_mined_costs_nothing() {
    passes("funding-kept-out");
}

/// A settlement without the channel: everyone has what they started with.
#[scenario(theme = "harness", worlds = "sim")]
fn funding_kept_out(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    net.open_unconfirmed(alice, bob, Open::sat(1_000_000));
    let funding = net.find_transaction("F").expect("the funding transaction is broadcast");
    net.never_mine(funding);
    net.settle();
    net.expect_wealth("alice", 200_000_000);
}

#[test]
fn a_bent_route_fails_where_it_is_bent() {
    passes("bent-routes");
}

/// Each way to bend a route is refused by the node that it cheats.
#[scenario(theme = "harness", worlds = "sim")]
fn bent_routes(net: &mut Net) {
    let [alice, bob, carol] = net.nodes(["alice", "bob", "carol"]);
    let channels = [net.open(alice, bob, Open::sat(1_000_000)), net.open(bob, carol, Open::sat(1_000_000))];
    let invoice = net.invoice(carol, sat(10_000));
    let route = net.route(alice, &channels, &invoice);
    let details = code::INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS;
    let cases = [
        (route.clone().with_less_at(bob, msat(1)), bob, code::FEE_INSUFFICIENT),
        (route.clone().with_sooner_at(bob, 1), bob, code::INCORRECT_CLTV_EXPIRY),
        (route.clone().with_wrong_secret(), carol, details),
        (route.clone().with_wrong_hash(), carol, details),
    ];
    for (bent, node, reason) in cases {
        let payment = net.pay_route(&bent);
        net.expect_failure(payment, node, reason);
    }
    let payment = net.pay_route(&route);
    net.expect_success(payment);
    net.settle();
}

#[test]
fn a_race_between_processes_is_told_without_processes() {
    let scenario = find("race-to-the-chain").unwrap_or_else(|error| panic!("{error}"));
    let run = run(scenario, &Options::in_world(WorldKind::Sim)).unwrap_or_else(|error| panic!("{error}"));
    assert!(run.failure().contains("C1b and C1a are both handed in"), "{}", run.failure());
}

/// Bob closes with an error, which makes Mallory close too: in one process Bob is first.
#[scenario(theme = "harness", worlds = "sim live")]
fn race_to_the_chain(net: &mut Net) {
    const SIGNATURE: usize = 2 + 32;
    let [mallory, bob] = net.nodes(["mallory", "bob"]);
    let channel = net.open(mallory, bob, Open::sat(1_000_000));
    net.dishonest(mallory);
    let wrong = Fault::Rewrite("another signature", |bytes| bytes[SIGNATURE..SIGNATURE + 32].reverse());
    net.next_messages(mallory, bob, Kind::CommitmentSigned, 1, wrong);
    net.update_fee(mallory, channel, 2_000);
    net.settle();
}

#[test]
fn the_chain_speaks_with_cores_words() {
    passes("coin-under-a-relative-lock");
}

/// A coin is refused one block before its relative lock has passed, and taken then.
#[scenario(theme = "harness", worlds = "sim")]
fn coin_under_a_relative_lock(net: &mut Net) {
    let coin = net.coin("alice", 100_000);
    let spend = spend_after(&coin, 3);
    net.expect_refused(&spend, "non-BIP68-final");
    net.mine(1);
    net.expect_refused(&spend, "non-BIP68-final");
    net.mine(1);
    let txid = net.submit(&spend);
    net.mine(1);
    assert_eq!(net.mined_at(txid), Some(net.height()));
    net.expect_wealth("alice", 99_000);
}

/// Pays the coin back to its owner, 1000 sat less, `blocks` after it confirmed.
fn spend_after(coin: &Coin, blocks: u16) -> Transaction {
    let script = coin.output.script_pubkey.clone();
    let input = TxIn {
        previous_output: coin.outpoint,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::from_height(blocks),
        witness: Witness::new(),
    };
    let output = TxOut { value: coin.output.value - Amount::from_sat(1_000), script_pubkey: script.clone() };
    let mut tx = Transaction {
        version: Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: vec![input],
        output: vec![output],
    };
    let sighash = SighashCache::new(&tx)
        .p2wpkh_signature_hash(0, &script, coin.output.value, EcdsaSighashType::All)
        .expect("a p2wpkh coin");
    let signature = secp256k1::SECP256K1.sign_ecdsa(&sighash.into(), &coin.key);
    let signature = bitcoin::ecdsa::Signature::sighash_all(signature);
    tx.input[0].witness = Witness::p2wpkh(&signature, &coin.public_key().inner);
    tx
}
