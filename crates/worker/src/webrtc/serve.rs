//! The conversation with the server: first the proof, then viewers, until the server closes its end.

use std::io::{self, ErrorKind, Read as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use gstreamer as gst;
use weir_webrtc::from_frames::{RtpKind, RtpPayload};
use weir_webrtc::webrtcbin::{Decoder, FromProcess, Passport, ToProcess, Window, decode_to_process};

use super::fan_out::{FanOut, ReadyBatch, Task};
use super::outbox::Outbox;
use super::peer::Common;
use super::proof;
use super::sender::ReadyPayload;
use super::viewers::Viewers;

const READ_BYTES: usize = 64 << 10;

/// Serves until the server closes its end of the socket.
pub(crate) fn serve(stream: UnixStream) -> io::Result<()> {
    gst::init().map_err(io::Error::other)?;
    let mut inbox = Inbox { stream: stream.try_clone()?, decoder: Decoder::default(), chunk: vec![0; READ_BYTES] };
    let outbox = Outbox::start(stream)?;
    let Some(ToProcess::Start(start)) = inbox.next()? else { return Ok(()) };
    let proved = proof::prove();
    if let Err(why) = proved {
        outbox.say(FromProcess::Refused { why });
        // The server ends it.
        while inbox.next()?.is_some() {}
        return Ok(());
    }
    let passport = Passport::make().map_err(io::Error::other)?;
    let pem = Arc::from(passport.pem.as_str());
    let ports = (start.first_port, start.last_port);
    let common = Common { addresses: start.addresses, ports, passport, pem, outbox: outbox.clone() };
    let fan_out = Arc::new(FanOut::start()?);
    let viewers = Viewers::start(common, Arc::clone(&fan_out))?;
    outbox.say(FromProcess::Proved);
    let mut batches: Window<ReadyBatch> = Window::default();
    while let Some(message) = inbox.next()? {
        match message {
            ToProcess::Start(_) => return Err(io::Error::other("the server starts it a second time")),
            ToProcess::Open { viewer, far } => viewers.open(viewer, far),
            ToProcess::Batch { number, payloads } => {
                let bytes = payloads.iter().map(|payload| payload.bytes.len()).sum();
                batches.push(number, bytes, Arc::new(payloads.into_iter().map(ready).collect()));
            }
            ToProcess::Show(shown) => {
                if let Some(batch) = batches.get(shown.batch) {
                    let (from, to) = (usize::from(shown.from), usize::from(shown.to));
                    let (pictures, sound, newest) = (shown.pictures, shown.sound, shown.newest);
                    let batch = Arc::clone(batch);
                    fan_out.perhaps(shown.viewer, Task::Show { batch, from, to, pictures, sound, newest });
                }
            }
            ToProcess::Splice { viewer, time } => fan_out.perhaps(viewer, Task::Splice(time)),
            ToProcess::Close { viewer } => viewers.close(viewer),
        }
    }
    // Taking all viewers down properly could hang in a library, and whoever would wait for it is gone.
    std::process::exit(0);
}

fn ready(payload: RtpPayload) -> ReadyPayload {
    ReadyPayload {
        is_picture: payload.kind == RtpKind::Video,
        marker: payload.marker,
        time: payload.time,
        memory: gst::Memory::from_slice(payload.bytes),
    }
}

struct Inbox {
    stream: UnixStream,
    decoder: Decoder,
    chunk: Vec<u8>,
}

impl Inbox {
    /// The next message of the server; None when it has closed its end.
    fn next(&mut self) -> io::Result<Option<ToProcess>> {
        loop {
            if let Some((kind, body)) = self.decoder.next_body().map_err(io::Error::other)? {
                return decode_to_process(kind, body).map(Some).map_err(io::Error::other);
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
