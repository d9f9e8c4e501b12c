//! The lab: bugs that can be planted in a node, one named switch each, so that a check or a scenario can prove that it would
//! notice. Without the feature `lab` nothing can be planted, and what asks is compiled to "no".

/// A planted bug. Its doc says what the sound node does and which duty or danger it stands for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Mutant {
    /// The penalty on `to_local` of a revoked commitment is left out (BOLT 5, "Revoked Transaction Close Handling").
    NoPenaltyOnToLocal,
    /// HTLC outputs of a revoked commitment are left out of the penalty.
    NoPenaltyOnHtlc,
    /// The outputs of HTLC transactions that the cheater got mined are left to it.
    NoPenaltyOnSecondStage,
    /// HTLCs that we offered are not timed out on the chain (BOLT 5, "HTLC Output Handling").
    NoTimeoutOnChain,
    /// Delayed outputs are swept one block too early: the chain refuses it.
    SweepsTooEarly,
    /// Upstream is failed when the timeout is one block deep, not a reasonable number of blocks.
    FailsUpstreamAtOnce,
    /// An HTLC whose preimage the peer gave is failed upstream when the mined commitment has no output for it.
    FailsFulfilledHtlcs,
    /// A preimage that the peer shows on the chain is not carried upstream.
    IgnoresPreimagesOnChain,
    /// A preimage is taken from blocks only, not from the mempool.
    IgnoresPreimagesInMempool,
    /// A block that is taken out of the chain undoes nothing.
    ReorgsAreIgnored,
    /// A closed channel is forgotten one block deep.
    ForgetsCloseOneDeep,
    /// An offered HTLC that expired does not close the channel (BOLT 2, "`cltv_expiry_delta` Selection").
    NoDeadlineForOffered,
    /// A fulfilled HTLC that the peer does not take out does not close the channel.
    NoDeadlineForFulfilled,
    /// A claim's fee does not rise towards its deadline.
    FeesNeverRise,
    /// A claim that is rebuilt after a conflict begins with the fee of now, below what was offered before.
    FeesFallWhenSplit,
    /// Of equal HTLCs of a revoked state only one is kept for the penalty.
    KeepsOnlyOneOfEqualHtlcs,
}

impl Mutant {
    /// Every one.
    pub const ALL: [Mutant; 16] = [
        Mutant::NoPenaltyOnToLocal,
        Mutant::NoPenaltyOnHtlc,
        Mutant::NoPenaltyOnSecondStage,
        Mutant::NoTimeoutOnChain,
        Mutant::SweepsTooEarly,
        Mutant::FailsUpstreamAtOnce,
        Mutant::FailsFulfilledHtlcs,
        Mutant::IgnoresPreimagesOnChain,
        Mutant::IgnoresPreimagesInMempool,
        Mutant::ReorgsAreIgnored,
        Mutant::ForgetsCloseOneDeep,
        Mutant::NoDeadlineForOffered,
        Mutant::NoDeadlineForFulfilled,
        Mutant::FeesNeverRise,
        Mutant::FeesFallWhenSplit,
        Mutant::KeepsOnlyOneOfEqualHtlcs,
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
