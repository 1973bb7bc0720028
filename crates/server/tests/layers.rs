//! Holds the architecture: which crate may depend on which, which crates alone may use a dependency, how files open and how long they get,
//! and the rules of deny.toml.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test: its panics are its report"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// A file with more lines than this has a second noun in it.
const FILE_LINES_MAX: usize = 600;

/// Dependencies from outside that only these crates of ours may use: `(dependency, kinds, users)`. A name that ends in `*` stands for all
/// names that begin so. A rule for a dependency that nobody uses yet is kept by its absence.
const SOLE_USERS: &[(&str, &[DependencyKind], &[&str])] = &[
    ("sqlx*", SHIPPED, &["weir-store"]),
    // The server's tests make databases of other versions with it.
    ("sqlx*", &[DependencyKind::Development], &["weir-store", "weir-server"]),
    ("axum*", ANY, &["weir-origin", "weir-api"]),
    ("hyper*", ANY, &["weir-origin"]),
    ("h2", ANY, &["weir-origin"]),
    ("utoipa*", ANY, &["weir-api", "weir-model"]),
    ("nvml-wrapper*", ANY, &["weir-gpu"]),
    ("gstreamer*", ANY, &["weir-worker"]),
    ("libsrt*", ANY, &["weir-srt"]),
    ("str0m*", ANY, &["weir-webrtc"]),
    ("dimpl", ANY, &["weir-webrtc"]),
    // This crate is a peer to test against and is never shipped: it panics on hostile input (docs/decisions/0001-own-rtmp-core.md).
    ("rml_*", SHIPPED, &[]),
    ("rml_*", &[DependencyKind::Development], &["weir-rtmp", "weir-testkit", "weir-benches"]),
    // This crate, too, is only a peer to test against (docs/decisions/0004-libsrt.md).
    ("srt-tokio", SHIPPED, &[]),
    ("srt-tokio", &[DependencyKind::Development], &["weir-srt"]),
];
const ANY: &[DependencyKind] = &[DependencyKind::Normal, DependencyKind::Build, DependencyKind::Development];
const SHIPPED: &[DependencyKind] = &[DependencyKind::Normal, DependencyKind::Build];

/// The layer whose crates are stages. They meet at the hub as data, and never depend on one another.
const STAGE_LAYER: u64 = 4;

/// The layer of a crate: `package.metadata.layer` is a number, or "test" for a crate that is never shipped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Layer {
    Number(u64),
    Test,
}

#[test]
fn a_crate_depends_on_lower_layers_only() {
    let metadata = metadata();
    let layers: BTreeMap<String, Layer> =
        ours(&metadata).map(|package| (package.name.to_string(), layer_of(package))).collect();
    let mut wrong = Vec::new();
    for package in ours(&metadata) {
        for dependency in &package.dependencies {
            let Some(&below) = layers.get(&dependency.name) else { continue };
            let here = layers[package.name.as_str()];
            let allowed = match (here, below) {
                // A crate for tests may use everything; other crates may use it in their tests only.
                (Layer::Test, _) => true,
                (Layer::Number(_), Layer::Test) => dependency.kind == DependencyKind::Development,
                (Layer::Number(here), Layer::Number(below)) => {
                    below < here
                        || dependency.kind == DependencyKind::Development && below == here && here != STAGE_LAYER
                }
            };
            if !allowed {
                wrong.push(format!("{} ({here:?}) depends on {} ({below:?})", package.name, dependency.name));
            }
        }
    }
    assert!(wrong.is_empty(), "a crate may depend on lower layers only:\n{}", wrong.join("\n"));
}

#[test]
fn what_has_a_sole_user_has_no_other() {
    let metadata = metadata();
    let mut wrong = Vec::new();
    for package in ours(&metadata) {
        for dependency in &package.dependencies {
            for (name, kinds, users) in SOLE_USERS {
                let concerned = kinds.contains(&dependency.kind)
                    && match name.strip_suffix('*') {
                        Some(prefix) => dependency.name.starts_with(prefix),
                        None => dependency.name == *name,
                    };
                // A crate that is never shipped may have a peer as an ordinary dependency, because it has no other kind.
                let shipped = layer_of(package) != Layer::Test || *kinds != SHIPPED;
                if concerned && shipped && !users.contains(&package.name.as_str()) {
                    let users =
                        if users.is_empty() { "nobody's dependency there".to_owned() } else { users.join(", ") };
                    wrong.push(format!("{}: {} ({:?}) is for {users}", package.name, dependency.name, dependency.kind));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "sole users:\n{}", wrong.join("\n"));
}

#[test]
fn every_file_says_its_job_and_stays_short() {
    let metadata = metadata();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for package in ours(&metadata) {
        let folder = package.manifest_path.parent().expect("a manifest lies in a folder");
        for file in rust_files(folder.as_std_path()) {
            seen += 1;
            let text = fs::read_to_string(&file).expect("a source file is UTF-8");
            let shown = file.strip_prefix(metadata.workspace_root.as_std_path()).unwrap_or(&file).display();
            if !text.starts_with("//! ") {
                wrong.push(format!("{shown}: opens without a `//!` sentence saying its job"));
            }
            let lines = text.lines().count();
            if lines > FILE_LINES_MAX {
                wrong.push(format!("{shown}: {lines} lines, {FILE_LINES_MAX} at most"));
            }
        }
    }
    assert!(seen > 20, "only {seen} files found: the search is broken");
    assert!(wrong.is_empty(), "files:\n{}", wrong.join("\n"));
}

/// These find addresses or dial them. `net` does that for all crates, so that nothing goes out past the egress rules.
const WAYS_OUT: [&str; 4] = ["lookup_host", "to_socket_addrs", "TcpStream::connect", "TlsConnector"];

#[test]
fn net_is_the_only_way_out() {
    let metadata = metadata();
    let mut wrong = Vec::new();
    for package in ours(&metadata).filter(|package| layer_of(package) != Layer::Test && package.name != "weir-net") {
        let folder = package.manifest_path.parent().expect("a manifest lies in a folder").join("src");
        for file in rust_files(folder.as_std_path()) {
            let text = fs::read_to_string(&file).expect("a source file is UTF-8");
            let shipped = text.split("mod tests {").next().unwrap_or_default();
            for way in WAYS_OUT.iter().filter(|way| shipped.contains(**way)) {
                wrong.push(format!("{}: {way}; use weir_net::Dialer", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "past the egress rules:\n{}", wrong.join("\n"));
}

/// ARCHITECTURE.md names the tests that hold each invariant, and these tests must exist.
#[test]
fn the_tests_that_hold_the_invariants_are_there() {
    let metadata = metadata();
    let root = metadata.workspace_root.as_std_path();
    let sources: Vec<String> = rust_files(&root.join("crates"))
        .iter()
        .map(|file| fs::read_to_string(file).expect("a source file is UTF-8"))
        .collect();
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).expect("ARCHITECTURE.md is there");
    let table = text.split("| invariant | held by |").nth(1).expect("the table of invariants");
    let rows: Vec<&str> = table.lines().skip(1).take_while(|line| line.starts_with('|')).skip(1).collect();
    let numbers = text.split("## Invariants").nth(1).expect("the invariants");
    let numbers = numbers.lines().filter(|line| line.split_once(". **").is_some_and(|(n, _)| n.parse::<u32>().is_ok()));
    assert_eq!(rows.len(), numbers.count(), "a row for each invariant");
    for row in rows {
        let names: Vec<&str> = row.split('`').skip(1).step_by(2).filter(|name| name.matches('_').count() > 1).collect();
        assert!(!names.is_empty() || row.contains("the compiler"), "{row}");
        for name in names {
            let test = format!("fn {name}(");
            assert!(
                sources.iter().any(|source| source.contains(&test)),
                "{name} is named in ARCHITECTURE.md and not there"
            );
        }
    }
}

/// Sorted codes show at once whether one is missing.
#[test]
fn warning_codes_are_sorted() {
    assert!(weir_model::WARNING_CODES.is_sorted(), "{:?}", weir_model::WARNING_CODES);
}

/// Checks deny.toml on machines without cargo-deny: licences, banned crates and sources of everything in the tree.
#[test]
fn the_dependency_tree_keeps_deny_toml() {
    let metadata = metadata();
    let text = fs::read_to_string(metadata.workspace_root.join("deny.toml")).expect("deny.toml is there");
    let rules: toml::Table = text.parse().expect("deny.toml is TOML");
    let strings = |section: &str, key: &str| -> BTreeSet<String> {
        let list = rules[section][key].as_array().expect("a list");
        list.iter().map(|item| item.as_str().or_else(|| item["name"].as_str()).expect("a name").to_owned()).collect()
    };
    let (allowed, banned, registries) =
        (strings("licenses", "allow"), strings("bans", "deny"), strings("sources", "allow-registry"));

    let mut wrong = Vec::new();
    for package in &metadata.packages {
        let Some(source) = &package.source else { continue };
        if !registries.iter().any(|registry| source.repr == format!("registry+{registry}")) {
            wrong.push(format!("{}: comes from {source}", package.name));
        }
        if banned.contains(package.name.as_str()) {
            wrong.push(format!("{}: is banned", package.name));
        }
        let licence = package.license.as_deref().unwrap_or("none stated");
        if !licence_allowed(licence, &allowed) {
            wrong.push(format!("{}: its licence {licence} is not in the list", package.name));
        }
    }
    assert!(wrong.is_empty(), "deny.toml:\n{}", wrong.join("\n"));
}

#[test]
fn licence_expressions_are_read_as_spdx_means_them() {
    let allowed = BTreeSet::from(["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned));
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("MIT/Apache-2.0", true),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0 AND MIT", false),
        ("MIT AND (GPL-3.0 OR Apache-2.0)", true),
        ("(MIT OR Apache-2.0) AND GPL-3.0", false),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("none stated", false),
    ] {
        assert_eq!(licence_allowed(expression, &allowed), expected, "{expression}");
    }
}

/// AND binds closer than OR, so a licence is allowed if some alternative has only allowed parts.
fn licence_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let expression = expression.trim();
    if let Some(parts) = split_outside_parentheses(expression, &[" OR ", "/"]) {
        return parts.iter().any(|part| licence_allowed(part, allowed));
    }
    if let Some(parts) = split_outside_parentheses(expression, &[" AND "]) {
        return parts.iter().all(|part| licence_allowed(part, allowed));
    }
    match expression.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        Some(inner) => licence_allowed(inner, allowed),
        None => allowed.contains(expression),
    }
}

fn split_outside_parentheses<'a>(text: &'a str, separators: &[&str]) -> Option<Vec<&'a str>> {
    let (mut parts, mut start, mut depth, mut at) = (Vec::new(), 0, 0_i32, 0);
    while at < text.len() {
        match text.as_bytes()[at] {
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        let found = separators.iter().find(|separator| depth == 0 && text[at..].starts_with(**separator));
        if let Some(separator) = found {
            parts.push(&text[start..at]);
            at += separator.len();
            start = at;
        } else {
            at += 1;
        }
    }
    parts.push(&text[start..]);
    (parts.len() > 1).then_some(parts)
}

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"))
        // `--offline` is enough, because everything that was built is here already. Only one target is looked at: what other targets would
        // pull in is not judged.
        .other_options(
            ["--locked", "--offline", "--filter-platform", "x86_64-unknown-linux-gnu"].map(str::to_owned).to_vec(),
        )
        .exec()
        .expect("cargo metadata works where cargo test does")
}

fn ours(metadata: &Metadata) -> impl Iterator<Item = &Package> {
    metadata.packages.iter().filter(|package| package.source.is_none())
}

fn layer_of(package: &Package) -> Layer {
    match &package.metadata["layer"] {
        layer if layer == "test" => Layer::Test,
        layer => Layer::Number(layer.as_u64().unwrap_or_else(|| {
            panic!("{} has no [package.metadata] layer = N (or \"test\")", package.name);
        })),
    }
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder can be read").flatten() {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("target") {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}
