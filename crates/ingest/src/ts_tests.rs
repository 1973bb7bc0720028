//! Sends whole transport streams through the session, and looks what the hub has of the source, and when.

use bytes::{Bytes, BytesMut};
use weir_hub::{Next, StreamHub, WindowLimits};
use weir_media::codec::{self, ac3, mpeg_audio::MpegAudioHeader};
use weir_media::{Codec, Frame, FrameFlags, Language, MediaTime, TrackId, TrackInfo, WireClock};
use weir_model::{Slot, StreamId};
use weir_mux::ts::TsWriter;
use weir_observe::Observe;
use weir_testkit::frames::{SyntheticConfig, SyntheticSource};

use super::*;
use crate::{IngestMeter, Intake};

/// The head of an AC-3 frame of 48 kHz stereo at 192 kbps. 1,536 samples are 32 ms, so a frame has 768 bytes.
const AC3: [u8; 8] = [0x0B, 0x77, 0x9B, 0x5C, 0x14, 0x40, 0x43, 0xE1];
/// The head of an MP2 frame of 48 kHz stereo at 192 kbps. 1,152 samples are 24 ms, so a frame has 576 bytes.
const MP2: [u8; 4] = [0xFF, 0xFD, 0xA4, 0x04];

const SOUND: FrameFlags = FrameFlags { keyframe: true, discontinuity: false };

fn padded(head: &[u8], bytes: usize) -> Bytes {
    let mut frame = head.to_vec();
    frame.resize(bytes, 0);
    frame.into()
}

/// Makes a source of a picture and German, English and French sounds. Each sound begins so many milliseconds late, or never if that is
/// None. Returns the packets of each frame, and the number of frames.
fn broadcast(late_ms: [Option<i64>; 3], until: MediaTime) -> (Vec<Bytes>, usize) {
    let mut source = SyntheticSource::new(SyntheticConfig::default());
    let tracks = source.tracks();
    let sound = |id: u32, codec, config: Bytes, language| {
        let info = codec::parse(codec, TrackId(id), config).unwrap();
        TrackInfo { language: Language::parse(language), ..info }
    };
    let infos = [
        tracks[0].clone(),
        sound(1, Codec::Aac, tracks[1].config.clone(), "deu"),
        sound(2, Codec::Ac3, ac3::record(&AC3).unwrap(), "eng"),
        sound(3, Codec::Mp2, MpegAudioHeader::parse(&MP2).unwrap().record(), "fra"),
    ];
    let mut frames = Vec::new();
    for frame in source.frames_until(until) {
        if frame.track == TrackId::SOURCE_VIDEO {
            frames.push(frame);
            continue;
        }
        let late = |at: usize| late_ms[at].is_some_and(|late| frame.dts >= MediaTime::from_millis(late));
        for (at, payload) in [frame.payload.clone(), padded(&AC3, 768), padded(&MP2, 576)].into_iter().enumerate() {
            if late(at) {
                let track = TrackId(at as u32 + 1);
                frames.push(Frame { track, payload, flags: SOUND, ..frame.clone() });
            }
        }
    }
    let mut writer = TsWriter::new(&infos).unwrap();
    let packets = |frame: &Frame| {
        let mut out = BytesMut::new();
        writer.write(frame, &mut out).unwrap();
        out.freeze()
    };
    (frames.iter().map(packets).collect(), frames.len())
}

struct Rig {
    hub: StreamHub,
    session: TsSession,
}

fn rig() -> Rig {
    let hub = StreamHub::new(WindowLimits::FRAMES);
    let intake = Intake::new(StreamId(1), hub.clone(), Observe::new());
    let meter = IngestMeter::new("srt", Slot::primary(), "127.0.0.1:1".to_owned());
    let admitted = intake.admit(&Slot::primary(), meter, WireClock::MPEG_TS, Instant::now()).unwrap();
    Rig { hub, session: TsSession::new(admitted.ticket, None) }
}

#[test]
fn a_source_begins_with_all_its_sounds() {
    for (late_ms, expected) in [
        ([Some(0), Some(0), Some(0)], [1, 2, 3].as_slice()),
        ([Some(100), Some(300), Some(800)], &[1, 2, 3]),
        // A sound that does not come within a second is not waited for.
        ([Some(100), Some(300), Some(1_500)], &[1, 2]),
        ([Some(0), None, None], &[1]),
        ([None, None, None], &[]),
    ] {
        let Rig { hub, mut session } = rig();
        let mut subscriber = hub.source().subscribe();
        let mut entries = Vec::new();
        let (packets, sent) = broadcast(late_ms, MediaTime::from_millis(3_000));
        let mut tracks = hub.source().watch_tracks();
        let mut told = Vec::new();
        let mut take = || {
            if tracks.has_changed().unwrap() {
                told.push(tracks.borrow_and_update().audios().count());
            }
            entries.extend(std::iter::from_fn(|| match subscriber.try_next()? {
                Next::Item(entry) => Some(entry),
                other => panic!("{other:?}"),
            }));
        };
        for bytes in packets {
            session.bytes(&bytes, Instant::now()).unwrap();
            take();
        }
        session.finish(Instant::now());
        take();
        let first = entries.first().unwrap();
        assert!(first.is_start() && first.is_video(), "{late_ms:?}");
        let sounds: Vec<u32> = first.tracks.audios().map(|info| info.id.0).collect();
        assert_eq!(sounds, expected, "{late_ms:?}");
        assert_eq!(told.first(), Some(&expected.len()), "pushes are told of none before all are there: {late_ms:?}");
        let came = entries.len();
        assert!(came + 1 >= sent, "{came} frames of {sent}, {late_ms:?}");
    }
}

/// Frames that were held are stamped with the time at which they came, not the time at which they go on.
#[test]
fn what_was_held_is_as_old_as_it_is() {
    let (packets, _) = broadcast([Some(0), Some(0), None], MediaTime::from_millis(900));
    let began = Instant::now();
    let first = |later: Duration| {
        let Rig { hub, mut session } = rig();
        let mut subscriber = hub.source().subscribe();
        for bytes in &packets {
            session.bytes(bytes, began).unwrap();
        }
        assert!(!hub.pulse().started, "the third sound has not shown");
        session.finish(began + later);
        let Some(Next::Item(entry)) = subscriber.try_next() else { panic!("nothing came") };
        entry.frame.dts
    };
    let (at_once, held) = (first(Duration::ZERO), first(Duration::from_secs(60)));
    assert!(held.since(at_once) < Duration::from_secs(30), "{at_once:?} {held:?}");
}
