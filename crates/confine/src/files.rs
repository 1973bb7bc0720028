//! Limits the files that a process may open, by Landlock: what is not named does not exist for it.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

/// Files (5.13), renaming (5.19), truncating (6.2), TCP (6.7), devices (6.10),
/// signals and abstract sockets (6.12). An older kernel holds what it knows of these.
const KNOWN: ABI = ABI::V6;

/// Files, and folders with all that is in them. Those that do not exist are passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    pub readable: Vec<PathBuf>,
    /// What may be read, written, made and deleted.
    pub writable: Vec<PathBuf>,
    /// Devices that may be read, written and controlled.
    pub devices: Vec<PathBuf>,
    /// Programs that may be run, where the process may run any.
    pub programs: Vec<PathBuf>,
}

impl Files {
    pub(crate) fn hold(&self, starts_programs: bool) -> Result<(), String> {
        let status =
            self.restrict(starts_programs).map_err(|error| format!("files can't be held by Landlock: {error}"))?;
        match status {
            RulesetStatus::FullyEnforced => Ok(()),
            RulesetStatus::PartiallyEnforced => Err(
                "this kernel's Landlock is older than 6.12 and holds files, but not all of devices, signals and TCP"
                    .to_owned(),
            ),
            RulesetStatus::NotEnforced => {
                Err("this kernel has no Landlock (Linux 5.13 and \"landlock\" among its LSMs): \
                                               files are open as far as the server's user may open them"
                    .to_owned())
            }
        }
    }

    fn restrict(&self, starts_programs: bool) -> Result<RulesetStatus, RulesetError> {
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        let write = AccessFs::from_write(KNOWN) & !AccessFs::IoctlDev;
        let programs: &[PathBuf] = if starts_programs { &self.programs } else { &[] };
        let mut rules = Ruleset::default()
            .handle_access(AccessFs::from_all(KNOWN))?
            .handle_access(AccessNet::from_all(KNOWN))?
            .scope(Scope::from_all(KNOWN))?
            .create()?;
        for (paths, access) in [
            (&*self.readable, read),
            (&*self.writable, read | write),
            (&*self.devices, read | AccessFs::WriteFile | AccessFs::IoctlDev),
            (programs, read | AccessFs::Execute),
        ] {
            for path in paths {
                rules = allow(rules, path, access)?;
            }
        }
        Ok(rules.restrict_self()?.ruleset)
    }
}

fn allow(rules: RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> Result<RulesetCreated, RulesetError> {
    let Ok(opened) = PathFd::new(path) else { return Ok(rules) };
    // A single file takes only the rights that files have.
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(KNOWN) };
    rules.add_rule(PathBeneath::new(opened, access))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::ErrorKind;

    #[test]
    fn only_what_is_named_is_there() {
        let folder = std::env::temp_dir().join(format!("weir-confine-{}", std::process::id()));
        let (named, kept, secret) = (folder.join("named"), folder.join("kept"), folder.join("secret.key"));
        fs::create_dir_all(&named).unwrap();
        fs::create_dir_all(&kept).unwrap();
        for file in [&secret, &named.join("a"), &kept.join("b")] {
            fs::write(file, "x").unwrap();
        }
        let files = Files {
            readable: vec![named.clone(), folder.join("not there")],
            writable: vec![kept.clone()],
            devices: vec!["/dev/null".into()],
            programs: vec!["/bin".into(), "/lib".into(), "/lib64".into(), "/usr".into()],
        };
        crate::in_a_thread(move || {
            rustix::thread::set_no_new_privs(true).unwrap();
            // Without Landlock there is nothing to test here.
            if files.hold(false).is_err_and(|missing| missing.contains("has no Landlock")) {
                return;
            }
            let denied = |outcome: std::io::Result<()>| outcome.unwrap_err().kind() == ErrorKind::PermissionDenied;
            assert!(denied(fs::read(&secret).map(drop)));
            assert!(denied(fs::write(&secret, "y")));
            assert_eq!(fs::read(named.join("a")).unwrap(), b"x");
            assert!(denied(fs::write(named.join("a"), "y")));
            assert!(denied(fs::write(named.join("new"), "y")));
            fs::write(kept.join("new"), "y").unwrap();
            fs::rename(kept.join("new"), kept.join("b")).unwrap();
            fs::write("/dev/null", "y").unwrap();
            assert!(denied(std::process::Command::new("/bin/true").status().map(drop)));
        });
        fs::remove_dir_all(folder).unwrap();
    }
}
