//! Boundaries and spends: what is trimmed, what a signature must be, and that every transaction that spends a
//! commitment's outputs passes the consensus rules. The BOLT's own vectors are elsewhere.
use super::*;
use crate::ids::{PaymentHash, Preimage};
use crate::keys::{ChannelKeys, NodeSeed};
use crate::units::{CltvExpiry, CommitmentNumber, FeeratePerKw, Msat, Sat};
use bitcoin::consensus::serialize;
use bitcoin::hashes::Hash;
use bitcoin::{OutPoint, ScriptBuf, Transaction, TxOut, Txid, WPubkeyHash};
use secp256k1::ecdsa::Signature;
use secp256k1::SecretKey;

const FORMATS: [ChannelType; 2] = [ChannelType::StaticRemotekey, ChannelType::AnchorsZeroFeeHtlc];
const NUMBER: CommitmentNumber = CommitmentNumber::new(3);

#[test]
fn an_htlc_is_trimmed_exactly_below_dust_limit_and_fee() {
    let feerate = FeeratePerKw::new(5000);
    let trimmed =
        |format, direction, msat| is_trimmed(format, Sat::new(546), feerate, direction, Msat::new(msat));
    let cases = [
        (ChannelType::StaticRemotekey, Direction::Offered, 546 + 3315),
        (ChannelType::StaticRemotekey, Direction::Received, 546 + 3515),
        (ChannelType::AnchorsZeroFeeHtlc, Direction::Offered, 546),
        (ChannelType::AnchorsZeroFeeHtlc, Direction::Received, 546),
    ];
    for (format, direction, sat) in cases {
        assert!(!trimmed(format, direction, sat * 1000));
        assert!(trimmed(format, direction, sat * 1000 - 1));
    }
}

#[test]
fn the_fee_example_of_the_bolt_holds() {
    let world = World::new(ChannelType::StaticRemotekey);
    let amounts = [(Direction::Offered, 5_000), (Direction::Offered, 1_000)];
    let received = [(Direction::Received, 7_000), (Direction::Received, 800)];
    let mut spec = spec_with(&[amounts, received].concat());
    spec.feerate = FeeratePerKw::new(5000);
    let commitment = world.commitment(Side::Local, &spec);
    assert_eq!(commitment.fee, Sat::new(7_140));
    assert_eq!((commitment.htlcs.len(), commitment.trimmed.len()), (2, 2));
}

#[test]
fn a_balance_is_trimmed_exactly_below_the_dust_limit() {
    for format in FORMATS {
        let world = World::new(format);
        let mut spec = spec_with(&[]);
        for (msat, kept) in [(546_999, true), (546_000, true), (545_999, false)] {
            spec.to_counterparty = Msat::new(msat);
            spec.to_holder = Msat::new(1_000_000_000 - msat);
            let commitment = world.commitment(Side::Local, &spec);
            assert_eq!(commitment.to_remote.is_some(), kept);
            assert_eq!(commitment.to_remote_anchor.is_some(), kept && format.has_anchors());
            assert_eq!(commitment.to_local_anchor.is_some(), format.has_anchors());
        }
        let cost = commitment_cost(format, spec.feerate, 0).get() * 1000;
        for (msat, kept) in [(546_000 + cost, true), (545_999 + cost, false), (cost / 2, false)] {
            spec.to_holder = Msat::new(msat);
            spec.to_counterparty = Msat::new(1_000_000_000 - msat);
            let commitment = world.commitment(Side::Local, &spec);
            assert_eq!(commitment.to_local.is_some(), kept);
            assert_eq!(commitment.to_local_anchor.is_some(), kept && format.has_anchors());
        }
    }
}

#[test]
fn an_untrimmed_htlc_brings_both_anchors() {
    let world = World::new(ChannelType::AnchorsZeroFeeHtlc);
    let mut spec = spec_with(&[(Direction::Offered, 50_000)]);
    (spec.to_holder, spec.to_counterparty) = (Msat::new(950_000_000), Msat::ZERO);
    let commitment = world.commitment(Side::Local, &spec);
    assert!(commitment.to_remote.is_none());
    assert!(commitment.to_local_anchor.is_some() && commitment.to_remote_anchor.is_some());
    let outputs: u64 = commitment.tx.output.iter().map(|output| output.value.to_sat()).sum();
    assert_eq!(outputs + commitment.fee.get(), 1_000_000);
}

#[test]
fn a_high_s_signature_is_refused() {
    let world = World::new(ChannelType::StaticRemotekey);
    let commitment = world.commitment(Side::Local, &spec_with(&[(Direction::Offered, 50_000)]));
    let low = commitment.sign(&world.peer_terms(), &world.peer);
    assert!(commitment.verify(&world.terms, Side::Remote, &low));
    assert!(!commitment.verify(&world.terms, Side::Remote, &high_s(&low)));

    let htlcs = world.peer_htlc_signatures(&spec_with(&[(Direction::Offered, 50_000)]));
    assert!(commitment.verify_htlcs(&world.terms, &htlcs));
    assert!(!commitment.verify_htlcs(&world.terms, &[high_s(&htlcs[0])]));

    let closing = ClosingTransaction::build(&world.terms, &closing_spec(1_000)).unwrap();
    let low = closing.sign(&world.peer_terms(), &world.peer);
    assert!(closing.verify(&world.terms, Side::Remote, &low));
    assert!(!closing.verify(&world.terms, Side::Remote, &high_s(&low)));
}

#[test]
fn completed_commitments_and_htlc_transactions_pass_consensus_within_their_expected_weight() {
    for format in FORMATS {
        let world = World::new(format);
        let commitment = world.commitment(Side::Local, &all_kinds());
        let own = commitment.sign(&world.terms, &world.own);
        let peers = commitment.sign(&world.peer_terms(), &world.peer);
        let tx = commitment.complete(&world.terms, &own, &peers);
        assert_spends(&tx, &world.terms.funding_output());
        assert_weight(&tx, format.commitment_weight(2));

        let signatures = world.peer_htlc_signatures(&all_kinds());
        for (htlc, theirs) in commitment.htlc_transactions(&world.terms).zip(&signatures) {
            let own = htlc.sign(&world.terms, &world.own);
            let preimage = preimage(htlc.htlc.id);
            let tx = htlc.complete(&own, theirs, Some(&preimage)).unwrap();
            assert_spends(&tx, &commitment.tx.output[tx.input[0].previous_output.vout as usize]);
            assert_weight(&tx, format.htlc_weight(htlc.htlc.direction));
        }
    }
}

#[test]
fn an_htlc_success_needs_its_own_preimage() {
    let world = World::new(ChannelType::StaticRemotekey);
    let commitment = world.commitment(Side::Local, &spec_with(&[(Direction::Received, 50_000)]));
    let htlc = commitment.htlc_transactions(&world.terms).next().unwrap();
    let own = htlc.sign(&world.terms, &world.own);
    let complete = |preimage| htlc.complete(&own, &own, preimage).unwrap_err();
    assert_eq!(complete(None), HtlcIncomplete::PreimageMissing { id: 0 });
    assert_eq!(complete(Some(&Preimage([9; 32]))), HtlcIncomplete::PreimageWrong { id: 0 });
}

#[test]
fn every_claim_passes_consensus_and_pays_its_feerate() {
    for format in FORMATS {
        let world = World::new(format);
        let (own, peers) =
            (world.commitment(Side::Local, &all_kinds()), world.commitment(Side::Remote, &all_kinds()));
        let mut claims = vec![
            (Claim::to_local(&own, &world.terms, &world.own).unwrap(), &own),
            (Claim::to_remote(&peers, &world.terms, &world.own).unwrap(), &peers),
        ];
        for (index, output) in peers.htlcs.iter().enumerate() {
            let preimage = preimage(output.htlc.id);
            let claim = Claim::htlc(&peers, &world.terms, &world.own, index, Some(&preimage));
            claims.push((claim.unwrap(), &peers));
        }
        let secret = world.peer.per_commitment_secret(NUMBER);
        let penalties = Claim::penalties(&peers, &world.terms, &world.own, &secret);
        assert_eq!(penalties.len(), 3);
        claims.extend(penalties.into_iter().map(|claim| (claim, &peers)));
        for (claim, commitment) in claims {
            let spent = &commitment.tx.output[claim.outpoint.vout as usize];
            world.assert_sweeps(&claim, spent);
        }
    }
}

#[test]
fn second_stage_outputs_are_swept_and_punished() {
    for format in FORMATS {
        let world = World::new(format);
        let secret = world.peer.per_commitment_secret(NUMBER);
        for holder in [Side::Local, Side::Remote] {
            let commitment = world.commitment(holder, &all_kinds());
            for htlc in commitment.htlc_transactions(&world.terms) {
                let (outpoint, spent) = (OutPoint::new(htlc.tx.compute_txid(), 0), &htlc.tx.output[0]);
                let (terms, own, amount) = (&world.terms, &world.own, spent.value.into());
                let sweep = Claim::second_stage(&commitment, terms, own, outpoint, amount);
                let penalty = Claim::second_stage_penalty(&commitment, terms, own, &secret, outpoint, amount);
                assert_eq!(sweep.is_some(), holder == Side::Local);
                assert_eq!(penalty.is_some(), holder == Side::Remote);
                sweep.or(penalty).into_iter().for_each(|claim| world.assert_sweeps(&claim, spent));
            }
        }
    }
}

#[test]
fn claims_carry_the_locks_of_their_scripts() {
    let sequence = |claim: Option<Claim>| claim.unwrap().sequence.to_consensus_u32();
    for (format, to_remote) in FORMATS.into_iter().zip([0xffff_fffd, 1]) {
        let world = World::new(format);
        let (terms, keys) = (&world.terms, &world.own);
        let (own, peers) =
            (world.commitment(Side::Local, &all_kinds()), world.commitment(Side::Remote, &all_kinds()));
        assert_eq!(sequence(Claim::to_local(&own, terms, keys)), 144);
        assert_eq!(sequence(Claim::to_remote(&peers, terms, keys)), to_remote);
        let received = peers.htlcs.iter().position(|output| output.htlc.direction == Direction::Received);
        let timeout = Claim::htlc(&peers, terms, keys, received.unwrap(), None).unwrap();
        assert_eq!(timeout.lock_time.to_consensus_u32(), 501);
        assert!(Claim::to_local(&peers, terms, keys).is_none());
        assert!(Claim::to_remote(&own, terms, keys).is_none());
    }
}

#[test]
fn an_output_not_worth_its_fee_is_left() {
    let world = World::new(ChannelType::StaticRemotekey);
    let claim = |sat| Claim::to_remote_at(world.terms.funding, Sat::new(sat), &world.terms, &world.own);
    let (destination, feerate) = (destination(), FeeratePerKw::new(1000));
    let fee = claim(0).weight(&destination);
    let least = fee + 294;
    assert_eq!(
        claim(least - 1).sweep(&destination, feerate),
        Err(Uneconomical { amount: Sat::new(least - 1), fee: Sat::new(fee) })
    );
    assert_eq!(claim(least).sweep(&destination, feerate).unwrap().output[0].value.to_sat(), 294);
    assert!(claim(100).sweep(&destination, FeeratePerKw::new(u32::MAX)).is_err());
}

#[test]
fn a_closing_transaction_pays_both_and_passes_consensus() {
    let world = World::new(ChannelType::StaticRemotekey);
    let spec = closing_spec(1_000);
    let closing = ClosingTransaction::build(&world.terms, &spec).unwrap();
    let amount = |index: Option<u32>| closing.tx.output[index.unwrap() as usize].value.to_sat();
    assert_eq!((amount(closing.to_local), amount(closing.to_remote)), (699_000, 299_999));
    assert_eq!(closing.fee, Sat::new(1_001)); // what was rounded off goes to the miner

    let own = closing.sign(&world.terms, &world.own);
    let peers = closing.sign(&world.peer_terms(), &world.peer);
    let tx = closing.complete(&world.terms, &own, &peers);
    assert_spends(&tx, &world.terms.funding_output());
    assert_weight(&tx, closing_weight(&spec.local_script, &spec.remote_script));
}

#[test]
fn a_peer_may_give_up_its_own_closing_output() {
    let world = World::new(ChannelType::StaticRemotekey);
    let closing = ClosingTransaction::build(&world.terms, &closing_spec(1_000)).unwrap();
    let without = closing.without(&world.terms, Side::Remote).unwrap();
    assert_eq!((without.to_local, without.to_remote), (Some(0), None));
    let signature = without.sign(&world.peer_terms(), &world.peer);
    assert_eq!(closing.clone().signed_by_peer(&world.terms, &signature), Some(without.clone()));
    assert_eq!(without.without(&world.terms, Side::Local), None);
    let ours_dropped = closing.without(&world.terms, Side::Local).unwrap();
    let signature = ours_dropped.sign(&world.peer_terms(), &world.peer);
    assert_eq!(closing.signed_by_peer(&world.terms, &signature), None);
}

#[test]
fn closings_that_cannot_be_are_named() {
    let world = World::new(ChannelType::StaticRemotekey);
    let fee = Sat::new(700_001);
    assert_eq!(
        ClosingTransaction::build(&world.terms, &ClosingSpec { fee, ..closing_spec(0) }),
        Err(ClosingImpossible::FeeAboveBalance { fee, balance: Sat::new(700_000) })
    );
    let all = closing_spec(700_000);
    let remote_only = ClosingTransaction::build(&world.terms, &all).unwrap();
    assert_eq!((remote_only.to_local, remote_only.to_remote), (None, Some(0)));
    let dust_limit = Sat::new(300_000);
    assert_eq!(
        ClosingTransaction::build(&world.terms, &ClosingSpec { dust_limit, ..all }),
        Err(ClosingImpossible::NothingLeft { dust_limit })
    );
}

#[test]
fn only_commitments_carry_a_number() {
    let world = World::new(ChannelType::StaticRemotekey);
    let decode = |tx: &Transaction| {
        let (opener, acceptor) = (&world.terms.local.basepoints, &world.terms.remote.basepoints);
        decode_commitment_number(tx, &opener.payment, &acceptor.payment)
    };
    let commitment = world.commitment(Side::Remote, &spec_with(&[]));
    assert_eq!(decode(&commitment.tx), Some(NUMBER));
    assert_eq!(decode(&ClosingTransaction::build(&world.terms, &closing_spec(0)).unwrap().tx), None);
}

#[test]
fn feature_bits_name_exactly_one_format() {
    for format in FORMATS {
        let bits = format.feature_bits().iter().copied();
        assert_eq!(ChannelType::from_feature_bits(bits), Some(format));
    }
    for bits in [vec![], vec![22], vec![13], vec![12, 13], vec![12, 22, 46]] {
        assert_eq!(ChannelType::from_feature_bits(bits), None);
    }
}

#[test]
fn dust_thresholds_are_those_of_the_bolt() {
    let spk = |hex: &str| ScriptBuf::from_hex(hex).unwrap();
    let twenty = "00".repeat(20);
    let thirty_two = "00".repeat(32);
    let cases = [
        (format!("76a914{twenty}88ac"), 546),
        (format!("a914{twenty}87"), 540),
        (format!("0014{twenty}"), 294),
        (format!("0020{thirty_two}"), 330),
        (format!("5120{thirty_two}"), 330),
        ("51024e73".to_string(), 240),
        (format!("5220{thirty_two}"), 354),
        ("6a0100".to_string(), 0),
    ];
    for (script, sat) in cases {
        assert_eq!(dust_threshold(&spk(&script)), Sat::new(sat), "{script}");
    }
}

#[test]
fn printing_a_claim_shows_no_secret() {
    let world = World::new(ChannelType::StaticRemotekey);
    let claim = Claim::to_remote_at(world.terms.funding, Sat::new(1), &world.terms, &world.own);
    let secret: String = world.own.payment.secret_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(!format!("{claim:?}").contains(&secret[..8]));
}

/// A channel of 1,000,000 sat that this node opened.
struct World {
    own: ChannelKeys,
    peer: ChannelKeys,
    terms: ChannelTerms,
}

impl World {
    fn new(channel_type: ChannelType) -> Self {
        let [own, peer] = [1, 2].map(|seed| NodeSeed::new([seed; 32]).channel_keys(0));
        let party = |keys: &ChannelKeys, to_self_delay| PartyTerms {
            basepoints: keys.basepoints(),
            dust_limit: Sat::new(546),
            to_self_delay,
        };
        let terms = ChannelTerms {
            channel_type,
            funding: OutPoint::new(Txid::from_byte_array([5; 32]), 1),
            funding_amount: Sat::new(1_000_000),
            opener: Side::Local,
            local: party(&own, 144),
            remote: party(&peer, 6),
        };
        Self { own, peer, terms }
    }

    /// The same channel as the peer sees it.
    fn peer_terms(&self) -> ChannelTerms {
        let ChannelTerms { local, remote, .. } = self.terms;
        ChannelTerms { local: remote, remote: local, opener: Side::Remote, ..self.terms.clone() }
    }

    fn commitment(&self, holder: Side, spec: &CommitmentSpec) -> Commitment {
        let secrets = match holder {
            Side::Local => &self.own,
            Side::Remote => &self.peer,
        };
        let keys = CommitmentKeys::derive(&self.terms, holder, secrets.per_commitment_point(NUMBER));
        Commitment::build(&self.terms, holder, NUMBER, keys, spec)
    }

    /// The peer's signatures of the HTLC transactions of this node's commitment, made from the peer's view.
    fn peer_htlc_signatures(&self, spec: &CommitmentSpec) -> Vec<Signature> {
        let terms = self.peer_terms();
        let keys = CommitmentKeys::derive(&terms, Side::Remote, self.own.per_commitment_point(NUMBER));
        Commitment::build(&terms, Side::Remote, NUMBER, keys, spec).sign_htlcs(&terms, &self.peer)
    }

    fn assert_sweeps(&self, claim: &Claim, spent: &TxOut) {
        let feerate = FeeratePerKw::new(2_000);
        let tx = claim.sweep(&destination(), feerate).unwrap();
        assert_spends(&tx, spent);
        let fee = (spent.value - tx.output[0].value).to_sat();
        let weight = claim.weight(&destination());
        assert_eq!(fee, weight * 2);
        // A DER signature with low S is 71 or 72 bytes here, rarely a byte or two less.
        assert!((weight - 3..=weight).contains(&tx.weight().to_wu()), "{weight} {}", tx.weight());
    }
}

fn spec_with(htlcs: &[(Direction, u64)]) -> CommitmentSpec {
    let htlc = |(id, (direction, sat)): (u64, &(Direction, u64))| HtlcTerms {
        direction: *direction,
        id,
        amount: Sat::new(*sat).to_msat(),
        payment_hash: payment_hash(id),
        cltv_expiry: CltvExpiry::new(500 + id as u32),
    };
    let htlcs: Vec<HtlcTerms> = (0..).zip(htlcs).map(htlc).collect();
    let pending: u64 = htlcs.iter().map(|htlc| htlc.amount.get()).sum();
    CommitmentSpec {
        feerate: FeeratePerKw::new(1_000),
        to_holder: Msat::new(700_000_000 - pending),
        to_counterparty: Msat::new(300_000_000),
        htlcs,
    }
}

/// An offered and a received HTLC, both with outputs, beside both balances.
fn all_kinds() -> CommitmentSpec {
    spec_with(&[(Direction::Offered, 50_000), (Direction::Received, 60_000)])
}

fn closing_spec(fee: u64) -> ClosingSpec {
    ClosingSpec {
        to_local: Msat::new(700_000_001),
        to_remote: Msat::new(299_999_999),
        local_script: destination(),
        remote_script: ScriptBuf::new_p2wsh(&destination().wscript_hash()),
        fee: Sat::new(fee),
        dust_limit: Sat::new(546),
    }
}

fn preimage(id: u64) -> Preimage {
    Preimage([id as u8; 32])
}

fn payment_hash(id: u64) -> PaymentHash {
    preimage(id).payment_hash()
}

fn destination() -> ScriptBuf {
    ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array([3; 20]))
}

/// The same signature with S replaced by its negative: valid to the curve, refused by every node.
fn high_s(signature: &Signature) -> Signature {
    let mut bytes = signature.serialize_compact();
    let s = SecretKey::from_slice(&bytes[32..]).unwrap().negate();
    bytes[32..].copy_from_slice(&s.secret_bytes());
    Signature::from_compact(&bytes).unwrap()
}

fn assert_spends(tx: &Transaction, spent: &TxOut) {
    let script = spent.script_pubkey.as_bytes();
    bitcoinconsensus::verify(script, spent.value.to_sat(), &serialize(tx), None, 0).unwrap();
}

/// Within the expected weight: the BOLTs' is for signatures a byte longer than any is.
fn assert_weight(tx: &Transaction, expected: u64) {
    let weight = tx.weight().to_wu();
    assert!((expected - 12..=expected).contains(&weight), "{weight} of {expected}");
}
