//! One call of the control port, as a value: read from a method's name and its parameters by the server, written to
//! them by the client. What stands for a parameter that is left out stands here, unless only the node can know it.

use super::json::{field, fields, object, Json, Wrong};
#[cfg(feature = "daemon")]
use super::RpcError;
use leyden_core::channel::OpenRequest;
use leyden_core::ids::{ChannelId, NodeId};
use leyden_core::node::{Command, ForwardPolicy, KnownChannel, RoutePayment};
use leyden_core::tx::ChannelType;
use leyden_core::units::{BlockHeight, FeeratePerKw, Msat, Sat};
use serde_json::{json, Map, Value};

/// The most events that one call of `events` gives.
pub(super) const EVENTS_MAX: u32 = 1_000;

/// A parameter that was given, or what stands for it; `*` is all of them as one value.
macro_rules! given {
    ($parameters:ident, *) => {
        Json::read(&Value::Object($parameters.clone()))?
    };
    ($parameters:ident, $name:literal) => {
        field($parameters, $name)?
    };
    ($parameters:ident, $name:literal or $default:expr) => {
        field::<Option<_>>($parameters, $name)?.unwrap_or($default)
    };
}

/// The other way.
macro_rules! give {
    ($parameters:ident, *, $value:ident) => {
        if let Value::Object(all) = $value.write() {
            $parameters.extend(all);
        }
    };
    ($parameters:ident, $name:literal, $value:ident) => {
        $parameters.insert($name.to_owned(), $value.write());
    };
}

/// Every call: the method's name, and its parameters with their names, and what they are when left out.
macro_rules! calls {
    ($($variant:ident $method:literal {
        $($field:ident: $type:ty => $name:tt $(or $default:expr)?),* $(,)?
    })*) => {
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
                        $(give!(object, $name, $field);)*
                    })*
                }
                object.retain(|_, value| !value.is_null());
                object
            }

            /// The call of this name, if there is such a method.
            pub(crate) fn read(method: &str, parameters: &Map<String, Value>) -> Option<Result<Self, Wrong>> {
                $(if method == $method {
                    let read = || Ok(Self::$variant { $($field: given!(parameters, $name $(or $default)?)),* });
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
        push: Msat => "push_msat" or Msat::ZERO,
        channel_type: ChannelType => "channel_type" or ChannelType::AnchorsZeroFeeHtlc,
        commitment_feerate: Option<FeeratePerKw> => "commitment_feerate_per_kw",
        funding_feerate: Option<FeeratePerKw> => "funding_feerate_per_kw",
        public: bool => "public" or false,
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
        description: String => "description" or String::new(),
        min_final_cltv_delta: Option<u32> => "min_final_cltv_delta",
    }
    DecodeInvoice "decodeinvoice" { invoice: String => "invoice" }
    Pay "pay" {
        invoice: String => "invoice",
        amount: Option<Msat> => "amount_msat",
        max_fee: Option<Msat> => "max_fee_msat",
    }
    PayRoute "payroute" { route: RoutePayment => * }
    LearnChannel "learnchannel" { known: KnownChannel => * }
    ListChannels "listchannels" {}
    ListPayments "listpayments" {}
    GetBalances "getbalances" {}
    Events "events" { from: Option<u64> => "from", limit: u32 => "limit" or EVENTS_MAX }
    WaitBlock "waitblock" { height: BlockHeight => "height" }
    WaitGuarded "waitguarded" {}
    Published "published" { channel: ChannelId => "channel_id", more_than: Option<u64> => "more_than" }
    Stop "stop" {}
    Help "help" { method: Option<String> => "method" }
}

impl Call {
    /// The call of this method with these parameters, by name.
    ///
    /// # Errors
    /// As the node itself would answer: no such method, or a wrong parameter.
    #[cfg(feature = "daemon")]
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
                Self::Invoice { amount, description, min_final_cltv_delta }
            }
            Command::Pay { invoice, amount, max_fee } => {
                Self::Pay { invoice, amount, max_fee: Some(max_fee) }
            }
            Command::PayRoute(route) => Self::PayRoute { route },
            Command::LearnChannel(known) => Self::LearnChannel { known },
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
        push: request.push,
        channel_type: request.channel_type,
        commitment_feerate: Some(request.commitment_feerate),
        funding_feerate: Some(request.funding_feerate),
        public: request.public,
    }
}

object!(RoutePayment {
    payment_hash => "payment_hash",
    payment_secret => "payment_secret",
    hops => "hops",
    total => "total_msat",
});

/// Flat, and with the usual policy where none is said.
impl Json for KnownChannel {
    const FORM: &'static str = "an object";

    fn write(&self) -> Value {
        json!({
            "short_channel_id": self.short_channel_id.write(),
            "from": self.from.write(),
            "to": self.to.write(),
            "capacity_sat": self.capacity.write(),
            "fee_base_msat": self.policy.fee_base.write(),
            "fee_proportional_millionths": self.policy.fee_proportional_millionths,
            "cltv_expiry_delta": self.policy.cltv_expiry_delta,
            "htlc_minimum_msat": self.policy.htlc_minimum.write(),
            "htlc_maximum_msat": self.policy.htlc_maximum.write(),
        })
    }

    fn read(value: &Value) -> Result<Self, Wrong> {
        let (object, usual) = (fields(value)?, ForwardPolicy::default());
        let ppm = given!(object, "fee_proportional_millionths" or usual.fee_proportional_millionths);
        let policy = ForwardPolicy {
            fee_base: given!(object, "fee_base_msat" or usual.fee_base),
            fee_proportional_millionths: ppm,
            cltv_expiry_delta: given!(object, "cltv_expiry_delta" or usual.cltv_expiry_delta),
            htlc_minimum: given!(object, "htlc_minimum_msat" or usual.htlc_minimum),
            htlc_maximum: given!(object, "htlc_maximum_msat" or usual.htlc_maximum),
        };
        Ok(Self {
            short_channel_id: given!(object, "short_channel_id"),
            from: given!(object, "from"),
            to: given!(object, "to"),
            capacity: given!(object, "capacity_sat"),
            policy,
        })
    }
}
