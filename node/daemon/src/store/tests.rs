//! The store by what it keeps: every batch or none of it, for its node and nobody else, across restarts, torn journals
//! and full disks.

use super::*;
use leyden_core::ids::{ChannelId, PaymentHash};
use leyden_core::node::RecordKey;
use leyden_core::units::CommitmentNumber;
use secp256k1::{SecretKey, SECP256K1};
use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};

#[test]
fn a_new_store_is_empty_and_knows_its_birthday() {
    let home = Home::new();
    assert!(matches!(home.open(), Err(StoreError::Missing(_))));
    assert!(!Store::exists(&home.folder));
    home.create();
    assert!(Store::exists(&home.folder));
    let opened = home.opened();
    assert!(opened.records.is_empty() && opened.blocks.is_empty());
    assert_eq!(opened.birthday, (BlockHeight::new(7), hash(7)));
    drop(opened);
    assert!(matches!(home.try_create(), Err(StoreError::Exists(_))));
}

#[test]
fn what_was_committed_is_there_after_a_restart() {
    let home = Home::created();
    let mut opened = home.opened();
    let batch = batch(&[(RecordKey::Node, Some(1)), (RecordKey::Wallet, Some(2)), (channel(3), Some(3))]);
    opened.store.commit(&batch, &[connected(8), connected(9)]).expect("room");
    let removal = Batch { records: [(RecordKey::Wallet, None), (channel(3), Some(vec![4; 20_000]))].into() };
    opened.store.commit(&removal, &[BlockMark::Disconnected { height: BlockHeight::new(9) }]).expect("room");
    drop(opened);
    let opened = home.opened();
    let records = BTreeMap::from([(RecordKey::Node, vec![1; 100]), (channel(3), vec![4; 20_000])]);
    assert_eq!(opened.records, records);
    assert_eq!(opened.blocks, [(BlockHeight::new(8), hash(8))]);
}

#[test]
fn an_empty_batch_writes_nothing() {
    let home = Home::created();
    let mut opened = home.opened();
    let length = || fs::metadata(home.journal()).expect("a journal").len();
    let before = length();
    opened.store.commit(&Batch::default(), &[]).expect("nothing to do");
    assert_eq!(length(), before);
    opened.store.commit(&Batch::default(), &[connected(8)]).expect("room");
    assert!(length() > before);
}

#[test]
fn the_last_300_blocks_are_kept_and_a_new_branch_replaces_the_old_one() {
    let home = Home::created();
    let mut opened = home.opened();
    for height in 1..=400 {
        opened.store.commit(&Batch::default(), &[connected(height)]).expect("room");
    }
    let other = |height| BlockMark::Connected { height: BlockHeight::new(height), hash: hash(9999) };
    let marks = [BlockMark::Disconnected { height: BlockHeight::new(399) }, other(399)];
    opened.store.commit(&Batch::default(), &marks).expect("room");
    drop(opened);
    let blocks = home.opened().blocks;
    assert_eq!(blocks.len(), 299);
    assert_eq!(blocks[0], (BlockHeight::new(101), hash(101)));
    assert_eq!(blocks[298], (BlockHeight::new(399), hash(9999)));
}

#[test]
fn another_node_or_network_is_refused() {
    let home = Home::created();
    let other = Store::open(&home.folder, node(2), Network::Regtest).err();
    assert!(matches!(&other, Some(StoreError::OtherNode { found, .. }) if **found == node(1)), "{other:?}");
    let other = Store::open(&home.folder, node(1), Network::Signet).err();
    assert!(
        matches!(&other, Some(StoreError::OtherNetwork { found, .. }) if found == "regtest"),
        "{other:?}"
    );
}

#[test]
fn a_folder_serves_one_at_a_time_and_says_whom() {
    let home = Home::created();
    let opened = home.opened();
    // A lock belongs to an open file, so that a second one in this process is refused as another process would be.
    let refused = home.open().err().expect("it is in use");
    assert!(refused.to_string().contains(&format!("process {}", std::process::id())), "{refused}");
    drop(opened);
    home.opened();
}

#[test]
fn files_and_folder_are_the_owners_alone() {
    let home = Home::created();
    let mut opened = home.opened();
    opened.store.commit(&numbered(1), &[]).expect("room");
    let mode = |path: &Path| fs::metadata(path).expect("it is there").mode() & 0o777;
    assert_eq!(mode(&home.folder), 0o700);
    let names: Vec<PathBuf> = entries(&home.folder);
    assert_eq!(names.len(), 3, "database, journal and lock: {names:?}");
    for path in names {
        assert_eq!(mode(&path), 0o600, "{path:?}");
    }
}

#[test]
fn a_folder_of_other_things_is_left_alone() {
    let home = Home::new();
    DirBuilder::new().mode(0o755).create(&home.folder).expect("a folder");
    fs::write(home.folder.join("letter"), "Dear").expect("a file");
    assert!(matches!(home.try_create(), Err(StoreError::Foreign(_))));
    assert_eq!(fs::metadata(&home.folder).expect("it is there").mode() & 0o777, 0o755);
    fs::remove_file(home.folder.join("letter")).expect("a file");
    home.create();
    assert_eq!(fs::metadata(&home.folder).expect("it is there").mode() & 0o777, 0o700);
}

#[test]
fn a_full_disk_refuses_the_batch_and_everything_after_it() {
    let home = Home::created();
    let mut opened = home.opened();
    opened.store.commit(&numbered(1), &[]).expect("room");
    opened.store.connection.pragma_update(None, "max_page_count", 8).expect("a limit");
    let large = Batch { records: [(channel(9), Some(vec![9; 100_000]))].into() };
    let full = opened.store.commit(&large, &[]).expect_err("no room");
    assert!(matches!(full, StoreError::Full(_)), "{full}");
    let after = opened.store.commit(&numbered(2), &[]).expect_err("it stands still");
    assert!(matches!(after, StoreError::Failed(_)), "{after}");
    drop(opened);
    assert_eq!(home.opened().records, state(1));
}

#[test]
fn an_older_version_is_brought_up_to_date() {
    let home = Home::created();
    let mut opened = home.opened();
    opened.store.commit(&numbered(1), &[]).expect("room");
    drop(opened);
    home.edit("DROP TABLE block; PRAGMA user_version = 0;");
    let mut opened = home.opened();
    assert_eq!(opened.records, state(1));
    opened.store.commit(&numbered(2), &[connected(8)]).expect("room");
    drop(opened);
    assert_eq!(home.opened().blocks.len(), 1);
}

#[test]
fn a_step_that_fails_leaves_the_older_version() {
    let home = Home::created();
    // The table is there already, so that the step from version 0 cannot make it.
    home.edit("PRAGMA user_version = 0;");
    assert!(home.open().is_err());
    home.edit("DROP TABLE block;");
    home.opened();
}

#[test]
fn a_newer_version_is_refused() {
    let home = Home::created();
    home.edit("PRAGMA user_version = 99;");
    let refused = home.open().err();
    assert!(matches!(refused, Some(StoreError::Newer { found: 99, known: 1, .. })), "{refused:?}");
}

#[test]
fn another_database_or_no_database_is_refused() {
    let home = Home::created();
    home.edit("PRAGMA application_id = 1;");
    assert!(matches!(home.open().err(), Some(StoreError::Damaged { .. })));
    for content in
        [&b"not a database at all, but long enough to be taken for one's header, or is it"[..], b"", b"SQ"]
    {
        fs::write(home.database(), content).expect("a file");
        let refused = home.open().err();
        assert!(matches!(refused, Some(StoreError::Damaged { .. })), "{content:?}: {refused:?}");
    }
}

#[test]
fn an_unreadable_key_names_the_file_and_the_key() {
    let home = Home::created();
    home.edit("INSERT INTO record VALUES (x'07aa', x'00', 0);");
    let refused = home.open().err().expect("no such tag").to_string();
    assert!(refused.contains("leyden.db") && refused.contains("07aa"), "{refused}");
    home.edit("DELETE FROM record; UPDATE meta SET value = x'00' WHERE name = 'node';");
    assert!(matches!(home.open().err(), Some(StoreError::Damaged { .. })));
    home.edit("DELETE FROM meta;");
    assert!(matches!(home.open().err(), Some(StoreError::Damaged { .. })));
}

#[test]
fn a_damaged_database_is_refused_or_reads_as_it_was_and_never_panics() {
    let home = Home::created();
    let mut opened = home.opened();
    for number in 1..=20 {
        opened.store.commit(&numbered(number), &[]).expect("room");
    }
    drop(opened);
    let sound = fs::read(home.database()).expect("the database");
    let restore = |bytes: &[u8]| {
        let _ = fs::remove_file(home.journal());
        fs::write(home.database(), bytes).expect("a file");
    };
    let mut refused = 0;
    for place in (0..sound.len()).step_by(331) {
        let mut damaged = sound.clone();
        damaged[place] ^= 0x55;
        restore(&damaged);
        match home.open() {
            // Pages have unused room.
            Ok(opened) => assert_eq!(opened.records, state(20), "byte {place}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 30, "{refused} refused");
    for length in (0..sound.len()).step_by(2048) {
        restore(&sound[..length]);
        assert!(home.open().is_err(), "{length} of {} bytes", sound.len());
    }
}

#[test]
fn a_record_that_is_not_what_was_written_is_named() {
    let home = Home::created();
    let mut opened = home.opened();
    opened.store.commit(&numbered(1), &[]).expect("room");
    drop(opened);
    home.edit("UPDATE record SET value = zeroblob(9000) WHERE key = x'01' || x'0101010101010101010101010101010101010101010101010101010101010101';");
    home.edit("UPDATE record SET value = zeroblob(40) WHERE length(value) = 40;");
    let refused = home.open().err().expect("it was changed").to_string();
    assert!(refused.contains("Revoked("), "{refused}");
}

#[test]
fn a_journal_broken_before_its_end_is_refused_and_left_as_it_is() {
    let home = Home::created();
    let mut opened = home.opened();
    let mut ends = vec![0];
    for number in 1..=5 {
        opened.store.commit(&numbered(number), &[]).expect("room");
        ends.push(fs::metadata(home.journal()).expect("a journal").len() as usize);
    }
    let copy = [home.database(), home.journal()].map(|path| fs::read(path).expect("a file"));
    drop(opened);
    for place in (0..copy[1].len()).step_by(401) {
        let mut damaged = copy[1].clone();
        damaged[place] ^= 0x10;
        fs::write(home.database(), &copy[0]).expect("a file");
        fs::write(home.journal(), &damaged).expect("a file");
        // The last commit may have been on its way to the disk: nobody was told that it is there.
        if place < ends[4] {
            let refused = home.open().err();
            assert!(matches!(refused, Some(StoreError::JournalDamaged { .. })), "byte {place}: {refused:?}");
            assert_eq!(fs::read(home.journal()).expect("a file"), damaged);
        } else {
            assert_eq!(home.opened().records, state(4), "byte {place}");
        }
    }
}

#[test]
fn a_journal_in_its_second_round_has_old_frames_behind_the_new_ones() {
    let home = Home::created();
    let mut opened = home.opened();
    opened.store.connection.pragma_update(None, "wal_autocheckpoint", 20).expect("a limit");
    for number in 1..=30 {
        opened.store.commit(&numbered(number), &[]).expect("room");
        let copy = Home::new();
        prepare_folder(&copy);
        fs::copy(home.database(), copy.database()).expect("a file");
        fs::copy(home.journal(), copy.journal()).expect("a file");
        fs::write(copy.folder.join("lock"), "").expect("a file");
        assert_eq!(copy.opened().records, state(number), "{number}");
    }
}

#[test]
fn a_refused_start_after_a_crash_leaves_the_journal() {
    let home = Home::created();
    let mut opened = home.opened();
    opened.store.commit(&numbered(1), &[]).expect("room");
    let copy = [home.database(), home.journal()].map(|path| fs::read(path).expect("a file"));
    drop(opened);
    fs::write(home.database(), &copy[0]).expect("a file");
    fs::write(home.journal(), &copy[1]).expect("a file");
    assert!(Store::open(&home.folder, node(2), Network::Regtest).is_err());
    assert_eq!(home.opened().records, state(1));
}

#[test]
fn every_prefix_of_a_journal_opens_to_a_state_that_some_commit_left() {
    let home = Home::created();
    let mut opened = home.opened();
    let mut ends = vec![fs::metadata(home.journal()).expect("a journal").len()];
    for number in 1..=6 {
        opened.store.commit(&numbered(number), &[connected(number.into())]).expect("room");
        ends.push(fs::metadata(home.journal()).expect("a journal").len());
    }
    let copy = [home.database(), home.journal()].map(|path| fs::read(path).expect("a file"));
    drop(opened);
    let mut seen = std::collections::BTreeSet::new();
    let length = copy[1].len();
    for cut in (0..=length).step_by(509).chain([length]) {
        fs::write(home.database(), &copy[0]).expect("a file");
        fs::write(home.journal(), &copy[1][..cut]).expect("a file");
        let opened = home.opened();
        // As many commits as lie wholly below the cut: what was acknowledged by then is there.
        let whole = ends.iter().filter(|end| **end <= cut as u64).count().saturating_sub(1);
        assert_eq!(opened.records, state(whole as u8), "cut at {cut} of {length}");
        assert_eq!(opened.blocks.len(), whole, "cut at {cut} of {length}");
        seen.insert(whole);
    }
    assert_eq!(seen.len(), 7, "each of the seven states was seen");
}

#[test]
fn a_journal_that_was_in_use_must_be_there() {
    let home = Home::created();
    let mut opened = home.opened();
    opened.store.commit(&numbered(1), &[]).expect("room");
    let database = fs::read(home.database()).expect("a file");
    drop(opened);
    assert!(!home.journal().exists(), "a clean end leaves no journal");
    fs::write(home.database(), database).expect("a file");
    let refused = home.open().err();
    assert!(matches!(refused, Some(StoreError::JournalMissing { .. })), "{refused:?}");
    assert!(matches!(home.open().err(), Some(StoreError::JournalMissing { .. })), "and refused again");
}

#[test]
fn a_start_that_was_killed_half_way_begins_anew() {
    let home = Home::new();
    prepare_folder(&home);
    fs::write(home.folder.join("leyden.db.new"), "half").expect("a file");
    fs::write(home.folder.join("lock"), "").expect("a file");
    home.create();
    home.opened();
}

/// A folder that goes away with the test.
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

    fn created() -> Self {
        let home = Self::new();
        home.create();
        home
    }

    fn try_create(&self) -> Result<(), StoreError> {
        Store::create(&self.folder, node(1), Network::Regtest, (BlockHeight::new(7), hash(7)))
    }

    fn create(&self) {
        self.try_create().expect("a new store");
    }

    fn open(&self) -> Result<Opened, StoreError> {
        Store::open(&self.folder, node(1), Network::Regtest)
    }

    fn opened(&self) -> Opened {
        self.open().unwrap_or_else(|error| panic!("it opens: {error}"))
    }

    fn database(&self) -> PathBuf {
        self.folder.join(DATABASE)
    }

    fn journal(&self) -> PathBuf {
        self.folder.join("leyden.db-wal")
    }

    fn edit(&self, sql: &str) {
        let connection = Connection::open(self.database()).expect("a database");
        connection.execute_batch(sql).expect("valid SQL");
    }
}

fn prepare_folder(home: &Home) {
    super::folder::prepare(&home.folder).expect("a folder");
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect()
}

fn node(byte: u8) -> NodeId {
    SecretKey::from_slice(&[byte; 32]).expect("a key").public_key(SECP256K1)
}

fn hash(number: u32) -> BlockHash {
    BlockHash::hash(&number.to_be_bytes())
}

fn channel(byte: u8) -> RecordKey {
    RecordKey::Channel(ChannelId([byte; 32]))
}

fn connected(height: u32) -> BlockMark {
    BlockMark::Connected { height: BlockHeight::new(height), hash: hash(height) }
}

fn batch(records: &[(RecordKey, Option<u8>)]) -> Batch {
    let records = records.iter().map(|(key, byte)| (key.clone(), byte.map(|byte| vec![byte; 100])));
    Batch { records: records.collect() }
}

/// The commit of this number: a channel's record of some pages, a revoked state, a payment that comes or goes.
fn numbered(number: u8) -> Batch {
    let revoked = RecordKey::Revoked(ChannelId([1; 32]), CommitmentNumber::new(number.into()));
    let payment = RecordKey::Payment(PaymentHash([1; 32]));
    Batch {
        records: BTreeMap::from([
            (channel(1), Some(vec![number; 9000])),
            (revoked, Some(vec![number; 40])),
            (payment, (number % 2 == 1).then(|| vec![number; 300])),
        ]),
    }
}

/// What is there after the commits from 1 to this number.
fn state(last: u8) -> BTreeMap<RecordKey, Vec<u8>> {
    let mut records = BTreeMap::new();
    for number in 1..=last {
        for (key, value) in numbered(number).records {
            match value {
                Some(value) => records.insert(key, value),
                None => records.remove(&key),
            };
        }
    }
    records
}
