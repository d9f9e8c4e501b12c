//! A disk that is slow: the owner's thread waits for it, nothing of the round leaves before, and what comes meanwhile waits in an inbox
//! that does not grow. Then all goes on.
#![cfg(feature = "daemon")]

use bitcoin::block::{Header, Version};
use bitcoin::constants::genesis_block;
use bitcoin::{Block, Network};
use leyden_core::keys::NodeSeed;
use leyden_core::node::{Batch, Command, CommandError, NewBlock, Node, NodeConfig, Reply};
use leyden_core::units::{BlockHeight, FeeratePerKw};
use leyden_node::chain::{Broadcaster, Source, Stop, Taken};
use leyden_node::config::{ChainConfig, CoreAuth, CoreConfig};
use leyden_node::net::Peers;
use leyden_node::owner::{Input, Owner, Standing, INBOX};
use leyden_node::store::{BlockMark, Durable, Store, StoreError};
use leyden_node::tower::Client;
use std::path::Path;
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

/// A store whose commits end when the test says so.
struct SlowStore {
    store: Store,
    begun: Sender<()>,
    go_on: Receiver<()>,
}

impl Durable<Batch> for SlowStore {
    fn commit(&mut self, batch: &Batch, chain: &[BlockMark]) -> Result<(), StoreError> {
        if !batch.records.is_empty() {
            self.begun.send(()).expect("the test listens");
            // Once the test lets go of it for good, it is a fast one.
            let _ = self.go_on.recv();
        }
        self.store.commit(batch, chain)
    }

    fn commits(&self) -> u64 {
        self.store.commits()
    }
}

type Answer = oneshot::Receiver<Result<Reply, CommandError>>;

#[test]
fn nothing_leaves_before_a_slow_save_ends_and_the_inbox_is_bounded() {
    let home = tempfile::tempdir().expect("a folder");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _inside = runtime.enter();
    let (inbox, inputs) = mpsc::channel(INBOX);
    let (standing, stands) = watch::channel(Standing::at(birthday(), FeeratePerKw::new(1_000), 0));
    let (begun, begins) = channel();
    let (go, go_on) = channel();
    let owner = owner(home.path(), &inbox, standing, |store| SlowStore { store, begun, go_on });
    let owning: JoinHandle<_> = std::thread::spawn(move || owner.run(inputs));

    let mut first = ask(&inbox).expect("there is room");
    begins.recv().expect("the save begins");
    let mut waiting: Vec<Answer> = Vec::new();
    inbox.try_send(Input::Block(Arc::new(block()))).expect("there is room");
    while let Some(answer) = ask(&inbox) {
        waiting.push(answer);
    }
    assert_eq!(waiting.len() + 1, INBOX, "whoever brings more has to wait");
    assert_eq!(first.try_recv().err(), Some(TryRecvError::Empty), "nothing leaves before the save ended");
    assert_eq!((stands.borrow().commits, stands.borrow().height.get()), (0, 0));

    go.send(()).expect("it waits");
    begins.recv().expect("the next save begins");
    assert!(first.blocking_recv().is_ok_and(|answer| answer.is_ok()), "what was saved is answered");
    let quiet = |answer: &mut Answer| answer.try_recv().err() == Some(TryRecvError::Empty);
    assert!(waiting.iter_mut().all(quiet), "the next round waits for its own save");
    assert_eq!((stands.borrow().commits, stands.borrow().height.get()), (1, 0));

    drop(go);
    let answers = waiting.into_iter().map(|answer| answer.blocking_recv().expect("an answer"));
    assert!(answers.into_iter().all(|answer| matches!(answer, Ok(Reply::Address(_)))));
    inbox.blocking_send(Input::Stop).expect("it listens");
    owning.join().expect("no panic").expect("it saved all");
    assert_eq!(stands.borrow().height.get(), 1);
}

/// The owner wants an address, which is saved before it is told; nothing if the inbox is full.
fn ask(inbox: &mpsc::Sender<Input>) -> Option<Answer> {
    let (reply, answer) = oneshot::channel();
    inbox.try_send(Input::Command { command: Command::NewAddress, reply }).ok().map(|()| answer)
}

fn owner(
    folder: &Path,
    inbox: &mpsc::Sender<Input>,
    standing: watch::Sender<Standing>,
    slow: impl FnOnce(Store) -> SlowStore,
) -> Owner {
    let seed = NodeSeed::new([7; 32]);
    let secret = seed.node_secret();
    let (folder, id) = (folder.join("node"), secret.public_key(secp256k1::SECP256K1));
    Store::create(&folder, id, Network::Regtest, birthday()).expect("a new store");
    let opened = Store::open(&folder, id, Network::Regtest).expect("it opens");
    let node = Node::restore(seed, NodeConfig::default(), birthday(), &opened.records).expect("a node");
    // Nobody is there: what goes to the chain waits.
    let auth = CoreAuth::CookieFile(folder.join("no-cookie"));
    let nowhere = ChainConfig::Core(CoreConfig { url: "http://127.0.0.1:1".into(), auth });
    let source = Source::new(nowhere, Stop::default());
    Owner {
        node,
        store: Box::new(slow(opened.store)),
        peers: Peers::new(secret, inbox.clone()),
        chain: Broadcaster::start(source, drop).expect("a thread"),
        taken: Taken::default(),
        guard: Client::start(&secret, Vec::new(), inbox.clone()).expect("no towers"),
        notices: broadcast::channel(16).0,
        standing,
        #[cfg(feature = "lab")]
        lab: None,
    }
}

fn birthday() -> (BlockHeight, bitcoin::BlockHash) {
    (BlockHeight::new(0), genesis_block(Network::Regtest).block_hash())
}

/// An empty block on the first one.
fn block() -> NewBlock {
    let genesis = genesis_block(Network::Regtest);
    let header = Header { prev_blockhash: genesis.block_hash(), version: Version::TWO, ..genesis.header };
    let block = Block { header, txdata: genesis.txdata };
    NewBlock { height: BlockHeight::new(1), hash: block.block_hash(), block }
}
