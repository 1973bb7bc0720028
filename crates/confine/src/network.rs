//! Moves the process into a network of its own, with nothing in it.

use nix::sched::{CloneFlags, unshare};

/// Needs the privilege for it, or a user namespace, where every user has that privilege. Nobody is mapped into that namespace: for files
/// the process keeps the user that it has.
pub(crate) fn leave() -> Result<(), String> {
    let own = CloneFlags::CLONE_NEWNET;
    unshare(own).or_else(|_| unshare(own | CloneFlags::CLONE_NEWUSER)).map_err(|error| {
        format!("no network namespace of its own ({error}): this system gives none to unprivileged processes; sockets are denied all the same")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_new_network_has_no_way_out() {
        crate::in_a_thread(|| {
            let before = fs::read_link("/proc/thread-self/ns/net").unwrap();
            // Some containers forbid this; then there is nothing to test here.
            if unshare(CloneFlags::CLONE_NEWNET).is_err() {
                return;
            }
            assert_ne!(fs::read_link("/proc/thread-self/ns/net").unwrap(), before);
            let reached = std::net::UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.connect("192.0.2.1:9"));
            assert!(reached.is_err());
        });
    }
}
