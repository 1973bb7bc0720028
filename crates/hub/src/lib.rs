//! Publish and subscribe to a stream's encoded frames over a bounded window that is GOP cache, fan-out and backlog in one.
//!
//! A publisher never waits: it writes into a [`Window`] and the oldest items fall out. A subscriber is a [`Cursor`], which is a position
//! in that window. If the position falls out, it jumps to the newest keyframe, and the subscriber is told how much it lost. Memory is
//! streams x window, whatever the number of subscribers.

mod clock;
mod cold;
mod cursor;
mod feed;
mod feeds;
mod hurry;
mod keyframe_asks;
mod limits;
mod rendition;
mod stream;
mod tracks;
mod window;

pub use clock::StreamClock;
pub use cold::Cold;
pub use cursor::{Cursor, Next};
pub use feed::{Batcher, Feed};
pub use feeds::{FeedHandle, Feeds};
pub use limits::WindowLimits;
pub use rendition::{Entry, Publisher, RenditionHub, Subscriber};
pub use stream::{SOURCE_RENDITION, SourcePulse, StreamHub};
pub use tracks::Tracks;
pub use window::{Item, Window};
