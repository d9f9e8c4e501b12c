//! A small run made by hand for the checks' tests: alice (0) pays carol (2) through bob (1). Channel 0 is alice's with bob,
//! channel 1 bob's with carol; each holds one HTLC of 100,000 sat in commitment 1 of both ends.
use super::course::{side, Course, How, Htlc, Landing, Limits, Output, Removal};
use super::{Moment, Released, Replay, Spend};
use bitcoin::hashes::Hash;
use bitcoin::{OutPoint, Txid, Witness};
use leyden_core::ids::Preimage;
use leyden_core::keys::NodeSeed;
use leyden_core::tx::{ChannelTerms, ChannelType, PartyTerms};
use leyden_core::units::{CltvExpiry, FeeratePerKw, Msat, Sat};

/// The HTLC that alice offered bob; it expires at height 140.
pub const INCOMING: (usize, usize) = (0, 0);
/// The HTLC that bob offered carol for it; it expires at height 100.
pub const OUTGOING: (usize, usize) = (1, 0);
/// R.
pub const PREIMAGE: Preimage = Preimage([7; 32]);

pub fn at(place: usize, height: u32) -> Moment {
    Moment { place, height }
}

pub fn txid(byte: u8) -> Txid {
    Txid::from_byte_array([byte; 32])
}

/// The run, both HTLCs in both commitments for good, nothing settled.
pub fn replay() -> Replay {
    let courses = [[0, 1], [1, 2]].map(|ends| {
        let mut course = course(ends);
        let expiry = if ends == [0, 1] { 140 } else { 100 };
        course.offer(htlc(expiry, ends[0] * 10 + 10));
        course
    });
    let mut replay = Replay { courses: courses.into(), ..Replay::default() };
    replay.courses[0].htlcs[0].onward = Some(OUTGOING);
    replay.courses[1].htlcs[0].back = Some(INCOMING);
    replay.beach.grow_to(50);
    replay
}

fn course(ends: [usize; 2]) -> Course {
    let party = |party: usize| PartyTerms {
        basepoints: NodeSeed::new([party as u8 + 1; 32]).channel_keys(0).basepoints(),
        dust_limit: Sat::new(354),
        to_self_delay: 144,
    };
    let terms = ChannelTerms {
        channel_type: ChannelType::AnchorsZeroFeeHtlc,
        funding: OutPoint::new(txid(0xf0 + ends[0] as u8), 0),
        funding_amount: Sat::new(1_000_000),
        opener: side(0),
        local: party(ends[0]),
        remote: party(ends[1]),
    };
    let limits = Limits { reserve: Sat::new(10_000), max_accepted_htlcs: 483 };
    let name = ["alice-bob", "bob-carol"][ends[0]].to_string();
    let mut course = Course::new(name, ends, terms, [limits; 2], Msat::ZERO);
    course.feerates = [0, 1].map(|_| vec![(0, FeeratePerKw::new(1000))]);
    course
}

fn htlc(expiry: u32, place: usize) -> Htlc {
    Htlc {
        key: (0, 0),
        amount: Msat::new(100_000_000),
        hash: PREIMAGE.payment_hash(),
        expiry: CltvExpiry::new(expiry),
        offered: at(place, 50),
        committed: [Some(at(place + 1, 50)); 2],
        from: [Some(1); 2],
        until: [None; 2],
        removal: None,
        forgotten: false,
        onward: None,
        back: None,
    }
}

/// The HTLC's receiver settles it on the wire, for good.
pub fn settle(replay: &mut Replay, (course, place): (usize, usize), how: How, now: Moment) {
    let htlc = &mut replay.courses[course].htlcs[place];
    htlc.removal = Some(Removal { how, sent: now, settled: [Some(now); 2] });
    htlc.until = [Some(2); 2];
}

/// `holder`'s commitment 1 of a channel is mined: to_local, to_remote and the HTLC. Its txid.
pub fn land(replay: &mut Replay, course: usize, holder: usize, height: u32) -> Txid {
    let commitment = txid(0xc0 + course as u8);
    let outputs = [(850_000, Output::ToLocal), (50_000, Output::ToRemote), (100_000, Output::Htlc(0))];
    let outputs = outputs.map(|(amount, output)| (Sat::new(amount), output)).into();
    let landing = Landing { holder, number: 1, outputs, trimmed: Vec::new() };
    let channel = &mut replay.courses[course];
    channel.landings.insert(commitment, landing);
    channel.spent = Some(at(100, height));
    let funding = channel.funding();
    mine(replay, funding, commitment, height, &[1]);
    (0..3).for_each(|vout| replay.beach.watch(OutPoint::new(commitment, vout)));
    commitment
}

/// A transaction spends this with witness items of these lengths; an item of 32 bytes is R.
pub fn mine(replay: &mut Replay, spent: OutPoint, by: Txid, height: u32, lengths: &[usize]) {
    let item = |length: &usize| if *length == 32 { PREIMAGE.0.to_vec() } else { vec![1; *length] };
    let witness = Witness::from_slice(&lengths.iter().map(item).collect::<Vec<_>>());
    replay.beach.put(spent, Spend { txid: by, input: 0, height, witness });
}

/// `end` gave up its commitment 1, and the other end knows.
pub fn give_up(replay: &mut Replay, course: usize, end: usize) {
    let released = |place| Released { sent: at(place, 50), arrived: Some(at(place + 1, 50)) };
    replay.courses[course].released[end] = vec![released(40), released(50)];
}
