//! What a child knows of the server's environment: the settings of GStreamer and the drivers, and nothing else. The server's own
//! environment holds passwords and keys, and whoever runs it may have put others beside them.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Variables that are handed on as they are.
const HANDED_ON: &[&str] = &[
    // Where libraries lie that are not the system's, such as a GStreamer in a folder of its own.
    "LD_LIBRARY_PATH",
    // The card that Mesa takes.
    "DRI_PRIME",
];

/// All variables that begin so are handed on, too: where plugins lie, how they are ranked and what they log (GST, ORC); which cards
/// there are for NVIDIA's driver and where a container has put what (CUDA, NVIDIA); what VA-API and Intel's and Mesa's drivers read.
const HANDED_ON_BY_PREFIX: &[&str] = &["GST_", "ORC_", "CUDA_", "NVIDIA_", "LIBVA_", "MESA_", "INTEL_", "ONEVPL_"];

/// The file in which GStreamer keeps what it knows of its plugins. All children share it, as finding that out anew takes seconds.
pub(crate) const REGISTRY: &str = "GST_REGISTRY_1_0";
/// The older name of the same variable, which GStreamer reads where the other is not set.
const REGISTRY_OLD: &str = "GST_REGISTRY";
/// Where NVIDIA's driver keeps what it has compiled for a card.
pub(crate) const CUDA_CACHE: &str = "CUDA_CACHE_PATH";
/// Variables that name lists of folders, or single files, which a child must be able to read.
pub(crate) const FOLDER_LISTS: &[&str] = &[
    "LD_LIBRARY_PATH",
    "GST_PLUGIN_PATH",
    "GST_PLUGIN_PATH_1_0",
    "GST_PLUGIN_SYSTEM_PATH",
    "GST_PLUGIN_SYSTEM_PATH_1_0",
    "GST_PLUGIN_SCANNER",
    "GST_PLUGIN_SCANNER_1_0",
    "LIBVA_DRIVERS_PATH",
];

/// Makes a child's whole environment from the server's.
pub(crate) fn of_child(server: impl Iterator<Item = (OsString, OsString)>) -> Vec<(OsString, OsString)> {
    let handed_on = |name: &OsString| {
        let name = name.to_string_lossy();
        HANDED_ON.contains(&&*name) || HANDED_ON_BY_PREFIX.iter().any(|prefix| name.starts_with(prefix))
    };
    let (mut child, mut caches): (Vec<(OsString, OsString)>, _) = (Vec::new(), Caches::default());
    for (name, value) in server {
        caches.see(&name, &value);
        if handed_on(&name) {
            child.push((name, value));
        }
    }
    let has = |child: &[(OsString, OsString)], wanted: &str| child.iter().any(|(name, _)| name == wanted);
    if let Some(folder) = caches.folder() {
        if !has(&child, REGISTRY) && !has(&child, REGISTRY_OLD) {
            // The file has the name that GStreamer itself would give it, so that GStreamer's other programs share it.
            let file = format!("registry.{}.bin", std::env::consts::ARCH);
            child.push((REGISTRY.into(), folder.join("gstreamer-1.0").join(file).into()));
        }
        if !has(&child, CUDA_CACHE) {
            child.push((CUDA_CACHE.into(), folder.join("weir-cuda").into()));
        }
    }
    // Libraries ask for a home folder, but what they would find in the real one is not for them.
    child.push(("HOME".into(), "/nonexistent".into()));
    // glibc makes an arena for each of GStreamer's threads: after some restarts
    // a worker takes 190 to 230 MB with all of them, and 120 to 190 with two.
    child.push(("MALLOC_ARENA_MAX".into(), "2".into()));
    child
}

/// Where the user's caches may lie.
#[derive(Default)]
struct Caches {
    named: Option<PathBuf>,
    home: Option<PathBuf>,
}

impl Caches {
    fn see(&mut self, name: &OsStr, value: &OsStr) {
        let path = || Some(PathBuf::from(value)).filter(|path| path.is_absolute());
        match name.to_str() {
            Some("XDG_CACHE_HOME") => self.named = path(),
            Some("HOME") => self.home = path(),
            _ => {}
        }
    }

    /// A service has no variable that names its home, but its user mostly has one.
    fn folder(self) -> Option<PathBuf> {
        let of_user = || {
            let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
            user.map(|user| user.dir).filter(|dir| dir.is_dir() && dir != Path::new("/"))
        };
        self.named.or_else(|| Some(self.home.or_else(of_user)?.join(".cache")))
    }
}

/// The registry that this environment names.
pub(crate) fn registry(value: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    value(REGISTRY).or_else(|| value(REGISTRY_OLD)).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child(server: &[(&str, &str)]) -> Vec<String> {
        let server = server.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let text = |(name, value): (OsString, OsString)| format!("{}={}", name.display(), value.display());
        of_child(server).into_iter().map(text).collect()
    }

    #[test]
    fn nothing_is_handed_on_but_what_is_named() {
        let seen = child(&[
            ("WEIR_ADMIN_PASSWORD", "planted"),
            ("WEIR_ADMIN_APIKEY", "planted"),
            ("AWS_SECRET_ACCESS_KEY", "planted"),
            ("LD_PRELOAD", "/planted.so"),
            ("PATH", "/planted"),
            ("HOME", "/home/weir"),
            ("GST_PLUGIN_PATH", "/opt/gst"),
            ("CUDA_VISIBLE_DEVICES", "0"),
            ("LIBVA_DRIVER_NAME", "iHD"),
        ]);
        let registry =
            format!("GST_REGISTRY_1_0=/home/weir/.cache/gstreamer-1.0/registry.{}.bin", std::env::consts::ARCH);
        assert_eq!(
            seen,
            [
                "GST_PLUGIN_PATH=/opt/gst",
                "CUDA_VISIBLE_DEVICES=0",
                "LIBVA_DRIVER_NAME=iHD",
                &registry,
                "CUDA_CACHE_PATH=/home/weir/.cache/weir-cuda",
                "HOME=/nonexistent",
                "MALLOC_ARENA_MAX=2",
            ]
        );
    }

    #[test]
    fn caches_lie_where_the_operator_says() {
        let seen = child(&[("GST_REGISTRY", "/var/r.bin"), ("XDG_CACHE_HOME", "/var/cache"), ("HOME", "/root")]);
        assert!(seen.contains(&"CUDA_CACHE_PATH=/var/cache/weir-cuda".to_owned()), "{seen:?}");
        assert_eq!(seen.iter().filter(|line| line.starts_with("GST_REGISTRY")).count(), 1, "{seen:?}");
    }
}
