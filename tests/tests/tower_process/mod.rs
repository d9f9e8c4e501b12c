//! The ground for tests with a tower as a process: one Core, stock nodes and towers as they are shipped, each with a folder, a log
//! that the test reads, and a supervisor, so that nothing outlives the test. A wait ends with an event or a line of a log.
#![allow(dead_code)] // each test target uses a part of it
use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::{Address, Block, KnownHrp, Transaction, Txid};
use leyden_core::channel::{Channel, OpenRequest};
use leyden_core::ids::{ChannelId, NodeId};
use leyden_core::keys::NodeSeed;
use leyden_core::node::{ChannelInfo, Notice, RecordKey};
use leyden_core::tx::ChannelType;
use leyden_core::units::{FeeratePerKw, Msat, Sat};
use leyden_harness::chain::core_client::CoreClient;
use leyden_harness::chain::core_process::{CoreLaunch, CoreProcess, PeerPort};
use leyden_harness::chain::electrs::Electrs;
use leyden_harness::chain::Tip;
use leyden_harness::provision;
use leyden_harness::shipped::{find, SUPERVISOR};
use leyden_node::control::client::{Client, Events};
use leyden_node::control::{Call, StreamItem};
use leyden_node::seed::SeedFile;
use leyden_node::store::Store;
use rustix::process::{kill_process, Pid, Signal};
use serde_json::{json, Value};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Nothing here takes longer, also on a machine that has much else to do.
const DEADLINE: Duration = Duration::from_secs(60);
/// So that a tower's log names each box.
const TOWERS_LOG: &[&str] = &["--log-level", "info,leyden_node::tower=debug"];
/// Between two looks at what tells nothing by itself.
const LOOK: Duration = Duration::from_millis(5);

/// Core, and the folder of all others.
pub struct Ground {
    core: CoreProcess,
    client: CoreClient,
    folder: TempDir,
}

/// A node or a tower.
pub struct Process {
    pub folder: PathBuf,
    arguments: Vec<String>,
    supervisor: Child,
    pid: Pid,
    log: Receiver<String>,
    lines: Vec<String>,
}

impl Ground {
    pub fn new() -> Self {
        Self::with(PeerPort::Closed)
    }

    /// On a Core that tells an Electrum server of its blocks.
    pub fn with(peers: PeerPort) -> Self {
        let exe = provision::bitcoind().expect("Core is there");
        let core = CoreProcess::launch(&exe, peers).and_then(CoreLaunch::ready).expect("Core starts");
        let client = core.client().expect("Core answers");
        let folder = tempfile::tempdir().expect("a folder");
        let mut ground = Self { core, client, folder };
        ground.mine(1);
        ground
    }

    /// Starts a node.
    pub fn node(&self, name: &str, more: &[&str]) -> Process {
        self.start("run", name, more)
    }

    /// Starts an Electrum server that has all blocks so far.
    pub fn electrs(&mut self) -> Electrs {
        let hash = self.call("getbestblockhash", json!([]));
        let tip = Tip { height: self.height(), hash: serde_json::from_value(hash).expect("a hash") };
        Electrs::on(&self.core, tip).expect("electrs starts")
    }

    /// Starts a node that knows the chain from an Electrum server only.
    pub fn node_behind(&self, name: &str, electrum: SocketAddr) -> Process {
        let (folder, arguments) = self.arguments_behind(name, electrum);
        Process::start(folder, arguments, "127.0.0.1:0")
    }

    /// Starts such a node that cannot run yet, and returns when its owner can ask why.
    pub fn waiting_behind(&self, name: &str, electrum: SocketAddr) -> Process {
        let (folder, arguments) = self.arguments_behind(name, electrum);
        Process::wait_with(folder, arguments)
    }

    fn arguments_behind(&self, name: &str, electrum: SocketAddr) -> (PathBuf, Vec<String>) {
        let folder = self.folder(name);
        let (path, url) = (folder.display().to_string(), format!("tcp://{electrum}"));
        let words = ["run", "--folder", &path, "--control", "127.0.0.1:0", "--electrum-url", &url];
        (folder, words.map(str::to_owned).to_vec())
    }

    /// The blocks above this height are taken out of the chain.
    pub fn take_out(&mut self, above: u32) {
        let first = self.call("getblockhash", json!([above + 1]));
        self.call("invalidateblock", json!([first]));
    }

    /// Starts a tower.
    pub fn tower(&self, name: &str) -> Process {
        self.start("tower", name, TOWERS_LOG)
    }

    /// Begins to start a tower that finds Core's cookie here: without one, Core is down for it.
    pub fn tower_behind(&self, name: &str, cookie: &Path) -> Process {
        let (folder, arguments) = self.arguments("tower", name, cookie, TOWERS_LOG);
        Process::launch(folder, arguments, "127.0.0.1:0")
    }

    /// Starts something that is refused: it ends by itself, with a status that says so. The line of it with all these words.
    pub fn expect_refusal(&self, verb: &str, name: &str, words: &[&str]) {
        let (folder, arguments) = self.arguments(verb, name, &self.cookie(), &[]);
        let mut process = Process::launch(folder, arguments, "127.0.0.1:0");
        process.await_line(words);
        assert_eq!(process.end().code(), Some(1), "{}", process.lines.join("\n"));
    }

    /// The cookie of the Core that runs.
    pub fn cookie(&self) -> PathBuf {
        self.core.folder().join("regtest/.cookie")
    }

    /// The folder of this name, for what is to be there before its owner starts.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(&self, verb: &str, name: &str, more: &[&str]) -> Process {
        let (folder, arguments) = self.arguments(verb, name, &self.cookie(), more);
        Process::start(folder, arguments, "127.0.0.1:0")
    }

    fn arguments(&self, verb: &str, name: &str, cookie: &Path, more: &[&str]) -> (PathBuf, Vec<String>) {
        let folder = self.folder(name);
        let url = format!("http://127.0.0.1:{}", self.core.rpc_port());
        let mut arguments = vec![verb.to_owned(), "--folder".to_owned(), folder.display().to_string()];
        arguments.extend(["--control", "127.0.0.1:0", "--core-url", &url].map(str::to_owned));
        arguments.extend(["--core-cookie-file".to_owned(), cookie.display().to_string()]);
        arguments.extend(more.iter().map(|word| (*word).to_owned()));
        (folder, arguments)
    }

    /// Starts a node that cannot run yet, and returns when its owner can ask why.
    pub fn waiting_node(&self, name: &str) -> Process {
        let (folder, arguments) = self.arguments("run", name, &self.cookie(), &[]);
        Process::wait_with(folder, arguments)
    }

    /// All blocks so far are on Core's disk from now on.
    pub fn write_to_disk(&mut self) {
        // It counts the coins on the disk, and so has them written first.
        self.call("gettxoutsetinfo", json!(["none"]));
    }

    /// Core is killed. The blocks that it had, some of which it may lose, as they would come to it again from its peers.
    pub fn kill_core(&mut self) -> Vec<Value> {
        let heights = 1..=self.height();
        let hashes: Vec<Value> = heights.map(|height| self.call("getblockhash", json!([height]))).collect();
        let blocks = hashes.into_iter().map(|hash| self.call("getblock", json!([hash, 0]))).collect();
        self.core.kill().expect("it ran");
        blocks
    }

    /// Core starts again in its folder and at its address. The height at which it stands.
    pub fn start_core_again(&mut self) -> u32 {
        self.core.start_again().expect("Core starts again");
        self.client = self.core.client().expect("Core answers");
        self.height()
    }

    /// Gives Core the blocks after the one that it stands at.
    pub fn give_back(&mut self, blocks: &[Value]) {
        let stands = self.height() as usize;
        for block in &blocks[stands..] {
            assert_eq!(self.call("submitblock", json!([block])), Value::Null);
        }
    }

    /// Mines what is in the mempool, and empty blocks on top; the hash of the last.
    pub fn mine(&mut self, blocks: u32) -> Value {
        let nobody = bitcoin::secp256k1::SecretKey::from_slice(&[7; 32]).expect("a key");
        let key = bitcoin::CompressedPublicKey(nobody.public_key(bitcoin::secp256k1::SECP256K1));
        self.mine_to(blocks, &Address::p2wpkh(&key, KnownHrp::Regtest))
    }

    /// The same, for somebody's pocket.
    pub fn mine_to(&mut self, blocks: u32, address: &Address) -> Value {
        let hashes = self.call("generatetoaddress", json!([blocks, address.to_string()]));
        hashes.as_array().and_then(|hashes| hashes.last()).cloned().expect("a block")
    }

    /// The block with this hash.
    pub fn block(&mut self, hash: &Value) -> Block {
        let hex = self.call("getblock", json!([hash, 0]));
        deserialize_hex(hex.as_str().expect("hex")).expect("a block")
    }

    pub fn height(&mut self) -> u32 {
        let count = self.call("getblockcount", json!([])).as_u64().expect("a number");
        u32::try_from(count).expect("few blocks")
    }

    /// Hands a transaction to Core.
    pub fn publish(&mut self, tx: &Transaction) {
        self.call("sendrawtransaction", json!([serialize_hex(tx)]));
    }

    /// What waits in Core's mempool.
    pub fn mempool(&mut self) -> Vec<Transaction> {
        let ids = self.call("getrawmempool", json!([]));
        let ids: Vec<Value> = ids.as_array().expect("a list").clone();
        let hex: Vec<Value> = ids.iter().map(|txid| self.call("getrawtransaction", json!([txid]))).collect();
        hex.iter().map(|hex| deserialize_hex(hex.as_str().expect("hex")).expect("a transaction")).collect()
    }

    /// Waits until something in the mempool spends this transaction.
    pub fn await_spend_of(&mut self, txid: Txid) {
        wait_until("a spend in the mempool", || self.mempool().iter().any(|tx| spends(tx, txid)));
    }

    /// Waits until all of these have taken in Core's tip.
    pub fn settle(&mut self, all: &[&Process]) {
        let height = self.height();
        for one in all {
            let mut client = one.client();
            wait_until("the tip", || client.getinfo().expect("it answers").height.get() == height);
        }
    }

    fn call(&mut self, method: &'static str, parameters: Value) -> Value {
        self.client.call(method, parameters).expect("Core does it")
    }

    /// `opener`, which has money from now on, opens a channel with `acceptor`, up to its first payment.
    pub fn open(&mut self, opener: &Process, acceptor: &Process, amount: u64) -> ChannelId {
        let mut client = opener.client();
        let purse = client.newaddress().expect("an address");
        self.mine_to(1, &purse);
        self.mine(100);
        self.settle(&[opener, acceptor]);
        let (peer, address) = acceptor.place();
        client.connect_peer(peer, &address).expect("it connects");
        let mut events = client.events(None).expect("events");
        let request = OpenRequest {
            peer,
            funding_amount: Sat::new(amount),
            push: Msat::ZERO,
            channel_type: ChannelType::AnchorsZeroFeeHtlc,
            commitment_feerate: FeeratePerKw::new(2_500),
            funding_feerate: FeeratePerKw::new(2_500),
            public: false,
        };
        client.openchannel(request).expect("it opens");
        wait_until("the funding transaction", || !self.mempool().is_empty());
        self.mine(6);
        await_notice(&mut events, |notice| match notice {
            Notice::ChannelReady { channel, .. } => Some(*channel),
            _ => None,
        })
    }
}

/// A transaction spends an output of this one.
pub fn spends(tx: &Transaction, txid: Txid) -> bool {
    tx.input.iter().any(|input| input.previous_output.txid == txid)
}

/// Pays, and waits until the payer is done and the HTLC gone: in blocks that come at once it would run out of time.
pub fn pay(payer: &Process, payee: &Process, sat: u64) {
    let mut client = payer.client();
    let mut events = client.events(None).expect("events");
    let amount = Some(Msat::new(sat * 1_000));
    let (invoice, hash) = payee.client().invoice(amount, "", None).expect("an invoice");
    client.pay(&invoice, None, None).expect("it pays");
    await_notice(&mut events, |notice| match notice {
        Notice::PaymentSent { payment_hash, .. } if *payment_hash == hash => Some(()),
        Notice::PaymentFailed { failure, .. } => panic!("the payment failed: {failure:?}"),
        _ => None,
    });
    for mut client in [client, payee.client()] {
        let is_free = |channel: &ChannelInfo| channel.pending_htlcs == 0;
        wait_until("the end of the HTLC", || client.listchannels().expect("it answers").iter().all(is_free));
    }
}

pub fn await_notice<T>(events: &mut Events, mut wanted: impl FnMut(&Notice) -> Option<T>) -> T {
    loop {
        let item = events.next_within(DEADLINE).expect("an event in time").expect("it runs");
        if let StreamItem::Notice { notice, .. } = item {
            if let Some(found) = wanted(&notice) {
                return found;
            }
        }
    }
}

/// Looks again and again, for what is told by nobody.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    // Nobody sends: what is left is a pause.
    let (_open, pause) = channel::<()>();
    while !is_so() {
        assert!(begun.elapsed() < DEADLINE, "{what} did not come in {} s", DEADLINE.as_secs());
        assert_eq!(pause.recv_timeout(LOOK), Err(RecvTimeoutError::Timeout));
    }
}

impl Process {
    fn start(folder: PathBuf, arguments: Vec<String>, listen: &str) -> Self {
        let mut process = Self::launch(folder, arguments, listen);
        process.await_line(&["runs"]);
        process
    }

    /// One that cannot run yet: its control port is there.
    fn wait_with(folder: PathBuf, arguments: Vec<String>) -> Self {
        let process = Self::launch(folder, arguments, "127.0.0.1:0");
        wait_until("the control port", || Client::from_folder(&process.folder).is_ok());
        process
    }

    fn launch(folder: PathBuf, arguments: Vec<String>, listen: &str) -> Self {
        let mut supervisor = Command::new("sh")
            .args(["-c", SUPERVISOR, "supervisor"])
            .arg(binary())
            .args(&arguments)
            .args(["--listen", listen])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a process");
        let mut number = String::new();
        let mut said = BufReader::new(supervisor.stdout.take().expect("a pipe"));
        said.read_line(&mut number).expect("its number");
        let pid = number.trim().parse().ok().and_then(Pid::from_raw).expect("a number");
        let reading = BufReader::new(supervisor.stderr.take().expect("a pipe"));
        let (sender, log) = channel();
        std::thread::spawn(move || {
            for line in reading.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { folder, arguments, supervisor, pid, log, lines: Vec::new() }
    }

    /// How the same program ends that is started beside this one, in the same folder, and what it says.
    pub fn twin(&self) -> (ExitStatus, String) {
        let twin = Command::new(binary()).args(&self.arguments).output().expect("a process");
        (twin.status, String::from_utf8_lossy(&twin.stderr).into_owned())
    }

    /// Waits for a line of its log with all these words in it, from the last one waited for on.
    pub fn await_line(&mut self, words: &[&str]) {
        loop {
            match self.log.recv_timeout(DEADLINE) {
                Ok(line) => {
                    self.lines.push(line.clone());
                    if words.iter().all(|word| line.contains(word)) {
                        return;
                    }
                }
                Err(why) => panic!("{why}: no line says {words:?}; its log:\n{}", self.lines.join("\n")),
            }
        }
    }

    pub fn client(&self) -> Client {
        Client::from_folder(&self.folder).expect("it runs")
    }

    /// Who it is, and where it listens.
    pub fn place(&self) -> (NodeId, String) {
        let info = self.client().getinfo().expect("it answers");
        (info.node_id, info.listening.first().cloned().expect("it listens"))
    }

    /// `id@host:port`.
    pub fn address(&self) -> String {
        let (id, address) = self.place();
        format!("{id}@{address}")
    }

    /// SIGKILL: nothing is finished, nothing is saved any more.
    pub fn kill(&mut self) {
        kill_process(self.pid, Signal::KILL).expect("it ran");
        self.end();
    }

    /// SIGSTOP: it does nothing until [`Process::go_on`], and its connections stand.
    pub fn hang(&self) {
        kill_process(self.pid, Signal::STOP).expect("it runs");
    }

    pub fn go_on(&self) {
        kill_process(self.pid, Signal::CONT).expect("it runs");
    }

    /// How many boxes a tower keeps, or a node's towers lack.
    pub fn boxes(&self) -> usize {
        self.client().getinfo().expect("it answers").boxes
    }

    /// Waits until all towers of a node have all its boxes.
    pub fn await_guarded(&self) {
        self.client().call(&Call::WaitGuarded {}).expect("its towers take them");
    }

    /// SIGTERM. How it ended.
    pub fn terminate(&mut self) -> ExitStatus {
        kill_process(self.pid, Signal::TERM).expect("it ran");
        self.end()
    }

    /// It ends by itself. How.
    pub fn ended(&mut self) -> ExitStatus {
        self.end()
    }

    /// Its log ends with it.
    fn end(&mut self) -> ExitStatus {
        loop {
            match self.log.recv_timeout(DEADLINE) {
                Ok(line) => self.lines.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end:\n{}", self.lines.join("\n")),
            }
        }
        drop(self.supervisor.stdin.take());
        self.supervisor.wait().expect("its supervisor ends")
    }

    /// Starts it again, at the same port if it is to be found there.
    pub fn start_again(&mut self, listen: &str) {
        let again = Self::start(self.folder.clone(), self.arguments.clone(), listen);
        *self = again;
    }

    /// The newest state of a channel, as the ended process left it: what a cheater keeps.
    pub fn state(&self, channel: ChannelId) -> (NodeSeed, Transaction) {
        let seed = SeedFile::open(&self.folder, None).expect("its seed");
        let id = seed.node_secret().public_key(bitcoin::secp256k1::SECP256K1);
        let opened = Store::open(&self.folder, id, bitcoin::Network::Regtest).expect("its records");
        let record = opened.records.get(&RecordKey::Channel(channel)).expect("the channel's");
        let channel = Channel::decode(record, |index| seed.channel_keys(index)).expect("a channel");
        let state = channel.past_state().expect("a signed state");
        (seed, state.transaction())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        let _ = self.supervisor.wait();
        if std::thread::panicking() {
            let rest: Vec<String> = self.log.try_iter().collect();
            eprintln!("{}:\n{}\n{}\n", self.folder.display(), self.lines.join("\n"), rest.join("\n"));
        }
    }
}

/// The shipped binary.
fn binary() -> PathBuf {
    find("leyden-node", "LEYDEN_NODE")
        .expect("leyden-node is built: cargo build -p leyden-node --bin leyden-node")
}

/// Whether any file of this folder holds these bytes.
pub fn holds(folder: &Path, bytes: &[u8]) -> bool {
    let files = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a file").path());
    let mut files = files.filter(|path| path.is_file());
    files.any(|path| {
        let content = std::fs::read(path).expect("a file");
        content.windows(bytes.len()).any(|window| window == bytes)
    })
}
