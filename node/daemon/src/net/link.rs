//! One connection after its handshake: a reader that hands whole messages to the owner, and a writer that empties the queue. Many
//! messages are sealed into one write. Whichever ends first ends both.
use super::ConnectionId;
use crate::owner::Input;
use leyden_core::ids::NodeId;
use leyden_core::transport::{Receiver, Sender, Session, HEADER_LEN};
use std::future::pending;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, Notify};
use tokio::time::timeout;

/// So many bytes may wait for a peer. Twice what 483 HTLCs and their answers need.
const MOST_QUEUED: usize = 4 << 20;
/// So many bytes may wait for all peers together; beyond it whoever has more than a message waiting is given up.
const MOST_QUEUED_IN_ALL: usize = 64 << 20;
/// What a peer may always have waiting.
const ONE_MESSAGE: usize = 64 << 10;
/// A peer that does not close its side after we closed ours is cut off.
const LINGER: Duration = Duration::from_secs(5);
/// So many messages are handed over as one: what the owner may have waiting stays bounded by bytes, and not by tiny messages.
const MOST_TOGETHER: usize = 64;
/// What waits for a peer when its connection is to end may take so long.
const LAST_WORDS: Duration = Duration::from_secs(30);
/// What is read from the socket at once.
const READ_BUFFER: usize = 64 << 10;

/// What waits to be sent over one connection.
pub(super) struct Queue {
    messages: mpsc::UnboundedSender<Out>,
    waiting: Arc<Waiting>,
    aborted: Arc<Notify>,
    finishing: Arc<Notify>,
    /// The peer was too far behind: nothing more is kept for it.
    given_up: AtomicBool,
}

/// The other end of a [`Queue`].
pub(super) struct Outgoing {
    messages: mpsc::UnboundedReceiver<Out>,
    waiting: Arc<Waiting>,
    aborted: Arc<Notify>,
    finishing: Arc<Notify>,
}

/// Bytes that wait: of this connection, and of all. Those of a connection that is gone do not count.
struct Waiting {
    here: AtomicUsize,
    in_all: Arc<AtomicUsize>,
}

impl Waiting {
    /// What waited before, here and in all.
    fn add(&self, bytes: usize) -> (usize, usize) {
        let here = self.here.fetch_add(bytes, Ordering::Relaxed);
        (here, self.in_all.fetch_add(bytes, Ordering::Relaxed))
    }

    fn remove(&self, bytes: usize) {
        self.here.fetch_sub(bytes, Ordering::Relaxed);
        self.in_all.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.in_all.fetch_sub(self.here.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

enum Out {
    Messages(Vec<Vec<u8>>),
    Finish,
}

impl Queue {
    pub fn new(in_all: Arc<AtomicUsize>) -> (Self, Outgoing) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let waiting = Arc::new(Waiting { here: AtomicUsize::new(0), in_all });
        let [aborted, finishing] = [(); 2].map(|()| Arc::new(Notify::new()));
        let queue = Self {
            messages: sender,
            waiting: waiting.clone(),
            aborted: aborted.clone(),
            finishing: finishing.clone(),
            given_up: AtomicBool::new(false),
        };
        (queue, Outgoing { messages: receiver, waiting, aborted, finishing })
    }

    /// More messages. False if the peer is so far behind that the connection is given up now.
    pub fn push(&self, messages: Vec<Vec<u8>>) -> bool {
        if self.given_up.load(Ordering::Relaxed) {
            return true;
        }
        let len = messages.iter().map(Vec::len).sum();
        let (here, in_all) = self.waiting.add(len);
        if here > MOST_QUEUED || (in_all > MOST_QUEUED_IN_ALL && here > ONE_MESSAGE) {
            self.waiting.remove(len);
            self.given_up.store(true, Ordering::Relaxed);
            self.abort();
            return false;
        }
        // A writer that is gone took the connection with it.
        let _ = self.messages.send(Out::Messages(messages));
        true
    }

    /// Ends the connection behind all that waits.
    pub fn finish(&self) {
        let _ = self.messages.send(Out::Finish);
        self.finishing.notify_one();
    }

    /// Ends the connection now.
    pub fn abort(&self) {
        self.aborted.notify_one();
    }
}

/// A connection as the owner knows it.
pub(super) struct Line {
    /// With whom.
    pub peer: NodeId,
    /// Which.
    pub connection: ConnectionId,
    /// The owner's.
    pub inbox: mpsc::Sender<Input>,
    /// The owner is told whenever nothing came for so long.
    pub silence: Duration,
}

/// Runs until the connection ends, for whatever reason.
pub(super) async fn run(line: &Line, stream: TcpStream, session: Session, outgoing: Outgoing) {
    let (reading, writing) = stream.into_split();
    let Session { sender, receiver } = session;
    let (aborted, finishing) = (outgoing.aborted.clone(), outgoing.finishing.clone());
    let heard = Notify::new();
    let mut reader = pin!(read(line, &heard, reading, receiver));
    let ended = tokio::select! {
        ended = &mut reader => ended,
        ended = write(writing, sender, outgoing) => {
            // To close over unread bytes would take back what was sent last. The peer closes its side when it has read it.
            let _ = timeout(LINGER, reader).await;
            ended
        }
        () = aborted.notified() => Ok(()),
        () = overdue(&finishing) => Ok(()),
        () = tell_of_silence(line, &heard) => Ok(()),
    };
    if let Err(error) = ended {
        tracing::debug!(peer = %line.peer, %error, "the connection ends");
    }
}

/// A peer that reads nothing any more does not keep a connection that is to end.
async fn overdue(finishing: &Notify) {
    finishing.notified().await;
    let _ = timeout(LAST_WORDS, pending::<()>()).await;
}

/// Ends with the owner.
async fn tell_of_silence(line: &Line, heard: &Notify) {
    let Line { peer, connection, .. } = *line;
    loop {
        let silent = timeout(line.silence, heard.notified()).await.is_err();
        if silent && line.inbox.send(Input::Silent { peer, connection }).await.is_err() {
            return;
        }
    }
}

async fn read(line: &Line, heard: &Notify, stream: OwnedReadHalf, receiver: Receiver) -> io::Result<()> {
    let mut arrived = Arrived { line, heard, messages: Vec::new() };
    let ended = gather(stream, receiver, &mut arrived).await;
    // What came whole before the connection broke did come.
    arrived.hand_over().await;
    ended
}

/// Messages that came in one read, on their way to the owner.
struct Arrived<'a> {
    line: &'a Line,
    heard: &'a Notify,
    messages: Vec<Vec<u8>>,
}

impl Arrived<'_> {
    fn push(&mut self, bytes: Vec<u8>) {
        self.heard.notify_one();
        self.messages.push(bytes);
    }

    /// All of them as one. False when there is no owner any more.
    async fn hand_over(&mut self) -> bool {
        let messages = std::mem::take(&mut self.messages);
        let Line { peer, connection, .. } = *self.line;
        messages.is_empty()
            || self.line.inbox.send(Input::Messages { peer, connection, messages }).await.is_ok()
    }
}

async fn gather(stream: OwnedReadHalf, mut receiver: Receiver, arrived: &mut Arrived<'_>) -> io::Result<()> {
    let mut stream = BufReader::with_capacity(READ_BUFFER, stream);
    let mut body = Vec::new();
    loop {
        // Nothing is kept back while more is waited for.
        let enough = arrived.messages.len() >= MOST_TOGETHER;
        if (enough || stream.buffer().len() < HEADER_LEN) && !arrived.hand_over().await {
            return Ok(());
        }
        let mut header = [0; HEADER_LEN];
        stream.read_exact(&mut header).await?;
        let length = receiver.header(&header).map_err(io::Error::other)?;
        if stream.buffer().len() < length && !arrived.hand_over().await {
            return Ok(());
        }
        body.resize(length, 0);
        stream.read_exact(&mut body).await?;
        arrived.push(receiver.body(&mut body).map_err(io::Error::other)?.to_vec());
    }
}

async fn write(mut stream: OwnedWriteHalf, mut sender: Sender, mut outgoing: Outgoing) -> io::Result<()> {
    let mut sealed = Vec::new();
    while let Some(first) = outgoing.messages.recv().await {
        sealed.clear();
        let mut next = Some(first);
        let mut finished = false;
        while let Some(out) = next {
            match out {
                Out::Messages(messages) => {
                    for bytes in messages {
                        outgoing.waiting.remove(bytes.len());
                        sender.seal(&bytes, &mut sealed).map_err(io::Error::other)?;
                    }
                }
                Out::Finish => {
                    finished = true;
                    break;
                }
            }
            next = if sealed.len() < READ_BUFFER { outgoing.messages.try_recv().ok() } else { None };
        }
        stream.write_all(&sealed).await?;
        if finished {
            return stream.shutdown().await;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::handshake;
    use secp256k1::{SecretKey, SECP256K1};
    use std::future::Future;
    use std::sync::atomic::AtomicBool;
    use tokio::net::TcpListener;
    use tokio::runtime::Builder;

    /// Both ends of a connection behind its handshake.
    async fn pair() -> [(TcpStream, Session); 2] {
        let [dialer, acceptor] = [1, 2].map(|byte| SecretKey::from_slice(&[byte; 32]).expect("a key"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let begun = AtomicBool::new(false);
        let answer = async {
            let (stream, _) = listener.accept().await.expect("a connection");
            handshake::answer(&acceptor, stream, &begun).await.expect("a handshake")
        };
        let peer = acceptor.public_key(SECP256K1);
        let (dialed, (_, stream, session)) = tokio::join!(handshake::dial(&dialer, peer, &address), answer);
        [dialed.expect("a handshake"), (stream, session)]
    }

    /// A line, with what the owner hears of it.
    fn line(silence: Duration) -> (Line, mpsc::Receiver<Input>) {
        let (inbox, heard) = mpsc::channel(16);
        let peer = SecretKey::from_slice(&[2; 32]).expect("a key").public_key(SECP256K1);
        (Line { peer, connection: ConnectionId(1), inbox, silence }, heard)
    }

    fn in_runtime(test: impl Future<Output = ()>) {
        Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(test);
    }

    #[test]
    fn a_silent_connection_is_told_of_again_and_again_and_stands() {
        in_runtime(async {
            let [(stream, session), other] = pair().await;
            let (line, mut heard) = line(Duration::from_millis(1));
            let (_queue, outgoing) = Queue::new(Arc::default());
            tokio::spawn(async move { run(&line, stream, session, outgoing).await });
            for _ in 0..3 {
                assert!(matches!(heard.recv().await, Some(Input::Silent { .. })));
            }
            drop(other);
            while heard.recv().await.is_some() {}
        });
    }

    #[test]
    fn what_came_in_one_packet_is_heard_as_one_and_before_the_end() {
        in_runtime(async {
            let [(stream, session), (mut far, mut far_session)] = pair().await;
            let mut sealed = Vec::new();
            for byte in 1..=3 {
                far_session.sender.seal(&[0, 19, byte], &mut sealed).expect("it is short");
            }
            // Behind them something that no session sealed.
            sealed.extend([7; 40]);
            far.write_all(&sealed).await.expect("it is sent");
            let (line, mut heard) = line(Duration::from_secs(60));
            let (_queue, outgoing) = Queue::new(Arc::default());
            run(&line, stream, session, outgoing).await;
            drop(line);
            let Some(Input::Messages { messages, .. }) = heard.recv().await else { panic!("nothing came") };
            assert_eq!(messages, [1, 2, 3].map(|byte| vec![0, 19, byte]));
            assert!(heard.recv().await.is_none());
        });
    }
}
