//! Numbers with a meaning: amounts, heights, feerates, commitment numbers, time.
//! Nothing here wraps silently: arithmetic is checked, conversions are named.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty), $unit:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name($inner);

        impl $name {
            /// Nothing of it.
            pub const ZERO: Self = Self(0);

            /// Wraps a plain number in this unit.
            pub const fn new(value: $inner) -> Self {
                Self(value)
            }

            /// The plain number.
            pub const fn get(self) -> $inner {
                self.0
            }

            /// The sum, or nothing when it does not fit.
            pub const fn checked_add(self, other: Self) -> Option<Self> {
                match self.0.checked_add(other.0) {
                    Some(sum) => Some(Self(sum)),
                    None => None,
                }
            }

            /// The difference, or nothing when it would be negative.
            pub const fn checked_sub(self, other: Self) -> Option<Self> {
                match self.0.checked_sub(other.0) {
                    Some(rest) => Some(Self(rest)),
                    None => None,
                }
            }

            /// The sum, held at the largest value.
            pub const fn saturating_add(self, other: Self) -> Self {
                Self(self.0.saturating_add(other.0))
            }

            /// The difference, held at zero.
            pub const fn saturating_sub(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!("{}", $unit), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

number!(
    /// Thousandths of a satoshi, the unit of every amount off the chain (BOLT 2).
    Msat(u64), " msat"
);
number!(
    /// Satoshis, the unit of every output on the chain.
    Sat(u64), " sat"
);
number!(
    /// The height of a block.
    BlockHeight(u32), ""
);
number!(
    /// The absolute height from which an HTLC may be timed out (BOLT 2, `cltv_expiry`).
    CltvExpiry(u32), ""
);
number!(
    /// Satoshis per 1000 weight units (BOLT 2, `feerate_per_kw`).
    FeeratePerKw(u32), " sat/kw"
);
number!(
    /// The number of a commitment, counted up from 0; its seed name is one more (C1 is number 0).
    CommitmentNumber(u64), ""
);
number!(
    /// Microseconds since the world began. Virtual in the simulated worlds.
    Timestamp(u64), " us"
);

impl Msat {
    /// Whole satoshis, the rest cut off (BOLT 3: outputs are rounded down).
    pub const fn floor_to_sat(self) -> Sat {
        Sat(self.0 / 1000)
    }
}

impl Sat {
    /// The same amount in thousandths; held at the largest value.
    pub const fn to_msat(self) -> Msat {
        Msat(self.0.saturating_mul(1000))
    }

    /// The same amount as `bitcoin` names it.
    pub const fn to_amount(self) -> bitcoin::Amount {
        bitcoin::Amount::from_sat(self.0)
    }
}

impl From<bitcoin::Amount> for Sat {
    fn from(amount: bitcoin::Amount) -> Self {
        Sat(amount.to_sat())
    }
}

impl FeeratePerKw {
    /// The fee of `weight` units, rounded down (BOLT 3).
    pub const fn fee(self, weight: u64) -> Sat {
        Sat((self.0 as u64).saturating_mul(weight) / 1000)
    }
}

impl CommitmentNumber {
    /// The number after this one. Commitment numbers end at 2^48 - 1 (BOLT 3), far from overflow.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The number before this one; none before the first.
    pub const fn previous(self) -> Option<Self> {
        self.checked_sub(Self(1))
    }
}

impl BlockHeight {
    /// The height `blocks` later.
    pub const fn plus(self, blocks: u32) -> Self {
        Self(self.0.saturating_add(blocks))
    }
}

impl CltvExpiry {
    /// The first height at which a transaction with this lock time can be mined is one above it;
    /// this is the expiry itself as a height.
    pub const fn to_height(self) -> BlockHeight {
        BlockHeight(self.0)
    }
}
