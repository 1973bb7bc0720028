//! Things with an id, a version and times, which have a table each: how all of them are made, changed, deleted and read.

use crate::change_log::note;
use crate::columns::{Columns, Unique};
use crate::dialect::{Connection, Row};
use crate::page::{Page, rows_wanted};
use crate::store::{next_id, now};
use crate::told::Told;
use crate::{Result, Store, StoreError};
use sqlx::AssertSqlSafe;
use time::OffsetDateTime;

/// The fields that every kept thing has.
#[derive(Debug)]
pub struct Stamp<'a> {
    pub(crate) id: &'a mut i64,
    /// The version rises by one with every change.
    pub(crate) version: &'a mut i64,
    pub(crate) created_at: &'a mut OffsetDateTime,
    pub(crate) updated_at: &'a mut OffsetDateTime,
}

impl Stamp<'_> {
    pub fn version(&self) -> i64 {
        *self.version
    }
}

/// Why a thing can't be as it is, whatever else is stored: the field at fault, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub field: String,
    pub message: String,
}

/// A thing that has a table of its own.
pub trait Kept: Told + Clone + PartialEq + Send + Sync + 'static {
    const TABLE: &'static str;
    /// The columns that are unique, each with the field's name in the API.
    const UNIQUE: Unique;

    type Id: Copy + Into<i64> + Send + Sync;

    fn stamp(&mut self) -> Stamp<'_>;

    /// The columns of the thing, beside those of its stamp.
    fn columns(&self, store: &Store) -> Result<Columns>;

    fn read(store: &Store, row: &Row) -> Result<Self>;
}

/// A thing whose row is all of it. All such things are created, changed, deleted and read in the same way.
pub trait Plain: Kept {
    /// Checks that what the thing names is there.
    fn refers(&self, _tx: &mut Connection) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// Says in words who needs the thing. It is not deleted as long as somebody does.
    fn used_by(&self, _tx: &mut Connection) -> impl Future<Output = Result<Option<String>>> + Send {
        async { Ok(None) }
    }

    /// Changes what else has to follow, now that the thing is not `old` any more.
    fn followed(&self, _tx: &mut Connection, _old: &Self) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }
}

/// A thing of which it can be told without looking at any other whether it may be as it is.
pub trait SelfJudged: Plain {
    fn check(&mut self) -> std::result::Result<(), Refused>;
}

impl Store {
    /// Stores a new thing, and gives it its id, version and times.
    pub async fn create<T: Plain>(&self, mut thing: T) -> Result<T> {
        let mut tx = self.begin().await?;
        thing.refers(&mut tx).await?;
        self.insert(&mut tx, &mut thing, Columns::new()).await?;
        tx.commit().await?;
        Ok(thing)
    }

    /// Writes everything but id and creation time, if the row still has the version that the thing was read with.
    pub async fn update<T: Plain>(&self, mut thing: T) -> Result<T> {
        let mut tx = self.begin().await?;
        let Stamp { id, version, .. } = thing.stamp();
        let (id, version) = (*id, *version);
        let old = self.locked::<T>(&mut tx, id, Some(version)).await?;
        thing.refers(&mut tx).await?;
        self.rewrite(&mut tx, &mut thing).await?;
        thing.followed(&mut tx, &old).await?;
        tx.commit().await?;
        Ok(thing)
    }

    /// Deletes a thing, and returns it as it was. It is refused while somebody needs the thing. With `version`, it is done only if the
    /// thing still has that one.
    pub async fn delete<T: Plain>(&self, id: T::Id, version: Option<i64>) -> Result<T> {
        let mut tx = self.begin().await?;
        let thing = self.locked::<T>(&mut tx, id.into(), version).await?;
        if let Some(used_by) = thing.used_by(&mut tx).await? {
            return Err(StoreError::InUse { used_by });
        }
        let gone = self.remove(&mut tx, id.into(), version).await?;
        tx.commit().await?;
        Ok(gone)
    }

    pub async fn get<T: Plain>(&self, id: T::Id) -> Result<T> {
        self.one(&mut *self.readers.acquire().await?, id.into()).await
    }

    pub async fn page<T: Plain>(&self, after: i64, limit: u32) -> Result<Page<T>> {
        self.some(&mut *self.readers.acquire().await?, (after, limit), None).await
    }

    /// Reads all things of a kind, for the control plane.
    pub async fn all<T: Plain>(&self) -> Result<Vec<T>> {
        let sql = format!("select * from {} order by id", T::TABLE);
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&self.readers).await?;
        rows.iter().map(|row| T::read(self, row)).collect()
    }

    /// Gives it its id, version and times. `more` is written once and never changed.
    pub(crate) async fn insert<T: Kept>(&self, tx: &mut Connection, thing: &mut T, more: Columns) -> Result<()> {
        let made_at = now();
        let id = next_id(tx, T::TABLE).await?;
        let Stamp { id: its_id, version, created_at, updated_at } = thing.stamp();
        (*its_id, *version, *created_at, *updated_at) = (id, 1, made_at, made_at);
        let stamp = Columns::new().put("id", id).put("version", 1_i64).put("created_at", made_at);
        let columns = stamp.put("updated_at", made_at).and(thing.columns(self)?).and(more);
        columns.insert(tx, T::TABLE, T::UNIQUE).await?;
        note(tx, T::TABLE, id).await
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
        note(tx, T::TABLE, id).await
    }

    /// Deletes a thing and returns it as it was. With `version`, only if it still has that one.
    pub(crate) async fn remove<T: Kept>(&self, tx: &mut Connection, id: i64, version: Option<i64>) -> Result<T> {
        let gone = self.locked::<T>(tx, id, version).await?;
        let sql = format!("delete from {} where id = $1", T::TABLE);
        sqlx::query(AssertSqlSafe(sql)).bind(id).execute(&mut *tx).await?;
        note(tx, T::TABLE, id).await?;
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
}

/// Says how many things of a kind there are, for a thing that can't be deleted because of them.
pub(crate) fn counted(count: i64, one: &str) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        more => Some(format!("{more} {one}s")),
    }
}

/// Whether there is a row with that id.
pub(crate) async fn exists(tx: &mut Connection, table: &'static str, id: i64) -> Result<bool> {
    let sql = format!("select 1 from {table} where id = $1");
    Ok(sqlx::query(AssertSqlSafe(sql)).bind(id).fetch_optional(tx).await?.is_some())
}
