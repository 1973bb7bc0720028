//! What a child of the server takes away from itself before it reads a byte from outside, and the kernel then holds it to: network,
//! files, system calls, privileges, and how much of the machine it takes.
//!
//! Nothing here fails: where the kernel lacks something, the child goes on without, and says what is missing (`Report`).

mod calls;
mod files;
mod inherited;
mod limits;
mod network;
mod privileges;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use files::Files;
pub use limits::Limits;

/// What a process keeps.
#[derive(Clone, Debug, Default)]
pub struct Confinement {
    pub files: Files,
    pub limits: Limits,
    /// Only for a process that reads nothing from outside: GStreamer tries plugins that it does not know in a process of its own.
    pub starts_programs: bool,
    /// Only for a process that talks to others by UDP.
    pub has_network: bool,
}

/// What could not be taken away, each in a sentence; empty where everything is held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub missing: Vec<String>,
}

impl Confinement {
    /// Confines this process. It must be called first of all, while there
    /// is one thread: threads that exist already would stay as they are.
    pub fn enter(&self) -> Report {
        let mut missing = Vec::new();
        // The network goes first, as that needs a privilege; system calls go last, as that forbids most of the other steps.
        let steps = [
            inherited::close(),
            self.limits.take(),
            if self.has_network { Ok(()) } else { network::leave() },
            privileges::drop_all(),
            self.files.hold(self.starts_programs),
            privileges::hide(),
            calls::forbid(self.starts_programs, self.has_network),
        ];
        missing.extend(steps.into_iter().filter_map(Result::err));
        Report { missing }
    }
}

/// Lets nobody but root read this process's memory and environment, other processes of the same user included.
pub fn hide_memory() -> Result<(), String> {
    privileges::hide()
}

/// Whether this process may open files that only root may open.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.missing.is_empty() {
            return f.write_str(
                "workers have no network, no files but their libraries and devices, no programs, no privileges, and no way to another \
                 process",
            );
        }
        write!(f, "workers are not completely shut in: {}", self.missing.join("; "))
    }
}

/// Confinement is for the life of a thread, so each test uses up one.
#[cfg(test)]
fn in_a_thread<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::spawn(body).join().unwrap()
}
