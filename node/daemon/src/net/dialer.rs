//! Keeps the connections that the owner wants: dials, and dials again when one ends, with pauses that grow. Where the peers are is
//! kept in a small file, one `id@host:port` a line, so that a restart finds them again.
use super::{ConnectError, Peers};
use leyden_core::ids::NodeId;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{timeout, Instant};

/// The first pause, and the longest; it doubles in between.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// A connection that stood for so long was a good one: when it ends, it is dialled again at once.
const STEADY: Duration = Duration::from_secs(30);

/// How long to wait before the next try: not at all before the first, and longer with each that came to nothing. A connection that
/// ends as soon as it stands is such a try too.
struct Pauses(Duration);

impl Pauses {
    fn next(&mut self) -> Duration {
        let next = (self.0 * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        std::mem::replace(&mut self.0, next)
    }

    fn after_standing_for(&mut self, time: Duration) {
        if time >= STEADY {
            self.0 = Duration::ZERO;
        }
    }
}

/// Who is where.
pub struct Book {
    file: Option<PathBuf>,
    entries: BTreeMap<NodeId, String>,
    /// Who is being looked after: one task each.
    kept: BTreeSet<NodeId>,
}

impl Book {
    /// From its file; a line that cannot be read is left out. None: nothing is kept.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn open(file: Option<PathBuf>) -> io::Result<Self> {
        let text = match file.as_deref().map(fs::read_to_string) {
            Some(Ok(text)) => text,
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Some(Err(error)) => return Err(error),
            None => String::new(),
        };
        let entries = text.lines().filter_map(parse).collect();
        Ok(Self { file, entries, kept: BTreeSet::new() })
    }

    /// Where a peer is; where it is wanted no more, nobody looks after it from now on.
    fn address_of(&mut self, peer: &NodeId) -> Option<String> {
        let address = self.entries.get(peer).cloned();
        if address.is_none() {
            self.kept.remove(peer);
        }
        address
    }

    fn set(&mut self, peer: NodeId, address: Option<String>) {
        let before = self.entries.get(&peer).cloned();
        if before == address {
            return;
        }
        match address {
            Some(address) => self.entries.insert(peer, address),
            None => self.entries.remove(&peer),
        };
        let lines: Vec<String> =
            self.entries.iter().map(|(peer, address)| format!("{peer}@{address}\n")).collect();
        if let Some(Err(error)) = self.file.as_deref().map(|file| replace(file, &lines.concat())) {
            tracing::warn!(%error, "where peers are could not be written down: after a restart they have to be dialled by hand");
        }
    }
}

/// `id@host:port`.
fn parse(line: &str) -> Option<(NodeId, String)> {
    let (id, address) = line.trim().split_once('@')?;
    address.rsplit_once(':')?.1.parse::<u16>().ok()?;
    Some((id.parse().ok()?, address.to_owned()))
}

fn replace(file: &Path, text: &str) -> io::Result<()> {
    let new = file.with_extension("new");
    let mut out = fs::File::create(&new)?;
    out.write_all(text.as_bytes())?;
    out.sync_all()?;
    fs::rename(new, file)
}

/// Dials for the owner. Cheap to clone.
#[derive(Clone)]
pub struct Dialer {
    peers: Peers,
    shared: Arc<Shared>,
    /// Whether a connection that ends is dialled again.
    again: bool,
}

struct Shared {
    book: Mutex<Book>,
    changed: Notify,
}

impl Dialer {
    /// Nobody is dialled yet.
    pub fn new(peers: Peers, book: Book, again: bool) -> Self {
        Self { peers, shared: Arc::new(Shared { book: Mutex::new(book), changed: Notify::new() }), again }
    }

    /// Dials every peer of the book, and from then on keeps those connections.
    pub fn start(&self) {
        let peers: Vec<NodeId> = self.book().entries.keys().copied().collect();
        peers.into_iter().for_each(|peer| self.keep(peer));
    }

    /// Connects now, and keeps the connection from then on.
    ///
    /// # Errors
    /// It does not stand; then nothing is kept.
    pub async fn connect(&self, peer: NodeId, address: &str) -> Result<(), ConnectError> {
        self.peers.dial(peer, address).await?;
        self.want(peer, address.to_owned());
        Ok(())
    }

    /// Keeps a connection with this peer from now on, wherever it stands now.
    pub fn want(&self, peer: NodeId, address: String) {
        self.book().set(peer, Some(address));
        self.keep(peer);
    }

    /// Ends the connection, and keeps it no more. Whether there was one.
    pub fn disconnect(&self, peer: &NodeId) -> bool {
        self.book().set(*peer, None);
        self.shared.changed.notify_waiters();
        self.peers.disconnect(peer)
    }

    fn keep(&self, peer: NodeId) {
        if self.again && self.book().kept.insert(peer) {
            let dialer = self.clone();
            tokio::spawn(async move { dialer.redial(peer).await });
        }
    }

    async fn redial(&self, peer: NodeId) {
        let mut pauses = Pauses(Duration::ZERO);
        let mut since = None;
        loop {
            let ended = self.peers.shared.ended.notified();
            let changed = self.shared.changed.notified();
            let Some(address) = self.book().address_of(&peer) else { return };
            if self.peers.is_connected(&peer) {
                since.get_or_insert_with(Instant::now);
                tokio::select! { () = ended => {}, () = changed => {} }
                continue;
            }
            if let Some(since) = since.take() {
                pauses.after_standing_for(since.elapsed());
            }
            // Cut short when the owner changes its mind.
            if timeout(pauses.next(), changed).await.is_ok() {
                continue;
            }
            if let Err(error) = self.peers.dial(peer, &address).await {
                tracing::debug!(%peer, %error, "dialled in vain");
            }
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.shared.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_hangs_up_at_once_is_dialled_more_and_more_seldom() {
        let mut pauses = Pauses(Duration::ZERO);
        let mut next = |stood: u64| {
            pauses.after_standing_for(Duration::from_secs(stood));
            pauses.next().as_secs()
        };
        assert_eq!([0; 4].map(&mut next), [0, 1, 2, 4]);
        assert_eq!([29, 29].map(&mut next), [8, 16], "a connection that ended soon was none");
        assert_eq!([30, 0].map(&mut next), [0, 1], "a good one ended: again at once");
        assert_eq!([0; 20].map(&mut next)[19], 300);
    }
}
