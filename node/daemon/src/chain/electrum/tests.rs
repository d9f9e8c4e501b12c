//! An Electrum server that says what a test wants it to say.
use super::*;
use std::net::TcpListener;
use std::time::Duration;

/// Where a server listens that answers each question, after the greeting, by method and parameters: whole lines, or nothing.
fn serve(answer: impl Fn(u64, &str, &Value) -> Option<String> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("tcp://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a client");
        let mut writing = stream.try_clone().expect("a socket");
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let question: Value = serde_json::from_str(&line).expect("a question");
            let id = question["id"].as_u64().expect("a number");
            let method = question["method"].as_str().expect("a method");
            let said = match method {
                "server.version" => Some(result(id, json!(["test", "1.4"]))),
                SUBSCRIBE => Some(result(id, head(0))),
                _ => answer(id, method, &question["params"]),
            };
            let Some(said) = said else { return };
            if writing.write_all(said.as_bytes()).is_err() {
                return;
            }
        }
    });
    url
}

fn result(id: u64, result: Value) -> String {
    format!("{}\n", json!({"id": id, "result": result}))
}

fn error(id: u64, error: Value) -> String {
    format!("{}\n", json!({"id": id, "error": error}))
}

fn genesis() -> Block {
    genesis_block(Network::Regtest)
}

fn head(height: u32) -> Value {
    json!({"height": height, "hex": serialize_hex(&genesis().header)})
}

fn first() -> Tip {
    Tip { hash: genesis().block_hash(), height: 0 }
}

/// A server of the genesis block, with so many transactions in it.
fn with_transactions(count: u64, named: bool) -> String {
    serve(move |id, method, params| {
        let block = genesis();
        let txid = block.txdata[0].compute_txid();
        Some(match method {
            "blockchain.block.header" => result(id, json!(serialize_hex(&block.header))),
            "blockchain.transaction.get" => result(id, json!(serialize_hex(&block.txdata[0]))),
            _ if params[1].as_u64() >= Some(count) => {
                error(id, json!({"code": 1, "message": "no such place"}))
            }
            _ if named => result(id, json!({"tx_id": txid})),
            _ => result(id, json!(txid)),
        })
    })
}

#[test]
fn a_block_is_put_together_and_held_against_its_root() {
    for named in [true, false] {
        let mut server = Electrum::connect(&with_transactions(1, named)).expect("it connects");
        assert_eq!(server.block(&first()).expect("a block"), genesis());
    }
    for count in [2, 3, 7] {
        let mut server = Electrum::connect(&with_transactions(count, false)).expect("it connects");
        let refused = server.block(&first()).expect_err("more than the root holds");
        assert!(matches!(refused, RpcError::Nonsense { .. }), "{refused}");
    }
    let mut server = Electrum::connect(&with_transactions(0, false)).expect("it connects");
    assert!(server.block(&first()).is_err(), "no block is empty");
    let other = Tip { hash: genesis_block(Network::Bitcoin).block_hash(), height: 0 };
    let mut server = Electrum::connect(&with_transactions(1, false)).expect("it connects");
    let moved = server.block(&other).expect_err("another block than the one that is asked for");
    assert!(matches!(moved, RpcError::Refused { .. }), "{moved}");
}

#[test]
fn what_it_is_on_follows_from_its_first_block() {
    let mut server = Electrum::connect(&with_transactions(1, false)).expect("it connects");
    let info = server.chain_info().expect("it says so");
    assert_eq!((info.chain.as_str(), info.blocks, info.best), ("regtest", 0, first().hash));
}

#[test]
fn news_between_answers_and_in_pieces_are_heard() {
    let news = |height: u32| json!({"method": SUBSCRIBE, "params": [head(height)]}).to_string();
    let whole = news(7);
    let piece = news(9);
    let url = serve(move |id, method, _| {
        Some(match method {
            "blockchain.estimatefee" => format!("{whole}\n{}{}", result(id, json!(0.0001)), &piece[..20]),
            _ => format!("{}\n{}", &piece[20..], result(id, json!(-1))),
        })
    });
    let mut server = Electrum::connect(&url).expect("it connects");
    let told = |server: &Electrum| server.head.as_ref().map(|head| head.height);
    assert_eq!(server.feerate(3).expect("it says so"), Some(0.0001));
    assert_eq!(told(&server), Some(7));
    // Half a line within the time: nothing is heard, and nothing of it is lost.
    assert!(server.read(Instant::now() + Duration::from_millis(20)).expect("it stands").is_none());
    assert_eq!(told(&server), Some(7));
    let nothing: f64 = server.ask("blockchain.relayfee", json!([])).expect("an answer");
    assert_eq!((nothing, told(&server)), (-1.0, Some(9)));
}

#[test]
fn nonsense_is_an_error_and_never_a_panic() {
    for said in [
        "no json\n".to_owned(),
        "\u{0}\n".to_owned(),
        "[]\n".to_owned(),
        "{}\n".to_owned(),
        result(99, json!("00")),
        result(1, json!("00")),
        result(1, json!("zz")),
        result(1, Value::Null),
        result(1, json!({"height": -1})),
        format!("{}\n{}", json!({"method": SUBSCRIBE, "params": []}), result(1, json!(1))),
        "{\"id\": 1, \"result".to_owned() + &"9".repeat(1 << 20) + "\n",
    ] {
        let shown = said.chars().take(60).collect::<String>();
        let mut server = Electrum::connect(&serve(move |_, _, _| Some(said.clone()))).expect("it connects");
        let refused = server.hash_at(5).expect_err(&shown);
        assert!(matches!(refused, RpcError::Nonsense { .. }), "{shown}: {refused}");
    }
    let mut server = Electrum::connect(&serve(|_, _, _| None)).expect("it connects");
    let lost = server.hash_at(5).expect_err("it hung up");
    assert!(matches!(lost, RpcError::Down { .. }), "{lost}");
}

#[test]
fn a_refusal_is_told_in_its_words() {
    for said in [json!("too low"), json!({"code": -26, "message": "too low"})] {
        let url = serve(move |id, _, _| Some(error(id, said.clone())));
        let mut server = Electrum::connect(&url).expect("it connects");
        let tx = genesis().txdata.remove(0);
        let words = server.submit_package(&[tx.clone(), tx.clone()]).expect("an answer");
        assert_eq!(words, vec![Some("too low".to_owned()); 2]);
        assert_eq!(server.transaction(&tx.compute_txid()).expect("an answer"), None);
    }
}

#[test]
fn a_server_that_is_not_there_is_told_with_its_place() {
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let url = format!("tcp://{}", nobody.expect("a port that nobody has any more"));
    for url in [url.as_str(), "tcp://127.0.0.1", "tcp://:1", "tcp://127.0.0.1:99999"] {
        let away = Electrum::connect(url).err().expect("nobody is there").to_string();
        assert!(away.starts_with(&format!("the Electrum server does not answer at {url}")), "{away}");
    }
}
