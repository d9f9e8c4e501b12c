//! How a peer can break the rules, with what is done about it, and how our own commands can be refused.
//! Only names and texts: who notices is elsewhere.
use crate::units::{FeeratePerKw, Msat, Sat};

/// What is due when the peer broke a rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    /// `warning`, then the connection is closed; the channel goes on after a reconnection.
    Disconnect,
    /// `error`; the channel is failed and, when funded, our commitment goes to the chain.
    FailChannel,
}

/// A rule that the peer broke.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[allow(missing_docs)] // the texts say it
pub enum Violation {
    // Opening (BOLT 2, "The `open_channel` Message", "The `accept_channel` Message").
    #[error("chain_hash names a chain that this node does not serve")]
    UnknownChain,
    #[error("funding_satoshis {funding} is below the smallest channel accepted here, {minimum}")]
    FundingTooSmall { funding: Sat, minimum: Sat },
    #[error("funding_satoshis {funding} is above the largest channel accepted here, {maximum}")]
    FundingTooLarge { funding: Sat, maximum: Sat },
    #[error("push_msat {push} is more than the funding of {funding}")]
    PushTooLarge { push: Msat, funding: Sat },
    #[error("to_self_delay {asked} is above the largest accepted, {maximum}")]
    ToSelfDelayTooLarge { asked: u16, maximum: u16 },
    #[error("max_accepted_htlcs {asked} is not within 1 and 483")]
    MaxAcceptedHtlcs { asked: u16 },
    #[error("dust_limit_satoshis {asked} is below 354 sat")]
    DustLimitTooSmall { asked: Sat },
    #[error("dust_limit_satoshis {asked} is above the largest accepted, {maximum}")]
    DustLimitTooLarge { asked: Sat, maximum: Sat },
    #[error("dust_limit_satoshis {dust_limit} is above channel_reserve_satoshis {reserve}")]
    DustLimitAboveReserve { dust_limit: Sat, reserve: Sat },
    #[error("channel_reserve_satoshis {reserve} is below our dust limit {dust_limit}")]
    ReserveBelowOurDust { reserve: Sat, dust_limit: Sat },
    #[error("channel_reserve_satoshis {reserve} is above the largest accepted, {maximum}")]
    ReserveTooLarge { reserve: Sat, maximum: Sat },
    #[error("htlc_minimum_msat {minimum} leaves no room in a channel of {funding}")]
    HtlcMinimumTooLarge { minimum: Msat, funding: Sat },
    #[error("max_htlc_value_in_flight_msat {maximum} is below our dust limit")]
    InFlightTooSmall { maximum: Msat },
    #[error("feerate_per_kw {feerate} is not within {lowest} and {highest}")]
    Feerate { feerate: FeeratePerKw, lowest: FeeratePerKw, highest: FeeratePerKw },
    #[error("the opener's {balance} cannot pay the first commitment's {cost}")]
    OpenerCannotPay { balance: Msat, cost: Sat },
    #[error("both sides begin with no more than channel_reserve_satoshis {reserve}")]
    BothBelowReserve { reserve: Sat },
    #[error("channel_type is missing")]
    ChannelTypeMissing,
    #[error("channel_type is not one that this node supports")]
    ChannelTypeUnknown,
    #[error("channel_type differs from the one that was proposed")]
    ChannelTypeDiffers,
    #[error("upfront_shutdown_script has none of the allowed forms")]
    UpfrontScript,
    #[error("minimum_depth {depth} is above the largest accepted, {maximum}")]
    MinimumDepth { depth: u32, maximum: u32 },
    #[error(
        "the funding transaction does not pay the agreed amount to the agreed script at the named output"
    )]
    FundingMismatch,
    // Normal operation.
    #[error("the signature of the commitment transaction is not valid")]
    CommitmentSignature,
    #[error("{got} signatures for {due} HTLC transactions")]
    HtlcSignatureCount { got: usize, due: usize },
    #[error("a signature of an HTLC transaction is not valid")]
    HtlcSignature,
    #[error("a signed commitment would overdraw a balance")]
    Overdrawn,
    #[error("revoke_and_ack, but no signature of ours waits for one")]
    UnexpectedRevocation,
    #[error("the revealed secret is not that of the revoked commitment")]
    RevocationSecret,
    #[error("HTLC id {got}, but {due} is next")]
    HtlcId { got: u64, due: u64 },
    #[error("an HTLC of {amount} is below htlc_minimum_msat {minimum}, or nothing")]
    HtlcTooSmall { amount: Msat, minimum: Msat },
    #[error("more than max_accepted_htlcs, {maximum}")]
    TooManyHtlcs { maximum: u16 },
    #[error("more in flight than max_htlc_value_in_flight_msat, {maximum}")]
    TooMuchInFlight { maximum: Msat },
    #[error("cltv_expiry {expiry} is a time, not a height")]
    CltvExpiryIsTime { expiry: u32 },
    #[error("the offer of {amount} exceeds what the offerer can spend above its reserve of {reserve} and costs of {cost}")]
    HtlcUnaffordable { amount: Msat, reserve: Sat, cost: Sat },
    #[error("update_add_htlc after shutdown")]
    AddAfterShutdown,
    #[error("HTLC {id} is not one that can be settled or refused now")]
    UnknownHtlc { id: u64 },
    #[error("the preimage is not that of HTLC {id}")]
    WrongPreimage { id: u64 },
    #[error("update_fail_malformed_htlc with code {code:#06x}, which lacks the BADONION bit")]
    NotBadOnion { code: u16 },
    #[error("update_fee from the side that does not pay the fee")]
    FeeFromAcceptor,
    #[error("the opener cannot pay for a feerate of {feerate} above its reserve")]
    FeeUnaffordable { feerate: FeeratePerKw },
    #[error("at a feerate of {feerate} dust HTLCs would burn {exposure}, more than the {maximum} allowed")]
    FeerateDustExposure { feerate: FeeratePerKw, exposure: Msat, maximum: Msat },
    // Closing.
    #[error("shutdown before the funding is signed")]
    ShutdownTooEarly,
    #[error("the shutdown script has none of the allowed forms")]
    ShutdownScript,
    #[error("the shutdown script differs from upfront_shutdown_script, or from the one sent before")]
    ShutdownScriptChanged,
    #[error("shutdown while updates of its sender are not yet committed")]
    ShutdownWithPendingUpdates,
    #[error("closing_signed while its conditions are not met")]
    ClosingTooEarly,
    #[error("a closing fee of {fee} is more than the opener has")]
    ClosingFeeUnaffordable { fee: Sat },
    #[error("the signature of the closing transaction is not valid")]
    ClosingSignature,
    #[error("a closing fee of {fee} is outside of {min} and {max}")]
    ClosingFee { fee: Sat, min: Sat, max: Sat },
    #[error("no fee between {min} and {max} suits us; ours is between {our_min} and {our_max}")]
    ClosingFeeRange { min: Sat, max: Sat, our_min: Sat, our_max: Sat },
    #[error("a closing output is below the dust limit of its script")]
    ClosingDust,
    // Order of messages.
    #[error("{message} is not expected while the channel is {phase}")]
    OutOfOrder { message: &'static str, phase: &'static str },
    #[error("{message} before channel_reestablish")]
    BeforeReestablish { message: &'static str },
    #[error("next_commitment_number {got}, where only {due} or the one after it is possible")]
    NextCommitmentNumber { got: u64, due: u64 },
    #[error("next_revocation_number {got}, where only {due} or the one before it is possible")]
    NextRevocationNumber { got: u64, due: u64 },
    #[error("your_last_per_commitment_secret is not the one that was revealed")]
    LastSecret,
    #[error("the peer failed the channel: {text}")]
    PeerError { text: String },
}

impl Violation {
    /// What is due (BOLT 2; where it leaves a choice, a warning first, since the fault may be repaired by a reconnection).
    pub fn severity(&self) -> Severity {
        use Violation::*;
        match self {
            UnknownChain
            | FundingTooSmall { .. }
            | FundingTooLarge { .. }
            | PushTooLarge { .. }
            | ToSelfDelayTooLarge { .. }
            | MaxAcceptedHtlcs { .. }
            | DustLimitTooSmall { .. }
            | DustLimitTooLarge { .. }
            | DustLimitAboveReserve { .. }
            | ReserveBelowOurDust { .. }
            | ReserveTooLarge { .. }
            | HtlcMinimumTooLarge { .. }
            | InFlightTooSmall { .. }
            | OpenerCannotPay { .. }
            | BothBelowReserve { .. }
            | ChannelTypeMissing
            | ChannelTypeUnknown
            | ChannelTypeDiffers
            | UpfrontScript
            | MinimumDepth { .. }
            | FundingMismatch
            | CommitmentSignature
            | HtlcSignatureCount { .. }
            | HtlcSignature
            | Overdrawn
            | RevocationSecret
            | FeerateDustExposure { .. }
            | ShutdownTooEarly
            | ClosingFeeUnaffordable { .. }
            | ClosingSignature
            | ClosingFee { .. }
            | ClosingDust
            | NextCommitmentNumber { .. }
            | NextRevocationNumber { .. }
            | LastSecret
            | PeerError { .. } => Severity::FailChannel,
            Feerate { .. }
            | UnexpectedRevocation
            | HtlcId { .. }
            | HtlcTooSmall { .. }
            | TooManyHtlcs { .. }
            | TooMuchInFlight { .. }
            | CltvExpiryIsTime { .. }
            | HtlcUnaffordable { .. }
            | AddAfterShutdown
            | UnknownHtlc { .. }
            | WrongPreimage { .. }
            | NotBadOnion { .. }
            | FeeFromAcceptor
            | FeeUnaffordable { .. }
            | ShutdownScript
            | ShutdownScriptChanged
            | ShutdownWithPendingUpdates
            | ClosingTooEarly
            | ClosingFeeRange { .. }
            | OutOfOrder { .. }
            | BeforeReestablish { .. } => Severity::Disconnect,
        }
    }
}

/// Why a command of our own was refused. Nothing changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[allow(missing_docs)] // the texts say it
pub enum Rejection {
    #[error("a channel that is {phase} cannot do that")]
    WrongPhase { phase: &'static str },
    #[error("the peer is not connected, or the channel is not re-established")]
    Offline,
    #[error("a channel of {funding} is not within {minimum} and {maximum}")]
    FundingAmount { funding: Sat, minimum: Sat, maximum: Sat },
    #[error("cannot push {push} of {funding}")]
    PushTooLarge { push: Msat, funding: Sat },
    #[error("after the push and the commitment's cost of {cost} less than the reserve of {reserve} is left")]
    CannotPayCommitment { cost: Sat, reserve: Sat },
    #[error("a feerate of {feerate} is not within {lowest} and {highest}")]
    Feerate { feerate: FeeratePerKw, lowest: FeeratePerKw, highest: FeeratePerKw },
    #[error("the wallet's transaction does not pay the funding output")]
    FundingMismatch,
    #[error("{amount} is below the peer's htlc_minimum_msat {minimum}, or nothing")]
    HtlcTooSmall { amount: Msat, minimum: Msat },
    #[error("the peer accepts no more than {maximum} HTLCs")]
    TooManyHtlcs { maximum: u16 },
    #[error("the peer accepts no more than {maximum} in flight")]
    TooMuchInFlight { maximum: Msat },
    #[error("cltv_expiry {expiry} is a time, not a height")]
    CltvExpiryIsTime { expiry: u32 },
    #[error("{amount} is more than the {spendable} that can be spent")]
    Unaffordable { amount: Msat, spendable: Msat },
    #[error("dust HTLCs would burn {exposure}, more than the {maximum} allowed")]
    DustExposure { exposure: Msat, maximum: Msat },
    #[error("the channel is closing: no new HTLCs")]
    Closing,
    #[error("HTLC {id} is not one that can be settled or refused now")]
    UnknownHtlc { id: u64 },
    #[error("the preimage is not that of HTLC {id}")]
    WrongPreimage { id: u64 },
    #[error("a reason of {len} bytes does not fit into a message")]
    ReasonTooLong { len: usize },
    #[error("code {code:#06x} lacks the BADONION bit")]
    NotBadOnion { code: u16 },
    #[error("only the opener changes the feerate")]
    NotOpener,
    #[error("a feerate of {feerate} is more than can be paid above the reserve")]
    FeeUnaffordable { feerate: FeeratePerKw },
    #[error("the closing script has none of the allowed forms")]
    ShutdownScript,
    #[error("the channel is closing already")]
    AlreadyClosing,
    #[error("this node lost the channel's newest states: only the peer can close it")]
    FallenBehind,
}

/// Why a handler stopped: our own command is refused, or the peer broke a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stop {
    /// Ours.
    Rejected(Rejection),
    /// Theirs.
    Violated(Violation),
}

impl From<Rejection> for Stop {
    fn from(rejection: Rejection) -> Self {
        Stop::Rejected(rejection)
    }
}

impl From<Violation> for Stop {
    fn from(violation: Violation) -> Self {
        Stop::Violated(violation)
    }
}
