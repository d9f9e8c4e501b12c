//! Routes by hand: computed from the nodes' real policies, then bent where a scenario wants to see who objects.
use super::{ChannelRef, Invoice, Net, NodeRef};
use leyden_core::ids::{PaymentHash, PaymentSecret};
use leyden_core::node::{KnownChannel, RouteHop, RoutePayment};
use leyden_core::units::{CltvExpiry, Msat};

/// A route for one attempt. Each `with_` method bends one thing and leaves the rest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// The sender.
    pub from: NodeRef,
    /// The recipient.
    pub to: NodeRef,
    /// The hash to pay to.
    pub payment_hash: PaymentHash,
    /// The secret told to the recipient.
    pub payment_secret: PaymentSecret,
    /// The hops, first to last.
    pub hops: Vec<RouteHop>,
    /// The total told to the recipient.
    pub total: Msat,
    nodes: Vec<NodeRef>,
}

impl Net {
    /// The route of an invoice's payment from `from` over these channels, with exactly the fees and expiries that the nodes ask.
    #[track_caller]
    pub fn route(&mut self, from: NodeRef, channels: &[ChannelRef], invoice: &Invoice) -> Route {
        let mut nodes = Vec::new();
        let mut directions: Vec<KnownChannel> = Vec::new();
        let mut at = from;
        for channel in channels {
            let own = self.id(at);
            let Some(direction) = self.directions(*channel).into_iter().find(|known| known.from == own)
            else {
                panic!("{} has no end of {} or it is not ready", self.name(at), self.channel_title(*channel));
            };
            let Some(next) = self.by_id(direction.to) else {
                panic!("the channel's end is no node of the net")
            };
            at = next;
            nodes.push(at);
            directions.push(direction);
        }
        if at != invoice.to {
            panic!("the route ends at {}, the invoice is {}'s", self.name(at), self.name(invoice.to));
        }
        let expiry = self.height().saturating_add(invoice.min_final_cltv_delta);
        let mut arrives = (invoice.amount, expiry);
        let mut hops = Vec::new();
        for direction in directions.iter().rev() {
            let (amount, expiry) = arrives;
            hops.push(RouteHop {
                node: direction.to,
                short_channel_id: direction.short_channel_id,
                amount,
                cltv_expiry: CltvExpiry::new(expiry),
            });
            // What the node at the start of this hop wants to receive in order to forward it.
            let fee = direction.policy.fee(amount).unwrap_or_default();
            let delta = direction.policy.cltv_expiry_delta;
            arrives = (amount.saturating_add(fee), expiry.saturating_add(delta));
        }
        hops.reverse();
        Route {
            from,
            to: invoice.to,
            payment_hash: invoice.payment_hash,
            payment_secret: invoice.payment_secret,
            hops,
            total: invoice.amount,
            nodes,
        }
    }
}

impl Route {
    /// What arrives at the recipient.
    pub fn amount(&self) -> Msat {
        self.hops.last().map_or(Msat::ZERO, |hop| hop.amount)
    }

    /// What the nodes between get.
    pub fn fee(&self) -> Msat {
        let sent = self.hops.first().map_or(Msat::ZERO, |hop| hop.amount);
        sent.saturating_sub(self.amount())
    }

    /// So much less than it asks arrives at `node`, which sees its fee cut (or the recipient, its amount).
    #[track_caller]
    pub fn with_less_at(mut self, node: NodeRef, less: Msat) -> Self {
        let hop = self.hop(node);
        hop.amount = hop.amount.saturating_sub(less);
        self
    }

    /// The HTLC that arrives at `node` expires so many blocks sooner than it asks.
    #[track_caller]
    pub fn with_sooner_at(mut self, node: NodeRef, blocks: u32) -> Self {
        let hop = self.hop(node);
        hop.cltv_expiry = CltvExpiry::new(hop.cltv_expiry.get().saturating_sub(blocks));
        self
    }

    /// Every HTLC of the route expires so many blocks sooner: each node's delta is kept, the height comes nearer.
    pub fn with_all_sooner(mut self, blocks: u32) -> Self {
        for hop in &mut self.hops {
            hop.cltv_expiry = CltvExpiry::new(hop.cltv_expiry.get().saturating_sub(blocks));
        }
        self
    }

    /// Every HTLC of the route expires so many blocks later.
    pub fn with_all_later(mut self, blocks: u32) -> Self {
        for hop in &mut self.hops {
            hop.cltv_expiry = CltvExpiry::new(hop.cltv_expiry.get().saturating_add(blocks));
        }
        self
    }

    /// This amount at every hop, and as the total.
    pub fn with_amount(mut self, amount: Msat) -> Self {
        self.hops.iter_mut().for_each(|hop| hop.amount = amount);
        self.total = amount;
        self
    }

    /// Another hash than the recipient knows the preimage of.
    pub fn with_wrong_hash(mut self) -> Self {
        self.payment_hash.0[0] ^= 1;
        self
    }

    /// Another secret than the invoice's.
    pub fn with_wrong_secret(mut self) -> Self {
        self.payment_secret.0[0] ^= 1;
        self
    }

    #[track_caller]
    fn hop(&mut self, node: NodeRef) -> &mut RouteHop {
        match self.nodes.iter().position(|at| *at == node) {
            Some(index) => &mut self.hops[index],
            None => panic!("the route does not reach that node"),
        }
    }

    pub(super) fn to_payment(&self) -> RoutePayment {
        RoutePayment {
            payment_hash: self.payment_hash,
            payment_secret: self.payment_secret.0,
            hops: self.hops.clone(),
            total: self.total,
        }
    }
}
