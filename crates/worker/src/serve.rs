//! The conversation with the server: messages in, a report four times a second, and an end when either side is gone.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use weir_pipeline::{Decoder, Encoders, Hello, Message, OutputId, PROTOCOL_VERSION, WorkerFault};

use crate::branch::output_of;
use crate::graph::Graph;
use crate::outbox::Outbox;

/// The server takes a worker for dead when eight reports in a row are missing.
const REPORT_EVERY: Duration = Duration::from_millis(250);

const READ_BYTES: usize = 64 << 10;

/// Serves until the server closes its end of the socket.
pub(crate) fn serve(stream: UnixStream) -> io::Result<()> {
    gst::init().map_err(io::Error::other)?;
    let encoders = Encoders::load().map_err(io::Error::other)?;
    let mut inbox = Inbox { stream: stream.try_clone()?, decoder: Decoder::new(), chunk: vec![0; READ_BYTES] };
    let outbox = Outbox::new(stream);
    let Some(Message::Hello(hello)) = inbox.next()? else { return Ok(()) };
    outbox.send(&Message::Hello(Hello { version: PROTOCOL_VERSION, resume_after: None }))?;

    let mut graph = Graph::new(encoders, outbox.clone(), hello.resume_after).map_err(|fault| end(&outbox, &fault))?;
    let (pipeline, complaints) = (graph.pipeline().clone(), outbox.clone());
    thread::Builder::new().name("bus".to_owned()).spawn(move || follow(&pipeline, &complaints))?;
    let reporter = outbox.clone();
    thread::Builder::new().name("report".to_owned()).spawn(move || report(&reporter))?;

    while let Some(message) = inbox.next()? {
        let done = match message {
            Message::Plan(plan) => graph.run(plan),
            Message::Logo(logo) => {
                graph.logo(logo.as_ref());
                Ok(())
            }
            Message::Keyframe(output) => {
                graph.keyframe(output);
                Ok(())
            }
            Message::Track(track) => graph.track(&track),
            Message::Frame(frame) => graph.frame(frame),
            Message::End => {
                graph.end();
                outbox.send(&Message::End)?;
                Ok(())
            }
            Message::Hello(_) | Message::Progress(_) | Message::Fault(_) => Ok(()),
        };
        done.map_err(|fault| end(&outbox, &fault))?;
    }
    // Taking the graph down properly could hang in a driver, and whoever would wait for it is gone.
    std::process::exit(0);
}

/// Tells the server why the worker ends.
fn end(outbox: &Outbox, fault: &WorkerFault) -> io::Error {
    let _ = outbox.send(&Message::Fault(fault.clone()));
    io::Error::other(fault.message.clone())
}

struct Inbox {
    stream: UnixStream,
    decoder: Decoder,
    chunk: Vec<u8>,
}

impl Inbox {
    /// The next message of the server; None when it has closed its end.
    fn next(&mut self) -> io::Result<Option<Message>> {
        loop {
            if let Some(message) = self.decoder.next_message().map_err(io::Error::other)? {
                return Ok(Some(message));
            }
            match self.stream.read(&mut self.chunk) {
                Ok(0) => return Ok(None),
                Ok(count) => self.decoder.buffer().extend_from_slice(&self.chunk[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Reports to the server four times a second. The main thread may wait for a
/// decoder that hangs, so it is this thread that notices when the server is gone.
fn report(outbox: &Outbox) {
    while outbox.send(&Message::Progress(outbox.progress())).is_ok() {
        thread::sleep(REPORT_EVERY);
    }
    std::process::exit(0);
}

/// Watches for errors of elements. The first one ends the worker, since nobody knows what state a graph is in after it.
fn follow(pipeline: &gst::Pipeline, outbox: &Outbox) {
    let Some(bus) = pipeline.bus() else { return };
    for message in bus.iter_timed(gst::ClockTime::NONE) {
        let source = message.src().map(|source| source.name().to_string()).unwrap_or_default();
        match message.view() {
            gst::MessageView::Error(error) => {
                let debug = error.debug().map(|debug| format!(" ({debug})")).unwrap_or_default();
                let mut message = format!("{source}: {}{debug}", error.error());
                message.truncate(message.floor_char_boundary(2000));
                let fault = WorkerFault { output: output_of(&source).or_else(|| refusing(pipeline)), message };
                let _ = writeln!(io::stderr(), "weir-worker: {}", end(outbox, &fault));
                std::process::exit(1);
            }
            gst::MessageView::Warning(warning) => {
                let _ = writeln!(io::stderr(), "weir-worker: {source}: {}", warning.error());
            }
            _ => {}
        }
    }
}

/// The output that took no more pictures. Some encoders refuse a picture without a word; then the source reports the error, and the
/// refusing branch shows only at the pads.
fn refusing(pipeline: &gst::Pipeline) -> Option<OutputId> {
    let refused = |element: &gst::Element| {
        element.src_pads().iter().any(|pad| pad.last_flow_result() == Err(gst::FlowError::Error))
    };
    pipeline.children().iter().filter(|element| refused(element)).find_map(|element| output_of(&element.name()))
}
