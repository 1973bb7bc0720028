//! Gives up privileges for good, and closes the memory to others.

use rustix::process::{DumpableBehavior, Signal, set_dumpable_behavior, set_parent_process_death_signal};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

/// Gives up all capabilities. Root without them owns root's files and
/// can do nothing more; no program that it could start brings any back.
pub(crate) fn drop_all() -> Result<(), String> {
    for bit in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1 << bit);
        // The first number that the kernel does not know is the end.
        let Ok(held) = capability_is_in_bounding_set(one) else { break };
        if held {
            // A process without the privilege to drop capabilities does not have those that would count.
            let _ = remove_capability_from_bounding_set(one);
        }
    }
    let _ = clear_ambient_capability_set();
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    set_capabilities(None, sets).map_err(|error| format!("privileges can't be dropped: {error}"))?;
    set_no_new_privs(true).map_err(|error| format!("privileges can be gained again: {error}"))?;
    // A change of privileges undoes this setting, so it comes after them.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| format!("it may outlive the server: {error}"))
}

pub(crate) fn hide() -> Result<(), String> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| format!("its memory can be read by the same user: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn nothing_is_left() {
        crate::in_a_thread(|| {
            drop_all().unwrap();
            set_parent_process_death_signal(None).unwrap();
            let status = fs::read_to_string("/proc/thread-self/status").unwrap();
            for line in ["CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "NoNewPrivs:\t1"] {
                assert!(status.contains(line), "{line} in {status}");
            }
        });
    }
}
