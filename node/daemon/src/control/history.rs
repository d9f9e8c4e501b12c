//! The newest notices, ready to be sent, and where a subscriber stands in them. One ring for all subscribers: how slow
//! one of them is costs no memory, it only finds that what it wanted next is gone, and is told how much.

use super::json::Json;
use super::stream::StreamItem;
use hyper::body::Bytes;
use leyden_core::node::Notice;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

/// The ring.
pub(super) struct History {
    ring: Mutex<Ring>,
    newest: watch::Sender<u64>,
}

#[derive(Default)]
struct Ring {
    /// Number and line, numbers rising; a number that is missing was lost on the way here.
    lines: VecDeque<(u64, Bytes)>,
    bytes: usize,
    lines_max: usize,
    bytes_max: usize,
}

impl History {
    /// An empty one, which keeps so many lines and so many bytes of them.
    pub(super) fn new(lines_max: usize, bytes_max: usize) -> Self {
        let ring = Ring { lines_max, bytes_max, ..Ring::default() };
        Self { ring: Mutex::new(ring), newest: watch::Sender::new(0) }
    }

    /// Keeps all that comes until the sender is gone.
    pub(super) async fn follow(&self, mut notices: broadcast::Receiver<(u64, Notice)>) {
        loop {
            match notices.recv().await {
                Ok((number, notice)) => self.push(number, notice),
                // The numbers show the gap to whoever reads on.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn push(&self, number: u64, notice: Notice) {
        let line = line(&StreamItem::Notice { number, notice });
        let mut ring = self.ring();
        ring.bytes += line.len();
        ring.lines.push_back((number, line));
        while ring.lines.len() > ring.lines_max || ring.bytes > ring.bytes_max {
            let Some((_, line)) = ring.lines.pop_front() else { break };
            ring.bytes -= line.len();
        }
        drop(ring);
        self.newest.send_replace(number);
    }

    /// The number of the newest notice; 0 before the first.
    pub(super) fn newest(&self) -> u64 {
        *self.newest.borrow()
    }

    /// Tells of each new notice.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Up to `limit` lines from number `from` on, `lagged` ones among them, and the number to go on with.
    pub(super) fn since(&self, mut from: u64, limit: usize) -> (Vec<Bytes>, u64) {
        let ring = self.ring();
        let first = ring.lines.partition_point(|(number, _)| *number < from);
        let mut lines = Vec::new();
        // A line that was too large to keep at all leaves a gap at the end, which shows with the next.
        for (number, kept) in ring.lines.iter().skip(first) {
            if lines.len() >= limit {
                break;
            }
            if *number > from {
                lines.push(line(&StreamItem::Lagged { missed: number - from }));
            }
            lines.push(kept.clone());
            from = number.saturating_add(1);
        }
        (lines, from)
    }

    /// A panic elsewhere leaves no half of a line here: every change is a whole push.
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn line(item: &StreamItem) -> Bytes {
    let mut text = item.write().to_string();
    text.push('\n');
    Bytes::from(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use leyden_core::ids::ChannelId;

    #[test]
    fn a_reader_gets_all_in_order() {
        let history = filled(10, 1..=3);
        assert_eq!(read(&history, 1), [Ok(1), Ok(2), Ok(3)]);
        assert_eq!(read(&history, 3), [Ok(3)]);
        assert_eq!(read(&history, 4), []);
    }

    #[test]
    fn a_slow_reader_is_told_how_many_it_missed() {
        let history = filled(2, 1..=5);
        assert_eq!(read(&history, 1), [Err(3), Ok(4), Ok(5)]);
        assert_eq!(read(&history, 0), [Err(4), Ok(4), Ok(5)]);
    }

    #[test]
    fn what_was_lost_on_the_way_is_told_where_it_is_missing() {
        let history = filled(10, [1, 2, 5]);
        assert_eq!(read(&history, 1), [Ok(1), Ok(2), Err(2), Ok(5)]);
    }

    #[test]
    fn bytes_are_bounded_too() {
        let history = History::new(1000, 300);
        (1..=100).for_each(|number| history.push(number, notice()));
        assert!(history.ring().bytes <= 300);
        assert_eq!(read(&history, 100), [Ok(100)]);
    }

    fn filled(lines_max: usize, numbers: impl IntoIterator<Item = u64>) -> History {
        let history = History::new(lines_max, 1 << 20);
        numbers.into_iter().for_each(|number| history.push(number, notice()));
        history
    }

    fn notice() -> Notice {
        Notice::ChannelResolved { channel: ChannelId([7; 32]) }
    }

    /// Numbers, or how many were missed.
    fn read(history: &History, from: u64) -> Vec<Result<u64, u64>> {
        let items = history.since(from, 100).0.into_iter().map(|line| {
            match StreamItem::read(&serde_json::from_slice(&line).expect("JSON")).expect("an event") {
                StreamItem::Notice { number, .. } => Ok(number),
                StreamItem::Lagged { missed } => Err(missed),
            }
        });
        items.collect()
    }
}
