//! A node's records, good ones with bytes changed, records replaced, left out or put in: the node starts or says what is
//! wrong. One that starts lives on with what comes.

use crate::bytes::Bytes;
use crate::chain::birthday;
use crate::life;
use crate::world::{id, seed, Records, World, NODES};
use leyden_core::channel::Env;
use leyden_core::ids::{ChannelId, PaymentHash};
use leyden_core::node::{Command, Event, Node, NodeConfig, RecordKey, Why};
use leyden_core::units::CommitmentNumber;

pub fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let Some(choice) = bytes.byte() else { return };
    let world = if choice & 1 == 0 { life::ready() } else { life::busy() };
    let n = usize::from(choice >> 1) % NODES;
    let mut records = world.records[n].clone();
    while change(&mut records, &mut bytes).is_some() {}
    let Ok(mut node) = Node::restore(seed(n), NodeConfig::default(), birthday(), &records) else { return };
    live(&mut node, world, n);
}

fn change(records: &mut Records, bytes: &mut Bytes<'_>) -> Option<()> {
    let kind = bytes.byte()?;
    let place = bytes.pick(0..records.len())?;
    let key = records.keys().nth(place)?.clone();
    match kind % 8 {
        0..=4 => {
            let (at, value) = (usize::from(bytes.short()?), bytes.byte()?);
            let record = records.get_mut(&key)?;
            if !record.is_empty() {
                let at = at % record.len();
                record[at] = value;
            }
        }
        5 => {
            let len = usize::from(bytes.byte()?);
            records.insert(key, bytes.take(len).to_vec());
        }
        6 => drop(records.remove(&key)),
        _ => {
            let key = new_key(bytes)?;
            let len = usize::from(bytes.byte()?);
            records.insert(key, bytes.take(len).to_vec());
        }
    }
    Some(())
}

fn new_key(bytes: &mut Bytes<'_>) -> Option<RecordKey> {
    let kind = bytes.byte()?;
    let name = [bytes.byte()?; 32];
    Some(match kind % 5 {
        0 => RecordKey::Channel(ChannelId(name)),
        1 => RecordKey::Payment(PaymentHash(name)),
        2 => RecordKey::Invoice(PaymentHash(name)),
        3 => RecordKey::Forward(ChannelId(name), 0),
        _ => RecordKey::Revoked(ChannelId(name), CommitmentNumber::new(1)),
    })
}

/// Some of everything that can happen next.
fn live(node: &mut Node, world: &World, n: usize) {
    let env: &Env = &world.env;
    let command = |command| Event::Command { call: 1, command };
    node.handle(command(Command::ListChannels), env);
    node.handle(command(Command::ListPayments), env);
    node.handle(command(Command::Balances), env);
    for peer in (0..NODES).filter(|peer| *peer != n) {
        node.handle(Event::Connected { peer: id(peer) }, env);
    }
    node.handle(Event::Wake(Why::Commit), env);
    let block = world.chain.clone().mine(0xff);
    let env = Env { height: block.height, ..*env };
    node.handle(Event::BlockConnected(block), &env);
    node.records();
}
