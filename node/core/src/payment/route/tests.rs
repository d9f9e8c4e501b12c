//! Path search: exact fees and expiries, limits, exclusions, the same answer each time.
use super::*;
use crate::payment::ForwardPolicy;
use crate::units::Sat;
use secp256k1::{PublicKey, SecretKey, SECP256K1};

fn node(n: u8) -> NodeId {
    PublicKey::from_secret_key(SECP256K1, &SecretKey::from_slice(&[n; 32]).unwrap())
}

fn scid(n: u64) -> ShortChannelId {
    ShortChannelId(n)
}

fn channel(name: u64, from: u8, to: u8, fee_base: u64, cltv_expiry_delta: u32) -> KnownChannel {
    let policy = ForwardPolicy {
        fee_base: Msat::new(fee_base),
        fee_proportional_millionths: 100,
        cltv_expiry_delta,
        ..ForwardPolicy::default()
    };
    KnownChannel {
        short_channel_id: scid(name),
        from: node(from),
        to: node(to),
        capacity: Sat::new(1_000_000),
        policy,
    }
}

fn own(name: u64, peer: u8, spendable: u64) -> OwnChannel {
    OwnChannel {
        channel: ChannelId([name as u8; 32]),
        short_channel_id: scid(name),
        peer: node(peer),
        spendable: Msat::new(spendable),
    }
}

fn network(channels: &[KnownChannel]) -> Network {
    let mut network = Network::default();
    assert!(channels.iter().all(|channel| network.learn(*channel)));
    network
}

fn wanted(excluded: &Exclusions) -> Wanted<'_> {
    Wanted {
        from: node(1),
        to: node(4),
        amount: Msat::new(100_000_000),
        height: BlockHeight::new(1000),
        final_cltv: CltvExpiry::new(1144),
        max_fee: Msat::new(1_000_000),
        max_cltv_total: 2016,
        hints: &[],
        excluded,
    }
}

#[test]
fn each_hop_carries_the_fees_and_the_expiries_of_those_behind_it() {
    let network = network(&[channel(12, 2, 3, 1000, 144), channel(13, 3, 4, 1000, 144)]);
    let route = find(&network, &[own(11, 2, 200_000_000)], &wanted(&Exclusions::default())).unwrap();
    let seen: Vec<_> =
        route.iter().map(|hop| (hop.short_channel_id.0, hop.amount.get(), hop.cltv_expiry.get())).collect();
    assert_eq!(seen, [(11, 100_022_001, 1432), (12, 100_011_000, 1288), (13, 100_000_000, 1144)]);
    assert_eq!(route.iter().map(|hop| hop.node).collect::<Vec<_>>(), [node(2), node(3), node(4)]);
}

#[test]
fn the_cheaper_way_wins_and_the_dearer_one_comes_after_an_exclusion() {
    let network = network(&[channel(12, 2, 4, 1000, 40), channel(22, 3, 4, 2000, 40)]);
    let own = [own(11, 2, 200_000_000), own(21, 3, 200_000_000)];
    let mut excluded = Exclusions::default();
    assert_eq!(find(&network, &own, &wanted(&excluded)).unwrap()[0].node, node(2));
    excluded.channels.insert((scid(12), node(2)));
    assert_eq!(find(&network, &own, &wanted(&excluded)).unwrap()[0].node, node(3));
    excluded.nodes.insert(node(3));
    assert_eq!(find(&network, &own, &wanted(&excluded)), Err(NoRoute));
}

#[test]
fn a_direct_channel_costs_nothing() {
    let network = network(&[channel(12, 2, 4, 0, 0)]);
    let own = [own(11, 2, 200_000_000), own(31, 4, 200_000_000)];
    let route = find(&network, &own, &wanted(&Exclusions::default())).unwrap();
    assert_eq!(route.len(), 1);
    assert_eq!(route[0].amount, Msat::new(100_000_000));
}

#[test]
fn limits_of_fee_lock_balance_and_policy_are_kept() {
    let excluded = Exclusions::default();
    let good = channel(12, 2, 4, 1000, 40);
    let find_with = |channel: KnownChannel, own: OwnChannel, wanted: Wanted<'_>| {
        find(&network(&[channel]), &[own], &wanted).is_ok()
    };
    let own_good = own(11, 2, 100_011_000);
    assert!(find_with(good, own_good, wanted(&excluded)));
    assert!(!find_with(good, own(11, 2, 100_010_999), wanted(&excluded)));
    let max_fee = Msat::new(10_999);
    assert!(!find_with(good, own_good, Wanted { max_fee, ..wanted(&excluded) }));
    assert!(!find_with(good, own_good, Wanted { max_cltv_total: 183, ..wanted(&excluded) }));
    assert!(find_with(good, own_good, Wanted { max_cltv_total: 184, ..wanted(&excluded) }));
    let mut small = good;
    small.capacity = Sat::new(99_999);
    assert!(!find_with(small, own_good, wanted(&excluded)));
    let mut coarse = good;
    coarse.policy.htlc_minimum = Msat::new(100_000_001);
    assert!(!find_with(coarse, own_good, wanted(&excluded)));
}

#[test]
fn no_route_is_longer_than_an_onion() {
    let chain = |hops: u8| -> Vec<KnownChannel> {
        (2..hops + 1).map(|from| channel(from.into(), from, from + 1, 0, 1)).collect()
    };
    let try_with = |hops: u8| {
        let excluded = Exclusions::default();
        let wanted = Wanted { to: node(hops + 1), ..wanted(&excluded) };
        find(&network(&chain(hops)), &[own(1, 2, 200_000_000)], &wanted).map(|route| route.len())
    };
    assert_eq!(try_with(20), Ok(20));
    assert_eq!(try_with(21), Err(NoRoute));
}

#[test]
fn a_hint_of_the_invoice_leads_to_a_hidden_node() {
    let excluded = Exclusions::default();
    let hints = [channel(13, 2, 4, 0, 18)];
    let wanted = Wanted { hints: &hints, ..wanted(&excluded) };
    let route = find(&Network::default(), &[own(11, 2, 200_000_000)], &wanted).unwrap();
    assert_eq!(route.len(), 2);
}

#[test]
fn a_new_policy_takes_the_place_of_the_old_one() {
    let network = network(&[channel(12, 2, 4, 5000, 40), channel(12, 2, 4, 1000, 40)]);
    let route = find(&network, &[own(11, 2, 200_000_000)], &wanted(&Exclusions::default())).unwrap();
    assert_eq!(route[0].amount, Msat::new(100_011_000));
}
