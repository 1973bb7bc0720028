//! Changes to streams.

use std::net::IpAddr;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use weir_ingest::CannotSwitch;
use weir_model::{EventKind, PullUrl, Secret, Slot, Source, SourceKind, Stream, StreamId, masked_uri};
use weir_store::{Store, StoreError, Told as _};

use super::change::Change;
use super::check::{check_available, check_stream};
use super::{CommandError, Commands, Result};
use crate::play_token::{self, PlayToken};

/// Letters that can't be mistaken for one another when a key is read aloud. There are 32, five bits each.
const KEY_ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";

/// 28 letters of 5 bits are 140 random bits.
const STREAM_KEY_CHARS: usize = 28;

impl Commands {
    /// Creates a stream. Push sources without a key get one.
    pub async fn create_stream(&self, mut stream: Stream) -> Result<Stream> {
        check_available(&stream, None)?;
        check_stream(&stream)?;
        self.check_media(&stream)?;
        fill_keys(&mut stream, None)?;
        let _changing = self.shared.changing.lock().await;
        self.check_named_ladder(&stream).await?;
        let stream = self.store().create_stream(stream).await?;
        self.follow().await?;
        self.tell_created(&stream);
        Ok(stream)
    }

    /// Refuses sources that name files outside the media folders.
    fn check_media(&self, stream: &Stream) -> Result<()> {
        for (number, source) in stream.sources.iter().enumerate() {
            if let SourceKind::Pull { uri } = &source.kind
                && let Ok(PullUrl::File(path)) = PullUrl::parse(uri.expose())
                && !self.shared.media_dirs.get().is_some_and(|dirs| dirs.holds(&path))
            {
                let field = format!("sources[{number}].uri");
                return Err(CommandError::invalid(
                    field,
                    "must name a file in one of the folders of sources.media_dirs",
                ));
            }
        }
        Ok(())
    }

    /// Changes a stream. See `change` for `version`, and for how often `change` may run.
    pub async fn update_stream(
        &self,
        id: StreamId,
        version: Option<i64>,
        change: impl Fn(&mut Stream) -> Result<()> + Send,
    ) -> Result<Stream> {
        self.change::<Stream>(id, version, change).await
    }

    /// Deletes a stream with its restreams.
    pub async fn delete_stream(&self, id: StreamId, version: Option<i64>) -> Result<()> {
        let _changing = self.shared.changing.lock().await;
        let before = self.catalogue();
        let gone = self.store().delete_stream(id, version).await?;
        self.follow().await?;
        before.restreams_of(id).for_each(|restream| self.tell_deleted(&**restream));
        self.tell_deleted(&gone);
        Ok(())
    }

    pub async fn start_stream(&self, id: StreamId) -> Result<Stream> {
        self.update_stream(id, None, |stream| {
            stream.active = true;
            Ok(())
        })
        .await
    }

    pub async fn stop_stream(&self, id: StreamId) -> Result<Stream> {
        self.update_stream(id, None, |stream| {
            stream.active = false;
            Ok(())
        })
        .await
    }

    /// Makes a token with which `ip`, or whoever has the token, may watch for so long.
    pub async fn issue_play_token(&self, id: StreamId, ip: Option<IpAddr>, lifetime: Duration) -> Result<PlayToken> {
        let stream = self.store().stream(id).await?;
        let sign = |text: &[u8]| self.sign_play_token(text);
        let token = play_token::issue(sign, (id, stream.play_epoch), ip, OffsetDateTime::now_utc() + lifetime);
        let token = token.ok_or(StoreError::Random)?;
        let mut about = stream.about();
        about.insert("expires_at".to_owned(), token.expires_at.format(&Rfc3339).unwrap_or_default().into());
        about.insert("ip".to_owned(), ip.map(|ip| ip.to_string()).into());
        self.tell(EventKind::PlayTokenIssued, about);
        Ok(token)
    }

    /// Ends all playback tokens that were handed out for the stream, and the connections of those who watch by one.
    pub async fn revoke_play_tokens(&self, id: StreamId) -> Result<Stream> {
        let (_, stream) = self
            .change_untold::<Stream>(id, None, |stream| {
                // After four thousand million times it begins anew; the tokens of the first round have expired long since.
                stream.play_epoch = stream.play_epoch.wrapping_add(1);
                Ok(())
            })
            .await?;
        self.tell(EventKind::PlayTokensRevoked, stream.about());
        Ok(stream)
    }

    /// Makes new keys for the push sources of one slot, or of all. The old keys stop working at once.
    pub async fn rotate_stream_key(&self, id: StreamId, slot: Option<Slot>) -> Result<Stream> {
        let rotated = slot.clone();
        let (_, stream) = self
            .change_untold::<Stream>(id, None, move |stream| {
                let slot = &rotated;
                let mut rotated = false;
                for source in &mut stream.sources {
                    if let SourceKind::Push { stream_key } = &mut source.kind
                        && slot.as_ref().is_none_or(|slot| *slot == source.slot)
                    {
                        *stream_key = new_stream_key()?;
                        rotated = true;
                    }
                }
                if rotated { Ok(()) } else { Err(CommandError::invalid("slot", "has no push source, so no key")) }
            })
            .await?;
        let mut about = stream.about();
        about.insert("slot".to_owned(), slot.as_ref().map(Slot::as_str).into());
        self.tell(EventKind::StreamKeyRotated, about);
        Ok(stream)
    }
}

impl Commands {
    /// Puts a source on air by hand, and prefers it to all others from then on. None goes back to the stream's order.
    pub async fn switch_source(&self, id: StreamId, slot: Option<Slot>) -> Result<Stream> {
        let stream = self.store().stream(id).await?;
        self.shared.runtime.switch(id, slot.as_ref()).map_err(|fault| match fault {
            CannotSwitch::NoSlot => CommandError::invalid("slot", "is no source of this stream"),
            CannotSwitch::NotLive => CommandError::NotNow("no pictures come from that source, so it can't be on air"),
        })?;
        let mut about = stream.about();
        about.insert("slot".to_owned(), slot.as_ref().map(Slot::as_str).into());
        self.tell(EventKind::SourceChosen, about);
        Ok(stream)
    }
}

impl Change for Stream {
    type Thing = Self;

    async fn read(store: &Store, id: StreamId) -> std::result::Result<Self, StoreError> {
        store.stream(id).await
    }

    async fn write(stream: Self, store: &Store) -> std::result::Result<Self, StoreError> {
        store.update_stream(stream).await
    }

    async fn settle(stream: &mut Self, old: &Self, commands: &Commands) -> Result<()> {
        check_available(stream, Some(old))?;
        keep_uris(stream, old);
        check_stream(stream)?;
        commands.check_media(stream)?;
        commands.check_named_ladder(stream).await?;
        fill_keys(stream, Some(old))
    }
}

/// Makes streams of an earlier version, which stored settings that nothing acted on, into what they were run as: a source that this
/// version does not fetch was never fetched, and a slate never shown.
pub(super) async fn make_true(store: &Store) -> std::result::Result<(), StoreError> {
    for mut stream in store.all_streams().await? {
        let is_run = |source: &Source| match &source.kind {
            SourceKind::Push { .. } => true,
            SourceKind::Pull { uri } => PullUrl::parse(uri.expose()).is_ok(),
            SourceKind::Playlist { .. } => false,
        };
        let idle: Vec<_> = stream.sources.iter().filter(|source| !is_run(source)).map(|it| it.kind.as_str()).collect();
        if idle.is_empty() && stream.slate.is_none() {
            continue;
        }
        let name = stream.name.to_string();
        for kind in idle {
            tracing::warn!(stream = name, kind, "a source that this version does not run is taken off its stream");
        }
        stream.sources.retain(is_run);
        if stream.source(&Slot::primary()).is_none() {
            let kind = SourceKind::Push { stream_key: new_stream_key()? };
            stream.sources.insert(0, Source { slot: Slot::primary(), kind });
            tracing::warn!(stream = name, "the stream has a stream key now, to be published to");
        }
        if stream.slate.take().is_some() {
            tracing::warn!(stream = name, "a slate, which this version does not show, is taken off its stream");
        }
        store.update_stream(stream).await?;
    }
    Ok(())
}

/// Keeps the addresses of pull sources that are sent back as they were shown, without their secrets.
fn keep_uris(stream: &mut Stream, old: &Stream) {
    for source in &mut stream.sources {
        if let SourceKind::Pull { uri } = &mut source.kind
            && let Some(SourceKind::Pull { uri: kept }) = old.source(&source.slot).map(|source| &source.kind)
            && masked_uri(kept.expose()) == uri.expose()
        {
            *uri = kept.clone();
        }
    }
}

/// Gives keys to push sources without one: the key that their slot had, or a new one.
fn fill_keys(stream: &mut Stream, old: Option<&Stream>) -> Result<()> {
    for source in &mut stream.sources {
        if let SourceKind::Push { stream_key } = &mut source.kind
            && stream_key.is_empty()
        {
            *stream_key = match old.and_then(|old| old.source(&source.slot)).map(|source| &source.kind) {
                Some(SourceKind::Push { stream_key }) => stream_key.clone(),
                _ => new_stream_key()?,
            };
        }
    }
    Ok(())
}

/// Makes a key that nobody can guess.
pub fn new_stream_key() -> std::result::Result<Secret, StoreError> {
    let mut bytes = [0; STREAM_KEY_CHARS];
    getrandom::fill(&mut bytes).map_err(|_| StoreError::Random)?;
    // 256 is a multiple of 32, so every letter is equally likely.
    let key: String = bytes.iter().map(|byte| char::from(KEY_ALPHABET[usize::from(byte % 32)])).collect();
    Ok(key.into())
}
