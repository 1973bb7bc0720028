//! First answers, which are kept for a day, so that a repeated request gets the same answer and is not done again.

use crate::api_key::hash;
use crate::store::{now, to_ms};
use crate::{Result, Store, StoreError};
use sqlx::Row;
use std::time::Duration;

/// How long a first answer is remembered.
pub const IDEMPOTENCY_LIFE: Duration = Duration::from_secs(24 * 3600);

/// A first request that has not answered after this long died with its process.
const PENDING_LIFE: Duration = Duration::from_secs(60);

/// What to do with a request that carries an idempotency key.
#[derive(Debug, Clone, PartialEq)]
pub enum Reservation {
    /// Nobody asked before: do the request, then `finish` or `release`.
    Mine,
    /// The request was done, and this is its answer.
    Answered(Answer),
    /// The request is being done.
    Pending,
    /// The key was used for another request.
    Mismatch,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// The body of the answer. It is sealed, because it may show a new key.
    pub body: Vec<u8>,
}

fn place(caller: &str, key: &str) -> String {
    format!("idempotency/answer/{caller}/{key}")
}

impl Store {
    /// Reserves a key. `request` is everything that must be equal for two requests to be the same.
    pub async fn reserve_idempotency(&self, caller: &str, key: &str, request: &[u8]) -> Result<Reservation> {
        let mut tx = self.begin().await?;
        let now = now();
        sqlx::query("delete from idempotency where created_at < $1 or (status is null and created_at < $2)")
            .bind(to_ms(now - IDEMPOTENCY_LIFE))
            .bind(to_ms(now - PENDING_LIFE))
            .execute(&mut *tx)
            .await?;
        let row = sqlx::query(
            "select request_hash, status, answer from idempotency where caller = $1 and idempotency_key = $2",
        )
        .bind(caller.to_owned())
        .bind(key.to_owned())
        .fetch_optional(&mut *tx)
        .await?;
        let request_hash = hash(request);
        if let Some(row) = row {
            tx.commit().await?;
            if row.try_get::<Vec<u8>, _>("request_hash")? != request_hash {
                return Ok(Reservation::Mismatch);
            }
            let (status, answer): (Option<i64>, Option<Vec<u8>>) = (row.try_get("status")?, row.try_get("answer")?);
            let (Some(status), Some(answer)) = (status, answer) else { return Ok(Reservation::Pending) };
            let corrupt = || StoreError::Corrupt("a kept answer");
            return Ok(Reservation::Answered(Answer {
                status: u16::try_from(status).map_err(|_| corrupt())?,
                body: self.key.open(&place(caller, key), &answer).ok_or_else(corrupt)?,
            }));
        }
        sqlx::query("insert into idempotency (caller, idempotency_key, request_hash, created_at) values ($1,$2,$3,$4)")
            .bind(caller.to_owned())
            .bind(key.to_owned())
            .bind(request_hash)
            .bind(to_ms(now))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(Reservation::Mine)
    }

    pub async fn finish_idempotency(&self, caller: &str, key: &str, answer: &Answer) -> Result<()> {
        let sealed = self.key.seal(&place(caller, key), &answer.body)?;
        let mut tx = self.begin().await?;
        sqlx::query("update idempotency set status = $1, answer = $2 where caller = $3 and idempotency_key = $4")
            .bind(i64::from(answer.status))
            .bind(sealed)
            .bind(caller.to_owned())
            .bind(key.to_owned())
            .execute(&mut *tx)
            .await?;
        Ok(tx.commit().await?)
    }

    /// Frees the key, because the request failed and may be tried again with it.
    pub async fn release_idempotency(&self, caller: &str, key: &str) -> Result<()> {
        let mut tx = self.begin().await?;
        sqlx::query("delete from idempotency where caller = $1 and idempotency_key = $2 and status is null")
            .bind(caller.to_owned())
            .bind(key.to_owned())
            .execute(&mut *tx)
            .await?;
        Ok(tx.commit().await?)
    }
}
