//! Why the embedded chain refuses a transaction or a block: one variant per reject word of Bitcoin Core, the word in
//! `Display`. It holds no rules; those are in `consensus`, `policy`, `mempool` and `block`.
use super::script::ScriptFault;
use super::ChainError;

/// A refusal, printed as Core's reject word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[allow(missing_docs)] // each variant is its word
pub enum Reject {
    // Context-free transaction rules.
    #[error("bad-txns-vin-empty")]
    NoInputs,
    #[error("bad-txns-vout-empty")]
    NoOutputs,
    #[error("bad-txns-oversize")]
    Oversize,
    #[error("bad-txns-vout-toolarge")]
    OutputTooLarge,
    #[error("bad-txns-txouttotal-toolarge")]
    OutputTotalTooLarge,
    #[error("bad-txns-inputs-duplicate")]
    DuplicateInputs,
    #[error("bad-txns-prevout-null")]
    NullPrevout,
    #[error("bad-cb-length")]
    CoinbaseLength,
    // Contextual transaction rules.
    #[error("coinbase")]
    LooseCoinbase,
    #[error("non-final")]
    NonFinal,
    #[error("non-BIP68-final")]
    NonBip68Final,
    #[error("bad-txns-inputs-missingorspent")]
    InputsMissingOrSpent,
    #[error("bad-txns-premature-spend-of-coinbase")]
    PrematureCoinbaseSpend,
    #[error("bad-txns-inputvalues-outofrange")]
    InputValuesOutOfRange,
    #[error("bad-txns-in-belowout")]
    InBelowOut,
    #[error("mempool-script-verify-flag-failed ({0})")]
    MempoolScript(ScriptFault),
    #[error("block-script-verify-flag-failed ({0})")]
    BlockScript(ScriptFault),
    // Policy.
    #[error("version")]
    Version,
    #[error("tx-size")]
    TxSize,
    #[error("tx-size-small")]
    TxSizeSmall,
    #[error("scriptsig-size")]
    ScriptSigSize,
    #[error("scriptsig-not-pushonly")]
    ScriptSigNotPushOnly,
    #[error("scriptpubkey")]
    ScriptPubKey,
    #[error("datacarrier")]
    DataCarrier,
    #[error("dust")]
    Dust,
    #[error("missing-ephemeral-spends")]
    MissingEphemeralSpends,
    #[error("bad-txns-nonstandard-inputs")]
    NonstandardInputs,
    #[error("bad-witness-nonstandard")]
    NonstandardWitness,
    #[error("bad-txns-too-many-sigops")]
    TooManySigops,
    #[error("min relay fee not met")]
    MinRelayFee,
    #[error("mempool min fee not met")]
    MempoolMinFee,
    #[error("mempool full")]
    MempoolFull,
    #[error("TRUC-violation")]
    Truc,
    #[error("txn-already-in-mempool")]
    AlreadyInMempool,
    #[error("txn-same-nonwitness-data-in-mempool")]
    SameNonwitnessDataInMempool,
    #[error("txn-already-known")]
    AlreadyKnown,
    #[error("too many potential replacements")]
    TooManyReplacements,
    #[error("too many potential replacements (including sibling eviction)")]
    TooManyReplacementsSibling,
    #[error("insufficient fee")]
    InsufficientFee,
    #[error("insufficient fee (including sibling eviction)")]
    InsufficientFeeSibling,
    #[error("replacement-failed")]
    ReplacementFailed,
    #[error("too-large-cluster")]
    TooLargeCluster,
    #[error("bad-txns-spends-conflicting-tx")]
    SpendsConflicting,
    // Packages.
    #[error("package-too-many-transactions")]
    PackageTooMany,
    #[error("package-not-child-with-parents")]
    PackageShape,
    #[error("package-too-large")]
    PackageTooLarge,
    #[error("package-contains-duplicates")]
    PackageDuplicates,
    #[error("conflict-in-package")]
    PackageConflict,
    #[error("package RBF failed: {0}")]
    PackageRbf(PackageRbf),
    // Blocks.
    #[error("high-hash")]
    HighHash,
    #[error("bad-diffbits")]
    DiffBits,
    #[error("time-too-old")]
    TimeTooOld,
    #[error("bad-version(0x{0:08x})")]
    BlockVersion(i32),
    #[error("prev-blk-not-found")]
    PreviousNotFound,
    #[error("bad-txnmrklroot")]
    MerkleRoot,
    #[error("bad-txns-duplicate")]
    DuplicateTransactions,
    #[error("bad-blk-length")]
    BlockLength,
    #[error("bad-cb-missing")]
    CoinbaseMissing,
    #[error("bad-cb-multiple")]
    CoinbaseMultiple,
    #[error("bad-blk-sigops")]
    BlockSigops,
    #[error("bad-txns-nonfinal")]
    BlockNonFinal,
    #[error("bad-cb-height")]
    CoinbaseHeight,
    #[error("bad-witness-nonce-size")]
    WitnessNonceSize,
    #[error("bad-witness-merkle-match")]
    WitnessMerkleMatch,
    #[error("unexpected-witness")]
    UnexpectedWitness,
    #[error("bad-blk-weight")]
    BlockWeight,
    #[error("bad-txns-BIP30")]
    Bip30,
    #[error("bad-cb-amount")]
    CoinbaseAmount,
    /// No word of Core's, but of its backend here.
    #[error("the genesis block stays")]
    GenesisStays,
    #[error("block height out of range")]
    NoSuchHeight,
}

/// Why a package may not replace what it conflicts with, printed as Core's word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[allow(missing_docs)] // each variant is its word
pub enum PackageRbf {
    #[error("package must be 1-parent-1-child")]
    Shape,
    #[error("new transaction cannot have mempool ancestors")]
    Ancestors,
    #[error("too many potential replacements")]
    TooMany,
    #[error("insufficient anti-DoS fees")]
    InsufficientFees,
    #[error("package feerate is less than or equal to parent feerate")]
    ParentFeerate,
    #[error("insufficient feerate: does not improve feerate diagram")]
    Diagram,
}

impl Reject {
    /// Refused alone, a transaction may still pass with a child that pays for it or a parent that it needs.
    pub fn may_pass_in_package(&self) -> bool {
        matches!(
            self,
            Reject::MinRelayFee
                | Reject::MempoolMinFee
                | Reject::InsufficientFee
                | Reject::InsufficientFeeSibling
                | Reject::ReplacementFailed
                | Reject::InputsMissingOrSpent
        )
    }

    /// Refused because it is in the mempool already.
    pub fn is_there(&self) -> bool {
        matches!(self, Reject::AlreadyInMempool | Reject::SameNonwitnessDataInMempool)
    }
}

impl From<Reject> for ChainError {
    fn from(reject: Reject) -> Self {
        ChainError::Refused { reason: reject.to_string() }
    }
}
