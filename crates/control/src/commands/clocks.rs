//! What the supervisor keeps of the streams' clocks: nobody asked for it, so that no event tells of it.

use weir_media::ClockMark;
use weir_model::StreamId;

use super::{Commands, Result};

impl Commands {
    pub(crate) async fn stream_clock(&self, id: StreamId) -> Result<Option<ClockMark>> {
        Ok(self.shared.store.stream_clock(id).await?)
    }

    pub(crate) async fn note_stream_clocks(&self, marks: &[(StreamId, ClockMark)]) -> Result<()> {
        Ok(self.shared.store.note_stream_clocks(marks).await?)
    }
}
