//! The marks of streams' clocks: where another run of the server, or another node, goes on. They are no changes that anybody asked for, and
//! stand in no log.

use crate::{Result, Store, StoreError};
use sqlx::{AssertSqlSafe, Row as _};
use time::OffsetDateTime;
use weir_media::{ClockMark, MediaTime};
use weir_model::StreamId;

/// The number of clocks that one statement notes, of six values each: no database binds fewer than 30,000 values.
const MARKS_PER_STATEMENT_MAX: usize = 1_000;

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

    /// Notes where clocks are; of a stream that has been deleted nothing is kept. A thousand together are one write to the disk.
    pub async fn note_stream_clocks(&self, marks: &[(StreamId, ClockMark)]) -> Result<()> {
        for marks in marks.chunks(MARKS_PER_STATEMENT_MAX) {
            let text = note_statement(marks.len());
            let statement = marks.iter().fold(sqlx::query(AssertSqlSafe(text)), |statement, (id, mark)| {
                statement
                    .bind(id.0)
                    .bind(nanos(mark.zero_at))
                    .bind(count(mark.first_number))
                    .bind(mark.reached.as_nanos())
                    .bind(count(mark.next_number))
                    .bind(nanos(mark.noted_at))
            });
            self.write_one(statement).await?;
        }
        Ok(())
    }
}

/// One statement for so many marks: a hundred streams are noted in one way to the database and back. It says nothing of a stream that has
/// been deleted meanwhile.
fn note_statement(marks: usize) -> String {
    // The casts say to databases that ask what the numbers are.
    let row = |at: usize| {
        let bound: Vec<String> = (1..=6).map(|column| format!("cast(${} as bigint)", at * 6 + column)).collect();
        format!("({})", bound.join(", "))
    };
    let rows: Vec<String> = (0..marks).map(row).collect();
    format!(
        "insert into stream_clock (stream_id, zero_at, first_number, reached, next_number, noted_at) \
         select mark.column1, mark.column2, mark.column3, mark.column4, mark.column5, mark.column6 \
         from (values {}) as mark where mark.column1 in (select id from stream) \
         on conflict (stream_id) do update set zero_at = excluded.zero_at, first_number = excluded.first_number, \
         reached = excluded.reached, next_number = excluded.next_number, noted_at = excluded.noted_at",
        rows.join(", ")
    )
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
        // More than one statement takes, and the only one that is there is the last of them.
        let strangers = (10_000..12_000).map(|id| (StreamId(id), mark(1)));
        let many: Vec<_> = strangers.chain([(stream.id, mark(11))]).collect();
        store.note_stream_clocks(&many).await.unwrap();
        assert_eq!(store.stream_clock(stream.id).await.unwrap(), Some(mark(11)));
        store.delete_stream(stream.id, None).await.unwrap();
        assert_eq!(store.stream_clock(stream.id).await.unwrap(), None);
    }
}
