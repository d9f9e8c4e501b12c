//! As much of HTTP/1.1 as the control port's client needs: one request at a time over a connection that is kept. It
//! speaks to our own server, and refuses whatever that one would not say.

use super::ClientError;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// An answer larger than this is none of ours.
const BODY_MAX: u64 = 256 << 20;

/// The most bytes of an answer's header.
const HEADER_MAX: u64 = 64 << 10;

pub(super) struct Transport {
    address: SocketAddr,
    authorization: String,
    timeout: Duration,
    kept: Option<BufReader<TcpStream>>,
}

/// The header of an answer.
pub(super) struct Head {
    pub(super) status: u16,
    length: Option<u64>,
    pub(super) chunked: bool,
    close: bool,
}

impl Transport {
    pub(super) const fn new(address: SocketAddr, authorization: String, timeout: Duration) -> Self {
        Self { address, authorization, timeout, kept: None }
    }

    pub(super) fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends one body to `/`; the answer's body.
    pub(super) fn post(&mut self, body: &str) -> Result<Vec<u8>, ClientError> {
        let deadline = Instant::now() + self.timeout;
        let mut stream = match self.kept.take().filter(is_alive) {
            Some(stream) => stream,
            None => self.dial()?,
        };
        let length = body.len();
        let request = format!(
            "{}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}",
            self.head("POST", "/")
        );
        self.send(&mut stream, &request)?;
        let head = self.read_head(&mut stream, deadline)?;
        let answer = self.read_body(&mut stream, &head, deadline)?;
        match head.status {
            200 => {}
            status => return Err(self.refusal(status, &answer)),
        }
        if !head.close {
            self.kept = Some(stream);
        }
        Ok(answer)
    }

    /// Asks for a stream; the connection after the answer's header.
    pub(super) fn open(&self, path: &str) -> Result<BufReader<TcpStream>, ClientError> {
        let deadline = Instant::now() + self.timeout;
        let mut stream = self.dial()?;
        self.send(&mut stream, &format!("{}\r\n", self.head("GET", path)))?;
        let head = self.read_head(&mut stream, deadline)?;
        if head.status != 200 {
            let answer = self.read_body(&mut stream, &head, deadline)?;
            return Err(self.refusal(head.status, &answer));
        }
        match head.chunked {
            true => Ok(stream),
            false => Err(ClientError::Answer("the events are not chunked".to_owned())),
        }
    }

    fn head(&self, method: &str, path: &str) -> String {
        let Self { address, authorization, .. } = self;
        format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: {authorization}\r\n")
    }

    fn dial(&self) -> Result<BufReader<TcpStream>, ClientError> {
        let unreachable = |source| ClientError::Unreachable { address: self.address, source };
        let stream = TcpStream::connect_timeout(&self.address, self.timeout).map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        stream.set_write_timeout(Some(self.timeout)).map_err(unreachable)?;
        Ok(BufReader::new(stream))
    }

    fn send(&self, stream: &mut BufReader<TcpStream>, request: &str) -> Result<(), ClientError> {
        stream.get_mut().write_all(request.as_bytes()).map_err(|error| self.broken(error))
    }

    fn read_head(&self, stream: &mut BufReader<TcpStream>, deadline: Instant) -> Result<Head, ClientError> {
        let mut left = HEADER_MAX;
        let mut line = |stream: &mut BufReader<TcpStream>| {
            let line = self.read_line(stream, left, deadline)?;
            left = left.saturating_sub(line.len() as u64);
            Ok::<_, ClientError>(line)
        };
        let first = line(stream)?;
        let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.ok_or_else(|| ClientError::Answer("it is not HTTP".to_owned()))?;
        let mut head = Head { status, length: None, chunked: false, close: false };
        loop {
            let header = line(stream)?.to_ascii_lowercase();
            let Some((name, value)) = header.split_once(':') else { break };
            match (name, value.trim()) {
                ("content-length", value) => head.length = value.parse().ok(),
                ("transfer-encoding", value) => head.chunked = value == "chunked",
                ("connection", value) => head.close = value == "close",
                (_, _) => {}
            }
        }
        // These have no body, and say no length.
        if status == 204 {
            head.length = Some(0);
        }
        Ok(head)
    }

    fn read_line(
        &self,
        stream: &mut BufReader<TcpStream>,
        most: u64,
        deadline: Instant,
    ) -> Result<String, ClientError> {
        self.arm(stream, deadline)?;
        let mut line = String::new();
        stream.take(most).read_line(&mut line).map_err(|error| self.broken(error))?;
        match line.strip_suffix("\r\n") {
            Some(line) => Ok(line.to_owned()),
            None => Err(ClientError::Broken(io::ErrorKind::UnexpectedEof.into())),
        }
    }

    fn read_body(
        &self,
        stream: &mut BufReader<TcpStream>,
        head: &Head,
        deadline: Instant,
    ) -> Result<Vec<u8>, ClientError> {
        let length = head.length.filter(|length| *length <= BODY_MAX);
        let length = length.ok_or_else(|| ClientError::Answer("its length is not said".to_owned()))?;
        let mut body = vec![0; length as usize];
        let mut filled = 0;
        while filled < body.len() {
            self.arm(stream, deadline)?;
            match stream.read(&mut body[filled..]).map_err(|error| self.broken(error))? {
                0 => return Err(ClientError::Broken(io::ErrorKind::UnexpectedEof.into())),
                more => filled += more,
            }
        }
        Ok(body)
    }

    /// The next read waits no longer than the deadline.
    fn arm(&self, stream: &mut BufReader<TcpStream>, deadline: Instant) -> Result<(), ClientError> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ClientError::TimedOut(self.timeout));
        }
        stream.get_mut().set_read_timeout(Some(left)).map_err(ClientError::Broken)
    }

    fn broken(&self, error: io::Error) -> ClientError {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ClientError::TimedOut(self.timeout),
            _ => ClientError::Broken(error),
        }
    }

    fn refusal(&self, status: u16, answer: &[u8]) -> ClientError {
        match status {
            401 => ClientError::Unauthorized(self.address),
            status => ClientError::Http { status, text: String::from_utf8_lossy(answer).trim().to_owned() },
        }
    }
}

/// Whether an idle connection still stands, as far as this side can know: nothing came, not even its end.
fn is_alive(stream: &BufReader<TcpStream>) -> bool {
    let socket = stream.get_ref();
    let quiet = || -> io::Result<bool> {
        socket.set_nonblocking(true)?;
        let seen = socket.peek(&mut [0]);
        socket.set_nonblocking(false)?;
        Ok(seen.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock))
    };
    stream.buffer().is_empty() && quiet().unwrap_or(false)
}
