//! The end of a scenario: bring everything to rest on the chain, read the settlement, check it, compare it.
use super::{ChannelRef, Net, NodeRef};
use crate::chain::electrs::ElectrsError;
use crate::checks::replay::Replay;
use crate::checks::{self, Evidence, Excuse, Pushed};
use crate::run::Cause;
use crate::settlement::second::{self, Index};
use crate::settlement::Settlement;
use crate::snapshot;
use crate::transcript::Transcript;
use crate::WorldKind;
use leyden_core::node::{Command, NewBlock, Notice};
use leyden_core::units::{Msat, Sat};
use std::sync::Arc;

/// Blocks in which everything must be resolved: the longest delay there is, expiries, and 100 confirmations after each.
const MOST_BLOCKS: u32 = 6_000;
/// So many empty blocks in a row, and nothing will ever come: the longest delay is 2016 blocks.
const MOST_QUIET_BLOCKS: u32 = 2_200;
/// A transaction may pay so many times the highest feerate that nodes were told or the scenario asked for.
const DEAREST: u64 = 5;

impl Net {
    /// Brings everything to rest: silent nodes speak, broken links stand, channels still open are closed together (alone, where that
    /// is refused), and blocks are mined until every channel is irrevocably resolved at both ends.
    #[track_caller]
    pub fn settle(&mut self) {
        let healed = self.world.heal();
        self.need(healed);
        self.run();
        self.at_end();
        for channel in self.unresolved() {
            self.close_if_open(channel);
        }
        let (mut blocks, mut quiet) = (0, 0);
        while !self.unresolved().is_empty() || !self.mempool_is_settled() {
            if blocks == MOST_BLOCKS || quiet == MOST_QUIET_BLOCKS {
                let stuck = self.unresolved().into_iter().map(|channel| self.stuck(channel));
                let stuck: Vec<String> = stuck.collect();
                panic!("not resolved after {blocks} blocks: {}", stuck.join("; "));
            }
            self.mine(1);
            blocks += 1;
            quiet = if self.tip_is_empty() { quiet + 1 } else { 0 };
        }
    }

    /// Whether the newest block holds nothing but its coinbase.
    fn tip_is_empty(&mut self) -> bool {
        let tip = self.world.ground().blocks().last();
        tip.is_some_and(|tip| tip.block.txdata.len() == 1)
    }

    /// Why a channel is not resolved, in words.
    fn stuck(&mut self, channel: ChannelRef) -> String {
        let ends = self.channels[channel.0].ends;
        let said = ends.map(|end| {
            let phase = self.find_channel(end, channel).map_or("forgotten".into(), |info| info.phase);
            format!("{} says {phase}", self.name(end))
        });
        format!("{} ({})", self.channel_title(channel), said.join(", "))
    }

    fn close_if_open(&mut self, channel: ChannelRef) {
        let [opener, _] = self.channels[channel.0].ends;
        let id = self.channel_id(channel);
        let closing = self
            .notices(opener)
            .any(|notice| matches!(notice, Notice::ChannelClosing { channel, .. } if *channel == id));
        if !closing && self.channels[channel.0].short.is_some() {
            if self.command(opener, Command::Close { channel: id, feerate: None }).is_err() {
                // Refused too when it is being closed already: then there is nothing to do.
                let _ = self.command(opener, Command::ForceClose { channel: id });
            }
            self.run();
        }
    }

    /// Channels that are not resolved at one of their ends, and whose funding is or can still get into the chain.
    fn unresolved(&mut self) -> Vec<ChannelRef> {
        // Asked at every block: only what is new is read.
        for said in &self.world.notices()[self.notices_read..] {
            if let Notice::ChannelResolved { channel } | Notice::ChannelAbandoned { channel, .. } =
                &said.notice
            {
                self.resolved.insert((NodeRef(said.node), *channel));
            }
        }
        self.notices_read = self.world.notices().len();
        let all = (0..self.channels.len()).map(ChannelRef);
        let open = all.filter(|channel| {
            let data = &self.channels[channel.0];
            let done = data.ends.iter().all(|end| self.resolved.contains(&(*end, data.id)));
            !done && !self.funding_is_barred(*channel)
        });
        open.collect()
    }

    /// Whether the scenario keeps the channel's funding out of every block.
    fn funding_is_barred(&self, channel: ChannelRef) -> bool {
        let id = self.channels[channel.0].id;
        let barred = self.never_mined.iter();
        barred
            .flat_map(|txid| (0..4).map(|vout| bitcoin::OutPoint::new(*txid, vout)))
            .any(|funding| leyden_core::ids::ChannelId::from_funding(funding) == id)
    }

    /// Whether nothing is waiting to be mined that could be.
    fn mempool_is_settled(&mut self) -> bool {
        let waiting = self.mempool();
        waiting.iter().all(|tx| self.never_mined.contains(&tx.compute_txid()))
    }

    /// Lets a node lose this many satoshis more than fees explain: dust that the scenario has it burn.
    pub fn allow_dust(&mut self, node: NodeRef, sat: u64) {
        self.nodes[node.0].allowed_dust += sat;
    }

    /// From here on, and looking back, this node may break any rule: the checks hold for the others.
    pub fn dishonest(&mut self, node: NodeRef) {
        if !std::mem::replace(&mut self.nodes[node.0].dishonest, true) {
            self.note(format!("{} is dishonest", self.name(node)));
        }
    }

    /// This node is expected to fail a check, by the check's id (`I6`).
    pub fn excuse(&mut self, check: &str, node: NodeRef, why: &str) {
        self.note(format!("{} is excused from {check}: {why}", self.name(node)));
        let party = self.nodes[node.0].party;
        self.excuses.push(Excuse { check: check.into(), party, why: why.into() });
    }

    /// The node may pay the miners so much in all, and not a satoshi more.
    pub fn fee_budget(&mut self, node: NodeRef, sat: u64) {
        self.nodes[node.0].fee_budget = Some(Sat::new(sat));
    }

    /// What the checks look at, as things stand.
    pub fn evidence(&mut self) -> Evidence {
        let settlement = self.settlement();
        for (_, entry) in self.world.transcript().entries() {
            entry.broadcast().into_iter().for_each(|tx| self.names.observe(tx));
        }
        let parties = settlement.parties.len();
        let mut evidence = Evidence {
            replay: self.read_again(self.record()),
            payments: self.payment_evidence(),
            pushed: self.pushed(),
            dishonest: vec![false; parties],
            excuses: self.excuses.clone(),
            allowed_dust: vec![Sat::ZERO; parties],
            max_dust: vec![Msat::new(u64::MAX); parties],
            fee_budget: vec![None; parties],
            channels: vec![0; parties],
            dearest_feerate: u64::from(self.highest_feerate) * DEAREST,
            live: self.kind == WorldKind::Live,
            settlement,
        };
        for node in &self.nodes {
            evidence.dishonest[node.party] = node.dishonest;
            evidence.allowed_dust[node.party] = Sat::new(node.allowed_dust);
            evidence.max_dust[node.party] = node.config.channel.max_dust_htlc_exposure;
            evidence.fee_budget[node.party] = node.fee_budget;
        }
        for channel in self.names.channels() {
            evidence.channels[channel.opener] += 1;
            evidence.channels[channel.acceptor] += 1;
        }
        evidence
    }

    /// Everything that happened so far, for a look at more than its lines.
    pub fn record(&self) -> &Transcript {
        self.world.transcript()
    }

    /// Reads a record as the checks do; it may be one that a test has changed.
    pub fn read_again(&self, record: &Transcript) -> Replay {
        Replay::read(record, &self.names)
    }

    fn pushed(&self) -> Vec<Pushed> {
        let mined = self.channels.iter().filter(|channel| self.names.channel_name(&channel.id).is_some());
        let pushed = mined.map(|channel| {
            let [from, to] = channel.ends.map(|end| self.nodes[end.0].party);
            Pushed { from, to, amount: channel.push }
        });
        pushed.collect()
    }

    /// Reads the settlement from the chain, runs every check over it, and compares it with the scenario's snapshot.
    #[track_caller]
    pub fn expect_settlement(&mut self) {
        self.expected = true;
        let stores = self.world.check_stores();
        self.need(stores);
        let evidence = self.evidence();
        if let Err(broken) = checks::run(&evidence) {
            self.noticed = Some(Cause::Check(broken.check));
            panic!("{broken}");
        }
        self.expect_second_opinion(&evidence.settlement);
        if self.probe.has_variant() {
            return; // it is held against the run without the variant instead
        }
        if let Err(mismatch) =
            snapshot::compare(self.scenario, &evidence.settlement.to_string(), self.snapshots)
        {
            self.noticed = Some(Cause::Snapshot);
            panic!("{mismatch}");
        }
    }

    /// In a live world: what the chain's index says must be what the blocks say.
    #[track_caller]
    fn expect_second_opinion(&mut self, by_blocks: &Settlement) {
        let opinion = self.second_opinion();
        let Some(by_index) = self.need(opinion) else { return };
        if let Some(words) = second::difference(by_blocks, &by_index) {
            self.noticed = Some(Cause::Index);
            panic!("blocks and index give different settlements: {words}");
        }
    }

    /// The settlement from the index of an Electrum server; nothing in a world that has none.
    ///
    /// # Errors
    /// If the server cannot be started or asked.
    pub fn second_opinion(&mut self) -> Result<Option<Settlement>, ElectrsError> {
        let index = self.world.ground().index()?;
        index.map(|mut index| self.second_opinion_of(&mut index)).transpose()
    }

    /// The settlement from any index of this chain.
    ///
    /// # Errors
    /// The index's own.
    pub fn second_opinion_of<I: Index>(&mut self, index: &mut I) -> Result<Settlement, I::Error> {
        let mut settlement = second::read_from(index, &self.names, self.payment_lines())?;
        settlement.publish(&self.world.transcript().first_broadcasts(&self.names));
        Ok(settlement)
    }

    /// The best chain's blocks, the first after genesis first.
    pub fn blocks(&mut self) -> Vec<Arc<NewBlock>> {
        self.world.ground().blocks().to_vec()
    }

    /// A party ends with exactly this much in its wallet, by the chain.
    #[track_caller]
    pub fn expect_wealth(&mut self, party: &str, sat: u64) {
        let settlement = self.settlement();
        let Some(line) = settlement.parties.iter().find(|line| line.name == party) else {
            panic!("no party is named {party}");
        };
        if line.end != Sat::new(sat) {
            let last =
                settlement.transactions.iter().rev().find(|tx| settlement.parties[tx.by].name == party);
            let last = last.map_or_else(String::new, |tx| format!("; its last transaction is {}", tx.label));
            let (end, off) = (line.end.get(), line.end.get().abs_diff(sat));
            let word = if end > sat { "too much" } else { "too little" };
            panic!("{party} has {end} sat, expected {sat} sat: {off} sat {word}{last}");
        }
    }
}
