//! HTTP for viewers: playlists, segments, pictures, the watch page, the agreement that WebRTC begins with, and the connections that
//! everything over HTTP comes by.
//!
//! What operators ask for is answered by a router that [`HttpServer`] is given. It runs on the control plane's threads, and nothing here
//! knows what it says.

mod asked;
mod body;
mod complaint;
mod origin;
mod pages;
mod patient_io;
pub mod range;
mod read_head;
mod reply;
mod respond;
mod rewind_io;
mod rtc_sessions;
mod serve;
mod short_way;
mod thumbnails;
mod watched;
mod web_assets;
mod whep;
mod whip;

pub use origin::{Origin, PATH_BYTES_MAX, QUERY_BYTES_MAX, read_plain_request};
pub use pages::{page_of, watch_routes};
pub use serve::{HttpLimits, HttpRules, HttpServer, MAX_HEADER_BYTES, OverTls, Peer, Rest};
pub use thumbnails::{ServedThumbnail, Thumbnails};
pub use whep::{Came, IceServer, WebrtcPorts, Whep, WhepAdmission, WhepViewer, whep_routes};
pub use whip::{Whip, WhipAdmission, WhipSession, whip_routes};
