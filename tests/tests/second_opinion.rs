//! The second opinion on a settlement: read from an index instead of the blocks it is the same; whatever an index leaves out,
//! adds or moves is noticed, in words. The index here is made of the run's own blocks, so that it can lie; the last test asks
//! a real electrs.
use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction, Txid};
use leyden as _; // its scenarios are in the catalogue because it is linked
use leyden_core::node::NewBlock;
use leyden_harness::prelude::*;
use leyden_harness::run::Options;
use leyden_harness::settlement::second::{difference, Index, Mined};
use leyden_harness::settlement::Settlement;
use leyden_harness::{find, run, Scenario, WorldKind};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

/// Every scenario shape of an end: together, alone with HTLCs, a lie that is punished, several channels.
const SCENARIOS: [&str; 5] = [
    "open-and-close",
    "pay-a-b-c-d",
    "close-by-opener-with-htlcs-both-ways",
    "close-by-acceptor-with-htlcs-both-ways-static-remotekey",
    "seed-old-c2a-with-ht-is-punished",
];

type Look = fn(&mut Net);

thread_local! {
    static INSIDE: Cell<Option<[Look; 2]>> = const { Cell::new(None) };
}

#[test]
fn an_honest_index_gives_the_same_settlement() {
    for name in SCENARIOS {
        after(name, WorldKind::Sim, |net| {
            let (ours, theirs) = opinions(net, |_| {});
            assert_eq!(difference(&ours, &theirs), None);
        });
    }
}

#[test]
fn a_transaction_that_the_index_leaves_out_is_noticed() {
    after("open-and-close", WorldKind::Sim, |net| {
        let closing = txid_of(net, "X");
        let (ours, theirs) = opinions(net, |index| {
            index.histories.values_mut().for_each(|history| history.retain(|mined| mined.txid != closing));
        });
        let words = difference(&ours, &theirs).expect("the closing transaction is missing");
        assert!(words.starts_with("alice ends with "), "{words}");
        assert!(
            words.contains("is spent by X; by the index it is ") && words.ends_with("by nobody"),
            "{words}"
        );
    });
}

#[test]
fn an_output_with_another_value_is_noticed() {
    after("open-and-close", WorldKind::Sim, |net| {
        let closing = txid_of(net, "X");
        let (ours, theirs) = opinions(net, |index| {
            if let Some((_, _, tx)) = index.transactions.get_mut(&closing) {
                tx.output[0].value += Amount::ONE_SAT;
            }
        });
        let words = difference(&ours, &theirs).expect("an output was altered");
        assert!(words.contains("ends with"), "{words}");
    });
}

#[test]
fn a_settlement_of_ours_with_one_output_altered_is_noticed() {
    after("open-and-close", WorldKind::Sim, |net| {
        let (mut ours, theirs) = opinions(net, |_| {});
        let closing = ours.transactions.iter_mut().find(|line| line.seed == "X").expect("it was closed");
        closing.outputs[1].spent_by = Some(0);
        let words = difference(&ours, &theirs).expect("an output was altered");
        assert!(words.starts_with("output 1 of X (") && words.ends_with("spent by nobody"), "{words}");
    });
}

#[test]
fn a_transaction_in_another_block_is_noticed() {
    after("open-and-close", WorldKind::Sim, |net| {
        let closing = txid_of(net, "X");
        let (ours, theirs) = opinions(net, |index| {
            let mined = index.histories.values_mut().flatten().filter(|mined| mined.txid == closing);
            mined.for_each(|mined| mined.height += 1);
        });
        let words = difference(&ours, &theirs).expect("it was moved");
        assert!(words.starts_with("X is in block "), "{words}");
    });
}

/// What the live world does with electrs at the end of a run.
#[test]
fn electrs_agrees_and_a_difference_to_it_is_noticed() {
    after("pay-a-b-c-d", WorldKind::Live, |net| {
        let theirs = net.second_opinion().expect("electrs answers").expect("a live world has one");
        let mut ours = net.settlement();
        assert_eq!(difference(&ours, &theirs), None);
        ours.parties[0].end = ours.parties[0].end.saturating_add(Sat::new(1));
        let words = difference(&ours, &theirs).expect("a satoshi was added");
        assert!(words.starts_with("alice ends with "), "{words}");
    });
}

/// Runs a scenario of the catalogue; `look` comes after its last line.
fn after(name: &str, world: WorldKind, look: Look) {
    let scenario = find(name).unwrap_or_else(|error| panic!("{error}"));
    INSIDE.set(Some([scenario.function, look]));
    let with_look = |net: &mut Net| {
        let [scenario, look] = INSIDE.get().expect("it was set before the run");
        scenario(net);
        look(net);
    };
    let scenario: &'static Scenario = Box::leak(Box::new(Scenario { function: with_look, ..*scenario }));
    let run = run(scenario, &Options::in_world(world)).unwrap_or_else(|error| panic!("{error}"));
    assert!(run.passed(), "{}", run.failure());
}

/// The settlement by the blocks, and by an index that was tampered with.
fn opinions(net: &mut Net, tamper: impl FnOnce(&mut Blocks)) -> (Settlement, Settlement) {
    let ours = net.settlement();
    let mut index = Blocks::new(&net.blocks());
    tamper(&mut index);
    let Ok(theirs) = net.second_opinion_of(&mut index);
    (ours, theirs)
}

fn txid_of(net: &mut Net, seed: &str) -> Txid {
    let settlement = net.settlement();
    let line = settlement.transactions.iter().find(|line| line.seed == seed);
    line.unwrap_or_else(|| panic!("no {seed} on the chain")).tx.compute_txid()
}

/// An index over blocks, as electrs has one.
#[derive(Default)]
struct Blocks {
    histories: BTreeMap<ScriptBuf, Vec<Mined>>,
    /// With height and place.
    transactions: BTreeMap<Txid, (u32, usize, Transaction)>,
}

impl Blocks {
    fn new(blocks: &[Arc<NewBlock>]) -> Self {
        let mut index = Blocks::default();
        let mut paid: BTreeMap<OutPoint, ScriptBuf> = BTreeMap::new();
        for block in blocks {
            let height = block.height.get();
            for (place, tx) in block.block.txdata.iter().enumerate() {
                let txid = tx.compute_txid();
                let spent = tx.input.iter().filter_map(|input| paid.get(&input.previous_output).cloned());
                let touched = spent.chain(tx.output.iter().map(|output| output.script_pubkey.clone()));
                let touched: Vec<ScriptBuf> = touched.collect();
                for script in touched {
                    let history = index.histories.entry(script).or_default();
                    if !history.iter().any(|mined| mined.txid == txid) {
                        history.push(Mined { height, txid });
                    }
                }
                let outputs = (0u32..).zip(&tx.output);
                paid.extend(
                    outputs.map(|(vout, output)| (OutPoint::new(txid, vout), output.script_pubkey.clone())),
                );
                index.transactions.insert(txid, (height, place, tx.clone()));
            }
        }
        index
    }
}

impl Index for Blocks {
    type Error = Infallible;

    fn histories(&mut self, scripts: &[ScriptBuf]) -> Result<Vec<Vec<Mined>>, Infallible> {
        Ok(scripts.iter().map(|script| self.histories.get(script).cloned().unwrap_or_default()).collect())
    }

    fn transactions(&mut self, txids: &[Txid]) -> Result<Vec<Transaction>, Infallible> {
        Ok(txids.iter().map(|txid| self.transactions[txid].2.clone()).collect())
    }

    fn places(&mut self, mined: &[Mined]) -> Result<Vec<usize>, Infallible> {
        Ok(mined.iter().map(|mined| self.transactions[&mined.txid].1).collect())
    }
}
