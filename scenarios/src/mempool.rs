//! The mempool that a Lightning node fights with, shown with transactions made by hand: floors, packages, replacements, anchors
//! that must be spent, and a miner who takes what nobody saw.
use bitcoin::absolute::LockTime;
use bitcoin::secp256k1::{Message, SECP256K1};
use bitcoin::sighash::{EcdsaSighashType, SighashCache};
use bitcoin::{transaction::Version, Amount, OutPoint, ScriptBuf, Sequence, Transaction};
use bitcoin::{TxIn, TxOut, Witness};
use leyden_harness::prelude::*;

/// What the miner fills the mempool with.
const FULL: FeeratePerKw = FeeratePerKw::new(2500);
/// The word for a transaction below the floor of a full mempool.
const BELOW_FLOOR: &str = "mempool min fee not met";
/// The word for a transaction below the relay minimum.
const BELOW_MINIMUM: &str = "min relay fee not met";

/// A transaction that was made when fees were low is stuck below the floor of a full mempool, until a child pays for both.
#[scenario]
fn parent_below_the_floor_needs_its_child(net: &mut Net) {
    let coin = net.coin("alice", 100_000);
    net.fill_mempool(FULL);
    assert_eq!(net.mempool_floor(), FeeratePerKw::new(2525));
    let (parent, money) = spend(net, &coin, 500, Version::TWO);
    net.expect_refused(&parent, BELOW_FLOOR);
    let (poor, _) = spend(net, &money, 1_000, Version::TWO);
    net.expect_refused(&poor, "bad-txns-inputs-missingorspent");
    net.expect_package(&[parent.clone(), poor], &[Some(BELOW_FLOOR), Some(BELOW_FLOOR)]);
    let (child, _) = spend(net, &money, 5_000, Version::TWO);
    net.submit_package(&[parent.clone(), child.clone()]);
    net.mine(1);
    for tx in [parent, child] {
        assert_eq!(net.mined_at(tx.compute_txid()), Some(net.height()), "dearer together than the rest");
    }
    net.drain_mempool();
    net.expect_settlement();
}

/// A TRUC parent (version 3) without any fee passes with its only child, which has to be of that version too.
#[scenario]
fn truc_parent_without_fee(net: &mut Net) {
    let coin = net.coin("alice", 100_000);
    let (parent, money) = spend(net, &coin, 0, Version(3));
    net.expect_refused(&parent, BELOW_MINIMUM);
    let (old, _) = spend(net, &money, 1_000, Version::TWO);
    net.expect_package(&[parent.clone(), old], &[Some("TRUC-violation"), Some("TRUC-violation")]);
    let (child, money) = spend(net, &money, 1_000, Version(3));
    net.submit_package(&[parent.clone(), child.clone()]);
    let (grandchild, _) = spend(net, &money, 1_000, Version(3));
    net.expect_refused(&grandchild, "TRUC-violation");
    net.mine(1);
    assert_eq!(net.mined_at(child.compute_txid()), Some(net.height()));
    net.submit(&grandchild);
    net.mine(1);
    net.expect_settlement();
}

/// A mempool that gets full puts the cheapest out and raises its floor; when the others are mined the cheap one gets in again.
#[scenario]
fn full_mempool_puts_out_the_cheapest(net: &mut Net) {
    let [cheap, dear] = [net.coin("alice", 100_000), net.coin("bob", 100_000)];
    let (cheap, _) = spend(net, &cheap, 110, Version::TWO);
    let (dear, _) = spend_for("bob", net, &dear, 3_000, Version::TWO);
    net.submit(&cheap);
    net.fill_mempool(FULL);
    assert!(!net.waits(cheap.compute_txid()));
    net.expect_refused(&cheap, BELOW_FLOOR);
    net.submit(&dear);
    net.mine(1);
    assert_eq!(net.mined_at(dear.compute_txid()), Some(net.height()));
    net.expect_refused(&cheap, BELOW_FLOOR);
    net.drain_mempool();
    assert_eq!(net.mempool_floor(), FeeratePerKw::new(25));
    net.submit(&cheap);
    net.mine(1);
    assert_eq!(net.mined_at(cheap.compute_txid()), Some(net.height()));
    net.expect_settlement();
}

/// A replacement pays all the fees of what it puts out, children included, and its own relay on top (BIP 125, rules 3 and 4).
#[scenario]
fn replacement_pays_for_what_it_puts_out(net: &mut Net) {
    let coin = net.coin("alice", 100_000);
    let (first, money) = spend(net, &coin, 300, Version::TWO);
    let (child, _) = spend(net, &money, 700, Version::TWO);
    net.submit(&first);
    net.submit(&child);
    // 110 vbytes at 0.1 sat/vbyte: 11 sat more than the 1000 that leave.
    for fee in [500, 999, 1_010] {
        let (too_cheap, _) = spend(net, &coin, fee, Version::TWO);
        net.expect_refused(&too_cheap, "insufficient fee");
    }
    let (replacement, _) = spend(net, &coin, 1_011, Version::TWO);
    net.submit(&replacement);
    assert_eq!(net.mempool(), std::slice::from_ref(&replacement));
    net.mine(1);
    assert_eq!(net.mined_at(replacement.compute_txid()), Some(net.height()));
    net.expect_settlement();
}

/// A pay-to-anchor output of nothing is dust: its transaction pays no fee, and comes only with a child that spends the anchor.
/// Anyone can be that child.
#[scenario]
fn ephemeral_anchor_is_spent_in_its_package(net: &mut Net) {
    let [alices, bobs] = [net.coin("alice", 100_000), net.coin("bob", 50_000)];
    let anchor =
        TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::from_bytes(vec![0x51, 2, 0x4e, 0x73]) };
    let parent = |net: &mut Net, fee: u64| {
        let (mut tx, money) = spend(net, &alices, fee, Version(3));
        tx.output.push(anchor.clone());
        sign(&mut tx, 0, &alices);
        let outpoint = OutPoint::new(tx.compute_txid(), 0);
        (tx, Coin { outpoint, ..money })
    };
    let (paying, _) = parent(net, 1_000);
    net.expect_refused(&paying, "dust");
    let (parent, money) = parent(net, 0);
    net.expect_refused(&parent, BELOW_MINIMUM);
    let (blind, _) = spend(net, &money, 1_000, Version(3));
    let words = [Some(BELOW_MINIMUM), Some("missing-ephemeral-spends")];
    net.expect_package(&[parent.clone(), blind], &words);
    let (mut child, _) = spend_for("bob", net, &bobs, 1_000, Version(3));
    let anchor = OutPoint::new(parent.compute_txid(), 1);
    child.input.push(TxIn { previous_output: anchor, ..TxIn::default() });
    sign(&mut child, 0, &bobs);
    net.submit_package(&[parent.clone(), child.clone()]);
    net.mine(1);
    assert_eq!(net.mined_at(parent.compute_txid()), Some(net.height()));
    assert_eq!(net.mined_at(child.compute_txid()), Some(net.height()));
    net.expect_settlement();
}

/// A miner takes a transaction that was never in the mempool; what waits there for the same coin, and its child, are lost.
#[scenario]
fn miner_takes_what_nobody_saw(net: &mut Net) {
    let coin = net.coin("alice", 100_000);
    let (seen, money) = spend(net, &coin, 1_000, Version::TWO);
    let (child, _) = spend(net, &money, 1_000, Version::TWO);
    net.submit(&seen);
    net.submit(&child);
    // Too cheap to replace anything, and to be relayed at all.
    let (unseen, _) = spend(net, &coin, 1, Version::TWO);
    net.expect_refused(&unseen, BELOW_MINIMUM);
    net.hand_to_miner(unseen.clone());
    net.mine(1);
    assert_eq!(net.mined_at(unseen.compute_txid()), Some(net.height()));
    assert!(net.mempool().is_empty());
    net.expect_refused(&seen, "bad-txns-inputs-missingorspent");
    net.expect_settlement();
}

/// The chain turns: of two transactions that were mined, one is lost to a rival for its coin, the other waits to be mined again.
#[scenario]
fn reorg_to_a_rival(net: &mut Net) {
    let [lost, kept] = [net.coin("alice", 100_000), net.coin("bob", 100_000)];
    let (rival, _) = spend(net, &lost, 2_000, Version::TWO);
    let (lost, money) = spend(net, &lost, 1_000, Version::TWO);
    let (child, _) = spend(net, &money, 1_000, Version::TWO);
    let (kept, _) = spend_for("bob", net, &kept, 1_000, Version::TWO);
    net.submit(&lost);
    net.submit(&kept);
    net.mine(1);
    net.submit(&child);
    net.mine(1);
    let height = net.height();
    net.reorg(2, |at| if at == height { vec![rival.clone()] } else { Vec::new() });
    assert_eq!(net.height(), height + 1);
    assert_eq!(net.mined_at(rival.compute_txid()), Some(height));
    assert_eq!(net.mined_at(lost.compute_txid()), None);
    assert_eq!(net.mempool(), [kept]);
    net.mine(1);
    net.expect_settlement();
}

/// All of a coin to a new key of its owner's, signed; and the coin that this makes.
fn spend(net: &mut Net, coin: &Coin, fee: u64, version: Version) -> (Transaction, Coin) {
    spend_for("alice", net, coin, fee, version)
}

fn spend_for(owner: &str, net: &mut Net, coin: &Coin, fee: u64, version: Version) -> (Transaction, Coin) {
    let (key, public) = net.fresh_key();
    let script_pubkey = ScriptBuf::new_p2wpkh(&public.wpubkey_hash());
    net.owns(owner, script_pubkey.clone());
    let sequence = Sequence::ENABLE_RBF_NO_LOCKTIME;
    let input = TxIn { previous_output: coin.outpoint, sequence, ..TxIn::default() };
    let output = TxOut { value: coin.output.value - Amount::from_sat(fee), script_pubkey };
    let lock_time = LockTime::ZERO;
    let mut tx = Transaction { version, lock_time, input: vec![input], output: vec![output.clone()] };
    sign(&mut tx, 0, coin);
    let outpoint = OutPoint::new(tx.compute_txid(), 0);
    (tx, Coin { key, outpoint, output })
}

/// Signs one input, which spends a P2WPKH coin.
fn sign(tx: &mut Transaction, index: usize, coin: &Coin) {
    let (script, value) = (&coin.output.script_pubkey, coin.output.value);
    let hash = SighashCache::new(&*tx).p2wpkh_signature_hash(index, script, value, EcdsaSighashType::All);
    let message = Message::from(hash.expect("a P2WPKH coin"));
    let signature = bitcoin::ecdsa::Signature::sighash_all(SECP256K1.sign_ecdsa(&message, &coin.key));
    tx.input[index].witness = Witness::p2wpkh(&signature, &coin.public_key().inner);
}
