//! What a child keeps of the machine, by its job: what GStreamer and the drivers of cards need, and nothing of the server's.

use std::path::{Path, PathBuf};

use weir_confine::{Confinement, Files, Limits, Report};

use crate::environment::{self, CUDA_CACHE, FOLDER_LISTS};
use crate::job::WorkerJob;
use crate::launcher::{DATA_MAX_VARIABLE, NICE_VARIABLE};

/// What every child may read.
const READABLE: &[&str] = &[
    // The libraries of programs and what lies beside them; on NixOS both are in the store.
    "/usr",
    "/lib",
    "/lib64",
    "/opt",
    "/nix/store",
    "/run/opengl-driver",
    // The dynamic linker's list of libraries.
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    // The settings of graphics drivers.
    "/etc/libva.conf",
    "/etc/drirc",
    "/etc/glvnd",
    "/etc/nvidia",
    "/etc/localtime",
    // The cards and processors of the machine.
    "/sys",
    "/run/udev/data",
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/devices",
    "/proc/modules",
    "/proc/filesystems",
    "/proc/sys/vm",
    "/proc/sys/kernel",
    "/proc/driver",
    "/dev/urandom",
    "/dev/random",
    "/dev/zero",
];

/// Folders whose files may be run: the dynamic linker is a library, and GStreamer's scanner of plugins lies among them.
const PROGRAMS: &[&str] =
    &["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/libexec", "/usr/local/lib", "/usr/local/libexec", "/nix/store"];

/// How the names of cards in `/dev` begin. "nv" alone will not do: disks are called nvme.
const CARDS: &[&str] = &["nvidia", "nvhost", "nvmap", "dri", "dxg"];

/// CUDA makes files here that all its contexts in a process share.
const SHARED_MEMORY: &str = "/dev/shm";

/// Takes everything else away from this process. It must be called first of all, while there is one thread.
pub fn confine(job: &WorkerJob) -> Report {
    // Without its name the process only looks like another one, which is no reason to fail.
    let _ = rustix::thread::set_name(job.process_name());
    of(job, &|name| std::env::var_os(name)).enter()
}

fn of(job: &WorkerJob, variable: &dyn Fn(&str) -> Option<std::ffi::OsString>) -> Confinement {
    let number = |name: &str| variable(name)?.to_str()?.parse::<u64>().ok();
    let limits = Limits {
        data_bytes: number(DATA_MAX_VARIABLE),
        cpu: job.cpu_max(),
        open_files: job.open_files_max(),
        nice: number(NICE_VARIABLE).and_then(|level| u8::try_from(level).ok()),
    };
    let looks_for_plugins = *job == WorkerJob::Inventory;
    let paths = |list: &[&str]| list.iter().map(PathBuf::from).collect::<Vec<_>>();
    let lists = FOLDER_LISTS.iter().filter_map(|name| variable(name));
    let mut readable = paths(READABLE);
    readable.extend(
        lists.flat_map(|list| std::env::split_paths(&list).collect::<Vec<_>>()).filter(|path| path.is_absolute()),
    );
    let mut devices = vec![PathBuf::from("/dev/null")];
    devices.extend(cards());
    let mut writable = Vec::new();
    if let Some(registry) = environment::registry(variable) {
        // The registry is written anew beside the old file, so its folder must be writable.
        match registry.parent().filter(|_| looks_for_plugins) {
            Some(folder) => writable.push(folder.to_owned()),
            None => readable.push(registry),
        }
    }
    if has_nvidia() {
        // Compiling for a card takes as long as the rest of a start, so the first child keeps what it has compiled.
        writable.extend(variable(CUDA_CACHE).map(PathBuf::from));
        writable.push(SHARED_MEMORY.into());
    }
    let mut programs = paths(PROGRAMS);
    if looks_for_plugins {
        // The scanner of plugins is another process, which the child must be able to see and run.
        readable.push("/proc".into());
        programs.extend(
            ["GST_PLUGIN_SCANNER", "GST_PLUGIN_SCANNER_1_0"]
                .iter()
                .filter_map(|name| variable(name))
                .map(PathBuf::from),
        );
    }
    Confinement {
        files: Files { readable, writable, devices, programs },
        limits,
        starts_programs: looks_for_plugins,
        has_network: job.has_network(),
    }
}

fn cards() -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir("/dev").into_iter().flatten().flatten();
    let is_card = |name: &str| CARDS.iter().any(|card| name.starts_with(card));
    entries.filter(move |entry| entry.file_name().to_str().is_some_and(is_card)).map(|entry| entry.path())
}

/// Whether NVIDIA's driver is loaded.
pub(crate) fn has_nvidia() -> bool {
    Path::new("/dev/nvidiactl").exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confinement(job: &WorkerJob, environment: &[(&str, &str)]) -> Confinement {
        let variable =
            |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into());
        of(job, &variable)
    }

    const ENVIRONMENT: &[(&str, &str)] = &[
        ("GST_REGISTRY_1_0", "/home/weir/.cache/gstreamer-1.0/registry.bin"),
        ("GST_PLUGIN_PATH", "/srv/plugins:relative"),
        (DATA_MAX_VARIABLE, "1000"),
    ];

    #[test]
    fn who_reads_from_outside_starts_nothing_and_writes_nothing_on_disk() {
        let proof = WorkerJob::Proof { what: "x264".to_owned(), on_card: false };
        for job in [WorkerJob::Stream, WorkerJob::Webrtc, WorkerJob::Thumbnail, proof, WorkerJob::Confinement] {
            let confinement = confinement(&job, ENVIRONMENT);
            let files = &confinement.files;
            assert!(!confinement.starts_programs);
            assert!(files.readable.contains(&"/home/weir/.cache/gstreamer-1.0/registry.bin".into()));
            assert!(files.readable.contains(&"/srv/plugins".into()) && !files.readable.contains(&"relative".into()));
            assert!(!files.readable.contains(&"/proc".into()));
            assert!(has_nvidia() || files.writable.is_empty(), "{:?}", files.writable);
            assert_eq!(confinement.limits.data_bytes, Some(1000));
            assert_eq!(confinement.limits.cpu.is_none(), matches!(job, WorkerJob::Stream | WorkerJob::Webrtc));
            assert_eq!(confinement.has_network, job == WorkerJob::Webrtc);
        }
    }

    #[test]
    fn the_inventory_keeps_what_it_found() {
        let confinement = confinement(&WorkerJob::Inventory, ENVIRONMENT);
        assert!(confinement.starts_programs);
        assert!(confinement.files.writable.contains(&"/home/weir/.cache/gstreamer-1.0".into()));
    }

    #[test]
    fn disks_are_no_cards() {
        assert!(cards().all(|card| !card.to_string_lossy().contains("nvme")));
    }
}
