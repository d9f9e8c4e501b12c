//! The test vectors of BOLT 3, appendices B to F, byte for byte. Every commitment is built and signed as both ends
//! would: the holder's view gives the local signatures, the counterparty's view the remote ones.

use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::{OutPoint, Transaction};
use leyden_core::ids::Preimage;
use leyden_core::keys::*;
use leyden_core::tx::*;
use leyden_core::units::*;
use secp256k1::ecdsa::Signature;
use secp256k1::{PublicKey, SecretKey, SECP256K1};
use serde::de::DeserializeOwned;
use serde::Deserialize;
use std::str::FromStr;

#[test]
fn funding_output_is_that_of_appendix_b() {
    let vector: Funding = load("funding.json");
    let keys = [&vector.local_funding_pubkey, &vector.remote_funding_pubkey].map(|key| public(key));
    let tx: Transaction = deserialize_hex(&vector.funding_tx).unwrap();

    assert_eq!(funding_script(&keys[0], &keys[1]).to_hex_string(), vector.funding_witness_script);
    assert_eq!(funding_script(&keys[1], &keys[0]), funding_script(&keys[0], &keys[1]));
    assert_eq!(tx.output[0], funding_output(&keys[1], &keys[0], Sat::new(vector.funding_satoshis)));
    assert_eq!(tx.compute_txid().to_string(), vector.txid);
}

#[test]
fn static_remotekey_commitments_are_those_of_appendix_c() {
    let channel = Channel::load();
    let cases: Vec<StaticRemotekeyCase> = load("commitments-static-remotekey.json");
    assert_eq!(cases.len(), 16);
    for case in cases {
        println!("{}", case.name);
        let ends = channel.ends(ChannelType::StaticRemotekey, channel.parameters.local_dust_limit_satoshi);
        let spec = channel.spec(
            case.local_feerate_per_kw,
            case.to_local_msat,
            case.to_remote_msat,
            match case.name.as_str() {
                "simple commitment tx with no HTLCs" => &[],
                name if name.contains("same amount and preimage") => &SAME_PREIMAGE_HTLCS,
                _ => &FIVE_HTLCS,
            },
        );
        let [local, remote] = channel.signed(&ends, &spec);

        assert_eq!(local.commitment.htlcs.len(), case.num_htlcs);
        let base_fee =
            commitment_fee(ChannelType::StaticRemotekey, spec.feerate, local.commitment.htlcs.len());
        assert_eq!(case.base_fee.unwrap_or(base_fee.get()), base_fee.get());
        assert_eq!(
            case.actual_fee.unwrap_or(local.commitment.fee.get()),
            local.commitment.fee.get(),
            "{}",
            case.name
        );
        for script in &case.scripts {
            let wanted = deserialize_script(&script.wscript).to_p2wsh();
            let output = local.commitment.tx.output.iter().find(|output| output.script_pubkey == wanted);
            assert!(output.is_some(), "{}", script.output);
        }
        assert_eq!(local.signature, der(&case.local_signature));
        assert_eq!(remote.signature, der(&case.remote_signature));
        let htlcs = case.htlcs.iter().map(|htlc| HtlcVector {
            remote_signature: der(&htlc.remote_signature),
            tx: htlc.tx.clone(),
            local_signature: Some(der(&htlc.local_signature)),
            htlc: Some(htlc.htlc),
        });
        channel.check(&ends, &local, &remote, &case.commit_tx, &htlcs.collect::<Vec<_>>());
    }
}

#[test]
fn anchors_commitments_are_those_of_appendix_f() {
    let channel = Channel::load();
    let cases: Vec<AnchorsCase> = load("commitments-anchors.json");
    assert_eq!(cases.len(), 9);
    for case in cases {
        println!("{}", case.name);
        let ends = channel.ends(ChannelType::AnchorsZeroFeeHtlc, case.dust_limit_satoshis);
        let htlcs: &[usize] = match (case.use_test_htlcs, case.name.contains("same amount and preimage")) {
            (false, _) => &[],
            (true, true) => &SAME_PREIMAGE_HTLCS,
            (true, false) => &FIVE_HTLCS,
        };
        let spec = channel.spec(case.fee_per_kw, case.local_balance, case.remote_balance, htlcs);
        let [local, remote] = channel.signed(&ends, &spec);

        assert_eq!(remote.signature, der(&case.remote_sig_hex));
        let htlcs = case.htlc_descs.iter().map(|htlc| HtlcVector {
            remote_signature: der(&htlc.remote_sig_hex),
            tx: htlc.resolution_tx_hex.clone(),
            local_signature: None,
            htlc: None,
        });
        let commit_tx = &case.expected_commitment_tx_hex;
        channel.check(&ends, &local, &remote, commit_tx, &htlcs.collect::<Vec<_>>());
    }
}

#[test]
fn per_commitment_secrets_are_those_of_appendix_d() {
    let vectors: Secrets = load("per-commitment-secrets.json");
    assert_eq!(vectors.generation.len(), 5);
    for vector in vectors.generation {
        let commitment_seed = bytes32(&vector.seed);
        let keys = ChannelKeys { commitment_seed, ..NodeSeed::new([1; 32]).channel_keys(0) };
        let secret = keys.per_commitment_secret(number_of_index(&vector.index));
        assert_eq!(secret.secret_bytes(), bytes32(&vector.output), "{}", vector.name);
    }
}

#[test]
fn secrets_are_stored_and_refused_as_in_appendix_d() {
    let vectors: Secrets = load("per-commitment-secrets.json");
    assert_eq!(vectors.storage.len(), 9);
    for vector in vectors.storage {
        let mut store = SecretStore::default();
        let mut kept = Vec::new();
        for insert in vector.inserts {
            let (number, secret) = (number_of_index(&insert.index), secret(&insert.secret));
            let before = store.clone();
            let result = store.insert(number, &secret);
            assert_eq!(result.is_ok(), insert.output == "OK", "{} at {}", vector.name, insert.index);
            match result {
                Ok(()) => kept.push((number, secret)),
                Err(refused) => {
                    assert_eq!(refused, InconsistentSecret(number));
                    assert_eq!(store, before);
                }
            }
        }
        if vector.name == "insert_secret correct sequence" {
            assert!(kept.iter().all(|(number, secret)| store.get(*number) == Some(*secret)));
        }
    }
}

#[test]
fn keys_derive_as_in_appendix_e() {
    let vector: KeyDerivation = load("key-derivation.json");
    let (base_secret, commitment_secret) =
        (secret(&vector.base_secret), secret(&vector.per_commitment_secret));
    let (basepoint, point) = (public(&vector.base_point), public(&vector.per_commitment_point));

    assert_eq!(base_secret.public_key(SECP256K1), basepoint);
    assert_eq!(commitment_secret.public_key(SECP256K1), point);
    assert_eq!(derive_public_key(&basepoint, &point), public(&vector.localpubkey));
    assert_eq!(derive_secret_key(&base_secret, &point), secret(&vector.localprivkey));
    assert_eq!(derive_secret_key_of(&base_secret, &basepoint, &point), secret(&vector.localprivkey));
    assert_eq!(derive_revocation_public_key(&basepoint, &point), public(&vector.revocationpubkey));
    let revocation = derive_revocation_secret_key(&base_secret, &commitment_secret);
    assert_eq!(revocation, secret(&vector.revocationprivkey));
}

#[test]
fn commitment_keys_and_number_are_those_of_appendix_c() {
    let channel = Channel::load();
    let [local, remote] = channel.ends(ChannelType::StaticRemotekey, 546);
    let parameters = &channel.parameters;
    let basepoints = &local.terms.local.basepoints;

    assert_eq!(basepoints.funding_pubkey, public(&parameters.local_funding_pubkey));
    assert_eq!(basepoints.delayed_payment, public(&parameters.local_delayed_payment_basepoint));
    assert_eq!(basepoints.payment, public(&parameters.local_payment_basepoint));
    assert_eq!(remote.terms.local.basepoints.revocation, public(&parameters.remote_revocation_basepoint));
    let point = secret(&parameters.local_per_commitment_secret).public_key(SECP256K1);
    assert_eq!(point, public(&parameters.local_per_commitment_point));
    assert_eq!(derive_secret_key(&local.keys.payment, &point), secret(&parameters.local_privkey));

    let keys = CommitmentKeys::derive(&local.terms, Side::Local, point);
    assert_eq!(keys, CommitmentKeys::derive(&remote.terms, Side::Remote, point));
    assert_eq!(keys.holder_htlc, public(&parameters.local_htlcpubkey));
    assert_eq!(keys.counterparty_htlc, public(&parameters.remote_htlcpubkey));
    assert_eq!(keys.delayed_payment, public(&parameters.local_delayedpubkey));
    assert_eq!(keys.revocation, public(&parameters.local_revocation_pubkey));

    let spec = channel.spec(0, 7_000_000_000, 3_000_000_000, &[]);
    let number = CommitmentNumber::new(0);
    let zero = Commitment::build(&local.terms, Side::Local, number, keys, &spec);
    let sequence = u64::from(zero.tx.input[0].sequence.to_consensus_u32() & 0xff_ffff);
    let obscured = sequence << 24 | u64::from(zero.tx.lock_time.to_consensus_u32() & 0xff_ffff);
    assert_eq!(format!("{obscured:x}"), parameters.obscuring_factor);
}

const FIVE_HTLCS: [usize; 5] = [0, 1, 2, 3, 4];
const SAME_PREIMAGE_HTLCS: [usize; 3] = [1, 5, 6];

/// The channel of appendices C and F, with both ends' keys.
struct Channel {
    parameters: Parameters,
}

/// One end: its keys and its view.
struct End {
    keys: ChannelKeys,
    terms: ChannelTerms,
}

/// The local node's commitment as one end sees it, with that end's signature.
struct Signed {
    commitment: Commitment,
    signature: Signature,
}

struct HtlcVector {
    remote_signature: Signature,
    local_signature: Option<Signature>,
    htlc: Option<u64>,
    tx: String,
}

impl Channel {
    fn load() -> Self {
        Self { parameters: load("parameters.json") }
    }

    /// The local node first. Keys that the vectors do not name are never used in them.
    fn ends(&self, channel_type: ChannelType, dust_limit: u64) -> [End; 2] {
        let p = &self.parameters;
        let unused = NodeSeed::new([7; 32]).channel_keys(0);
        let local = ChannelKeys {
            funding: secret(&p.local_funding_privkey),
            payment: secret(&p.local_payment_basepoint_secret),
            htlc: secret(&p.local_payment_basepoint_secret),
            delayed_payment: secret(&p.local_delayed_payment_basepoint_secret),
            ..unused.clone()
        };
        let remote = ChannelKeys {
            funding: secret(&p.remote_funding_privkey),
            payment: secret(&p.remote_payment_basepoint_secret),
            htlc: secret(&p.remote_payment_basepoint_secret),
            revocation: secret(&p.remote_revocation_basepoint_secret),
            ..unused
        };
        let party = |keys: &ChannelKeys, dust_limit, to_self_delay| PartyTerms {
            basepoints: keys.basepoints(),
            dust_limit: Sat::new(dust_limit),
            to_self_delay,
        };
        let (local_terms, remote_terms) =
            (party(&local, dust_limit, p.local_delay), party(&remote, 999_999, 1));
        let terms = |opener, local, remote| ChannelTerms {
            channel_type,
            funding: OutPoint { txid: p.funding_tx_id.parse().unwrap(), vout: p.funding_output_index },
            funding_amount: Sat::new(p.funding_amount_satoshi),
            opener,
            local,
            remote,
        };
        [
            End { keys: local, terms: terms(Side::Local, local_terms, remote_terms) },
            End { keys: remote, terms: terms(Side::Remote, remote_terms, local_terms) },
        ]
    }

    fn spec(&self, feerate: u32, to_local: u64, to_remote: u64, htlcs: &[usize]) -> CommitmentSpec {
        CommitmentSpec {
            feerate: FeeratePerKw::new(feerate),
            to_holder: Msat::new(to_local),
            to_counterparty: Msat::new(to_remote),
            htlcs: htlcs.iter().map(|index| self.htlc(*index)).collect(),
        }
    }

    fn htlc(&self, index: usize) -> HtlcTerms {
        let htlc = &self.parameters.htlcs[index];
        HtlcTerms {
            direction: match htlc.direction.as_str() {
                "local->remote" => Direction::Offered,
                _ => Direction::Received,
            },
            id: index as u64,
            amount: Msat::new(htlc.amount_msat),
            payment_hash: self.preimage(index).payment_hash(),
            cltv_expiry: CltvExpiry::new(htlc.expiry),
        }
    }

    fn preimage(&self, index: usize) -> Preimage {
        Preimage(bytes32(&self.parameters.htlcs[index].payment_preimage))
    }

    /// Both ends build and sign the local node's commitment, each from its own view.
    fn signed(&self, ends: &[End; 2], spec: &CommitmentSpec) -> [Signed; 2] {
        let point = public(&self.parameters.local_per_commitment_point);
        let number = CommitmentNumber::new(self.parameters.commitment_number);
        let view = |end: &End, holder| {
            let keys = CommitmentKeys::derive(&end.terms, holder, point);
            let commitment = Commitment::build(&end.terms, holder, number, keys, spec);
            let signature = commitment.sign(&end.terms, &end.keys);
            Signed { commitment, signature }
        };
        [view(&ends[0], Side::Local), view(&ends[1], Side::Remote)]
    }

    fn check(&self, ends: &[End; 2], local: &Signed, remote: &Signed, commit_tx: &str, htlcs: &[HtlcVector]) {
        let terms = &ends[0].terms;
        let commitment = &local.commitment;
        assert_eq!(commitment.tx, remote.commitment.tx);
        assert!(commitment.verify(terms, Side::Local, &local.signature));
        assert!(commitment.verify(terms, Side::Remote, &remote.signature));
        assert!(!commitment.verify(terms, Side::Local, &remote.signature));
        let completed = commitment.complete(terms, &local.signature, &remote.signature);
        assert_eq!(serialize_hex(&completed), commit_tx);
        let [opener, acceptor] =
            [&terms.local.basepoints.payment, &terms.remote.basepoints.payment].map(|key| *key);
        assert_eq!(decode_commitment_number(&completed, &opener, &acceptor), Some(commitment.number));

        let signatures: Vec<Signature> = htlcs.iter().map(|htlc| htlc.remote_signature).collect();
        assert_eq!(remote.commitment.sign_htlcs(&ends[1].terms, &ends[1].keys), signatures);
        assert!(commitment.verify_htlcs(terms, &signatures));
        if let Some((_, missing)) = signatures.split_first() {
            assert!(!commitment.verify_htlcs(terms, missing));
            let reversed: Vec<Signature> = signatures.iter().rev().copied().collect();
            assert!(signatures.len() == 1 || !commitment.verify_htlcs(terms, &reversed));
        }
        for (transaction, vector) in commitment.htlc_transactions(terms).zip(htlcs) {
            let own = transaction.sign(terms, &ends[0].keys);
            assert_eq!(vector.local_signature.unwrap_or(own), own);
            assert_eq!(vector.htlc.unwrap_or(transaction.htlc.id), transaction.htlc.id);
            let preimage = self.preimage(transaction.htlc.id as usize);
            let completed = transaction.complete(&own, &vector.remote_signature, Some(&preimage)).unwrap();
            assert_eq!(serialize_hex(&completed), vector.tx);
        }
    }
}

fn load<T: DeserializeOwned>(name: &str) -> T {
    let path = format!("{}/data/bolt3/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn secret(hex: &str) -> SecretKey {
    SecretKey::from_slice(&bytes32(hex)).unwrap()
}

fn public(hex: &str) -> PublicKey {
    PublicKey::from_str(hex).unwrap()
}

fn der(hex: &str) -> Signature {
    Signature::from_str(hex).unwrap()
}

fn bytes32(hex: &str) -> [u8; 32] {
    let hex = hex.trim_start_matches("0x");
    let mut bytes = [0; 32];
    (0..32).for_each(|index| bytes[index] = u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).unwrap());
    bytes
}

fn deserialize_script(hex: &str) -> bitcoin::ScriptBuf {
    bitcoin::ScriptBuf::from_hex(hex).unwrap()
}

fn number_of_index(index: &str) -> CommitmentNumber {
    let index = match index.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).unwrap(),
        None => index.parse().unwrap(),
    };
    CommitmentNumber::new((1 << 48) - 1 - index)
}

#[derive(Deserialize)]
struct Funding {
    local_funding_pubkey: String,
    remote_funding_pubkey: String,
    funding_witness_script: String,
    funding_satoshis: u64,
    funding_tx: String,
    txid: String,
}

#[derive(Deserialize)]
struct KeyDerivation {
    base_secret: String,
    per_commitment_secret: String,
    base_point: String,
    per_commitment_point: String,
    localpubkey: String,
    localprivkey: String,
    revocationpubkey: String,
    revocationprivkey: String,
}

#[derive(Deserialize)]
struct Secrets {
    generation: Vec<Generated>,
    storage: Vec<Stored>,
}

#[derive(Deserialize)]
struct Generated {
    name: String,
    seed: String,
    #[serde(rename = "I")]
    index: String,
    output: String,
}

#[derive(Deserialize)]
struct Stored {
    name: String,
    inserts: Vec<Insert>,
}

#[derive(Deserialize)]
struct Insert {
    #[serde(rename = "I")]
    index: String,
    secret: String,
    output: String,
}

#[derive(Deserialize)]
struct Parameters {
    funding_tx_id: String,
    funding_output_index: u32,
    funding_amount_satoshi: u64,
    commitment_number: u64,
    local_delay: u16,
    local_dust_limit_satoshi: u64,
    htlcs: Vec<HtlcParameters>,
    local_funding_privkey: String,
    remote_funding_privkey: String,
    local_payment_basepoint_secret: String,
    remote_revocation_basepoint_secret: String,
    local_delayed_payment_basepoint_secret: String,
    remote_payment_basepoint_secret: String,
    local_per_commitment_secret: String,
    remote_revocation_basepoint: String,
    local_delayed_payment_basepoint: String,
    local_per_commitment_point: String,
    local_payment_basepoint: String,
    obscuring_factor: String,
    local_funding_pubkey: String,
    local_privkey: String,
    local_htlcpubkey: String,
    remote_htlcpubkey: String,
    local_delayedpubkey: String,
    local_revocation_pubkey: String,
}

#[derive(Deserialize)]
struct HtlcParameters {
    direction: String,
    amount_msat: u64,
    expiry: u32,
    payment_preimage: String,
}

#[derive(Deserialize)]
struct StaticRemotekeyCase {
    name: String,
    to_local_msat: u64,
    to_remote_msat: u64,
    local_feerate_per_kw: u32,
    base_fee: Option<u64>,
    actual_fee: Option<u64>,
    num_htlcs: usize,
    #[serde(default)]
    scripts: Vec<NamedScript>,
    local_signature: String,
    remote_signature: String,
    commit_tx: String,
    htlcs: Vec<StaticRemotekeyHtlc>,
}

#[derive(Deserialize)]
struct NamedScript {
    output: String,
    wscript: String,
}

#[derive(Deserialize)]
struct StaticRemotekeyHtlc {
    remote_signature: String,
    local_signature: String,
    htlc: u64,
    tx: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AnchorsCase {
    name: String,
    local_balance: u64,
    remote_balance: u64,
    dust_limit_satoshis: u64,
    fee_per_kw: u32,
    use_test_htlcs: bool,
    htlc_descs: Vec<AnchorsHtlc>,
    expected_commitment_tx_hex: String,
    remote_sig_hex: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AnchorsHtlc {
    remote_sig_hex: String,
    resolution_tx_hex: String,
}
