//! Things with an id, a version and times, which have a table each: how all of them are made, changed, deleted and read.

use crate::change_log::{Noun, note};
use crate::columns::{Columns, Unique};
use crate::dialect::{Connection, Row};
use crate::page::{Page, rows_wanted};
use crate::store::{next_id, now};
use crate::{Result, Store, StoreError};
use sqlx::AssertSqlSafe;
use time::OffsetDateTime;

/// The fields that every kept thing has.
pub(crate) struct Stamp<'a> {
    pub(crate) id: &'a mut i64,
    /// The version rises by one with every change.
    pub(crate) version: &'a mut i64,
    pub(crate) created_at: &'a mut OffsetDateTime,
    pub(crate) updated_at: &'a mut OffsetDateTime,
}

pub(crate) trait Kept: Sized + Clone + Send + Sync {
    const TABLE: &'static str;
    const NOUN: Noun;
    const UNIQUE: Unique;

    fn stamp(&mut self) -> Stamp<'_>;

    /// The columns of the thing, beside those of its stamp.
    fn columns(&self, store: &Store) -> Result<Columns>;

    fn read(store: &Store, row: &Row) -> Result<Self>;
}

impl Store {
    /// Writes a new thing and gives it its id, version and times. `more` is written once and never changed.
    pub(crate) async fn insert<T: Kept>(&self, tx: &mut Connection, thing: &mut T, more: Columns) -> Result<()> {
        let made_at = now();
        let id = next_id(tx, T::TABLE).await?;
        let Stamp { id: its_id, version, created_at, updated_at } = thing.stamp();
        (*its_id, *version, *created_at, *updated_at) = (id, 1, made_at, made_at);
        let stamp = Columns::new().put("id", id).put("version", 1_i64).put("created_at", made_at);
        let columns = stamp.put("updated_at", made_at).and(thing.columns(self)?).and(more);
        columns.insert(tx, T::TABLE, T::UNIQUE).await?;
        note(tx, T::NOUN, id).await
    }

    /// Writes everything but id and creation time, if the row still has the version that it was read with.
    pub(crate) async fn rewrite<T: Kept>(&self, tx: &mut Connection, thing: &mut T) -> Result<()> {
        let changed_at = now();
        let Stamp { id, version, updated_at, .. } = thing.stamp();
        let by = Columns::new().put("id", *id).put("version", *version);
        *updated_at = changed_at;
        *version += 1;
        let (id, stamp) = (*id, Columns::new().put("version", *version).put("updated_at", changed_at));
        let columns = stamp.and(thing.columns(self)?);
        if columns.update(tx, T::TABLE, T::UNIQUE, by).await? == 0 {
            // Somebody changed the thing before us, or deleted it.
            self.locked::<T>(tx, id, None).await?;
            return Err(StoreError::Stale);
        }
        note(tx, T::NOUN, id).await
    }

    /// Deletes a thing and returns it as it was. With `version`, only if it still has that one.
    pub(crate) async fn remove<T: Kept>(&self, tx: &mut Connection, id: i64, version: Option<i64>) -> Result<T> {
        let gone = self.locked::<T>(tx, id, version).await?;
        let sql = format!("delete from {} where id = $1", T::TABLE);
        sqlx::query(AssertSqlSafe(sql)).bind(id).execute(&mut *tx).await?;
        note(tx, T::NOUN, id).await?;
        Ok(gone)
    }

    /// The thing as it is within a transaction. With `version`, only if it still has that one.
    pub(crate) async fn locked<T: Kept>(&self, tx: &mut Connection, id: i64, version: Option<i64>) -> Result<T> {
        let mut found = self.one::<T>(tx, id).await?;
        if version.is_some_and(|version| version != *found.stamp().version) {
            return Err(StoreError::Stale);
        }
        Ok(found)
    }

    pub(crate) async fn one<T: Kept>(&self, reader: &mut Connection, id: i64) -> Result<T> {
        let sql = format!("select * from {} where id = $1", T::TABLE);
        let row = sqlx::query(AssertSqlSafe(sql)).bind(id).fetch_optional(reader).await?;
        T::read(self, &row.ok_or(StoreError::NotFound)?)
    }

    /// A page of the things for which `filter`, which may name `$3`, holds.
    pub(crate) async fn some<T: Kept>(
        &self,
        reader: &mut Connection,
        (after, limit): (i64, u32),
        filter: Option<(&'static str, i64)>,
    ) -> Result<Page<T>> {
        let (limit, rows) = rows_wanted(limit);
        let (condition, value) =
            filter.map_or((String::new(), None), |(column, value)| (format!(" and {column} = $3"), Some(value)));
        let sql = format!("select * from {} where id > $1{condition} order by id limit $2", T::TABLE);
        let query = sqlx::query(AssertSqlSafe(sql)).bind(after).bind(rows);
        let query = match value {
            Some(value) => query.bind(value),
            None => query,
        };
        let rows = query.fetch_all(reader).await?;
        let items = rows.iter().map(|row| T::read(self, row)).collect::<Result<Vec<_>>>()?;
        Ok(Page::new(items, limit, |thing| *thing.clone().stamp().id))
    }

    /// Every thing of this kind, for the control plane.
    pub(crate) async fn every<T: Kept>(&self) -> Result<Vec<T>> {
        let sql = format!("select * from {} order by id", T::TABLE);
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&self.readers).await?;
        rows.iter().map(|row| T::read(self, row)).collect()
    }
}

/// Whether there is a row with that id.
pub(crate) async fn exists(tx: &mut Connection, table: &'static str, id: i64) -> Result<bool> {
    let sql = format!("select 1 from {table} where id = $1");
    Ok(sqlx::query(AssertSqlSafe(sql)).bind(id).fetch_optional(tx).await?.is_some())
}
