//! Wall-clock times as playlists and manifests write them.

use std::sync::LazyLock;
use std::time::Instant;

use time::OffsetDateTime;
use weir_media::MediaTime;

/// The time as in "2026-01-31T12:00:00.000Z".
pub(crate) fn rfc3339(at: OffsetDateTime) -> String {
    let at = at.to_offset(time::UtcOffset::UTC);
    let (date, clock) = (at.date(), at.time());
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        clock.hour(),
        clock.minute(),
        clock.second(),
        clock.millisecond(),
    )
}

/// The wall time of a stream time, if stream time zero is at `zero_at`.
pub(crate) fn wall_time(zero_at: OffsetDateTime, time: MediaTime) -> OffsetDateTime {
    zero_at.checked_add(time::Duration::nanoseconds(time.as_nanos())).unwrap_or(zero_at)
}

/// What the wall clock said when this was first called, plus the time that has passed since. So numbers that are made of it never go back,
/// even if somebody sets the clock meanwhile.
pub(crate) fn steady_now() -> OffsetDateTime {
    static BEGAN: LazyLock<(OffsetDateTime, Instant)> = LazyLock::new(|| (OffsetDateTime::now_utc(), Instant::now()));
    let (wall, at) = *BEGAN;
    wall.checked_add(time::Duration::try_from(at.elapsed()).unwrap_or_default()).unwrap_or(wall)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc_with_milliseconds() {
        let at = OffsetDateTime::from_unix_timestamp_nanos(1_700_000_000_123_900_000).unwrap();
        assert_eq!(rfc3339(at), "2023-11-14T22:13:20.123Z");
        let elsewhere = at.to_offset(time::UtcOffset::from_hms(5, 30, 0).unwrap());
        assert_eq!(rfc3339(wall_time(elsewhere, MediaTime::from_millis(1_000))), "2023-11-14T22:13:21.123Z");
        assert_eq!(wall_time(at, MediaTime::from_nanos(i64::MAX)).year(), 2316);
    }
}
