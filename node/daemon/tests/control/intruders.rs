//! Who means no good, or does no good: too much, too slow, half of it, none of it HTTP. The port answers others meanwhile.

use crate::fake::{read_all, World};
use leyden_node::control::Limits;
use std::io::{Error, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const CALL: &str = r#"{"jsonrpc": "2.0", "id": 1, "method": "getbalances"}"#;

/// So short that a test need not wait.
const SHORT: Duration = Duration::from_millis(50);

#[test]
fn a_body_that_is_too_large_is_refused() {
    let world = World::new();
    let limit = Limits::default().body_bytes;
    let fits = format!("{CALL}{}", " ".repeat(limit - CALL.len()));
    assert!(world.post(&fits).starts_with("HTTP/1.1 200 "));
    let announced = format!("{}Content-Length: {}\r\n\r\n", world.head("POST /"), limit + 1);
    assert!(world.exchange(announced.as_bytes()).starts_with("HTTP/1.1 413 "), "before it is sent");

    // Chunks say no total: the limit falls while they come.
    let mut stream = world.socket();
    let head = format!("{}Transfer-Encoding: chunked\r\n\r\n", world.head("POST /"));
    stream.write_all(head.as_bytes()).expect("sent");
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    // It may stop taking them at any time.
    let _ = (0..20).try_for_each(|_| stream.write_all(chunk.as_bytes()));
    let answer = read_all(&mut stream);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413 "), "{answer}");
    still_answers(&world);
}

#[test]
fn bytes_that_are_no_http_end_the_connection() {
    let world = World::new();
    let long = "a".repeat(200_000);
    let garbage: [&[u8]; 7] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00\x00\x00\x00\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        long.as_bytes(),
    ];
    for bytes in garbage {
        let mut stream = world.socket();
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let answer = read_all(&mut stream);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{bytes:?}: {answer}");
    }
    let endless = format!("{}X: {}\r\n\r\n", world.head("POST /"), long);
    let answer = world.exchange(endless.as_bytes());
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert_eq!(world.fake.take_asked(), []);
    still_answers(&world);
}

#[test]
fn a_request_that_breaks_off_anywhere_does_nothing() {
    let world = World::new();
    let whole = format!("{}Content-Length: {}\r\n\r\n{CALL}", world.head("POST /"), CALL.len());
    for end in 0..whole.len() {
        let mut stream = world.socket();
        stream.write_all(&whole.as_bytes()[..end]).expect("sent");
        stream.shutdown(Shutdown::Write).expect("half closed");
        let answer = read_all(&mut stream);
        assert!(!answer.starts_with("HTTP/1.1 200 "), "after {end} bytes: {answer}");
    }
    assert_eq!(world.fake.take_asked(), []);
    still_answers(&world);
}

#[test]
fn who_sends_too_slowly_is_cut_off() {
    let world = World::with(Limits { header_time: SHORT, body_time: SHORT, ..Limits::default() });
    let silent = "".to_owned();
    let half_header = world.head("POST /");
    let half_body = format!("{}Content-Length: 100\r\n\r\n{{", world.head("POST /"));
    for (sent, expected) in [(silent, None), (half_header, None), (half_body, Some("HTTP/1.1 408 "))] {
        let mut stream = world.socket();
        stream.write_all(sent.as_bytes()).expect("sent");
        // The other side ends it; we only wait.
        let answer = read_all(&mut stream);
        match expected {
            Some(expected) => assert!(answer.starts_with(expected), "{sent:?}: {answer}"),
            None => assert_eq!(answer, "", "{sent:?}"),
        }
    }
}

#[test]
fn byte_by_byte_is_no_way_around_the_clock() {
    let world = World::with(Limits { header_time: SHORT, ..Limits::default() });
    let mut stream = world.socket();
    stream.set_read_timeout(Some(SHORT / 10)).expect("a socket");
    // Each byte comes well within the time that a header has.
    let begun = Instant::now();
    let waits = |error: &Error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
    while stream.write_all(b"a").is_ok() && stream.read(&mut [0; 512]).is_err_and(|error| waits(&error)) {
        assert!(begun.elapsed() < Duration::from_secs(30), "a slow header goes on for ever");
    }
    still_answers(&world);
}

#[test]
fn a_client_whose_idle_connection_was_ended_makes_a_new_one() {
    let world = World::with(Limits { header_time: SHORT, ..Limits::default() });
    let mut client = world.client();
    client.getinfo().expect("an answer");
    // Others that came later are ended by now, one after the other: so is the client's.
    for _ in 0..2 {
        assert_eq!(read_all(&mut world.socket()), "");
    }
    client.getinfo().expect("an answer, over a new connection");
}

#[test]
fn who_reads_nothing_is_cut_off() {
    let world = World::with(Limits { write_time: SHORT, body_bytes: 10_000_000, ..Limits::default() });
    let mut stream = world.socket();
    let request = format!("{}Content-Length: {}\r\n\r\n{CALL}", world.head("POST /"), CALL.len());
    stream.set_write_timeout(Some(Duration::from_secs(30))).expect("a socket");
    // Requests pile up behind answers that nobody takes, until the server has had enough.
    let mut sent = 0_u64;
    while stream.write_all(request.repeat(100).as_bytes()).is_ok() {
        sent += 1;
        assert!(sent < 1_000_000, "answers pile up without end");
    }
    still_answers(&world);
}

#[test]
fn a_thousand_connections_are_served_a_few_at_a_time() {
    let limits = Limits { connections: 8, ..Limits::default() };
    let world = World::with(limits);
    let request = format!("{}Content-Length: {}\r\n\r\n{CALL}", world.head("POST /"), CALL.len());
    let mut sockets: Vec<_> = (0..1000)
        .map(|_| {
            let mut stream = world.socket();
            stream.write_all(request.as_bytes()).expect("sent");
            // No more will come, so that the server may end it after the answer.
            stream
        })
        .collect();
    for stream in &mut sockets {
        stream.shutdown(Shutdown::Write).expect("half closed");
        let answer = read_all(stream);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    assert_eq!(world.fake.take_asked().len(), 1000);
    let most = world.fake.most_inside.load(Ordering::SeqCst);
    assert!(most <= limits.connections, "{most} at once");
    still_answers(&world);
}

#[test]
fn idle_connections_lock_nobody_out() {
    let world = World::with(Limits { connections: 4, header_time: SHORT, ..Limits::default() });
    let idle: Vec<_> = (0..100).map(|_| world.socket()).collect();
    still_answers(&world);
    drop(idle);
}

fn still_answers(world: &World) {
    world.client().getinfo().expect("the port still answers");
}
