//! The safety checks that run after every scenario, one file each. A check reads the evidence and says what is broken, by
//! party, transaction and amount; it changes nothing.

mod i01_conservation;
mod i02_no_loss;
mod i13_payments;

use crate::settlement::Settlement;
use leyden_core::ids::PaymentHash;
use leyden_core::units::{Msat, Sat};
use std::fmt;

/// What a check found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken {
    /// Which check: `I2`.
    pub check: &'static str,
    /// The party that it concerns, if it is one's.
    pub party: Option<String>,
    /// The transaction or payment that it concerns, if it is one's.
    pub transaction: Option<String>,
    /// How much is missing or too much, in millisatoshis.
    pub amount: Msat,
    /// In words.
    pub text: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "check {} fails: {}", self.check, self.text)?;
        let party = self.party.as_ref().map(|party| format!("party {party}"));
        let transaction = self.transaction.as_ref().map(|transaction| format!("transaction {transaction}"));
        let whose: Vec<String> =
            party.into_iter().chain(transaction).chain([self.amount.to_string()]).collect();
        write!(f, " ({})", whose.join(", "))
    }
}

impl std::error::Error for Broken {}

/// What the checks look at.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// From the chain.
    pub settlement: Settlement,
    /// Every payment that the scenario asked for.
    pub payments: Vec<PaymentEvidence>,
    /// What an opener gave the acceptor with the opening (`push_msat`), for channels whose funding was mined.
    pub pushed: Vec<Pushed>,
    /// For each party, what the scenario declared it may lose beyond fees: dust that it chose to burn.
    pub allowed_dust: Vec<Sat>,
    /// For each party, how many channels it had: each may round a satoshi away.
    pub channels: Vec<u64>,
    /// The dearest feerate that a transaction may pay, in satoshis per 1000 weight.
    pub dearest_feerate: u64,
}

/// A gift from opener to acceptor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pushed {
    /// The opener's number among the parties.
    pub from: usize,
    /// The acceptor's.
    pub to: usize,
    /// How much.
    pub amount: Msat,
}

/// One payment, as its sender and its recipient told it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PaymentEvidence {
    /// In words: `alice -> dave, 1,000 sat`.
    pub name: String,
    /// The sender's number among the parties.
    pub from: usize,
    /// The recipient's.
    pub to: usize,
    /// H(R).
    pub payment_hash: PaymentHash,
    /// What the recipient was to get.
    pub amount: Msat,
    /// The most that the sender allowed in fees.
    pub max_fee: Msat,
    /// Each time the sender was told of success: amount, fee, and whether the preimage fits the hash.
    pub sent: Vec<Sent>,
    /// How often the sender was told of failure.
    pub failed: usize,
    /// What the recipient was told that it received, each time.
    pub received: Vec<Msat>,
}

/// A success as the sender was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sent {
    /// What went to the recipient.
    pub amount: Msat,
    /// What went to those between.
    pub fee: Msat,
    /// Whether SHA-256 of the preimage is the payment's hash.
    pub proven: bool,
}

/// All checks, in order; the first that fails.
pub fn run(evidence: &Evidence) -> Result<(), Broken> {
    i01_conservation::check(evidence)?;
    i13_payments::check(evidence)?;
    i02_no_loss::check(evidence)
}
