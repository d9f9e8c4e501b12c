//! The tree of on-chain transactions of each channel, from its funding to wallets, as text. The walk is shared with the page.
use super::{grouped, OnChain, Settlement};
use std::collections::BTreeSet;
use std::fmt;

/// The settlement, to be written as a tree.
pub struct Tree<'a>(pub &'a Settlement);

/// One transaction met on the walk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Visit {
    /// Its place among the settlement's transactions.
    pub transaction: usize,
    /// For each output: the transaction that spends it, if that is the channel's business.
    pub children: Vec<Option<Visit>>,
    /// It was met before: it spends several outputs, and its own stand where it was met first.
    pub again: bool,
}

impl Settlement {
    /// The walk over each channel: from the funding transaction along outputs that a channel's rules bind.
    pub fn trees(&self) -> Vec<Visit> {
        let mut met = BTreeSet::new();
        let roots = (0..self.transactions.len()).filter(|place| self.transactions[*place].funds_a_channel());
        roots.map(|root| self.visit(root, &mut met)).collect()
    }

    fn visit(&self, place: usize, met: &mut BTreeSet<usize>) -> Visit {
        if !met.insert(place) {
            return Visit { transaction: place, children: Vec::new(), again: true };
        }
        let outputs = self.transactions[place].outputs.iter();
        let followed = outputs.map(|output| output.spent_by.filter(|_| output.in_channel));
        let children = followed.map(|child| child.map(|child| self.visit(child, met))).collect();
        Visit { transaction: place, children, again: false }
    }

    /// Transactions that stand in no tree: the scenario's own payments.
    pub fn outside_trees(&self) -> Vec<usize> {
        let mut met = BTreeSet::new();
        for root in (0..self.transactions.len()).filter(|place| self.transactions[*place].funds_a_channel()) {
            self.visit(root, &mut met);
        }
        (0..self.transactions.len()).filter(|place| !met.contains(place)).collect()
    }

    /// A party's name; `nobody` for a number that is none.
    pub fn party_name(&self, party: usize) -> &str {
        self.parties.get(party).map_or("nobody", |line| line.name.as_str())
    }

    /// `by alice`, or who brought it when its owner did not.
    pub fn publisher(&self, line: &OnChain) -> String {
        match line.published {
            Some(party) => format!("published by {}", self.party_name(party)),
            None => "published by the miner".into(),
        }
    }
}

impl fmt::Display for Tree<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, root) in self.0.trees().iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            self.write(f, root, "", "")?;
        }
        let outside = self.0.outside_trees();
        if !outside.is_empty() {
            writeln!(f, "\noutside of channels")?;
        }
        for place in outside {
            self.write_head(f, place, "  ")?;
        }
        self.write_revenue(f)
    }
}

impl Tree<'_> {
    /// A transaction and what hangs on it: `head` stands before its first line, `rest` before all others.
    fn write(&self, f: &mut fmt::Formatter<'_>, visit: &Visit, head: &str, rest: &str) -> fmt::Result {
        if visit.again {
            let label = &self.0.transactions[visit.transaction].label;
            return writeln!(f, "{head}{label}  (see above)");
        }
        self.write_head(f, visit.transaction, head)?;
        let line = &self.0.transactions[visit.transaction];
        let width = line.outputs.iter().map(|output| grouped(output.amount.get()).len()).max().unwrap_or(0);
        for (vout, (output, child)) in line.outputs.iter().zip(&visit.children).enumerate() {
            let last = vout + 1 == line.outputs.len();
            let (branch, bar) = if last { ("└ ", "  ") } else { ("├ ", "│ ") };
            let amount = grouped(output.amount.get());
            let end = self.end(output);
            writeln!(f, "{rest}{branch}{vout}  {amount:>width$} sat  {}{end}", output.what)?;
            if let Some(child) = child {
                self.write(f, child, &format!("{rest}{bar}   └ "), &format!("{rest}{bar}     "))?;
            }
        }
        Ok(())
    }

    fn end(&self, output: &super::Output) -> String {
        match (output.in_channel, output.spent_by, output.ended) {
            (false, ..) => String::new(),
            (true, None, _) => ": left over".into(),
            (true, Some(_), Some(party)) => format!(" → {}", self.0.party_name(party)),
            (true, Some(_), None) => String::new(),
        }
    }

    fn write_head(&self, f: &mut fmt::Formatter<'_>, place: usize, head: &str) -> fmt::Result {
        let line = &self.0.transactions[place];
        let (label, bolt, height, fee) = (&line.label, line.bolt, line.height, grouped(line.fee.get()));
        let paid = match line.payer == line.by {
            true => String::new(),
            false => format!(" paid by {}", self.0.party_name(line.payer)),
        };
        let publisher = self.0.publisher(line);
        writeln!(f, "{head}{label}  height {height}, fee {fee}{paid}, {publisher}  ({bolt})")
    }

    fn write_revenue(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.revenue.is_empty() {
            writeln!(f, "\nminers got {} sat", grouped(self.0.miner_fees.get()))?;
        }
        for line in &self.0.revenue {
            let (name, amount) = (self.0.party_name(line.party), grouped(line.amount.get()));
            let count = line.transactions;
            let of = if count == 1 { "transaction" } else { "transactions" };
            writeln!(f, "  {amount:>9} from {name}, {count} {of}, most for {}", line.dearest)?;
        }
        Ok(())
    }
}
