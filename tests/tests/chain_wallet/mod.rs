//! Locks coins in every way that matters to Lightning and spends them, rightly or with one chosen fault. Knows nothing of
//! chains; used by the tests of the chain backends.
#![allow(dead_code, missing_docs)]
use bitcoin::hashes::{hash160, Hash};
use bitcoin::key::{Keypair, TapTweak};
use bitcoin::opcodes::all as op;
use bitcoin::script::{Builder, PushBytesBuf};
use bitcoin::secp256k1::{Message, PublicKey, SecretKey, SECP256K1};
use bitcoin::sighash::{Prevouts, SighashCache};
use bitcoin::taproot::{LeafVersion, TaprootBuilder, TaprootSpendInfo};
use bitcoin::{
    absolute, transaction, Amount, EcdsaSighashType, OutPoint, ScriptBuf, Sequence, TapLeafHash,
    TapSighashType, Transaction, TxIn, TxOut, Witness,
};

pub const PREIMAGE: [u8; 32] = [7; 32];

/// How an output is locked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lock {
    Wpkh,
    NestedWpkh,
    Pkh,
    BareMultisig,
    TaprootKey,
    TaprootLeaf,
    Csv(u32),
    Cltv(u32),
    Multisig,
    ToLocal(u32),
    Hash,
    Anchor,
}

/// One thing done wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    None,
    FlippedSignature,
    HighS,
    WrongAmount,
    HashType,
    EmptySignature,
    ExtraItem,
    NoWitness,
    FatBranch,
    WrongPreimage,
    LongPreimage,
    Dummy,
    ScriptSig,
}

pub const FAULTS: [Fault; 12] = [
    Fault::FlippedSignature,
    Fault::HighS,
    Fault::WrongAmount,
    Fault::HashType,
    Fault::EmptySignature,
    Fault::ExtraItem,
    Fault::NoWitness,
    Fault::FatBranch,
    Fault::WrongPreimage,
    Fault::LongPreimage,
    Fault::Dummy,
    Fault::ScriptSig,
];

/// An output that we can spend.
#[derive(Clone, Debug)]
pub struct Owned {
    pub outpoint: OutPoint,
    pub value: Amount,
    pub lock: Lock,
}

impl Owned {
    pub fn out(&self) -> TxOut {
        TxOut { value: self.value, script_pubkey: self.lock.script_pubkey() }
    }
}

fn key(n: u8) -> SecretKey {
    SecretKey::from_slice(&[n; 32]).expect("a small number is a key")
}

fn public(n: u8) -> bitcoin::PublicKey {
    bitcoin::PublicKey::new(PublicKey::from_secret_key(SECP256K1, &key(n)))
}

fn leaf_script() -> ScriptBuf {
    Builder::new()
        .push_x_only_key(&public(2).inner.x_only_public_key().0)
        .push_opcode(op::OP_CHECKSIG)
        .into_script()
}

fn leaf_tree() -> TaprootSpendInfo {
    let builder = TaprootBuilder::new().add_leaf(0, leaf_script()).expect("one leaf");
    builder.finalize(SECP256K1, public(1).inner.x_only_public_key().0).expect("one leaf")
}

impl Lock {
    /// The witness script, for the P2WSH ones.
    fn witness_script(self) -> Option<ScriptBuf> {
        let script = match self {
            Lock::Csv(blocks) => Builder::new()
                .push_int(i64::from(blocks))
                .push_opcode(op::OP_CSV)
                .push_opcode(op::OP_DROP)
                .push_key(&public(1))
                .push_opcode(op::OP_CHECKSIG),
            Lock::Cltv(height) => Builder::new()
                .push_int(i64::from(height))
                .push_opcode(op::OP_CLTV)
                .push_opcode(op::OP_DROP)
                .push_key(&public(1))
                .push_opcode(op::OP_CHECKSIG),
            Lock::Multisig => Builder::new()
                .push_int(2)
                .push_key(&public(1))
                .push_key(&public(2))
                .push_int(2)
                .push_opcode(op::OP_CHECKMULTISIG),
            Lock::ToLocal(blocks) => Builder::new()
                .push_opcode(op::OP_IF)
                .push_key(&public(2))
                .push_opcode(op::OP_ELSE)
                .push_int(i64::from(blocks))
                .push_opcode(op::OP_CSV)
                .push_opcode(op::OP_DROP)
                .push_key(&public(1))
                .push_opcode(op::OP_ENDIF)
                .push_opcode(op::OP_CHECKSIG),
            Lock::Hash => Builder::new()
                .push_opcode(op::OP_SIZE)
                .push_int(32)
                .push_opcode(op::OP_EQUALVERIFY)
                .push_opcode(op::OP_HASH160)
                .push_slice(hash160::Hash::hash(&PREIMAGE).to_byte_array())
                .push_opcode(op::OP_EQUALVERIFY)
                .push_key(&public(1))
                .push_opcode(op::OP_CHECKSIG),
            _ => return None,
        };
        Some(script.into_script())
    }

    pub fn script_pubkey(self) -> ScriptBuf {
        let wpkh = || ScriptBuf::new_p2wpkh(&public(1).wpubkey_hash().expect("compressed"));
        match self {
            Lock::Wpkh => wpkh(),
            Lock::NestedWpkh => ScriptBuf::new_p2sh(&wpkh().script_hash()),
            Lock::Pkh => ScriptBuf::new_p2pkh(&public(1).pubkey_hash()),
            Lock::BareMultisig => Builder::new()
                .push_int(1)
                .push_key(&public(1))
                .push_key(&public(2))
                .push_int(2)
                .push_opcode(op::OP_CHECKMULTISIG)
                .into_script(),
            Lock::TaprootKey => ScriptBuf::new_p2tr(SECP256K1, public(1).inner.x_only_public_key().0, None),
            Lock::TaprootLeaf => ScriptBuf::new_p2tr_tweaked(leaf_tree().output_key()),
            Lock::Anchor => ScriptBuf::from_bytes(vec![0x51, 0x02, 0x4e, 0x73]),
            _ => self.witness_script().expect("a P2WSH lock").to_p2wsh(),
        }
    }

    /// What nSequence the lock asks for.
    pub fn sequence(self) -> Sequence {
        match self {
            Lock::Csv(blocks) | Lock::ToLocal(blocks) => Sequence::from_consensus(blocks),
            _ => Sequence::ENABLE_RBF_NO_LOCKTIME,
        }
    }
}

/// A transaction over these coins, not signed yet.
pub fn unsigned(coins: &[Owned], output: Vec<TxOut>) -> Transaction {
    let lock_time = coins.iter().filter_map(|coin| match coin.lock {
        Lock::Cltv(height) => Some(height),
        _ => None,
    });
    let input = |coin: &Owned| TxIn {
        previous_output: coin.outpoint,
        script_sig: ScriptBuf::new(),
        sequence: coin.lock.sequence(),
        witness: Witness::new(),
    };
    Transaction {
        version: transaction::Version::TWO,
        lock_time: absolute::LockTime::from_consensus(lock_time.max().unwrap_or(0)),
        input: coins.iter().map(input).collect(),
        output,
    }
}

/// Signs every input; the fault is in the first.
pub fn sign(tx: &mut Transaction, coins: &[Owned], fault: Fault) {
    let spent: Vec<TxOut> = coins.iter().map(Owned::out).collect();
    let unsigned = tx.clone();
    for (index, coin) in coins.iter().enumerate() {
        let fault = if index == 0 { fault } else { Fault::None };
        let mut signer = Signer { cache: SighashCache::new(&unsigned), spent: &spent, index, fault };
        let (script_sig, mut witness) = signer.satisfy(coin);
        match fault {
            Fault::ExtraItem => witness.insert(0, vec![1]),
            Fault::NoWitness => witness.clear(),
            _ => {}
        }
        tx.input[index].script_sig = match fault {
            Fault::ScriptSig => ScriptBuf::from_bytes(vec![0x51]),
            _ => script_sig,
        };
        tx.input[index].witness = Witness::from_slice(&witness);
    }
}

struct Signer<'a> {
    cache: SighashCache<&'a Transaction>,
    spent: &'a [TxOut],
    index: usize,
    fault: Fault,
}

impl Signer<'_> {
    fn satisfy(&mut self, coin: &Owned) -> (ScriptBuf, Vec<Vec<u8>>) {
        let key_hash_script = Lock::Pkh.script_pubkey();
        let key_bytes = public(1).to_bytes();
        let push = |bytes: Vec<u8>| PushBytesBuf::try_from(bytes).expect("short");
        let none = ScriptBuf::new();
        match coin.lock {
            Lock::Wpkh => (none, vec![self.segwit(1, coin, &key_hash_script), key_bytes]),
            Lock::NestedWpkh => {
                let redeem = push(Lock::Wpkh.script_pubkey().into_bytes());
                let script_sig = Builder::new().push_slice(redeem).into_script();
                (script_sig, vec![self.segwit(1, coin, &key_hash_script), key_bytes])
            }
            Lock::Pkh => {
                let signature = push(self.legacy(1, &coin.lock.script_pubkey()));
                (Builder::new().push_slice(signature).push_slice(push(key_bytes)).into_script(), vec![])
            }
            Lock::BareMultisig => {
                let signature = push(self.legacy(2, &coin.lock.script_pubkey()));
                let dummy = i64::from(self.fault == Fault::Dummy);
                (Builder::new().push_int(dummy).push_slice(signature).into_script(), vec![])
            }
            Lock::TaprootKey => (none, vec![self.taproot(None)]),
            Lock::TaprootLeaf => {
                let script = leaf_script();
                let tree = leaf_tree();
                let control =
                    tree.control_block(&(script.clone(), LeafVersion::TapScript)).expect("the leaf");
                let leaf = TapLeafHash::from_script(&script, LeafVersion::TapScript);
                (none, vec![self.taproot(Some(leaf)), script.into_bytes(), control.serialize()])
            }
            Lock::Anchor => (none, vec![]),
            _ => {
                let script = coin.lock.witness_script().expect("a P2WSH lock");
                let mut items = self.items(coin, &script);
                items.push(script.into_bytes());
                (none, items)
            }
        }
    }

    fn items(&mut self, coin: &Owned, script: &ScriptBuf) -> Vec<Vec<u8>> {
        match coin.lock {
            Lock::Multisig => {
                let dummy = if self.fault == Fault::Dummy { vec![1] } else { vec![] };
                vec![dummy, self.segwit(1, coin, script), self.segwit(2, coin, script)]
            }
            // The revocation key's branch when it is done wrong, the delayed one otherwise.
            Lock::ToLocal(_) if self.fault == Fault::FatBranch => vec![self.segwit(2, coin, script), vec![2]],
            Lock::ToLocal(_) => vec![self.segwit(1, coin, script), vec![]],
            Lock::Hash => {
                let preimage = match self.fault {
                    Fault::WrongPreimage => vec![8; 32],
                    Fault::LongPreimage => vec![7; 33],
                    _ => PREIMAGE.to_vec(),
                };
                vec![self.segwit(1, coin, script), preimage]
            }
            _ => vec![self.segwit(1, coin, script)],
        }
    }

    fn segwit(&mut self, n: u8, coin: &Owned, code: &ScriptBuf) -> Vec<u8> {
        let wrong = Amount::from_sat(u64::from(self.fault == Fault::WrongAmount));
        let value = coin.value + wrong;
        let hash = self
            .cache
            .p2wsh_signature_hash(self.index, code, value, EcdsaSighashType::All)
            .expect("in range");
        self.ecdsa(n, hash.to_byte_array())
    }

    fn legacy(&mut self, n: u8, code: &ScriptBuf) -> Vec<u8> {
        let hash = self.cache.legacy_signature_hash(self.index, code, 1).expect("in range");
        self.ecdsa(n, hash.to_byte_array())
    }

    fn ecdsa(&self, n: u8, mut digest: [u8; 32]) -> Vec<u8> {
        if self.fault == Fault::FlippedSignature {
            digest[0] ^= 1;
        }
        let mut signature = SECP256K1.sign_ecdsa(&Message::from_digest(digest), &key(n));
        if self.fault == Fault::HighS {
            let mut compact = signature.serialize_compact();
            let s = SecretKey::from_slice(&compact[32..]).expect("s is in range").negate();
            compact[32..].copy_from_slice(&s.secret_bytes());
            signature = bitcoin::secp256k1::ecdsa::Signature::from_compact(&compact).expect("in range");
        }
        let mut bytes = signature.serialize_der().to_vec();
        bytes.push(if self.fault == Fault::HashType { 4 } else { 1 });
        if self.fault == Fault::EmptySignature {
            bytes.clear();
        }
        bytes
    }

    fn taproot(&mut self, leaf: Option<TapLeafHash>) -> Vec<u8> {
        let leaf_position = leaf.map(|leaf| (leaf, u32::MAX));
        let hash = self
            .cache
            .taproot_signature_hash(
                self.index,
                &Prevouts::All(self.spent),
                None,
                leaf_position,
                TapSighashType::Default,
            )
            .expect("in range");
        let mut digest = hash.to_byte_array();
        match self.fault {
            Fault::FlippedSignature => digest[0] ^= 1,
            Fault::WrongAmount => digest[1] ^= 1,
            _ => {}
        }
        let pair = match leaf {
            Some(_) => Keypair::from_secret_key(SECP256K1, &key(2)),
            None => Keypair::from_secret_key(SECP256K1, &key(1)).tap_tweak(SECP256K1, None).to_keypair(),
        };
        let signature = SECP256K1.sign_schnorr_no_aux_rand(&Message::from_digest(digest), &pair);
        let mut bytes = signature.as_ref().to_vec();
        match self.fault {
            Fault::HashType => bytes.push(4),
            Fault::EmptySignature => bytes.clear(),
            _ => {}
        }
        bytes
    }
}
