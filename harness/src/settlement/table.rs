//! The settlement as people read it: no txids, so that one text serves every world.
use super::Settlement;
use leyden_core::units::{Msat, Sat};
use std::fmt;

/// Digits in groups of three.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn change(start: Sat, end: Sat) -> String {
    match end.checked_sub(start) {
        Some(Sat::ZERO) => "0".into(),
        Some(gain) => format!("+{}", grouped(gain.get())),
        None => format!("-{}", grouped(start.saturating_sub(end).get())),
    }
}

/// Whole satoshis without a fraction, others with three digits of it.
pub fn msat(amount: Msat) -> String {
    match amount.get() % 1000 {
        0 => format!("{} sat", grouped(amount.get() / 1000)),
        rest => format!("{}.{rest:03} sat", grouped(amount.get() / 1000)),
    }
}

impl fmt::Display for Settlement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_parties(f)?;
        if !self.payments.is_empty() {
            writeln!(f, "\npayments")?;
        }
        // Payments in a row that went alike are one line.
        for same in self.payments.chunk_by(|one, next| one == next) {
            let Some(payment) = same.first() else { continue };
            let (amount, fee) = (msat(payment.amount), msat(payment.fee));
            let (from, to, result) = (&payment.from, &payment.to, &payment.result);
            let fee = if payment.fee == Msat::ZERO { String::new() } else { format!(", fee {fee}") };
            let times = if same.len() == 1 { String::new() } else { format!(" ({} times)", same.len()) };
            writeln!(f, "  {from} -> {to}  {amount}{fee}: {result}{times}")?;
        }
        self.write_transactions(f)?;
        if !self.left_over.is_empty() {
            writeln!(f, "\nleft over")?;
        }
        for left in &self.left_over {
            writeln!(f, "  {:>11} sat  {}", grouped(left.amount.get()), left.what)?;
        }
        Ok(())
    }
}

impl Settlement {
    fn write_parties(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.name_width();
        writeln!(
            f,
            "{:width$}  {:>13}  {:>13}  {:>13}  {:>10}",
            "party", "start sat", "end sat", "change", "chain fees"
        )?;
        for party in &self.parties {
            writeln!(
                f,
                "{:width$}  {:>13}  {:>13}  {:>13}  {:>10}",
                party.name,
                grouped(party.start.get()),
                grouped(party.end.get()),
                change(party.start, party.end),
                grouped(party.fees.get())
            )?;
        }
        writeln!(f, "{:width$}  {:>13}  {:>13}", "miners", "", grouped(self.miner_fees.get()))
    }

    fn write_transactions(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.transactions.is_empty() {
            return Ok(());
        }
        let width =
            self.transactions.iter().map(|line| line.label.chars().count()).max().unwrap_or(0).max(11);
        let names = self.name_width();
        writeln!(f, "\nheight  {:width$}  {:names$}  {:>7}  role", "transaction", "by", "fee sat")?;
        for line in &self.transactions {
            let by = self.parties.get(line.by).map_or("", |party| party.name.as_str());
            let fee = grouped(line.fee.get());
            writeln!(f, "{:>6}  {:width$}  {by:names$}  {fee:>7}  {}", line.height, line.label, line.bolt)?;
        }
        Ok(())
    }

    fn name_width(&self) -> usize {
        self.parties.iter().map(|party| party.name.chars().count()).max().unwrap_or(0).max(6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_for_people() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(msat(Msat::new(1_000_000)), "1,000 sat");
        assert_eq!(msat(Msat::new(1_001)), "1.001 sat");
        assert_eq!(change(Sat::new(5), Sat::new(3)), "-2");
    }
}
