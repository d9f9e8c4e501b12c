//! An electrs on the world's Core, for one look at the end of a run: its own folder inside Core's, ports of its own choosing on
//! 127.0.0.1. It never outlives the process that started it. It is asked through the Electrum protocol, with the crate
//! `electrum-client`, and what it says of a place in a block is proven by the block's header.
//!
//! The crate `electrsd` is not used for this: it listens on every address of the machine, and waits by sleeping.
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use bitcoin::block::Header;
use bitcoin::{ScriptBuf, Transaction, Txid};
use electrum_client::raw_client::{ElectrumPlaintextStream, RawClient};
use electrum_client::utils::validate_merkle_proof;
use electrum_client::ElectrumApi;

use super::core_process::{file_tail, CoreProcess, SUPERVISOR};
use super::Tip;
use crate::provision::{self, ProvisionError};
use crate::settlement::second::{Index, Mined};

/// How long it may take from its start until it has the whole chain. It takes 0.1 s; a machine under heavy load takes seconds.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// How long it may take for one answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);
/// So many questions are asked at once.
const AT_ONCE: usize = 200;
/// Without its advice to each question that came without a subscription.
const LOGGED: &str = "INFO,electrs::electrum=WARN";
/// What it says once it listens, before the address.
const LISTENS: &str = "serving Electrum RPC on ";
/// How much of the end of its log an error shows, in bytes.
const TAIL: u64 = 2_000;

/// Why there is no answer from electrs.
#[derive(Debug, thiserror::Error)]
pub enum ElectrsError {
    /// There is no electrs to start.
    #[error(transparent)]
    Provision(#[from] ProvisionError),
    /// Core has no port for it to read blocks from.
    #[error("electrs needs a Core that listens for peers")]
    NoPeerPort,
    /// It could not be started.
    #[error("cannot start {} under `sh`: {source}", exe.display())]
    Start {
        /// The binary.
        exe: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It ended, or did not get ready.
    #[error("electrs {what}; the end of its log:\n{log}")]
    NotReady {
        /// What happened.
        what: &'static str,
        /// The end of its log.
        log: String,
    },
    /// The question failed.
    #[error("electrs did not answer `{question}`: {source}")]
    Answer {
        /// The method.
        question: &'static str,
        /// Why.
        source: electrum_client::Error,
    },
    /// It answered what cannot be.
    #[error("electrs answered `{question}` with {what}")]
    Nonsense {
        /// The method.
        question: &'static str,
        /// What is wrong with it.
        what: String,
    },
}

/// A running electrs that has the whole chain. Dropping it kills it; its log stays in Core's folder.
#[derive(Debug)]
pub struct Electrs {
    // The connection ends before the process.
    client: RawClient<ElectrumPlaintextStream>,
    address: SocketAddr,
    process: Process,
}

/// The process under it.
#[derive(Debug)]
struct Process {
    supervisor: Child,
    log: PathBuf,
}

/// What the reader of its log saw.
enum Startup {
    Listening(SocketAddr),
    Ended,
}

impl Electrs {
    /// Finds or provisions electrs, starts one on this Core, and waits until its tip is Core's.
    ///
    /// # Errors
    /// If there is none, or it does not get there.
    pub fn on(core: &CoreProcess, tip: Tip) -> Result<Self, ElectrsError> {
        let started = Instant::now();
        let exe = provision::electrs()?;
        let (process, startup) = Process::start(&exe, core)?;
        let address = match startup.recv_timeout(START_DEADLINE) {
            Ok(Startup::Listening(address)) => address,
            Ok(Startup::Ended) | Err(RecvTimeoutError::Disconnected) => {
                return Err(process.not_ready("ended before it was ready"))
            }
            Err(RecvTimeoutError::Timeout) => return Err(process.not_ready("was not ready in time")),
        };
        let client = RawClient::new(address, Some(ANSWER_DEADLINE), None);
        let client = client.map_err(|source| ElectrsError::Answer { question: "server.version", source })?;
        let electrs = Self { client, address, process };
        electrs.catch_up(tip, started)?;
        Ok(electrs)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// It reads another part of the chain between any two questions, and refuses most of them before it has all: so asking is
    /// waiting, and neither side sleeps.
    fn catch_up(&self, tip: Tip, started: Instant) -> Result<(), ElectrsError> {
        const QUESTION: &str = "blockchain.headers.subscribe";
        loop {
            let head = self.client.block_headers_subscribe();
            let head = head.map_err(|source| ElectrsError::Answer { question: QUESTION, source })?;
            let there = head.header.block_hash() == tip.hash;
            if there && self.client.ping().is_ok() {
                return Ok(());
            }
            if started.elapsed() > START_DEADLINE {
                return Err(self.process.not_ready("did not read the whole chain in time"));
            }
        }
    }

    fn header(&self, height: u32) -> Result<Header, ElectrsError> {
        let header = self.client.block_header(height as usize);
        header.map_err(|source| ElectrsError::Answer { question: "blockchain.block.header", source })
    }
}

impl Index for Electrs {
    type Error = ElectrsError;

    fn histories(&mut self, scripts: &[ScriptBuf]) -> Result<Vec<Vec<Mined>>, ElectrsError> {
        const QUESTION: &str = "blockchain.scripthash.get_history";
        let mut histories = Vec::with_capacity(scripts.len());
        for some in scripts.chunks(AT_ONCE) {
            let answers = self.client.batch_script_get_history(some.iter().map(ScriptBuf::as_script));
            let answers = answers.map_err(|source| ElectrsError::Answer { question: QUESTION, source })?;
            histories.extend(answers.into_iter().map(|history| {
                let mined = history.into_iter().filter_map(|entry| {
                    let height = u32::try_from(entry.height).ok().filter(|height| *height > 0)?;
                    Some(Mined { height, txid: entry.tx_hash })
                });
                mined.collect::<Vec<Mined>>()
            }));
        }
        counted(QUESTION, histories, scripts.len())
    }

    fn transactions(&mut self, txids: &[Txid]) -> Result<Vec<Transaction>, ElectrsError> {
        const QUESTION: &str = "blockchain.transaction.get";
        let mut transactions = Vec::with_capacity(txids.len());
        for some in txids.chunks(AT_ONCE) {
            let answers = self.client.batch_transaction_get(some);
            transactions
                .extend(answers.map_err(|source| ElectrsError::Answer { question: QUESTION, source })?);
        }
        let wrong = txids.iter().zip(&transactions).find(|(txid, tx)| tx.compute_txid() != **txid);
        if let Some((txid, _)) = wrong {
            let what = format!("another transaction than {txid}");
            return Err(ElectrsError::Nonsense { question: QUESTION, what });
        }
        counted(QUESTION, transactions, txids.len())
    }

    fn places(&mut self, mined: &[Mined]) -> Result<Vec<usize>, ElectrsError> {
        const QUESTION: &str = "blockchain.transaction.get_merkle";
        let mut places = Vec::with_capacity(mined.len());
        for some in mined.chunks(AT_ONCE) {
            let questions: Vec<(Txid, usize)> =
                some.iter().map(|mined| (mined.txid, mined.height as usize)).collect();
            let answers = self.client.batch_transaction_get_merkle(&questions);
            let answers = answers.map_err(|source| ElectrsError::Answer { question: QUESTION, source })?;
            for (mined, proof) in some.iter().zip(answers) {
                let root = self.header(mined.height)?.merkle_root;
                if !validate_merkle_proof(&mined.txid, &root, &proof) {
                    let what = format!("no proof that {} is in block {}", mined.txid, mined.height);
                    return Err(ElectrsError::Nonsense { question: QUESTION, what });
                }
                places.push(proof.pos);
            }
        }
        counted(QUESTION, places, mined.len())
    }
}

/// One answer to each question.
fn counted<T>(question: &'static str, answers: Vec<T>, asked: usize) -> Result<Vec<T>, ElectrsError> {
    if answers.len() == asked {
        return Ok(answers);
    }
    let what = format!("{} answers to {asked} questions", answers.len());
    Err(ElectrsError::Nonsense { question, what })
}

impl Process {
    fn start(exe: &Path, core: &CoreProcess) -> Result<(Self, Receiver<Startup>), ElectrsError> {
        let io = |source| ElectrsError::Start { exe: exe.to_owned(), source };
        let peers = core.peer_port().ok_or(ElectrsError::NoPeerPort)?;
        let folder = core.folder().join("electrs");
        std::fs::create_dir_all(&folder).map_err(io)?;
        let log = folder.join("electrs.log");
        let writing = File::create(&log).map_err(io)?;
        let mut command = Command::new("sh");
        command
            .args(["-c", SUPERVISOR, "leyden-electrs-supervisor"])
            .arg(&folder)
            .arg(exe)
            .args([
                "--skip-default-conf-files",
                "--network",
                "regtest",
                "--ignore-mempool",
                "--log-filters",
                LOGGED,
            ])
            .args(["--electrum-rpc-addr", "127.0.0.1:0", "--monitoring-addr", "127.0.0.1:0"])
            .arg("--daemon-rpc-addr")
            .arg(format!("127.0.0.1:{}", core.rpc_port()))
            .arg("--daemon-p2p-addr")
            .arg(format!("127.0.0.1:{peers}"))
            .arg("--cookie-file")
            .arg(core.folder().join("regtest/.cookie"))
            .arg("--db-dir")
            .arg(folder.join("db"));
        // Its settings can also come from there; ours are all that it is to know.
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"ELECTRS_") {
                command.env_remove(name);
            }
        }
        let mut supervisor =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(io)?;
        let (sender, startup) = std::sync::mpsc::channel();
        if let Some(output) = supervisor.stdout.take() {
            // Ends with electrs at the latest. A failed send means that nobody waits any more.
            std::thread::spawn(move || {
                watch(output, writing, |address| drop(sender.send(Startup::Listening(address))));
                let _ = sender.send(Startup::Ended);
            });
        }
        Ok((Self { supervisor, log }, startup))
    }

    fn not_ready(&self, what: &'static str) -> ElectrsError {
        ElectrsError::NotReady { what, log: file_tail(&self.log, TAIL) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut pipe) = self.supervisor.stdin.take() {
            // If the supervisor is gone already there is nobody to tell, and nothing left to kill.
            let _ = pipe.write_all(b"end\n");
        }
        let _ = self.supervisor.wait();
    }
}

/// Copies what it says into its log, to the end, and tells the address where it listens.
fn watch(output: impl Read, mut log: File, listening: impl Fn(SocketAddr)) {
    for line in BufReader::new(output).lines() {
        let Ok(line) = line else { break };
        // A log that cannot be written only makes a failure harder to read.
        let _ = writeln!(log, "{line}");
        let address = line.split_once(LISTENS).and_then(|(_, address)| address.trim().parse().ok());
        if let Some(address) = address {
            listening(address);
        }
    }
}
