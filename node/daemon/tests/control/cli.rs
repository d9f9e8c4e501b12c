//! The command line for people: what it asks the node, what it prints, how it ends, and what it waits for.

use crate::fake::{Asked, World};
use crate::samples;
use bitcoin::hashes::Hash;
use bitcoin::{ScriptBuf, WPubkeyHash};
use clap::{CommandFactory, Parser};
use leyden_core::channel::OpenRequest;
use leyden_core::ids::{ChannelId, PaymentHash, Preimage, ShortChannelId};
use leyden_core::node::{BalanceInfo, Command, CommandError, Notice, Reply};
use leyden_core::tx::ChannelType;
use leyden_core::units::{FeeratePerKw, Msat, Sat};
use leyden_node::cli::{run_into, CliArgs};
use leyden_node::control::METHODS;
use std::io::Write;
use std::path::Path;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: CliArgs,
}

/// How a line ended, and what it wrote.
#[derive(PartialEq, Eq, Debug)]
struct Ended {
    code: u8,
    out: String,
    err: String,
}

const CHANNEL: ChannelId = ChannelId([2; 32]);
const PAYMENT: PaymentHash = PaymentHash([5; 32]);

#[test]
fn verbs_become_the_commands_that_they_say() {
    let world = World::new();
    let (peer, channel) = (samples::node(2), "02".repeat(32));
    let open = OpenRequest {
        peer,
        funding_amount: Sat::new(1_000_000),
        push: Msat::new(1_500),
        channel_type: ChannelType::StaticRemotekey,
        commitment_feerate: FeeratePerKw::new(750),
        funding_feerate: FeeratePerKw::new(625),
        public: true,
    };
    let cases = [
        (
            format!("openchannel {peer} 0.01btc --push 1.5sat --channel-type static-remotekey --feerate 2.5 --public"),
            Command::Open(open),
        ),
        (
            format!("closechannel {channel} --feerate 1"),
            Command::Close { channel: CHANNEL, feerate: Some(FeeratePerKw::new(250)) },
        ),
        (format!("forceclosechannel {channel}"), Command::ForceClose { channel: CHANNEL }),
        (
            format!("setchannelfee {channel} 4"),
            Command::UpdateFee { channel: CHANNEL, feerate: FeeratePerKw::new(1000) },
        ),
        (
            "invoice 100sat --description coffee --min-final-cltv-delta 40".to_owned(),
            Command::Invoice {
                amount: Some(Msat::new(100_000)),
                description: "coffee".to_owned(),
                min_final_cltv_delta: Some(40),
            },
        ),
        (
            "pay lnbcrt1 --amount 1msat --max-fee 2msat --no-wait".to_owned(),
            Command::Pay { invoice: "lnbcrt1".to_owned(), amount: Some(Msat::new(1)), max_fee: Msat::new(2) },
        ),
        ("listchannels".to_owned(), Command::ListChannels),
        ("listpayments".to_owned(), Command::ListPayments),
        ("getbalances".to_owned(), Command::Balances),
        ("newaddress".to_owned(), Command::NewAddress),
    ];
    for (line, command) in cases {
        // `--json` prints any answer, and the fake's is none of these methods'.
        let ended = cli(&world, &format!("{line} --json"));
        assert_eq!(ended, Ended { code: 0, out: "{}\n".to_owned(), err: String::new() }, "{line}");
        assert_eq!(world.fake.take_asked(), [Asked::Command(command)], "{line}");
    }
    for (line, asked) in [
        (format!("connect {peer}@[::1]:9735"), Asked::Connect(peer, "[::1]:9735".to_owned())),
        (format!("disconnect {peer}"), Asked::Disconnect(peer)),
        ("stop --no-wait".to_owned(), Asked::Stop),
    ] {
        assert_eq!(cli(&world, &line), silent());
        assert_eq!(world.fake.take_asked(), [asked]);
    }
}

#[test]
fn the_rarer_verbs_take_all_their_parts() {
    let world = World::new();
    for command in samples::commands() {
        let line = match &command {
            Command::PayRoute(_) => {
                let call = leyden_node::control::Call::from(command.clone());
                vec!["payroute".to_owned(), serde_json::Value::Object(call.parameters()).to_string()]
            }
            Command::LearnChannel(known) => {
                let policy = known.policy;
                let line = format!(
                    "learnchannel {} {} {} {} --fee-base {}msat --fee-ppm {} --cltv-delta {} --htlc-min {}msat --htlc-max {}msat",
                    known.short_channel_id,
                    known.from,
                    known.to,
                    known.capacity.get(),
                    policy.fee_base.get(),
                    policy.fee_proportional_millionths,
                    policy.cltv_expiry_delta,
                    policy.htlc_minimum.get(),
                    policy.htlc_maximum.get(),
                );
                line.split(' ').map(str::to_owned).collect()
            }
            _ => continue,
        };
        let ended =
            cli_words(world.folder.path(), &[line, vec!["--json".to_owned()]].concat(), &mut Vec::new());
        assert_eq!(ended.code, 0, "{}", ended.err);
        assert_eq!(world.fake.take_asked(), [Asked::Command(command)]);
    }
}

#[test]
fn results_are_for_people() {
    let world = World::new();
    let answered = |reply: Reply, line: &str| {
        world.fake.will_answer(Ok(reply));
        let ended = cli(&world, line);
        assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{line}");
        ended.out
    };
    let script = ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array([9; 20]));
    assert!(answered(Reply::Address(script), "newaddress").starts_with("bcrt1q"));

    let balances =
        BalanceInfo { wallet: Sat::new(1_000), channels: Msat::new(41_500), closing: Msat::new(2_000) };
    let table =
        "              SAT\nwallet       1000\nchannels   41.500\nclosing         2\ntogether 1043.500\n";
    let shown = answered(Reply::Balances(balances), "getbalances");
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(squeezed(&shown), squeezed(table));

    let shown = answered(Reply::Channels(vec![samples::grown_channel()]), "listchannels");
    let [header, row] = shown.lines().collect::<Vec<_>>()[..] else { panic!("two lines: {shown}") };
    let cells =
        ["OURS/SAT", "THEIRS/SAT", "HTLCS", "SAT/VB"].map(|name| header.find(name).map(|at| at + name.len()));
    for (end, cell) in cells.into_iter().zip(["400000", "600000", "483", "10"]) {
        let end = end.expect("a column");
        // One letter, …, has three bytes.
        assert!(row.replace('…', ".")[..end].ends_with(cell), "{shown}");
    }
    assert!(row.starts_with(&"02".repeat(32)) && row.contains("normal") && row.contains("103x1x65535"));

    let info = cli(&world, "getinfo").out;
    assert!(info.contains("feerate    3 sat/vB") && info.contains("1 connected of 2"), "{info}");
    let peers = cli(&world, "listpeers").out;
    assert!(peers.contains("connecting") && peers.contains("127.0.0.1:9735"), "{peers}");
    let invoice = cli(&world, &format!("decodeinvoice {}", samples::INVOICE)).out;
    assert!(invoice.contains("250000 sat") && invoice.contains("1 cup coffee"), "{invoice}");
}

#[test]
fn text_of_others_moves_no_cursor() {
    let world = World::new();
    let text = "\u{1b}[2Jnothing\u{202e} wrong\u{7}".to_owned();
    world.fake.will_answer(Err(CommandError(text.clone())));
    let ended = cli(&world, "getbalances");
    assert_eq!((ended.code, ended.err.as_str()), (1, "\u{fffd}[2Jnothing\u{fffd} wrong\u{fffd}\n"));

    world.fake.tell(1, Notice::PeerError { peer: samples::node(2), text });
    let ended = cli(&world, "events --from 1 --count 1");
    assert!(ended.out.contains("peer_error") && !ended.out.contains('\u{1b}'), "{}", ended.out);
}

#[test]
fn each_way_to_end_has_its_code() {
    let mut world = World::new();
    world.fake.will_answer(Err(CommandError("connect first".to_owned())));
    assert_eq!(
        cli(&world, "getbalances"),
        Ended { code: 1, out: String::new(), err: "connect first\n".to_owned() }
    );
    assert_eq!(cli(&world, "decodeinvoice lnbc1").code, 2);
    assert_eq!(cli(&world, "help nothing").code, 2);

    world.fake.gate.forget_permits(usize::MAX);
    let late = cli(&world, "getbalances --timeout 1");
    assert_eq!(late.code, 4, "{}", late.err);
    assert!(late.err.contains("may have been done"), "{}", late.err);
    world.fake.gate.add_permits(1);

    // As a node that was killed: the files are there, and nobody.
    let copy = tempfile::TempDir::new().expect("a folder");
    for name in ["control.cookie", "control.address"] {
        std::fs::copy(world.folder.path().join(name), copy.path().join(name)).expect("copied");
    }
    world.stop();
    for folder in [copy.path(), world.folder.path(), Path::new("/nowhere")] {
        let ended = cli_words(folder, &["getinfo".to_owned()], &mut Vec::new());
        assert_eq!(ended.code, 3, "{}", ended.err);
        assert!(ended.err.contains("Is it running?"), "{}", ended.err);
    }
}

#[test]
fn a_wrong_line_is_told_before_any_node_is_asked() {
    let channel = "02".repeat(32);
    let peer = samples::node(2);
    let wrong = [
        "".to_owned(),
        "nothing".to_owned(),
        "connect 02".to_owned(),
        format!("connect {peer}"),
        format!("openchannel {peer} 1.5"),
        format!("openchannel {peer} -1"),
        format!("openchannel {peer} 1000 --feerate 1sat"),
        format!("openchannel {peer} 1000 --channel-type taproot"),
        format!("closechannel {}", &channel[1..]),
        "invoice 1e3".to_owned(),
        "payroute {}".to_owned(),
        "getinfo --timeout 0".to_owned(),
        "learnchannel 1x1 a b 1".to_owned(),
    ];
    for line in wrong {
        let words = std::iter::once("cli").chain(line.split(' ').filter(|word| !word.is_empty()));
        let error = Line::try_parse_from(words).map(drop).expect_err(&line);
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

#[test]
fn every_method_is_a_verb_with_a_help_text() {
    let mut line = Line::command();
    line.build();
    for method in METHODS {
        let verb = line.find_subcommand(method.name).unwrap_or_else(|| panic!("no verb {}", method.name));
        assert!(verb.get_about().is_some());
        for argument in verb.get_arguments() {
            assert!(argument.get_help().is_some(), "{} {}", method.name, argument.get_id());
        }
    }
    line.debug_assert();
}

#[test]
fn help_needs_no_node() {
    let ended = cli_words(Path::new("/nowhere"), &["help".to_owned(), "pay".to_owned()], &mut Vec::new());
    assert!(ended.code == 0 && ended.out.contains("max_fee_msat"), "{}", ended.out);
    let page =
        cli_words(Path::new("/nowhere"), &["help".to_owned(), "--markdown".to_owned()], &mut Vec::new());
    assert_eq!(page.out, leyden_node::control::markdown());
}

#[test]
fn pay_ends_with_the_payment() {
    let world = World::new();
    let sent = |payment_hash| Notice::PaymentSent {
        payment_hash,
        preimage: Preimage([7; 32]),
        amount: Msat::new(1000),
        fee: Msat::new(3),
    };
    world.fake.will_answer(Ok(Reply::Paying { payment_hash: PAYMENT }));
    // Another payment's end is not ours.
    world.fake.will_tell(vec![sent(PaymentHash([6; 32])), sent(PAYMENT)]);
    let ended = cli(&world, "pay lnbcrt1");
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(
        ended.out.contains("     2  payment_sent") && ended.out.contains(&"07".repeat(32)),
        "{}",
        ended.out
    );

    let world = World::new();
    world.fake.will_answer(Ok(Reply::Paying { payment_hash: PAYMENT }));
    let failure = samples::failure(Some(samples::node(2)), 4103);
    world.fake.will_tell(vec![Notice::PaymentFailed { payment_hash: PAYMENT, failure }]);
    let ended = cli(&world, "pay lnbcrt1 --json");
    assert_eq!((ended.code, ended.out.as_str()), (1, ""));
    assert!(ended.err.contains("temporary_channel_failure (code 4103"), "{}", ended.err);

    let world = World::new();
    world.fake.will_answer(Ok(Reply::Paying { payment_hash: PAYMENT }));
    let ended = cli(&world, "pay lnbcrt1 --timeout 1");
    assert!(ended.code == 4 && ended.err.contains("listpayments"), "{}", ended.err);
}

#[test]
fn openchannel_waits_until_the_channel_can_be_used() {
    let temporary = ChannelId([1; 32]);
    let named = Notice::ChannelNamed { temporary, channel: CHANNEL };
    let ready = |channel| Notice::ChannelReady { channel, short_channel_id: ShortChannelId(1) };
    let line = format!("openchannel {} 100000 --wait", samples::node(2));

    let world = World::new();
    world.fake.will_answer(Ok(Reply::Opening { temporary }));
    world.fake.will_tell(vec![ready(ChannelId([3; 32])), named.clone(), ready(CHANNEL)]);
    let ended = cli(&world, &line);
    assert!(ended.code == 0 && ended.out.contains("     3  channel_ready"), "{ended:?}");

    let world = World::new();
    world.fake.will_answer(Ok(Reply::Opening { temporary }));
    let why = "the peer does not want it".to_owned();
    world.fake.will_tell(vec![Notice::ChannelAbandoned { channel: temporary, why }]);
    let ended = cli(&world, &line);
    assert!(ended.code == 1 && ended.err.contains("does not want it"), "{ended:?}");
}

#[test]
fn a_close_waits_until_all_is_settled() {
    let world = World::new();
    let channel = "02".repeat(32);
    let closing = Notice::ChannelClosing { channel: CHANNEL, why: "we asked".to_owned() };
    world.fake.will_tell(vec![closing, Notice::ChannelResolved { channel: CHANNEL }]);
    let ended = cli(&world, &format!("closechannel {channel} --wait"));
    assert!(ended.code == 0 && ended.out.contains("     2  channel_resolved"), "{ended:?}");
}

#[test]
fn a_long_wait_says_what_it_is_for() {
    let world = World::new();
    world.fake.will_answer(Ok(Reply::Paying { payment_hash: PAYMENT }));
    let mut err = Answering { world: &world, text: Vec::new() };
    let ended = cli_words(world.folder.path(), &["pay".to_owned(), "lnbcrt1".to_owned()], &mut err);
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(String::from_utf8_lossy(&err.text).starts_with("waiting for the payment"));
}

#[test]
fn stop_waits_until_the_port_is_closed() {
    let mut world = World::new();
    let (fake, server) = (world.fake.clone(), world.server.take().expect("it runs"));
    let ends = world.runtime.spawn(async move {
        fake.stopped.acquire().await.expect("told to stop").forget();
        server.stop().await;
    });
    assert_eq!(cli(&world, "stop"), silent());
    world.runtime.block_on(ends).expect("it stops");
}

#[test]
fn events_are_printed_as_they_come() {
    let world = World::new();
    let notices = samples::notices();
    let count = notices.len();
    (1..).zip(notices).for_each(|(number, notice)| world.fake.tell(number, notice));
    let shown = cli(&world, &format!("events --from 1 --count {count}"));
    assert_eq!((shown.code, shown.out.lines().count()), (0, count + 1), "one text has a line end of its own");
    let lines = cli(&world, &format!("events --from 1 --count {count} --json")).out;
    let numbers = lines.lines().map(|line| {
        let event: serde_json::Value = serde_json::from_str(line).expect("one event a line");
        event["number"].as_u64().expect("a number")
    });
    assert!(numbers.eq(1..=count as u64));
    assert_eq!(cli(&world, &format!("events --count {count} --timeout 1")).code, 4);
}

/// Tells of the payment's end once someone is told to wait.
struct Answering<'a> {
    world: &'a World,
    text: Vec<u8>,
}

impl Write for Answering<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.text.is_empty() {
            let (preimage, amount, fee) = (Preimage([7; 32]), Msat::new(1), Msat::ZERO);
            self.world.fake.tell(1, Notice::PaymentSent { payment_hash: PAYMENT, preimage, amount, fee });
        }
        self.text.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn silent() -> Ended {
    Ended { code: 0, out: String::new(), err: String::new() }
}

fn cli(world: &World, line: &str) -> Ended {
    let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    let mut err = Vec::new();
    let ended = cli_words(world.folder.path(), &words, &mut err);
    Ended { err: String::from_utf8(err).expect("text"), ..ended }
}

/// What went to stderr is in `err`, and also in the result where that is empty.
fn cli_words(folder: &Path, words: &[String], err: &mut dyn Write) -> Ended {
    let folder = folder.to_string_lossy().into_owned();
    let line = ["cli".to_owned(), "--folder".to_owned(), folder].into_iter().chain(words.iter().cloned());
    let args = Line::try_parse_from(line).unwrap_or_else(|error| panic!("{error}")).args;
    let mut out = Vec::new();
    let mut copy = Vec::new();
    let code = run_into(args, &mut out, &mut Both(err, &mut copy));
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Ended { code, out: text(out), err: text(copy) }
}

struct Both<'a>(&'a mut dyn Write, &'a mut Vec<u8>);

impl Write for Both<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.1.extend_from_slice(bytes);
        self.0.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}
