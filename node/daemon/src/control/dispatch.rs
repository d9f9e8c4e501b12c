//! Carries a call to the node and its answer back. What a parameter left out means is said here, and nowhere else.

use super::call::Call;
use super::history::History;
use super::json::Json;
use super::rpc::{RpcError, INVALID_PARAMS, NOT_CONNECTED, REFUSED};
use super::{methods, shapes, Backend, DecodedInvoice};
use bitcoin::Network;
use leyden_core::channel::OpenRequest;
use leyden_core::node::{Command, CommandError, ForwardPolicy, KnownChannel, RoutePayment};
use leyden_core::payment::invoice::Invoice;
use leyden_core::tx::ChannelType;
use leyden_core::units::Msat;
use serde_json::{json, Value};
use std::sync::Arc;

/// The least that `pay` allows in fees when it is not told.
const LEAST_MAX_FEE: Msat = Msat::new(5_000);

/// The most events that one call of `events` gives.
const EVENTS_MAX: u32 = 1_000;

/// All that a call can reach.
pub(super) struct Ports {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) history: Arc<History>,
    pub(super) network: Network,
}

type Answer = Result<Value, RpcError>;

impl Ports {
    /// The call's result. Every call that changes something is one command: it happens whole or not at all.
    pub(super) async fn run(&self, call: Call) -> Answer {
        match call {
            Call::GetInfo {} => Ok(self.backend.info().await.write()),
            Call::ListPeers {} => Ok(json!({ "peers": self.backend.info().await.peers.write() })),
            Call::Connect { peer, address } => {
                let done = self.backend.connect(peer, address).await;
                done.map(|()| json!({})).map_err(|error| RpcError::new(NOT_CONNECTED, error.0))
            }
            Call::Disconnect { peer } => {
                self.backend.disconnect(peer).await.map(|()| json!({})).map_err(refused)
            }
            Call::DecodeInvoice { invoice } => decode(&invoice),
            Call::Events { from, limit } => self.events(from, limit.unwrap_or(EVENTS_MAX)),
            Call::Stop {} => {
                self.backend.stop();
                Ok(json!({}))
            }
            Call::Help { method } => help(method.as_deref()),
            Call::OpenChannel { .. } => {
                let feerate = match needs_feerate(&call) {
                    true => self.backend.info().await.feerate,
                    false => Default::default(),
                };
                self.command(opening(call, feerate)).await
            }
            Call::NewAddress {}
            | Call::CloseChannel { .. }
            | Call::ForceCloseChannel { .. }
            | Call::SetChannelFee { .. }
            | Call::Invoice { .. }
            | Call::Pay { .. }
            | Call::PayRoute { .. }
            | Call::LearnChannel { .. }
            | Call::ListChannels {}
            | Call::ListPayments {}
            | Call::GetBalances {} => self.command(command(call)).await,
        }
    }

    async fn command(&self, command: Option<Command>) -> Answer {
        let command = command.ok_or_else(|| RpcError::new(REFUSED, "this is no command"))?;
        let reply = self.backend.command(command).await.map_err(refused)?;
        Ok(shapes::write_reply(&reply, self.network))
    }

    fn events(&self, from: Option<u64>, limit: u32) -> Answer {
        let from = self.first_event(from)?;
        let (lines, next) = self.history.since(from, limit.min(EVENTS_MAX) as usize);
        let events: Result<Vec<Value>, _> = lines.iter().map(|line| serde_json::from_slice(line)).collect();
        let events = events.expect("a line of the history is JSON, it was written here");
        Ok(json!({ "events": events, "next": next }))
    }

    /// Where to begin: after the newest when nothing is said. A number that cannot be the next one is of another process.
    pub(super) fn first_event(&self, from: Option<u64>) -> Result<u64, RpcError> {
        let newest = self.history.newest();
        let next = newest.saturating_add(1);
        match from {
            None => Ok(next),
            Some(from) if from > next => Err(RpcError::parameter(
                "from",
                format!("from: the newest event is {newest}: the node was started again since you counted"),
            )),
            Some(from) => Ok(from.max(1)),
        }
    }
}

fn refused(error: CommandError) -> RpcError {
    RpcError::new(REFUSED, error.0)
}

fn decode(text: &str) -> Answer {
    let invoice =
        Invoice::parse(text).map_err(|error| RpcError::parameter("invoice", format!("invoice: {error}")))?;
    Ok(DecodedInvoice::from(invoice).write())
}

fn help(method: Option<&str>) -> Answer {
    let text = methods::help(method).ok_or_else(|| RpcError {
        code: INVALID_PARAMS,
        message: "method: there is no method of this name".to_owned(),
        parameter: Some("method".to_owned()),
    })?;
    Ok(json!({ "text": text }))
}

const fn needs_feerate(call: &Call) -> bool {
    matches!(
        call,
        Call::OpenChannel { commitment_feerate: None, .. } | Call::OpenChannel { funding_feerate: None, .. }
    )
}

fn opening(call: Call, feerate: leyden_core::units::FeeratePerKw) -> Option<Command> {
    let Call::OpenChannel {
        peer,
        funding_amount,
        push,
        channel_type,
        commitment_feerate,
        funding_feerate,
        public,
    } = call
    else {
        return None;
    };
    Some(Command::Open(OpenRequest {
        peer,
        funding_amount,
        push: push.unwrap_or_default(),
        channel_type: channel_type.unwrap_or(ChannelType::AnchorsZeroFeeHtlc),
        commitment_feerate: commitment_feerate.unwrap_or(feerate),
        funding_feerate: funding_feerate.unwrap_or(feerate),
        public: public.unwrap_or_default(),
    }))
}

/// The command of a call that needs nothing else to be known; nothing for every other call.
fn command(call: Call) -> Option<Command> {
    match call {
        Call::NewAddress {} => Some(Command::NewAddress),
        Call::CloseChannel { channel, feerate } => Some(Command::Close { channel, feerate }),
        Call::ForceCloseChannel { channel } => Some(Command::ForceClose { channel }),
        Call::SetChannelFee { channel, feerate } => Some(Command::UpdateFee { channel, feerate }),
        Call::Invoice { amount, description, min_final_cltv_delta } => {
            let description = description.unwrap_or_default();
            Some(Command::Invoice { amount, description, min_final_cltv_delta })
        }
        Call::Pay { invoice, amount, max_fee } => {
            let max_fee = max_fee.unwrap_or_else(|| usual_max_fee(&invoice, amount));
            Some(Command::Pay { invoice, amount, max_fee })
        }
        Call::PayRoute { payment_hash, payment_secret, hops, total } => {
            let payment_secret = payment_secret.0;
            Some(Command::PayRoute(RoutePayment { payment_hash, payment_secret, hops, total }))
        }
        Call::LearnChannel { .. } => learning(call),
        Call::ListChannels {} => Some(Command::ListChannels),
        Call::ListPayments {} => Some(Command::ListPayments),
        Call::GetBalances {} => Some(Command::Balances),
        Call::GetInfo {}
        | Call::Connect { .. }
        | Call::Disconnect { .. }
        | Call::ListPeers {}
        | Call::OpenChannel { .. }
        | Call::DecodeInvoice { .. }
        | Call::Events { .. }
        | Call::Stop {}
        | Call::Help { .. } => None,
    }
}

fn learning(call: Call) -> Option<Command> {
    let Call::LearnChannel {
        short_channel_id,
        from,
        to,
        capacity,
        fee_base,
        fee_proportional_millionths,
        cltv_expiry_delta,
        htlc_minimum,
        htlc_maximum,
    } = call
    else {
        return None;
    };
    let usual = ForwardPolicy::default();
    let policy = ForwardPolicy {
        fee_base: fee_base.unwrap_or(usual.fee_base),
        fee_proportional_millionths: fee_proportional_millionths.unwrap_or(usual.fee_proportional_millionths),
        cltv_expiry_delta: cltv_expiry_delta.unwrap_or(usual.cltv_expiry_delta),
        htlc_minimum: htlc_minimum.unwrap_or(usual.htlc_minimum),
        htlc_maximum: htlc_maximum.unwrap_or(usual.htlc_maximum),
    };
    Some(Command::LearnChannel(KnownChannel { short_channel_id, from, to, capacity, policy }))
}

/// One percent of the amount, and never less than a short route costs. An invoice that cannot be read is refused by the core.
fn usual_max_fee(invoice: &str, amount: Option<Msat>) -> Msat {
    let asked = || Invoice::parse(invoice).ok().and_then(|invoice| invoice.amount);
    let amount = amount.or_else(asked).unwrap_or_default();
    Msat::new(amount.get() / 100).max(LEAST_MAX_FEE)
}
