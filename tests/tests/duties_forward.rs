//! Duties of a node that forwards or receives, towards an upstream peer whose every step is under control: one channel end
//! that signs, revokes and sends only when told to.
mod node_world;

use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version;
use bitcoin::{OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, WPubkeyHash, Witness};
use leyden_core::channel::{
    Channel, ChannelConfig, Command, Confirmed, Effect, Input, Offer, OpenRequest, Origin, Refusal, Step,
};
use leyden_core::ids::{ChannelId, PaymentHash, Preimage, ShortChannelId};
use leyden_core::node::Event;
use leyden_core::payment::failure::{attribute, Failure, SharedSecret};
use leyden_core::payment::invoice::Invoice;
use leyden_core::payment::onion::{build, HopPayload, SentOnion};
use leyden_core::tx::ChannelType;
use leyden_core::units::{CltvExpiry, FeeratePerKw, Msat, Sat};
use leyden_core::wire::Message;
use node_world::{seed, World};
use std::collections::VecDeque;
use std::sync::Arc;

/// The node of the world that is played here.
const UPSTREAM: usize = 2;
/// The node under test.
const NODE: usize = 0;
/// A real node behind it.
const DOWNSTREAM: usize = 1;

/// One end of a channel with node 0.
struct Upstream {
    channel: Channel,
    out: VecDeque<Message>,
    effects: Vec<Effect>,
    funding: Option<Transaction>,
}

/// Three nodes of which 0 and 1 have a channel, and the third is played over its own channel with 0.
fn line() -> (World, Upstream, ShortChannelId) {
    let mut world = World::new(3);
    let (_, name) = world.open(NODE, DOWNSTREAM, 1_000_000, 100_000);
    world.disconnect(NODE, UPSTREAM);
    let peer = world.id(UPSTREAM);
    world.deliver(NODE, Event::Connected { peer });
    world.unheard.clear();
    let init = leyden_core::peer::Peer::hello().encode();
    world.deliver(NODE, Event::Message { peer, bytes: init });
    let request = OpenRequest {
        peer: world.id(NODE),
        funding_amount: Sat::new(1_000_000),
        push: Msat::new(100_000_000),
        channel_type: ChannelType::AnchorsZeroFeeHtlc,
        commitment_feerate: FeeratePerKw::new(1000),
        funding_feerate: FeeratePerKw::new(1000),
        public: true,
    };
    let (keys, id) = (seed(UPSTREAM).channel_keys(0), ChannelId([5; 32]));
    let destination = ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array([5; 20]));
    // This end keeps to no limit on dust: the node must not rely on it.
    let config = ChannelConfig { max_dust_htlc_exposure: Msat::new(u64::MAX), ..ChannelConfig::default() };
    let step = Channel::open(&request, &config, keys, 0, id, destination, &world.env).unwrap();
    let channel = step.channel.clone();
    let mut upstream = Upstream { channel, out: VecDeque::new(), effects: Vec::new(), funding: None };
    upstream.took(&world, step);
    upstream.talk(&mut world);
    let funding = upstream.funding.clone().expect("the channel is funded");
    world.mempool.push(funding.clone());
    for n in 0..3 {
        world.mine(1);
        let confirmed = Confirmed { tx: Arc::new(funding.clone()), index: 0 };
        let transactions = if n == 0 { vec![confirmed] } else { Vec::new() };
        upstream.input(&world, Input::BlockConnected { height: world.env.height, transactions });
    }
    upstream.talk(&mut world);
    assert!(upstream.channel.is_usable());
    (world, upstream, name)
}

impl Upstream {
    fn input(&mut self, world: &World, input: Input) {
        let step = self.channel.step(input, &world.env).expect("nothing is refused");
        self.took(world, step);
    }

    fn command(&mut self, world: &World, command: Command) {
        self.input(world, Input::Command(command));
    }

    fn took(&mut self, world: &World, step: Step) {
        self.channel = step.channel;
        for effect in step.effects {
            match effect {
                Effect::Send(message) => self.out.push_back(message),
                Effect::FundingNeeded { script, amount, .. } => {
                    let tx = funding_tx(script, amount);
                    self.funding = Some(tx.clone());
                    self.command(world, Command::Funded { tx, vout: 0 });
                }
                effect => self.effects.push(effect),
            }
        }
    }

    /// Sends what waits here, and takes in what the node says.
    fn exchange(&mut self, world: &mut World) -> bool {
        let before = self.out.len() + world.unheard.len();
        while let Some(message) = self.out.pop_front() {
            let peer = world.id(UPSTREAM);
            world.deliver(NODE, Event::Message { peer, bytes: message.encode() });
            world.run();
        }
        while let Some((_, to, bytes)) = world.unheard.pop_front() {
            if let (UPSTREAM, Ok(message)) = (to, Message::decode(&bytes)) {
                self.input(world, Input::Message(message));
            }
        }
        before > 0
    }

    /// Until both are at rest.
    fn talk(&mut self, world: &mut World) {
        world.run();
        while self.exchange(world) {
            self.command(world, Command::Commit);
        }
    }

    /// Offers the onion with this expiry, `n` being its number in the test.
    fn offer(
        &mut self,
        world: &World,
        n: u64,
        amount: u64,
        hash: PaymentHash,
        expiry: u32,
        onion: &SentOnion,
    ) {
        self.command(
            world,
            Command::Add(Offer {
                amount: Msat::new(amount),
                payment_hash: hash,
                incoming_expiry: None,
                cltv_expiry: CltvExpiry::new(expiry),
                onion: onion.packet.clone(),
                origin: Origin::Own { attempt: n },
            }),
        );
    }

    fn preimages(&self) -> Vec<(u64, Preimage)> {
        let fulfilled = |effect: &Effect| match effect {
            Effect::Fulfilled { origin: Origin::Own { attempt }, preimage } => Some((*attempt, *preimage)),
            _ => None,
        };
        self.effects.iter().filter_map(fulfilled).collect()
    }

    /// Which offers were refused, by which hop, with what.
    fn failures(&self, secrets: &[SharedSecret]) -> Vec<(u64, Option<(usize, Failure)>)> {
        let failed = |effect: &Effect| match effect {
            Effect::Failed { origin: Origin::Own { attempt }, refusal: Refusal::Encrypted(reason) } => {
                Some((*attempt, attribute(secrets, reason)))
            }
            _ => None,
        };
        self.effects.iter().filter_map(failed).collect()
    }
}

fn funding_tx(script_pubkey: ScriptBuf, amount: Sat) -> Transaction {
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint { txid: Txid::from_byte_array([3; 32]), vout: 3 },
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output: vec![TxOut { value: amount.to_amount(), script_pubkey }],
    }
}

fn last_hop(text: &str, amount: u64, expiry: u32) -> HopPayload {
    HopPayload::Final {
        amt_to_forward: Msat::new(amount),
        outgoing_cltv_value: CltvExpiry::new(expiry),
        payment_secret: Some(Invoice::parse(text).unwrap().payment_secret.0),
        total_msat: Some(Msat::new(amount)),
        payment_metadata: None,
    }
}

/// An onion through node 0 to node 1, of 50,000,000 msat to its invoice; the hash and what to offer node 0.
fn through(world: &mut World, name: ShortChannelId) -> (SentOnion, PaymentHash, u64, u32) {
    let (text, hash) = world.invoice(DOWNSTREAM, 50_000_000);
    let expiry = world.env.height.get() + 30;
    let onward = HopPayload::Intermediate {
        amt_to_forward: Msat::new(50_000_000),
        outgoing_cltv_value: CltvExpiry::new(expiry),
        short_channel_id: name,
    };
    let last = last_hop(&text, 50_000_000, expiry);
    let hops = [(world.id(NODE), onward), (world.id(DOWNSTREAM), last)];
    let onion = build(&seed(9).node_secret(), &hops, &hash).unwrap();
    (onion, hash, 50_000_000 + 1000 + 5000, expiry + 40)
}

#[test]
fn n39_an_htlc_is_offered_downstream_only_when_upstream_revoked() {
    let (mut world, mut upstream, name) = line();
    let (onion, hash, amount, expiry) = through(&mut world, name);
    upstream.offer(&world, 0, amount, hash, expiry, &onion);
    upstream.command(&world, Command::Commit);
    let pending = |world: &mut World| -> Vec<usize> {
        world.channels(DOWNSTREAM).iter().map(|channel| channel.pending_htlcs).collect()
    };
    // Up to the node's own signature; our answer to it stays here.
    while !upstream.out.iter().any(|message| matches!(message, Message::RevokeAndAck(_))) {
        assert!(upstream.exchange(&mut world));
    }
    let sent = world.history.len();
    assert_eq!(pending(&mut world), [0]);
    upstream.talk(&mut world);
    let added = world.history[sent..].iter().any(|(n, event, _)| {
        matches!(event, Event::Message { bytes, .. } if *n == DOWNSTREAM && bytes[..2] == [0, 128])
    });
    assert!(added, "and then it is");
    assert_eq!(upstream.preimages().len(), 1);
}

#[test]
fn n70_an_onion_that_comes_twice_is_forwarded_once() {
    let (mut world, mut upstream, name) = line();
    let (onion, hash, amount, expiry) = through(&mut world, name);
    upstream.offer(&world, 0, amount, hash, expiry, &onion);
    upstream.offer(&world, 1, amount, hash, expiry, &onion);
    upstream.talk(&mut world);
    assert_eq!(upstream.preimages().iter().map(|(n, _)| *n).collect::<Vec<_>>(), [0]);
    let failures = upstream.failures(&onion.shared_secrets);
    assert!(matches!(&failures[..], [(1, Some((0, _)))]), "refused by the node itself: {failures:?}");
}

#[test]
fn n43_dust_beyond_the_limit_is_refused_and_its_preimage_kept() {
    let (mut world, mut upstream, _) = line();
    // 353,000 msat are dust under anchors; 14 of them stay within 5,000,000.
    let amount = 353_000;
    let expiry = world.env.height.get() + 50;
    let mut secrets = Vec::new();
    for n in 0..16 {
        let (text, hash) = world.invoice(NODE, amount);
        let hops = [(world.id(NODE), last_hop(&text, amount, expiry))];
        let onion = build(&seed(10 + n as usize).node_secret(), &hops, &hash).unwrap();
        upstream.offer(&world, n, amount, hash, expiry, &onion);
        secrets.push(onion.shared_secrets);
    }
    upstream.talk(&mut world);
    assert_eq!(upstream.preimages().len(), 14);
    for n in [14, 15] {
        let failures = upstream.failures(&secrets[n]);
        let (_, failure) = failures.iter().find(|(attempt, _)| *attempt == n as u64).unwrap();
        assert!(matches!(failure, Some((0, Failure::TemporaryChannelFailure { .. }))), "{failure:?}");
    }
}

#[test]
fn n72_every_wrong_detail_gets_the_same_answer() {
    let (mut world, mut upstream, _) = line();
    let (height, amount) = (world.env.height.get(), 10_000_000);
    let (text, hash) = world.invoice(NODE, amount);
    let good = |expiry| last_hop(&text, amount, expiry);
    let wrong = |change: fn(&mut HopPayload)| {
        let mut payload = good(height + 50);
        change(&mut payload);
        payload
    };
    let cases = [
        (
            "no secret",
            hash,
            wrong(|hop| {
                if let HopPayload::Final { payment_secret, .. } = hop {
                    *payment_secret = None
                }
            }),
        ),
        (
            "another secret",
            hash,
            wrong(|hop| {
                if let HopPayload::Final { payment_secret, .. } = hop {
                    *payment_secret = Some([1; 32])
                }
            }),
        ),
        (
            "a part only",
            hash,
            wrong(|hop| {
                if let HopPayload::Final { total_msat, .. } = hop {
                    *total_msat = Some(Msat::new(20_000_000))
                }
            }),
        ),
        ("unknown hash", PaymentHash([1; 32]), good(height + 50)),
        ("too soon", hash, good(height + 17)),
    ];
    for (n, (what, hash, payload)) in cases.into_iter().enumerate() {
        let expiry = match &payload {
            HopPayload::Final { outgoing_cltv_value, .. } => outgoing_cltv_value.get(),
            HopPayload::Intermediate { .. } => 0,
        };
        let onion = build(&seed(20 + n).node_secret(), &[(world.id(NODE), payload)], &hash).unwrap();
        upstream.offer(&world, n as u64, amount, hash, expiry, &onion);
        upstream.talk(&mut world);
        let failures = upstream.failures(&onion.shared_secrets);
        let (_, failure) = failures.iter().find(|(attempt, _)| *attempt == n as u64).unwrap();
        let due = Failure::IncorrectOrUnknownPaymentDetails {
            htlc_msat: Msat::new(amount),
            height: world.env.height,
        };
        assert_eq!(*failure, Some((0, due)), "{what}");
    }
    assert!(upstream.preimages().is_empty());
}
