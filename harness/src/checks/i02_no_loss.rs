//! I2, no loss: each party ends with its start, plus what it received, minus what it sent, minus the fees of its own
//! transactions, minus dust: what it was allowed to burn, and HTLCs without an output in a commitment on the chain, which are
//! bounded. A fee beyond the dearest feerate or beyond the declared budget is a loss too.
use super::replay::{Course, Landing};
use super::{Broken, Evidence};
use bitcoin::Txid;
use leyden_core::units::{Msat, Sat};

/// Every transaction's fee.
pub(super) fn check_fees(evidence: &Evidence) -> Vec<Broken> {
    let dust: u64 = evidence.allowed_dust.iter().map(|dust| dust.get()).fold(0, u64::saturating_add);
    let mut broken = Vec::new();
    for line in &evidence.settlement.transactions {
        let weight = line.tx.weight().to_wu();
        let most = weight.saturating_mul(evidence.dearest_feerate) / 1000;
        let trimmed = trimmed_in(evidence, line.tx.compute_txid()).floor_to_sat().get();
        let beyond = line.fee.get().saturating_sub(most.saturating_add(dust).saturating_add(trimmed));
        if beyond > 0 && evidence.is_honest(line.payer) {
            let text = format!("{} pays the miner {} sat, more than {most} sat", line.label, line.fee.get());
            let amount = Sat::new(beyond).to_msat();
            broken.push(evidence.broken("I2", line.payer, line.label.clone(), amount, text));
        }
    }
    broken
}

/// Every honest party.
pub(super) fn check(evidence: &Evidence) -> Vec<Broken> {
    let parties = (0..evidence.settlement.parties.len()).filter(|party| evidence.is_honest(*party));
    let checks = [check_party, check_budget, check_dust];
    parties.flat_map(|party| checks.iter().filter_map(move |check| check(evidence, party))).collect()
}

/// The channels of a party that ended with a commitment on the chain.
fn landed(evidence: &Evidence, party: usize) -> impl Iterator<Item = (&Course, &Landing)> {
    let replay = &evidence.replay;
    let courses = replay.courses.iter().enumerate().filter(move |(_, course)| course.ends.contains(&party));
    courses.filter_map(|(number, course)| Some((course, replay.landed(number)?.1?)))
}

/// What a commitment holds in HTLCs without an output.
fn trimmed(course: &Course, landing: &Landing) -> Msat {
    let amounts = landing.trimmed.iter().map(|place| course.htlcs[*place].amount);
    amounts.fold(Msat::ZERO, Msat::saturating_add)
}

fn trimmed_in(evidence: &Evidence, txid: Txid) -> Msat {
    let landing = evidence.replay.courses.iter().find_map(|course| {
        let landing = course.landings.get(&txid)?;
        Some(trimmed(course, landing))
    });
    landing.unwrap_or(Msat::ZERO)
}

/// What channels that ended on the chain may cost a party: HTLCs without an output, and of each other one less than a satoshi.
fn lost_to_chain(evidence: &Evidence, party: usize) -> i128 {
    let lost = landed(evidence, party).map(|(course, landing)| {
        let outputs = landing.outputs.len() as i128;
        i128::from(trimmed(course, landing).get()) + outputs * 1000
    });
    lost.sum()
}

fn check_party(evidence: &Evidence, party: usize) -> Option<Broken> {
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
    least -= lost_to_chain(evidence, party);
    let missing = least - msat(line.end);
    if missing <= 0 {
        return None;
    }
    let amount = Msat::new(u64::try_from(missing).unwrap_or(u64::MAX));
    let own = evidence.settlement.transactions.iter().rev().find(|transaction| transaction.by == party);
    Some(Broken {
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

/// The miners got no more than the scenario declared.
fn check_budget(evidence: &Evidence, party: usize) -> Option<Broken> {
    let budget = evidence.fee_budget.get(party).copied().flatten()?;
    let line = &evidence.settlement.parties[party];
    let beyond = line.fees.checked_sub(budget).filter(|beyond| *beyond > Sat::ZERO)?;
    let text = format!("{} paid the miners {}, {budget} were declared", line.name, line.fees);
    let own = evidence.settlement.transactions.iter().rev().find(|transaction| transaction.payer == party);
    let label = own.map_or_else(String::new, |transaction| transaction.label.clone());
    Some(evidence.broken("I2", party, label, beyond.to_msat(), text))
}

/// No channel of the party ended with more in HTLCs without an output than it may have at stake.
fn check_dust(evidence: &Evidence, party: usize) -> Option<Broken> {
    let most = evidence.max_dust.get(party).copied()?;
    let (course, burnt) = landed(evidence, party)
        .map(|(course, landing)| (course, trimmed(course, landing)))
        .find(|(_, burnt)| *burnt > most)?;
    let name = evidence.name(party);
    let text = format!("{name} burnt {burnt} in HTLCs without an output in {}, {most} allowed", course.name);
    Some(evidence.broken("I2", party, course.name.clone(), burnt.saturating_sub(most), text))
}

#[cfg(test)]
mod tests {
    use super::super::replay::fixture;
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
        assert_eq!(check(&evidence(1090)), []);
    }

    #[test]
    fn a_missing_satoshi_is_a_loss() {
        let broken = check(&evidence(1089)).remove(0);
        assert_eq!((broken.party.as_deref(), broken.amount.get()), (Some("bob"), 1000));
    }

    #[test]
    fn a_cheaters_loss_is_its_own() {
        let evidence = Evidence { dishonest: vec![false, true], ..evidence(1) };
        assert_eq!(check(&evidence), []);
    }

    #[test]
    fn more_fees_than_declared_are_a_loss() {
        let mut evidence = evidence(1090);
        evidence.fee_budget = vec![None, Some(Sat::new(10))];
        assert_eq!(check(&evidence), []);
        evidence.fee_budget[1] = Some(Sat::new(9));
        let broken = check(&evidence).remove(0);
        assert_eq!((broken.party.as_deref(), broken.amount.get()), (Some("bob"), 1000));
    }

    #[test]
    fn dust_on_the_chain_is_a_loss_within_its_bound() {
        let mut replay = fixture::replay();
        let commitment = fixture::land(&mut replay, 0, 0, 60);
        let course = &mut replay.courses[0];
        course.htlcs[0].amount = Msat::new(300_000);
        let landing = course.landings.get_mut(&commitment).expect("it was put there");
        landing.trimmed.push(0);
        landing.outputs.clear();
        let mut evidence = Evidence { replay, ..evidence(790) };
        assert_eq!(check(&evidence), [], "the 300 sat of the HTLC are gone");
        evidence.max_dust = vec![Msat::new(299_999); 2];
        assert_eq!(check(&evidence).len(), 2, "both ends had too much at stake");
        evidence.max_dust.clear();
        evidence.settlement.parties[1].end = Sat::new(789);
        assert_eq!(check(&evidence).len(), 1);
    }
}
