//! Fees, trimming and dust: what decides which outputs a transaction has and what it costs. All amounts in satoshis.
use super::{ChannelType, Direction};
use crate::units::{FeeratePerKw, Msat, Sat};
use bitcoin::Script;

/// The longest signature in a witness: DER with low S, and the byte that says what it covers.
pub(super) const SIGNATURE_LEN: u64 = 72;

/// What the witness of a spent funding output adds to a transaction, marker and flag included: an empty element, two signatures,
/// the 2-of-2 script (BOLT 3, Appendix A, with signatures of 72 bytes).
pub const FUNDING_WITNESS_WEIGHT: u64 = 2 + 1 + 1 + 2 * (1 + SIGNATURE_LEN) + 1 + 71;

/// The base fee of a commitment with so many HTLC outputs (BOLT 3, "Fee Calculation"), anchors not included.
pub const fn commitment_fee(channel_type: ChannelType, feerate: FeeratePerKw, untrimmed: usize) -> Sat {
    feerate.fee(channel_type.commitment_weight(untrimmed))
}

/// All that the opener pays for a commitment with so many HTLC outputs: the base fee and both anchors.
pub const fn commitment_cost(channel_type: ChannelType, feerate: FeeratePerKw, untrimmed: usize) -> Sat {
    commitment_fee(channel_type, feerate, untrimmed).saturating_add(channel_type.anchors_amount())
}

/// Whether an HTLC gets no output: after the fee of its own transaction it is below the holder's dust limit
/// (BOLT 3, "Trimmed Outputs"). `direction` is seen from the commitment's holder.
pub const fn is_trimmed(
    channel_type: ChannelType,
    dust_limit: Sat,
    feerate: FeeratePerKw,
    direction: Direction,
    amount: Msat,
) -> bool {
    let needed = dust_limit.saturating_add(channel_type.htlc_fee(direction, feerate));
    amount.floor_to_sat().get() < needed.get()
}

/// The least amount that nodes relay in an output of this script (BOLT 3, "Dust Limits").
pub fn dust_threshold(script: &Script) -> Sat {
    let threshold = match script {
        _ if script.is_op_return() => 0,
        _ if script.is_p2pkh() => 546,
        _ if script.is_p2sh() => 540,
        _ if script.is_p2wpkh() => 294,
        _ if script.is_p2wsh() || script.is_p2tr() => 330,
        _ if script.as_bytes() == PAY_TO_ANCHOR => 240,
        _ if script.is_witness_program() => 354,
        _ => return script.minimal_non_dust().into(),
    };
    Sat::new(threshold)
}

/// `OP_1 <4e73>`.
const PAY_TO_ANCHOR: [u8; 4] = [0x51, 0x02, 0x4e, 0x73];
