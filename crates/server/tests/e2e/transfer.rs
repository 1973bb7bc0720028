//! `weir export` and `weir import`: from a running server into another directory, and nowhere else.

use crate::common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use common::weir;
use serde_json::json;

fn run(arguments: &[&str], data: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_weir")).args(arguments).arg("--data").arg(data).output().unwrap()
}

fn exported(data: &Path, arguments: &[&str]) -> String {
    let output = run(&[&["export"], arguments].concat(), data);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn refused(arguments: &[&str], data: &Path) -> String {
    let output = run(arguments, data);
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_configuration_moves_to_another_machine() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let running = weir().data(&at("old")).start();
    let api = running.api();
    let stream = api.create_stream_with("cam1", &json!({ "srt_passphrase": "planted-passphrase" }));
    api.create_restream(&stream, "one", "rtmp://127.0.0.1:9/app/planted-key");

    // The export runs beside the server, with secrets and without.
    let (sealed, open) = (exported(&at("old"), &[]), exported(&at("old"), &["--with-secrets"]));
    assert!(!sealed.contains("planted") && open.contains("planted-passphrase") && open.contains(&stream.stream_key));
    fs::write(at("sealed.json"), &sealed).unwrap();
    fs::write(at("open.json"), &open).unwrap();
    let audit = api.get("/audit?newest_first=true&limit=1").expect(200)["items"][0].clone();
    assert_eq!((&audit["action"], &audit["subject"]), (&json!("export"), &json!("secrets")));
    assert!(audit["actor"].as_str().unwrap().starts_with("cli:"), "{audit}");

    let (sealed_file, open_file) = (at("sealed.json"), at("open.json"));
    let (sealed_file, open_file) = (sealed_file.to_str().unwrap(), open_file.to_str().unwrap());
    let said = refused(&["import", open_file], &at("old"));
    assert!(said.contains("a server (process ") && said.contains("stop it before an import"), "{said}");
    assert!(refused(&["import", sealed_file], &at("new")).contains("put the secret.key of the server"));
    assert!(!at("new").join("weir.db").exists() && !at("new").join("secret.key").exists());

    fs::copy(at("old").join("secret.key"), at("new").join("secret.key")).unwrap();
    for (file, data) in [(sealed_file, "new"), (open_file, "foreign")] {
        let output = run(&["import", file], &at(data));
        let said = String::from_utf8(output.stderr.clone()).unwrap();
        assert!(output.status.success() && said.contains("1 streams, 1 restreams"), "{said}");
        assert!(refused(&["import", file], &at(data)).contains("an import makes a new one"));
    }
    assert_eq!(exported(&at("new"), &[]), sealed);
    assert_eq!(exported(&at("foreign"), &["--with-secrets"]), open);

    // Half a document leaves nothing behind.
    fs::write(at("bad.json"), open.replace("\"cam1\"", "\"No!\"")).unwrap();
    let said = refused(&["import", at("bad.json").to_str().unwrap()], &at("bad"));
    assert!(said.contains("streams[0].body.name"), "{said}");
    let left: Vec<_> = fs::read_dir(at("bad")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("weir.db")), "{left:?}");
    assert!(refused(&["export"], &at("nowhere")).contains("there is no database"));

    // The new server serves what the old one did.
    let moved = weir().data(&at("foreign")).start();
    let streams = moved.api().get("/streams?reveal=true").expect(200);
    let read = moved.api().get(&format!("/streams/{}?reveal=true", stream.id)).expect(200);
    assert_eq!((&read["name"], streams["items"].as_array().unwrap().len()), (&json!("cam1"), 1));
    assert!(read["push_urls"]["primary"]["rtmp"].as_str().unwrap().ends_with(&stream.stream_key));
}
