//! What a tower can do with a box before and after the breach, what it refuses, and that it survives whatever a client sends.
use super::justice::open;
use super::kit::Kit;
use super::*;
use crate::channel::Env;
use crate::ids::{NodeId, PaymentHash};
use crate::keys::{ChannelKeys, NodeSeed};
use crate::tx::*;
use crate::units::{BlockHeight, CltvExpiry, CommitmentNumber, FeeratePerKw, Msat, Sat, Timestamp};
use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version;
use bitcoin::{Block, OutPoint, ScriptBuf, Transaction, TxIn, TxOut, Txid, WPubkeyHash};
use proptest::prelude::*;
use secp256k1::SecretKey;
use std::collections::BTreeMap;

const FORMATS: [ChannelType; 2] = [ChannelType::StaticRemotekey, ChannelType::AnchorsZeroFeeHtlc];
const NUMBER: CommitmentNumber = CommitmentNumber::new(42);
const TIP: BlockHeight = BlockHeight::new(500);

#[test]
fn the_breach_opens_its_box_and_every_penalty_passes_consensus() {
    for format in FORMATS {
        let world = World::new(format);
        let state = world.state(2);
        let boxes = world.justice(&state);
        let mut tower = tower();
        boxes.into_iter().for_each(|justice| drop(tower.take(client(1), justice).expect("there is room")));
        let turn = tower.on_block(&block(std::slice::from_ref(&state.tx)), &env(501, 1_000));
        assert_eq!(turn.broadcast.len(), 3, "to_local and two HTLCs");
        for penalty in &turn.broadcast {
            let input = &penalty.input[0];
            assert_eq!(input.previous_output.txid, state.tx.compute_txid());
            assert_spends(penalty, &state.tx.output[input.previous_output.vout as usize]);
            assert_eq!(penalty.output[0].script_pubkey, world.destination);
        }
    }
}

#[test]
fn second_stages_without_anchors_are_punished_with_what_was_signed_before() {
    let world = World::new(ChannelType::StaticRemotekey);
    let state = world.state(2);
    let mut tower = tower();
    world.justice(&state).into_iter().for_each(|justice| drop(tower.take(client(1), justice)));
    let stages: Vec<Transaction> = state.htlc_transactions(&world.terms).map(|stage| stage.tx).collect();
    tower.on_block(&block(std::slice::from_ref(&state.tx)), &env(501, 1_000));
    let turn = tower.on_block(&block(&stages), &env(502, 1_000));
    assert_eq!(turn.broadcast.len(), 3, "to_local and what both HTLCs became");
    for stage in &stages {
        let outpoint = OutPoint { txid: stage.compute_txid(), vout: 0 };
        let penalty = turn.broadcast.iter().find(|tx| tx.input[0].previous_output == outpoint);
        assert_spends(penalty.expect("there is one"), &stage.output[0]);
    }
}

#[test]
fn a_box_tells_nothing_and_its_locator_does_not_open_it() {
    let world = World::new(ChannelType::StaticRemotekey);
    let state = world.state(2);
    let (txid, mut tower) = (state.tx.compute_txid(), tower());
    let [justice] = world.justice(&state).try_into().expect("one box");
    let content = open(&txid, &justice.sealed).expect("the txid opens it");
    tower.take(client(1), justice.clone()).expect("there is room");
    let stored = tower.records().into_values().collect::<Vec<_>>().concat();
    let keys = [state.keys.revocation, state.keys.delayed_payment, state.keys.holder_htlc];
    let mut secrets: Vec<Vec<u8>> = keys.iter().map(|key| key.serialize().to_vec()).collect();
    secrets.push(world.destination.to_bytes());
    secrets.extend(state.htlcs.iter().map(|output| output.htlc.payment_hash.0.to_vec()));
    for secret in &secrets {
        assert!(contains(&content, secret), "it is inside");
        assert!(!contains(&stored, secret), "and cannot be seen from outside");
    }
    let amounts = state.tx.output.iter().map(|output| output.value.to_sat().to_le_bytes().to_vec());
    let hidden = amounts.chain([txid.to_byte_array()[16..].to_vec(), txid.to_byte_array().to_vec()]);
    hidden.for_each(|bytes| assert!(!contains(&stored, &bytes)));
    // All that the tower knows of the txid is its first half.
    let mut guess = [0; 32];
    guess[..16].copy_from_slice(&justice.locator.0);
    assert_eq!(open(&Txid::from_byte_array(guess), &justice.sealed), None);
    let mut damaged = justice.sealed;
    *damaged.last_mut().expect("it has bytes") ^= 1;
    assert_eq!(open(&txid, &damaged), None);
}

#[test]
fn boxes_of_states_with_no_and_with_few_htlcs_look_the_same() {
    for (format, most) in FORMATS.into_iter().zip([5, 10]) {
        let world = World::new(format);
        for htlcs in 0..=most {
            let boxes = world.justice(&world.state(htlcs));
            let sizes: Vec<usize> = boxes.iter().map(|justice| justice.sealed.len()).collect();
            assert_eq!(sizes, [SEALED_SIZES[0]], "{htlcs} HTLCs");
        }
        assert_eq!(world.justice(&world.state(20))[0].sealed.len(), SEALED_SIZES[1]);
    }
}

#[test]
fn as_many_htlcs_as_a_commitment_can_have_take_several_boxes_and_none_is_lost() {
    for format in FORMATS {
        let world = World::new(format);
        let state = world.state(966);
        let boxes = world.justice(&state);
        assert!(boxes.iter().all(|justice| SEALED_SIZES.contains(&justice.sealed.len())));
        assert!(boxes.len() > 3 && (0..).zip(&boxes).all(|(part, justice)| justice.part == part));
        let txid = state.tx.compute_txid();
        let kits = boxes.iter().filter_map(|justice| Kit::decode(&open(&txid, &justice.sealed)?));
        let targets: usize = kits.map(|kit| kit.targets(&state.tx, &[]).len()).sum();
        assert_eq!(targets, 967);
    }
}

#[test]
fn an_output_that_is_not_worth_the_next_penalty_pays_all_that_it_can() {
    let world = World::new(ChannelType::AnchorsZeroFeeHtlc);
    let state = world.state_with(0, Msat::new(4_000_000));
    let [justice] = world.justice(&state).try_into().expect("one box");
    let kit = open(&state.tx.compute_txid(), &justice.sealed).and_then(|content| Kit::decode(&content));
    let targets = kit.expect("it opens").targets(&state.tx, &[]);
    let fees: Vec<u64> =
        targets[0].penalties.iter().map(|(_, tx)| 4_000 - tx.output[0].value.to_sat()).collect();
    // 484 weight units, and in the end all but what would be dust (294 sat), rounded down.
    assert_eq!(fees, [484, 1_936, 3_705]);
}

#[test]
fn a_cheater_who_forges_a_box_for_its_own_breach_gets_nothing_and_hinders_nobody() {
    let world = World::new(ChannelType::AnchorsZeroFeeHtlc);
    let state = world.state(1);
    let forged = Revoked { keys: &world.peer, destination: &script(9), ..world.revoked(&state) };
    let mut tower = tower();
    for justice in Justice::of(&forged) {
        tower.take(client(2), justice).expect("there is room");
    }
    let mut alone = tower.clone();
    let nothing = alone.on_block(&block(std::slice::from_ref(&state.tx)), &env(501, 1_000));
    assert_eq!(nothing.broadcast, [], "its signatures are not the revocation key's");
    world.justice(&state).into_iter().for_each(|justice| drop(tower.take(client(1), justice)));
    let turn = tower.on_block(&block(std::slice::from_ref(&state.tx)), &env(501, 1_000));
    assert_eq!(turn.broadcast.len(), 2);
    assert!(turn.broadcast.iter().all(|tx| tx.output[0].script_pubkey == world.destination));
}

#[test]
fn what_waits_too_long_is_raised_and_what_is_taken_is_not_offered_again() {
    let world = World::new(ChannelType::AnchorsZeroFeeHtlc);
    let state = world.state(1);
    let mut tower = tower();
    world.justice(&state).into_iter().for_each(|justice| drop(tower.take(client(1), justice)));
    let first = tower.on_unconfirmed(&state.tx, &env(500, 1_000)).broadcast;
    let mined = tower.on_block(&block(&[state.tx.clone(), first[0].clone()]), &env(501, 1_000)).broadcast;
    assert_eq!(mined, first[1..], "one is taken, the other is handed in again");
    let mut last = fee(&state, &mined[0]);
    let mut raised = 0;
    for height in 502..=530 {
        let again = tower.on_block(&block(&[]), &env(height, 1_000)).broadcast;
        assert_eq!(again.len(), 1);
        let now = fee(&state, &again[0]);
        assert!(now == last || now >= 2 * last, "what replaces it pays a good deal more");
        raised += u32::from(now > last);
        last = now;
    }
    assert_eq!(raised, 3, "until there is nothing dearer");
    let dear = tower_after(&world, &state, 20_000).broadcast;
    let dearest = dear.iter().map(|tx| fee(&state, tx)).max();
    assert_eq!(dearest, Some(64 * 484), "the first one pays what the chain asks");
}

#[test]
fn a_rival_is_outbid_but_not_the_victim() {
    let world = World::new(ChannelType::StaticRemotekey);
    let state = world.state(1);
    let mut tower = tower();
    world.justice(&state).into_iter().for_each(|justice| drop(tower.take(client(1), justice)));
    let first = tower.on_unconfirmed(&state.tx, &env(500, 1_000)).broadcast;
    let htlc = OutPoint { txid: state.tx.compute_txid(), vout: state.htlcs[0].vout };
    let friendly = spend(htlc, &world.destination, 7);
    assert_eq!(tower.on_unconfirmed(&friendly, &env(500, 1_000)).broadcast, []);
    let rival = spend(htlc, &script(3), 7);
    let dearer = tower.on_unconfirmed(&rival, &env(500, 1_000)).broadcast;
    assert_eq!(dearer.len(), 1);
    assert_eq!(dearer[0].input[0].previous_output, htlc);
    assert!(!first.contains(&dearer[0]));
}

#[test]
fn a_reorganisation_is_undone_and_a_breach_that_never_was_is_forgotten() {
    let world = World::new(ChannelType::AnchorsZeroFeeHtlc);
    let state = world.state(1);
    let mut tower = tower();
    world.justice(&state).into_iter().for_each(|justice| drop(tower.take(client(1), justice)));
    let before = tower.clone().records();
    let penalties = tower.on_block(&block(std::slice::from_ref(&state.tx)), &env(501, 1_000)).broadcast;
    tower.on_block(&block(&penalties), &env(502, 1_000));
    tower.on_block_gone(BlockHeight::new(502));
    let again = tower.on_block(&block(&[]), &env(502, 1_000)).broadcast;
    assert_eq!(again, penalties, "their block is gone");
    tower.on_block_gone(BlockHeight::new(502));
    tower.on_block_gone(BlockHeight::new(501));
    let honest = spend(world.terms.funding, &world.destination, 5);
    let quiet = tower.on_block(&block(&[honest]), &env(501, 1_000)).broadcast;
    assert_eq!(quiet, [], "the newest state came instead");
    (502..=600).for_each(|height| drop(tower.on_block(&block(&[]), &env(height, 1_000))));
    let after: Vec<TowerRecordKey> = tower.records().into_keys().collect();
    assert_eq!(after, [TowerRecordKey::Tip], "breach and box are forgotten, of {}", before.len());
}

#[test]
fn a_tower_that_is_read_back_goes_on_as_if_nothing_had_been() {
    let world = World::new(ChannelType::StaticRemotekey);
    let state = world.state(2);
    let mut store = BTreeMap::new();
    let mut save = |batch: TowerBatch| {
        for (key, value) in batch.records {
            match value {
                Some(bytes) => drop(store.insert(key, bytes)),
                None => drop(store.remove(&key)),
            }
        }
        store.clone()
    };
    let mut tower = tower();
    for justice in world.justice(&state) {
        save(tower.take(client(1), justice).expect("there is room"));
    }
    let stages: Vec<Transaction> = state.htlc_transactions(&world.terms).map(|stage| stage.tx).collect();
    let blocks = [vec![state.tx.clone()], stages, vec![], vec![]];
    for (height, transactions) in (501..).zip(blocks) {
        let turn = tower.on_block(&block(&transactions), &env(height, 1_000));
        let store = save(turn.save);
        let again = Tower::restore(TowerConfig::default(), TIP, &store).expect("it reads back");
        assert_eq!(again.records(), tower.records());
        assert_eq!(store, tower.records());
        let next = [&mut again.clone(), &mut tower.clone()]
            .map(|tower| tower.on_block(&block(&[]), &env(height + 1, 1_000)));
        assert_eq!(next[0], next[1]);
        tower = again;
    }
}

#[test]
fn limits_hold_for_each_client_and_for_their_number() {
    let world = World::new(ChannelType::StaticRemotekey);
    let config = TowerConfig { max_clients: 2, max_boxes: 3, max_bytes: 2 * SEALED_SIZES[0] };
    let mut tower = Tower::new(config, TIP);
    let justice = |part| Justice { part, ..world.justice(&world.state(0)).remove(0) };
    let full = Refused::Full { boxes: 2, bytes: 2 * SEALED_SIZES[0] };
    for part in [0, 1, 1, 0] {
        assert!(tower.take(client(1), justice(part)).is_ok(), "one that is there is taken again");
    }
    assert_eq!(tower.take(client(1), justice(2)), Err(full));
    assert!(tower.take(client(2), justice(2)).is_ok());
    assert_eq!(tower.take(client(3), justice(2)), Err(Refused::TooManyClients { clients: 2 }));
    let odd = Justice { sealed: vec![0; SEALED_SIZES[0] + 1], ..justice(3) };
    assert_eq!(tower.take(client(2), odd), Err(Refused::Size { len: SEALED_SIZES[0] + 1 }));
    let before = tower.records();
    assert_eq!(
        Tower::restore(config, TIP, &before).expect("it reads back").take(client(1), justice(2)),
        Err(full)
    );
}

#[test]
fn damaged_records_are_errors() {
    let world = World::new(ChannelType::StaticRemotekey);
    let state = world.state(1);
    let mut tower = tower();
    world.justice(&state).into_iter().for_each(|justice| drop(tower.take(client(1), justice)));
    tower.on_block(&block(std::slice::from_ref(&state.tx)), &env(501, 1_000));
    for (key, bytes) in tower.records() {
        let wrong_version = [&[9], &bytes[1..]].concat();
        let mut damaged = vec![Vec::new(), wrong_version];
        if !matches!(key, TowerRecordKey::Box(..)) {
            damaged.push(bytes[..bytes.len() - 1].to_vec());
            damaged.push([&bytes[..], &[0]].concat());
        }
        for bytes in damaged {
            let records = BTreeMap::from([(key, bytes)]);
            assert!(Tower::restore(TowerConfig::default(), TIP, &records).is_err(), "{key:?}");
        }
    }
}

proptest! {
    #[test]
    fn a_kit_of_any_bytes_is_read_or_refused(start in 0usize..900, noise in proptest::collection::vec(any::<u8>(), 0..200)) {
        let world = World::new(ChannelType::StaticRemotekey);
        let state = world.state(1);
        let mut bytes = Kit::of(&world.revoked(&state)).encode();
        let start = start.min(bytes.len());
        let end = bytes.len().min(start + noise.len());
        bytes[start..end].copy_from_slice(&noise[..end - start]);
        if let Some(kit) = Kit::decode(&bytes) {
            // Whatever it says, only what the revocation key signed comes of it.
            for penalty in kit.targets(&state.tx, &[]).iter().flat_map(|target| &target.penalties) {
                prop_assert_eq!(penalty.1.input[0].previous_output.txid, state.tx.compute_txid());
            }
        }
        let _ = Kit::decode(&noise);
    }
}

/// A channel, seen from the victim: the peer holds the commitments that will be revoked.
struct World {
    terms: ChannelTerms,
    own: ChannelKeys,
    peer: ChannelKeys,
    secret: SecretKey,
    destination: ScriptBuf,
}

impl World {
    fn new(channel_type: ChannelType) -> Self {
        let [own, peer] = [1, 2].map(|byte| NodeSeed::new([byte; 32]).channel_keys(0));
        let party = |basepoints| PartyTerms { basepoints, dust_limit: Sat::new(354), to_self_delay: 144 };
        let terms = ChannelTerms {
            channel_type,
            funding: OutPoint { txid: Txid::from_byte_array([8; 32]), vout: 1 },
            funding_amount: Sat::new(20_000_000),
            opener: Side::Remote,
            local: party(own.basepoints()),
            remote: party(peer.basepoints()),
        };
        let secret = peer.per_commitment_secret(NUMBER);
        Self { terms, own, peer, secret, destination: script(7) }
    }

    /// A state of the peer's with so many HTLCs in turn offered and received, and 5,000,000 sat for the peer beside them.
    fn state(&self, htlcs: u64) -> Commitment {
        self.state_with(htlcs, Msat::new(5_000_000_000))
    }

    fn state_with(&self, htlcs: u64, to_holder: Msat) -> Commitment {
        let htlc = |id: u64| HtlcTerms {
            direction: if id.is_multiple_of(2) { Direction::Offered } else { Direction::Received },
            id,
            amount: Msat::new(10_000_000 + id * 1000),
            payment_hash: PaymentHash([(id % 255) as u8 + 1; 32]),
            cltv_expiry: CltvExpiry::new(700),
        };
        let htlcs: Vec<HtlcTerms> = (0..htlcs).map(htlc).collect();
        let locked = htlcs.iter().fold(Msat::ZERO, |sum, htlc| sum.saturating_add(htlc.amount));
        let cost = commitment_cost(self.terms.channel_type, FEERATE, htlcs.len()).to_msat();
        let to_holder = to_holder.saturating_add(cost);
        let rest = self.terms.funding_amount.to_msat().saturating_sub(locked).saturating_sub(to_holder);
        let keys = CommitmentKeys::derive(&self.terms, Side::Remote, self.peer.per_commitment_point(NUMBER));
        let spec = CommitmentSpec { feerate: FEERATE, to_holder, to_counterparty: rest, htlcs };
        Commitment::build(&self.terms, Side::Remote, NUMBER, keys, &spec)
    }

    fn revoked<'a>(&'a self, commitment: &'a Commitment) -> Revoked<'a> {
        let Self { terms, own, secret, destination, .. } = self;
        Revoked { commitment, terms, keys: own, secret, destination }
    }

    fn justice(&self, commitment: &Commitment) -> Vec<Justice> {
        Justice::of(&self.revoked(commitment))
    }
}

const FEERATE: FeeratePerKw = FeeratePerKw::new(500);

fn tower() -> Tower {
    Tower::new(TowerConfig::default(), TIP)
}

/// What a fresh tower that is told this feerate does about the breach.
fn tower_after(world: &World, state: &Commitment, feerate: u32) -> TowerTurn {
    let mut tower = tower();
    world.justice(state).into_iter().for_each(|justice| drop(tower.take(client(1), justice)));
    tower.on_block(&block(std::slice::from_ref(&state.tx)), &env(501, feerate))
}

fn client(byte: u8) -> NodeId {
    NodeSeed::new([byte; 32]).node_secret().public_key(secp256k1::SECP256K1)
}

fn env(height: u32, feerate: u32) -> Env {
    Env::new(Timestamp::ZERO, BlockHeight::new(height), FeeratePerKw::new(feerate))
}

fn script(byte: u8) -> ScriptBuf {
    ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array([byte; 20]))
}

fn spend(outpoint: OutPoint, script: &ScriptBuf, sat: u64) -> Transaction {
    let input = vec![TxIn { previous_output: outpoint, ..TxIn::default() }];
    let output = vec![TxOut { value: Sat::new(sat).to_amount(), script_pubkey: script.clone() }];
    Transaction { version: Version::TWO, lock_time: LockTime::ZERO, input, output }
}

/// A block whose header nobody looks at.
fn block(transactions: &[Transaction]) -> Block {
    let mut block = bitcoin::constants::genesis_block(bitcoin::Network::Regtest);
    block.txdata.extend_from_slice(transactions);
    block
}

/// What a penalty straight from the commitment pays.
fn fee(state: &Commitment, penalty: &Transaction) -> u64 {
    let spent = &state.tx.output[penalty.input[0].previous_output.vout as usize];
    spent.value.to_sat() - penalty.output[0].value.to_sat()
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

fn assert_spends(tx: &Transaction, spent: &TxOut) {
    let script = spent.script_pubkey.as_bytes();
    let bytes = bitcoin::consensus::serialize(tx);
    bitcoinconsensus::verify(script, spent.value.to_sat(), &bytes, None, 0).expect("consensus takes it");
}
