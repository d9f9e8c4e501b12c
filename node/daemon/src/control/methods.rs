//! The table of methods: what each is called, takes, gives and refuses. `help`, its Markdown page and the order of
//! parameters given by position all come from here, so that none of them can tell a different story.

mod table;

use super::call::Call;
use super::rpc::{RpcError, METHOD_NOT_FOUND};
use super::{shapes, RpcError as Error};
use serde_json::{Map, Value};
use std::fmt::Write as _;

pub use table::METHODS;

/// One method.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    /// Its name.
    pub name: &'static str,
    /// What it does, in a sentence or a few.
    pub about: &'static str,
    /// In the order that they have by position.
    pub parameters: &'static [Parameter],
    /// What its result is.
    pub result: &'static str,
    /// What it refuses, besides wrong parameters.
    pub errors: &'static str,
    /// Parameters by name, as JSON.
    pub example: &'static str,
}

/// One parameter of a method.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its name, which ends in its unit where it has one.
    pub name: &'static str,
    /// Its type, and its unit.
    pub form: &'static str,
    /// What stands for it when it is left out; nothing when it must be given.
    pub default: Option<&'static str>,
    /// What it is for.
    pub about: &'static str,
}

/// The call that a request means.
pub(super) fn call(name: &str, parameters: Option<Value>) -> Result<Call, RpcError> {
    let unknown = || RpcError::new(METHOD_NOT_FOUND, format!("there is no method {name:.40}: see `help`"));
    let method = METHODS.iter().find(|method| method.name == name).ok_or_else(unknown)?;
    let named = named(method, parameters)?;
    match Call::read(name, &named).ok_or_else(unknown)? {
        Ok(call) => Ok(call),
        Err(wrong) => Err(Error::parameter(&wrong.path, wrong.to_string())),
    }
}

/// Parameters by their names, however they were given.
fn named(method: &Method, parameters: Option<Value>) -> Result<Map<String, Value>, RpcError> {
    match parameters {
        Some(Value::Object(object)) => {
            let known = |name: &str| method.parameters.iter().any(|parameter| parameter.name == name);
            match object.keys().find(|name| !known(name)) {
                Some(name) => {
                    Err(Error::parameter(name, format!("{name:.40}: {} has no such parameter", method.name)))
                }
                None => Ok(object),
            }
        }
        Some(Value::Array(values)) => {
            let most = method.parameters.len();
            if values.len() > most {
                let text = format!("{} has {most} parameters, here are {}", method.name, values.len());
                return Err(Error::parameter(&format!("[{most}]"), text));
            }
            let names = method.parameters.iter().map(|parameter| parameter.name.to_owned());
            Ok(names.zip(values).collect())
        }
        // The envelope lets nothing else through.
        Some(_) | None => Ok(Map::new()),
    }
}

/// The help of one method, or a line for each; nothing for a method that is not there.
pub fn help(method: Option<&str>) -> Option<String> {
    match method {
        Some(name) => METHODS.iter().find(|method| method.name == name).map(detail),
        None => Some(METHODS.iter().fold(String::new(), |mut text, method| {
            let _ = writeln!(text, "{:<18} {}", method.name, first_sentence(method.about));
            text
        })),
    }
}

fn first_sentence(text: &str) -> &str {
    text.split_inclusive(". ").next().unwrap_or(text).trim_end()
}

fn detail(method: &Method) -> String {
    let mut text = format!("{}\n\n{}\n", usage(method), method.about);
    for parameter in method.parameters {
        let default = parameter.default.map(|default| format!(" Default: {default}.")).unwrap_or_default();
        let _ =
            write!(text, "\n  {} ({})\n      {}{default}", parameter.name, parameter.form, parameter.about);
    }
    if !method.parameters.is_empty() {
        text.push('\n');
    }
    let _ = write!(
        text,
        "\nResult: {}\nRefused: {}\nExample: {}\n",
        method.result,
        method.errors,
        request(method)
    );
    text
}

/// The method with its parameters, those in brackets that may be left out.
fn usage(method: &Method) -> String {
    method.parameters.iter().fold(method.name.to_owned(), |text, parameter| match parameter.default {
        Some(_) => format!("{text} [{}]", parameter.name),
        None => format!("{text} {}", parameter.name),
    })
}

fn request(method: &Method) -> String {
    format!(r#"{{"jsonrpc": "2.0", "id": 1, "method": "{}", "params": {}}}"#, method.name, method.example)
}

/// All of it as a page in Markdown.
pub fn markdown() -> String {
    let mut page = String::from(INTRODUCTION);
    for method in METHODS {
        let _ = write!(page, "\n## `{}`\n\n{}\n", usage(method), method.about);
        if !method.parameters.is_empty() {
            page.push_str("\n| parameter | type and unit | default | |\n|---|---|---|---|\n");
        }
        for Parameter { name, form, default, about } in method.parameters {
            let _ =
                writeln!(page, "| `{name}` | {form} | {} | {about} |", default.unwrap_or("must be given"));
        }
        let (result, errors) = (method.result, method.errors);
        let _ =
            write!(page, "\nResult: {result}\n\nRefused: {errors}\n\n```json\n{}\n```\n", request(method));
    }
    let names: Vec<String> = shapes::EVENTS.iter().map(|name| format!("`{name}`")).collect();
    let _ = write!(page, "\n{EVENT_STREAM}\nThe events: {}.\n", names.join(", "));
    page
}

const INTRODUCTION: &str = "\
# The control port

JSON-RPC 2.0: `POST /` with one request or a batch of up to 100, parameters by name or by position. HTTP basic
authorization with the content of `control.cookie` in the node's folder; the port's address is in `control.address`. Amounts
are integers with the unit in the name, bytes are lower case hex, txids stand as explorers show them.

Error codes: -32700 not JSON, -32600 no request, -32601 no such method, -32602 a wrong parameter (`data.parameter` names it),
-32001 the node refuses (nothing has changed), -32002 the peer cannot be reached.
";

const EVENT_STREAM: &str = "\
## `GET /events?from=N`

A stream of JSON objects, one a line, each with its `number` and its `event`: all from number N on; without `from`, those to
come. Numbers begin with 1 at each start of the node. A reader that is too slow gets a line `{\"event\": \"lagged\", \"missed\": 7}`
where some are gone.
";
