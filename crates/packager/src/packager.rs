//! The handle on a stream's packager: follows renditions, answers requests.

use weir_hub::{Next, Rendition};
use weir_model::StreamId;
use weir_observe::Observe;

use crate::{Answer, PackagerConfig};

/// Clones share it; one per stream, for as long as the stream exists.
#[derive(Clone, Debug)]
pub struct Packager;

impl Packager {
    pub fn new(config: PackagerConfig, stream_id: StreamId, observe: Observe) -> Self {
        let _ = (config.bounded(), stream_id, observe);
        Self
    }

    /// Packages a rendition until it is closed.
    pub async fn run(self, rendition: Rendition, name: String) {
        let mut subscriber = rendition.subscribe();
        while !matches!(subscriber.next().await, Next::Closed) {}
        drop(name);
    }

    /// One GET below `/play/<stream>/`.
    pub async fn answer(&self, path: &str, query: Option<&str>) -> Answer {
        let _ = (path, query);
        Answer::NotReady
    }
}
