//! What is sent over one connection: sealed at once, and written at once where the socket takes it, by whoever sends. Only what the
//! socket does not take waits, for a task that writes it when it can. In order, and within bounds.
use leyden_core::transport::Sender;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Notify;

/// So many bytes may wait for a peer. Twice what 483 HTLCs and their answers need.
const MOST_QUEUED: usize = 4 << 20;
/// So many bytes may wait for all peers together; beyond it whoever has more than a message waiting is given up.
const MOST_QUEUED_IN_ALL: usize = 64 << 20;
/// What a peer may always have waiting.
const ONE_MESSAGE: usize = 64 << 10;

/// What goes out over one connection.
pub(super) struct Queue {
    end: Mutex<End>,
    waiting: Waiting,
    /// Something waits for the task that writes, or the end is near.
    filled: Notify,
    /// The connection is to end now.
    pub aborted: Notify,
    /// The connection is to end behind all that waits.
    pub finishing: Notify,
}

/// Our end of the socket.
struct End {
    sender: Sender,
    /// None once all that was to be sent is written: the peer sees that nothing more comes.
    stream: Option<Arc<OwnedWriteHalf>>,
    /// What the socket did not take yet.
    sealed: Vec<u8>,
    /// The task has something in hand that comes before all this.
    writing: bool,
    /// Nothing more is taken.
    closed: bool,
}

/// Bytes that wait: of this connection, and of all. Those of a connection that is gone do not count.
struct Waiting {
    here: AtomicUsize,
    in_all: Arc<AtomicUsize>,
}

impl Waiting {
    /// What waits now, here and in all.
    fn add(&self, bytes: usize) -> (usize, usize) {
        let here = self.here.fetch_add(bytes, Ordering::Relaxed) + bytes;
        (here, self.in_all.fetch_add(bytes, Ordering::Relaxed) + bytes)
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

impl Queue {
    /// Nothing waits yet. `in_all` counts what waits for all peers together.
    pub fn new(sender: Sender, stream: OwnedWriteHalf, in_all: Arc<AtomicUsize>) -> Self {
        let stream = Some(Arc::new(stream));
        let end = Mutex::new(End { sender, stream, sealed: Vec::new(), writing: false, closed: false });
        let waiting = Waiting { here: AtomicUsize::new(0), in_all };
        let [filled, aborted, finishing] = [(); 3].map(|()| Notify::new());
        Self { end, waiting, filled, aborted, finishing }
    }

    /// Sends messages. False if the peer is so far behind that the connection is given up now.
    pub fn push(&self, messages: &[Vec<u8>]) -> bool {
        let mut end = self.end();
        if end.closed {
            return true;
        }
        let before = end.sealed.len();
        let End { sender, sealed, .. } = &mut *end;
        if messages.iter().any(|message| sender.seal(message, sealed).is_err()) {
            // Longer than a message can be: a bug of our own, which a peer must not be left to wait for.
            end.closed = true;
            self.abort();
            return true;
        }
        if before == 0 && !end.writing {
            end.write_some();
        }
        let (here, in_all) = self.waiting.add(end.sealed.len() - before);
        if here > MOST_QUEUED || (in_all > MOST_QUEUED_IN_ALL && here > ONE_MESSAGE) {
            end.closed = true;
            self.abort();
            return false;
        }
        if !end.sealed.is_empty() {
            self.filled.notify_one();
        }
        true
    }

    /// Ends the connection behind all that waits.
    pub fn finish(&self) {
        self.end().closed = true;
        self.filled.notify_one();
        self.finishing.notify_one();
    }

    /// Ends the connection now.
    pub fn abort(&self) {
        self.aborted.notify_one();
    }

    /// Writes what waits, whenever something does, until the end; then the peer sees that nothing more comes.
    pub async fn write(&self) -> io::Result<()> {
        loop {
            self.filled.notified().await;
            while let Some((stream, sealed)) = self.take() {
                let mut rest = &sealed[..];
                while !rest.is_empty() {
                    stream.writable().await?;
                    match stream.try_write(rest) {
                        Ok(written) => rest = &rest[written..],
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(error) => return Err(error),
                    }
                }
                self.waiting.remove(sealed.len());
            }
            let mut end = self.end();
            if end.closed && end.sealed.is_empty() {
                end.stream = None;
                return Ok(());
            }
        }
    }

    /// All that waits, for the task: nobody else writes until it comes back and nothing does.
    fn take(&self) -> Option<(Arc<OwnedWriteHalf>, Vec<u8>)> {
        let mut end = self.end();
        end.writing = !end.sealed.is_empty();
        let stream = end.stream.clone().filter(|_| end.writing)?;
        Some((stream, std::mem::take(&mut end.sealed)))
    }

    fn end(&self) -> MutexGuard<'_, End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl End {
    /// Gives the socket what it takes without waiting. An error is for the task to see.
    fn write_some(&mut self) {
        let Some(stream) = &self.stream else { return };
        let mut written = 0;
        while written < self.sealed.len() {
            match stream.try_write(&self.sealed[written..]) {
                Ok(more) => written += more,
                Err(_) => break,
            }
        }
        self.sealed.drain(..written);
    }
}
