//! Normal operation (BOLT 2, N30 to N38, N42, N43, and N60 of BOLT 3): each update, signature and revocation bent once.
use super::opening::{foreign, high_s};
use super::row::{is_paid, one, pays, two_channels, Due, Row, BENT, WITNESS};
use super::{due, Outcome, Test};
use leyden_core::channel::{ChannelConfig, OpenRequest};
use leyden_core::ids::ChannelId;
use leyden_core::keys::NodeSeed;
use leyden_core::node::{Command, NodeConfig};
use leyden_core::tx::ChannelType;
use leyden_core::units::{CltvExpiry, CommitmentNumber, FeeratePerKw, Msat};
use leyden_core::wire::{
    ChannelReady, CommitmentSigned, Message, RevokeAndAck, UpdateAddHtlc, UpdateFailMalformedHtlc, UpdateFee,
};
use leyden_harness::raw::{request, Bench, Bent, Reaction};

pub const TESTS: &[Test] = &[
    ("n36_a_secret_that_is_no_key_fails_the_channel", no_key),
    ("n36_a_secret_that_does_not_lead_to_the_earlier_ones_fails_the_channel", strange_secret),
    ("n36_an_unasked_revocation_is_warned_about", unasked_revocation),
    ("n37_a_fee_from_the_acceptor_is_warned_about", fee_from_acceptor),
    ("n37_a_fee_that_is_no_fee_is_warned_about", wrong_fees),
    ("n38_a_signature_behind_the_start_of_a_batch_counts_as_any_other", batch),
    ("n42_an_offered_htlc_that_expired_fails_the_channel", offered_expires),
    ("n42_a_fulfilled_htlc_that_stays_fails_the_channel", fulfilled_stays),
    ("n43_dust_beyond_the_limit_is_refused_and_its_preimage_kept", dust),
    ("n60_trimming_at_the_exact_boundary", trimming),
    ("n60_trimming_at_the_exact_boundary_where_htlc_transactions_pay_fees", trimming_with_fees),
];

/// A bent `update_add_htlc`.
fn add(message: &Message, bend: impl FnOnce(&mut UpdateAddHtlc)) -> Option<Vec<Vec<u8>>> {
    let Message::UpdateAddHtlc(add) = message else { return None };
    let mut add = add.clone();
    bend(&mut add);
    one(Message::UpdateAddHtlc(add))
}

fn signed(message: &Message, bend: impl FnOnce(&mut CommitmentSigned)) -> Option<Vec<Vec<u8>>> {
    let Message::CommitmentSigned(signed) = message else { return None };
    let mut signed = signed.clone();
    bend(&mut signed);
    one(Message::CommitmentSigned(signed))
}

const fn offer(name: &'static str, bend: fn(&Message) -> Option<Vec<Vec<u8>>>, text: &'static str) -> Row {
    Row { name, flags: &[], act: pays, bend, due: Due::Warned(text) }
}

const fn signature(name: &'static str, bend: fn(&Message) -> Option<Vec<Vec<u8>>>) -> Row {
    Row { name, flags: &[], act: pays, bend, due: Due::Failed("signature") }
}

const fn answer(name: &'static str, bend: fn(&Message) -> Option<Vec<Vec<u8>>>, text: &'static str) -> Row {
    Row { name, flags: &[], act: is_paid, bend, due: Due::Warned(text) }
}

pub const ROWS: &[Row] = &[
    offer("n30_amount_zero", |m| add(m, |add| add.amount_msat = Msat::ZERO), "or nothing"),
    Row {
        flags: &["--channel-htlc-minimum", "5000"],
        ..offer(
            "n30_below_htlc_minimum",
            |m| add(m, |add| add.amount_msat = Msat::new(4_999)),
            "htlc_minimum_msat",
        )
    },
    // 600,000 sat are the peer's; 10,000 its reserve.
    offer("n30_unaffordable", |m| add(m, |add| add.amount_msat = Msat::new(590_000_001)), "reserve"),
    offer(
        "n30_all_the_money_there_is",
        |m| add(m, |add| add.amount_msat = Msat::new(u64::MAX)),
        "max_htlc_value",
    ),
    Row {
        flags: &["--channel-max-in-flight-percent", "20"],
        ..offer(
            "n30_above_max_in_flight",
            |m| add(m, |add| add.amount_msat = Msat::new(200_000_001)),
            "max_htlc_value",
        )
    },
    Row {
        flags: &["--channel-max-accepted-htlcs", "1"],
        ..offer("n30_more_than_max_accepted", twice, "max_accepted_htlcs")
    },
    offer(
        "n30_expiry_is_a_time",
        |m| add(m, |add| add.cltv_expiry = CltvExpiry::new(500_000_000)),
        "is a time",
    ),
    offer("n30_id_is_not_the_next", |m| add(m, |add| add.id = 1), "0 is next"),
    answer("n33_wrong_preimage", |m| fulfil(m, |_, preimage| preimage[0] ^= 1), "preimage"),
    answer("n33_unknown_htlc", |m| fulfil(m, |id, _| *id += 1), "not one that can"),
    answer("n33_fulfilled_before_it_is_committed", early, "not one that can"),
    answer("n34_malformed_without_badonion", malformed, "BADONION"),
    signature("n35_wrong_signature", |m| signed(m, |signed| signed.signature = foreign())),
    signature("n35_high_s_signature", |m| signed(m, |signed| signed.signature = high_s(&signed.signature))),
    signature("n35_too_few_htlc_signatures", |m| signed(m, |signed| signed.htlc_signatures.clear())),
    signature("n35_too_many_htlc_signatures", |m| signed(m, |signed| signed.htlc_signatures.push(foreign()))),
    signature("n35_wrong_htlc_signature", |m| signed(m, |signed| signed.htlc_signatures[0] = foreign())),
    signature("n35_high_s_htlc_signature", |m| {
        signed(m, |signed| signed.htlc_signatures[0] = high_s(&signed.htlc_signatures[0]))
    }),
    Row {
        name: "n36_secret_of_another_point",
        flags: &[],
        act: pays,
        bend: |message| {
            let Message::RevokeAndAck(revoke) = message else { return None };
            let per_commitment_secret = NodeSeed::new([90; 32]).node_secret();
            one(Message::RevokeAndAck(RevokeAndAck { per_commitment_secret, ..revoke.clone() }))
        },
        due: Due::Failed("secret"),
    },
];

/// The same offer under two ids.
fn twice(message: &Message) -> Option<Vec<Vec<u8>>> {
    let Message::UpdateAddHtlc(first) = message else { return None };
    let second = UpdateAddHtlc { id: first.id + 1, ..first.clone() };
    Some(vec![message.encode(), Message::UpdateAddHtlc(second).encode()])
}

fn fulfil(message: &Message, bend: impl FnOnce(&mut u64, &mut [u8; 32])) -> Option<Vec<Vec<u8>>> {
    let Message::UpdateFulfillHtlc(fulfill) = message else { return None };
    let mut fulfill = fulfill.clone();
    bend(&mut fulfill.id, &mut fulfill.payment_preimage.0);
    one(Message::UpdateFulfillHtlc(fulfill))
}

/// A preimage instead of the first revocation: the HTLC is in no commitment of the node's yet.
fn early(message: &Message) -> Option<Vec<Vec<u8>>> {
    let Message::RevokeAndAck(revoke) = message else { return None };
    one(Message::UpdateFulfillHtlc(leyden_core::wire::UpdateFulfillHtlc {
        channel_id: revoke.channel_id,
        id: 0,
        payment_preimage: leyden_core::ids::Preimage([1; 32]),
        unknown: Vec::new(),
    }))
}

fn malformed(message: &Message) -> Option<Vec<Vec<u8>>> {
    let Message::UpdateFulfillHtlc(fulfill) = message else { return None };
    one(Message::UpdateFailMalformedHtlc(UpdateFailMalformedHtlc {
        channel_id: fulfill.channel_id,
        id: fulfill.id,
        sha256_of_onion: [0; 32],
        failure_code: 5,
    }))
}

fn no_key() -> Outcome {
    let (mut bench, channel) = two_channels(&[])?;
    bench.peers[BENT].bend(|message| {
        let Message::RevokeAndAck(_) = message else { return None };
        let mut bytes = message.encode();
        bytes[34..66].fill(0);
        Some(Bent::Instead(vec![bytes]))
    });
    pays(&mut bench, channel)?;
    let reaction = super::row::meet(&mut bench)?;
    due(reaction.closed, || format!("{reaction:?}"))?;
    super::row::judge(&mut bench, channel, &reaction, Due::Failed("per_commitment_secret"))
}

/// In `channel_ready` the peer names a point that its chain of secrets does not lead to, and reveals that point's secret when it is
/// due: it is the right one, but the node would have to keep it beside those that it can compute (BOLT 3, "Efficient Per-commitment
/// Secret Storage").
fn strange_secret() -> Outcome {
    let mut bench = Bench::start(2, &[])?;
    let strange = NodeSeed::new([90; 32]).node_secret();
    bench.peers[BENT].bend(move |message| {
        let Message::ChannelReady(ready) = message else { return None };
        let second_per_commitment_point = strange.public_key(secp256k1::SECP256K1);
        let ready = ChannelReady { second_per_commitment_point, ..ready.clone() };
        Some(Bent::Changed(Message::ChannelReady(ready).encode()))
    });
    for peer in [BENT, WITNESS] {
        bench.propose(peer, 1_000_000, 400_000)?;
    }
    let channel = bench.confirm()?[BENT].ok_or("the channel is not ready")?;
    let keys = NodeSeed::new([1; 32]).channel_keys(0);
    let revoke = |per_commitment_secret, next| RevokeAndAck {
        channel_id: channel,
        per_commitment_secret,
        next_per_commitment_point: keys.per_commitment_point(CommitmentNumber::new(next)),
    };
    let mut reaction = Reaction::default();
    for (revoke, fine) in
        [(revoke(keys.per_commitment_secret(CommitmentNumber::ZERO), 2), true), (revoke(strange, 3), false)]
    {
        is_paid(&mut bench, channel)?;
        let said = bench.peers[BENT].listen()?.messages;
        let signed = said.iter().any(|message| matches!(message, Message::CommitmentSigned(_)));
        due(signed, || format!("{said:?} where a signature is due"))?;
        bench.peers[BENT].raw().send(&Message::RevokeAndAck(revoke));
        reaction = bench.peers[BENT].listen()?;
        due(reaction.errors().is_empty() == fine, || format!("{reaction:?}"))?;
    }
    super::row::judge(&mut bench, channel, &reaction, Due::Failed("secret"))
}

/// `start_batch` is of an odd type, which this node does not know: whatever it says, it is as if it were not there.
fn batch() -> Outcome {
    let (mut bench, channel) = two_channels(&[])?;
    let elsewhere = ChannelId([9; 32]);
    for (of, size) in [(channel, 0u16), (channel, 1), (channel, 2), (channel, 21), (elsewhere, 2)] {
        // The batch is one of `commitment_signed`: type 132.
        let start = [&[0, 127][..], &of.0, &size.to_be_bytes(), &[1, 2, 0, 132]].concat();
        bench.peers[BENT].bend(move |message| {
            let Message::CommitmentSigned(_) = message else { return None };
            Some(Bent::Instead(vec![start.clone(), message.encode()]))
        });
        pays(&mut bench, channel)?;
        let reaction = super::row::meet(&mut bench)?;
        let revoked = reaction.messages.iter().any(|message| matches!(message, Message::RevokeAndAck(_)));
        due(revoked, || format!("a batch of {size}: {reaction:?}"))?;
        super::row::judge(&mut bench, channel, &reaction, Due::Ignored)?;
        let address = bench.node.listen;
        bench.peers[BENT].connect(address)?;
        bench.settle()?;
        let pending = bench.channel(channel)?.pending_htlcs;
        due(pending == 0, || format!("a batch of {size}: the payment does not go on"))?;
    }
    Ok(())
}

/// Sends this to the node out of nowhere, and judges what it does.
fn out_of_nowhere(bench: &mut Bench, channel: ChannelId, message: &Message, what: Due) -> Outcome {
    bench.peers[BENT].raw().send(message);
    let reaction = bench.peers[BENT].listen()?;
    super::row::judge(bench, channel, &reaction, what)
}

fn unasked_revocation() -> Outcome {
    let (mut bench, channel) = two_channels(&[])?;
    let secret = NodeSeed::new([90; 32]).node_secret();
    let revoke = RevokeAndAck {
        channel_id: channel,
        per_commitment_secret: secret,
        next_per_commitment_point: secret.public_key(secp256k1::SECP256K1),
    };
    out_of_nowhere(&mut bench, channel, &Message::RevokeAndAck(revoke), Due::Warned("no signature of ours"))
}

fn fee(channel_id: ChannelId, feerate: u32) -> Message {
    Message::UpdateFee(UpdateFee { channel_id, feerate_per_kw: FeeratePerKw::new(feerate) })
}

fn fee_from_acceptor() -> Outcome {
    let mut bench = Bench::start(2, &[])?;
    bench.be_proposed(BENT, 1_000_000, 400_000)?;
    bench.propose(WITNESS, 1_000_000, 400_000)?;
    let channel = bench.confirm()?[BENT].ok_or("the channel is not ready")?;
    out_of_nowhere(&mut bench, channel, &fee(channel, 2000), Due::Warned("does not pay"))
}

fn wrong_fees() -> Outcome {
    let mut bench = Bench::start(2, &[])?;
    bench.propose(BENT, 1_000_000, 970_000)?;
    bench.propose(WITNESS, 1_000_000, 400_000)?;
    let channel = bench.confirm()?[BENT].ok_or("the channel is not ready")?;
    for (feerate, text) in [(252, "not within"), (1_000_000, "not within"), (49_000, "cannot pay")] {
        out_of_nowhere(&mut bench, channel, &fee(channel, feerate), Due::Warned(text))?;
    }
    Ok(())
}

/// The node's HTLC that the peer neither fulfils nor fails, until after its expiry and a block of grace.
fn offered_expires() -> Outcome {
    let (mut bench, channel) = two_channels(&[])?;
    // The peer's own commitment holds it, the node's does not yet: one of the two is enough.
    bench.peers[BENT]
        .bend(|message| matches!(message, Message::CommitmentSigned(_)).then(|| Bent::Instead(Vec::new())));
    is_paid(&mut bench, channel)?;
    super::row::meet(&mut bench)?;
    let offered = bench.peers[BENT].heard.iter().find_map(|message| match message {
        Message::UpdateAddHtlc(add) => Some(add.cltv_expiry.get()),
        _ => None,
    });
    let expiry = offered.ok_or("no HTLC")?;
    past_deadline(&mut bench, channel, expiry, expiry + 1)
}

/// An HTLC that the node has fulfilled, and that the peer does not take out of its commitment.
fn fulfilled_stays() -> Outcome {
    let (mut bench, channel) = two_channels(&[])?;
    let (invoice, _) = bench.client.invoice(Some(Msat::new(10_000_000)), "a test", Some(40))?;
    let peer = &mut bench.peers[BENT];
    peer.command(Command::Pay { invoice, amount: None, max_fee: Msat::ZERO })?;
    peer.commit();
    // Everything but the answer to the node's preimage.
    for _ in 0..100 {
        let messages = peer.listen()?.messages;
        if messages.iter().any(|message| matches!(message, Message::UpdateFulfillHtlc(_))) {
            break;
        }
        messages.iter().for_each(|message| peer.hear(message));
        peer.commit();
    }
    peer.bend(|_| Some(Bent::Instead(Vec::new())));
    let offered = peer.said.iter().find_map(|message| match message {
        Message::UpdateAddHtlc(add) => Some(add.cltv_expiry.get()),
        _ => None,
    });
    let expiry = offered.ok_or("no HTLC")?;
    // 18 blocks before the expiry (BOLT 2), and not without need.
    past_deadline(&mut bench, channel, expiry - 19, expiry - 18)
}

/// The channel stands at the first height and is on the chain at the second.
fn past_deadline(bench: &mut Bench, channel: ChannelId, stands: u32, over: u32) -> Outcome {
    use leyden_harness::chain::Chain;
    let height = bench.chain.tip().height;
    bench.mine((stands.saturating_sub(height)) as usize)?;
    let before = bench.channel(channel)?;
    due(before.phase == "normal", || format!("{} at height {stands}", before.phase))?;
    bench.mine((over - stands.max(height)) as usize)?;
    let after = bench.channel(channel)?.phase;
    due(after == "on chain", || format!("{after} at height {over}"))?;
    due(bench.pays(WITNESS, 1_000_000)?, || "another peer's channel suffers".into())
}

fn dust() -> Outcome {
    let careless = ChannelConfig { max_dust_htlc_exposure: Msat::new(u64::MAX), ..ChannelConfig::default() };
    let config = NodeConfig { channel: careless, ..NodeConfig::default() };
    let mut bench = Bench::with(vec![config, NodeConfig::default()], &[])?;
    for peer in [BENT, WITNESS] {
        bench.propose(peer, 1_000_000, 400_000)?;
    }
    bench.confirm()?;
    // 353,000 msat are dust under anchors; 14 of them stay within 5,000,000.
    let mut hashes = Vec::new();
    for _ in 0..16 {
        let (invoice, hash) = bench.client.invoice(Some(Msat::new(353_000)), "dust", None)?;
        bench.peers[BENT].command(Command::Pay { invoice, amount: None, max_fee: Msat::ZERO })?;
        hashes.push(hash);
    }
    bench.settle()?;
    let paid = hashes.iter().filter(|hash| bench.peers[BENT].has_paid(**hash)).count();
    due(paid == 14, || format!("{paid} of 16 were paid"))?;
    due(bench.pays(WITNESS, 1_000_000)?, || "another peer's channel suffers".into())
}

/// 354 sat have an output under anchors, whose HTLC transactions cost nothing; a thousandth of a satoshi less has none (BOLT 3,
/// "Trimmed Outputs").
fn trimming() -> Outcome {
    let (mut bench, channel) = two_channels(&[])?;
    for (amount, outputs) in [(353_999, 0), (354_000, 1)] {
        let before = bench.peers[BENT].said.len();
        let paid = bench.pays(BENT, amount)?;
        due(paid, || format!("{amount} msat were not paid"))?;
        let first = signatures(&bench.peers[BENT].said[before..]);
        due(first == Some(outputs), || format!("{amount} msat: {first:?} HTLC signatures"))?;
    }
    // 590,000 msat in all went to the node's 400,000,000: rounded down, beside two anchors of 330 sat.
    let funding = bench.channel(channel)?.terms.ok_or("no terms")?.funding;
    let ours = bench.channel(channel)?.to_local.get() / 1000;
    bench.client.forceclosechannel(channel)?;
    let commitment = bench.spend_of(funding)?;
    let values: Vec<u64> = commitment.output.iter().map(|output| output.value.to_sat()).collect();
    let sorted = values.windows(2).all(|pair| pair[0] <= pair[1]);
    due(sorted && values[..2] == [330, 330] && values.contains(&ours), || {
        format!("{values:?}, {ours} are ours")
    })?;
    let (lock_time, sequence) = (commitment.lock_time.to_consensus_u32(), commitment.input[0].sequence.0);
    due(lock_time >> 24 == 0x20 && sequence >> 24 == 0x80, || format!("{lock_time:x}, {sequence:x}"))
}

/// How many HTLC signatures the first `commitment_signed` among these carries.
fn signatures(messages: &[Message]) -> Option<usize> {
    messages.iter().find_map(|message| match message {
        Message::CommitmentSigned(signed) => Some(signed.htlc_signatures.len()),
        _ => None,
    })
}

/// Without anchors, at 1000 sat per 1000 weight: an output must pay 354 sat and its transaction, which is 663 sat where the commitment's
/// holder offers it (HTLC-timeout) and 703 where it is offered to the holder (HTLC-success).
fn trimming_with_fees() -> Outcome {
    let mut bench = Bench::start(2, &[])?;
    let proposal = request(bench.node.id, 1_000_000, 400_000);
    let channel_type = ChannelType::StaticRemotekey;
    bench.peers[BENT].command(Command::Open(OpenRequest { channel_type, ..proposal }))?;
    bench.settle()?;
    bench.propose(WITNESS, 1_000_000, 400_000)?;
    bench.confirm()?;
    for (amount, offerers, others) in [
        (1_016_999, Some(0), Some(0)),
        (1_017_000, Some(1), Some(0)),
        (1_056_999, Some(1), Some(0)),
        (1_057_000, Some(1), Some(1)),
    ] {
        for peer_pays in [true, false] {
            let peer = &bench.peers[BENT];
            let (said, heard) = (peer.said.len(), peer.heard.len());
            if peer_pays {
                due(bench.pays(BENT, amount)?, || format!("{amount} msat were not paid"))?;
            } else {
                bench.is_paid(BENT, amount)?;
                bench.settle()?;
            }
            let peer = &bench.peers[BENT];
            // Whoever signs, signs the other one's commitment.
            let nodes = signatures(&peer.said[said..]);
            let peers = signatures(&peer.heard[heard..]);
            let right = if peer_pays { (others, offerers) } else { (offerers, others) };
            due((nodes, peers) == right, || {
                format!("{amount} msat: {nodes:?} and {peers:?} where {right:?} is due")
            })?;
        }
    }
    due(bench.pays(WITNESS, 1_000_000)?, || "another peer's channel suffers".into())
}
