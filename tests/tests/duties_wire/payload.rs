//! What one hop is told (BOLT 4, "`payload` format", N70 to N72): the peer's onions can be opened, and hold what no sender would write.
//! Each is refused by the node itself, encrypted, with the right code; the channel goes on each time.
use super::onion::name;
use super::row::{two_channels, BENT, WITNESS};
use super::{due, Outcome, Test};
use leyden_core::ids::{NodeId, PaymentHash, ShortChannelId};
use leyden_core::keys::NodeSeed;
use leyden_core::payment::failure::{attribute, Failure};
use leyden_core::payment::invoice::Invoice;
use leyden_core::payment::onion::{build_raw, SentOnion};
use leyden_core::units::{BlockHeight, CltvExpiry, Msat};
use leyden_harness::chain::Chain;
use leyden_harness::raw::{Bench, End};
use libtest_mimic::Failed;

pub const TESTS: &[Test] = &[
    ("n70_a_payload_of_impossible_length_is_refused", lengths),
    ("n71_a_hop_that_is_not_told_enough_refuses", intermediate),
    ("n71_n72_a_recipient_that_is_told_the_wrong_things_refuses", last),
];

/// What is offered to the node.
const AMOUNT: u64 = 50_006_000;
/// What the node is to pass on; it asks for 1000 msat and 100 ppm.
const ONWARD: u64 = 50_000_000;
/// Blocks until the offer's expiry.
const EXPIRY: u32 = 80;
/// Blocks until that of what is passed on; it asks for 40 between.
const ONWARD_EXPIRY: u32 = 40;

/// A number without its leading zeros.
fn short(number: u64) -> Vec<u8> {
    number.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect()
}

/// Records as they are given, behind their length.
fn payload(records: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let records = records.iter().map(|(kind, value)| [&[*kind, value.len() as u8][..], value].concat());
    let stream: Vec<u8> = records.flatten().collect();
    [vec![stream.len() as u8], stream].concat()
}

/// The peer's end of a channel, and what onions need.
struct Sender {
    bench: Bench,
    end: End,
    node: NodeId,
    other: NodeId,
    onward: ShortChannelId,
    height: u32,
    offers: u64,
}

impl Sender {
    fn start() -> Result<Self, Failed> {
        let (mut bench, channel) = two_channels(&[])?;
        let onward = name(&mut bench, WITNESS)?;
        let end = bench.peers[BENT].hand_over(channel);
        let (node, other, height) = (bench.node.id, bench.peers[WITNESS].id(), bench.chain.tip().height);
        Ok(Self { bench, end, node, other, onward, height, offers: 0 })
    }

    /// An onion of which the node's part holds this; with a second hop behind it, or none.
    fn onion(&self, told: Vec<u8>, hash: PaymentHash, is_last: bool) -> Result<SentOnion, Failed> {
        let session = NodeSeed::new([100 + self.offers as u8; 32]).node_secret();
        let onward = (self.other, payload(&[(2, short(1)), (4, short(1))]));
        let hops: Vec<_> = [(self.node, told)].into_iter().chain((!is_last).then_some(onward)).collect();
        Ok(build_raw(&session, &hops, &hash)?)
    }

    /// Offers it, and how the node itself refuses.
    fn refusal(
        &mut self,
        onion: &SentOnion,
        hash: PaymentHash,
        amount: u64,
        expiry: u32,
    ) -> Result<Failure, Failed> {
        let (n, before) = (self.offers, self.end.heard.len());
        self.offers += 1;
        self.end.offer(n, amount, hash, self.height + expiry, &onion.packet);
        self.end.talk()?;
        let heard = || format!("not refused: {:?}", &self.end.heard[before..]);
        let refused = self.end.refused().into_iter().find(|(number, _)| *number == n);
        let leyden_core::channel::Refusal::Encrypted(reason) = refused.ok_or_else(heard)?.1 else {
            return Err(heard().into());
        };
        match attribute(&onion.shared_secrets, &reason) {
            Some((0, failure)) => Ok(failure),
            other => Err(format!("refused by somebody else: {other:?}").into()),
        }
    }

    /// The channel is as good as before, and so is the other one.
    fn goes_on(mut self) -> Outcome {
        let (invoice, hash) = self.bench.client.invoice(Some(Msat::new(ONWARD)), "a test", None)?;
        let (amount, expiry) = (short(ONWARD), short((self.height + ONWARD_EXPIRY).into()));
        let secret = [Invoice::parse(&invoice)?.payment_secret.0.to_vec(), short(ONWARD)].concat();
        let onion = self.onion(payload(&[(2, amount), (4, expiry), (8, secret)]), hash, true)?;
        self.end.offer(99, ONWARD, hash, self.height + ONWARD_EXPIRY, &onion.packet);
        self.end.talk()?;
        let paid = matches!(&self.end.fulfilled()[..], [(99, preimage)] if preimage.payment_hash() == hash);
        due(paid, || "a right payment is refused".into())?;
        due(self.bench.pays(WITNESS, 1_000_000)?, || "another peer's channel suffers".into())
    }
}

const HASH: PaymentHash = PaymentHash([7; 32]);

fn lengths() -> Outcome {
    let mut sender = Sender::start()?;
    let cases: [(&str, Vec<u8>); 8] = [
        ("nothing", vec![0]),
        ("one byte", vec![1, 0]),
        // 1300 bytes less three for the length itself and 32 for the HMAC leave 1265.
        ("a byte more than there is room for", vec![0xfd, 0x04, 0xf2]),
        ("1300 bytes", vec![0xfd, 0x05, 0x14]),
        ("64 KiB", vec![0xfe, 0, 1, 0, 0]),
        ("4 GiB", vec![0xfe, 0xff, 0xff, 0xff, 0xff]),
        ("more than any memory", vec![0xff; 9]),
        ("a length not written shortly", [vec![0xfd, 0, 8], vec![2, 1, 1, 4, 1, 1, 7, 0]].concat()),
    ];
    for (what, told) in cases {
        for is_last in [false, true] {
            let onion = sender.onion(told.clone(), HASH, is_last)?;
            let failure = sender.refusal(&onion, HASH, AMOUNT, EXPIRY)?;
            let right = matches!(failure, Failure::InvalidOnionPayload { kind: 0, .. });
            due(right, || format!("{what}: {failure:?}"))?;
        }
    }
    sender.goes_on()
}

fn intermediate() -> Outcome {
    let mut sender = Sender::start()?;
    let record = |sender: &Sender, kind: u8| match kind {
        2 => (2, short(ONWARD)),
        4 => (4, short((sender.height + ONWARD_EXPIRY).into())),
        6 => (6, sender.onward.0.to_be_bytes().to_vec()),
        other => (other, vec![1]),
    };
    // What the payload has, and the record that it is refused for: one that is missing, one that nobody knows, one out of order. Its
    // place counts from the length; the amount has four bytes, the expiry one.
    let cases: [(&[u8], u64, u16); 5] =
        [(&[4, 6], 2, 0), (&[2, 6], 4, 0), (&[2, 4], 6, 0), (&[2, 4, 6, 20], 20, 20), (&[4, 2, 6], 2, 4)];
    for (kinds, kind, offset) in cases {
        let records: Vec<_> = kinds.iter().map(|kind| record(&sender, *kind)).collect();
        let onion = sender.onion(payload(&records), HASH, false)?;
        let failure = sender.refusal(&onion, HASH, AMOUNT, EXPIRY)?;
        let right = failure == Failure::InvalidOnionPayload { kind, offset };
        due(right, || format!("{kinds:?}: {failure:?}"))?;
    }
    // Enough is told, and what is offered has other faults: too little, and too soon.
    let (height, onward) = (sender.height, sender.onward);
    let told = move |amount: u64, expiry: u32| {
        let (amount, expiry) = (short(amount), short((height + expiry).into()));
        payload(&[(2, amount), (4, expiry), (6, onward.0.to_be_bytes().to_vec())])
    };
    let cases = [
        ("nothing", told(0, ONWARD_EXPIRY), 0x100B),
        ("more than came in", told(AMOUNT + 1, ONWARD_EXPIRY), 0x100C),
        ("an expiry that is too near", told(ONWARD, 3), 0x100E),
        ("an expiry that is past", told(ONWARD, 0), 0x100E),
        ("an expiry behind the offer's", told(ONWARD, EXPIRY + 1), 0x100D),
    ];
    for (what, told, code) in cases {
        let onion = sender.onion(told, HASH, false)?;
        let failure = sender.refusal(&onion, HASH, AMOUNT, EXPIRY)?;
        due(failure.code() == code, || format!("{what}: {failure:?}"))?;
    }
    sender.goes_on()
}

fn last() -> Outcome {
    let mut sender = Sender::start()?;
    let (invoice, hash) = sender.bench.client.invoice(Some(Msat::new(ONWARD)), "a test", None)?;
    let secret = Invoice::parse(&invoice)?.payment_secret.0;
    let height = sender.height;
    let amount = (2, short(ONWARD));
    let expiry = (4, short((height + ONWARD_EXPIRY).into()));
    let data = |secret: [u8; 32], total: u64| (8, [secret.to_vec(), short(total)].concat());
    let good = [amount.clone(), expiry.clone(), data(secret, ONWARD)];
    let unknown = Failure::IncorrectOrUnknownPaymentDetails {
        htlc_msat: Msat::new(ONWARD),
        height: BlockHeight::new(height),
    };
    let missing = |kind| Failure::InvalidOnionPayload { kind, offset: 0 };
    let too_little = Failure::FinalIncorrectHtlcAmount { incoming_htlc_amt: Msat::new(ONWARD - 1) };
    let too_soon =
        Failure::FinalIncorrectCltvExpiry { cltv_expiry: CltvExpiry::new(height + ONWARD_EXPIRY - 1) };
    let cases: [(&str, &[_], u64, u32, Failure); 8] = [
        ("no amount", &good[1..], ONWARD, ONWARD_EXPIRY, missing(2)),
        ("no expiry", &[good[0].clone(), good[2].clone()], ONWARD, ONWARD_EXPIRY, missing(4)),
        ("no secret", &good[..2], ONWARD, ONWARD_EXPIRY, unknown.clone()),
        (
            "a secret that is cut",
            &[amount.clone(), expiry.clone(), (8, vec![7; 31])],
            ONWARD,
            ONWARD_EXPIRY,
            Failure::InvalidOnionPayload { kind: 8, offset: 10 },
        ),
        (
            "another secret",
            &[amount.clone(), expiry.clone(), data([7; 32], ONWARD)],
            ONWARD,
            ONWARD_EXPIRY,
            unknown.clone(),
        ),
        (
            "a total that it is a part of",
            &[amount, expiry, data(secret, ONWARD + 1)],
            ONWARD,
            ONWARD_EXPIRY,
            unknown,
        ),
        ("less than the onion says", &good, ONWARD - 1, ONWARD_EXPIRY, too_little),
        ("sooner than the onion says", &good, ONWARD, ONWARD_EXPIRY - 1, too_soon),
    ];
    for (what, records, amount, expiry, due_failure) in cases {
        let onion = sender.onion(payload(records), hash, true)?;
        let failure = sender.refusal(&onion, hash, amount, expiry)?;
        due(failure == due_failure, || format!("{what}: {failure:?}"))?;
    }
    sender.goes_on()
}
