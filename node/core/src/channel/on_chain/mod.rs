//! The channel's end on the chain (BOLT 5), until everything of ours is irrevocably resolved: 100 blocks deep. Whatever is
//! mined is read, whatever can be claimed is claimed, whatever an HTLC's end is goes back to whom it was offered for. A
//! reorganisation undoes what it undoes, and all is done again.
//!
//! ```text
//!   F --- X                                 both agreed: nothing to do but to wait
//!     \-- C, ours:       to_local --- RD    after to_self_delay
//!      |                 offered --- HT --- HTRD        received, with R --- HE --- HERD
//!     \-- C, the peer's: to_remote --- D    at once, or after one block with anchors
//!      |                 offered by us --- HTD          offered by the peer, with R --- HED
//!     \-- C, revoked:    to_remote --- D    to_local --- BR
//!                        HTLCs --- HBR      the peer's HT or HE --- HTBR or HEBR
//! ```
mod child;
mod claim;
mod fee;
mod outcome;
mod output;
mod spend;

use super::{opening, Effect, FeeInputs, Mutant};
use super::{Base, Command, Confirmed, Env, Funded, Input, Out, Phase, Rejection, Role, Stop, Watch};
use crate::ids::Preimage;
use crate::tx::Side;
use crate::units::{BlockHeight, Sat};
use crate::wire::Message;
use bitcoin::{OutPoint, Transaction, Txid};
use claim::Claiming;
use output::Output;
use serde::{Deserialize, Serialize};
use spend::{Kind, Spend};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Blocks after which nothing is undone any more (BOLT 5).
pub const IRREVOCABLE_DEPTH: u32 = 100;
/// Blocks after which an HTLC that ended without R is failed upstream (BOLT 5, "reasonable depth").
pub const REASONABLE_DEPTH: u32 = 6;

/// A channel whose funding is spent, or will be.
#[derive(Clone, Serialize, Deserialize)]
pub struct OnChain {
    /// The channel as it was.
    pub funded: Funded,
    /// What we broadcast to spend the funding, if we did.
    ours: Option<(Role, Arc<Transaction>)>,
    /// What did spend it, as the chain is now.
    spend: Option<Spend>,
    /// The outputs of that, and of HTLC transactions, that are ours to take.
    outputs: Vec<Output>,
    /// Our transactions that take them.
    claims: Vec<Claiming>,
    /// The child that pays for our commitment.
    child: Option<Claiming>,
    next_claim: u32,
    /// Since when our commitment waits to be mined.
    began: Option<BlockHeight>,
    /// What was claimed together is claimed apart from now on.
    apart: bool,
    /// The fee of each penalty that was split, for the largest of its parts to outbid.
    outbid: BTreeMap<OutPoint, Sat>,
    /// R of received HTLCs, learnt since the channel is on the chain.
    preimages: BTreeMap<u64, Preimage>,
    /// Offered HTLCs whose end was told.
    told: BTreeSet<u64>,
    /// Received HTLCs whose amount was told to be ours.
    settled: BTreeSet<u64>,
    /// Since when the funding of the peer's channel is awaited, though the channel is over.
    unfunded_since: Option<BlockHeight>,
}

/// The transaction among these that spends the funding.
pub fn spend_in<'a>(funded: &Funded, transactions: &'a [Confirmed]) -> Option<&'a Confirmed> {
    let spends =
        |tx: &Transaction| tx.input.iter().any(|input| input.previous_output == funded.terms.funding);
    transactions.iter().find(|confirmed| spends(&confirmed.tx))
}

impl OnChain {
    fn enter(funded: Funded, ours: Option<(Role, Transaction)>, out: &mut Out) -> Self {
        let mut funded = funded;
        funded.forget_unsigned(out);
        out.save = true;
        let ours = ours.map(|(role, tx)| (role, Arc::new(tx)));
        let entered = Self {
            funded,
            ours,
            spend: None,
            outputs: Vec::new(),
            claims: Vec::new(),
            child: None,
            next_claim: 0,
            began: None,
            apart: false,
            outbid: BTreeMap::new(),
            preimages: BTreeMap::new(),
            told: BTreeSet::new(),
            settled: BTreeSet::new(),
            unfunded_since: None,
        };
        out.effects.extend(entered.hand_over_ours());
        entered
    }

    /// What we broadcast to spend the funding, if that can be. An acceptor's commitment waits until the funding is mined: the
    /// opener may never have broadcast it.
    fn spendable(&self) -> Option<&(Role, Arc<Transaction>)> {
        let known = self.funded.place.is_some() || self.funded.terms.opener == Side::Local;
        self.ours.as_ref().filter(|(role, _)| known || *role != Role::Commitment)
    }

    fn hand_over_ours(&self) -> Option<Effect> {
        self.spendable().map(|(role, tx)| broadcast(*role, tx))
    }

    /// We close alone: our newest commitment goes to the chain.
    pub fn alone(base: &Base, funded: Funded, why: &str, out: &mut Out) -> Phase {
        let tx = funded.signed_commitment(&base.signer);
        let next = Self::enter(funded, Some((Role::Commitment, tx)), out);
        out.effects.push(Effect::Closing { why: why.to_owned() });
        Phase::OnChain(next)
    }

    /// Both signed X.
    pub fn together(funded: Funded, tx: Transaction, out: &mut Out) -> Phase {
        let next = Self::enter(funded, Some((Role::Closing, tx)), out);
        out.effects.push(Effect::Closing { why: "closed together".to_owned() });
        Phase::OnChain(next)
    }

    /// The funding was spent by what the chain shows, before we did anything.
    pub fn spent(
        base: &Base,
        funded: Funded,
        tx: &Arc<Transaction>,
        height: BlockHeight,
        transactions: &[Confirmed],
        env: &Env,
        out: &mut Out,
    ) -> Phase {
        let mut next = Self::enter(funded, None, out);
        next.on_spend(base, tx, height, out);
        next.on_transactions(base, height, transactions, env, out);
        Phase::OnChain(next)
    }

    /// One input.
    pub fn step(self, base: &mut Base, input: &Input, env: &Env, out: &mut Out) -> Result<Phase, Stop> {
        match input {
            Input::Message(message) => self.message(base, message, out),
            Input::Command(command) => self.command(base, command, out),
            Input::BlockConnected { height, transactions } => {
                Ok(self.on_block(base, *height, transactions, env, out))
            }
            Input::BlockDisconnected { height } => Ok(self.on_block_gone(base, *height, env, out)),
            Input::Disconnected => {
                base.go_offline(out);
                Ok(Phase::OnChain(self))
            }
            Input::Connected | Input::Unconfirmed(_) => Ok(Phase::OnChain(self)),
        }
    }

    /// Whatever the peer says, the chain decides now.
    fn message(self, base: &Base, message: &Message, out: &mut Out) -> Result<Phase, Stop> {
        match message {
            Message::ChannelReestablish(_) => out.error(base.id, "the channel is closed on the chain"),
            Message::Warning(_)
            | Message::Init(_)
            | Message::Error(_)
            | Message::Ping(_)
            | Message::Pong(_)
            | Message::OpenChannel(_)
            | Message::AcceptChannel(_)
            | Message::FundingCreated(_)
            | Message::FundingSigned(_)
            | Message::ChannelReady(_)
            | Message::Shutdown(_)
            | Message::ClosingSigned(_)
            | Message::UpdateAddHtlc(_)
            | Message::UpdateFulfillHtlc(_)
            | Message::UpdateFailHtlc(_)
            | Message::UpdateFailMalformedHtlc(_)
            | Message::CommitmentSigned(_)
            | Message::RevokeAndAck(_)
            | Message::UpdateFee(_)
            | Message::Unknown { .. } => {}
        }
        Ok(Phase::OnChain(self))
    }

    fn command(self, base: &Base, command: &Command, out: &mut Out) -> Result<Phase, Stop> {
        let mut next = self;
        match command {
            Command::Commit => {}
            Command::Fulfill { id, preimage } => next.learn(*id, *preimage, out)?,
            // What is not claimed goes back to the peer by itself.
            Command::Fail { .. } | Command::FailMalformed { .. } => out.save = true,
            Command::FeeInputs { claim, tx } => next.on_fee_inputs(base, *claim, tx, out),
            Command::Close { .. } | Command::ForceClose => return Err(Rejection::AlreadyClosing.into()),
            Command::Funded { .. } | Command::Add(_) | Command::UpdateFee(_) => {
                return Err(Rejection::WrongPhase { phase: NAME }.into());
            }
        }
        Ok(Phase::OnChain(next))
    }

    fn on_block(
        self,
        base: &Base,
        height: BlockHeight,
        transactions: &[Confirmed],
        env: &Env,
        out: &mut Out,
    ) -> Phase {
        let mut next = self;
        let mined = next.funded.confirm(height, transactions, true, env, out);
        if let Some(spend) = spend_in(&next.funded, transactions).filter(|_| next.spend.is_none()) {
            next.on_spend(base, &spend.tx, height, out);
        }
        next.on_transactions(base, height, transactions, env, out);
        next.tell_outcomes(height, env, out);
        if next.spend.is_none() && next.ours.is_some() {
            if let Some(why) = next.funded.unfunded(mined, base, &mut next.unfunded_since, height, out) {
                return opening::abandon_late(&why, out);
            }
        }
        next.renew(base, env, out);
        if next.is_resolved(height, env) {
            out.save = true;
            next.tell_rest(out);
            out.effects.push(Effect::Resolved);
            return Phase::Done;
        }
        Phase::OnChain(next)
    }

    /// What stood in the block is not true any more; what is ours goes to the mempool again.
    fn on_block_gone(self, base: &Base, height: BlockHeight, env: &Env, out: &mut Out) -> Phase {
        let mut next = self;
        next.funded.unconfirm(height, out);
        if env.plants(Mutant::ReorgsAreIgnored) {
            return Phase::OnChain(next);
        }
        let gone = next.spend.take_if(|spend| spend.height >= height);
        next.forget_block(height, gone.is_some(), out);
        if let Some(gone) = gone {
            next.answer(base, &gone);
            next.apart = false;
            next.outbid.clear();
            out.save = true;
            out.effects.extend(next.hand_over_ours());
        }
        Phase::OnChain(next)
    }

    /// A spend of the funding that was not ours to broadcast is gone with its block. What the peer signed for may be lost with its
    /// mempool, so that ours goes to the chain: X, or our newest commitment, unless the peer holds a newer state.
    fn answer(&mut self, base: &Base, gone: &Spend) {
        if self.ours.is_some() || self.funded.fallen_behind {
            return;
        }
        self.ours = match gone.kind {
            Kind::Together => Some((Role::Closing, gone.tx.clone())),
            Kind::Unknown => None,
            Kind::Local | Kind::Remote | Kind::RemoteNext | Kind::Revoked(_) | Kind::OwnRevoked(_) => {
                let tx = self.funded.signed_commitment(&base.signer);
                Some((Role::Commitment, Arc::new(tx)))
            }
        };
    }

    /// Whether everything of ours is 100 deep, or left since it is not worth its fee or not ours to take.
    fn is_resolved(&self, tip: BlockHeight, env: &Env) -> bool {
        let Some(spend) = &self.spend else { return false };
        let depth = if env.plants(Mutant::ForgetsCloseOneDeep) { 1 } else { IRREVOCABLE_DEPTH };
        let deep = |height: BlockHeight| depth_of(height, tip) >= depth;
        deep(spend.height) && self.outputs.iter().all(|output| self.is_over(output, deep))
    }

    /// What this phase wants to hear of.
    pub fn watches(&self) -> Vec<Watch> {
        let funding = self.funded.terms.funding;
        let outputs = self.outputs.iter().filter(|output| output.spent.is_none());
        let outputs = outputs.map(|output| output.outpoint).chain(self.unread_outputs());
        let child = self.child.as_ref().and_then(|child| child.tx.as_ref()).map(|tx| tx.compute_txid());
        let spends = outputs.chain(self.paying_coins(true)).map(Watch::Spend);
        let confirmations = [funding.txid].into_iter().chain(child).map(Watch::Confirmation);
        confirmations.chain([Watch::Spend(funding)]).chain(spends).collect()
    }

    /// What is ours and not mined, for the chain again after a start.
    pub fn unmined(&self) -> Vec<Effect> {
        match &self.spend {
            Some(_) => self.claims.iter().filter_map(Claiming::again).collect(),
            None => self.hand_over_ours().into_iter().chain(self.package()).collect(),
        }
    }

    /// Coins of the wallet that transactions of ours spend, which are not mined yet. A child of a commitment that lost has no
    /// use for its coins while the other one is mined.
    pub fn fee_coins(&self) -> Vec<OutPoint> {
        let may_win = self.spend.as_ref().is_none_or(|spend| spend.kind == Kind::Local);
        self.paying_coins(may_win).collect()
    }

    fn paying_coins(&self, with_child: bool) -> impl Iterator<Item = OutPoint> + '_ {
        let child = self.child.iter().filter(move |_| with_child);
        let waiting = self.claims.iter().chain(child).filter(|claim| claim.mined.is_none());
        waiting.flat_map(Claiming::coins)
    }
}

fn broadcast(role: Role, tx: &Arc<Transaction>) -> Effect {
    Effect::Broadcast { role, tx: tx.as_ref().clone() }
}

/// How deep a block of this height is; the tip itself is one deep.
fn depth_of(height: BlockHeight, tip: BlockHeight) -> u32 {
    tip.plus(1).get().saturating_sub(height.get())
}

impl Funded {
    /// A closing transaction that we signed may be mined at any time.
    pub fn remember_closing(&mut self, txid: Txid) {
        if !self.closings.contains(&txid) {
            self.closings.push(txid);
        }
    }
}

/// The phase's name for people.
pub const NAME: &str = "on chain";
