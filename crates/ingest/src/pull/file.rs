//! A pull of a file in one of the media folders, FLV or MPEG-TS, as fast as it plays.

use std::io::{self, Read as _};
use std::time::Instant;

use bytes::Bytes;
use tokio::task::spawn_blocking;
use tokio::time::sleep_until;
use weir_media::WireClock;
use weir_model::{Fault, Reason, ReasonCode};
use weir_mux::flv::file::{FlvReader, FlvTag, FlvTagKind};
use weir_rtmp::net::{MediaMessage, MessageKind, PublishSession as _};

use super::http::feed;
use super::machine::source_reason;
use super::reasons::of_refusal;
use super::seat::Seat;
use crate::media_dirs::MediaDirs;
use crate::pace::Pace;
use crate::rtmp::RtmpSession;
use crate::ts::TsSession;

/// At 10 Mbps 64 KiB are 50 ms.
const READ_BYTES: usize = 64 << 10;

/// Plays the file once. Returns why that ended.
pub(crate) async fn fetch(path: &str, dirs: &MediaDirs, seat: &Seat) -> Reason {
    fetched(path, dirs, seat).await.unwrap_or_else(|reason| reason)
}

async fn fetched(path: &str, dirs: &MediaDirs, seat: &Seat) -> Result<Reason, Reason> {
    let (path, dirs) = (path.to_owned(), dirs.clone());
    let mut file = blocking(move || dirs.open(&path)).await?;
    let (first, back) = next(file).await?;
    file = back;
    match &*first {
        [b'F', b'L', b'V', ..] => play_flv(first, file, seat).await,
        [0x47, ..] => play_ts(first, file, seat).await,
        [] => Err(source_reason(ReasonCode::Malformed, "the file is empty")),
        _ => Err(source_reason(ReasonCode::UnsupportedCodec, "the file is neither FLV nor MPEG-TS")),
    }
}

async fn play_ts(mut piece: Bytes, mut file: std::fs::File, seat: &Seat) -> Result<Reason, Reason> {
    let (ticket, mut gone) = seat.take(WireClock::MPEG_TS)?.into_parts();
    let mut session = TsSession::paced(ticket, None);
    while !piece.is_empty() {
        feed(&mut session, &piece, &mut gone).await?;
        (piece, file) = next(file).await?;
    }
    session.finish(Instant::now());
    Ok(ended())
}

async fn play_flv(mut piece: Bytes, mut file: std::fs::File, seat: &Seat) -> Result<Reason, Reason> {
    let (ticket, mut gone) = seat.take(WireClock::RTMP)?.into_parts();
    let (mut session, mut reader, mut pace) = (RtmpSession::new(ticket), FlvReader::new(), Pace::default());
    while !piece.is_empty() {
        reader.feed(&piece);
        loop {
            let tag = reader.next_tag();
            let tag = tag.map_err(|_| source_reason(ReasonCode::Malformed, "the file can't be read as FLV"))?;
            let Some(FlvTag { kind, timestamp_ms, body }) = tag else { break };
            let due_at = pace.due_at(i64::from(timestamp_ms) * 90, Instant::now());
            tokio::select! {
                biased;
                reason = &mut gone => return Err(reason),
                () = sleep_until(due_at.into()) => {}
            }
            let kind = match kind {
                FlvTagKind::Audio => MessageKind::Audio,
                FlvTagKind::Video => MessageKind::Video,
                FlvTagKind::Script => MessageKind::Data,
            };
            session.media(MediaMessage { kind, timestamp_ms, payload: body }).map_err(of_refusal)?;
        }
        (piece, file) = next(file).await?;
    }
    Ok(ended())
}

fn ended() -> Reason {
    source_reason(ReasonCode::Ended, "the file has come to its end")
}

/// The next piece of the file, which is empty at its end, and the file.
async fn next(mut file: std::fs::File) -> Result<(Bytes, std::fs::File), Reason> {
    blocking(move || {
        let mut piece = vec![0; READ_BYTES];
        let bytes = file.read(&mut piece)?;
        piece.truncate(bytes);
        Ok((piece.into(), file))
    })
    .await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, Reason> {
    let done = spawn_blocking(work).await.unwrap_or_else(|_| Err(io::ErrorKind::Other.into()));
    done.map_err(|error| {
        let (code, message) = match error.kind() {
            io::ErrorKind::NotFound => (ReasonCode::NotFound, "there is no such file in the media folders".to_owned()),
            io::ErrorKind::PermissionDenied => {
                (ReasonCode::NotPermitted, "it is no file of the media folders, or can't be read".to_owned())
            }
            _ => (ReasonCode::Internal, format!("the file can't be read: {error}")),
        };
        Reason::new(code, message).with_fault(Fault::Config)
    })
}
