//! What watches a run from inside its net: after each block it samples balances, if asked, and does what the run's variant says. The
//! scenario's script never sees it.
use super::{PastState, Save, Shape, Variant};
use crate::net::{Net, NodeRef};
use crate::run::Options;
use crate::settlement::history::Sample;
use bitcoin::Transaction;
use leyden_core::node::{Command, Reply};

/// What a net carries for it.
#[derive(Debug)]
pub struct Probe {
    variant: Option<Variant>,
    /// The variant has been done: it happens once.
    done: bool,
    /// Balances are asked for at each block.
    watches: bool,
    samples: Vec<Sample>,
    /// The script is over.
    ended: bool,
    /// The chain's height before the run mined anything.
    start: Option<u32>,
}

impl Probe {
    /// For a run with these options.
    pub(crate) fn new(options: &Options) -> Self {
        let variant = options.variant.clone();
        Self { variant, done: false, watches: options.page, samples: Vec::new(), ended: false, start: None }
    }

    /// Whether the run is a variant.
    pub fn has_variant(&self) -> bool {
        self.variant.is_some()
    }

    /// Whether the run breaks a link, which an opening or a payment may not survive.
    pub fn cuts(&self) -> bool {
        matches!(self.variant, Some(Variant::Cut { .. } | Variant::Crash { .. } | Variant::Kill { .. }))
    }

    /// Whether its variant was done, in a run that sent so many messages and killed so many nodes.
    pub fn is_done(&self, messages: u64, kills: u64) -> bool {
        match self.variant {
            Some(Variant::Cut { message, .. }) => messages >= message,
            Some(Variant::Crash { .. } | Variant::Kill { .. }) => kills > 0,
            Some(Variant::Reorg { .. } | Variant::Cheat { .. }) | None => self.done,
        }
    }

    /// What the nodes said of their balances at each block; nothing unless asked for.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }
}

impl Net {
    /// A block of the script has been mined.
    #[track_caller]
    pub(crate) fn mined(&mut self) {
        let height = self.height();
        let start = *self.probe.start.get_or_insert(height.saturating_sub(1));
        if self.probe.watches {
            self.sample(height);
        }
        match self.probe.variant {
            Some(Variant::Reorg { at_height, depth }) if !self.probe.done && at_height == height => {
                self.probe.done = true;
                self.mine_again(depth.min(height.saturating_sub(start)));
            }
            Some(
                Variant::Reorg { .. }
                | Variant::Cut { .. }
                | Variant::Cheat { .. }
                | Variant::Crash { .. }
                | Variant::Kill { .. },
            )
            | None => {}
        }
    }

    /// Takes blocks out of the chain and mines them again, with the same transactions in the same order, and one on top: the branch that
    /// wins is the longer one. The one on top is empty while the script runs, which wants to find its transactions in the mempool, and
    /// like any other when it is over.
    #[track_caller]
    fn mine_again(&mut self, depth: u32) {
        let blocks = self.world.ground().blocks();
        let from = blocks.len().saturating_sub(depth as usize);
        let taken: Vec<Vec<Transaction>> =
            blocks[from..].iter().map(|block| block.block.txdata.iter().skip(1).cloned().collect()).collect();
        self.note(format!("reorg, {depth} deep"));
        self.unmine(depth);
        taken.into_iter().for_each(|transactions| self.mine_these(transactions));
        if self.probe.ended {
            self.mine(1);
        } else {
            self.mine_empty(1);
        }
    }

    /// The script is at its end, and everything that it broke is whole again.
    #[track_caller]
    pub(crate) fn at_end(&mut self) {
        self.probe.ended = true;
        match self.probe.variant.clone() {
            Some(Variant::Cheat { party, channel, state, second_stages }) => {
                self.probe.done = true;
                self.cheat(&party, &channel, state, second_stages);
            }
            // Healing forgets cuts that have not come yet.
            Some(Variant::Cut { .. }) => self.plan_cut(),
            Some(Variant::Reorg { .. } | Variant::Crash { .. } | Variant::Kill { .. }) | None => {}
        }
    }

    /// Tells the world where to break a link, if that is still to come.
    pub(crate) fn plan_cut(&mut self) {
        if let Some(Variant::Cut { message, moment }) = self.probe.variant {
            if self.messages() < message {
                self.cut_at(message, moment);
            }
        }
    }

    /// Tells the world when to kill this node, which has just come to be.
    pub(crate) fn plan_crash(&mut self, node: NodeRef) {
        match &self.probe.variant {
            Some(Variant::Crash { party, save, point }) if self.name(node) == party => {
                self.world.kill_at(node.0, *save, *point);
            }
            Some(Variant::Kill { party, told }) if self.name(node) == party => {
                self.world.kill_after(node.0, *told);
            }
            Some(_) | None => {}
        }
    }

    #[track_caller]
    fn cheat(&mut self, party: &str, channel: &str, number: u64, second_stages: bool) {
        self.observe_broadcasts(); // channels have names once their funding was seen
        let found = self.ends().into_iter().find(|(node, of)| {
            self.name(*node) == party && self.channel_name(*of).as_deref() == Some(channel)
        });
        let Some((node, channel)) = found else { panic!("{party} has no channel {channel}") };
        let old = self.state_at(node, channel, number);
        self.dishonest(node);
        if second_stages {
            self.broadcast_with_second_stages(node, old);
        } else {
            self.broadcast(node, old);
        }
    }

    /// Every state that was revoked when the run ended.
    fn past_states(&self) -> Vec<PastState> {
        let mut all = Vec::new();
        for (node, channel) in self.ends() {
            let Some(name) = self.channel_name(channel) else { continue };
            let mut states = self.states(node, channel);
            states.pop(); // the newest is no lie
            all.extend(states.into_iter().map(|state| PastState {
                party: self.name(node).to_string(),
                channel: name.clone(),
                number: state.number,
                has_htlcs: !self.past(state).own_htlcs().is_empty(),
            }));
        }
        all
    }

    #[track_caller]
    fn sample(&mut self, height: u32) {
        for node in 0..self.node_count() {
            let Some(party) = self.names.node_party(node) else { continue };
            let Ok(Reply::Channels(channels)) = self.command(NodeRef(node), Command::ListChannels) else {
                continue;
            };
            let said = channels.iter().map(|info| Sample {
                height,
                party,
                channel: info.channel_id,
                own: info.to_local,
            });
            self.probe.samples.extend(said);
        }
    }

    /// Whether the run's variant came to pass.
    pub(crate) fn variant_is_done(&self) -> bool {
        self.probe.is_done(self.messages(), self.world.kills())
    }

    /// The run's blocks, messages, past states and saves.
    pub(crate) fn shape(&self) -> Shape {
        // A variant is not varied again.
        if self.probe.has_variant() {
            return Shape::read(self.world.transcript(), Vec::new(), Vec::new());
        }
        let saves = self.world.saved().iter().map(|saved| Save {
            party: self.node_name(saved.node).to_string(),
            number: saved.number,
            actions: saved.actions,
            answers: saved.answers,
            quiet: saved.quiet,
        });
        let told =
            (0..self.node_count()).map(|node| (self.node_name(node).to_string(), self.world.told_by(node)));
        let told = told.collect();
        Shape { told, ..Shape::read(self.world.transcript(), self.past_states(), saves.collect()) }
    }

    /// The height before the run mined anything.
    pub(crate) fn start_height(&self) -> u32 {
        self.probe.start.unwrap_or_default()
    }
}
