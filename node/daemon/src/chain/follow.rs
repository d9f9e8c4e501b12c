//! Follows the best chain: from the last block that the node has saved to the tip, block by block, and back first where the chain
//! was reorganised meanwhile, also while the node was down. News are awaited where they come from, not looked for on a timer.
use super::server::{Branch, ChainInfo, RpcError, Server, Tip};
use super::source::Source;
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
pub fn follow(
    mut source: Source,
    mut known: Known,
    fallback: Option<FeeratePerKw>,
    inbox: &mpsc::Sender<Input>,
) {
    let mut told = false;
    loop {
        match walk(&mut source, &mut known, &mut told, fallback, inbox) {
            Ok(()) => {}
            Err(Halt::Stopped) => return,
            Err(Halt::Server(error)) => {
                // The chain moved under the walk: from the start again.
                tracing::debug!(%error, "the walk along the chain begins again");
                source.rest();
            }
        }
    }
}

/// To the tip, and along with it as long as it only grows; or, where the node may not go there, until there is another.
fn walk(
    source: &mut Source,
    known: &mut Known,
    told: &mut bool,
    fallback: Option<FeeratePerKw>,
    inbox: &mpsc::Sender<Input>,
) -> Result<(), Halt> {
    let info = ask(source, |server| server.chain_info())?;
    match catch_up(source, known, &info, inbox)? {
        Stand::AtTheTip => {
            if std::mem::take(told) {
                source.trouble().set(None);
            }
            if info.behind {
                tracing::info!(height = info.blocks, "{} is still behind", source.name());
            }
            tell(inbox, Input::CaughtUp)?;
            grow(source, known, info.best, fallback, inbox)
        }
        Stand::Away(why) => {
            if !std::mem::replace(told, true) {
                tracing::error!(height = info.blocks, "{why}");
            }
            source.trouble().set(Some(why));
            ask(source, |server| server.wait_for_new(&info.best)).map(drop)
        }
    }
}

/// Takes in block upon block as they are found. Returns once the new tip is anything but the next block, for a walk to find out what.
fn grow(
    source: &mut Source,
    known: &mut Known,
    mut tip: BlockHash,
    fallback: Option<FeeratePerKw>,
    inbox: &mpsc::Sender<Input>,
) -> Result<(), Halt> {
    loop {
        if let Some(feerate) = feerate(source, fallback) {
            tell(inbox, Input::Feerate(feerate))?;
        }
        let news = ask(source, |server| server.wait_for_new(&tip))?;
        if known.tip().is_none_or(|(height, _)| news.height != height + 1) {
            return Ok(());
        }
        if !take_in(source, known, news, inbox)? {
            return Ok(());
        }
        tip = news.hash;
    }
}

enum Halt {
    Stopped,
    Server(RpcError),
}

/// Where the node stands after a walk.
enum Stand {
    /// It has taken in the tip.
    AtTheTip,
    /// The chain there is none that it may follow now. Why.
    Away(String),
}

/// It was killed before its last blocks were on its disk. Behind its name.
const LOST: &str = "has lost blocks that this node has taken in: it waits until they are back";
const TOO_DEEP: &str = "the chain was reorganised deeper than this node can follow: it waits for the old one";

/// From where the node stands to the tip.
fn catch_up(
    source: &mut Source,
    known: &mut Known,
    info: &ChainInfo,
    inbox: &mpsc::Sender<Input>,
) -> Result<Stand, Halt> {
    if has_lost_blocks(source, known, info)? {
        return Ok(Stand::Away(format!("{} {LOST}", source.name())));
    }
    while let Some((height, hash)) = known.tip() {
        let in_chain = height <= info.blocks && ask(source, |server| server.hash_at(height))? == hash;
        if in_chain {
            break;
        }
        if known.blocks.len() == 1 {
            return Ok(Stand::Away(TOO_DEEP.to_owned()));
        }
        known.blocks.pop();
        tell(inbox, Input::BlockGone { height: BlockHeight::new(height) })?;
    }
    let Some((from, _)) = known.tip() else { return Ok(Stand::AtTheTip) };
    for height in from + 1..=info.blocks {
        let hash = ask(source, |server| server.hash_at(height))?;
        if !take_in(source, known, Tip { hash, height }, inbox)? {
            return Err(Halt::Server(RpcError::Settings("the chain changed meanwhile".into())));
        }
    }
    Ok(Stand::AtTheTip)
}

/// The block above the newest one that is known goes to the owner. False if it does not stand on that one.
fn take_in(
    source: &mut Source,
    known: &mut Known,
    at: Tip,
    inbox: &mpsc::Sender<Input>,
) -> Result<bool, Halt> {
    let block = ask(source, |server| server.block(&at))?;
    if known.tip().is_none_or(|(_, before)| block.header.prev_blockhash != before) {
        return Ok(false);
    }
    known.blocks.push((at.height, at.hash));
    let (height, hash) = (BlockHeight::new(at.height), at.hash);
    tell(inbox, Input::Block(Arc::new(NewBlock { height, hash, block })))?;
    Ok(true)
}

/// Whether the server stands on a block that the node has left behind, and found no fault with those above it: it knows less than the node
/// since it was killed, and will learn them again. A chain never becomes shorter otherwise, unless it is told that a block is invalid.
fn has_lost_blocks(source: &mut Source, known: &Known, info: &ChainInfo) -> Result<bool, Halt> {
    if known.tip().is_none_or(|(height, _)| height <= info.blocks) {
        return Ok(false);
    }
    let left_behind = known.blocks.iter().find(|(height, _)| *height == info.blocks);
    if left_behind.is_some_and(|(_, hash)| *hash != info.best) {
        return Ok(false);
    }
    let branches = ask(source, |server| server.branches())?;
    let refused = |branch: &Branch| {
        branch.status == "invalid" && branch.height.checked_sub(branch.length) == Some(info.blocks)
    };
    Ok(!branches.iter().any(refused))
}

fn ask<T>(source: &mut Source, call: impl Fn(&mut dyn Server) -> Result<T, RpcError>) -> Result<T, Halt> {
    source.patiently(call).ok_or(Halt::Stopped)?.map_err(Halt::Server)
}

fn tell(inbox: &mpsc::Sender<Input>, input: Input) -> Result<(), Halt> {
    inbox.blocking_send(input).map_err(|_| Halt::Stopped)
}

/// What is estimated for the next blocks, or what the configuration says where nothing is known; in sat per 1000 weight units.
fn feerate(source: &mut Source, fallback: Option<FeeratePerKw>) -> Option<FeeratePerKw> {
    const SOON: u16 = 3;
    let estimate = source.patiently(|server| server.feerate(SOON))?.ok().flatten();
    // BTC per 1000 vbytes: 4000 weight units.
    let per_kw = estimate.map(|btc| (btc * 1e8 / 4.0).clamp(253.0, 1_000_000.0) as u32);
    per_kw.map(FeeratePerKw::new).or(fallback)
}
