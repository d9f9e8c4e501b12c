//! Calls: every one by name and by position, every value there and back, every error with its code.

use crate::fake::{Asked, World};
use crate::samples;
use leyden_core::channel::OpenRequest;
use leyden_core::ids::ChannelId;
use leyden_core::node::{Command, CommandError, ForwardPolicy, KnownChannel, Notice, Reply};
use leyden_core::tx::ChannelType;
use leyden_core::units::{FeeratePerKw, Msat, Sat};
use leyden_node::control::client::ClientError;
use leyden_node::control::{
    help, markdown, INVALID_PARAMS, INVALID_REQUEST, METHODS, METHOD_NOT_FOUND, NOT_CONNECTED, PARSE_ERROR,
    REFUSED,
};
use serde_json::{json, Value};

#[test]
fn every_command_reaches_the_node_unchanged() {
    let world = World::new();
    let mut client = world.client();
    for command in samples::commands() {
        let answer = client.command(command.clone()).expect("an answer");
        assert_eq!(answer, Ok(Reply::Done));
        assert_eq!(world.fake.take_asked(), [Asked::Command(command)]);
    }
}

#[test]
fn every_reply_comes_back_unchanged() {
    let world = World::new();
    let mut client = world.client();
    for reply in samples::replies() {
        world.fake.will_answer(Ok(reply.clone()));
        assert_eq!(client.command(Command::ListChannels).expect("an answer"), Ok(reply));
    }
}

#[test]
fn a_refusal_keeps_the_nodes_own_words() {
    let world = World::new();
    let refusal = CommandError("connect to \"bob\" first".to_owned());
    world.fake.will_answer(Err(refusal.clone()));
    assert_eq!(world.client().command(Command::Balances).expect("an answer"), Err(refusal.clone()));

    world.fake.will_answer(Err(refusal.clone()));
    let error = world.client().getbalances().expect_err("refused");
    assert!(matches!(error, ClientError::Rpc(error) if error.code == REFUSED && error.message == refusal.0));
}

#[test]
fn every_method_takes_its_example_by_name_and_by_position() {
    let world = World::new();
    let generator = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
    world.fake.info.lock().unwrap().peers[0].node_id = generator.parse().expect("a node id");
    for method in METHODS {
        let example = method.example.replace("lnbcrt1...", samples::INVOICE);
        let named: Value = serde_json::from_str(&example).expect("the example is JSON");
        let given = |name: &str| named.get(name).cloned().unwrap_or(Value::Null);
        let listed: Value = method.parameters.iter().map(|parameter| given(parameter.name)).collect();
        // `events` from 1 and `help` are the fake's too; all others ask it.
        let by_name = ask(&world, method.name, &named);
        let asked = world.fake.take_asked();
        assert_eq!(by_name.get("error"), None, "{}: {by_name}", method.name);
        assert_eq!(ask(&world, method.name, &listed), by_name, "{}", method.name);
        assert_eq!(world.fake.take_asked(), asked, "{}", method.name);
    }
}

#[test]
fn what_is_left_out_is_what_the_table_says() {
    let world = World::new();
    let peer = samples::node(2);
    let command = |method, parameters: Value| {
        let answer = ask(&world, method, &parameters);
        assert_eq!(answer["result"], json!({}), "{answer}");
        match world.fake.take_asked().pop() {
            Some(Asked::Command(command)) => command,
            other => panic!("{method} asked {other:?}"),
        }
    };
    let feerate = world.fake.info().feerate;
    let open = |commitment_feerate| {
        Command::Open(OpenRequest {
            peer,
            funding_amount: Sat::new(1_000_000),
            push: Msat::ZERO,
            channel_type: ChannelType::AnchorsZeroFeeHtlc,
            commitment_feerate,
            funding_feerate: feerate,
            public: false,
        })
    };
    let named = json!({ "peer": peer.to_string(), "amount_sat": 1_000_000 });
    assert_eq!(command("openchannel", named), open(feerate));
    let listed = json!([peer.to_string(), 1_000_000, null, null, 253]);
    assert_eq!(command("openchannel", listed), open(FeeratePerKw::new(253)));

    let nothing = Command::Invoice { amount: None, description: String::new(), min_final_cltv_delta: None };
    assert_eq!(command("invoice", json!([])), nothing);

    let max_fee = |amount, max_fee| Command::Pay { invoice: samples::INVOICE.to_owned(), amount, max_fee };
    let invoice = samples::INVOICE;
    // 2,500 uBTC are 250,000,000 msat.
    assert_eq!(command("pay", json!([invoice])), max_fee(None, Msat::new(2_500_000)));
    let little = Some(Msat::new(1000));
    assert_eq!(command("pay", json!([invoice, 1000])), max_fee(little, Msat::new(5000)));

    let (from, to) = (samples::node(2), samples::node(3));
    let known = KnownChannel {
        short_channel_id: leyden_core::ids::ShortChannelId::new(103, 1, 0).expect("it fits"),
        from,
        to,
        capacity: Sat::new(5),
        policy: ForwardPolicy::default(),
    };
    let listed = json!(["103x1x0", from.to_string(), to.to_string(), 5]);
    assert_eq!(command("learnchannel", listed), Command::LearnChannel(known));
}

#[test]
fn the_typed_methods_give_what_the_node_has() {
    let world = World::new();
    let mut client = world.client();
    assert_eq!(client.getinfo().expect("an answer"), world.fake.info());
    assert_eq!(client.listpeers().expect("an answer"), world.fake.info().peers);

    let [_, Reply::Address(script), ..] = &samples::replies()[..] else { panic!("the second is an address") };
    world.fake.will_answer(Ok(Reply::Address(script.clone())));
    assert_eq!(client.newaddress().expect("an answer").script_pubkey(), *script);

    let temporary = ChannelId([8; 32]);
    world.fake.will_answer(Ok(Reply::Opening { temporary }));
    let Some(Command::Open(request)) = samples::commands().into_iter().nth(1) else { panic!("an opening") };
    assert_eq!(client.openchannel(request).expect("an answer"), temporary);

    world.fake.will_answer(Ok(Reply::Channels(vec![samples::grown_channel()])));
    assert_eq!(client.listchannels().expect("an answer"), [samples::grown_channel()]);

    let decoded = client.decodeinvoice(samples::INVOICE).expect("an answer");
    assert_eq!(decoded.amount, Some(Msat::new(250_000_000)));
    assert_eq!(decoded.description.as_deref(), Some("1 cup coffee"));
    assert_eq!(decoded.features, [8, 14]);
}

#[test]
fn peers_are_connected_and_disconnected() {
    let world = World::new();
    let (mut client, peer) = (world.client(), samples::node(2));
    client.connect_peer(peer, "127.0.0.1:9735").expect("connected");
    client.disconnect(peer).expect("disconnected");
    let asked = [Asked::Connect(peer, "127.0.0.1:9735".to_owned()), Asked::Disconnect(peer)];
    assert_eq!(world.fake.take_asked(), asked);
    let error = client.connect_peer(peer, "nobody:1").expect_err("nobody is there");
    assert!(matches!(error, ClientError::Rpc(error) if error.code == NOT_CONNECTED));
}

#[test]
fn connect_is_done_when_the_peer_sent_its_init() {
    let world = World::new();
    // The fake's third is connected, and not ready yet.
    let (mut client, peer) = (world.client(), samples::node(3));
    std::thread::scope(|scope| {
        let connecting = scope.spawn(|| client.connect_peer(peer, "127.0.0.1:9735"));
        // News of others end nothing.
        world.fake.tell(1, Notice::PeerReady { peer: samples::node(2) });
        world.fake.info.lock().unwrap().peers[1].ready = true;
        world.fake.tell(2, Notice::PeerReady { peer });
        connecting.join().expect("no panic").expect("connected");
    });
    let error = world.client().connect_peer(samples::node(9), "127.0.0.1:9735").expect_err("it hung up");
    assert!(matches!(error, ClientError::Rpc(error) if error.code == NOT_CONNECTED));
}

#[test]
fn a_wrong_parameter_is_named() {
    let world = World::new();
    let peer = samples::node(2).to_string();
    let cases = [
        ("connect", json!({ "peer": peer }), "address"),
        ("connect", json!({ "peer": "02", "address": "a:1" }), "peer"),
        ("connect", json!([peer, 7]), "address"),
        ("connect", json!([peer, "a:1", 1]), "[2]"),
        ("connect", json!({ "peer": peer, "address": "a:1", "adress": 1 }), "adress"),
        ("openchannel", json!([peer, -1]), "amount_sat"),
        ("openchannel", json!([peer, 1.5]), "amount_sat"),
        ("openchannel", json!([peer, "100000"]), "amount_sat"),
        ("openchannel", json!([peer, 1, null, "taproot"]), "channel_type"),
        ("openchannel", json!([peer, 1, null, null, 4_294_967_296_u64]), "commitment_feerate_per_kw"),
        ("closechannel", json!(["00"]), "channel_id"),
        ("payroute", json!(["00".repeat(32), "00".repeat(32), [{ "node_id": "02" }], 1]), "hops[0].node_id"),
        ("payroute", json!(["00".repeat(32), "00".repeat(32), [1], 1]), "hops[0]"),
        ("learnchannel", json!(["103x1x0x0", peer, peer, 1]), "short_channel_id"),
        ("learnchannel", json!(["16777216x1x0", peer, peer, 1]), "short_channel_id"),
        ("decodeinvoice", json!(["lnbc1"]), "invoice"),
        ("events", json!([9]), "from"),
        ("help", json!(["nothing"]), "method"),
        ("getinfo", json!([1]), "[0]"),
    ];
    for (method, parameters, wrong) in cases {
        let answer = ask(&world, method, &parameters);
        assert_eq!(answer["error"]["code"], INVALID_PARAMS, "{method} {parameters}: {answer}");
        assert_eq!(answer["error"]["data"]["parameter"], wrong, "{method} {parameters}: {answer}");
    }
    assert_eq!(world.fake.take_asked(), []);
}

#[test]
fn no_parameter_of_the_table_is_passed_over() {
    let world = World::new();
    for method in METHODS {
        for parameter in method.parameters {
            let example = method.example.replace("lnbcrt1...", samples::INVOICE);
            let mut parameters: Value = serde_json::from_str(&example).expect("the example is JSON");
            // Of no type that any parameter has.
            parameters[parameter.name] = json!([[]]);
            let answer = ask(&world, method.name, &parameters);
            assert_eq!(answer["error"]["code"], INVALID_PARAMS, "{} {}", method.name, parameter.name);
            let wrong = answer["error"]["data"]["parameter"].as_str().unwrap_or_default();
            assert!(wrong.starts_with(parameter.name), "{}: {wrong}", parameter.name);
        }
    }
    assert_eq!(world.fake.take_asked(), []);
}

#[test]
fn what_is_no_request_is_told_so() {
    let world = World::new();
    let cases = [
        ("", PARSE_ERROR, Value::Null),
        ("{", PARSE_ERROR, Value::Null),
        ("\u{0}", PARSE_ERROR, Value::Null),
        (r#"{"jsonrpc": "2.0", "id": 1, "method": "stop"} x"#, PARSE_ERROR, Value::Null),
        ("[]", INVALID_REQUEST, Value::Null),
        ("1", INVALID_REQUEST, Value::Null),
        (r#"{"id": 1, "method": "stop"}"#, INVALID_REQUEST, json!(1)),
        (r#"{"jsonrpc": "1.0", "id": "a", "method": "stop"}"#, INVALID_REQUEST, json!("a")),
        (r#"{"jsonrpc": "2.0", "id": [1], "method": "stop"}"#, INVALID_REQUEST, Value::Null),
        (r#"{"jsonrpc": "2.0", "id": 1}"#, INVALID_REQUEST, json!(1)),
        (r#"{"jsonrpc": "2.0", "id": 1, "method": 1}"#, INVALID_REQUEST, json!(1)),
        (r#"{"jsonrpc": "2.0", "id": 1, "method": "stop", "params": 1}"#, INVALID_REQUEST, json!(1)),
        (r#"{"jsonrpc": "2.0", "id": 1, "method": "Stop"}"#, METHOD_NOT_FOUND, json!(1)),
    ];
    for (body, code, id) in cases {
        let answer = world.json(body);
        assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(code), &id), "{body}: {answer}");
    }
    let deep = "[".repeat(100_000);
    assert_eq!(world.json(&deep)["error"]["code"], PARSE_ERROR);
    assert_eq!(world.fake.take_asked(), []);
}

#[test]
fn a_batch_is_answered_in_order_and_up_to_a_limit() {
    let world = World::new();
    let request = |id: usize| json!({ "jsonrpc": "2.0", "id": id, "method": "getbalances" });
    world.fake.will_answer(Ok(Reply::Done));
    world.fake.will_answer(Err(CommandError("no".to_owned())));
    let batch = json!([request(1), 7, request(2), { "jsonrpc": "2.0", "method": "getbalances" }]);
    let answer = world.json(&batch.to_string());
    let seen: Vec<_> =
        answer.as_array().expect("an array").iter().map(|one| (&one["id"], &one["error"]["code"])).collect();
    let null = Value::Null;
    assert_eq!(seen, [(&json!(1), &null), (&null, &json!(INVALID_REQUEST)), (&json!(2), &json!(REFUSED))]);
    // The notification was carried out, and not answered.
    assert_eq!(world.fake.take_asked().len(), 3);

    let hundred: Value = (0..100).map(request).collect();
    assert_eq!(world.json(&hundred.to_string()).as_array().map(Vec::len), Some(100));
    world.fake.take_asked();
    let too_many: Value = (0..101).map(request).collect();
    assert_eq!(world.json(&too_many.to_string())["error"]["code"], INVALID_REQUEST);
    assert_eq!(world.fake.take_asked(), []);
}

#[test]
fn a_notification_gets_no_body() {
    let world = World::new();
    let answer = world.post(r#"{"jsonrpc": "2.0", "method": "newaddress"}"#);
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    assert_eq!(world.fake.take_asked(), [Asked::Command(Command::NewAddress)]);
}

#[test]
fn help_has_every_method_and_every_parameter() {
    let (short, page) = (help(None).expect("a list"), markdown());
    for method in METHODS {
        let detail = help(Some(method.name)).expect("it is there");
        assert!(short.contains(method.name) && page.contains(&format!("## `{}", method.name)));
        for parameter in method.parameters {
            assert!(detail.contains(parameter.name) && page.contains(parameter.name), "{}", parameter.name);
        }
    }
    assert_eq!(help(Some("nothing")), None);
    let world = World::new();
    assert_eq!(world.client().help(Some("pay")).ok(), help(Some("pay")));
}

fn ask(world: &World, method: &str, parameters: &Value) -> Value {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": parameters });
    world.json(&request.to_string())
}
