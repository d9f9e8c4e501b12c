//! One connection after its handshake: a reader that hands whole messages to the owner, beside the queue that is written out.
//! Whichever ends first ends both.
use super::queue::Queue;
use super::ConnectionId;
use crate::owner::Input;
use leyden_core::ids::NodeId;
use leyden_core::transport::{Receiver, HEADER_LEN};
use std::future::pending;
use std::io;
use std::pin::pin;
use std::time::Duration;
use tokio::io::{AsyncReadExt, BufReader};
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::{mpsc, Notify};
use tokio::time::timeout;

/// A peer that does not close its side after we closed ours is cut off.
const LINGER: Duration = Duration::from_secs(5);
/// So many messages are handed over as one: what the owner may have waiting stays bounded by bytes, and not by tiny messages.
const MOST_TOGETHER: usize = 64;
/// What waits for a peer when its connection is to end may take so long.
const LAST_WORDS: Duration = Duration::from_secs(30);
/// What is read from the socket at once.
const READ_BUFFER: usize = 64 << 10;

/// A connection as the owner knows it.
pub(super) struct Line {
    /// With whom.
    pub peer: NodeId,
    /// Which.
    pub connection: ConnectionId,
    /// The owner's.
    pub inbox: mpsc::Sender<Input>,
    /// The owner is told whenever nothing came for so long.
    pub silence: Duration,
}

/// Runs until the connection ends, for whatever reason.
pub(super) async fn run(line: &Line, stream: OwnedReadHalf, receiver: Receiver, queue: &Queue) {
    let heard = Notify::new();
    let mut reader = pin!(read(line, &heard, stream, receiver));
    let ended = tokio::select! {
        ended = &mut reader => ended,
        ended = queue.write() => {
            // To close over unread bytes would take back what was sent last. The peer closes its side when it has read it.
            let _ = timeout(LINGER, reader).await;
            ended
        }
        () = queue.aborted.notified() => Ok(()),
        () = overdue(&queue.finishing) => Ok(()),
        () = tell_of_silence(line, &heard) => Ok(()),
    };
    if let Err(error) = ended {
        tracing::debug!(peer = %line.peer, %error, "the connection ends");
    }
}

/// A peer that reads nothing any more does not keep a connection that is to end.
async fn overdue(finishing: &Notify) {
    finishing.notified().await;
    let _ = timeout(LAST_WORDS, pending::<()>()).await;
}

/// Ends with the owner.
async fn tell_of_silence(line: &Line, heard: &Notify) {
    let Line { peer, connection, .. } = *line;
    loop {
        let silent = timeout(line.silence, heard.notified()).await.is_err();
        if silent && line.inbox.send(Input::Silent { peer, connection }).await.is_err() {
            return;
        }
    }
}

async fn read(line: &Line, heard: &Notify, stream: OwnedReadHalf, receiver: Receiver) -> io::Result<()> {
    let mut arrived = Arrived { line, heard, messages: Vec::new() };
    let ended = gather(stream, receiver, &mut arrived).await;
    // What came whole before the connection broke did come.
    arrived.hand_over().await;
    ended
}

/// Messages that came in one read, on their way to the owner.
struct Arrived<'a> {
    line: &'a Line,
    heard: &'a Notify,
    messages: Vec<Vec<u8>>,
}

impl Arrived<'_> {
    fn push(&mut self, bytes: Vec<u8>) {
        self.heard.notify_one();
        self.messages.push(bytes);
    }

    /// All of them as one. False when there is no owner any more.
    async fn hand_over(&mut self) -> bool {
        let messages = std::mem::take(&mut self.messages);
        let Line { peer, connection, .. } = *self.line;
        messages.is_empty()
            || self.line.inbox.send(Input::Messages { peer, connection, messages }).await.is_ok()
    }
}

async fn gather(stream: OwnedReadHalf, mut receiver: Receiver, arrived: &mut Arrived<'_>) -> io::Result<()> {
    let mut stream = BufReader::with_capacity(READ_BUFFER, stream);
    let mut body = Vec::new();
    loop {
        // Nothing is kept back while more is waited for.
        let enough = arrived.messages.len() >= MOST_TOGETHER;
        if (enough || stream.buffer().len() < HEADER_LEN) && !arrived.hand_over().await {
            return Ok(());
        }
        let mut header = [0; HEADER_LEN];
        stream.read_exact(&mut header).await?;
        let length = receiver.header(&header).map_err(io::Error::other)?;
        if stream.buffer().len() < length && !arrived.hand_over().await {
            return Ok(());
        }
        body.resize(length, 0);
        stream.read_exact(&mut body).await?;
        arrived.push(receiver.body(&mut body).map_err(io::Error::other)?.to_vec());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::handshake;
    use crate::net::tests::run as run_test;
    use leyden_core::transport::{Sender, Session};
    use secp256k1::{SecretKey, SECP256K1};
    use std::sync::atomic::AtomicBool;
    use std::sync::Arc;
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    /// Both ends of a connection behind its handshake.
    async fn pair() -> [(TcpStream, Session); 2] {
        let [dialer, acceptor] = [1, 2].map(|byte| SecretKey::from_slice(&[byte; 32]).expect("a key"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let begun = AtomicBool::new(false);
        let answer = async {
            let (stream, _) = listener.accept().await.expect("a connection");
            handshake::answer(&acceptor, stream, &begun).await.expect("a handshake")
        };
        let peer = acceptor.public_key(SECP256K1);
        let (dialed, (_, stream, session)) = tokio::join!(handshake::dial(&dialer, peer, &address), answer);
        [dialed.expect("a handshake"), (stream, session)]
    }

    /// A line, with what the owner hears of it.
    fn line(silence: Duration) -> (Line, mpsc::Receiver<Input>) {
        let (inbox, heard) = mpsc::channel(16);
        let peer = SecretKey::from_slice(&[2; 32]).expect("a key").public_key(SECP256K1);
        (Line { peer, connection: ConnectionId(1), inbox, silence }, heard)
    }

    fn split(stream: TcpStream, sender: Sender) -> (OwnedReadHalf, Queue) {
        let (reading, writing) = stream.into_split();
        (reading, Queue::new(sender, writing, Arc::default()))
    }

    #[test]
    fn a_silent_connection_is_told_of_again_and_again_and_stands() {
        run_test(async {
            let [(stream, session), other] = pair().await;
            let (line, mut heard) = line(Duration::from_millis(1));
            let (stream, queue) = split(stream, session.sender);
            tokio::spawn(async move { run(&line, stream, session.receiver, &queue).await });
            for _ in 0..3 {
                assert!(matches!(heard.recv().await, Some(Input::Silent { .. })));
            }
            drop(other);
            while heard.recv().await.is_some() {}
        });
    }

    #[test]
    fn what_came_in_one_packet_is_heard_as_one_and_before_the_end() {
        run_test(async {
            let [(stream, session), (mut far, mut far_session)] = pair().await;
            let mut sealed = Vec::new();
            for byte in 1..=3 {
                far_session.sender.seal(&[0, 19, byte], &mut sealed).expect("it is short");
            }
            // Behind them something that no session sealed.
            sealed.extend([7; 40]);
            far.write_all(&sealed).await.expect("it is sent");
            let (line, mut heard) = line(Duration::from_secs(60));
            let (stream, queue) = split(stream, session.sender);
            run(&line, stream, session.receiver, &queue).await;
            drop(line);
            let Some(Input::Messages { messages, .. }) = heard.recv().await else { panic!("nothing came") };
            assert_eq!(messages, [1, 2, 3].map(|byte| vec![0, 19, byte]));
            assert!(heard.recv().await.is_none());
        });
    }

    #[test]
    fn what_the_socket_does_not_take_waits_its_turn_and_arrives_in_order() {
        run_test(async {
            let [(stream, session), (far, far_session)] = pair().await;
            let (near, mut answers) = line(Duration::from_secs(60));
            let (stream, queue) = split(stream, session.sender);
            let queue = Arc::new(queue);
            let (writer, receiver) = (queue.clone(), session.receiver);
            let near = tokio::spawn(async move { run(&near, stream, receiver, &writer).await });
            // More than the sockets' buffers hold, before anybody reads.
            let message = |number: u32| [&[0, 19][..], &number.to_be_bytes(), &[7; 4_000]].concat();
            let count = 900;
            assert!((0..count).all(|number| queue.push(&[message(number)])));
            queue.finish();
            assert!(queue.push(&[message(count)]), "behind the end nothing is taken");
            let (far_line, mut heard) = line(Duration::from_secs(60));
            let (far, far_queue) = split(far, far_session.sender);
            let receiver = far_session.receiver;
            tokio::spawn(async move { run(&far_line, far, receiver, &far_queue).await });
            let mut next = 0;
            while let Some(input) = heard.recv().await {
                let Input::Messages { messages, .. } = input else { panic!("{input:?}") };
                for bytes in messages {
                    assert!(bytes == message(next), "the {next}th");
                    next += 1;
                }
            }
            assert_eq!(next, count);
            near.await.expect("it ends once the peer has closed");
            assert!(answers.recv().await.is_none());
        });
    }

    #[test]
    fn a_peer_that_reads_nothing_is_given_up() {
        run_test(async {
            let [(stream, session), _far] = pair().await;
            let (line, _heard) = line(Duration::from_secs(60));
            let (stream, queue) = split(stream, session.sender);
            let taken = (0..400).take_while(|_| queue.push(&[vec![0; 60_000]])).count();
            assert!((70..400).contains(&taken), "4 MiB and what the sockets hold: {taken}");
            assert!(queue.push(&[vec![0; 100]]), "said once");
            run(&line, stream, session.receiver, &queue).await;
        });
    }
}
