//! What a process of ours does to begin and to end, whatever runs in it.
use super::RunError;
use crate::chain::{Core, Stop};
use crate::config::CoreConfig;
use crate::store::StoreError;
use bitcoin::Network;
use leyden_core::units::BlockHeight;
use std::io;
use std::thread::JoinHandle;
use tokio::signal::unix::{signal, SignalKind};

/// Where a new node begins: at Core's tip.
pub(crate) async fn birthday(
    core: &CoreConfig,
    network: Network,
    stop: &Stop,
) -> Result<(BlockHeight, bitcoin::BlockHash), RunError> {
    let (core, stop) = (core.clone(), stop.clone());
    let asking = tokio::task::spawn_blocking(move || {
        let info = Core::new(core, stop).patiently(|rpc| rpc.chain_info()).ok_or(RunError::Stopped)??;
        if info.chain != network.to_core_arg() {
            return Err(RunError::OtherChain { core: info.chain, network });
        }
        Ok((BlockHeight::new(info.blocks), info.best))
    });
    asking.await.map_err(|error| RunError::System(io::Error::other(error)))?
}

pub(crate) fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work)
}

pub(crate) async fn join(thread: JoinHandle<Result<(), StoreError>>) -> Result<(), StoreError> {
    let joined = tokio::task::spawn_blocking(move || thread.join()).await;
    match joined {
        Ok(Ok(result)) => result,
        // A bug of our own stopped the owner: it was told on stderr, and the exit status says so.
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// SIGTERM and SIGINT.
pub(crate) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    pub fn new() -> io::Result<Self> {
        let (terminate, interrupt) = (SignalKind::terminate(), SignalKind::interrupt());
        Ok(Self { terminate: signal(terminate)?, interrupt: signal(interrupt)? })
    }

    pub async fn wait(&mut self) {
        tokio::select! { _ = self.terminate.recv() => {}, _ = self.interrupt.recv() => {} }
    }
}
