//! One connection after a correct handshake: any bytes out, sealed or not, and whole messages in, each with a deadline. It knows when
//! the node has done all that was asked of it, by two pings: messages are handled in order, and what waits to be signed is signed
//! before the second pong.
use super::{RawError, Socket};
use bitcoin::hashes::{sha256, Hash};
use leyden_core::ids::NodeId;
use leyden_core::peer::Peer;
use leyden_core::transport::{
    Initiator, Responder, Session, ACT_ONE_LEN, ACT_THREE_LEN, ACT_TWO_LEN, HEADER_LEN,
};
use leyden_core::wire::{Message, Ping, Pong};
use secp256k1::SecretKey;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

/// Lengths of the pongs that mark an end of waiting: no test asks for these.
const MARKS: u16 = 40_000;
/// So many marks are told apart.
const DIFFERENT_MARKS: u16 = 1_000;

/// A connection with a node.
#[derive(Debug)]
pub struct RawPeer {
    socket: Socket,
    session: Session,
    /// Who is at the other end.
    pub node: NodeId,
}

/// What the node did about something.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reaction {
    /// What it said, but for answers to the bench's own pings.
    pub messages: Vec<Message>,
    /// Whether it ended the connection.
    pub closed: bool,
}

impl RawPeer {
    /// Connects to a node and does the handshake.
    ///
    /// # Errors
    /// The node does not do its part of it.
    pub fn dial(secret: &SecretKey, node: NodeId, address: SocketAddr) -> Result<Self, RawError> {
        let mut socket = Socket::connect(address)?;
        let (initiator, act_one) = Initiator::start(secret, ephemeral(), node);
        socket.write(&act_one);
        let mut act_two = [0; ACT_TWO_LEN];
        act(socket.fill(&mut act_two)?)?;
        let (act_three, session) =
            initiator.act_two(&act_two).map_err(|error| RawError::Handshake(error.to_string()))?;
        socket.write(&act_three);
        Ok(Self { socket, session, node })
    }

    /// The other part, for a node that dialled.
    ///
    /// # Errors
    /// The node does not do its part of it.
    pub fn answer(secret: &SecretKey, stream: TcpStream) -> Result<Self, RawError> {
        let wrong = |error: leyden_core::transport::HandshakeError| RawError::Handshake(error.to_string());
        let mut socket = Socket::new(stream)?;
        let mut act_one = [0; ACT_ONE_LEN];
        act(socket.fill(&mut act_one)?)?;
        let (responder, act_two) = Responder::new(secret, ephemeral()).act_one(&act_one).map_err(wrong)?;
        socket.write(&act_two);
        let mut act_three = [0; ACT_THREE_LEN];
        act(socket.fill(&mut act_three)?)?;
        let (node, session) = responder.act_three(&act_three).map_err(wrong)?;
        Ok(Self { socket, session, node })
    }

    /// [`RawPeer::dial`], and `init` both ways.
    ///
    /// # Errors
    /// As there, or the node says something else first.
    pub fn greet(secret: &SecretKey, node: NodeId, address: SocketAddr) -> Result<Self, RawError> {
        let mut peer = Self::dial(secret, node, address)?;
        peer.send(&Peer::hello());
        match peer.read()?.as_deref().map(Message::decode) {
            Some(Ok(Message::Init(_))) => Ok(peer),
            other => Err(RawError::Handshake(format!("the node's first word is {other:?}"))),
        }
    }

    /// Sends a message. False if the node is gone.
    pub fn send(&mut self, message: &Message) -> bool {
        self.send_bytes(&message.encode())
    }

    /// Sends these bytes as one sealed message. False if the node is gone.
    ///
    /// # Panics
    /// They are more than 65535.
    pub fn send_bytes(&mut self, message: &[u8]) -> bool {
        let sealed = self.seal(message);
        self.socket.write(&sealed)
    }

    /// What [`RawPeer::send_bytes`] would write: the next thing that the node can open.
    ///
    /// # Panics
    /// They are more than 65535.
    pub fn seal(&mut self, message: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::new();
        let fits = self.session.sender.seal(message, &mut sealed);
        fits.unwrap_or_else(|error| panic!("a test asks for {error}"));
        sealed
    }

    /// The connection below: bytes as they are.
    pub fn socket(&mut self) -> &mut Socket {
        &mut self.socket
    }

    /// The next message's bytes; none when the node ended the connection.
    ///
    /// # Errors
    /// Nothing came in time, or it cannot be opened.
    pub fn read(&mut self) -> Result<Option<Vec<u8>>, RawError> {
        let mut header = [0; HEADER_LEN];
        if !self.socket.fill(&mut header)? {
            return Ok(None);
        }
        let unsealed = |error: leyden_core::transport::BadMac| RawError::Unsealed(error.to_string());
        let mut body = vec![0; self.session.receiver.header(&header).map_err(unsealed)?];
        if !self.socket.fill(&mut body)? {
            return Ok(None);
        }
        Ok(Some(self.session.receiver.body(&mut body).map_err(unsealed)?.to_vec()))
    }

    /// Everything that the node says until it is at rest with what this peer sent so far, or has ended the connection.
    ///
    /// # Errors
    /// As [`RawPeer::read`].
    pub fn reaction(&mut self) -> Result<Reaction, RawError> {
        let mut reaction = Reaction::default();
        for _ in 0..2 {
            if !reaction.closed {
                self.until_pong(&mut reaction)?;
            }
        }
        Ok(reaction)
    }

    fn until_pong(&mut self, reaction: &mut Reaction) -> Result<(), RawError> {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let byteslen = MARKS + NEXT.fetch_add(1, Ordering::Relaxed) % DIFFERENT_MARKS;
        // Where the node is gone, what it said before can still be read.
        self.send(&Message::Ping(Ping { num_pong_bytes: byteslen, byteslen: 0 }));
        loop {
            let Some(bytes) = self.read()? else {
                reaction.closed = true;
                return Ok(());
            };
            match Message::decode(&bytes) {
                Ok(Message::Pong(pong)) if pong == (Pong { byteslen }) => return Ok(()),
                Ok(message) => reaction.messages.push(message),
                Err(error) => return Err(RawError::Unsealed(error.to_string())),
            }
        }
    }
}

impl Reaction {
    /// The texts of its warnings.
    pub fn warnings(&self) -> Vec<String> {
        let warning = |message: &Message| match message {
            Message::Warning(warning) => Some(String::from_utf8_lossy(&warning.data).into_owned()),
            _ => None,
        };
        self.messages.iter().filter_map(warning).collect()
    }

    /// The texts of its errors.
    pub fn errors(&self) -> Vec<String> {
        let error = |message: &Message| match message {
            Message::Error(error) => Some(String::from_utf8_lossy(&error.data).into_owned()),
            _ => None,
        };
        self.messages.iter().filter_map(error).collect()
    }
}

fn act(came: bool) -> Result<(), RawError> {
    came.then_some(()).ok_or_else(|| RawError::Handshake("the node ended the connection".into()))
}

/// A key that no connection had before. Nothing here needs to be secret, only different.
pub(super) fn ephemeral() -> SecretKey {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let hash = sha256::Hash::hash(&[&b"leyden raw peer"[..], &number.to_be_bytes()].concat());
    SecretKey::from_slice(hash.as_byte_array())
        .unwrap_or_else(|_| unreachable!("one hash in 2^128 is no key"))
}
