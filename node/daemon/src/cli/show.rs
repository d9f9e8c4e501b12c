//! Results as a person reads them: aligned tables, amounts in satoshis, and no control character of anyone else's text.

use crate::control::json::{field, fields, Json, Wrong};
use crate::control::{Call, DecodedInvoice, Info, PeerInfo, StreamItem};
use leyden_core::node::{BalanceInfo, ChannelInfo, PaymentFailure, PaymentInfo, PaymentOutcome};
use leyden_core::units::{FeeratePerKw, Msat};
use serde_json::Value;
use std::fmt::{Display, Write as _};

/// One result, as text that ends with its line; empty where nothing is to be said.
pub(super) fn result(call: &Call, result: &Value) -> Result<String, Wrong> {
    let part = |name| field::<String>(fields(result)?, name).map(|text| format!("{text}\n"));
    match call {
        Call::GetInfo {} => Info::read(result).map(info),
        Call::NewAddress {} => part("address"),
        Call::ListPeers {} => field(fields(result)?, "peers").map(peers),
        Call::OpenChannel { .. } => part("temporary_channel_id"),
        Call::Invoice { .. } => part("invoice"),
        Call::DecodeInvoice { .. } => DecodedInvoice::read(result).map(invoice),
        Call::Pay { .. } | Call::PayRoute { .. } => part("payment_hash"),
        Call::ListChannels {} => field(fields(result)?, "channels").map(channels),
        Call::ListPayments {} => field(fields(result)?, "payments").map(payments),
        Call::GetBalances {} => BalanceInfo::read(result).map(balances),
        Call::Help { .. } => part("text"),
        Call::Events { .. } => Ok(format!("{result:#}\n")),
        Call::Connect { .. }
        | Call::Disconnect { .. }
        | Call::CloseChannel { .. }
        | Call::ForceCloseChannel { .. }
        | Call::SetChannelFee { .. }
        | Call::LearnChannel { .. }
        | Call::WaitBlock { .. }
        | Call::WaitGuarded {}
        | Call::Stop {} => Ok(String::new()),
        Call::Published { .. } => field::<u64>(fields(result)?, "count").map(|count| format!("{count}\n")),
    }
}

fn info(info: Info) -> String {
    let connected = info.peers.iter().filter(|peer| peer.ready).count();
    let tip = if info.synced { "" } else { ", not at the tip yet" };
    let waits_for = info.waits_for.as_deref().unwrap_or("nothing");
    let listening = match info.listening.is_empty() {
        true => "nowhere".to_owned(),
        false => info.listening.join(" "),
    };
    list(&[
        ("node id", &info.node_id),
        ("alias", &clean(&info.alias)),
        ("network", &info.network),
        ("height", &format!("{}{tip}", info.height)),
        ("block", &info.block_hash),
        ("waits for", &clean(waits_for)),
        ("feerate", &format!("{} sat/vB", per_vbyte(info.feerate))),
        ("peers", &format!("{connected} connected of {}", info.peers.len())),
        ("listening", &listening),
        ("boxes", &info.boxes),
        ("version", &clean(&info.version)),
    ])
}

fn peers(peers: Vec<PeerInfo>) -> String {
    let row = |peer: PeerInfo| {
        let state = if peer.ready { "connected" } else { "connecting" };
        let direction = if peer.inbound { "in" } else { "out" };
        let address = peer.address.unwrap_or_else(|| "-".to_owned());
        [peer.node_id.to_string(), state.to_owned(), direction.to_owned(), clean(&address)]
    };
    table(["PEER", "STATE", "DIALLED", "ADDRESS"], &[], peers.into_iter().map(row))
}

fn channels(channels: Vec<ChannelInfo>) -> String {
    let row = |channel: ChannelInfo| {
        let place = channel.short_channel_id.map_or_else(|| "-".to_owned(), |id| id.to_string());
        [
            channel.channel_id.to_string(),
            short(&channel.peer),
            clean(&channel.phase),
            place,
            sat(channel.to_local),
            sat(channel.to_remote),
            channel.pending_htlcs.to_string(),
            per_vbyte(channel.feerate),
        ]
    };
    let header = ["CHANNEL", "PEER", "PHASE", "PLACE", "OURS/SAT", "THEIRS/SAT", "HTLCS", "SAT/VB"];
    table(header, &[4, 5, 6, 7], channels.into_iter().map(row))
}

fn payments(payments: Vec<PaymentInfo>) -> String {
    let row = |payment: PaymentInfo| {
        let outcome = match &payment.outcome {
            None => "under way".to_owned(),
            Some(PaymentOutcome::Succeeded { .. }) if payment.incoming => "received".to_owned(),
            Some(PaymentOutcome::Succeeded { .. }) => "sent".to_owned(),
            Some(PaymentOutcome::Failed { failure: why }) => format!("failed: {}", failure(why)),
        };
        [
            payment.payment_hash.to_string(),
            sat(payment.amount),
            sat(payment.fee),
            payment.attempts.to_string(),
            outcome,
        ]
    };
    let header = ["PAYMENT", "SAT", "FEE/SAT", "TRIED", "OUTCOME"];
    table(header, &[1, 2, 3], payments.into_iter().map(row))
}

fn balances(balances: BalanceInfo) -> String {
    let total = balances.wallet.to_msat().saturating_add(balances.channels).saturating_add(balances.closing);
    let rows = [
        ("wallet", balances.wallet.to_msat()),
        ("channels", balances.channels),
        ("closing", balances.closing),
        ("together", total),
    ];
    table(["", "SAT"], &[1], rows.into_iter().map(|(name, amount)| [name.to_owned(), sat(amount)]))
}

fn invoice(invoice: DecodedInvoice) -> String {
    let amount = invoice.amount.map_or_else(|| "any".to_owned(), |amount| format!("{} sat", sat(amount)));
    let description = match (&invoice.description, &invoice.description_hash) {
        (Some(text), _) => clean(text),
        (None, Some(hash)) => format!("(another way; its SHA-256 is {hash})"),
        (None, None) => String::new(),
    };
    let expires = invoice.timestamp.saturating_add(invoice.expiry_seconds);
    let mut text = list(&[
        ("amount", &amount),
        ("for", &description),
        ("payee", &invoice.payee),
        ("network", &invoice.network),
        ("payment hash", &invoice.payment_hash),
        ("written", &format!("{} s after 1970", invoice.timestamp)),
        ("expires", &format!("{expires} s after 1970")),
        ("final delta", &format!("{} blocks", invoice.min_final_cltv_expiry_delta)),
        ("route hints", &invoice.route_hints.len()),
    ]);
    for script in &invoice.fallbacks {
        let _ = writeln!(text, "or on the chain to the script {}", script.to_hex_string());
    }
    text
}

/// One field of a result, by its name and those of the objects around it, with dots between; bare where it is a text.
pub(super) fn field_of(result: &Value, path: &str) -> Option<String> {
    let value = path.split('.').try_fold(result, |value, name| match value {
        Value::Array(list) => list.get(name.parse::<usize>().ok()?),
        other => other.get(name),
    })?;
    Some(value.as_str().map_or_else(|| value.to_string(), clean))
}

/// One event in one line: number, name, fields.
pub(super) fn event(item: &StreamItem) -> String {
    let value = item.write();
    let Some(object) = value.as_object() else { return String::new() };
    let number = object.get("number").map_or_else(|| "-".to_owned(), Value::to_string);
    let name = object.get("event").and_then(Value::as_str).unwrap_or_default();
    let mut line = format!("{number:>6}  {name}");
    for (name, value) in object.iter().filter(|(name, _)| *name != "number" && *name != "event") {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let _ = write!(line, "  {name}={}", clean(&text));
    }
    line
}

/// Why a payment failed, in words.
pub(super) fn failure(failure: &PaymentFailure) -> String {
    let text = clean(&failure.text);
    match &failure.node {
        Some(node) => format!("{text} (code {}, by {})", failure.code, short(node)),
        None => text,
    }
}

/// Text of others, without the characters that move a terminal's cursor or turn its text around.
pub(super) fn clean(text: &str) -> String {
    let harmless = |letter: char| letter == '\n' || !(letter.is_control() || turns_text(letter));
    text.chars().map(|letter| if harmless(letter) { letter } else { '\u{fffd}' }).collect()
}

const fn turns_text(letter: char) -> bool {
    matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Satoshis, with three places only where there is a part of one.
fn sat(amount: Msat) -> String {
    match (amount.get() / 1000, amount.get() % 1000) {
        (whole, 0) => whole.to_string(),
        (whole, part) => format!("{whole}.{part:03}"),
    }
}

/// sat/kw to sat/vB: a 250th, exactly.
fn per_vbyte(feerate: FeeratePerKw) -> String {
    let thousandths = u64::from(feerate.get()) * 4;
    let text = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn short(id: &impl ToString) -> String {
    let mut text = id.to_string();
    text.truncate(12);
    text.push('…');
    text
}

fn list(rows: &[(&str, &dyn Display)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    rows.iter().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{name:width$}  {value}");
        text
    })
}

/// Columns as wide as their widest cell; those in `right` are numbers.
fn table<const N: usize>(
    header: [&str; N],
    right: &[usize],
    rows: impl Iterator<Item = [String; N]>,
) -> String {
    let mut all = vec![header.map(str::to_owned)];
    all.extend(rows.map(|row| row.map(|cell| cell.replace('\n', " "))));
    let wide = |cell: &String| cell.chars().count();
    let widths: [usize; N] =
        std::array::from_fn(|column| all.iter().map(|row| wide(&row[column])).max().unwrap_or_default());
    all.iter().fold(String::new(), |mut text, row| {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let _ = match right.contains(&column) {
                true => write!(line, "{cell:>width$}  "),
                false => write!(line, "{cell:<width$}  "),
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
        text
    })
}
