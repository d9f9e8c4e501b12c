//! BOLT 1 towards one peer: each bad input gets its reaction.
use super::*;

fn init(bits: &[usize]) -> Message {
    Message::Init(Init { features: Features::of(bits), networks: Vec::new(), unknown: Vec::new() })
}

fn ready() -> Peer {
    let mut peer = Peer::default();
    assert_eq!(peer.hear(&Peer::hello().encode()), Heard::Ready);
    peer
}

#[test]
fn what_a_node_announces_another_accepts() {
    assert!(ready().is_ready());
}

#[test]
fn n04_nothing_comes_before_init() {
    let ping = Message::Ping(Ping { num_pong_bytes: 1, byteslen: 0 });
    assert_eq!(Peer::default().hear(&ping.encode()), Heard::Drop(Breach::BeforeInit));
    assert_eq!(ready().hear(&init(&[]).encode()), Heard::Drop(Breach::SecondInit));
}

#[test]
fn n04_unknown_required_features_and_missing_dependencies_end_the_connection() {
    let hear = |bits: &[usize]| Peer::default().hear(&init(bits).encode());
    assert_eq!(hear(&[100]), Heard::Drop(Breach::UnknownFeature(100)));
    assert_eq!(hear(&[101]), Heard::Ready);
    assert_eq!(hear(&[39]), Heard::Ready, "what it needs is assumed");
    let networks = vec![[9; 32]];
    let other = Message::Init(Init { features: Features::default(), networks, unknown: Vec::new() });
    assert_eq!(Peer::default().hear(&other.encode()), Heard::Drop(Breach::OtherChain));
}

#[test]
fn n01_unknown_even_types_end_the_connection_and_odd_ones_do_not() {
    assert!(matches!(ready().hear(&[0x7f, 0xfe, 1]), Heard::Drop(Breach::Unreadable(_))));
    assert_eq!(ready().hear(&[0x7f, 0xff, 1]), Heard::Nothing);
}

#[test]
fn n02_a_short_message_ends_the_connection() {
    assert!(matches!(ready().hear(&[0, 18, 0]), Heard::Drop(Breach::Unreadable(_))));
    assert!(matches!(ready().hear(&[]), Heard::Drop(Breach::Unreadable(_))));
}

#[test]
fn n06_pings_below_the_limit_get_a_pong_of_that_length() {
    let ask = |num_pong_bytes| ready().hear(&Message::Ping(Ping { num_pong_bytes, byteslen: 3 }).encode());
    assert_eq!(ask(65531), Heard::Answer(Message::Pong(Pong { byteslen: 65531 })));
    assert_eq!(ask(65532), Heard::Nothing);
}

#[test]
fn a_peers_text_is_cut_and_made_printable() {
    let data = [b"bad\x1b[31m".to_vec(), vec![b'x'; 5000]].concat();
    let message = Message::Warning(Warning { channel_id: ChannelId([0; 32]), data });
    let Heard::Warning { text } = ready().hear(&message.encode()) else { panic!("not a warning") };
    assert_eq!(text.len(), 400);
    assert!(text.starts_with("bad.[31m"));
}

#[test]
fn after_a_breach_nothing_is_read() {
    let mut peer = ready();
    peer.drop_soon();
    assert_eq!(peer.hear(&[0x7f, 0xfe, 1]), Heard::Nothing);
}
