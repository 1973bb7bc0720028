//! RTMP over TCP and TLS, on tokio: publishers and players are served, and pushes and pulls have a connection.

mod client;
mod client_error;
mod close_reason;
mod dial;
mod dialogue;
mod duplex;
mod handler;
mod low_water;
mod play_connection;
mod progress;
mod publish_connection;
mod serve;
mod tcp_info;
mod transport;

use std::pin::Pin;

pub use client::{ClientOptions, ClientTarget, connect_play, connect_publish};
pub use client_error::{ClientError, ClientStep};
pub use close_reason::CloseReason;
pub use handler::{Handler, Outgoing, PlayRequest, Playing, PublishRequest, PublishSession, Publishing};
pub use play_connection::{PlayConnection, PlayEvent};
pub use progress::PushProgress;
pub use publish_connection::{PublishConnection, PushEvent};
pub use serve::{PeerTimeouts, serve};

pub use crate::protocol::{MediaMessage, MessageKind, PLAY_CHUNK_SIZE, PUSH_CHUNK_SIZE, Refusal, RefusalCode};

/// A future behind a pointer. It is the same type as `futures_util::future::BoxFuture`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The clock of the connections. It is tokio's, which tests can stop and move.
fn now() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}

/// Fresh randomness for handshakes and authentication nonces.
fn random_bytes<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut random = [0; N];
    getrandom::fill(&mut random).map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(random)
}
