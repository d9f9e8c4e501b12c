//! The wallet: determinism, reservations, reorganisations, records.
use super::{wallet_scripts, watch_only_descriptors, FundingError, Wallet};
use crate::ids::ChannelId;
use crate::keys::NodeSeed;
use crate::units::{BlockHeight, FeeratePerKw, Sat, Timestamp};
use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::constants::genesis_block;
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version as TxVersion;
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn,
    TxMerkleNode, TxOut, Txid, Witness,
};

const CHANNEL: ChannelId = ChannelId([1; 32]);

fn seed() -> NodeSeed {
    NodeSeed::new([7; 32])
}

fn birthday() -> (BlockHeight, BlockHash) {
    (BlockHeight::ZERO, genesis_block(Network::Regtest).block_hash())
}

fn payment(to: ScriptBuf, sat: u64, salt: u8) -> Transaction {
    let previous_output = OutPoint::new(Txid::from_byte_array([salt; 32]), 0);
    Transaction {
        version: TxVersion::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output: vec![TxOut { value: Amount::from_sat(sat), script_pubkey: to }],
    }
}

/// Connects a block with these transactions on `previous`.
fn connect(wallet: &mut Wallet, height: u32, previous: BlockHash, txdata: Vec<Transaction>) -> BlockHash {
    let header = Header {
        version: Version::TWO,
        prev_blockhash: previous,
        merkle_root: TxMerkleNode::all_zeros(),
        time: height,
        bits: CompactTarget::from_consensus(0x207f_ffff),
        nonce: txdata.iter().map(|tx| tx.output[0].value.to_sat() as u32).sum(),
    };
    let block = Block { header, txdata };
    wallet.connect(&block, BlockHeight::new(height), block.block_hash());
    block.block_hash()
}

fn funded(coins: &[u64]) -> Wallet {
    funded_at(coins).0
}

/// A wallet with these coins, and the block that holds them.
fn funded_at(coins: &[u64]) -> (Wallet, BlockHash) {
    let mut wallet = Wallet::new(&seed(), birthday());
    let pay = |(salt, sat): (usize, &u64)| payment(wallet.fresh_script(), *sat, salt as u8 + 1);
    let coins = coins.iter().enumerate().map(pay).collect();
    let tip = connect(&mut wallet, 1, birthday().1, coins);
    (wallet, tip)
}

fn fund(wallet: &mut Wallet, channel: ChannelId, sat: u64) -> Result<(Transaction, u32), FundingError> {
    let script = ScriptBuf::new_p2wsh(&bitcoin::WScriptHash::hash(&[9]));
    wallet.fund(channel, script, Sat::new(sat), FeeratePerKw::new(253), &[])
}

#[test]
fn the_scripts_of_a_seed_are_those_the_wallet_hands_out() {
    let mut wallet = Wallet::new(&seed(), birthday());
    let scripts = wallet_scripts(&seed(), 5);
    assert_eq!(scripts.len(), 10);
    for script in scripts.iter().take(5) {
        assert_eq!(*script, wallet.fresh_script());
    }
}

#[test]
fn the_same_coins_give_the_same_signed_transaction() {
    let make = || fund(&mut funded(&[60_000, 60_000, 50_000]), CHANNEL, 100_000).unwrap();
    let (tx, vout) = make();
    assert_eq!((tx.clone(), vout), make());
    assert_eq!(tx.output[vout as usize].value, Amount::from_sat(100_000));
    assert_eq!(tx.lock_time, LockTime::ZERO);
    assert!(tx.input.iter().all(|input| input.witness.len() == 2), "every input is signed");
    let change = &tx.output[1 - vout as usize];
    assert!(wallet_scripts(&seed(), 1)[1] == change.script_pubkey, "change goes to the internal keychain");
}

#[test]
fn reserved_coins_are_not_spent_twice_until_released() {
    let mut wallet = funded(&[100_000]);
    assert!(fund(&mut wallet, CHANNEL, 50_000).is_ok());
    let other = ChannelId([2; 32]);
    assert!(matches!(fund(&mut wallet, other, 40_000), Err(FundingError::Build(_))));
    wallet.release(CHANNEL);
    assert!(fund(&mut wallet, other, 40_000).is_ok());
}

#[test]
fn change_is_ours_once_the_funding_is_broadcast() {
    let mut wallet = funded(&[100_000]);
    let (tx, _) = fund(&mut wallet, CHANNEL, 50_000).unwrap();
    assert_eq!(wallet.balance(), Sat::new(100_000));
    wallet.broadcast(CHANNEL, &tx, Timestamp::ZERO);
    let change = tx.output.iter().map(|output| output.value.to_sat()).sum::<u64>() - 50_000;
    assert_eq!(wallet.balance(), Sat::new(change));
}

#[test]
fn a_disconnected_block_takes_its_coins_away() {
    let (mut wallet, first) = funded_at(&[100_000]);
    let script = wallet.fresh_script();
    let second = connect(&mut wallet, 2, first, Vec::new());
    let third = connect(&mut wallet, 3, second, vec![payment(script.clone(), 30_000, 99)]);
    connect(&mut wallet, 4, third, Vec::new());
    assert_eq!(wallet.balance(), Sat::new(130_000));
    wallet.disconnect(BlockHeight::new(4));
    wallet.disconnect(BlockHeight::new(3));
    assert_eq!(wallet.balance(), Sat::new(100_000));
    connect(&mut wallet, 3, second, vec![payment(script, 31_000, 77)]);
    assert_eq!(wallet.balance(), Sat::new(131_000));
}

#[test]
fn a_coin_spent_in_a_block_that_is_gone_is_there_again() {
    let (mut wallet, first) = funded_at(&[100_000]);
    // A fee of a channel's transaction, which this wallet did not broadcast: it learns of it from the block.
    let change = wallet.fresh_script();
    let (funding, _) = fund(&mut wallet, CHANNEL, 50_000).unwrap();
    wallet.release(CHANNEL);
    let mut spend = payment(change, 90_000, 0);
    spend.input[0].previous_output = funding.input[0].previous_output;
    connect(&mut wallet, 2, first, vec![spend.clone()]);
    assert_eq!(wallet.balance(), Sat::new(90_000));
    wallet.disconnect(BlockHeight::new(2));
    assert_eq!(wallet.balance(), Sat::new(100_000));
    assert_eq!(fund(&mut wallet, CHANNEL, 50_000).unwrap().0.input.len(), 1);
    wallet.release(CHANNEL);
    connect(&mut wallet, 2, first, vec![spend]);
    assert_eq!(wallet.balance(), Sat::new(90_000));
}

#[test]
fn a_coin_that_another_transaction_waits_with_is_left_alone() {
    let mut wallet = funded(&[100_000, 60_000]);
    let (large, _) = fund(&mut wallet, CHANNEL, 50_000).unwrap();
    wallet.release(CHANNEL);
    let used = [large.input[0].previous_output];
    let script = ScriptBuf::new_p2wsh(&bitcoin::WScriptHash::hash(&[9]));
    let fund = |wallet: &mut Wallet, sat| {
        wallet.fund(CHANNEL, script.clone(), Sat::new(sat), FeeratePerKw::new(253), &used)
    };
    let (small, _) = fund(&mut wallet, 50_000).unwrap();
    assert_ne!(small.input[0].previous_output, used[0]);
    assert!(fund(&mut wallet, 70_000).is_err());
}

#[test]
fn the_exported_descriptors_give_the_wallets_scripts_and_no_secret() {
    use bdk_wallet::descriptor::ExtendedDescriptor;
    let scripts = wallet_scripts(&seed(), 2);
    for (keychain, text) in watch_only_descriptors(&seed()).iter().enumerate() {
        assert!(text.starts_with("wpkh([") && text.contains("/84'/1'/0']tpub"), "{text}");
        assert!(text.contains(&format!("/{keychain}/*)#")) && !text.contains("prv"), "{text}");
        // Parsing checks the checksum.
        let descriptor: ExtendedDescriptor = text.parse().unwrap();
        for index in 0..2 {
            let script = descriptor.at_derivation_index(index).unwrap().script_pubkey();
            assert_eq!(script, scripts[keychain * 2 + index as usize]);
        }
    }
}

#[test]
fn a_wallet_read_back_goes_on_where_it_was() {
    let mut wallet = funded(&[100_000, 20_000]);
    fund(&mut wallet, CHANNEL, 50_000).unwrap();
    let record = wallet.take_record().unwrap();
    assert_eq!(wallet.take_record(), None, "nothing changed since");
    let mut restored = Wallet::decode(&seed(), &record).unwrap();
    assert_eq!(restored.balance(), wallet.balance());
    assert_eq!(restored.fresh_script(), wallet.fresh_script());
    let other = ChannelId([2; 32]);
    assert_eq!(fund(&mut restored, other, 10_000).unwrap(), fund(&mut wallet, other, 10_000).unwrap());
}

#[test]
fn broken_records_and_other_seeds_are_errors() {
    let record = funded(&[100_000]).take_record().unwrap();
    assert!(Wallet::decode(&NodeSeed::new([8; 32]), &record).is_err());
    for cut in 0..record.len() {
        assert!(Wallet::decode(&seed(), &record[..cut]).is_err());
    }
}
