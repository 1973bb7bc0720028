//! Lists the migrations as the source of an array of (file name, text). `sqlx::migrate!` does the same, but brings a second SQLite along:
//! its macros are made for checking queries against a database while compiling, and that took 45 s of CPU of each build from nothing.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let folder = fs::canonicalize("../../migrations")?;
    writeln!(io::stdout(), "cargo:rerun-if-changed=../../migrations")?;
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let name =
            entry?.file_name().into_string().map_err(|name| io::Error::other(format!("{name:?} is not UTF-8")))?;
        if name.ends_with(".sql") {
            names.push(name);
        }
    }
    names.sort();
    let mut list = String::from("[\n");
    for name in names {
        let _ = writeln!(list, "({name:?}, include_str!({:?})),", folder.join(&name));
    }
    list.push(']');
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo did not set OUT_DIR"))?;
    fs::write(Path::new(&out).join("migrations.rs"), list)
}
