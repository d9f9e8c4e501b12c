//! Core under a live run: where nodes find it, and a thread that hears of its end. Without it a run whose Core died would wait for
//! nodes that wait for Core.
use super::process::Heard;
use super::LiveError;
use crate::chain::core_process::file_tail;
use rustix::event::{poll, PollFd, PollFlags};
use rustix::process::{pidfd_open, Pid, PidfdFlags};
use std::path::PathBuf;
use std::sync::mpsc::Sender;

/// A running Core, as others find it.
#[derive(Debug)]
pub struct CoreEndpoint {
    /// Its RPC.
    pub url: String,
    /// Its cookie file.
    pub cookie: PathBuf,
    /// Its log.
    pub log: PathBuf,
    /// Its process.
    pub pid: Option<i32>,
}

/// Core, and how often it was started.
pub(super) struct Watched {
    pub core: CoreEndpoint,
    started: u64,
}

impl Watched {
    /// From now on its end is heard.
    pub fn new(core: CoreEndpoint, heard: &Sender<Heard>) -> Self {
        let watched = Self { core, started: 1 };
        watched.watch(heard);
        watched
    }

    /// The end of the process that runs is no failure from now on.
    pub fn lets_go(&mut self) {
        self.started += 1;
    }

    /// It runs again, as this process.
    pub fn runs_again(&mut self, core: CoreEndpoint, heard: &Sender<Heard>) {
        self.core = core;
        self.watch(heard);
    }

    /// What the end of one of its processes means.
    pub fn ended(&self, process: u64) -> Result<(), LiveError> {
        if process != self.started {
            return Ok(());
        }
        Err(LiveError::CoreDied { log: file_tail(&self.core.log, 2_000) })
    }

    fn watch(&self, heard: &Sender<Heard>) {
        let (process, heard) = (self.started, heard.clone());
        let running = self.core.pid.and_then(Pid::from_raw).map(|pid| pidfd_open(pid, PidfdFlags::empty()));
        // It ends with Core at the latest, which ends with its chain.
        std::thread::spawn(move || {
            if let Some(Ok(running)) = running {
                // Only its end can be seen of it; a poll that fails tells no more than that either.
                let _ = poll(&mut [PollFd::new(&running, PollFlags::IN)], None);
            }
            // The run may be over.
            let _ = heard.send(Heard::CoreEnded { process });
        });
    }
}
