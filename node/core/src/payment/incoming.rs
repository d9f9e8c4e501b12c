//! The receiver's part: its own invoices, and whether an HTLC pays one (BOLT 4, "Requirements" of the final node;
//! BOLT 11). Every wrong detail gets the same answer, so that nobody can probe. Several parts are not taken: one HTLC
//! must bring the total.

use super::failure::Failure;
use crate::channel::{Env, Mutant, Received, FULFILLED_MARGIN};
use crate::ids::{ChannelId, PaymentHash, Preimage};
use crate::units::{CltvExpiry, Msat, Timestamp};
use serde::{Deserialize, Serialize};

/// The least that an invoice of this node asks for (BOLT 11 `c`), and what it asks for unless told otherwise: three blocks may come
/// between the preimage and the end of the HTLC before the channel has to go to the chain for it.
pub const LEAST_FINAL_CLTV_DELTA: u32 = FULFILLED_MARGIN + 3;

/// An invoice of this node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OwnInvoice {
    /// R.
    pub preimage: Preimage,
    /// The secret the sender must know.
    pub payment_secret: [u8; 32],
    /// What it asks; any amount when absent.
    pub amount: Option<Msat>,
    /// Blocks that the last HTLC must leave.
    pub min_final_cltv_delta: u32,
    /// From when on it is not accepted any more.
    pub expires_at: Timestamp,
    /// Whether it is paid.
    pub state: InvoiceState,
}

/// How far an invoice is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum InvoiceState {
    /// Not paid.
    Open,
    /// The preimage is given for this HTLC.
    Claiming {
        /// The channel it came over.
        channel: ChannelId,
        /// Its id there.
        id: u64,
        /// What it brings.
        amount: Msat,
    },
    /// The money is ours.
    Paid {
        /// How much.
        amount: Msat,
    },
}

/// What the sender told the last hop (BOLT 4, `payload`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // the BOLT's own names
pub struct FinalPayload {
    pub amt_to_forward: Msat,
    pub outgoing_cltv_value: CltvExpiry,
    pub payment_secret: Option<[u8; 32]>,
    pub total_msat: Option<Msat>,
}

/// Whether this HTLC pays this invoice.
pub fn check(
    invoice: Option<&OwnInvoice>,
    received: &Received,
    payload: &FinalPayload,
    env: &Env,
) -> Result<(), Failure> {
    let height = env.height;
    if received.cltv_expiry < payload.outgoing_cltv_value {
        return Err(Failure::FinalIncorrectCltvExpiry { cltv_expiry: received.cltv_expiry });
    }
    if received.amount < payload.amt_to_forward {
        return Err(Failure::FinalIncorrectHtlcAmount { incoming_htlc_amt: received.amount });
    }
    let fits = invoice.is_some_and(|invoice| {
        (invoice.state == InvoiceState::Open || env.plants(Mutant::AcceptPaidInvoice))
            && (env.now < invoice.expires_at || env.plants(Mutant::AcceptExpiredInvoice))
            && (payload.payment_secret == Some(invoice.payment_secret)
                || env.plants(Mutant::AcceptWrongPaymentSecret))
            && payload.total_msat.unwrap_or(payload.amt_to_forward) == payload.amt_to_forward
            && (invoice.takes(received.amount) || env.plants(Mutant::AcceptUnderpaidInvoice))
            && (received.cltv_expiry.to_height() >= height.plus(invoice.min_final_cltv_delta)
                || env.plants(Mutant::AcceptLateFinalHtlc))
    });
    let refusal = Failure::IncorrectOrUnknownPaymentDetails { htlc_msat: received.amount, height };
    fits.then_some(()).ok_or(refusal)
}

impl OwnInvoice {
    /// H(R).
    pub fn payment_hash(&self) -> PaymentHash {
        self.preimage.payment_hash()
    }

    /// From the amount asked up to twice as much (BOLT 4), so that a sender may blur the amount.
    fn takes(&self, amount: Msat) -> bool {
        self.amount.is_none_or(|asked| amount >= asked && amount <= asked.saturating_add(asked))
    }
}

#[cfg(test)]
mod tests;
