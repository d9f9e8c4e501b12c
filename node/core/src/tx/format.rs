//! Where the commitment formats differ, all of it: weights, fees, anchors, locks, signature hashes, feature bits.
//! Everything else asks these methods and never matches on the format itself.
use super::{ChannelType, Direction};
use crate::units::{FeeratePerKw, Sat};
use bitcoin::{EcdsaSighashType, Sequence};

/// What one anchor holds (BOLT 3, "`to_local_anchor` and `to_remote_anchor` Output").
pub const ANCHOR_AMOUNT: Sat = Sat::new(330);

impl ChannelType {
    /// Whether commitments have anchors, and with them one-block locks and HTLC transactions without fee.
    pub const fn has_anchors(self) -> bool {
        match self {
            ChannelType::StaticRemotekey => false,
            ChannelType::AnchorsZeroFeeHtlc => true,
        }
    }

    /// The expected weight of a commitment with so many HTLC outputs (BOLT 3, "Fee Calculation").
    pub const fn commitment_weight(self, untrimmed: usize) -> u64 {
        let base: u64 = if self.has_anchors() { 1124 } else { 724 };
        base.saturating_add((untrimmed as u64).saturating_mul(172))
    }

    /// The expected weight of an HTLC-timeout (offered) or HTLC-success (received) transaction.
    pub const fn htlc_weight(self, direction: Direction) -> u64 {
        let base = match direction {
            Direction::Offered => 663,
            Direction::Received => 703,
        };
        if self.has_anchors() {
            base + 3
        } else {
            base
        }
    }

    /// The fee that an HTLC transaction pays by itself; with anchors none, whoever wants it mined adds inputs.
    pub const fn htlc_fee(self, direction: Direction, feerate: FeeratePerKw) -> Sat {
        if self.has_anchors() {
            Sat::ZERO
        } else {
            feerate.fee(self.htlc_weight(direction))
        }
    }

    /// What the opener pays for both anchors, beside the fee.
    pub const fn anchors_amount(self) -> Sat {
        if self.has_anchors() {
            Sat::new(2 * ANCHOR_AMOUNT.get())
        } else {
            Sat::ZERO
        }
    }

    /// The `nSequence` of every input that spends an HTLC output or `to_remote` of a commitment without delay.
    pub fn unlock_sequence(self) -> Sequence {
        if self.has_anchors() {
            Sequence::from_consensus(1)
        } else {
            Sequence::ZERO
        }
    }

    /// What the counterparty's signature of an HTLC transaction covers (BOLT 3 and 5). The holder's covers all.
    pub const fn counterparty_htlc_sighash(self) -> EcdsaSighashType {
        if self.has_anchors() {
            EcdsaSighashType::SinglePlusAnyoneCanPay
        } else {
            EcdsaSighashType::All
        }
    }

    /// The feature bits that make up this `channel_type` (BOLT 2, BOLT 9), lowest first.
    pub const fn feature_bits(self) -> &'static [usize] {
        match self {
            ChannelType::StaticRemotekey => &[12],
            ChannelType::AnchorsZeroFeeHtlc => &[12, 22],
        }
    }

    /// The format named by exactly these bits, lowest first; a `channel_type` with a bit more or less is another one.
    pub fn from_feature_bits(bits: impl IntoIterator<Item = usize>) -> Option<Self> {
        let bits: Vec<usize> = bits.into_iter().take(3).collect();
        let known = [ChannelType::StaticRemotekey, ChannelType::AnchorsZeroFeeHtlc];
        known.into_iter().find(|format| format.feature_bits() == bits)
    }
}
