//! Payments: by invoice or over a given route, one at a time or several at once, and what became of each.
use super::{code, Net, NodeRef, Route};
use crate::checks::{PaymentEvidence, Sent};
use crate::settlement::{grouped, PaymentLine};
use leyden_core::ids::{PaymentHash, PaymentSecret};
use leyden_core::node::{Command, Notice, PaymentFailure, Reply};
use leyden_core::units::Msat;

/// A payment of the scenario.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Payment(usize);

/// What a recipient asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Invoice {
    /// The recipient.
    pub to: NodeRef,
    /// BOLT 11 text.
    pub text: String,
    /// What it asks.
    pub amount: Msat,
    /// H(R).
    pub payment_hash: PaymentHash,
    /// Ties the payment to it.
    pub payment_secret: PaymentSecret,
    /// Blocks that the last HTLC must leave the recipient.
    pub min_final_cltv_delta: u32,
}

/// What the net knows of a payment.
pub(super) struct PaymentData {
    from: NodeRef,
    to: NodeRef,
    amount: Msat,
    max_fee: Msat,
    hash: PaymentHash,
    /// A command that was refused: no attempt was ever made.
    refused: Option<String>,
}

/// How a payment stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    /// No result yet.
    Pending,
    /// It arrived, for this fee.
    Succeeded {
        /// What the nodes between got.
        fee: Msat,
    },
    /// It failed for good.
    Failed {
        /// The node that failed it, if it is known.
        at: Option<NodeRef>,
        /// The BOLT's code; 0 when it never left.
        code: u16,
        /// In words.
        text: String,
    },
}

impl Net {
    /// An invoice of `to` for this amount, with BOLT 11's default final expiry.
    #[track_caller]
    pub fn invoice(&mut self, to: NodeRef, amount: Msat) -> Invoice {
        self.invoice_with_delta(to, amount, None)
    }

    /// The same; the last HTLC must leave the recipient this many blocks.
    #[track_caller]
    pub fn invoice_with_delta(&mut self, to: NodeRef, amount: Msat, delta: Option<u32>) -> Invoice {
        let description = format!("for {}", self.name(to));
        let command = Command::Invoice { amount: Some(amount), description, min_final_cltv_delta: delta };
        let (text, payment_hash) = match self.command(to, command) {
            Ok(Reply::Invoice { text, payment_hash }) => (text, payment_hash),
            other => self.unexpected(to, "an invoice", &other),
        };
        self.run();
        let read: leyden_core::payment::invoice::Invoice = match text.parse() {
            Ok(invoice) => invoice,
            Err(error) => panic!("{}'s invoice cannot be read: {error}", self.name(to)),
        };
        let payment_secret = read.payment_secret;
        let min_final_cltv_delta = read.min_final_cltv_expiry_delta;
        Invoice { to, text, amount, payment_hash, payment_secret, min_final_cltv_delta }
    }

    /// Every HTLC that was offered for this invoice so far, in order: from whom, to whom.
    pub fn offers_of(&self, invoice: &Invoice) -> Vec<(NodeRef, NodeRef)> {
        let offers = self.offered().iter().filter(|offer| offer.payment_hash == invoice.payment_hash);
        offers.map(|offer| (NodeRef(offer.from), NodeRef(offer.to))).collect()
    }

    /// Pays, to the end; it must succeed.
    #[track_caller]
    pub fn pay(&mut self, from: NodeRef, to: NodeRef, amount: Msat) -> Payment {
        let payment = self.try_pay(from, to, amount);
        self.expect_success(payment);
        payment
    }

    /// Pays, to whatever end.
    #[track_caller]
    pub fn try_pay(&mut self, from: NodeRef, to: NodeRef, amount: Msat) -> Payment {
        let payment = self.start_pay(from, to, amount);
        self.run();
        payment
    }

    /// Begins to pay; nothing moves before [`Net::run`]. So several payments are under way at once.
    #[track_caller]
    pub fn start_pay(&mut self, from: NodeRef, to: NodeRef, amount: Msat) -> Payment {
        let invoice = self.invoice(to, amount);
        self.start_pay_invoice(from, &invoice)
    }

    /// Pays an invoice, to the end; it must succeed.
    #[track_caller]
    pub fn pay_invoice(&mut self, from: NodeRef, invoice: &Invoice) -> Payment {
        let payment = self.start_pay_invoice(from, invoice);
        self.run();
        self.expect_success(payment);
        payment
    }

    /// Begins to pay an invoice. Fees may be a twentieth of the amount and ten satoshis.
    #[track_caller]
    pub fn start_pay_invoice(&mut self, from: NodeRef, invoice: &Invoice) -> Payment {
        let max_fee = Msat::new(invoice.amount.get() / 20 + 10_000);
        let command = Command::Pay { invoice: invoice.text.clone(), amount: None, max_fee };
        self.start(from, invoice.to, invoice.amount, max_fee, invoice.payment_hash, command)
    }

    /// Sends one attempt over exactly this route, to whatever end.
    #[track_caller]
    pub fn pay_route(&mut self, route: &Route) -> Payment {
        let payment = self.start_pay_route(route);
        self.run();
        payment
    }

    /// Begins one attempt over exactly this route.
    #[track_caller]
    pub fn start_pay_route(&mut self, route: &Route) -> Payment {
        let command = Command::PayRoute(route.to_payment());
        self.start(route.from, route.to, route.amount(), route.fee(), route.payment_hash, command)
    }

    #[track_caller]
    fn start(
        &mut self,
        from: NodeRef,
        to: NodeRef,
        amount: Msat,
        max_fee: Msat,
        hash: PaymentHash,
        command: Command,
    ) -> Payment {
        let refused = self.command(from, command).err().map(|error| error.to_string());
        self.payments.push(PaymentData { from, to, amount, max_fee, hash, refused });
        Payment(self.payments.len() - 1)
    }

    /// How the payment stands.
    pub fn standing(&self, payment: Payment) -> Standing {
        let data = &self.payments[payment.0];
        if let Some(text) = &data.refused {
            return Standing::Failed { at: None, code: 0, text: text.clone() };
        }
        match self.results(payment).last() {
            Some(Notice::PaymentSent { fee, .. }) => Standing::Succeeded { fee: *fee },
            Some(Notice::PaymentFailed { failure, .. }) => {
                let PaymentFailure { node, code, text } = failure.clone();
                Standing::Failed { at: node.and_then(|node| self.by_id(node)), code, text }
            }
            _ => Standing::Pending,
        }
    }

    /// What the sender was told of this payment. A node pays a hash again only after the last try ended, so that each try has
    /// one result, in order; the last try gets what is left, so that a result too many is seen.
    fn results(&self, payment: Payment) -> Vec<&Notice> {
        let data = &self.payments[payment.0];
        let same = |other: &&PaymentData| {
            other.hash == data.hash && other.from == data.from && other.refused.is_none()
        };
        let before = self.payments[..payment.0].iter().filter(same).count();
        let is_last = !self.payments[payment.0 + 1..].iter().any(|other| same(&other));
        let told = self.notices(data.from).filter(|notice| match notice {
            Notice::PaymentSent { payment_hash, .. } | Notice::PaymentFailed { payment_hash, .. } => {
                *payment_hash == data.hash
            }
            _ => false,
        });
        told.skip(before).take(if is_last { usize::MAX } else { 1 }).collect()
    }

    /// The fee of a payment that succeeded; it must have.
    #[track_caller]
    pub fn fee(&self, payment: Payment) -> Msat {
        match self.standing(payment) {
            Standing::Succeeded { fee } => fee,
            _ => panic!("{} was to succeed: {}", self.title(payment), self.told(payment)),
        }
    }

    /// The payment succeeded.
    #[track_caller]
    pub fn expect_success(&self, payment: Payment) {
        self.fee(payment);
    }

    /// The payment has no result yet.
    #[track_caller]
    pub fn expect_pending(&self, payment: Payment) {
        if self.standing(payment) != Standing::Pending {
            panic!("{} was to be pending: {}", self.title(payment), self.told(payment));
        }
    }

    /// The payment failed at this node with this code (see [`code`]).
    #[track_caller]
    pub fn expect_failure(&self, payment: Payment, node: NodeRef, wanted: u16) {
        match self.standing(payment) {
            Standing::Failed { at: Some(at), code, .. } if at == node && code == wanted => {}
            _ => panic!(
                "{} was to fail at {} with {}: {}",
                self.title(payment),
                self.name(node),
                code::name(wanted),
                self.told(payment)
            ),
        }
    }

    /// The payment failed before anything left its sender.
    #[track_caller]
    pub fn expect_never_left(&self, payment: Payment) {
        self.expect_refused_pay(payment, "");
    }

    /// The payment failed before anything left its sender, who said why in words that hold these.
    #[track_caller]
    pub fn expect_refused_pay(&self, payment: Payment, words: &str) {
        let data = &self.payments[payment.0];
        let same = |other: &PaymentData| other.hash == data.hash && other.from == data.from;
        let is_first = !self.payments[..payment.0].iter().any(same);
        let left =
            |offer: &crate::world::Offered| offer.from == data.from.0 && offer.payment_hash == data.hash;
        if is_first && self.offered().iter().any(left) {
            panic!("{} was never to leave its sender, but an HTLC for it was offered", self.title(payment));
        }
        match self.standing(payment) {
            Standing::Failed { code: 0, text, .. } if text.contains(words) => {}
            _ => panic!(
                "{} was never to leave its sender ({words:?}): {}",
                self.title(payment),
                self.told(payment)
            ),
        }
    }

    /// The payment failed before anything left its sender, who says why.
    #[track_caller]
    pub fn expect_refused_by_sender(&self, payment: Payment, why: &str) {
        match self.standing(payment) {
            Standing::Failed { code: 0, text, .. } if text == why => {}
            Standing::Failed { code: 0, text, .. } => {
                panic!("{} failed with {text:?}, expected {why:?}", self.title(payment))
            }
            _ => self.expect_never_left(payment),
        }
    }

    /// Whether any payment ended in failure so far.
    pub(crate) fn a_payment_failed(&self) -> bool {
        (0..self.payments.len())
            .any(|number| matches!(self.standing(Payment(number)), Standing::Failed { .. }))
    }

    /// `alice -> dave, 1,000 sat`.
    fn title(&self, payment: Payment) -> String {
        let data = &self.payments[payment.0];
        let (from, to) = (self.name(data.from), self.name(data.to));
        format!("payment {from} -> {to}, {} msat", grouped(data.amount.get()))
    }

    /// The result for a message: what the failing node said of amounts and heights too, or what may be in a payment's way.
    fn told(&self, payment: Payment) -> String {
        match self.standing(payment) {
            Standing::Failed { at: Some(at), text, .. } => format!("failed at {}: {text}", self.name(at)),
            Standing::Pending => {
                let kept_back = self.world.kept_back();
                kept_back.iter().fold(self.result(payment), |told, reason| told + "; " + reason)
            }
            _ => self.result(payment),
        }
    }

    /// `succeeded`, `pending`, or `failed at bob: fee_insufficient`.
    fn result(&self, payment: Payment) -> String {
        match self.standing(payment) {
            Standing::Pending => "pending".into(),
            Standing::Succeeded { .. } => "succeeded".into(),
            Standing::Failed { at: Some(at), code: reason, .. } => {
                format!("failed at {}: {}", self.name(at), code::name(reason))
            }
            Standing::Failed { at: None, code: 0, text } => format!("never left: {text}"),
            Standing::Failed { at: None, code: reason, text } => {
                format!("failed: {} ({text})", code::name(reason))
            }
        }
    }

    /// For the settlement's table.
    pub(super) fn payment_lines(&self) -> Vec<PaymentLine> {
        let line = |number: usize| {
            let (payment, data) = (Payment(number), &self.payments[number]);
            let fee = match self.standing(payment) {
                Standing::Succeeded { fee } => fee,
                _ => Msat::ZERO,
            };
            let (from, to) = (self.name(data.from).to_string(), self.name(data.to).to_string());
            PaymentLine { from, to, amount: data.amount, fee, result: self.result(payment) }
        };
        (0..self.payments.len()).map(line).collect()
    }

    /// For the checks: everything that sender and recipient were told.
    pub(super) fn payment_evidence(&self) -> Vec<PaymentEvidence> {
        let begun = (0..self.payments.len()).filter(|number| self.payments[*number].refused.is_none());
        begun.map(|number| self.evidence_of(Payment(number))).collect()
    }

    fn evidence_of(&self, payment: Payment) -> PaymentEvidence {
        let data = &self.payments[payment.0];
        let results = self.results(payment);
        let sent = results.iter().filter_map(|notice| match notice {
            Notice::PaymentSent { preimage, amount, fee, .. } => {
                let proven = preimage.payment_hash() == data.hash;
                Some(Sent { amount: *amount, fee: *fee, proven })
            }
            _ => None,
        });
        let failed = results.iter().filter(|notice| matches!(notice, Notice::PaymentFailed { .. })).count();
        PaymentEvidence {
            name: self.title(payment),
            from: self.nodes[data.from.0].party,
            to: self.nodes[data.to.0].party,
            payment_hash: data.hash,
            amount: data.amount,
            max_fee: data.max_fee,
            sent: sent.collect(),
            failed,
            received: self.received(payment),
        }
    }

    /// What the recipient was told that it received. Of several tries to pay one hash, each that succeeded gets one, in order,
    /// and the last try what is left.
    fn received(&self, payment: Payment) -> Vec<Msat> {
        let data = &self.payments[payment.0];
        let tries = |range: std::ops::Range<usize>| {
            let same = move |number: &usize| {
                let other = &self.payments[*number];
                other.hash == data.hash && other.to == data.to && other.refused.is_none()
            };
            range.filter(same)
        };
        let successes = |number: usize| {
            let told = self.results(Payment(number));
            told.iter().filter(|notice| matches!(notice, Notice::PaymentSent { .. })).count()
        };
        let before = tries(0..payment.0).map(successes).sum();
        let is_last = tries(payment.0 + 1..self.payments.len()).next().is_none();
        let amounts = self.notices(data.to).filter_map(|notice| match notice {
            Notice::PaymentReceived { payment_hash, amount } if *payment_hash == data.hash => Some(*amount),
            _ => None,
        });
        amounts.skip(before).take(if is_last { usize::MAX } else { successes(payment.0) }).collect()
    }
}
