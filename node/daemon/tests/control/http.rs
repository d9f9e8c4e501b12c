//! Who may come in: the cookie, the host, the path, the method; and the files that say how.

use crate::fake::{basic, options, World};
use leyden_node::control::client::{Client, ClientError};
use leyden_node::control::{ControlError, Limits, Server, ADDRESS_FILE, COOKIE_FILE};
use std::fs;
use std::os::unix::fs::PermissionsExt;

const BODY: &str = r#"{"jsonrpc": "2.0", "id": 1, "method": "stop"}"#;

#[test]
fn the_cookie_is_for_its_owner_alone_and_fresh_at_each_start() {
    let world = World::new();
    for name in [COOKIE_FILE, ADDRESS_FILE] {
        let mode = fs::metadata(world.folder.path().join(name)).expect("the file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let cookie = world.cookie();
    let hex = cookie.strip_prefix("__cookie__:").expect("the user's name");
    assert!(hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()), "{cookie}");

    // As after a kill: the old files are there, readable by all.
    let path = world.folder.path().join(COOKIE_FILE);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("the mode is set");
    let next = Server::start(options(world.folder.path(), Limits::default()), world.fake.clone());
    let _next = world.runtime.block_on(next).expect("it starts");
    assert_ne!(world.cookie(), cookie);
    let mode = fs::metadata(&path).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn without_the_cookie_nobody_comes_in() {
    let world = World::new();
    let host = world.address;
    let wrong = basic(&format!("__cookie__:{}", "0".repeat(64)));
    let almost = basic(&world.cookie())[..20].to_owned();
    let bearer = basic(&world.cookie()).replace("Basic", "Token");
    for authorization in ["", "Basic", "Basic =", &wrong, &almost, &bearer] {
        for line in ["POST /", "GET /events", "GET /nothing"] {
            let request = format!(
                "{line} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {authorization}\r\nContent-Length: {}\r\n\r\n{BODY}",
                BODY.len()
            );
            let answer = world.exchange(request.as_bytes());
            assert!(answer.starts_with("HTTP/1.1 401 "), "{authorization:?} {line}: {answer}");
            assert!(answer.to_lowercase().contains("www-authenticate: basic"), "{answer}");
        }
    }
    assert_eq!(world.fake.take_asked(), []);

    let mut stranger = Client::connect(world.address, "__cookie__:00");
    assert!(matches!(stranger.stop(), Err(ClientError::Unauthorized(address)) if address == world.address));
}

#[test]
fn a_page_in_a_browser_does_not_come_in_by_another_name() {
    let world = World::new();
    let authorization = basic(&world.cookie());
    let answer = |host: &str| {
        let request = format!(
            "POST / HTTP/1.1\r\n{host}Authorization: {authorization}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{BODY}",
            BODY.len()
        );
        world.exchange(request.as_bytes())
    };
    for host in ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "192.168.1.1", ""] {
        let answer = answer(&format!("Host: {host}\r\n"));
        assert!(answer.starts_with("HTTP/1.1 403 "), "{host}: {answer}");
    }
    for hosts in ["", "Host: localhost\r\nHost: evil.example\r\n"] {
        let answer = answer(hosts);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{hosts}: {answer}");
    }
    assert_eq!(world.fake.take_asked(), []);
    for host in ["localhost", "127.0.0.1:1234", "[::1]"] {
        let answer = answer(&format!("Host: {host}\r\n"));
        assert!(answer.starts_with("HTTP/1.1 200 "), "{host}: {answer}");
    }
}

#[test]
fn only_loopback_is_listened_on() {
    let world = World::new();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let mut options = options(world.folder.path(), Limits::default());
        options.address = address.parse().expect("an address");
        let refused = world.runtime.block_on(Server::start(options, world.fake.clone())).map(drop);
        assert!(matches!(refused, Err(ControlError::NotLoopback(_))), "{address}");
    }
}

#[test]
fn an_address_that_is_taken_is_named() {
    let world = World::new();
    let cookie = world.cookie();
    let mut options = options(world.folder.path(), Limits::default());
    options.address = world.address;
    let refused = world.runtime.block_on(Server::start(options, world.fake.clone())).map(drop);
    let Err(error @ ControlError::Listen { .. }) = refused else { panic!("it is taken") };
    assert!(error.to_string().contains(&world.address.to_string()));
    assert_eq!(world.cookie(), cookie, "the running one's cookie stays");
}

#[test]
fn other_paths_methods_and_queries_are_refused() {
    let world = World::new();
    let cases = [
        ("GET /", "405"),
        ("PUT /", "405"),
        ("POST /events", "405"),
        ("POST /rpc", "404"),
        ("GET /../", "404"),
        ("GET /events?from=x", "400"),
        ("GET /events?from=-1", "400"),
        ("GET /events?to=1", "400"),
        ("GET /events?from=99999999999999999999", "400"),
        ("GET /events?from=7", "400"),
    ];
    for (line, status) in cases {
        let answer = world.exchange(format!("{}Connection: close\r\n\r\n", world.head(line)).as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{line}: {answer}");
    }
}

#[test]
fn a_connection_is_kept_for_the_next_call() {
    let world = World::new();
    let mut client = world.client();
    // One connection, so two calls on it: a second one would be refused nothing, but would show here.
    client.getinfo().expect("an answer");
    client.getinfo().expect("an answer");
    let mut stream = world.socket();
    let request = format!("{}Content-Length: 2\r\n\r\n[]", world.head("POST /"));
    let last = format!("{}Connection: close\r\nContent-Length: 2\r\n\r\n[]", world.head("POST /"));
    std::io::Write::write_all(&mut stream, (request + &last).as_bytes()).expect("sent");
    let answers = crate::fake::read_all(&mut stream);
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2, "{answers}");
}
