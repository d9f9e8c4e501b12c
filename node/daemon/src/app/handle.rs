//! The node as its control port sees it.
use super::process::{disconnected, Identity};
use crate::chain::{Taken, Trouble};
use crate::control::{Backend, BoxFuture, Info};
use crate::net::{Dialer, Peers};
use crate::owner::{Input, Standing};
use leyden_core::ids::{ChannelId, NodeId};
use leyden_core::node::{Command, CommandError, Notice, Reply};
use leyden_core::units::BlockHeight;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::timeout;

/// A command waits so long for a node that has just started; then it is refused.
const CATCH_UP: Duration = Duration::from_secs(10);

/// What the control port holds of the node.
pub(super) struct Handle {
    pub inbox: mpsc::Sender<Input>,
    pub dialer: Dialer,
    pub peers: Peers,
    pub notices: broadcast::Sender<(u64, Notice)>,
    pub stands: watch::Receiver<Standing>,
    pub taken: Taken,
    pub has_tower: bool,
    pub stopping: watch::Sender<bool>,
    pub identity: Identity,
}

/// Waits until the node stands so; not for long.
async fn stands_so(
    mut stands: watch::Receiver<Standing>,
    trouble: Trouble,
    is_so: fn(&Standing) -> bool,
) -> Result<(), CommandError> {
    match timeout(CATCH_UP, stands.wait_for(is_so)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) => Err(stopping()),
        Err(_) => {
            let why = trouble.words().unwrap_or_else(|| "its log says what it waits for".into());
            Err(CommandError(format!("the node has not caught up with the chain yet: {why}")))
        }
    }
}

/// Waits until the node has done with a channel; why no more transactions of it can come.
async fn end_of(channel: ChannelId, notices: &mut broadcast::Receiver<(u64, Notice)>) -> String {
    loop {
        match notices.recv().await {
            Ok((_, Notice::ChannelAbandoned { channel: ended, why })) if ended == channel => {
                return format!("the channel was given up: {why}");
            }
            Ok((_, Notice::ChannelResolved { channel: ended })) if ended == channel => {
                return format!("{channel} was closed, and all is settled");
            }
            Ok(_) => {}
            Err(RecvError::Lagged(missed)) => {
                return format!(
                    "{missed} events came too fast to tell whether the channel is still there: ask again"
                );
            }
            Err(RecvError::Closed) => return "the node is stopping".to_owned(),
        }
    }
}

fn stopping() -> CommandError {
    CommandError("the node is stopping".into())
}

/// Whether a command changes nothing.
fn only_asks(command: &Command) -> bool {
    matches!(command, Command::ListChannels | Command::ListPayments | Command::Balances)
}

impl Backend for Handle {
    fn command(&self, command: Command) -> BoxFuture<Result<Reply, CommandError>> {
        let inbox = self.inbox.clone();
        let (stands, trouble) = (self.stands.clone(), self.identity.trouble.clone());
        Box::pin(async move {
            let is_so: fn(&Standing) -> bool =
                if only_asks(&command) { |standing| standing.begun } else { |standing| standing.synced };
            stands_so(stands, trouble, is_so).await?;
            let (reply, answer) = oneshot::channel();
            inbox.send(Input::Command { command, reply }).await.map_err(|_| stopping())?;
            answer.await.map_err(|_| stopping())?
        })
    }

    fn connect(&self, peer: NodeId, address: String) -> BoxFuture<Result<(), CommandError>> {
        let dialer = self.dialer.clone();
        let (stands, trouble) = (self.stands.clone(), self.identity.trouble.clone());
        Box::pin(async move {
            // A peer could make use of what the node does not know.
            stands_so(stands, trouble, |standing| standing.synced).await?;
            dialer.connect(peer, &address).await.map_err(|error| CommandError(error.to_string()))
        })
    }

    fn disconnect(&self, peer: NodeId) -> BoxFuture<Result<(), CommandError>> {
        let found = self.dialer.disconnect(&peer);
        Box::pin(async move { disconnected(&peer, found) })
    }

    fn info(&self) -> BoxFuture<Info> {
        let info = self.identity.info(&self.stands.borrow(), &self.peers);
        Box::pin(async move { info })
    }

    fn at_height(&self, height: BlockHeight) -> BoxFuture<Result<(), CommandError>> {
        let mut stands = self.stands.clone();
        Box::pin(async move {
            let there = |standing: &Standing| standing.height >= height && standing.hash.is_some();
            stands.wait_for(there).await.map(drop).map_err(|_| stopping())
        })
    }

    fn published(&self, channel: ChannelId, more_than: Option<u64>) -> BoxFuture<Result<u64, CommandError>> {
        let taken = self.taken.clone();
        // From here on, so that its end is not missed between the list and the wait.
        let mut notices = self.notices.subscribe();
        let channels = self.command(Command::ListChannels);
        Box::pin(async move {
            let count = taken.count(&channel);
            let Some(few) = more_than.filter(|few| count <= *few) else { return Ok(count) };
            // Of a channel that is not there no more can come.
            match channels.await? {
                Reply::Channels(channels) if channels.iter().any(|known| known.channel_id == channel) => {
                    tokio::select! {
                        biased;
                        count = taken.more_than(channel, few) => Ok(count),
                        why = end_of(channel, &mut notices) => Err(CommandError(why)),
                    }
                }
                _ => Err(CommandError(format!("{channel} is no channel of this node, or not any more"))),
            }
        })
    }

    fn guarded(&self) -> BoxFuture<Result<(), CommandError>> {
        if !self.has_tower {
            let text = "this node has no tower: it is started with --tower, or `tower` in leyden.toml";
            return Box::pin(async { Err(CommandError(text.into())) });
        }
        let mut stands = self.stands.clone();
        Box::pin(async move {
            stands.wait_for(|standing| standing.boxes == 0).await.map(drop).map_err(|_| stopping())
        })
    }

    fn notices(&self) -> broadcast::Receiver<(u64, Notice)> {
        self.notices.subscribe()
    }

    fn stop(&self) {
        self.stopping.send_replace(true);
    }
}
