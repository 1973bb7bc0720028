//! The marks of streams' clocks: where another run of the server, or another node, goes on. They are no changes that anybody asked for, and
//! stand in no log.

use crate::{Result, Store, StoreError};
use sqlx::Row as _;
use time::OffsetDateTime;
use weir_media::{ClockMark, MediaTime};
use weir_model::StreamId;

impl Store {
    /// None: the stream was never published.
    pub async fn stream_clock(&self, id: StreamId) -> Result<Option<ClockMark>> {
        let row = sqlx::query(
            "select zero_at, first_number, reached, next_number, noted_at from stream_clock where stream_id = $1",
        )
        .bind(id.0)
        .fetch_optional(&self.readers)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let number = |column: &str| -> Result<u64> {
            u64::try_from(row.try_get::<i64, _>(column)?).map_err(|_| StoreError::Corrupt("the number of a segment"))
        };
        Ok(Some(ClockMark {
            zero_at: wall_time(row.try_get("zero_at")?)?,
            first_number: number("first_number")?,
            reached: MediaTime::from_nanos(row.try_get("reached")?),
            next_number: number("next_number")?,
            noted_at: wall_time(row.try_get("noted_at")?)?,
        }))
    }

    /// Notes where clocks are; of a stream that has been deleted nothing is kept. All together are one write to the disk.
    pub async fn note_stream_clocks(&self, marks: &[(StreamId, ClockMark)]) -> Result<()> {
        let mut tx = self.begin().await?;
        for (id, mark) in marks {
            sqlx::query(
                "insert into stream_clock (stream_id, zero_at, first_number, reached, next_number, noted_at) \
                 select id, $2, $3, $4, $5, $6 from stream where id = $1 \
                 on conflict (stream_id) do update set zero_at = $2, first_number = $3, reached = $4, next_number = $5, \
                 noted_at = $6",
            )
            .bind(id.0)
            .bind(nanos(mark.zero_at))
            .bind(count(mark.first_number))
            .bind(mark.reached.as_nanos())
            .bind(count(mark.next_number))
            .bind(nanos(mark.noted_at))
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

fn nanos(at: OffsetDateTime) -> i64 {
    // Until the year 2262.
    i64::try_from(at.unix_timestamp_nanos()).unwrap_or(i64::MAX)
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn wall_time(nanos: i64) -> Result<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(nanos.into())
        .map_err(|_| StoreError::Corrupt("the zero of a stream's clock"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SealingKey;
    use weir_model::{Stream, StreamName};

    #[tokio::test]
    async fn marks_are_kept_for_as_long_as_their_streams() {
        let dir = tempfile::tempdir().unwrap();
        let key = SealingKey::load_or_create(dir.path()).unwrap();
        let store = Store::open(&dir.path().join("weir.db"), &key).await.unwrap();
        let stream = store.create_stream(Stream::draft(StreamName::new("cam1").unwrap())).await.unwrap();
        let zero_at = OffsetDateTime::from_unix_timestamp_nanos(1_800_000_000_123_456_789).unwrap();
        let mark = |reached| ClockMark {
            zero_at,
            first_number: 1_800_000_000,
            reached: MediaTime::from_nanos(reached),
            next_number: 1_800_000_000 + reached.unsigned_abs(),
            noted_at: zero_at + time::Duration::nanoseconds(reached),
        };
        assert_eq!(store.stream_clock(stream.id).await.unwrap(), None);
        for reached in [7, 9] {
            // One of a stream that is not there harms no other.
            let marks = [(StreamId(4711), mark(1)), (stream.id, mark(reached))];
            store.note_stream_clocks(&marks).await.unwrap();
            assert_eq!(store.stream_clock(stream.id).await.unwrap(), Some(mark(reached)));
        }
        assert_eq!(store.stream_clock(StreamId(4711)).await.unwrap(), None);
        store.delete_stream(stream.id, None).await.unwrap();
        assert_eq!(store.stream_clock(stream.id).await.unwrap(), None);
    }
}
