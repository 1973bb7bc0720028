//! How much of the machine a process may take, as far as it can limit itself.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, nice, setrlimit};

/// A worker with a ladder of ten renditions has some hundred pipes and devices open.
const OPEN_FILES_MAX: u64 = 1_024;

/// The limits that a process sets for itself; None means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Memory reserved for writing, which is about twice what is used.
    pub data_bytes: Option<u64>,
    pub cpu: Option<Duration>,
    /// How many files may be open, where the usual number will not do.
    pub open_files: Option<u64>,
    /// How far the process gives way to whatever else wants the CPU.
    pub nice: Option<u8>,
}

impl Limits {
    pub(crate) fn take(&self) -> Result<(), String> {
        // A core file would hold pictures of a stream that may be protected, and each crash would fill the disk further.
        let wanted = [
            (Resource::Core, Some(0), "core files"),
            (Resource::Nofile, Some(self.open_files.unwrap_or(OPEN_FILES_MAX)), "open files"),
            (Resource::Data, self.data_bytes, "memory"),
            (Resource::Cpu, self.cpu.map(|cpu| cpu.as_secs().max(1)), "CPU time"),
        ];
        for (resource, most, what) in wanted {
            let Some(most) = most else { continue };
            // A limit that is lower already can't be raised, and need not be.
            let most = getrlimit(resource).maximum.map_or(most, |there| there.min(most));
            setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })
                .map_err(|error| format!("{what} can't be limited: {error}"))?;
        }
        if let Some(level) = self.nice {
            nice(i32::from(level)).map_err(|error| format!("it can't give way to others: {error}"))?;
        }
        Ok(())
    }
}
