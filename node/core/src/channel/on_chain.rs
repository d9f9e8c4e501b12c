//! The channel's end on the chain (BOLT 5), until everything of ours is irrevocably resolved: 100 blocks deep.
//! Resolves the main outputs of commitments that were not revoked. HTLC outputs and penalties are not resolved yet, and the
//! channel says so and stays.
//!
//! ```text
//!   F --- X                                       both agreed: nothing to do but to wait
//!     \-- C, ours:       to_local  --- RD         after to_self_delay
//!     \-- C, the peer's: to_remote --- D          at once, or after one block with anchors
//! ```
use super::{Base, Command, Confirmed, Effect, Env, Funded, Input, Out, Phase, Rejection, Role, Stop, Watch};
use crate::tx::{decode_commitment_number, Claim, Commitment, Side};
use crate::units::{BlockHeight, CommitmentNumber};
use crate::wire::Message;
use bitcoin::{Transaction, Txid};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Blocks after which nothing is undone any more (BOLT 5).
const IRREVOCABLE_DEPTH: u32 = 100;

/// A channel whose funding is spent, or will be.
#[derive(Clone, Serialize, Deserialize)]
pub struct OnChain {
    /// The channel as it was.
    pub funded: Funded,
    /// What we broadcast to spend the funding, if we did.
    ours: Option<(Role, Arc<Transaction>)>,
    /// What did spend it, as the chain is now.
    spend: Option<Spend>,
}

/// The mined transaction that spends the funding.
#[derive(Clone, Serialize, Deserialize)]
struct Spend {
    height: BlockHeight,
    kind: Kind,
    /// HTLC outputs on it.
    htlcs: u32,
    sweep: Option<Sweep>,
}

/// Our sweep of our main output.
#[derive(Clone, Serialize, Deserialize)]
struct Sweep {
    role: Role,
    /// The first height of a block that may hold it.
    due: BlockHeight,
    /// Once it was built and broadcast.
    tx: Option<Arc<Transaction>>,
    /// Where it was mined, as the chain is now.
    mined: Option<BlockHeight>,
}

/// Which transaction it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Kind {
    /// X: both signed it to close.
    Together,
    /// Our own newest commitment.
    Local,
    /// The peer's newest commitment that it can be sure of.
    Remote,
    /// The one that we signed after it and that was not answered yet.
    RemoteNext,
    /// One that the peer had revoked.
    Revoked(CommitmentNumber),
    /// None that we know.
    Unknown,
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
        out.effects.extend(ours.iter().map(|(role, tx)| broadcast(*role, tx)));
        Self { funded, ours, spend: None }
    }

    /// We close alone: our newest commitment goes to the chain.
    pub fn alone(base: &Base, funded: Funded, why: &str, out: &mut Out) -> Phase {
        let tx = funded.signed_commitment(&base.signer);
        let htlcs = funded.local.commitment.htlcs.len() + funded.local.commitment.trimmed.len();
        let why = with_htlcs(why.to_owned(), htlcs);
        let next = Self::enter(funded, Some((Role::Commitment, tx)), out);
        out.effects.push(Effect::Closing { why });
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
        tx: &Transaction,
        height: BlockHeight,
        env: &Env,
        out: &mut Out,
    ) -> Phase {
        let mut next = Self::enter(funded, None, out);
        next.on_spend(base, tx, height, out);
        next.sweep(base, height, env, out);
        Phase::OnChain(next)
    }

    /// One input.
    pub fn step(self, base: &mut Base, input: &Input, env: &Env, out: &mut Out) -> Result<Phase, Stop> {
        match input {
            Input::Message(message) => self.message(base, message, out),
            Input::Command(command) => self.command(command),
            Input::BlockConnected { height, transactions } => {
                Ok(self.on_block(base, *height, transactions, env, out))
            }
            Input::BlockDisconnected { height } => Ok(self.on_block_gone(*height, out)),
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

    fn command(self, command: &Command) -> Result<Phase, Stop> {
        match command {
            Command::Commit => Ok(Phase::OnChain(self)),
            Command::Close { .. } | Command::ForceClose => Err(Rejection::AlreadyClosing.into()),
            Command::Funded { .. }
            | Command::Add(_)
            | Command::Fulfill { .. }
            | Command::Fail { .. }
            | Command::FailMalformed { .. }
            | Command::UpdateFee(_) => Err(Rejection::WrongPhase { phase: NAME }.into()),
        }
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
        // The funding's place is only told; that it is wrong cannot matter to a channel that is over.
        let _ = next.funded.confirm(height, transactions, out);
        if let Some(spend) = spend_in(&next.funded, transactions).filter(|_| next.spend.is_none()) {
            next.on_spend(base, &spend.tx, height, out);
        }
        if let Some(sweep) = next.spend.as_mut().and_then(|spend| spend.sweep.as_mut()) {
            let mined = |txid| transactions.iter().any(|confirmed| confirmed.tx.compute_txid() == txid);
            if sweep.mined.is_none() && sweep.tx.as_ref().is_some_and(|tx| mined(tx.compute_txid())) {
                sweep.mined = Some(height);
                out.save = true;
            }
        }
        next.sweep(base, height, env, out);
        if next.is_resolved(height) {
            out.save = true;
            out.effects.extend(next.lost());
            out.effects.push(Effect::Resolved);
            return Phase::Done;
        }
        Phase::OnChain(next)
    }

    /// What stood in the block is not true any more; what is ours goes to the mempool again.
    fn on_block_gone(self, height: BlockHeight, out: &mut Out) -> Phase {
        let mut next = self;
        next.funded.unconfirm(height, out);
        if let Some(spend) = &mut next.spend {
            if let Some(sweep) =
                spend.sweep.as_mut().filter(|sweep| sweep.mined.is_some_and(|at| at >= height))
            {
                sweep.mined = None;
                out.save = true;
                out.effects.extend(sweep.tx.iter().map(|tx| broadcast(sweep.role, tx)));
            }
        }
        if next.spend.as_ref().is_some_and(|spend| spend.height >= height) {
            next.spend = None;
            out.save = true;
            out.effects.extend(next.ours.iter().map(|(role, tx)| broadcast(*role, tx)));
        }
        Phase::OnChain(next)
    }

    fn on_spend(&mut self, base: &Base, tx: &Transaction, height: BlockHeight, out: &mut Out) {
        let kind = self.classify(tx);
        let delay = u32::from(self.funded.terms.local.to_self_delay);
        let lock = u32::from(self.funded.terms.channel_type.has_anchors());
        let (role, wait) = match kind {
            Kind::Local => (Role::SweepToLocal, delay),
            Kind::Together | Kind::Remote | Kind::RemoteNext | Kind::Revoked(_) | Kind::Unknown => {
                (Role::SweepToRemote, lock)
            }
        };
        let due = height.plus(wait);
        let sweep = self.claim(base, kind).map(|_| Sweep { role, due, tx: None, mined: None });
        let htlcs = self.commitment(kind).map_or(0, |commitment| commitment.htlcs.len());
        let pending = self.commitment(kind).map_or(0, |commitment| htlcs + commitment.trimmed.len());
        let expected = self.ours.as_ref().is_some_and(|(_, ours)| ours.compute_txid() == tx.compute_txid());
        if !expected {
            out.effects.push(Effect::Closing { why: with_htlcs(kind.describe(), pending) });
        }
        self.spend = Some(Spend { height, kind, htlcs: htlcs as u32, sweep });
        out.save = true;
    }

    fn classify(&self, tx: &Transaction) -> Kind {
        let funded = &self.funded;
        let txid = tx.compute_txid();
        let is = |commitment: &Commitment| commitment.tx.compute_txid() == txid;
        if funded.closings.contains(&txid) {
            return Kind::Together;
        }
        if is(&funded.local.commitment) {
            return Kind::Local;
        }
        if is(&funded.remote) {
            return Kind::Remote;
        }
        if funded.remote_next.as_ref().is_some_and(|next| is(next)) {
            return Kind::RemoteNext;
        }
        let payment = |side| &funded.terms.party(side).basepoints.payment;
        let (opener, acceptor) = (funded.terms.opener, funded.terms.opener.other());
        match decode_commitment_number(tx, payment(opener), payment(acceptor)) {
            Some(number) if number < funded.remote.number => Kind::Revoked(number),
            Some(_) | None => Kind::Unknown,
        }
    }

    fn commitment(&self, kind: Kind) -> Option<&Commitment> {
        match kind {
            Kind::Local => Some(&self.funded.local.commitment),
            Kind::Remote => Some(&self.funded.remote),
            Kind::RemoteNext => self.funded.remote_next.as_deref(),
            Kind::Together | Kind::Revoked(_) | Kind::Unknown => None,
        }
    }

    fn claim(&self, base: &Base, kind: Kind) -> Option<Claim> {
        let (commitment, terms, keys) = (self.commitment(kind)?, &self.funded.terms, base.signer.keys());
        match commitment.holder {
            Side::Local => Claim::to_local(commitment, terms, keys),
            Side::Remote => Claim::to_remote(commitment, terms, keys),
        }
    }

    /// Broadcasts our sweep, once, when the next block may hold it. One that would cost more than it brings waits for a
    /// lower feerate.
    fn sweep(&mut self, base: &Base, tip: BlockHeight, env: &Env, out: &mut Out) {
        let Some(kind) = self.spend.as_ref().map(|spend| spend.kind) else { return };
        let claim = self.claim(base, kind);
        let Some(spend) = &mut self.spend else { return };
        let Some(sweep) = spend.sweep.as_mut().filter(|sweep| sweep.tx.is_none()) else { return };
        if tip.plus(1) < sweep.due {
            return;
        }
        let Some(tx) = claim.and_then(|claim| claim.sweep(&base.destination, env.feerate).ok()) else {
            return;
        };
        out.save = true;
        out.effects.push(Effect::Broadcast { role: sweep.role, tx: tx.clone() });
        sweep.tx = Some(Arc::new(tx));
    }

    fn is_resolved(&self, tip: BlockHeight) -> bool {
        let Some(spend) = &self.spend else { return false };
        let deep = |height: BlockHeight| tip.plus(1).get().saturating_sub(height.get()) >= IRREVOCABLE_DEPTH;
        let known = match spend.kind {
            Kind::Together | Kind::Local | Kind::Remote | Kind::RemoteNext => true,
            Kind::Revoked(_) | Kind::Unknown => false,
        };
        // What no feerate made worth sweeping in all that time is left.
        let left = |sweep: &Sweep| sweep.tx.is_none() && deep(sweep.due);
        let swept = spend.sweep.as_ref().is_none_or(|sweep| sweep.mined.map_or(left(sweep), deep));
        known && spend.htlcs == 0 && deep(spend.height) && swept
    }

    /// Offers of ours that no output stands for, and whose end nobody would tell any more: they failed. What they were
    /// offered for takes no notice if the preimage came before.
    fn lost(&self) -> impl Iterator<Item = Effect> + '_ {
        self.funded.ledger.htlcs().iter().filter_map(|htlc| htlc.origin).map(super::not_committed)
    }

    /// What this phase wants to hear of.
    pub fn watches(&self) -> Vec<Watch> {
        let sweep = self.spend.as_ref().and_then(|spend| spend.sweep.as_ref());
        let txid = sweep.and_then(|sweep| sweep.tx.as_ref()).map(|tx| tx.compute_txid());
        let funding = Watch::Spend(self.funded.terms.funding);
        [funding].into_iter().chain(txid.map(Watch::Confirmation)).collect()
    }

    /// What is ours and not mined, for the chain again after a start.
    pub fn unmined(&self) -> Vec<Effect> {
        let sweep = self.spend.as_ref().and_then(|spend| spend.sweep.as_ref());
        match (sweep, &self.spend) {
            (Some(sweep), _) if sweep.mined.is_none() => {
                sweep.tx.iter().map(|tx| broadcast(sweep.role, tx)).collect()
            }
            (Some(_), _) | (None, Some(_)) => Vec::new(),
            (None, None) => self.ours.iter().map(|(role, tx)| broadcast(*role, tx)).collect(),
        }
    }
}

impl Kind {
    fn describe(self) -> String {
        match self {
            Kind::Together => "closed together".to_owned(),
            Kind::Local => "our own commitment was mined".to_owned(),
            Kind::Remote => "the peer closed alone with its newest commitment".to_owned(),
            Kind::RemoteNext => {
                "the peer closed alone with the commitment that it had not acknowledged".to_owned()
            }
            Kind::Revoked(number) => {
                format!("revoked commitment {number} published; penalties are not implemented yet")
            }
            Kind::Unknown => "an unknown transaction spends the funding output: money may be lost".to_owned(),
        }
    }
}

fn with_htlcs(why: String, htlcs: usize) -> String {
    match htlcs {
        0 => why,
        htlcs => format!("{why}; its {htlcs} pending HTLCs are not resolved on the chain yet"),
    }
}

fn broadcast(role: Role, tx: &Arc<Transaction>) -> Effect {
    Effect::Broadcast { role, tx: tx.as_ref().clone() }
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
