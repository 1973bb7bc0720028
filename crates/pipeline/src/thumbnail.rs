//! One picture as a small JPEG, made by a worker that does nothing else and then ends.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::job::WorkerJob;
use crate::launcher::{Launched, Launcher};
use crate::{Hello, Message, PROTOCOL_VERSION, TrackConfig, WorkerFrame, encode};

/// The width; the height follows from the picture's shape. It is two tiles of a dashboard on a fine screen.
pub const THUMBNAIL_WIDTH: u32 = 480;

/// A picture of 480 x 480 at this quality takes 30 kB, and one of noise 100 kB.
const JPEG_BYTES_MAX: u64 = 512 << 10;

/// Starting GStreamer takes 0.2 s and a picture of 4K 0.1 s; a busy machine is slower.
const PATIENCE: Duration = Duration::from_secs(5);

/// Decodes a keyframe and makes a JPEG of it, in a process that may crash, hang or take too much memory.
pub async fn thumbnail(launcher: &Launcher, track: TrackConfig, keyframe: WorkerFrame) -> io::Result<Vec<u8>> {
    let made = tokio::time::timeout(PATIENCE, make(launcher, track, keyframe)).await;
    made.unwrap_or_else(|_| Err(io::Error::other(format!("no picture within {} s", PATIENCE.as_secs()))))
}

async fn make(launcher: &Launcher, track: TrackConfig, keyframe: WorkerFrame) -> io::Result<Vec<u8>> {
    let mut command = launcher.command(&WorkerJob::Thumbnail, None, None);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let Launched { cage: _cage, mut child } = launcher.launch(&mut command, &WorkerJob::Thumbnail, None)?;
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::Error::other("a process without pipes"));
    };
    let hello = Message::Hello(Hello { version: PROTOCOL_VERSION, resume_after: None });
    for message in [hello, Message::Track(track), Message::Frame(keyframe)] {
        let mut head = BytesMut::new();
        let payload = encode(&message, &mut head).ok_or_else(|| io::Error::other("a keyframe that is too large"))?;
        input.write_all(&head).await?;
        input.write_all(&payload).await?;
    }
    drop(input);
    let mut jpeg = Vec::new();
    output.take(JPEG_BYTES_MAX + 1).read_to_end(&mut jpeg).await?;
    let status = child.wait().await?;
    match status.success() && !jpeg.is_empty() && jpeg.len() as u64 <= JPEG_BYTES_MAX {
        true => Ok(jpeg),
        false => Err(io::Error::other(format!("the worker made no picture and ended with {status}"))),
    }
}
