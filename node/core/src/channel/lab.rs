//! The lab: bugs that can be planted in a node, one named switch each, so that a check or a scenario can prove that it would
//! notice. Without the feature `lab` nothing can be planted, and what asks is compiled to "no".
use std::fmt;
use std::str::FromStr;

macro_rules! mutants {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A planted bug. Its doc says what the sound node does and which duty or danger it stands for. Its name for people is the
        /// variant's, in small letters with underscores.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Mutant {
            $($(#[$doc])* $name,)*
        }

        impl Mutant {
            /// Every one.
            pub const ALL: &'static [Mutant] = &[$(Mutant::$name,)*];
        }
    };
}

mutants! {
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
    /// The acceptor of a channel changes its feerate too; a sound one leaves it to the opener (BOLT 2, `update_fee`).
    AcceptorChangesFee,
    /// The opener proposes a feerate that it cannot pay above its reserve (BOLT 2, `update_fee`).
    UnaffordableFee,
    /// The sender offers dust beyond `max_dust_htlc_exposure` (BOLT 2, "Bounding exposure to trimmed in-flight HTLCs").
    IgnoreDustExposure,
    /// A forwarder passes on what does not pay its fee (BOLT 4 `fee_insufficient`, BOLT 7 "HTLC Fees").
    SkipForwardFee,
    /// A forwarder passes on what leaves it less time than its `cltv_expiry_delta` (BOLT 2, BOLT 4 `incorrect_cltv_expiry`).
    SkipCltvExpiryDelta,
    /// The recipient does not look at the payment secret, so that anyone on the way can probe it (BOLT 4, final node).
    AcceptWrongPaymentSecret,
    /// The recipient gives its preimage for less than its invoice asks (BOLT 4, final node).
    AcceptUnderpaidInvoice,
    /// The recipient takes a second payment of one hash, which anyone who saw the preimage can keep (BOLT 4, final node).
    AcceptPaidInvoice,
}

impl fmt::Display for Mutant {
    /// `no_penalty_on_to_local`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut name = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_ascii_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(letter.to_ascii_lowercase());
        }
        f.pad(&name)
    }
}

/// No bug has this name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no mutant is named {0:?} (see leyden mutants)")]
pub struct UnknownMutant(String);

impl FromStr for Mutant {
    type Err = UnknownMutant;

    fn from_str(text: &str) -> Result<Self, UnknownMutant> {
        let named = Mutant::ALL.iter().find(|mutant| mutant.to_string() == text);
        named.copied().ok_or_else(|| UnknownMutant(text.into()))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mutants_name_is_its_variants() {
        assert_eq!(Mutant::NoPenaltyOnToLocal.to_string(), "no_penalty_on_to_local");
        for mutant in Mutant::ALL {
            assert_eq!(mutant.to_string().parse(), Ok(*mutant));
        }
    }
}
