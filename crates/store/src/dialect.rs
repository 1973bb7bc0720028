//! The database's own types under names that any database has. Files about rows use these names, and nothing of SQLite.

pub(crate) type Database = sqlx::Sqlite;
pub(crate) type Connection = sqlx::sqlite::SqliteConnection;
pub(crate) type Pool = sqlx::sqlite::SqlitePool;
pub(crate) type Row = sqlx::sqlite::SqliteRow;
pub(crate) type Arguments = sqlx::sqlite::SqliteArguments;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    /// Only these files may use what only SQLite understands: how it is opened, locked, copied and inspected.
    const SPEAKS_SQLITE: [&str; 5] = ["dialect.rs", "restore.rs", "schema.rs", "store.rs", "write.rs"];

    const OF_SQLITE: [&str; 10] = [
        "Sqlite",
        "sqlite",
        "pragma ",
        "begin immediate",
        "vacuum",
        "glob(",
        "datetime(",
        "insert or ",
        " is not $",
        "rowid",
    ];

    /// Whether a line binds a value by `?` or `?1`, which are SQLite's. Bound values are `$1`, which both databases understand.
    fn binds_by_question_mark(line: &str) -> bool {
        const BOUND: [&str; 8] = ["= ?", "< ?", "> ?", "(?", ",?", " ?,", " ?)", "limit ?"];
        let numbered = line.as_bytes().windows(2).any(|pair| pair[0] == b'?' && pair[1].is_ascii_digit());
        !line.trim_start().starts_with("//") && (numbered || BOUND.iter().any(|bound| line.contains(bound)))
    }

    #[test]
    fn rows_are_written_in_sql_that_postgresql_understands_too() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for (number, line) in code.lines().enumerate() {
                let number = number + 1;
                assert!(!binds_by_question_mark(line), "{name}:{number} binds by a question mark: {line}");
                let of_sqlite =
                    OF_SQLITE.iter().find(|word| line.contains(**word) && !line.trim_start().starts_with("//"));
                assert!(
                    of_sqlite.is_none() || SPEAKS_SQLITE.contains(&name.as_str()),
                    "{name}:{number} says {of_sqlite:?}, which belongs in one of {SPEAKS_SQLITE:?}"
                );
            }
        }
    }
}
