//! Finds the commit that this is built from, for `weir --version`.

use std::path::Path;
use std::process::Command;

/// Whoever builds without a repository may say it.
const VARIABLE: &str = "WEIR_COMMIT";
const UNKNOWN: &str = "unknown commit";

fn main() {
    let said = std::env::var(VARIABLE).ok().filter(|said| !said.is_empty());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let commit = said.or_else(|| commit_of(&root)).map_or(UNKNOWN.to_owned(), |commit| format!("commit {commit}"));
    let mut lines = format!("cargo:rustc-env={VARIABLE}={commit}\ncargo:rerun-if-env-changed={VARIABLE}\n");
    // It grows with every commit and checkout of this work tree, wherever that keeps it. Watched alone: a file that is not
    // there would mean a build each time, and a folder of Git's changes all the time.
    let log = git(&root, &["rev-parse", "--git-path", "logs/HEAD"]).map(|log| root.join(log));
    let watched =
        log.filter(|log| log.is_file()).unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("build.rs"));
    lines += &format!("cargo:rerun-if-changed={}\n", watched.display());
    let _ = std::io::Write::write_all(&mut std::io::stdout().lock(), lines.as_bytes());
}

fn commit_of(root: &Path) -> Option<String> {
    // A tarball may lie in somebody else's repository, whose commits say nothing of us.
    let top = git(root, &["rev-parse", "--show-toplevel"])?;
    let same = Path::new(&top).canonicalize().ok()? == root.canonicalize().ok()?;
    if same { git(root, &["rev-parse", "--short=12", "HEAD"]) } else { None }
}

fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(root).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
