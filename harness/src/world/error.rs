//! What can go wrong with a world itself, as opposed to with a scenario's expectations.
use crate::chain::ChainError;

/// The run cannot go on.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WorldError {
    /// The nodes never come to rest.
    #[error("livelock: {events} events without rest; the last were\n{last}")]
    Livelock {
        /// How many events were allowed.
        events: u32,
        /// The end of the transcript.
        last: String,
    },
    /// The wall clock ran out.
    #[error("the run took more than {seconds} s and was stopped")]
    Deadline {
        /// What it was given.
        seconds: u64,
    },
    /// The chain backend failed, or refused our own block.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// A node saved what it could not read again.
    #[error("{node} saved a record that does not read back the same: {record}")]
    RoundTrip {
        /// Whose.
        node: String,
        /// Which record, and what is wrong.
        record: String,
    },
    /// A command was not answered.
    #[error("{node} did not answer a command")]
    NoReply {
        /// Who.
        node: String,
    },
    /// The processes of a live world.
    #[error("{0}")]
    Live(String),
    /// The world could not be set up.
    #[error("cannot start the {world} world: {why}")]
    Start {
        /// Which.
        world: super::WorldKind,
        /// Why.
        why: String,
    },
}

impl From<super::LiveError> for WorldError {
    fn from(error: super::LiveError) -> Self {
        WorldError::Live(error.to_string())
    }
}
