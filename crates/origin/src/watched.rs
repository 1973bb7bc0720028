//! A segment that is still being made, and is given out for as long as the viewer who asked for it may watch.

use bytes::Bytes;
use weir_control::Pass;
use weir_packager::{Growing, Unfinished};

#[derive(Debug)]
pub(crate) struct Watched {
    segment: Growing,
    pass: Pass,
}

impl Watched {
    pub(crate) fn new(segment: Growing, pass: Pass) -> Self {
        Self { segment, pass }
    }

    /// The next part, or none at the segment's end. A viewer whose pass has ended meanwhile gets no more, and is told that this is not the
    /// whole segment. Dropping the future loses nothing, because looking at a viewer's pass never waits.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, Unfinished>> {
        let part = self.segment.next().await?;
        Some(match self.pass.look().await {
            Ok(_) => part,
            Err(_) => Err(Unfinished),
        })
    }
}
