//! Several HTLCs with one hash (BOLT 2, N31; BOLT 4, N70 and N73): all are taken, each is judged alone, and none brings what another
//! one owes.
use super::onion::name;
use super::row::{two_channels, BENT, WITNESS};
use super::{due, Outcome, Test};
use leyden_core::channel::Refusal;
use leyden_core::ids::{NodeId, PaymentHash};
use leyden_core::keys::NodeSeed;
use leyden_core::node::{Command, Reply};
use leyden_core::payment::failure::{attribute, Failure};
use leyden_core::payment::invoice::Invoice;
use leyden_core::payment::onion::{build, HopPayload, SentOnion};
use leyden_core::units::{CltvExpiry, Msat};
use leyden_harness::chain::Chain;
use leyden_harness::raw::{Bench, End};
use libtest_mimic::Failed;

pub const TESTS: &[Test] = &[
    ("n31_several_htlcs_with_one_hash_are_taken_and_one_is_paid", one_of_several),
    ("n31_several_htlcs_with_one_hash_are_passed_on", passed_on),
    ("n70_an_onion_that_comes_twice_is_passed_on_once", twice),
    ("n73_no_part_of_a_set_is_fulfilled_and_no_set_is_invited", parts),
];

/// What the invoices ask.
const AMOUNT: u64 = 50_000_000;
/// The node asks for 1000 msat and 100 ppm to pass it on.
const FEE: u64 = 6_000;

/// A node that has a channel with a witness, and another one whose far end is ours.
fn start() -> Result<(Bench, End), Failed> {
    let (mut bench, channel) = two_channels(&[])?;
    let end = bench.peers[BENT].hand_over(channel);
    Ok((bench, end))
}

/// What the last hop is told, for this amount of this invoice's total.
fn last_hop(invoice: &Invoice, amount: u64, total: u64, expiry: u32) -> HopPayload {
    HopPayload::Final {
        amt_to_forward: Msat::new(amount),
        outgoing_cltv_value: CltvExpiry::new(expiry),
        payment_secret: Some(invoice.payment_secret.0),
        total_msat: Some(Msat::new(total)),
        payment_metadata: None,
    }
}

fn onion(n: u8, hops: &[(NodeId, HopPayload)], hash: PaymentHash) -> Result<SentOnion, Failed> {
    Ok(build(&NodeSeed::new([100 + n; 32]).node_secret(), hops, &hash)?)
}

/// Who refused which offers, and how.
fn refusals(end: &End, onions: &[SentOnion]) -> Vec<(u64, Option<(usize, Failure)>)> {
    let read = |(n, refusal): (u64, Refusal)| match refusal {
        Refusal::Encrypted(reason) => (n, attribute(&onions[n as usize].shared_secrets, &reason)),
        _ => (n, None),
    };
    end.refused().into_iter().map(read).collect()
}

/// Whether the node itself said that it knows of no such payment.
fn is_unknown((_, failure): &(u64, Option<(usize, Failure)>)) -> bool {
    matches!(failure, Some((0, Failure::IncorrectOrUnknownPaymentDetails { .. })))
}

/// Nothing is left in the channel, and the other peer's channel has not suffered.
fn is_over(bench: &mut Bench) -> Outcome {
    let channels = bench.channels()?;
    let clean = channels.iter().all(|channel| channel.phase == "normal" && channel.pending_htlcs == 0);
    due(clean, || format!("{channels:?}"))?;
    due(bench.pays(WITNESS, 1_000_000)?, || "another peer's channel suffers".into())
}

fn one_of_several() -> Outcome {
    let (mut bench, mut end) = start()?;
    let (text, hash) = bench.client.invoice(Some(Msat::new(AMOUNT)), "a test", None)?;
    let expiry = bench.chain.tip().height + 50;
    let hop = (bench.node.id, last_hop(&Invoice::parse(&text)?, AMOUNT, AMOUNT, expiry));
    let onions = (0..3).map(|n| onion(n, std::slice::from_ref(&hop), hash));
    let onions = onions.collect::<Result<Vec<_>, _>>()?;
    for (n, onion) in (0..).zip(&onions) {
        end.offer(n, AMOUNT, hash, expiry, &onion.packet);
    }
    end.talk()?;
    let (paid, refused) = (end.fulfilled(), refusals(&end, &onions));
    due(paid.len() == 1 && refused.len() == 2, || format!("{paid:?}, {refused:?}"))?;
    due(refused.iter().all(is_unknown), || format!("{refused:?}"))?;
    is_over(&mut bench)
}

/// A payment to the witness through the node.
struct Through {
    hash: PaymentHash,
    hops: [(NodeId, HopPayload); 2],
    /// When the offer to the node expires.
    expiry: u32,
}

fn through(bench: &mut Bench) -> Result<Through, Failed> {
    let command = Command::Invoice {
        amount: Some(Msat::new(AMOUNT)),
        description: "a test".to_owned(),
        min_final_cltv_delta: None,
    };
    let Reply::Invoice { text, payment_hash } = bench.peers[WITNESS].command(command)? else {
        return Err("no invoice".into());
    };
    let expiry = bench.chain.tip().height + 30;
    let onward = HopPayload::Intermediate {
        amt_to_forward: Msat::new(AMOUNT),
        outgoing_cltv_value: CltvExpiry::new(expiry),
        short_channel_id: name(bench, WITNESS)?,
    };
    let last = last_hop(&Invoice::parse(&text)?, AMOUNT, AMOUNT, expiry);
    let hops = [(bench.node.id, onward), (bench.peers[WITNESS].id(), last)];
    Ok(Through { hash: payment_hash, hops, expiry: expiry + 40 })
}

/// Until our end and the witness have nothing to say any more.
fn settle(bench: &mut Bench, end: &mut End) -> Outcome {
    for _ in 0..3 {
        end.talk()?;
        bench.settle()?;
    }
    Ok(())
}

fn passed_on() -> Outcome {
    let (mut bench, mut end) = start()?;
    let Through { hash, hops, expiry } = through(&mut bench)?;
    let onions = [onion(0, &hops, hash)?, onion(1, &hops, hash)?];
    for (n, onion) in (0..).zip(&onions) {
        end.offer(n, AMOUNT + FEE, hash, expiry, &onion.packet);
    }
    settle(&mut bench, &mut end)?;
    // The witness takes one and refuses the other: the node passed on both, and judged neither.
    let (paid, refused) = (end.fulfilled(), refusals(&end, &onions));
    let right = matches!(&refused[..], [(_, Some((1, _)))]) && paid.len() == 1;
    due(right, || format!("{paid:?}, {refused:?}"))?;
    is_over(&mut bench)
}

fn twice() -> Outcome {
    let (mut bench, mut end) = start()?;
    let Through { hash, hops, expiry } = through(&mut bench)?;
    let one = onion(0, &hops, hash)?;
    end.offer(0, AMOUNT + FEE, hash, expiry, &one.packet);
    end.offer(1, AMOUNT + FEE, hash, expiry, &one.packet);
    settle(&mut bench, &mut end)?;
    let (paid, refused) = (end.fulfilled(), refusals(&end, &[one.clone(), one]));
    let right = matches!(&refused[..], [(1, Some((0, _)))]) && matches!(&paid[..], [(0, _)]);
    due(right, || format!("{paid:?}, {refused:?}"))?;
    is_over(&mut bench)
}

/// The node announces no `basic_mpp`, neither for itself nor in an invoice, and two halves are two wrong payments.
fn parts() -> Outcome {
    const HALF: u64 = AMOUNT / 2;
    let (mut bench, mut end) = start()?;
    let (text, hash) = bench.client.invoice(Some(Msat::new(AMOUNT)), "a test", None)?;
    let invoice = Invoice::parse(&text)?;
    let announced = bench.peers[WITNESS].heard.iter().find_map(|message| match message {
        leyden_core::wire::Message::Init(init) => Some(init.features.clone()),
        _ => None,
    });
    for features in [invoice.features.clone(), announced.ok_or("no init")?] {
        due(!features.has(16) && !features.has(17), || format!("{features:?}"))?;
    }
    let expiry = bench.chain.tip().height + 50;
    let hop = (bench.node.id, last_hop(&invoice, HALF, AMOUNT, expiry));
    let mut onions = Vec::new();
    // Half of it, the other half, and both once more at the same time.
    for (n, together) in [(0, false), (1, false), (2, true), (3, true)] {
        let onion = onion(n, std::slice::from_ref(&hop), hash)?;
        end.offer(n.into(), HALF, hash, expiry, &onion.packet);
        onions.push(onion);
        if !together || n == 3 {
            end.talk()?;
        }
    }
    let (paid, refused) = (end.fulfilled(), refusals(&end, &onions));
    let right = paid.is_empty() && refused.len() == 4 && refused.iter().all(is_unknown);
    due(right, || format!("{paid:?}, {refused:?}"))?;
    is_over(&mut bench)
}
