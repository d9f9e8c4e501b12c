//! Secrets: derived the same each time, apart from each other, never printed, stored in few places.
use super::*;
use crate::units::CommitmentNumber;
use secp256k1::{SecretKey, SECP256K1};

#[test]
fn the_same_seed_gives_the_same_keys_and_each_channel_its_own() {
    let (one, again) = (NodeSeed::new([1; 32]), NodeSeed::new([1; 32]));
    assert_eq!(one.node_secret(), again.node_secret());
    assert_eq!(one.channel_keys(3).basepoints(), again.channel_keys(3).basepoints());
    assert_eq!(one.entropy("preimage", 5), again.entropy("preimage", 5));

    let mut all = vec![one.node_secret().secret_bytes(), one.wallet_seed()];
    all.extend([one.entropy("preimage", 0), one.entropy("preimage", 1), one.entropy("payment secret", 0)]);
    all.extend([one.entropy("node", 0), one.entropy("wallet", 0), NodeSeed::new([2; 32]).wallet_seed()]);
    all.extend((0..3).flat_map(|index| secrets_of(&one.channel_keys(index))));
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count);
}

#[test]
fn printing_keys_shows_no_secret() {
    let seed = NodeSeed::new([0xab; 32]);
    let keys = seed.channel_keys(0);
    let mut store = SecretStore::default();
    store.insert(CommitmentNumber::ZERO, &keys.per_commitment_secret(CommitmentNumber::ZERO)).unwrap();
    let printed = format!("{seed:?} {keys:?} {store:?} {seed:#?} {keys:#?} {store:#?}");

    let mut secrets = secrets_of(&keys);
    secrets.extend([[0xab; 32], keys.per_commitment_secret(CommitmentNumber::ZERO).secret_bytes()]);
    for secret in secrets {
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let list = format!("{secret:?}");
        assert!(!printed.contains(&hex[..8]) && !printed.contains(&list[1..12]), "{printed}");
    }
}

#[test]
fn points_belong_to_their_secrets() {
    let keys = NodeSeed::new([1; 32]).channel_keys(0);
    let number = CommitmentNumber::new(7);
    let secret = keys.per_commitment_secret(number);
    assert_eq!(keys.per_commitment_point(number), secret.public_key(SECP256K1));
    assert_eq!(
        derive_revocation_secret_key(&keys.revocation, &secret).public_key(SECP256K1),
        derive_revocation_public_key(
            &keys.basepoints().revocation,
            &keys.per_commitment_point(CommitmentNumber::new(7))
        ),
    );
}

#[test]
fn every_released_secret_is_found_again_in_few_places() {
    let keys = NodeSeed::new([1; 32]).channel_keys(0);
    let mut store = SecretStore::default();
    let numbers: Vec<CommitmentNumber> = (0..1000).map(CommitmentNumber::new).collect();
    for number in &numbers {
        assert_eq!(store.next_number(), Some(*number));
        assert_eq!(store.get(*number), None);
        store.insert(*number, &keys.per_commitment_secret(*number)).unwrap();
    }
    for number in &numbers {
        assert_eq!(store.get(*number), Some(keys.per_commitment_secret(*number)));
    }
    assert_eq!(store.get(CommitmentNumber::new(1000)), None);
    assert_eq!(store.get(CommitmentNumber::new(u64::MAX)), None);
    assert_eq!(format!("{store:?}"), "SecretStore(10 places)");
}

#[test]
fn a_secret_out_of_order_or_repeated_is_refused() {
    let keys = NodeSeed::new([1; 32]).channel_keys(0);
    let mut store = SecretStore::default();
    let mut insert = |number| {
        let number = CommitmentNumber::new(number);
        store.insert(number, &keys.per_commitment_secret(number))
    };
    assert_eq!(insert(1), Err(InconsistentSecret(CommitmentNumber::new(1))));
    assert_eq!(insert(0), Ok(()));
    assert_eq!(insert(0), Err(InconsistentSecret(CommitmentNumber::new(0))));
    assert_eq!(insert(2), Err(InconsistentSecret(CommitmentNumber::new(2))));
    assert_eq!(insert(u64::MAX), Err(InconsistentSecret(CommitmentNumber::new(u64::MAX))));
    assert_eq!(insert(1), Ok(()));
}

fn secrets_of(keys: &ChannelKeys) -> Vec<[u8; 32]> {
    let ChannelKeys { funding, revocation, payment, delayed_payment, htlc, commitment_seed } = keys;
    let secrets = [funding, revocation, payment, delayed_payment, htlc];
    secrets.map(SecretKey::secret_bytes).into_iter().chain([*commitment_seed]).collect()
}
