//! Forbids, by seccomp, the system calls that a process which decodes and encodes has no use for.
//!
//! It is a list of what is forbidden, not of what is allowed: drivers of graphics cards call what they like, and other things with each
//! release. A forbidden call answers "not permitted" instead of ending the process, because libraries try things: GLib asks udev for
//! devices over a socket, CUDA looks for a daemon, and both go on without.

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Calls that are forbidden whatever their arguments.
const NEVER: &[i64] = &[
    // These open sockets and files past every filter of system calls.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_kcmp,
    // Namespaces and mounts.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_mount_setattr,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    // These open files by number, past their folders.
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    // The kernel itself, and the parts where most of its holes were.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_personality,
    libc::SYS_syslog,
    // The machine.
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
];

/// Sockets: the one that the process was given is connected already. `socketpair` stays, as both of its ends are here.
const SOCKETS: &[i64] = &[libc::SYS_socket, libc::SYS_connect, libc::SYS_bind];

/// Who has the network talks by UDP: nobody connects to it.
const LISTENING: &[i64] = &[libc::SYS_listen, libc::SYS_accept, libc::SYS_accept4];

#[cfg(target_arch = "x86_64")]
const NEVER_HERE: &[i64] = &[libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_modify_ldt, libc::SYS_uselib];
#[cfg(not(target_arch = "x86_64"))]
const NEVER_HERE: &[i64] = &[];

/// The calls that start programs and processes. Threads are not among them.
const PROGRAMS: &[i64] = &[libc::SYS_execve, libc::SYS_execveat];
#[cfg(target_arch = "x86_64")]
const PROCESSES: &[i64] = &[libc::SYS_fork, libc::SYS_vfork];
#[cfg(not(target_arch = "x86_64"))]
const PROCESSES: &[i64] = &[];

/// The flags of `clone` that make namespaces.
const NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];

/// x86-64 kernels may know a second numbering of the same calls (x32), marked by this bit. Nothing here uses it.
#[cfg(target_arch = "x86_64")]
const SECOND_NUMBERING: Option<i64> = Some(0x4000_0000);
#[cfg(not(target_arch = "x86_64"))]
const SECOND_NUMBERING: Option<i64> = None;
/// The calls that have numbers of their own in the second numbering: 512 to 547.
const SECOND_NUMBERING_OWN: std::ops::RangeInclusive<i64> = 512..=547;

pub(crate) fn forbid(starts_programs: bool, has_network: bool) -> Result<(), String> {
    let install = || {
        apply_filter(&program(rules(starts_programs, has_network)?, libc::EPERM)?)?;
        // The flags of `clone3` lie in memory, where no filter sees them. A library that
        // is told that there is no such call uses `clone`, whose flags are checked.
        apply_filter(&program(BTreeMap::from([(libc::SYS_clone3, Vec::new())]), libc::ENOSYS)?)
    };
    install().map_err(|error: seccompiler::Error| format!("system calls can't be filtered (seccomp): {error}"))
}

fn program(rules: Rules, errno: i32) -> Result<BpfProgram, BackendError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno.unsigned_abs()), arch)?.try_into()
}

fn rules(starts_programs: bool, has_network: bool) -> Result<Rules, BackendError> {
    let mut rules: Rules =
        NEVER.iter().chain(NEVER_HERE).chain(LISTENING).map(|number| (*number, Vec::new())).collect();
    if !has_network {
        rules.extend(SOCKETS.iter().map(|number| (*number, Vec::new())));
    }
    let flags = |mask: i32, value: i32| {
        let (mask, value) = (u64::from(mask.unsigned_abs()), u64::from(value.unsigned_abs()));
        rule(0, SeccompCmpOp::MaskedEq(mask), value)
    };
    let clone = if starts_programs {
        NAMESPACES.iter().map(|flag| flags(*flag, *flag)).collect::<Result<_, _>>()?
    } else {
        rules.extend(PROGRAMS.iter().chain(PROCESSES).map(|number| (*number, Vec::new())));
        vec![flags(libc::CLONE_THREAD, 0)?]
    };
    rules.insert(libc::SYS_clone, clone);
    // Limits of other processes are forbidden; a process names itself by 0.
    rules.insert(libc::SYS_prlimit64, vec![rule(0, SeccompCmpOp::Ne, 0)?]);
    // Signals to other processes are forbidden; `abort` signals its own thread.
    let own = u64::from(std::process::id());
    rules.insert(libc::SYS_tgkill, vec![rule(0, SeccompCmpOp::Ne, own)?]);
    if let Some(bit) = SECOND_NUMBERING {
        let again: Vec<i64> = rules.keys().copied().chain(SECOND_NUMBERING_OWN).collect();
        rules.extend(again.into_iter().map(|number| (number | bit, Vec::new())));
    }
    Ok(rules)
}

fn rule(argument: u8, is: SeccompCmpOp, value: u64) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(argument, SeccompCmpArgLen::Dword, is, value)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::unix::net::{UnixDatagram, UnixStream};
    use std::process::Command;

    fn denied<T>(outcome: std::io::Result<T>) -> bool {
        outcome.err().is_some_and(|error| error.kind() == ErrorKind::PermissionDenied)
    }

    #[test]
    fn no_sockets_no_programs_and_threads_as_before() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        crate::in_a_thread(move || {
            forbid(false, false).unwrap();
            assert!(denied(TcpStream::connect(address)));
            assert!(denied(TcpListener::bind("127.0.0.1:0")));
            assert!(denied(UdpSocket::bind("127.0.0.1:0")));
            assert!(denied(UnixDatagram::unbound()));
            assert!(denied(listener.accept()));
            assert!(denied(Command::new("/bin/true").status()));
            assert_eq!(nix::sys::signal::kill(nix::unistd::getppid(), None), Err(nix::errno::Errno::EPERM));
            UnixStream::pair().unwrap();
            assert_eq!(std::thread::spawn(|| 1).join().unwrap(), 1);
        });
    }

    #[test]
    fn who_may_start_programs_starts_them_without_sockets() {
        crate::in_a_thread(|| {
            forbid(true, false).unwrap();
            assert!(Command::new("/bin/true").status().unwrap().success());
            assert!(denied(UdpSocket::bind("127.0.0.1:0")));
        });
    }

    #[test]
    fn who_has_the_network_talks_by_udp_and_nobody_connects_to_it() {
        crate::in_a_thread(|| {
            forbid(false, true).unwrap();
            UdpSocket::bind("127.0.0.1:0").unwrap();
            assert!(denied(TcpListener::bind("127.0.0.1:0")));
            assert!(denied(Command::new("/bin/true").status()));
        });
    }

    /// Jumps in a filter reach 255 instructions, so a list that had grown too long would be refused here.
    #[test]
    fn the_second_numbering_is_no_way_around() {
        for starts_programs in [false, true] {
            let rules = rules(starts_programs, false).unwrap();
            if let Some(bit) = SECOND_NUMBERING {
                assert!(rules.contains_key(&(libc::SYS_socket | bit)) && rules.contains_key(&(521 | bit)));
            }
            program(rules, libc::EPERM).unwrap();
        }
    }
}
