//! Which of our transactions the chain's source has taken, counted for each channel since the process started: whoever mines by hand
//! must not mine before the transaction that he wants in a block is there. Only counts; nothing here decides anything.
use super::Verdict;
use bitcoin::Txid;
use leyden_core::ids::ChannelId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// The counts. Cheap to clone.
#[derive(Clone)]
pub struct Taken {
    /// Handed over and not judged yet.
    pending: Arc<Mutex<BTreeMap<Txid, ChannelId>>>,
    counts: Arc<watch::Sender<BTreeMap<ChannelId, u64>>>,
}

impl Default for Taken {
    fn default() -> Self {
        Self { pending: Arc::default(), counts: Arc::new(watch::Sender::new(BTreeMap::new())) }
    }
}

impl Taken {
    /// A transaction of this channel is about to be handed over.
    pub fn expect(&self, channel: ChannelId, txid: Txid) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).insert(txid, channel);
    }

    /// The source's word.
    pub fn judge(&self, verdicts: &[Verdict]) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        for verdict in verdicts {
            let Some(channel) = pending.remove(&verdict.txid) else { continue };
            if verdict.refused.is_none() {
                self.counts.send_modify(|counts| *counts.entry(channel).or_default() += 1);
            }
        }
    }

    /// Waits until more than so many of this channel's transactions were taken; how many by then.
    pub async fn more_than(&self, channel: ChannelId, few: u64) -> u64 {
        let count = |counts: &BTreeMap<ChannelId, u64>| counts.get(&channel).copied().unwrap_or_default();
        let mut news = self.counts.subscribe();
        // The sender lives as long as this value.
        let seen = news.wait_for(|counts| count(counts) > few).await;
        seen.map_or(0, |counts| count(&counts))
    }

    /// How many so far.
    pub fn count(&self, channel: &ChannelId) -> u64 {
        self.counts.borrow().get(channel).copied().unwrap_or_default()
    }
}
