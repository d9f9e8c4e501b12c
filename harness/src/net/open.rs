//! Opening and closing channels, and looking at them.
use super::{Net, NodeRef};
use crate::world::FEERATE;
use bitcoin::{Transaction, Txid};
use leyden_core::channel::OpenRequest;
use leyden_core::ids::{ChannelId, ShortChannelId};
use leyden_core::node::{ChannelInfo, Command, KnownChannel, Notice, Reply};
use leyden_core::tx::{ChannelType, Commitment, Side};
use leyden_core::units::{FeeratePerKw, Msat, Sat};

/// Blocks beyond the agreed depth in which a channel must become ready.
const PATIENCE: u32 = 3;

/// What to open: `Open::sat(1_000_000).push_sat(500_000)`.
#[derive(Clone, Debug)]
pub struct Open {
    amount: Sat,
    push: Msat,
    channel_type: Option<ChannelType>,
    commitment_feerate: FeeratePerKw,
    public: bool,
}

impl Open {
    /// A channel of this many satoshis, all on the opener's side.
    pub fn sat(amount: u64) -> Self {
        Self {
            amount: Sat::new(amount),
            push: Msat::ZERO,
            channel_type: None,
            commitment_feerate: FEERATE,
            public: true,
        }
    }

    /// Gives the acceptor this many satoshis from the start.
    pub fn push_sat(self, amount: u64) -> Self {
        self.push_msat(Sat::new(amount).to_msat().get())
    }

    /// Gives the acceptor this many millisatoshis from the start.
    pub fn push_msat(mut self, amount: u64) -> Self {
        self.push = Msat::new(amount);
        self
    }

    /// The commitment format; the scenario's own when not said.
    pub fn channel_type(mut self, channel_type: ChannelType) -> Self {
        self.channel_type = Some(channel_type);
        self
    }

    /// The feerate of the first commitments, in sat per 1000 weight.
    pub fn feerate(mut self, sat_per_kw: u32) -> Self {
        self.commitment_feerate = FeeratePerKw::new(sat_per_kw);
        self
    }

    /// A channel that is not to be announced: only its two ends know of it.
    pub fn private(mut self) -> Self {
        self.public = false;
        self
    }
}

/// A channel of the scenario.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ChannelRef(pub(super) usize);

/// What the net knows of a channel.
pub(super) struct ChannelData {
    pub ends: [NodeRef; 2],
    pub id: ChannelId,
    pub short: Option<ShortChannelId>,
    pub push: Msat,
    capacity: Sat,
    public: bool,
}

impl Net {
    /// Connects, opens, mines to the agreed depth, and tells every node of the network. Both ends are ready when it returns.
    #[track_caller]
    pub fn open(&mut self, opener: NodeRef, acceptor: NodeRef, open: Open) -> ChannelRef {
        let channel = self.open_unconfirmed(opener, acceptor, open);
        self.confirm(channel);
        channel
    }

    /// The same, but stops when the funding transaction is in the mempool.
    #[track_caller]
    pub fn open_unconfirmed(&mut self, opener: NodeRef, acceptor: NodeRef, open: Open) -> ChannelRef {
        let mut tried = self.try_open(opener, acceptor, open.clone());
        if tried.is_err() && self.probe.cuts() {
            // A link that breaks under an opening ends it (BOLT 2): its owner asks once more.
            tried = self.try_open(opener, acceptor, open);
        }
        match tried {
            Ok(channel) => channel,
            Err(why) => {
                panic!("{} and {} cannot open a channel: {why}", self.name(opener), self.name(acceptor))
            }
        }
    }

    /// Tries to open as far as the funding transaction in the mempool; otherwise says why not.
    #[track_caller]
    pub fn try_open(&mut self, opener: NodeRef, acceptor: NodeRef, open: Open) -> Result<ChannelRef, String> {
        self.connect(opener, acceptor);
        let seen = self.world.notices().len();
        self.highest_feerate = self.highest_feerate.max(open.commitment_feerate.get());
        let request = OpenRequest {
            peer: self.id(acceptor),
            funding_amount: open.amount,
            push: open.push,
            channel_type: open.channel_type.unwrap_or(self.scenario.channel_type),
            commitment_feerate: open.commitment_feerate,
            funding_feerate: FEERATE,
            public: open.public,
        };
        let reply = self.command(opener, Command::Open(request)).map_err(|error| error.to_string())?;
        self.run();
        let new = &self.world.notices()[seen..];
        let own = |node: NodeRef| new.iter().filter(move |said| said.node == node.0).map(|said| &said.notice);
        // An earlier opening, which a kill ended before its owner knew of it, is none of this one's business.
        let Reply::Opening { temporary } = reply else { return Err("the node opens nothing".into()) };
        let named = own(opener).find_map(|notice| match notice {
            Notice::ChannelNamed { temporary: before, channel } if *before == temporary => Some(*channel),
            _ => None,
        });
        let trouble = own(opener).chain(own(acceptor)).find_map(|notice| match notice {
            Notice::ChannelAbandoned { channel, why } => {
                (*channel == temporary || Some(*channel) == named).then(|| why.clone())
            }
            Notice::PeerError { text, .. } => Some(text.clone()),
            _ => None,
        });
        if let Some(why) = trouble {
            return Err(why);
        }
        let id = named.ok_or("the opening stopped half-way")?;
        let Open { amount: capacity, push, public, .. } = open;
        let data = ChannelData { ends: [opener, acceptor], id, short: None, push, capacity, public };
        self.channels.push(data);
        Ok(ChannelRef(self.channels.len() - 1))
    }

    /// Mines until a channel that was opened unconfirmed is ready at both ends, and tells every node of the network.
    #[track_caller]
    pub fn confirm(&mut self, channel: ChannelRef) {
        let ends = self.channels[channel.0].ends;
        let depth = ends.iter().map(|end| self.nodes[end.0].config.channel.minimum_depth).max();
        let depth = depth.unwrap_or_default().max(1);
        self.mine(depth);
        for _ in 0..PATIENCE {
            if self.note_ready(channel) {
                return self.announce(channel);
            }
            self.mine(1);
        }
        if !self.note_ready(channel) {
            panic!(
                "{} is not ready at both ends {} blocks after its funding",
                self.channel_title(channel),
                depth + PATIENCE
            );
        }
        self.announce(channel);
    }

    /// Tells every node where the channel is now, after a reorganisation that mined its funding elsewhere. The old place is known
    /// too, as it would be in the network.
    #[track_caller]
    pub fn announce_again(&mut self, channel: ChannelRef) {
        if !self.note_ready(channel) {
            panic!("{} was never ready", self.channel_title(channel));
        }
        self.announce(channel);
    }

    /// Whether both ends said that the channel is ready.
    fn note_ready(&mut self, channel: ChannelRef) -> bool {
        let data = &self.channels[channel.0];
        let ready = |end: NodeRef| {
            let told = self.notices(end).filter_map(|notice| match notice {
                Notice::ChannelReady { channel, short_channel_id } if *channel == data.id => {
                    Some(*short_channel_id)
                }
                _ => None,
            });
            told.last()
        };
        let [a, b] = data.ends.map(ready);
        self.channels[channel.0].short = a.filter(|_| b.is_some());
        self.channels[channel.0].short.is_some()
    }

    /// Tells every node of both directions of the channel.
    #[track_caller]
    fn announce(&mut self, channel: ChannelRef) {
        for known in self.directions(channel) {
            if !self.channels[channel.0].public {
                continue;
            }
            self.network.push(known);
            for node in (0..self.nodes.len()).map(NodeRef) {
                self.done(node, Command::LearnChannel(known));
            }
        }
    }

    /// Both directions with their policies.
    pub(super) fn directions(&self, channel: ChannelRef) -> Vec<KnownChannel> {
        let data = &self.channels[channel.0];
        let [a, b] = data.ends;
        let Some(short_channel_id) = data.short else { return Vec::new() };
        let direction = |from: NodeRef, to: NodeRef| KnownChannel {
            short_channel_id,
            from: self.id(from),
            to: self.id(to),
            capacity: data.capacity,
            policy: self.nodes[from.0].config.forward,
        };
        vec![direction(a, b), direction(b, a)]
    }

    /// `alice-bob`, for messages.
    pub(super) fn channel_title(&self, channel: ChannelRef) -> String {
        let [a, b] = self.channels[channel.0].ends;
        format!("channel {}-{}", self.name(a), self.name(b))
    }

    /// The channel's lasting id.
    pub fn channel_id(&self, channel: ChannelRef) -> ChannelId {
        self.channels[channel.0].id
    }

    /// The channel's short id, once it is ready.
    pub fn short_channel_id(&self, channel: ChannelRef) -> Option<ShortChannelId> {
        self.channels[channel.0].short
    }

    /// What `node` says of the channel; nothing if it has forgotten it.
    #[track_caller]
    pub fn find_channel(&mut self, node: NodeRef, channel: ChannelRef) -> Option<ChannelInfo> {
        let id = self.channels[channel.0].id;
        match self.command(node, Command::ListChannels) {
            Ok(Reply::Channels(channels)) => channels.into_iter().find(|info| info.channel_id == id),
            other => self.unexpected(node, "its channels", &other),
        }
    }

    /// Both ends of every channel.
    pub(crate) fn ends(&self) -> Vec<(NodeRef, ChannelRef)> {
        let channels = self.channels.iter().enumerate();
        channels.flat_map(|(number, data)| data.ends.map(|end| (end, ChannelRef(number)))).collect()
    }
    /// `alice-bob`, once its funding was seen.
    pub(crate) fn channel_name(&self, channel: ChannelRef) -> Option<String> {
        self.names.channel_name(&self.channel_id(channel)).map(str::to_string)
    }

    /// What `node` says of the channel, which it must know.
    #[track_caller]
    pub fn channel(&mut self, node: NodeRef, channel: ChannelRef) -> ChannelInfo {
        match self.find_channel(node, channel) {
            Some(info) => info,
            None => panic!("{} does not know {}", self.name(node), self.channel_title(channel)),
        }
    }

    /// Both ends agree that the opener has `opener` and the acceptor `acceptor`.
    #[track_caller]
    pub fn expect_channel(&mut self, channel: ChannelRef, opener: Msat, acceptor: Msat) {
        let [a, b] = self.channels[channel.0].ends;
        for (node, own, other) in [(a, opener, acceptor), (b, acceptor, opener)] {
            let info = self.channel(node, channel);
            if (info.to_local, info.to_remote) != (own, other) {
                panic!(
                    "{} says of {}: own balance {}, peer's {}; expected {own} and {other}",
                    self.name(node),
                    self.channel_title(channel),
                    info.to_local,
                    info.to_remote
                );
            }
        }
    }

    /// No HTLC is pending in the channel, at neither end.
    #[track_caller]
    pub fn expect_no_htlcs(&mut self, channel: ChannelRef) {
        for node in self.channels[channel.0].ends {
            let pending = self.channel(node, channel).pending_htlcs;
            if pending > 0 {
                panic!(
                    "{} says of {}: {pending} HTLCs pending",
                    self.name(node),
                    self.channel_title(channel)
                );
            }
        }
    }

    /// The commitment transaction that the node could broadcast now, as it has saved it.
    #[track_caller]
    pub fn commitment(&mut self, node: NodeRef, channel: ChannelRef) -> Commitment {
        let saved = self.world.saved_channel(node.0, self.channel_id(channel));
        match saved.as_ref().and_then(|saved| saved.commitment(Side::Local)) {
            Some(commitment) => commitment.clone(),
            None => panic!("{} has no commitment of {}", self.name(node), self.channel_title(channel)),
        }
    }

    /// Changes the feerate of the channel's commitments; only its opener may.
    #[track_caller]
    pub fn update_fee(&mut self, node: NodeRef, channel: ChannelRef, sat_per_kw: u32) {
        let channel = self.channel_id(channel);
        self.highest_feerate = self.highest_feerate.max(sat_per_kw);
        self.done(node, Command::UpdateFee { channel, feerate: FeeratePerKw::new(sat_per_kw) });
    }

    /// The same, to be refused by the node itself; why.
    #[track_caller]
    pub fn expect_fee_refused(&mut self, node: NodeRef, channel: ChannelRef, sat_per_kw: u32) -> String {
        let channel = self.channel_id(channel);
        let feerate = FeeratePerKw::new(sat_per_kw);
        match self.command(node, Command::UpdateFee { channel, feerate }) {
            Ok(_) => panic!("{} was to refuse a feerate of {feerate}", self.name(node)),
            Err(error) => error.to_string(),
        }
    }

    /// Begins to close together with a closing transaction of this feerate; nothing moves before [`Net::run`].
    #[track_caller]
    pub fn start_close_at(&mut self, node: NodeRef, channel: ChannelRef, sat_per_kw: u32) {
        let channel = self.channel_id(channel);
        let feerate = Some(FeeratePerKw::new(sat_per_kw));
        if let Err(error) = self.command(node, Command::Close { channel, feerate }) {
            panic!("{} refuses to close: {error}", self.name(node));
        }
    }

    /// Closes the channel together; the closing transaction is in the mempool once no HTLC is pending.
    #[track_caller]
    pub fn close(&mut self, node: NodeRef, channel: ChannelRef) {
        let channel = self.channel_id(channel);
        self.done(node, Command::Close { channel, feerate: None });
    }

    /// Closes the channel alone: the node's newest commitment is in the mempool.
    #[track_caller]
    pub fn force_close(&mut self, node: NodeRef, channel: ChannelRef) {
        let channel = self.channel_id(channel);
        self.done(node, Command::ForceClose { channel });
    }

    /// What the mempool holds, parents first.
    #[track_caller]
    pub fn mempool(&mut self) -> Vec<Transaction> {
        let result = self.world.ground().mempool();
        self.need(result)
    }

    /// The seed's name of each transaction in the mempool: `F`, `C1a`, `alice-bob/RD1a`.
    #[track_caller]
    pub fn mempool_labels(&mut self) -> Vec<String> {
        let transactions = self.mempool();
        self.observe_broadcasts();
        let label = |tx: &Transaction| {
            let txid = tx.compute_txid();
            self.names.full_label(&txid).unwrap_or_else(|| txid.to_string())
        };
        transactions.iter().map(label).collect()
    }

    /// The transaction with this name (`F`, `C1a`, `alice-bob/X`), if any was seen on the chain or broadcast.
    pub fn find_transaction(&mut self, label: &str) -> Option<Txid> {
        self.observe_broadcasts();
        self.names.txid_of(label)
    }

    /// The transaction with this name, which the chain or the mempool has.
    #[track_caller]
    pub fn transaction(&mut self, label: &str) -> Transaction {
        let txid = self.find_transaction(label);
        let waiting = self.mempool();
        let mined = self.world.ground().blocks().iter().flat_map(|block| &block.block.txdata);
        let found = mined.chain(&waiting).find(|tx| Some(tx.compute_txid()) == txid).cloned();
        match found {
            Some(tx) => tx,
            None => panic!("no transaction is named {label}"),
        }
    }

    /// The height at which the transaction with this name was mined.
    #[track_caller]
    pub fn height_of(&mut self, label: &str) -> u32 {
        self.observe_broadcasts();
        // Of several versions of one transaction the one that was mined counts.
        let blocks = self.world.ground().blocks().to_vec();
        let is_it = |tx: &Transaction| self.names.full_label(&tx.compute_txid()).as_deref() == Some(label);
        match blocks.iter().rev().find(|block| block.block.txdata.iter().skip(1).any(is_it)) {
            Some(block) => block.height.get(),
            None => panic!("no transaction {label} is in the chain"),
        }
    }
}
