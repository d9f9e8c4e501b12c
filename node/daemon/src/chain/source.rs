//! Where the chain comes from, Bitcoin Core or an Electrum server, and how long to wait when it is not there. A question that it cannot
//! answer now is asked again until it can: nothing that the node wants from the chain is ever given up.
use super::electrum::Electrum;
use super::rpc::Rpc;
use super::server::Server;
use super::RpcError;
use crate::config::ChainConfig;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// The first pause after a failure, and the longest; it doubles in between.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The chain, for one thread: a connection that is opened again when it breaks.
pub struct Source {
    settings: ChainConfig,
    server: Option<Box<dyn Server>>,
    stop: Stop,
    told: bool,
    trouble: Trouble,
}

/// What keeps the process from following the chain, in words, for whoever asks; nothing while it follows. Cheap to clone.
#[derive(Clone, Default)]
pub struct Trouble {
    words: Arc<Mutex<Option<String>>>,
}

impl Trouble {
    /// From now on this.
    pub fn set(&self, words: Option<String>) {
        *self.words.lock().unwrap_or_else(PoisonError::into_inner) = words;
    }

    /// In words, if there is any.
    pub fn words(&self) -> Option<String> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Ends the threads that wait for the chain.
#[derive(Clone, Default)]
pub struct Stop {
    shared: Arc<(AtomicBool, Mutex<()>, Condvar)>,
}

impl Stop {
    /// Every wait ends; no call is made again.
    pub fn stop(&self) {
        self.shared.0.store(true, Ordering::SeqCst);
        drop(self.shared.1.lock().unwrap_or_else(PoisonError::into_inner));
        self.shared.2.notify_all();
    }

    /// Whether it was called.
    pub fn is_set(&self) -> bool {
        self.shared.0.load(Ordering::SeqCst)
    }

    /// Waits so long, or until it is called.
    pub fn pause(&self, span: Duration) {
        let guard = self.shared.1.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = self.shared.2.wait_timeout_while(guard, span, |()| !self.is_set());
        drop(waiting);
    }
}

impl Source {
    /// Not connected yet.
    pub fn new(settings: ChainConfig, stop: Stop) -> Self {
        Self { settings, server: None, stop, told: false, trouble: Trouble::default() }
    }

    /// Says what it waits for there too.
    pub fn telling(self, trouble: Trouble) -> Self {
        Self { trouble, ..self }
    }

    /// Where it says so.
    pub fn trouble(&self) -> &Trouble {
        &self.trouble
    }

    /// What people call it.
    pub fn name(&self) -> &'static str {
        match &self.settings {
            ChainConfig::Core(_) => super::rpc::NAME,
            ChainConfig::Electrum(_) => super::electrum::NAME,
        }
    }

    /// Whether to go on.
    pub fn stopped(&self) -> bool {
        self.stop.is_set()
    }

    /// A short pause before something is asked anew.
    pub fn rest(&self) {
        self.stop.pause(FIRST_PAUSE);
    }

    /// One try. The connection is closed after a failure, so that the next try reads the cookie anew.
    ///
    /// # Errors
    /// As the call says.
    pub fn once<T>(
        &mut self,
        call: impl FnOnce(&mut dyn Server) -> Result<T, RpcError>,
    ) -> Result<T, RpcError> {
        let mut server: Box<dyn Server> = match (self.server.take(), &self.settings) {
            (Some(server), _) => server,
            (None, ChainConfig::Core(core)) => Box::new(Rpc::new(core)?),
            (None, ChainConfig::Electrum(address)) => Box::new(Electrum::connect(address)?),
        };
        let answer = call(server.as_mut());
        if !matches!(answer, Err(RpcError::Down { .. } | RpcError::Nonsense { .. })) {
            self.server = Some(server);
        }
        answer
    }

    /// Tries until it answers, with pauses, and says once that it waits. None when the process stops. A refusal is an answer.
    pub fn patiently<T>(
        &mut self,
        call: impl Fn(&mut dyn Server) -> Result<T, RpcError>,
    ) -> Option<Result<T, RpcError>> {
        let mut pause = FIRST_PAUSE;
        while !self.stopped() {
            match self.once(&call) {
                Err(error @ (RpcError::Down { .. } | RpcError::Nonsense { .. } | RpcError::Settings(_))) => {
                    if !std::mem::replace(&mut self.told, true) {
                        tracing::warn!("{error}; waiting for it");
                    }
                    self.trouble.set(Some(error.to_string()));
                    self.stop.pause(pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                answer => {
                    if std::mem::take(&mut self.told) {
                        tracing::info!("{} answers again", self.name());
                        self.trouble.set(None);
                    }
                    return Some(answer);
                }
            }
        }
        None
    }
}
