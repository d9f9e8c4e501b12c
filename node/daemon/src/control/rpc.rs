//! JSON-RPC 2.0: what is a request, a batch, a notification, and what is said to one that is none. No method is known here.

use super::dispatch::Ports;
use super::methods;
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

    fn write(&self) -> Value {
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

/// One request that is well formed.
struct Request {
    /// Nothing for a notification, which gets no answer.
    id: Option<Value>,
    method: String,
    parameters: Option<Value>,
}

/// The answer to a body; nothing when all of it was notifications.
pub(super) async fn answer(body: &[u8], ports: &Ports) -> Option<Value> {
    let Ok(parsed) = serde_json::from_slice::<Value>(body) else {
        return Some(failure(&Value::Null, &RpcError::new(PARSE_ERROR, "the body is not JSON")));
    };
    let Value::Array(batch) = parsed else { return answer_one(parsed, ports).await };
    if batch.is_empty() || batch.len() > BATCH_MAX {
        let text = format!("a batch has 1 to {BATCH_MAX} requests, this one has {}", batch.len());
        return Some(failure(&Value::Null, &RpcError::new(INVALID_REQUEST, text)));
    }
    let mut answers = Vec::new();
    // One after the other: a batch that opens and then lists means it in this order.
    for request in batch {
        answers.extend(answer_one(request, ports).await);
    }
    (!answers.is_empty()).then_some(Value::Array(answers))
}

async fn answer_one(request: Value, ports: &Ports) -> Option<Value> {
    let request = match read(request) {
        Ok(request) => request,
        Err((id, error)) => return Some(failure(&id, &error)),
    };
    let result = match methods::call(&request.method, request.parameters) {
        Ok(call) => ports.run(call).await,
        Err(error) => Err(error),
    };
    let id = request.id?;
    Some(match result {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(error) => failure(&id, &error),
    })
}

fn failure(id: &Value, error: &RpcError) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": error.write() })
}

/// A request, or what is wrong with it and the id to say it under.
fn read(mut request: Value) -> Result<Request, (Value, RpcError)> {
    let id = request.get("id").cloned();
    let invalid = |text| {
        // An id of a form that none may have is not given back.
        let known = id.clone().filter(|id| id.is_string() || id.is_number());
        (known.unwrap_or_default(), RpcError::new(INVALID_REQUEST, text))
    };
    let Some(object) = request.as_object_mut() else {
        return Err(invalid("a request is an object"));
    };
    if object.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err(invalid("`jsonrpc` must be \"2.0\""));
    }
    if !id.as_ref().is_none_or(|id| id.is_string() || id.is_number() || id.is_null()) {
        return Err(invalid("`id` must be a string, a number or null"));
    }
    let Some(Value::String(method)) = object.remove("method") else {
        return Err(invalid("`method` must be a string"));
    };
    let parameters = object.remove("params").filter(|parameters| !parameters.is_null());
    if !parameters.as_ref().is_none_or(|parameters| parameters.is_array() || parameters.is_object()) {
        return Err(invalid("`params` must be an object or an array"));
    }
    Ok(Request { id, method, parameters })
}
