//! Two nodes' connections with each other, over real sockets.
use super::*;
use crate::net::Book;
use std::future::Future;

/// Far beyond what anything here takes.
const DEADLINE: Duration = Duration::from_secs(20);

/// One end: its connections, and what its owner hears of them.
struct End {
    id: NodeId,
    address: String,
    peers: Peers,
    heard: mpsc::Receiver<Input>,
    /// The connection that stands, as the owner knows.
    stands: Option<ConnectionId>,
}

impl End {
    async fn start(number: u8) -> Self {
        let secret = SecretKey::from_slice(&[number; 32]).expect("a key");
        let (inbox, heard) = mpsc::channel(64);
        let peers = Peers::new(secret, inbox);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it is bound").to_string();
        tokio::spawn(peers.clone().listen(listener));
        Self { id: secret.public_key(SECP256K1), address, peers, heard, stands: None }
    }

    /// Hears of connections until a message comes.
    async fn message(&mut self) -> Vec<u8> {
        loop {
            match self.heard.recv().await.expect("the owner hears") {
                Input::Connected { connection, .. } => self.stands = Some(connection),
                Input::Disconnected { connection, .. } if self.stands == Some(connection) => {
                    self.stands = None
                }
                Input::Messages { connection, mut messages, .. } if self.stands == Some(connection) => {
                    return messages.pop().expect("one");
                }
                _ => {}
            }
        }
    }

    /// Says something over whatever connection stands.
    fn say(&self, peer: &NodeId, text: &[u8]) {
        let connection = self.peers.links().get(peer).map(|link| link.connection);
        self.peers.send(peer, connection.expect("a connection stands"), vec![text.to_vec()]);
    }
}

/// On one thread, so that what happens between two waits happens in order.
pub(super) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { timeout(DEADLINE, test).await.expect("it ends in time") });
}

#[test]
fn whoever_connects_while_the_peer_is_being_dialled_gets_that_connection() {
    run(async {
        for _ in 0..20 {
            let (a, mut b) = (End::start(1).await, End::start(2).await);
            let dialer = Dialer::new(a.peers.clone(), Book::open(None).expect("no file"), true);
            dialer.want(b.id, b.address.clone());
            // The owner asks for what is kept anyway, and is being dialled by then.
            tokio::task::yield_now().await;
            dialer.connect(b.id, &b.address).await.expect("it answers");
            a.say(&b.id, b"hello");
            assert_eq!(b.message().await, b"hello");
            // Behind everybody who waited to dial as well.
            drop(a.peers.turn(b.id).lock().await);
            assert_eq!(a.peers.shared.next.load(Ordering::Relaxed), 2, "one connection was made");
        }
    });
}

#[test]
fn of_two_that_dial_each_other_at_once_one_connection_stands() {
    run(async {
        for round in 0..50 {
            let (mut a, mut b) = (End::start(1).await, End::start(2).await);
            let (there, back) = tokio::join!(a.peers.dial(b.id, &b.address), b.peers.dial(a.id, &a.address));
            assert!(there.is_ok() && back.is_ok(), "round {round}: {there:?} {back:?}");
            let one = |end: &End| matches!(&end.peers.list()[..], [link] if link.inbound == (end.id == b.id.max(a.id)));
            while !(one(&a) && one(&b)) {
                tokio::task::yield_now().await;
            }
            a.say(&b.id, b"there");
            b.say(&a.id, b"back");
            assert_eq!((b.message().await, a.message().await), (b"there".to_vec(), b"back".to_vec()));
        }
    });
}
