//! JSON-RPC 2.0: what is a request, a batch, a notification, and what is said to one that is none. No method is known here.

use serde_json::{json, Value};
use std::fmt;

/// The body is not JSON.
pub const PARSE_ERROR: i64 = -32700;
/// The JSON is no request, or the batch is empty or too large.
pub const INVALID_REQUEST: i64 = -32600;
/// There is no method of this name.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// A parameter is missing, unknown or not what it must be; `data.parameter` names it.
pub const INVALID_PARAMS: i64 = -32602;
/// The node refuses, or is stopping. The message is the node's own; nothing has changed.
pub const REFUSED: i64 = -32001;
/// The peer cannot be reached, or the handshake with it failed.
pub const NOT_CONNECTED: i64 = -32002;

/// The most requests in one batch.
pub const BATCH_MAX: usize = 100;

/// What a caller gets instead of a result.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub struct RpcError {
    /// One of the codes above.
    pub code: i64,
    /// For people.
    pub message: String,
    /// The parameter at fault, for [`INVALID_PARAMS`]; inside of one as in `hops[0].node_id`.
    pub parameter: Option<String>,
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl RpcError {
    pub(super) fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), parameter: None }
    }

    pub(super) fn parameter(name: &str, message: impl Into<String>) -> Self {
        Self { code: INVALID_PARAMS, message: message.into(), parameter: Some(name.to_owned()) }
    }

    pub(super) fn write(&self) -> Value {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let Some(parameter) = &self.parameter {
            error["data"] = json!({ "parameter": parameter });
        }
        error
    }

    /// The error of an answer; nothing when it is none.
    pub(super) fn read(error: &Value) -> Option<Self> {
        let parameter = error.pointer("/data/parameter").and_then(Value::as_str).map(str::to_owned);
        let message = error.get("message")?.as_str()?.to_owned();
        Some(Self { code: error.get("code")?.as_i64()?, message, parameter })
    }
}
