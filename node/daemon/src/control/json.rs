//! One value of ours to JSON and back, without loss. Reading says which field was wrong and what was expected there.
//! No shape of a method or a notice is known here.

use bitcoin::hex::{DisplayHex, FromHex};
use bitcoin::{BlockHash, Network, OutPoint, ScriptBuf, Txid};
use leyden_core::ids::{ChannelId, NodeId, PaymentHash, PaymentSecret, Preimage, ShortChannelId};
use leyden_core::tx::{ChannelType, Side};
use leyden_core::units::{BlockHeight, CltvExpiry, FeeratePerKw, Msat, Sat};
use serde_json::{Map, Value};

/// A value that is not what it must be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{path}: expected {expected}")]
pub struct Wrong {
    /// The way to it, as in `hops[1].amount_msat`; empty for the whole.
    pub path: String,
    /// What should be there.
    pub expected: &'static str,
}

impl Wrong {
    pub(crate) fn here(expected: &'static str) -> Self {
        Self { path: String::new(), expected }
    }

    fn inside(self, outer: &str) -> Self {
        let joint = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        Self { path: format!("{outer}{joint}{}", self.path), expected: self.expected }
    }
}

/// A value with one JSON form.
pub(crate) trait Json: Sized {
    /// Its form in words, for who got it wrong.
    const FORM: &'static str;

    fn write(&self) -> Value;

    fn read(value: &Value) -> Result<Self, Wrong>;
}

/// A field of an object; one that is absent is read as `null`.
pub(crate) fn field<T: Json>(object: &Map<String, Value>, name: &str) -> Result<T, Wrong> {
    T::read(object.get(name).unwrap_or(&Value::Null)).map_err(|wrong| wrong.inside(name))
}

/// The fields of an object.
pub(crate) fn fields(value: &Value) -> Result<&Map<String, Value>, Wrong> {
    value.as_object().ok_or(Wrong::here("an object"))
}

/// A struct as an object: each field, under which name.
macro_rules! object {
    ($type:ty { $($field:ident => $name:literal),* $(,)? }) => {
        impl $crate::control::json::Json for $type {
            const FORM: &'static str = "an object";

            fn write(&self) -> serde_json::Value {
                let mut object = serde_json::Map::new();
                $(object.insert($name.to_owned(), $crate::control::json::Json::write(&self.$field));)*
                serde_json::Value::Object(object)
            }

            fn read(value: &serde_json::Value) -> Result<Self, $crate::control::json::Wrong> {
                let object = $crate::control::json::fields(value)?;
                Ok(Self { $($field: $crate::control::json::field(object, $name)?),* })
            }
        }
    };
}
pub(crate) use object;

impl<T: Json> Json for Option<T> {
    const FORM: &'static str = T::FORM;

    fn write(&self) -> Value {
        self.as_ref().map_or(Value::Null, Json::write)
    }

    fn read(value: &Value) -> Result<Self, Wrong> {
        match value {
            Value::Null => Ok(None),
            value => T::read(value).map(Some),
        }
    }
}

impl<T: Json> Json for Vec<T> {
    const FORM: &'static str = "an array";

    fn write(&self) -> Value {
        self.iter().map(Json::write).collect()
    }

    fn read(value: &Value) -> Result<Self, Wrong> {
        let items = value.as_array().ok_or(Wrong::here(Self::FORM))?;
        let read = |(index, item)| T::read(item).map_err(|wrong| wrong.inside(&format!("[{index}]")));
        items.iter().enumerate().map(read).collect()
    }
}

/// A type, its form in words, how it is written, and how it is read back.
macro_rules! plain {
    ($($type:ty, $form:literal, $write:expr, $read:expr;)*) => {
        $(impl Json for $type {
            const FORM: &'static str = $form;

            fn write(&self) -> Value {
                let write: fn(&Self) -> Value = $write;
                write(self)
            }

            fn read(value: &Value) -> Result<Self, Wrong> {
                let read: fn(&Value) -> Option<Self> = $read;
                read(value).ok_or(Wrong::here(Self::FORM))
            }
        })*
    };
}

plain! {
    bool, "true or false", |b| Value::Bool(*b), |v| v.as_bool();
    String, "a string", |s| Value::String(s.clone()), |v| v.as_str().map(str::to_owned);
    u16, "an integer from 0 to 65535", |n| (*n).into(), number;
    u32, "an integer from 0 to 4294967295", |n| (*n).into(), number;
    u64, "an integer from 0 to 18446744073709551615", |n| (*n).into(), |v| v.as_u64();
    Msat, "an integer, in millisatoshis", |a| a.get().into(), |v| v.as_u64().map(Msat::new);
    Sat, "an integer, in satoshis", |a| a.get().into(), |v| v.as_u64().map(Sat::new);
    FeeratePerKw, "an integer, in satoshis per 1000 weight units", |r| r.get().into(), |v| number(v).map(Self::new);
    BlockHeight, "a block height", |h| h.get().into(), |v| number(v).map(Self::new);
    CltvExpiry, "a block height", |h| h.get().into(), |v| number(v).map(Self::new);
    NodeId, "a node id: 66 hex digits, a point on the curve", text, parsed;
    ChannelId, "a channel id: 64 hex digits", text, |v| bytes32(v).map(Self);
    PaymentHash, "a payment hash: 64 hex digits", text, |v| bytes32(v).map(Self);
    Preimage, "a preimage: 64 hex digits", text, |v| bytes32(v).map(Self);
    PaymentSecret, "a payment secret: 64 hex digits", text, |v| bytes32(v).map(Self);
    [u8; 32], "64 hex digits", |bytes| to_hex(bytes).into(), bytes32;
    ShortChannelId, "a short channel id: HEIGHTxINDEXxOUTPUT", text, short_channel_id;
    ScriptBuf, "a script in hex", |s| s.to_hex_string().into(), |v| hex(v).map(ScriptBuf::from_bytes);
    Txid, "a txid: 64 hex digits, as explorers show it", text, parsed;
    BlockHash, "a block hash: 64 hex digits, as explorers show it", text, parsed;
    Network, "bitcoin, testnet, signet or regtest", text, parsed;
    ChannelType, "static_remotekey or anchors_zero_fee_htlc", |t| channel_type_name(*t).into(), channel_type;
    Side, "local or remote", |s| side_name(*s).into(), side;
}

object!(OutPoint { txid => "txid", vout => "vout" });

fn number<T: TryFrom<u64>>(value: &Value) -> Option<T> {
    T::try_from(value.as_u64()?).ok()
}

fn text(value: &impl ToString) -> Value {
    Value::String(value.to_string())
}

fn parsed<T: std::str::FromStr>(value: &Value) -> Option<T> {
    value.as_str()?.parse().ok()
}

fn hex(value: &Value) -> Option<Vec<u8>> {
    Vec::from_hex(value.as_str()?).ok()
}

fn bytes32(value: &Value) -> Option<[u8; 32]> {
    <[u8; 32]>::from_hex(value.as_str()?).ok()
}

/// Bytes in lower case hex.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.to_lower_hex_string()
}

fn short_channel_id(value: &Value) -> Option<ShortChannelId> {
    let mut parts = value.as_str()?.split('x').map(|part| part.parse().ok());
    let id = ShortChannelId::new(parts.next()??, parts.next()??, parts.next()??)?;
    parts.next().is_none().then_some(id)
}

const fn channel_type_name(channel_type: ChannelType) -> &'static str {
    match channel_type {
        ChannelType::StaticRemotekey => "static_remotekey",
        ChannelType::AnchorsZeroFeeHtlc => "anchors_zero_fee_htlc",
    }
}

fn channel_type(value: &Value) -> Option<ChannelType> {
    let known = [ChannelType::StaticRemotekey, ChannelType::AnchorsZeroFeeHtlc];
    known.into_iter().find(|channel_type| value.as_str() == Some(channel_type_name(*channel_type)))
}

const fn side_name(side: Side) -> &'static str {
    match side {
        Side::Local => "local",
        Side::Remote => "remote",
    }
}

fn side(value: &Value) -> Option<Side> {
    [Side::Local, Side::Remote].into_iter().find(|side| value.as_str() == Some(side_name(*side)))
}
