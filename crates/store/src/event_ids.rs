//! The numbers of events. A run of the server reserves them in blocks, so that none is ever given twice, whatever the clock says.

use crate::{Result, Store};

/// The name of a node's sequence. Without a cluster there is only node 0. Its numbers go on from the time before nodes were told apart.
fn sequence_of(node: u32) -> String {
    if node == 0 { "event".to_owned() } else { format!("event/{node}") }
}

impl Store {
    /// Reserves `count` numbers for a node and returns the first: `wished`, or the one after the last that the node ever reserved, if
    /// that is later. An event is known by its node and its number.
    pub async fn reserve_event_ids(&self, node: u32, wished: u64, count: u32) -> Result<u64> {
        // The database counts in i64; the numbers stay below 2^53 for other reasons.
        let (wished, count) = (i64::try_from(wished).unwrap_or(i64::MAX / 2), i64::from(count));
        let mut tx = self.begin().await?;
        let last: i64 = sqlx::query_scalar(
            "insert into sequence (name, last) values ($1, $2 + $3 - 1) on conflict (name) do update set last = \
             case when sequence.last + 1 > $2 then sequence.last + 1 else $2 end + $3 - 1 returning last",
        )
        .bind(sequence_of(node))
        .bind(wished)
        .bind(count)
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(u64::try_from(last - count + 1).unwrap_or(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SealingKey;

    #[tokio::test]
    async fn each_node_has_numbers_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let key = SealingKey::load_or_create(dir.path()).unwrap();
        let store = Store::open(&dir.path().join("weir.db"), &key).await.unwrap();
        for (node, wished, count, first) in
            [(0, 100, 10, 100), (0, 50, 10, 110), (1, 50, 10, 50), (0, 500, 10, 500), (1, 50, 1, 60), (0, 0, 1, 510)]
        {
            assert_eq!(store.reserve_event_ids(node, wished, count).await.unwrap(), first, "node {node}");
        }
    }
}
