//! The store between processes: one runs a folder, and what it said was kept is kept when it is killed. The other process is
//! this same test binary, told by a variable to be it.

use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Network};
use leyden_core::ids::{ChannelId, NodeId};
use leyden_core::node::{Batch, RecordKey};
use leyden_core::units::{BlockHeight, CommitmentNumber};
use leyden_node::store::{BlockMark, Store, StoreError};
use secp256k1::{SecretKey, SECP256K1};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// The folder that the other process runs.
const FOLDER: &str = "LEYDEN_TEST_FOLDER";

#[test]
fn a_second_process_is_refused_until_the_first_is_gone() {
    let home = tempfile::tempdir().expect("a folder");
    let folder = home.path().join("node");
    Store::create(&folder, node(), Network::Regtest, birthday()).expect("a new store");
    let mut other = Other::start(&folder);
    other.next();
    match Store::open(&folder, node(), Network::Regtest).err() {
        Some(StoreError::InUse { pid, .. }) => assert_eq!(pid, Some(other.child.id())),
        refused => panic!("{refused:?}"),
    }
    other.kill();
    Store::open(&folder, node(), Network::Regtest).expect("the lock went with its process");
}

#[test]
fn a_kill_loses_no_acknowledged_commit() {
    let home = tempfile::tempdir().expect("a folder");
    let folder = home.path().join("node");
    Store::create(&folder, node(), Network::Regtest, birthday()).expect("a new store");
    let mut least = 0;
    // From one commit to hundreds, so that the journal is in its first and in later rounds.
    for commits in [1, 2, 5, 30, 120, 3, 250, 8] {
        let mut other = Other::start(&folder);
        for _ in 0..commits {
            least = other.next();
        }
        let acknowledged = other.kill().unwrap_or(least);
        let opened = Store::open(&folder, node(), Network::Regtest).expect("it survives");
        let last = kept(&opened.records);
        // One more may have been kept without a chance to say so.
        assert!(last == acknowledged || last == acknowledged + 1, "{last} kept, {acknowledged} acknowledged");
        assert_eq!(opened.blocks.last().map(|(height, _)| u64::from(height.get())), Some(last));
    }
}

/// Not a test of its own: the process that commits until it is killed, and prints each number once it is kept.
#[test]
fn other_process() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let mut opened = Store::open(&folder, node(), Network::Regtest).expect("it opens");
    let mut number = opened.records.get(&channel()).map_or(0, |_| kept(&opened.records));
    loop {
        number += 1;
        let height = BlockHeight::new(u32::try_from(number).expect("few commits"));
        let mark = BlockMark::Connected { height, hash: birthday().1 };
        opened.store.commit(&numbered(number), &[mark]).expect("room");
        println!("kept {number}");
    }
}

struct Other {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Other {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "other_process", "--nocapture"])
            .env(FOLDER, folder)
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let lines = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, lines }
    }

    /// The next number that it says is kept.
    fn next(&mut self) -> u64 {
        self.read().expect("it goes on until it is killed")
    }

    fn read(&mut self) -> Option<u64> {
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).expect("a pipe") == 0 {
                return None;
            }
            // The test harness prints the test's name without a line end before.
            let said = line.split("kept ").nth(1).and_then(|number| number.trim_end().parse().ok());
            if said.is_some() && line.ends_with('\n') {
                return said;
            }
        }
    }

    /// Kills it, and gives the last number that it had said.
    fn kill(&mut self) -> Option<u64> {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
        let mut last = None;
        while let Some(number) = self.read() {
            last = Some(number);
        }
        last
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn node() -> NodeId {
    SecretKey::from_slice(&[1; 32]).expect("a key").public_key(SECP256K1)
}

fn birthday() -> (BlockHeight, BlockHash) {
    (BlockHeight::ZERO, BlockHash::all_zeros())
}

fn channel() -> RecordKey {
    RecordKey::Channel(ChannelId([1; 32]))
}

/// A channel's record of this number, and the state that it revokes.
fn numbered(number: u64) -> Batch {
    let revoked = RecordKey::Revoked(ChannelId([1; 32]), CommitmentNumber::new(number));
    let value = number.to_be_bytes();
    Batch { records: [(channel(), Some(value.repeat(1200))), (revoked, Some(value.to_vec()))].into() }
}

/// The number of the last commit that is there; all before it must be there as well, whole.
fn kept(records: &std::collections::BTreeMap<RecordKey, Vec<u8>>) -> u64 {
    let mut expected = std::collections::BTreeMap::new();
    let last = records[&channel()].first_chunk().map_or(0, |number| u64::from_be_bytes(*number));
    for number in 1..=last {
        for (key, value) in numbered(number).records {
            expected.insert(key, value.unwrap_or_default());
        }
    }
    assert_eq!(*records, expected);
    last
}
