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
    /// Of a cheater's transaction with several second stages only the first output is punished: with anchors one transaction may
    /// hold many (BOLT 5, "Revoked Transaction Close Handling").
    PunishesFirstOutputOnly,
    /// HTLCs that we offered are not timed out on the chain (BOLT 5, "HTLC Output Handling").
    NoTimeoutOnChain,
    /// Delayed outputs are swept one block too early: the chain refuses it.
    SweepsTooEarly,
    /// Upstream is failed when the timeout is one block deep, not a reasonable number of blocks.
    FailsUpstreamAtOnce,
    /// An HTLC whose preimage the peer gave is failed upstream when the mined commitment has no output for it.
    FailsFulfilledHtlcs,
    /// A refusal is carried upstream as soon as it is read, though the peer may still publish a commitment that holds the HTLC
    /// (BOLT 2, "Forwarding HTLCs").
    FailsBeforeIrrevocable,
    /// HTLCs of one id in the two directions of a channel are taken for each other on the chain.
    ConfusesDirections,
    /// A forward whose hash is that of an own invoice, and that fails downstream, is claimed upstream with the invoice's preimage:
    /// whoever sent it has a proof of payment for nothing.
    ClaimsForwardWithOwnInvoice,
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
    /// A penalty of several outputs stays one transaction near its deadline, for the cheater to hold up with any one of them (BOLT 5,
    /// "Penalty Transaction Weight Calculation").
    NeverSplitsPenalties,
    /// What a penalty is split into does not pay more than the whole did: the mempool refuses it.
    SplitDoesNotOutbid,
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
    /// The sender offers more than its reserve and the commitment's fee leave it (BOLT 2, `update_add_htlc`).
    OfferBeyondReserve,
    /// The sender offers more HTLCs than the peer's `max_accepted_htlcs` (BOLT 2, `update_add_htlc`).
    OfferTooMany,
    /// The sender offers more than the peer's `max_htlc_value_in_flight_msat` (BOLT 2, `update_add_htlc`).
    OfferTooMuchInFlight,
    /// The sender offers less than the peer's `htlc_minimum_msat` (BOLT 2, `update_add_htlc`).
    OfferBelowMinimum,
    /// The recipient keeps dust beyond `max_dust_htlc_exposure` (BOLT 2, "Bounding exposure to trimmed in-flight HTLCs").
    TakeExcessDust,
    /// A forwarder passes an HTLC on as soon as it has acknowledged it, though the peer may still use a commitment without it
    /// (BOLT 2, "Forwarding HTLCs").
    ForwardBeforeIrrevocable,
    /// A forwarder passes on less than its `htlc_minimum_msat` (BOLT 4, `amount_below_minimum`).
    ForwardBelowMinimum,
    /// A forwarder passes on what it could not time out or claim on the chain in time (BOLT 4, `expiry_too_soon`).
    ForwardTooLate,
    /// A forwarder lets its money be locked beyond its maximum (BOLT 4, `expiry_too_far`).
    ForwardTooFar,
    /// The recipient takes a payment of an invoice that expired (BOLT 11, `x`).
    AcceptExpiredInvoice,
    /// The recipient takes an HTLC that leaves it less than its `min_final_cltv_expiry_delta` (BOLT 4, final node).
    AcceptLateFinalHtlc,
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
    /// `channel_ready` is sent as soon as the funding is mined, not at `minimum_depth` (BOLT 2, `channel_ready`).
    ReadyTooEarly,
    /// The acceptor takes any transaction of the right id for the funding; the sound one looks at amount and script (BOLT 2,
    /// `channel_ready`).
    FundingIsNotChecked,
    /// The funding's place after a reorganisation is told to nobody (BOLT 7, `short_channel_id`).
    KeepsOldShortChannelId,
    /// The acceptor takes a feerate out of all reason (BOLT 2, `update_fee`).
    TakesAnyFeerate,
    /// The acceptor takes a feerate that turns HTLCs into the miner's dust beyond `max_dust_htlc_exposure` (BOLT 2, `update_fee`).
    TakesFeerateThatTrims,
    /// A signature with a high S is taken for what its low twin is; no mempool takes a transaction with it (BIP 146).
    TakesHighSignatures,
    /// Coins that transactions of ours wait with are given away once more; the sound node's channels never share a coin.
    GivesOneCoinTwice,
    /// A shutdown script that has none of the allowed forms is taken (BOLT 2, `shutdown`).
    TakesAnyShutdownScript,
    /// The script that the peer bound itself to is forgotten: whoever robs it can close to its own (BOLT 2, `upfront_shutdown_script`).
    ForgetsUpfrontScript,
    /// The opener's funding pays a script of its own; a sound one pays the 2-of-2 (BOLT 3, "Funding Transaction Output").
    FundsItself,
    /// The opener proposes any feerate; a sound one stays within reason (BOLT 2, `update_fee`).
    ProposesAnyFeerate,
    /// All attempts have one session key, so that one onion goes out twice (BOLT 4, "Packet Structure").
    OneSessionKey,
    /// The driver runs a turn's actions before its batch is durable: a node that is killed between has promised what it does not
    /// know of.
    ActsBeforeItSaves,
    /// A secret is given up in a turn that does not save the commitment after it (BOLT 2, "Completing the Transition to the Updated
    /// State").
    RevokesWithoutSaving,
    /// A node that starts again does not read the HTLCs that it was forwarding: R from downstream goes nowhere.
    LosesForwardsAtRestart,
    /// A node that starts again refuses upstream all that it was forwarding, though it is committed downstream (BOLT 2, "Forwarding
    /// HTLCs").
    FailsForwardsAtRestart,
    /// After a reconnection an HTLC that was passed on is taken for new, and passed on once more.
    ForwardsAgain,
    /// A node believes that it lost states whatever secret its peer shows for it, and waits for the peer to close (BOLT 2, "Message
    /// Retransmission").
    BelievesEveryProof,
    /// A node that starts again counts on it that what it saved was also broadcast.
    BroadcastsNothingAtRestart,
    /// A node seals for its tower what would punish the peer's newest state, not the one that was just given up.
    GuardsWrongState,
    /// What a node hands its tower leaves out the HTLC outputs.
    GuardsToLocalOnly,
    /// A tower does not punish second stages.
    TowerIgnoresSecondStages,
    /// A tower never pays more than it paid first.
    TowerNeverRaises,
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
