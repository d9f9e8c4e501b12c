//! An `open_channel` without fault, to be bent, from a peer that has no node behind it.
use leyden_core::ids::ChannelId;
use leyden_core::keys::{ChannelKeys, NodeSeed};
use leyden_core::tx::ChannelType;
use leyden_core::units::{CommitmentNumber, FeeratePerKw, Msat, Sat};
use leyden_core::wire::{Features, OpenChannel, OpeningKeys};

pub fn keys() -> ChannelKeys {
    NodeSeed::new([77; 32]).channel_keys(0)
}

/// A channel of 1,000,000 sat.
pub fn proposal(temporary_channel_id: ChannelId) -> OpenChannel {
    let (of, points) = (keys(), keys().basepoints());
    OpenChannel {
        chain_hash: bitcoin::constants::ChainHash::REGTEST.to_bytes(),
        temporary_channel_id,
        funding_satoshis: Sat::new(1_000_000),
        push_msat: Msat::ZERO,
        dust_limit_satoshis: Sat::new(354),
        max_htlc_value_in_flight_msat: Msat::new(1_000_000_000),
        channel_reserve_satoshis: Sat::new(10_000),
        htlc_minimum_msat: Msat::new(1),
        feerate_per_kw: FeeratePerKw::new(1000),
        to_self_delay: 144,
        max_accepted_htlcs: 483,
        keys: OpeningKeys {
            funding_pubkey: points.funding_pubkey,
            revocation_basepoint: points.revocation,
            payment_basepoint: points.payment,
            delayed_payment_basepoint: points.delayed_payment,
            htlc_basepoint: points.htlc,
            first_per_commitment_point: of.per_commitment_point(CommitmentNumber::ZERO),
        },
        channel_flags: 0,
        upfront_shutdown_script: None,
        channel_type: Some(Features::of(ChannelType::StaticRemotekey.feature_bits())),
        unknown: Vec::new(),
    }
}
