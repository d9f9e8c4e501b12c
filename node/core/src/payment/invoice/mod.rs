//! Invoices (BOLT 11): writing and signing one, reading one and refusing what a payer must not pay. The text format is
//! `lightning-invoice`'s work; which invoices are acceptable is decided here. No clock: time is an argument.

mod layout;
#[cfg(test)]
mod tests;

use crate::ids::{NodeId, PaymentHash, PaymentSecret, ShortChannelId};
use crate::units::{Msat, Timestamp};
use crate::wire::Features;
use bitcoin::{Network, ScriptBuf, WitnessProgram};
pub use lightning_invoice::Bolt11ParseError;
use lightning_invoice::{
    CreationError, Currency, Fallback, InvoiceBuilder, RawBolt11Invoice, RouteHint, RoutingFees,
    SignedRawBolt11Invoice,
};
use secp256k1::{Message, SecretKey, SECP256K1};
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

const VAR_ONION: usize = 8;
const PAYMENT_SECRET: usize = 14;
const BASIC_MPP: usize = 16;
const PAYMENT_METADATA: usize = 48;
/// The features (even bits) that a payer here understands, each with the one it needs (BOLT 9).
const UNDERSTOOD: [(usize, Option<usize>); 4] = [
    (VAR_ONION, None),
    (PAYMENT_SECRET, Some(VAR_ONION)),
    (BASIC_MPP, Some(PAYMENT_SECRET)),
    (PAYMENT_METADATA, None),
];

/// BOLT 11's default for `x`, in seconds.
const DEFAULT_EXPIRY: u64 = 3600;
/// BOLT 11's default for `c`, in blocks.
const DEFAULT_MIN_FINAL_CLTV_EXPIRY_DELTA: u64 = 18;
const MICROS: u64 = 1_000_000;

/// Why an invoice cannot be written, read or paid.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[allow(missing_docs)] // the text says what each field is
pub enum InvoiceError {
    /// Checksum, prefix, amount or a field's contents.
    #[error("not an invoice: {problem}")]
    Parse { problem: Bolt11ParseError },
    #[error("field {field} has {length} elements, which is not its fixed length")]
    WrongLength { field: char, length: usize },
    #[error("field {field} begins with a zero element")]
    NotMinimal { field: char },
    #[error("field {field} is missing")]
    Missing { field: char },
    #[error("both d and h are present")]
    TwoDescriptions,
    #[error("the amount is not a whole number of millisatoshis")]
    ImpreciseAmount,
    #[error("the amount is more than there can be")]
    AmountTooLarge,
    #[error("the unknown feature {bit} is required")]
    UnknownFeature { bit: usize },
    #[error("feature {bit} is set without feature {needs}, which it needs")]
    FeatureDependency { bit: usize, needs: usize },
    #[error("the signature is not valid")]
    Signature,
    #[error("the invoice is for {invoice}, this node is on {node}")]
    WrongNetwork { invoice: Network, node: Network },
    #[error("the invoice expired {} s after the epoch", at.get() / MICROS)]
    Expired { at: Timestamp },
    #[error("cannot write the invoice: {problem}")]
    Creation { problem: CreationError },
}

impl From<Bolt11ParseError> for InvoiceError {
    fn from(problem: Bolt11ParseError) -> Self {
        Self::Parse { problem }
    }
}

/// What is paid for: said, or committed to (BOLT 11 `d`, `h`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Description {
    /// The text itself. It is the payee's: sanitise before showing it.
    Text(String),
    /// SHA-256 of a text that comes another way; a payer MUST check it against that text.
    Hash([u8; 32]),
}

/// One channel of a private route to the payee (BOLT 11 `r`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // the BOLT's own names
pub struct RouteHintHop {
    /// The node at the start of the channel.
    pub pubkey: NodeId,
    pub short_channel_id: ShortChannelId,
    pub fee_base_msat: u32,
    pub fee_proportional_millionths: u32,
    pub cltv_expiry_delta: u16,
}

/// What a payee asks for; [`InvoiceTerms::sign`] makes it an invoice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InvoiceTerms {
    /// The chain to be paid on.
    pub network: Network,
    /// Nothing for any amount.
    pub amount: Option<Msat>,
    /// At most 639 bytes.
    pub description: String,
    /// H(R).
    pub payment_hash: PaymentHash,
    /// Ties the payment to this invoice.
    pub payment_secret: PaymentSecret,
    /// Blocks that the last HTLC must leave the payee.
    pub min_final_cltv_expiry_delta: u16,
    /// Seconds from `timestamp` on.
    pub expiry_seconds: u64,
    /// When it is written; whole seconds are kept.
    pub timestamp: Timestamp,
    /// Ways to the payee over channels that are not announced, most preferred first.
    pub route_hints: Vec<Vec<RouteHintHop>>,
}

impl InvoiceTerms {
    /// Writes and signs the invoice with the node's key. Deterministic: RFC 6979, no extra randomness. Features:
    /// `var_onion_optin` and `payment_secret`, both required; no `basic_mpp`.
    ///
    /// # Errors
    /// [`InvoiceError::Creation`] for a description, a route or a time that BOLT 11 has no room for.
    pub fn sign(&self, node_secret: &SecretKey) -> Result<Invoice, InvoiceError> {
        let mut builder = InvoiceBuilder::new(Currency::from(self.network))
            .payment_hash(bitcoin::hashes::Hash::from_byte_array(self.payment_hash.0))
            .description(self.description.clone())
            .duration_since_epoch(Duration::from_secs(self.timestamp.get() / MICROS))
            .min_final_cltv_expiry_delta(self.min_final_cltv_expiry_delta.into())
            .expiry_time(Duration::from_secs(self.expiry_seconds))
            .payment_secret(lightning_invoice::PaymentSecret(self.payment_secret.0));
        if let Some(amount) = self.amount {
            builder = builder.amount_milli_satoshis(amount.get());
        }
        for hops in &self.route_hints {
            builder = builder.private_route(RouteHint(hops.iter().map(to_hint).collect()));
        }
        let raw = builder.build_raw().map_err(|problem| InvoiceError::Creation { problem })?;
        let signing = |hash: &Message| Ok(SECP256K1.sign_ecdsa_recoverable(hash, node_secret));
        let signed = match raw.sign::<_, Infallible>(signing) {
            Ok(signed) => signed,
            Err(never) => match never {},
        };
        // Reading it back costs a key recovery and is the proof that a payer can.
        Invoice::parse(&signed.to_string())
    }
}

/// An invoice whose form, signature and features a payer accepts. Whether it can be paid here and now is said by
/// [`Invoice::check_payable`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Invoice {
    text: String,
    /// The chain to be paid on.
    pub network: Network,
    /// Nothing when the payer is to choose.
    pub amount: Option<Msat>,
    /// When it was written, in whole seconds.
    pub timestamp: Timestamp,
    /// Seconds from `timestamp` on.
    pub expiry_seconds: u64,
    /// Who is paid: `n`, or recovered from the signature.
    pub payee: NodeId,
    /// H(R).
    pub payment_hash: PaymentHash,
    /// For the last hop's payload.
    pub payment_secret: PaymentSecret,
    /// For the last hop's payload.
    pub payment_metadata: Option<Vec<u8>>,
    /// What is paid for.
    pub description: Description,
    /// Blocks that the last HTLC must leave the payee.
    pub min_final_cltv_expiry_delta: u32,
    /// Features for the payment (BOLT 9); those required are all understood.
    pub features: Features,
    /// Outputs that take the payment on the chain instead, most preferred first.
    pub fallbacks: Vec<ScriptBuf>,
    /// Ways to the payee over channels that are not announced, most preferred first.
    pub route_hints: Vec<Vec<RouteHintHop>>,
}

impl Invoice {
    /// Reads an invoice and checks all that does not depend on who reads it when.
    ///
    /// # Errors
    /// Whatever BOLT 11 lets a reader refuse. Where its text (a fixed-length field of another length MUST fail the
    /// payment) and its older example (such a field is ignored) differ, the text is followed.
    pub fn parse(text: &str) -> Result<Self, InvoiceError> {
        let signed: SignedRawBolt11Invoice = text.parse()?;
        let text = text.to_ascii_lowercase();
        layout::check(&text)?;
        let raw = signed.raw_invoice();
        let amount = amount(raw)?;
        let description = description(raw)?;
        let payment_hash = raw.payment_hash().ok_or(InvoiceError::Missing { field: 'p' })?;
        let payment_secret = raw.payment_secret().ok_or(InvoiceError::Missing { field: 's' })?;
        let features = features(raw)?;
        let delta =
            raw.min_final_cltv_expiry_delta().map_or(DEFAULT_MIN_FINAL_CLTV_EXPIRY_DELTA, |delta| delta.0);
        Ok(Self {
            network: raw.currency().into(),
            amount,
            timestamp: from_seconds(raw.data.timestamp.as_unix_timestamp()),
            expiry_seconds: raw.expiry_time().map_or(DEFAULT_EXPIRY, |expiry| expiry.as_seconds()),
            payee: payee(&signed, layout::signed_hash(&text)?)?,
            payment_hash: PaymentHash(*payment_hash.0.as_ref()),
            payment_secret: PaymentSecret(payment_secret.0),
            payment_metadata: raw.payment_metadata().cloned(),
            description,
            // More blocks than a height can count can never be left: the payment then fails for its expiry.
            min_final_cltv_expiry_delta: u32::try_from(delta).unwrap_or(u32::MAX),
            features,
            fallbacks: raw.fallbacks().into_iter().filter_map(script).collect(),
            route_hints: raw
                .private_routes()
                .iter()
                .map(|route| route.0.iter().map(from_hint).collect())
                .collect(),
            text,
        })
    }

    /// The moment from which it is neither to be paid nor accepted.
    pub fn expires_at(&self) -> Timestamp {
        self.timestamp.saturating_add(from_seconds(self.expiry_seconds))
    }

    /// Whether a node on `network` may try to pay it at `now`.
    ///
    /// # Errors
    /// [`InvoiceError::WrongNetwork`] or [`InvoiceError::Expired`].
    pub fn check_payable(&self, network: Network, now: Timestamp) -> Result<(), InvoiceError> {
        if self.network != network {
            return Err(InvoiceError::WrongNetwork { invoice: self.network, node: network });
        }
        let at = self.expires_at();
        if now > at {
            return Err(InvoiceError::Expired { at });
        }
        Ok(())
    }

    /// The invoice as text, in lower case.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Invoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Invoice {
    type Err = InvoiceError;

    fn from_str(text: &str) -> Result<Self, InvoiceError> {
        Self::parse(text)
    }
}

fn from_seconds(seconds: u64) -> Timestamp {
    Timestamp::new(seconds.saturating_mul(MICROS))
}

fn amount(raw: &RawBolt11Invoice) -> Result<Option<Msat>, InvoiceError> {
    if raw.hrp.raw_amount.is_none() {
        return Ok(None);
    }
    // An amount that overflows is not "no amount", which would let the payer choose.
    let pico = raw.amount_pico_btc().ok_or(InvoiceError::AmountTooLarge)?;
    if pico % 10 != 0 {
        return Err(InvoiceError::ImpreciseAmount);
    }
    Ok(Some(Msat::new(pico / 10)))
}

fn description(raw: &RawBolt11Invoice) -> Result<Description, InvoiceError> {
    match (raw.description(), raw.description_hash()) {
        (Some(_), Some(_)) => Err(InvoiceError::TwoDescriptions),
        (Some(text), None) => Ok(Description::Text(text.as_inner().0.clone())),
        (None, Some(hash)) => Ok(Description::Hash(*hash.0.as_ref())),
        (None, None) => Err(InvoiceError::Missing { field: 'd' }),
    }
}

fn features(raw: &RawBolt11Invoice) -> Result<Features, InvoiceError> {
    let Some(found) = raw.features() else { return Ok(Features::default()) };
    let bytes: Vec<u8> = found.le_flags().iter().rev().copied().collect();
    let features = Features::from_bytes(&bytes);
    let understood = |bit: &usize| UNDERSTOOD.iter().any(|(known, _)| known == bit);
    if let Some(bit) = features.bits().find(|bit| bit % 2 == 0 && !understood(bit)) {
        return Err(InvoiceError::UnknownFeature { bit });
    }
    for (bit, needs) in UNDERSTOOD {
        if let Some(needs) = needs.filter(|needs| features.supports(bit) && !features.supports(*needs)) {
            return Err(InvoiceError::FeatureDependency { bit, needs });
        }
    }
    Ok(features)
}

/// With `n` the signature must be that key's, with a low s; without it, any that a key can be recovered from.
fn payee(signed: &SignedRawBolt11Invoice, hash: [u8; 32]) -> Result<NodeId, InvoiceError> {
    let hash = Message::from_digest(hash);
    let signature = &signed.signature().0;
    match signed.raw_invoice().payee_pub_key() {
        Some(payee) => {
            let valid = SECP256K1.verify_ecdsa(&hash, &signature.to_standard(), &payee.0);
            valid.map(|()| payee.0).map_err(|_| InvoiceError::Signature)
        }
        None => SECP256K1.recover_ecdsa(&hash, signature).map_err(|_| InvoiceError::Signature),
    }
}

fn script(fallback: &Fallback) -> Option<ScriptBuf> {
    match fallback {
        Fallback::PubKeyHash(hash) => Some(ScriptBuf::new_p2pkh(hash)),
        Fallback::ScriptHash(hash) => Some(ScriptBuf::new_p2sh(hash)),
        Fallback::SegWitProgram { version, program } => {
            let program = WitnessProgram::new(*version, program).ok()?;
            Some(ScriptBuf::new_witness_program(&program))
        }
    }
}

fn from_hint(hop: &lightning_invoice::RouteHintHop) -> RouteHintHop {
    RouteHintHop {
        pubkey: hop.src_node_id,
        short_channel_id: ShortChannelId(hop.short_channel_id),
        fee_base_msat: hop.fees.base_msat,
        fee_proportional_millionths: hop.fees.proportional_millionths,
        cltv_expiry_delta: hop.cltv_expiry_delta,
    }
}

fn to_hint(hop: &RouteHintHop) -> lightning_invoice::RouteHintHop {
    lightning_invoice::RouteHintHop {
        src_node_id: hop.pubkey,
        short_channel_id: hop.short_channel_id.0,
        fees: RoutingFees {
            base_msat: hop.fee_base_msat,
            proportional_millionths: hop.fee_proportional_millionths,
        },
        cltv_expiry_delta: hop.cltv_expiry_delta,
        htlc_minimum_msat: None,
        htlc_maximum_msat: None,
    }
}
