//! How the settlement's transactions hang together: what each output is, who spends it, and whose wallet it came to in the end.
//! Follows the chain and the names; decides nothing.
use super::Settlement;
use crate::names::{NamedChannel, Names, Stage, What};
use bitcoin::{OutPoint, Txid};
use leyden_core::units::Sat;
use std::collections::{BTreeMap, BTreeSet};

/// What a transaction spends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Input {
    /// The settlement's transaction and its output, if it is one of them.
    pub from: Option<(usize, u32)>,
    /// Its value, where that is known.
    pub amount: Sat,
    /// The party whose wallet it was in, if it was in one.
    pub wallet: Option<usize>,
}

/// What a transaction pays.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Output {
    /// Its value.
    pub amount: Sat,
    /// In words: `alice's wallet`, `HTLC 0`, `to_local of bob`.
    pub what: String,
    /// Whether a channel's rules bind it; a wallet's output is free.
    pub in_channel: bool,
    /// The party it is due to if nothing more happens; nothing for a funding output and for an HTLC.
    pub due: Option<usize>,
    /// The settlement's transaction that spends it.
    pub spent_by: Option<usize>,
    /// The one party whose wallet all of it came to in the end, fees apart.
    pub ended: Option<usize>,
}

/// What the miners got from one party.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Revenue {
    /// The party that paid.
    pub party: usize,
    /// All together.
    pub amount: Sat,
    /// For how many transactions.
    pub transactions: usize,
    /// The name of the one that paid most.
    pub dearest: String,
}

/// Fills in inputs, outputs and revenue. The transactions stand in their final order.
pub(super) fn link(settlement: &mut Settlement, names: &Names) {
    let txids: Vec<Txid> = settlement.transactions.iter().map(|line| line.tx.compute_txid()).collect();
    let places: BTreeMap<Txid, usize> =
        txids.iter().enumerate().map(|(place, txid)| (*txid, place)).collect();
    let mut spenders: BTreeMap<OutPoint, usize> = BTreeMap::new();
    for (place, line) in settlement.transactions.iter().enumerate() {
        spenders.extend(line.tx.input.iter().map(|input| (input.previous_output, place)));
    }
    for (txid, line) in txids.iter().zip(&mut settlement.transactions) {
        let inputs = line.tx.input.iter().map(|input| input_of(&input.previous_output, &places, names));
        line.inputs = inputs.collect();
        let outputs = (0u32..).zip(&line.tx.output).map(|(vout, output)| {
            let outpoint = OutPoint::new(*txid, vout);
            output_of(&outpoint, output.value.into(), spenders.get(&outpoint).copied(), names)
        });
        line.outputs = outputs.collect();
    }
    settle_ends(settlement);
    settlement.revenue = revenue(settlement);
}

fn input_of(outpoint: &OutPoint, places: &BTreeMap<Txid, usize>, names: &Names) -> Input {
    let known = names.output(outpoint);
    let wallet = known.and_then(|known| match known.what {
        What::Wallet { party } => Some(party),
        What::Funding { .. } | What::Output { .. } => None,
    });
    let from = places.get(&outpoint.txid).map(|place| (*place, outpoint.vout));
    Input { from, amount: known.map_or(Sat::ZERO, |known| known.value), wallet }
}

fn output_of(outpoint: &OutPoint, amount: Sat, spent_by: Option<usize>, names: &Names) -> Output {
    let what = names.output(outpoint).map(|known| &known.what);
    let (words, due) = match what {
        None => ("nobody known".to_string(), None),
        Some(What::Wallet { party }) => (format!("{}'s wallet", names.party_name(*party)), Some(*party)),
        Some(What::Funding { .. }) => ("funding output".to_string(), None),
        Some(What::Output { channel, state, stage }) => {
            let channel = &names.channels()[*channel];
            let due = stage.owner(state.holder).map(|end| channel.party(end));
            (stage_words(*stage, channel, due, names), due)
        }
    };
    let in_channel = matches!(what, Some(What::Funding { .. } | What::Output { .. }));
    Output { amount, what: words, in_channel, due, spent_by, ended: None }
}

/// `to_local of alice`, `anchor of bob`, `HTLC 1`.
fn stage_words(stage: Stage, channel: &NamedChannel, due: Option<usize>, names: &Names) -> String {
    let of = |what: &str| match due {
        Some(party) => format!("{what} of {}", names.party_name(party)),
        None => what.to_string(),
    };
    match stage {
        Stage::ToLocal => of("to_local"),
        Stage::ToRemote => of("to_remote"),
        Stage::Anchor(end) => format!("anchor of {}", names.party_name(channel.party(end))),
        Stage::Htlc(Some(place)) => format!("HTLC {place}"),
        Stage::Htlc(None) => "HTLC".to_string(),
        Stage::Timeout(_) => of("HTLC-timeout output"),
        Stage::Success(_) => of("HTLC-success output"),
    }
}

/// An unspent wallet output has ended where it is, a spent one in a channel where its spender's have. A wallet's output that is spent
/// later has ended too: what a party does with its own money is no matter of the channel.
fn settle_ends(settlement: &mut Settlement) {
    // From the last back, one pass is enough, but for a child that stands before its parent since both are in one block.
    let mut changed = true;
    while changed {
        changed = false;
        for place in (0..settlement.transactions.len()).rev() {
            let outputs = settlement.transactions[place].outputs.iter();
            let ends: Vec<Option<usize>> = outputs
                .map(|output| match (output.in_channel, output.spent_by) {
                    (false, _) => output.due,
                    (true, None) => None,
                    (true, Some(spender)) => end_of(settlement, spender),
                })
                .collect();
            for (output, end) in settlement.transactions[place].outputs.iter_mut().zip(ends) {
                changed |= output.ended != end;
                output.ended = end;
            }
        }
    }
}

/// The one party that all outputs of a transaction ended with.
fn end_of(settlement: &Settlement, place: usize) -> Option<usize> {
    let outputs = settlement.transactions.get(place)?.outputs.iter();
    let ends: BTreeSet<Option<usize>> = outputs.map(|output| output.ended).collect();
    match ends.into_iter().collect::<Vec<_>>()[..] {
        [end] => end,
        _ => None,
    }
}

fn revenue(settlement: &Settlement) -> Vec<Revenue> {
    let of = |party: usize| {
        let paid = settlement.transactions.iter().filter(|line| line.payer == party && line.fee > Sat::ZERO);
        let dearest = paid.clone().max_by_key(|line| line.fee)?;
        Some(Revenue {
            party,
            amount: paid.clone().fold(Sat::ZERO, |sum, line| sum.saturating_add(line.fee)),
            transactions: paid.count(),
            dearest: dearest.label.clone(),
        })
    };
    (0..settlement.parties.len()).filter_map(of).collect()
}

impl Settlement {
    /// Says who handed each transaction to the chain first.
    pub fn publish(&mut self, first: &BTreeMap<Txid, usize>) {
        for line in &mut self.transactions {
            line.published = first.get(&line.tx.compute_txid()).copied();
        }
    }

    /// What a party got out of a channel beyond what it brought in from its own wallet, in satoshis: everything after the funding,
    /// fees taken off. Negative if it paid more than it got.
    pub fn gain(&self, channel: &str, party: usize) -> i128 {
        let after = self
            .transactions
            .iter()
            .filter(|line| line.channel.as_deref() == Some(channel) && !line.funds_a_channel());
        let value = |amount: Sat| i128::from(amount.get());
        after
            .map(|line| {
                let got =
                    line.outputs.iter().filter(|output| !output.in_channel && output.due == Some(party));
                let gave = line.inputs.iter().filter(|input| input.wallet == Some(party));
                got.map(|output| value(output.amount)).sum::<i128>()
                    - gave.map(|input| value(input.amount)).sum::<i128>()
            })
            .sum()
    }
}

impl super::OnChain {
    /// Whether it is a funding transaction.
    pub fn funds_a_channel(&self) -> bool {
        self.outputs.iter().any(|output| output.what == "funding output")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settlement::{OnChain, PartyLine};
    use bitcoin::{absolute, transaction, Transaction};

    fn line(by: usize, fee: u64, outputs: Vec<Output>) -> OnChain {
        let tx = Transaction {
            version: transaction::Version::TWO,
            lock_time: absolute::LockTime::ZERO,
            input: Vec::new(),
            output: Vec::new(),
        };
        OnChain {
            label: format!("T{fee}"),
            seed: String::new(),
            channel: Some("alice-bob".into()),
            bolt: "",
            tx,
            height: 1,
            by,
            fee: Sat::new(fee),
            payer: by,
            published: None,
            inputs: Vec::new(),
            outputs,
        }
    }

    fn output(in_channel: bool, due: Option<usize>, spent_by: Option<usize>) -> Output {
        Output { amount: Sat::new(10), what: String::new(), in_channel, due, spent_by, ended: None }
    }

    fn settlement(transactions: Vec<OnChain>) -> Settlement {
        let party = |name: &str| PartyLine { name: name.into(), ..PartyLine::default() };
        Settlement { parties: vec![party("alice"), party("bob")], transactions, ..Settlement::default() }
    }

    #[test]
    fn an_output_ends_with_whom_its_spender_pays() {
        let commitment = line(0, 3, vec![output(true, Some(0), Some(1)), output(true, None, None)]);
        let penalty = line(1, 2, vec![output(false, Some(1), None)]);
        let mut settlement = settlement(vec![commitment, penalty]);
        settle_ends(&mut settlement);
        let ends: Vec<Option<usize>> =
            settlement.transactions[0].outputs.iter().map(|output| output.ended).collect();
        assert_eq!(ends, [Some(1), None], "taken by the other side; left over");
        assert_eq!((settlement.gain("alice-bob", 0), settlement.gain("alice-bob", 1)), (0, 10));
    }

    #[test]
    fn revenue_names_who_paid_and_for_what_most() {
        let paid = revenue(&settlement(vec![line(0, 3, vec![]), line(0, 5, vec![]), line(1, 0, vec![])]));
        let dearest = "T5".to_string();
        assert_eq!(paid, [Revenue { party: 0, amount: Sat::new(8), transactions: 2, dearest }]);
    }
}
