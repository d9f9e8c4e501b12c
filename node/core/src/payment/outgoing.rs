//! The sender's part: one payment, its attempts one after the other, and what is learnt from each refusal (BOLT 4).
//! It decides; sending the HTLC, saving and telling the owner is the node's business. A payment ends exactly once.
//!
//! ```text
//!   Pay ─► route ─► attempt ─► fulfilled ─────────────────────► Succeeded
//!            ▲         └─────► refused ─► exclude what failed ─┬─► Failed
//!            └─────────────────────────────────────────────────┘
//! ```

use super::failure::{attribute, Failure, SharedSecret};
use super::onion::{build, BuildError, HopPayload, SentOnion};
use super::route::{Exclusions, Wanted};
use super::{KnownChannel, PaymentFailure, PaymentOutcome, RouteHop, RoutePayment};
use crate::channel::Refusal;
use crate::ids::{ChannelId, NodeId, PaymentHash, Preimage};
use crate::units::{BlockHeight, CltvExpiry, Msat};
use secp256k1::SecretKey;
use serde::{Deserialize, Serialize};

/// Blocks added to the expiry that the invoice asks for: the payee may have seen blocks that this node has not, and would have to
/// refuse (BOLT 4, final node). The field's usual figure.
pub const FINAL_CLTV_SLACK: u32 = 3;

/// Flags of failure codes (BOLT 4, "Failure Messages").
mod flag {
    pub const BADONION: u16 = 0x8000;
    pub const NODE: u16 = 0x2000;
}

/// A payment of this node to another.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Outgoing {
    /// H(R).
    pub payment_hash: PaymentHash,
    /// What the recipient gets.
    pub amount: Msat,
    /// What was paid or, while it runs, is being paid in fees.
    pub fee: Msat,
    /// How many attempts were made.
    pub attempts: u32,
    /// The attempt under way.
    pub current: Option<Attempt>,
    /// How it ended; none while it runs.
    pub outcome: Option<PaymentOutcome>,
    payee: Payee,
    search: Option<Search>,
    last_failure: Option<PaymentFailure>,
}

/// Whom to pay, and what to tell them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Payee {
    node: NodeId,
    payment_secret: [u8; 32],
    payment_metadata: Option<Vec<u8>>,
    total: Msat,
}

/// How further routes are looked for; absent for a payment over a given route.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Search {
    final_cltv_delta: u32,
    max_fee: Msat,
    hints: Vec<KnownChannel>,
    excluded: Exclusions,
}

/// One try over one route.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Attempt {
    /// Its number, unique in this node.
    pub number: u64,
    /// The own channel it left by.
    pub channel: ChannelId,
    /// The route.
    pub hops: Vec<RouteHop>,
}

/// What an invoice asks of the sender.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    /// H(R).
    pub payment_hash: PaymentHash,
    /// The recipient.
    pub payee: NodeId,
    /// What it gets.
    pub amount: Msat,
    /// The secret that proves that the invoice was seen.
    pub payment_secret: [u8; 32],
    /// To be handed back to the recipient as it is.
    pub payment_metadata: Option<Vec<u8>>,
    /// The invoice's `c`.
    pub min_final_cltv_delta: u32,
    /// The invoice's `r`.
    pub hints: Vec<KnownChannel>,
    /// The most to pay in fees.
    pub max_fee: Msat,
}

impl Outgoing {
    /// A payment that looks for its own routes.
    pub fn searching(order: Order) -> Self {
        let payee = Payee {
            node: order.payee,
            payment_secret: order.payment_secret,
            payment_metadata: order.payment_metadata,
            total: order.amount,
        };
        let search = Search {
            final_cltv_delta: order.min_final_cltv_delta,
            max_fee: order.max_fee,
            hints: order.hints,
            excluded: Exclusions::default(),
        };
        Self::begin(order.payment_hash, order.amount, payee, Some(search))
    }

    /// A payment with one attempt over the route given; nothing when the route is empty.
    pub fn over_route(route: &RoutePayment) -> Option<Self> {
        let last = route.hops.last()?;
        let payee = Payee {
            node: last.node,
            payment_secret: route.payment_secret,
            payment_metadata: None,
            total: route.total,
        };
        Some(Self::begin(route.payment_hash, last.amount, payee, None))
    }

    fn begin(payment_hash: PaymentHash, amount: Msat, payee: Payee, search: Option<Search>) -> Self {
        Self {
            payment_hash,
            amount,
            fee: Msat::ZERO,
            attempts: 0,
            current: None,
            outcome: None,
            payee,
            search,
            last_failure: None,
        }
    }

    /// What the next route must do; nothing when no further route may be tried.
    pub fn wanted(
        &self,
        from: NodeId,
        height: BlockHeight,
        max_attempts: u32,
        max_cltv_total: u32,
    ) -> Option<Wanted<'_>> {
        let search =
            self.search.as_ref().filter(|_| self.outcome.is_none() && self.attempts < max_attempts)?;
        Some(Wanted {
            from,
            to: self.payee.node,
            amount: self.amount,
            height,
            final_cltv: CltvExpiry::new(height.plus(search.final_cltv_delta).plus(FINAL_CLTV_SLACK).get()),
            max_fee: search.max_fee,
            max_cltv_total,
            hints: &search.hints,
            excluded: &search.excluded,
        })
    }

    /// Begins an attempt. The caller sends it.
    pub fn attempt(&mut self, number: u64, channel: ChannelId, hops: Vec<RouteHop>) {
        let sent = hops.first().map_or(self.amount, |hop| hop.amount);
        self.fee = sent.saturating_sub(self.amount);
        self.attempts = self.attempts.saturating_add(1);
        self.current = Some(Attempt { number, channel, hops });
    }

    /// The onion of a route, for its first hop.
    pub fn onion(&self, session_key: &SecretKey, hops: &[RouteHop]) -> Result<SentOnion, BuildError> {
        let next = hops.iter().skip(1).map(Some).chain([None]);
        let payloads: Vec<_> = hops
            .iter()
            .zip(next)
            .map(|(hop, next)| match next {
                Some(next) => (
                    hop.node,
                    HopPayload::Intermediate {
                        amt_to_forward: next.amount,
                        outgoing_cltv_value: next.cltv_expiry,
                        short_channel_id: next.short_channel_id,
                    },
                ),
                None => (
                    hop.node,
                    HopPayload::Final {
                        amt_to_forward: hop.amount,
                        outgoing_cltv_value: hop.cltv_expiry,
                        payment_secret: Some(self.payee.payment_secret),
                        total_msat: Some(self.payee.total),
                        payment_metadata: self.payee.payment_metadata.clone(),
                    },
                ),
            })
            .collect();
        build(session_key, &payloads, &self.payment_hash)
    }

    /// The preimage came. True the first time, and only when it fits.
    pub fn fulfilled(&mut self, preimage: Preimage) -> bool {
        let first = !matches!(self.outcome, Some(PaymentOutcome::Succeeded { .. }));
        if !first || preimage.payment_hash() != self.payment_hash {
            return false;
        }
        self.current = None;
        self.outcome = Some(PaymentOutcome::Succeeded { preimage });
        true
    }

    /// The attempt was refused: remembers what not to use again. The caller tries on or ends the payment.
    pub fn refused(&mut self, attempt: &Attempt, own: NodeId, refusal: &Refusal, session_key: &SecretKey) {
        self.current = None;
        let verdict = match refusal {
            Refusal::Encrypted(reason) => self.read(attempt, reason, session_key),
            Refusal::Malformed { failure_code, .. } => Verdict {
                failure: PaymentFailure {
                    node: attempt.hops.first().map(|hop| hop.node),
                    code: *failure_code,
                    text: code_name(*failure_code).to_owned(),
                },
                culprit: Culprit::Channel(0),
            },
            Refusal::NotCommitted => first_channel("the first channel was lost"),
            Refusal::OnChain => {
                first_channel("the first channel was closed, and the HTLC ended on the chain")
            }
        };
        self.exclude(attempt, own, verdict.culprit);
        self.last_failure = Some(verdict.failure);
    }

    /// The attempt never left: its first channel did not take it.
    pub fn not_sent(&mut self, attempt: &Attempt, own: NodeId, why: String) {
        self.current = None;
        self.exclude(attempt, own, Culprit::Channel(0));
        self.last_failure = Some(PaymentFailure { node: None, code: 0, text: why });
    }

    /// No further attempt: the payment ends with its last failure, or with `why` if nothing was ever tried.
    pub fn give_up(&mut self, why: &str) -> PaymentFailure {
        self.current = None;
        let none = || PaymentFailure { node: None, code: 0, text: why.to_owned() };
        let failure = self.last_failure.clone().unwrap_or_else(none);
        self.outcome = Some(PaymentOutcome::Failed { failure: failure.clone() });
        failure
    }

    fn read(&self, attempt: &Attempt, reason: &[u8], session_key: &SecretKey) -> Verdict {
        let secrets: Vec<SharedSecret> =
            self.onion(session_key, &attempt.hops).map(|sent| sent.shared_secrets).unwrap_or_default();
        let Some((hop, failure)) = attribute(&secrets, reason) else {
            let text = "the failure cannot be read".to_owned();
            return Verdict {
                failure: PaymentFailure { node: None, code: 0, text },
                culprit: Culprit::Unknown,
            };
        };
        let last = hop + 1 >= attempt.hops.len();
        let code = failure.code();
        let culprit = match (last, code) {
            (true, _) => Culprit::Recipient,
            (false, code) if code & flag::BADONION != 0 => Culprit::Channel(hop + 1),
            (false, code) if code & flag::NODE != 0 => Culprit::Node(hop),
            (false, _) => Culprit::Channel(hop + 1),
        };
        let node = attempt.hops.get(hop).map(|hop| hop.node);
        Verdict { failure: PaymentFailure { node, code, text: text_of(&failure) }, culprit }
    }

    fn exclude(&mut self, attempt: &Attempt, own: NodeId, culprit: Culprit) {
        let Some(search) = &mut self.search else { return };
        let from = std::iter::once(own).chain(attempt.hops.iter().map(|hop| hop.node));
        let names: Vec<_> = attempt.hops.iter().map(|hop| hop.short_channel_id).zip(from).collect();
        match culprit {
            Culprit::Recipient => self.search = None,
            Culprit::Channel(index) => search.excluded.channels.extend(names.get(index)),
            Culprit::Node(index) => search.excluded.nodes.extend(attempt.hops.get(index).map(|hop| hop.node)),
            // Any hop may be the liar: leave the whole route, but not our own channel.
            Culprit::Unknown if names.len() > 1 => search.excluded.channels.extend(names.iter().skip(1)),
            Culprit::Unknown => self.search = None,
        }
    }
}

/// A refusal, read.
struct Verdict {
    failure: PaymentFailure,
    culprit: Culprit,
}

/// What to avoid from now on; hops and channels by their index in the route.
#[derive(Clone, Copy)]
enum Culprit {
    Recipient,
    Channel(usize),
    Node(usize),
    Unknown,
}

/// A failure in words: the BOLT's name, with the figures that came along.
fn text_of(failure: &Failure) -> String {
    let name = code_name(failure.code());
    match failure {
        Failure::AmountBelowMinimum { htlc_msat, .. } | Failure::FeeInsufficient { htlc_msat, .. } => {
            format!("{name} (the HTLC was {htlc_msat})")
        }
        Failure::IncorrectCltvExpiry { cltv_expiry, .. }
        | Failure::FinalIncorrectCltvExpiry { cltv_expiry } => {
            format!("{name} (the expiry was {cltv_expiry})")
        }
        Failure::IncorrectOrUnknownPaymentDetails { htlc_msat, height } => {
            format!("{name} (the HTLC was {htlc_msat}, at height {height})")
        }
        Failure::FinalIncorrectHtlcAmount { incoming_htlc_amt } => {
            format!("{name} (the HTLC was {incoming_htlc_amt})")
        }
        Failure::Unknown { code, .. } => format!("{name} {code:#06x}"),
        _ => name.to_owned(),
    }
}

/// The BOLT's name of a failure code (BOLT 4, "Failure Messages").
fn code_name(code: u16) -> &'static str {
    match code {
        0x2002 => "temporary_node_failure",
        0x6002 => "permanent_node_failure",
        0x6003 => "required_node_feature_missing",
        0xc004 => "invalid_onion_version",
        0xc005 => "invalid_onion_hmac",
        0xc006 => "invalid_onion_key",
        0x1007 => "temporary_channel_failure",
        0x4008 => "permanent_channel_failure",
        0x4009 => "required_channel_feature_missing",
        0x400a => "unknown_next_peer",
        0x100b => "amount_below_minimum",
        0x100c => "fee_insufficient",
        0x100d => "incorrect_cltv_expiry",
        0x100e => "expiry_too_soon",
        0x400f => "incorrect_or_unknown_payment_details",
        18 => "final_incorrect_cltv_expiry",
        19 => "final_incorrect_htlc_amount",
        0x1014 => "channel_disabled",
        21 => "expiry_too_far",
        0x4016 => "invalid_onion_payload",
        23 => "mpp_timeout",
        0xc018 => "invalid_onion_blinding",
        _ => "failure code",
    }
}
/// The attempt ended on its first channel, which the peer cannot be blamed for in words of its own.
fn first_channel(text: &str) -> Verdict {
    let failure = PaymentFailure { node: None, code: 0, text: text.to_owned() };
    Verdict { failure, culprit: Culprit::Channel(0) }
}
