//! A node and its tower as processes when the tower hangs, is dead or takes no more: nothing is lost, and both say what is wrong. And
//! folders: neither program starts on the other's.
mod tower_process;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use tower_process::{pay, wait_until, Ground, Process};

/// A payer and a node with a tower, and a channel in which each payment makes two boxes.
struct Guarded {
    ground: Ground,
    payer: Process,
    node: Process,
}

impl Guarded {
    fn prepare(mut ground: Ground, tower: &Process) -> Self {
        let node = ground.node("node", &["--tower", &tower.address()]);
        let payer = ground.node("payer", &[]);
        ground.open(&payer, &node, 1_000_000);
        Self { ground, payer, node }
    }

    fn pay(&self, times: u64) {
        (0..times).for_each(|time| pay(&self.payer, &self.node, 1_000 + time));
    }

    /// Waits until the tower has all of so many boxes: the last is made after the payer was told that it has paid.
    fn await_kept(&self, tower: &Process, boxes: usize) {
        wait_until("the boxes", || (tower.boxes(), self.node.boxes()) == (boxes, 0));
    }

    /// Waits until so many boxes wait for the tower.
    fn await_waiting(&self, boxes: usize) {
        wait_until("the boxes", || self.node.boxes() == boxes);
    }
}

#[test]
fn a_tower_that_hangs_gets_all_when_it_goes_on() {
    let ground = Ground::new();
    let tower = ground.tower("tower");
    let guarded = Guarded::prepare(ground, &tower);
    guarded.pay(1);
    guarded.await_kept(&tower, 2);
    let commits = || tower.client().getinfo().expect("it answers").commits;
    let before = commits();
    tower.hang();
    // More than may be on the way at once.
    guarded.pay(20);
    guarded.await_waiting(40);
    tower.go_on();
    guarded.node.await_guarded();
    assert_eq!((guarded.node.boxes(), tower.boxes()), (0, 42));
    assert!((1..=40).contains(&(commits() - before)), "they came in a few commits");
}

#[test]
fn each_block_is_one_commit_of_a_tower() {
    let mut ground = Ground::new();
    let tower = ground.tower("tower");
    ground.settle(&[&tower]);
    let commits = || tower.client().getinfo().expect("it answers").commits;
    let before = commits();
    for more in 1..=3 {
        ground.mine(1);
        ground.settle(&[&tower]);
        assert_eq!(commits(), before + more);
    }
}

#[test]
fn what_a_dead_tower_missed_is_on_record_until_both_are_back() {
    let ground = Ground::new();
    let mut tower = ground.tower("tower");
    let mut guarded = Guarded::prepare(ground, &tower);
    let (_, address) = tower.place();
    guarded.pay(1);
    guarded.await_kept(&tower, 2);
    tower.kill();
    guarded.pay(3);
    guarded.await_waiting(6);
    guarded.node.kill();
    tower.start_again(&address);
    assert_eq!(tower.boxes(), 2, "what it had acknowledged");
    guarded.node.start_again("127.0.0.1:0");
    guarded.node.await_guarded();
    assert_eq!((guarded.node.boxes(), tower.boxes()), (0, 8));
    guarded.ground.settle(&[&tower, &guarded.node, &guarded.payer]);
}

#[test]
fn a_tower_at_its_limit_says_so_and_takes_the_rest_when_it_may() {
    let ground = Ground::new();
    let folder = ground.folder("tower");
    fs::DirBuilder::new().mode(0o700).create(&folder).expect("a folder");
    let limit = |boxes: u32| {
        fs::write(folder.join("leyden.toml"), format!("tower-max-boxes = {boxes}\n")).expect("a file");
    };
    limit(3);
    let mut tower = ground.tower("tower");
    let mut guarded = Guarded::prepare(ground, &tower);
    let (_, address) = tower.place();
    guarded.pay(2);
    tower.await_line(&["a box is not taken", "this client has 3 boxes", "may have no more"]);
    guarded.node.await_line(&["the tower does not take what it is given", "Full"]);
    guarded.await_waiting(1);
    assert_eq!(tower.boxes(), 3);
    tower.kill();
    limit(100);
    tower.start_again(&address);
    guarded.node.await_guarded();
    assert_eq!((guarded.node.boxes(), tower.boxes()), (0, 4));
}

#[test]
fn no_program_starts_on_the_folder_of_the_other() {
    let ground = Ground::new();
    let (mut node, mut tower) = (ground.node("node", &[]), ground.tower("tower"));
    let (id, _) = node.place();
    let of_node = ["node/leyden.db belongs to a node, not to a tower: each needs a folder of its own"];
    let of_tower = ["tower/leyden.db belongs to a tower, not to a node: each needs a folder of its own"];
    // Also from a folder whose newest records are in the journal that a killed process left.
    for end in [Process::kill, |process: &mut Process| assert!(process.terminate().success())] {
        end(&mut node);
        end(&mut tower);
        let before = (content(&node.folder), content(&tower.folder));
        ground.expect_refusal("tower", "node", &of_node);
        ground.expect_refusal("run", "tower", &of_tower);
        assert!(before == (content(&node.folder), content(&tower.folder)), "a refusal changes nothing");
        node.start_again("127.0.0.1:0");
        tower.start_again("127.0.0.1:0");
    }
    assert_eq!(node.place().0, id);
}

/// The files of a folder but its lock, which names the process that came last.
fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a file"));
    let files = entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()));
    let files = files.filter(|(name, path)| name != "lock" && path.is_file());
    files.map(|(name, path)| (name, fs::read(path).expect("a file"))).collect()
}
