//! What the lab sees of a node's inside: reads only. Without the feature `lab` it does not exist.
use super::Node;
use crate::channel::Channel;
use crate::ids::{ChannelId, PaymentHash, Preimage};

impl Node {
    /// A channel as it is now.
    pub fn channel(&self, id: ChannelId) -> Option<&Channel> {
        self.channels.get(&id)
    }

    /// R of an invoice of this node, paid or not.
    pub fn own_preimage(&self, hash: &PaymentHash) -> Option<Preimage> {
        self.invoices.get(hash).map(|invoice| invoice.preimage)
    }
}
