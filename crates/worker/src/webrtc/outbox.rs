//! The direction to the server. Anything may be said from any thread, and nobody waits: what does not fit is lost, as the next report follows.

use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use bytes::BytesMut;
use weir_webrtc::webrtcbin::{FromProcess, encode_from_process};

/// So many messages may wait: each viewer says a few in a second.
const WAITING_MAX: usize = 4_096;

/// All clones say it to the same server.
#[derive(Clone)]
pub(crate) struct Outbox {
    messages: SyncSender<FromProcess>,
}

impl Outbox {
    pub(crate) fn start(stream: UnixStream) -> io::Result<Self> {
        let (messages, waiting) = sync_channel(WAITING_MAX);
        thread::Builder::new().name("to-server".to_owned()).spawn(move || write(stream, &waiting))?;
        Ok(Self { messages })
    }

    /// Says it to nobody, for the proof.
    pub(crate) fn nowhere() -> (Self, Receiver<FromProcess>) {
        let (messages, waiting) = sync_channel(WAITING_MAX);
        (Self { messages }, waiting)
    }

    pub(crate) fn say(&self, message: FromProcess) {
        let _ = self.messages.try_send(message);
    }
}

fn write(mut stream: UnixStream, waiting: &Receiver<FromProcess>) {
    let mut bytes = BytesMut::new();
    while let Ok(message) = waiting.recv() {
        bytes.clear();
        encode_from_process(&message, &mut bytes);
        if stream.write_all(&bytes).is_err() {
            // The server is gone, and what this process does is for nobody.
            std::process::exit(0);
        }
    }
}
