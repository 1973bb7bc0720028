//! `kill -9` at any moment loses no acknowledged change: a child writes and acknowledges, and the parent kills it.

use crate::common;

use common::{open, restream, stream, uri};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use weir_model::{Restream, StreamId};

const CHILD_DIR: &str = "WEIR_STORE_CRASH_DIR";
const ACK: &str = "ack ";

/// This is no test of its own, but the body of the child process.
#[test]
#[ignore = "run by acknowledged_writes_survive_kill_9"]
fn child() {
    let Ok(dir) = std::env::var(CHILD_DIR) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = open(std::path::Path::new(&dir)).await;
        let round = store.all::<Restream>().await.unwrap().len();
        let parent = match store.streams(0, 1).await.unwrap().items.pop() {
            Some(stream) => stream,
            None => store.create_stream(stream("cam1")).await.unwrap(),
        };
        let ack = |row: &Restream| {
            let mut out = std::io::stdout().lock();
            writeln!(out, "{ACK}{} {} {}", row.id, row.version, row.name).unwrap();
            out.flush().unwrap();
        };
        for i in round.. {
            let mut row =
                store.create_restream(restream(parent.id, &format!("r{i}"), uri("rtmp://h/a/k"))).await.unwrap();
            ack(&row);
            row.name = format!("renamed{i}");
            ack(&store.update(row).await.unwrap());
        }
    });
}

#[test]
fn acknowledged_writes_survive_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged: BTreeMap<i64, (i64, String)> = BTreeMap::new();
    for kill_after in [1, 7, 20] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::child", "--ignored", "--nocapture"])
            .env(CHILD_DIR, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut seen = 0;
        // What was written to the pipe before the kill was acknowledged too, so the pipe is read to its end.
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            let Some(at) = line.find(ACK) else { continue };
            let words: Vec<&str> = line[at + ACK.len()..].split(' ').collect();
            // The kill may have cut the very last line.
            let [id, version, name] = words[..] else { continue };
            acknowledged.insert(id.parse().unwrap(), (version.parse().unwrap(), name.to_owned()));
            seen += 1;
            if seen == kill_after {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(seen >= kill_after, "the child died by itself after {seen} writes");

        let runtime = tokio::runtime::Runtime::new().unwrap();
        let rows = runtime.block_on(async {
            let store = open(dir.path()).await;
            assert_eq!(store.stream(StreamId(1)).await.unwrap().name.as_str(), "cam1");
            let rows = store.all::<Restream>().await.unwrap();
            store.close().await;
            rows
        });
        let found: BTreeMap<i64, (i64, String)> =
            rows.into_iter().map(|row| (row.id.0, (row.version, row.name))).collect();
        for (id, (version, name)) in &acknowledged {
            let (found_version, found_name) = &found[id];
            assert!(found_version > version || found_name == name, "restream {id} went back");
        }
        // One change more may be there: the one that was on disk but not yet acknowledged.
        assert!(found.len() <= acknowledged.len() + 1);
    }
}
