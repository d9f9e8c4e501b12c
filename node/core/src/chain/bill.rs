//! Coins for a transaction that others sign too and that cannot pay for itself: an anchor's child, an HTLC transaction without
//! fee. The wallet adds inputs and its change, and signs its own inputs; who takes the coins is for the caller to remember.
use super::wallet::Wallet;
use crate::units::{FeeratePerKw, Sat};
use bdk_wallet::{KeychainKind, LocalOutput};
use bitcoin::bip32::ChildNumber;
use bitcoin::hashes::Hash;
use bitcoin::sighash::SighashCache;
use bitcoin::{
    ecdsa, CompressedPublicKey, EcdsaSighashType, OutPoint, Script, ScriptBuf, Sequence, Transaction, TxIn,
    TxOut, Witness,
};
use secp256k1::{Message, SECP256K1};

/// What one more P2WPKH input weighs, with a signature of the greatest length.
const P2WPKH_INPUT_WEIGHT: u64 = 4 * 41 + 1 + 1 + 72 + 1 + 33;

/// What so many coins of the wallet and their change add to a transaction, in weight units.
pub fn wallet_part_weight(coins: usize, change: &Script) -> u64 {
    coins as u64 * P2WPKH_INPUT_WEIGHT + 4 * (8 + 1 + change.len() as u64)
}

/// What is to be paid.
#[derive(Clone, Copy, Debug)]
pub struct Bill<'a> {
    /// Complete but for the wallet's part and the witnesses.
    pub tx: &'a Transaction,
    /// What is to be paid for, in weight units, without the wallet's part.
    pub weight: u64,
    /// What is paid already.
    pub paid: Sat,
    /// The feerate to reach.
    pub feerate: FeeratePerKw,
    /// The most that the coins may pay: what one coin more than foreseen would take beyond it is not paid.
    pub budget: Sat,
    /// Where the change goes.
    pub change: &'a Script,
    /// Coins that an earlier version spends: they come first.
    pub again: &'a [OutPoint],
    /// Coins that others wait with: they are left alone, unless they come again.
    pub used: &'a [OutPoint],
}

impl Wallet {
    /// The transaction with confirmed coins added, signed by the wallet, and the change. Nothing if there are too few coins.
    pub fn pay(&mut self, bill: &Bill) -> Option<Transaction> {
        let mut taken: Vec<LocalOutput> = Vec::new();
        let mut value = Sat::ZERO;
        for coin in self.coins_for(bill) {
            value = value.saturating_add(coin.txout.value.into());
            taken.push(coin);
            let change = value.checked_sub(bill.fee(taken.len()));
            if let Some(change) = change.filter(|change| change.to_amount() >= bill.change.minimal_non_dust())
            {
                return self.complete(bill, &taken, change);
            }
        }
        None
    }

    /// Those of an earlier version first, then the largest; equal ones in the order of their outpoints.
    fn coins_for(&self, bill: &Bill) -> Vec<LocalOutput> {
        let reserved = self.reserved();
        let free = |coin: &LocalOutput| {
            let again = bill.again.contains(&coin.outpoint);
            let taken = bill.used.contains(&coin.outpoint) || reserved.contains(&coin.outpoint);
            coin.chain_position.is_confirmed() && (again || !taken)
        };
        let mut coins: Vec<LocalOutput> = self.bdk.list_unspent().filter(free).collect();
        coins.sort_by_key(|coin| {
            let again = bill.again.contains(&coin.outpoint);
            (!again, std::cmp::Reverse(coin.txout.value), coin.outpoint)
        });
        coins
    }

    fn complete(&self, bill: &Bill, coins: &[LocalOutput], change: Sat) -> Option<Transaction> {
        let mut tx = bill.tx.clone();
        let first = tx.input.len();
        tx.input.extend(coins.iter().map(|coin| TxIn {
            previous_output: coin.outpoint,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::new(),
        }));
        tx.output.push(TxOut { value: change.to_amount(), script_pubkey: bill.change.to_owned() });
        for (index, coin) in (first..).zip(coins) {
            let witness = self.witness(&tx, index, coin)?;
            tx.input[index].witness = witness;
        }
        Some(tx)
    }

    fn witness(&self, tx: &Transaction, index: usize, coin: &LocalOutput) -> Option<Witness> {
        let keychain = match coin.keychain {
            KeychainKind::External => 0,
            KeychainKind::Internal => 1,
        };
        let hardened = |index| ChildNumber::Hardened { index };
        let normal = |index| ChildNumber::Normal { index };
        let path = [hardened(84), hardened(1), hardened(0), normal(keychain), normal(coin.derivation_index)];
        let key = self.master.derive_priv(SECP256K1, &path).ok()?.private_key;
        let all = EcdsaSighashType::All;
        let (script, value) = (&coin.txout.script_pubkey, coin.txout.value);
        let hash = SighashCache::new(tx).p2wpkh_signature_hash(index, script, value, all).ok()?;
        let signature = SECP256K1.sign_ecdsa(&Message::from_digest(hash.to_byte_array()), &key);
        let signature = ecdsa::Signature { signature, sighash_type: all };
        let public = CompressedPublicKey(key.public_key(SECP256K1));
        Some(Witness::from_slice(&[signature.to_vec(), public.to_bytes().to_vec()]))
    }
}

impl Bill<'_> {
    /// What so many coins must pay together, change included.
    fn fee(&self, coins: usize) -> Sat {
        let weight = self.weight + wallet_part_weight(coins, self.change);
        self.feerate.fee(weight).saturating_sub(self.paid).min(self.budget)
    }
}
