//! Batches as connections see them that join early, late, in the middle and after a skip, read back chunk by chunk.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use proptest::prelude::*;
use weir_hub::{Batcher, Cursor, Feed, Next, StreamHub, Tracks, WindowLimits};
use weir_media::{Codec, Frame, FrameFlags, MediaKind, MediaTime, TrackId, TrackInfo};
use weir_mux::flv::{AudioTag, VideoTag, parse_audio, parse_video};
use weir_rtmp::from_frames::{RtmpBatcher, SharedBatch};
use weir_rtmp::outlet::Framing;
use weir_rtmp::wire::{ChunkReader, Message, ReadLimits, type_id};

fn info(id: TrackId, codec: Codec, config: &'static [u8]) -> Arc<TrackInfo> {
    Arc::new(TrackInfo::new(id, codec, Bytes::from_static(config)))
}

fn tracks(config: &'static [u8]) -> Tracks {
    Tracks::from_iter([
        info(TrackId::SOURCE_VIDEO, Codec::H264, config),
        info(TrackId::SOURCE_AUDIO, Codec::Aac, b"\x11\x90"),
    ])
}

/// Five seconds of batches from 1,000,000 ms on: 25 pictures and 47 packets of audio a second, and a keyframe each second.
fn batches() -> Vec<SharedBatch> {
    let hub = StreamHub::new(WindowLimits::FRAMES);
    let mut subscriber = hub.source().subscribe();
    let mut publisher = hub.publish_source(Instant::now());
    let mut batcher = RtmpBatcher::default();
    let mut all = Vec::new();
    let mut events: Vec<(i64, MediaKind)> = (0..125).map(|n| (n * 40, MediaKind::Video)).collect();
    events.extend((0..234).map(|n| (n * 64 / 3, MediaKind::Audio)));
    events.sort_by_key(|(at, kind)| (*at, *kind == MediaKind::Video));
    let mut written = 0_u32;
    for (at, kind) in events {
        if at == 0 || (at == 3_000 && kind == MediaKind::Video) {
            // The configuration changes in the middle, on a keyframe.
            publisher.set_tracks(tracks(if at == 0 { b"first" } else { b"second" }));
        }
        let dts = MediaTime::from_millis(1_000_000 + at);
        let keyframe = kind == MediaKind::Audio || at % 1_000 == 0;
        let track = if kind == MediaKind::Video { TrackId::SOURCE_VIDEO } else { TrackId::SOURCE_AUDIO };
        written += 1;
        let payload = Bytes::from(vec![0xAB; if keyframe { 70_000 } else { 500 }]);
        let payload = [&written.to_be_bytes()[..], &payload[..]].concat().into();
        let flags = FrameFlags { keyframe, discontinuity: false };
        publisher.write(Frame { track, dts, pts: dts, flags, payload }, Instant::now());
        while let Some(Next::Item(entry)) = subscriber.try_next() {
            all.extend(batcher.push(&entry));
        }
    }
    all.extend(batcher.flush());
    all
}

/// The media messages that a peer reads from the bytes, in order.
fn read(reader: &mut ChunkReader, bytes: &[u8]) -> Vec<Message> {
    let mut messages = Vec::new();
    for piece in bytes.chunks(60_000) {
        reader.feed(piece);
        while let Some(message) = reader.next().unwrap() {
            messages.push(message);
        }
    }
    messages
}

/// A reader that knows our chunk size, as a peer does after our SetChunkSize.
fn reader() -> ChunkReader {
    let mut reader = ChunkReader::new(ReadLimits::default());
    reader.feed(&[2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 1, 0, 0]);
    assert!(reader.next().unwrap().is_none());
    reader
}

/// Kind, milliseconds, and number of the frame; a configuration has no number.
type Summary = Vec<(char, u32, Option<u32>)>;

fn summary(messages: &[Message]) -> Summary {
    let number = |payload: &[u8]| Some(u32::from_be_bytes(payload[..4].try_into().unwrap()));
    let one = |message: &Message| match message.type_id {
        type_id::VIDEO => match parse_video(&message.payload).unwrap() {
            VideoTag::Config { .. } => ('v', message.timestamp_ms, None),
            VideoTag::Frame { payload, .. } => ('v', message.timestamp_ms, number(&payload)),
            other => panic!("{other:?}"),
        },
        type_id::AUDIO => match parse_audio(&message.payload).unwrap() {
            AudioTag::Config { .. } => ('a', message.timestamp_ms, None),
            AudioTag::Frame { payload, .. } => ('a', message.timestamp_ms, number(&payload)),
            other => panic!("{other:?}"),
        },
        type_id::DATA_AMF0 => ('d', message.timestamp_ms, None),
        other => panic!("type {other}"),
    };
    messages.iter().map(one).collect()
}

/// Sends batches `from..` as a connection that joins there, passing over `skips`.
fn send(batches: &[SharedBatch], from: usize, skips: &[std::ops::Range<usize>], stream_id: u32) -> Vec<Message> {
    let mut framing = Framing::new(stream_id);
    let mut reader = reader();
    let mut messages = Vec::new();
    let mut skipping = false;
    for (index, batch) in batches.iter().enumerate().skip(from) {
        // After a loss the cursor goes on at a start.
        skipping |= skips.iter().any(|skip| skip.contains(&index));
        if skipping && (skips.iter().any(|skip| skip.contains(&index)) || !batch.is_start()) {
            continue;
        }
        if std::mem::take(&mut skipping) {
            framing.skipped();
        }
        messages.extend(read(&mut reader, &framing.parcel(batch).slices().collect::<Vec<_>>().concat()));
    }
    messages
}

fn starts(batches: &[SharedBatch]) -> Vec<usize> {
    (0..batches.len()).filter(|index| batches[*index].is_start()).collect()
}

#[test]
fn a_batch_is_one_picture_with_the_sound_before_it() {
    let batches = batches();
    assert_eq!(batches.iter().map(|batch| batch.video_frames()).sum::<u32>(), 125);
    assert_eq!(starts(&batches).len(), 5);
    assert!(batches.iter().rev().skip(1).all(|batch| batch.video_frames() == 1));
}

#[test]
fn every_joiner_gets_setup_then_a_keyframe_at_zero_and_true_times() {
    let batches = batches();
    let from_the_beginning = summary(&send(&batches, 0, &[], 1));
    for (gop, start) in starts(&batches).into_iter().enumerate() {
        let messages = send(&batches, start, &[], 7);
        let seen = summary(&messages);
        assert_eq!(seen[..3], [('d', 0, None), ('v', 0, None), ('a', 0, None)]);
        let first_video = seen.iter().find(|(kind, _, number)| *kind == 'v' && number.is_some()).unwrap();
        assert_eq!(first_video.1, 0, "the keyframe is the connection's zero");
        // Each frame has the time that a connection from the beginning saw, less the joiner's zero.
        let gop_ms = u32::try_from(gop).unwrap() * 1_000;
        for (kind, at, number) in seen.iter().filter(|(_, _, number)| number.is_some()) {
            let original = from_the_beginning.iter().find(|(_, _, other)| other == number).unwrap();
            assert_eq!((kind, at + gop_ms), (&original.0, original.1), "frame {number:?}");
        }
        // Chunk type 1 inherits the stream id of the full header before it.
        assert!(messages.iter().all(|message| message.stream_id == 7));
    }
}

#[test]
fn a_changed_configuration_reaches_those_who_are_there() {
    let batches = batches();
    let seen = summary(&send(&batches, 0, &[], 1));
    let configs: Vec<u32> =
        seen.iter().filter(|(kind, _, number)| *kind == 'v' && number.is_none()).map(|(_, at, _)| *at).collect();
    assert_eq!(configs.len(), 2);
    assert!((2_900..=3_000).contains(&configs[1]), "before the keyframe at 3 s: {configs:?}");
}

#[test]
fn nearly_all_bytes_are_shared() {
    let batches = batches();
    let mut framing = Framing::new(1);
    let own = batches.iter().filter(|batch| {
        let parcel = framing.parcel(batch);
        !batches.iter().any(|other| Framing::shares(&parcel, other))
    });
    assert!(own.count() <= 2, "only the first batch, and the first one with sound, are made for the connection");
}

proptest! {
    /// Wherever a connection loses batches, times never fall within a kind and never differ from the truth, and after each gap the
    /// configuration and a keyframe come first.
    #[test]
    fn skips_resume_cleanly(from in 0usize..5, skips in prop::collection::vec((1usize..120, 1usize..30), 0..4)) {
        // The batches are made once: each of 256 runs would spend a quarter of a second on them.
        static MADE: OnceLock<(Vec<SharedBatch>, Summary)> = OnceLock::new();
        let (batches, truth) = MADE.get_or_init(|| {
            let batches = batches();
            let truth = summary(&send(&batches, 0, &[], 1));
            (batches, truth)
        });
        let start = starts(batches)[from];
        let skips: Vec<_> = skips.into_iter().map(|(at, len)| start + at..start + at + len).collect();
        let seen = summary(&send(batches, start, &skips, 3));
        let zero = u32::try_from(from).unwrap() * 1_000;
        let mut last = std::collections::HashMap::new();
        for (kind, at, number) in seen {
            if let Some(number) = number {
                let original = truth.iter().find(|(_, _, other)| *other == Some(number)).unwrap();
                prop_assert_eq!(at + zero, original.1);
                let before = last.insert(kind, number);
                prop_assert!(before.is_none_or(|before| before < number));
            }
        }
    }
}

#[tokio::test]
async fn sound_does_not_wait_for_a_picture_that_does_not_come() {
    let hub = StreamHub::new(WindowLimits::FRAMES);
    let feed = Feed::<RtmpBatcher>::new();
    let mut cursor: Cursor<SharedBatch> = feed.subscribe();
    let running = tokio::spawn(feed.clone().run(hub.source(), RtmpBatcher::default()));
    let mut publisher = hub.publish_source(Instant::now());
    publisher.set_tracks(tracks(b"first"));
    let frame = |track, millis, keyframe| {
        let time = MediaTime::from_millis(millis);
        let flags = FrameFlags { keyframe, discontinuity: false };
        Frame { track, dts: time, pts: time, flags, payload: Bytes::from_static(b"payload") }
    };
    publisher.write(frame(TrackId::SOURCE_VIDEO, 0, true), Instant::now());
    assert!(matches!(cursor.next().await, Next::Item(batch) if batch.is_start()));
    publisher.write(frame(TrackId::SOURCE_AUDIO, 21, true), Instant::now());

    assert!(matches!(cursor.next().await, Next::Item(batch) if batch.video_frames() == 0));

    hub.close();
    assert!(matches!(cursor.next().await, Next::Closed));
    running.await.unwrap();
}
