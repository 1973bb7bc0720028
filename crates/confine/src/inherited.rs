//! Closes the descriptors that whoever started the server left open, whatever they are.

use std::fs;
use std::os::fd::RawFd;

/// Standard input, output and error were given by the server on purpose.
const GIVEN: RawFd = 2;

pub(crate) fn close() -> Result<(), String> {
    let listing = fs::read_dir("/proc/self/fd").map_err(|error| format!("open files can't be listed: {error}"))?;
    let numbers = listing.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<RawFd>().ok());
    // All numbers are collected before the first is closed: the listing is itself one of them, and has closed itself by then.
    let inherited: Vec<RawFd> = numbers.filter(|number| *number > GIVEN).collect();
    for number in inherited {
        let _ = nix::unistd::close(number);
    }
    Ok(())
}
