//! A store in a directory of its own, and rows to put in it.

use std::path::Path;
use tempfile::TempDir;
use time::OffsetDateTime;
use weir_model::{
    Destination, DestinationId, EncoderPolicy, Failover, Ladder, LogoPlacement, Restream, RestreamId,
    RestreamRendition, RestreamTarget, RetryRules, Schedule, Slot, Source, SourceKind, Stream, StreamId, StreamName,
};
use weir_store::{SealingKey, Store};

pub(crate) async fn open(dir: &Path) -> Store {
    Store::open(&dir.join("weir.db"), &SealingKey::load_or_create(dir).unwrap()).await.unwrap()
}

pub(crate) async fn fresh() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    (dir, store)
}

pub(crate) fn stream(name: &str) -> Stream {
    Stream {
        id: StreamId::UNSAVED,
        version: 0,
        name: StreamName::new(name).unwrap(),
        active: true,
        sources: vec![Source {
            slot: Slot::primary(),
            kind: SourceKind::Push { stream_key: format!("planted-ingest-{name}").into() },
        }],
        failover: Failover { loss_ms: 700, return_ms: 0, returns: false },
        ladder: Some(Ladder::Named("hd".into())),
        hls: true,
        dash: true,
        webrtc: true,
        dvr_seconds: 60,
        record: true,
        protected: false,
        play_epoch: 0,
        slate: None,
        encoder_policy: EncoderPolicy::PreferHardware,
        logo: LogoPlacement::default(),
        logo_image: None,
        srt_passphrase: Some("planted-passphrase".into()),
        created_at: OffsetDateTime::UNIX_EPOCH,
        updated_at: OffsetDateTime::UNIX_EPOCH,
    }
}

pub(crate) fn destination(name: &str) -> Destination {
    Destination {
        id: DestinationId::UNSAVED,
        version: 0,
        name: name.into(),
        platform: "generic-srt".into(),
        url: "srt://h:9000?passphrase=planted-destination".into(),
        backup_url: None,
        created_at: OffsetDateTime::UNIX_EPOCH,
        updated_at: OffsetDateTime::UNIX_EPOCH,
    }
}

pub(crate) fn restream(stream_id: StreamId, name: &str, target: RestreamTarget) -> Restream {
    Restream {
        id: RestreamId::UNSAVED,
        version: 0,
        stream_id,
        name: name.into(),
        active: true,
        client_user_id: Some(10),
        target,
        backup_uri: Some("rtmp://b/app/planted-backup".into()),
        rendition: RestreamRendition::Named("720p".into()),
        audio_language: Some("deu".into()),
        schedule: Schedule::default(),
        retry: RetryRules::default(),
        stop_reason: None,
        created_at: OffsetDateTime::UNIX_EPOCH,
        updated_at: OffsetDateTime::UNIX_EPOCH,
    }
}

pub(crate) fn uri(text: &str) -> RestreamTarget {
    RestreamTarget::Uri(text.into())
}
