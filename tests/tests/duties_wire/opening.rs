//! Channel establishment (BOLT 2, N10 to N16): each message of it bent, from both sides. The node forgets what came to nothing, its
//! coins are free again, and what it has with others goes on.
use super::bad_opens::BAD_OPENS;
use super::onion::through;
use super::proposal::proposal;
use super::row::{BENT, WITNESS};
use super::{due, Outcome, Test};
use bitcoin::ScriptBuf;
use leyden_core::ids::{ChannelId, ShortChannelId};
use leyden_core::keys::NodeSeed;
use leyden_core::node::Command;
use leyden_core::units::{Msat, Sat};
use leyden_core::wire::{
    AcceptChannel, ChannelReady, Features, FundingSigned, Message, OpenChannel, Shutdown,
};
use leyden_harness::chain::Chain;
use leyden_harness::raw::{request, Bench, Bent, RawPeer, Reaction};
use leyden_node::control::Call;
use secp256k1::ecdsa::Signature;

pub const TESTS: &[Test] = &[
    ("n10_an_unacceptable_open_channel_is_refused", open_channel),
    ("n11_n14_nothing_counts_before_the_depth", depth),
    ("n12_an_unacceptable_accept_channel_is_refused", accept_channel),
    ("n13_a_funding_created_with_a_wrong_signature_is_refused", funding_created),
    ("n13_nothing_is_broadcast_without_a_right_funding_signed", funding_signed),
    ("n13_whoever_waits_for_a_funding_that_comes_to_nothing_is_told", lost_on_the_way),
    ("n15_no_name_stands_for_the_real_one", alias),
    ("n16_upfront_scripts_are_kept_and_shutdown_is_not_too_early", shutdown_scripts),
];

/// An error for this channel with this text.
fn is_refused(reaction: &Reaction, id: ChannelId, text: &str) -> bool {
    let error = |message: &Message| {
        matches!(message, Message::Error(error)
            if error.channel_id == id && String::from_utf8_lossy(&error.data).contains(text))
    };
    matches!(&reaction.messages[..], [only] if error(only))
}

fn open_channel() -> Outcome {
    let mut bench = Bench::start(0, &[])?;
    let secret = NodeSeed::new([90; 32]).node_secret();
    let mut peer = RawPeer::greet(&secret, bench.node.id, bench.node.listen)?;
    for (number, (text, broken)) in (1..).zip(BAD_OPENS) {
        let id = ChannelId([number; 32]);
        let mut open = proposal(id);
        broken(&mut open);
        peer.send(&Message::OpenChannel(Box::new(open)));
        let reaction = peer.reaction()?;
        due(is_refused(&reaction, id, text) && !reaction.closed, || format!("{text}: {reaction:?}"))?;
    }
    // A key that is no point makes the message unreadable. The funding key stands behind 2 + 32 + 32 + 6 * 8 + 4 + 2 + 2 bytes.
    let mut bytes = Message::OpenChannel(Box::new(proposal(ChannelId([99; 32])))).encode();
    bytes[122] = 9;
    peer.send_bytes(&bytes);
    let reaction = peer.reaction()?;
    due(reaction.closed && reaction.warnings().len() == 1, || format!("no point: {reaction:?}"))?;
    // A large channel from a peer that does not announce that it takes them.
    let mut peer = RawPeer::dial(&secret, bench.node.id, bench.node.listen)?;
    let features = Features::of(&[0, 8, 12, 14, 44]);
    peer.send(&Message::Init(leyden_core::wire::Init {
        features,
        networks: Vec::new(),
        unknown: Vec::new(),
    }));
    let large = OpenChannel { funding_satoshis: Sat::new(1 << 24), ..proposal(ChannelId([98; 32])) };
    peer.send(&Message::OpenChannel(Box::new(large)));
    let mut reaction = peer.reaction()?;
    reaction.messages.retain(|message| !matches!(message, Message::Init(_)));
    let refused = is_refused(&reaction, ChannelId([98; 32]), "above the largest channel");
    due(refused, || format!("a large channel: {reaction:?}"))?;
    let channels = bench.channels()?;
    due(channels.is_empty(), || format!("{channels:?}"))
}

fn depth() -> Outcome {
    let mut bench = Bench::start(1, &[])?;
    bench.propose(BENT, 1_000_000, 400_000)?;
    let ready = |bench: &Bench| {
        let ready = |message: &&Message| matches!(message, Message::ChannelReady(_));
        bench.peers[BENT].heard.iter().filter(ready).count()
    };
    for blocks in 0..3 {
        due(ready(&bench) == 0, || format!("channel_ready after {blocks} blocks"))?;
        // What was pushed cannot be used.
        bench.is_paid(BENT, 10_000_000)?;
        bench.settle()?;
        let offered =
            bench.peers[BENT].heard.iter().any(|message| matches!(message, Message::UpdateAddHtlc(_)));
        due(!offered, || format!("the push was spent after {blocks} blocks"))?;
        bench.mine(1)?;
    }
    due(ready(&bench) == 1, || format!("{} channel_ready at the depth", ready(&bench)))?;
    bench.is_paid(BENT, 10_000_000)?;
    bench.settle()?;
    let offered = bench.peers[BENT].heard.iter().any(|message| matches!(message, Message::UpdateAddHtlc(_)));
    due(offered, || "the push cannot be spent at the depth".into())
}

/// The node proposes a channel; the peer's answer is bent. What the node does about it.
fn answer_bent(
    bench: &mut Bench,
    bend: impl Fn(&Message) -> Option<Message> + Send + 'static,
) -> Result<Reaction, libtest_mimic::Failed> {
    let address = bench.node.listen;
    bench.peers[BENT].connect(address)?;
    bench.settle()?;
    bench.peers[BENT].bend(move |message| Some(Bent::Instead(vec![bend(message)?.encode()])));
    bench.client.openchannel(request(bench.peers[BENT].id(), 1_000_000, 0))?;
    super::row::meet(bench)
}

/// The node has no channel with the peer, Core no transaction, and the wallet all its coins.
fn came_to_nothing(bench: &mut Bench, what: &str) -> Outcome {
    let id = bench.peers[BENT].id();
    let left = bench.channels()?.into_iter().filter(|channel| channel.peer == id).count();
    due(left == 0, || format!("{what}: the node keeps a channel"))?;
    bench.chain.look_again();
    let published = bench.chain.mempool()?.len();
    due(published == 0, || format!("{what}: {published} transactions in the mempool"))
}

fn accept_channel() -> Outcome {
    type Break = fn(&mut AcceptChannel);
    let cases: [(&str, Break); 8] = [
        ("below our dust limit", |accept| accept.channel_reserve_satoshis = Sat::new(353)),
        ("channel_type is missing", |accept| accept.channel_type = None),
        ("differs from the one", |accept| accept.channel_type = Some(Features::of(&[12]))),
        ("to_self_delay", |accept| accept.to_self_delay = 2017),
        ("max_accepted_htlcs", |accept| accept.max_accepted_htlcs = 484),
        ("minimum_depth", |accept| accept.minimum_depth = 145),
        ("htlc_minimum_msat", |accept| accept.htlc_minimum_msat = Msat::new(1_000_000_000)),
        ("below 354", |accept| accept.dust_limit_satoshis = Sat::new(353)),
    ];
    let mut bench = Bench::start(1, &[])?;
    for (text, broken) in cases {
        let reaction = answer_bent(&mut bench, move |message| match message {
            Message::AcceptChannel(accept) => {
                let mut accept = accept.clone();
                broken(&mut accept);
                Some(Message::AcceptChannel(accept))
            }
            _ => None,
        })?;
        let errors = reaction.errors();
        let right = matches!(&errors[..], [error] if error.contains(text)) && !reaction.closed;
        due(right, || format!("{text}: {reaction:?}"))?;
        came_to_nothing(&mut bench, text)?;
    }
    Ok(())
}

/// The twin of a signature that no mempool takes (BIP 146).
pub fn high_s(signature: &Signature) -> Signature {
    let mut bytes = signature.serialize_compact();
    let s = secp256k1::SecretKey::from_slice(&bytes[32..]).expect("S is a number below the order").negate();
    bytes[32..].copy_from_slice(&s.secret_bytes());
    Signature::from_compact(&bytes).expect("both numbers are below the order")
}

/// A signature of something else.
pub fn foreign() -> Signature {
    let key = NodeSeed::new([90; 32]).node_secret();
    secp256k1::SECP256K1.sign_ecdsa(&secp256k1::Message::from_digest([1; 32]), &key)
}

fn funding_created() -> Outcome {
    let mut bench = Bench::start(1, &[])?;
    for high in [false, true] {
        let address = bench.node.listen;
        bench.peers[BENT].connect(address)?;
        bench.settle()?;
        bench.peers[BENT].bend(move |message| {
            let Message::FundingCreated(created) = message else { return None };
            let mut created = created.clone();
            created.signature = if high { high_s(&created.signature) } else { foreign() };
            Some(Bent::Instead(vec![Message::FundingCreated(created).encode()]))
        });
        let request = request(bench.node.id, 1_000_000, 0);
        bench.peers[BENT].command(Command::Open(request))?;
        let reaction = super::row::meet(&mut bench)?;
        let errors = reaction.errors();
        let right = matches!(&errors[..], [error] if error.contains("signature"));
        due(right, || format!("high S: {high}: {reaction:?}"))?;
        came_to_nothing(&mut bench, "funding_created")?;
    }
    Ok(())
}

fn funding_signed() -> Outcome {
    let mut bench = Bench::start(1, &[])?;
    for high in [false, true] {
        let reaction = answer_bent(&mut bench, move |message| {
            let Message::FundingSigned(FundingSigned { channel_id, signature }) = message else {
                return None;
            };
            let signature = if high { high_s(signature) } else { foreign() };
            Some(Message::FundingSigned(FundingSigned { channel_id: *channel_id, signature }))
        })?;
        let errors = reaction.errors();
        let right = matches!(&errors[..], [error] if error.contains("signature"));
        due(right, || format!("high S: {high}: {reaction:?}"))?;
        came_to_nothing(&mut bench, "funding_signed")?;
    }
    Ok(())
}

/// The connection breaks while the node waits for `funding_signed`. Its owner waits for the funding transaction, which will never be there.
fn lost_on_the_way() -> Outcome {
    let mut bench = Bench::start(1, &[])?;
    bench.peers[BENT]
        .bend(|message| matches!(message, Message::FundingSigned(_)).then(|| Bent::Instead(Vec::new())));
    bench.client.openchannel(request(bench.peers[BENT].id(), 1_000_000, 0))?;
    super::row::meet(&mut bench)?;
    let channel = bench.channels()?.first().ok_or("the opening is not listed")?.channel_id;
    let mut owner = bench.node.client()?;
    let wait = Call::Published { channel, more_than: Some(0) };
    let waits = std::thread::spawn(move || owner.call(&wait));
    // By its answer the node waits, as a rule; if not, the channel is gone before, which is an answer too.
    bench.channels()?;
    bench.peers[BENT].disconnect();
    let answer = waits.join().map_err(|_| "the client panicked")?;
    let told = matches!(&answer, Err(error) if error.to_string().contains("channel"));
    due(told, || format!("{answer:?}"))?;
    came_to_nothing(&mut bench, "the connection broke")
}

/// `option_scid_alias` (46) hides a channel's real name. This node does not offer it, so that the real name is the only one: what a peer
/// gives for an alias all the same is no way through, and takes nothing away. (With 46 in the type an opening is refused: N10.)
fn alias() -> Outcome {
    const ALIAS: ShortChannelId = ShortChannelId(1 << 40);
    let mut bench = Bench::start(2, &[])?;
    bench.peers[WITNESS].bend(|message| {
        let Message::ChannelReady(ready) = message else { return None };
        let ready = ChannelReady { alias: Some(ALIAS), ..ready.clone() };
        Some(Bent::Changed(Message::ChannelReady(ready).encode()))
    });
    for peer in [BENT, WITNESS] {
        bench.propose(peer, 1_000_000, 400_000)?;
    }
    bench.confirm()?;
    due(bench.peers[WITNESS].is_bent(), || "there was no channel_ready".into())?;
    for message in &bench.peers[WITNESS].heard {
        let fine = match message {
            Message::Init(init) => ![46, 47].iter().any(|bit| init.features.has(*bit)),
            Message::ChannelReady(ready) => ready.alias.is_none(),
            _ => true,
        };
        due(fine, || format!("{message:?}"))?;
    }
    for (over, arrives) in [(Some(ALIAS), false), (None, true)] {
        let hash = through(&mut bench, over, None, (6_000, 40))?;
        bench.settle()?;
        due(bench.peers[BENT].has_paid(hash) == arrives, || format!("over {over:?}: {arrives} is due"))?;
    }
    Ok(())
}

fn shutdown_scripts() -> Outcome {
    let p2wpkh = |byte: u8| ScriptBuf::from_bytes([&[0, 20][..], &[byte; 20]].concat());
    let mut bench = Bench::start(2, &[])?;
    bench.peers[BENT].bend(move |message| {
        let Message::OpenChannel(open) = message else { return None };
        let open = OpenChannel { upfront_shutdown_script: Some(p2wpkh(7)), ..open.as_ref().clone() };
        Some(Bent::Changed(Message::OpenChannel(Box::new(open)).encode()))
    });
    for peer in [BENT, WITNESS] {
        bench.propose(peer, 1_000_000, 400_000)?;
    }
    let channel = bench.confirm()?[BENT].ok_or("the channel is not ready")?;
    let shutdown = Shutdown { channel_id: channel, scriptpubkey: p2wpkh(8), unknown: Vec::new() };
    bench.peers[BENT].raw().send(&Message::Shutdown(shutdown));
    let reaction = bench.peers[BENT].listen()?;
    let right = matches!(&reaction.warnings()[..], [text] if text.contains("upfront_shutdown_script"));
    due(right && reaction.closed, || format!("{reaction:?}"))?;
    // Before `funding_created` there is nothing to shut down.
    let id = ChannelId([5; 32]);
    let secret = NodeSeed::new([90; 32]).node_secret();
    let mut stranger = RawPeer::greet(&secret, bench.node.id, bench.node.listen)?;
    stranger.send(&Message::OpenChannel(Box::new(proposal(id))));
    stranger.send(&Message::Shutdown(Shutdown {
        channel_id: id,
        scriptpubkey: p2wpkh(9),
        unknown: Vec::new(),
    }));
    let mut reaction = stranger.reaction()?;
    reaction.messages.retain(|message| !matches!(message, Message::AcceptChannel(_)));
    due(is_refused(&reaction, id, "before the funding"), || format!("too early: {reaction:?}"))?;
    due(bench.pays(WITNESS, 1_000_000)?, || "another peer's channel suffers".into())
}
