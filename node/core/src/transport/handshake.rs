//! The three acts (BOLT 8, "Handshake Exchange"), a type for each point at which a side waits. An act is used up by the step
//! that reads it, so that none can be tried twice with the same keys.

use super::noise::{Handshake, Key};
use super::session::Session;
use super::{ACT_ONE_LEN, ACT_THREE_LEN, ACT_TWO_LEN, TAG_LEN};
use crate::ids::NodeId;
use secp256k1::{PublicKey, SecretKey, SECP256K1};
use std::fmt;

/// The only version of the handshake there is.
const VERSION: u8 = 0;
/// Version, key, tag: acts one and two. Act three has a second tag behind the sealed key's.
const KEY_AT: usize = 1;
const TAG_AT: usize = KEY_AT + KEY_LEN;
const LAST_TAG_AT: usize = TAG_AT + TAG_LEN;
const KEY_LEN: usize = 33;

/// Which act was wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // the BOLT's own names
pub enum Act {
    One,
    Two,
    Three,
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Act::One => "act one",
            Act::Two => "act two",
            Act::Three => "act three",
        })
    }
}

/// Why a handshake ends. The connection is closed without another byte (BOLT 8: MUST abort, MUST terminate).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HandshakeError {
    /// A version that is not known here.
    #[error("{act} of the handshake has version {version}, known is only {VERSION}")]
    Version {
        /// The act that has it.
        act: Act,
        /// The version it has.
        version: u8,
    },
    /// The ephemeral key (acts one and two) or the caller's own key (act three) is no point on the curve.
    #[error("{act} of the handshake holds no valid public key")]
    Key {
        /// The act that should hold it.
        act: Act,
    },
    /// The act's tag is wrong. In act one this is what a caller looks like that takes us for somebody else.
    #[error("{act} of the handshake is not authentic: {}", not_authentic(*act))]
    Tag {
        /// The act that has it.
        act: Act,
    },
    /// The tag of the caller's sealed key in act three is wrong.
    #[error("the caller's key in act three of the handshake is not authentic")]
    SealedKey,
}

fn not_authentic(act: Act) -> &'static str {
    match act {
        Act::One => "the caller expects another node here",
        Act::Two => "this is not the node that was called",
        Act::Three => "the caller does not have the key that it names",
    }
}

/// The side that called, waiting for act two.
pub struct Initiator {
    local: SecretKey,
    ephemeral: SecretKey,
    state: Handshake,
}

impl Initiator {
    /// Calls `remote`; the bytes are act one. `ephemeral` must be random and of no other use.
    pub fn start(local: &SecretKey, ephemeral: SecretKey, remote: NodeId) -> (Self, [u8; ACT_ONE_LEN]) {
        let mut state = Handshake::new(&remote);
        let (act, _) = write_ephemeral(&mut state, &ephemeral, &remote);
        (Self { local: *local, ephemeral, state }, act)
    }

    /// Reads act two; gives act three, and what to talk with once it is sent.
    ///
    /// # Errors
    /// [`HandshakeError`] when it has another version, no valid key, or not the tag of the node that was called.
    pub fn act_two(self, act: &[u8; ACT_TWO_LEN]) -> Result<([u8; ACT_THREE_LEN], Session), HandshakeError> {
        let Self { local, ephemeral, mut state } = self;
        let (remote, key) = read_ephemeral(&mut state, &ephemeral, act, Act::Two)?;

        let mut act = [VERSION; ACT_THREE_LEN];
        act[KEY_AT..TAG_AT].copy_from_slice(&local.public_key(SECP256K1).serialize());
        let tag = state.seal(&key, 1, &mut act[KEY_AT..TAG_AT]);
        act[TAG_AT..LAST_TAG_AT].copy_from_slice(&tag);
        let key = state.agree(&local, &remote);
        act[LAST_TAG_AT..].copy_from_slice(&state.seal(&key, 0, &mut []));

        let (sending, receiving) = state.chaining_key.split();
        Ok((act, Session::new(sending, receiving, state.chaining_key)))
    }
}

/// The side that is called, waiting for act one.
pub struct Responder {
    local: SecretKey,
    ephemeral: SecretKey,
}

impl Responder {
    /// `ephemeral` must be random and of no other use.
    pub fn new(local: &SecretKey, ephemeral: SecretKey) -> Self {
        Self { local: *local, ephemeral }
    }

    /// Reads act one; the bytes are act two.
    ///
    /// # Errors
    /// [`HandshakeError`] when it has another version, no valid key, or the caller expects another node here.
    pub fn act_one(self, act: &[u8; ACT_ONE_LEN]) -> Result<(Responder2, [u8; ACT_TWO_LEN]), HandshakeError> {
        let Self { local, ephemeral } = self;
        let mut state = Handshake::new(&local.public_key(SECP256K1));
        let (remote, _) = read_ephemeral(&mut state, &local, act, Act::One)?;
        let (act, key) = write_ephemeral(&mut state, &ephemeral, &remote);
        Ok((Responder2 { ephemeral, state, key }, act))
    }
}

/// The side that is called, waiting for act three.
pub struct Responder2 {
    ephemeral: SecretKey,
    state: Handshake,
    /// `temp_k2`, which sealed the tag of act two and will have sealed the caller's key.
    key: Key,
}

impl Responder2 {
    /// Reads act three: who called, and what to talk with.
    ///
    /// # Errors
    /// [`HandshakeError`] when it has another version, or the caller does not prove to have the key that it names.
    pub fn act_three(self, act: &[u8; ACT_THREE_LEN]) -> Result<(NodeId, Session), HandshakeError> {
        let Self { ephemeral, mut state, key } = self;
        check_version(act[0], Act::Three)?;
        let mut sealed: [u8; KEY_LEN] = array(act, KEY_AT);
        state.open(&key, 1, &mut sealed, &array(act, TAG_AT)).map_err(|_| HandshakeError::SealedKey)?;
        let remote = PublicKey::from_slice(&sealed).map_err(|_| HandshakeError::Key { act: Act::Three })?;
        let key = state.agree(&ephemeral, &remote);
        state
            .open(&key, 0, &mut [], &array(act, LAST_TAG_AT))
            .map_err(|_| HandshakeError::Tag { act: Act::Three })?;

        let (receiving, sending) = state.chaining_key.split();
        Ok((remote, Session::new(sending, receiving, state.chaining_key)))
    }
}

/// Acts one and two as their sender: shows the ephemeral key, and by the tag what was agreed with it.
fn write_ephemeral(
    state: &mut Handshake,
    ephemeral: &SecretKey,
    remote: &NodeId,
) -> ([u8; ACT_ONE_LEN], Key) {
    let mut act = [VERSION; ACT_ONE_LEN];
    act[KEY_AT..TAG_AT].copy_from_slice(&ephemeral.public_key(SECP256K1).serialize());
    state.saw(&act[KEY_AT..TAG_AT]);
    let key = state.agree(ephemeral, remote);
    act[TAG_AT..].copy_from_slice(&state.seal(&key, 0, &mut []));
    (act, key)
}

/// Acts one and two as their receiver; `local` is what the other side agreed with: the responder's own key in act one,
/// the initiator's ephemeral one in act two.
fn read_ephemeral(
    state: &mut Handshake,
    local: &SecretKey,
    bytes: &[u8; ACT_ONE_LEN],
    act: Act,
) -> Result<(PublicKey, Key), HandshakeError> {
    check_version(bytes[0], act)?;
    let shown = &bytes[KEY_AT..TAG_AT];
    let remote = PublicKey::from_slice(shown).map_err(|_| HandshakeError::Key { act })?;
    state.saw(shown);
    let key = state.agree(local, &remote);
    state.open(&key, 0, &mut [], &array(bytes, TAG_AT)).map_err(|_| HandshakeError::Tag { act })?;
    Ok((remote, key))
}

fn check_version(version: u8, act: Act) -> Result<(), HandshakeError> {
    match version {
        VERSION => Ok(()),
        version => Err(HandshakeError::Version { act, version }),
    }
}

/// The `N` bytes of an act that start at `from`, which its length is known to hold.
fn array<const N: usize>(act: &[u8], from: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&act[from..from + N]);
    part
}

macro_rules! hide_secrets {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}

hide_secrets!(Initiator, Responder, Responder2);
