//! The least that a payment can cost: curve operations timed in this run, times how many of them the BOLTs demand. They
//! are timed before and after the payments: a machine that drifts in between moves both sides of the ratio.

use criterion::Criterion;
use leyden_core::keys::{derive_public_key, derive_revocation_public_key};
use secp256k1::ecdh::SharedSecret;
use secp256k1::ecdsa::RecoverableSignature;
use secp256k1::{Message, PublicKey, Scalar, SecretKey, SECP256K1};
use std::hint::black_box;
use std::time::Duration;

/// One curve operation each, in microseconds.
pub struct Curve {
    pub(super) sign: f64,
    pub(super) verify: f64,
    recover: f64,
    pub(super) ecdh: f64,
    pub(super) base_multiply: f64,
    pub(super) multiply: f64,
    pub(super) tweak: f64,
    pub(super) revocation: f64,
}

/// Times each operation in the group of this round, under the name that [`Curve::between`] reads.
pub fn calibrate(criterion: &mut Criterion, round: u32) {
    let secret = SecretKey::from_slice(&[0x11; 32]).expect("a valid key");
    let other = SecretKey::from_slice(&[0x22; 32]).expect("a valid key");
    let (public, point) = (secret.public_key(SECP256K1), other.public_key(SECP256K1));
    let message = Message::from_digest([0x33; 32]);
    let signature = SECP256K1.sign_ecdsa(&message, &secret);
    let recoverable: RecoverableSignature = SECP256K1.sign_ecdsa_recoverable(&message, &secret);
    let factor = Scalar::from(other);

    let mut group = criterion.benchmark_group(group_of(round));
    group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(1));
    group.bench_function("sign", |b| b.iter(|| SECP256K1.sign_ecdsa(black_box(&message), &secret)));
    group.bench_function("verify", |b| {
        b.iter(|| SECP256K1.verify_ecdsa(black_box(&message), &signature, &public))
    });
    group
        .bench_function("recover", |b| b.iter(|| SECP256K1.recover_ecdsa(black_box(&message), &recoverable)));
    group.bench_function("ecdh", |b| b.iter(|| SharedSecret::new(black_box(&point), &secret)));
    group.bench_function("base-multiply", |b| {
        b.iter(|| PublicKey::from_secret_key(SECP256K1, black_box(&secret)))
    });
    group.bench_function("multiply", |b| b.iter(|| black_box(&public).mul_tweak(SECP256K1, &factor)));
    group.bench_function("tweak", |b| b.iter(|| derive_public_key(black_box(&public), &point)));
    group.bench_function("revocation", |b| {
        b.iter(|| derive_revocation_public_key(black_box(&public), &point))
    });
    group.finish();
}

fn group_of(round: u32) -> String {
    format!("curve-{round}")
}

impl Curve {
    /// The mean of this round's calibration and the next one's; nothing when they were filtered out.
    pub fn between(round: u32) -> Option<Self> {
        let micros = |name: &str| {
            let nanos = |round| super::median_nanos(&group_of(round), name);
            Some((nanos(round)? + nanos(round + 1)?) / 2000.0)
        };
        Some(Self {
            sign: micros("sign")?,
            verify: micros("verify")?,
            recover: micros("recover")?,
            ecdh: micros("ecdh")?,
            base_multiply: micros("base-multiply")?,
            multiply: micros("multiply")?,
            tweak: micros("tweak")?,
            revocation: micros("revocation")?,
        })
    }

    /// The bound for one payment of `batch` sent at once over `channels` channels, in microseconds.
    ///
    /// A channel that adds and then settles `batch` HTLCs signs four commitments; each is signed by one side and verified by
    /// the other, and both derive its keys. Both commitments with the HTLCs carry a signature for each. Four revocations
    /// each cost their sender the next point and their receiver the check of the secret.
    pub fn bound_micros(&self, channels: u64, batch: u64) -> f64 {
        let (channels, batch) = (channels as f64, batch as f64);
        let key_set = self.revocation + 3.0 * self.tweak;
        let dance = 4.0 * (self.sign + self.verify) + 8.0 * key_set + 8.0 * self.base_multiply;
        let htlc = 2.0 * (self.sign + self.verify);
        let sender = self.recover + channels * (self.ecdh + self.base_multiply);
        let hops = channels * self.ecdh + (channels - 1.0) * self.multiply;
        channels * (dance / batch + htlc) + sender + hops
    }
}
