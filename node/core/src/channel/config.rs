//! What this node insists on unless its owner says otherwise. Numbers only.
use super::limits::{MAX_HTLCS, MIN_DUST_LIMIT};
use super::ChannelConfig;
use crate::units::{Msat, Sat};

impl Default for ChannelConfig {
    fn default() -> Self {
        Self {
            dust_limit: MIN_DUST_LIMIT,
            to_self_delay: 144,
            max_to_self_delay: 2016,
            htlc_minimum: Msat::new(1),
            max_accepted_htlcs: MAX_HTLCS,
            max_in_flight_percent: 100,
            reserve_ppm: 10_000,
            minimum_depth: 3,
            min_funding: Sat::new(10_000),
            max_funding: Sat::new(1_000_000_000),
            max_dust_htlc_exposure: Msat::new(5_000_000),
            claim_budget_percent: 50,
            forget_unconfirmed_after: 2016,
        }
    }
}
