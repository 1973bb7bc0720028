//! A segment that is still being made, given out for as long as whoever asked for it may watch.

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

    /// The next part; None at the segment's end. Whose pass has ended meanwhile gets no more, and hears that it is not the whole.
    /// Dropping the future loses nothing: looking at a viewer's pass never waits.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, Unfinished>> {
        let part = self.segment.next().await?;
        Some(match self.pass.look().await {
            Ok(_) => part,
            Err(_) => Err(Unfinished),
        })
    }
}
