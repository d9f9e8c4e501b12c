//! The event stream, line by line. A wait that was too short loses nothing: the next one goes on where it stopped.

use super::transport::Transport;
use super::{unreadable, ClientError};
use crate::control::json::Json;
use crate::control::StreamItem;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// The most bytes of one chunk; the server's are far below.
const CHUNK_MAX: usize = 64 << 20;

/// Events as they come. Ends when the node stops.
pub struct Events {
    stream: io::BufReader<TcpStream>,
    /// Bytes that are not yet a whole chunk.
    raw: Vec<u8>,
    /// Bytes of chunks that are not yet a whole line.
    text: Vec<u8>,
    lines: VecDeque<Vec<u8>>,
    ended: bool,
}

impl Events {
    pub(super) fn open(transport: &Transport, from: Option<u64>) -> Result<Self, ClientError> {
        let path = from.map_or_else(|| "/events".to_owned(), |from| format!("/events?from={from}"));
        let stream = transport.open(&path)?;
        let (raw, text, lines) = (Vec::new(), Vec::new(), VecDeque::new());
        Ok(Self { stream, raw, text, lines, ended: false })
    }

    /// The next event, waited for no longer than this. Nothing when the node stopped.
    ///
    /// # Errors
    /// [`ClientError::TimedOut`], after which it may be asked again; [`ClientError::Broken`] when the node died.
    pub fn next_within(&mut self, wait: Duration) -> Result<Option<StreamItem>, ClientError> {
        // A clock that cannot hold the moment means for ever.
        self.next_until(Instant::now().checked_add(wait), wait)
    }

    fn next_until(
        &mut self,
        deadline: Option<Instant>,
        wait: Duration,
    ) -> Result<Option<StreamItem>, ClientError> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                let value = serde_json::from_slice(&line);
                let value = value.map_err(|error| ClientError::Answer(error.to_string()))?;
                return StreamItem::read(&value).map(Some).map_err(unreadable);
            }
            if self.ended {
                return Ok(None);
            }
            self.fill(deadline, wait)?;
        }
    }

    /// Reads what is there, or waits for more.
    fn fill(&mut self, deadline: Option<Instant>, wait: Duration) -> Result<(), ClientError> {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(ClientError::TimedOut(wait));
        }
        self.stream.get_ref().set_read_timeout(left).map_err(ClientError::Broken)?;
        let mut buffer = [0; 16 << 10];
        match self.stream.read(&mut buffer) {
            Ok(0) => Err(ClientError::Broken(io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => {
                self.raw.extend_from_slice(&buffer[..count]);
                self.decode()
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Err(ClientError::TimedOut(wait))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(ClientError::Broken(error)),
        }
    }

    /// Chunks to bytes (RFC 9112, 7.1), bytes to lines.
    fn decode(&mut self) -> Result<(), ClientError> {
        while let Some((start, end)) = chunk(&self.raw)? {
            // After the bytes stands a line end.
            if self.raw.len() < end + 2 {
                break;
            }
            self.ended = start == end;
            self.text.extend_from_slice(&self.raw[start..end]);
            self.raw.drain(..end + 2);
        }
        while let Some(end) = self.text.iter().position(|byte| *byte == b'\n') {
            self.lines.push_back(self.text.drain(..=end).collect());
        }
        Ok(())
    }
}

impl Iterator for Events {
    type Item = Result<StreamItem, ClientError>;

    /// Waits for the next event as long as it takes.
    fn next(&mut self) -> Option<Self::Item> {
        self.next_until(None, Duration::MAX).transpose()
    }
}

/// Where the first chunk's bytes lie; nothing while its size is not there yet.
fn chunk(raw: &[u8]) -> Result<Option<(usize, usize)>, ClientError> {
    let Some(line) = raw.windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
    let size = std::str::from_utf8(&raw[..line]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
    match size.filter(|size| *size <= CHUNK_MAX) {
        Some(size) => Ok(Some((line + 2, line + 2 + size))),
        None => Err(ClientError::Answer("a chunk without a size".to_owned())),
    }
}
