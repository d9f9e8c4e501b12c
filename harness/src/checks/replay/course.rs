//! One channel from its opening on, as the wire tells it: what was agreed, every HTLC's way, the secrets given up. From
//! these any commitment can be built again, so that each output on the chain finds its HTLC. Only a record: it judges nothing.
use super::view::{Change, Key, View};
use super::Moment;
use bitcoin::{OutPoint, Transaction, Txid};
use leyden_core::ids::{ChannelId, PaymentHash, Preimage};
use leyden_core::tx::{
    decode_commitment_number, is_trimmed, ChannelTerms, Commitment, CommitmentKeys, CommitmentSpec,
    Direction, HtlcTerms, Side,
};
use leyden_core::units::{CltvExpiry, CommitmentNumber, FeeratePerKw, Msat, Sat};
use secp256k1::PublicKey;
use std::collections::BTreeMap;

/// How an HTLC was removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// With R.
    Fulfilled(Preimage),
    /// Without.
    Failed,
}

/// What the other end must keep to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Limits {
    /// It must keep so much.
    pub reserve: Sat,
    /// It may have so many HTLCs open.
    pub max_accepted_htlcs: u16,
}

/// The end of an HTLC on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Removal {
    /// With R or without.
    pub how: How,
    /// When it was first sent.
    pub sent: Moment,
    /// When each end knew that it is irrevocable.
    pub settled: [Option<Moment>; 2],
}

/// One HTLC. Ends are numbered: 0 opened the channel, 1 accepted it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Htlc {
    /// The end that offered it, and its id.
    pub key: Key,
    /// Its amount.
    pub amount: Msat,
    /// H(R).
    pub hash: PaymentHash,
    /// The absolute expiry.
    pub expiry: CltvExpiry,
    /// When it was first offered.
    pub offered: Moment,
    /// When each end knew that it is in both commitments for good.
    pub committed: [Option<Moment>; 2],
    /// The first commitment of each end that holds it.
    pub from: [Option<u64>; 2],
    /// The first commitment of each end that is rid of it.
    pub until: [Option<u64>; 2],
    /// How it was removed on the wire.
    pub removal: Option<Removal>,
    /// The link broke before it was signed: it never was.
    pub forgotten: bool,
    /// The HTLC that its receiver offered for it, or that its offerer received for it: channel and place there.
    pub onward: Option<HtlcRef>,
    /// The HTLC that it was forwarded from.
    pub back: Option<HtlcRef>,
}

/// Where an HTLC stands: which channel of the replay, and which of its HTLCs.
pub type HtlcRef = (usize, usize);

impl Htlc {
    /// The end that was offered it.
    pub fn receiver(&self) -> usize {
        1 - self.key.0
    }

    /// Whether commitment `number` of `holder` holds it.
    pub fn is_in(&self, holder: usize, number: u64) -> bool {
        let came = self.from[holder].is_some_and(|from| from <= number);
        came && self.until[holder].is_none_or(|until| number < until)
    }

    /// Whether commitment `number` of `holder` is the first without it, or a later one.
    pub fn was_settled_in(&self, holder: usize, number: u64) -> bool {
        self.until[holder].is_some_and(|until| until <= number)
    }

    /// The preimage that the wire showed.
    pub fn fulfilled(&self) -> Option<Preimage> {
        match self.removal?.how {
            How::Fulfilled(preimage) => Some(preimage),
            How::Failed => None,
        }
    }
}

/// A commitment that was given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Released {
    /// When its secret was sent.
    pub sent: Moment,
    /// When the other end had it.
    pub arrived: Option<Moment>,
}

/// What an output of a commitment on the chain is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Output {
    /// The holder's own.
    ToLocal,
    /// The other end's.
    ToRemote,
    /// This HTLC's, by its place in the course.
    Htlc(usize),
    /// An anchor.
    Anchor,
}

/// A commitment that was handed to the chain or mined.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Landing {
    /// Whose.
    pub holder: usize,
    /// Its number, from 0.
    pub number: u64,
    /// Its outputs, in order: value and what they are.
    pub outputs: Vec<(Sat, Output)>,
    /// HTLCs that it holds without an output.
    pub trimmed: Vec<usize>,
}

/// One channel.
#[derive(Clone, Debug)]
pub struct Course {
    /// Its id.
    pub id: ChannelId,
    /// In words: `alice-bob`.
    pub name: String,
    /// The parties at its ends; the opener first.
    pub ends: [usize; 2],
    /// What was agreed; `Local` is the opener.
    pub terms: ChannelTerms,
    /// What each end asks of the other.
    pub limits: [Limits; 2],
    /// What each end had at first.
    pub start: [Msat; 2],
    /// Each end's feerate from a commitment on.
    pub feerates: [Vec<(u64, FeeratePerKw)>; 2],
    /// Each end's points, as far as they were named.
    pub points: [Vec<PublicKey>; 2],
    /// Every HTLC, in the order of their offers.
    pub htlcs: Vec<Htlc>,
    /// Commitments that each end gave up, in order.
    pub released: [Vec<Released>; 2],
    /// Each end's view.
    pub views: [View; 2],
    /// When the newest signature that reached each end came in.
    pub signed_at: [Option<Moment>; 2],
    /// When its funding was first seen spent, in the mempool or a block.
    pub spent: Option<Moment>,
    /// Commitments seen on their way to the chain.
    pub landings: BTreeMap<Txid, Landing>,
    /// When an end's owner first asked for its end.
    pub asked: Option<Moment>,
    /// When an end called it abandoned.
    pub abandoned: Option<Moment>,
    /// Both ends' balances in the newest commitment of each end.
    newest: [[i128; 2]; 2],
    /// The newest HTLC of each key.
    places: BTreeMap<Key, usize>,
}

/// The side by an end's number.
pub fn side(end: usize) -> Side {
    match end {
        0 => Side::Local,
        _ => Side::Remote,
    }
}

impl Course {
    /// A channel that was just funded.
    pub fn new(name: String, ends: [usize; 2], terms: ChannelTerms, limits: [Limits; 2], push: Msat) -> Self {
        let start = [terms.funding_amount.to_msat().saturating_sub(push), push];
        let balances = start.map(|amount| i128::from(amount.get()));
        Self {
            id: ChannelId::from_funding(terms.funding),
            name,
            ends,
            terms,
            limits,
            start,
            feerates: [Vec::new(), Vec::new()],
            points: [Vec::new(), Vec::new()],
            htlcs: Vec::new(),
            released: [Vec::new(), Vec::new()],
            views: [View::default(), View::default()],
            signed_at: [None, None],
            spent: None,
            landings: BTreeMap::new(),
            asked: None,
            abandoned: None,
            newest: [balances; 2],
            places: BTreeMap::new(),
        }
    }

    /// The end of a party.
    pub fn end_of(&self, party: usize) -> Option<usize> {
        self.ends.iter().position(|end| *end == party)
    }

    /// The place of an HTLC by its key.
    pub fn place(&self, key: Key) -> Option<usize> {
        self.places.get(&key).copied()
    }

    /// Writes down an offer; the offerer's view said that it is new.
    pub fn offer(&mut self, htlc: Htlc) -> usize {
        let place = self.htlcs.len();
        self.places.insert(htlc.key, place);
        self.htlcs.push(htlc);
        place
    }

    /// An HTLC by the name that a view gives it.
    pub fn htlc_mut(&mut self, key: Key) -> Option<&mut Htlc> {
        let place = self.place(key)?;
        self.htlcs.get_mut(place)
    }

    /// `signer`'s own view says what its new signature covers.
    pub fn note_signed(&mut self, signer: usize, change: &Change) {
        let Change::Signed { number, added, removed, feerate } = change else { return };
        let holder = 1 - signer;
        for key in added {
            let Some(htlc) = self.htlc_mut(*key) else { continue };
            htlc.from[holder] = Some(*number);
            let amount = i128::from(htlc.amount.get());
            self.newest[holder][key.0] -= amount;
        }
        for key in removed {
            let Some(htlc) = self.htlc_mut(*key) else { continue };
            htlc.until[holder] = Some(*number);
            let paid = if htlc.fulfilled().is_some() { htlc.receiver() } else { htlc.key.0 };
            let amount = i128::from(htlc.amount.get());
            self.newest[holder][paid] += amount;
        }
        self.feerates[holder].extend(feerate.map(|feerate| (*number, feerate)));
    }

    /// What became irrevocable in the view of `end`.
    pub fn note_irrevocable(&mut self, end: usize, change: &Change, now: Moment) {
        let Change::Revoked { added, removed, .. } = change else { return };
        for key in added {
            if let Some(htlc) = self.htlc_mut(*key) {
                htlc.committed[end] = Some(now);
            }
        }
        for key in removed {
            if let Some(removal) = self.htlc_mut(*key).and_then(|htlc| htlc.removal.as_mut()) {
                removal.settled[end] = Some(now);
            }
        }
    }

    /// The feerate of a commitment.
    pub fn feerate(&self, holder: usize, number: u64) -> FeeratePerKw {
        let known = self.feerates[holder].iter().rev().find(|(from, _)| *from <= number);
        known.map_or(FeeratePerKw::ZERO, |(_, feerate)| *feerate)
    }

    /// An HTLC as a commitment of `holder` lists it.
    fn htlc_terms(&self, holder: usize, htlc: &Htlc) -> HtlcTerms {
        HtlcTerms {
            direction: if htlc.key.0 == holder { Direction::Offered } else { Direction::Received },
            id: htlc.key.1,
            amount: htlc.amount,
            payment_hash: htlc.hash,
            cltv_expiry: htlc.expiry,
        }
    }

    /// Whether the HTLC has no output in commitments of `holder` at this feerate.
    pub fn is_trimmed(&self, holder: usize, htlc: &Htlc, feerate: FeeratePerKw) -> bool {
        let terms = self.htlc_terms(holder, htlc);
        let dust_limit = self.terms.party(side(holder)).dust_limit;
        is_trimmed(self.terms.channel_type, dust_limit, feerate, terms.direction, htlc.amount)
    }

    /// Both ends' balances in the newest commitment of `holder`, in millisatoshis; offers are taken off.
    pub fn newest_balances(&self, holder: usize) -> [i128; 2] {
        self.newest[holder]
    }

    /// Both ends' balances in a commitment of `holder`, in millisatoshis; offers are taken off.
    pub fn balances(&self, holder: usize, number: u64) -> [i128; 2] {
        let mut balances = self.start.map(|amount| i128::from(amount.get()));
        for htlc in &self.htlcs {
            let amount = i128::from(htlc.amount.get());
            if htlc.from[holder].is_none_or(|from| from > number) {
                continue;
            }
            balances[htlc.key.0] -= amount;
            if htlc.was_settled_in(holder, number) {
                let paid = if htlc.fulfilled().is_some() { htlc.receiver() } else { htlc.key.0 };
                balances[paid] += amount;
            }
        }
        balances
    }

    /// A commitment of `holder`, built again. Nothing if its point was never named or it would overdraw an end.
    pub fn rebuild(&self, holder: usize, number: u64) -> Option<Commitment> {
        let point = self.points[holder].get(usize::try_from(number).ok()?)?;
        let balances = self.balances(holder, number);
        let amount = |end: usize| u64::try_from(balances[end]).ok().map(Msat::new);
        let held = self.htlcs.iter().filter(|htlc| htlc.is_in(holder, number));
        let spec = CommitmentSpec {
            feerate: self.feerate(holder, number),
            to_holder: amount(holder)?,
            to_counterparty: amount(1 - holder)?,
            htlcs: held.map(|htlc| self.htlc_terms(holder, htlc)).collect(),
        };
        let keys = CommitmentKeys::derive(&self.terms, side(holder), *point);
        Some(Commitment::build(&self.terms, side(holder), CommitmentNumber::new(number), keys, &spec))
    }

    /// The commitment that this spend of the funding is.
    pub fn read_landing(&self, tx: &Transaction) -> Option<Landing> {
        let opener = &self.terms.local.basepoints.payment;
        let acceptor = &self.terms.remote.basepoints.payment;
        let number = decode_commitment_number(tx, opener, acceptor)?.get();
        let txid = tx.compute_txid();
        let built = (0..2).find_map(|holder| {
            let commitment = self.rebuild(holder, number)?;
            (commitment.tx.compute_txid() == txid).then_some((holder, commitment))
        });
        let (holder, commitment) = built?;
        Some(self.landing(holder, number, &commitment))
    }

    fn landing(&self, holder: usize, number: u64, commitment: &Commitment) -> Landing {
        let place = |terms: &HtlcTerms| {
            let offerer = if terms.direction == Direction::Offered { holder } else { 1 - holder };
            // An id that was forgotten and given again names the newest.
            self.place((offerer, terms.id)).unwrap_or_default()
        };
        let role = |vout: u32| {
            let htlc = commitment.htlcs.iter().find(|output| output.vout == vout);
            match htlc {
                Some(output) => Output::Htlc(place(&output.htlc)),
                None if commitment.to_local == Some(vout) => Output::ToLocal,
                None if commitment.to_remote == Some(vout) => Output::ToRemote,
                None => Output::Anchor,
            }
        };
        let outputs = (0u32..).zip(&commitment.tx.output);
        let outputs = outputs.map(|(vout, output)| (Sat::from(output.value), role(vout)));
        let trimmed = commitment.trimmed.iter().map(place).collect();
        Landing { holder, number, outputs: outputs.collect(), trimmed }
    }

    /// Whether the holder gave this commitment up before `place`.
    pub fn gave_up(&self, landing: &Landing, place: usize) -> bool {
        let released = usize::try_from(landing.number).ok();
        let released = released.and_then(|number| self.released[landing.holder].get(number));
        released.is_some_and(|released| released.sent.place < place)
    }

    /// The funding output.
    pub fn funding(&self) -> OutPoint {
        self.terms.funding
    }
}
