//! The data directory: a disk that is full and free again, other versions' databases, two servers at once, and who may read it.

use crate::common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use common::{SOON, weir};
use serde_json::{Value, json};
use weir_testkit::process::ADMIN_PASSWORD;
use weir_testkit::{Api, SmallDisk, wait_until, wait_until_some};

fn log_in(api: &Api) -> u16 {
    api.with_key("").post("/session", &json!({ "name": "admin", "password": ADMIN_PASSWORD })).status
}

fn ready(api: &Api) -> (u16, String) {
    let answer = api.get("//readyz");
    (answer.status, answer.body.to_string())
}

fn run(arguments: &[&str], data: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(arguments).arg("--data").arg(data).env_remove("WEIR_ADMIN_APIKEY").output().unwrap()
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Starts a server on this folder that must be refused; gives how it ended, and what it said.
fn refused(data: &Path, variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.arg("serve").arg("--data").arg(data).envs(variables.iter().copied());
    for key in ["HTTP", "RTMP", "SRT"] {
        command.env(format!("WEIR_{key}__LISTEN"), "127.0.0.1:0");
    }
    let output = command.output().unwrap();
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    words(&output)
}

#[test]
fn a_full_disk_ends_no_service() {
    let Some(disk) = SmallDisk::mount(6) else { return };
    let data = disk.path().join("data");
    let weir = weir().data(&data).start();
    let api = weir.api();
    api.create_stream("before");
    assert_eq!((log_in(&api), ready(&api)), (200, (200, r#"{"ready":true,"reasons":[]}"#.to_owned())));
    for round in 0..2 {
        let filler = disk.fill();
        let created = |number: u32| api.post("/streams", &json!({ "name": format!("s{round}-{number}") }));
        // The write-ahead log may have room left for some.
        let refused = (0..2_000).map(created).find(|answer| answer.status != 201).unwrap();
        assert_eq!((refused.status, &refused.body["code"]), (503, &json!("storage")), "{}", refused.body);
        assert_eq!(log_in(&api), 503);
        let (status, said) =
            wait_until_some("it is not ready", SOON, || Some(ready(&api)).filter(|(it, _)| *it == 503));
        assert!(said.contains("the database cannot be written: disk full"), "{status} {said}");
        assert_eq!(api.get("/streams").status, 200, "reading goes on");

        disk.free(&filler);
        let next = api.post("/streams", &json!({ "name": format!("after-{round}") }));
        assert_eq!((next.status, log_in(&api)), (201, 200), "{}", next.body);
        wait_until("it is ready by itself", SOON, || ready(&api).0 == 200);
    }
    // What was acknowledged is there, after a kill, too.
    let names: Vec<Value> = api.get("/streams?limit=500").expect(200)["items"].as_array().unwrap().clone();
    let weir = weir.kill_and_restart();
    let again = weir.api().get("/streams?limit=500").expect(200);
    assert_eq!(again["items"].as_array().unwrap().len(), names.len());
}

#[test]
fn nobody_else_may_read_what_it_writes() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(data.join("weir.db"), "").unwrap();
    fs::set_permissions(data.join("weir.db"), fs::Permissions::from_mode(0o644)).unwrap();
    let weir = weir().data(&data).start();
    weir.api().create_stream_with("cam1", &json!({ "record": true }));
    let mut seen = 0;
    let mut folders = vec![data.clone()];
    while let Some(folder) = folders.pop() {
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700, "{}", folder.display());
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            // The file that tests for free room comes and goes.
            let Ok(found) = entry.metadata() else { continue };
            if found.is_dir() {
                folders.push(entry.path());
                continue;
            }
            assert_eq!(found.permissions().mode() & 0o777, 0o600, "{}", entry.path().display());
            seen += 1;
        }
    }
    assert!(seen >= 4, "database, write-ahead log, key and lock at least");

    // Two servers would write over one another's windows and recordings.
    let said = refused(&data, &[]);
    assert!(said.contains(&format!("another weir (process {}) runs on the data directory", weir.pid())), "{said}");
    let elsewhere = folder.path().join("elsewhere");
    let said = refused(&elsewhere, &[("WEIR_ADMIN_APIKEY", "only-23-characters-long")]);
    assert!(said.contains("WEIR_ADMIN_APIKEY has 23 characters and needs 24"), "{said}");
    assert!(!said.contains("log in as"), "nothing was made: {said}");
}

/// The folder as sqlx itself reads it. The store lists it while compiling, and must find its own checksums in such a database.
async fn migrations() -> sqlx::migrate::Migrator {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    sqlx::migrate::Migrator::new(folder).await.unwrap()
}

/// Makes a database of the version `to`, and runs `statement` in it.
fn database(data: &Path, to: i64, statement: &'static str) {
    use sqlx::Connection as _;
    use sqlx::sqlite::SqliteConnectOptions;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = SqliteConnectOptions::new().filename(data.join("weir.db")).create_if_missing(true);
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
        migrations().await.run_to(to, &mut connection).await.unwrap();
        sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
}

#[test]
fn commands_change_no_schema_under_a_running_server() {
    let create = ["apikey", "create", "--name", "ci", "--role", "viewer"];
    let (older, newer) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // During an upgrade, server and command may be of different versions on one machine.
    database(older.path(), 6, "select 1");
    let lock = fs::File::create(older.path().join("weir.lock")).unwrap();
    lock.lock().unwrap();
    for arguments in [&create[..], &["export"]] {
        let output = run(arguments, older.path());
        assert!(!output.status.success() && output.stdout.is_empty());
        let said = words(&output);
        assert!(said.contains("a server of another version runs on this database"), "{said}");
        assert!(said.contains("this database has schema 6 and this weir needs "), "{said}");
    }
    drop(lock);
    let made = run(&create, older.path());
    assert!(made.status.success() && made.stdout.starts_with(b"weir_"), "{}", words(&made));
    let copied = fs::read_dir(older.path())
        .unwrap()
        .any(|entry| entry.unwrap().file_name().to_string_lossy().starts_with("weir.db.before-6-"));
    assert!(copied, "what was there before the upgrade is kept");

    let to_come = "insert into _sqlx_migrations values (99, 'to come', current_timestamp, true, x'00', 1)";
    database(newer.path(), i64::MAX, to_come);
    for arguments in [&create[..], &["export"]] {
        let said = words(&run(arguments, newer.path()));
        assert!(said.contains("written by a newer weir (schema 99, this one knows "), "{said}");
    }
    assert!(refused(newer.path(), &[]).contains("written by a newer weir"));
}

#[test]
fn the_version_says_its_commit() {
    let output = Command::new(env!("CARGO_BIN_EXE_weir")).arg("--version").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let inner = said.trim().strip_prefix(concat!("weir ", env!("CARGO_PKG_VERSION"), " (")).unwrap();
    let commit = inner.strip_suffix(')').unwrap();
    let known =
        commit.strip_prefix("commit ").is_some_and(|it| it.len() >= 7 && it.bytes().all(|b| b.is_ascii_hexdigit()));
    assert!(known || commit == "unknown commit", "{said}");
}
