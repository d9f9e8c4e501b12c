//! The funding as the chain shows it (BOLT 2, `channel_ready`, N14): a stranger signs over any output that it likes, and real blocks
//! hold what it made of it.
use super::proposal::{funding_created, keys, proposal, terms};
use super::{due, Outcome, Test};
use bitcoin::{Amount, OutPoint, ScriptBuf, TxOut};
use leyden_core::ids::ChannelId;
use leyden_core::keys::NodeSeed;
use leyden_core::tx::{funding_output, ClosingSpec, ClosingTransaction};
use leyden_core::units::{Msat, Sat};
use leyden_core::wire::{AcceptChannel, ClosingSigned, Message, OpenChannel, Shutdown};
use leyden_harness::chain::miner::{build, miner_script, seal};
use leyden_harness::chain::Chain;
use leyden_harness::raw::{Bench, RawPeer};
use libtest_mimic::Failed;

pub const TESTS: &[Test] = &[
    ("n14_a_funding_that_pays_something_else_is_never_ready", something_else),
    ("n14_a_channel_that_is_shut_down_and_funded_wrongly_is_forgotten", shut_down),
    ("n14_a_funding_in_a_coinbase_waits_until_it_can_be_spent", coinbase),
];

/// Confirmations that the node asks for.
const DEPTH: usize = 3;

/// A node, and a stranger that is connected to it.
fn meet() -> Result<(Bench, RawPeer), Failed> {
    let bench = Bench::start(0, &[])?;
    let secret = NodeSeed::new([90; 32]).node_secret();
    let peer = RawPeer::greet(&secret, bench.node.id, bench.node.listen)?;
    Ok((bench, peer))
}

/// A proposal, and the node's answer to it.
struct Begun {
    open: OpenChannel,
    accept: AcceptChannel,
}

impl Begun {
    fn propose(peer: &mut RawPeer, number: u8) -> Result<Self, Failed> {
        let open = proposal(ChannelId([number; 32]));
        peer.send(&Message::OpenChannel(Box::new(open.clone())));
        let accept = peer.reaction()?.messages.into_iter().find_map(|message| match message {
            Message::AcceptChannel(accept) => Some(*accept),
            _ => None,
        });
        Ok(Self { open, accept: accept.ok_or("the proposal is not accepted")? })
    }

    /// What the funding transaction has to pay.
    fn output(&self) -> TxOut {
        let keys = (&self.open.keys.funding_pubkey, &self.accept.keys.funding_pubkey);
        funding_output(keys.0, keys.1, self.open.funding_satoshis)
    }

    /// Up to `funding_signed`: nothing of the lie shows yet.
    fn sign(&self, peer: &mut RawPeer, funding: OutPoint) -> Result<ChannelId, Failed> {
        peer.send(&funding_created(&self.open, &self.accept, funding, &keys()));
        let channel = ChannelId::from_funding(funding);
        let reaction = peer.reaction()?;
        let signed = |message: &Message| matches!(message, Message::FundingSigned(signed) if signed.channel_id == channel);
        due(matches!(&reaction.messages[..], [only] if signed(only)), || format!("{reaction:?}"))?;
        Ok(channel)
    }
}

/// For which channels the node says that they are ready.
fn ready(messages: &[Message]) -> Vec<ChannelId> {
    let ready = |message: &Message| match message {
        Message::ChannelReady(ready) => Some(ready.channel_id),
        _ => None,
    };
    messages.iter().filter_map(ready).collect()
}

fn something_else() -> Outcome {
    type Break = fn(&mut TxOut, &mut u32);
    let (mut bench, mut peer) = meet()?;
    let cases: [(&str, Break); 4] = [
        ("a satoshi less", |output, _| output.value -= Amount::ONE_SAT),
        ("a satoshi more", |output, _| output.value += Amount::ONE_SAT),
        ("another script", |output, _| {
            output.script_pubkey = ScriptBuf::from_bytes([&[0, 32][..], &[7; 32]].concat())
        }),
        ("no such output", |_, vout| *vout = 9),
    ];
    let mut wrong = Vec::new();
    for (number, (what, broken)) in (1..).zip(cases) {
        let begun = Begun::propose(&mut peer, number)?;
        let (mut output, mut vout) = (begun.output(), 0);
        broken(&mut output, &mut vout);
        let txid = bench.pay(vec![output])?.compute_txid();
        wrong.push((what, begun.sign(&mut peer, OutPoint { txid, vout })?));
    }
    bench.mine(DEPTH)?;
    let reaction = peer.reaction()?;
    due(ready(&reaction.messages).is_empty() && !reaction.closed, || format!("{reaction:?}"))?;
    for (what, channel) in wrong {
        let told = |message: &&Message| {
            matches!(message, Message::Error(error)
                if error.channel_id == channel && String::from_utf8_lossy(&error.data).contains("agreed amount"))
        };
        let errors = reaction.messages.iter().filter(told).count();
        due(errors == 1, || format!("{what}: {errors} errors"))?;
    }
    // And the node is free for one that does as it said.
    let begun = Begun::propose(&mut peer, 99)?;
    let txid = bench.pay(vec![begun.output()])?.compute_txid();
    let right = begun.sign(&mut peer, OutPoint { txid, vout: 0 })?;
    bench.mine(DEPTH)?;
    let reaction = peer.reaction()?;
    due(ready(&reaction.messages) == [right], || format!("{reaction:?}"))?;
    let kept: Vec<ChannelId> = bench.channels()?.into_iter().map(|channel| channel.channel_id).collect();
    due(kept == [right], || format!("the node keeps {kept:?}"))
}

impl Begun {
    /// `shutdown` both ways; and where the closing is `signed`, a `closing_signed` as well.
    fn shut_down(&self, peer: &mut RawPeer, funding: OutPoint, signed: bool) -> Outcome {
        let channel_id = ChannelId::from_funding(funding);
        let script = ScriptBuf::from_bytes([&[0, 20][..], &[7; 20]].concat());
        let shutdown = Shutdown { channel_id, scriptpubkey: script.clone(), unknown: Vec::new() };
        peer.send(&Message::Shutdown(shutdown));
        let answer = peer.reaction()?.messages;
        let [Message::Shutdown(nodes)] = &answer[..] else { return Err(format!("{answer:?}").into()) };
        if !signed {
            return Ok(());
        }
        let terms = terms(&self.open, &self.accept, funding);
        let fee_satoshis = Sat::new(1_000);
        let spec = ClosingSpec {
            to_local: self.open.funding_satoshis.to_msat(),
            to_remote: Msat::ZERO,
            local_script: script,
            remote_script: nodes.scriptpubkey.clone(),
            fee: fee_satoshis,
            dust_limit: Sat::new(354),
        };
        let signature = ClosingTransaction::build(&terms, &spec)?.sign(&terms, &keys());
        let closing =
            ClosingSigned { channel_id, fee_satoshis, signature, fee_range: None, unknown: Vec::new() };
        peer.send(&Message::ClosingSigned(closing));
        let answer = peer.reaction()?.messages;
        due(matches!(&answer[..], [Message::ClosingSigned(_)]), || format!("{answer:?}"))
    }
}

/// A peer may close a channel before it is funded. Where it then funds something else, that is no reason to keep the channel: it would
/// count for ever against what may be opening at once.
fn shut_down() -> Outcome {
    let (mut bench, mut peer) = meet()?;
    for (number, signed) in [(1, false), (2, true)] {
        let begun = Begun::propose(&mut peer, number)?;
        let short = TxOut { value: Amount::from_sat(999_999), ..begun.output() };
        let funding = OutPoint { txid: bench.pay(vec![short])?.compute_txid(), vout: 0 };
        begun.sign(&mut peer, funding)?;
        begun.shut_down(&mut peer, funding, signed)?;
        due(bench.channels()?.len() == 1, || "there is no channel".into())?;
        bench.mine(1)?;
        let told = peer.reaction()?.errors();
        let right = matches!(&told[..], [text] if text.contains("agreed amount"));
        due(right, || format!("signed: {signed}: {told:?}"))?;
        let kept = bench.channels()?;
        due(kept.is_empty(), || format!("signed: {signed}: the node keeps {kept:?}"))?;
    }
    Ok(())
}

/// A miner opens a channel with what a block earns. For a hundred blocks nobody could close it alone.
fn coinbase() -> Outcome {
    let (mut bench, mut peer) = meet()?;
    let begun = Begun::propose(&mut peer, 1)?;
    let output = begun.output();
    let mut block = build(bench.chain.tip(), &[], miner_script());
    let earned = &mut block.txdata[0].output;
    earned[0].value -= output.value;
    earned.insert(1, output);
    seal(&mut block);
    let channel = begun.sign(&mut peer, OutPoint { txid: block.txdata[0].compute_txid(), vout: 1 })?;
    bench.connect(block)?;
    bench.mine(98)?;
    let early = peer.reaction()?;
    due(early.messages.is_empty() && !early.closed, || format!("99 deep: {early:?}"))?;
    bench.mine(1)?;
    let ripe = peer.reaction()?;
    due(ready(&ripe.messages) == [channel], || format!("100 deep: {ripe:?}"))
}
