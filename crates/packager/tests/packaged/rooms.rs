//! The rooms of the crate. Each imports only rooms above it in the table, so that no file is part of a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Each room, with the other rooms that it may import. Those that import nothing come first.
const ROOMS: &[(&str, &[&str])] = &[
    ("config", &[]),
    ("addresses", &[]),
    ("wall_time", &[]),
    ("store", &["config", "wall_time"]),
    ("request", &["store"]),
    ("growing", &["store"]),
    ("answer", &["addresses", "growing", "store"]),
    ("cut", &["config", "store"]),
    ("shelf", &["store", "wall_time"]),
    ("hls", &["store", "wall_time"]),
    ("dash", &["store", "wall_time"]),
    ("ts", &["shelf", "store", "wall_time"]),
    ("texts", &["answer", "config", "dash", "hls", "request", "store", "ts"]),
    ("record", &["shelf", "store"]),
    ("packager", &["answer", "config", "cut", "growing", "request", "shelf", "store", "texts", "ts", "wall_time"]),
];

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The rooms that a file names, as in `crate::store::track` or `crate::{dash, hls}`.
fn named(code: &str) -> BTreeSet<String> {
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let first = |text: &str| text.trim().split(|letter| !is_word(letter)).next().unwrap_or_default().to_owned();
    let named = code.split("crate::").skip(1).flat_map(|after| match after.strip_prefix('{') {
        Some(group) => group.split('}').next().unwrap_or_default().split(',').map(first).collect(),
        None => vec![first(after)],
    });
    named.filter(|name| !name.is_empty()).collect()
}

#[test]
fn each_room_imports_those_above_it_alone() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let rooms: BTreeMap<_, _> = ROOMS.iter().copied().collect();
    let mut wrong = Vec::new();
    for file in files(&source) {
        let below = file.strip_prefix(&source).unwrap();
        let room = below.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        if room == "lib" {
            continue;
        }
        let Some(allowed) = rooms.get(room) else {
            wrong.push(format!("{}: {room} is in no table", below.display()));
            continue;
        };
        let text = std::fs::read_to_string(&file).unwrap();
        for other in named(&text).into_iter().filter(|other| other != room && !allowed.contains(&other.as_str())) {
            wrong.push(format!("{} names {other}", below.display()));
        }
    }
    for (at, (room, imports)) in ROOMS.iter().enumerate() {
        let above = |other: &&str| ROOMS[..at].iter().any(|(known, _)| known == other);
        assert!(imports.iter().all(above), "{room} imports what is not above it");
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
