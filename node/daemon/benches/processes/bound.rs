//! The least that a payment can cost: curve operations timed here, times how many of them the BOLTs demand. The same counting as
//! in the bench `efficiency`, which times payments inside one process.
use leyden_core::keys::{derive_public_key, derive_revocation_public_key};
use secp256k1::ecdh::SharedSecret;
use secp256k1::{Message, PublicKey, Scalar, SecretKey, SECP256K1};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// One curve operation each, in microseconds.
pub struct Curve {
    sign: f64,
    verify: f64,
    ecdh: f64,
    base_multiply: f64,
    multiply: f64,
    tweak: f64,
    revocation: f64,
}

impl Curve {
    /// Times all of them, one after the other, in about a second.
    pub fn time() -> Self {
        let secret = SecretKey::from_slice(&[0x11; 32]).expect("a valid key");
        let other = SecretKey::from_slice(&[0x22; 32]).expect("a valid key");
        let (public, point) = (secret.public_key(SECP256K1), other.public_key(SECP256K1));
        let message = Message::from_digest([0x33; 32]);
        let signature = SECP256K1.sign_ecdsa(&message, &secret);
        let factor = Scalar::from(other);
        Self {
            sign: micros(|| SECP256K1.sign_ecdsa(black_box(&message), &secret)),
            verify: micros(|| SECP256K1.verify_ecdsa(black_box(&message), &signature, &public)),
            ecdh: micros(|| SharedSecret::new(black_box(&point), &secret)),
            base_multiply: micros(|| PublicKey::from_secret_key(SECP256K1, black_box(&secret))),
            multiply: micros(|| black_box(&public).mul_tweak(SECP256K1, &factor)),
            tweak: micros(|| derive_public_key(black_box(&public), &point)),
            revocation: micros(|| derive_revocation_public_key(black_box(&public), &point)),
        }
    }

    /// Between two timings.
    pub fn mean(&self, other: &Self) -> Self {
        Self {
            sign: (self.sign + other.sign) / 2.0,
            verify: (self.verify + other.verify) / 2.0,
            ecdh: (self.ecdh + other.ecdh) / 2.0,
            base_multiply: (self.base_multiply + other.base_multiply) / 2.0,
            multiply: (self.multiply + other.multiply) / 2.0,
            tweak: (self.tweak + other.tweak) / 2.0,
            revocation: (self.revocation + other.revocation) / 2.0,
        }
    }

    /// The bound for one payment of `batch` sent at once over `channels` channels, in microseconds of one core.
    ///
    /// A channel that adds and then settles `batch` HTLCs signs four commitments; each is signed by one side and verified by
    /// the other, and both derive its keys. Both commitments with the HTLCs carry a signature for each. Four revocations
    /// each cost their sender the next point and their receiver the check of the secret. To recover a key costs what a check does.
    pub fn bound_micros(&self, channels: u64, batch: u64) -> f64 {
        let (channels, batch) = (channels as f64, batch as f64);
        let key_set = self.revocation + 3.0 * self.tweak;
        let dance = 4.0 * (self.sign + self.verify) + 8.0 * key_set + 8.0 * self.base_multiply;
        let htlc = 2.0 * (self.sign + self.verify);
        let sender = self.verify + channels * (self.ecdh + self.base_multiply);
        let hops = channels * self.ecdh + (channels - 1.0) * self.multiply;
        channels * (dance / batch + htlc) + sender + hops
    }
}

/// The median of many short timings, so that an interruption does not count.
fn micros<T>(operation: impl Fn() -> T) -> f64 {
    const EACH: u32 = 50;
    let begin = Instant::now();
    let mut times = Vec::new();
    while begin.elapsed() < Duration::from_millis(150) {
        let start = Instant::now();
        (0..EACH).for_each(|_| drop(black_box(operation())));
        times.push(start.elapsed().as_secs_f64() * 1e6 / f64::from(EACH));
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
