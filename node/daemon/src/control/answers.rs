//! Requests in, answers out: JSON-RPC 2.0 over one body, a single call or a batch. What a call means is for others.
use super::dispatch::Ports;
use super::methods;
use super::rpc::{RpcError, BATCH_MAX, INVALID_REQUEST, PARSE_ERROR};
use serde_json::{json, Value};
use std::future::{poll_fn, Future};
use std::task::Poll;
use tokio::task::unconstrained;

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
    let mut batch = batch.into_iter().peekable();
    // One after the other: a batch that opens and then lists means it in this order. Only neighbours that do not depend on each
    // other are handed over together, so that the node makes all of them durable at once.
    while let Some(first) = batch.next() {
        let mut alike = vec![first];
        while alike.iter().all(may_pile_up) {
            let Some(next) = batch.next_if(may_pile_up) else { break };
            alike.push(next);
        }
        answers.extend(together(alike, ports).await.into_iter().flatten());
    }
    (!answers.is_empty()).then_some(Value::Array(answers))
}

/// Commands of which each says all that it means.
const INDEPENDENT: [&str; 4] = ["pay", "payroute", "invoice", "learnchannel"];

fn may_pile_up(request: &Value) -> bool {
    request.get("method").and_then(Value::as_str).is_some_and(|method| INDEPENDENT.contains(&method))
}

/// Hands all of them to the node in their order, then waits for all answers.
async fn together(requests: Vec<Value>, ports: &Ports) -> Vec<Option<Value>> {
    let mut calls: Vec<_> =
        requests.into_iter().map(|request| Box::pin(answer_one(request, ports))).collect();
    let mut answers: Vec<Option<Option<Value>>> = vec![None; calls.len()];
    let all = poll_fn(|context| {
        for (call, answer) in calls.iter_mut().zip(&mut answers).filter(|(_, answer)| answer.is_none()) {
            if let Poll::Ready(done) = call.as_mut().poll(context) {
                *answer = Some(done);
            }
        }
        if answers.iter().all(Option::is_some) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    });
    // A share of the runtime's turn for each call, not for all of them.
    unconstrained(all).await;
    answers.into_iter().flatten().collect()
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
