//! What each side asks of the other, and what can be afforded: reserves, HTLC limits, the opener's costs, dust.
//! Answers questions about the books; changes nothing.
use super::ledger::Htlc;
use super::stage::View;
use super::{ChannelConfig, Env, Funded};
use crate::tx::{commitment_cost, is_trimmed, Side};
use crate::units::{FeeratePerKw, Msat, Sat};
use serde::{Deserialize, Serialize};

/// The most HTLCs one side may offer: two full sides still fit into a standard penalty (BOLT 2, `max_accepted_htlcs`).
pub const MAX_HTLCS: u16 = 483;
/// The least dust limit: no script has a higher dust threshold (BOLT 3, "Dust Limits").
pub const MIN_DUST_LIMIT: Sat = Sat::new(354);
/// The least feerate that nodes relay, with its rounding (BOLT 3, "Fee Calculation").
pub const MIN_FEERATE: FeeratePerKw = FeeratePerKw::new(253);
/// From here on `cltv_expiry` would be a time (BOLT 2).
pub const LOCKTIME_THRESHOLD: u32 = 500_000_000;

/// What one side asks of the other's offers and balance.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Limits {
    /// What the other side must keep.
    pub reserve: Sat,
    /// The most HTLCs that the other side may have open.
    pub max_accepted_htlcs: u16,
    /// The most that the other side may have in flight.
    pub max_in_flight: Msat,
    /// The smallest HTLC that the other side may offer.
    pub htlc_minimum: Msat,
}

impl Limits {
    /// What this node asks in a channel of this size.
    pub fn ours(config: &ChannelConfig, funding: Sat, dust_limit: Sat) -> Self {
        let share = u128::from(funding.get()) * u128::from(config.reserve_ppm) / 1_000_000;
        let percent = u128::from(config.max_in_flight_percent.min(100));
        let in_flight = u128::from(funding.to_msat().get()) * percent / 100;
        Self {
            reserve: Sat::new(share as u64).max(dust_limit),
            max_accepted_htlcs: config.max_accepted_htlcs.min(MAX_HTLCS),
            max_in_flight: Msat::new(in_flight as u64),
            htlc_minimum: config.htlc_minimum,
        }
    }
}

/// What the two sides asked of each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Agreement {
    /// What we ask of the peer.
    pub local: Limits,
    /// What the peer asks of us.
    pub remote: Limits,
}

impl Agreement {
    /// What this side asks of the other.
    pub fn by(&self, side: Side) -> &Limits {
        match side {
            Side::Local => &self.local,
            Side::Remote => &self.remote,
        }
    }

    /// What binds the offers and the balance of this side.
    pub fn on(&self, side: Side) -> &Limits {
        self.by(side.other())
    }
}

/// The feerates that are taken from a peer, and offered to one, now.
pub fn sane_feerates(env: &Env) -> (FeeratePerKw, FeeratePerKw) {
    let lowest = MIN_FEERATE.min(env.feerate);
    let highest = FeeratePerKw::new(env.feerate.get().saturating_mul(10).max(50_000));
    (lowest, highest)
}

impl Funded {
    /// Whether the HTLC has no output in the commitment of `holder`.
    fn is_trimmed(&self, htlc: &Htlc, holder: Side, feerate: FeeratePerKw) -> bool {
        let terms = htlc.terms(holder);
        let dust_limit = self.terms.party(holder).dust_limit;
        is_trimmed(self.terms.channel_type, dust_limit, feerate, terms.direction, htlc.amount)
    }

    /// Whether the HTLC has no output in one of the next commitments.
    pub fn is_dust(&self, htlc: &Htlc) -> bool {
        let feerate = self.worst_feerate();
        self.is_trimmed(htlc, Side::Local, feerate) || self.is_trimmed(htlc, Side::Remote, feerate)
    }

    /// What the opener pays for the commitment of `holder` at this feerate, with `more` HTLCs than it has.
    fn cost(&self, holder: Side, feerate: FeeratePerKw, scope: Scope, more: usize) -> Sat {
        let held = self.ledger.htlcs().iter().filter(|htlc| scope.has(htlc, holder));
        let untrimmed = held.filter(|htlc| !self.is_trimmed(htlc, holder, feerate)).count();
        commitment_cost(self.terms.channel_type, feerate, untrimmed.saturating_add(more))
    }

    /// The most the opener may soon have to pay for either commitment.
    fn worst_cost(&self, feerate: FeeratePerKw, more: usize) -> Sat {
        let of = |holder| self.cost(holder, feerate, Scope::All, more);
        of(Side::Local).max(of(Side::Remote))
    }

    /// The highest feerate in either next commitment.
    fn worst_feerate(&self) -> FeeratePerKw {
        let of = |holder| self.ledger.feerate(holder, View::Next);
        of(Side::Local).max(of(Side::Remote))
    }

    /// What `side` surely has, its pending offers taken off.
    fn worst_balance(&self, side: Side) -> i128 {
        let of = |holder| self.ledger.balances(holder, View::Next).of(side);
        of(Side::Local).min(of(Side::Remote))
    }

    /// The most that `side` could offer in one HTLC. An opener keeps a buffer for twice the feerate and one more HTLC
    /// (BOLT 2, "fee spike buffer"); the other side does not bring the opener below what it must pay.
    pub fn offerable(&self, side: Side) -> Msat {
        let limits = self.agreement.on(side);
        let feerate = self.worst_feerate();
        let opener = self.terms.opener;
        let reserve_of = |side| msat(self.agreement.on(side).reserve);
        let mut free = self.worst_balance(side) - reserve_of(side);
        if side == opener {
            let doubled = FeeratePerKw::new(feerate.get().saturating_mul(2));
            free -= msat(self.worst_cost(doubled, 2).max(self.worst_cost(feerate, 2)));
        } else if self.worst_balance(opener) - reserve_of(opener) < msat(self.worst_cost(feerate, 1)) {
            return Msat::ZERO;
        }
        let offers = self.ledger.htlcs().iter().filter(|htlc| htlc.offerer == side);
        let (count, sum) = offers.fold((0_usize, 0_i128), |(count, sum), htlc| {
            let open = Scope::All.has(htlc, side.other());
            (count + usize::from(open), sum + if open { i128::from(htlc.amount.get()) } else { 0 })
        });
        let in_flight = i128::from(limits.max_in_flight.get()) - sum;
        let most = free.min(in_flight).max(0);
        let full = count >= usize::from(limits.max_accepted_htlcs);
        let most = u64::try_from(most).map_or(Msat::ZERO, Msat::new);
        if full || most < limits.htlc_minimum {
            Msat::ZERO
        } else {
            most
        }
    }

    /// What is missing, if anything, for `offerer` to afford the HTLCs in the next commitment of the other side at its
    /// present feerate (BOLT 2, `update_add_htlc`): its reserve and what it must pay.
    pub fn overdraft(&self, offerer: Side) -> Option<(Sat, Sat)> {
        let holder = offerer.other();
        let reserve = self.agreement.on(offerer).reserve;
        let feerate = self.ledger.feerate(holder, View::Next);
        let pays = offerer == self.terms.opener;
        let cost = if pays { self.cost(holder, feerate, Scope::Next, 0) } else { Sat::ZERO };
        let balance = self.ledger.balances(holder, View::Next).of(offerer);
        (balance < msat(reserve) + msat(cost)).then_some((reserve, cost))
    }

    /// Whether the opener can pay for both next commitments at this feerate above its reserve.
    pub fn opener_affords(&self, feerate: FeeratePerKw) -> bool {
        let opener = self.terms.opener;
        let reserve = msat(self.agreement.on(opener).reserve);
        let cost = [Side::Local, Side::Remote]
            .map(|holder| self.cost(holder, feerate, Scope::Next, 0))
            .into_iter()
            .max();
        self.worst_balance(opener) >= reserve + cost.map_or(0, msat)
    }

    /// The HTLCs of `offerer` in the next commitment of the other side: their number and sum.
    pub fn in_flight(&self, offerer: Side) -> (usize, Msat) {
        let offers = self.ledger.htlcs_in(offerer.other(), View::Next).filter(|htlc| htlc.offerer == offerer);
        offers.fold((0, Msat::ZERO), |(count, sum), htlc| (count + 1, sum.saturating_add(htlc.amount)))
    }

    /// What trimmed HTLCs would burn at most, in the worse of both commitments (BOLT 2, "Bounding exposure to trimmed
    /// in-flight HTLCs").
    pub fn dust_exposure(&self, feerate: FeeratePerKw) -> Msat {
        self.dust_exposure_of(feerate, |_| true)
    }

    fn dust_exposure_of(&self, feerate: FeeratePerKw, counts: impl Fn(&Htlc) -> bool) -> Msat {
        let of = |holder: Side| {
            let htlcs = self.ledger.htlcs().iter().filter(|htlc| counts(htlc));
            let held = htlcs.filter(|htlc| Scope::All.has(htlc, holder));
            let trimmed = held.filter(|htlc| self.is_trimmed(htlc, holder, feerate));
            trimmed.fold(Msat::ZERO, |sum, htlc| sum.saturating_add(htlc.amount))
        };
        of(Side::Local).max(of(Side::Remote))
    }

    /// The same at the feerate of now.
    pub fn dust_exposure_now(&self) -> Msat {
        self.dust_exposure(self.worst_feerate())
    }

    /// The same without the peer's HTLCs after this one: what came too late must not cost those before it their place.
    pub fn dust_exposure_up_to(&self, id: u64) -> Msat {
        self.dust_exposure_of(self.worst_feerate(), |htlc| htlc.offerer == Side::Local || htlc.id <= id)
    }
}

/// Which HTLCs count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// Those of the next commitment.
    Next,
    /// Every proposed one too, unless the next commitment is rid of it.
    All,
}

impl Scope {
    fn has(self, htlc: &Htlc, holder: Side) -> bool {
        match self {
            Scope::Next => htlc.is_in(holder, View::Next),
            Scope::All => !htlc.removed_in(holder, View::Next),
        }
    }
}

fn msat(amount: Sat) -> i128 {
    i128::from(amount.to_msat().get())
}
