//! What Lightning stands on (the seed's 四.一), shown on the chain with transactions made by hand: locks that hold a
//! transaction back until its time, and txids that nobody else can change.
use bitcoin::absolute::LockTime;
use bitcoin::secp256k1::{ecdsa, Message, SecretKey, SECP256K1};
use bitcoin::sighash::{EcdsaSighashType, SighashCache};
use bitcoin::{opcodes::all::*, transaction::Version};
use bitcoin::{Amount, OutPoint, Script, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};
use leyden_harness::prelude::*;

/// How many blocks the locks of these scenarios wait.
const WAIT: u32 = 10;
/// What each transaction here pays the miner, in satoshis.
const FEE: u64 = 1000;
/// What a script says when the transaction that spends it does not wait by itself.
const NO_LOCK: &str = "mempool-script-verify-flag-failed (Locktime requirement not satisfied)";

/// nSequence (BIP 68) holds a transaction back until the coin that it spends is 10 blocks old.
#[scenario]
fn relative_lock_by_sequence(net: &mut Net) {
    let coin = net.coin("alice", 100_000);
    let ripe = net.height() + WAIT;
    let (mut tx, _) = spend(net, &coin);
    tx.input[0].sequence = blocks(WAIT);
    sign(&mut tx, &coin);
    expect_first_mined_at(net, &tx, ripe, "non-BIP68-final");
    net.expect_settlement();
}

/// The other unit of nSequence is 512 seconds, counted by the median time of blocks: ten of them last nine blocks here.
#[scenario]
fn relative_lock_by_time(net: &mut Net) {
    let coin = net.coin("alice", 100_000);
    let ripe = net.height() + 9; // 9 blocks of 600 s are the first to exceed 10 units of 512 s
    let (mut tx, _) = spend(net, &coin);
    tx.input[0].sequence = Sequence::from_512_second_intervals(10);
    sign(&mut tx, &coin);
    expect_first_mined_at(net, &tx, ripe, "non-BIP68-final");
    net.expect_settlement();
}

/// CHECKSEQUENCEVERIFY (BIP 112) in the coin's script makes that wait a condition for whoever spends it.
#[scenario]
fn relative_lock_by_script(net: &mut Net) {
    let (key, script) = locked_script(net, i64::from(WAIT), OP_CSV);
    let coin = net.script_coin("alice", 100_000, script.to_p2wsh());
    let ripe = net.height() + WAIT;
    let (mut tx, _) = spend(net, &coin);
    sign_script(&mut tx, &coin, key, &script);
    net.expect_refused(&tx, NO_LOCK);
    tx.input[0].sequence = blocks(WAIT);
    sign_script(&mut tx, &coin, key, &script);
    expect_first_mined_at(net, &tx, ripe, "non-BIP68-final");
    net.expect_settlement();
}

/// nLockTime holds a transaction back until the chain is higher than it says.
#[scenario]
fn absolute_lock_by_locktime(net: &mut Net) {
    let coin = net.coin("alice", 100_000);
    let height = net.height() + WAIT;
    let (mut tx, _) = spend(net, &coin);
    tx.lock_time = above(height);
    sign(&mut tx, &coin);
    expect_first_mined_at(net, &tx, height + 1, "non-final");
    net.expect_settlement();
}

/// CHECKLOCKTIMEVERIFY (BIP 65) in the coin's script makes that height a condition for whoever spends it.
#[scenario]
fn absolute_lock_by_script(net: &mut Net) {
    let height = net.height() + WAIT;
    let (key, script) = locked_script(net, i64::from(height), OP_CLTV);
    let coin = net.script_coin("alice", 100_000, script.to_p2wsh());
    let (mut tx, _) = spend(net, &coin);
    sign_script(&mut tx, &coin, key, &script);
    net.expect_refused(&tx, NO_LOCK);
    tx.lock_time = above(height);
    sign_script(&mut tx, &coin, key, &script);
    expect_first_mined_at(net, &tx, height + 1, "non-final");
    net.expect_settlement();
}

/// A miner changes a SegWit signature: the txid stays, and the child that was signed before is mined.
#[scenario]
fn changed_witness_keeps_txid(net: &mut Net) {
    let coin = net.coin("alice", 100_000);
    let (parent, child) = parent_and_child(net, &coin);
    net.submit(&parent);
    let twin = with_other_signature(&parent);
    assert_eq!(twin.compute_txid(), parent.compute_txid());
    assert_ne!(twin.compute_wtxid(), parent.compute_wtxid());
    net.mine_these(vec![twin]);
    let child = net.submit(&child);
    net.mine(1);
    assert_eq!(net.mined_at(child), Some(net.height()));
    net.expect_settlement();
}

/// A miner changes a legacy signature: the txid changes, and the child that was signed before is lost.
///
/// If the parent's output needed two signatures, as a channel's funding does, the money would be stuck in it.
#[scenario]
fn changed_legacy_signature_loses_child(net: &mut Net) {
    let coin = net.legacy_coin("alice", 100_000);
    let (parent, child) = parent_and_child(net, &coin);
    net.submit(&parent);
    let twin = with_other_signature(&parent);
    assert_ne!(twin.compute_txid(), parent.compute_txid());
    assert_eq!(twin.output, parent.output);
    net.mine_these(vec![twin.clone()]);
    assert_eq!(net.mined_at(parent.compute_txid()), None);
    assert_eq!(net.mined_at(twin.compute_txid()), Some(net.height()));
    net.expect_refused(&child, "bad-txns-inputs-missingorspent");
    net.expect_settlement();
}

/// The transaction is refused with this word for the block before `height`, and then mined at `height`.
fn expect_first_mined_at(net: &mut Net, tx: &Transaction, height: u32, word: &str) {
    let now = net.height();
    net.mine(height - 2 - now);
    net.expect_refused(tx, word);
    net.mine(1);
    let txid = net.submit(tx);
    net.mine(1);
    assert_eq!(net.mined_at(txid), Some(height));
}

/// A transaction from the coin to a new key of Alice's, and a child of it, both signed before either is published.
fn parent_and_child(net: &mut Net, coin: &Coin) -> (Transaction, Transaction) {
    let (mut parent, key) = spend(net, coin);
    sign(&mut parent, coin);
    let outpoint = OutPoint::new(parent.compute_txid(), 0);
    let coin = Coin { key, outpoint, output: parent.output[0].clone() };
    let (mut child, _) = spend(net, &coin);
    sign(&mut child, &coin);
    (parent, child)
}

/// A transaction, not yet signed, from the coin to a new key of Alice's, with that key.
fn spend(net: &mut Net, coin: &Coin) -> (Transaction, SecretKey) {
    let (key, public) = net.fresh_key();
    let script_pubkey = ScriptBuf::new_p2wpkh(&public.wpubkey_hash());
    net.owns("alice", script_pubkey.clone());
    // The highest sequence would switch off nLockTime, and the lower ones are relative locks (BIP 68).
    let sequence = Sequence::ENABLE_LOCKTIME_NO_RBF;
    let input = TxIn { previous_output: coin.outpoint, sequence, ..TxIn::default() };
    let value = coin.output.value - Amount::from_sat(FEE);
    let output = TxOut { value, script_pubkey };
    let (version, lock_time) = (Version::TWO, LockTime::ZERO);
    (Transaction { version, lock_time, input: vec![input], output: vec![output] }, key)
}

fn blocks(count: u32) -> Sequence {
    Sequence::from_consensus(count)
}

fn above(height: u32) -> LockTime {
    LockTime::from_consensus(height)
}

/// `<key> CHECKSIGVERIFY <lock> <opcode>`: a signature, and this lock.
fn locked_script(net: &mut Net, lock: i64, opcode: bitcoin::Opcode) -> (SecretKey, ScriptBuf) {
    let (key, public) = net.fresh_key();
    let script = Script::builder().push_slice(public.to_bytes()).push_opcode(OP_CHECKSIGVERIFY);
    (key, script.push_int(lock).push_opcode(opcode).into_script())
}

/// Signs the only input, which spends a P2WPKH or a P2PKH coin.
fn sign(tx: &mut Transaction, coin: &Coin) {
    let (script, value, all) = (&coin.output.script_pubkey, coin.output.value, EcdsaSighashType::All);
    let mut cache = SighashCache::new(&*tx);
    if script.is_p2wpkh() {
        let hash = cache.p2wpkh_signature_hash(0, script, value, all).expect("a P2WPKH coin");
        let signature = signature(coin.key, hash.into());
        tx.input[0].witness = Witness::p2wpkh(&signature, &coin.public_key().inner);
    } else {
        let hash = cache.legacy_signature_hash(0, script, all.to_u32()).expect("one input");
        let signature = signature(coin.key, hash.into());
        let builder = Script::builder().push_slice(signature.serialize()).push_key(&coin.public_key());
        tx.input[0].script_sig = builder.into_script();
    }
}

/// Signs the only input, which spends a P2WSH coin of this script.
fn sign_script(tx: &mut Transaction, coin: &Coin, key: SecretKey, script: &Script) {
    let mut cache = SighashCache::new(&*tx);
    let hash = cache.p2wsh_signature_hash(0, script, coin.output.value, EcdsaSighashType::All);
    let signature = signature(key, hash.expect("one input").into());
    tx.input[0].witness = Witness::from_slice(&[signature.to_vec().as_slice(), script.as_bytes()]);
}

fn signature(key: SecretKey, hash: Message) -> bitcoin::ecdsa::Signature {
    bitcoin::ecdsa::Signature::sighash_all(SECP256K1.sign_ecdsa(&hash, &key))
}

/// The same transaction with the other signature that anyone can make from the given one: (r, s) becomes (r, -s).
fn with_other_signature(tx: &Transaction) -> Transaction {
    let mut tx = tx.clone();
    let input = &mut tx.input[0];
    if let [signature, key] = input.witness.to_vec().as_slice() {
        input.witness = Witness::from_slice(&[&other(signature).to_vec(), key]);
    } else {
        let pushes: Vec<_> = input.script_sig.instructions().flatten().collect();
        let [signature, key] = pushes.as_slice() else { panic!("a signature and a key") };
        let key = bitcoin::PublicKey::from_slice(key.push_bytes().expect("a push").as_bytes());
        let signature = other(signature.push_bytes().expect("a push").as_bytes());
        let builder = Script::builder().push_slice(signature.serialize());
        input.script_sig = builder.push_key(&key.expect("a key")).into_script();
    }
    tx
}

fn other(signature: &[u8]) -> bitcoin::ecdsa::Signature {
    let signature = bitcoin::ecdsa::Signature::from_slice(signature).expect("a signature");
    let mut compact = signature.signature.serialize_compact();
    let s = SecretKey::from_slice(&compact[32..]).expect("s is not zero").negate();
    compact[32..].copy_from_slice(&s.secret_bytes());
    bitcoin::ecdsa::Signature::sighash_all(ecdsa::Signature::from_compact(&compact).expect("in range"))
}
