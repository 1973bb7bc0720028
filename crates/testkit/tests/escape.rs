//! A worker that was taken over gets nowhere. The server's own launcher starts it, and it is confined like every worker.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test: its panics are its report")]

use std::fs;
use std::net::TcpListener;
use std::os::fd::AsFd as _;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use serde_json::json;
use weir_media::{Codec, MediaTime};
use weir_pipeline::{
    Cages, Launcher, Message, Start, TrackConfig, WorkerBinary, WorkerFault, WorkerFrame, confinement_report, thumbnail,
};

fn launcher(binary: &str) -> Launcher {
    Launcher::new(WorkerBinary::at(binary).unwrap(), Cages::none("a test"))
}

#[tokio::test]
async fn a_worker_that_was_taken_over_gets_nowhere() {
    let data = tempfile::tempdir().unwrap();
    let (secret, database) = (data.path().join("secret.key"), data.path().join("weir.db"));
    fs::write(&secret, "planted").unwrap();
    fs::write(&database, "planted").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // Whoever started the server may have left these open.
    for file in [fs::File::open(&secret).unwrap().into(), std::os::fd::OwnedFd::from(listener.try_clone().unwrap())] {
        fcntl(file.as_fd(), FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
        std::mem::forget(file);
    }
    let there = json!({"data": data.path(), "secret": secret, "database": database, "port": port}).to_string();
    let escape = launcher(env!("CARGO_BIN_EXE_weir-escape"));

    let (_worker, mut writer, mut reader) = weir_pipeline::start(&escape, Start::default()).unwrap();
    writer.send(&Message::Fault(WorkerFault { output: None, message: there.clone() })).await.unwrap();
    let Message::Hello(_) = reader.next().await.unwrap() else { panic!("it greets") };
    let Message::Fault(managed) = reader.next().await.unwrap() else { panic!("it says what it managed") };
    assert_eq!(managed.message, "", "a stream's worker");

    let track = TrackConfig { track: 0, codec: Codec::H264, config: bytes::Bytes::new() };
    let (dts, pts, payload) = (MediaTime::ZERO, MediaTime::ZERO, bytes::Bytes::from(there));
    let frame = WorkerFrame { track: 0, dts, pts, keyframe: true, discontinuity: false, payload };
    let managed = thumbnail(&escape, track, frame).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&managed), "managed: ", "a thumbnail's");

    assert_eq!(confinement_report(&escape).await.unwrap().missing, Vec::<String>::new(), "a proof's");
    assert!(secret.is_file() && fs::read_dir(data.path()).unwrap().count() == 2);
}
