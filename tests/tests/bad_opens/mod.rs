//! Each way in which an `open_channel` can be unacceptable (BOLT 2, N10), once: for the core alone and for a node over the wire.
use bitcoin::ScriptBuf;
use leyden_core::units::{FeeratePerKw, Msat, Sat};
use leyden_core::wire::{Features, OpenChannel};

/// Makes a good proposal of 1,000,000 sat unacceptable.
pub type Break = fn(&mut OpenChannel);

/// What the refusal speaks of, and what is refused.
pub const BAD_OPENS: [(&str, Break); 22] = [
    ("chain_hash", |open| open.chain_hash = [0; 32]),
    ("push_msat", |open| open.push_msat = Msat::new(1_000_000_001)),
    ("max_accepted_htlcs 484", |open| open.max_accepted_htlcs = 484),
    ("max_accepted_htlcs 0", |open| open.max_accepted_htlcs = 0),
    ("below 354", |open| open.dust_limit_satoshis = Sat::new(353)),
    ("above channel_reserve_satoshis", |open| {
        open.dust_limit_satoshis = Sat::new(5_000);
        open.channel_reserve_satoshis = Sat::new(4_999);
    }),
    ("dust_limit_satoshis", |open| open.dust_limit_satoshis = Sat::new(10_001)),
    ("below our dust limit", |open| open.channel_reserve_satoshis = Sat::new(353)),
    ("above the largest accepted", |open| open.channel_reserve_satoshis = Sat::new(200_001)),
    ("the opener's", |open| open.push_msat = Msat::new(999_276_001)),
    ("both sides begin", |open| {
        open.funding_satoshis = Sat::new(10_000);
        open.channel_reserve_satoshis = Sat::new(2_000);
        open.feerate_per_kw = FeeratePerKw::new(9_000);
        open.push_msat = Msat::new(2_000_000);
    }),
    ("above the largest channel", |open| open.funding_satoshis = Sat::new(1_000_000_001)),
    ("below the smallest channel", |open| open.funding_satoshis = Sat::new(9_999)),
    ("channel_type is missing", |open| open.channel_type = None),
    ("not one that this node supports", |open| open.channel_type = Some(Features::of(&[22]))),
    // With anchors, and a name that stands for the real one (N15), or without waiting for the chain.
    ("not one that this node supports", |open| open.channel_type = Some(Features::of(&[12, 22, 46]))),
    ("not one that this node supports", |open| open.channel_type = Some(Features::of(&[12, 22, 50]))),
    ("to_self_delay", |open| open.to_self_delay = 2017),
    ("feerate_per_kw 252", |open| open.feerate_per_kw = FeeratePerKw::new(252)),
    ("feerate_per_kw 50001", |open| open.feerate_per_kw = FeeratePerKw::new(50_001)),
    ("upfront_shutdown_script", |open| {
        open.upfront_shutdown_script = Some(ScriptBuf::from_bytes(vec![0x51]))
    }),
    ("htlc_minimum_msat", |open| open.htlc_minimum_msat = Msat::new(1_000_000_000)),
];
