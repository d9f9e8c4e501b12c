//! Key derivation of BOLT 3: how each commitment gets keys of its own from basepoints and a per-commitment point.
//! Pure curve arithmetic; knows neither channels nor transactions.
use bitcoin::hashes::{sha256, Hash, HashEngine};
use secp256k1::{PublicKey, Scalar, SecretKey, SECP256K1};

/// A sum or product here is refused by the curve library only for a hash outside the curve's order or for a point
/// at infinity. Both sides of every sum are bound by a hash over both points, so finding such an input means
/// breaking SHA-256: no peer can send one.
const NO_SUCH_HASH: &str = "no input with such a SHA-256 can be found";

/// `basepoint + SHA256(per_commitment_point || basepoint)*G`: local, remote, delayed and HTLC keys.
pub fn derive_public_key(basepoint: &PublicKey, point: &PublicKey) -> PublicKey {
    basepoint.add_exp_tweak(SECP256K1, &hash_points(point, basepoint)).expect(NO_SUCH_HASH)
}

/// The secret of [`derive_public_key`].
pub fn derive_secret_key(base_secret: &SecretKey, point: &PublicKey) -> SecretKey {
    derive_secret_key_of(base_secret, &base_secret.public_key(SECP256K1), point)
}

/// As [`derive_secret_key`], for a caller that has `basepoint`, the public half of `base_secret`, at hand:
/// saves one multiplication on the curve.
pub fn derive_secret_key_of(base_secret: &SecretKey, basepoint: &PublicKey, point: &PublicKey) -> SecretKey {
    base_secret.add_tweak(&hash_points(point, basepoint)).expect(NO_SUCH_HASH)
}

/// The key that can punish: half of each side (BOLT 3, "`revocationpubkey` Derivation").
pub fn derive_revocation_public_key(basepoint: &PublicKey, point: &PublicKey) -> PublicKey {
    let ours = basepoint.mul_tweak(SECP256K1, &hash_points(basepoint, point)).expect(NO_SUCH_HASH);
    let theirs = point.mul_tweak(SECP256K1, &hash_points(point, basepoint)).expect(NO_SUCH_HASH);
    ours.combine(&theirs).expect(NO_SUCH_HASH)
}

/// The secret of [`derive_revocation_public_key`], once the other side released its half.
pub fn derive_revocation_secret_key(base_secret: &SecretKey, commitment_secret: &SecretKey) -> SecretKey {
    let basepoint = base_secret.public_key(SECP256K1);
    let point = commitment_secret.public_key(SECP256K1);
    let ours = base_secret.mul_tweak(&hash_points(&basepoint, &point)).expect(NO_SUCH_HASH);
    let theirs = commitment_secret.mul_tweak(&hash_points(&point, &basepoint)).expect(NO_SUCH_HASH);
    ours.add_tweak(&Scalar::from(theirs)).expect(NO_SUCH_HASH)
}

fn hash_points(first: &PublicKey, second: &PublicKey) -> Scalar {
    let mut engine = sha256::Hash::engine();
    engine.input(&first.serialize());
    engine.input(&second.serialize());
    Scalar::from_be_bytes(sha256::Hash::from_engine(engine).to_byte_array()).expect(NO_SUCH_HASH)
}
