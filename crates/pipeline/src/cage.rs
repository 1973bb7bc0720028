//! What a worker may take of the machine. The kernel holds it to that where it lets us, with a control group (v2) for each worker;
//! elsewhere less is held, and the server says what.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where systemd and containers mount the control groups.
const CGROUP_ROOT: &str = "/sys/fs/cgroup";

/// The scheduler deals a control group's share out of periods of this length.
const CPU_PERIOD_US: u64 = 100_000;

/// A worker's group has this name, followed by the number of its process.
const CAGE: &str = "weir-worker-";

/// The niceness of a worker that has a CPU limit where the kernel can't hold it: it gives way to whatever else wants the CPU.
pub(crate) const NICE_WITHOUT_CGROUP: u8 = 10;

/// The most that one worker may take.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WorkerLimits {
    pub memory_bytes: u64,
    /// The most cores it may take; None means all.
    pub cpu_cores: Option<f64>,
}

/// How workers are held. The server makes it once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cages {
    /// The folder in which control groups can be made, or why they can't.
    folder: Result<PathBuf, String>,
}

impl Cages {
    /// Finds out whether control groups may be made here. Where the server
    /// shares its own group, or was not given it, everything stays as it is.
    pub fn open() -> Self {
        Self::in_folder(Path::new(CGROUP_ROOT), &own_groups(), std::process::id())
    }

    /// Finds out the same without changing anything, for a caller that only wants to know.
    pub fn look() -> Self {
        Self { folder: given(Path::new(CGROUP_ROOT), &own_groups()) }
    }

    /// The cages of a server that makes none.
    pub fn none(reason: &str) -> Self {
        Self { folder: Err(reason.to_owned()) }
    }

    fn in_folder(root: &Path, own: &str, pid: u32) -> Self {
        Self { folder: delegated(root, own, pid) }
    }

    /// Makes a cage for a process that was just started. None where no control
    /// group can be made; the limits that the process sets for itself must do then.
    pub(crate) fn hold(&self, pid: u32, limits: WorkerLimits) -> Option<Cage> {
        let folder = self.folder.as_ref().ok()?;
        sweep(folder);
        let cage = Cage { folder: folder.join(format!("{CAGE}{pid}")) };
        match cage.fill(pid, limits) {
            Ok(()) => Some(cage),
            Err(error) => {
                tracing::warn!(worker = pid, %error, "a worker's control group can't be made: it runs without");
                None
            }
        }
    }

    /// Whether the kernel holds the workers; where it does not, they are nice instead.
    pub(crate) fn are_held(&self) -> bool {
        self.folder.is_ok()
    }
}

/// Says what is in force, for logs and `weir doctor`.
impl fmt::Display for Cages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.folder {
            Ok(folder) => {
                write!(f, "memory and CPU of each worker are held by a control group in {}", folder.display())
            }
            Err(reason) => write!(
                f,
                "workers' memory is watched and limited (RLIMIT_DATA), a share of the CPU is not held, only given way with \
                 (nice): {reason}"
            ),
        }
    }
}

/// One worker's control group. It is removed when this is dropped, which must be after the process has ended.
#[derive(Debug)]
pub(crate) struct Cage {
    folder: PathBuf,
}

impl Cage {
    fn fill(&self, pid: u32, limits: WorkerLimits) -> io::Result<()> {
        let write = |file: &str, text: String| fs::write(self.folder.join(file), text);
        fs::create_dir_all(&self.folder)?;
        write("memory.max", limits.memory_bytes.to_string())?;
        // A worker that is swapped out would be a second late for each picture.
        let _ = write("memory.swap.max", "0".to_owned());
        if let Some(cores) = limits.cpu_cores {
            write("cpu.max", format!("{} {CPU_PERIOD_US}", (cores * CPU_PERIOD_US as f64) as u64))?;
        }
        write("cgroup.procs", pid.to_string())
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        // A group can only be removed when nothing runs in it any more; one that stays takes some kilobytes of the kernel's memory.
        if let Err(error) = fs::remove_dir(&self.folder) {
            tracing::debug!(folder = %self.folder.display(), %error, "a worker's control group stays");
        }
    }
}

/// Removes the groups of workers that were killed with nobody waiting for them; the kernel keeps those that are in use.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(CAGE) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// The groups that the server is in, a line each.
fn own_groups() -> String {
    fs::read_to_string("/proc/self/cgroup").unwrap_or_default()
}

/// The server's own control group, if others may be made below it.
fn given(root: &Path, own: &str) -> Result<PathBuf, String> {
    let path = own.lines().find_map(|line| line.strip_prefix("0::/")).ok_or("this machine has no control groups v2")?;
    let folder = root.join(path);
    if !holds_both(&folder.join("cgroup.controllers"))? {
        return Err("the server's control group was not given memory and cpu (systemd: Delegate=yes)".to_owned());
    }
    let probe = folder.join(format!("weir-probe-{}", std::process::id()));
    fs::create_dir(&probe).and_then(|()| fs::remove_dir(&probe)).map_err(|error| denied(&error))?;
    Ok(folder)
}

fn denied(error: &io::Error) -> String {
    format!("control groups can't be made here (systemd: Delegate=yes): {error}")
}

/// Whether that list of controllers has both memory and cpu.
fn holds_both(list: &Path) -> Result<bool, String> {
    let text = fs::read_to_string(list);
    let text = text.map_err(|error| format!("the server's control group can't be read: {error}"))?;
    Ok(["memory", "cpu"].iter().all(|name| text.split_whitespace().any(|word| word == *name)))
}

/// Prepares the server's own control group to have others below it.
fn delegated(root: &Path, own: &str, pid: u32) -> Result<PathBuf, String> {
    let folder = given(root, own)?;
    if holds_both(&folder.join("cgroup.subtree_control"))? {
        return Ok(folder);
    }
    // A group has either processes or groups with controllers below it, so the server moves into a group of its own first.
    let home = folder.join(format!("weir-{pid}"));
    fs::create_dir(&home).map_err(|error| denied(&error))?;
    let moved = fs::write(home.join("cgroup.procs"), pid.to_string())
        .and_then(|()| fs::write(folder.join("cgroup.subtree_control"), "+memory +cpu"));
    if let Err(error) = moved {
        let _ = fs::write(folder.join("cgroup.procs"), pid.to_string());
        let _ = fs::remove_dir(&home);
        return Err(denied(&error));
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: WorkerLimits = WorkerLimits { memory_bytes: 1 << 30, cpu_cores: Some(1.5) };

    /// Makes plain files where the kernel has its own.
    fn group(controllers: &str, enabled: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let own = root.path().join("system.slice/weir.service");
        fs::create_dir_all(&own).unwrap();
        fs::write(own.join("cgroup.controllers"), controllers).unwrap();
        fs::write(own.join("cgroup.subtree_control"), enabled).unwrap();
        root
    }

    const OWN: &str = "12:cpuset:/\n0::/system.slice/weir.service\n";

    #[test]
    fn a_group_that_was_given_to_the_server_holds_workers() {
        for enabled in ["", "cpu memory"] {
            let root = group("cpuset cpu io memory pids", enabled);
            let own = root.path().join("system.slice/weir.service");
            let cages = Cages::in_folder(root.path(), OWN, 4711);
            assert!(cages.are_held() && cages.to_string().contains("control group in"), "{cages}");
            assert_eq!(own.join("weir-4711").is_dir(), enabled.is_empty());
            let text = |file: &str| fs::read_to_string(own.join("weir-worker-9").join(file)).unwrap();
            let cage = cages.hold(9, LIMITS).unwrap();
            assert_eq!((text("memory.max").as_str(), text("cpu.max").as_str()), ("1073741824", "150000 100000"));
            assert_eq!(text("cgroup.procs"), "9");
            drop(cage);
            let unlimited = cages.hold(10, WorkerLimits { cpu_cores: None, ..LIMITS }).unwrap();
            assert!(!unlimited.folder.join("cpu.max").exists());
        }
    }

    #[test]
    fn where_none_can_be_made_it_is_said_why_and_nothing_is_changed() {
        for (controllers, own, word) in [
            ("cpu memory", "4:memory:/a\n", "no control groups v2"),
            ("cpu memory", "0::/elsewhere\n", "can't be read"),
            ("pids", OWN, "Delegate=yes"),
            ("memory", OWN, "Delegate=yes"),
        ] {
            let root = group(controllers, "");
            let cages = Cages::in_folder(root.path(), own, 4711);
            assert!(!cages.are_held() && cages.to_string().contains(word), "{cages}");
            assert!(cages.hold(9, LIMITS).is_none());
            assert!(!root.path().join("system.slice/weir.service/weir-4711").exists());
        }
    }
}
