//! The orders given to one node's processes, and which of them are not carried out yet. They may be done in another order than they were
//! given: a look into the mempool takes its time, and what was ordered after it does not wait for it.
use std::collections::BTreeSet;

/// Orders of one node, numbered from 1 over all its processes.
#[derive(Default, Debug)]
pub(super) struct Orders {
    given: u64,
    left: BTreeSet<u64>,
}

impl Orders {
    /// One more is given. Its number.
    pub fn give(&mut self) -> u64 {
        self.given += 1;
        self.left.insert(self.given);
        self.given
    }

    /// This one is carried out; one that was lost may be as well.
    pub fn done(&mut self, number: u64) {
        self.left.remove(&number);
    }

    /// The process is gone, and with it all that it was to do.
    pub fn lose(&mut self) {
        self.left.clear();
    }

    /// How many are not carried out.
    pub fn left(&self) -> usize {
        self.left.len()
    }
}

#[cfg(test)]
mod tests {
    use super::Orders;

    #[test]
    fn an_order_that_is_done_before_an_earlier_one_is_one_order() {
        let mut orders = Orders::default();
        let (look, run) = (orders.give(), orders.give());
        orders.done(run);
        assert_eq!(orders.left(), 1, "the look is under way");
        orders.done(look);
        assert_eq!(orders.left(), 0);
    }

    #[test]
    fn what_a_dead_process_still_told_is_not_taken_for_the_next_ones() {
        let mut orders = Orders::default();
        let lost = orders.give();
        orders.lose();
        assert_eq!(orders.left(), 0);
        orders.give();
        orders.done(lost);
        assert_eq!(orders.left(), 1);
    }
}
