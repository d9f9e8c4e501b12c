//! One transcript line for one thing that happened. Words only; no decision depends on them.
use super::{Entry, Verdict};
use crate::names::Names;
use bitcoin::{Transaction, Txid};
use leyden_core::ids::{ChannelId, PaymentHash};
use leyden_core::node::{Notice, RecordKey};
use leyden_core::wire::Message;

/// The line, without its time.
pub(super) fn line(entry: &Entry, names: &Names) -> String {
    match entry {
        Entry::Message { from, to, bytes } => {
            let (name, detail) = message(bytes);
            let detail = if detail.is_empty() { detail } else { format!(" ({detail})") };
            format!("{} ──{name}{detail}──▶ {}", party(names, *from), party(names, *to))
        }
        Entry::Save { node, keys } => {
            let keys: Vec<String> = keys.iter().map(|key| record(key, names)).collect();
            format!("{} saves {}", party(names, *node), keys.join(", "))
        }
        Entry::Broadcast { node, tx, verdict } => broadcast(&party(names, *node), tx, verdict, names),
        Entry::TowerBroadcast { party, tx, verdict } => {
            let tower = names.parties().get(*party);
            let name = tower.map_or_else(|| format!("party {party}"), |tower| tower.name.clone());
            broadcast(&name, tx, verdict, names)
        }
        Entry::Block { height, txids } => {
            let inside: Vec<String> = txids.iter().map(|txid| transaction(txid, names)).collect();
            let inside = if inside.is_empty() { "empty".into() } else { inside.join(", ") };
            format!("block {height}: {inside}")
        }
        Entry::Notice { node, notice } => {
            format!("{} notes: {}", party(names, *node), self::notice(notice, names))
        }
        Entry::Note { text } => text.clone(),
    }
}

fn broadcast(who: &str, tx: &Transaction, verdict: &Verdict, names: &Names) -> String {
    let what = transaction(&tx.compute_txid(), names);
    let verdict = match verdict {
        Verdict::Taken => String::new(),
        Verdict::There => ": it is there already".into(),
        Verdict::Unheard => ": nobody hears it".into(),
        Verdict::Refused(word) => format!(": refused, {word}"),
    };
    format!("{who} broadcasts {what}{verdict}")
}

fn party(names: &Names, number: usize) -> String {
    let party = names.node_party(number);
    party.map_or_else(|| format!("node {number}"), |party| names.party_name(party).to_string())
}

/// The seed's name and the BOLT's, or the txid's first bytes for what has none.
pub(super) fn transaction(txid: &Txid, names: &Names) -> String {
    match (names.full_label(txid), names.label(txid)) {
        (Some(full), Some(label)) => format!("{full} ({})", label.bolt),
        _ => format!("tx {:.8}", txid.to_string()),
    }
}

/// The first bytes of a hash: enough to tell payments apart.
fn payment(hash: &PaymentHash) -> String {
    format!("payment {:.8}", hash.to_string())
}

fn channel(id: &ChannelId, names: &Names) -> String {
    names
        .channel_name(id)
        .map_or_else(|| format!("channel {:.8}", id.to_string()), |name| format!("channel {name}"))
}

#[allow(unreachable_patterns)]
fn record(key: &RecordKey, names: &Names) -> String {
    match key {
        RecordKey::Node => "its counters".into(),
        RecordKey::Channel(id) => channel(id, names),
        RecordKey::Payment(hash) => payment(hash),
        RecordKey::Invoice(hash) => format!("invoice {:.8}", hash.to_string()),
        RecordKey::Wallet => "its wallet".into(),
        RecordKey::Revoked(id, number) => {
            format!("revoked state {} of {}", number.get() + 1, channel(id, names))
        }
        RecordKey::Unguarded(locator, _) => format!("box {:.8} for its tower", locator.to_string()),
        RecordKey::Forward(id, htlc) => format!("forward of HTLC {htlc} of {}", channel(id, names)),
    }
}

fn notice(notice: &Notice, names: &Names) -> String {
    match notice {
        Notice::PeerReady { .. } => "peer ready".into(),
        Notice::ChannelNamed { channel: id, .. } => format!("{} has its lasting name", channel(id, names)),
        Notice::ChannelReady { channel: id, short_channel_id } => {
            format!("{} is ready as {short_channel_id}", channel(id, names))
        }
        Notice::ChannelClosing { channel: id, why } => format!("{} is closing: {why}", channel(id, names)),
        Notice::ChannelResolved { channel: id } => format!("{} is resolved", channel(id, names)),
        Notice::ChannelAbandoned { channel: id, why } => {
            format!("{} is abandoned: {why}", channel(id, names))
        }
        Notice::PaymentSent { payment_hash, amount, fee, .. } => {
            format!("{} sent: {amount}, fee {fee}", payment(payment_hash))
        }
        Notice::PaymentFailed { payment_hash, failure } => {
            format!("{} failed: {}", payment(payment_hash), failure.text)
        }
        Notice::PaymentReceived { payment_hash, amount } => {
            format!("{} received: {amount}", payment(payment_hash))
        }
        Notice::Forwarded { payment_hash, fee } => {
            format!("{} forwarded, earned {fee}", payment(payment_hash))
        }
        Notice::PeerError { text, .. } => format!("peer error: {text}"),
    }
}

/// A message's BOLT name by its type alone: a ladder has hundreds of rungs, and reading keys takes time.
pub(super) fn name(bytes: &[u8]) -> &'static str {
    let Some([high, low]) = bytes.first_chunk() else { return "unreadable" };
    match u16::from_be_bytes([*high, *low]) {
        1 => "warning",
        16 => "init",
        17 => "error",
        18 => "ping",
        19 => "pong",
        32 => "open_channel",
        33 => "accept_channel",
        34 => "funding_created",
        35 => "funding_signed",
        36 => "channel_ready",
        38 => "shutdown",
        39 => "closing_signed",
        128 => "update_add_htlc",
        130 => "update_fulfill_htlc",
        131 => "update_fail_htlc",
        132 => "commitment_signed",
        133 => "revoke_and_ack",
        134 => "update_fee",
        135 => "update_fail_malformed_htlc",
        136 => "channel_reestablish",
        _ => "unknown",
    }
}

/// A message's BOLT name and what of it is worth a look.
pub(super) fn message(bytes: &[u8]) -> (&'static str, String) {
    let message = match Message::decode(bytes) {
        Ok(message) => message,
        Err(error) => return ("unreadable", error.to_string()),
    };
    let none = String::new;
    match message {
        Message::Warning(warning) => ("warning", String::from_utf8_lossy(&warning.data).into_owned()),
        Message::Init(_) => ("init", none()),
        Message::Error(error) => ("error", String::from_utf8_lossy(&error.data).into_owned()),
        Message::Ping(_) => ("ping", none()),
        Message::Pong(_) => ("pong", none()),
        Message::OpenChannel(open) => {
            ("open_channel", format!("{}, push {}", open.funding_satoshis, open.push_msat))
        }
        Message::AcceptChannel(accept) => ("accept_channel", format!("depth {}", accept.minimum_depth)),
        Message::FundingCreated(_) => ("funding_created", none()),
        Message::FundingSigned(_) => ("funding_signed", none()),
        Message::ChannelReady(_) => ("channel_ready", none()),
        Message::Shutdown(_) => ("shutdown", none()),
        Message::ClosingSigned(closing) => ("closing_signed", format!("fee {}", closing.fee_satoshis)),
        Message::UpdateAddHtlc(add) => {
            let (id, amount, expiry) = (add.id, add.amount_msat, add.cltv_expiry);
            let hash = payment(&add.payment_hash);
            ("update_add_htlc", format!("HTLC {id}, {amount}, expiry {expiry}, {hash}"))
        }
        Message::UpdateFulfillHtlc(fulfill) => ("update_fulfill_htlc", format!("HTLC {}", fulfill.id)),
        Message::UpdateFailHtlc(fail) => ("update_fail_htlc", format!("HTLC {}", fail.id)),
        Message::UpdateFailMalformedHtlc(fail) => {
            ("update_fail_malformed_htlc", format!("HTLC {}, code {:#06x}", fail.id, fail.failure_code))
        }
        Message::CommitmentSigned(signed) => match signed.htlc_signatures.len() {
            0 => ("commitment_signed", none()),
            count => ("commitment_signed", format!("{count} HTLC signatures")),
        },
        Message::RevokeAndAck(_) => ("revoke_and_ack", none()),
        Message::UpdateFee(fee) => ("update_fee", fee.feerate_per_kw.to_string()),
        Message::ChannelReestablish(again) => {
            let (commitment, revocation) = (again.next_commitment_number, again.next_revocation_number);
            ("channel_reestablish", format!("next commitment {commitment}, next revocation {revocation}"))
        }
        Message::Unknown { kind } => ("unknown", format!("type {kind}")),
    }
}
