//! A pull of HLS: the playlist is read again and again, and each of its segments is fetched once, near the live edge.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Instant, sleep_until};
use url::Url;
use weir_media::WireClock;
use weir_model::{Reason, ReasonCode};
use weir_mux::hls::{PLAYLIST_BYTES_MAX, Playlist, Segment, Segments, Variant};
use weir_net::Dialer;

use super::aes_cbc::{KEY_BYTES, Unsealing};
use super::get::{get, get_all};
use super::http::feed;
use super::machine::source_reason;
use super::seat::Seat;
use crate::intake::locked;
use crate::ts::TsSession;

/// How many segments before the end a live source is begun (RFC 8216, 6.3.3: three target durations).
const BEHIND_EDGE: usize = 3;
/// So many pieces of at most 64 KiB lie between fetching and playing. What is farther ahead stays on the server.
const PIECES_MAX: usize = 32;
/// A segment of 30 s at 16 Mbps has 60 MB.
const SEGMENT_BYTES_MAX: u64 = 64 << 20;
/// So many segments or playlists in a row may fail before the source has failed.
const FAILURES_MAX: u32 = 3;
/// No playlist is read again sooner than this, whatever it says of itself.
const RELOAD_MIN: Duration = Duration::from_millis(500);

/// A playlist that has no new segment for so long, or for three target durations if that is longer, has stalled.
const NEW_WITHIN: Duration = Duration::from_secs(15);

/// The newest segment that was fetched, remembered from one connection to the next: a playlist that nobody renews any more is not played
/// again and again.
#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<Option<(u64, String)>>);

/// What is fetched, in the order in which it plays.
enum Piece {
    Bytes(Bytes),
    /// A segment ends.
    Cut,
}

/// Follows a playlist that was fetched, until the source ends.
pub(super) async fn follow(
    (url, text): (&Url, &[u8]),
    dialer: &Dialer,
    (seat, seen): (&Seat, &Seen),
) -> Result<Reason, Reason> {
    let (url, segments) = match parse(text)? {
        Playlist::Segments(segments) => (url.clone(), segments),
        Playlist::Variants(variants) => {
            let best = best(&variants).ok_or_else(|| source_reason(ReasonCode::Malformed, "the playlist is empty"))?;
            let (url, text) = get_all(&joined(url, &best.uri)?, PLAYLIST_BYTES_MAX, dialer).await?;
            match parse(&text)? {
                Playlist::Segments(segments) => (url, segments),
                Playlist::Variants(_) => {
                    return Err(source_reason(ReasonCode::Malformed, "a variant is itself a list of variants"));
                }
            }
        }
    };
    let (pieces, fetched) = channel(PIECES_MAX);
    let mut playing = std::pin::pin!(play(fetched, seat));
    let fetching = Fetching { url, dialer, pieces, seen, key: None, failures: 0 };
    tokio::select! {
        ended = &mut playing => ended,
        outcome = fetching.run(segments) => match outcome {
            Ok(()) => playing.await,
            Err(reason) => Err(reason),
        },
    }
}

async fn play(mut pieces: Receiver<Piece>, seat: &Seat) -> Result<Reason, Reason> {
    let mut next = pieces.recv().await;
    let (ticket, mut gone) = seat.take(WireClock::MPEG_TS)?.into_parts();
    let mut session = TsSession::paced(ticket, None);
    while let Some(piece) = next {
        match piece {
            Piece::Bytes(bytes) => feed(&mut session, &bytes, &mut gone).await?,
            Piece::Cut => {
                session.cut(Instant::now().into_std());
                feed(&mut session, &[], &mut gone).await?;
            }
        }
        next = tokio::select! {
            biased;
            reason = &mut gone => return Err(reason),
            piece = pieces.recv() => piece,
        };
    }
    session.finish(Instant::now().into_std());
    Ok(source_reason(ReasonCode::Ended, "the playlist has come to its end"))
}

struct Fetching<'a> {
    url: Url,
    dialer: &'a Dialer,
    pieces: Sender<Piece>,
    seen: &'a Seen,
    /// The key that was used last, and where it came from.
    key: Option<(Url, [u8; KEY_BYTES])>,
    failures: u32,
}

impl Fetching<'_> {
    /// Fetches for as long as there is more to come.
    async fn run(mut self, mut segments: Segments) -> Result<(), Reason> {
        let mut wanted = Wanted::begin(&segments);
        if !segments.ended {
            wanted.pass_over(&segments, locked(&self.seen.0).as_ref());
        }
        let mut renewed_at = Instant::now();
        loop {
            let looked_at = Instant::now();
            let new = wanted.take(&segments);
            let found = !new.is_empty();
            for segment in new {
                let outcome = self.segment(&segment).await;
                self.bear(outcome)?;
                *locked(&self.seen.0) = Some((segment.number, segment.uri));
                renewed_at = Instant::now();
                // A cut stands behind a segment that failed, too: what came of it ends here.
                if self.pieces.send(Piece::Cut).await.is_err() {
                    return Ok(());
                }
            }
            if segments.ended {
                return Ok(());
            }
            if renewed_at.elapsed() >= NEW_WITHIN.max(segments.target * 3) {
                return Err(source_reason(ReasonCode::Stalled, "the playlist has no new segments any more"));
            }
            // RFC 8216, 6.3.4: a target duration after a change, half of it where nothing has changed.
            let wait = if found { segments.target } else { segments.target / 2 };
            sleep_until(looked_at + wait.max(RELOAD_MIN)).await;
            match self.playlist().await {
                Ok(next) => {
                    self.failures = 0;
                    segments = next;
                }
                failed => self.bear(failed.map(drop))?,
            }
        }
    }

    /// Takes a failure as long as there are few in a row.
    fn bear(&mut self, outcome: Result<(), Reason>) -> Result<(), Reason> {
        match outcome {
            Ok(()) => self.failures = 0,
            Err(reason) => {
                self.failures += 1;
                if self.failures >= FAILURES_MAX {
                    return Err(reason);
                }
            }
        }
        Ok(())
    }

    async fn playlist(&self) -> Result<Segments, Reason> {
        let (_, text) = get_all(&self.url, PLAYLIST_BYTES_MAX, self.dialer).await?;
        match parse(&text)? {
            Playlist::Segments(segments) => Ok(segments),
            Playlist::Variants(_) => Err(source_reason(ReasonCode::Malformed, "the playlist lists variants now")),
        }
    }

    async fn segment(&mut self, segment: &Segment) -> Result<(), Reason> {
        if segment.has_map {
            let message = "its segments are fragmented MP4; this version fetches MPEG-TS";
            return Err(source_reason(ReasonCode::UnsupportedCodec, message));
        }
        let mut unsealing = match &segment.key {
            Some(key) => Some(Unsealing::new(&self.key(&joined(&self.url, &key.uri)?).await?, key.iv)),
            None => None,
        };
        let mut answer = get(&joined(&self.url, &segment.uri)?, segment.range, self.dialer).await?;
        let mut bytes = 0;
        while let Some(piece) = answer.piece().await? {
            bytes += piece.len() as u64;
            if bytes > SEGMENT_BYTES_MAX {
                let message = format!("a segment is longer than {SEGMENT_BYTES_MAX} bytes");
                return Err(source_reason(ReasonCode::Malformed, message));
            }
            let piece = unsealing.as_mut().map_or(piece.clone(), |unsealing| unsealing.take(&piece));
            self.send(piece).await;
        }
        if let Some(unsealing) = unsealing {
            let rest = unsealing.finish();
            let message = "an encrypted segment was cut short, or its key is wrong";
            self.send(rest.ok_or_else(|| source_reason(ReasonCode::Malformed, message))?).await;
        }
        Ok(())
    }

    /// Whoever plays may have gone, and then this future goes, too.
    async fn send(&self, bytes: Bytes) {
        if !bytes.is_empty() {
            let _ = self.pieces.send(Piece::Bytes(bytes)).await;
        }
    }

    async fn key(&mut self, url: &Url) -> Result<[u8; KEY_BYTES], Reason> {
        if let Some((_, key)) = self.key.as_ref().filter(|(of, _)| of == url) {
            return Ok(*key);
        }
        let (_, bytes) = get_all(url, KEY_BYTES, self.dialer).await?;
        let wrong = || source_reason(ReasonCode::Malformed, "the key of the segments has not 16 bytes");
        let key: [u8; KEY_BYTES] = (*bytes).try_into().map_err(|_| wrong())?;
        self.key = Some((url.clone(), key));
        Ok(key)
    }
}

/// Knows which segments of a playlist were not fetched yet.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    /// The number of the next segment.
    next: u64,
    /// The number of the newest segment that was seen.
    newest: u64,
}

impl Wanted {
    /// A live source is begun near its edge, and one that has ended at its beginning.
    fn begin(segments: &Segments) -> Self {
        let behind = if segments.ended { usize::MAX } else { BEHIND_EDGE };
        let first = segments.list.len().saturating_sub(behind);
        Self { next: segments.list.get(first).map_or(0, |segment| segment.number), newest: 0 }
    }

    /// Leaves out what was fetched before, up to this segment if the playlist still has it.
    fn pass_over(&mut self, segments: &Segments, seen: Option<&(u64, String)>) {
        let Some((number, uri)) = seen else { return };
        if segments.list.iter().any(|segment| segment.number == *number && segment.uri == *uri) {
            self.next = self.next.max(number + 1);
        }
    }

    fn take(&mut self, segments: &Segments) -> VecDeque<Segment> {
        let Some(last) = segments.list.last() else { return VecDeque::new() };
        if last.number < self.newest {
            // The numbers go back, so the far end began anew.
            *self = Self::begin(segments);
        }
        self.newest = last.number;
        let new = segments.list.iter().filter(|segment| segment.number >= self.next).cloned().collect();
        self.next = self.next.max(last.number.saturating_add(1));
        new
    }
}

fn best(variants: &[Variant]) -> Option<&Variant> {
    variants.iter().max_by_key(|variant| (!variant.sound_apart, variant.bandwidth_bps))
}

fn parse(text: &[u8]) -> Result<Playlist, Reason> {
    let text = String::from_utf8_lossy(text);
    Playlist::parse(&text).map_err(|fault| source_reason(ReasonCode::Malformed, fault.to_string()))
}

/// The address of what a playlist names. Only HTTP is followed: a playlist names no files of ours.
fn joined(base: &Url, uri: &str) -> Result<Url, Reason> {
    let to = base.join(uri).ok().filter(|to| matches!(to.scheme(), "http" | "https"));
    let mut to =
        to.ok_or_else(|| source_reason(ReasonCode::Malformed, "the playlist names what is no HTTP address"))?;
    if base.origin() == to.origin() && to.username().is_empty() {
        let _ = to.set_username(base.username());
        let _ = to.set_password(base.password());
    }
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(first: u64, count: u64, ended: bool) -> Segments {
        let end = if ended { "#EXT-X-ENDLIST\n" } else { "" };
        let list: String = (first..first + count).map(|number| format!("#EXTINF:2,\n{number}.ts\n")).collect();
        let text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n{list}{end}");
        let Ok(Playlist::Segments(segments)) = Playlist::parse(&text) else { panic!("{text}") };
        segments
    }

    #[test]
    fn each_segment_is_fetched_once() {
        let mut wanted = Wanted::begin(&segments(10, 6, false));
        // Each case has the first number and the count of a playlist, and the numbers that are fetched.
        for (first, count, expected) in [
            (10, 6, &[13, 14, 15][..]),
            (10, 6, &[]),
            (11, 6, &[16]),
            // It was away for long, and segments are gone.
            (30, 3, &[30, 31, 32]),
            // The far end was started anew.
            (0, 5, &[2, 3, 4]),
            (1, 5, &[5]),
            (0, 0, &[]),
        ] {
            let new: Vec<u64> =
                wanted.take(&segments(first, count, false)).iter().map(|segment| segment.number).collect();
            assert_eq!(new, expected, "{first}+{count}");
        }
        let whole = segments(0, 10, true);
        assert_eq!(Wanted::begin(&whole).take(&whole).len(), 10, "what has ended is played from its beginning");
    }

    /// A connection that is made anew does not play again what the last one played.
    #[test]
    fn what_was_seen_is_passed_over() {
        let list = segments(10, 6, false);
        for (seen, expected) in [
            (None, &[13, 14, 15][..]),
            (Some((14, "14.ts")), &[15]),
            (Some((15, "15.ts")), &[]),
            // The far end was started anew, and has other segments of these numbers.
            (Some((15, "old15.ts")), &[13, 14, 15]),
            (Some((3, "3.ts")), &[13, 14, 15]),
        ] {
            let mut wanted = Wanted::begin(&list);
            wanted.pass_over(&list, seen.map(|(number, uri)| (number, uri.to_owned())).as_ref());
            let new: Vec<u64> = wanted.take(&list).iter().map(|segment| segment.number).collect();
            assert_eq!(new, expected, "{seen:?}");
        }
    }

    #[test]
    fn the_best_variant_has_its_sound_with_it() {
        let variant = |uri: &str, bandwidth_bps, sound_apart| Variant { uri: uri.into(), bandwidth_bps, sound_apart };
        for (variants, expected) in [
            (vec![variant("a", 1, false), variant("b", 3, false), variant("c", 2, false)], Some("b")),
            (vec![variant("a", 1, false), variant("b", 3, true)], Some("a")),
            (vec![variant("a", 1, true), variant("b", 3, true)], Some("b")),
            (vec![], None),
        ] {
            assert_eq!(best(&variants).map(|variant| &*variant.uri), expected);
        }
    }

    #[test]
    fn a_playlist_names_http_only() {
        let base = Url::parse("http://u:p@h/live/a.m3u8?t=1").unwrap();
        for (uri, expected) in [
            ("b.ts", Some("http://u:p@h/live/b.ts")),
            ("/b.ts?x", Some("http://u:p@h/b.ts?x")),
            ("https://cdn/b.ts", Some("https://cdn/b.ts")),
            ("file:///etc/passwd", None),
            ("rtmp://h/x", None),
            ("data:,x", None),
        ] {
            assert_eq!(joined(&base, uri).ok().as_ref().map(Url::as_str), expected, "{uri}");
        }
    }
}
