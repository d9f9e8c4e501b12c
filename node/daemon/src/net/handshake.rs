//! The three acts of BOLT 8 over a socket, each with a deadline. What fails ends the connection without another byte.
use leyden_core::ids::NodeId;
use leyden_core::transport::{
    HandshakeError, Initiator, Responder, Session, ACT_ONE_LEN, ACT_THREE_LEN, ACT_TWO_LEN,
};
use secp256k1::SecretKey;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A connection that is not ready after this long is closed.
const DEADLINE: Duration = Duration::from_secs(10);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing answers there.
    #[error("nobody answers at {address}: {error}")]
    Unreachable {
        /// Where.
        address: String,
        /// What the socket said.
        error: io::Error,
    },
    /// The connection broke during the handshake: the other side may be another node than expected.
    #[error("the connection broke in the handshake ({0}): is that node's id right?")]
    Broken(#[from] io::Error),
    /// A bad act.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// Too slow.
    #[error("no handshake within {} seconds", DEADLINE.as_secs())]
    Slow,
    /// The operating system gives no randomness.
    #[error("no randomness for the handshake: {0}")]
    Randomness(getrandom::Error),
}

/// Connects to `address` (`host:port`) and makes sure that `peer` is there.
pub(super) async fn dial(
    secret: &SecretKey,
    peer: NodeId,
    address: &str,
) -> Result<(TcpStream, Session), ConnectError> {
    let unreachable = |error| ConnectError::Unreachable { address: address.to_owned(), error };
    let connecting = timeout(DEADLINE, TcpStream::connect(address));
    let mut stream = connecting.await.map_err(|_| ConnectError::Slow)?.map_err(unreachable)?;
    let acts = async {
        stream.set_nodelay(true)?;
        let (initiator, act_one) = Initiator::start(secret, ephemeral()?, peer);
        stream.write_all(&act_one).await?;
        let mut act_two = [0; ACT_TWO_LEN];
        stream.read_exact(&mut act_two).await?;
        let (act_three, session) = initiator.act_two(&act_two)?;
        stream.write_all(&act_three).await?;
        Ok::<_, ConnectError>(session)
    };
    let session = timeout(DEADLINE, acts).await.map_err(|_| ConnectError::Slow)??;
    Ok((stream, session))
}

/// Answers somebody who connected; who it is shows in the last act. `begun` is set once the first act was right.
pub(super) async fn answer(
    secret: &SecretKey,
    mut stream: TcpStream,
    begun: &AtomicBool,
) -> Result<(NodeId, TcpStream, Session), ConnectError> {
    let acts = async {
        stream.set_nodelay(true)?;
        let mut act_one = [0; ACT_ONE_LEN];
        stream.read_exact(&mut act_one).await?;
        let (responder, act_two) = Responder::new(secret, ephemeral()?).act_one(&act_one)?;
        begun.store(true, Ordering::Relaxed);
        stream.write_all(&act_two).await?;
        let mut act_three = [0; ACT_THREE_LEN];
        stream.read_exact(&mut act_three).await?;
        Ok::<_, ConnectError>(responder.act_three(&act_three)?)
    };
    let (peer, session) = timeout(DEADLINE, acts).await.map_err(|_| ConnectError::Slow)??;
    Ok((peer, stream, session))
}

/// A key for one handshake only.
fn ephemeral() -> Result<SecretKey, ConnectError> {
    loop {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(ConnectError::Randomness)?;
        // One in 2^128 is no key.
        if let Ok(key) = SecretKey::from_slice(&bytes) {
            return Ok(key);
        }
    }
}
