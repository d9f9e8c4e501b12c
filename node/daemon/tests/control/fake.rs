//! A node that answers from a script and remembers what it was asked, and a control port in front of it.

use leyden_core::ids::{ChannelId, NodeId};
use leyden_core::node::{Command, CommandError, Notice, Reply};
use leyden_core::units::{BlockHeight, FeeratePerKw};
use leyden_node::control::client::Client;
use leyden_node::control::{Backend, BoxFuture, Info, Limits, Options, PeerInfo, Server, COOKIE_FILE};
use std::collections::VecDeque;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::{broadcast, Semaphore};

/// What the node was asked besides commands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Asked {
    Command(Command),
    Connect(NodeId, String),
    Disconnect(NodeId),
    Stop,
}

pub struct Fake {
    pub info: Mutex<Info>,
    replies: Mutex<VecDeque<Result<Reply, CommandError>>>,
    asked: Mutex<Vec<Asked>>,
    consequences: Mutex<Vec<Notice>>,
    notices: broadcast::Sender<(u64, Notice)>,
    pub stopped: Semaphore,
    /// Commands are held until this many may pass.
    pub gate: Arc<Semaphore>,
    pub inside: Arc<AtomicUsize>,
    pub most_inside: Arc<AtomicUsize>,
}

impl Fake {
    fn new() -> Self {
        Self {
            info: Mutex::new(info()),
            replies: Mutex::default(),
            asked: Mutex::default(),
            consequences: Mutex::default(),
            notices: broadcast::channel(100_000).0,
            stopped: Semaphore::new(0),
            gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
            inside: Arc::default(),
            most_inside: Arc::default(),
        }
    }

    pub fn info(&self) -> Info {
        self.info.lock().unwrap().clone()
    }

    /// The next command's answer; `Done` for every one without.
    pub fn will_answer(&self, reply: Result<Reply, CommandError>) {
        self.replies.lock().unwrap().push_back(reply);
    }

    /// What the next command leads to; told before its answer, numbered from 1.
    pub fn will_tell(&self, notices: Vec<Notice>) {
        *self.consequences.lock().unwrap() = notices;
    }

    pub fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    pub fn tell(&self, number: u64, notice: Notice) {
        self.notices.send((number, notice)).expect("the control port listens");
    }

    fn ask(&self, asked: Asked) {
        self.asked.lock().unwrap().push(asked);
    }
}

impl Backend for Fake {
    fn command(&self, command: Command) -> BoxFuture<Result<Reply, CommandError>> {
        self.ask(Asked::Command(command));
        let notices = std::mem::take(&mut *self.consequences.lock().unwrap());
        (1..).zip(notices).for_each(|(number, notice)| self.tell(number, notice));
        let reply = self.replies.lock().unwrap().pop_front().unwrap_or(Ok(Reply::Done));
        let (gate, inside, most) = (self.gate.clone(), self.inside.clone(), self.most_inside.clone());
        Box::pin(async move {
            let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(now, Ordering::SeqCst);
            gate.acquire().await.expect("the gate is never closed").forget();
            tokio::task::yield_now().await;
            inside.fetch_sub(1, Ordering::SeqCst);
            reply
        })
    }

    fn connect(&self, peer: NodeId, address: String) -> BoxFuture<Result<(), CommandError>> {
        let fails = address.starts_with("nobody");
        self.ask(Asked::Connect(peer, address));
        let refusal = || CommandError("connection refused".to_owned());
        Box::pin(async move { (!fails).then_some(()).ok_or_else(refusal) })
    }

    fn disconnect(&self, peer: NodeId) -> BoxFuture<Result<(), CommandError>> {
        self.ask(Asked::Disconnect(peer));
        Box::pin(async { Ok(()) })
    }

    fn info(&self) -> BoxFuture<Info> {
        let info = self.info();
        Box::pin(async { info })
    }

    fn at_height(&self, height: BlockHeight) -> BoxFuture<Result<(), CommandError>> {
        let reached = self.info().height >= height;
        Box::pin(async move {
            reached.then_some(()).ok_or_else(|| CommandError("the node is stopping".to_owned()))
        })
    }

    fn guarded(&self) -> BoxFuture<Result<(), CommandError>> {
        Box::pin(async { Ok(()) })
    }

    fn published(&self, _: ChannelId, more_than: Option<u64>) -> BoxFuture<Result<u64, CommandError>> {
        Box::pin(async move { Ok(more_than.map_or(0, |few| few + 1)) })
    }

    fn notices(&self) -> broadcast::Receiver<(u64, Notice)> {
        self.notices.subscribe()
    }

    fn stop(&self) {
        self.ask(Asked::Stop);
        self.stopped.add_permits(1);
    }
}

/// A control port over a fake node. Gone, with its threads, at the end of the test.
pub struct World {
    pub fake: Arc<Fake>,
    pub folder: TempDir,
    pub server: Option<Server>,
    pub address: SocketAddr,
    pub runtime: Runtime,
}

impl World {
    pub fn new() -> Self {
        Self::with(Limits::default())
    }

    pub fn with(limits: Limits) -> Self {
        let (fake, folder) = (Arc::new(Fake::new()), TempDir::new().expect("a folder"));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let options = options(folder.path(), limits);
        let server = runtime.block_on(Server::start(options, fake.clone())).expect("the port opens");
        let address = server.address();
        Self { fake, folder, server: Some(server), address, runtime }
    }

    pub fn client(&self) -> Client {
        Client::from_folder(self.folder.path()).expect("the folder names its node")
    }

    pub fn cookie(&self) -> String {
        fs::read_to_string(self.folder.path().join(COOKIE_FILE)).expect("the cookie")
    }

    pub fn stop(&mut self) {
        let server = self.server.take().expect("it is stopped once");
        self.runtime.block_on(server.stop());
    }

    /// A connection that fails a test instead of hanging it.
    pub fn socket(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("the port takes connections");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a socket");
        stream
    }

    /// Sends these bytes, and gives all that comes back until the connection ends.
    pub fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = self.socket();
        // The server may have refused before all was sent.
        let _ = stream.write_all(bytes);
        read_all(&mut stream)
    }

    /// A request's header lines with the right host and cookie, but for the empty line.
    pub fn head(&self, line: &str) -> String {
        let authorization = basic(&self.cookie());
        format!("{line} HTTP/1.1\r\nHost: {}\r\nAuthorization: {authorization}\r\n", self.address)
    }

    /// One body posted, on a connection of its own; the whole answer.
    pub fn post(&self, body: &str) -> String {
        let head = self.head("POST /");
        self.exchange(
            format!("{head}Connection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes(),
        )
    }

    /// The same; the answer's JSON.
    pub fn json(&self, body: &str) -> serde_json::Value {
        let answer = self.post(body);
        let (head, body) = answer.split_once("\r\n\r\n").expect("a header");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        serde_json::from_str(body).expect("JSON")
    }
}

pub fn options(folder: &Path, limits: Limits) -> Options {
    let address = "127.0.0.1:0".parse().expect("an address");
    Options { address, folder: folder.to_owned(), network: bitcoin::Network::Regtest, limits }
}

/// Everything until the other side ends, be it with a reset.
pub fn read_all(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            Err(error) => panic!("the server left us hanging: {error}"),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Basic authorization, by the book and not by the code under test.
pub fn basic(cookie: &str) -> String {
    let bits: String = cookie.bytes().map(|byte| format!("{byte:08b}")).collect();
    let digit = |six: &str| {
        let value = u8::from_str_radix(&format!("{six:0<6}"), 2).expect("bits");
        match value {
            0..=25 => b'A' + value,
            26..=51 => b'a' + value - 26,
            52..=61 => b'0' + value - 52,
            62 => b'+',
            _ => b'/',
        }
    };
    let mut text: String =
        bits.as_bytes().chunks(6).map(|six| digit(std::str::from_utf8(six).expect("bits")) as char).collect();
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    format!("Basic {text}")
}

fn info() -> Info {
    Info {
        node_id: crate::samples::node(1),
        alias: "alice".to_owned(),
        network: bitcoin::Network::Regtest,
        height: BlockHeight::new(103),
        block_hash: "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"
            .parse()
            .expect("a hash"),
        synced: true,
        waits_for: None,
        feerate: FeeratePerKw::new(750),
        peers: vec![
            PeerInfo {
                node_id: crate::samples::node(2),
                address: Some("127.0.0.1:9735".to_owned()),
                inbound: false,
                ready: true,
            },
            PeerInfo { node_id: crate::samples::node(3), address: None, inbound: true, ready: false },
        ],
        listening: vec!["0.0.0.0:9735".to_owned(), "[::]:9735".to_owned()],
        commits: 3,
        boxes: 4,
        version: "0.1.0".to_owned(),
    }
}
