//! `leyden-node cli`: the control port for people. One verb a method, results as text or JSON, waits where a person would.
//! It knows a node by its folder, and changes nothing itself.
//!
//! Exit codes: 0 done, 1 the node refused or it failed, 2 wrong usage, 3 no node answers there, 4 it took too long.

mod args;
mod show;
mod units;
mod wait;

pub use args::Verb;

use crate::control::client::{Client, ClientError};
use crate::control::{help, markdown, Call, INVALID_PARAMS};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Talk to a running node.
#[derive(clap::Args, Debug)]
#[command(
    disable_help_subcommand = true,
    after_help = "Amounts are in satoshis, or say their unit: 250000, 250000sat, 1500msat, 0.0025btc. Feerates are in sat/vB.\n\
                  Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 no node answers there, 4 it took too long."
)]
pub struct CliArgs {
    /// The node's folder: its cookie and its address are read there [default: ~/.leyden]
    #[arg(long, env = "LEYDEN_FOLDER", value_name = "FOLDER", global = true)]
    pub folder: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Print one field of the result alone, such as node_id or channels.0.channel_id
    #[arg(long, value_name = "FIELD", global = true)]
    pub get: Option<String>,
    /// How long to wait, in seconds [default: 60; `openchannel --wait` and `closechannel --wait`: as long as it takes]
    #[arg(long, value_name = "SECONDS", global = true, value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: Option<u64>,
    /// What to do
    #[command(subcommand)]
    pub verb: Verb,
}

/// Carries it out; the exit code says how it went, errors are on stderr.
pub fn run(args: CliArgs) -> ExitCode {
    let code = run_into(args, &mut io::stdout().lock(), &mut io::stderr().lock());
    ExitCode::from(code)
}

/// The same into any two writers; the exit code as a number.
pub fn run_into(args: CliArgs, out: &mut dyn Write, progress: &mut dyn Write) -> u8 {
    match carry_out(args, out, progress) {
        Ok(()) => 0,
        // Who reads no further has what was wanted.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => 0,
        Err(failure) => {
            // Who closed stderr wants no text.
            let _ = writeln!(progress, "{failure}");
            failure.code()
        }
    }
}

/// Why a verb did not do what it says. The text is for a person, and says what to do.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    NoNode(String),
    #[error("{0}")]
    TooLong(String),
    #[error("cannot write the result: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    const fn code(&self) -> u8 {
        match self {
            Self::Refused(_) | Self::Output(_) => 1,
            Self::Usage(_) => 2,
            Self::NoNode(_) => 3,
            Self::TooLong(_) => 4,
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let text = show::clean(&error.to_string());
        match error {
            ClientError::NoNode { .. } => Self::NoNode(format!(
                "{text}\nIs it running? Name its folder with --folder or LEYDEN_FOLDER."
            )),
            ClientError::Unreachable { .. } => Self::NoNode(format!(
                "{text}\nIs it running? A node that was killed leaves its address behind."
            )),
            ClientError::Unauthorized(_) => Self::NoNode(format!(
                "{text}\nAnother program may have taken the port of a node that was killed."
            )),
            ClientError::Broken(_) => {
                Self::NoNode(format!("{text}\nWhat you asked may have been done: look."))
            }
            ClientError::TimedOut(_) => Self::TooLong(format!(
                "{text}\nWhat you asked may have been done: look, or give more --timeout."
            )),
            ClientError::Rpc(error) if error.code == INVALID_PARAMS => Self::Usage(text),
            ClientError::Http { .. } | ClientError::Answer(_) | ClientError::Rpc(_) => Self::Refused(text),
        }
    }
}

/// How long an answer, or a payment, may take.
const USUAL_TIMEOUT: Duration = Duration::from_secs(60);

fn carry_out(args: CliArgs, out: &mut dyn Write, progress: &mut dyn Write) -> Result<(), Failure> {
    let CliArgs { folder, json, get, timeout, verb } = args;
    if let Verb::Help { method, markdown: page } = verb {
        return print_help(method.as_deref(), page, out);
    }
    let folder = folder
        .or_else(usual_folder)
        .ok_or_else(|| Failure::Usage("there is no home folder: name the node's with --folder".to_owned()))?;
    let mut client = Client::from_folder(&folder)?;
    let timeout = timeout.map(Duration::from_secs);
    client.set_timeout(timeout.unwrap_or(USUAL_TIMEOUT));
    let mut wait = wait::Wait { client: &mut client, timeout, json, out, progress };
    match verb {
        Verb::Pay { no_wait: false, .. } => wait.pay(&verb.call()),
        Verb::OpenChannel { wait: Some(until), .. } => wait.open(&verb.call(), until),
        Verb::CloseChannel { wait: Some(until), channel, .. }
        | Verb::ForceCloseChannel { wait: Some(until), channel } => wait.close(&verb.call(), channel, until),
        Verb::WaitChannel { channel } => wait.ready(channel),
        Verb::Stop { no_wait: false } => wait.stop(),
        Verb::Events { from, count } => wait.events(from, count),
        other => {
            let call = other.call();
            let result = client.call(&call)?;
            if let Some(field) = &get {
                let value = show::field_of(&result, field);
                let value =
                    value.ok_or_else(|| Failure::Usage(format!("the result has no field {field:.60}")))?;
                return Ok(writeln!(out, "{value}")?);
            }
            print(&call, &result, json, out)
        }
    }
}

fn print(call: &Call, result: &serde_json::Value, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let text = match json {
        true => format!("{result:#}\n"),
        false => show::result(call, result).map_err(|wrong| Failure::Refused(wrong.to_string()))?,
    };
    Ok(out.write_all(text.as_bytes())?)
}

/// Needs no node: the table is in this program.
fn print_help(method: Option<&str>, page: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let text = match page {
        true => markdown(),
        false => help(method).ok_or_else(|| Failure::Usage("there is no method of this name".to_owned()))?,
    };
    Ok(out.write_all(text.as_bytes())?)
}

fn usual_folder() -> Option<PathBuf> {
    std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".leyden"))
}
