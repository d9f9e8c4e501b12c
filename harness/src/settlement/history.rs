//! What each party had at each block: in its wallet, on its way out of closed channels, and in open channels. The chain says all of it
//! but how an open channel is shared: that is what its end said when the block came, or else all the opener's.
use crate::names::{Known, Names, Stage, What};
use bitcoin::OutPoint;
use leyden_core::ids::ChannelId;
use leyden_core::node::NewBlock;
use leyden_core::units::{Msat, Sat};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What an end of a channel said of its balance when a block came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sample {
    /// The block.
    pub height: u32,
    /// The end.
    pub party: usize,
    /// Which channel.
    pub channel: ChannelId,
    /// Its own balance, HTLCs on their way apart.
    pub own: Msat,
}

/// What a party has.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Holding {
    /// In its wallet.
    pub wallet: Sat,
    /// On the chain, bound by a closed channel's rules and due to it: delayed, or not swept yet.
    pub claimable: Sat,
    /// In open channels.
    pub open: Sat,
}

impl Holding {
    /// All of it.
    pub fn total(&self) -> Sat {
        self.wallet.saturating_add(self.claimable).saturating_add(self.open)
    }
}

/// Everybody's holdings from block to block.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct History {
    /// The heights, one after the other.
    pub heights: Vec<u32>,
    /// For each party, one holding for each height.
    pub parties: Vec<Vec<Holding>>,
}

impl History {
    /// Replays the blocks from `first` on. Names must have seen all of them.
    pub fn read(blocks: &[Arc<NewBlock>], names: &Names, samples: &[Sample], first: u32) -> Self {
        let count = names.parties().len();
        let mut unspent: BTreeMap<OutPoint, Known> = BTreeMap::new();
        let mut said: BTreeMap<(usize, ChannelId), Msat> = BTreeMap::new();
        let mut samples = samples.iter().peekable();
        let mut history = History { heights: Vec::new(), parties: vec![Vec::new(); count] };
        for block in blocks {
            let height = block.height.get();
            replay(block, names, &mut unspent);
            while let Some(sample) = samples.next_if(|sample| sample.height <= height) {
                said.insert((sample.party, sample.channel), sample.own);
            }
            if height >= first {
                history.heights.push(height);
                let held = (0..count).map(|party| holding(party, names, &unspent, &said));
                history.parties.iter_mut().zip(held).for_each(|(line, held)| line.push(held));
            }
        }
        history
    }
}

fn replay(block: &NewBlock, names: &Names, unspent: &mut BTreeMap<OutPoint, Known>) {
    for tx in &block.block.txdata {
        for input in &tx.input {
            unspent.remove(&input.previous_output);
        }
        let coinbase_alone = block.block.txdata.len() == 1;
        if coinbase_alone {
            continue; // the miner's alone: not worth its hash
        }
        let txid = tx.compute_txid();
        let outpoints = (0u32..).zip(&tx.output).map(|(vout, _)| OutPoint::new(txid, vout));
        unspent
            .extend(outpoints.filter_map(|place| names.output(&place).map(|known| (place, known.clone()))));
    }
}

fn holding(
    party: usize,
    names: &Names,
    unspent: &BTreeMap<OutPoint, Known>,
    said: &BTreeMap<(usize, ChannelId), Msat>,
) -> Holding {
    let mut held = Holding::default();
    for (outpoint, known) in unspent {
        let add = |to: &mut Sat, amount: Sat| *to = to.saturating_add(amount);
        match known.what {
            What::Wallet { party: owner } if owner == party => add(&mut held.wallet, known.value),
            What::Wallet { .. } => {}
            What::Funding { channel } => {
                let share = said.get(&(party, ChannelId::from_funding(*outpoint)));
                let opener = names.channels()[channel].opener == party;
                match share {
                    Some(own) => add(&mut held.open, own.floor_to_sat()),
                    None if opener => add(&mut held.open, known.value),
                    None => {}
                }
            }
            What::Output { stage: Stage::Anchor(_), .. } => {}
            What::Output { channel, state, stage } => {
                let due = stage.owner(state.holder).map(|end| names.channels()[channel].party(end));
                if due == Some(party) {
                    add(&mut held.claimable, known.value);
                }
            }
        }
    }
    held
}
