//! One call of the control port, as a value: read from a method's name and its parameters by the server, written to
//! them by the client. What a parameter left out means is decided where the call is carried out.

use super::json::{field, Json, Wrong};
use super::RpcError;
use leyden_core::channel::OpenRequest;
use leyden_core::ids::{ChannelId, NodeId, PaymentHash, PaymentSecret, ShortChannelId};
use leyden_core::node::{Command, ForwardPolicy, KnownChannel, RouteHop, RoutePayment};
use leyden_core::tx::ChannelType;
use leyden_core::units::{FeeratePerKw, Msat, Sat};
use serde_json::{Map, Value};

/// Every call: the method's name, and its parameters with their names.
macro_rules! calls {
    ($($variant:ident $method:literal { $($field:ident: $type:ty => $name:literal),* $(,)? })*) => {
        /// A call. Its documentation, for people too, is the table of methods.
        #[derive(Clone, PartialEq, Eq, Debug)]
        #[allow(missing_docs)]
        pub enum Call {
            $($variant { $($field: $type),* },)*
        }

        impl Call {
            /// The method's name.
            pub const fn method(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $method,)*
                }
            }

            /// The parameters by name; those left out are left out.
            pub fn parameters(&self) -> Map<String, Value> {
                let mut object = Map::new();
                match self {
                    $(Self::$variant { $($field),* } => {
                        $(object.insert($name.to_owned(), $field.write());)*
                    })*
                }
                object.retain(|_, value| !value.is_null());
                object
            }

            /// The call of this name, if there is such a method.
            pub(crate) fn read(method: &str, parameters: &Map<String, Value>) -> Option<Result<Self, Wrong>> {
                $(if method == $method {
                    let read = || Ok(Self::$variant { $($field: field(parameters, $name)?),* });
                    // A method without parameters never uses them.
                    let _ = parameters;
                    return Some(read());
                })*
                None
            }
        }
    };
}

calls! {
    GetInfo "getinfo" {}
    NewAddress "newaddress" {}
    Connect "connect" { peer: NodeId => "peer", address: String => "address" }
    Disconnect "disconnect" { peer: NodeId => "peer" }
    ListPeers "listpeers" {}
    OpenChannel "openchannel" {
        peer: NodeId => "peer",
        funding_amount: Sat => "amount_sat",
        push: Option<Msat> => "push_msat",
        channel_type: Option<ChannelType> => "channel_type",
        commitment_feerate: Option<FeeratePerKw> => "commitment_feerate_per_kw",
        funding_feerate: Option<FeeratePerKw> => "funding_feerate_per_kw",
        public: Option<bool> => "public",
    }
    CloseChannel "closechannel" {
        channel: ChannelId => "channel_id",
        feerate: Option<FeeratePerKw> => "feerate_per_kw",
    }
    ForceCloseChannel "forceclosechannel" { channel: ChannelId => "channel_id" }
    SetChannelFee "setchannelfee" {
        channel: ChannelId => "channel_id",
        feerate: FeeratePerKw => "feerate_per_kw",
    }
    Invoice "invoice" {
        amount: Option<Msat> => "amount_msat",
        description: Option<String> => "description",
        min_final_cltv_delta: Option<u32> => "min_final_cltv_delta",
    }
    DecodeInvoice "decodeinvoice" { invoice: String => "invoice" }
    Pay "pay" {
        invoice: String => "invoice",
        amount: Option<Msat> => "amount_msat",
        max_fee: Option<Msat> => "max_fee_msat",
    }
    PayRoute "payroute" {
        payment_hash: PaymentHash => "payment_hash",
        payment_secret: PaymentSecret => "payment_secret",
        hops: Vec<RouteHop> => "hops",
        total: Msat => "total_msat",
    }
    LearnChannel "learnchannel" {
        short_channel_id: ShortChannelId => "short_channel_id",
        from: NodeId => "from",
        to: NodeId => "to",
        capacity: Sat => "capacity_sat",
        fee_base: Option<Msat> => "fee_base_msat",
        fee_proportional_millionths: Option<u32> => "fee_proportional_millionths",
        cltv_expiry_delta: Option<u32> => "cltv_expiry_delta",
        htlc_minimum: Option<Msat> => "htlc_minimum_msat",
        htlc_maximum: Option<Msat> => "htlc_maximum_msat",
    }
    ListChannels "listchannels" {}
    ListPayments "listpayments" {}
    GetBalances "getbalances" {}
    Events "events" { from: Option<u64> => "from", limit: Option<u32> => "limit" }
    Stop "stop" {}
    Help "help" { method: Option<String> => "method" }
}

impl Call {
    /// The call of this method with these parameters, by name.
    ///
    /// # Errors
    /// As the node itself would answer: no such method, or a wrong parameter.
    pub fn named(method: &str, parameters: Map<String, Value>) -> Result<Self, RpcError> {
        super::methods::call(method, Some(Value::Object(parameters)))
    }
}

impl From<Command> for Call {
    /// The call that carries exactly this command, every parameter given.
    fn from(command: Command) -> Self {
        match command {
            Command::NewAddress => Self::NewAddress {},
            Command::Open(request) => opening(request),
            Command::Close { channel, feerate } => Self::CloseChannel { channel, feerate },
            Command::ForceClose { channel } => Self::ForceCloseChannel { channel },
            Command::UpdateFee { channel, feerate } => Self::SetChannelFee { channel, feerate },
            Command::Invoice { amount, description, min_final_cltv_delta } => {
                Self::Invoice { amount, description: Some(description), min_final_cltv_delta }
            }
            Command::Pay { invoice, amount, max_fee } => {
                Self::Pay { invoice, amount, max_fee: Some(max_fee) }
            }
            Command::PayRoute(route) => {
                let RoutePayment { payment_hash, payment_secret, hops, total } = route;
                Self::PayRoute { payment_hash, payment_secret: PaymentSecret(payment_secret), hops, total }
            }
            Command::LearnChannel(known) => learning(known),
            Command::ListChannels => Self::ListChannels {},
            Command::ListPayments => Self::ListPayments {},
            Command::Balances => Self::GetBalances {},
        }
    }
}

fn opening(request: OpenRequest) -> Call {
    Call::OpenChannel {
        peer: request.peer,
        funding_amount: request.funding_amount,
        push: Some(request.push),
        channel_type: Some(request.channel_type),
        commitment_feerate: Some(request.commitment_feerate),
        funding_feerate: Some(request.funding_feerate),
        public: Some(request.public),
    }
}

fn learning(known: KnownChannel) -> Call {
    let ForwardPolicy {
        fee_base,
        fee_proportional_millionths,
        cltv_expiry_delta,
        htlc_minimum,
        htlc_maximum,
    } = known.policy;
    Call::LearnChannel {
        short_channel_id: known.short_channel_id,
        from: known.from,
        to: known.to,
        capacity: known.capacity,
        fee_base: Some(fee_base),
        fee_proportional_millionths: Some(fee_proportional_millionths),
        cltv_expiry_delta: Some(cltv_expiry_delta),
        htlc_minimum: Some(htlc_minimum),
        htlc_maximum: Some(htlc_maximum),
    }
}
