//! Starting Core and nodes for the bench, and ending them with it.
use leyden_core::ids::NodeId;
use leyden_node::control::client::Client;
use serde_json::{json, Value};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A Core in regtest, on the disk that the nodes use.
pub struct Core {
    child: Child,
    folder: TempDir,
    port: u16,
}

impl Core {
    pub fn start() -> Self {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.expect("a free port").port();
        let child = Command::new(bitcoind())
            .args(["-regtest", "-listen=0", "-printtoconsole=0"])
            .arg(format!("-rpcport={port}"))
            .arg(format!("-datadir={}", folder.path().display()))
            .stdin(Stdio::null())
            .spawn()
            .expect("bitcoind starts");
        Self { child, folder, port }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn cookie(&self) -> PathBuf {
        self.folder.path().join("regtest/.cookie")
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// So many blocks to this address; the height then. Only once a node runs, which has waited for Core.
    pub fn mine(&self, blocks: u32, address: &str) -> u32 {
        self.call("generatetoaddress", json!([blocks, address]));
        let height = self.call("getblockcount", json!([]));
        height.as_u64().and_then(|height| height.try_into().ok()).expect("a height")
    }

    fn call(&self, method: &str, params: Value) -> Value {
        let cookie = fs::read_to_string(self.cookie()).expect("Core runs");
        let (user, password) = cookie.trim().split_once(':').expect("a cookie");
        let transport = jsonrpc::simple_http::SimpleHttpTransport::builder().timeout(Duration::from_secs(60));
        let transport = transport.url(&self.url()).expect("a url").auth(user, Some(password)).build();
        let params = jsonrpc::arg(params);
        let client = jsonrpc::Client::with_transport(transport);
        client.call(method, Some(&params)).unwrap_or_else(|error| panic!("{method}: {error}"))
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn bitcoind() -> PathBuf {
    if let Some(named) = std::env::var_os("BITCOIND_EXE") {
        return named.into();
    }
    let cache = Path::new(&std::env::var_os("HOME").unwrap_or_default()).join(".cache/leyden");
    let entries = fs::read_dir(cache).into_iter().flatten().flatten();
    let found = entries.map(|entry| entry.path().join("bitcoind")).find(|path| path.is_file());
    found.expect("a bitcoind: run ci/provision, or set BITCOIND_EXE")
}

/// A node of the release build, with its client.
pub struct Node {
    child: Child,
    pub folder: PathBuf,
    pub id: NodeId,
    pub address: String,
    pub client: Client,
    /// From nothing to the line that says that it runs.
    pub start: Duration,
}

impl Node {
    pub fn start(core: &Core, name: &str) -> Self {
        let folder = core.folder().join(name);
        let log = File::create(folder.with_extension("log")).expect("a log");
        let begin = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_leyden-node"))
            .args(["run", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", "--log-level", "warn"])
            .arg("--folder")
            .arg(&folder)
            .args(["--core-url", &core.url(), "--core-cookie-file"])
            .arg(core.cookie())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the node starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let start = begin.elapsed();
        let (id, address) = line.trim().split_once('@').expect("ID@HOST:PORT");
        let mut client = Client::from_folder(&folder).expect("it runs");
        client.set_timeout(Duration::from_secs(120));
        let (id, address) = (id.parse().expect("a node id"), address.to_owned());
        Self { child, folder, id, address, client, start }
    }

    /// What it has in memory, in bytes.
    pub fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
