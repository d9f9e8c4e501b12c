//! The end of a channel: together, alone, and what the chain shows.
mod pair;

use bitcoin::{ScriptBuf, Transaction};
use leyden_core::channel::*;
use leyden_core::tx::{ChannelType, Side};
use leyden_core::units::{FeeratePerKw, Msat, Sat};
use leyden_core::wire::{ClosingSigned, FeeRange, Message, Shutdown};
use pair::*;

const CLOSE: Command = Command::Close { script: None, feerate: None };

#[test]
fn both_close_together_with_one_transaction() {
    for closer in [A, B] {
        let mut pair = Pair::open(Setup::default());
        pair.command(closer, CLOSE).unwrap();
        pair.drain();
        let (from_a, from_b) = (pair.broadcasts(A), pair.broadcasts(B));
        assert_eq!(from_a.len(), 1);
        assert_eq!(from_a, from_b, "both have the same X");
        let (role, tx) = from_a[0].clone();
        assert_eq!(role, Role::Closing);
        let paid = |script: ScriptBuf| value_to(&tx, &script);
        assert_eq!(paid(destination(2)), Some(500_000));
        assert_eq!(paid(destination(1)), Some(500_000 - fee_of(&tx)), "the opener pays");
        assert_eq!(fee_of(&tx), 676, "1000 sat/kw for two P2WPKH outputs");
        pair.mine(vec![tx]);
        pair.mine_empty(98);
        assert!(!pair.channel(A).is_done(), "99 confirmations are not irrevocable");
        pair.mine_empty(1);
        for who in [A, B] {
            assert!(pair.channel(who).is_done());
            assert_eq!(pair.effects(who).last(), Some(&Effect::Resolved));
        }
    }
}

#[test]
fn both_close_at_once_and_shutdowns_cross() {
    let mut pair = Pair::open(Setup::default());
    pair.command(A, CLOSE).unwrap();
    pair.command(B, CLOSE).unwrap();
    assert_eq!(pair.command(B, CLOSE), Err(Rejection::AlreadyClosing));
    pair.drain();
    assert_eq!(pair.broadcasts(A), pair.broadcasts(B));
    assert_eq!(pair.broadcasts(A).len(), 1);
}

#[test]
fn n21_a_closing_channel_takes_no_new_htlcs_and_lets_the_old_ones_end() {
    let mut pair = Pair::open(Setup::default());
    pair.add(A, 1, 10_000_000).unwrap();
    pair.add(A, 2, 20_000_000).unwrap();
    pair.settle();
    pair.command(B, CLOSE).unwrap();
    pair.drain();
    assert_eq!(pair.add(A, 3, 10_000_000), Err(Rejection::Closing));
    assert_eq!(pair.add(B, 3, 10_000_000), Err(Rejection::Closing));
    assert!(pair.broadcasts(A).is_empty());
    pair.command(A, Command::UpdateFee(FeeratePerKw::new(2000))).unwrap();
    pair.command(B, Command::Fulfill { id: 0, preimage: preimage(1) }).unwrap();
    pair.settle();
    assert!(pair.broadcasts(A).is_empty(), "one HTLC is left");
    pair.command(B, Command::Fail { id: 1, reason: Vec::new() }).unwrap();
    pair.settle();
    assert_eq!(pair.broadcasts(A), pair.broadcasts(B));
    let tx = pair.broadcasts(A)[0].1.clone();
    assert_eq!(value_to(&tx, &destination(2)), Some(510_000));
}

#[test]
fn n21_an_offer_after_shutdown_is_warned_about() {
    let mut pair = Pair::open(Setup::default());
    pair.add(A, 1, 10_000_000).unwrap();
    pair.settle();
    pair.command(A, CLOSE).unwrap();
    pair.drain();
    let add = pair.last(A, |message| match message {
        Message::UpdateAddHtlc(add) => Some(Message::UpdateAddHtlc(add.clone())),
        _ => None,
    });
    pair.receive(B, add);
    assert!(pair.warning_of(B).unwrap().contains("after shutdown"));
}

#[test]
fn our_shutdown_waits_until_our_updates_are_signed() {
    let mut pair = Pair::open(Setup::default());
    pair.add(A, 1, 10_000_000).unwrap();
    pair.command(A, CLOSE).unwrap();
    let shutdowns =
        |pair: &Pair| pair.a.sent.iter().filter(|message| matches!(message, Message::Shutdown(_))).count();
    assert_eq!(shutdowns(&pair), 0);
    pair.command(A, Command::Commit).unwrap();
    assert_eq!(shutdowns(&pair), 1);
    pair.settle();
    assert_eq!(pair.warning_of(B), None);
    pair.command(B, Command::Fulfill { id: 0, preimage: preimage(1) }).unwrap();
    pair.settle();
    assert_eq!(pair.broadcasts(A), pair.broadcasts(B));
    assert_eq!(pair.broadcasts(A).len(), 1);
}

#[test]
fn each_side_names_its_own_script_and_the_opener_its_feerate() {
    let mut pair = Pair::open(Setup::default());
    let script = ScriptBuf::from_bytes([vec![0x51, 0x20], vec![2; 32]].concat());
    let close = Command::Close { script: Some(script.clone()), feerate: Some(FeeratePerKw::new(500)) };
    pair.command(A, close).unwrap();
    pair.drain();
    let tx = pair.broadcasts(B)[0].1.clone();
    assert!(value_to(&tx, &script).is_some());
    assert!(fee_of(&tx) < 400, "{}", fee_of(&tx));
    let odd = Some(ScriptBuf::from_bytes(vec![0x51]));
    let mut pair = Pair::open(Setup::default());
    let refused = pair.command(A, Command::Close { script: odd, feerate: None });
    assert_eq!(refused, Err(Rejection::ShutdownScript));
}

#[test]
fn an_acceptor_with_a_wish_picks_within_the_openers_range() {
    let mut pair = Pair::open(Setup::default());
    let close = Command::Close { script: None, feerate: Some(FeeratePerKw::new(1500)) };
    pair.command(B, close).unwrap();
    pair.drain();
    assert_eq!(pair.broadcasts(A), pair.broadcasts(B));
    assert_eq!(fee_of(&pair.broadcasts(A)[0].1), 1014);
    let close = Command::Close { script: None, feerate: Some(FeeratePerKw::new(9000)) };
    let mut pair = Pair::open(Setup::default());
    pair.command(B, close).unwrap();
    pair.drain();
    assert_eq!(pair.broadcasts(A), pair.broadcasts(B));
    assert_eq!(fee_of(&pair.broadcasts(A)[0].1), 1352, "no more than the opener's maximum");
}

#[test]
fn n20_a_closing_signed_against_the_rules_has_its_consequence() {
    type Break = fn(&mut ClosingSigned);
    let cases: [(&str, bool, Break); 4] = [
        ("signature", true, |signed| signed.fee_satoshis = Sat::new(673)),
        ("more than the opener has", true, |signed| signed.fee_satoshis = Sat::new(500_001)),
        ("more than the opener has", true, |signed| signed.fee_satoshis = Sat::new(u64::MAX)),
        ("no fee between", false, |signed| {
            signed.fee_range =
                Some(FeeRange { min_fee_satoshis: Sat::new(1), max_fee_satoshis: Sat::new(100) });
        }),
    ];
    for (text, fails, broken) in cases {
        let mut pair = Pair::open(Setup::default());
        pair.command(A, CLOSE).unwrap();
        pair.deliver(B);
        pair.deliver(A);
        let mut signed = pair.last(A, |message| match message {
            Message::ClosingSigned(signed) => Some(signed.clone()),
            _ => None,
        });
        broken(&mut signed);
        pair.b.inbox.clear();
        pair.receive(B, Message::ClosingSigned(signed));
        let said = if fails { pair.error_of(B) } else { pair.warning_of(B) };
        assert!(said.unwrap().contains(text));
        let forced = pair.broadcasts(B).iter().any(|(role, _)| *role == Role::Commitment);
        assert_eq!(forced, fails);
    }
}

#[test]
fn n16_a_shutdown_script_must_have_a_form_and_stay_the_same() {
    let mut pair = Pair::open(Setup::default());
    let shutdown = |pair: &Pair, scriptpubkey| {
        let (channel_id, unknown) = (pair.channel(A).id(), Vec::new());
        Message::Shutdown(Shutdown { channel_id, scriptpubkey, unknown })
    };
    let legacy = ScriptBuf::from_bytes([vec![0xa9, 0x14], vec![2; 20], vec![0x87]].concat());
    let bad = shutdown(&pair, legacy);
    pair.receive(B, bad);
    assert!(pair.warning_of(B).unwrap().contains("forms"));

    let mut pair = Pair::open(Setup::default());
    pair.add(A, 1, 10_000_000).unwrap();
    pair.settle();
    let (one, other) = (shutdown(&pair, destination(5)), shutdown(&pair, destination(6)));
    pair.receive(B, one);
    assert_eq!(pair.warning_of(B), None);
    pair.receive(B, other);
    assert!(pair.warning_of(B).unwrap().contains("differs"));
}

#[test]
fn n16_an_upfront_script_binds_the_peer() {
    let mut pair = Pair::strangers(Setup::default());
    pair.propose().unwrap();
    let bytes = pair.b.inbox.pop_front().unwrap();
    let Message::OpenChannel(mut open) = Message::decode(&bytes).unwrap() else { panic!("no open_channel") };
    open.upfront_shutdown_script = Some(destination(8));
    pair.receive(B, Message::OpenChannel(open));
    pair.drain();
    pair.confirm_funding();
    pair.effects(B);
    pair.command(A, CLOSE).unwrap();
    pair.drain();
    assert!(pair.warning_of(B).unwrap().contains("upfront_shutdown_script"));
}

#[test]
fn a_side_below_the_dust_limit_gets_no_output() {
    let setup = Setup { push: Msat::new(300_000), ..Setup::default() };
    let mut pair = Pair::open(setup);
    pair.command(B, CLOSE).unwrap();
    pair.drain();
    let tx = pair.broadcasts(A)[0].1.clone();
    assert_eq!(tx.output.len(), 1);
    assert_eq!(pair.broadcasts(B)[0].1, tx);
}

#[test]
fn closing_alone_pays_the_peer_at_once_and_us_after_the_delay() {
    for channel_type in [ChannelType::StaticRemotekey, ChannelType::AnchorsZeroFeeHtlc] {
        for closer in [A, B] {
            let delayed = ChannelConfig { to_self_delay: 20, ..ChannelConfig::default() };
            let setup = Setup { channel_type, a: delayed.clone(), b: delayed, ..Setup::default() };
            let mut pair = Pair::open(setup);
            let other = closer.other();
            pair.command(closer, Command::ForceClose).unwrap();
            let commitment = only(&pair, closer, Role::Commitment);
            assert!(pair.effects(closer).iter().any(|effect| matches!(effect, Effect::Closing { .. })));
            pair.mine(vec![commitment.clone()]);
            let direct = only(&pair, other, Role::SweepToRemote);
            assert_eq!(direct.input[0].previous_output.txid, commitment.compute_txid());
            pair.mine(vec![direct]);
            pair.mine_empty(17);
            assert!(pair.broadcasts(closer).is_empty(), "the delay is not over one block early");
            pair.mine_empty(1);
            let delayed = only(&pair, closer, Role::SweepToLocal);
            assert_eq!(delayed.input[0].sequence.to_consensus_u32(), 20);
            let script = destination(if closer == A { 1 } else { 2 });
            assert_eq!(delayed.output[0].script_pubkey, script);
            pair.mine(vec![delayed]);
            pair.mine_empty(98);
            assert!(pair.channel(other).is_done(), "the peer's sweep is 100 deep long since");
            assert!(!pair.channel(closer).is_done());
            pair.mine_empty(1);
            assert!(pair.channel(closer).is_done());
            for who in [A, B] {
                assert_eq!(pair.effects(who).last(), Some(&Effect::Resolved));
            }
        }
    }
}

#[test]
fn the_unanswered_next_commitment_of_the_peer_is_recognised() {
    let mut pair = Pair::open(Setup::default());
    pair.add(A, 1, 300_000).unwrap();
    pair.command(A, Command::Commit).unwrap();
    pair.deliver(B);
    pair.deliver(B);
    pair.command(B, Command::ForceClose).unwrap();
    let commitment = only(&pair, B, Role::Commitment);
    pair.mine(vec![commitment]);
    let why = closing_of(&mut pair, A);
    assert!(why.contains("had not acknowledged"), "{why}");
    assert_eq!(pair.channel(A).phase(), "on chain");
}

#[test]
fn a_revoked_commitment_is_named_and_punished() {
    let mut pair = Pair::open(Setup::default());
    let cheat = pair.channel(B).step(Input::Command(Command::ForceClose), &pair.env).unwrap();
    let old = cheat.effects.iter().find_map(|effect| match effect {
        Effect::Broadcast { tx, .. } => Some(tx.clone()),
        _ => None,
    });
    pair.add(A, 1, 10_000_000).unwrap();
    pair.settle();
    pair.mine(vec![old.unwrap()]);
    let (sweep, penalty) = (only(&pair, A, Role::SweepToRemote), only(&pair, A, Role::Penalty));
    assert!(closing_of(&mut pair, A).contains("published its revoked commitment 0"));
    assert!(penalty.output[0].value.to_sat() > 499_000, "all that the cheater had");
    pair.mine(vec![sweep, penalty]);
    pair.mine_empty(98);
    assert!(!pair.channel(A).is_done(), "99 confirmations are not irrevocable");
    pair.mine_empty(1);
    assert!(pair.channel(A).is_done());
}

#[test]
fn an_unknown_spend_is_warned_about() {
    let mut pair = Pair::open(Setup::default());
    let mut tx = funding_tx(destination(7), Sat::new(1000));
    tx.input[0].previous_output = pair.channel(A).terms().unwrap().funding;
    pair.mine(vec![tx]);
    assert!(closing_of(&mut pair, A).contains("unknown transaction"));
}

#[test]
fn a_reorganisation_puts_back_what_it_took() {
    let delayed = ChannelConfig { to_self_delay: 2, ..ChannelConfig::default() };
    let mut pair = Pair::open(Setup { b: delayed, ..Setup::default() });
    pair.command(A, Command::ForceClose).unwrap();
    let commitment = only(&pair, A, Role::Commitment);
    pair.effects(A);
    pair.mine(vec![commitment.clone()]);
    pair.mine_empty(1);
    let sweep = only(&pair, A, Role::SweepToLocal);
    pair.mine(vec![sweep.clone()]);
    pair.effects(A);
    pair.unmine();
    assert_eq!(pair.broadcasts(A), [(Role::SweepToLocal, sweep)]);
    pair.effects(A);
    pair.unmine();
    assert!(pair.broadcasts(A).is_empty());
    pair.unmine();
    assert_eq!(pair.broadcasts(A), [(Role::Commitment, commitment.clone())]);
    pair.effects(A);
    pair.mine_empty(5);
    let again = vec![(Role::Commitment, commitment.clone()); 5];
    assert_eq!(pair.broadcasts(A), again, "a mempool may forget it: once more at each block");
    pair.effects(A);
    pair.mine(vec![commitment]);
    pair.mine_empty(1);
    assert_eq!(pair.broadcasts(A).len(), 1, "only the sweep: what is mined is not handed over again");
}

#[test]
fn an_error_of_the_peer_closes_the_channel_alone() {
    let mut pair = Pair::open(Setup::default());
    let data = b"no more".to_vec();
    let channel_id = pair.channel(A).id();
    pair.receive(A, Message::Error(leyden_core::wire::ErrorMessage { channel_id, data }));
    only(&pair, A, Role::Commitment);
    assert!(closing_of(&mut pair, A).contains("no more"));
    assert_eq!(pair.error_of(A), None, "an error is not answered by another");
    assert_eq!(pair.command(A, Command::ForceClose), Err(Rejection::AlreadyClosing));
}

#[test]
fn an_unconfirmed_channel_can_be_closed_together_too() {
    let mut pair = Pair::funded(Setup::default());
    pair.effects(A);
    pair.command(B, CLOSE).unwrap();
    pair.drain();
    assert_eq!(pair.broadcasts(A), pair.broadcasts(B));
    let funding = pair.funding_tx.clone().unwrap();
    let closing = pair.broadcasts(A)[0].1.clone();
    pair.mine(vec![funding, closing]);
    pair.mine_empty(99);
    assert!(pair.channel(A).is_done() && pair.channel(B).is_done());
}

#[test]
fn what_is_not_mined_is_told_again_after_a_start() {
    let mut pair = Pair::open(Setup::default());
    assert!(pair.channel(A).unmined().is_empty());
    pair.command(A, Command::ForceClose).unwrap();
    let commitment = only(&pair, A, Role::Commitment);
    let again = Effect::Broadcast { role: Role::Commitment, tx: commitment.clone() };
    assert_eq!(pair.channel(A).unmined(), [again]);
    pair.mine(vec![commitment]);
    assert!(pair.channel(A).unmined().is_empty());
    assert_eq!(pair.channel(A).commitment_number(Side::Local).map(|number| number.get()), Some(0));
}

fn only(pair: &Pair, who: Who, role: Role) -> Transaction {
    let found: Vec<_> = pair.broadcasts(who).into_iter().filter(|(found, _)| *found == role).collect();
    assert_eq!(found.len(), 1, "{who:?} broadcast {} transactions as {role:?}", found.len());
    found.into_iter().next().unwrap().1
}

fn closing_of(pair: &mut Pair, who: Who) -> String {
    let why = |effect| match effect {
        Effect::Closing { why } => Some(why),
        _ => None,
    };
    pair.effects(who).into_iter().find_map(why).expect("the channel closes")
}

fn value_to(tx: &Transaction, script: &ScriptBuf) -> Option<u64> {
    let found = tx.output.iter().find(|output| output.script_pubkey == *script);
    found.map(|output| output.value.to_sat())
}

fn fee_of(tx: &Transaction) -> u64 {
    1_000_000 - tx.output.iter().map(|output| output.value.to_sat()).sum::<u64>()
}
