//! Follows the best chain: from the last block that the node has saved to the tip, block by block, and back first where the chain
//! was reorganised meanwhile, also while the node was down. News are awaited in Core itself, by a long poll.
use super::core::Core;
use super::rpc::{ChainInfo, Rpc};
use super::RpcError;
use crate::owner::Input;
use bitcoin::BlockHash;
use leyden_core::node::NewBlock;
use leyden_core::units::{BlockHeight, FeeratePerKw};
use std::sync::Arc;
use tokio::sync::mpsc;

/// The blocks that the node took in last, oldest first: what a reorganisation is told by.
#[derive(Clone, Debug)]
pub struct Known {
    blocks: Vec<(u32, BlockHash)>,
}

impl Known {
    /// With at least one block: the newest one that the node has taken in, or its birthday.
    pub fn new(blocks: impl IntoIterator<Item = (BlockHeight, BlockHash)>) -> Self {
        Self { blocks: blocks.into_iter().map(|(height, hash)| (height.get(), hash)).collect() }
    }

    fn tip(&self) -> Option<(u32, BlockHash)> {
        self.blocks.last().copied()
    }
}

/// Runs until the process stops. Each new block goes to the owner once, in order; after each, what the chain asks in fees.
pub fn follow(mut core: Core, mut known: Known, fallback: Option<FeeratePerKw>, inbox: &mpsc::Sender<Input>) {
    loop {
        let Some(info) = core.patiently(Rpc::chain_info) else { return };
        let behind = match info {
            Ok(info) => {
                if info.behind {
                    tracing::info!(height = info.blocks, "Bitcoin Core is still behind");
                }
                catch_up(&mut core, &mut known, &info, inbox)
            }
            Err(error) => Err(Halt::Core(error)),
        };
        match behind {
            Ok(()) => {
                if inbox.blocking_send(Input::CaughtUp).is_err() {
                    return;
                }
            }
            Err(Halt::Stopped) => return,
            Err(Halt::Core(error)) => {
                // The chain moved under the walk: from the start again.
                tracing::debug!(%error, "the walk along the chain begins again");
                continue;
            }
        }
        if let Some(feerate) = feerate(&mut core, fallback) {
            if inbox.blocking_send(Input::Feerate(feerate)).is_err() {
                return;
            }
        }
        let Some((_, tip)) = known.tip() else { return };
        let Some(_) = core.patiently(|rpc| rpc.wait_for_new(&tip)) else { return };
    }
}

enum Halt {
    Stopped,
    Core(RpcError),
}

/// From where the node stands to the tip.
fn catch_up(
    core: &mut Core,
    known: &mut Known,
    info: &ChainInfo,
    inbox: &mpsc::Sender<Input>,
) -> Result<(), Halt> {
    while let Some((height, hash)) = known.tip() {
        let in_chain = height <= info.blocks && ask(core, |rpc| rpc.hash_at(height))? == hash;
        if in_chain {
            break;
        }
        if known.blocks.len() == 1 {
            tracing::error!(
                height,
                "the chain was reorganised deeper than this node can follow: it waits for the old one"
            );
            return Err(Halt::Core(RpcError::Settings("too deep a reorganisation".into())));
        }
        known.blocks.pop();
        tell(inbox, Input::BlockGone { height: BlockHeight::new(height) })?;
    }
    let Some((from, _)) = known.tip() else { return Ok(()) };
    for height in from + 1..=info.blocks {
        let hash = ask(core, |rpc| rpc.hash_at(height))?;
        let block = ask(core, |rpc| rpc.block(&hash))?;
        if known.tip().is_some_and(|(_, before)| block.header.prev_blockhash != before) {
            return Err(Halt::Core(RpcError::Settings("the chain changed meanwhile".into())));
        }
        known.blocks.push((height, hash));
        let height = BlockHeight::new(height);
        tell(inbox, Input::Block(Arc::new(NewBlock { height, hash, block })))?;
    }
    Ok(())
}

fn ask<T>(core: &mut Core, call: impl Fn(&Rpc) -> Result<T, RpcError>) -> Result<T, Halt> {
    core.patiently(call).ok_or(Halt::Stopped)?.map_err(Halt::Core)
}

fn tell(inbox: &mpsc::Sender<Input>, input: Input) -> Result<(), Halt> {
    inbox.blocking_send(input).map_err(|_| Halt::Stopped)
}

/// What Core estimates for the next blocks, or what the configuration says where Core knows nothing; in sat per 1000 weight units.
fn feerate(core: &mut Core, fallback: Option<FeeratePerKw>) -> Option<FeeratePerKw> {
    const SOON: u16 = 3;
    let estimate = core.patiently(|rpc| rpc.feerate(SOON))?.ok().flatten();
    // BTC per 1000 vbytes: 4000 weight units.
    let per_kw = estimate.map(|btc| (btc * 1e8 / 4.0).clamp(253.0, 1_000_000.0) as u32);
    per_kw.map(FeeratePerKw::new).or(fallback)
}
