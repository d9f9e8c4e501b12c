//! The embedded chain on its own: what Lightning leans on, one rule at a time. That Core says the same is shown by
//! `chain_differential`.
mod chain_wallet;

use bitcoin::{Amount, OutPoint, Sequence, Transaction, TxOut};
use chain_wallet::{sign, unsigned, Fault, Lock, Owned};
use leyden_harness::chain::miner::INITIAL_BLOCKS;
use leyden_harness::chain::{Chain, ChainError, EmbeddedChain, Miner};

fn start() -> (EmbeddedChain, Miner) {
    let mut chain = EmbeddedChain::with_initial_blocks();
    let miner = Miner::bootstrap(&mut chain).expect("the initial blocks");
    (chain, miner)
}

/// A confirmed coin under this lock.
fn coin(chain: &mut EmbeddedChain, miner: &mut Miner, lock: Lock) -> Owned {
    let value = Amount::from_sat(100_000);
    let tx = miner.fund(chain, vec![TxOut { value, script_pubkey: lock.script_pubkey() }]).expect("funded");
    miner.mine(chain).expect("mined");
    Owned { outpoint: OutPoint { txid: tx.compute_txid(), vout: 0 }, value, lock }
}

fn spend(coin: &Owned, value: u64) -> Transaction {
    let coins = [coin.clone()];
    let out = TxOut { value: Amount::from_sat(value), script_pubkey: Lock::Wpkh.script_pubkey() };
    let mut tx = unsigned(&coins, vec![out]);
    sign(&mut tx, &coins, Fault::None);
    tx
}

fn word<T: std::fmt::Debug>(result: Result<T, ChainError>) -> String {
    match result.expect_err("refused") {
        ChainError::Refused { reason } => reason,
        failed => panic!("{failed}"),
    }
}

#[test]
fn the_initial_chain_is_the_same_each_time() {
    let (one, _) = start();
    let mut two = EmbeddedChain::new();
    Miner::bootstrap(&mut two).expect("the initial blocks");
    assert_eq!(one.tip(), two.tip());
    assert_eq!(one.tip().height, INITIAL_BLOCKS);
}

#[test]
fn every_lock_is_spendable() {
    let (mut chain, mut miner) = start();
    let locks = [
        Lock::Wpkh,
        Lock::NestedWpkh,
        Lock::Pkh,
        Lock::BareMultisig,
        Lock::TaprootKey,
        Lock::TaprootLeaf,
        Lock::Csv(1),
        Lock::Cltv(100),
        Lock::Multisig,
        Lock::ToLocal(1),
        Lock::Hash,
        Lock::Anchor,
    ];
    for lock in locks {
        let coin = coin(&mut chain, &mut miner, lock);
        let tx = spend(&coin, 90_000);
        chain.submit(&tx).unwrap_or_else(|refused| panic!("{lock:?}: {refused}"));
        miner.mine(&mut chain).expect("mined");
        assert_eq!(chain.unspent(coin.outpoint).expect("no failure"), None);
    }
}

#[test]
fn a_relative_lock_is_refused_one_block_early_and_accepted_in_time() {
    let (mut chain, mut miner) = start();
    let coin = coin(&mut chain, &mut miner, Lock::Csv(10));
    let tx = spend(&coin, 90_000);
    for _ in 0..8 {
        miner.mine(&mut chain).expect("mined");
    }
    assert_eq!(word(chain.submit(&tx)), "non-BIP68-final");
    assert_eq!(word(miner.mine_these(&mut chain, vec![tx.clone()])), "bad-txns-nonfinal");
    miner.mine(&mut chain).expect("mined");
    chain.submit(&tx).expect("ten blocks deep in the next block");
    let block = miner.mine(&mut chain).expect("mined");
    assert_eq!(block.txdata[1], tx);
}

#[test]
fn a_sequence_below_the_script_s_lock_fails_the_script() {
    let (mut chain, mut miner) = start();
    let coin = coin(&mut chain, &mut miner, Lock::Csv(2));
    let mut tx = spend(&coin, 90_000);
    tx.input[0].sequence = Sequence::from_consensus(1);
    sign(&mut tx, &[coin], Fault::None);
    assert_eq!(
        word(chain.test(&tx)),
        "mempool-script-verify-flag-failed (Locktime requirement not satisfied)"
    );
}

#[test]
fn an_absolute_lock_is_refused_one_block_early_and_accepted_in_time() {
    let (mut chain, mut miner) = start();
    let height = chain.tip().height + 10;
    let coin = coin(&mut chain, &mut miner, Lock::Cltv(height));
    let tx = spend(&coin, 90_000);
    while chain.tip().height < height - 1 {
        miner.mine(&mut chain).expect("mined");
    }
    assert_eq!(word(chain.submit(&tx)), "non-final");
    assert_eq!(word(miner.mine_these(&mut chain, vec![tx.clone()])), "bad-txns-nonfinal");
    miner.mine(&mut chain).expect("mined");
    chain.submit(&tx).expect("the lock height has passed");
}

#[test]
fn changing_a_witness_keeps_the_txid_of_segwit() {
    let (mut chain, mut miner) = start();
    let coin = coin(&mut chain, &mut miner, Lock::Wpkh);
    let tx = spend(&coin, 90_000);
    let mut changed = tx.clone();
    sign(&mut changed, &[coin], Fault::HighS);
    assert_eq!(changed.compute_txid(), tx.compute_txid());
    assert_ne!(changed.compute_wtxid(), tx.compute_wtxid());
    // Not relayed, but a miner may take it: the child that was prepared on the txid still connects.
    let child = spend(
        &Owned {
            outpoint: OutPoint { txid: tx.compute_txid(), vout: 0 },
            value: Amount::from_sat(90_000),
            lock: Lock::Wpkh,
        },
        80_000,
    );
    assert!(word(chain.submit(&changed)).contains("S value is unnecessarily high"));
    miner.mine_these(&mut chain, vec![changed, child]).expect("mined");
}

#[test]
fn changing_a_legacy_signature_changes_the_txid_and_its_prepared_child_is_lost() {
    let (mut chain, mut miner) = start();
    let coin = coin(&mut chain, &mut miner, Lock::Pkh);
    let tx = spend(&coin, 90_000);
    let mut changed = tx.clone();
    sign(&mut changed, &[coin], Fault::HighS);
    assert_ne!(changed.compute_txid(), tx.compute_txid());
    let child = spend(
        &Owned {
            outpoint: OutPoint { txid: tx.compute_txid(), vout: 0 },
            value: Amount::from_sat(90_000),
            lock: Lock::Wpkh,
        },
        80_000,
    );
    miner.mine_these(&mut chain, vec![changed]).expect("a miner may take it");
    assert_eq!(word(chain.submit(&child)), "bad-txns-inputs-missingorspent");
    assert_eq!(word(chain.submit(&tx)), "bad-txns-inputs-missingorspent");
}

#[test]
fn a_replacement_pays_for_what_it_replaces_and_for_itself() {
    let (mut chain, mut miner) = start();
    let coin = coin(&mut chain, &mut miner, Lock::Wpkh);
    let first = spend(&coin, 99_000);
    chain.submit(&first).expect("accepted");
    assert_eq!(word(chain.submit(&first)), "txn-already-in-mempool");
    assert_eq!(word(chain.submit(&spend(&coin, 98_999))), "insufficient fee");
    let second = spend(&coin, 98_900);
    chain.submit(&second).expect("11 vbytes' worth more than it needs");
    assert_eq!(chain.mempool().expect("no failure"), vec![second]);
}

#[test]
fn a_reorg_returns_transactions_to_the_mempool() {
    let (mut chain, mut miner) = start();
    let coin = coin(&mut chain, &mut miner, Lock::Wpkh);
    let tx = spend(&coin, 90_000);
    chain.submit(&tx).expect("accepted");
    let block = miner.mine(&mut chain).expect("mined");
    assert_eq!(word(chain.submit(&tx)), "txn-already-known");
    assert_eq!(miner.unmine(&mut chain).expect("taken out"), block);
    assert_eq!(chain.mempool().expect("no failure"), vec![tx]);
    assert_eq!(chain.unspent(coin.outpoint).expect("no failure").map(|(out, _)| out), Some(coin.out()));
    chain.connect(&block).expect("put back");
    assert!(chain.mempool().expect("no failure").is_empty());
}

#[test]
fn a_double_spend_in_a_block_evicts_the_one_in_the_mempool_with_its_child() {
    let (mut chain, mut miner) = start();
    let coin = coin(&mut chain, &mut miner, Lock::Wpkh);
    let tx = spend(&coin, 90_000);
    let txid = chain.submit(&tx).expect("accepted");
    let output =
        Owned { outpoint: OutPoint { txid, vout: 0 }, value: Amount::from_sat(90_000), lock: Lock::Wpkh };
    chain.submit(&spend(&output, 80_000)).expect("accepted");
    miner.mine_these(&mut chain, vec![spend(&coin, 70_000)]).expect("mined");
    assert!(chain.mempool().expect("no failure").is_empty());
}
