//! What HTTP adds: who may come in, which of the two resources is meant, and how a refusal looks. Every refusal comes
//! before the body is read.

use super::cookie_files;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Frame};
use hyper::header::{
    HeaderMap, HeaderValue, ALLOW, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST,
    WWW_AUTHENTICATE,
};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
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

/// Why a request gets no answer of the node.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("show the cookie: basic authorization with the content of control.cookie")]
    NoCookie,
    #[error("there must be one Host header")]
    NoHost,
    #[error("the Host header names no loopback address")]
    ForeignHost,
    #[error("there is POST / and GET /events")]
    NotFound,
    #[error("this path takes {0} alone")]
    Method(&'static str),
    #[error("the query is from=NUMBER or nothing")]
    Query,
    #[error("{0}")]
    Event(String),
    #[error("a body has at most {0} bytes")]
    TooLarge(usize),
    #[error("the body broke off")]
    Broken,
    #[error("the body did not come in time")]
    Slow,
    #[error("there are as many event streams as there may be")]
    Streams,
}

impl Refusal {
    const fn status(&self) -> StatusCode {
        match self {
            Self::NoCookie => StatusCode::UNAUTHORIZED,
            Self::ForeignHost => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::NoHost | Self::Query | Self::Event(_) | Self::Broken => StatusCode::BAD_REQUEST,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::Streams => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// In plain text. It ends the connection: the rest of a body may still be on its way, and only an end is sure to be clean.
    pub(super) fn answer(&self) -> Answer {
        let text = Bytes::from(format!("{self}\n"));
        let mut answer = whole(self.status(), "text/plain; charset=utf-8", text);
        let headers = answer.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        match self {
            Self::NoCookie => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"leyden\""));
            }
            Self::Method(method) => {
                headers.insert(ALLOW, HeaderValue::from_static(method));
            }
            _ => {}
        }
        answer
    }
}

/// Lets a request in, or says why not.
pub(super) fn admit(parts: &Parts, authorization: &str, body_max: usize) -> Result<Resource, Refusal> {
    check_host(&parts.headers)?;
    let shown = parts.headers.get(AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
    if !cookie_files::matches(shown, authorization) {
        return Err(Refusal::NoCookie);
    }
    let resource = match (parts.uri.path(), parts.method.as_str()) {
        ("/", "POST") => Resource::Calls,
        ("/events", "GET") => Resource::Events(from(parts.uri.query())?),
        ("/", _) => return Err(Refusal::Method("POST")),
        ("/events", _) => return Err(Refusal::Method("GET")),
        (_, _) => return Err(Refusal::NotFound),
    };
    let length = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: u64| length > body_max as u64) {
        return Err(Refusal::TooLarge(body_max));
    }
    Ok(resource)
}

/// A page in a browser can make its own name point to this machine, but the browser then sends that name.
fn check_host(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return Err(Refusal::NoHost) };
    host.to_str().is_ok_and(is_loopback).then_some(()).ok_or(Refusal::ForeignHost)
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

fn from(query: Option<&str>) -> Result<Option<u64>, Refusal> {
    let Some(query) = query.filter(|query| !query.is_empty()) else { return Ok(None) };
    let number = query.strip_prefix("from=").and_then(|number| number.parse().ok());
    number.map(Some).ok_or(Refusal::Query)
}

/// A JSON body.
pub(super) fn json(body: String) -> Answer {
    whole(StatusCode::OK, "application/json", Bytes::from(body))
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

fn whole(status: StatusCode, content_type: &'static str, body: Bytes) -> Answer {
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
