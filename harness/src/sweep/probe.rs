//! What watches a run from inside its net: after each block it samples balances, if asked, and does what the run's variant says. The
//! scenario's script never sees it.
use super::{Shape, Variant};
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
    /// The chain's height before the run mined anything.
    start: Option<u32>,
}

impl Probe {
    /// For a run with these options.
    pub(crate) fn new(options: &Options) -> Self {
        let variant = options.variant.clone();
        Self { variant, done: false, watches: options.page, samples: Vec::new(), start: None }
    }

    /// Whether the run is a variant.
    pub fn has_variant(&self) -> bool {
        self.variant.is_some()
    }

    /// Whether its variant was done.
    pub fn is_done(&self) -> bool {
        self.done
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
                self.reorg(depth.min(height.saturating_sub(start)));
            }
            Some(Variant::Reorg { .. } | Variant::Cut { .. } | Variant::Cheat { .. }) | None => {}
        }
    }

    /// Takes blocks out of the chain and mines them again, with the same transactions in the same order, and an empty one on top: the
    /// branch that wins is the longer one.
    #[track_caller]
    fn reorg(&mut self, depth: u32) {
        let blocks = self.world.ground().blocks();
        let from = blocks.len().saturating_sub(depth as usize);
        let taken: Vec<Vec<Transaction>> =
            blocks[from..].iter().map(|block| block.block.txdata.iter().skip(1).cloned().collect()).collect();
        self.note(format!("reorg, {depth} deep"));
        self.unmine(depth);
        for transactions in taken.into_iter().chain([Vec::new()]) {
            let result = self.world.mine_these(transactions);
            self.need(result);
        }
    }

    /// The script is at its end.
    #[track_caller]
    pub(crate) fn cheat(&mut self) {
        match &self.probe.variant {
            Some(Variant::Cheat { .. }) if !self.probe.done => {}
            Some(Variant::Reorg { .. } | Variant::Cut { .. } | Variant::Cheat { .. }) | None => {}
        }
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

    /// The run's blocks, messages and past states.
    pub(crate) fn shape(&self) -> Shape {
        Shape::read(self.world.transcript(), Vec::new())
    }

    /// The height before the run mined anything.
    pub(crate) fn start_height(&self) -> u32 {
        self.probe.start.unwrap_or_default()
    }
}
