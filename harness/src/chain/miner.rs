//! Our own miner, over either backend: it builds every block, so that blocks and with them all txids are the same in the
//! embedded chain and in Core. It also is the faucet: matured coinbases pay what a scenario gives its parties.
//! Deterministic: one fixed key, times from the height, transactions in a canonical order.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use bitcoin::block::{Header, Version};
use bitcoin::constants::genesis_block;
use bitcoin::hashes::Hash;
use bitcoin::script::PushBytesBuf;
use bitcoin::secp256k1::{Message, PublicKey, SecretKey, SECP256K1};
use bitcoin::sighash::{EcdsaSighashType, SighashCache};
use bitcoin::{
    absolute, transaction, Amount, Block, BlockHash, CompactTarget, CompressedPublicKey, Network, OutPoint,
    ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode, TxOut, Txid, Witness,
};

use super::block::{height_push, subsidy, witness_commitment, REGTEST_BITS};
use super::consensus::{COINBASE_MATURITY, MAX_BLOCK_WEIGHT};
use super::template::{choose, Priced};
use super::{Chain, ChainError, Tip};

/// Time of height 0 by the miner's clock: 2026-01-01T00:00:00Z.
pub const BASE_TIME: u32 = 1_767_225_600;
/// Seconds between blocks.
pub const BLOCK_INTERVAL: u32 = 600;
/// Blocks that exist before a scenario starts; the coinbases of the first four are then ripe.
pub const INITIAL_BLOCKS: u32 = 103;
/// Room for the header and the coinbase.
const RESERVED_WEIGHT: u64 = 8_000;
/// Change below this goes to fees.
const LEAST_CHANGE: Amount = Amount::from_sat(1_000);

/// Time of the block at a height, in seconds since 1970.
pub fn block_time(height: u32) -> u32 {
    BASE_TIME.saturating_add(height.saturating_mul(BLOCK_INTERVAL))
}

/// The miner's key: one constant, worth nothing outside regtest.
fn miner_key() -> SecretKey {
    static KEY: OnceLock<SecretKey> = OnceLock::new();
    *KEY.get_or_init(|| {
        let seed = bitcoin::hashes::sha256::Hash::hash(b"leyden miner");
        // A hash is a valid key but for a chance of 2^-128; this one is.
        SecretKey::from_slice(seed.as_byte_array()).unwrap_or_else(|_| unreachable!("a constant"))
    })
}

/// Where coinbases pay to: P2WPKH of the miner's key.
pub fn miner_script() -> ScriptBuf {
    static SCRIPT: OnceLock<ScriptBuf> = OnceLock::new();
    SCRIPT
        .get_or_init(|| {
            let key = CompressedPublicKey(PublicKey::from_secret_key(SECP256K1, &miner_key()));
            ScriptBuf::new_p2wpkh(&key.wpubkey_hash())
        })
        .clone()
}

/// The next regtest block after `tip`: these transactions (parents first) with their fees, subsidy and fees to `script`,
/// BIP 34 height, witness commitment, and a nonce that meets the target.
pub fn build(tip: Tip, transactions: &[(Transaction, Amount)], script: ScriptBuf) -> Block {
    let height = tip.height.saturating_add(1);
    let fees: Amount = transactions.iter().map(|(_, fee)| *fee).sum();
    let mut script_sig = height_push(height);
    // Core asks for two bytes at least; heights up to 16 are one.
    script_sig.push_opcode(bitcoin::opcodes::OP_0);
    let coinbase = Transaction {
        version: transaction::Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig,
            sequence: Sequence::MAX,
            witness: Witness::from_slice(&[[0u8; 32]]),
        }],
        output: vec![TxOut { value: subsidy(height) + fees, script_pubkey: script }],
    };
    let txdata = std::iter::once(coinbase).chain(transactions.iter().map(|(tx, _)| tx.clone())).collect();
    let header = Header {
        version: Version::from_consensus(0x2000_0000),
        prev_blockhash: tip.hash,
        merkle_root: TxMerkleNode::all_zeros(),
        time: block_time(height),
        bits: CompactTarget::from_consensus(REGTEST_BITS),
        nonce: 0,
    };
    let mut block = Block { header, txdata };
    seal(&mut block);
    block
}

/// Writes the witness commitment, the merkle root and a nonce that meets the target: also for blocks that a test has
/// changed. A commitment that stands last in the coinbase is replaced.
pub fn seal(block: &mut Block) {
    if let Some(commitment) = witness_commitment(block, &[0u8; 32]) {
        let mut data = PushBytesBuf::from([0xaa, 0x21, 0xa9, 0xed]);
        let extended = data.extend_from_slice(commitment.as_byte_array());
        debug_assert!(extended.is_ok());
        let out = TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::new_op_return(data) };
        if let Some(coinbase) = block.txdata.first_mut() {
            coinbase.output.retain(|out| {
                !out.script_pubkey.as_bytes().starts_with(&[0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed])
            });
            coinbase.output.push(out);
        }
    }
    if let Some(root) = block.compute_merkle_root() {
        block.header.merkle_root = root;
    }
    let target = block.header.target();
    while !target.is_met_by(block.header.block_hash()) {
        block.header.nonce = block.header.nonce.wrapping_add(1);
    }
}

/// Heights 1 to `INITIAL_BLOCKS`, built once for the process.
pub fn initial_blocks() -> &'static [Block] {
    static BLOCKS: OnceLock<Vec<Block>> = OnceLock::new();
    BLOCKS.get_or_init(|| {
        let mut tip = Tip { height: 0, hash: genesis_hash() };
        let mut next = || {
            let block = build(tip, &[], miner_script());
            tip = Tip { height: tip.height + 1, hash: block.block_hash() };
            block
        };
        (0..INITIAL_BLOCKS).map(|_| next()).collect()
    })
}

/// Parents before children, and otherwise by txid: the same order in every world.
pub fn topological(transactions: Vec<Transaction>) -> Vec<Transaction> {
    topological_by_id(transactions.into_iter().map(|tx| (tx.compute_txid(), tx)).collect())
}

/// The same for those whose ids are known, which need not be hashed again.
pub(super) fn topological_by_id(mut waiting: BTreeMap<Txid, Transaction>) -> Vec<Transaction> {
    let mut missing: BTreeMap<Txid, usize> = BTreeMap::new();
    let mut children: BTreeMap<Txid, Vec<Txid>> = BTreeMap::new();
    for (txid, tx) in &waiting {
        let parents: BTreeSet<Txid> = tx.input.iter().map(|input| input.previous_output.txid).collect();
        let parents = parents.into_iter().filter(|parent| waiting.contains_key(parent));
        let count = parents.map(|parent| children.entry(parent).or_default().push(*txid)).count();
        missing.insert(*txid, count);
    }
    let mut ready: BTreeSet<Txid> =
        missing.iter().filter(|(_, count)| **count == 0).map(|(txid, _)| *txid).collect();
    let mut ordered = Vec::with_capacity(waiting.len());
    while let Some(txid) = ready.pop_first() {
        ordered.extend(waiting.remove(&txid));
        for child in children.remove(&txid).unwrap_or_default() {
            if let Some(count) = missing.get_mut(&child) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    ready.insert(child);
                }
            }
        }
    }
    ordered
}

/// An output that pays the miner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct MinerCoin {
    pub(super) outpoint: OutPoint,
    pub(super) value: Amount,
    /// The first height that may spend it.
    pub(super) ripe_at: u32,
}

/// Mines over a chain and spends what that earns.
#[derive(Clone, Debug)]
pub struct Miner {
    pub(super) coins: Vec<MinerCoin>,
    pub(super) script: ScriptBuf,
}

impl Miner {
    /// Starts a chain: connects those of the initial blocks that it does not have yet.
    ///
    /// # Errors
    /// What the chain answers. A chain with other blocks than the initial ones is refused by it.
    pub fn bootstrap(chain: &mut dyn Chain) -> Result<Miner, ChainError> {
        let mut miner = Miner { coins: Vec::new(), script: miner_script() };
        let have = chain.tip().height;
        for (height, block) in (1u32..).zip(initial_blocks()) {
            if height > have {
                chain.connect(block)?;
            }
            miner.note_block(block, height);
        }
        Ok(miner)
    }

    /// Mines everything in the mempool that fits.
    ///
    /// # Errors
    /// What the chain answers.
    pub fn mine(&mut self, chain: &mut dyn Chain) -> Result<Block, ChainError> {
        let mempool = topological(chain.mempool()?);
        self.mine_these(chain, mempool)
    }

    /// Mines these transactions (parents first) as far as they fit, the dearest first, whatever the mempool holds.
    ///
    /// # Errors
    /// What the chain answers; `bad-txns-inputs-missingorspent` if an input is nowhere.
    pub fn mine_these(
        &mut self,
        chain: &mut dyn Chain,
        transactions: Vec<Transaction>,
    ) -> Result<Block, ChainError> {
        let priced = choose(with_fees(chain, transactions)?, MAX_BLOCK_WEIGHT - RESERVED_WEIGHT);
        let with_fees: Vec<(Transaction, Amount)> =
            priced.into_iter().map(|priced| (priced.tx, priced.fee)).collect();
        let tip = chain.tip();
        let block = build(tip, &with_fees, self.script.clone());
        chain.connect(&block)?;
        self.note_block(&block, tip.height.saturating_add(1));
        Ok(block)
    }

    /// Takes the tip out of the chain, and forgets what it earned.
    ///
    /// # Errors
    /// What the chain answers.
    pub fn unmine(&mut self, chain: &mut dyn Chain) -> Result<Block, ChainError> {
        let block = chain.disconnect()?;
        if let Some(coinbase) = block.txdata.first().map(Transaction::compute_txid) {
            self.coins.retain(|coin| coin.outpoint.txid != coinbase);
        }
        Ok(block)
    }

    /// The faucet: one transaction into the mempool that pays these outputs, in this order, and the change (last) back.
    ///
    /// # Errors
    /// `Refused` with `miner has too few ripe coins` if it has, else what the chain answers.
    pub fn fund(&mut self, chain: &mut dyn Chain, outputs: Vec<TxOut>) -> Result<Transaction, ChainError> {
        let (tx, taken) = self.payment(chain.tip(), outputs)?;
        let txid = chain.submit(&tx)?;
        self.coins.retain(|coin| !taken.contains(coin));
        if let Some((vout, out)) =
            (0u32..).zip(&tx.output).last().filter(|(_, out)| out.script_pubkey == self.script)
        {
            self.coins
                .insert(0, MinerCoin { outpoint: OutPoint { txid, vout }, value: out.value, ripe_at: 0 });
        }
        Ok(tx)
    }

    pub(super) fn payment(
        &self,
        tip: Tip,
        mut outputs: Vec<TxOut>,
    ) -> Result<(Transaction, Vec<MinerCoin>), ChainError> {
        let sending: Amount = outputs.iter().map(|out| out.value).sum();
        let mut taken = Vec::new();
        let mut value = Amount::ZERO;
        let fee = |inputs: usize| Amount::from_sat(500 + 60 * outputs.len() as u64 + 80 * inputs as u64);
        for coin in self.coins.iter().filter(|coin| coin.ripe_at <= tip.height.saturating_add(1)) {
            if value >= sending + fee(taken.len()) {
                break;
            }
            taken.push(*coin);
            value += coin.value;
        }
        let change = value
            .checked_sub(sending + fee(taken.len()))
            .ok_or_else(|| ChainError::Refused { reason: "miner has too few ripe coins".to_owned() })?;
        if change >= LEAST_CHANGE {
            outputs.push(TxOut { value: change, script_pubkey: self.script.clone() });
        }
        let input = |coin: &MinerCoin| TxIn {
            previous_output: coin.outpoint,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::new(),
        };
        let mut tx = Transaction {
            version: transaction::Version::TWO,
            lock_time: absolute::LockTime::ZERO,
            input: taken.iter().map(input).collect(),
            output: outputs,
        };
        sign(&mut tx, &taken, &self.script)?;
        Ok((tx, taken))
    }

    fn note_block(&mut self, block: &Block, height: u32) {
        let Some(coinbase) = block.txdata.first() else { return };
        let Some(out) = coinbase.output.first() else { return };
        self.coins.push(MinerCoin {
            outpoint: OutPoint { txid: coinbase.compute_txid(), vout: 0 },
            value: out.value,
            ripe_at: height.saturating_add(COINBASE_MATURITY),
        });
    }
}

pub(super) fn sign(tx: &mut Transaction, coins: &[MinerCoin], script: &ScriptBuf) -> Result<(), ChainError> {
    let key = miner_key();
    let public = PublicKey::from_secret_key(SECP256K1, &key);
    let mut cache = SighashCache::new(tx);
    for (index, coin) in coins.iter().enumerate() {
        let sighash = cache
            .p2wpkh_signature_hash(index, script, coin.value, EcdsaSighashType::All)
            .map_err(|fault| ChainError::Backend(format!("the miner cannot sign: {fault}")))?;
        let signature = SECP256K1.sign_ecdsa(&Message::from_digest(sighash.to_byte_array()), &key);
        let signature = bitcoin::ecdsa::Signature::sighash_all(signature);
        if let Some(witness) = cache.witness_mut(index) {
            *witness = Witness::p2wpkh(&signature, &public);
        }
    }
    Ok(())
}

/// Each with its fee, from the chain's coins and from parents before it.
fn with_fees(chain: &mut dyn Chain, transactions: Vec<Transaction>) -> Result<Vec<Priced>, ChainError> {
    let mut made: BTreeMap<OutPoint, Amount> = BTreeMap::new();
    let mut priced = Vec::with_capacity(transactions.len());
    for tx in transactions {
        let mut value = Amount::ZERO;
        for input in &tx.input {
            value += match made.get(&input.previous_output) {
                Some(amount) => *amount,
                None => {
                    let missing = || ChainError::from(super::reject::Reject::InputsMissingOrSpent);
                    chain.unspent(input.previous_output)?.ok_or_else(missing)?.0.value
                }
            };
        }
        let out: Amount = tx.output.iter().map(|out| out.value).sum();
        let fee = value.checked_sub(out).ok_or(super::reject::Reject::InBelowOut)?;
        let txid = tx.compute_txid();
        made.extend((0u32..).zip(&tx.output).map(|(vout, out)| (OutPoint { txid, vout }, out.value)));
        priced.push(Priced { txid, tx, fee });
    }
    Ok(priced)
}

/// The hash of regtest's genesis: the parent of the first block.
pub fn genesis_hash() -> BlockHash {
    genesis_block(Network::Regtest).block_hash()
}
