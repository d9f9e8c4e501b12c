//! A channel's end on the chain, whatever happens: any HTLCs in both directions, any moment of the dance, any of the commitments that
//! can be mined, any order of claims, a reorganisation. Each offer has one end that is told, and it is the right one.
mod pair;

use bitcoin::Txid;
use leyden_core::channel::*;
use leyden_core::ids::Preimage;
use leyden_core::tx::{ChannelType, Commitment, Side};
use leyden_core::units::CltvExpiry;
use leyden_core::wire::Message;
use pair::chain::Ground;
use pair::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Blocks in which everything must be resolved.
const MOST_BLOCKS: u32 = 600;
/// What is not worth its fee may be left: anchors, and HTLCs this small.
const ECONOMY: u64 = 2_000;
/// HTLC amounts, in msat: dust, and what is worth claiming.
const AMOUNTS: [u64; 4] = [300_000, 12_000_000, 25_000_000, 60_000_000];

/// What is rolled before anything happens.
#[derive(Clone, Debug)]
struct Plan {
    channel_type: ChannelType,
    seed: u64,
    /// Messages and signatures before the close.
    steps: usize,
    closer: Who,
    /// The closer publishes a state of so many steps before.
    cheats: Option<usize>,
    /// At this block after the close, so many are undone.
    reorg: Option<(u32, usize)>,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_offer_has_one_right_end_and_no_output_of_ours_is_left(plan in plans()) {
        let mut run = Run::new(&plan);
        run.dance(&plan);
        run.close(&plan);
        run.resolve(&plan);
        run.judge();
    }
}

fn plans() -> impl Strategy<Value = Plan> {
    let types = prop_oneof![Just(ChannelType::StaticRemotekey), Just(ChannelType::AnchorsZeroFeeHtlc)];
    let closer = prop_oneof![Just(A), Just(B)];
    let reorg = prop::option::of((1..40_u32, 1..6_usize));
    let cheats = prop::option::weighted(0.3, 5..40_usize);
    (types, any::<u64>(), 5..80_usize, closer, cheats, reorg).prop_map(
        |(channel_type, seed, steps, closer, cheats, reorg)| Plan {
            channel_type,
            seed,
            steps,
            closer,
            cheats,
            reorg,
        },
    )
}

/// How an offer ended, as its owner was told first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Fulfilled,
    Failed,
}

struct Run {
    ground: Ground,
    /// The closer's channel after each step.
    past: Vec<Channel>,
    /// HTLCs that an end received for good: their ids and numbers.
    received: Vec<(Who, u64, u8)>,
    /// Offers by number, and who made them.
    offers: BTreeMap<u8, Who>,
    ends: BTreeMap<u8, End>,
    /// Numbers of offers whose preimage their owner was shown.
    shown: BTreeSet<u8>,
    liar: Option<Who>,
    /// The other end said that it punishes the liar.
    punished: bool,
    /// A commitment of the liar that it had revoked two states before the newest: the other end must have its secret.
    old: Option<Txid>,
}

impl Run {
    fn new(plan: &Plan) -> Self {
        let config = ChannelConfig { to_self_delay: 12, ..ChannelConfig::default() };
        let (a, b) = (config.clone(), config);
        let setup = Setup { channel_type: plan.channel_type, a, b, ..Setup::default() };
        let ground = Ground::under(Pair::open(setup), plan.seed);
        let (past, received, offers) = (Vec::new(), Vec::new(), BTreeMap::new());
        let (ends, shown) = (BTreeMap::new(), BTreeSet::new());
        Self { ground, past, received, offers, ends, shown, liar: None, punished: false, old: None }
    }

    /// Any steps of normal operation.
    fn dance(&mut self, plan: &Plan) {
        for _ in 0..plan.steps {
            let who = if self.ground.dice.percent(50) { A } else { B };
            match self.ground.dice.roll(10) {
                0..=2 => self.offer(who),
                3 => self.answer(who),
                4..=5 => self.ground.pair.command(who, Command::Commit).unwrap(),
                _ => self.deliver(who),
            }
            self.listen();
            self.past.push(self.ground.pair.channel(plan.closer).clone());
        }
    }

    fn offer(&mut self, who: Who) {
        let n = self.offers.len() as u8 + 1;
        let amount = AMOUNTS[self.ground.dice.roll(4) as usize];
        let expiry = self.ground.pair.env.height.plus(20 + self.ground.dice.roll(30) as u32);
        let cltv_expiry = CltvExpiry::new(expiry.get());
        let incoming_expiry = Some(CltvExpiry::new(expiry.get() + 40));
        let offer = Offer { cltv_expiry, incoming_expiry, ..offer(n, amount) };
        if self.ground.pair.command(who, Command::Add(offer)).is_ok() {
            self.offers.insert(n, who);
        }
    }

    /// Settles or refuses one of the HTLCs that an end received.
    fn answer(&mut self, who: Who) {
        let Some(place) = self.received.iter().position(|(receiver, ..)| *receiver == who) else { return };
        let (_, id, n) = self.received.remove(place);
        let command = match self.ground.dice.roll(3) {
            0 => Command::Fail { id, reason: vec![7; 9] },
            _ => Command::Fulfill { id, preimage: preimage(n) },
        };
        self.ground.pair.command(who, command).unwrap();
    }

    fn deliver(&mut self, to: Who) {
        let next = self.ground.pair.end(to).inbox.front().map(|bytes| Message::decode(bytes).unwrap());
        if let Some(Message::UpdateFulfillHtlc(message)) = &next {
            self.shown.extend(number(&message.payment_preimage));
        }
        self.ground.pair.deliver(to);
    }

    /// The closer publishes its newest state, or becomes what it was and publishes that.
    fn close(&mut self, plan: &Plan) {
        let back = plan.cheats.map(|back| self.past.len().saturating_sub(back));
        if let Some(old) = back.and_then(|place| self.past.get(place)).cloned() {
            let honest = self.ground.pair.channel(plan.closer.other());
            let number = |commitment: &Commitment| commitment.number.get();
            let newest = honest.commitment(Side::Remote).map(number);
            let long_ago = |commitment: &&Commitment| Some(number(commitment) + 1) < newest;
            self.old = old.commitment(Side::Local).filter(long_ago).map(|old| old.tx.compute_txid());
            let end = self.ground.pair.end_mut(plan.closer);
            end.record = old.encode();
            end.channel = Some(old);
            self.liar = Some(plan.closer);
        }
        self.ground.pair.command(plan.closer, Command::ForceClose).unwrap();
        self.listen();
    }

    /// Blocks, preimages that come late, a look at the mempool now and then, a reorganisation.
    fn resolve(&mut self, plan: &Plan) {
        for block in 0..MOST_BLOCKS {
            let honest = [A, B].into_iter().filter(|who| self.liar != Some(*who));
            if honest.into_iter().all(|who| self.ground.pair.channel(who).is_done()) {
                return;
            }
            self.give_preimage();
            for who in [A, B] {
                if self.ground.dice.percent(20) {
                    let seen = self.ground.show(who);
                    self.read(&seen, &[who]);
                    self.listen();
                }
            }
            self.ground.mine();
            let mined: Vec<_> = self.ground.mined().cloned().collect();
            self.read(&mined, &[A, B]);
            self.listen();
            if let Some((_, blocks)) = plan.reorg.filter(|(at, _)| *at == block) {
                self.ground.unmine(blocks);
                self.listen();
            }
        }
        panic!("not resolved after {MOST_BLOCKS} blocks");
    }

    /// An end learns R of an HTLC that it received.
    fn give_preimage(&mut self) {
        if self.received.is_empty() || !self.ground.dice.percent(15) {
            return;
        }
        let place = self.ground.dice.roll(self.received.len() as u64) as usize;
        let (who, id, n) = self.received.remove(place);
        // A liar may not know this HTLC yet, and a channel that is over has none.
        let _ = self.ground.pair.command(who, Command::Fulfill { id, preimage: preimage(n) });
        self.listen();
    }

    /// What these transactions show to these ends.
    fn read(&mut self, transactions: &[bitcoin::Transaction], ends: &[Who]) {
        let inputs = transactions.iter().flat_map(|tx| &tx.input);
        let elements = inputs.flat_map(|input| input.witness.iter());
        let preimages = elements.filter_map(|element| <[u8; 32]>::try_from(element).ok().map(Preimage));
        let numbers = preimages.filter_map(|preimage| number(&preimage));
        self.shown.extend(numbers.filter(|n| self.offers.get(n).is_some_and(|who| ends.contains(who))));
    }

    fn listen(&mut self) {
        for (who, effect) in self.ground.listen() {
            let told = match effect {
                Effect::Received(received) => {
                    let n = (1..=u8::MAX).find(|n| hash_of(*n) == received.payment_hash).unwrap();
                    self.received.push((who, received.id, n));
                    None
                }
                Effect::Fulfilled { origin, preimage } => {
                    let n = attempt(origin);
                    assert_eq!(preimage.payment_hash(), hash_of(n));
                    assert!(self.shown.contains(&n) || self.liar == Some(who), "R of {n} was not shown");
                    Some((n, End::Fulfilled))
                }
                Effect::Closing { why } => {
                    self.punished |= self.liar != Some(who) && why.contains("it is punished");
                    None
                }
                Effect::Failed { origin, .. } => Some((attempt(origin), End::Failed)),
                _ => None,
            };
            // To a node the first end counts.
            if let Some((n, end)) = told.filter(|_| self.liar != Some(who)) {
                let first = *self.ends.entry(n).or_insert(end);
                let shown = self.shown.contains(&n);
                assert!(first == End::Fulfilled || !shown, "offer {n} failed though its preimage was shown");
            }
        }
    }

    fn judge(&self) {
        for (n, who) in &self.offers {
            if self.liar == Some(*who) {
                continue;
            }
            let end = self.ends.get(n);
            let right = if self.shown.contains(n) { End::Fulfilled } else { End::Failed };
            assert_eq!(end, Some(&right), "offer {n} of {who:?}");
        }
        let left = self.ground.left_over(ECONOMY);
        // A liar that was not caught may have forgotten what is its own.
        let all_known = self.liar.is_none() || self.punished;
        assert!(left.is_empty() || !all_known, "nobody took {left:?}");
        let lied = self.ground.mined().any(|tx| Some(tx.compute_txid()) == self.old);
        assert!(self.punished || !lied, "an old state was mined and nobody punishes it");
        if let Some(liar) = self.liar.filter(|_| self.punished) {
            let gain = self.ground.gain(liar);
            assert!(gain <= 0, "{liar:?} has {gain} sat of a state that it had revoked");
        }
    }
}

/// The number of the offer that this is R of.
fn number(preimage: &Preimage) -> Option<u8> {
    let n = preimage.0[0];
    (*preimage == pair::preimage(n)).then_some(n)
}

fn attempt(origin: Origin) -> u8 {
    match origin {
        Origin::Own { attempt } => attempt as u8,
        Origin::Forward { .. } => panic!("nothing is forwarded here"),
    }
}
