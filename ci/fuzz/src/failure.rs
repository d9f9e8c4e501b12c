//! Failures: any bytes are a failure or not; one that was read is written and read again to the same, and comes back through
//! the hops to the sender. Any bytes that come back are somebody's or nobody's.

use leyden_core::payment::failure::{attribute, relay, wrap, Failure, SharedSecret, MAX_FAILURE_LEN};

pub fn run(data: &[u8]) {
    let secrets = [SharedSecret([1; 32]), SharedSecret([2; 32]), SharedSecret([3; 32])];
    let _ = attribute(&secrets, data);
    let Ok(failure) = Failure::decode(data) else { return };
    let written = failure.encode();
    assert_eq!(Failure::decode(&written), Ok(failure.clone()), "what was written reads as what it was");
    if written.len() > MAX_FAILURE_LEN {
        return;
    }
    let sealed = wrap(&secrets[2], &failure);
    let arrived = relay(&secrets[0], &relay(&secrets[1], &sealed));
    assert_eq!(attribute(&secrets, &arrived), Some((2, failure)));
}
