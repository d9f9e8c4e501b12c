//! The lab: any node of a scenario publishes any of its past states, with or without its second stages, and takes what it can get
//! until somebody stops it. The node's own code is not asked and not told.
//!
//! ```text
//!   let old = net.state(mallory, channel);               // C3a, and two HTLCs on it
//!   net.pay(mallory, bob, sat(100_000));
//!   net.broadcast_with_second_stages(mallory, old);      // C3a now, HT3a.0 and HE3a.1 as soon as each is valid
//!   net.mine(1);                                         // after each block the lab acts before any node sees the block
//! ```
use super::spend::{heaviest, Spend};
use super::{ChannelRef, Coin, Net, NodeRef};
use crate::transcript::Verdict;
use bitcoin::{OutPoint, ScriptBuf, Transaction, TxOut, Txid};
use leyden_core::channel::{HtlcSpend, PastState};
use leyden_core::ids::Preimage;
use leyden_core::units::Sat;
use std::collections::BTreeMap;

/// A state of a channel as one end has it signed: what that end can broadcast.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct State {
    /// Whose.
    pub node: NodeRef,
    /// Of which channel.
    pub channel: ChannelRef,
    /// From 1, as the seed counts.
    pub number: u64,
}

/// A commitment that the lab published.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lie {
    /// What it is.
    pub state: State,
    /// Whether it was revoked when it was published.
    pub revoked: bool,
    /// The commitment transaction.
    pub txid: Txid,
}

/// How the second stages of a lie are published.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stages {
    /// Not at all.
    None,
    /// One transaction for each HTLC.
    Single,
    /// All that have the same lock time in one transaction, where the format allows it.
    Aggregated,
}

/// What the lab goes on doing after each block.
struct Campaign {
    lie: Lie,
    stages: Stages,
    past: PastState,
    /// HTLC outputs, each until a block spends it.
    htlcs: Vec<HtlcSpend>,
    /// For the fees, with anchors.
    coins: Vec<Coin>,
    /// What was published last for the HTLC outputs: to be published again if it left the mempool.
    published: Vec<Transaction>,
    /// Outputs with a delay: of the commitment, of mined second stages. Each until a block spends it.
    delayed: Vec<Delayed>,
}

/// An output that is the liar's after `to_self_delay`.
struct Delayed {
    outpoint: OutPoint,
    sweep: Transaction,
}

/// All of it.
#[derive(Default)]
pub(super) struct Lab {
    lies: Vec<Lie>,
    campaigns: Vec<Campaign>,
    /// Outputs spent in blocks since the first lie, by what and where.
    spent: BTreeMap<OutPoint, (Transaction, u32)>,
    /// Transactions mined since then.
    mined: BTreeMap<Txid, u32>,
}

impl Net {
    // ---- states ----

    /// The newest state of the channel that this node has signed, to be published any time later.
    #[track_caller]
    pub fn state(&self, node: NodeRef, channel: ChannelRef) -> State {
        match self.states(node, channel).last() {
            Some(state) => *state,
            None => panic!("{} has no state of {}", self.name(node), self.channel_title(channel)),
        }
    }

    /// The node's state number `n`, from 1 as the seed counts.
    #[track_caller]
    pub fn state_at(&self, node: NodeRef, channel: ChannelRef, n: u64) -> State {
        let state = State { node, channel, number: n };
        if !self.states(node, channel).contains(&state) {
            panic!("{} never had state {n} of {}", self.name(node), self.channel_title(channel));
        }
        state
    }

    /// Every state of the channel that this node ever had signed, oldest first.
    pub fn states(&self, node: NodeRef, channel: ChannelRef) -> Vec<State> {
        let numbers = self.world.commitments(node.0, self.channel_id(channel)).into_iter();
        numbers.map(|number| State { node, channel, number: number + 1 }).collect()
    }

    /// The state itself: its transactions, to be built by hand.
    #[track_caller]
    pub fn past(&self, state: State) -> PastState {
        let id = self.channel_id(state.channel);
        let past = state.number.checked_sub(1).and_then(|n| self.world.past_state(state.node.0, id, n));
        match past {
            Some(past) => past,
            None => panic!("{} has no state {}", self.name(state.node), state.number),
        }
    }

    /// Every commitment that the lab published so far.
    pub fn lies(&self) -> &[Lie] {
        &self.lab.lies
    }

    // ---- lies ----

    /// Publishes a state of the node's own: C reaches the mempool now. If it is revoked its `to_local` is swept after the delay.
    #[track_caller]
    pub fn broadcast(&mut self, node: NodeRef, old: State) -> Txid {
        self.lie(node, old, Stages::None)
    }

    /// The same, and each HTLC transaction as soon as it is valid: timeouts after their expiry, successes once anybody gave their
    /// preimage away (see [`Net::reveal`]). With anchors each pays its fee from a coin of the node's; a block is mined first for them.
    #[track_caller]
    pub fn broadcast_with_second_stages(&mut self, node: NodeRef, old: State) -> Txid {
        self.lie(node, old, Stages::Single)
    }

    /// The same, but HTLC transactions with one lock time are one transaction; only anchors allow that.
    #[track_caller]
    pub fn broadcast_with_aggregated_stages(&mut self, node: NodeRef, old: State) -> Txid {
        self.lie(node, old, Stages::Aggregated)
    }

    #[track_caller]
    fn lie(&mut self, node: NodeRef, old: State, stages: Stages) -> Txid {
        if old.node != node {
            panic!("{} cannot publish a state of {}", self.name(node), self.name(old.node));
        }
        let past = self.past(old);
        let htlcs = if stages == Stages::None { Vec::new() } else { past.own_htlcs() };
        let stages = if past.channel_type().has_anchors() { stages } else { stages.apart() };
        let coins =
            if past.channel_type().has_anchors() { self.fee_coins(node, htlcs.len()) } else { vec![] };
        let tx = past.transaction();
        let txid = tx.compute_txid();
        let revoked = self.state(node, old.channel) != old;
        let (name, title, letter) = (self.name(node), self.channel_title(old.channel), letter(&past));
        let what = if revoked { "the revoked" } else { "its newest" };
        let text = format!("{name} publishes {what} C{}{letter} of {title}", old.number);
        self.note(text);
        if revoked {
            self.dishonest(node);
        }
        self.publish(node, &tx);
        let lie = Lie { state: old, revoked, txid };
        self.lab.lies.push(lie);
        let sweep = past.to_local_sweep(self.world.feerate_of(node.0)).filter(|_| revoked);
        let delayed = sweep.map(|sweep| Delayed { outpoint: sweep.input[0].previous_output, sweep });
        let (published, delayed) = (Vec::new(), delayed.into_iter().collect());
        self.lab.campaigns.push(Campaign { lie, stages, past, htlcs, coins, published, delayed });
        self.act();
        self.run();
        txid
    }

    /// One coin of the node's for each HTLC transaction, and one block that holds them.
    #[track_caller]
    fn fee_coins(&mut self, node: NodeRef, count: usize) -> Vec<Coin> {
        if count == 0 {
            return Vec::new();
        }
        let feerate = u64::from(self.world.feerate_of(node.0).get());
        // An HTLC input with its output is below 1000 weight; four times that leaves room to replace.
        let value = Sat::new(5_000 + feerate * 4 * (count as u64 + 1)).to_amount();
        let owner = self.name(node).to_string();
        let mut coins = Vec::new();
        for _ in 0..count {
            let (key, public) = self.fresh_key();
            let script = ScriptBuf::new_p2wpkh(&public.wpubkey_hash());
            self.owns(&owner, script.clone());
            let output = TxOut { value, script_pubkey: script };
            coins.push(Coin { key, outpoint: OutPoint::null(), output });
        }
        let txid = self.fund_scripts(coins.iter().map(|coin| coin.output.clone()).collect());
        for (vout, coin) in (0..).zip(&mut coins) {
            coin.outpoint = OutPoint::new(txid, vout);
        }
        coins
    }

    /// The lab hands a transaction of the scenario's making to the mempool in the node's name, which must take it.
    #[track_caller]
    pub fn publish(&mut self, node: NodeRef, tx: &Transaction) -> Txid {
        match self.try_publish(node, tx) {
            Verdict::Taken | Verdict::There => tx.compute_txid(),
            verdict => {
                panic!("{}'s transaction {} was to be taken: {verdict:?}", self.name(node), tx.compute_txid())
            }
        }
    }

    /// The same, to whatever verdict.
    #[track_caller]
    pub fn try_publish(&mut self, node: NodeRef, tx: &Transaction) -> Verdict {
        let verdicts = self.world.publish(node.0, std::slice::from_ref(tx));
        self.need(verdicts).pop().unwrap_or(Verdict::There)
    }

    /// Hands in several together, parents first: the last pays for those before it. The verdict on each.
    #[track_caller]
    pub fn publish_package(&mut self, node: NodeRef, transactions: &[Transaction]) -> Vec<Verdict> {
        let verdicts = self.world.publish(node.0, transactions);
        self.need(verdicts)
    }

    /// Hands in a transaction that takes the place of `replaced` in the mempool.
    #[track_caller]
    pub fn replace(&mut self, node: NodeRef, replaced: Txid, tx: &Transaction) -> Txid {
        if !self.mempool().iter().any(|waiting| waiting.compute_txid() == replaced) {
            panic!("transaction {replaced} is not in the mempool: nothing to replace");
        }
        let txid = self.publish(node, tx);
        if self.mempool().iter().any(|waiting| waiting.compute_txid() == replaced) {
            panic!("transaction {txid} was taken, but {replaced} is still in the mempool");
        }
        self.run();
        txid
    }

    /// The scenario ends without a settlement, since a victim was to lose or the chain is not at rest: no check runs, no snapshot is
    /// compared. The reason goes into the transcript.
    pub fn without_settlement(&mut self, why: &str) {
        self.note(format!("no settlement: {why}"));
        self.expected = true;
    }

    // ---- preimages ----

    /// R of a payment, if anybody gave it away so far: in a message, in the mempool, in a block, or by [`Net::reveal`].
    pub fn known_preimage(&self, hash: &leyden_core::ids::PaymentHash) -> Option<Preimage> {
        self.world.preimage(hash)
    }

    /// R of an invoice that is not paid yet, which its recipient tells the scenario; from here on every adversary knows it.
    #[track_caller]
    pub fn reveal(&mut self, invoice: &super::Invoice) -> Preimage {
        let Some(preimage) = self.world.invoice_preimage(&invoice.payment_hash) else {
            panic!("{} has no invoice for {}", self.name(invoice.to), invoice.payment_hash);
        };
        self.world.reveal(preimage);
        preimage
    }

    // ---- after each block ----

    /// A block was mined: first the lab acts, then the nodes see it.
    #[track_caller]
    pub(crate) fn after_block(&mut self) {
        if !self.lab.campaigns.is_empty() {
            self.read_block();
            self.act();
        }
        self.run();
    }

    /// A block was taken out.
    pub(super) fn after_unmining(&mut self) {
        let tip = self.height();
        self.lab.spent.retain(|_, (_, height)| *height <= tip);
        self.lab.mined.retain(|_, height| *height <= tip);
    }

    fn read_block(&mut self) {
        let Some(block) = self.world.ground().blocks().last().cloned() else { return };
        let height = block.height.get();
        for tx in block.block.txdata.iter().filter(|tx| !tx.is_coinbase()) {
            self.lab.mined.insert(tx.compute_txid(), height);
            for input in &tx.input {
                self.lab.spent.insert(input.previous_output, (tx.clone(), height));
            }
        }
    }

    /// Publishes what is valid now of every lie.
    #[track_caller]
    fn act(&mut self) {
        let mut campaigns = std::mem::take(&mut self.lab.campaigns);
        for campaign in &mut campaigns {
            self.publish_stages(campaign);
            self.sweep_delayed(campaign);
        }
        self.lab.campaigns = campaigns;
    }

    #[track_caller]
    fn publish_stages(&mut self, campaign: &mut Campaign) {
        self.note_second_stages(campaign);
        let open: Vec<HtlcSpend> =
            campaign.htlcs.iter().filter(|htlc| self.is_open(campaign, htlc)).cloned().collect();
        let mut groups: Vec<Vec<HtlcSpend>> = Vec::new();
        for htlc in open {
            let same = groups.iter_mut().find(|group| group[0].lock_time == htlc.lock_time);
            match same.filter(|_| campaign.stages == Stages::Aggregated) {
                Some(group) => group.push(htlc),
                None => groups.push(vec![htlc]),
            }
        }
        if groups.is_empty() {
            return;
        }
        let waiting: Vec<Txid> = self.mempool().iter().map(Transaction::compute_txid).collect();
        for group in groups {
            self.publish_group(campaign, &group, &waiting);
        }
    }

    /// Whether no block spent the HTLC's output, and the lab can spend it in the next one.
    fn is_open(&mut self, campaign: &Campaign, htlc: &HtlcSpend) -> bool {
        let proven = !htlc.needs_preimage() || self.world.preimage(&htlc.htlc.payment_hash).is_some();
        let ripe = htlc.lock_time.to_consensus_u32() <= self.height();
        let mined = self.lab.mined.contains_key(&campaign.lie.txid);
        let unlocked = mined || !campaign.past.channel_type().has_anchors();
        proven && ripe && unlocked && !self.lab.spent.contains_key(&htlc.outpoint)
    }

    /// Publishes one HTLC transaction, unless it waits in the mempool already.
    #[track_caller]
    fn publish_group(&mut self, campaign: &mut Campaign, group: &[HtlcSpend], waiting: &[Txid]) {
        let outpoints =
            |tx: &Transaction| tx.input.iter().any(|input| input.previous_output == group[0].outpoint);
        if campaign.published.iter().any(|tx| outpoints(tx) && waiting.contains(&tx.compute_txid())) {
            return;
        }
        let node = campaign.lie.state.node;
        let place = campaign.htlcs.iter().position(|htlc| htlc.outpoint == group[0].outpoint);
        let coin = place.and_then(|place| campaign.coins.get(place)).cloned();
        let feerate = self.world.feerate_of(node.0);
        let spend = Spend::of(group).coins(coin.as_slice());
        let weight = heaviest(&self.build(&spend));
        let tx = self.build(&spend.fee(feerate.fee(weight).get()));
        self.try_publish(node, &tx);
        campaign.published.retain(|tx| !outpoints(tx));
        campaign.published.push(tx);
    }

    /// Second stages of the lie that were mined have outputs to be swept after the delay.
    fn note_second_stages(&mut self, campaign: &mut Campaign) {
        let feerate = self.world.feerate_of(campaign.lie.state.node.0);
        for htlc in campaign.htlcs.iter().filter(|_| campaign.lie.revoked) {
            let Some((tx, _)) = self.lab.spent.get(&htlc.outpoint) else { continue };
            let Some(index) = tx.input.iter().position(|input| input.previous_output == htlc.outpoint) else {
                continue;
            };
            let outpoint = OutPoint::new(tx.compute_txid(), index as u32);
            let Some(output) = tx.output.get(index).filter(|output| htlc.output.as_ref() == Some(*output))
            else {
                continue;
            };
            if campaign.delayed.iter().any(|delayed| delayed.outpoint == outpoint) {
                continue;
            }
            let sweep = campaign.past.second_stage_sweep(outpoint, Sat::from(output.value), feerate);
            campaign.delayed.extend(sweep.map(|sweep| Delayed { outpoint, sweep }));
        }
    }

    /// Sweeps what has waited for its delay and nobody took.
    #[track_caller]
    fn sweep_delayed(&mut self, campaign: &Campaign) {
        let next = self.height() + 1;
        for delayed in &campaign.delayed {
            let delay = delayed.sweep.input[0].sequence.to_consensus_u32();
            let ripe =
                self.lab.mined.get(&delayed.outpoint.txid).is_some_and(|height| height + delay <= next);
            if ripe && !self.lab.spent.contains_key(&delayed.outpoint) {
                self.try_publish(campaign.lie.state.node, &delayed.sweep);
            }
        }
    }
}

impl Stages {
    /// What a format allows whose HTLC transactions are signed whole.
    fn apart(self) -> Self {
        match self {
            Stages::None => Stages::None,
            Stages::Single | Stages::Aggregated => Stages::Single,
        }
    }
}

fn letter(past: &PastState) -> char {
    if past.is_opener() {
        'a'
    } else {
        'b'
    }
}
