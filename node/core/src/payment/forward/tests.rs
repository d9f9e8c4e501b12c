//! The forwarding policy at its exact boundaries.
use super::*;
use crate::units::{BlockHeight, FeeratePerKw, Timestamp};

const ENV: Env = Env::new(Timestamp::ZERO, BlockHeight::new(1000), FeeratePerKw::new(1000));

fn ask() -> Ask {
    Ask {
        incoming_amount: Msat::new(1_001_100),
        incoming_expiry: CltvExpiry::new(1140),
        outgoing_amount: Msat::new(1_000_000),
        outgoing_expiry: CltvExpiry::new(1100),
    }
}

fn code(ask: Ask) -> Result<Msat, u16> {
    let policy = ForwardPolicy { htlc_minimum: Msat::new(1000), ..ForwardPolicy::default() };
    check(&policy, &ask, &ENV, 2016).map_err(|failure| failure.code())
}

#[test]
fn exactly_what_is_asked_is_enough() {
    assert_eq!(code(ask()), Ok(Msat::new(1100)));
}

#[test]
fn each_rule_has_its_own_failure() {
    assert_eq!(code(Ask { incoming_amount: Msat::new(1_001_099), ..ask() }), Err(0x100c));
    assert_eq!(code(Ask { incoming_amount: Msat::new(1), ..ask() }), Err(0x100c));
    assert_eq!(code(Ask { incoming_expiry: CltvExpiry::new(1139), ..ask() }), Err(0x100d));
    assert_eq!(code(Ask { incoming_expiry: CltvExpiry::new(1), ..ask() }), Err(0x100d));
    assert_eq!(code(Ask { outgoing_amount: Msat::new(999), ..ask() }), Err(0x100b));
    assert_eq!(code(Ask { outgoing_expiry: CltvExpiry::new(1003), ..ask() }), Err(0x100e));
    assert!(code(Ask { outgoing_expiry: CltvExpiry::new(1004), ..ask() }).is_ok());
    let far = Ask { outgoing_expiry: CltvExpiry::new(3017), incoming_expiry: CltvExpiry::new(3057), ..ask() };
    assert_eq!(code(far), Err(21));
}

#[test]
fn a_fee_that_does_not_fit_is_never_paid() {
    let policy = ForwardPolicy { fee_base: Msat::new(u64::MAX), ..ForwardPolicy::default() };
    assert!(check(&policy, &ask(), &ENV, 2016).is_err());
}
