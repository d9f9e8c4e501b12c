//! BOLT 8: the handshake that proves who is at the other end, and the messages sealed after it, as values that take bytes
//! and give bytes. It opens no socket, draws no random number (the ephemeral secret is an argument, and must be a new one for
//! each connection), knows no message of BOLT 1, and never decides whether to connect.
//!
//! ```text
//!   initiator                                    responder
//!   Initiator::start ── act one: e, es ────────► Responder::act_one
//!            act_two ◄─────── act two: e, ee ─── Responder2
//!                    ── act three: s, se ──────► act_three          knows now who calls
//!            Session ◄═════ sealed messages ════► Session           one key for each direction
//! ```
//!
//! A failure at any place ends the connection, and nothing more is sent: the handshake's values are used up by each act,
//! and a [`Receiver`] that met a bad MAC forgets its key. Nothing here can be cloned: a copy would use a nonce twice.

mod handshake;
mod noise;
mod session;

pub use handshake::{Act, HandshakeError, Initiator, Responder, Responder2};
pub use session::{BadMac, Receiver, Sender, Session, TooLong};

/// Bytes of the initiator's first act.
pub const ACT_ONE_LEN: usize = 50;
/// Bytes of the responder's answer.
pub const ACT_TWO_LEN: usize = 50;
/// Bytes of the initiator's last act, in which it says who it is.
pub const ACT_THREE_LEN: usize = 66;
/// Most bytes of a message before it is sealed (BOLT 8, "Lightning Message Specification").
pub const MAX_MESSAGE: usize = 65535;
/// Bytes of a sealed length, its tag included.
pub const HEADER_LEN: usize = 2 + TAG_LEN;
/// Bytes of an authentication tag.
pub const TAG_LEN: usize = 16;
