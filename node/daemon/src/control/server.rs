//! The listening end: connections are counted and timed, requests are let in or refused, bodies are read up to a limit.
//! Everything that can make someone wait here ends by itself: a slow header, a slow body, a reader that does not read.

use super::dispatch::Ports;
use super::history::History;
use super::http::{self, Answer, Refusal, Resource};
use super::{answers, cookie, cookie_files, Backend};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderValue, CONNECTION};
use hyper::service::service_fn;
use hyper::Request;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::{pin, Pin};
use std::sync::Arc;
use std::task::{ready, Context, Poll};
use std::time::Duration;
use std::{future::Future, io};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch, OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep_until, timeout, Instant, Sleep};

/// Where the control port is, and what it may take.
#[derive(Clone, Debug)]
pub struct Options {
    /// A loopback address; port 0 takes a free one.
    pub address: SocketAddr,
    /// The node's folder: the cookie and the address go there.
    pub folder: PathBuf,
    /// How addresses are written.
    pub network: bitcoin::Network,
    /// Bounds.
    pub limits: Limits,
}

impl Options {
    /// With the usual bounds.
    pub fn new(address: SocketAddr, folder: &Path, network: bitcoin::Network) -> Self {
        Self { address, folder: folder.to_owned(), network, limits: Limits::default() }
    }
}

/// Bounds of the control port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Connections served at once; more wait in the listener's queue.
    pub connections: usize,
    /// Event streams among them.
    pub streams: usize,
    /// Bytes of a body.
    pub body_bytes: usize,
    /// For a request's header to come, from the end of the one before.
    pub header_time: Duration,
    /// For its body to come.
    pub body_time: Duration,
    /// How long a caller may read nothing at all of an answer.
    pub write_time: Duration,
    /// Events kept for readers.
    pub events: usize,
    /// Bytes of them.
    pub event_bytes: usize,
}

impl Default for Limits {
    /// 64 connections, 16 of them streams; 1 MB; 15 s, 15 s and 60 s; 10,000 events of 8 MB.
    fn default() -> Self {
        Self {
            connections: 64,
            streams: 16,
            body_bytes: 1_000_000,
            header_time: Duration::from_secs(15),
            body_time: Duration::from_secs(15),
            write_time: Duration::from_secs(60),
            events: 10_000,
            event_bytes: 8_000_000,
        }
    }
}

/// Answers that are being made when the server stops get so long.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// When the system has no descriptor left, the next try comes after this.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Events that are handed to a connection at once.
const LINES_AT_ONCE: usize = 64;

/// The control port could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The whole machine's money would be one cookie away from the network.
    #[error("the control port must be on loopback, not on {0}")]
    NotLoopback(SocketAddr),
    /// The address is taken, or not ours.
    #[error("cannot listen on {address} for control: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// No randomness.
    #[error("no random bytes for the cookie: {0}")]
    Random(getrandom::Error),
    /// The cookie or the address could not be written.
    #[error("cannot write the cookie in {folder}: {source}")]
    Files {
        /// Where.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The running control port. The files go when it is stopped or dropped.
pub struct Server {
    address: SocketAddr,
    stopping: watch::Sender<bool>,
    accepting: JoinHandle<()>,
    following: JoinHandle<()>,
    _files: cookie_files::Files,
}

impl Server {
    /// Listens, and writes the cookie and the address. Events are kept from this moment on: start it before the node acts.
    ///
    /// # Errors
    /// [`ControlError`]; nothing listens then.
    pub async fn start(options: Options, backend: Arc<dyn Backend>) -> Result<Self, ControlError> {
        let Options { address, folder, network, limits } = options;
        if !address.ip().is_loopback() {
            return Err(ControlError::NotLoopback(address));
        }
        let listen = |source| ControlError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let secret = cookie_files::fresh().map_err(ControlError::Random)?;
        let files = cookie_files::Files::write(&folder, &secret, address)
            .map_err(|source| ControlError::Files { folder, source })?;
        let history = Arc::new(History::new(limits.events, limits.event_bytes));
        let notices = backend.notices();
        let following = tokio::spawn({
            let history = history.clone();
            async move { history.follow(notices).await }
        });
        let (stopping, stopped) = watch::channel(false);
        let service = Arc::new(Service {
            ports: Ports { backend, history, network },
            authorization: cookie::authorization(&secret),
            limits,
            connections: Arc::new(Semaphore::new(limits.connections)),
            streams: Arc::new(Semaphore::new(limits.streams)),
            stopped: stopped.clone(),
        });
        let accepting = tokio::spawn(accept(listener, service, stopped));
        Ok(Self { address, stopping, accepting, following, _files: files })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, lets answers that are being made go out, ends event streams after what was told so far.
    pub async fn stop(mut self) {
        self.stopping.send_replace(true);
        // It ends by itself after its own grace; that it was aborted or panicked changes nothing here.
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
        self.following.abort();
    }
}

async fn accept(listener: TcpListener, service: Arc<Service>, mut stopped: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            // First a place, then a connection: who finds none free waits in the listener's queue.
            let place = service.connections.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        tokio::select! {
            _ = until(&mut stopped) => break,
            Some(_) = connections.join_next() => {}
            next = next => match next {
                (Ok(place), Ok((stream, _))) => {
                    connections.spawn(serve(stream, service.clone(), place));
                }
                (_, Ok(_)) => {}
                (_, Err(_)) => {
                    let _ = timeout(ACCEPT_PAUSE, until(&mut stopped)).await;
                }
            },
        }
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    // Whoever is not done by then is cut off with the set.
    let _ = timeout(STOP_GRACE, ended).await;
}

/// Waits for the server to stop, or to be dropped.
async fn until(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// One connection, until it ends, is too slow, or the server stops.
async fn serve(stream: TcpStream, service: Arc<Service>, place: OwnedSemaphorePermit) {
    // Answers are small and awaited; a socket that cannot be set is one that is gone.
    let _ = stream.set_nodelay(true);
    let mut stopped = service.stopped.clone();
    let (limits, io) = (service.limits, Patient::new(stream, service.limits.write_time));
    let handle = service_fn(|request| {
        let service = service.clone();
        async move { Ok::<_, Infallible>(service.handle(request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(io), handle);
    let mut connection = pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => {}
        _ = until(&mut stopped) => {
            connection.as_mut().graceful_shutdown();
            // How it ended is between hyper and a caller that is gone.
            let _ = connection.await;
        }
    }
    drop(place);
}

struct Service {
    ports: Ports,
    authorization: String,
    limits: Limits,
    connections: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    stopped: watch::Receiver<bool>,
}

impl Service {
    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        let mut answer = self.answer(request).await.unwrap_or_else(|refusal| refusal.answer());
        if self.connections.available_permits() == 0 {
            // Others wait for this place.
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }

    async fn answer(self: &Arc<Self>, request: Request<Incoming>) -> Result<Answer, Refusal> {
        let (parts, body) = request.into_parts();
        match http::admit(&parts, &self.authorization, self.limits.body_bytes)? {
            Resource::Calls => {
                let body = self.body(body).await?;
                let answer = answers::answer(&body, &self.ports).await;
                Ok(answer.map_or_else(http::nothing, |answer| http::json(answer.to_string())))
            }
            Resource::Events(from) => self.events(from),
        }
    }

    async fn body(&self, body: Incoming) -> Result<Bytes, Refusal> {
        let body = Limited::new(body, self.limits.body_bytes).collect();
        match timeout(self.limits.body_time, body).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                Err(Refusal::TooLarge(self.limits.body_bytes))
            }
            Ok(Err(_)) => Err(Refusal::Broken),
            Err(_) => Err(Refusal::Slow),
        }
    }

    fn events(self: &Arc<Self>, from: Option<u64>) -> Result<Answer, Refusal> {
        let from = self.ports.first_event(from).map_err(|error| Refusal::Event(error.message))?;
        let place = self.streams.clone().try_acquire_owned().map_err(|_| Refusal::Streams)?;
        let (sender, pieces) = mpsc::channel(1);
        tokio::spawn(feed(self.clone(), from, sender, place));
        Ok(http::stream(pieces))
    }
}

/// Hands lines to one stream as fast as it takes them, until its reader goes or the server stops.
async fn feed(
    service: Arc<Service>,
    mut from: u64,
    sender: mpsc::Sender<Bytes>,
    _place: OwnedSemaphorePermit,
) {
    let (mut newest, mut stopped) = (service.ports.history.watch(), service.stopped.clone());
    loop {
        newest.mark_unchanged();
        let (lines, next) = service.ports.history.since(from, LINES_AT_ONCE);
        from = next;
        if !lines.is_empty() {
            if sender.send(Bytes::from(lines.concat())).await.is_err() {
                return;
            }
            continue;
        }
        tokio::select! {
            changed = newest.changed() => if changed.is_err() { return },
            _ = sender.closed() => return,
            _ = until(&mut stopped) => return,
        }
    }
}

/// A stream whose writes fail once the other side has taken nothing for a time.
struct Patient {
    stream: TcpStream,
    write_time: Duration,
    /// Runs while a write waits.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    fn new(stream: TcpStream, write_time: Duration) -> Self {
        Self { stream, write_time, deadline: None }
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = Pin::new(&mut self.stream).poll_write(context, bytes) {
            self.deadline = None;
            return Poll::Ready(written);
        }
        let write_time = self.write_time;
        let deadline = || Box::pin(sleep_until(Instant::now() + write_time));
        ready!(self.deadline.get_or_insert_with(deadline).as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
