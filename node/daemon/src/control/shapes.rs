//! How answers and notices look as JSON: every field of the core's types, hex in lower case, the unit in the name.
//! Each shape is read back to the same value; a test over all of them holds that.

use super::json::{field, fields, object, to_hex, Json, Wrong};
use super::{Info, PeerInfo};
use bitcoin::{Address, Network, ScriptBuf};
use leyden_core::ids::{NodeId, PaymentHash, PaymentSecret};
use leyden_core::keys::Basepoints;
use leyden_core::node::{
    BalanceInfo, ChannelInfo, Notice, PaymentFailure, PaymentInfo, PaymentOutcome, Reply, RouteHop,
};
use leyden_core::payment::invoice::{Description, Invoice, RouteHintHop};
use leyden_core::tx::{ChannelTerms, PartyTerms};
use leyden_core::units::Msat;
use serde_json::{json, Map, Value};

object!(Info {
    node_id => "node_id",
    alias => "alias",
    network => "network",
    height => "height",
    block_hash => "block_hash",
    synced => "synced",
    waits_for => "waits_for",
    feerate => "feerate_per_kw",
    peers => "peers",
    listening => "listening",
    commits => "commits",
    boxes => "boxes",
    version => "version",
});

object!(PeerInfo { node_id => "node_id", address => "address", inbound => "inbound", ready => "ready" });

object!(ChannelInfo {
    channel_id => "channel_id",
    peer => "peer",
    phase => "phase",
    usable => "usable",
    short_channel_id => "short_channel_id",
    terms => "terms",
    to_local => "to_local_msat",
    to_remote => "to_remote_msat",
    pending_htlcs => "pending_htlcs",
    local_commitment => "local_commitment",
    remote_commitment => "remote_commitment",
    feerate => "feerate_per_kw",
});

object!(ChannelTerms {
    channel_type => "channel_type",
    funding => "funding",
    funding_amount => "funding_amount_sat",
    opener => "opener",
    local => "local",
    remote => "remote",
});

object!(PartyTerms {
    basepoints => "basepoints",
    dust_limit => "dust_limit_sat",
    to_self_delay => "to_self_delay",
});

object!(Basepoints {
    funding_pubkey => "funding_pubkey",
    revocation => "revocation",
    payment => "payment",
    delayed_payment => "delayed_payment",
    htlc => "htlc",
});

object!(PaymentInfo {
    payment_hash => "payment_hash",
    amount => "amount_msat",
    fee => "fee_msat",
    outcome => "outcome",
    attempts => "attempts",
    incoming => "incoming",
});

object!(PaymentFailure { node => "node", code => "code", text => "text" });

object!(BalanceInfo { wallet => "wallet_sat", channels => "channels_msat", closing => "closing_msat" });

object!(RouteHop {
    node => "node_id",
    short_channel_id => "short_channel_id",
    amount => "amount_msat",
    cltv_expiry => "cltv_expiry",
});

object!(RouteHintHop {
    pubkey => "pubkey",
    short_channel_id => "short_channel_id",
    fee_base_msat => "fee_base_msat",
    fee_proportional_millionths => "fee_proportional_millionths",
    cltv_expiry_delta => "cltv_expiry_delta",
});

impl Json for usize {
    const FORM: &'static str = "an integer, not negative";

    fn write(&self) -> Value {
        (*self).into()
    }

    fn read(value: &Value) -> Result<Self, Wrong> {
        value.as_u64().and_then(|number| number.try_into().ok()).ok_or(Wrong::here(Self::FORM))
    }
}

impl Json for PaymentOutcome {
    const FORM: &'static str = "an object with `preimage` or with `failure`";

    fn write(&self) -> Value {
        match self {
            Self::Succeeded { preimage } => json!({ "preimage": preimage.write() }),
            Self::Failed { failure } => json!({ "failure": failure.write() }),
        }
    }

    fn read(value: &Value) -> Result<Self, Wrong> {
        let object = fields(value)?;
        match (object.contains_key("preimage"), object.contains_key("failure")) {
            (true, false) => Ok(Self::Succeeded { preimage: field(object, "preimage")? }),
            (false, true) => Ok(Self::Failed { failure: field(object, "failure")? }),
            (true, true) | (false, false) => Err(Wrong::here(Self::FORM)),
        }
    }
}

/// The answer to a command. An address is written for `network`; its script is what is read back.
pub(crate) fn write_reply(reply: &Reply, network: Network) -> Value {
    match reply {
        Reply::Done => json!({}),
        Reply::Address(script) => {
            let address = Address::from_script(script, network).ok().map(|address| address.to_string());
            json!({ "address": address, "script": script.write() })
        }
        Reply::Opening { temporary } => json!({ "temporary_channel_id": temporary.write() }),
        Reply::Invoice { text, payment_hash } => {
            json!({ "invoice": text, "payment_hash": payment_hash.write() })
        }
        Reply::Paying { payment_hash } => json!({ "payment_hash": payment_hash.write() }),
        Reply::Channels(channels) => json!({ "channels": channels.write() }),
        Reply::Payments(payments) => json!({ "payments": payments.write() }),
        Reply::Balances(balances) => balances.write(),
    }
}

/// The answer again: which it is shows by its fields.
pub(crate) fn read_reply(value: &Value) -> Result<Reply, Wrong> {
    let object = fields(value)?;
    let has = |name| object.contains_key(name);
    if object.is_empty() {
        return Ok(Reply::Done);
    }
    if has("script") {
        return Ok(Reply::Address(field::<ScriptBuf>(object, "script")?));
    }
    if has("temporary_channel_id") {
        return Ok(Reply::Opening { temporary: field(object, "temporary_channel_id")? });
    }
    if has("invoice") {
        let payment_hash = field(object, "payment_hash")?;
        return Ok(Reply::Invoice { text: field(object, "invoice")?, payment_hash });
    }
    if has("payment_hash") {
        return Ok(Reply::Paying { payment_hash: field(object, "payment_hash")? });
    }
    if has("channels") {
        return Ok(Reply::Channels(field(object, "channels")?));
    }
    if has("payments") {
        return Ok(Reply::Payments(field(object, "payments")?));
    }
    BalanceInfo::read(value).map(Reply::Balances)
}

/// Every notice: its name as an event, and its fields.
macro_rules! notices {
    ($($variant:ident $event:literal { $($field:ident => $name:literal),* $(,)? })*) => {
        /// The names of all events, in the order of the core's enum.
        pub(crate) const EVENTS: &[&str] = &[$($event),*];

        impl Json for Notice {
            const FORM: &'static str = "an event";

            fn write(&self) -> Value {
                let mut object = Map::new();
                match self {
                    $(Notice::$variant { $($field),* } => {
                        object.insert("event".to_owned(), $event.into());
                        $(object.insert($name.to_owned(), $field.write());)*
                    })*
                }
                Value::Object(object)
            }

            fn read(value: &Value) -> Result<Self, Wrong> {
                let object = fields(value)?;
                match field::<String>(object, "event")?.as_str() {
                    $($event => Ok(Notice::$variant { $($field: field(object, $name)?),* }),)*
                    _ => Err(Wrong { path: "event".to_owned(), expected: "the name of an event" }),
                }
            }
        }
    };
}

notices! {
    PeerReady "peer_ready" { peer => "peer" }
    ChannelNamed "channel_named" { temporary => "temporary_channel_id", channel => "channel_id" }
    ChannelReady "channel_ready" { channel => "channel_id", short_channel_id => "short_channel_id" }
    ChannelClosing "channel_closing" { channel => "channel_id", why => "why" }
    ChannelResolved "channel_resolved" { channel => "channel_id" }
    ChannelAbandoned "channel_abandoned" { channel => "channel_id", why => "why" }
    PaymentSent "payment_sent" {
        payment_hash => "payment_hash",
        preimage => "preimage",
        amount => "amount_msat",
        fee => "fee_msat",
    }
    PaymentFailed "payment_failed" { payment_hash => "payment_hash", failure => "failure" }
    PaymentReceived "payment_received" { payment_hash => "payment_hash", amount => "amount_msat" }
    Forwarded "forwarded" { payment_hash => "payment_hash", fee => "fee_msat" }
    PeerError "peer_error" { peer => "peer", text => "text" }
}

/// What an invoice says (BOLT 11).
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // the invoice's own names
pub struct DecodedInvoice {
    pub network: Network,
    /// None: the payer chooses.
    pub amount: Option<Msat>,
    pub payee: NodeId,
    pub payment_hash: PaymentHash,
    pub payment_secret: PaymentSecret,
    /// In hex.
    pub payment_metadata: Option<String>,
    /// What is paid for, by the payee's own words.
    pub description: Option<String>,
    /// SHA-256 of a longer description, in hex, instead of it.
    pub description_hash: Option<String>,
    /// Seconds since 1970.
    pub timestamp: u64,
    /// Seconds from `timestamp` on.
    pub expiry_seconds: u64,
    pub min_final_cltv_expiry_delta: u32,
    /// BOLT 9 feature bits, lowest first.
    pub features: Vec<u32>,
    pub fallbacks: Vec<ScriptBuf>,
    pub route_hints: Vec<Vec<RouteHintHop>>,
}

object!(DecodedInvoice {
    network => "network",
    amount => "amount_msat",
    payee => "payee",
    payment_hash => "payment_hash",
    payment_secret => "payment_secret",
    payment_metadata => "payment_metadata",
    description => "description",
    description_hash => "description_hash",
    timestamp => "timestamp",
    expiry_seconds => "expiry_seconds",
    min_final_cltv_expiry_delta => "min_final_cltv_expiry_delta",
    features => "features",
    fallbacks => "fallback_scripts",
    route_hints => "route_hints",
});

impl From<Invoice> for DecodedInvoice {
    fn from(invoice: Invoice) -> Self {
        let (description, description_hash) = match invoice.description {
            Description::Text(text) => (Some(text), None),
            Description::Hash(hash) => (None, Some(to_hex(&hash))),
        };
        Self {
            network: invoice.network,
            amount: invoice.amount,
            payee: invoice.payee,
            payment_hash: invoice.payment_hash,
            payment_secret: invoice.payment_secret,
            payment_metadata: invoice.payment_metadata.as_deref().map(to_hex),
            description,
            description_hash,
            timestamp: invoice.timestamp.get() / 1_000_000,
            expiry_seconds: invoice.expiry_seconds,
            min_final_cltv_expiry_delta: invoice.min_final_cltv_expiry_delta,
            features: invoice.features.bits().map(|bit| bit as u32).collect(),
            fallbacks: invoice.fallbacks,
            route_hints: invoice.route_hints,
        }
    }
}
