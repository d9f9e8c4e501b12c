//! BOLT 8: acts that are wrong, and sealed messages that were changed (N100, N101), from both sides of the handshake.
use super::{due, Outcome, Test};
use leyden_core::keys::NodeSeed;
use leyden_core::transport::{Initiator, Responder, ACT_ONE_LEN, ACT_TWO_LEN};
use leyden_core::wire::{Message, Ping};
use leyden_harness::raw::{Bench, RawPeer, Socket};
use secp256k1::SecretKey;
use std::net::TcpListener;
use std::time::{Duration, Instant};

pub const TESTS: &[Test] = &[
    ("n100_a_wrong_act_one_or_three_is_answered_with_nothing", wrong_acts_of_a_dialler),
    ("n100_a_wrong_act_two_is_answered_with_nothing", wrong_acts_of_an_answerer),
    ("n100_the_silent_keep_nobody_out", silent),
    ("n101_a_changed_message_ends_the_connection", changed_messages),
    ("n101_keys_rotate_and_the_longest_message_fits", rotation),
];

fn secret() -> SecretKey {
    NodeSeed::new([90; 32]).node_secret()
}

fn ephemeral(number: u8) -> SecretKey {
    NodeSeed::new([number; 32]).node_secret()
}

/// The version, a byte of the key, a byte of the tag; and only half of it.
fn damages(act: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let flip = |place: usize| {
        let mut act = act.to_vec();
        act[place] ^= 1;
        act
    };
    let no_key = [&act[..1], &[9; 33][..], &act[34..]].concat();
    vec![
        ("version", flip(0)),
        ("key", flip(20)),
        ("no key", no_key),
        ("tag", flip(act.len() - 1)),
        ("short", act[..act.len() / 2].to_vec()),
    ]
}

fn still_serves(bench: &Bench) -> Outcome {
    RawPeer::greet(&secret(), bench.node.id, bench.node.listen)?;
    Ok(())
}

fn wrong_acts_of_a_dialler() -> Outcome {
    let bench = Bench::start(0, &[])?;
    let start = |number| Initiator::start(&secret(), ephemeral(number), bench.node.id);
    for (what, act_one) in damages(&start(91).1) {
        let mut socket = Socket::connect(bench.node.listen)?;
        socket.write(&act_one);
        socket.finish();
        let rest = socket.rest()?;
        due(rest.is_empty(), || format!("act one, {what}: {} bytes came", rest.len()))?;
    }
    for number in 0..5 {
        let (initiator, act_one) = start(92);
        let mut socket = Socket::connect(bench.node.listen)?;
        socket.write(&act_one);
        let mut act_two = [0; ACT_TWO_LEN];
        socket.fill(&mut act_two)?;
        let (act_three, _) = initiator.act_two(&act_two)?;
        let (what, act_three) = damages(&act_three).swap_remove(number);
        socket.write(&act_three);
        socket.finish();
        let rest = socket.rest()?;
        due(rest.is_empty(), || format!("act three, {what}: {} bytes came", rest.len()))?;
    }
    still_serves(&bench)
}

/// More connections than the node keeps handshakes: whoever says nothing, or stops in the middle, makes room.
fn silent() -> Outcome {
    let bench = Bench::start(0, &[])?;
    let mut sockets = Vec::new();
    for number in 0..700 {
        let mut socket = Socket::connect(bench.node.listen)?;
        if number % 2 == 0 {
            socket.write(&Initiator::start(&secret(), ephemeral(94), bench.node.id).1);
        }
        sockets.push(socket);
    }
    let begun = Instant::now();
    still_serves(&bench)?;
    // Not only when the others have timed out, which takes 10 s.
    due(begun.elapsed() < Duration::from_secs(8), || format!("served after {:?}", begun.elapsed()))
}

fn wrong_acts_of_an_answerer() -> Outcome {
    let bench = Bench::start(0, &[])?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let (address, id) = (listener.local_addr()?.to_string(), secret().public_key(secp256k1::SECP256K1));
    for number in 0..5 {
        let mut client = bench.node.client()?;
        let to = address.clone();
        let dialling = std::thread::spawn(move || client.connect_peer(id, &to).is_ok());
        let mut socket = Socket::new(listener.accept()?.0)?;
        let mut act_one = [0; ACT_ONE_LEN];
        socket.fill(&mut act_one)?;
        let (_, act_two) = Responder::new(&secret(), ephemeral(93)).act_one(&act_one)?;
        let (what, act_two) = damages(&act_two).swap_remove(number);
        socket.write(&act_two);
        socket.finish();
        let rest = socket.rest()?;
        due(rest.is_empty(), || format!("act two, {what}: {} bytes came", rest.len()))?;
        let connected = dialling.join().map_err(|_| "the dialling thread failed")?;
        due(!connected, || format!("act two, {what}: the node says that it is connected"))?;
    }
    still_serves(&bench)
}

fn changed_messages() -> Outcome {
    let bench = Bench::start(0, &[])?;
    let ping = Message::Ping(Ping { num_pong_bytes: 5, byteslen: 3 }).encode();
    // In the length, in its tag, in the body, in the body's tag.
    for place in [0, 2, 17, 18, 22, 40] {
        let mut peer = RawPeer::greet(&secret(), bench.node.id, bench.node.listen)?;
        let mut sealed = peer.seal(&ping);
        sealed[place] ^= 1;
        peer.socket().write(&sealed);
        // What follows is sealed rightly, and must not be read.
        let next = peer.seal(&ping);
        peer.socket().write(&next);
        let rest = peer.socket().rest()?;
        due(rest.is_empty(), || format!("byte {place} changed: {} bytes came", rest.len()))?;
    }
    let mut peer = RawPeer::greet(&secret(), bench.node.id, bench.node.listen)?;
    let sealed = peer.seal(&ping);
    peer.socket().write(&sealed[..sealed.len() - 1]);
    peer.socket().finish();
    due(peer.socket().rest()?.is_empty(), || "an unfinished message was answered".into())?;
    still_serves(&bench)
}

/// Each direction's key changes after 500 messages; here both change twice, in the middle of long messages too.
fn rotation() -> Outcome {
    let bench = Bench::start(0, &[])?;
    let mut peer = RawPeer::greet(&secret(), bench.node.id, bench.node.listen)?;
    let longest = [&[0x7f, 0xff][..], &vec![7; 65_533]].concat();
    for round in 0..105 {
        for _ in 0..10 {
            peer.send(&Message::Ping(Ping { num_pong_bytes: round, byteslen: 0 }));
        }
        if round % 20 == 0 {
            peer.send_bytes(&longest);
        }
        let reaction = peer.reaction()?;
        let right = |message: &Message| matches!(message, Message::Pong(pong) if pong.byteslen == round);
        let all = reaction.messages.len() == 10 && reaction.messages.iter().all(right);
        due(all && !reaction.closed, || format!("round {round}: {reaction:?}"))?;
    }
    Ok(())
}
