//! Which file the worker is: the one that the environment names, or the one beside the server's own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The name of the worker's file, and of its process.
pub const WORKER_NAME: &str = "weir-worker";

/// The environment variable that names the file where it lies elsewhere.
pub const WORKER_VARIABLE: &str = "WEIR_WORKER";

/// A worker's file that was there when it was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerBinary {
    path: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no worker at {}: put {WORKER_NAME} beside the server, or name it in {WORKER_VARIABLE}", .0.display())]
pub struct WorkerMissing(pub PathBuf);

impl WorkerBinary {
    pub fn find() -> Result<Self, WorkerMissing> {
        // After an update `/proc/self/exe` says "(deleted)" of the server that
        // still runs; the worker beside its old place is still the right one.
        let server = std::env::current_exe().unwrap_or_default();
        Self::choose(std::env::var_os(WORKER_VARIABLE), &server)
    }

    /// The worker at a known place.
    pub fn at(path: impl Into<PathBuf>) -> Result<Self, WorkerMissing> {
        let path = path.into();
        if path.is_file() { Ok(Self { path }) } else { Err(WorkerMissing(path)) }
    }

    fn choose(named: Option<OsString>, server: &Path) -> Result<Self, WorkerMissing> {
        let path = match named.filter(|named| !named.is_empty()) {
            Some(named) => PathBuf::from(named),
            None => server.with_file_name(WORKER_NAME),
        };
        Self::at(path)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_wins_over_the_neighbour() {
        let here = std::env::current_exe().unwrap();
        let found = WorkerBinary::choose(Some(here.clone().into()), Path::new("/nowhere/weir")).unwrap();
        assert_eq!(found.path(), here);
        let missing = |named: Option<&str>| WorkerBinary::choose(named.map(Into::into), Path::new("/nowhere/weir"));
        for named in [None, Some("")] {
            assert_eq!(missing(named), Err(WorkerMissing("/nowhere/weir-worker".into())));
        }
        assert_eq!(missing(Some("/x")).unwrap_err().to_string().split(':').next(), Some("there is no worker at /x"));
    }
}
