//! I2, no loss: each party ends with its start, plus what it received, minus what it sent, minus the fees of its own
//! transactions, minus dust it was allowed to burn. A fee beyond the dearest feerate is a loss too.
use super::{Broken, Evidence};
use leyden_core::units::{Msat, Sat};

/// Every party, then every transaction's fee.
pub(super) fn check(evidence: &Evidence) -> Result<(), Broken> {
    for line in &evidence.settlement.transactions {
        let weight = line.tx.weight().to_wu();
        let most = weight.saturating_mul(evidence.dearest_feerate) / 1000;
        let dust: u64 = evidence.allowed_dust.iter().map(|dust| dust.get()).fold(0, u64::saturating_add);
        let beyond = line.fee.get().saturating_sub(most.saturating_add(dust));
        if beyond > 0 {
            let payer = evidence.settlement.parties.get(line.payer).map(|party| party.name.clone());
            return Err(Broken {
                check: "I2",
                party: payer,
                transaction: Some(line.label.clone()),
                amount: Sat::new(beyond).to_msat(),
                text: format!("{} pays the miner {} sat, more than {most} sat", line.label, line.fee.get()),
            });
        }
    }
    (0..evidence.settlement.parties.len()).try_for_each(|party| check_party(evidence, party))
}

fn check_party(evidence: &Evidence, party: usize) -> Result<(), Broken> {
    let line = &evidence.settlement.parties[party];
    let msat = |amount: Sat| i128::from(amount.get()) * 1000;
    let mut least = msat(line.start) - msat(line.fees);
    for payment in &evidence.payments {
        if payment.from == party {
            let sent =
                payment.sent.iter().map(|sent| i128::from(sent.amount.get()) + i128::from(sent.fee.get()));
            least -= sent.sum::<i128>();
        }
        if payment.to == party {
            least += payment.received.iter().map(|amount| i128::from(amount.get())).sum::<i128>();
        }
    }
    for pushed in &evidence.pushed {
        let amount = i128::from(pushed.amount.get());
        least += if pushed.to == party { amount } else { 0 };
        least -= if pushed.from == party { amount } else { 0 };
    }
    let anchors = evidence.settlement.left_over.iter().filter(|left| left.anchor_of == Some(party));
    least -= anchors.map(|left| msat(left.amount)).sum::<i128>();
    least -= evidence.allowed_dust.get(party).copied().map_or(0, msat);
    least -= evidence.channels.get(party).map_or(0, |count| i128::from(*count) * 1000);
    let missing = least - msat(line.end);
    if missing <= 0 {
        return Ok(());
    }
    let amount = Msat::new(u64::try_from(missing).unwrap_or(u64::MAX));
    let own = evidence.settlement.transactions.iter().rev().find(|transaction| transaction.by == party);
    Err(Broken {
        check: "I2",
        party: Some(line.name.clone()),
        transaction: own.map(|transaction| transaction.label.clone()),
        amount,
        text: format!(
            "{} ends with {} sat and should have at least {} msat",
            line.name,
            line.end.get(),
            least
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::super::{PaymentEvidence, Sent};
    use super::*;
    use crate::settlement::{PartyLine, Settlement};
    use leyden_core::ids::PaymentHash;

    fn evidence(end: u64) -> Evidence {
        let line = |name: &str, end| PartyLine {
            name: name.into(),
            start: Sat::new(1000),
            end: Sat::new(end),
            fees: Sat::new(10),
        };
        let payment = PaymentEvidence {
            name: "alice -> bob, 100 sat".into(),
            from: 0,
            to: 1,
            payment_hash: PaymentHash([0; 32]),
            amount: Msat::new(100_000),
            max_fee: Msat::ZERO,
            sent: vec![Sent { amount: Msat::new(100_000), fee: Msat::ZERO, proven: true }],
            failed: 0,
            received: vec![Msat::new(100_000)],
        };
        Evidence {
            settlement: Settlement {
                parties: vec![line("alice", 890), line("bob", end)],
                ..Settlement::default()
            },
            payments: vec![payment],
            dearest_feerate: 1000,
            ..Evidence::default()
        }
    }

    #[test]
    fn what_was_received_is_there() {
        assert_eq!(check(&evidence(1090)), Ok(()));
    }

    #[test]
    fn a_missing_satoshi_is_a_loss() {
        let broken = check(&evidence(1089)).unwrap_err();
        assert_eq!((broken.party.as_deref(), broken.amount.get()), (Some("bob"), 1000));
    }
}
