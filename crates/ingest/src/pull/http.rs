//! A pull by HTTP: the answer is a playlist of HLS, or MPEG-TS without an end. Which of them shows in its first bytes.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use tokio::time::sleep_until;
use url::Url;
use weir_media::WireClock;
use weir_model::{Fault, Reason, ReasonCode, Secret};
use weir_mux::hls::PLAYLIST_BYTES_MAX;
use weir_net::Dialer;

use super::get::{Answer, get};
use super::hls;
use super::machine::source_reason;
use super::reasons::of_useless;
use super::seat::Seat;
use crate::ts::TsSession;

/// What every playlist begins with.
const PLAYLIST_HEAD: &[u8] = b"#EXTM3U";

/// Fetches the source until that ends. Returns why it did.
pub(crate) async fn fetch(url: &Secret, dialer: &Dialer, seat: (&Seat, &hls::Seen)) -> Reason {
    fetched(url, dialer, seat).await.unwrap_or_else(|reason| reason)
}

async fn fetched(url: &Secret, dialer: &Dialer, (seat, seen): (&Seat, &hls::Seen)) -> Result<Reason, Reason> {
    let url = Url::parse(url.expose())
        .map_err(|_| Reason::new(ReasonCode::Malformed, "the address can't be used").with_fault(Fault::Config))?;
    let mut answer = get(&url, None, dialer).await?;
    let mut first = BytesMut::new();
    while first.len() < PLAYLIST_HEAD.len()
        && let Some(piece) = answer.piece().await?
    {
        first.extend_from_slice(&piece);
    }
    let text = first.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&first);
    if text.starts_with(PLAYLIST_HEAD) {
        let text = answer.rest(first, PLAYLIST_BYTES_MAX).await?;
        return hls::follow((&answer.url, &text), dialer, (seat, seen)).await;
    }
    read(first.freeze(), answer, seat).await
}

/// Reads MPEG-TS from the answer.
async fn read(first: Bytes, mut answer: Answer, seat: &Seat) -> Result<Reason, Reason> {
    let (ticket, mut gone) = seat.take(WireClock::MPEG_TS)?.into_parts();
    // A file comes as fast as the line lets it, and what is sent live as fast as it plays.
    let mut session = if answer.is_finite() { TsSession::paced(ticket, None) } else { TsSession::new(ticket, None) };
    let mut piece = Some(first);
    while let Some(bytes) = piece {
        feed(&mut session, &bytes, &mut gone).await?;
        piece = tokio::select! {
            biased;
            reason = &mut gone => return Err(reason),
            piece = answer.piece() => piece?,
        };
    }
    session.finish(Instant::now());
    Ok(source_reason(ReasonCode::Ended, "the server has sent all that it has"))
}

/// Gives the session bytes, and waits until none of their frames is held back.
pub(super) async fn feed(
    session: &mut TsSession,
    bytes: &[u8],
    gone: &mut (impl Future<Output = Reason> + Unpin),
) -> Result<(), Reason> {
    session.bytes(bytes, Instant::now()).map_err(of_useless)?;
    session.tell_counts();
    while let Some(due_at) = session.due_at() {
        tokio::select! {
            biased;
            reason = &mut *gone => return Err(reason),
            () = sleep_until(due_at.into()) => {}
        }
        session.bytes(&[], Instant::now()).map_err(of_useless)?;
    }
    Ok(())
}
