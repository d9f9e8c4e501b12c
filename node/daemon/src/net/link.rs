//! One connection after its handshake: a reader that hands whole messages to the owner, and a writer that empties the queue. Many
//! messages are sealed into one write. Whichever ends first ends both.
use super::ConnectionId;
use crate::owner::Input;
use leyden_core::ids::NodeId;
use leyden_core::transport::{Receiver, Sender, Session, HEADER_LEN};
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
/// What is read from the socket at once.
const READ_BUFFER: usize = 64 << 10;

/// What waits to be sent over one connection.
pub(super) struct Queue {
    messages: mpsc::UnboundedSender<Out>,
    waiting: Arc<Waiting>,
    aborted: Arc<Notify>,
    /// The peer was too far behind: nothing more is kept for it.
    given_up: AtomicBool,
}

/// The other end of a [`Queue`].
pub(super) struct Outgoing {
    messages: mpsc::UnboundedReceiver<Out>,
    waiting: Arc<Waiting>,
    aborted: Arc<Notify>,
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
        let aborted = Arc::new(Notify::new());
        let queue = Self {
            messages: sender,
            waiting: waiting.clone(),
            aborted: aborted.clone(),
            given_up: AtomicBool::new(false),
        };
        (queue, Outgoing { messages: receiver, waiting, aborted })
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
    }

    /// Ends the connection now.
    pub fn abort(&self) {
        self.aborted.notify_one();
    }
}

/// Runs until the connection ends, for whatever reason.
pub(super) async fn run(
    peer: NodeId,
    connection: ConnectionId,
    stream: TcpStream,
    session: Session,
    outgoing: Outgoing,
    inbox: mpsc::Sender<Input>,
) {
    let (reading, writing) = stream.into_split();
    let Session { sender, receiver } = session;
    let aborted = outgoing.aborted.clone();
    let mut reader = pin!(read(peer, connection, reading, receiver, inbox));
    let ended = tokio::select! {
        ended = &mut reader => ended,
        ended = write(writing, sender, outgoing) => {
            // To close over unread bytes would take back what was sent last. The peer closes its side when it has read it.
            let _ = timeout(LINGER, reader).await;
            ended
        }
        () = aborted.notified() => Ok(()),
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "the connection ends");
    }
}

async fn read(
    peer: NodeId,
    connection: ConnectionId,
    stream: OwnedReadHalf,
    receiver: Receiver,
    inbox: mpsc::Sender<Input>,
) -> io::Result<()> {
    let mut arrived = Arrived { peer, connection, messages: Vec::new(), inbox };
    let ended = gather(stream, receiver, &mut arrived).await;
    // What came whole before the connection broke did come.
    arrived.hand_over().await;
    ended
}

/// Messages that came in one read, on their way to the owner.
struct Arrived {
    peer: NodeId,
    connection: ConnectionId,
    messages: Vec<Vec<u8>>,
    inbox: mpsc::Sender<Input>,
}

impl Arrived {
    /// All of them as one. False when there is no owner any more.
    async fn hand_over(&mut self) -> bool {
        let (peer, connection, messages) = (self.peer, self.connection, std::mem::take(&mut self.messages));
        messages.is_empty() || self.inbox.send(Input::Messages { peer, connection, messages }).await.is_ok()
    }
}

async fn gather(stream: OwnedReadHalf, mut receiver: Receiver, arrived: &mut Arrived) -> io::Result<()> {
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
        arrived.messages.push(receiver.body(&mut body).map_err(io::Error::other)?.to_vec());
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
