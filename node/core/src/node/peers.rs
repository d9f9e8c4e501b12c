//! Connections and messages: what comes in from a peer, and which channel or rule it concerns (BOLT 1).

use super::draft::Draft;
use super::{Action, Node, Notice};
use crate::channel::{self, Channel, ChannelConfig, Env, Input, Mutant};
use crate::ids::{ChannelId, NodeId};
use crate::peer::{Breach, Heard, Peer};
use crate::units::Sat;
use crate::wire::{ErrorMessage, Message, OpenChannel, RevokeAndAck, Warning};
use bitcoin::ScriptBuf;

/// The id that means every channel with a peer, or the connection itself (BOLT 1).
const ALL_CHANNELS: ChannelId = ChannelId([0; 32]);

/// The largest channel without `option_support_large_channel`.
const SMALL_CHANNEL: Sat = Sat::new((1 << 24) - 1);

/// The most channels that are opening, whoever the peers are: names cost a peer nothing.
const MOST_OPENINGS: usize = 200;

impl Node {
    /// A second connection takes the place of the first.
    pub(super) fn on_connected(&mut self, peer: NodeId, env: &Env, draft: &mut Draft) {
        self.on_disconnected(peer, env, draft);
        self.peers.insert(peer, Peer::default());
        draft.send(peer, &Peer::hello());
    }

    pub(super) fn on_disconnected(&mut self, peer: NodeId, env: &Env, draft: &mut Draft) {
        if self.peers.remove(&peer).is_none() {
            return;
        }
        self.tell_channels_of(peer, &Input::Disconnected, env, draft);
    }

    pub(super) fn on_message(&mut self, peer: NodeId, bytes: &[u8], env: &Env, draft: &mut Draft) {
        let Some(connection) = self.peers.get_mut(&peer) else { return };
        match connection.hear(bytes) {
            Heard::Nothing => {}
            Heard::Ready => self.on_ready(peer, env, draft),
            Heard::Answer(message) => draft.send(peer, &message),
            Heard::Open(open) => self.on_open_channel(peer, &open, env, draft),
            Heard::ForChannel(channel, message) => {
                self.on_channel_message(peer, channel, message, env, draft)
            }
            Heard::Error { channel, text } => self.on_error(peer, channel, text, env, draft),
            Heard::Warning { text } => draft.notice(Notice::PeerError { peer, text }),
            Heard::Drop(breach) => {
                self.fail_for_unreadable_secret(peer, bytes, &breach, env, draft);
                self.drop_peer(peer, &breach, draft);
            }
        }
    }

    /// A peer that is gone without a word is asked, then given up. Its channels stay as they are.
    pub(super) fn on_silence(&mut self, peer: NodeId, draft: &mut Draft) {
        match self.peers.get_mut(&peer).map(Peer::hear_nothing) {
            Some(Heard::Answer(ping)) => draft.send(peer, &ping),
            Some(Heard::Drop(breach)) => self.drop_peer(peer, &breach, draft),
            _ => {}
        }
    }

    fn on_ready(&mut self, peer: NodeId, env: &Env, draft: &mut Draft) {
        draft.notice(Notice::PeerReady { peer });
        self.tell_channels_of(peer, &Input::Connected, env, draft);
    }

    /// A message for a channel that is not there, or that is another peer's, is answered with an error: it reaches this
    /// peer only, so that no one can touch what others have with us.
    fn on_channel_message(
        &mut self,
        peer: NodeId,
        id: ChannelId,
        message: Message,
        env: &Env,
        draft: &mut Draft,
    ) {
        let Some(channel) = self.channels.get(&id).filter(|channel| channel.peer() == peer) else {
            return draft.send(peer, &refusal(id, "no such channel"));
        };
        if !channel.is_funded() && self.names_a_known_funding(id, &message) {
            let text = "the funding output belongs to another channel";
            draft.send(peer, &error(id, text));
            return self.abandon(id, text.to_owned(), false, draft);
        }
        let again = matches!(message, Message::ChannelReestablish(_)) && env.plants(Mutant::ForwardsAgain);
        // A message is never refused: what is wrong with it comes back as effects.
        let _ = self.step(id, Input::Message(message), env, draft);
        self.tell_again(id, draft);
        if again {
            self.forward_again(id, env, draft);
        }
    }

    /// Whether a `funding_created` for the channel `id` names an output whose channel would take another one's name: it
    /// would take that one's place too. The opener need not own the output, so anyone could try.
    fn names_a_known_funding(&self, id: ChannelId, message: &Message) -> bool {
        let Message::FundingCreated(created) = message else { return false };
        let lasting = ChannelId::from_funding(created.funding());
        lasting != id && self.channels.contains_key(&lasting)
    }

    /// An error fails the channel it names, or with an all-zero id all with this peer, and never another's (BOLT 1).
    fn on_error(&mut self, peer: NodeId, id: ChannelId, text: String, env: &Env, draft: &mut Draft) {
        let message = Message::Error(ErrorMessage { channel_id: id, data: text.clone().into_bytes() });
        draft.notice(Notice::PeerError { peer, text });
        let id = self.opening_once_named(peer, id).unwrap_or(id);
        if id == ALL_CHANNELS {
            self.tell_channels_of(peer, &Input::Message(message), env, draft);
        } else if self.channels.get(&id).is_some_and(|channel| channel.peer() == peer) {
            // As above.
            let _ = self.step(id, Input::Message(message), env, draft);
        }
    }

    /// Our opening that went by this temporary id and has its lasting one: the acceptor names the temporary id in errors until
    /// it sent `funding_signed` (BOLT 1).
    fn opening_once_named(&self, peer: NodeId, temporary: ChannelId) -> Option<ChannelId> {
        let theirs = self.channels.values().filter(|channel| channel.peer() == peer && !channel.is_funded());
        let mut named = theirs.filter(|channel| self.temporary_id(channel.key_index()) == temporary);
        named.next().map(Channel::id)
    }

    /// The id that a channel of ours goes by until its funding is known.
    pub(super) fn temporary_id(&self, index: u64) -> ChannelId {
        ChannelId(self.seed.entropy("temporary channel id", index))
    }

    fn on_open_channel(&mut self, peer: NodeId, open: &OpenChannel, env: &Env, draft: &mut Draft) {
        let id = open.temporary_channel_id;
        let opening = self.channels.values().filter(|channel| channel.peer() == peer);
        let opening = opening.filter(|channel| channel.short_channel_id().is_none()).count();
        let in_all = self.channels.values().filter(|channel| channel.short_channel_id().is_none()).count();
        let refused = if let Some(channel) = self.channels.get(&id) {
            // An error for a channel that the peer has with us would be about that one.
            let text = "temporary_channel_id cannot be used";
            Some((text, if channel.peer() == peer { warning(id, text) } else { error(id, text) }))
        } else if id == ALL_CHANNELS {
            let text = "temporary_channel_id cannot be zero";
            Some((text, refusal(id, text)))
        } else if opening >= self.config.max_pending_opens || in_all >= MOST_OPENINGS {
            let text = "too many channels are opening at once";
            Some((text, error(id, text)))
        } else {
            None
        };
        if let Some((text, answer)) = refused {
            draft.notice(Notice::PeerError { peer, text: text.to_owned() });
            return draft.send(peer, &answer);
        }
        let index = self.next_channel(draft);
        let keys = self.seed.channel_keys(index);
        let destination = self.destination();
        let config = self.channel_config(peer);
        match Channel::accept(peer, open, &config, keys, index, destination.clone(), env) {
            Ok(step) => self.apply(id, step, env, draft),
            Err(violation) => {
                self.unused_scripts.push(destination);
                let text = violation.to_string();
                draft.send(peer, &error(id, &text));
                draft.notice(Notice::PeerError { peer, text });
            }
        }
    }

    /// A `revoke_and_ack` that cannot be read, since its secret is no key, fails its channel (BOLT 2, "Completing the
    /// Transition to the Updated State"); whatever else cannot be read costs the connection only.
    fn fail_for_unreadable_secret(
        &mut self,
        peer: NodeId,
        bytes: &[u8],
        breach: &Breach,
        env: &Env,
        draft: &mut Draft,
    ) {
        let Breach::Unreadable(problem) = breach else { return };
        let named = Message::peek_channel_id(bytes).filter(|_| problem.kind() == Some(RevokeAndAck::KIND));
        let Some(id) = named else { return };
        if self.channels.get(&id).is_some_and(|channel| channel.peer() == peer && channel.is_funded()) {
            draft.send(peer, &error(id, &problem.to_string()));
            // Refused only by a channel that is on the chain already.
            let _ = self.step(id, Input::Command(channel::Command::ForceClose), env, draft);
        }
    }

    fn drop_peer(&mut self, peer: NodeId, breach: &Breach, draft: &mut Draft) {
        let text = breach.to_string();
        draft.send(peer, &warning(ALL_CHANNELS, &text));
        draft.notice(Notice::PeerError { peer, text });
        self.disconnect(peer, draft);
    }

    /// Asks for the connection to be dropped; the driver reports when it is gone.
    pub(super) fn disconnect(&mut self, peer: NodeId, draft: &mut Draft) {
        if let Some(connection) = self.peers.get_mut(&peer).filter(|connection| connection.is_open()) {
            connection.drop_soon();
            draft.actions.push(Action::Disconnect { peer });
        }
    }

    fn tell_channels_of(&mut self, peer: NodeId, input: &Input, env: &Env, draft: &mut Draft) {
        let theirs = self.channels.iter().filter(|(_, channel)| channel.peer() == peer);
        let theirs: Vec<ChannelId> = theirs.map(|(id, _)| *id).collect();
        for id in theirs {
            // Links and messages are never refused.
            let _ = self.step(id, input.clone(), env, draft);
        }
    }

    /// What is asked of channels with this peer: without `option_support_large_channel` on its side they stay below 2^24
    /// satoshis (BOLT 2).
    pub(super) fn channel_config(&self, peer: NodeId) -> ChannelConfig {
        let mut config = self.config.channel.clone();
        if !self.peers.get(&peer).is_some_and(Peer::takes_large_channels) {
            config.max_funding = config.max_funding.min(SMALL_CHANNEL);
        }
        config
    }

    /// Where a new channel's money will go. Scripts of openings that came to nothing, which no one else ever saw, come first:
    /// else a peer could make the wallet grow by opening again and again.
    pub(super) fn destination(&mut self) -> ScriptBuf {
        self.unused_scripts.pop().unwrap_or_else(|| self.wallet.fresh_script())
    }

    /// The index of the next channel's keys.
    pub(super) fn next_channel(&mut self, draft: &mut Draft) -> u64 {
        draft.counters = true;
        super::Counters::take(&mut self.counters.channels)
    }
}

/// What is said of a channel that is not there. An `error` with an all-zero id would be about every channel (BOLT 1).
fn refusal(channel_id: ChannelId, text: &str) -> Message {
    if channel_id == ALL_CHANNELS {
        warning(channel_id, text)
    } else {
        error(channel_id, text)
    }
}

fn warning(channel_id: ChannelId, text: &str) -> Message {
    Message::Warning(Warning { channel_id, data: text.as_bytes().to_vec() })
}

/// An `error` about one channel.
pub(super) fn error(channel_id: ChannelId, text: &str) -> Message {
    Message::Error(ErrorMessage { channel_id, data: text.as_bytes().to_vec() })
}
