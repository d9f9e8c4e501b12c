//! Raw access to the chain: coins with a known key, transactions of the scenario's own making, and the chain's verdicts.
use super::Net;
use crate::chain::{Chain, ChainError};
use crate::names::Party;
use bitcoin::{
    Amount, CompressedPublicKey, OutPoint, PrivateKey, PublicKey, ScriptBuf, Transaction, TxOut, Txid,
};
use secp256k1::{SecretKey, SECP256K1};

/// A confirmed output whose key the scenario holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Coin {
    /// Signs for it.
    pub key: SecretKey,
    /// Where it is.
    pub outpoint: OutPoint,
    /// Its value and script.
    pub output: TxOut,
}

impl Coin {
    /// The public half of its key.
    pub fn public_key(&self) -> PublicKey {
        PrivateKey::new(self.key, bitcoin::Network::Regtest).public_key(SECP256K1)
    }
}

impl Net {
    /// A confirmed P2WPKH coin of this many satoshis that belongs to `owner`, who joins as a party without a node if new.
    #[track_caller]
    pub fn coin(&mut self, owner: &str, sat: u64) -> Coin {
        let (key, public) = self.fresh_key();
        self.make_coin(owner, sat, key, ScriptBuf::new_p2wpkh(&public.wpubkey_hash()))
    }

    /// The same as P2PKH: a coin whose spending transaction has its signature inside the txid.
    #[track_caller]
    pub fn legacy_coin(&mut self, owner: &str, sat: u64) -> Coin {
        let (key, public) = self.fresh_key();
        self.make_coin(owner, sat, key, ScriptBuf::new_p2pkh(&public.pubkey_hash()))
    }

    /// A confirmed output of this many satoshis to any script; whose it is shows only when it is spent to someone.
    #[track_caller]
    pub fn script_coin(&mut self, owner: &str, sat: u64, script: ScriptBuf) -> Coin {
        let (key, _) = self.fresh_key();
        self.make_coin(owner, sat, key, script)
    }

    /// From now on what pays this script counts as `owner`'s, who joins as a party without a node if new.
    pub fn owns(&mut self, owner: &str, script: ScriptBuf) {
        let party = self.names.parties().iter().position(|party| party.name == owner);
        let party = party.unwrap_or_else(|| self.names.add_party(Party { name: owner.into(), node: None }));
        self.names.add_script(party, script);
    }

    /// A key of the scenario's own, different at each call, the same at each run.
    pub fn fresh_key(&mut self) -> (SecretKey, CompressedPublicKey) {
        self.coins += 1;
        let bytes = self.secret("coin", &self.coins.to_string());
        let key = SecretKey::from_slice(&bytes).unwrap_or_else(|error| panic!("coin key: {error}"));
        (key, CompressedPublicKey(key.public_key(SECP256K1)))
    }

    #[track_caller]
    fn make_coin(&mut self, owner: &str, sat: u64, key: SecretKey, script: ScriptBuf) -> Coin {
        self.owns(owner, script.clone());
        let output = TxOut { value: Amount::from_sat(sat), script_pubkey: script };
        let txid = self.fund_scripts(vec![output.clone()]);
        Coin { key, outpoint: OutPoint::new(txid, 0), output }
    }

    /// One transaction of the miner with these outputs first, confirmed.
    #[track_caller]
    pub(super) fn fund_scripts(&mut self, outputs: Vec<TxOut>) -> Txid {
        let result = self.world.ground().fund(outputs);
        let tx = self.need(result);
        self.mine(1);
        tx.compute_txid()
    }

    /// The chain itself.
    pub fn chain(&mut self) -> &mut dyn Chain {
        self.world.ground().chain()
    }

    /// Hands a transaction to the chain, which must take it.
    #[track_caller]
    pub fn submit(&mut self, tx: &Transaction) -> Txid {
        match self.world.submit(tx) {
            Ok(txid) => {
                self.note(format!("the scenario submits tx {:.8}", txid.to_string()));
                txid
            }
            Err(error) => panic!("transaction {} was to be taken: {error}", tx.compute_txid()),
        }
    }

    /// Hands a transaction to the chain, which must refuse it with this word of Core's.
    #[track_caller]
    pub fn expect_refused(&mut self, tx: &Transaction, word: &str) {
        let txid = tx.compute_txid();
        match self.world.ground().submit(tx) {
            Err(ChainError::Refused { reason }) if reason == word => {
                self.note(format!("the chain refuses tx {:.8}: {reason}", txid.to_string()));
            }
            Err(error) => panic!("transaction {txid} was to be refused with {word:?}, but: {error}"),
            Ok(_) => panic!("transaction {txid} was to be refused with {word:?}, but was taken"),
        }
    }

    /// Mines one block of exactly these transactions, parents first: policy is no rule for a miner.
    #[track_caller]
    pub fn mine_these(&mut self, transactions: Vec<Transaction>) {
        let result = self.world.mine_these(transactions);
        self.need(result);
        self.after_block();
        self.mined();
    }

    /// Whether the best chain holds this transaction, and at which height.
    pub fn mined_at(&mut self, txid: Txid) -> Option<u32> {
        let blocks = self.world.ground().blocks().iter();
        let holds = |block: &&std::sync::Arc<leyden_core::node::NewBlock>| {
            block.block.txdata.iter().any(|tx| tx.compute_txid() == txid)
        };
        blocks.rev().find(holds).map(|block| block.height.get())
    }
}
