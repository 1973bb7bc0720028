//! The worker: runs one stream's plan in GStreamer, in a process of its own, for as long as its server holds the other end.
//!
//! Its standard input is one end of a Unix socket pair. It is meant to be killed: nothing in it outlives it.

mod branch;
mod canvas;
#[cfg(test)]
mod canvas_tests;
mod element;
mod graph;
mod keyframes;
mod limiter;
mod loudness;
mod outbox;
mod overlay;
#[cfg(test)]
mod overlay_tests;
mod picture;
mod prove;
mod recipe;
#[cfg(test)]
mod recipe_tests;
mod serve;
mod source;
mod thumbnail;
mod tone;

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, nice, setrlimit};

fn main() -> ExitCode {
    limit_itself();
    let outcome = match std::env::args().collect::<Vec<_>>().as_slice() {
        [_] => socket().and_then(serve::serve),
        [_, verb] if verb == "inventory" => prove::inventory(),
        [_, verb] if verb == weir_pipeline::THUMBNAIL_VERB => thumbnail::run(),
        [_, verb, what] if verb == "prove" => prove::prove(what),
        _ => Err(io::Error::other("it takes no arguments")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "weir-worker: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Takes the limits that its server could not put around it; without any, or where they can't be taken, it runs on.
fn limit_itself() {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    if let Some(bytes) = number(weir_pipeline::DATA_MAX_VARIABLE) {
        let most = Rlimit { current: Some(bytes), maximum: Some(bytes) };
        let _ = setrlimit(Resource::Data, most);
    }
    if let Some(level) = number(weir_pipeline::NICE_VARIABLE).and_then(|level| i32::try_from(level).ok()) {
        let _ = nice(level);
    }
}

/// The server's socket, which is our standard input.
fn socket() -> io::Result<UnixStream> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // Whoever starts this by hand has a terminal there.
    socket.peer_addr().map_err(|_| io::Error::other("it is started by weir, not by hand"))?;
    Ok(socket)
}
