//! The safety checks that run after every scenario, one file each. A check reads the evidence and says what is broken, by
//! party, transaction and amount; it changes nothing. They hold for every honest party, unless the scenario excuses it.

mod fate;
mod i01_conservation;
mod i02_no_loss;
mod i03_atomic_forwards;
mod i04_known_preimage;
mod i05_failback_order;
mod i06_failback_in_time;
mod i07_no_old_state;
mod i08_cheater_gets_nothing;
mod i09_deadlines;
mod i10_valid_and_standard;
mod i11_reorg;
mod i12_forwarded_once;
mod i13_payments;
mod i14_other_channels;
mod i16_scope;
mod i17_signed_states;
mod i18_not_forgotten;
pub mod replay;

pub use i09_deadlines::{margins, Margin};
pub use i11_reorg::same_balances;

use crate::settlement::Settlement;
use leyden_core::ids::PaymentHash;
use leyden_core::units::{Msat, Sat};
use replay::Replay;
use std::fmt;

/// From here on nothing comes back: BOLT 5's "irrevocably resolved".
const IRREVOCABLE_DEPTH: u32 = 100;

/// What a check found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken {
    /// Which check: `I2`.
    pub check: &'static str,
    /// The party that it concerns, if it is one's.
    pub party: Option<String>,
    /// The transaction, payment or HTLC that it concerns, if it is one's.
    pub transaction: Option<String>,
    /// How much is missing, too much or at stake, in millisatoshis.
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
    /// From the wire, the chain and the saves.
    pub replay: Replay,
    /// Every payment that the scenario asked for.
    pub payments: Vec<PaymentEvidence>,
    /// What an opener gave the acceptor with the opening (`push_msat`), for channels whose funding was mined.
    pub pushed: Vec<Pushed>,
    /// For each party, whether the scenario has it break the rules: the checks hold for the others.
    pub dishonest: Vec<bool>,
    /// What the scenario expects to be broken.
    pub excuses: Vec<Excuse>,
    /// For each party, what the scenario declared it may lose beyond fees: dust that it chose to burn.
    pub allowed_dust: Vec<Sat>,
    /// For each party, the most that it may have at stake in HTLCs without an output (`max_dust_htlc_exposure`).
    pub max_dust: Vec<Msat>,
    /// For each party, the most that it may pay the miners in all; without one, what its own transactions cost, each at the
    /// dearest feerate at most.
    pub fee_budget: Vec<Option<Sat>>,
    /// For each party, how many channels it had: each may round a satoshi away.
    pub channels: Vec<u64>,
    /// The dearest feerate that a transaction may pay, in satoshis per 1000 weight.
    pub dearest_feerate: u64,
    /// The nodes were processes: between them what the chain said is in no sure order.
    pub live: bool,
}

impl Evidence {
    /// Whether the checks hold for this party.
    pub fn is_honest(&self, party: usize) -> bool {
        !self.dishonest.get(party).copied().unwrap_or(false)
    }

    /// A finding about a party.
    fn broken(
        &self,
        check: &'static str,
        party: usize,
        transaction: String,
        amount: Msat,
        text: String,
    ) -> Broken {
        Broken { check, party: Some(self.name(party)), transaction: Some(transaction), amount, text }
    }

    fn name(&self, party: usize) -> String {
        let line = self.settlement.parties.get(party);
        line.map_or_else(|| format!("party {party}"), |line| line.name.clone())
    }

    fn excuses(&self, broken: &Broken) -> bool {
        self.excuses.iter().any(|excuse| {
            excuse.check == broken.check && broken.party.as_deref() == Some(&self.name(excuse.party))
        })
    }
}

/// A check that the scenario expects a party to fail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Excuse {
    /// Which: `I6`.
    pub check: String,
    /// The party.
    pub party: usize,
    /// Why.
    pub why: String,
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

/// Everything that is broken and not excused, in the order of the checks.
pub fn all(evidence: &Evidence) -> Vec<Broken> {
    let checks: [fn(&Evidence) -> Vec<Broken>; 17] = [
        i01_conservation::check,
        i13_payments::check,
        i03_atomic_forwards::check,
        i04_known_preimage::check,
        i05_failback_order::check,
        i06_failback_in_time::check,
        i07_no_old_state::check,
        i08_cheater_gets_nothing::check,
        i09_deadlines::check,
        i10_valid_and_standard::check,
        i12_forwarded_once::check,
        i14_other_channels::check,
        i16_scope::check,
        i17_signed_states::check,
        i18_not_forgotten::check,
        i02_no_loss::check_fees,
        i02_no_loss::check,
    ];
    let found = checks.iter().flat_map(|check| check(evidence));
    found.filter(|broken| !evidence.excuses(broken)).collect()
}

/// All checks, in order; the first thing that is broken and not excused.
pub fn run(evidence: &Evidence) -> Result<(), Broken> {
    all(evidence).into_iter().next().map_or(Ok(()), Err)
}

/// What the checks' own tests build on.
#[cfg(test)]
fn evidence_of(replay: Replay) -> Evidence {
    use crate::settlement::PartyLine;
    let parties = ["alice", "bob", "carol"];
    let parties = parties.map(|name| PartyLine { name: name.into(), ..PartyLine::default() });
    let settlement = Settlement { parties: parties.into(), ..Settlement::default() };
    Evidence { settlement, replay, ..Evidence::default() }
}
