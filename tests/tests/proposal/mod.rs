//! An opening without fault, to be bent, by a peer that has no node behind it: for the core alone and for a node over the wire.
#![allow(dead_code)] // each test target uses its own part

use bitcoin::OutPoint;
use leyden_core::ids::ChannelId;
use leyden_core::keys::{Basepoints, ChannelKeys, NodeSeed};
use leyden_core::tx::{
    ChannelTerms, ChannelType, Commitment, CommitmentKeys, CommitmentSpec, PartyTerms, Side,
};
use leyden_core::units::{CommitmentNumber, FeeratePerKw, Msat, Sat};
use leyden_core::wire::{AcceptChannel, Features, FundingCreated, Message, OpenChannel, OpeningKeys};

/// The peer's keys.
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

/// The channel as the peer sees it.
pub fn terms(open: &OpenChannel, accept: &AcceptChannel, funding: OutPoint) -> ChannelTerms {
    let party = |keys: &OpeningKeys, dust_limit, to_self_delay| PartyTerms {
        basepoints: Basepoints {
            funding_pubkey: keys.funding_pubkey,
            revocation: keys.revocation_basepoint,
            payment: keys.payment_basepoint,
            delayed_payment: keys.delayed_payment_basepoint,
            htlc: keys.htlc_basepoint,
        },
        dust_limit,
        to_self_delay,
    };
    ChannelTerms {
        channel_type: ChannelType::StaticRemotekey,
        funding,
        funding_amount: open.funding_satoshis,
        opener: Side::Local,
        local: party(&open.keys, open.dust_limit_satoshis, accept.to_self_delay),
        remote: party(&accept.keys, accept.dust_limit_satoshis, open.to_self_delay),
    }
}

/// `funding_created` over any output at all, rightly signed with the opener's keys: it need not own what it names, which need not exist.
pub fn funding_created(
    open: &OpenChannel,
    accept: &AcceptChannel,
    funding: OutPoint,
    of: &ChannelKeys,
) -> Message {
    let terms = terms(open, accept, funding);
    let spec = CommitmentSpec {
        feerate: open.feerate_per_kw,
        to_holder: open.push_msat,
        to_counterparty: open.funding_satoshis.to_msat().saturating_sub(open.push_msat),
        htlcs: Vec::new(),
    };
    let derived = CommitmentKeys::derive(&terms, Side::Remote, accept.keys.first_per_commitment_point);
    let commitment = Commitment::build(&terms, Side::Remote, CommitmentNumber::ZERO, derived, &spec);
    Message::FundingCreated(FundingCreated {
        temporary_channel_id: open.temporary_channel_id,
        funding_txid: funding.txid,
        funding_output_index: funding.vout as u16,
        signature: commitment.sign(&terms, of),
    })
}
