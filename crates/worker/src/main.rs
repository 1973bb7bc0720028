//! The worker: it runs one stream's plan in GStreamer, in a process of its own, for as long as its server holds the other end.
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
mod webrtc;

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use weir_pipeline::WorkerJob;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(job) = WorkerJob::of_arguments(&arguments) else {
        return ended(Err(io::Error::other("it is started by weir, not by hand")));
    };
    // The process is confined before GStreamer starts threads, and before anything from outside is read.
    let confinement = weir_pipeline::confine(&job);
    ended(match job {
        WorkerJob::Stream => socket().and_then(serve::serve),
        WorkerJob::Webrtc => socket().and_then(webrtc::serve),
        WorkerJob::Thumbnail => thumbnail::run(),
        WorkerJob::Inventory => prove::inventory(),
        WorkerJob::Proof { what, .. } => prove::prove(&what),
        WorkerJob::Confinement => prove::say(&confinement),
    })
}

fn ended(outcome: io::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "weir-worker: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The server's socket, which is our standard input.
fn socket() -> io::Result<UnixStream> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // Whoever starts this by hand has a terminal as standard input.
    socket.peer_addr().map_err(|_| io::Error::other("it is started by weir, not by hand"))?;
    Ok(socket)
}
