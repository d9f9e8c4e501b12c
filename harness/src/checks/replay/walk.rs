//! Walks through the transcript once: openings, links, saves, the chain. What the messages of an open channel mean is in
//! `said`.
use super::beach::preimage;
use super::course::{side, Course, Limits, Output};
use super::{Beach, Handed, Late, Moment, Replay, Resolved, Scolding};
use crate::names::Names;
use crate::transcript::{Cause, Entry, Happened, Turn, Verdict};
use bitcoin::{OutPoint, Transaction, Txid};
use leyden_core::ids::ChannelId;
use leyden_core::keys::Basepoints;
use leyden_core::node::{NewBlock, Notice, RecordKey};
use leyden_core::tx::{ChannelTerms, ChannelType, PartyTerms};
use leyden_core::wire::{AcceptChannel, FundingCreated, Message, OpenChannel, OpeningKeys};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Of these message types nothing is read here: init, ping, pong, funding_signed, shutdown, closing_signed.
const UNREAD: [u16; 6] = [16, 18, 19, 35, 38, 39];

/// A channel before its funding has a name: what each said.
struct Opening {
    open: Box<OpenChannel>,
    accept: Option<Box<AcceptChannel>>,
}

/// Messages on their way from one node to another, in order: bytes and meaning.
type Flight<'a> = VecDeque<(&'a [u8], Message)>;

/// The walk, as far as it came.
pub(super) struct Walk<'a> {
    names: &'a Names,
    /// The party of each node.
    parties: Vec<usize>,
    pub(super) replay: Replay,
    place: usize,
    /// Opener, acceptor, temporary id.
    openings: BTreeMap<(usize, usize, ChannelId), Opening>,
    by_id: BTreeMap<ChannelId, usize>,
    by_funding: BTreeMap<OutPoint, usize>,
    by_landing: BTreeMap<Txid, usize>,
    seen: BTreeSet<Txid>,
    /// On their way, by sender and recipient.
    flights: BTreeMap<(usize, usize), Flight<'a>>,
    /// Incoming HTLCs of each party by hash, to find what was forwarded.
    pub(super) incoming: BTreeMap<(usize, leyden_core::ids::PaymentHash), Vec<super::HtlcRef>>,
    linked: BTreeSet<(usize, usize)>,
    /// Channels that a party named to another, known or not.
    pub(super) named: BTreeSet<(usize, usize, ChannelId)>,
    silent: BTreeSet<usize>,
    /// Whose message each party works on.
    working_on: BTreeMap<usize, Option<usize>>,
    /// When each party last saved each channel.
    pub(super) saved: BTreeMap<(usize, ChannelId), usize>,
}

impl<'a> Walk<'a> {
    pub fn new(names: &'a Names) -> Self {
        let nodes = names.parties().iter().enumerate().filter(|(_, party)| party.node.is_some());
        Self {
            names,
            parties: nodes.map(|(number, _)| number).collect(),
            replay: Replay::default(),
            place: 0,
            openings: BTreeMap::new(),
            by_id: BTreeMap::new(),
            by_funding: BTreeMap::new(),
            by_landing: BTreeMap::new(),
            seen: BTreeSet::new(),
            flights: BTreeMap::new(),
            incoming: BTreeMap::new(),
            linked: BTreeSet::new(),
            named: BTreeSet::new(),
            silent: BTreeSet::new(),
            working_on: BTreeMap::new(),
            saved: BTreeMap::new(),
        }
    }

    pub(super) fn now(&self) -> Moment {
        Moment { place: self.place, height: self.replay.beach.height() }
    }

    /// One step further.
    pub fn step(&mut self, happened: Happened<'a>) {
        self.place += 1;
        match happened {
            Happened::Turn(turn) => self.turn(turn),
            Happened::Entry(entry) => self.entry(entry),
        }
    }

    pub fn finish(mut self) -> Replay {
        let handed = self.replay.handed.iter().map(|handed| handed.txid);
        let txids: BTreeSet<Txid> = self.seen.iter().copied().chain(handed).collect();
        let labels = txids.into_iter().filter_map(|txid| Some((txid, self.names.full_label(&txid)?)));
        self.replay.labels = labels.collect();
        self.replay
    }

    // ---- what a node was handed ----

    fn turn(&mut self, turn: &'a Turn) {
        let Some(party) = self.parties.get(turn.node).copied() else { return };
        self.working_on.insert(party, None);
        match &turn.cause {
            Cause::Connected { peer } => {
                let peer = self.parties[*peer];
                self.linked.insert((party, peer));
            }
            Cause::Disconnected { peer } => self.unlink(party, self.parties[*peer]),
            Cause::Message { from, bytes } => {
                let from = self.parties[*from];
                self.working_on.insert(party, Some(from));
                if let Some(message) = self.land(from, party, bytes) {
                    self.arrived(from, party, &message);
                }
            }
            Cause::Block(block) => self.block(party, block),
            Cause::Unmined { height } => self.replay.beach.disconnect(*height),
            Cause::BlockGone | Cause::Other => {}
            Cause::Unconfirmed(tx) => {
                self.see(tx);
                self.learn_from(party, tx);
            }
            Cause::Close { channel } => {
                let now = self.now();
                if let Some(course) = self.by_id.get(channel) {
                    self.replay.courses[*course].asked.get_or_insert(now);
                }
            }
            Cause::Silence => drop(self.silent.insert(party)),
            Cause::Speech => drop(self.silent.remove(&party)),
        }
    }

    fn unlink(&mut self, party: usize, peer: usize) {
        self.linked.remove(&(party, peer));
        self.flights.remove(&(peer, party));
        for course in 0..self.replay.courses.len() {
            let ends = self.replay.courses[course].ends;
            if ends == [party, peer] || ends == [peer, party] {
                self.forget(course, party);
            }
        }
    }

    /// The message with these bytes that is on its way, or what the bytes say if none is.
    fn land(&mut self, from: usize, to: usize, bytes: &[u8]) -> Option<Message> {
        if is_unread(bytes) {
            return None;
        }
        let flight = self.flights.entry((from, to)).or_default();
        let found = flight.iter().position(|(sent, _)| *sent == bytes);
        match found.and_then(|place| flight.remove(place)) {
            Some((_, message)) => Some(message),
            None => Message::decode(bytes).ok(),
        }
    }

    // ---- what happened ----

    fn entry(&mut self, entry: &'a Entry) {
        match entry {
            Entry::Message { from, to, bytes } => {
                let (from, to) = (self.parties[*from], self.parties[*to]);
                if is_unread(bytes) {
                    return;
                }
                if let Ok(message) = Message::decode(bytes) {
                    self.sent(from, to, &message);
                    self.flights.entry((from, to)).or_default().push_back((bytes, message));
                }
            }
            Entry::Save { node, keys } => {
                let party = self.parties[*node];
                let channels = keys.iter().filter_map(|key| match key {
                    RecordKey::Channel(channel) => Some(*channel),
                    _ => None,
                });
                self.saved.extend(channels.map(|channel| ((party, channel), self.place)));
            }
            Entry::Broadcast { node, tx, verdict } => self.handed(self.parties[*node], tx, verdict),
            Entry::TowerBroadcast { party, tx, verdict } => self.handed(*party, tx, verdict),
            Entry::Notice { node, notice: Notice::ChannelResolved { channel } } => {
                self.resolved(self.parties[*node], channel);
            }
            Entry::Notice { notice: Notice::ChannelAbandoned { channel, .. }, .. } => {
                // Before its funding is mined an end may forget a channel; then the other has to close it alone.
                let now = self.now();
                if let Some(course) = self.by_id.get(channel) {
                    self.replay.courses[*course].abandoned.get_or_insert(now);
                }
            }
            Entry::Block { .. } | Entry::Notice { .. } | Entry::Note { .. } => {}
        }
    }

    /// A party handed a transaction to the chain.
    fn handed(&mut self, party: usize, tx: &Transaction, verdict: &Verdict) {
        let now = self.now();
        let txid = self.see(tx);
        let inputs = tx.input.iter().map(|input| input.previous_output).collect();
        if *verdict == Verdict::Taken {
            self.replay.beach.see(tx, txid, self.place);
        }
        self.replay.handed.push(Handed { now, party, txid, inputs, verdict: verdict.clone() });
    }

    fn sent(&mut self, from: usize, to: usize, message: &Message) {
        match message {
            Message::OpenChannel(open) => {
                let key = (from, to, open.temporary_channel_id);
                self.openings.insert(key, Opening { open: open.clone(), accept: None });
            }
            Message::AcceptChannel(accept) => {
                if let Some(opening) = self.openings.get_mut(&(to, from, accept.temporary_channel_id)) {
                    opening.accept = Some(accept.clone());
                }
            }
            Message::FundingCreated(funding) => self.funded(from, to, funding),
            Message::Error(error) => self.scold(from, to, error.channel_id, true),
            Message::Warning(warning) => self.scold(from, to, warning.channel_id, false),
            _ => self.said(from, to, message, true),
        }
    }

    fn arrived(&mut self, from: usize, to: usize, message: &Message) {
        match message {
            Message::Error(error) => self.fail(from, to, to, error.channel_id),
            _ => self.said(from, to, message, false),
        }
    }

    /// The channel that this message is about, if it is one between the two.
    pub(super) fn course_between(&self, one: usize, other: usize, channel: &ChannelId) -> Option<usize> {
        let course = *self.by_id.get(channel)?;
        let ends = self.replay.courses[course].ends;
        (ends == [one, other] || ends == [other, one]).then_some(course)
    }

    fn scold(&mut self, from: usize, to: usize, channel: ChannelId, is_error: bool) {
        let opening = self.openings.keys();
        let temporary = opening.into_iter().any(|(opener, acceptor, temporary)| {
            *temporary == channel
                && ([*opener, *acceptor] == [from, to] || [*opener, *acceptor] == [to, from])
        });
        let known = temporary
            || channel.0 == [0; 32]
            || self.named.contains(&(to, from, channel))
            || self.course_between(from, to, &channel).is_some();
        let because_of = self.working_on.get(&from).copied().flatten();
        self.replay.scoldings.push(Scolding { from, to, channel, known, is_error, because_of });
        if is_error {
            self.fail(from, to, from, channel);
        }
    }

    /// In the view of `viewer` an error ended the channel, or all channels between the two.
    fn fail(&mut self, one: usize, other: usize, viewer: usize, channel: ChannelId) {
        for course in &mut self.replay.courses {
            let between = course.end_of(one).is_some() && course.end_of(other).is_some();
            if between && (channel.0 == [0; 32] || course.id == channel) {
                if let Some(end) = course.end_of(viewer) {
                    course.views[end].over = true;
                }
            }
        }
    }

    fn funded(&mut self, from: usize, to: usize, message: &FundingCreated) {
        let Some(opening) = self.openings.get(&(from, to, message.temporary_channel_id)) else { return };
        let Opening { open, accept: Some(accept) } = opening else { return };
        let funding = OutPoint::new(message.funding_txid, message.funding_output_index.into());
        let id = ChannelId::from_funding(funding);
        let name = self.names.channel_name(&id).map(str::to_string);
        let name =
            name.unwrap_or_else(|| format!("{}-{}", self.names.party_name(from), self.names.party_name(to)));
        let limits = [
            Limits { reserve: open.channel_reserve_satoshis, max_accepted_htlcs: open.max_accepted_htlcs },
            Limits {
                reserve: accept.channel_reserve_satoshis,
                max_accepted_htlcs: accept.max_accepted_htlcs,
            },
        ];
        let terms = terms(open, accept, funding);
        let mut course = Course::new(name, [from, to], terms, limits, open.push_msat);
        course.points = [open.keys, accept.keys].map(|keys| vec![keys.first_per_commitment_point]);
        course.feerates = [0, 1].map(|_| vec![(0, open.feerate_per_kw)]);
        self.replay.beach.watch(funding);
        self.by_id.insert(id, self.replay.courses.len());
        self.by_funding.insert(funding, self.replay.courses.len());
        self.replay.courses.push(course);
    }

    // ---- the chain ----

    fn block(&mut self, party: usize, block: &NewBlock) {
        let height = block.height.get();
        let transactions = block.block.txdata.iter().skip(1);
        if height > self.replay.beach.height() {
            for tx in transactions.clone() {
                let txid = self.see(tx);
                self.replay.beach.see(tx, txid, self.place);
            }
            self.replay.beach.connect(height, &block.block);
        }
        transactions.for_each(|tx| self.learn_from(party, tx));
        // A node that was down gets old blocks: what was late by then is no fault of it.
        if height == self.replay.beach.height() {
            self.note_late(party, height);
        }
    }

    /// Looks at a transaction: an end of a channel, or a second stage.
    fn see(&mut self, tx: &Transaction) -> Txid {
        let txid = tx.compute_txid();
        if self.seen.contains(&txid) {
            return txid;
        }
        let now = self.now();
        for (index, input) in (0u32..).zip(&tx.input) {
            let spent = input.previous_output;
            if let Some(course) = self.by_funding.get(&spent).copied() {
                self.seen.insert(txid);
                self.replay.courses[course].spent.get_or_insert(now);
                self.see_end(course, tx, txid);
            } else if self.replay.beach.watches(&spent) {
                self.seen.insert(txid);
                // An HTLC transaction's output belongs to the channel too, until it is swept.
                if self.by_landing.contains_key(&spent.txid) && input.witness.len() == 5 {
                    self.replay.beach.watch(OutPoint::new(txid, index));
                }
            }
        }
        txid
    }

    fn see_end(&mut self, course: usize, tx: &Transaction, txid: Txid) {
        let Some(landing) = self.replay.courses[course].read_landing(tx) else { return };
        for vout in 0..landing.outputs.len() as u32 {
            self.replay.beach.watch(OutPoint::new(txid, vout));
        }
        self.by_landing.insert(txid, course);
        self.replay.courses[course].landings.insert(txid, landing);
    }

    /// A party is shown a transaction: it learns what preimages are in spends of its own channels' HTLCs.
    fn learn_from(&mut self, party: usize, tx: &Transaction) {
        let now = self.now();
        for input in &tx.input {
            let Some(course) = self.by_landing.get(&input.previous_output.txid) else { continue };
            let course = &self.replay.courses[*course];
            let Some(end) = course.end_of(party) else { continue };
            let Some(preimage) = preimage(&input.witness) else { continue };
            let hash = preimage.payment_hash();
            if course.htlcs.iter().any(|htlc| htlc.key.0 == end && htlc.hash == hash) {
                self.replay.learned.entry((party, hash)).or_insert((now, preimage));
            }
        }
    }

    /// Incoming HTLCs that are still unanswered when their expiry is mined, on channels that work.
    fn note_late(&mut self, party: usize, height: u32) {
        let now = self.now();
        if self.silent.contains(&party) {
            return;
        }
        for (number, course) in self.replay.courses.iter().enumerate() {
            let Some(end) = course.end_of(party) else { continue };
            let view = &course.views[end];
            let works = course.spent.is_none() && !view.over;
            let peer = course.ends[1 - end];
            let linked = self.linked.contains(&(party, peer)) && self.linked.contains(&(peer, party));
            if view.is_empty() || !works || !linked {
                continue;
            }
            for place in view.unanswered(end).filter_map(|key| course.place(key)) {
                // Once for each, at the very block.
                if course.htlcs[place].expiry.get() == height {
                    self.replay.late.push(Late { now, htlc: (number, place) });
                }
            }
        }
    }

    fn resolved(&mut self, party: usize, channel: &ChannelId) {
        let Some(number) = self.by_id.get(channel).copied() else { return };
        let course = &self.replay.courses[number];
        let Some(end) = course.end_of(party) else { return };
        let beach = &self.replay.beach;
        let spend = beach.spend(&course.funding());
        let depth = spend.map(|spend| beach.depth(spend.height));
        let landing = spend.and_then(|spend| Some((spend.txid, course.landings.get(&spend.txid)?)));
        let open = landing.map(|(txid, _)| open_outputs(course, beach, end, txid, self.place));
        let open = open.unwrap_or_default();
        let resolved = Resolved { now: self.now(), course: number, end, depth, open };
        self.replay.resolved.push(resolved);
    }
}

fn is_unread(bytes: &[u8]) -> bool {
    bytes.first_chunk().is_none_or(|kind| UNREAD.contains(&u16::from_be_bytes(*kind)))
}

/// What was agreed, seen from the opener.
fn terms(open: &OpenChannel, accept: &AcceptChannel, funding: OutPoint) -> ChannelTerms {
    let bits = open.channel_type.as_ref().map(|bits| bits.bits().collect::<Vec<_>>());
    let channel_type = bits.and_then(ChannelType::from_feature_bits);
    let basepoints = |keys: &OpeningKeys| Basepoints {
        funding_pubkey: keys.funding_pubkey,
        revocation: keys.revocation_basepoint,
        payment: keys.payment_basepoint,
        delayed_payment: keys.delayed_payment_basepoint,
        htlc: keys.htlc_basepoint,
    };
    let party = |keys, dust_limit, to_self_delay| PartyTerms {
        basepoints: basepoints(keys),
        dust_limit,
        to_self_delay,
    };
    ChannelTerms {
        channel_type: channel_type.unwrap_or(ChannelType::StaticRemotekey),
        funding,
        funding_amount: open.funding_satoshis,
        opener: side(0),
        // Each end's own outputs wait as long as the other asked.
        local: party(&open.keys, open.dust_limit_satoshis, accept.to_self_delay),
        remote: party(&accept.keys, accept.dust_limit_satoshis, open.to_self_delay),
    }
}

/// What is `end`'s of a commitment on the chain and is not at rest: unspent, or spent less than 100 blocks deep.
fn open_outputs(
    course: &Course,
    beach: &Beach,
    end: usize,
    txid: Txid,
    place: usize,
) -> Vec<(leyden_core::units::Sat, String)> {
    let Some(landing) = course.landings.get(&txid) else { return Vec::new() };
    let own = landing.holder == end;
    let punishes = !own && course.gave_up(landing, place);
    let mut open = Vec::new();
    for (vout, (amount, output)) in (0u32..).zip(&landing.outputs) {
        let (what, is_ends) = match output {
            Output::ToLocal => ("to_local".to_string(), own || punishes),
            Output::ToRemote => ("to_remote".to_string(), !own),
            Output::Htlc(htlc) => (format!("HTLC {}", course.htlcs[*htlc].key.1), true),
            Output::Anchor => continue,
        };
        let mut at = OutPoint::new(txid, vout);
        let mut rests = false;
        while let Some(spend) = beach.spend(&at) {
            rests = beach.depth(spend.height) >= super::super::IRREVOCABLE_DEPTH;
            at = OutPoint::new(spend.txid, spend.input as u32);
            if !beach.watches(&at) || !(own || punishes) {
                break;
            }
            rests = false; // a second stage: what matters is its sweep
        }
        if is_ends && !rests {
            open.push((*amount, what));
        }
    }
    open
}
