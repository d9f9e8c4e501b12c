//! The HTLCs, feerates and balances of a channel, and what each side's commitments say of them.
//! Only books: it neither checks limits nor builds transactions. Every update lives by the table in `stage`.
use super::stage::{Event, Stage, View};
use super::{Offer, Origin, Received, Refusal};
use crate::ids::{PaymentHash, Preimage};
use crate::tx::{CommitmentSpec, Direction, HtlcTerms, Side};
use crate::units::{CltvExpiry, FeeratePerKw, Msat};
use crate::wire::OnionBytes;
use serde::{Deserialize, Serialize};

/// How an HTLC is removed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Removal {
    /// With R: the receiver gets the amount.
    Fulfilled(Preimage),
    /// Without: it goes back to who offered it.
    Refused(Refusal),
}

/// One HTLC, from its proposal until its removal is irrevocable.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Htlc {
    /// Who offered it.
    pub offerer: Side,
    /// Its id in its direction.
    pub id: u64,
    /// Its amount.
    pub amount: Msat,
    /// H(R).
    pub payment_hash: PaymentHash,
    /// The absolute expiry.
    pub cltv_expiry: CltvExpiry,
    /// The expiry of the HTLC that it was forwarded for, if it was.
    pub incoming_expiry: Option<CltvExpiry>,
    /// The onion; dropped from an offered HTLC once the peer acknowledged it.
    #[serde(with = "super::record::onion")]
    pub onion: Option<OnionBytes>,
    /// Whether the peer gave a `path_key` beside it.
    pub in_blinded_route: bool,
    /// What we offered it for; none when received.
    pub origin: Option<Origin>,
    /// How far its addition (sent by the offerer) has come.
    pub add: Stage,
    /// How far its removal (sent by the other side) has come.
    pub remove: Option<(Stage, Removal)>,
}

/// A feerate on its way into both commitments; only the opener sends them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct FeeUpdate {
    feerate: FeeratePerKw,
    stage: Stage,
}

/// Balances without the pending HTLCs, and everything pending.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ledger {
    opener: Side,
    local: Msat,
    remote: Msat,
    feerate: FeeratePerKw,
    fees: Vec<FeeUpdate>,
    htlcs: Vec<Htlc>,
    next_local_id: u64,
    next_remote_id: u64,
}

/// What became irrevocable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Both commitments hold an HTLC of the peer.
    Received(Received),
    /// An HTLC of the peer, settled by us, is gone.
    Settled {
        /// Its id.
        id: u64,
    },
    /// An HTLC of ours is gone without R.
    Failed {
        /// What it was offered for.
        origin: Origin,
        /// How it was refused.
        refusal: Refusal,
    },
}

/// Sums over one commitment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Balances {
    /// Ours, our offered HTLCs taken off. Negative when updates that crossed on the way overdraw it.
    pub local: i128,
    /// The peer's, likewise.
    pub remote: i128,
}

impl Balances {
    /// One side's, in msat.
    pub fn of(&self, side: Side) -> i128 {
        match side {
            Side::Local => self.local,
            Side::Remote => self.remote,
        }
    }

    fn credit(&mut self, side: Side, amount: i128) {
        match side {
            Side::Local => self.local += amount,
            Side::Remote => self.remote += amount,
        }
    }
}

impl Htlc {
    /// Whether the commitment of `holder` in this view holds it.
    pub fn is_in(&self, holder: Side, view: View) -> bool {
        self.add.is_in(self.offerer, holder, view) && !self.removed_in(holder, view)
    }

    /// Whether the commitment of `holder` in this view is rid of it.
    pub fn removed_in(&self, holder: Side, view: View) -> bool {
        self.remove.as_ref().is_some_and(|(stage, _)| stage.is_in(self.offerer.other(), holder, view))
    }

    /// As a commitment of `holder` lists it.
    pub fn terms(&self, holder: Side) -> HtlcTerms {
        HtlcTerms {
            direction: if self.offerer == holder { Direction::Offered } else { Direction::Received },
            id: self.id,
            amount: self.amount,
            payment_hash: self.payment_hash,
            cltv_expiry: self.cltv_expiry,
        }
    }

    /// Whether it is in both commitments for good and nobody began to remove it.
    pub fn is_settleable(&self) -> bool {
        self.add == Stage::Irrevocable && self.remove.is_none()
    }

    fn apply(&self, holder: Side, view: View, balances: &mut Balances) {
        let amount = i128::from(self.amount.get());
        if self.add.is_in(self.offerer, holder, view) {
            balances.credit(self.offerer, -amount);
        }
        match &self.remove {
            Some((_, removal)) if self.removed_in(holder, view) => {
                balances.credit(self.beneficiary(removal), amount);
            }
            Some(_) | None => {}
        }
    }

    fn beneficiary(&self, removal: &Removal) -> Side {
        match removal {
            Removal::Fulfilled(_) => self.offerer.other(),
            Removal::Refused(_) => self.offerer,
        }
    }

    fn advance(&mut self, event: Event) -> bool {
        let before = self.add;
        self.add = self.add.after(self.offerer, event);
        if let Some((stage, _)) = &mut self.remove {
            *stage = stage.after(self.offerer.other(), event);
        }
        if self.offerer == Side::Local && self.add >= Stage::Acked {
            self.onion = None;
        }
        before != self.add
    }

    fn is_gone(&self) -> bool {
        matches!(self.remove, Some((Stage::Irrevocable, _)))
    }
}

impl Ledger {
    /// The books of a new channel.
    pub fn new(opener: Side, local: Msat, remote: Msat, feerate: FeeratePerKw) -> Self {
        let (fees, htlcs) = (Vec::new(), Vec::new());
        Self { opener, local, remote, feerate, fees, htlcs, next_local_id: 0, next_remote_id: 0 }
    }

    /// Every pending HTLC, in the order of their proposals.
    pub fn htlcs(&self) -> &[Htlc] {
        &self.htlcs
    }

    /// The id that the next HTLC of this side must have.
    pub fn next_id(&self, offerer: Side) -> u64 {
        match offerer {
            Side::Local => self.next_local_id,
            Side::Remote => self.next_remote_id,
        }
    }

    /// One HTLC.
    pub fn find(&self, offerer: Side, id: u64) -> Option<&Htlc> {
        self.htlcs.iter().find(|htlc| htlc.offerer == offerer && htlc.id == id)
    }

    /// The peer's HTLCs that we acknowledged and did not sign for yet: only a planted bug takes them for received.
    pub fn acknowledged(&self) -> impl Iterator<Item = Received> + '_ {
        let ours = self.htlcs.iter().filter(|htlc| htlc.offerer == Side::Remote && htlc.add == Stage::Acked);
        ours.filter_map(received)
    }

    /// What the HTLCs of ours that the peer settled were offered for, with R: only a planted bug asks.
    pub fn fulfilled(&self) -> Vec<(Origin, Preimage)> {
        let settled = |htlc: &Htlc| match (&htlc.remove, htlc.origin) {
            (Some((_, Removal::Fulfilled(preimage))), Some(origin)) => Some((origin, *preimage)),
            (Some(_) | None, _) => None,
        };
        self.htlcs.iter().filter_map(settled).collect()
    }

    /// Writes down a new HTLC and gives its id.
    pub fn add(
        &mut self,
        offerer: Side,
        offer: &Offer,
        origin: Option<Origin>,
        in_blinded_route: bool,
    ) -> u64 {
        let id = self.next_id(offerer);
        let counter = match offerer {
            Side::Local => &mut self.next_local_id,
            Side::Remote => &mut self.next_remote_id,
        };
        *counter = counter.saturating_add(1);
        self.htlcs.push(Htlc {
            offerer,
            id,
            amount: offer.amount,
            payment_hash: offer.payment_hash,
            cltv_expiry: offer.cltv_expiry,
            incoming_expiry: offer.incoming_expiry,
            onion: Some(offer.onion.clone()),
            in_blinded_route,
            origin,
            add: Stage::Proposed,
            remove: None,
        });
        id
    }

    /// Writes down the removal of an HTLC that may be removed now. Whether there was one.
    pub fn remove(&mut self, offerer: Side, id: u64, removal: Removal) -> bool {
        let found = self.htlcs.iter_mut().find(|htlc| htlc.offerer == offerer && htlc.id == id);
        match found.filter(|htlc| htlc.is_settleable()) {
            Some(htlc) => {
                htlc.remove = Some((Stage::Proposed, removal));
                true
            }
            None => false,
        }
    }

    /// Writes down a new feerate of the opener. A later proposal replaces one that nobody signed yet.
    pub fn update_fee(&mut self, feerate: FeeratePerKw) {
        self.fees.retain(|update| update.stage != Stage::Proposed);
        self.fees.push(FeeUpdate { feerate, stage: Stage::Proposed });
    }

    /// Advances every update and says what became irrevocable; the books then hold only what is still pending.
    pub fn advance(&mut self, event: Event) -> Vec<Outcome> {
        let opener = self.opener;
        for update in &mut self.fees {
            update.stage = update.stage.after(opener, event);
        }
        while let Some(update) = self.fees.first().filter(|update| update.stage == Stage::Irrevocable) {
            self.feerate = update.feerate;
            self.fees.remove(0);
        }
        let mut outcomes = Vec::new();
        let mut gone = false;
        for htlc in &mut self.htlcs {
            let moved = htlc.advance(event);
            if moved && htlc.offerer == Side::Remote && htlc.add == Stage::Irrevocable {
                outcomes.extend(received(htlc).map(Outcome::Received));
            }
            gone |= htlc.is_gone();
        }
        if gone {
            self.settle(&mut outcomes);
        }
        outcomes
    }

    fn settle(&mut self, outcomes: &mut Vec<Outcome>) {
        for htlc in self.htlcs.iter().filter(|htlc| htlc.is_gone()) {
            let Some((_, removal)) = &htlc.remove else { continue };
            let credited = htlc.beneficiary(removal);
            if credited != htlc.offerer {
                let (from, to) = match credited {
                    Side::Local => (&mut self.remote, &mut self.local),
                    Side::Remote => (&mut self.local, &mut self.remote),
                };
                *from = from.saturating_sub(htlc.amount);
                *to = to.saturating_add(htlc.amount);
            }
            match (removal, htlc.origin) {
                (Removal::Refused(refusal), Some(origin)) => {
                    outcomes.push(Outcome::Failed { origin, refusal: refusal.clone() });
                }
                (Removal::Fulfilled(_), None) => outcomes.push(Outcome::Settled { id: htlc.id }),
                (Removal::Fulfilled(_), Some(_)) | (Removal::Refused(_), None) => {}
            }
        }
        self.htlcs.retain(|htlc| !htlc.is_gone());
    }

    /// Forgets what no signature covers (BOLT 2, "Message Retransmission"); the origins of our own additions among it.
    /// Our own proposed removals and our own feerate stay: they are to be sent again.
    pub fn forget_unsigned(&mut self) -> Vec<Origin> {
        let unsigned = |htlc: &Htlc| htlc.add == Stage::Proposed;
        let origins =
            self.htlcs.iter().filter(|htlc| unsigned(htlc)).filter_map(|htlc| htlc.origin).collect();
        for side in [Side::Local, Side::Remote] {
            let dropped =
                self.htlcs.iter().filter(|htlc| unsigned(htlc) && htlc.offerer == side).count() as u64;
            match side {
                Side::Local => self.next_local_id = self.next_local_id.saturating_sub(dropped),
                Side::Remote => self.next_remote_id = self.next_remote_id.saturating_sub(dropped),
            }
        }
        self.htlcs.retain(|htlc| !unsigned(htlc));
        if self.opener == Side::Remote {
            self.fees.retain(|update| update.stage != Stage::Proposed);
        }
        self.forget_removals_of(Side::Remote);
        origins
    }

    /// Forgets the removals that this side proposed and did not sign.
    pub fn forget_removals_of(&mut self, sender: Side) {
        for htlc in self.htlcs.iter_mut().filter(|htlc| htlc.offerer != sender) {
            if matches!(htlc.remove, Some((Stage::Proposed, _))) {
                htlc.remove = None;
            }
        }
    }

    /// The feerate of the opener that has come exactly so far, if there is one.
    pub fn proposed_feerate(&self, stage: Stage) -> Option<FeeratePerKw> {
        self.fees.iter().find(|update| update.stage == stage).map(|update| update.feerate)
    }

    /// Whether `signer` has something new to sign.
    pub fn needs_signature_of(&self, signer: Side) -> bool {
        let fee = self.fees.iter().any(|update| update.stage.needs_signature_of(self.opener, signer));
        fee || self.htlcs.iter().any(|htlc| {
            let removal = htlc.remove.as_ref();
            htlc.add.needs_signature_of(htlc.offerer, signer)
                || removal.is_some_and(|(stage, _)| stage.needs_signature_of(htlc.offerer.other(), signer))
        })
    }

    /// Whether this side sent updates that no signature of its own covers.
    pub fn has_unsigned_of(&self, sender: Side) -> bool {
        let fee = sender == self.opener && self.fees.iter().any(|update| update.stage == Stage::Proposed);
        fee || self.htlcs.iter().any(|htlc| match &htlc.remove {
            _ if htlc.offerer == sender => htlc.add == Stage::Proposed,
            Some((stage, _)) => *stage == Stage::Proposed,
            None => false,
        })
    }

    /// Whether an update that this side sent is not irrevocable yet.
    pub fn is_moving(&self, sender: Side) -> bool {
        let moving = |stage: Stage| stage != Stage::Irrevocable;
        let fee = sender == self.opener && !self.fees.is_empty();
        fee || self.htlcs.iter().any(|htlc| match &htlc.remove {
            _ if htlc.offerer == sender => moving(htlc.add),
            Some((stage, _)) => moving(*stage),
            None => false,
        })
    }

    /// Whether nothing is pending at all: both commitments say the same.
    pub fn is_at_rest(&self) -> bool {
        self.htlcs.is_empty() && self.fees.is_empty()
    }

    /// The feerate of a commitment.
    pub fn feerate(&self, holder: Side, view: View) -> FeeratePerKw {
        let newest = self.fees.iter().rev().find(|update| update.stage.is_in(self.opener, holder, view));
        newest.map_or(self.feerate, |update| update.feerate)
    }

    /// The HTLCs of a commitment.
    pub fn htlcs_in(&self, holder: Side, view: View) -> impl Iterator<Item = &Htlc> {
        self.htlcs.iter().filter(move |htlc| htlc.is_in(holder, view))
    }

    /// The balances of a commitment.
    pub fn balances(&self, holder: Side, view: View) -> Balances {
        let (local, remote) = (i128::from(self.local.get()), i128::from(self.remote.get()));
        let mut balances = Balances { local, remote };
        self.htlcs.iter().for_each(|htlc| htlc.apply(holder, view, &mut balances));
        balances
    }

    /// The balances when nothing is pending, or as if all pending HTLCs had failed.
    pub fn settled(&self, side: Side) -> Msat {
        match side {
            Side::Local => self.local,
            Side::Remote => self.remote,
        }
    }

    /// What a commitment says, or nothing when a side would be overdrawn.
    pub fn spec(&self, holder: Side, view: View) -> Option<CommitmentSpec> {
        let balances = self.balances(holder, view);
        let amount = |side| u64::try_from(balances.of(side)).ok().map(Msat::new);
        Some(CommitmentSpec {
            feerate: self.feerate(holder, view),
            to_holder: amount(holder)?,
            to_counterparty: amount(holder.other())?,
            htlcs: self.htlcs_in(holder, view).map(|htlc| htlc.terms(holder)).collect(),
        })
    }
}

/// An HTLC of the peer as whoever owns the channel is told of it.
pub(super) fn received(htlc: &Htlc) -> Option<Received> {
    Some(Received {
        id: htlc.id,
        amount: htlc.amount,
        payment_hash: htlc.payment_hash,
        cltv_expiry: htlc.cltv_expiry,
        onion: htlc.onion.clone()?,
        in_blinded_route: htlc.in_blinded_route,
    })
}
