//! A node whose peer says anything at all, in any order: a whole life of channels and payments is replayed to it with events
//! left out, doubled, damaged, and others put in. It never panics, and at any point its records can be read back.
mod node_world;

use leyden_core::channel::Env;
use leyden_core::ids::{ChannelId, NodeId};
use leyden_core::keys::NodeSeed;
use leyden_core::node::{Command, Event, Node, NodeConfig, RecordKey, Turn};
use leyden_core::units::CommitmentNumber;
use node_world::{birthday, seed, Records, World};
use proptest::prelude::*;
use proptest::sample::Index;
use std::sync::OnceLock;

/// What becomes of one event on its way to the node.
#[derive(Clone, Debug)]
enum Fate {
    Arrives,
    Lost,
    Twice,
    /// One byte is another one.
    Damaged(Index, u8),
    Cut(Index),
    /// Something that the peer made up comes first.
    After(Lie),
    /// The connection breaks and comes back.
    Reconnect,
    /// The node stops and starts from its records.
    Restart,
}

/// A message that is well formed in most of its parts.
#[derive(Clone, Debug)]
struct Lie {
    kind: Index,
    channel: Index,
    bytes: Vec<u8>,
    number: u64,
}

/// The parts of a message after its type.
#[derive(Clone, Copy)]
enum Part {
    Channel,
    Small,
    Large,
    Int,
    Short,
    Bytes(usize),
    Sized,
    Point,
    Secret,
    Signature,
}
use Part::*;

const LAYOUTS: [(u16, &[Part]); 20] = [
    (1, &[Channel, Sized]),
    (16, &[Sized, Sized]),
    (17, &[Channel, Sized]),
    (18, &[Short, Sized]),
    (33, &[Channel, Large, Large, Large, Small, Int, Short, Short, Point, Point, Point, Point, Point, Point]),
    (34, &[Channel, Bytes(32), Short, Signature]),
    (35, &[Channel, Signature]),
    (36, &[Channel, Point]),
    (38, &[Channel, Sized]),
    (39, &[Channel, Large, Signature]),
    (39, &[Channel, Small, Signature, Bytes(2), Large, Large]),
    (128, &[Channel, Small, Large, Bytes(32), Int, Bytes(1366)]),
    (130, &[Channel, Small, Bytes(32)]),
    (131, &[Channel, Small, Sized]),
    (132, &[Channel, Signature, Short, Signature]),
    (133, &[Channel, Secret, Point]),
    (134, &[Channel, Int]),
    (135, &[Channel, Small, Bytes(32), Short]),
    (136, &[Channel, Small, Small, Bytes(32), Point]),
    (32_769, &[Bytes(9)]),
];

fn fates() -> impl Strategy<Value = Fate> {
    let lie = (any::<Index>(), any::<Index>(), prop::collection::vec(any::<u8>(), 40), any::<u64>());
    let lie = lie.prop_map(|(kind, channel, bytes, number)| Lie { kind, channel, bytes, number });
    prop_oneof![
        60 => Just(Fate::Arrives),
        1 => Just(Fate::Lost),
        2 => Just(Fate::Twice),
        1 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Fate::Damaged(at, byte)),
        1 => any::<Index>().prop_map(Fate::Cut),
        6 => lie.prop_map(Fate::After),
        1 => Just(Fate::Reconnect),
        1 => Just(Fate::Restart),
    ]
}

/// A life in which node 0 does everything once, as the events that came to it.
fn life() -> &'static [(Event, Env)] {
    static LIFE: OnceLock<Vec<(Event, Env)>> = OnceLock::new();
    LIFE.get_or_init(|| {
        let mut world = World::new(2);
        let (channel, _) = world.open(1, 0, 1_000_000, 400_000);
        world.pay(1, 0, 50_000_000).unwrap();
        world.pay(0, 1, 20_000_000).unwrap();
        world.open(0, 1, 500_000, 0);
        world.pay(1, 0, 40_000).unwrap();
        world.command(1, Command::Close { channel, feerate: None }).unwrap();
        world.mine(2);
        let own = world.history.into_iter().filter(|(n, _, _)| *n == 0);
        own.map(|(_, event, env)| (event, env)).collect()
    })
}

struct Victim {
    node: Node,
    records: Records,
    peer: NodeId,
}

impl Victim {
    fn new() -> Self {
        let node = Node::new(seed(0), NodeConfig::default(), birthday());
        let peer = seed(1).node_secret().public_key(secp256k1::SECP256K1);
        let mut victim = Self { node, records: Records::new(), peer };
        victim.records = victim.node.records();
        victim
    }

    fn handle(&mut self, event: Event, env: &Env) -> Turn {
        let turn = self.node.handle(event, env);
        for (key, record) in turn.save.records.clone() {
            match record {
                Some(bytes) => self.records.insert(key, bytes),
                None => self.records.remove(&key),
            };
        }
        turn
    }

    fn hear(&mut self, bytes: Vec<u8>, env: &Env) {
        let turn = self.handle(Event::Message { peer: self.peer, bytes }, env);
        if turn.wake.is_some() {
            self.handle(Event::Wake(leyden_core::node::Why::Commit), env);
        }
    }

    fn restart(&mut self) {
        let restored = Node::restore(seed(0), NodeConfig::default(), birthday(), &self.records);
        self.node = restored.expect("what was saved can be read");
    }

    fn suffer(&mut self, event: Event, env: &Env, fate: &Fate) {
        match (event, fate) {
            (_, Fate::Lost) => {}
            (Event::Message { mut bytes, .. }, Fate::Damaged(at, byte)) => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
                self.hear(bytes, env);
            }
            (Event::Message { mut bytes, .. }, Fate::Cut(at)) => {
                bytes.truncate(at.index(bytes.len()));
                self.hear(bytes, env);
            }
            (event, fate) => {
                match fate {
                    Fate::Twice => drop(self.handle(event.clone(), env)),
                    Fate::After(lie) => self.hear(self.lie(lie), env),
                    Fate::Reconnect => {
                        self.handle(Event::Disconnected { peer: self.peer }, env);
                        self.handle(Event::Connected { peer: self.peer }, env);
                    }
                    Fate::Restart => self.restart(),
                    Fate::Arrives | Fate::Lost | Fate::Damaged(..) | Fate::Cut(_) => {}
                }
                self.handle(event, env);
            }
        }
    }

    /// The bytes of a lie, about a channel that is there if there is one.
    fn lie(&self, lie: &Lie) -> Vec<u8> {
        let channel = |key: &RecordKey| match key {
            RecordKey::Channel(id) => Some(*id),
            _ => None,
        };
        let mut names: Vec<ChannelId> = self.records.keys().filter_map(channel).collect();
        names.push(ChannelId([0; 32]));
        let channel = names[lie.channel.index(names.len())];
        let (kind, layout) = LAYOUTS[lie.kind.index(LAYOUTS.len())];
        let keys = NodeSeed::new([lie.bytes[0]; 32]).channel_keys(lie.number % 4);
        let mut bytes = kind.to_be_bytes().to_vec();
        for part in layout {
            match part {
                Channel => bytes.extend(channel.0),
                Small => bytes.extend((lie.number % 4).to_be_bytes()),
                Large => bytes.extend((lie.number >> (lie.bytes[1] % 64)).to_be_bytes()),
                Int => bytes.extend(((lie.number >> (lie.bytes[2] % 64)) as u32).to_be_bytes()),
                Short => bytes.extend((u16::from(lie.bytes[3] % 3)).to_be_bytes()),
                Bytes(count) => bytes.extend(lie.bytes.iter().cycle().take(*count)),
                Sized => {
                    bytes.extend(22_u16.to_be_bytes());
                    bytes.extend([0, 20]);
                    bytes.extend(&lie.bytes[..20]);
                }
                Point => bytes.extend(keys.per_commitment_point(CommitmentNumber::ZERO).serialize()),
                Secret => bytes.extend(keys.per_commitment_secret(CommitmentNumber::ZERO).secret_bytes()),
                Signature => {
                    let message = secp256k1::Message::from_digest([lie.bytes[4]; 32]);
                    let signature = secp256k1::SECP256K1.sign_ecdsa(&message, &keys.htlc);
                    bytes.extend(signature.serialize_compact());
                }
            }
        }
        bytes
    }
}

#[test]
fn the_life_as_it_was_gives_the_same_records() {
    let mut victim = Victim::new();
    for (event, env) in life() {
        victim.handle(event.clone(), env);
    }
    assert_eq!(victim.node.records(), victim.records);
    assert!(victim.records.keys().any(|key| matches!(key, RecordKey::Channel(_))));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_a_peer_says_makes_a_node_panic_or_lose_its_records(
        fates in prop::collection::vec(fates(), life().len()),
        start in any::<Index>(),
    ) {
        let mut victim = Victim::new();
        let quiet = start.index(life().len());
        for (at, ((event, env), fate)) in life().iter().zip(&fates).enumerate() {
            let fate = if at < quiet { &Fate::Arrives } else { fate };
            victim.suffer(event.clone(), env, fate);
        }
        victim.restart();
        prop_assert_eq!(&victim.node.records(), &victim.records);
        for peer in [victim.peer, seed(2).node_secret().public_key(secp256k1::SECP256K1)] {
            victim.handle(Event::Connected { peer }, &life()[0].1);
        }
    }

    #[test]
    fn damaged_records_never_make_a_node_panic(
        which in any::<Index>(),
        at in any::<Index>(),
        byte in any::<u8>(),
    ) {
        static RECORDS: OnceLock<Records> = OnceLock::new();
        let records = RECORDS.get_or_init(|| {
            let mut victim = Victim::new();
            life().iter().for_each(|(event, env)| drop(victim.handle(event.clone(), env)));
            victim.records
        });
        let mut records = records.clone();
        let key = records.keys().nth(which.index(records.len())).cloned().expect("within");
        let bytes = records.get_mut(&key).expect("just found");
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let restored = Node::restore(seed(0), NodeConfig::default(), birthday(), &records);
        if let Ok(mut node) = restored {
            let (event, env) = &life()[life().len() - 1];
            node.handle(event.clone(), env);
            node.handle(Event::Command { call: 0, command: Command::Balances }, env);
        }
    }
}
