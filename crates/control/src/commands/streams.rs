//! Changes to streams.

use super::check::check_stream;
use super::{CommandError, Commands, Result, STALE_RETRIES};
use weir_model::{Secret, Slot, SourceKind, Stream, StreamId};
use weir_store::StoreError;

/// Letters that can't be mistaken for one another when a key is read aloud; 32 of them, five bits each.
const KEY_ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";

/// 28 x 5 bits = 140 random bits.
const STREAM_KEY_CHARS: usize = 28;

impl Commands {
    /// Push sources without a key get one.
    pub async fn create_stream(&self, mut stream: Stream) -> Result<Stream> {
        check_stream(&mut stream)?;
        fill_keys(&mut stream, None)?;
        let _changing = self.shared.changing.lock().await;
        self.check_named_ladder(&stream).await?;
        let stream = self.store().create_stream(stream).await?;
        self.streams_changed().await?;
        Ok(stream)
    }

    /// `change` may run again when another process changed the stream meanwhile. With `version`, that is Stale instead.
    pub async fn update_stream(
        &self,
        id: StreamId,
        version: Option<i64>,
        change: impl Fn(&mut Stream) -> Result<()> + Send,
    ) -> Result<Stream> {
        let _changing = self.shared.changing.lock().await;
        let mut tries = 0;
        loop {
            let old = self.store().stream(id).await?;
            if version.is_some_and(|version| version != old.version) {
                return Err(StoreError::Stale.into());
            }
            let mut stream = old.clone();
            change(&mut stream)?;
            check_stream(&mut stream)?;
            self.check_named_ladder(&stream).await?;
            fill_keys(&mut stream, Some(&old))?;
            if stream == old {
                return Ok(old);
            }
            tries += 1;
            match self.store().update_stream(stream).await.map_err(CommandError::from) {
                Err(error) if error.is_stale() && version.is_none() && tries < STALE_RETRIES => {}
                updated => {
                    let updated = updated?;
                    self.streams_changed().await?;
                    return Ok(updated);
                }
            }
        }
    }

    /// Its restreams go with it.
    pub async fn delete_stream(&self, id: StreamId, version: Option<i64>) -> Result<()> {
        let _changing = self.shared.changing.lock().await;
        self.store().delete_stream(id, version).await?;
        self.streams_changed().await
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

    /// New keys for the push sources of one slot, or of all; the old ones stop working at once.
    pub async fn rotate_stream_key(&self, id: StreamId, slot: Option<Slot>) -> Result<Stream> {
        self.update_stream(id, None, move |stream| {
            let mut rotated = false;
            for source in &mut stream.sources {
                if let SourceKind::Push { stream_key } = &mut source.kind
                    && slot.is_none_or(|slot| slot == source.slot)
                {
                    *stream_key = new_stream_key()?;
                    rotated = true;
                }
            }
            if rotated { Ok(()) } else { Err(CommandError::invalid("slot", "has no push source, so no key")) }
        })
        .await
    }
}

/// Push sources without a key keep the one their slot had, or get a new one.
fn fill_keys(stream: &mut Stream, old: Option<&Stream>) -> Result<()> {
    for source in &mut stream.sources {
        if let SourceKind::Push { stream_key } = &mut source.kind
            && stream_key.is_empty()
        {
            *stream_key = match old.and_then(|old| old.source(source.slot)).map(|source| &source.kind) {
                Some(SourceKind::Push { stream_key }) => stream_key.clone(),
                _ => new_stream_key()?,
            };
        }
    }
    Ok(())
}

fn new_stream_key() -> Result<Secret> {
    let mut bytes = [0; STREAM_KEY_CHARS];
    getrandom::fill(&mut bytes).map_err(|_| StoreError::Random)?;
    // 256 is a multiple of 32, so every letter is equally likely.
    let key: String = bytes.iter().map(|byte| char::from(KEY_ALPHABET[usize::from(byte % 32)])).collect();
    Ok(key.into())
}
