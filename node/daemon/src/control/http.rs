//! What HTTP adds: who may come in, which of the two resources is meant, and how a refusal looks. Every refusal comes
//! before the body is read.

use super::cookie;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Frame};
use hyper::header::{
    HeaderMap, HeaderValue, ALLOW, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, WWW_AUTHENTICATE,
};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

pub(super) type Answer = Response<BoxBody<Bytes, Infallible>>;

/// What a request is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Resource {
    /// `POST /`
    Calls,
    /// `GET /events`, from this number on.
    Events(Option<u64>),
}

/// Lets a request in, or says why not.
pub(super) fn admit(parts: &Parts, authorization: &str, body_max: usize) -> Result<Resource, Answer> {
    check_host(&parts.headers)?;
    let shown = parts.headers.get(AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
    if !cookie::matches(shown, authorization) {
        let mut answer =
            refuse(StatusCode::UNAUTHORIZED, "show the cookie: basic authorization with control.cookie");
        answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"leyden\""));
        return Err(answer);
    }
    let resource = match parts.uri.path() {
        "/" => allow(parts, &Method::POST, "POST").map(|()| Resource::Calls)?,
        "/events" => {
            allow(parts, &Method::GET, "GET")?;
            Resource::Events(from(parts.uri.query())?)
        }
        _ => return Err(refuse(StatusCode::NOT_FOUND, "there is POST / and GET /events")),
    };
    let length = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: u64| length > body_max as u64) {
        return Err(too_large(body_max));
    }
    Ok(resource)
}

fn allow(parts: &Parts, method: &Method, name: &'static str) -> Result<(), Answer> {
    if parts.method == *method {
        return Ok(());
    }
    let mut answer = refuse(StatusCode::METHOD_NOT_ALLOWED, "this path takes another method");
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(name));
    Err(answer)
}

/// A page in a browser can make its own name point to this machine, but the browser then sends that name.
fn check_host(headers: &HeaderMap) -> Result<(), Answer> {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(refuse(StatusCode::BAD_REQUEST, "one Host header, please"));
    };
    match host.to_str().ok().is_some_and(is_loopback) {
        true => Ok(()),
        false => Err(refuse(StatusCode::FORBIDDEN, "the Host header names no loopback address")),
    }
}

/// Whether `host` or `host:port` is this machine by a name that no name server gives.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => match port.parse::<u16>() {
            Ok(_) => name,
            Err(_) => return false,
        },
        Some(_) | None => host,
    };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

fn from(query: Option<&str>) -> Result<Option<u64>, Answer> {
    let Some(query) = query.filter(|query| !query.is_empty()) else { return Ok(None) };
    let number = query.strip_prefix("from=").and_then(|number| number.parse().ok());
    number.map(Some).ok_or_else(|| refuse(StatusCode::BAD_REQUEST, "the query is `from=NUMBER` or nothing"))
}

pub(super) fn too_large(body_max: usize) -> Answer {
    refuse(StatusCode::PAYLOAD_TOO_LARGE, &format!("a body has at most {body_max} bytes"))
}

/// A refusal, in plain text.
pub(super) fn refuse(status: StatusCode, text: &str) -> Answer {
    plain(status, "text/plain; charset=utf-8", Bytes::from(format!("{text}\n")))
}

/// A JSON body.
pub(super) fn json(body: String) -> Answer {
    plain(StatusCode::OK, "application/json", Bytes::from(body))
}

/// An answer without body.
pub(super) fn nothing() -> Answer {
    let mut answer = Response::new(Full::new(Bytes::new()).boxed());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}

/// A body that comes piece by piece, until the sender is dropped.
pub(super) fn stream(pieces: mpsc::Receiver<Bytes>) -> Answer {
    let mut answer = Response::new(Pieces(pieces).boxed());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    answer
}

fn plain(status: StatusCode, content_type: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body).boxed());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

struct Pieces(mpsc::Receiver<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_loopback() {
        for host in ["localhost", "LocalHost:1", "127.0.0.1", "127.9.9.9:80", "[::1]", "[::1]:9"] {
            assert!(is_loopback(host), "{host}");
        }
        let foreign = [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:80",
            "10.0.0.1",
            "[::2]:9",
        ];
        for host in foreign.into_iter().chain(["localhost:x", "127.0.0.1:99999", ":80"]) {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
