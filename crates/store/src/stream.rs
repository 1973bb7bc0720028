//! Stream rows with their sources.

use crate::page::{Page, rows_wanted};
use crate::store::{next_id, now, time_of, to_ms};
use crate::{Result, Store, StoreError};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row};
use weir_model::{EncoderPolicy, LogoImage, Slate, Slot, Source, SourceKind, Stream, StreamId, StreamName};

const COLUMNS: &str = "id, version, name, active, ladder, hls, dash, webrtc, dvr_seconds, record, protected, \
                       play_epoch, slate, encoder_policy, logo, logo_image, srt_passphrase, created_at, updated_at";
const UNIQUE: &[(&str, &str)] = &[("stream.name", "name"), ("source.stream_key_lookup", "stream_key")];

/// Tells whether streams were changed; see [`Store::streams_stamp`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamsStamp(i64, i64, i64);

fn place(column: &str, id: StreamId) -> String {
    format!("stream/{column}/{id}")
}

fn source_place(column: &str, id: StreamId, slot: Slot) -> String {
    format!("source/{column}/{id}/{}", slot.as_str())
}

impl Store {
    /// Gives the stream its id, version and times.
    pub async fn create_stream(&self, mut stream: Stream) -> Result<Stream> {
        let mut tx = self.begin().await?;
        stream.id = StreamId(next_id(&mut tx, "stream").await?);
        stream.version = 1;
        stream.created_at = now();
        stream.updated_at = stream.created_at;
        sqlx::query(
            "insert into stream (id, version, name, active, ladder, hls, dash, webrtc, dvr_seconds, record, \
             protected, play_epoch, slate, encoder_policy, logo, srt_passphrase, created_at, updated_at) \
             values (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        )
        .bind(stream.id.0)
        .bind(stream.version)
        .bind(stream.name.as_str())
        .bind(stream.active)
        .bind(json(stream.ladder.as_ref())?)
        .bind(stream.hls)
        .bind(stream.dash)
        .bind(stream.webrtc)
        .bind(i64::from(stream.dvr_seconds))
        .bind(stream.record)
        .bind(stream.protected)
        .bind(i64::from(stream.play_epoch))
        .bind(slate_text(stream.slate.as_ref()))
        .bind(stream.encoder_policy.as_str())
        .bind(json(Some(&stream.logo))?)
        .bind(self.seal_opt(&place("srt_passphrase", stream.id), stream.srt_passphrase.as_ref())?)
        .bind(to_ms(stream.created_at))
        .bind(to_ms(stream.updated_at))
        .execute(&mut *tx)
        .await
        .map_err(|error| StoreError::unique(error, UNIQUE))?;
        self.insert_sources(&mut tx, &stream).await?;
        tx.commit().await?;
        Ok(stream)
    }

    /// Writes everything but id and creation time, if the row still has the version that `stream` was read with.
    pub async fn update_stream(&self, mut stream: Stream) -> Result<Stream> {
        let mut tx = self.begin().await?;
        stream.updated_at = now();
        let changed = sqlx::query(
            "update stream set version = version + 1, name = ?, active = ?, ladder = ?, hls = ?, dash = ?, webrtc = ?, \
             dvr_seconds = ?, record = ?, protected = ?, play_epoch = ?, slate = ?, encoder_policy = ?, logo = ?, \
             srt_passphrase = ?, updated_at = ? \
             where id = ? and version = ?",
        )
        .bind(stream.name.as_str())
        .bind(stream.active)
        .bind(json(stream.ladder.as_ref())?)
        .bind(stream.hls)
        .bind(stream.dash)
        .bind(stream.webrtc)
        .bind(i64::from(stream.dvr_seconds))
        .bind(stream.record)
        .bind(stream.protected)
        .bind(i64::from(stream.play_epoch))
        .bind(slate_text(stream.slate.as_ref()))
        .bind(stream.encoder_policy.as_str())
        .bind(json(Some(&stream.logo))?)
        .bind(self.seal_opt(&place("srt_passphrase", stream.id), stream.srt_passphrase.as_ref())?)
        .bind(to_ms(stream.updated_at))
        .bind(stream.id.0)
        .bind(stream.version)
        .execute(&mut *tx)
        .await
        .map_err(|error| StoreError::unique(error, UNIQUE))?;
        if changed.rows_affected() == 0 {
            let exists = sqlx::query("select 1 from stream where id = ?").bind(stream.id.0).fetch_optional(&mut *tx);
            return Err(if exists.await?.is_some() { StoreError::Stale } else { StoreError::NotFound });
        }
        sqlx::query("delete from source where stream_id = ?").bind(stream.id.0).execute(&mut *tx).await?;
        self.insert_sources(&mut tx, &stream).await?;
        tx.commit().await?;
        stream.version += 1;
        Ok(stream)
    }

    /// Its sources and restreams go with it. With `version`, only if it still has that one.
    pub async fn delete_stream(&self, id: StreamId, version: Option<i64>) -> Result<()> {
        let mut tx = self.begin().await?;
        let found: Option<i64> =
            sqlx::query_scalar("select version from stream where id = ?").bind(id.0).fetch_optional(&mut *tx).await?;
        let found = found.ok_or(StoreError::NotFound)?;
        if version.is_some_and(|version| version != found) {
            return Err(StoreError::Stale);
        }
        sqlx::query("delete from stream where id = ?").bind(id.0).execute(&mut *tx).await?;
        Ok(tx.commit().await?)
    }

    /// The picture that lies over its renditions, or none any more. Everything else of the stream stays.
    pub async fn set_logo(&self, id: StreamId, image: Option<&LogoImage>) -> Result<Stream> {
        let mut tx = self.begin().await?;
        let changed =
            sqlx::query("update stream set version = version + 1, logo_image = ?, updated_at = ? where id = ?")
                .bind(json(image)?)
                .bind(to_ms(now()))
                .bind(id.0)
                .execute(&mut *tx)
                .await?;
        if changed.rows_affected() == 0 {
            return Err(StoreError::NotFound);
        }
        match image {
            Some(image) => {
                let put = "insert into logo (stream_id, png) values (?, ?) \
                           on conflict (stream_id) do update set png = excluded.png";
                sqlx::query(put).bind(id.0).bind(&*image.png).execute(&mut *tx).await?;
            }
            None => {
                sqlx::query("delete from logo where stream_id = ?").bind(id.0).execute(&mut *tx).await?;
            }
        }
        tx.commit().await?;
        self.stream(id).await
    }

    /// The picture itself.
    pub async fn logo(&self, id: StreamId) -> Result<Option<Vec<u8>>> {
        let found = sqlx::query_scalar("select png from logo where stream_id = ?").bind(id.0);
        Ok(found.fetch_optional(&self.readers).await?)
    }

    pub async fn stream(&self, id: StreamId) -> Result<Stream> {
        let mut reader = self.readers.begin().await?;
        let query = format!("select {COLUMNS} from stream where id = ?");
        let row = sqlx::query(AssertSqlSafe(query)).bind(id.0).fetch_optional(&mut *reader).await?;
        let mut stream = self.stream_of(&row.ok_or(StoreError::NotFound)?)?;
        self.attach_sources(&mut reader, std::slice::from_mut(&mut stream)).await?;
        Ok(stream)
    }

    pub async fn streams(&self, after: i64, limit: u32) -> Result<Page<Stream>> {
        let (limit, rows) = rows_wanted(limit);
        // One read transaction: the sources belong to the streams as they were when listed.
        let mut reader = self.readers.begin().await?;
        let query = format!("select {COLUMNS} from stream where id > ? order by id limit ?");
        let rows = sqlx::query(AssertSqlSafe(query)).bind(after).bind(rows).fetch_all(&mut *reader).await?;
        let streams = rows.iter().map(|row| self.stream_of(row)).collect::<Result<Vec<_>>>()?;
        let mut page = Page::new(streams, limit, |stream| stream.id.0);
        self.attach_sources(&mut reader, &mut page.items).await?;
        Ok(page)
    }

    /// Differs whenever another change of streams than before is stored, by whichever process: versions rise with each
    /// change, and ids are never used twice.
    pub async fn streams_stamp(&self) -> Result<StreamsStamp> {
        let query = "select count(*) as streams, coalesce(sum(version), 0) as versions, coalesce(max(id), 0) as last \
                     from stream";
        let row = sqlx::query(query).fetch_one(&self.readers).await?;
        Ok(StreamsStamp(row.try_get("streams")?, row.try_get("versions")?, row.try_get("last")?))
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

    async fn insert_sources(&self, tx: &mut SqliteConnection, stream: &Stream) -> Result<()> {
        for source in &stream.sources {
            let (mut key, mut lookup, mut uri, mut items, mut looped) = (None, None, None, None, false);
            match &source.kind {
                SourceKind::Push { stream_key } => {
                    key = Some(self.seal(&source_place("stream_key", stream.id, source.slot), stream_key)?);
                    lookup = Some(self.key.lookup(stream_key.expose()).to_vec());
                }
                SourceKind::Pull { uri: secret } => {
                    uri = Some(self.seal(&source_place("uri", stream.id, source.slot), secret)?);
                }
                SourceKind::Playlist { items: list, looped: again } => {
                    items = json(Some(list))?;
                    looped = *again;
                }
            }
            sqlx::query(
                "insert into source (stream_id, slot, kind, stream_key, stream_key_lookup, uri, items, looped) \
                 values (?,?,?,?,?,?,?,?)",
            )
            .bind(stream.id.0)
            .bind(source.slot.as_str())
            .bind(source.kind.as_str())
            .bind(key)
            .bind(lookup)
            .bind(uri)
            .bind(items)
            .bind(looped)
            .execute(&mut *tx)
            .await
            .map_err(|error| StoreError::unique(error, UNIQUE))?;
        }
        Ok(())
    }

    fn stream_of(&self, row: &SqliteRow) -> Result<Stream> {
        let id = StreamId(row.try_get("id")?);
        let policy: String = row.try_get("encoder_policy")?;
        let slate: Option<String> = row.try_get("slate")?;
        Ok(Stream {
            id,
            version: row.try_get("version")?,
            name: StreamName::new(row.try_get::<String, _>("name")?)
                .map_err(|_| StoreError::Corrupt("a stream's name"))?,
            active: row.try_get("active")?,
            sources: Vec::new(),
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
            srt_passphrase: self.open_secret_opt(&place("srt_passphrase", id), row.try_get("srt_passphrase")?)?,
            created_at: time_of(row, "created_at")?,
            updated_at: time_of(row, "updated_at")?,
        })
    }

    /// `streams` rise by id, as listed.
    async fn attach_sources(&self, reader: &mut SqliteConnection, streams: &mut [Stream]) -> Result<()> {
        let (Some(first), Some(last)) = (streams.first(), streams.last()) else { return Ok(()) };
        // "primary" sorts after "backup": descending puts it first.
        let rows = sqlx::query(
            "select stream_id, slot, kind, stream_key, uri, items, looped from source \
             where stream_id between ? and ? order by stream_id, slot desc",
        )
        .bind(first.id.0)
        .bind(last.id.0)
        .fetch_all(reader)
        .await?;
        for row in &rows {
            let id = StreamId(row.try_get("stream_id")?);
            // A stream between first and last that is not listed can't be: one snapshot, one range.
            if let Ok(index) = streams.binary_search_by_key(&id, |stream| stream.id) {
                streams[index].sources.push(self.source_of(id, row)?);
            }
        }
        Ok(())
    }

    fn source_of(&self, id: StreamId, row: &SqliteRow) -> Result<Source> {
        let slot: String = row.try_get("slot")?;
        let slot = Slot::ALL.into_iter().find(|known| known.as_str() == slot).ok_or(StoreError::Corrupt("a slot"))?;
        let missing = || StoreError::Corrupt("a source");
        let kind = match row.try_get::<String, _>("kind")?.as_str() {
            "push" => SourceKind::Push {
                stream_key: self
                    .open_secret_opt(&source_place("stream_key", id, slot), row.try_get("stream_key")?)?
                    .ok_or_else(missing)?,
            },
            "pull" => SourceKind::Pull {
                uri: self.open_secret_opt(&source_place("uri", id, slot), row.try_get("uri")?)?.ok_or_else(missing)?,
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
