//! What the server decides: who may publish and play, and where the media goes and comes from.

use std::fmt;
use std::net::SocketAddr;

use super::BoxFuture;
use super::close_reason::CloseReason;
use crate::parcel::Parcel;
use crate::session::{MediaMessage, Refusal};
use crate::stream_key::StreamKey;
use crate::wire::Value;

/// The application behind a [`super::Listener`]. Its answers are awaited in order, one at a time per connection,
/// while nothing is read from that connection.
pub trait Handler: Send + Sync + 'static {
    fn publish(&self, request: PublishRequest) -> impl Future<Output = Result<Publishing, Refusal>> + Send;
    fn play(&self, request: PlayRequest) -> impl Future<Output = Result<Playing, Refusal>> + Send;

    /// A connection ended for a fault of its own before anything was accepted on it. Anybody can cause that, as often as they like.
    fn failed(&self, _remote: SocketAddr, _tls: bool, _reason: &CloseReason) {}
}

/// Somebody wants to publish. `Debug` shows neither key nor query nor connect fields.
pub struct PublishRequest {
    pub remote: SocketAddr,
    pub tls: bool,
    /// The first path segment, wherever the client split.
    pub app: String,
    /// The rest of the path.
    pub stream_key: StreamKey,
    /// Without its question mark.
    pub query: String,
    /// Every field of the connect command, in order.
    pub connect: Vec<(String, Value)>,
}

/// Somebody wants to play `rtmp://host/app/name?query`. `Debug` hides the query: tokens travel there.
pub struct PlayRequest {
    pub remote: SocketAddr,
    pub tls: bool,
    pub app: String,
    pub name: String,
    pub query: String,
}

/// An accepted publish.
pub struct Publishing {
    pub session: Box<dyn PublishSession>,
    /// Resolves when the server wants this publisher gone.
    pub ended: BoxFuture<'static, Refusal>,
}

/// Takes the media of one publish. Dropped when the publish ends, in whichever way.
pub trait PublishSession: Send {
    /// An error turns the publisher away.
    fn media(&mut self, message: MediaMessage) -> Result<(), Refusal>;

    /// Whether each picture is wanted as it comes. Else some may come together, up to a tenth of a second of them, which
    /// spares most of the wakes.
    fn is_hurried(&self) -> bool {
        true
    }
}

/// An accepted play.
pub struct Playing {
    pub session: Box<dyn PlaySession>,
    /// Resolves when the server wants this player gone.
    pub ended: BoxFuture<'static, Refusal>,
}

/// Gives the media of one play.
pub trait PlaySession: Send {
    /// The next to send: whole messages for message stream `stream_id`, in chunks of at most
    /// [`super::PLAY_CHUNK_SIZE`]. `None` ends the play. Must be cancel-safe.
    fn next<'a>(&'a mut self, stream_id: u32) -> BoxFuture<'a, Option<Parcel>>;
}

impl fmt::Debug for PublishRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishRequest")
            .field("remote", &self.remote)
            .field("tls", &self.tls)
            .field("app", &self.app)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PlayRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlayRequest")
            .field("remote", &self.remote)
            .field("tls", &self.tls)
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
