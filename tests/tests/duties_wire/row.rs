//! One row: two peers with a channel each; the first one's message is bent, the second one is the witness that nothing else is touched.
use super::{due, Outcome};
use leyden_core::ids::ChannelId;
use leyden_core::wire::Message;
use leyden_harness::raw::{Bench, Bent, Reaction};

/// The peer whose message is bent.
pub const BENT: usize = 0;
/// The peer that has nothing to do with it.
pub const WITNESS: usize = 1;

/// A bad input and what is due.
pub struct Row {
    pub name: &'static str,
    /// Flags of the node.
    pub flags: &'static [&'static str],
    /// What makes the message.
    pub act: fn(&mut Bench, ChannelId) -> Outcome,
    /// What goes out in its place; none for another message.
    pub bend: fn(&Message) -> Option<Vec<Vec<u8>>>,
    pub due: Due,
}

/// A reaction.
#[derive(Clone, Copy)]
pub enum Due {
    /// No word, and the connection stands.
    Ignored,
    /// A warning with this text, and the connection ends; the channel goes on after a reconnection.
    Warned(&'static str),
    /// As before, for a channel that the peer has brought to where it does not go on.
    WarnedOnly(&'static str),
    /// An error for the channel with this text, and the node's commitment goes to the chain.
    Failed(&'static str),
}

pub fn run(row: &Row) -> Outcome {
    let (mut bench, channel) = two_channels(row.flags)?;
    let bend = row.bend;
    bench.peers[BENT].bend(move |message| bend(message).map(Bent::Instead));
    (row.act)(&mut bench, channel)?;
    let reaction = meet(&mut bench)?;
    judge(&mut bench, channel, &reaction, row.due)
}

/// A node with a channel with each of two peers, opened by them, with 400,000 of 1,000,000 sat on the node's side.
pub fn two_channels(flags: &[&str]) -> Result<(Bench, ChannelId), libtest_mimic::Failed> {
    let mut bench = Bench::start(2, flags)?;
    for peer in [BENT, WITNESS] {
        bench.propose(peer, 1_000_000, 400_000)?;
    }
    let channels = bench.confirm()?;
    let channel = channels[BENT].ok_or("the channel is not ready")?;
    Ok((bench, channel))
}

/// Lets both talk until the message is bent, and gives what the node does about it.
pub fn meet(bench: &mut Bench) -> Result<Reaction, libtest_mimic::Failed> {
    let peer = &mut bench.peers[BENT];
    for _ in 0..100 {
        let reaction = peer.listen()?;
        if peer.is_bent() || reaction.closed {
            due(peer.is_bent(), || format!("the node ended it before: {reaction:?}"))?;
            return Ok(reaction);
        }
        reaction.messages.iter().for_each(|message| peer.hear(message));
        peer.commit();
    }
    Err("the message that is to be bent was never sent".into())
}

/// The reaction is what is due, and the witness has noticed nothing.
pub fn judge(bench: &mut Bench, channel: ChannelId, reaction: &Reaction, what: Due) -> Outcome {
    let phase = bench.channel(channel)?.phase;
    let said = || format!("{reaction:?}, and the channel is {phase}");
    match what {
        Due::Ignored => {
            let silent = reaction.warnings().is_empty() && reaction.errors().is_empty();
            due(silent && !reaction.closed && phase == "normal", said)?;
        }
        Due::Warned(text) | Due::WarnedOnly(text) => {
            let warned = matches!(&reaction.warnings()[..], [warning] if warning.contains(text));
            due(warned && reaction.errors().is_empty() && reaction.closed, said)?;
            due(phase != "on chain", said)?;
        }
        Due::Failed(text) => {
            let error = |message: &Message| match message {
                Message::Error(error) if error.channel_id == channel => {
                    String::from_utf8_lossy(&error.data).contains(text)
                }
                _ => false,
            };
            due(reaction.messages.iter().any(error) && phase == "on chain", said)?;
            let funding = bench.channel(channel)?.terms.ok_or("a channel without terms")?.funding;
            bench.spend_of(funding)?;
        }
    }
    if let Due::Warned(_) = what {
        let address = bench.node.listen;
        bench.peers[BENT].connect(address)?;
        bench.settle()?;
        due(bench.pays(BENT, 1_000_000)?, || "the channel does not go on after a reconnection".into())?;
    }
    due(bench.pays(WITNESS, 1_000_000)?, || "the other peer's channel suffers".into())
}

/// The bytes of one changed message.
pub fn one(message: Message) -> Option<Vec<Vec<u8>>> {
    Some(vec![message.encode()])
}

/// A peer pays the node.
pub fn pays(bench: &mut Bench, _: ChannelId) -> Outcome {
    let (invoice, _) =
        bench.client.invoice(Some(leyden_core::units::Msat::new(10_000_000)), "a test", None)?;
    let max_fee = leyden_core::units::Msat::ZERO;
    bench.peers[BENT].command(leyden_core::node::Command::Pay { invoice, amount: None, max_fee })?;
    bench.peers[BENT].commit();
    Ok(())
}

/// The node pays the peer.
pub fn is_paid(bench: &mut Bench, _: ChannelId) -> Outcome {
    bench.is_paid(BENT, 10_000_000)?;
    Ok(())
}
