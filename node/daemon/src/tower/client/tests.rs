//! The client against towers that the test plays, over TCP: what a slow, a silent, an absent and a full one get, and that in the end
//! each box is at all of them. Nothing waits for time but the cut-off itself, which is short here.
use super::*;
use leyden_core::wire::{Message, Ping};
use secp256k1::SECP256K1;
use std::future::Future;
use std::ops::Bound;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

/// Nothing here takes longer, also on a machine that has much else to do.
const DEADLINE: Duration = Duration::from_secs(60);

#[test]
fn no_more_boxes_are_on_the_way_than_the_window() {
    run(async {
        let mut tower = Tower::start(1).await;
        let mut node = Node::start(&[&tower], 100, PATIENCE);
        tower.await_ready().await;
        let mut on_the_way = VecDeque::new();
        for received in 1..=100 {
            on_the_way.push_back(tower.await_box().await);
            assert!(on_the_way.len() <= WINDOW);
            if on_the_way.len() == WINDOW || received == 100 {
                tower.expect_nothing_more().await;
                let oldest = on_the_way.pop_front().expect("a box");
                tower.answer(&oldest, Verdict::Kept);
            }
        }
        node.await_left(100 - (100 - WINDOW) - 1).await;
        on_the_way.iter().for_each(|justice| tower.answer(justice, Verdict::Kept));
        node.await_left(0).await;
    });
}

#[test]
fn a_tower_that_says_nothing_is_dialled_anew_and_gets_all_again() {
    run(async {
        let mut tower = Tower::start(1).await;
        let mut node = Node::start(&[&tower], 3, Duration::from_millis(50));
        // Before `init`.
        tower.is_mute = true;
        assert_eq!(tower.next().await, Said::Gone);
        // With boxes that it does not acknowledge; where the machine is slow, not with all of them at once.
        tower.is_mute = false;
        let mut unanswered = BTreeSet::new();
        while unanswered.len() < 3 {
            unanswered.extend(tower.hear_out().await);
        }
        // It answers, and gets them once more; what it said too late it is asked again.
        tower.keeps = true;
        let hears = async {
            loop {
                tower.hear_out().await;
            }
        };
        tokio::select! { () = node.await_left(0) => {}, () = hears => {} }
    });
}

#[test]
fn boxes_that_found_no_room_come_when_there_is_each_once() {
    run(async {
        let mut tower = Tower::start(1).await;
        let mut node = Node::start(&[&tower], MANY, PATIENCE);
        tower.await_ready().await;
        let got = tower.keep(MANY).await;
        assert_eq!(got.len(), MANY);
        node.await_left(0).await;
        tower.expect_nothing_more().await;
    });
}

#[test]
fn a_tower_gets_all_boxes_though_another_is_away() {
    run(async {
        let mut tower = Tower::start(1).await;
        let mut away = Tower::bind(2).await;
        let mut node = Node::start(&[&tower, &away], MANY, PATIENCE);
        tower.await_ready().await;
        assert_eq!(tower.keep(MANY).await.len(), MANY, "none comes twice");
        tower.expect_nothing_more().await;
        assert_eq!(*node.left.borrow_and_update(), MANY, "a box is guarded once all towers have it");
        // The other one comes: it gets all, and the first nothing that it has.
        away.open();
        away.await_ready().await;
        assert_eq!(away.keep(MANY).await.len(), MANY);
        node.await_left(0).await;
        tower.expect_nothing_more().await;
    });
}

#[test]
fn a_tower_that_refuses_all_is_left_alone_until_the_next_connection() {
    run(async {
        let mut tower = Tower::start(1).await;
        let mut node = Node::start(&[&tower], MANY, PATIENCE);
        tower.await_ready().await;
        for _ in 0..MOST_WAITING {
            let justice = tower.await_box().await;
            tower.answer(&justice, Verdict::Full);
        }
        tower.expect_nothing_more().await;
        assert_eq!(*node.left.borrow_and_update(), MANY);
        let (client, _) = tower.link.take().expect("a connection");
        tower.peers.disconnect(&client.0);
        tower.await_ready().await;
        assert_eq!(tower.keep(MANY).await.len(), MANY);
        node.await_left(0).await;
    });
}

/// More than the ways to a tower have room for, twice over.
const MANY: usize = 2 * MOST_WAITING + 100;

fn run(test: impl Future<Output = ()>) {
    // One thread: the node gives all it has before the client takes the first of it, so that the ways do overflow.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { timeout(DEADLINE, test).await.expect("it ends in time") });
}

fn secret(number: u8) -> SecretKey {
    SecretKey::from_slice(&[number; 32]).expect("a key")
}

/// A node with so many boxes on record, as its owner's thread plays it.
struct Node {
    left: watch::Receiver<usize>,
}

impl Node {
    fn start(towers: &[&Tower], boxes: usize, patience: Duration) -> Self {
        let (owner, mut inbox) = mpsc::channel(INBOX);
        let towers = towers.iter().map(|tower| (tower.id, tower.address.clone())).collect();
        let guard = Client::start_with(&secret(9), towers, owner, patience).expect("no file");
        let (told, left) = watch::channel(boxes);
        let mut records: BTreeMap<Name, Justice> = (0..boxes).map(boxed).collect();
        tokio::spawn(async move {
            while let Some(input) = inbox.recv().await {
                match input {
                    Input::TowerReady { from } => {
                        let from = from.map_or(Bound::Unbounded, Bound::Included);
                        let given = records.range((from, Bound::Unbounded));
                        given.for_each(|(_, justice)| guard.give(justice.clone()));
                    }
                    Input::Guarded { locator, part } => {
                        assert!(records.remove(&(locator, part)).is_some(), "it is told once");
                    }
                    other => panic!("not of towers: {other:?}"),
                }
                told.send_replace(records.len());
            }
        });
        Self { left }
    }

    /// Waits until so many are not at all towers.
    async fn await_left(&mut self, count: usize) {
        self.left.wait_for(|left| *left == count).await.expect("the node runs");
    }
}

fn boxed(number: usize) -> (Name, Justice) {
    let mut locator = [0; 16];
    locator[..8].copy_from_slice(&number.to_be_bytes());
    // Smaller than any real one: the client reads none, and a build for tests is slow to encrypt.
    let justice = Justice { locator: Locator(locator), part: 0, sealed: Vec::new() };
    ((justice.locator, justice.part), justice)
}

/// A tower as its client sees it; what it answers is the test's to say.
struct Tower {
    id: NodeId,
    address: String,
    peers: Peers,
    listener: Option<TcpListener>,
    inbox: mpsc::Receiver<Input>,
    /// Came together with what was heard last.
    unheard: VecDeque<Vec<u8>>,
    link: Option<((NodeId, ConnectionId), Peer)>,
    /// It does not send `init`.
    is_mute: bool,
    /// It acknowledges what it hears while nothing else is said of it.
    keeps: bool,
}

/// What a tower hears.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Said {
    Ready,
    Box(Justice),
    Pong,
    Gone,
}

impl Tower {
    async fn start(number: u8) -> Self {
        let mut tower = Self::bind(number).await;
        tower.open();
        tower
    }

    /// It has a port, and answers nobody there.
    async fn bind(number: u8) -> Self {
        let (inbox_of, inbox) = mpsc::channel(INBOX);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        Self {
            id: secret(number).public_key(SECP256K1),
            address: listener.local_addr().expect("it is bound").to_string(),
            peers: Peers::new(secret(number), inbox_of),
            listener: Some(listener),
            inbox,
            unheard: VecDeque::new(),
            link: None,
            is_mute: false,
            keeps: false,
        }
    }

    fn open(&mut self) {
        let listener = self.listener.take().expect("it was closed");
        tokio::spawn(self.peers.clone().listen(listener));
    }

    async fn next(&mut self) -> Said {
        loop {
            while let Some(bytes) = self.unheard.pop_front() {
                if let Ok(TowerMessage::Justice(justice)) = TowerMessage::decode(&bytes) {
                    return Said::Box(justice);
                }
                if matches!(Message::decode(&bytes), Ok(Message::Pong(_))) {
                    return Said::Pong;
                }
                let (_, peer) = self.link.as_mut().expect("a connection");
                if peer.hear(&bytes) == Heard::Ready && !self.is_mute {
                    return Said::Ready;
                }
            }
            match self.inbox.recv().await.expect("its peers live as long as it does") {
                Input::Connected { peer, connection } => {
                    self.link = Some(((peer, connection), Peer::default()));
                    if !self.is_mute {
                        self.send(Peer::hello().encode());
                    }
                }
                Input::Disconnected { .. } => return Said::Gone,
                Input::Messages { messages, .. } => self.unheard.extend(messages),
                other => panic!("not of connections: {other:?}"),
            }
        }
    }

    /// The client's `init`, perhaps over another connection than the last.
    async fn await_ready(&mut self) {
        while self.next().await != Said::Ready {}
    }

    async fn await_box(&mut self) -> Justice {
        match self.next().await {
            Said::Box(justice) => justice,
            other => panic!("no box: {other:?}"),
        }
    }

    /// The boxes that come until the connection ends.
    async fn hear_out(&mut self) -> BTreeSet<Name> {
        let mut boxes = BTreeSet::new();
        loop {
            match self.next().await {
                Said::Box(justice) => {
                    boxes.insert((justice.locator, justice.part));
                    if self.keeps {
                        self.answer(&justice, Verdict::Kept);
                    }
                }
                Said::Gone => return boxes,
                Said::Ready | Said::Pong => {}
            }
        }
    }

    /// Keeps so many; which they are.
    async fn keep(&mut self, count: usize) -> BTreeSet<Name> {
        let mut kept = BTreeSet::new();
        for _ in 0..count {
            let justice = self.await_box().await;
            self.answer(&justice, Verdict::Kept);
            kept.insert((justice.locator, justice.part));
        }
        kept
    }

    /// Asks the client for words that come behind whatever it had to say, often enough that the node has its turn too.
    async fn expect_nothing_more(&mut self) {
        for _ in 0..5 {
            let ping = Ping { num_pong_bytes: 1, byteslen: 0 };
            self.send(Message::Ping(ping).encode());
            assert_eq!(self.next().await, Said::Pong);
        }
    }

    fn answer(&self, justice: &Justice, verdict: Verdict) {
        let Justice { locator, part, .. } = *justice;
        self.send(TowerMessage::Ack(JusticeAck { locator, part, verdict }).encode());
    }

    fn send(&self, bytes: Vec<u8>) {
        let ((client, connection), _) = self.link.as_ref().expect("a connection");
        self.peers.send(client, *connection, vec![bytes]);
    }
}
