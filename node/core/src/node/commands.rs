//! What the owner asks: each command is answered at once, what comes of it later is told by notices.

use super::draft::Draft;
use super::{
    Action, Command, CommandError, Counters, ForwardPolicy, KnownChannel, Node, Reply, RoutePayment,
};
use crate::channel::{self, Channel, Env, Input, OpenRequest};
use crate::ids::{ChannelId, NodeId, PaymentSecret, Preimage};
use crate::payment::incoming::{InvoiceState, OwnInvoice, LEAST_FINAL_CLTV_DELTA};
use crate::payment::invoice::{Invoice, InvoiceTerms, RouteHintHop};
use crate::payment::outgoing::{Order, Outgoing};
use crate::tx::ChannelTerms;
use crate::units::{Msat, Sat, Timestamp};

/// The chain that invoices are for.
const NETWORK: bitcoin::Network = bitcoin::Network::Regtest;

type Answer = Result<Reply, CommandError>;

impl Node {
    pub(super) fn on_command(&mut self, call: u64, command: Command, env: &Env, draft: &mut Draft) {
        let result = match command {
            Command::NewAddress => Ok(Reply::Address(self.wallet.fresh_script())),
            Command::Open(request) => self.open(&request, env, draft),
            Command::Close { channel, feerate } => {
                self.tell(channel, channel::Command::Close { script: None, feerate }, env, draft)
            }
            Command::ForceClose { channel } => self.tell(channel, channel::Command::ForceClose, env, draft),
            Command::UpdateFee { channel, feerate } => {
                self.tell(channel, channel::Command::UpdateFee(feerate), env, draft)
            }
            Command::Invoice { amount, description, min_final_cltv_delta } => {
                self.invoice(amount, description, min_final_cltv_delta, env, draft)
            }
            Command::Pay { invoice, amount, max_fee } => self.pay(&invoice, amount, max_fee, env, draft),
            Command::PayRoute(route) => self.pay_route(route, env, draft),
            Command::LearnChannel(known) => {
                let kept = self.network.learn(known);
                kept.then_some(Reply::Done).ok_or_else(|| refusal("no more channels can be learnt"))
            }
            Command::ListChannels => Ok(Reply::Channels(self.list_channels())),
            Command::ListPayments => Ok(Reply::Payments(self.list_payments())),
            Command::Balances => Ok(Reply::Balances(self.balances())),
        };
        // The answer comes before whatever the command has already led to.
        draft.actions.insert(0, Action::Reply { call, result });
    }

    fn tell(&mut self, id: ChannelId, command: channel::Command, env: &Env, draft: &mut Draft) -> Answer {
        if !self.channels.contains_key(&id) {
            return Err(CommandError(format!("there is no channel {id}")));
        }
        self.step(id, Input::Command(command), env, draft)
            .map_err(|rejection| CommandError(rejection.to_string()))?;
        Ok(Reply::Done)
    }

    fn open(&mut self, request: &OpenRequest, env: &Env, draft: &mut Draft) -> Answer {
        if !self.peers.get(&request.peer).is_some_and(|peer| peer.is_ready()) {
            return Err(CommandError(format!("connect to {} first", request.peer)));
        }
        self.check_anchor_reserve(request)?;
        let index = self.next_channel(draft);
        let temporary = self.temporary_id(index);
        let keys = self.seed.channel_keys(index);
        let destination = self.destination();
        let config = self.channel_config(request.peer);
        let step = Channel::open(request, &config, keys, index, temporary, destination, env)
            .map_err(|rejection| CommandError(rejection.to_string()))?;
        self.apply(temporary, step, env, draft);
        Ok(Reply::Opening { temporary })
    }

    /// A channel with anchors can be closed alone only by who has coins to pay for it: what this opening leaves must do for every
    /// such channel.
    fn check_anchor_reserve(&mut self, request: &OpenRequest) -> Result<(), CommandError> {
        let with_anchors =
            |terms: Option<&ChannelTerms>| terms.is_some_and(|terms| terms.channel_type.has_anchors());
        let others = self.channels.values().filter(|channel| with_anchors(channel.terms())).count() as u64;
        let count = others + u64::from(request.channel_type.has_anchors());
        let reserve = Sat::new(self.config.anchor_reserve.get().saturating_mul(count));
        let (has, needs) = (self.wallet.balance(), request.funding_amount.saturating_add(reserve));
        if count == 0 || has >= needs {
            return Ok(());
        }
        let amount = request.funding_amount;
        Err(CommandError(format!(
            "{has} in the wallet: {amount} for the channel would not leave the {reserve} that {count} channels with anchors need"
        )))
    }

    fn invoice(
        &mut self,
        amount: Option<Msat>,
        description: String,
        min_final_cltv_delta: Option<u32>,
        env: &Env,
        draft: &mut Draft,
    ) -> Answer {
        let delta = min_final_cltv_delta.unwrap_or(LEAST_FINAL_CLTV_DELTA);
        let delta = u16::try_from(delta).ok().filter(|_| delta >= LEAST_FINAL_CLTV_DELTA).ok_or_else(|| {
            CommandError(format!(
                "a final CLTV delta of {delta} blocks: it must be {LEAST_FINAL_CLTV_DELTA} to {}, or a block or two close the channel",
                u16::MAX
            ))
        })?;
        let expiry_seconds = self.config.invoice_expiry_seconds;
        let number = Counters::take(&mut self.counters.invoices);
        draft.counters = true;
        let own = OwnInvoice {
            preimage: Preimage(self.seed.entropy("preimage", number)),
            payment_secret: self.seed.entropy("payment secret", number),
            amount,
            min_final_cltv_delta: delta.into(),
            expires_at: env.now.saturating_add(Timestamp::new(expiry_seconds.saturating_mul(1_000_000))),
            state: InvoiceState::Open,
        };
        let payment_hash = own.payment_hash();
        let terms = InvoiceTerms {
            network: NETWORK,
            amount,
            description,
            payment_hash,
            payment_secret: PaymentSecret(own.payment_secret),
            min_final_cltv_expiry_delta: delta,
            expiry_seconds,
            timestamp: env.now,
            route_hints: Vec::new(),
        };
        let invoice = terms.sign(&self.secret).map_err(|error| CommandError(error.to_string()))?;
        self.invoices.insert(payment_hash, own);
        draft.invoices.insert(payment_hash);
        Ok(Reply::Invoice { text: invoice.as_str().to_owned(), payment_hash })
    }

    fn pay(
        &mut self,
        text: &str,
        amount: Option<Msat>,
        max_fee: Msat,
        env: &Env,
        draft: &mut Draft,
    ) -> Answer {
        let invoice = Invoice::parse(text).map_err(|error| CommandError(error.to_string()))?;
        invoice.check_payable(NETWORK, env.now).map_err(|error| CommandError(error.to_string()))?;
        let amount = amount_due(&invoice, amount)?;
        let hash = invoice.payment_hash;
        if invoice.payee == self.id {
            return Err(refusal("this invoice is our own"));
        }
        if self.is_paying(&hash) || self.is_paid(&hash) {
            return Err(refusal("this invoice is paid already, or being paid"));
        }
        let order = Order {
            payment_hash: hash,
            payee: invoice.payee,
            amount,
            payment_secret: invoice.payment_secret.0,
            min_final_cltv_delta: invoice.min_final_cltv_expiry_delta,
            hints: hints(&invoice),
            payment_metadata: invoice.payment_metadata,
            max_fee,
        };
        self.begin_payment(Outgoing::searching(order), draft);
        self.try_next(hash, env, draft);
        Ok(Reply::Paying { payment_hash: hash })
    }

    fn pay_route(&mut self, route: RoutePayment, env: &Env, draft: &mut Draft) -> Answer {
        let hash = route.payment_hash;
        let payment = Outgoing::over_route(&route).ok_or_else(|| refusal("the route has no hops"))?;
        let ready = route.hops.first().is_some_and(|hop| self.by_scid.contains_key(&hop.short_channel_id));
        if !ready {
            return Err(refusal("the route must begin with a channel of this node that is ready"));
        }
        if self.is_paying(&hash) {
            return Err(refusal("a payment to this hash is under way"));
        }
        self.begin_payment(payment, draft);
        self.send_attempt(hash, route.hops, env, draft);
        Ok(Reply::Paying { payment_hash: hash })
    }
}

/// The invoice's private channels, each towards the next and the last towards the payee.
fn hints(invoice: &Invoice) -> Vec<KnownChannel> {
    let mut known = Vec::new();
    for route in &invoice.route_hints {
        let ends = route.iter().skip(1).map(|hop| hop.pubkey).chain([invoice.payee]);
        known.extend(route.iter().zip(ends).map(|(hop, to)| hint(hop, to)));
    }
    known
}

fn hint(hop: &RouteHintHop, to: NodeId) -> KnownChannel {
    let policy = ForwardPolicy {
        fee_base: Msat::new(hop.fee_base_msat.into()),
        fee_proportional_millionths: hop.fee_proportional_millionths,
        cltv_expiry_delta: hop.cltv_expiry_delta.into(),
        ..ForwardPolicy::default()
    };
    // An invoice names no capacity: whether the amount fits shows when it is tried.
    let capacity = policy.htlc_maximum.floor_to_sat();
    KnownChannel { short_channel_id: hop.short_channel_id, from: hop.pubkey, to, capacity, policy }
}

/// What to pay: the invoice's amount, the caller's where it names none.
fn amount_due(invoice: &Invoice, given: Option<Msat>) -> Result<Msat, CommandError> {
    match (invoice.amount, given) {
        (Some(asked), Some(given)) if given < asked => Err(refusal("less than the invoice asks")),
        (Some(asked), Some(given)) if given > asked.saturating_add(asked) => {
            Err(refusal("more than twice what the invoice asks"))
        }
        (_, Some(given)) if given > Msat::ZERO => Ok(given),
        (Some(asked), None) => Ok(asked),
        (_, _) => Err(refusal("the invoice names no amount: give one")),
    }
}

fn refusal(text: &str) -> CommandError {
    CommandError(text.to_owned())
}
