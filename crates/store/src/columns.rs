//! A row's columns with their values. Each is named once, and both inserts and updates are made of the same list.

use crate::dialect::{Arguments, Connection, Database};
use crate::store::to_ms;
use crate::{Result, StoreError};
use sqlx::AssertSqlSafe;
use sqlx::query::Query;
use std::fmt::Write as _;
use time::OffsetDateTime;

/// The columns that a violated constraint names, each with the field's name in the API.
pub type Unique = &'static [(&'static str, &'static str)];

#[derive(Debug, Clone)]
pub(crate) enum Value {
    Bool(bool),
    Int(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

/// The columns in the order in which they were put.
#[derive(Debug, Clone, Default)]
pub struct Columns(Vec<(&'static str, Value)>);

impl Columns {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn put(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.0.push((name, value.into()));
        self
    }

    pub(crate) fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    pub(crate) async fn insert(self, tx: &mut Connection, table: &'static str, unique: Unique) -> Result<()> {
        let sql = format!("insert into {table} ({}) values ({})", self.names(), numbers(self.0.len()));
        let query = bound(sqlx::query(AssertSqlSafe(sql)), self);
        query.execute(tx).await.map_err(|error| StoreError::unique(error, unique))?;
        Ok(())
    }

    /// Sets these columns in the rows in which the columns of `by` have these values. Returns the number of rows.
    pub(crate) async fn update(
        self,
        tx: &mut Connection,
        table: &'static str,
        unique: Unique,
        by: Self,
    ) -> Result<u64> {
        let set = pairs(&self, 1, ", ");
        let sql = format!("update {table} set {set} where {}", pairs(&by, self.0.len() + 1, " and "));
        let query = bound(sqlx::query(AssertSqlSafe(sql)), self.and(by));
        let updated = query.execute(tx).await.map_err(|error| StoreError::unique(error, unique))?;
        Ok(updated.rows_affected())
    }

    fn names(&self) -> String {
        self.0.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }
}

fn numbers(count: usize) -> String {
    (1..=count).map(|number| format!("${number}")).collect::<Vec<_>>().join(",")
}

fn pairs(columns: &Columns, first: usize, between: &str) -> String {
    let mut text = String::new();
    for (number, (name, _)) in (first..).zip(&columns.0) {
        let between = if text.is_empty() { "" } else { between };
        // Writing to a string does not fail.
        let _ = write!(text, "{between}{name} = ${number}");
    }
    text
}

type Statement<'a> = Query<'a, Database, Arguments>;

fn bound(query: Statement<'_>, columns: Columns) -> Statement<'_> {
    columns.0.into_iter().fold(query, |query, (_, value)| match value {
        Value::Bool(value) => query.bind(value),
        Value::Int(value) => query.bind(value),
        Value::Text(value) => query.bind(value),
        Value::Bytes(value) => query.bind(value),
    })
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Int(Some(value.into()))
    }
}

impl From<Option<i64>> for Value {
    fn from(value: Option<i64>) -> Self {
        Self::Int(value)
    }
}

impl From<OffsetDateTime> for Value {
    fn from(at: OffsetDateTime) -> Self {
        Self::Int(Some(to_ms(at)))
    }
}

impl From<Option<OffsetDateTime>> for Value {
    fn from(at: Option<OffsetDateTime>) -> Self {
        Self::Int(at.map(to_ms))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}

impl From<Option<&str>> for Value {
    fn from(value: Option<&str>) -> Self {
        Self::Text(value.map(ToOwned::to_owned))
    }
}

impl From<Option<String>> for Value {
    fn from(value: Option<String>) -> Self {
        Self::Text(value)
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Self::Bytes(Some(value))
    }
}

impl From<Option<Vec<u8>>> for Value {
    fn from(value: Option<Vec<u8>>) -> Self {
        Self::Bytes(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_list_names_the_columns_of_both_statements() {
        let columns = Columns::new().put("name", "a").put("active", true).put("slate", None::<String>);
        assert_eq!(columns.names(), "name, active, slate");
        assert_eq!(numbers(columns.0.len()), "$1,$2,$3");
        assert_eq!(pairs(&columns, 1, ", "), "name = $1, active = $2, slate = $3");
        let by = Columns::new().put("id", 7_i64).put("version", 2_i64);
        assert_eq!(pairs(&by, 4, " and "), "id = $4 and version = $5");
    }
}
