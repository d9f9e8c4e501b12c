//! Duties of a whole node towards a peer that means ill: every message comes as bytes, what it may touch is only what it has
//! with this node.
mod node_world;
mod proposal;

use bitcoin::hashes::Hash;
use bitcoin::{OutPoint, Txid};
use leyden_core::chain::wallet_scripts;
use leyden_core::ids::ChannelId;
use leyden_core::node::{Action, Command, Event, Node, Notice, RecordKey, Reply, Turn};
use leyden_core::units::{CommitmentNumber, FeeratePerKw};
use leyden_core::wire::{ErrorMessage, FundingCreated, Message, UpdateFee};
use node_world::{birthday, seed, World};
use proposal::{funding_created, keys, proposal};

const ALL_CHANNELS: ChannelId = ChannelId([0; 32]);

fn hear(world: &mut World, n: usize, from: usize, message: &Message) -> Turn {
    let (env, peer) = (world.env, world.id(from));
    world.nodes[n].handle(Event::Message { peer, bytes: message.encode() }, &env)
}

/// What a turn says to the peer.
fn said(turn: &Turn) -> Vec<Message> {
    let sent = |action: &Action| match action {
        Action::Send { bytes, .. } => Some(Message::decode(bytes).expect("our own messages can be read")),
        _ => None,
    };
    turn.actions.iter().filter_map(sent).collect()
}

/// A peer's channel up to `funding_created` over this output: what the node answers to it.
fn open_over(world: &mut World, n: usize, from: usize, temporary: ChannelId, funding: OutPoint) -> Turn {
    let open = proposal(temporary);
    let turn = hear(world, n, from, &Message::OpenChannel(Box::new(open.clone())));
    let accept = said(&turn).into_iter().find_map(|message| match message {
        Message::AcceptChannel(accept) => Some(accept),
        _ => None,
    });
    let accept = accept.unwrap_or_else(|| panic!("not accepted: {:?}", said(&turn)));
    hear(world, n, from, &funding_created(&open, &accept, funding, &keys()))
}

#[test]
fn n13_a_funding_output_of_another_channel_is_refused_and_that_channel_lives() {
    let mut world = World::new(3);
    let (channel, _) = world.open(0, 1, 1_000_000, 400_000);
    let before = world.channels(0);
    let funding = before[0].terms.as_ref().unwrap().funding;
    // The same name follows from the output itself and from others, since the index is only xored into the txid.
    let mut bytes = funding.txid.to_byte_array();
    bytes[31] ^= (funding.vout as u8) ^ 5;
    let twin = OutPoint::new(Txid::from_byte_array(bytes), 5);
    for (n, output) in [(1, funding), (2, twin)] {
        assert_eq!(ChannelId::from_funding(output), channel);
        let turn = open_over(&mut world, 0, 2, ChannelId([n; 32]), output);
        let messages = said(&turn);
        assert!(matches!(&messages[..], [Message::Error(error)] if error.channel_id == ChannelId([n; 32])));
        assert!(!turn.save.records.contains_key(&RecordKey::Channel(channel)), "its record is left alone");
    }
    assert_eq!(world.channels(0), before);
    assert!(world.pay(0, 1, 1_000_000).is_ok());
    let elsewhere = OutPoint::new(Txid::from_byte_array([9; 32]), 0);
    let turn = open_over(&mut world, 0, 2, ChannelId([3; 32]), elsewhere);
    assert!(matches!(&said(&turn)[..], [Message::FundingSigned(_)]), "an output of its own is fine");
}

#[test]
fn n36_a_secret_that_is_no_key_fails_its_channel_and_no_other() {
    let mut world = World::new(3);
    let (channel, _) = world.open(0, 1, 1_000_000, 400_000);
    world.open(0, 2, 1_000_000, 400_000);
    let revoke_and_ack = |from: usize, world: &mut World| {
        let point = keys().per_commitment_point(CommitmentNumber::ZERO);
        let bytes = [&133u16.to_be_bytes()[..], &channel.0, &[0; 32], &point.serialize()].concat();
        let (env, peer) = (world.env, world.id(from));
        world.nodes[0].handle(Event::Message { peer, bytes }, &env)
    };
    let broadcasts = |turn: &Turn| {
        let is_commitment =
            |action: &&Action| matches!(action, Action::Broadcast { channel: of, .. } if *of == channel);
        turn.actions.iter().filter(is_commitment).count()
    };
    let foreign = revoke_and_ack(2, &mut world);
    assert_eq!(broadcasts(&foreign), 0, "another peer cannot fail it");
    let turn = revoke_and_ack(1, &mut world);
    let messages = said(&turn);
    assert!(messages
        .iter()
        .any(|message| matches!(message, Message::Error(error) if error.channel_id == channel)));
    assert_eq!(broadcasts(&turn), 1, "its commitment goes to the chain");
}

#[test]
fn n13_an_outpoint_named_twice_over_one_live_channel_does_not_fail_that_channel() {
    let mut world = World::new(2);
    let (channel, _) = world.open(0, 1, 1_000_000, 400_000);
    let before = world.channels(0);
    let of = keys();
    let funding = before[0].terms.as_ref().unwrap().funding;
    let signature = secp256k1::SECP256K1.sign_ecdsa(&secp256k1::Message::from_digest([1; 32]), &of.funding);
    let created = FundingCreated {
        temporary_channel_id: channel,
        funding_txid: funding.txid,
        funding_output_index: funding.vout as u16,
        signature,
    };
    let turn = hear(&mut world, 0, 1, &Message::FundingCreated(created));
    assert!(matches!(&said(&turn)[..], [Message::Warning(_)]));
    assert_eq!(world.channels(0), before);
}

#[test]
fn n05_the_all_zero_id_is_never_answered_with_an_error_that_would_fail_every_channel() {
    let fee = UpdateFee { channel_id: ALL_CHANNELS, feerate_per_kw: FeeratePerKw::new(1000) };
    let open = Message::OpenChannel(Box::new(proposal(ALL_CHANNELS)));
    for message in [Message::UpdateFee(fee), open] {
        let mut world = World::new(2);
        world.open(0, 1, 1_000_000, 400_000);
        let turn = hear(&mut world, 0, 1, &message);
        let error =
            |message: &Message| matches!(message, Message::Error(error) if error.channel_id == ALL_CHANNELS);
        assert!(!said(&turn).iter().any(error), "{:?}", said(&turn));
        assert!(!said(&turn).is_empty(), "the peer is told");
        assert_eq!(world.channels(0)[0].phase, "normal");
    }
}

#[test]
fn n05_a_temporary_id_in_use_with_the_peer_is_refused_without_an_error_for_its_channel() {
    let mut world = World::new(2);
    let (channel, _) = world.open(0, 1, 1_000_000, 400_000);
    let turn = hear(&mut world, 0, 1, &Message::OpenChannel(Box::new(proposal(channel))));
    assert!(matches!(&said(&turn)[..], [Message::Warning(_)]), "{:?}", said(&turn));
    assert_eq!(world.channels(0)[0].phase, "normal");
}

#[test]
fn n13_an_acceptors_error_under_the_temporary_id_ends_an_opening_that_has_its_lasting_name() {
    let mut world = World::new(2);
    let request = world.open_request(1, 1_000_000, 0);
    let peer = world.id(1);
    world.order(0, Command::Open(request));
    let is_created = |bytes: &[u8]| bytes[..2] == [0, 34];
    world.run_until(|n, turn| {
        let created = |action: &Action| matches!(action, Action::Send { bytes, .. } if is_created(bytes));
        n == 0 && turn.actions.iter().any(created)
    });
    let renamed = world.notices.iter().find_map(|(_, notice)| match notice {
        Notice::ChannelNamed { temporary, .. } => Some(*temporary),
        _ => None,
    });
    // BOLT 1: before funding_signed the acceptor names the temporary id.
    let error =
        ErrorMessage { channel_id: renamed.expect("the id follows from the funding"), data: b"no".to_vec() };
    let bytes = Message::Error(error).encode();
    let env = world.env;
    let turn = world.nodes[0].handle(Event::Message { peer, bytes }, &env);
    let abandoned = |action: &Action| matches!(action, Action::Notice(Notice::ChannelAbandoned { .. }));
    assert!(turn.actions.iter().any(abandoned), "the coins are free again: {:?}", turn.actions);
    assert!(turn.save.records.values().any(Option::is_none), "the record is gone");
}

#[test]
fn openings_that_come_to_nothing_use_up_no_addresses() {
    let mut world = World::new(2);
    let known = wallet_scripts(&seed(0), 8);
    for n in 1..=30 {
        let id = ChannelId([n; 32]);
        let mut open = proposal(id);
        if n % 2 == 0 {
            open.feerate_per_kw = FeeratePerKw::ZERO;
        }
        hear(&mut world, 0, 1, &Message::OpenChannel(Box::new(open)));
        let error = ErrorMessage { channel_id: id, data: b"never mind".to_vec() };
        hear(&mut world, 0, 1, &Message::Error(error));
    }
    let Ok(Reply::Address(script)) = world.command(0, Command::NewAddress) else { panic!("no address") };
    assert!(known.contains(&script), "a peer can make the wallet grow without bound");
    let records = world.nodes[0].records();
    let config = world.configs[0].clone();
    assert!(Node::restore(seed(0), config, birthday(), &records).is_ok());
}
