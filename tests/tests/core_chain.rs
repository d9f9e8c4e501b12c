//! Real Bitcoin Core behind the `Chain` trait: mining, submitting, refusing, reorganising, dying. Every test starts a
//! bitcoind of its own.

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::hashes::Hash;
use bitcoin::script::Builder;
use bitcoin::{
    Amount, Block, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode, TxOut,
    Witness,
};
use leyden_harness::chain::core_process::PeerPort;
use leyden_harness::chain::core_rpc::CoreChain;
use leyden_harness::chain::{Chain, ChainError};

#[test]
fn a_mined_coin_is_spent_through_the_mempool_into_a_block() {
    let mut chain = CoreChain::start().unwrap();
    let first = mine(&mut chain, &[]);
    mine_empty(&mut chain, 100);
    assert_eq!(chain.tip().height, 101);

    let coin = OutPoint::new(first.txdata[0].compute_txid(), 0);
    let (output, height) = chain.unspent(coin).unwrap().unwrap();
    assert_eq!((output.value, height), (Amount::from_int_btc(50), 1));

    let parent = spend(coin, output.value, 1_000);
    let child = spend(OutPoint::new(parent.compute_txid(), 0), parent.output[0].value, 1_000);
    chain.test(&parent).unwrap();
    chain.submit(&parent).unwrap();
    chain.submit(&child).unwrap();
    assert_eq!(chain.mempool().unwrap(), [parent.clone(), child.clone()]);

    let block = mine(&mut chain, &[parent.clone(), child.clone()]);
    assert_eq!(chain.mempool().unwrap(), []);
    assert_eq!(chain.unspent(coin).unwrap(), None);
    assert_eq!(chain.block_at(102).unwrap(), block);
    let (_, height) = chain.unspent(OutPoint::new(child.compute_txid(), 0)).unwrap().unwrap();
    assert_eq!(height, 102);
}

#[test]
fn a_refusal_is_cores_own_word() {
    let mut chain = CoreChain::start().unwrap();
    let first = mine(&mut chain, &[]);
    let coin = OutPoint::new(first.txdata[0].compute_txid(), 0);
    let value = first.txdata[0].output[0].value;
    let cheap = spend(coin, value, 1);
    assert_eq!(chain.submit(&cheap), refused("bad-txns-premature-spend-of-coinbase"));
    mine_empty(&mut chain, 100);

    assert_eq!(chain.submit(&cheap), refused("min relay fee not met"));
    assert_eq!(chain.test(&cheap), refused("min relay fee not met"));
    let from_nothing = spend(OutPoint::new(cheap.compute_txid(), 0), value, 1_000);
    assert_eq!(chain.submit(&from_nothing), refused("bad-txns-inputs-missingorspent"));
    assert_eq!(chain.test(&from_nothing), refused("bad-txns-inputs-missingorspent"));

    let good = spend(coin, value, 1_000);
    chain.submit(&good).unwrap();
    assert_eq!(chain.submit(&good), refused("txn-already-in-mempool"));
    mine(&mut chain, std::slice::from_ref(&good));
    assert_eq!(chain.submit(&good), refused("txn-already-known"));
    let block = block_on(&chain, &[spend(coin, value, 2_000)]);
    assert_eq!(chain.connect(&block), refused("bad-txns-inputs-missingorspent"));
}

#[test]
fn a_block_that_is_not_on_the_tip_is_refused() {
    let mut chain = CoreChain::start().unwrap();
    let rival = block_on(&chain, &[]);
    mine_empty(&mut chain, 1);
    assert_eq!(chain.connect(&rival), refused("prev-blk-not-found"));
}

#[test]
fn a_disconnected_block_gives_its_transactions_back_and_can_be_connected_again() {
    let mut chain = CoreChain::start().unwrap();
    let first = mine(&mut chain, &[]);
    mine_empty(&mut chain, 100);
    let coin = OutPoint::new(first.txdata[0].compute_txid(), 0);
    let tx = spend(coin, first.txdata[0].output[0].value, 1_000);
    chain.submit(&tx).unwrap();
    let lower = mine(&mut chain, std::slice::from_ref(&tx));
    let upper = mine(&mut chain, &[]);

    assert_eq!(chain.disconnect().unwrap(), upper);
    assert_eq!(chain.disconnect().unwrap(), lower);
    assert_eq!(chain.tip().height, 101);
    assert_eq!(chain.mempool().unwrap(), std::slice::from_ref(&tx));

    chain.connect(&lower).unwrap();
    assert_eq!(chain.tip().hash, lower.block_hash());
    assert_eq!(chain.mempool().unwrap(), []);
    chain.connect(&upper).unwrap();
    assert_eq!(chain.tip().hash, upper.block_hash());
    assert_eq!(chain.block_at(103).unwrap(), upper);
}

#[test]
fn a_core_that_dies_in_the_middle_is_a_backend_failure_with_its_log() {
    let mut chain = CoreChain::start().unwrap();
    mine_empty(&mut chain, 1);
    let pid = rustix::process::Pid::from_raw(chain.process().pid().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    for _ in 0..2 {
        let Err(ChainError::Backend(message)) = chain.unspent(OutPoint::null()) else {
            panic!("a dead Core answered")
        };
        assert!(message.contains("debug.log") && message.contains("UpdateTip"), "{message}");
    }
}

#[test]
fn the_initial_blocks_arrive_as_if_they_came_one_by_one() {
    let mut chain = CoreChain::with_initial_blocks(PeerPort::Closed).unwrap();
    let blocks = leyden_harness::chain::miner::initial_blocks();
    assert_eq!(chain.tip().hash, blocks.last().unwrap().block_hash());
    assert_eq!(chain.block_at(103).unwrap(), blocks[102]);
    mine_empty(&mut chain, 1);
    let again = chain.connect_all(blocks);
    assert_eq!(again, refused("prev-blk-not-found"));
    assert_eq!(chain.tip().height, 104);
}

#[test]
fn a_kept_folder_outlives_core_and_an_unkept_one_does_not() {
    let mut kept = CoreChain::start().unwrap();
    let folder = kept.process().keep();
    drop(kept);
    assert!(folder.join("regtest/debug.log").is_file());
    std::fs::remove_dir_all(folder).unwrap();

    let mut unkept = CoreChain::start().unwrap();
    let folder = unkept.process().folder().to_owned();
    drop(unkept);
    assert!(!folder.exists());
}

fn refused<T>(reason: &str) -> Result<T, ChainError> {
    Err(ChainError::Refused { reason: reason.to_owned() })
}

fn anyone_can_spend() -> ScriptBuf {
    Builder::new().push_int(1).into_script()
}

fn spend(coin: OutPoint, value: Amount, fee_sat: u64) -> Transaction {
    let witness = Witness::from_slice(&[anyone_can_spend().as_bytes()]);
    Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: coin,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness,
        }],
        output: vec![TxOut {
            value: value - Amount::from_sat(fee_sat),
            script_pubkey: anyone_can_spend().to_p2wsh(),
        }],
    }
}

fn mine_empty(chain: &mut CoreChain, blocks: u32) {
    for _ in 0..blocks {
        mine(chain, &[]);
    }
}

fn mine(chain: &mut CoreChain, transactions: &[Transaction]) -> Block {
    let block = block_on(chain, transactions);
    chain.connect(&block).unwrap();
    block
}

/// A valid block on the tip, with the subsidy for anyone and the fees for nobody.
fn block_on(chain: &CoreChain, transactions: &[Transaction]) -> Block {
    let height = chain.tip().height + 1;
    let input = TxIn {
        previous_output: OutPoint::null(),
        script_sig: Builder::new().push_int(i64::from(height)).push_int(0).into_script(),
        sequence: Sequence::MAX,
        witness: Witness::from_slice(&[[0; 32]]),
    };
    let subsidy = TxOut { value: Amount::from_int_btc(50), script_pubkey: anyone_can_spend().to_p2wsh() };
    let version = bitcoin::transaction::Version::TWO;
    let coinbase =
        Transaction { version, lock_time: LockTime::ZERO, input: vec![input], output: vec![subsidy] };
    let header = Header {
        version: Version::from_consensus(0x2000_0000),
        prev_blockhash: chain.tip().hash,
        merkle_root: TxMerkleNode::all_zeros(),
        time: 1_767_225_600 + 600 * height,
        bits: CompactTarget::from_consensus(0x207f_ffff),
        nonce: 0,
    };
    let mut block = Block { header, txdata: vec![coinbase] };
    block.txdata.extend_from_slice(transactions);
    let commitment = Block::compute_witness_commitment(&block.witness_root().unwrap(), &[0; 32]);
    let mut push = [0xaa, 0x21, 0xa9, 0xed].to_vec();
    push.extend_from_slice(commitment.as_byte_array());
    let push = bitcoin::script::PushBytesBuf::try_from(push).unwrap();
    let script_pubkey = ScriptBuf::new_op_return(push);
    block.txdata[0].output.push(TxOut { value: Amount::ZERO, script_pubkey });
    block.header.merkle_root = block.compute_merkle_root().unwrap();
    while !block.header.target().is_met_by(block.header.block_hash()) {
        block.header.nonce += 1;
    }
    block
}
