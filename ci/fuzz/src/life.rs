//! The life that fuzzing goes on from: channels between three nodes, a payment made, others under way. Lived once; each run
//! begins with a copy.

use crate::world::{id, World};
use leyden_core::channel::OpenRequest;
use leyden_core::ids::ShortChannelId;
use leyden_core::node::{Command, ForwardPolicy, KnownChannel};
use leyden_core::tx::ChannelType;
use leyden_core::units::{FeeratePerKw, Msat, Sat};
use std::sync::LazyLock;

/// Blocks up to here are never taken out of the chain.
pub fn floor() -> u32 {
    READY.chain.height()
}

/// Both channels are ready, a payment went through and nothing is under way.
pub fn ready() -> &'static World {
    &READY
}

/// As [`ready`], stopped in the middle of a forwarded payment, while another one begins.
pub fn busy() -> &'static World {
    &BUSY
}

static READY: LazyLock<World> = LazyLock::new(begin);
static BUSY: LazyLock<World> = LazyLock::new(|| {
    let mut world = begin();
    pay(&mut world, 0, 2, 20_000_000);
    // The HTLC is on its way from 1 to 2.
    for _ in 0..60 {
        let link = world.links.iter().find(|(_, queue)| !queue.is_empty()).map(|(link, _)| *link);
        match link {
            Some((1, 2)) => break,
            Some(link) => world.deliver(link, 0),
            None => drop(world.wake()),
        }
    }
    pay(&mut world, 0, 1, 3_000_000);
    world
});

fn begin() -> World {
    let mut world = World::new();
    for n in 0..3 {
        world.command(n, Command::NewAddress);
    }
    world.mine(0xff);
    for (from, to) in [(0, 1), (1, 2)] {
        world.connect(from, to);
        world.settle();
        let request = open_request(to, 1_000_000, 400_000_000);
        world.command(from, Command::Open(request));
        world.settle();
        let before = world.names.clone();
        for _ in 0..6 {
            world.mine(0xff);
            world.settle();
        }
        let name = world.names.difference(&before).next().copied().expect("the channel is ready");
        announce(&mut world, name, from, to);
        announce(&mut world, name, to, from);
    }
    pay(&mut world, 0, 2, 30_000_000);
    world.settle();
    assert_eq!(world.paid, 1, "the life is as it should be");
    world
}

pub fn open_request(to: usize, sat: u64, push_msat: u64) -> OpenRequest {
    OpenRequest {
        peer: id(to),
        funding_amount: Sat::new(sat),
        push: Msat::new(push_msat),
        channel_type: ChannelType::AnchorsZeroFeeHtlc,
        commitment_feerate: FeeratePerKw::new(1000),
        funding_feerate: FeeratePerKw::new(1000),
        public: true,
    }
}

pub fn pay(world: &mut World, from: usize, to: usize, msat: u64) {
    let description = "fuzz".to_owned();
    let amount = Some(Msat::new(msat));
    world.command(to, Command::Invoice { amount, description, min_final_cltv_delta: None });
    if let Some(invoice) = world.invoices.last().cloned() {
        world.command(from, Command::Pay { invoice, amount: None, max_fee: Msat::new(1_000_000) });
    }
}

fn announce(world: &mut World, short_channel_id: ShortChannelId, from: usize, to: usize) {
    let policy = ForwardPolicy::default();
    let (from, to, capacity) = (id(from), id(to), Sat::new(1_000_000));
    let known = KnownChannel { short_channel_id, from, to, capacity, policy };
    world.known.push(known);
    for n in 0..3 {
        world.command(n, Command::LearnChannel(known));
    }
}
