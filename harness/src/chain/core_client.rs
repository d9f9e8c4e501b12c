//! A JSON-RPC client for one bitcoind: HTTP/1.1 over one loopback TCP connection that stays open, one write and one read
//! per call or batch, every read and write with a deadline. It knows nothing of chains. (The client that the `bitcoind`
//! crate brings opens a connection for each call, which is most of what a call costs.)
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use leyden_node::control::authorization;
use serde_json::{json, Value};

/// How long one answer may take. Core answers in well under a millisecond; only a stuck one comes near this.
const DEADLINE: Duration = Duration::from_secs(30);
/// The largest answer that is read: far over any block in hex.
const MAX_BODY: usize = 64 << 20;
/// The longest header line, and the most lines, that are read.
const MAX_LINE: u64 = 8 << 10;
const MAX_HEADERS: usize = 64;

/// Why a call got no result.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// Core understood the call and refused it.
    #[error("{method} was refused: {message} (code {code})")]
    Refused {
        /// The RPC method.
        method: &'static str,
        /// Core's RPC error code, negative.
        code: i64,
        /// Core's text.
        message: String,
    },
    /// The connection broke or an answer did not come in time.
    #[error("no answer to {method} ({source}): bitcoind died or hangs")]
    Broken {
        /// The RPC method.
        method: &'static str,
        /// What the socket said.
        source: std::io::Error,
    },
    /// The answer is not what Core's interface promises.
    #[error("{method} answered nonsense: {what}")]
    Nonsense {
        /// The RPC method.
        method: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
    /// An HTTP status that has no JSON answer (401: wrong cookie, 503: work queue full).
    #[error("{method} was answered with HTTP status {status}")]
    Http {
        /// The RPC method.
        method: &'static str,
        /// The HTTP status.
        status: u16,
    },
}

/// One call: the method and its positional parameters.
pub type Call = (&'static str, Value);

/// The open connection.
#[derive(Debug)]
pub struct CoreClient {
    stream: BufReader<TcpStream>,
    head: String,
    out: Vec<u8>,
    broken: bool,
}

impl CoreClient {
    /// Connects to the RPC server on this loopback port; `cookie` is the content of Core's `.cookie` file.
    pub fn connect(port: u16, cookie: &str) -> Result<Self, std::io::Error> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let stream = TcpStream::connect_timeout(&address, DEADLINE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        let auth = authorization(cookie.trim());
        let head = format!("POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {auth}\r\nContent-Length: ");
        Ok(Self { stream: BufReader::new(stream), head, out: Vec::new(), broken: false })
    }

    /// One call, one result.
    pub fn call(&mut self, method: &'static str, params: Value) -> Result<Value, RpcError> {
        let body = json!({"jsonrpc": "2.0", "id": 0, "method": method, "params": params});
        let answer = self.exchange(method, &body)?;
        result_of(method, answer)
    }

    /// Several calls in one exchange, done by Core in this order; one result each, in this order.
    pub fn batch(&mut self, calls: &[Call]) -> Result<Vec<Result<Value, RpcError>>, RpcError> {
        let Some((first, _)) = calls.first() else { return Ok(Vec::new()) };
        let body: Vec<Value> = calls
            .iter()
            .enumerate()
            .map(|(id, (method, params))| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
            .collect();
        let answer = self.exchange(first, &Value::Array(body))?;
        let nonsense =
            RpcError::Nonsense { method: first, what: "a batch came back with other answers than calls" };
        let Value::Array(answers) = answer else { return Err(nonsense) };
        let in_order = answers.iter().enumerate().all(|(id, one)| one["id"].as_u64() == Some(id as u64));
        if answers.len() != calls.len() || !in_order {
            return Err(nonsense);
        }
        Ok(calls.iter().zip(answers).map(|((method, _), answer)| result_of(method, answer)).collect())
    }

    /// Sends one request and reads its answer. After any failure the stream's position is unknown, so the connection is
    /// given up for good: a late answer must never be taken for another call's.
    fn exchange(&mut self, method: &'static str, body: &Value) -> Result<Value, RpcError> {
        if self.broken {
            let source = std::io::Error::from(std::io::ErrorKind::NotConnected);
            return Err(RpcError::Broken { method, source });
        }
        let answer = self.exchange_on_stream(method, body);
        self.broken = answer.is_err();
        answer
    }

    fn exchange_on_stream(&mut self, method: &'static str, body: &Value) -> Result<Value, RpcError> {
        let broken = |source| RpcError::Broken { method, source };
        let body = body.to_string();
        self.out.clear();
        self.out.extend_from_slice(self.head.as_bytes());
        self.out.extend_from_slice(body.len().to_string().as_bytes());
        self.out.extend_from_slice(b"\r\n\r\n");
        self.out.extend_from_slice(body.as_bytes());
        self.stream.get_mut().write_all(&self.out).map_err(broken)?;

        let status_line = self.line().map_err(broken)?;
        let status = status_line.split(' ').nth(1).and_then(|word| word.parse::<u16>().ok());
        let status = status.ok_or(RpcError::Nonsense { method, what: "no HTTP status" })?;
        let mut length = None;
        for _ in 0..MAX_HEADERS {
            let line = self.line().map_err(broken)?;
            let Some((name, value)) = line.split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse::<usize>().ok();
            }
        }
        let length = length.ok_or(RpcError::Nonsense { method, what: "no content length" })?;
        if length > MAX_BODY {
            return Err(RpcError::Nonsense { method, what: "an answer over 64 MiB" });
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).map_err(broken)?;
        serde_json::from_slice(&answer).map_err(|_| RpcError::Http { method, status })
    }

    fn line(&mut self) -> Result<String, std::io::Error> {
        let mut line = String::new();
        (&mut self.stream).take(MAX_LINE).read_line(&mut line)?;
        if line.is_empty() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line)
    }
}

fn result_of(method: &'static str, mut answer: Value) -> Result<Value, RpcError> {
    if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
        let code = error["code"].as_i64().unwrap_or_default();
        let message = error["message"].as_str().unwrap_or_default().to_owned();
        return Err(RpcError::Refused { method, code, message });
    }
    match answer.get_mut("result") {
        Some(result) => Ok(result.take()),
        None => Err(RpcError::Nonsense { method, what: "neither a result nor an error" }),
    }
}
