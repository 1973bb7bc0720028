//! The one way in which the server starts a child: with an environment of its own, its limits, and a name that says what it is for.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use tokio::process::{Child, Command};

use crate::cage::{Cage, Cages, NICE_WITHOUT_CGROUP, WorkerLimits};
use crate::job::WorkerJob;
use crate::{WorkerBinary, environment};

/// The limits that the child sets for itself before it does anything else.
pub(crate) const DATA_MAX_VARIABLE: &str = "WORKER_DATA_MAX_BYTES";
pub(crate) const NICE_VARIABLE: &str = "WORKER_NICE";

/// RLIMIT_DATA counts what a process has reserved for writing, which is about twice what it uses: stacks, arenas, pools.
const RESERVED_PER_USED: u64 = 2;

/// Knows the worker's file, and how its processes are held.
#[derive(Clone, Debug)]
pub struct Launcher {
    binary: WorkerBinary,
    cages: Cages,
}

/// A child, and the control group that holds it.
#[derive(Debug)]
pub(crate) struct Launched {
    pub(crate) child: Child,
    /// Dropped after the process, since a group that is in use can't be removed.
    pub(crate) cage: Option<Cage>,
}

impl Launcher {
    pub fn new(binary: WorkerBinary, cages: Cages) -> Self {
        Self { binary, cages }
    }

    /// The command of a child, still without its input and output. `limits` are those of the job where None. `device` is the UUID of the
    /// only NVIDIA device that the child sees; None means all of them.
    pub(crate) fn command(&self, job: &WorkerJob, limits: Option<WorkerLimits>, device: Option<&str>) -> Command {
        let mut command = Command::new(self.binary.path());
        command.arg0(OsStr::from_bytes(job.process_name().to_bytes())).args(job.arguments()).kill_on_drop(true);
        command.env_clear().envs(environment::of_child(std::env::vars_os()));
        make_caches(&command);
        if *job == WorkerJob::Webrtc {
            // It needs plugins that no plan names, which may have been installed since they were looked up. Nothing may be started for that.
            command.env("GST_REGISTRY_FORK", "no");
        } else if *job != WorkerJob::Inventory {
            // The plugins were looked up before; looking again takes longer than the rest of a start.
            command.env("GST_REGISTRY_UPDATE", "no").env("GST_REGISTRY_FORK", "no");
        }
        // Elements take the first device that they see, so the child sees only the one that was chosen here.
        if let Some(uuid) = device {
            command.env("CUDA_VISIBLE_DEVICES", uuid);
        }
        let held = self.cages.are_held();
        if let Some(limits) = limits.or(job.limits()) {
            if !held && device.is_none() && !job.reserves_more_than_it_takes() {
                command.env(DATA_MAX_VARIABLE, limits.memory_bytes.saturating_mul(RESERVED_PER_USED).to_string());
            }
            if !held && limits.cpu_cores.is_some() {
                command.env(NICE_VARIABLE, NICE_WITHOUT_CGROUP.to_string());
            }
        }
        command
    }

    /// Starts the child and holds it. It must be called within a runtime.
    pub(crate) fn launch(
        &self,
        command: &mut Command,
        job: &WorkerJob,
        limits: Option<WorkerLimits>,
    ) -> std::io::Result<Launched> {
        let child = command.spawn()?;
        let limits = limits.or(job.limits());
        let cage = child.id().zip(limits).and_then(|(pid, limits)| self.cages.hold(pid, limits));
        Ok(Launched { child, cage })
    }
}

/// Makes the folders of caches, which a child may write into but not make. Where they can't be made, the child does without.
fn make_caches(command: &Command) {
    for (name, value) in command.as_std().get_envs() {
        let Some(path) = value.map(PathBuf::from) else { continue };
        let folder = match name.to_str() {
            Some(environment::REGISTRY) => path.parent(),
            Some(environment::CUDA_CACHE) if crate::confinement::has_nvidia() => Some(path.as_path()),
            _ => None,
        };
        if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            let _ = fs::create_dir_all(folder);
        }
    }
}
