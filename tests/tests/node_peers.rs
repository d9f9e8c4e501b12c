//! Whole nodes and peers that do not behave, and openings that come to nothing.
mod node_world;

use leyden_core::channel::OpenRequest;
use leyden_core::ids::ChannelId;
use leyden_core::node::{Action, Command, Event, Node, Notice, Reply, Turn};
use leyden_core::tx::ChannelType;
use leyden_core::wire::{ErrorMessage, Message, Ping, Pong, Warning};
use node_world::World;

fn error(channel_id: ChannelId) -> Vec<u8> {
    Message::Error(ErrorMessage { channel_id, data: b"go away".to_vec() }).encode()
}

fn hear(world: &mut World, n: usize, from: usize, bytes: Vec<u8>) -> Turn {
    let (env, peer) = (world.env, world.id(from));
    world.nodes[n].handle(Event::Message { peer, bytes }, &env)
}

fn phases(world: &mut World, n: usize) -> Vec<String> {
    world.channels(n).into_iter().map(|info| info.phase).collect()
}

#[test]
fn n05_an_error_for_anothers_channel_changes_nothing() {
    let mut world = World::new(3);
    let (channel, _) = world.open(0, 1, 1_000_000, 0);
    let turn = hear(&mut world, 0, 2, error(channel));
    assert!(turn.save.records.is_empty());
    assert_eq!(phases(&mut world, 0), ["normal"]);
    assert!(world.pay(0, 1, 1_000_000).is_ok());
}

#[test]
fn n05_an_error_for_all_channels_fails_those_of_that_peer_only() {
    let mut world = World::new(3);
    let (with_1, _) = world.open(0, 1, 1_000_000, 0);
    let (with_2, _) = world.open(0, 2, 1_000_000, 0);
    let turn = hear(&mut world, 0, 2, error(ChannelId([0; 32])));
    let channels = world.channels(0);
    let phase = |id| channels.iter().find(|info| info.channel_id == id).unwrap().phase.clone();
    assert_eq!(phase(with_1), "normal");
    assert_ne!(phase(with_2), "normal");
    let broadcasts = turn.actions.iter().filter(|action| matches!(action, Action::Broadcast { .. }));
    assert_eq!(broadcasts.count(), 1, "our commitment goes to the chain");
}

#[test]
fn n07_a_silent_peer_is_asked_then_given_up_and_its_channels_stay() {
    let mut world = World::new(2);
    world.open(0, 1, 1_000_000, 300_000);
    let peer = world.id(1);
    let silent =
        |world: &mut World| world.nodes[0].handle(Event::Silent { peer }, &world.env.clone()).actions;
    let ping = Message::Ping(Ping { num_pong_bytes: 0, byteslen: 0 }).encode();
    let asks = [Action::Send { peer, bytes: ping }];
    assert_eq!(silent(&mut world), asks);
    // Whatever comes will do, a pong too.
    hear(&mut world, 0, 1, Message::Pong(Pong { byteslen: 0 }).encode());
    assert_eq!(silent(&mut world), asks);
    let actions = silent(&mut world);
    assert!(actions.contains(&Action::Disconnect { peer }), "{actions:?}");
    assert!(!actions.iter().any(|action| matches!(action, Action::Broadcast { .. })));
    assert_eq!(phases(&mut world, 0), ["normal"]);
    assert!(silent(&mut world).is_empty(), "it is being dropped already");
}

#[test]
fn a_warning_is_told_and_changes_nothing() {
    let mut world = World::new(2);
    world.open(0, 1, 1_000_000, 0);
    let warning = Message::Warning(Warning { channel_id: ChannelId([0; 32]), data: b"hm".to_vec() });
    let turn = hear(&mut world, 0, 1, warning.encode());
    assert!(matches!(&turn.actions[..], [Action::Notice(Notice::PeerError { text, .. })] if text == "hm"));
}

#[test]
fn unreadable_bytes_end_the_connection_and_nothing_else() {
    let mut world = World::new(3);
    world.open(0, 1, 1_000_000, 0);
    let peer = world.id(2);
    let turn = hear(&mut world, 0, 2, vec![0, 128, 1, 2, 3]);
    assert!(turn.actions.contains(&Action::Disconnect { peer }));
    assert!(hear(&mut world, 0, 2, vec![0, 128, 1, 2, 3]).actions.is_empty(), "what still comes is not read");
    assert!(world.pay(0, 1, 1_000_000).is_ok());
}

#[test]
fn a_channel_that_the_wallet_cannot_fund_is_abandoned_by_both() {
    let mut world = World::new(2);
    // With anchors the wallet's reserve would refuse it before the peer hears of it.
    let channel_type = ChannelType::StaticRemotekey;
    let request = OpenRequest { channel_type, ..world.open_request(1, 50_000_000, 0) };
    assert!(matches!(world.command(0, Command::Open(request)), Ok(Reply::Opening { .. })));
    let abandoned = |n| {
        world.notices.iter().any(|(at, notice)| *at == n && matches!(notice, Notice::ChannelAbandoned { .. }))
    };
    assert!(abandoned(0) && abandoned(1));
    assert!(world.channels(0).is_empty() && world.channels(1).is_empty());
    assert!(world.open(0, 1, 1_000_000, 0).1 .0 > 0, "the coins are free again");
}

#[test]
fn a_peer_can_only_open_so_many_channels_at_once() {
    let mut world = World::new(2);
    for _ in 0..6 {
        let request = world.open_request(1, 100_000, 0);
        world.command(0, Command::Open(request)).unwrap();
        // Not mined: the opening stays pending. The next funding spends the change of this one.
    }
    assert_eq!(world.channels(1).len(), world.configs[1].max_pending_opens);
    assert_eq!(world.channels(0).len(), world.configs[1].max_pending_opens);
}

#[test]
fn a_stranger_cannot_be_opened_to() {
    let mut world = World::new(2);
    world.disconnect(0, 1);
    let request = world.open_request(1, 100_000, 0);
    assert!(world.command(0, Command::Open(request)).is_err());
}

#[test]
fn a_channel_says_that_it_is_of_no_use_while_the_peer_is_away() {
    let mut world = World::new(2);
    world.open(0, 1, 1_000_000, 300_000);
    let expect = |world: &mut World, usable: bool| {
        for n in 0..2 {
            let channel = &world.channels(n)[0];
            assert_eq!((channel.phase.as_str(), channel.usable), ("normal", usable));
        }
    };
    expect(&mut world, true);
    world.disconnect(0, 1);
    expect(&mut world, false);
    world.connect(0, 1);
    expect(&mut world, true);
}

#[test]
fn the_same_events_give_the_same_records_and_messages() {
    let run = || {
        let mut world = World::new(3);
        world.open(0, 1, 1_000_000, 300_000);
        world.open(1, 2, 1_000_000, 300_000);
        world.pay(0, 2, 50_000_000).unwrap();
        (world.records, world.notices)
    };
    assert_eq!(run(), run());
}

#[test]
fn n51_a_peer_that_forgot_the_channel_makes_the_node_close_it() {
    let mut world = World::new(2);
    let (channel, _) = world.open(0, 1, 1_000_000, 300_000);
    world.disconnect(0, 1);
    // The peer starts again with nothing.
    let birthday = (world.env.height, bitcoin::hashes::Hash::all_zeros());
    let fresh = Node::restore(node_world::seed(1), world.configs[1].clone(), birthday, &Default::default());
    world.nodes[1] = fresh.unwrap();
    world.records[1].clear();
    world.connect(0, 1);
    assert_eq!(phases(&mut world, 0), ["on chain"]);
    let told = |(n, notice): &(usize, Notice)| {
        *n == 0 && matches!(notice, Notice::PeerError { text, .. } if text.contains("no such channel"))
    };
    assert!(world.notices.iter().any(told));
    assert!(world.channels(0).iter().any(|info| info.channel_id == channel));
}
