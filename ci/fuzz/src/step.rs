//! Whole nodes: the bytes are a script of what happens between three of them and a stranger. Whatever it is, no node panics,
//! each comes to rest, and each can be stopped and started at any point.

use crate::bytes::Bytes;
use crate::life::{self, open_request, pay};
use crate::world::{id, World, NODES, STRANGER};
use leyden_core::ids::{ChannelId, PaymentHash, ShortChannelId};
use leyden_core::node::{Command, ForwardPolicy, KnownChannel, RouteHop, RoutePayment};
use leyden_core::tx::ChannelType;
use leyden_core::units::{CltvExpiry, FeeratePerKw, Msat, Sat, Timestamp};

/// The most steps of one run, so that a long input is not a slow one.
const STEPS_MAX: usize = 150;
const FEERATES: [u32; 6] = [0, 253, 1000, 4000, 50_000, u32::MAX];
const LINKS: [(usize, usize); 7] = [(0, 1), (1, 0), (1, 2), (2, 1), (STRANGER, 0), (STRANGER, 1), (2, 0)];
/// Types of messages that the stranger, or anybody, may send without a sense.
const KINDS: [u16; 22] =
    [1, 16, 17, 18, 19, 32, 33, 34, 35, 36, 38, 39, 128, 130, 131, 132, 133, 134, 135, 136, 2, 32_769];

pub fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let Some(choice) = bytes.byte() else { return };
    let mut world = if choice & 1 == 0 { life::ready() } else { life::busy() }.restarted();
    if choice & 2 == 0 {
        world.connect(0, 1);
        world.connect(1, 2);
        world.settle();
    }
    for _ in 0..STEPS_MAX {
        if step(&mut world, &mut bytes).is_none() {
            break;
        }
    }
    world.settle();
    (0..NODES).for_each(|n| world.restart(n));
}

fn step(world: &mut World, bytes: &mut Bytes<'_>) -> Option<()> {
    match bytes.byte()? {
        0..=39 => world.settle(),
        40..=89 => deliver(world, bytes)?,
        90..=109 => drop(world.wake()),
        110..=159 => message(world, bytes)?,
        160..=179 => link(world, bytes)?,
        180..=199 => chain(world, bytes)?,
        200..=249 => command(world, bytes)?,
        250..=255 => surroundings(world, bytes)?,
    }
    Some(())
}

/// What is on its way: delivered in order or not, twice, lost, changed, cut.
fn deliver(world: &mut World, bytes: &mut Bytes<'_>) -> Option<()> {
    let link = LINKS[bytes.pick(0..4)?];
    let len = world.links.get(&link).map_or(0, |queue| queue.len());
    match bytes.byte()? {
        0..=99 => world.deliver(link, 0),
        100..=129 => (0..len).for_each(|_| world.deliver(link, 0)),
        130..=159 => world.deliver(link, bytes.pick(0..len)?),
        160..=179 => {
            let message = world.links.get(&link).and_then(|queue| queue.front().cloned())?;
            world.hear(link.1, link.0, message);
        }
        180..=199 => drop(world.links.get_mut(&link).and_then(|queue| queue.pop_front())),
        200..=239 => {
            let queue = world.links.get_mut(&link)?;
            let message = queue.front_mut()?;
            change(message, bytes)?;
        }
        240..=255 => {
            let queue = world.links.get_mut(&link)?;
            let message = queue.front_mut()?;
            let cut = usize::from(bytes.short()?) % (message.len() + 1);
            message.truncate(cut);
        }
    }
    Some(())
}

/// Something that nobody sent: what was said once, by whomever, as it was or changed; or a type and any bytes.
fn message(world: &mut World, bytes: &mut Bytes<'_>) -> Option<()> {
    let link = LINKS[bytes.pick(0..LINKS.len())?];
    let message = match bytes.byte()? {
        0..=79 => world.history.get(bytes.pick(0..world.history.len())?)?.clone(),
        80..=179 => {
            let mut message = world.history.get(bytes.pick(0..world.history.len())?)?.clone();
            change(&mut message, bytes)?;
            message
        }
        180..=255 => {
            let mut message = KINDS[bytes.pick(0..KINDS.len())?].to_be_bytes().to_vec();
            message.extend(channel(world, bytes)?.0);
            let len = usize::from(bytes.byte()?);
            message.extend(bytes.take(len));
            message
        }
    };
    world.hear(link.1, link.0, message);
    Some(())
}

/// Up to eight bytes at one place become others.
fn change(message: &mut [u8], bytes: &mut Bytes<'_>) -> Option<()> {
    let at = usize::from(bytes.short()?) % message.len().max(1);
    let count = usize::from(bytes.byte()?) % 9;
    message.iter_mut().skip(at).zip(bytes.take(count)).for_each(|(old, new)| *old = *new);
    Some(())
}

fn link(world: &mut World, bytes: &mut Bytes<'_>) -> Option<()> {
    let (a, b) = LINKS[bytes.pick(0..LINKS.len())?];
    match bytes.byte()? % 4 {
        0 | 1 => world.connect(a, b),
        2 => world.disconnect(a, b),
        _ => world.restart(b),
    }
    Some(())
}

fn chain(world: &mut World, bytes: &mut Bytes<'_>) -> Option<()> {
    match bytes.byte()? {
        0..=99 => world.mine(0xff),
        100..=149 => world.mine(bytes.byte()?),
        150..=179 => {
            let count = bytes.byte()?;
            (0..count).for_each(|_| world.mine(0xff));
        }
        180..=209 => world.unmine(life::floor()),
        210..=255 => {
            let (n, place) = (bytes.pick(0..NODES)?, bytes.pick(0..world.chain.mempool.len())?);
            world.show(n, place);
        }
    }
    Some(())
}

fn command(world: &mut World, bytes: &mut Bytes<'_>) -> Option<()> {
    let n = bytes.pick(0..NODES)?;
    let command = match bytes.byte()? % 12 {
        0 | 1 => {
            let (to, msat) = (bytes.pick(0..NODES)?, bytes.number()?);
            pay(world, n, to, msat);
            return Some(());
        }
        2 => Command::PayRoute(route(world, bytes)?),
        3 => {
            let feerate = feerate(bytes)?;
            let feerate = (feerate.get() != 0).then_some(feerate);
            Command::Close { channel: channel(world, bytes)?, feerate }
        }
        4 => Command::ForceClose { channel: channel(world, bytes)? },
        5 => Command::UpdateFee { channel: channel(world, bytes)?, feerate: feerate(bytes)? },
        6 => {
            let to = bytes.pick(0..STRANGER + 1)?;
            let mut request = open_request(to, bytes.number()?, bytes.number()?);
            if bytes.byte()? & 1 == 1 {
                request.channel_type = ChannelType::StaticRemotekey;
            }
            request.commitment_feerate = feerate(bytes)?;
            request.funding_feerate = feerate(bytes)?;
            Command::Open(request)
        }
        7 => Command::Pay {
            invoice: world.invoices.get(bytes.pick(0..world.invoices.len())?)?.clone(),
            amount: Some(Msat::new(bytes.number()?)),
            max_fee: Msat::new(bytes.number()?),
        },
        8 => Command::LearnChannel(known(world, bytes)?),
        9 => Command::Balances,
        10 => Command::Invoice {
            amount: Some(Msat::new(bytes.number()?)),
            description: String::new(),
            min_final_cltv_delta: Some(bytes.number()? as u32),
        },
        _ => Command::ListPayments,
    };
    world.command(n, command);
    Some(())
}

fn route(world: &World, bytes: &mut Bytes<'_>) -> Option<RoutePayment> {
    let count = bytes.byte()? % 5;
    let mut hops = Vec::new();
    for _ in 0..count {
        hops.push(RouteHop {
            node: id(bytes.pick(0..STRANGER + 1)?),
            short_channel_id: name(world, bytes)?,
            amount: Msat::new(bytes.number()?),
            cltv_expiry: CltvExpiry::new(world.env.height.get().wrapping_add(u32::from(bytes.short()?))),
        });
    }
    let number = bytes.byte()?;
    Some(RoutePayment {
        payment_hash: PaymentHash([number; 32]),
        payment_secret: [number; 32],
        hops,
        total: Msat::new(bytes.number()?),
    })
}

fn known(world: &World, bytes: &mut Bytes<'_>) -> Option<KnownChannel> {
    Some(KnownChannel {
        short_channel_id: name(world, bytes)?,
        from: id(bytes.pick(0..STRANGER + 1)?),
        to: id(bytes.pick(0..STRANGER + 1)?),
        capacity: Sat::new(bytes.number()?),
        policy: ForwardPolicy {
            fee_base: Msat::new(bytes.number()?),
            fee_proportional_millionths: bytes.number()? as u32,
            cltv_expiry_delta: bytes.number()? as u32,
            htlc_minimum: Msat::new(bytes.number()?),
            htlc_maximum: Msat::new(bytes.number()?),
        },
    })
}

fn surroundings(world: &mut World, bytes: &mut Bytes<'_>) -> Option<()> {
    match bytes.byte()? % 2 {
        0 => world.env.feerate = feerate(bytes)?,
        _ => {
            let later = Timestamp::new(bytes.number()?);
            world.env.now = world.env.now.saturating_add(later);
        }
    }
    Some(())
}

fn feerate(bytes: &mut Bytes<'_>) -> Option<FeeratePerKw> {
    Some(FeeratePerKw::new(match bytes.byte()? {
        choice if choice < 200 => FEERATES[usize::from(choice) % FEERATES.len()],
        _ => u32::from(bytes.short()?),
    }))
}

/// One that there was, or one that there never was.
fn channel(world: &World, bytes: &mut Bytes<'_>) -> Option<ChannelId> {
    let place = bytes.pick(0..world.channels.len() + 1)?;
    Some(world.channels.iter().nth(place).copied().unwrap_or(ChannelId([0; 32])))
}

fn name(world: &World, bytes: &mut Bytes<'_>) -> Option<ShortChannelId> {
    let place = bytes.pick(0..world.names.len() + 1)?;
    Some(world.names.iter().nth(place).copied().unwrap_or(ShortChannelId(1)))
}
