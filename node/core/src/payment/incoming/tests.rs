//! The last hop's checks: what pays an invoice, and that all wrong details look the same.
use super::*;
use crate::units::{BlockHeight, FeeratePerKw};
use std::sync::Arc;

const ENV: Env = Env::new(Timestamp::new(50), BlockHeight::new(1000), FeeratePerKw::new(1000));

fn invoice() -> OwnInvoice {
    OwnInvoice {
        preimage: Preimage([3; 32]),
        payment_secret: [4; 32],
        amount: Some(Msat::new(1000)),
        min_final_cltv_delta: 18,
        expires_at: Timestamp::new(100),
        state: InvoiceState::Open,
    }
}

fn received(amount: u64, expiry: u32) -> Received {
    Received {
        id: 0,
        amount: Msat::new(amount),
        payment_hash: invoice().payment_hash(),
        cltv_expiry: CltvExpiry::new(expiry),
        onion: Arc::new([0; crate::wire::ONION_PACKET_LEN]),
        in_blinded_route: false,
    }
}

fn payload(amount: u64) -> FinalPayload {
    FinalPayload {
        amt_to_forward: Msat::new(amount),
        outgoing_cltv_value: CltvExpiry::new(1018),
        payment_secret: Some([4; 32]),
        total_msat: Some(Msat::new(amount)),
    }
}

fn code(invoice: Option<&OwnInvoice>, received: &Received, payload: &FinalPayload) -> Result<(), u16> {
    check(invoice, received, payload, &ENV).map_err(|failure| failure.code())
}

#[test]
fn from_the_amount_to_twice_as_much_is_taken() {
    assert_eq!(code(Some(&invoice()), &received(1000, 1018), &payload(1000)), Ok(()));
    assert_eq!(code(Some(&invoice()), &received(2000, 1018), &payload(2000)), Ok(()));
}

#[test]
fn all_wrong_details_get_the_same_answer() {
    let wrong = Err(0x400f);
    let good = invoice();
    assert_eq!(code(None, &received(1000, 1018), &payload(1000)), wrong);
    assert_eq!(code(Some(&good), &received(999, 1018), &payload(999)), wrong);
    assert_eq!(code(Some(&good), &received(2002, 1018), &payload(2002)), wrong);
    let early = FinalPayload { outgoing_cltv_value: CltvExpiry::new(1017), ..payload(1000) };
    assert_eq!(code(Some(&good), &received(1000, 1017), &early), wrong);
    for payment_secret in [None, Some([5; 32])] {
        let payload = FinalPayload { payment_secret, ..payload(1000) };
        assert_eq!(code(Some(&good), &received(1000, 1018), &payload), wrong);
    }
    let part = FinalPayload { total_msat: Some(Msat::new(2000)), ..payload(1000) };
    assert_eq!(code(Some(&good), &received(1000, 1018), &part), wrong);
    let paid = OwnInvoice { state: InvoiceState::Paid { amount: Msat::new(1000) }, ..good };
    assert_eq!(code(Some(&paid), &received(1000, 1018), &payload(1000)), wrong);
    let late = OwnInvoice { expires_at: ENV.now, ..invoice() };
    assert_eq!(code(Some(&late), &received(1000, 1018), &payload(1000)), wrong);
}

#[test]
fn a_hop_that_took_too_much_or_too_many_blocks_is_shown() {
    assert_eq!(code(Some(&invoice()), &received(999, 1018), &payload(1000)), Err(19));
    assert_eq!(code(Some(&invoice()), &received(1000, 1017), &payload(1000)), Err(18));
}
