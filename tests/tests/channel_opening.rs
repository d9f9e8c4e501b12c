//! Opening a channel: the rules of BOLT 2 "Channel Establishment v1", each broken once.
mod bad_opens;
mod pair;
mod proposal;

use bad_opens::BAD_OPENS;
use bitcoin::{OutPoint, Transaction, TxOut};
use leyden_core::channel::*;
use leyden_core::ids::ChannelId;
use leyden_core::tx::{funding_output, ChannelType, Side};
use leyden_core::units::{BlockHeight, FeeratePerKw, Msat, Sat};
use leyden_core::wire::{AcceptChannel, Features, Message, OpenChannel};
use pair::*;

#[test]
fn a_channel_opens_and_both_ends_agree() {
    for channel_type in [ChannelType::StaticRemotekey, ChannelType::AnchorsZeroFeeHtlc] {
        let pair = Pair::open(Setup { channel_type, ..Setup::default() });
        pair.assert_agreement();
        assert_eq!(pair.channel(A).balances(), (Msat::new(500_000_000), Msat::new(500_000_000)));
        assert_eq!(pair.channel(A).id(), pair.channel(B).id());
        assert_eq!(pair.channel(A).short_channel_id(), pair.channel(B).short_channel_id());
        assert!(pair.channel(A).short_channel_id().is_some());
    }
}

#[test]
fn a_channel_may_begin_with_everything_on_the_openers_side() {
    let mut pair = Pair::open(Setup { push: Msat::ZERO, ..Setup::default() });
    assert_eq!(pair.channel(B).spendable(&pair.env), Msat::ZERO);
    pair.add(A, 1, 100_000_000).unwrap();
    pair.settle();
    pair.command(B, Command::Fulfill { id: 0, preimage: preimage(1) }).unwrap();
    pair.settle();
    pair.assert_agreement();
    assert_eq!(pair.channel(B).spendable(&pair.env), Msat::new(90_000_000));
}

#[test]
fn n10_an_unacceptable_open_channel_fails_the_channel() {
    for (text, broken) in BAD_OPENS {
        let mut pair = Pair::strangers(Setup::default());
        pair.propose().unwrap();
        let mut open = pair.last(A, open_of);
        broken(&mut open);
        let violation = accept(&pair, &open).err().unwrap_or_else(|| panic!("{text} was accepted"));
        assert!(violation.to_string().contains(text), "{violation} is not about {text}");
        assert!(text.starts_with("feerate") || violation.severity() == Severity::FailChannel);
    }
}

#[test]
fn n12_an_unacceptable_accept_channel_fails_the_channel() {
    type Break = fn(&mut AcceptChannel);
    let cases: [(&str, Break); 9] = [
        ("below our dust limit", |accept| accept.channel_reserve_satoshis = Sat::new(353)),
        ("above channel_reserve_satoshis", |accept| accept.dust_limit_satoshis = Sat::new(10_000)),
        ("channel_type is missing", |accept| accept.channel_type = None),
        ("differs from the one", |accept| accept.channel_type = Some(Features::of(&[12, 22]))),
        ("to_self_delay", |accept| accept.to_self_delay = 2017),
        ("max_accepted_htlcs", |accept| accept.max_accepted_htlcs = 484),
        ("minimum_depth", |accept| accept.minimum_depth = 145),
        ("htlc_minimum_msat", |accept| accept.htlc_minimum_msat = Msat::new(1_000_000_000)),
        ("below 354", |accept| accept.dust_limit_satoshis = Sat::new(353)),
    ];
    for (text, broken) in cases {
        let ppm = if text.contains("above channel") { 5_000 } else { 10_000 };
        let a = ChannelConfig { reserve_ppm: ppm, ..ChannelConfig::default() };
        let mut pair = Pair::strangers(Setup { a, ..Setup::default() });
        pair.propose().unwrap();
        pair.deliver(B);
        pair.a.inbox.clear();
        let mut accept = pair.last(B, |message| match message {
            Message::AcceptChannel(accept) => Some(accept.clone()),
            _ => None,
        });
        broken(&mut accept);
        pair.receive(A, Message::AcceptChannel(accept));
        let error = pair.error_of(A).unwrap_or_else(|| panic!("{text} was accepted"));
        assert!(error.contains(text), "{error} is not about {text}");
        assert!(matches!(pair.effects(A).as_slice(), [Effect::Abandoned { .. }]));
        assert!(pair.channel(A).is_done());
    }
}

#[test]
fn n13_the_funding_is_broadcast_only_after_a_valid_funding_signed() {
    let mut pair = Pair::strangers(Setup::default());
    pair.propose().unwrap();
    pair.deliver(B);
    pair.deliver(A);
    assert!(pair.broadcasts(A).is_empty(), "funding_created is sent and nothing else");
    pair.deliver(B);
    let mut signed = pair.last(B, |message| match message {
        Message::FundingSigned(signed) => Some(signed.clone()),
        _ => None,
    });
    signed.signature = pair.last(A, |message| match message {
        Message::FundingCreated(created) => Some(created.signature),
        _ => None,
    });
    pair.a.inbox.clear();
    pair.receive(A, Message::FundingSigned(signed));
    assert!(pair.error_of(A).unwrap().contains("signature"));
    assert!(pair.broadcasts(A).is_empty());
    assert!(pair.channel(A).is_done());

    let pair = Pair::funded(Setup::default());
    assert_eq!(pair.broadcasts(A), [(Role::Funding, pair.funding_tx.clone().unwrap())]);
    assert!(pair.broadcasts(B).is_empty());
}

#[test]
fn n13_a_bad_signature_in_funding_created_fails_the_channel() {
    let mut pair = Pair::strangers(Setup::default());
    pair.propose().unwrap();
    pair.deliver(B);
    pair.deliver(A);
    let mut created = pair.last(A, |message| match message {
        Message::FundingCreated(created) => Some(created.clone()),
        _ => None,
    });
    created.funding_output_index = 1;
    pair.b.inbox.clear();
    pair.receive(B, Message::FundingCreated(created));
    assert!(pair.error_of(B).unwrap().contains("signature"));
    assert!(pair.channel(B).is_done());
}

#[test]
fn n14_channel_ready_waits_for_the_depth_and_the_right_output() {
    let mut pair = Pair::funded(Setup::default());
    let tx = pair.funding_tx.clone().unwrap();
    pair.mine(vec![tx.clone()]);
    pair.mine_empty(1);
    pair.drain();
    assert_eq!(pair.channel(A).phase(), "awaiting confirmations", "two confirmations are not three");
    pair.mine_empty(1);
    pair.drain();
    let short_channel_id = pair.channel(A).short_channel_id().unwrap();
    assert_eq!(short_channel_id.to_string(), "101x1x0");
    for who in [A, B] {
        assert!(pair.effects(who).contains(&Effect::Ready { short_channel_id }));
        assert!(pair.channel(who).is_usable());
    }
}

#[test]
fn n14_a_funding_output_that_pays_something_else_is_no_channel() {
    let mut pair = Pair::strangers(Setup::default());
    pair.propose().unwrap();
    pair.deliver(B);
    let open = pair.last(A, open_of);
    let tx = funding_tx(destination(4), Sat::new(open.funding_satoshis.get() - 1));
    let refused = pair.channel(A).step(Input::Command(Command::Funded { tx, vout: 0 }), &pair.env);
    assert!(refused.is_err(), "our own wallet is not trusted either");
}

#[test]
fn a_reorganised_funding_is_looked_for_again() {
    let mut pair = Pair::funded(Setup::default());
    let tx = pair.funding_tx.clone().unwrap();
    pair.effects(A);
    pair.mine(vec![tx.clone()]);
    pair.unmine();
    assert_eq!(pair.broadcasts(A).len(), 1, "ours goes to the mempool again");
    pair.mine_empty(3);
    pair.drain();
    assert!(!pair.channel(A).is_usable());
    pair.mine(vec![tx]);
    pair.mine_empty(2);
    pair.drain();
    assert!(pair.channel(A).is_usable() && pair.channel(B).is_usable());
    assert_eq!(pair.channel(B).short_channel_id().unwrap().to_string(), "104x1x0");
}

#[test]
fn an_acceptor_forgets_a_funding_that_never_confirms_and_an_opener_does_not() {
    let b = ChannelConfig { forget_unconfirmed_after: 10, ..ChannelConfig::default() };
    let mut pair = Pair::funded(Setup { b, ..Setup::default() });
    pair.mine_empty(9);
    assert!(!pair.channel(B).is_done());
    pair.mine_empty(1);
    assert!(pair.channel(B).is_done());
    assert!(matches!(pair.effects(B).last(), Some(Effect::Abandoned { .. })));
    assert!(!pair.channel(A).is_done());
    assert_eq!(ChannelConfig::default().forget_unconfirmed_after, 2016);
}

#[test]
fn an_acceptor_forgets_a_channel_that_was_shut_down_and_whose_funding_never_confirms() {
    for signed in [false, true] {
        let b = ChannelConfig { forget_unconfirmed_after: 10, ..ChannelConfig::default() };
        let mut pair = Pair::funded(Setup { b, ..Setup::default() });
        pair.command(A, Command::Close { script: None, feerate: None }).unwrap();
        pair.deliver(B);
        if signed {
            pair.drain();
        }
        assert_eq!(pair.channel(B).phase(), if signed { "on chain" } else { "shutting down" });
        pair.mine_empty(10);
        assert!(!pair.channel(B).is_done());
        pair.mine_empty(1);
        let told = Effect::Abandoned {
            why: "the funding was not confirmed within 10 blocks".to_owned(),
            told_destination: true,
        };
        assert_eq!(pair.effects(B).last(), Some(&told), "signed: {signed}");
        assert!(pair.channel(B).is_done() && !pair.channel(A).is_done());
    }
}

#[test]
fn a_funding_that_is_not_mined_is_handed_in_again_but_not_for_ever() {
    let mut pair = Pair::funded(Setup::default());
    let handed = |pair: &mut Pair, end| {
        let funding = |effect: &&Effect| matches!(effect, Effect::Broadcast { role: Role::Funding, .. });
        pair.effects(end).iter().filter(funding).count()
    };
    assert_eq!(handed(&mut pair, A), 1);
    pair.mine_empty(3);
    assert_eq!(handed(&mut pair, A), 3);
    // Once a block for a day, then once a day.
    pair.mine_empty(1_005);
    assert_eq!(handed(&mut pair, A), 141 + 6);
    assert_eq!(handed(&mut pair, B), 0, "it is not the acceptor's");
}

#[test]
fn a_lost_link_before_the_funding_is_signed_ends_the_opening() {
    for delivered in 0..3 {
        let mut pair = Pair::strangers(Setup::default());
        pair.propose().unwrap();
        for to in [B, A].into_iter().take(delivered) {
            pair.deliver(to);
        }
        pair.input(A, Input::Disconnected).unwrap();
        assert!(pair.channel(A).is_done());
        assert!(pair.channel(A).watches().is_empty());
    }
}

#[test]
fn a_request_that_no_peer_could_accept_is_refused() {
    let refused = |setup: Setup| Pair::strangers(setup).propose().unwrap_err();
    let too_large = Setup { funding: Sat::new(u64::MAX), ..Setup::default() };
    assert!(matches!(refused(too_large), Rejection::FundingAmount { .. }));
    let pushed = Setup { push: Msat::new(1_000_000_001), ..Setup::default() };
    assert!(matches!(refused(pushed), Rejection::PushTooLarge { .. }));
    let all_pushed = Setup { push: Msat::new(1_000_000_000), ..Setup::default() };
    assert!(matches!(refused(all_pushed), Rejection::CannotPayCommitment { .. }));
}

#[test]
fn messages_of_later_phases_are_out_of_order() {
    let mut pair = Pair::strangers(Setup::default());
    pair.propose().unwrap();
    let channel_id = ChannelId([9; 32]);
    let update = leyden_core::wire::UpdateFee { channel_id, feerate_per_kw: FeeratePerKw::new(300) };
    pair.receive(A, Message::UpdateFee(update));
    assert!(pair.warning_of(A).unwrap().contains("not expected while the channel is awaiting"));
}

#[test]
fn both_sides_watch_the_funding() {
    let pair = Pair::funded(Setup::default());
    let funding = pair.channel(A).terms().unwrap().funding;
    for who in [A, B] {
        let watches = pair.channel(who).watches();
        assert_eq!(watches, [Watch::Confirmation(funding.txid), Watch::Spend(funding)]);
    }
    assert_eq!(pair.channel(A).terms().unwrap().opener, Side::Local);
    assert_eq!(pair.env.height, BlockHeight::new(100));
}

fn open_of(message: &Message) -> Option<OpenChannel> {
    match message {
        Message::OpenChannel(open) => Some(open.as_ref().clone()),
        _ => None,
    }
}

fn accept(pair: &Pair, open: &OpenChannel) -> Result<Step, Violation> {
    let keys = pair.b.seed.channel_keys(3);
    let peer = node_id(&pair.a.seed);
    Channel::accept(peer, open, &pair.b.config, keys, 3, destination(2), &pair.env)
}

/// A pair whose opener signed for the first output of this transaction, whatever it pays.
fn funded_by(make: impl FnOnce(TxOut) -> Transaction) -> (Pair, Transaction) {
    let mut pair = Pair::strangers(Setup::default());
    pair.propose().unwrap();
    pair.deliver(B);
    pair.deliver(A);
    pair.b.inbox.clear();
    let (open, accept) = (pair.last(A, open_of), pair.last(B, accept_of));
    let output =
        funding_output(&open.keys.funding_pubkey, &accept.keys.funding_pubkey, open.funding_satoshis);
    let tx = make(output);
    let funding = OutPoint { txid: tx.compute_txid(), vout: 0 };
    let created = proposal::funding_created(&open, &accept, funding, &pair.a.seed.channel_keys(7));
    pair.receive(B, created);
    assert!(pair.channel(B).is_funded(), "what it pays cannot be seen before the chain shows it");
    (pair, tx)
}

#[test]
fn n14_a_funding_that_the_chain_shows_to_be_too_small_is_no_channel() {
    let (mut pair, short) = funded_by(|output| funding_tx(output.script_pubkey, Sat::new(999_999)));
    pair.mine(vec![short]);
    assert!(pair.error_of(B).unwrap().contains("does not pay the agreed amount"));
    assert!(pair.channel(B).is_done());
    assert!(pair.broadcasts(B).is_empty());
}

#[test]
fn n14_a_funding_in_a_coinbase_is_ready_when_it_can_be_spent_even_after_a_reorganisation() {
    let (mut pair, coinbase) = funded_by(|output| {
        let mut tx = funding_tx(output.script_pubkey, output.value.into());
        tx.input[0].previous_output = OutPoint::null();
        tx
    });
    let is_ready =
        |pair: &Pair| pair.b.sent.iter().any(|message| matches!(message, Message::ChannelReady(_)));
    pair.mine(vec![coinbase.clone()]);
    pair.unmine();
    pair.mine(vec![coinbase]);
    pair.mine_empty(98);
    assert!(!is_ready(&pair), "99 deep");
    pair.mine_empty(1);
    assert!(is_ready(&pair), "100 deep");
}

fn accept_of(message: &Message) -> Option<AcceptChannel> {
    match message {
        Message::AcceptChannel(accept) => Some(accept.as_ref().clone()),
        _ => None,
    }
}
