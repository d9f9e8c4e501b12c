//! The peer's brain: a whole node as a value, which makes correct messages and understands the answers. What it wants to send goes
//! through the test's bend first. It sees the chain that the bench shows it, and does nothing of its own accord.
use super::{End, RawError, RawPeer, Reaction};
use bitcoin::{BlockHash, Transaction};
use leyden_core::channel::Env;
use leyden_core::ids::{ChannelId, NodeId};
use leyden_core::keys::NodeSeed;
use leyden_core::node::{
    Action, ChannelInfo, Command, CommandError, Event, NewBlock, Node, NodeConfig, Notice, RecordKey, Reply,
    Turn, Why,
};
use leyden_core::units::{BlockHeight, FeeratePerKw, Timestamp};
use leyden_core::wire::Message;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// What goes out in the place of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Bent {
    /// These bytes; the counterpart goes on as if nothing had happened.
    Changed(Vec<u8>),
    /// These messages, or none; and until it connects again the counterpart says nothing more.
    Instead(Vec<Vec<u8>>),
}

/// What becomes of a message: nothing returned, and it goes out as it is. What is bent once is not asked again.
pub type Bend = Box<dyn FnMut(&Message) -> Option<Bent> + Send>;

/// A peer of the node under test.
pub struct Counterpart {
    seed: NodeSeed,
    config: NodeConfig,
    birthday: (BlockHeight, BlockHash),
    node: Node,
    env: Env,
    raw: Option<RawPeer>,
    /// The node under test.
    remote: NodeId,
    commit_due: bool,
    bend: Option<Bend>,
    bent: bool,
    silent: bool,
    replies: VecDeque<Result<Reply, CommandError>>,
    /// Handed to the chain, and not taken there yet.
    pub(super) broadcasts: VecDeque<Vec<Transaction>>,
    /// What it was told.
    pub notices: Vec<Notice>,
    /// Every message of the node under test, in order.
    pub heard: Vec<Message>,
    /// Every message that went out unbent, in order.
    pub said: Vec<Message>,
}

impl Counterpart {
    /// A new one, not connected.
    pub fn new(
        seed: NodeSeed,
        config: NodeConfig,
        birthday: (BlockHeight, BlockHash),
        remote: NodeId,
    ) -> Self {
        let node = Node::new(seed.clone(), config.clone(), birthday);
        Self {
            seed,
            config,
            birthday,
            node,
            env: Env::new(now(), birthday.0, FeeratePerKw::new(1000)),
            raw: None,
            remote,
            commit_due: false,
            bend: None,
            bent: false,
            silent: false,
            replies: VecDeque::new(),
            broadcasts: VecDeque::new(),
            notices: Vec::new(),
            heard: Vec::new(),
            said: Vec::new(),
        }
    }

    /// Its name in the network.
    pub fn id(&self) -> NodeId {
        self.node.id()
    }

    /// Connects, in the place of a connection that it had; `init` goes both ways with the next talk.
    ///
    /// # Errors
    /// No handshake.
    pub fn connect(&mut self, address: SocketAddr) -> Result<(), RawError> {
        self.disconnect();
        let raw = RawPeer::dial(&self.seed.node_secret(), self.remote, address)?;
        self.raw = Some(raw);
        self.silent = false;
        self.event(Event::Connected { peer: self.remote });
        Ok(())
    }

    /// Ends the connection.
    pub fn disconnect(&mut self) {
        if self.raw.take().is_some() {
            self.event(Event::Disconnected { peer: self.remote });
        }
    }

    /// The connection, to send what no node would.
    ///
    /// # Panics
    /// There is none.
    pub fn raw(&mut self) -> &mut RawPeer {
        self.raw.as_mut().unwrap_or_else(|| panic!("the counterpart is not connected"))
    }

    /// Hands its connection and its end of this channel to the test. The counterpart is not told: it says nothing more.
    ///
    /// # Panics
    /// It has no connection, or no such channel.
    pub fn hand_over(&mut self, channel: ChannelId) -> End {
        let raw = self.raw.take().unwrap_or_else(|| panic!("the counterpart is not connected"));
        let end = self.node.channel(channel).unwrap_or_else(|| panic!("no channel {channel}"));
        End::new(raw, end.clone(), self.env)
    }

    /// From now on every message goes through this, until it bends one.
    pub fn bend(&mut self, bend: impl FnMut(&Message) -> Option<Bent> + Send + 'static) {
        self.bend = Some(Box::new(bend));
        self.bent = false;
    }

    /// Whether the bend has met its message.
    pub fn is_bent(&self) -> bool {
        self.bent
    }

    /// Its owner wants something. What it leads to goes out at once; the answers wait for the next talk.
    ///
    /// # Errors
    /// It refuses.
    ///
    /// # Panics
    /// Its node does not answer, which is a bug.
    pub fn command(&mut self, command: Command) -> Result<Reply, RawError> {
        self.replies.clear();
        self.event(Event::Command { call: 1, command });
        let reply = self.replies.pop_front().unwrap_or_else(|| panic!("every command is answered"));
        Ok(reply?)
    }

    /// Signs what waits, now.
    pub fn commit(&mut self) {
        self.commit_due = false;
        self.event(Event::Wake(Why::Commit));
    }

    /// Takes in all that the node says and answers it, until both are at rest. Whether anything was said.
    ///
    /// # Errors
    /// The node is silent, or not to be understood.
    pub fn talk(&mut self) -> Result<bool, RawError> {
        let mut talked = false;
        loop {
            if std::mem::take(&mut self.commit_due) {
                self.event(Event::Wake(Why::Commit));
            }
            let Reaction { messages, closed } = self.listen()?;
            let quiet = messages.is_empty();
            talked |= !quiet;
            for message in messages {
                self.event(Event::Message { peer: self.remote, bytes: message.encode() });
            }
            if closed {
                self.disconnect();
            }
            if quiet && !self.commit_due {
                return Ok(talked);
            }
        }
    }

    /// What the node says, until it is at rest; nobody answers. Without a connection nothing.
    ///
    /// # Errors
    /// As [`Counterpart::talk`].
    pub fn listen(&mut self) -> Result<Reaction, RawError> {
        let Some(raw) = &mut self.raw else { return Ok(Reaction { messages: Vec::new(), closed: true }) };
        let reaction = raw.reaction()?;
        self.heard.extend(reaction.messages.iter().cloned());
        Ok(reaction)
    }

    /// Hands a message to the brain as if the node had said it.
    pub fn hear(&mut self, message: &Message) {
        self.event(Event::Message { peer: self.remote, bytes: message.encode() });
    }

    pub(super) fn see(&mut self, block: &Arc<NewBlock>) {
        self.env = Env::new(now(), block.height, self.env.feerate);
        self.event(Event::BlockConnected(block.clone()));
    }

    /// Its records as they are now: what [`Counterpart::past`] goes back to.
    pub fn records(&mut self) -> BTreeMap<RecordKey, Vec<u8>> {
        self.node.records()
    }

    /// What a node with these old records would publish if it closed this channel: its commitment of then.
    pub fn past(&self, records: &BTreeMap<RecordKey, Vec<u8>>, channel: ChannelId) -> Vec<Transaction> {
        let restored = Node::restore(self.seed.clone(), self.config.clone(), self.birthday, records);
        let mut old = restored.unwrap_or_else(|error| panic!("its own records: {error}"));
        let turn =
            old.handle(Event::Command { call: 1, command: Command::ForceClose { channel } }, &self.env);
        let published = turn.actions.into_iter().filter_map(|action| match action {
            Action::Broadcast { channel: of, tx, .. } => (of == channel).then_some(vec![tx]),
            Action::BroadcastPackage { channel: of, transactions } => (of == channel).then_some(transactions),
            Action::Send { .. }
            | Action::Disconnect { .. }
            | Action::Guard { .. }
            | Action::Reply { .. }
            | Action::Notice(_) => None,
        });
        published.flatten().collect()
    }

    /// Its channels.
    ///
    /// # Panics
    /// Its node does not know its own channels.
    pub fn channels(&mut self) -> Vec<ChannelInfo> {
        match self.command(Command::ListChannels) {
            Ok(Reply::Channels(channels)) => channels,
            other => panic!("no list of channels: {other:?}"),
        }
    }

    fn event(&mut self, event: Event) {
        let turn = self.node.handle(event, &self.env);
        self.perform(turn);
    }

    fn perform(&mut self, turn: Turn) {
        self.commit_due |= turn.wake.is_some();
        for action in turn.actions {
            match action {
                Action::Send { bytes, .. } => self.say(bytes),
                Action::Disconnect { .. } => self.disconnect(),
                Action::Broadcast { tx, .. } => self.broadcasts.push_back(vec![tx]),
                Action::BroadcastPackage { transactions, .. } => self.broadcasts.push_back(transactions),
                Action::Guard { .. } => {}
                Action::Reply { result, .. } => self.replies.push_back(result),
                Action::Notice(notice) => self.notices.push(notice),
            }
        }
    }

    fn say(&mut self, bytes: Vec<u8>) {
        let (false, Some(raw)) = (self.silent, &mut self.raw) else { return };
        let message = Message::decode(&bytes).unwrap_or_else(|error| panic!("our own message: {error}"));
        // A node that is gone shows when it is listened to.
        let bent = self.bend.as_mut().and_then(|bend| bend(&message));
        if bent.is_some() {
            self.bend = None;
            self.bent = true;
        }
        match bent {
            None => {
                raw.send_bytes(&bytes);
                self.said.push(message);
            }
            Some(Bent::Changed(bytes)) => {
                raw.send_bytes(&bytes);
            }
            Some(Bent::Instead(messages)) => {
                self.silent = true;
                for bytes in messages {
                    raw.send_bytes(&bytes);
                }
            }
        }
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::new(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
