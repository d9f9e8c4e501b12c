//! A wallet of two p2wpkh keychains (BIP 84) over `bdk_wallet`: fresh addresses, blocks in, signed funding
//! transactions out. Same seed and same calls, same bytes: no randomness, no clock, coins in a fixed order.
//! Only blocks that touch the wallet become checkpoints, so that its record stays small.

use crate::ids::ChannelId;
use crate::keys::NodeSeed;
use crate::units::{BlockHeight, FeeratePerKw, Sat, Timestamp};
use bdk_wallet::chain::{BlockId, Indexer, Merge};
use bdk_wallet::coin_selection::{
    CoinSelectionAlgorithm, CoinSelectionResult, InsufficientFunds, LargestFirstCoinSelection,
};
use bdk_wallet::error::CreateTxError;
use bdk_wallet::signer::{SignOptions, SignerError};
use bdk_wallet::template::{Bip84Public, DescriptorTemplate};
use bdk_wallet::{ChangeSet, KeychainKind, LocalOutput, TxOrdering, Update, Wallet as Bdk, WeightedUtxo};
use bitcoin::absolute::LockTime;
use bitcoin::bip32::{ChildNumber, Xpriv, Xpub};
use bitcoin::key::rand::rngs::mock::StepRng;
use bitcoin::key::rand::RngCore;
use bitcoin::{Block, BlockHash, FeeRate, Network, OutPoint, Script, ScriptBuf, Transaction};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Scripts watched beyond the last revealed one. One is enough, since scripts are only handed out one after the other.
const LOOKAHEAD: u32 = 1;

/// A record with more scripts than this is no record of ours, and would take minutes to load.
const MAX_REVEALED: u32 = 1_000_000;

/// The network whose descriptors and genesis the wallet uses.
const NETWORK: Network = Network::Regtest;

/// The node's coins.
pub struct Wallet {
    pub(super) bdk: Bdk,
    pub(super) master: Xpriv,
    saved: Saved,
    tip: Option<BlockId>,
    dirty: bool,
}

/// What is durable: everything `bdk_wallet` has ever staged, and the coins promised to fundings not yet broadcast.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Saved {
    changes: ChangeSet,
    reserved: BTreeMap<ChannelId, Vec<OutPoint>>,
}

/// Why no funding transaction could be made.
#[derive(Debug, thiserror::Error)]
pub enum FundingError {
    /// Coins, fee or output do not fit together.
    #[error("the wallet cannot build the funding transaction: {0}")]
    Build(#[from] CreateTxError),
    /// A signature could not be put in its place.
    #[error("the wallet cannot finish the funding transaction: {0}")]
    Finish(#[from] SignerError),
    /// A coin could not be signed for.
    #[error("the wallet cannot sign the funding transaction")]
    Unsigned,
    /// The output is missing from the result.
    #[error("the wallet's funding transaction does not pay the channel")]
    NoOutput,
}

/// A wallet's record could not be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WalletError {
    /// The bytes are no wallet record.
    #[error("the wallet record cannot be read: {0}")]
    Decode(postcard::Error),
    /// The record belongs to another seed or is inconsistent.
    #[error("the wallet record does not fit this seed: {0}")]
    Load(String),
}

impl Wallet {
    /// A new wallet that looks at nothing before the block `birthday`.
    pub fn new(seed: &NodeSeed, birthday: (BlockHeight, BlockHash)) -> Self {
        let master = master_key(seed);
        let [external, internal] = descriptors(&master);
        let bdk = Bdk::create(external, internal)
            .network(NETWORK)
            .lookahead(LOOKAHEAD)
            .create_wallet_no_persist()
            .expect("a BIP 84 descriptor of a valid key is valid");
        let tip = Some(BlockId { height: birthday.0.get(), hash: birthday.1 });
        let mut wallet = Self { bdk, master, saved: Saved::default(), tip, dirty: true };
        wallet.collect();
        wallet
    }

    /// The wallet that wrote this record. It learns the tip with the next block.
    pub fn decode(seed: &NodeSeed, bytes: &[u8]) -> Result<Self, WalletError> {
        let saved: Saved = postcard::from_bytes(bytes).map_err(WalletError::Decode)?;
        if saved.changes.indexer.last_revealed.values().any(|index| *index > MAX_REVEALED) {
            return Err(WalletError::Load("it has revealed too many scripts".to_owned()));
        }
        let master = master_key(seed);
        let bdk = load(&master, saved.changes.clone())?;
        Ok(Self { bdk, master, saved, tip: None, dirty: false })
    }

    /// The record, if it changed since the last call.
    pub fn take_record(&mut self) -> Option<Vec<u8>> {
        self.collect();
        std::mem::take(&mut self.dirty).then(|| self.record())
    }

    /// The record as it is now.
    pub fn record(&mut self) -> Vec<u8> {
        self.collect();
        postcard::to_stdvec(&self.saved).expect("a change set always encodes")
    }

    /// A script that was never handed out.
    pub fn fresh_script(&mut self) -> ScriptBuf {
        self.bdk.reveal_next_address(KeychainKind::External).address.script_pubkey()
    }

    /// Takes in a block on top of the last one.
    pub fn connect(&mut self, block: &Block, height: BlockHeight, hash: BlockHash) {
        self.tip = Some(BlockId { height: height.get(), hash });
        if !block.txdata.iter().any(|tx| self.bdk.spk_index().is_tx_relevant(tx)) {
            return;
        }
        let below = self.bdk.latest_checkpoint().block_id();
        // An error means a block below the last one seen; the node has already refused those.
        let connected = self.bdk.apply_block_connected_to(block, height.get(), below);
        debug_assert!(connected.is_ok(), "{connected:?}");
    }

    /// Forgets the block at `height` and all above it.
    pub fn disconnect(&mut self, height: BlockHeight) {
        self.tip = None;
        if self.bdk.latest_checkpoint().height() < height.get() {
            return;
        }
        self.collect();
        self.saved.changes.local_chain.blocks.split_off(&height.get().max(1));
        // Fundings were broadcast by this wallet and still wait. What channels pay fees with they broadcast again, or not: until it
        // is mined it spends nothing here.
        self.saved.changes.tx_graph.anchors.retain(|(anchor, _)| anchor.block_id.height < height.get());
        self.dirty = true;
        if let Ok(bdk) = load(&self.master, self.saved.changes.clone()) {
            self.bdk = bdk;
        }
    }

    /// The wallet's coins: confirmed ones, reserved and immature ones included, and unconfirmed change of its own.
    pub fn balance(&mut self) -> Sat {
        self.raise_tip();
        let balance = self.bdk.balance();
        (balance.confirmed + balance.immature + balance.trusted_pending).into()
    }

    /// What must not be spent: coins promised to other fundings, and what others pay us but no block holds yet.
    fn unspendable(&self) -> Vec<OutPoint> {
        let foreign = |coin: &LocalOutput| {
            coin.keychain == KeychainKind::External && !coin.chain_position.is_confirmed()
        };
        let foreign = self.bdk.list_unspent().filter(foreign).map(|coin| coin.outpoint);
        self.saved.reserved.values().flatten().copied().chain(foreign).collect()
    }

    /// Coins promised to fundings that are not broadcast yet.
    pub(super) fn reserved(&self) -> Vec<OutPoint> {
        self.saved.reserved.values().flatten().copied().collect()
    }

    /// Builds and signs a transaction that pays `amount` to `script`, and reserves its coins for `channel`. It leaves `used` alone:
    /// coins that other transactions wait with.
    /// Gives the transaction and the output's index. Nothing counts as spent until [`Wallet::broadcast`].
    pub fn fund(
        &mut self,
        channel: ChannelId,
        script: ScriptBuf,
        amount: Sat,
        feerate: FeeratePerKw,
        used: &[OutPoint],
    ) -> Result<(Transaction, u32), FundingError> {
        self.raise_tip();
        let mut unspendable = self.unspendable();
        unspendable.extend(used);
        // Revealed, and so on record: what `bdk_wallet` would pick it marks as used in memory only.
        let change = self.bdk.reveal_next_address(KeychainKind::Internal).address.script_pubkey();
        let mut builder = self.bdk.build_tx().coin_selection(SortedLargestFirst);
        builder
            .add_recipient(script.clone(), amount.to_amount())
            .fee_rate(FeeRate::from_sat_per_kwu(feerate.get().into()))
            .ordering(TxOrdering::Untouched)
            .nlocktime(LockTime::ZERO)
            .drain_to(change)
            .unspendable(unspendable)
            .only_witness_utxo();
        // Neither the coin selection nor the ordering above draws from it.
        let mut psbt = builder.finish_with_aux_rand(&mut StepRng::new(0, 1))?;
        psbt.sign(&self.master, secp256k1::SECP256K1).map_err(|_| FundingError::Unsigned)?;
        let options = SignOptions { trust_witness_utxo: true, ..SignOptions::default() };
        if !self.bdk.finalize_psbt(&mut psbt, options)? {
            return Err(FundingError::Unsigned);
        }
        let tx = psbt.extract_tx_unchecked_fee_rate();
        let vout = tx.output.iter().position(|output| output.script_pubkey == script);
        let vout = vout.and_then(|index| u32::try_from(index).ok()).ok_or(FundingError::NoOutput)?;
        self.saved.reserved.insert(channel, tx.input.iter().map(|input| input.previous_output).collect());
        self.dirty = true;
        Ok((tx, vout))
    }

    /// The reservation now goes by the channel's lasting name.
    pub fn rename_reservation(&mut self, temporary: ChannelId, channel: ChannelId) {
        if let Some(coins) = self.saved.reserved.remove(&temporary) {
            self.saved.reserved.insert(channel, coins);
            self.dirty = true;
        }
    }

    /// The funding will not happen: its coins are free again.
    pub fn release(&mut self, channel: ChannelId) {
        self.dirty |= self.saved.reserved.remove(&channel).is_some();
    }

    /// Frees what is reserved for channels that `is_alive` does not know.
    pub fn release_unless(&mut self, is_alive: impl Fn(&ChannelId) -> bool) {
        let before = self.saved.reserved.len();
        self.saved.reserved.retain(|channel, _| is_alive(channel));
        self.dirty |= self.saved.reserved.len() != before;
    }

    /// A transaction that spends from or pays to this wallet goes to the mempool: its coins are spent, its outputs ours.
    pub fn broadcast(&mut self, channel: ChannelId, tx: &Transaction, now: Timestamp) {
        self.release(channel);
        self.bdk.apply_unconfirmed_txs([(tx.clone(), now.get() / 1_000_000)]);
    }

    /// Moves what `bdk_wallet` staged into the record.
    fn collect(&mut self) {
        if let Some(staged) = self.bdk.take_staged() {
            self.saved.changes.merge(staged);
            self.dirty = true;
        }
    }

    /// Tells `bdk_wallet` the tip, on which only the maturity of coinbases depends; done when asked, not at each block.
    fn raise_tip(&mut self) {
        let (Some(tip), last) = (self.tip, self.bdk.latest_checkpoint()) else { return };
        if tip.height > last.height() {
            let chain = last.push(tip).ok();
            // Cannot fail: it extends the wallet's own chain.
            let raised = self.bdk.apply_update(Update { chain, ..Update::default() });
            debug_assert!(raised.is_ok(), "{raised:?}");
        }
    }
}

/// The first `count` scripts of each of the wallet's keychains, external ones first: whose coins are whose, computed
/// from the seed alone.
pub fn wallet_scripts(seed: &NodeSeed, count: u32) -> Vec<ScriptBuf> {
    let master = master_key(seed);
    let secp = secp256k1::SECP256K1;
    let account = account_key(&master);
    let mut scripts = Vec::new();
    for keychain in 0..2 {
        let keychain = account.derive_pub(secp, &[normal(keychain)]).expect("a path of valid indices");
        for index in 0..count {
            let key = keychain.derive_pub(secp, &[normal(index)]).expect("a path of valid indices");
            let hash = bitcoin::CompressedPublicKey(key.public_key).wpubkey_hash();
            scripts.push(ScriptBuf::new_p2wpkh(&hash));
        }
    }
    scripts
}

/// Both keychains as descriptors with their checksums, external first: `wpkh([fingerprint/84'/1'/0']tpub…/0/*)#…`. They show
/// all coins and sign for none.
pub fn watch_only_descriptors(seed: &NodeSeed) -> [String; 2] {
    descriptors(&master_key(seed)).map(|keychain| {
        let (descriptor, _, _) =
            keychain.build(NETWORK.into()).expect("a BIP 84 descriptor of a valid key is valid");
        descriptor.to_string()
    })
}

/// The account that both keychains belong to, m/84'/1'/0'; all of the wallet's scripts follow from its public half.
fn account_key(master: &Xpriv) -> Xpub {
    let path = [hardened(84), hardened(1), hardened(0)];
    let account = master.derive_priv(secp256k1::SECP256K1, &path).expect("a path of valid indices");
    Xpub::from_priv(secp256k1::SECP256K1, &account)
}

/// Both keychains without their secrets, which only signing needs: from those `bdk_wallet` would derive each key twice.
fn descriptors(master: &Xpriv) -> [Bip84Public<Xpub>; 2] {
    let (account, fingerprint) = (account_key(master), master.fingerprint(secp256k1::SECP256K1));
    [KeychainKind::External, KeychainKind::Internal]
        .map(|keychain| Bip84Public(account, fingerprint, keychain))
}

fn hardened(index: u32) -> ChildNumber {
    ChildNumber::Hardened { index }
}

fn normal(index: u32) -> ChildNumber {
    ChildNumber::Normal { index }
}

fn master_key(seed: &NodeSeed) -> Xpriv {
    Xpriv::new_master(NETWORK, &seed.wallet_seed()).expect("fails for one hash in 2^127")
}

fn load(master: &Xpriv, changes: ChangeSet) -> Result<Bdk, WalletError> {
    let [external, internal] = descriptors(master);
    let loaded = Bdk::load()
        .descriptor(KeychainKind::External, Some(external))
        .descriptor(KeychainKind::Internal, Some(internal))
        .check_network(NETWORK)
        .lookahead(LOOKAHEAD)
        .load_wallet_no_persist(changes)
        .map_err(|error| WalletError::Load(error.to_string()))?;
    loaded.ok_or_else(|| WalletError::Load("it is empty".to_owned()))
}

/// Largest coins first, those of equal value in the order of their outpoints.
#[derive(Clone, Copy, Debug)]
struct SortedLargestFirst;

impl CoinSelectionAlgorithm for SortedLargestFirst {
    fn coin_select<R: RngCore>(
        &self,
        required: Vec<WeightedUtxo>,
        mut optional: Vec<WeightedUtxo>,
        fee_rate: FeeRate,
        target: bitcoin::Amount,
        drain: &Script,
        rand: &mut R,
    ) -> Result<CoinSelectionResult, InsufficientFunds> {
        optional.sort_by_key(|coin| coin.utxo.outpoint());
        LargestFirstCoinSelection.coin_select(required, optional, fee_rate, target, drain, rand)
    }
}
