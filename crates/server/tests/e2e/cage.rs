//! Every child of a running server is shut in, as the kernel reports it: no secrets in its environment, nothing inherited, no privileges.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use crate::common::{SOON, clip, weir};
use serde_json::json;
use weir_testkit::publisher::Feed;
use weir_testkit::wait_until;

/// Somebody who watches the dashboard asks about as often.
const BETWEEN_PICTURES: Duration = Duration::from_millis(250);

/// What `/proc` reports of one child once it has shut itself in.
#[derive(Clone, Debug)]
struct Seen {
    status: BTreeMap<String, String>,
    environment: String,
    limits: String,
    /// The files that its descriptors lead to.
    files: BTreeSet<String>,
    network: Option<String>,
}

fn status_of(pid: &str) -> Option<BTreeMap<String, String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    Some(text.lines().filter_map(line).collect())
}

fn files_of(pid: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some(fs::read_link(entry.path()).ok()?.display().to_string())).collect()
}

fn network_of(pid: &str) -> Option<String> {
    Some(fs::read_link(format!("/proc/{pid}/ns/net")).ok()?.display().to_string())
}

/// Looks at a child; None where it is not shut in yet, or has ended.
fn look(pid: &str) -> Option<Seen> {
    let status = status_of(pid).filter(|status| status["Seccomp"] == "2")?;
    let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}"));
    let environment = match read("environ") {
        // The child's memory is closed to all but root, which is what is wanted.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => String::new(),
        environment => environment.ok().filter(|text| !text.is_empty())?,
    };
    let limits = read("limits").ok()?;
    Some(Seen { status, environment, limits, files: files_of(pid), network: network_of(pid) })
}

/// Adds the children that exist now, by their names.
fn look_at_children(server: &str, seen: &mut BTreeMap<String, Seen>) {
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let pid = entry.file_name().display().to_string();
        let is_child = pid.parse::<u32>().is_ok() && status_of(&pid).is_some_and(|status| status["PPid"] == server);
        if let Some(child) = is_child.then(|| look(&pid)).flatten() {
            seen.insert(child.status["Name"].clone(), child);
        }
    }
}

#[test]
fn every_child_is_shut_in() {
    let worker = Path::new(env!("CARGO_BIN_EXE_weir")).with_file_name("weir-worker");
    assert!(worker.exists(), "{} is missing: cargo build -p weir-worker", worker.display());
    let weir = weir().env("PLANTED_SECRET", "planted").start();
    let (api, server) = (weir.api(), weir.pid().to_string());
    let ladder = json!([{"name": "small", "width": 160, "height": 90, "video_bitrate_kbps": 150}]);
    let stream = api.create_stream_with("cam1", &json!({"ladder": ladder}));
    let mut seen = BTreeMap::new();
    // Proofs run when renditions are wanted for the first time.
    wait_until("a proof was seen", 2 * SOON, || {
        look_at_children(&server, &mut seen);
        seen.contains_key("weir-proof")
    });
    let _feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(300_000));
    wait_until("a worker was seen", 2 * SOON, || {
        look_at_children(&server, &mut seen);
        seen.contains_key("weir-worker")
    });
    // A picture is made in a fifth of a second, and at most every five seconds: one that was missed is not the last.
    let (seen_it, is_seen) = mpsc::channel::<()>();
    let pictures = std::thread::spawn({
        let (api, path) = (api.clone(), format!("/streams/{}/thumbnail.jpg", stream.id));
        move || {
            while is_seen.recv_timeout(BETWEEN_PICTURES) == Err(RecvTimeoutError::Timeout) {
                api.get(&path);
            }
        }
    });
    wait_until("a thumbnail was seen", 2 * SOON, || {
        look_at_children(&server, &mut seen);
        seen.contains_key("weir-thumbnail")
    });
    drop(seen_it);
    pictures.join().unwrap();
    let servers = (files_of(&server), network_of(&server));
    for (name, child) in &seen {
        assert_eq!(child.status["NoNewPrivs"], "1", "{name}");
        for set in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
            assert_eq!(child.status[set], "0000000000000000", "{name}: {set}");
        }
        for secret in ["planted", "WEIR_", "PASSWORD"] {
            assert!(!child.environment.contains(secret), "{name} knows {secret}: {}", child.environment);
        }
        let limit = |what: &str| {
            let line = child.limits.lines().find_map(|line| line.strip_prefix(what)).unwrap();
            line.split_whitespace().next().unwrap().to_owned()
        };
        assert_eq!((limit("Max core file size").as_str(), limit("Max open files").as_str()), ("0", "1024"), "{name}");
        let data = weir.data().display().to_string();
        let inherited =
            |file: &&String| file.starts_with(&data) || file.starts_with("socket:") && servers.0.contains(*file);
        assert_eq!(child.files.iter().filter(inherited).collect::<Vec<_>>(), Vec::<&String>::new(), "{name}");
        // Only root may see the child's network.
        assert!(child.network.is_none() || child.network != servers.1, "{name} has the server's network");
    }
    let limited = |name: &str, what: &str| {
        let line = seen[name].limits.lines().find_map(|line| line.strip_prefix(what)).unwrap();
        !line.trim().starts_with("unlimited")
    };
    assert!(limited("weir-thumbnail", "Max cpu time"));
    weir.wait_logged("workers have no network, no files", SOON);
}
