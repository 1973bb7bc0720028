//! The numbers of events: a run of the server reserves them in blocks, so that none is ever given twice, whatever the clock says.

use crate::{Result, Store};

impl Store {
    /// Reserves `count` numbers and returns the first: `wished`, or the one after the last that was ever reserved, if that is later.
    pub async fn reserve_event_ids(&self, wished: u64, count: u32) -> Result<u64> {
        // SQLite counts in i64; the numbers stay below 2^53 for other reasons.
        let (wished, count) = (i64::try_from(wished).unwrap_or(i64::MAX / 2), i64::from(count));
        let mut tx = self.begin().await?;
        let last: i64 = sqlx::query_scalar(
            "insert into sequence (name, last) values ('event', ?1 + ?2 - 1) \
             on conflict (name) do update set last = max(last + 1, ?1) + ?2 - 1 returning last",
        )
        .bind(wished)
        .bind(count)
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(u64::try_from(last - count + 1).unwrap_or(1))
    }
}
