//! Rebuilds when a migration is added: `sqlx::migrate!` reads the folder at compile time, which cargo can't see.

fn main() {
    let mut out = std::io::stdout().lock();
    let _ = std::io::Write::write_all(&mut out, b"cargo:rerun-if-changed=../../migrations\n");
}
