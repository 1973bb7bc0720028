//! Databases of other versions: older ones are copied and brought up to date, newer ones are left alone, and both are told in words.

use crate::common;

use common::{open, stream};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use weir_model::{
    Audio, AudioCodec, Failover, Fit, Ladder, PictureSettings, RateControl, Rendition, RenditionDraft, Slot,
    SoundSettings, Source, SourceKind, StreamId, Video, VideoCodec,
};
use weir_store::{SealingKey, Store, StoreError};

/// The folder as sqlx itself reads it. The store lists it while compiling, and must find its own checksums in such a database.
async fn migrations() -> sqlx::migrate::Migrator {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    sqlx::migrate::Migrator::new(folder).await.unwrap()
}

async fn connect(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).create_if_missing(true).connect().await.unwrap()
}

async fn newest() -> i64 {
    migrations().await.iter().map(|migration| migration.version).max().unwrap()
}

/// A database as an older version left it, with a stream in it.
async fn older(dir: &Path, version: i64) -> PathBuf {
    let path = dir.join("weir.db");
    let mut connection = connect(&path).await;
    migrations().await.run_to(version, &mut connection).await.unwrap();
    let insert = "insert into stream (id, version, name, active, hls, dash, webrtc, dvr_seconds, protected, \
                  encoder_policy, created_at, updated_at) values (77, 1, 'old', 1, 1, 1, 1, 60, 0, 'prefer_hw', 0, 0)";
    sqlx::query(insert).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    path
}

fn backups(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut backups: Vec<String> = names.filter(|name| name.contains(".before-")).collect();
    backups.sort();
    backups
}

/// If two branches each add a migration with number n, the second never runs on databases that have the first.
#[tokio::test]
async fn each_migration_has_a_number_of_its_own() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut numbers: Vec<i64> = names.map(|name| name.split('_').next().unwrap().parse().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=newest().await).collect::<Vec<_>>(), "migrations are numbered from 1, each number once");
}

#[tokio::test]
async fn every_older_schema_is_copied_and_brought_up_to_date() {
    for version in 1..newest().await {
        let dir = tempfile::tempdir().unwrap();
        let path = older(dir.path(), version).await;
        let key = SealingKey::load_or_create(dir.path()).unwrap();
        let refused = Store::open_as_it_is(&path, &key).await;
        assert!(matches!(refused, Err(StoreError::OlderSchema { found, .. }) if found == version));
        assert_eq!(backups(dir.path()), [""; 0], "nothing was touched");

        let store = open(dir.path()).await;
        assert_eq!(store.stream(StreamId(77)).await.unwrap().name.as_str(), "old");
        store.create_stream(stream("new")).await.unwrap();
        store.close().await;
        let copy = format!("weir.db.before-{version}-{}", newest().await);
        assert_eq!(backups(dir.path()), [copy.as_str()]);
        let copy = dir.path().join(copy);
        assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
        let mut connection = connect(&copy).await;
        let found: i64 =
            sqlx::query_scalar("select max(version) from _sqlx_migrations").fetch_one(&mut connection).await.unwrap();
        assert_eq!(found, version, "the copy is what was there before");
        connection.close().await.unwrap();
        Store::open_as_it_is(&path, &key).await.unwrap().close().await;
    }
}

/// These rows are as the version with schema 9 wrote them.
#[tokio::test]
async fn renditions_of_the_version_before_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = older(dir.path(), 9).await;
    let encode = r#"{"width":640,"height":360,"fps":null,"video_bitrate_kbps":600,"audio_bitrate_kbps":64,"audio_codec":"aac",
        "loudness_lufs":null,"codec":"h265","gop_seconds":1.5,"rate_control":"vbr","profile":null,"fit":"crop"}"#;
    let sound = r#"{"bitrate_kbps":96,"codec":"opus","loudness_lufs":-23.0}"#;
    let all = format!(
        r#"[{{"name":"asis","encoding":"passthrough"}},{{"name":"small","encoding":{{"encode":{encode}}}}},
            {{"name":"radio","encoding":{{"sound":{sound}}}}}]"#
    );
    let own =
        r#"{"name":"own","encoding":{"encode":{"width":1280,"height":720,"gop_seconds":1.0,"audio_codec":"opus"}}}"#;
    let restream = "insert into restream (id, version, stream_id, name, active, uri, rendition, source_lost_ms, give_up_ms, \
                    created_at, updated_at) values (?, 1, 77, ?, 0, x'00', ?, 3000, 60000, 0, 0)";
    let mut connection = connect(&path).await;
    sqlx::query("update stream set ladder = ?").bind(&all).execute(&mut connection).await.unwrap();
    let ladder = "insert into ladder (id, version, name, title, renditions, created_at, updated_at) values (1001, 1, 'mine', 'Mine', ?, 0, 0)";
    sqlx::query(ladder).bind(&all).execute(&mut connection).await.unwrap();
    for (id, rendition) in [(1, None), (2, Some("\"720p\"")), (3, Some(own))] {
        let row = sqlx::query(restream).bind(id).bind(format!("r{id}")).bind(rendition);
        row.execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();

    let store = open(dir.path()).await;
    let picture = PictureSettings {
        width: 640,
        height: 360,
        fps: None,
        bitrate_kbps: 600,
        codec: VideoCodec::H265,
        gop_seconds: 1.5,
        rate_control: RateControl::Vbr,
        profile: None,
        fit: Fit::Crop,
    };
    let aac = SoundSettings { bitrate_kbps: 64, codec: AudioCodec::Aac, loudness_lufs: None };
    let opus = SoundSettings { bitrate_kbps: 96, codec: AudioCodec::Opus, loudness_lufs: Some(-23.0) };
    let expected = vec![
        Rendition::passthrough("asis"),
        Rendition { name: "small".into(), video: Video::Encode(picture), audio: Audio::Encode(aac) },
        Rendition { name: "radio".into(), video: Video::None, audio: Audio::Encode(opus) },
    ];
    assert_eq!(store.stream(StreamId(77)).await.unwrap().ladder, Some(Ladder::Inline(expected.clone())));
    assert_eq!(store.ladder_named("mine").await.unwrap().unwrap().renditions, expected);
    store.close().await;
    let mut connection = connect(&path).await;
    let rows: Vec<Option<String>> =
        sqlx::query_scalar("select rendition from restream order by id").fetch_all(&mut connection).await.unwrap();
    assert_eq!(rows[..2], [None, Some("\"720p\"".to_owned())]);
    let draft: RenditionDraft = serde_json::from_str(rows[2].as_deref().unwrap()).unwrap();
    let size = RenditionDraft { width: Some(1280), height: Some(720), ..RenditionDraft::default() };
    let said = RenditionDraft { gop_seconds: Some(1.0), audio_codec: Some(AudioCodec::Opus), ..size };
    assert_eq!(draft, RenditionDraft { name: "own".into(), ..said });
}

/// Up to schema 13 a stream had a primary source, and perhaps a backup, whose rows said nothing of their order.
#[tokio::test]
async fn sources_of_the_version_before_keep_their_order_and_their_keys() {
    let dir = tempfile::tempdir().unwrap();
    let made = {
        let store = open(dir.path()).await;
        let mut two = stream("two");
        two.sources
            .push(Source { slot: Slot::backup(), kind: SourceKind::Push { stream_key: "planted-second".into() } });
        let made = store.create_stream(two).await.unwrap();
        store.close().await;
        made
    };
    // The rows are sealed as this version seals them, and then put into a database of that version.
    let path = dir.path().join("weir.db");
    let mut connection = connect(&path).await;
    type Row = (String, Vec<u8>, Vec<u8>);
    let rows: Vec<Row> = sqlx::query_as("select slot, stream_key, stream_key_lookup from source order by slot")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(dir.path().join(format!("weir.db{suffix}")));
    }
    older(dir.path(), 13).await;
    let mut connection = connect(&path).await;
    sqlx::query("update stream set id = ?").bind(made.id.0).execute(&mut connection).await.unwrap();
    let taken = "update sequence set last = ? where name = 'stream'";
    sqlx::query(taken).bind(made.id.0).execute(&mut connection).await.unwrap();
    for (slot, key, lookup) in rows {
        let insert = "insert into source (stream_id, slot, kind, stream_key, stream_key_lookup, looped) values (?, ?, 'push', ?, ?, 0)";
        let row = sqlx::query(insert).bind(made.id.0).bind(slot).bind(key).bind(lookup);
        row.execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();

    let store = open(dir.path()).await;
    let read = store.stream(made.id).await.unwrap();
    assert_eq!((&read.sources, read.failover), (&made.sources, Failover::default()));
    let mut same_key = stream("other");
    same_key.sources = made.sources.clone();
    assert!(matches!(store.create_stream(same_key).await, Err(StoreError::Duplicate { field: "stream_key" })));
}

#[tokio::test]
async fn the_newest_three_copies_stay() {
    let dir = tempfile::tempdir().unwrap();
    older(dir.path(), 1).await;
    for (age, from) in [(40, 2), (30, 3), (20, 4), (10, 5)] {
        let file = fs::File::create(dir.path().join(format!("weir.db.before-{from}-6"))).unwrap();
        file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(age)).unwrap();
    }
    for other in ["weir.db.before-x-1", "other.db.before-1-2"] {
        fs::write(dir.path().join(other), "").unwrap();
    }
    open(dir.path()).await.close().await;
    let mine = format!("weir.db.before-1-{}", newest().await);
    let expected =
        ["other.db.before-1-2", mine.as_str(), "weir.db.before-4-6", "weir.db.before-5-6", "weir.db.before-x-1"];
    assert_eq!(backups(dir.path()), expected);
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).await.close().await;
    let path = dir.path().join("weir.db");
    let mut connection = connect(&path).await;
    let newer = newest().await + 2;
    sqlx::query("insert into _sqlx_migrations values (?, 'to come', current_timestamp, true, x'00', 1)")
        .bind(newer)
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    let key = SealingKey::load_or_create(dir.path()).unwrap();
    let known = newest().await;
    let words =
        format!("written by a newer weir (schema {newer}, this one knows {known}): run that version again, or restore");
    for backup in ["a backup from before the upgrade".to_owned(), format!("weir.db.before-{known}-{newer}")] {
        for opened in [Store::open(&path, &key).await, Store::open_as_it_is(&path, &key).await] {
            let error = opened.unwrap_err().to_string();
            assert!(error.contains(&words) && error.ends_with(&backup), "{error}");
        }
        fs::write(dir.path().join(format!("weir.db.before-{known}-{newer}")), "").unwrap();
    }
}
