//! The typed client of the control port, blocking: for the command line and for a harness. A request is never sent a
//! second time by itself: after a broken connection nobody knows whether the first one opened a channel.

mod events;
mod transport;

pub use events::Events;

use super::json::{self, Json};
use super::{
    cookie, shapes, Call, DecodedInvoice, Info, PeerInfo, RpcError, ADDRESS_FILE, COOKIE_FILE, REFUSED,
};
use leyden_core::channel::OpenRequest;
use leyden_core::ids::{ChannelId, NodeId, PaymentHash};
use leyden_core::node::{
    BalanceInfo, ChannelInfo, Command, CommandError, KnownChannel, PaymentInfo, Reply, RoutePayment,
};
use leyden_core::units::{FeeratePerKw, Msat};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};
use transport::Transport;

/// How long an answer may take, unless [`Client::set_timeout`] says otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The folder has no address or no cookie that can be read: no node runs there, or it is another user's.
    #[error("no node runs in {}: cannot read {file}: {source}", folder.display())]
    NoNode {
        /// Where.
        folder: PathBuf,
        /// Which file.
        file: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Nobody answers at the address.
    #[error("no node answers at {address}: {source}")]
    Unreachable {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The node there has another cookie.
    #[error("the node at {0} does not take this cookie: was it started again?")]
    Unauthorized(SocketAddr),
    /// The answer did not come in time. What was asked may have been done.
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The connection broke after the request was sent. What was asked may have been done.
    #[error("the connection broke before the answer came: {0}")]
    Broken(io::Error),
    /// HTTP refuses.
    #[error("the node answers {status}: {text}")]
    Http {
        /// The status.
        status: u16,
        /// The body.
        text: String,
    },
    /// What came is not what this client knows.
    #[error("an answer that this client cannot read: {0}")]
    Answer(String),
    /// The node answered with an error.
    #[error(transparent)]
    Rpc(#[from] RpcError),
}

/// A connection to one node's control port; made when it is first used, kept alive, and made again when it has ended idly.
pub struct Client {
    transport: Transport,
    next_id: u64,
}

impl Client {
    /// A client of the node at `address`, with the content of its cookie file. Nothing is sent yet.
    pub fn connect(address: SocketAddr, cookie: &str) -> Self {
        let authorization = cookie::authorization(cookie.trim());
        Self { transport: Transport::new(address, authorization, DEFAULT_TIMEOUT), next_id: 1 }
    }

    /// A client of the node that runs in this folder.
    ///
    /// # Errors
    /// [`ClientError::NoNode`].
    pub fn from_folder(folder: &Path) -> Result<Self, ClientError> {
        let read = |file: &'static str| {
            let no_node = |source| ClientError::NoNode { folder: folder.to_owned(), file, source };
            fs::read_to_string(folder.join(file)).map_err(no_node)
        };
        let address = read(ADDRESS_FILE)?.trim().parse().map_err(|_| ClientError::NoNode {
            folder: folder.to_owned(),
            file: ADDRESS_FILE,
            source: io::ErrorKind::InvalidData.into(),
        })?;
        Ok(Self::connect(address, &read(COOKIE_FILE)?))
    }

    /// How long an answer may take from now on.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.transport.set_timeout(timeout);
    }

    /// Where the node is.
    pub const fn address(&self) -> SocketAddr {
        self.transport.address()
    }

    /// One call's result as JSON, which is what it is for people.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::Rpc`] is the node's own answer.
    pub fn call(&mut self, call: &Call) -> Result<Value, ClientError> {
        self.request(call.method(), Value::Object(call.parameters()))
    }

    /// One call by name, unchecked.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn request(&mut self, method: &str, parameters: Value) -> Result<Value, ClientError> {
        let id = self.next_id;
        self.next_id += 1;
        let request =
            serde_json::json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": parameters });
        let body = self.transport.post(&request.to_string())?;
        let mut answer: Value =
            serde_json::from_slice(&body).map_err(|error| ClientError::Answer(error.to_string()))?;
        if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
            return Err(RpcError::read(error).map_or_else(
                || ClientError::Answer(format!("not an error object: {error}")),
                ClientError::Rpc,
            ));
        }
        if answer.get("id").and_then(Value::as_u64) != Some(id) {
            return Err(ClientError::Answer("it is for another request".to_owned()));
        }
        Ok(answer["result"].take())
    }

    /// Several calls in one request, at most [`BATCH_MAX`](crate::control::BATCH_MAX); their results in the same order.
    ///
    /// # Errors
    /// As [`Client::call`], but for what the node says to each.
    pub fn batch(&mut self, calls: &[Call]) -> Result<Vec<Result<Value, RpcError>>, ClientError> {
        let ids = self.next_id..;
        self.next_id += calls.len() as u64;
        let requests = ids.zip(calls).map(|(id, call)| {
            let (method, parameters) = (call.method(), call.parameters());
            serde_json::json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": parameters })
        });
        let body = self.transport.post(&Value::Array(requests.collect()).to_string())?;
        let answers: Vec<Value> =
            serde_json::from_slice(&body).map_err(|error| ClientError::Answer(error.to_string()))?;
        if answers.len() != calls.len() {
            return Err(ClientError::Answer("a batch with as many answers as calls was awaited".to_owned()));
        }
        let read = |mut answer: Value| match answer.get("error").and_then(RpcError::read) {
            Some(error) => Err(error),
            None => Ok(answer["result"].take()),
        };
        Ok(answers.into_iter().map(read).collect())
    }

    /// Any command of the core. Every [`Command`] and every [`Reply`] goes through without loss. The inner error is the node's
    /// refusal; a command whose parameters no node takes is a [`ClientError::Rpc`].
    ///
    /// # Errors
    /// As [`Client::call`], but for a refusal.
    pub fn command(&mut self, command: Command) -> Result<Result<Reply, CommandError>, ClientError> {
        match self.call(&Call::from(command)) {
            Ok(result) => shapes::read_reply(&result).map(Ok).map_err(unreadable),
            Err(ClientError::Rpc(error)) if error.code == REFUSED => Ok(Err(CommandError(error.message))),
            Err(error) => Err(error),
        }
    }

    fn typed<T: Json>(&mut self, call: &Call) -> Result<T, ClientError> {
        T::read(&self.call(call)?).map_err(unreadable)
    }

    fn part<T: Json>(&mut self, call: &Call, name: &str) -> Result<T, ClientError> {
        let result = self.call(call)?;
        json::fields(&result).and_then(|object| json::field(object, name)).map_err(unreadable)
    }

    fn done(&mut self, call: &Call) -> Result<(), ClientError> {
        self.call(call).map(drop)
    }
}

/// One method each; errors as [`Client::call`].
#[allow(clippy::missing_errors_doc)]
impl Client {
    /// What the node is and where it stands.
    pub fn getinfo(&mut self) -> Result<Info, ClientError> {
        self.typed(&Call::GetInfo {})
    }

    /// A fresh address of the wallet.
    pub fn newaddress(&mut self) -> Result<bitcoin::Address, ClientError> {
        let network = self.getinfo()?.network;
        let text: String = self.part(&Call::NewAddress {}, "address")?;
        let address: Result<bitcoin::Address<_>, _> = text.parse();
        let checked = address.and_then(|address| address.require_network(network));
        checked.map_err(|error| ClientError::Answer(error.to_string()))
    }

    /// Connects to a peer; done when both sent `init`.
    pub fn connect_peer(&mut self, peer: NodeId, address: &str) -> Result<(), ClientError> {
        self.done(&Call::Connect { peer, address: address.to_owned() })
    }

    /// Drops a connection.
    pub fn disconnect(&mut self, peer: NodeId) -> Result<(), ClientError> {
        self.done(&Call::Disconnect { peer })
    }

    /// The peers.
    pub fn listpeers(&mut self) -> Result<Vec<PeerInfo>, ClientError> {
        self.part(&Call::ListPeers {}, "peers")
    }

    /// Begins to open a channel; its temporary id.
    pub fn openchannel(&mut self, request: OpenRequest) -> Result<ChannelId, ClientError> {
        self.part(&Call::from(Command::Open(request)), "temporary_channel_id")
    }

    /// Begins to close a channel together.
    pub fn closechannel(
        &mut self,
        channel: ChannelId,
        feerate: Option<FeeratePerKw>,
    ) -> Result<(), ClientError> {
        self.done(&Call::CloseChannel { channel, feerate })
    }

    /// Closes a channel alone.
    pub fn forceclosechannel(&mut self, channel: ChannelId) -> Result<(), ClientError> {
        self.done(&Call::ForceCloseChannel { channel })
    }

    /// Changes the feerate of a channel.
    pub fn setchannelfee(&mut self, channel: ChannelId, feerate: FeeratePerKw) -> Result<(), ClientError> {
        self.done(&Call::SetChannelFee { channel, feerate })
    }

    /// A new invoice's text and hash.
    pub fn invoice(
        &mut self,
        amount: Option<Msat>,
        description: &str,
        min_final_cltv_delta: Option<u32>,
    ) -> Result<(String, PaymentHash), ClientError> {
        let description = description.to_owned();
        let result = self.call(&Call::Invoice { amount, description, min_final_cltv_delta })?;
        match shapes::read_reply(&result).map_err(unreadable)? {
            Reply::Invoice { text, payment_hash } => Ok((text, payment_hash)),
            other => Err(ClientError::Answer(format!("not an invoice: {other:?}"))),
        }
    }

    /// What an invoice says.
    pub fn decodeinvoice(&mut self, invoice: &str) -> Result<DecodedInvoice, ClientError> {
        self.typed(&Call::DecodeInvoice { invoice: invoice.to_owned() })
    }

    /// Begins to pay an invoice; its hash.
    pub fn pay(
        &mut self,
        invoice: &str,
        amount: Option<Msat>,
        max_fee: Option<Msat>,
    ) -> Result<PaymentHash, ClientError> {
        self.part(&Call::Pay { invoice: invoice.to_owned(), amount, max_fee }, "payment_hash")
    }

    /// Sends one attempt over exactly this route.
    pub fn payroute(&mut self, route: RoutePayment) -> Result<PaymentHash, ClientError> {
        self.part(&Call::from(Command::PayRoute(route)), "payment_hash")
    }

    /// Tells of a channel of others.
    pub fn learnchannel(&mut self, known: KnownChannel) -> Result<(), ClientError> {
        self.done(&Call::from(Command::LearnChannel(known)))
    }

    /// The channels.
    pub fn listchannels(&mut self) -> Result<Vec<ChannelInfo>, ClientError> {
        self.part(&Call::ListChannels {}, "channels")
    }

    /// The payments.
    pub fn listpayments(&mut self) -> Result<Vec<PaymentInfo>, ClientError> {
        self.part(&Call::ListPayments {}, "payments")
    }

    /// Wallet and channel money.
    pub fn getbalances(&mut self) -> Result<BalanceInfo, ClientError> {
        self.typed(&Call::GetBalances {})
    }

    /// Begins to stop the node.
    pub fn stop(&mut self) -> Result<(), ClientError> {
        self.done(&Call::Stop {})
    }

    /// The help of one method, or of all.
    pub fn help(&mut self, method: Option<&str>) -> Result<String, ClientError> {
        self.part(&Call::Help { method: method.map(str::to_owned) }, "text")
    }

    /// The stream of events from this number on; without one, of those that come after this returned.
    pub fn events(&self, from: Option<u64>) -> Result<Events, ClientError> {
        Events::open(&self.transport, from)
    }
}

fn unreadable(wrong: json::Wrong) -> ClientError {
    ClientError::Answer(wrong.to_string())
}
