//! What the application behind the listener decides: who may publish and play, and where the media goes and comes from.

use std::fmt;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use super::BoxFuture;
use super::close_reason::CloseReason;
use crate::parcel::Parcel;
use crate::protocol::{MediaMessage, Refusal};
use crate::stream_key::StreamKey;
use crate::wire::Value;

/// The application behind the connections that are served. Its answers are awaited in order, one at a time per connection,
/// while nothing is read from that connection.
pub trait Handler: Send + Sync + 'static {
    fn publish(&self, request: PublishRequest) -> impl Future<Output = Result<Publishing, Refusal>> + Send;
    fn play(&self, request: PlayRequest) -> impl Future<Output = Result<Playing, Refusal>> + Send;

    /// Tells of a connection that ended for a fault of its peer before anything was accepted on it. Anybody can cause that, as often as
    /// they like.
    fn failed(&self, _remote: SocketAddr, _reason: &CloseReason) {}
}

/// A request to publish. `Debug` shows neither the key, nor the query, nor the fields of connect.
pub struct PublishRequest {
    pub remote: SocketAddr,
    /// The first segment of the path, wherever the client split it.
    pub app: String,
    /// The rest of the path.
    pub stream_key: StreamKey,
    /// The query without its question mark.
    pub query: String,
    /// Every field of the connect command, in order.
    pub connect: Vec<(String, Value)>,
}

/// A request to play `rtmp://host/app/name?query`. `Debug` hides the query, because tokens travel there.
pub struct PlayRequest {
    pub remote: SocketAddr,
    pub app: String,
    pub name: String,
    pub query: String,
    /// The message stream that the media has to name.
    pub stream_id: u32,
}

/// A publish that the application accepted.
pub struct Publishing {
    pub session: Box<dyn PublishSession>,
    /// Resolves when the server wants this publisher gone.
    pub ended: BoxFuture<'static, Refusal>,
}

/// Takes the media of one publish. The session is dropped when the publish ends, in whichever way.
pub trait PublishSession: Send {
    /// Takes one message. An error turns the publisher away.
    fn media(&mut self, message: MediaMessage) -> Result<(), Refusal>;

    /// Whether each picture is wanted as soon as it comes. If not, the pictures of up to a tenth of a second may come together, which
    /// spares most of the wakes.
    fn is_hurried(&self) -> bool {
        true
    }
}

/// A play that the application accepted.
pub struct Playing {
    pub media: Box<dyn Outgoing>,
    /// Resolves when the server wants this player gone.
    pub ended: BoxFuture<'static, Refusal>,
}

/// Gives out the media of one play or push.
pub trait Outgoing: Send {
    /// The next messages to send: whole ones, in chunks of at most [`super::PLAY_CHUNK_SIZE`]. None is the end.
    fn poll_parcel(&mut self, cx: &mut Context<'_>) -> Poll<Option<Parcel>>;
}

impl fmt::Debug for PublishRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishRequest").field("remote", &self.remote).field("app", &self.app).finish_non_exhaustive()
    }
}

impl fmt::Debug for PlayRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlayRequest")
            .field("remote", &self.remote)
            .field("app", &self.app)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Publishing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publishing").finish_non_exhaustive()
    }
}

impl fmt::Debug for Playing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Playing").finish_non_exhaustive()
    }
}
