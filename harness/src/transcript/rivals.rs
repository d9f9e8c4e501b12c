//! What only the order in one process settled: two nodes hand in transactions that spend the same output, both because of the same block, or
//! the second one because of a message that left together with the first transaction. Between processes either may be first.
use super::{Cause, Entry, Happened, Transcript, Turn, Verdict};
use bitcoin::{OutPoint, Txid};
use std::collections::BTreeMap;

/// Two transactions of which only one can stay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rivals {
    /// Here it was handed in first.
    pub first: Txid,
    /// And this one second.
    pub second: Txid,
}

/// What a node worked on, and what it said.
struct Work<'a> {
    turn: &'a Turn,
    sent: Vec<&'a [u8]>,
}

impl Work<'_> {
    /// Whether nothing but the order in one process puts this before the other.
    fn races(&self, later: &Turn) -> bool {
        match (&self.turn.cause, &later.cause) {
            (Cause::Block(one), Cause::Block(other)) => one.height == other.height,
            (_, Cause::Message { from, bytes }) => {
                *from == self.turn.node && self.sent.contains(&bytes.as_slice())
            }
            _ => false,
        }
    }
}

impl Transcript {
    /// The first of them, if there are any.
    pub fn rivals(&self) -> Option<Rivals> {
        let mut done: Vec<Work> = Vec::new();
        // By what, and in which turn; since the last block, or since somebody woke up.
        let mut spent: BTreeMap<OutPoint, (Txid, usize)> = BTreeMap::new();
        for happened in self.happened() {
            match happened {
                Happened::Turn(turn) => {
                    if matches!(turn.cause, Cause::Speech) {
                        spent.clear();
                    }
                    done.push(Work { turn, sent: Vec::new() });
                }
                Happened::Entry(Entry::Block { .. }) => spent.clear(),
                Happened::Entry(Entry::Message { from, bytes, .. }) => {
                    if let Some(work) = done.last_mut().filter(|work| work.turn.node == *from) {
                        work.sent.push(bytes);
                    }
                }
                Happened::Entry(Entry::Broadcast { node, tx, verdict }) => {
                    let Some(now) = done.last().filter(|work| work.turn.node == *node) else { continue };
                    if !matches!(verdict, Verdict::Taken | Verdict::Refused(_)) {
                        continue;
                    }
                    let outpoints = tx.input.iter().map(|input| input.previous_output);
                    let second = tx.compute_txid();
                    let races = |(first, turn): &&(Txid, usize)| {
                        let before = &done[*turn];
                        *first != second && before.turn.node != *node && before.races(now.turn)
                    };
                    if let Some((first, _)) =
                        outpoints.clone().filter_map(|spent_here| spent.get(&spent_here)).find(races)
                    {
                        return Some(Rivals { first: *first, second });
                    }
                    if *verdict == Verdict::Taken {
                        spent.extend(outpoints.map(|outpoint| (outpoint, (second, done.len() - 1))));
                    }
                }
                Happened::Entry(_) => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::{
        absolute, transaction, Amount, Block, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness,
    };
    use leyden_core::node::NewBlock;
    use leyden_core::units::{BlockHeight, Timestamp};
    use std::sync::Arc;

    /// A transaction that spends the one output, and is another with another value.
    fn spend(value: u64) -> Transaction {
        Transaction {
            version: transaction::Version::TWO,
            lock_time: absolute::LockTime::ZERO,
            input: vec![TxIn {
                previous_output: OutPoint::null(),
                script_sig: ScriptBuf::new(),
                sequence: Sequence::MAX,
                witness: Witness::new(),
            }],
            output: vec![TxOut { value: Amount::from_sat(value), script_pubkey: ScriptBuf::new() }],
        }
    }

    fn block() -> Cause {
        let block: Block = bitcoin::constants::genesis_block(bitcoin::Network::Regtest);
        let hash = block.block_hash();
        Cause::Block(Arc::new(NewBlock { height: BlockHeight::new(7), hash, block }))
    }

    /// Node 0 hands in one transaction with this cause and says so to node 1, which hands in another with that cause.
    fn rivals(one: Cause, between: Option<Entry>, other: Cause, verdict: Verdict) -> Option<Rivals> {
        let mut transcript = Transcript::default();
        let handed_in = |node, value, verdict| Entry::Broadcast { node, tx: spend(value), verdict };
        transcript.turn(0, one);
        transcript.push(Timestamp::ZERO, handed_in(0, 1, Verdict::Taken));
        transcript.push(Timestamp::ZERO, Entry::Message { from: 0, to: 1, bytes: vec![0, 17] });
        between.into_iter().for_each(|entry| transcript.push(Timestamp::ZERO, entry));
        transcript.turn(1, other);
        transcript.push(Timestamp::ZERO, handed_in(1, 2, verdict));
        transcript.rivals()
    }

    fn refused() -> Verdict {
        Verdict::Refused("insufficient fee".into())
    }

    #[test]
    fn a_message_about_a_transaction_sets_off_its_rival() {
        let said = || Cause::Message { from: 0, bytes: vec![0, 17] };
        let found = Some(Rivals { first: spend(1).compute_txid(), second: spend(2).compute_txid() });
        assert_eq!(rivals(Cause::Other, None, said(), refused()), found);
        assert_eq!(rivals(Cause::Other, None, said(), Verdict::Taken), found, "it took the other's place");
        let earlier = Cause::Message { from: 0, bytes: vec![0, 1] };
        assert_eq!(rivals(Cause::Other, None, earlier, refused()), None, "it said that before");
        let mined = Entry::Block { height: 8, txids: Vec::new() };
        assert_eq!(rivals(Cause::Other, Some(mined), said(), refused()), None, "a block between them");
    }

    #[test]
    fn one_block_sets_off_both() {
        assert!(rivals(block(), None, block(), refused()).is_some());
        assert_eq!(rivals(Cause::Other, None, block(), refused()), None, "the script was first");
    }
}
