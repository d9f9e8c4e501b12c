//! I15: strangers flood a stock node in every way that costs them nothing, while one of its peers cheats on the chain. The node takes in
//! each block, punishes, lets a peer with a channel back in and pays with it, and its memory and descriptors stay below fixed bounds.
mod proposal;

use bitcoin::hashes::{sha256, Hash};
use bitcoin::OutPoint;
use leyden_core::ids::{ChannelId, NodeId};
use leyden_core::keys::NodeSeed;
use leyden_core::wire::{ErrorMessage, Message, Ping};
use leyden_harness::chain::Chain;
use leyden_harness::raw::{Bench, RawPeer, Socket, Usage};
use secp256k1::SecretKey;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError, Sender};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

/// The peer that cheats.
const CHEAT: usize = 0;
/// A peer that was away, and comes back in the middle of the flood.
const HONEST: usize = 1;
/// The node may hold so much, in bytes. Idle it holds some 20 MiB; what may wait in it for and from all peers is 130 MiB.
const MEMORY_MAX: u64 = 250 << 20;
/// The node may hold so many descriptors: 1,100 connections, 512 handshakes, its own.
const DESCRIPTORS_MAX: usize = 1_700;
/// Strangers that stay connected: more than the node takes.
const CROWD: usize = 1_050;
/// Each flood has come so often before the cheating begins.
const ROUNDS: usize = 30;

/// Whom to flood, and until when.
struct Target {
    node: NodeId,
    address: SocketAddr,
    over: AtomicBool,
    rounds: [AtomicUsize; FLOODS.len()],
    /// Strangers who came first, and stay.
    crowd: Mutex<Vec<RawPeer>>,
}

/// What one stranger does again and again.
type Flood = fn(&Target, &mut Stranger);

const FLOODS: [Flood; 6] = [silent_connections, garbage, crowd, pings, openings, large_messages];

/// A stranger's memory between rounds.
#[derive(Default)]
struct Stranger {
    sockets: VecDeque<Socket>,
    peers: Vec<RawPeer>,
    count: u64,
}

#[test]
fn a_flood_while_a_peer_cheats_keeps_nobody_from_justice() {
    let mut bench = Bench::start(2, &[]).unwrap();
    for peer in [CHEAT, HONEST] {
        bench.propose(peer, 1_000_000, 400_000).unwrap();
    }
    let with_cheat = bench.confirm().unwrap()[CHEAT].unwrap();
    let old = bench.peers[CHEAT].records();
    assert!(bench.pays(CHEAT, 200_000_000).unwrap());
    let lie = bench.peers[CHEAT].past(&old, with_cheat).swap_remove(0);
    bench.peers.iter_mut().for_each(|peer| peer.disconnect());

    let target = Target {
        node: bench.node.id,
        address: bench.node.listen,
        over: AtomicBool::new(false),
        rounds: Default::default(),
        crowd: Mutex::default(),
    };
    let crowd: Vec<RawPeer> = (0..CROWD).filter_map(|_| stranger(&target)).collect();
    assert!((900..CROWD).contains(&crowd.len()), "{} strangers were taken in", crowd.len());
    *target.crowd.lock().unwrap() = crowd;
    let usage = bench.node.usage();
    let (memory, descriptors) = thread::scope(|scope| {
        for (flood, rounds) in FLOODS.iter().zip(&target.rounds) {
            let target = &target;
            scope.spawn(move || run(*flood, target, rounds));
        }
        let (stop, stopped) = channel();
        let peaks = scope.spawn(move || watch(usage, &stopped));
        // Whatever fails below must still end the flood.
        let end = End(&target.over, stop);
        bench
            .until("flood", |bench| {
                bench.client.getinfo()?;
                let enough = target.rounds.iter().all(|rounds| rounds.load(Ordering::Relaxed) >= ROUNDS);
                Ok(enough.then_some(()))
            })
            .unwrap();
        punishes(&mut bench, &lie);
        drop(end);
        peaks.join().expect("the watch does not fail")
    });
    println!("{:?} rounds; at most {} MiB and {descriptors} descriptors", target.rounds, memory >> 20);
    assert!(memory < MEMORY_MAX, "{} MiB", memory >> 20);
    assert!(descriptors < DESCRIPTORS_MAX, "{descriptors} descriptors");
}

/// The lie is mined, its penalty too, and the other peer is served.
fn punishes(bench: &mut Bench, lie: &bitcoin::Transaction) {
    let address = bench.node.listen;
    bench.peers[HONEST].connect(address).unwrap();
    bench.settle().unwrap();
    assert!(bench.pays(HONEST, 10_000_000).unwrap(), "a peer with a channel is served");
    bench.chain.submit(lie).unwrap();
    bench.mine(1).unwrap();
    // The cheat's own output is the larger one of that state.
    let vout = (0u32..).zip(&lie.output).max_by_key(|(_, output)| output.value).expect("it has outputs").0;
    let lied = OutPoint { txid: lie.compute_txid(), vout };
    let penalty = bench.spend_of(lied).unwrap();
    assert!(penalty.input.iter().all(|input| input.previous_output.txid == lied.txid), "{penalty:?}");
    bench.mine(1).unwrap();
    assert_eq!(bench.chain.unspent(lied).unwrap(), None, "the penalty is confirmed");
    assert!(bench.pays(HONEST, 10_000_000).unwrap(), "and the other channel goes on");
}

/// Ends the flood, and the watch, when it goes.
struct End<'a>(&'a AtomicBool, #[allow(dead_code)] Sender<()>);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn run(flood: Flood, target: &Target, rounds: &AtomicUsize) {
    let mut stranger = Stranger::default();
    while !target.over.load(Ordering::Relaxed) {
        flood(target, &mut stranger);
        rounds.fetch_add(1, Ordering::Relaxed);
    }
}

/// The most that the node held at any time.
fn watch(usage: Usage, stopped: &Receiver<()>) -> (u64, usize) {
    let mut most = (0, 0);
    while stopped.recv_timeout(Duration::from_millis(20)) == Err(RecvTimeoutError::Timeout) {
        let memory = usage.memory().expect("the node lives");
        most = (most.0.max(memory), most.1.max(usage.descriptors().expect("the node lives")));
    }
    most
}

fn new_secret() -> SecretKey {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let hash = sha256::Hash::hash(&[&b"stranger"[..], &number.to_be_bytes()].concat());
    NodeSeed::new(hash.to_byte_array()).node_secret()
}

/// A new stranger; none if the node does not take it.
fn stranger(target: &Target) -> Option<RawPeer> {
    RawPeer::greet(&new_secret(), target.node, target.address).ok()
}

/// Hundreds that connect and say nothing.
fn silent_connections(target: &Target, stranger: &mut Stranger) {
    if let Ok(socket) = Socket::connect(target.address) {
        stranger.sockets.push_back(socket);
    }
    if stranger.sockets.len() > 300 {
        stranger.sockets.pop_front();
    }
}

/// What is no handshake.
fn garbage(target: &Target, stranger: &mut Stranger) {
    stranger.count += 1;
    if let Ok(mut socket) = Socket::connect(target.address) {
        socket.write(&[stranger.count as u8; 66]);
        let _ = socket.rest();
    }
}

/// Those who stay say something now and then, and more of them try to come in.
fn crowd(target: &Target, stranger: &mut Stranger) {
    stranger.count += 1;
    let newcomer = self::stranger(target);
    let mut crowd = target.crowd.lock().expect("nobody panics over it");
    crowd.extend(newcomer);
    let place = stranger.count as usize % crowd.len();
    if crowd[place].reaction().map_or(true, |reaction| reaction.closed) {
        crowd.swap_remove(place);
    }
}

/// The one peer that this flood goes through; a new one where the last was dropped.
fn through(target: &Target, stranger: &mut Stranger, message: &[u8], times: usize) {
    if stranger.peers.is_empty() {
        stranger.peers.extend(self::stranger(target));
    }
    let Some(peer) = stranger.peers.first_mut() else { return };
    if !(0..times).all(|_| peer.send_bytes(message)) {
        stranger.peers.clear();
    }
}

/// The longest answers, which nobody reads.
fn pings(target: &Target, stranger: &mut Stranger) {
    let ping = Message::Ping(Ping { num_pong_bytes: 65_531, byteslen: 0 });
    through(target, stranger, &ping.encode(), 50);
}

/// Channels that come to nothing.
fn openings(target: &Target, stranger: &mut Stranger) {
    stranger.count += 1;
    let id = ChannelId(sha256::Hash::hash(&stranger.count.to_be_bytes()).to_byte_array());
    let open = proposal::proposal(id);
    through(target, stranger, &Message::OpenChannel(Box::new(open)).encode(), 1);
}

/// The longest messages, unknown ones and errors.
fn large_messages(target: &Target, stranger: &mut Stranger) {
    let unknown = [&[0x7f, 0xff][..], &[7; 65_533]].concat();
    through(target, stranger, &unknown, 10);
    let error = ErrorMessage { channel_id: ChannelId([0; 32]), data: vec![b'x'; 65_000] };
    through(target, stranger, &Message::Error(error).encode(), 10);
}
