//! The rendition that a viewer's pictures come from: the one that it began with, or another one that it was sent to.

use std::future::pending;
use std::time::Duration;

use weir_hub::{Cursor, Item as _, Next};
use weir_media::MediaTime;

use crate::from_frames::RtpBatch;

/// A viewer goes over to another rendition at a keyframe that is no older than this. An older one would bring all that has followed since with
/// it, just when the path is too narrow.
const FRESH: Duration = Duration::from_millis(300);

/// Where a viewer's pictures are to come from.
#[derive(Debug)]
pub enum Move {
    /// To the rendition that the viewer began with.
    ToFirst,
    To(Cursor<RtpBatch>),
}

/// Where the pictures come from: from the first rendition, if nothing is set.
#[derive(Default)]
pub(crate) struct Pictures {
    pub(crate) other: Option<Cursor<RtpBatch>>,
    pub(crate) next: Option<Move>,
    /// The other rendition has ended, and the first one's next keyframe has not come yet.
    pub(crate) waits_for_first: bool,
}

impl Pictures {
    pub(crate) fn are_elsewhere(&self) -> bool {
        self.other.is_some() || self.waits_for_first
    }

    pub(crate) fn goes_to_first(&self) -> bool {
        self.waits_for_first || (self.other.is_some() && matches!(self.next, Some(Move::ToFirst)))
    }

    /// The next batch of a rendition other than the first, and whether the viewer is there or on its way.
    pub(crate) async fn elsewhere(&mut self) -> Elsewhere {
        let Self { other, next, .. } = self;
        let coming = async {
            match next {
                Some(Move::To(cursor)) => {
                    let batch = cursor.next().await;
                    (batch, cursor.newest_time())
                }
                _ => pending().await,
            }
        };
        let there = async {
            match other {
                Some(cursor) => cursor.next().await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            (batch, newest) = coming => Elsewhere::Coming(batch, newest),
            batch = there => Elsewhere::There(batch),
        }
    }

    pub(crate) fn go_over(&mut self) {
        if let Some(Move::To(cursor)) = self.next.take() {
            (self.other, self.waits_for_first) = (Some(cursor), false);
        }
    }
}

/// What came of a rendition other than the first.
pub(crate) enum Elsewhere {
    /// Of the rendition that the viewer is to go to, with the time of the newest that there is of it.
    Coming(Next<RtpBatch>, Option<MediaTime>),
    /// Of the one that the viewer sees.
    There(Next<RtpBatch>),
}

/// Whether the pictures of another rendition can follow from this batch on.
pub(crate) fn begins_well(batch: &RtpBatch, newest: Option<MediaTime>) -> bool {
    let is_fresh = newest.is_none_or(|newest| newest.since(batch.time()) <= FRESH);
    batch.is_start() && is_fresh && !batch.is_reordered()
}
