//! The log: `tracing`'s events as lines for people, or as JSON for programs, on stderr or in a file that its owner alone
//! can read. What holds a secret has no `Display` and a silent `Debug`, so that no event can print it.

#[cfg(test)]
mod tests;

use crate::config::{LogConfig, LogFormat};
use crate::store::folder::FILE_MODE;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use tracing::Subscriber;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{fmt, EnvFilter};

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter makes no sense.
    #[error("setting `log-level`: {0}")]
    Filter(#[from] ParseError),
    /// The file cannot be opened.
    #[error("setting `log-file`: {0} cannot be written: {1}")]
    File(PathBuf, #[source] io::Error),
    /// This process has one already.
    #[error("the log is set up already: {0}")]
    Twice(#[from] TryInitError),
}

/// Logs everything of this process from now on.
pub fn start(config: &LogConfig) -> Result<(), LogError> {
    let writer = match &config.file {
        None => BoxMakeWriter::new(io::stderr),
        Some(path) => BoxMakeWriter::new(Arc::new(open(path)?)),
    };
    subscriber(config, writer)?.try_init()?;
    Ok(())
}

/// What turns events into lines. Colours are for terminals only.
pub(crate) fn subscriber(
    config: &LogConfig,
    writer: BoxMakeWriter,
) -> Result<Box<dyn Subscriber + Send + Sync>, LogError> {
    let filter = EnvFilter::try_new(&config.filter)?;
    let is_terminal = config.file.is_none() && io::IsTerminal::is_terminal(&io::stderr());
    let lines = fmt().with_env_filter(filter).with_writer(writer).with_ansi(is_terminal);
    Ok(match config.format {
        LogFormat::Human => Box::new(lines.finish()),
        LogFormat::Json => Box::new(lines.json().flatten_event(true).finish()),
    })
}

/// Appends: the log of the run before is what one wants to read after a crash.
fn open(path: &PathBuf) -> Result<File, LogError> {
    let opened = OpenOptions::new().append(true).create(true).mode(FILE_MODE).open(path);
    opened.map_err(|error| LogError::File(path.clone(), error))
}
