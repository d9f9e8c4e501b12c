//! Two channel ends that talk: every message goes over as bytes and is decoded on arrival, every value a step gives is
//! written and read back before it is used. Nothing happens by itself except what a node would do at once:
//! the wallet funds, and what is due is signed when asked for.
#![allow(dead_code)] // each test target uses its own part

pub mod chain;
pub mod drive;

use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version;
use bitcoin::{OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, WPubkeyHash, Witness};
use leyden_core::channel::*;
use leyden_core::ids::{ChannelId, PaymentHash, Preimage};
use leyden_core::keys::NodeSeed;
use leyden_core::tx::{ChannelType, Side};
use leyden_core::units::{BlockHeight, CltvExpiry, FeeratePerKw, Msat, Sat, Timestamp};
use leyden_core::wire::{Message, ONION_PACKET_LEN};
use std::collections::VecDeque;
use std::sync::Arc;

/// One of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Who {
    /// The opener.
    A,
    /// The acceptor.
    B,
}

pub use Who::{A, B};

impl Who {
    /// The other one.
    pub fn other(self) -> Who {
        match self {
            A => B,
            B => A,
        }
    }
}

/// What a pair begins with.
#[derive(Clone, Debug)]
pub struct Setup {
    pub channel_type: ChannelType,
    pub funding: Sat,
    pub push: Msat,
    pub feerate: FeeratePerKw,
    pub a: ChannelConfig,
    pub b: ChannelConfig,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            channel_type: ChannelType::StaticRemotekey,
            funding: Sat::new(1_000_000),
            push: Msat::new(500_000_000),
            feerate: FeeratePerKw::new(1000),
            a: ChannelConfig::default(),
            b: ChannelConfig::default(),
        }
    }
}

/// One end.
pub struct End {
    pub seed: NodeSeed,
    pub channel: Option<Channel>,
    /// The channel as a record.
    pub record: Vec<u8>,
    /// The record that was saved last: what a restart begins with.
    pub saved: Vec<u8>,
    /// Bytes on their way to this end.
    pub inbox: VecDeque<Vec<u8>>,
    /// Every effect so far, messages excepted.
    pub effects: Vec<Effect>,
    /// Every message sent so far.
    pub sent: Vec<Message>,
    pub config: ChannelConfig,
}

/// Both ends.
pub struct Pair {
    pub a: End,
    pub b: End,
    pub env: Env,
    pub setup: Setup,
    pub funding_tx: Option<Transaction>,
    /// Whether keys are derived before they are needed, as an idle node does.
    pub ahead: bool,
}

impl Pair {
    /// Two ends and no channel yet.
    pub fn strangers(setup: Setup) -> Self {
        let end = |byte, config: &ChannelConfig| End {
            seed: NodeSeed::new([byte; 32]),
            channel: None,
            record: Vec::new(),
            saved: Vec::new(),
            inbox: VecDeque::new(),
            effects: Vec::new(),
            sent: Vec::new(),
            config: config.clone(),
        };
        let env = Env::new(Timestamp::ZERO, BlockHeight::new(100), setup.feerate);
        Self { a: end(1, &setup.a), b: end(2, &setup.b), env, setup, funding_tx: None, ahead: false }
    }

    /// A channel in normal operation.
    pub fn open(setup: Setup) -> Self {
        let mut pair = Self::funded(setup);
        pair.confirm_funding();
        assert!(pair.channel(A).is_usable() && pair.channel(B).is_usable());
        pair.a.effects.clear();
        pair.b.effects.clear();
        pair
    }

    /// A channel whose funding is not mined yet.
    pub fn funded(setup: Setup) -> Self {
        let mut pair = Self::strangers(setup);
        pair.propose().unwrap();
        pair.drain();
        assert!(pair.channel(A).is_funded() && pair.channel(B).is_funded());
        pair
    }

    /// `open_channel` is on its way.
    pub fn propose(&mut self) -> Result<(), Rejection> {
        let setup = &self.setup;
        let request = OpenRequest {
            peer: node_id(&self.b.seed),
            funding_amount: setup.funding,
            push: setup.push,
            channel_type: setup.channel_type,
            commitment_feerate: setup.feerate,
            funding_feerate: setup.feerate,
            public: true,
        };
        let (keys, id) = (self.a.seed.channel_keys(7), ChannelId([9; 32]));
        let step = Channel::open(&request, &self.a.config, keys, 7, id, destination(1), &self.env)?;
        self.took(A, step);
        Ok(())
    }

    /// The funding is mined and deep enough for both.
    pub fn confirm_funding(&mut self) {
        let tx = self.funding_tx.clone().unwrap();
        self.mine(vec![tx]);
        self.mine_empty(2);
        self.drain();
    }

    pub fn end(&self, who: Who) -> &End {
        match who {
            A => &self.a,
            B => &self.b,
        }
    }

    pub fn end_mut(&mut self, who: Who) -> &mut End {
        match who {
            A => &mut self.a,
            B => &mut self.b,
        }
    }

    pub fn channel(&self, who: Who) -> &Channel {
        self.end(who).channel.as_ref().unwrap()
    }

    /// One input to one end.
    pub fn input(&mut self, who: Who, input: Input) -> Result<(), Rejection> {
        let mut channel = self.channel(who).clone();
        while self.ahead && channel.derive_ahead() {}
        let step = channel.step(input, &self.env)?;
        self.took(who, step);
        Ok(())
    }

    pub fn command(&mut self, who: Who, command: Command) -> Result<(), Rejection> {
        self.input(who, Input::Command(command))
    }

    fn took(&mut self, who: Who, step: Step) {
        let bytes = step.channel.encode();
        if step.save {
            self.end_mut(who).saved = bytes.clone();
        }
        if bytes != self.end(who).record {
            let seed = self.end(who).seed.clone();
            let mut channel = Channel::decode(&bytes, |index| seed.channel_keys(index)).unwrap();
            step.channel
                .revoked_states()
                .for_each(|(number, htlcs)| channel.remember_revoked(number, htlcs.clone()));
            assert_eq!(channel.encode(), bytes, "a saved state reads back as another one");
            self.end_mut(who).record = bytes;
            self.end_mut(who).channel = Some(channel);
        }
        for effect in step.effects {
            match effect {
                Effect::Send(message) => {
                    self.end_mut(who.other()).inbox.push_back(message.encode());
                    self.end_mut(who).sent.push(message);
                }
                Effect::FundingNeeded { script, amount, .. } => {
                    let tx = funding_tx(script, amount);
                    self.funding_tx = Some(tx.clone());
                    self.command(who, Command::Funded { tx, vout: 0 }).unwrap();
                }
                effect => self.end_mut(who).effects.push(effect),
            }
        }
    }

    /// The oldest message on its way to this end arrives. Whether there was one.
    pub fn deliver(&mut self, to: Who) -> bool {
        let Some(bytes) = self.end_mut(to).inbox.pop_front() else { return false };
        let message = Message::decode(&bytes).unwrap();
        self.receive(to, message);
        true
    }

    /// A message arrives that the other end may never have sent.
    pub fn receive(&mut self, to: Who, message: Message) {
        if let (Message::OpenChannel(open), None) = (&message, &self.end(to).channel) {
            let end = self.end(to);
            let keys = end.seed.channel_keys(3);
            let peer = node_id(&self.end(to.other()).seed);
            let step = Channel::accept(peer, open, &end.config, keys, 3, destination(2), &self.env);
            return self.took(to, step.unwrap());
        }
        self.input(to, Input::Message(message)).unwrap();
    }

    /// All messages arrive, and those that they cause; nothing is signed unasked.
    pub fn drain(&mut self) {
        while self.deliver(B) || self.deliver(A) {}
    }

    /// Everything arrives and is signed until both sides are at rest.
    pub fn settle(&mut self) {
        for _ in 0..50 {
            self.drain();
            for who in [A, B] {
                self.command(who, Command::Commit).unwrap();
            }
            if self.a.inbox.is_empty() && self.b.inbox.is_empty() {
                return;
            }
        }
        panic!("the two never come to rest");
    }

    /// The link breaks; what was on its way is lost.
    pub fn cut(&mut self) {
        for who in [A, B] {
            self.end_mut(who).inbox.clear();
            self.input(who, Input::Disconnected).unwrap();
        }
    }

    /// The link stands again; nothing is delivered yet.
    pub fn connect(&mut self) {
        for who in [A, B] {
            self.input(who, Input::Connected).unwrap();
        }
    }

    /// One end stops and starts again from a record. Its link is down.
    pub fn restart(&mut self, who: Who, record: &[u8]) {
        let end = self.end_mut(who);
        let mut channel = Channel::decode(record, |index| end.seed.channel_keys(index)).unwrap();
        for (number, htlcs) in end.channel.iter().flat_map(Channel::revoked_states) {
            channel.remember_revoked(number, htlcs.clone());
        }
        end.channel = Some(channel);
        end.record = record.to_vec();
        end.saved = record.to_vec();
        self.input(who, Input::Disconnected).unwrap();
    }

    /// One block with these transactions, to both.
    pub fn mine(&mut self, txs: Vec<Transaction>) {
        self.env.height = self.env.height.plus(1);
        for who in [A, B] {
            if self.end(who).channel.is_some() {
                let confirmed = |(index, tx): (usize, &Transaction)| Confirmed {
                    tx: Arc::new(tx.clone()),
                    index: index as u32 + 1,
                };
                let transactions = txs.iter().enumerate().map(confirmed).collect();
                self.input(who, Input::BlockConnected { height: self.env.height, transactions }).unwrap();
            }
        }
    }

    pub fn mine_empty(&mut self, blocks: u32) {
        (0..blocks).for_each(|_| self.mine(Vec::new()));
    }

    /// The newest block is gone.
    pub fn unmine(&mut self) {
        let height = self.env.height;
        self.env.height = BlockHeight::new(height.get() - 1);
        for who in [A, B] {
            self.input(who, Input::BlockDisconnected { height }).unwrap();
        }
    }

    /// Offers an HTLC of so many msat, number `n` of the test.
    pub fn add(&mut self, who: Who, n: u8, msat: u64) -> Result<(), Rejection> {
        let offer = offer(n, msat);
        self.command(who, Command::Add(offer))
    }

    /// The last message of this kind that an end sent.
    pub fn last<T>(&self, who: Who, pick: impl Fn(&Message) -> Option<T>) -> T {
        self.end(who).sent.iter().rev().find_map(pick).expect("no such message was sent")
    }

    /// Takes what happened at one end, messages excepted.
    pub fn effects(&mut self, who: Who) -> Vec<Effect> {
        std::mem::take(&mut self.end_mut(who).effects)
    }

    /// The transactions among an end's effects, with their roles.
    pub fn broadcasts(&self, who: Who) -> Vec<(Role, Transaction)> {
        let broadcast = |effect: &Effect| match effect {
            Effect::Broadcast { role, tx } => Some((*role, tx.clone())),
            _ => None,
        };
        self.end(who).effects.iter().filter_map(broadcast).collect()
    }

    /// Whether an end said that it failed the channel, with what words.
    pub fn error_of(&self, who: Who) -> Option<String> {
        self.end(who).sent.iter().find_map(|message| match message {
            Message::Error(error) => Some(String::from_utf8_lossy(&error.data).into_owned()),
            _ => None,
        })
    }

    /// Whether an end warned and hung up, with what words.
    pub fn warning_of(&self, who: Who) -> Option<String> {
        let hung_up = self.end(who).effects.contains(&Effect::Disconnect);
        self.end(who).sent.iter().filter(|_| hung_up).find_map(|message| match message {
            Message::Warning(warning) => Some(String::from_utf8_lossy(&warning.data).into_owned()),
            _ => None,
        })
    }

    /// Both see the same two commitments, and their parts are the funding.
    pub fn assert_agreement(&self) {
        let (a, b) = (self.channel(A), self.channel(B));
        assert!(a.is_at_rest() && b.is_at_rest());
        for (one, other) in [(a, b), (b, a)] {
            let (held, seen) =
                (one.commitment(Side::Local).unwrap(), other.commitment(Side::Remote).unwrap());
            assert_eq!(held.tx, seen.tx, "a commitment differs between its holder and the peer");
            let pending: u64 = one.htlcs().iter().map(|htlc| htlc.amount.get()).sum();
            let (local, remote) = one.balances();
            assert_eq!(local.get() + remote.get() + pending, self.setup.funding.to_msat().get());
            let paid: u64 = held.tx.output.iter().map(|output| output.value.to_sat()).sum();
            assert_eq!(paid + held.fee.get(), self.setup.funding.get());
        }
        assert_eq!(a.balances(), (b.balances().1, b.balances().0));
    }
}

/// The preimage of the test's HTLC `n`.
pub fn preimage(n: u8) -> Preimage {
    Preimage([n; 32])
}

pub fn offer(n: u8, msat: u64) -> Offer {
    Offer {
        amount: Msat::new(msat),
        payment_hash: preimage(n).payment_hash(),
        incoming_expiry: None,
        cltv_expiry: CltvExpiry::new(500 + u32::from(n)),
        onion: Arc::new([n; ONION_PACKET_LEN]),
        origin: Origin::Own { attempt: u64::from(n) },
    }
}

pub fn hash_of(n: u8) -> PaymentHash {
    preimage(n).payment_hash()
}

pub fn node_id(seed: &NodeSeed) -> secp256k1::PublicKey {
    seed.node_secret().public_key(secp256k1::SECP256K1)
}

/// Where an end's money goes.
pub fn destination(byte: u8) -> ScriptBuf {
    ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array([byte; 20]))
}

/// A transaction that nobody signed, which pays the script.
pub fn funding_tx(script_pubkey: ScriptBuf, amount: Sat) -> Transaction {
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint { txid: Txid::all_zeros(), vout: 3 },
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output: vec![TxOut { value: amount.to_amount(), script_pubkey }],
    }
}
