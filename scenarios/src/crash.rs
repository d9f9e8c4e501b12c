//! Nodes that are killed in the middle of what they do, disks that fail, and old folders that come back. The sweep `--crash` kills at
//! every save of any scenario; here stand the places that one should know. A kill at a save, and a save that takes long, need nodes in
//! this process: in the live world processes are killed anywhere, by the sweep `--kill`.
use leyden_harness::net::Standing;
use leyden_harness::prelude::*;

/// What a payment moves.
const AMOUNT: Msat = sat(10_000);

/// Where a turn is cut: the event is lost; it is saved and nothing is done; the first action is done.
const POINTS: [Point; 3] = [Point::Before, Point::After(0), Point::After(1)];

/// Alice pays Bob again and again. Each time one of them is killed at another save of the dance, at each point: a payment that was not
/// signed for may fail, and no satoshi is lost or paid twice.
#[scenario(
    worlds = "sim regtest",
    formats = "static_remotekey anchors",
    mutants = "acts_before_it_saves revokes_without_saving"
)]
fn killed_at_each_save_of_the_dance(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000));
    let mut paid = sat(0);
    for victim in [alice, bob] {
        for point in POINTS {
            for save in 1..=SAVES_OF_A_PAYMENT {
                paid = paid.saturating_add(pay_and_kill(net, [alice, bob], victim, save, point));
                net.expect_channel(channel, sat(1_000_000).saturating_sub(paid), paid);
                net.expect_no_htlcs(channel);
            }
        }
    }
    net.settle();
    net.expect_settlement();
}

/// Each end of a payment saves so often for it at least.
const SAVES_OF_A_PAYMENT: u64 = 4;

/// Carol is killed at each save that forwarding takes, those before and after the HTLC went out and came back among them: what she
/// passed on she is paid for, and nothing goes out twice.
#[scenario(worlds = "sim", mutants = "acts_before_it_saves")]
fn forwarder_is_killed_at_each_save(net: &mut Net) {
    let ([alice, _, carol, dave], channels) = line(net);
    let mut paid = sat(0);
    for point in [Point::Before, Point::After(0)] {
        for save in 1..=SAVES_OF_A_FORWARD {
            paid = paid.saturating_add(pay_and_kill(net, [alice, dave], carol, save, point));
            channels.iter().for_each(|channel| net.expect_no_htlcs(*channel));
            net.expect_channel(channels[2], sat(1_000_000).saturating_sub(paid), paid);
        }
    }
    net.settle();
    net.expect_settlement();
}

/// A forwarder saves so often for one payment at least.
const SAVES_OF_A_FORWARD: u64 = 8;

/// One payment, and one kill at the victim's n-th save from now. What arrived.
#[track_caller]
fn pay_and_kill(net: &mut Net, [from, to]: [NodeRef; 2], victim: NodeRef, save: u64, point: Point) -> Msat {
    let kills = net.kills();
    let invoice = net.invoice(to, AMOUNT);
    net.kill_at(victim, net.saves(victim) + save, point);
    let payment = net.start_pay_invoice(from, &invoice);
    net.run();
    assert_eq!(net.kills(), kills + 1, "there is no save {save}");
    match net.standing(payment) {
        Standing::Succeeded { .. } => AMOUNT,
        Standing::Failed { .. } => sat(0),
        Standing::Pending => panic!("the payment hangs: killed at save {save}, {point}"),
    }
}

/// Bob and then Carol start again while a payment of Alice waits at Dave, and again when R is on its way: it arrives, once.
#[scenario(
    formats = "static_remotekey anchors",
    mutants = "loses_forwards_at_restart fails_forwards_at_restart forwards_again"
)]
fn forwarders_restart_with_htlcs_in_flight(net: &mut Net) {
    let ([alice, bob, carol, dave], channels) = line(net);
    net.silence(dave);
    let payment = net.start_pay(alice, dave, AMOUNT);
    net.run();
    net.restart(bob);
    net.restart(carol);
    net.expect_pending(payment);
    net.silence(alice);
    net.speak(dave);
    net.restart(carol);
    net.restart(bob);
    net.expect_pending(payment);
    net.speak(alice);
    net.expect_success(payment);
    channels.into_iter().for_each(|channel| net.expect_no_htlcs(channel));
    net.settle();
    net.expect_settlement();
}

/// Alice closes alone and is killed when that is saved and not yet broadcast: her commitment reaches the chain when she is back.
#[scenario(
    worlds = "sim regtest",
    formats = "static_remotekey anchors",
    mutants = "broadcasts_nothing_at_restart"
)]
fn killed_between_save_and_broadcast(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(400_000));
    net.silence(bob); // whom her error would make close
    net.kill_next(alice, Point::After(0));
    net.force_close(alice, channel);
    assert_eq!(net.mempool_labels(), ["C1a"]);
    net.settle();
    net.expect_settlement();
}

/// Both start again when the funding is mined and the channel is not ready yet: when it is, both say so.
#[scenario]
fn restarted_between_mined_and_ready(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open_unconfirmed(alice, bob, Open::sat(1_000_000));
    net.mine(1);
    net.restart(alice);
    net.restart(bob);
    net.confirm(channel);
    net.pay(alice, bob, AMOUNT);
    net.settle();
    net.expect_settlement();
}

/// Bob is killed when he hears that the block with Alice's commitment is gone, and what he had from it with it. He hears it first when
/// he starts again, and hands in nothing that the chain has no place for.
#[scenario(worlds = "sim regtest", formats = "static_remotekey anchors")]
fn killed_while_the_chain_goes_back(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(400_000));
    net.force_close(alice, channel);
    net.mine(1);
    net.kill_next(bob, Point::Before);
    net.unmine(1);
    assert_eq!(net.kills(), 1);
    net.settle();
    net.expect_settlement();
}

/// Bob's disk takes nothing when he is to acknowledge a signature: he stops, no promise leaves him, and with a disk that works the
/// payment goes on where it was.
#[scenario(worlds = "sim regtest", formats = "static_remotekey anchors", mutants = "acts_before_it_saves")]
fn save_that_fails_stops_the_node(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000));
    let invoice = net.invoice(bob, AMOUNT);
    net.fail_next_save(bob);
    let saves = net.saves(bob);
    let payment = net.pay_invoice(alice, &invoice);
    assert!(net.saves(bob) > saves, "the next disk takes it");
    net.expect_success(payment);
    net.expect_channel(channel, sat(990_000), AMOUNT);
    net.settle();
    net.expect_settlement();
}

/// Bob's disk takes long when he is to acknowledge Alice's signature. Nothing of that turn leaves him; a payment of Carol's over another
/// channel waits, and goes on when the disk is done. It takes long once more over a block, while two more and a payment come.
#[scenario(worlds = "sim regtest", formats = "static_remotekey anchors", mutants = "acts_before_it_saves")]
fn save_that_takes_long_holds_everything_back(net: &mut Net) {
    let [alice, bob, carol] = net.nodes(["alice", "bob", "carol"]);
    for payer in [alice, carol] {
        net.open(payer, bob, Open::sat(1_000_000));
    }
    let invoices = [(alice, net.invoice(bob, AMOUNT)), (carol, net.invoice(bob, AMOUNT))];
    let (saves, said) = (net.saves(bob), messages_of(net, "bob"));
    net.slow_next_save(bob);
    let payments = invoices.map(|(payer, invoice)| {
        let payment = net.start_pay_invoice(payer, &invoice);
        net.run();
        payment
    });
    payments.into_iter().for_each(|payment| net.expect_pending(payment));
    assert_eq!((net.saves(bob), messages_of(net, "bob")), (saves, said), "nothing left him");
    net.disk_is_done(bob);
    payments.into_iter().for_each(|payment| net.expect_success(payment));

    let invoice = net.invoice(bob, AMOUNT);
    let (saves, said) = (net.saves(bob), messages_of(net, "bob"));
    net.slow_next_save(bob);
    net.mine(3);
    let payment = net.start_pay_invoice(alice, &invoice);
    net.run();
    assert_eq!((net.saves(bob), messages_of(net, "bob")), (saves, said), "nothing left him");
    net.disk_is_done(bob);
    net.expect_success(payment);
    net.settle();
    net.expect_settlement();
}

/// How many messages this node has sent.
fn messages_of(net: &mut Net, name: &str) -> usize {
    net.transcript().lines().filter(|line| line.contains(&format!(" {name} ──"))).count()
}

/// Mallory tells Alice that she lost states, with a number beyond all and a secret that is none: Alice does not believe it, and closes
/// with her newest state before Mallory gains anything by it (BOLT 2, "Message Retransmission").
#[scenario(formats = "static_remotekey anchors", mutants = "believes_every_proof")]
fn peer_lies_that_states_were_lost(net: &mut Net) {
    let [alice, mallory] = net.nodes(["alice", "mallory"]);
    let channel = net.open(alice, mallory, Open::sat(1_000_000).push_sat(500_000));
    net.pay(mallory, alice, sat(200_000));
    net.dishonest(mallory);
    net.disconnect(alice, mallory);
    // type, channel_id, next_commitment_number, then next_revocation_number and your_last_per_commitment_secret.
    const NUMBER: usize = 2 + 32 + 8;
    let lie = Fault::Rewrite("a proof that is none", |bytes| {
        bytes[NUMBER..NUMBER + 8].copy_from_slice(&9u64.to_be_bytes());
        bytes[NUMBER + 8..NUMBER + 40].fill(0x42);
    });
    net.next_messages(mallory, alice, Kind::ChannelReestablish, 1, lie);
    // It would make Mallory close too, and only one of them can be first.
    net.on_message(alice, mallory, Kind::Error, Fault::Drop);
    net.connect(alice, mallory);
    assert_eq!(net.channel(alice, channel).phase, "on chain");
    net.settle();
    let last = net.state(alice, channel).number;
    net.height_of(&format!("C{last}a"));
    net.expect_settlement();
}

/// Bob's folder is an old one. Alice publishes a state that was revoked before the copy was made, once without knowing that he lost
/// anything and once told so by himself: what he remembers he punishes.
#[scenario(formats = "static_remotekey anchors", mutants = "no_penalty_on_to_local")]
fn old_folder_still_punishes_what_it_knows(net: &mut Net) {
    for (liar, victim, knows) in [("alice", "bob", false), ("carol", "dave", true)] {
        let [liar, victim] = net.nodes([liar, victim]);
        let channel = net.open(liar, victim, Open::sat(1_000_000).push_sat(100_000));
        net.pay(liar, victim, sat(300_000));
        let old = net.state_at(liar, channel, 1);
        let backup = net.backup(victim);
        net.pay(liar, victim, sat(50_000));
        if knows {
            // The liar's node does as it is asked to and closes with its newest state; a miner takes the old one for it.
            net.restart_from(victim, &backup);
            net.dishonest(liar);
            let lie = net.past(old).transaction().clone();
            net.mine_these(vec![lie]);
        } else {
            net.disconnect(liar, victim);
            net.restart_from(victim, &backup);
            net.broadcast(liar, old);
        }
    }
    net.settle();
    for label in ["alice-bob/BR1a", "carol-dave/BR1a"] {
        net.height_of(label);
    }
    net.expect_settlement();
}

/// The limit of it: a state that was revoked after the copy was made looks to the old folder like any other. A peer that knows, and
/// steals, cannot be kept from it.
#[scenario]
fn old_folder_cannot_punish_what_it_forgot(net: &mut Net) {
    let [alice, bob] = net.nodes(["alice", "bob"]);
    let channel = net.open(alice, bob, Open::sat(1_000_000).push_sat(100_000));
    net.pay(alice, bob, sat(100_000));
    let backup = net.backup(bob);
    let old = net.state(alice, channel);
    net.pay(alice, bob, sat(500_000));
    net.disconnect(alice, bob); // his node would tell hers, which is honest
    net.restart_from(bob, &backup);
    net.broadcast(alice, old);
    net.excuse("I8", alice, "bob lost the secret with his disk");
    net.excuse("I2", bob, "he lost the secret with his disk");
    net.excuse("I18", bob, "he does not know that it is his");
    net.mine(u32::from(NodeConfig::default().channel.to_self_delay));
    net.settle();
    net.expect_settlement();
}

/// A, B, C and D in a line, and their channels.
fn line(net: &mut Net) -> ([NodeRef; 4], [ChannelRef; 3]) {
    let nodes = net.nodes(["alice", "bob", "carol", "dave"]);
    let [alice, bob, carol, dave] = nodes;
    let pairs = [(alice, bob), (bob, carol), (carol, dave)];
    (nodes, pairs.map(|(opener, acceptor)| net.open(opener, acceptor, Open::sat(1_000_000))))
}
