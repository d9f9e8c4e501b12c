//! Our transactions on their way to the chain: one thread, in order. What the source cannot take now because it is down waits and is tried
//! again; what it refuses is said, and the node decides at the next block what to do.
use super::source::Source;
use super::RpcError;
use bitcoin::{Transaction, Txid};
use std::sync::mpsc;

/// Its word on one transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// Which.
    pub txid: Txid,
    /// None: taken. Else its reject word.
    pub refused: Option<String>,
}

/// The way to the chain. Cheap to clone.
#[derive(Clone)]
pub struct Broadcaster {
    jobs: mpsc::Sender<Vec<Transaction>>,
}

impl Broadcaster {
    /// Starts the thread; it ends with the last [`Broadcaster`], or when the process stops. `told` hears each verdict.
    pub fn start(mut source: Source, told: impl Fn(Vec<Verdict>) + Send + 'static) -> std::io::Result<Self> {
        let (jobs, waiting) = mpsc::channel::<Vec<Transaction>>();
        std::thread::Builder::new().name("broadcast".into()).spawn(move || {
            for transactions in waiting {
                let Some(verdicts) = submit(&mut source, &transactions) else { return };
                for verdict in verdicts.iter() {
                    match &verdict.refused {
                        None => tracing::info!(txid = %verdict.txid, "the chain took a transaction"),
                        Some(word) => {
                            tracing::warn!(txid = %verdict.txid, word, "the chain did not take a transaction")
                        }
                    }
                }
                told(verdicts);
            }
        })?;
        Ok(Self { jobs })
    }

    /// Hands over one transaction, or several that belong together, parents first.
    pub fn broadcast(&self, transactions: Vec<Transaction>) {
        // The thread ends only with the process.
        let _ = self.jobs.send(transactions);
    }
}

/// None when the process stops before it answers.
fn submit(source: &mut Source, transactions: &[Transaction]) -> Option<Vec<Verdict>> {
    let whole = |word: Option<String>| {
        let verdict = |tx: &Transaction| Verdict { txid: tx.compute_txid(), refused: word.clone() };
        transactions.iter().map(verdict).collect()
    };
    if let [tx] = transactions {
        return Some(match source.patiently(|server| server.submit(tx))? {
            Ok(()) => whole(None),
            Err(error) => whole(Some(word_of(error))),
        });
    }
    Some(match source.patiently(|server| server.submit_package(transactions))? {
        Ok(words) => {
            let pairs = transactions.iter().zip(words);
            pairs.map(|(tx, refused)| Verdict { txid: tx.compute_txid(), refused }).collect()
        }
        Err(error) => whole(Some(word_of(error))),
    })
}

fn word_of(error: RpcError) -> String {
    match error {
        RpcError::Refused { message, .. } => message,
        other => other.to_string(),
    }
}
