//! The rows of streams and of their sources.

use crate::change_log::note;
use crate::columns::{Columns, Unique};
use crate::dialect::{Connection, Row};
use crate::kept::{Kept, Stamp};
use crate::page::Page;
use crate::store::time_of;
use crate::told::{Deeds, Told, about, deeds};
use crate::{Result, Store, StoreError};
use serde_json::{Map, Value};
use sqlx::Row as _;
use weir_model::{EncoderPolicy, LogoImage, Restream, Slate, Slot, Source, SourceKind, Stream, StreamId, StreamName};

fn place(column: &str, id: StreamId) -> String {
    format!("stream/{column}/{id}")
}

fn source_place(column: &str, id: StreamId, slot: &Slot) -> String {
    format!("source/{column}/{id}/{slot}")
}

impl Told for Stream {
    const DEEDS: Deeds = deeds!("stream");

    fn about(&self) -> Map<String, Value> {
        about("stream_id", self.id, self.name.as_str())
    }

    fn changed_since(&self, before: &Self) -> Vec<&'static str> {
        self.changed_fields(before)
    }
}

impl Kept for Stream {
    const TABLE: &'static str = "stream";
    const UNIQUE: Unique = &[("stream.name", "name"), ("source.stream_key_lookup", "stream_key")];

    type Id = StreamId;

    fn stamp(&mut self) -> Stamp<'_> {
        let Self { id, version, created_at, updated_at, .. } = self;
        Stamp { id: &mut id.0, version, created_at, updated_at }
    }

    /// The columns of a stream. Its sources are rows of their own, and its logo is changed by itself.
    fn columns(&self, store: &Store) -> Result<Columns> {
        let Self {
            id,
            version: _,
            name,
            active,
            sources: _,
            failover,
            ladder,
            hls,
            dash,
            webrtc,
            dvr_seconds,
            record,
            protected,
            play_epoch,
            slate,
            encoder_policy,
            logo,
            logo_image: _,
            srt_passphrase,
            created_at: _,
            updated_at: _,
        } = self;
        Ok(Columns::new()
            .put("name", name.as_str())
            .put("active", *active)
            .put("failover", json(Some(failover))?)
            .put("ladder", json(ladder.as_ref())?)
            .put("hls", *hls)
            .put("dash", *dash)
            .put("webrtc", *webrtc)
            .put("dvr_seconds", *dvr_seconds)
            .put("record", *record)
            .put("protected", *protected)
            .put("play_epoch", *play_epoch)
            .put("slate", slate_text(slate.as_ref()))
            .put("encoder_policy", encoder_policy.as_str())
            .put("logo", json(Some(logo))?)
            .put("srt_passphrase", store.seal_opt(&place("srt_passphrase", *id), srt_passphrase.as_ref())?))
    }

    fn read(store: &Store, row: &Row) -> Result<Self> {
        let id = StreamId(row.try_get("id")?);
        let policy: String = row.try_get("encoder_policy")?;
        let slate: Option<String> = row.try_get("slate")?;
        Ok(Self {
            id,
            version: row.try_get("version")?,
            name: StreamName::new(row.try_get::<String, _>("name")?)
                .map_err(|_| StoreError::Corrupt("a stream's name"))?,
            active: row.try_get("active")?,
            sources: Vec::new(),
            failover: from_json(row.try_get("failover")?, "the rules of failover")?.unwrap_or_default(),
            ladder: from_json(row.try_get("ladder")?, "a ladder")?,
            hls: row.try_get("hls")?,
            dash: row.try_get("dash")?,
            webrtc: row.try_get("webrtc")?,
            dvr_seconds: u32::try_from(row.try_get::<i64, _>("dvr_seconds")?)
                .map_err(|_| StoreError::Corrupt("dvr_seconds"))?,
            record: row.try_get("record")?,
            protected: row.try_get("protected")?,
            play_epoch: u32::try_from(row.try_get::<i64, _>("play_epoch")?)
                .map_err(|_| StoreError::Corrupt("play_epoch"))?,
            slate: slate.map(|text| if text == "card" { Slate::Card } else { Slate::File(text) }),
            encoder_policy: EncoderPolicy::ALL
                .into_iter()
                .find(|known| known.as_str() == policy)
                .ok_or(StoreError::Corrupt("an encoder policy"))?,
            logo: from_json(row.try_get("logo")?, "a logo's placement")?.unwrap_or_default(),
            logo_image: from_json(row.try_get("logo_image")?, "a logo")?,
            srt_passphrase: store.open_secret_opt(&place("srt_passphrase", id), row.try_get("srt_passphrase")?)?,
            created_at: time_of(row, "created_at")?,
            updated_at: time_of(row, "updated_at")?,
        })
    }
}

impl Store {
    /// Gives the stream its id, version and times.
    pub async fn create_stream(&self, mut stream: Stream) -> Result<Stream> {
        let mut tx = self.begin().await?;
        self.insert(&mut tx, &mut stream, Columns::new()).await?;
        self.insert_sources(&mut tx, &stream).await?;
        tx.commit().await?;
        Ok(stream)
    }

    /// Writes everything but id and creation time, if the row still has the version that `stream` was read with.
    pub async fn update_stream(&self, mut stream: Stream) -> Result<Stream> {
        let mut tx = self.begin().await?;
        self.rewrite(&mut tx, &mut stream).await?;
        sqlx::query("delete from source where stream_id = $1").bind(stream.id.0).execute(&mut *tx).await?;
        self.insert_sources(&mut tx, &stream).await?;
        tx.commit().await?;
        Ok(stream)
    }

    /// Deletes a stream with its sources and restreams, and returns it as it was. With `version`, only if it still has that one.
    pub async fn delete_stream(&self, id: StreamId, version: Option<i64>) -> Result<Stream> {
        let mut tx = self.begin().await?;
        let mut gone = self.locked::<Stream>(&mut tx, id.0, version).await?;
        self.attach_sources(&mut tx, std::slice::from_mut(&mut gone)).await?;
        let restreams: Vec<i64> = sqlx::query_scalar("delete from restream where stream_id = $1 returning id")
            .bind(id.0)
            .fetch_all(&mut *tx)
            .await?;
        for restream in restreams {
            note(&mut tx, Restream::TABLE, restream).await?;
        }
        self.remove::<Stream>(&mut tx, id.0, version).await?;
        tx.commit().await?;
        Ok(gone)
    }

    /// Sets or removes the picture that lies over the stream's renditions. Everything else of the stream stays.
    pub async fn set_logo(&self, id: StreamId, image: Option<&LogoImage>) -> Result<Stream> {
        let mut tx = self.begin().await?;
        let mut stream = self.locked::<Stream>(&mut tx, id.0, None).await?;
        // This is a change of its own, because a change of the stream's other columns never touches the picture.
        let columns = Columns::new().put("logo_image", json(image)?);
        columns.update(&mut tx, Stream::TABLE, Stream::UNIQUE, Columns::new().put("id", id.0)).await?;
        self.rewrite(&mut tx, &mut stream).await?;
        match image {
            Some(image) => {
                let put = "insert into logo (stream_id, png) values ($1, $2) \
                           on conflict (stream_id) do update set png = excluded.png";
                sqlx::query(put).bind(id.0).bind(&*image.png).execute(&mut *tx).await?;
            }
            None => {
                sqlx::query("delete from logo where stream_id = $1").bind(id.0).execute(&mut *tx).await?;
            }
        }
        tx.commit().await?;
        self.stream(id).await
    }

    /// The PNG of a stream's logo.
    pub async fn logo(&self, id: StreamId) -> Result<Option<Vec<u8>>> {
        let found = sqlx::query_scalar("select png from logo where stream_id = $1").bind(id.0);
        Ok(found.fetch_optional(&self.readers).await?)
    }

    pub async fn stream(&self, id: StreamId) -> Result<Stream> {
        let mut reader = self.readers.begin().await?;
        let mut stream = self.one(&mut reader, id.0).await?;
        self.attach_sources(&mut reader, std::slice::from_mut(&mut stream)).await?;
        Ok(stream)
    }

    pub async fn streams(&self, after: i64, limit: u32) -> Result<Page<Stream>> {
        // This is one read transaction, so that the sources belong to the streams as they were when listed.
        let mut reader = self.readers.begin().await?;
        let mut page = self.some(&mut reader, (after, limit), None).await?;
        self.attach_sources(&mut reader, &mut page.items).await?;
        Ok(page)
    }

    /// Every stream there is, for the control plane.
    pub async fn all_streams(&self) -> Result<Vec<Stream>> {
        let mut all = Vec::new();
        let mut after = 0;
        loop {
            let page = self.streams(after, crate::MAX_PAGE_ROWS).await?;
            all.extend(page.items);
            match page.next_after {
                Some(next) => after = next,
                None => return Ok(all),
            }
        }
    }

    async fn insert_sources(&self, tx: &mut Connection, stream: &Stream) -> Result<()> {
        for (place, source) in (0_i64..).zip(&stream.sources) {
            let (mut key, mut lookup, mut uri, mut items, mut looped) = (None, None, None, None, false);
            match &source.kind {
                SourceKind::Push { stream_key } => {
                    key = Some(self.seal(&source_place("stream_key", stream.id, &source.slot), stream_key)?);
                    lookup = Some(self.key.lookup(stream_key.expose()).to_vec());
                }
                SourceKind::Pull { uri: secret } => {
                    uri = Some(self.seal(&source_place("uri", stream.id, &source.slot), secret)?);
                }
                SourceKind::Playlist { items: list, looped: again } => {
                    items = json(Some(list))?;
                    looped = *again;
                }
            }
            let columns = Columns::new()
                .put("stream_id", stream.id.0)
                .put("slot", source.slot.as_str())
                .put("place", place)
                .put("kind", source.kind.as_str())
                .put("stream_key", key)
                .put("stream_key_lookup", lookup)
                .put("uri", uri)
                .put("items", items)
                .put("looped", looped);
            columns.insert(tx, "source", Stream::UNIQUE).await?;
        }
        Ok(())
    }

    /// Adds the sources to `streams`, which rise by id, as listed.
    async fn attach_sources(&self, reader: &mut Connection, streams: &mut [Stream]) -> Result<()> {
        let (Some(first), Some(last)) = (streams.first(), streams.last()) else { return Ok(()) };
        let rows = sqlx::query(
            "select stream_id, slot, kind, stream_key, uri, items, looped from source \
             where stream_id between $1 and $2 order by stream_id, place",
        )
        .bind(first.id.0)
        .bind(last.id.0)
        .fetch_all(reader)
        .await?;
        for row in &rows {
            let id = StreamId(row.try_get("stream_id")?);
            // Every source finds its stream: one snapshot and one range have no stream that is not listed.
            if let Ok(index) = streams.binary_search_by_key(&id, |stream| stream.id) {
                streams[index].sources.push(self.source_of(id, row)?);
            }
        }
        Ok(())
    }

    fn source_of(&self, id: StreamId, row: &Row) -> Result<Source> {
        let slot: String = row.try_get("slot")?;
        let slot = Slot::new(&slot).map_err(|_| StoreError::Corrupt("a slot"))?;
        let missing = || StoreError::Corrupt("a source");
        let kind = match row.try_get::<String, _>("kind")?.as_str() {
            "push" => SourceKind::Push {
                stream_key: self
                    .open_secret_opt(&source_place("stream_key", id, &slot), row.try_get("stream_key")?)?
                    .ok_or_else(missing)?,
            },
            "pull" => SourceKind::Pull {
                uri: self.open_secret_opt(&source_place("uri", id, &slot), row.try_get("uri")?)?.ok_or_else(missing)?,
            },
            "playlist" => SourceKind::Playlist {
                items: from_json(row.try_get("items")?, "a playlist")?.ok_or_else(missing)?,
                looped: row.try_get("looped")?,
            },
            _ => return Err(missing()),
        };
        Ok(Source { slot, kind })
    }
}

fn slate_text(slate: Option<&Slate>) -> Option<String> {
    slate.map(|slate| match slate {
        Slate::Card => "card".to_owned(),
        Slate::File(path) => path.clone(),
    })
}

pub(crate) fn json<T: serde::Serialize>(value: Option<&T>) -> Result<Option<String>> {
    value.map(serde_json::to_string).transpose().map_err(|_| StoreError::Corrupt("a value that is no JSON"))
}

pub(crate) fn from_json<T: serde::de::DeserializeOwned>(text: Option<String>, what: &'static str) -> Result<Option<T>> {
    text.map(|text| serde_json::from_str(&text)).transpose().map_err(|_| StoreError::Corrupt(what))
}
