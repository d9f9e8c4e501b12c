//! A TCP connection of which every byte is the test's: no handshake, no messages, only bytes and the end.
use super::{RawError, PATIENCE};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

/// A connection. Reads have a deadline; dropping it closes it.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
}

impl Socket {
    /// Connects.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn connect(address: SocketAddr) -> Result<Self, RawError> {
        let connected = TcpStream::connect_timeout(&address, PATIENCE);
        Self::new(connected.map_err(RawError::system("cannot connect to the node"))?)
    }

    /// One that somebody else made.
    ///
    /// # Errors
    /// The system refuses a deadline.
    pub fn new(stream: TcpStream) -> Result<Self, RawError> {
        let set = stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(PATIENCE)));
        set.and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
            .map_err(RawError::system("cannot set up a socket"))?;
        Ok(Self { stream })
    }

    /// Sends. False if the other side is gone.
    pub fn write(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Sends no more, and still reads.
    pub fn finish(&mut self) {
        // Gone already is finished too.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Fills the buffer. False if the other side ended the connection before.
    ///
    /// # Errors
    /// Nothing came in time.
    pub fn fill(&mut self, buffer: &mut [u8]) -> Result<bool, RawError> {
        match self.stream.read_exact(buffer) {
            Ok(()) => Ok(true),
            Err(error) if is_end(error.kind()) => Ok(false),
            Err(_) => Err(RawError::Slow("answer of the node")),
        }
    }

    /// Everything until the other side ends the connection.
    ///
    /// # Errors
    /// It does not end in time.
    pub fn rest(&mut self) -> Result<Vec<u8>, RawError> {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => Ok(rest),
            Err(error) if is_end(error.kind()) => Ok(rest),
            Err(_) => Err(RawError::Slow("end of the connection")),
        }
    }
}

fn is_end(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::NotConnected
    )
}
