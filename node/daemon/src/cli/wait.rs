//! Waiting for what a command leads to, by events. The stream is opened before the command is given, so that nothing
//! can happen between the two. After two seconds a line on stderr says what is waited for.

use super::args::{Closed, Opened};
use super::{print, show, Failure, USUAL_TIMEOUT};
use crate::control::client::{Client, ClientError, Events};
use crate::control::json::{field, fields, Json};
use crate::control::{Call, StreamItem};
use leyden_core::ids::{ChannelId, PaymentHash};
use leyden_core::node::{ChannelInfo, Notice};
use serde_json::{json, Value};
use std::io::Write;
use std::time::{Duration, Instant};

/// From when on a person wonders.
const QUIET: Duration = Duration::from_secs(2);

pub(super) struct Wait<'a> {
    pub(super) client: &'a mut Client,
    /// None: as the verb has it.
    pub(super) timeout: Option<Duration>,
    pub(super) json: bool,
    pub(super) out: &'a mut dyn Write,
    pub(super) progress: &'a mut dyn Write,
}

/// What a notice is to someone who waits.
enum Seen {
    Nothing,
    /// It ends the wait, and is not shown.
    Enough,
    Done,
    Failed(String),
}

impl Wait<'_> {
    pub(super) fn pay(&mut self, call: &Call) -> Result<(), Failure> {
        let mut events = self.client.events(None)?;
        let hash: PaymentHash = part(&self.client.call(call)?, "payment_hash")?;
        let judge = |notice: &Notice| match notice {
            Notice::PaymentSent { payment_hash, .. } if *payment_hash == hash => Seen::Done,
            Notice::PaymentFailed { payment_hash, failure } if *payment_hash == hash => {
                Seen::Failed(format!("the payment failed: {}", show::failure(failure)))
            }
            _ => Seen::Nothing,
        };
        let limit = Some(self.timeout.unwrap_or(USUAL_TIMEOUT));
        self.until(&mut events, limit, "the payment; it goes on without us, see `listpayments`", judge)
    }

    pub(super) fn open(&mut self, call: &Call, until: Opened) -> Result<(), Failure> {
        let mut events = self.client.events(None)?;
        let mut id: ChannelId = part(&self.client.call(call)?, "temporary_channel_id")?;
        let judge = |notice: &Notice| match notice {
            Notice::ChannelNamed { temporary, channel } if *temporary == id => {
                id = *channel;
                match until {
                    Opened::Published => Seen::Enough,
                    Opened::Ready => Seen::Nothing,
                }
            }
            Notice::ChannelReady { channel, .. } if *channel == id => Seen::Done,
            Notice::ChannelAbandoned { channel, why } | Notice::ChannelClosing { channel, why }
                if *channel == id =>
            {
                Seen::Failed(format!("the channel was not opened: {}", show::clean(why)))
            }
            Notice::ChannelResolved { channel } if *channel == id => {
                Seen::Failed("the channel was closed before it could be used".to_owned())
            }
            _ => Seen::Nothing,
        };
        self.until(
            &mut events,
            self.timeout,
            "the channel; it goes on without us, see `listchannels`",
            judge,
        )?;
        match until {
            Opened::Published => self.published(id, 0),
            Opened::Ready => Ok(()),
        }
    }

    /// Waits until the chain took more than so many of a channel's transactions; prints its id, by which it is named from now on.
    fn published(&mut self, channel: ChannelId, few: u64) -> Result<(), Failure> {
        self.client.call(&Call::Published { channel, more_than: Some(few) })?;
        let line = match self.json {
            true => json!({ "channel_id": channel.write() }).to_string(),
            false => channel.to_string(),
        };
        Ok(writeln!(self.out, "{line}")?)
    }

    /// Waits until a channel that is there can be used.
    pub(super) fn ready(&mut self, id: ChannelId) -> Result<(), Failure> {
        let mut events = self.client.events(None)?;
        let channels: Vec<ChannelInfo> = part(&self.client.call(&Call::ListChannels {})?, "channels")?;
        match channels.iter().find(|channel| channel.channel_id == id) {
            Some(channel) if channel.phase == "normal" => return Ok(()),
            Some(_) => {}
            None => return Err(Failure::Refused("there is no channel of this id".to_owned())),
        }
        let judge = |notice: &Notice| match notice {
            Notice::ChannelReady { channel, .. } if *channel == id => Seen::Enough,
            Notice::ChannelAbandoned { channel, why } | Notice::ChannelClosing { channel, why }
                if *channel == id =>
            {
                Seen::Failed(format!("the channel cannot be used: {}", show::clean(why)))
            }
            _ => Seen::Nothing,
        };
        self.until(&mut events, self.timeout, "the channel, which takes blocks", judge)
    }

    pub(super) fn close(&mut self, call: &Call, id: ChannelId, until: Closed) -> Result<(), Failure> {
        if until == Closed::Published {
            let few = part(&self.client.call(&Call::Published { channel: id, more_than: None })?, "count")?;
            self.client.call(call)?;
            return self.published(id, few);
        }
        let mut events = self.client.events(None)?;
        self.client.call(call)?;
        let judge = |notice: &Notice| match notice {
            Notice::ChannelResolved { channel } | Notice::ChannelAbandoned { channel, .. }
                if *channel == id =>
            {
                Seen::Done
            }
            _ => Seen::Nothing,
        };
        self.until(&mut events, self.timeout, "the close; it goes on without us, see `listchannels`", judge)
    }

    /// Asks the node to stop, and waits until its control port has closed.
    pub(super) fn stop(&mut self) -> Result<(), Failure> {
        let mut events = self.client.events(None)?;
        let result = self.client.call(&Call::Stop {})?;
        let limit = Some(self.timeout.unwrap_or(USUAL_TIMEOUT));
        let ended = self.until(&mut events, limit, "the node's end", |_| Seen::Nothing);
        match ended {
            Ok(()) | Err(Failure::NoNode(_)) => print(&Call::Stop {}, &result, self.json, self.out),
            Err(failure) => Err(failure),
        }
    }

    /// Prints events until so many came, the node stops, or nobody reads on.
    pub(super) fn events(&mut self, from: Option<u64>, count: Option<u64>) -> Result<(), Failure> {
        let mut events = self.client.events(from)?;
        let deadline = self.timeout.map(|timeout| Instant::now() + timeout);
        let mut left = count.unwrap_or(u64::MAX);
        while left > 0 {
            let wait = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            match events.next_within(wait.unwrap_or(Duration::MAX)) {
                Ok(Some(item)) => self.tell(&item)?,
                // Whoever counts misses those that did not come.
                Ok(None) if count.is_some() => {
                    return Err(Failure::NoNode(format!("the node stopped, {left} events are missing")));
                }
                Err(ClientError::TimedOut(_)) if count.is_some() => {
                    return Err(Failure::TooLong(format!("{left} events did not come in time")));
                }
                Ok(None) | Err(ClientError::TimedOut(_)) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            left -= 1;
        }
        Ok(())
    }

    fn tell(&mut self, item: &StreamItem) -> Result<(), Failure> {
        let line = match self.json {
            true => item.write().to_string(),
            false => show::event(item),
        };
        writeln!(self.out, "{line}")?;
        Ok(self.out.flush()?)
    }

    /// Reads on until the judge has seen enough, and prints that event.
    fn until(
        &mut self,
        events: &mut Events,
        limit: Option<Duration>,
        what: &str,
        mut judge: impl FnMut(&Notice) -> Seen,
    ) -> Result<(), Failure> {
        let begun = Instant::now();
        let mut told = false;
        loop {
            // The next moment at which there is something to say.
            let alarm = match told {
                false => Some(limit.map_or(QUIET, |limit| limit.min(QUIET))),
                true => limit,
            };
            let wait = alarm.map_or(Duration::MAX, |alarm| alarm.saturating_sub(begun.elapsed()));
            let item = match events.next_within(wait) {
                Ok(Some(item)) => item,
                Ok(None) => {
                    return Err(Failure::NoNode(format!("the node stopped before the end of {what}")));
                }
                Err(ClientError::TimedOut(_)) if alarm == limit => {
                    let waited = begun.elapsed().as_secs();
                    return Err(Failure::TooLong(format!("after {waited} s still no end of {what}")));
                }
                Err(ClientError::TimedOut(_)) => {
                    told = true;
                    // Without stderr nobody wonders.
                    let _ = writeln!(self.progress, "waiting for {what}");
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let StreamItem::Notice { notice, .. } = &item else {
                return Err(Failure::TooLong(format!("events were missed, maybe the end of {what}")));
            };
            match judge(notice) {
                Seen::Nothing => {}
                Seen::Enough => return Ok(()),
                Seen::Done => return self.tell(&item),
                Seen::Failed(text) => return Err(Failure::Refused(text)),
            }
        }
    }
}

fn part<T: Json>(result: &Value, name: &str) -> Result<T, Failure> {
    let part = fields(result).and_then(|object| field(object, name));
    part.map_err(|wrong| Failure::Refused(format!("an answer that this program cannot read: {wrong}")))
}
