//! Carries a call to the node and its answer back. What only the node can know of a parameter left out is asked here.

use super::call::{Call, EVENTS_MAX};
use super::history::History;
use super::json::Json;
use super::rpc::{RpcError, INVALID_PARAMS, NOT_CONNECTED, REFUSED};
use super::{methods, shapes, Backend, DecodedInvoice};
use bitcoin::Network;
use leyden_core::channel::OpenRequest;
use leyden_core::ids::NodeId;
use leyden_core::node::{Command, CommandError};
use leyden_core::payment::invoice::Invoice;
use leyden_core::units::{FeeratePerKw, Msat};
use serde_json::{json, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// The least that `pay` allows in fees when it is not told.
const LEAST_MAX_FEE: Msat = Msat::new(5_000);

/// How long a peer that finished BOLT 8 may take for its `init`.
const INIT_TIME: Duration = Duration::from_secs(10);

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
            Call::Connect { peer, address } => self.connect(peer, address).await,
            Call::Disconnect { peer } => {
                self.backend.disconnect(peer).await.map(|()| json!({})).map_err(refused)
            }
            Call::DecodeInvoice { invoice } => decode(&invoice),
            Call::Events { from, limit } => self.events(from, limit),
            Call::WaitBlock { height } => {
                self.backend.at_height(height).await.map(|()| json!({})).map_err(refused)
            }
            Call::WaitGuarded {} => self.backend.guarded().await.map(|()| json!({})).map_err(refused),
            Call::Published { channel, more_than } => {
                let count = self.backend.published(channel, more_than).await;
                count.map(|count| json!({ "count": count })).map_err(refused)
            }
            Call::Stop {} => {
                self.backend.stop();
                Ok(json!({}))
            }
            Call::Help { method } => help(method.as_deref()),
            Call::NewAddress {} => self.command(Command::NewAddress).await,
            Call::OpenChannel {
                peer,
                funding_amount,
                push,
                channel_type,
                commitment_feerate,
                funding_feerate,
                public,
            } => {
                let (commitment_feerate, funding_feerate) =
                    self.feerates(commitment_feerate, funding_feerate).await;
                self.command(Command::Open(OpenRequest {
                    peer,
                    funding_amount,
                    push,
                    channel_type,
                    commitment_feerate,
                    funding_feerate,
                    public,
                }))
                .await
            }
            Call::CloseChannel { channel, feerate } => {
                self.command(Command::Close { channel, feerate }).await
            }
            Call::ForceCloseChannel { channel } => self.command(Command::ForceClose { channel }).await,
            Call::SetChannelFee { channel, feerate } => {
                self.command(Command::UpdateFee { channel, feerate }).await
            }
            Call::Invoice { amount, description, min_final_cltv_delta } => {
                self.command(Command::Invoice { amount, description, min_final_cltv_delta }).await
            }
            Call::Pay { invoice, amount, max_fee } => {
                let max_fee = max_fee.unwrap_or_else(|| usual_max_fee(&invoice, amount));
                self.command(Command::Pay { invoice, amount, max_fee }).await
            }
            Call::PayRoute { route } => self.command(Command::PayRoute(route)).await,
            Call::LearnChannel { known } => self.command(Command::LearnChannel(known)).await,
            Call::ListChannels {} => self.command(Command::ListChannels).await,
            Call::ListPayments {} => self.command(Command::ListPayments).await,
            Call::GetBalances {} => self.command(Command::Balances).await,
        }
    }

    /// Done when the peer is of use: a caller's next command may be about it.
    async fn connect(&self, peer: NodeId, address: String) -> Answer {
        let not_connected = |text| RpcError::new(NOT_CONNECTED, text);
        let mut news = self.history.watch();
        self.backend.connect(peer, address).await.map_err(|error| not_connected(error.0))?;
        let ready = async {
            loop {
                news.mark_unchanged();
                let peers = self.backend.info().await.peers;
                match peers.iter().find(|known| known.node_id == peer) {
                    Some(known) if known.ready => return Ok(json!({})),
                    Some(_) => {}
                    None => return Err(not_connected("the peer hung up before `init`".to_owned())),
                }
                // Each notice may be the one that says so; the sender lives as long as this server.
                let _ = news.changed().await;
            }
        };
        let late = |_| Err(not_connected("the peer does not send `init`".to_owned()));
        timeout(INIT_TIME, ready).await.unwrap_or_else(late)
    }

    async fn command(&self, command: Command) -> Answer {
        let reply = self.backend.command(command).await.map_err(refused)?;
        Ok(shapes::write_reply(&reply, self.network))
    }

    /// Both as given; the node is asked for its own only where one is not.
    async fn feerates(
        &self,
        commitment: Option<FeeratePerKw>,
        funding: Option<FeeratePerKw>,
    ) -> (FeeratePerKw, FeeratePerKw) {
        match (commitment, funding) {
            (Some(commitment), Some(funding)) => (commitment, funding),
            (commitment, funding) => {
                let own = self.backend.info().await.feerate;
                (commitment.unwrap_or(own), funding.unwrap_or(own))
            }
        }
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

/// One percent of the amount, and never less than a short route costs. An invoice that cannot be read is refused by the core.
fn usual_max_fee(invoice: &str, amount: Option<Msat>) -> Msat {
    let asked = || Invoice::parse(invoice).ok().and_then(|invoice| invoice.amount);
    let amount = amount.or_else(asked).unwrap_or_default();
    Msat::new(amount.get() / 100).max(LEAST_MAX_FEE)
}
