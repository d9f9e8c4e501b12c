//! I13, payments: one result each; success at the sender exactly when the recipient was paid; no more than allowed; proven.
use super::{Broken, Evidence, PaymentEvidence};
use leyden_core::units::Msat;

/// Every payment between honest parties; of one with a cheater, what the honest end was told.
pub(super) fn check(evidence: &Evidence) -> Vec<Broken> {
    let mut found = Vec::new();
    for payment in &evidence.payments {
        let honest = [payment.from, payment.to].map(|party| evidence.is_honest(party));
        if let Err((party, amount, text)) = check_payment(payment, honest) {
            found.push(evidence.broken("I13", party, payment.name.clone(), amount, text));
        }
    }
    found
}

type Finding = (usize, Msat, String);

fn check_payment(payment: &PaymentEvidence, [sender, recipient]: [bool; 2]) -> Result<(), Finding> {
    if sender {
        check_sender(payment)?;
    }
    if !sender || !recipient {
        return Ok(());
    }
    if payment.sent.len() != payment.received.len() {
        let text = format!(
            "the sender was told of success {} times, the recipient {} times",
            payment.sent.len(),
            payment.received.len()
        );
        return Err((payment.to, payment.amount, text));
    }
    for (sent, received) in payment.sent.iter().zip(&payment.received) {
        if sent.amount != *received {
            let text = format!("{} were sent, {received} arrived", sent.amount);
            return Err((payment.to, Msat::new(sent.amount.get().abs_diff(received.get())), text));
        }
    }
    Ok(())
}

/// One result; a success is proven and within what was allowed.
fn check_sender(payment: &PaymentEvidence) -> Result<(), Finding> {
    let text = match payment.sent.len() + payment.failed {
        0 => Some("the payment has no result".to_string()),
        1 => None,
        results => Some(format!("the payment has {results} results")),
    };
    if let Some(text) = text {
        return Err((payment.from, payment.amount, text));
    }
    for sent in &payment.sent {
        if !sent.proven {
            return Err((payment.from, sent.amount, "the preimage does not fit the hash".into()));
        }
        if sent.fee > payment.max_fee {
            let beyond = sent.fee.saturating_sub(payment.max_fee);
            let text = format!("a fee of {} was paid, {} allowed", sent.fee, payment.max_fee);
            return Err((payment.from, beyond, text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Sent;
    use super::*;
    use leyden_core::ids::PaymentHash;

    fn payment() -> PaymentEvidence {
        PaymentEvidence {
            name: "alice -> bob, 1 sat".into(),
            from: 0,
            to: 1,
            payment_hash: PaymentHash([7; 32]),
            amount: Msat::new(1000),
            max_fee: Msat::new(10),
            sent: vec![Sent { amount: Msat::new(1000), fee: Msat::new(10), proven: true }],
            failed: 0,
            received: vec![Msat::new(1000)],
        }
    }

    fn broken(change: impl Fn(&mut PaymentEvidence)) -> String {
        let mut payment = payment();
        change(&mut payment);
        check(&Evidence { payments: vec![payment], ..Evidence::default() }).remove(0).text
    }

    #[test]
    fn a_sound_payment_passes() {
        assert_eq!(check(&Evidence { payments: vec![payment()], ..Evidence::default() }), []);
    }

    #[test]
    fn nobody_answers_for_a_cheater() {
        let mut payment = payment();
        payment.received.clear();
        let evidence =
            Evidence { payments: vec![payment], dishonest: vec![false, true], ..Evidence::default() };
        assert_eq!(check(&evidence), []);
    }

    #[test]
    fn each_way_to_be_unsound_is_found() {
        assert_eq!(broken(|payment| payment.sent.clear()), "the payment has no result");
        assert_eq!(broken(|payment| payment.failed = 1), "the payment has 2 results");
        assert_eq!(
            broken(|payment| payment.received.clear()),
            "the sender was told of success 1 times, the recipient 0 times"
        );
        assert_eq!(broken(|payment| payment.sent[0].proven = false), "the preimage does not fit the hash");
        assert_eq!(
            broken(|payment| payment.sent[0].fee = Msat::new(11)),
            "a fee of 11 msat was paid, 10 msat allowed"
        );
        assert_eq!(
            broken(|payment| payment.received[0] = Msat::new(999)),
            "1000 msat were sent, 999 msat arrived"
        );
    }
}
