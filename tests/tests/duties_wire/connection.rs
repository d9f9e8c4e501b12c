//! BOLT 1: `init`, types and lengths, TLV streams, pings, errors and warnings (N01 to N06, N38).
use super::row::{two_channels, BENT, WITNESS};
use super::{due, Outcome, Test};
use leyden_core::ids::ChannelId;
use leyden_core::keys::NodeSeed;
use leyden_core::peer::Peer;
use leyden_core::wire::{ErrorMessage, Features, Init, Message, Ping, Warning};
use leyden_harness::raw::{Bench, RawPeer, Reaction};
use secp256k1::SecretKey;

pub const TESTS: &[Test] = &[
    ("n01_n02_n03_what_cannot_be_read_ends_the_connection", unreadable),
    ("n01_n38_unknown_odd_types_are_ignored", odd),
    ("n04_init_is_first_and_asks_for_nothing_unknown", init),
    ("n05_an_error_for_another_peers_channel_is_ignored", error_for_another),
    ("n05_an_error_for_all_channels_fails_those_of_that_peer_only", error_for_all),
    ("n06_a_ping_is_answered_with_exactly_what_it_asks", pings),
];

fn secret() -> SecretKey {
    NodeSeed::new([90; 32]).node_secret()
}

fn greet(bench: &Bench) -> Result<RawPeer, libtest_mimic::Failed> {
    Ok(RawPeer::greet(&secret(), bench.node.id, bench.node.listen)?)
}

/// A warning for the connection, and its end.
fn is_dropped(reaction: &Reaction) -> bool {
    let zero =
        |message: &Message| matches!(message, Message::Warning(warning) if warning.channel_id.0 == [0; 32]);
    reaction.closed && matches!(&reaction.messages[..], [only] if zero(only))
}

fn unreadable() -> Outcome {
    let bench = Bench::start(0, &[])?;
    let init = |stream: &[u8]| [&[0, 16, 0, 0, 0, 0][..], stream].concat();
    let after_init: [(&str, Vec<u8>); 9] = [
        ("no type", vec![]),
        ("half a type", vec![0]),
        ("unknown even type", vec![0x7f, 0xfe, 1]),
        ("start of a batch in an even type", vec![0x80, 0x00]),
        ("short ping", vec![0, 18, 0]),
        ("short open_channel", vec![0, 32, 1, 2, 3]),
        ("short update_add_htlc", [&[0, 128][..], &[1; 40]].concat()),
        ("short revoke_and_ack", [&[0, 133][..], &[1; 32]].concat()),
        ("ping that promises more than it has", vec![0, 18, 0, 1, 0, 9, 0]),
    ];
    for (what, bytes) in after_init {
        let mut peer = greet(&bench)?;
        peer.send_bytes(&bytes);
        let reaction = peer.reaction()?;
        due(is_dropped(&reaction), || format!("{what}: {reaction:?}"))?;
    }
    // TLV streams of init: type 1 is `networks`, hashes of 32 bytes.
    let streams: [(&str, &[u8]); 9] = [
        ("type not minimal", &[0xfd, 0, 5, 0]),
        ("length not minimal", &[5, 0xfd, 0, 1, 0]),
        ("type cut", &[0xfd, 1]),
        ("length cut", &[5, 0xfd, 1]),
        ("no length", &[5]),
        ("value longer than the message", &[5, 3, 1]),
        ("same type twice", &[5, 0, 5, 0]),
        ("types not increasing", &[7, 0, 5, 0]),
        ("unknown even type", &[6, 1, 1]),
    ];
    for (what, stream) in streams {
        let mut peer = RawPeer::dial(&secret(), bench.node.id, bench.node.listen)?;
        peer.send_bytes(&init(stream));
        let mut reaction = peer.reaction()?;
        // The node's own first word.
        reaction.messages.retain(|message| !matches!(message, Message::Init(_)));
        due(is_dropped(&reaction), || format!("{what}: {reaction:?}"))?;
    }
    let mut peer = RawPeer::dial(&secret(), bench.node.id, bench.node.listen)?;
    peer.send_bytes(&init(&[1, 31].into_iter().chain([7; 31]).collect::<Vec<u8>>()));
    let closed = peer.reaction()?.closed;
    due(closed, || "networks of 31 bytes were read".into())
}

fn odd() -> Outcome {
    let bench = Bench::start(0, &[])?;
    let mut peer = greet(&bench)?;
    // `start_batch` (127) belongs to splices, which this node does not announce.
    for bytes in
        [vec![0x7f, 0xff], vec![0xff, 0xff, 1, 2], vec![0, 127, 0, 0], [vec![0, 127], vec![9; 36]].concat()]
    {
        peer.send_bytes(&bytes);
        let reaction = peer.reaction()?;
        due(reaction == Reaction::default(), || format!("{bytes:?}: {reaction:?}"))?;
    }
    let warning = Warning { channel_id: ChannelId([0; 32]), data: b"hm".to_vec() };
    peer.send(&Message::Warning(warning));
    let reaction = peer.reaction()?;
    due(reaction == Reaction::default(), || format!("a warning: {reaction:?}"))
}

fn init() -> Outcome {
    let bench = Bench::start(0, &[])?;
    let of = |bits: &[usize], networks| {
        Message::Init(Init { features: Features::of(bits), networks, unknown: Vec::new() })
    };
    let ping = Message::Ping(Ping { num_pong_bytes: 1, byteslen: 0 });
    let firsts = [
        ("a ping before init", ping),
        ("an unknown required feature", of(&[0, 100], Vec::new())),
        ("another chain", of(&[0], vec![[9; 32]])),
    ];
    for (what, first) in firsts {
        let mut peer = RawPeer::dial(&secret(), bench.node.id, bench.node.listen)?;
        peer.send(&first);
        let mut reaction = peer.reaction()?;
        reaction.messages.retain(|message| !matches!(message, Message::Init(_)));
        due(is_dropped(&reaction), || format!("{what}: {reaction:?}"))?;
    }
    let mut peer = RawPeer::dial(&secret(), bench.node.id, bench.node.listen)?;
    peer.send(&of(&[0, 101], Vec::new()));
    let fine = peer.reaction()?;
    due(!fine.closed, || format!("an unknown optional feature: {fine:?}"))?;
    peer.send(&Peer::hello());
    let second = peer.reaction()?;
    due(is_dropped(&second), || format!("a second init: {second:?}"))
}

fn pings() -> Outcome {
    let bench = Bench::start(0, &[])?;
    let mut peer = greet(&bench)?;
    let cases = [(0, 0, true), (1, 65_529, true), (65_531, 0, true), (65_532, 0, false), (65_535, 9, false)];
    for (num_pong_bytes, byteslen, answered) in cases {
        peer.send(&Message::Ping(Ping { num_pong_bytes, byteslen }));
        let Reaction { messages, closed } = peer.reaction()?;
        let pongs = messages
            .iter()
            .filter(|message| matches!(message, Message::Pong(pong) if pong.byteslen == num_pong_bytes));
        let right = messages.len() == usize::from(answered) && pongs.count() == messages.len();
        due(right && !closed, || format!("{num_pong_bytes}: {messages:?}"))?;
    }
    // Nothing of the node's memory: `ignored` is zeros.
    peer.send(&Message::Ping(Ping { num_pong_bytes: 64, byteslen: 0 }));
    let pong = peer.read()?.unwrap_or_default();
    due(pong[2..] == [&[0, 64][..], &[0; 64]].concat(), || format!("{pong:?}"))
}

fn error_for_another() -> Outcome {
    let (mut bench, channel) = two_channels(&[])?;
    let error = ErrorMessage { channel_id: channel, data: b"go away".to_vec() };
    bench.peers[WITNESS].raw().send(&Message::Error(error));
    let reaction = bench.peers[WITNESS].listen()?;
    due(reaction == Reaction::default(), || format!("{reaction:?}"))?;
    let phase = bench.channel(channel)?.phase;
    due(phase == "normal", || phase)?;
    due(bench.pays(BENT, 1_000_000)?, || "the channel that the error named suffers".into())
}

fn error_for_all() -> Outcome {
    let (mut bench, channel) = two_channels(&[])?;
    let funding = bench.channel(channel)?.terms.ok_or("no terms")?.funding;
    let error = ErrorMessage { channel_id: ChannelId([0; 32]), data: b"go away".to_vec() };
    bench.peers[BENT].raw().send(&Message::Error(error));
    bench.peers[BENT].listen()?;
    bench.spend_of(funding)?;
    due(bench.pays(WITNESS, 1_000_000)?, || "another peer's channel suffers".into())
}
