//! The seed file: the same seed comes back, by file or by words, and by nobody else's passphrase.

use super::lock::{Cost, Unlocked};
use super::*;
use std::os::unix::fs::MetadataExt;

const ENTROPY: [u8; 32] = [0x7f; 32];

/// BIP 39's own vector for 32 bytes of 0x7f.
const WORDS: &str =
    "legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth \
                     useful legal winner thank year wave sausage worth title";

#[test]
fn a_new_seed_comes_back_and_no_two_are_the_same() {
    let (first, second) = (Home::new(), Home::new());
    assert!(!SeedFile::exists(&first.folder));
    assert!(matches!(SeedFile::open(&first.folder, None), Err(SeedError::Missing(_))));
    let made = SeedFile::create(&first.folder, None, None).expect("a seed");
    let other = SeedFile::create(&second.folder, None, None).expect("a seed");
    assert_eq!(id(&made), id(&SeedFile::open(&first.folder, None).expect("a seed")));
    assert_ne!(id(&made), id(&other));
}

#[test]
fn a_seed_is_never_overwritten_nor_made_anew_beside_a_store() {
    let home = Home::new();
    let made = SeedFile::create(&home.folder, None, None).expect("a seed");
    assert!(matches!(SeedFile::create(&home.folder, Some(ENTROPY), None), Err(SeedError::Exists(_))));
    assert_eq!(id(&made), id(&SeedFile::open(&home.folder, None).expect("a seed")));
    fs::rename(home.file(), home.folder.join("seed.moved")).expect("a file");
    fs::write(home.folder.join(crate::store::DATABASE), "").expect("a file");
    assert!(matches!(SeedFile::create(&home.folder, None, None), Err(SeedError::Lost(_))));
    assert!(matches!(SeedFile::open(&home.folder, None), Err(SeedError::Lost(_))));
    SeedFile::create(&home.folder, Some(ENTROPY), None).expect("its words bring it back");
}

#[test]
fn the_words_are_bip_39s_and_bring_the_seed_back() {
    let home = Home::new();
    SeedFile::create(&home.folder, Some(ENTROPY), None).expect("a seed");
    let words: Vec<&str> = SeedFile::words(&home.folder, None).expect("a seed").expose().collect();
    assert_eq!(words.join(" "), WORDS);
    let other = Home::new();
    let untidy = Secret::new(format!("  {}\n", WORDS.to_uppercase().replace(' ', "\n ")));
    let restored = SeedFile::restore(&other.folder, &untidy, None).expect("a seed");
    assert_eq!(id(&restored), id(&NodeSeed::new(ENTROPY)));
}

#[test]
fn wrong_words_are_told_apart_and_none_is_repeated() {
    let wrong = |words: &str| match entropy_of(&Secret::new(words)) {
        Err(SeedError::Words(error)) => error,
        other => panic!("{:?}", other.map(|_| "a seed")),
    };
    assert_eq!(wrong("legal winner"), WordsError::Count(2));
    assert_eq!(wrong(&WORDS.replacen("winner", "bitcoins", 1)), WordsError::Unknown(2));
    assert_eq!(wrong(&WORDS.replace("title", "legal")), WordsError::Checksum);
    let twelve = "legal winner thank year wave sausage worth useful legal winner thank yellow";
    assert_eq!(wrong(twelve), WordsError::Count(12));
}

#[test]
fn a_passphrase_opens_its_own_lock_only() {
    let home = Home::new();
    home.write_locked();
    let open = |passphrase: Option<&str>| {
        let passphrase = passphrase.map(Secret::new);
        SeedFile::open(&home.folder, passphrase.as_ref())
    };
    assert_eq!(id(&open(Some("correct horse")).expect("its own")), id(&NodeSeed::new(ENTROPY)));
    assert!(matches!(open(Some("correct horse ")), Err(SeedError::WrongPassphrase(_))));
    assert!(matches!(open(Some("")), Err(SeedError::EmptyPassphrase)));
    assert!(matches!(open(None), Err(SeedError::Locked(_))));
    let text = fs::read_to_string(home.file()).expect("a file");
    assert!(!text.contains(&hex(&ENTROPY)) && text.contains("memory-kib"), "{text}");
}

#[test]
fn the_lock_of_every_day_costs_64_mebibytes_and_opens() {
    let home = Home::new();
    let passphrase = Secret::new("correct horse");
    SeedFile::create(&home.folder, Some(ENTROPY), Some(&passphrase)).expect("a seed");
    let text = fs::read_to_string(home.file()).expect("a file");
    assert!(text.contains("memory-kib = 65536\npasses = 3\n"), "{text}");
    let opened = SeedFile::open(&home.folder, Some(&passphrase)).expect("its own");
    assert_eq!(id(&opened), id(&NodeSeed::new(ENTROPY)));
}

#[test]
fn an_unlocked_seed_refuses_a_passphrase() {
    let home = Home::new();
    SeedFile::create(&home.folder, None, None).expect("a seed");
    let given = Secret::new("correct horse");
    assert!(matches!(SeedFile::open(&home.folder, Some(&given)), Err(SeedError::NotLocked(_))));
}

#[test]
fn every_damaged_byte_is_damage_and_no_wrong_passphrase() {
    let home = Home::new();
    home.write_locked();
    let sound = fs::read(home.file()).expect("a file");
    let passphrase = Secret::new("correct horse");
    let refused = |bytes: &[u8]| {
        fs::write(home.file(), bytes).expect("a file");
        SeedFile::open(&home.folder, Some(&passphrase)).expect_err("it is damaged")
    };
    for place in 0..sound.len() {
        let mut bytes = sound.clone();
        bytes[place] ^= 1;
        let error = refused(&bytes);
        assert!(matches!(error, SeedError::Damaged { .. } | SeedError::Newer { .. }), "{place}: {error}");
        let error = refused(&sound[..place]);
        assert!(matches!(error, SeedError::Damaged { .. }), "cut at {place}: {error}");
    }
}

#[test]
fn a_file_that_asks_for_all_memory_is_damaged() {
    let mut locked =
        Locked::lock(&ENTROPY, &Secret::new("x"), Cost { memory_kib: 8, passes: 1 }).expect("a lock");
    locked.cost.memory_kib = u32::MAX;
    assert!(matches!(locked.unlock(&Secret::new("x")), Ok(Unlocked::Malformed)));
}

#[test]
fn the_file_is_the_owners_alone_and_leaves_no_draft() {
    let home = Home::new();
    SeedFile::create(&home.folder, None, None).expect("a seed");
    assert_eq!(fs::metadata(home.file()).expect("a file").mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&home.folder).expect("a folder").mode() & 0o777, 0o700);
    assert_eq!(fs::read_dir(&home.folder).expect("a folder").count(), 2, "the seed and the lock");
}

#[test]
fn nothing_prints_a_secret() {
    let home = Home::new();
    SeedFile::create(&home.folder, Some(ENTROPY), None).expect("a seed");
    let seed = SeedFile::open(&home.folder, None).expect("a seed");
    assert_eq!(format!("{seed:?} {:?}", Secret::new("correct horse")), "NodeSeed(..) Secret(..)");
    fs::write(home.file(), format!("leyden seed 1 {}\nentropy = \"{}\"", checksum("x"), hex(&ENTROPY)))
        .expect("a file");
    let error = SeedFile::open(&home.folder, None).expect_err("it is damaged");
    assert!(!format!("{error} {error:?}").contains("7f7f"), "{error:?}");
}

struct Home {
    _temporary: tempfile::TempDir,
    folder: PathBuf,
}

impl Home {
    fn new() -> Self {
        let temporary = tempfile::tempdir().expect("a folder");
        let folder = temporary.path().join("node");
        Self { _temporary: temporary, folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// With a lock that costs a test nothing.
    fn write_locked(&self) {
        let cheap = Cost { memory_kib: 8, passes: 1 };
        let locked = Locked::lock(&ENTROPY, &Secret::new("correct horse"), cheap).expect("a lock");
        crate::store::folder::prepare(&self.folder).expect("a folder");
        write_new(&self.folder, FILE, &encode(&Content::Locked(locked))).expect("a file");
    }
}

fn id(seed: &NodeSeed) -> secp256k1::PublicKey {
    seed.node_secret().public_key(secp256k1::SECP256K1)
}
