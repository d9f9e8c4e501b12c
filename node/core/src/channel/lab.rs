//! The lab: bugs that can be planted in a node, one named switch each, so that a check or a scenario can prove that it would
//! notice. Without the feature `lab` nothing can be planted, and what asks is compiled to "no".

/// A planted bug. Its doc says what the sound node does and which duty or danger it stands for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Mutant {
    /// The penalty on `to_local` of a revoked commitment is left out (BOLT 5, "Revoked Transaction Close Handling").
    NoPenaltyOnToLocal,
    /// After a reconnection `commitment_signed` always comes before `revoke_and_ack`; the sound node keeps the order of the
    /// first time (BOLT 2, "Message Retransmission").
    SignatureBeforeRevocation,
    /// What settles or refuses an HTLC and is not signed yet is forgotten when the link breaks; the sound node sends it again
    /// (BOLT 2, "Message Retransmission").
    ForgetProposedRemovals,
    /// A `commitment_signed` that the peer did not get is not sent again; the sound node does (BOLT 2, "Message
    /// Retransmission").
    NoSignatureAgain,
    /// A node that lost states, as its peer proved, closes alone with a revoked commitment; the sound node waits for the peer
    /// (BOLT 2, "Message Retransmission").
    BroadcastThoughFallenBehind,
    /// Messages of the peer count before its `channel_reestablish`; the sound node warns and disconnects (BOLT 2, "Message
    /// Retransmission").
    ListenBeforeReestablish,
}

impl Mutant {
    /// Every one.
    pub const ALL: [Mutant; 6] = [
        Mutant::NoPenaltyOnToLocal,
        Mutant::SignatureBeforeRevocation,
        Mutant::ForgetProposedRemovals,
        Mutant::NoSignatureAgain,
        Mutant::BroadcastThoughFallenBehind,
        Mutant::ListenBeforeReestablish,
    ];
}

impl super::Env {
    /// Whether this bug is planted in the node.
    #[cfg(feature = "lab")]
    pub fn plants(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// Nothing is planted in a normal node.
    #[cfg(not(feature = "lab"))]
    pub const fn plants(&self, _: Mutant) -> bool {
        false
    }

    /// The same world for a node with this bug.
    #[cfg(feature = "lab")]
    pub fn with(self, mutant: Option<Mutant>) -> Self {
        Self { mutant, ..self }
    }
}
