//! Looks into the mempool: what is new there goes to the owner, all of it or what may show a preimage (BOLT 5: R counts wherever it shows). Core
//! has no way to wait for the mempool, so that it is looked at after each block and at an interval; a harness asks for each look.
use super::source::Source;
use crate::owner::Input;
use bitcoin::{Transaction, Txid};
use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Asks for a look.
#[derive(Debug)]
pub enum Look {
    /// Now.
    Now,
    /// Now, and the owner is told when all that was found is in its inbox.
    #[cfg(feature = "lab")]
    AndTell(u64),
}

/// What of the mempool is of interest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Interest {
    /// What may show a preimage: a node's.
    Preimages,
    /// Everything: a tower cannot know before what a breach looks like.
    All,
}

/// Runs until the process stops. `interval`: none to look only when asked.
pub fn watch(
    mut source: Source,
    asked: &Receiver<Look>,
    interval: Option<Duration>,
    interest: Interest,
    inbox: &mpsc::Sender<Input>,
) {
    let mut seen = BTreeSet::new();
    loop {
        let look = match interval {
            Some(interval) => match asked.recv_timeout(interval) {
                Ok(look) => look,
                Err(RecvTimeoutError::Timeout) => Look::Now,
                Err(RecvTimeoutError::Disconnected) => return,
            },
            None => match asked.recv() {
                Ok(look) => look,
                Err(_) => return,
            },
        };
        if look_once(&mut source, &mut seen, interest, inbox).is_none() {
            return;
        }
        match look {
            Look::Now => {}
            #[cfg(feature = "lab")]
            Look::AndTell(number) => {
                if inbox.blocking_send(Input::Lab(crate::lab::Nudge::Obeyed(number))).is_err() {
                    return;
                }
            }
        }
    }
}

/// None when the process stops.
fn look_once(
    source: &mut Source,
    seen: &mut BTreeSet<Txid>,
    interest: Interest,
    inbox: &mpsc::Sender<Input>,
) -> Option<()> {
    let Ok(held) = source.patiently(|server| server.mempool())? else { return Some(()) };
    let held: BTreeSet<Txid> = held.into_iter().collect();
    seen.retain(|txid| held.contains(txid));
    for txid in held {
        if !seen.insert(txid) {
            continue;
        }
        let Ok(Some(tx)) = source.patiently(|server| server.transaction(&txid))? else { continue };
        if interest == Interest::All || may_show_preimage(&tx) {
            inbox.blocking_send(Input::Unconfirmed(Arc::new(tx))).ok()?;
        }
    }
    Some(())
}

fn may_show_preimage(tx: &Transaction) -> bool {
    tx.input.iter().any(|input| input.witness.iter().any(|element| element.len() == 32))
}
