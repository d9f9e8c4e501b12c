//! One transaction for one or several claims: their inputs, one output, a fee for its weight. Says what it costs and whether
//! that is worth it; which claims belong together is the channel's to say.
use super::sweep::size_len;
use super::{dust_threshold, Claim};
use crate::units::{FeeratePerKw, Sat};
use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use bitcoin::{Script, Transaction, TxOut};

/// The outputs are not worth what taking them costs at this feerate: what would be left is dust at the destination.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("outputs of {amount} are not worth a fee of {fee}")]
pub struct Uneconomical {
    /// What the outputs hold.
    pub amount: Sat,
    /// What the transaction would pay.
    pub fee: Sat,
}

/// The weight of the transaction that [`gather`] makes, with signatures of the greatest length: at most this.
pub fn gathered_weight(claims: &[Claim], destination: &Script) -> u64 {
    let output = 8 + size_len(destination.len()) + destination.len() as u64;
    let inputs = size_len(claims.len()) + 41 * claims.len() as u64;
    let witnesses = claims.iter().map(Claim::witness_weight).sum::<u64>();
    4 * (4 + inputs + 1 + output + 4) + 2 + witnesses
}

/// What the outputs of these claims hold together.
pub fn gathered_amount(claims: &[Claim]) -> Sat {
    claims.iter().fold(Sat::ZERO, |sum, claim| sum.saturating_add(claim.amount))
}

/// The signed transaction that takes all of these to `destination`, or that it is not worth its fee. Its lock time is the
/// latest of the claims'.
pub fn gather(
    claims: &[Claim],
    destination: &Script,
    feerate: FeeratePerKw,
) -> Result<Transaction, Uneconomical> {
    let fee = feerate.fee(gathered_weight(claims, destination));
    let amount = gathered_amount(claims);
    let uneconomical = Uneconomical { amount, fee };
    let left = amount.checked_sub(fee).ok_or(uneconomical)?;
    if claims.is_empty() || left < dust_threshold(destination) {
        return Err(uneconomical);
    }
    let latest = claims.iter().map(|claim| claim.lock_time.to_consensus_u32()).max().unwrap_or_default();
    let mut tx = Transaction {
        version: Version::TWO,
        lock_time: LockTime::from_consensus(latest),
        input: claims.iter().map(Claim::input).collect(),
        output: vec![TxOut { value: left.to_amount(), script_pubkey: destination.to_owned() }],
    };
    claims.iter().enumerate().for_each(|(index, claim)| claim.sign_in(&mut tx, index));
    Ok(tx)
}
