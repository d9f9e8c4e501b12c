//! One connection after its handshake: a reader that hands whole messages to the owner, and a writer that empties the queue. Many
//! messages are sealed into one write. Whichever ends first ends both.
use super::ConnectionId;
use crate::owner::Input;
use leyden_core::ids::NodeId;
use leyden_core::transport::{Receiver, Sender, Session, HEADER_LEN};
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, Notify};
use tokio::time::timeout;

/// So many bytes may wait for a peer. Twice what 483 HTLCs and their answers need.
const MOST_QUEUED: usize = 4 << 20;
/// A peer that does not close its side after we closed ours is cut off.
const LINGER: Duration = Duration::from_secs(5);
/// What is read from the socket at once.
const READ_BUFFER: usize = 64 << 10;

/// What waits to be sent over one connection.
pub(super) struct Queue {
    messages: mpsc::UnboundedSender<Out>,
    waiting: Arc<AtomicUsize>,
    aborted: Arc<Notify>,
}

/// The other end of a [`Queue`].
pub(super) struct Outgoing {
    messages: mpsc::UnboundedReceiver<Out>,
    waiting: Arc<AtomicUsize>,
    aborted: Arc<Notify>,
}

enum Out {
    Message(Vec<u8>),
    Finish,
}

impl Queue {
    pub fn new() -> (Self, Outgoing) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let aborted = Arc::new(Notify::new());
        let queue = Self { messages: sender, waiting: waiting.clone(), aborted: aborted.clone() };
        (queue, Outgoing { messages: receiver, waiting, aborted })
    }

    /// One message more. False if the peer is so far behind that the connection is given up.
    pub fn push(&self, bytes: Vec<u8>) -> bool {
        let waiting = self.waiting.fetch_add(bytes.len(), Ordering::Relaxed);
        if waiting > MOST_QUEUED {
            self.abort();
            return false;
        }
        // A writer that is gone took the connection with it.
        let _ = self.messages.send(Out::Message(bytes));
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
    mut receiver: Receiver,
    inbox: mpsc::Sender<Input>,
) -> io::Result<()> {
    let mut stream = BufReader::with_capacity(READ_BUFFER, stream);
    let mut body = Vec::new();
    loop {
        let mut header = [0; HEADER_LEN];
        stream.read_exact(&mut header).await?;
        let length = receiver.header(&header).map_err(io::Error::other)?;
        body.resize(length, 0);
        stream.read_exact(&mut body).await?;
        let bytes = receiver.body(&mut body).map_err(io::Error::other)?.to_vec();
        if inbox.send(Input::Message { peer, connection, bytes }).await.is_err() {
            return Ok(());
        }
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
                Out::Message(bytes) => {
                    outgoing.waiting.fetch_sub(bytes.len(), Ordering::Relaxed);
                    sender.seal(&bytes, &mut sealed).map_err(io::Error::other)?;
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
